"""Settings to the parts that one process of the service holds for as long as it runs."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import anyio
import sqlalchemy as sa

from service.artifacts import Digests, Storage, open_storage
from service.drawing import Drawer
from service.jobs import deleted_jobs, forget
from service.leases import expire, stop_overlong
from service.lookup import Lookup
from service.metrics import Metrics
from service.migrations import ForeignDatabase, migrate
from service.partial import Cache
from service.problem import Refusal
from service.records import Database, open_database
from service.settings import Settings
from service.stream import Feeds
from service.tokens import Ring, read_ring

logger = logging.getLogger("saephase.service")


@dataclass(slots=True)
class Service:
    """The parts of a running service."""

    settings: Settings
    database: Database
    lookup: Lookup
    feeds: Feeds
    metrics: Metrics
    clock: Callable[[], float]
    digests: Digests = field(default_factory=Digests)
    conditions: Cache = field(default_factory=Cache)
    diagrams: Cache = field(default_factory=Cache)
    drawer: Drawer = field(default_factory=Drawer)
    sketcher: Drawer = field(default_factory=Drawer)
    """Draws what somebody waits for on the page; it never queues behind the fit of boundaries."""
    drawing: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(2))
    """Threads that wait for a drawing, which takes seconds."""
    planning: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(2))
    """Threads that plan; a spec of many conditions takes seconds."""
    brisk: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(4))
    """Threads for reading rows, which never wait for those that draw or plan."""
    health: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(2))
    """Threads for readyz, which must answer while all others wait for a database."""
    ring: Ring | None = None
    """The callers that the database knows; None until its tables are there."""
    draining: bool = False
    trouble: str | None = "not looked at yet"
    """What keeps the database's tables from use; None once they are migrated."""
    _storage: Storage | None = None
    _probe: tuple[float, str] = (float("-inf"), "")
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def storage(self) -> Storage:
        """The storage, opened at the first use; raises OSError."""
        if self._storage is None:
            self._storage = open_storage(self.settings.storage)
        return self._storage

    def refresh_ring(self) -> Ring:
        """Read the tokens again."""
        self.ring = read_ring(self.database)
        return self.ring

    def prepare(self) -> None:
        """Migrate the database and read its tokens; raises SQLAlchemy's errors and ForeignDatabase."""
        migrate(self.database)
        self.refresh_ring()
        self.trouble = None

    def check_ready(self) -> None:
        """Refuse to go on while the tables are not there; raises Refusal 503."""
        if self.trouble is not None:
            raise Refusal(503, "The service is starting: its database is not ready. Try again.", "starting", _RETRY)

    def prove_writable(self) -> None:
        """Write to the database what is there already: its disk is writable and its lock can be had. Raises
        SQLAlchemy's errors.
        """
        with self.database.writing() as connection:
            connection.execute(sa.text("UPDATE alembic_version SET version_num = version_num"))

    def drain(self) -> None:
        """Take no more leases, end the streams and drawings, say so in readyz."""
        self.draining = True
        self.feeds.drain()
        self.drawer.stop()
        self.sketcher.stop()

    def checks(self) -> dict[str, str]:
        """What readyz asks, and the answers: `ok`, or what is wrong."""
        return {
            "database": self._check_database(),
            "storage": self._check_storage(),
            "draining": "the service is shutting down" if self.draining else "ok",
        }

    def _check_database(self) -> str:
        if self.trouble is not None:
            return self.trouble
        try:
            self.prove_writable()
        except sa.exc.SQLAlchemyError as error:
            return f"cannot be written: {_brief(error)}"
        return "ok"

    def _check_storage(self) -> str:
        with self._lock:
            when, found = self._probe
            if time.monotonic() - when < PROBE_SECONDS:
                return found
        try:
            self.storage().probe()
            found = "ok"
        except (OSError, ValueError) as error:
            found = f"cannot be written: {_brief(error)}"
        with self._lock:
            self._probe = (time.monotonic(), found)
        return found


_RETRY = {"Retry-After": "2"}
PROBE_SECONDS = 2.0
"""How long the answer of a storage probe holds: an object store charges for each."""


def open_service(settings: Settings, clock: Callable[[], float] = time.time) -> Service:
    """Put the parts together; nothing is read or written yet. Raises ValueError."""
    database = open_database(settings.database, settings.database_timeout)
    feeds = Feeds(database, settings.poll_seconds)
    return Service(settings, database, Lookup(database), feeds, Metrics(database), clock)


class Upkeep:
    """The thread that migrates, ends leases that ran out, removes deleted files, and reads tokens again."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="upkeep", daemon=True)
        self._leases_from = float("-inf")
        self._shaken = True

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, once what is under way is done."""
        self._stop.set()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        period = min(1.0, self._service.settings.lease_seconds / 10)
        while not self._stop.is_set():
            try:
                self._round()
            except (sa.exc.SQLAlchemyError, ForeignDatabase) as error:
                self._shaken = True
                if self._service.trouble is not None:
                    self._service.trouble = _brief(error)
                logger.warning("upkeep had to wait", extra={"reason": _brief(error)})
            except Exception:
                logger.exception("upkeep failed; it goes on")
            self._stop.wait(period)

    def _round(self) -> None:
        service = self._service
        if service.trouble is not None:
            service.prepare()
        service.refresh_ring()
        now = service.clock()
        if self._shaken:
            # While this process or the database was away nobody could heartbeat: give the workers one lease's time,
            # from when they can again.
            service.prove_writable()
            self._leases_from = time.monotonic() + service.settings.lease_seconds
            self._shaken = False
        if time.monotonic() >= self._leases_from:
            for job in expire(service.database, now):
                service.metrics.lost.inc()
                logger.warning("a lease ran out", extra={"job_id": job.id, "worker": job.worker})
                service.feeds.poke()
        limit = service.settings.max_wall_seconds
        if limit is not None:
            for job in stop_overlong(service.database, now, limit):
                logger.warning("a job ran too long", extra={"job_id": job.id})
                service.feeds.poke()
        with service.database.reading() as connection:
            leftover = deleted_jobs(connection)
        for job_id in leftover:
            remove_job(service, job_id)


def remove_job(service: Service, job_id: str) -> bool:
    """Remove a deleted job's files, then its row; False where the storage refuses, and upkeep tries again."""
    try:
        service.storage().remove(job_id)
    except OSError as error:
        logger.warning("files cannot be removed yet", extra={"job_id": job_id, "reason": _brief(error)})
        return False
    with service.database.writing() as connection:
        forget(connection, job_id)
    return True


def _brief(error: Exception) -> str:
    return " ".join(str(getattr(error, "orig", None) or error).split())[:300]
