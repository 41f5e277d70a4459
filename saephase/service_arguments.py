"""The command line's part about the service: its commands, their options, and which function runs each."""

import argparse
import os
from typing import Any

LOCAL_URL = "http://127.0.0.1:8000"
DATA = "saephase-data"
"""Folder of `saephase serve` where no other is given."""

BAD_SPEC, REFUSED = 2, 4
"""Exit codes: bad spec or usage; service unreachable or refused."""

COMMANDS = ("serve", "worker", "submit", "status", "watch", "cancel", "resume", "download", "token")


def add_service_commands(commands: Any, spec_help: str, set_help: str, address: Any) -> None:
    """Add the service's commands to the parsers; `address` parses local|auto|HOST:PORT."""
    _add_serve(commands, address)
    _add_worker(commands, address)
    submit = _client(commands, "submit", "queue a job on a running service; prints its id")
    submit.add_argument("spec", metavar="SPEC", help=spec_help)
    submit.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help=set_help)
    submit.add_argument("--wait", action="store_true", help="follow the job to its end; exit code 3 if it fails")
    submit.add_argument("--priority", metavar="N", type=int, default=0, help="higher runs first; default 0")
    submit.add_argument("--key", metavar="TEXT", help="Idempotency-Key: the same key again is the same job")

    status = _client(commands, "status", "say how a job is, or list the latest jobs")
    status.add_argument("job", metavar="JOB", nargs="?", help="job id; without it, the latest jobs are listed")
    status.add_argument("--limit", metavar="N", type=_positive, default=20, help="most jobs listed; default 20")
    status.add_argument("--json", action="store_true", help="print JSON")

    for name, text in (
        ("watch", "follow a job to its end; exit code 3 if it fails"),
        ("cancel", "stop a job; what is finished is kept"),
        ("resume", "queue a failed or cancelled job again; it repeats nothing"),
    ):
        _client(commands, name, text).add_argument("job", metavar="JOB", help="job id")

    download = _client(commands, "download", "download a job's diagram and tables")
    download.add_argument("job", metavar="JOB", help="job id")
    download.add_argument("name", metavar="NAME", nargs="*", help="artifacts to download; all of them by default")
    download.add_argument("--out", metavar="DIR", help="folder for them; default runs/<job id>")

    _add_token(commands)


def _add_serve(commands: Any, address: Any) -> None:
    serve = commands.add_parser("serve", help="serve jobs over HTTP, with a worker beside it", allow_abbrev=False)
    serve.add_argument("--host", metavar="HOST", help="address to bind; default 127.0.0.1")
    serve.add_argument("--port", metavar="PORT", type=_port, help="port to bind; default 8000; 0 takes a free one")
    _add_place(serve)
    serve.add_argument("--storage", metavar="URI", help="folder or URI for the jobs' files; default DIR")
    serve.add_argument("--no-worker", action="store_true", help="serve only; workers are started elsewhere")
    serve.add_argument("--address", **_address_options(address))


def _add_worker(commands: Any, address: Any) -> None:
    worker = _client(commands, "worker", "take jobs from a service and run them on Ray")
    worker.add_argument("--address", **_address_options(address))
    worker.add_argument("--name", metavar="NAME", help="for people to know it by; default host and process id")
    worker.add_argument("--end-with-stdin", action="store_true", help=argparse.SUPPRESS)


def _add_token(commands: Any) -> None:
    token = commands.add_parser("token", help="create, list and revoke the service's tokens", allow_abbrev=False)
    acts = token.add_subparsers(dest="act", metavar="create|list|revoke", required=True)
    create = acts.add_parser("create", help="make a token; its secret is printed once", allow_abbrev=False)
    create.add_argument("--owner", metavar="NAME", required=True, help="whose jobs it sees and submits")
    create.add_argument(
        "--role", metavar="read|submit|worker|admin", default="submit", help="what it may do; default submit"
    )
    create.add_argument("--label", metavar="TEXT", default="", help="to know it by")
    listing = acts.add_parser("list", help="list all tokens, without their secrets", allow_abbrev=False)
    revoke = acts.add_parser("revoke", help="end a token", allow_abbrev=False)
    revoke.add_argument("id", metavar="ID", help="the id that list shows")
    for act in (create, listing, revoke):
        _add_place(act)


def add_service_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where the service is and who asks."""
    parser.add_argument(
        "--url",
        metavar="URL",
        default=os.environ.get("SAEPHASE_URL") or LOCAL_URL,
        help=f"of the service; default SAEPHASE_URL, or {LOCAL_URL}",
    )
    parser.add_argument(
        "--token",
        metavar="TOKEN",
        default=os.environ.get("SAEPHASE_TOKEN") or None,
        help="better given as SAEPHASE_TOKEN: command lines can be seen by others",
    )


def _client(commands: Any, name: str, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, allow_abbrev=False)
    add_service_options(parser)
    return parser


def _add_place(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", metavar="DIR", help=f"folder of the database and the jobs; default {DATA}")
    parser.add_argument("--database", metavar="URL", help="sqlite:///PATH or postgresql://...; default SQLite in DIR")


def _address_options(address: Any) -> dict[str, Any]:
    return {
        "metavar": "local|auto|HOST:PORT",
        "type": address,
        "default": "local",
        "help": "start a Ray cluster per job on this machine (default), or join one that runs",
    }


def _positive(text: str) -> int:
    value = _whole(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} must be 1 or more")
    return value


def _port(text: str) -> int:
    value = _whole(text)
    if not 0 <= value <= 65535:
        raise argparse.ArgumentTypeError(f"{text} is not a port; allowed: 0 to 65535")
    return value


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
