"""`saephase token`: create, list and revoke the tokens in a service's database."""

import argparse
import sys
import time
from datetime import UTC, datetime
from typing import cast

from rich.console import Console
from rich.table import Table

from saephase.service_settings import read_settings
from saephase.spec_argument import UsageError
from service.migrations import ForeignDatabase, migrate
from service.records import Database, open_database
from service.tokens import Role, create_token, list_tokens, revoke_token


def run_token_command(options: argparse.Namespace) -> int:
    """Run one of create, list and revoke; returns the exit code."""
    settings = read_settings(options)
    try:
        database = open_database(settings.database, settings.database_timeout)
        migrate(database)
        return _run(options, database)
    except (ValueError, ForeignDatabase) as error:
        raise UsageError(str(error)) from None


def _run(options: argparse.Namespace, database: Database) -> int:
    if options.act == "create":
        token, secret = create_token(database, options.owner, cast(Role, options.role), time.time(), options.label)
        print(secret)
        print(
            f"saephase: token {token.id} of {token.owner} ({token.role}); it is shown this once only, and is used as "
            "SAEPHASE_TOKEN",
            file=sys.stderr,
        )
        return 0
    if options.act == "revoke":
        if not revoke_token(database, options.id, time.time()):
            raise UsageError(f"ID {options.id}: is not the id of a live token; see saephase token list")
        print(f"revoked {options.id}")
        return 0
    _print_tokens(database)
    return 0


def _print_tokens(database: Database) -> None:
    table = Table(box=None, pad_edge=False)
    for column in ("id", "role", "owner", "created", "revoked", "label"):
        table.add_column(column)
    for token in list_tokens(database):
        revoked = "" if token.revoked_at is None else _day(token.revoked_at)
        table.add_row(token.id, token.role, token.owner, _day(token.created_at), revoked, token.label)
    console = Console()
    (console if console.is_terminal else Console(width=200)).print(table, markup=False)


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")
