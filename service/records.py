"""The tables of the service, and a database URL to connections that read and transactions that write."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url

metadata = sa.MetaData()

BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")
"""64 bits on both databases; SQLite numbers rows by itself only in a column of type INTEGER."""

jobs = sa.Table(
    "jobs",
    metadata,
    sa.Column("number", BIG, primary_key=True, autoincrement=True),
    sa.Column("id", sa.String(16), nullable=False, unique=True),
    sa.Column("owner", sa.String(200), nullable=False),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("priority", sa.Integer, nullable=False),
    sa.Column("spec", sa.Text, nullable=False),
    sa.Column("shared", sa.String(16), nullable=False),
    sa.Column("steps_per_trial", BIG, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("started_at", sa.Double),
    sa.Column("ended_at", sa.Double),
    sa.Column("deleted_at", sa.Double),
    sa.Column("error", sa.Text),
    sa.Column("cancel_requested", sa.Boolean, nullable=False),
    sa.Column("trials_total", BIG, nullable=False),
    sa.Column("trials_done", BIG, nullable=False),
    sa.Column("trials_reused", BIG, nullable=False),
    sa.Column("seconds", sa.Double, nullable=False),
    sa.Column("eta_seconds", sa.Double),
    sa.Column("wall_seconds", sa.Double, nullable=False),
    sa.Column("running_since", sa.Double),
    sa.Column("queued_at", sa.Double, nullable=False),
    sa.Column("fence", BIG, nullable=False),
    sa.Column("lease_id", sa.String(32), unique=True),
    sa.Column("worker", sa.String(200)),
    sa.Column("lease_expires_at", sa.Double),
    sa.Column("last_event", BIG, nullable=False),
    sa.Column("idempotency_key", sa.String(255)),
    sa.Column("spec_digest", sa.String(64), nullable=False),
    sa.UniqueConstraint("owner", "idempotency_key", name="jobs_idempotency"),
    sa.Index("jobs_queue", "status", "priority", "number"),
    sa.Index("jobs_owner", "owner", "status", "number"),
    sa.Index("jobs_name", "name", "number"),
    sa.Index("jobs_shared", "shared"),
    sqlite_autoincrement=True,
)
"""One row per job. Times are seconds since 1970; `number` is the order of arrival; `last_event` numbers its events."""

events = sa.Table(
    "events",
    metadata,
    sa.Column("job_number", BIG, sa.ForeignKey("jobs.number", ondelete="CASCADE"), primary_key=True),
    sa.Column("number", BIG, primary_key=True, autoincrement=False),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("type", sa.String(40), nullable=False),
    sa.Column("data", sa.Text, nullable=False),
    sa.Column("key", sa.String(120)),
    sa.UniqueConstraint("job_number", "key", name="events_key"),
)
"""What happened to a job, numbered from 1 without gaps under the job row's lock; `key` makes a repeated report one."""

owners = sa.Table("owners", metadata, sa.Column("owner", sa.String(200), primary_key=True))
"""A row to lock, so that an owner's limits hold against submissions at the same moment."""

tokens = sa.Table(
    "tokens",
    metadata,
    sa.Column("id", sa.String(8), primary_key=True),
    sa.Column("digest", sa.String(64), nullable=False, unique=True),
    sa.Column("owner", sa.String(200), nullable=False),
    sa.Column("role", sa.String(16), nullable=False),
    sa.Column("label", sa.String(200), nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("revoked_at", sa.Double),
)
"""Bearer tokens by their SHA-256; revoked ones stay, so that a service whose tokens are all revoked is not open."""


@dataclass(frozen=True, slots=True)
class Job:
    """A row of `jobs`."""

    number: int
    id: str
    owner: str
    name: str
    status: str
    priority: int
    spec: str
    shared: str
    steps_per_trial: int
    created_at: float
    started_at: float | None
    ended_at: float | None
    deleted_at: float | None
    error: str | None
    cancel_requested: bool
    trials_total: int
    trials_done: int
    trials_reused: int
    seconds: float
    eta_seconds: float | None
    wall_seconds: float
    running_since: float | None
    queued_at: float
    fence: int
    lease_id: str | None
    worker: str | None
    lease_expires_at: float | None
    last_event: int
    idempotency_key: str | None
    spec_digest: str


@dataclass(frozen=True, slots=True)
class Database:
    """Where records live: SQLite or PostgreSQL."""

    engine: sa.Engine
    timeout: float
    """Seconds to wait for a lock or a connection."""
    _reader: sa.Engine
    _writer: threading.Lock = field(default_factory=threading.Lock)

    @property
    def sqlite(self) -> bool:
        """Whether it is SQLite, which has one writer at a time."""
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A connection for statements that only read, each of them on its own."""
        with self._reader.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction that commits at the end, or leaves nothing."""
        if not self.sqlite:
            with self.engine.begin() as connection:
                yield connection
            return
        # Waiting here is fair and wakes at once; SQLite's own busy wait sleeps and starves.
        if not self._writer.acquire(timeout=self.timeout):
            raise sa.exc.TimeoutError("no turn to write")
        try:
            with self.engine.begin() as connection:
                yield connection
        finally:
            self._writer.release()


def open_database(location: str, timeout: float) -> Database:
    """Open a database by URL; it is not touched yet. Raises ValueError for a URL of another kind."""
    try:
        url = make_url(location)
    except sa.exc.ArgumentError:
        raise ValueError("database: is not a URL such as sqlite:///PATH or postgresql://HOST/NAME") from None
    kind = url.get_backend_name()
    if kind == "sqlite" and url.database and url.database != ":memory:":
        engine = _sqlite(url, timeout)
        return Database(engine, timeout, engine.execution_options(reading=True))
    if kind == "postgresql":
        engine = _postgresql(url, timeout)
        return Database(engine, timeout, engine.execution_options(isolation_level="AUTOCOMMIT"))
    raise ValueError(f"database: {url.render_as_string()} is not supported; use sqlite:///PATH or postgresql://...")


def _sqlite(url: URL, timeout: float) -> sa.Engine:
    # Specs, results and digests of tokens are the service's own: other accounts of a shared machine do not read them.
    Path(str(url.database)).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    engine = sa.create_engine(
        url, connect_args={"timeout": timeout}, pool_size=70, max_overflow=10, pool_timeout=timeout
    )

    @sa.event.listens_for(engine, "connect")
    def connect(connection: Any, record: Any) -> None:
        connection.isolation_level = None  # so that the transaction below is the only one that begins
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        # A transaction that read first and writes later would fail at once where another wrote in between.
        if not connection.get_execution_options().get("reading"):
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _postgresql(url: URL, timeout: float) -> sa.Engine:
    milliseconds = int(timeout * 1000)
    return sa.create_engine(
        url.set(drivername="postgresql+psycopg"),
        connect_args={
            "connect_timeout": max(2, int(timeout)),
            "options": f"-c lock_timeout={milliseconds} -c statement_timeout={3 * milliseconds}",
            "application_name": "saephase",
        },
        pool_size=20,
        max_overflow=20,
        pool_timeout=timeout,
        pool_pre_ping=True,
    )
