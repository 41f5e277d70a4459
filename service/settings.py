"""A command line or an environment to frozen settings; nothing is read at import."""

import ipaddress
import types
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import get_args, get_type_hints

PREFIX = "SAEPHASE_"
POSITIVE = frozenset({"lease_seconds", "comment_seconds", "poll_seconds", "database_timeout", "max_wall_seconds"})
"""Seconds that cannot be none: the service would spin, or end every job."""


@dataclass(frozen=True, slots=True)
class Settings:
    """All that an operator may choose; each field is also the environment variable SAEPHASE_<FIELD>."""

    database: str
    """SQLAlchemy URL: sqlite:///PATH or postgresql://..."""
    storage: str
    """Absolute path or pyarrow.fs URI; the folder of a job is <storage>/jobs/<job id>."""
    host: str = "127.0.0.1"
    """Address to bind; only loopback while there is no token."""
    port: int = 8000
    """Port to bind; 0 takes a free one."""
    admin_token: str | None = None
    """A secret that is an admin without being in the database."""
    worker_token: str | None = None
    """A secret that is a worker without being in the database."""
    max_body_bytes: int = 8 * 2**20
    """Largest request body; an explicit 512 x 1024 matrix fits."""
    max_trials: int = 200_000
    """Most trials that one job may ask for."""
    max_steps: int = 10**10
    """Most optimiser steps, over all its trials, that one job may ask for."""
    max_queued: int = 10_000
    """Most queued jobs of one owner."""
    max_wall_seconds: float | None = None
    """Longest that a job may run before it is failed, counted anew on resume; None is no limit."""
    max_streams: int = 1_000
    """Most event streams open at a time in one process."""
    lease_seconds: float = 30.0
    """Life of a lease without a heartbeat."""
    comment_seconds: float = 15.0
    """Silence on an event stream after which a comment is sent."""
    poll_seconds: float = 0.25
    """How often open event streams are looked after, for events that another process wrote."""
    database_timeout: float = 5.0
    """Longest wait for the database, its locks and its connections, before a 503."""
    drain_seconds: float = 1.0
    """Between the end signal (readyz turns 503, streams end) and closing the port."""
    graceful_seconds: int = 8
    """Longest wait, after that, for answers that are under way."""

    @property
    def loopback(self) -> bool:
        """Whether the service can be reached from this machine only."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host.strip("[]")).is_loopback
        except ValueError:
            return False


def local_settings(data: Path, **chosen: object) -> Settings:
    """Settings of one machine: SQLite and files under one folder."""
    root = data.absolute()
    # dict(...) first, so that a chosen database or storage wins.
    values: dict[str, object] = {"database": f"sqlite:///{root / 'saephase.sqlite3'}", "storage": str(root), **chosen}
    return Settings(**values)  # type: ignore[arg-type]


def environment_settings(environment: Mapping[str, str]) -> dict[str, object]:
    """The fields that an environment sets; raises ValueError that names a variable with a value it cannot have."""
    hints = get_type_hints(Settings)
    chosen: dict[str, object] = {}
    for field in fields(Settings):
        name = PREFIX + field.name.upper()
        text = environment.get(name, "")
        if text:
            chosen[field.name] = _read(name, text, hints[field.name])
    return chosen


def _read(name: str, text: str, hint: object) -> object:
    kinds = get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if str in kinds:
        return text
    kind = int if int in kinds else float
    try:
        value = kind(text)
    except ValueError:
        raise ValueError(f"{name}={text}: must be {'a whole number' if kind is int else 'a number'}") from None
    field = name.removeprefix(PREFIX).lower()
    if field == "port" and not 0 <= value <= 65535:
        raise ValueError(f"{name}={text}: must be a port, 0 to 65535")
    if not 0 <= value < float("inf"):
        raise ValueError(f"{name}={text}: must be 0 or more")
    if value == 0 and field in POSITIVE:
        raise ValueError(f"{name}={text}: must be more than 0")
    return value
