"""Numbered events to Server-Sent Events: one look at the database wakes every stream of the process."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field

import anyio.to_thread
import sqlalchemy as sa
from fastapi.sse import format_sse_event

from service.events import PAGE, Event, read_events
from service.jobs import ENDED
from service.records import Database, Job, jobs
from service.views import view_event

RING = 1024
"""Latest events of a watched job kept in memory; a stream further behind reads the table."""
CROWD = 0.02
"""Shortest time in seconds between two looks, however fast events come."""

logger = logging.getLogger("saephase.service")


@dataclass(slots=True)
class Feed:
    """What is known of one watched job."""

    number: int
    """The job's number in the table."""
    first: int
    """Events above this number, up to `last`, are in the ring."""
    last: int
    status: str
    ring: deque[tuple[int, bytes]] = field(default_factory=lambda: deque(maxlen=RING))
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    streams: int = 0

    def take(self, events: Iterable[Event]) -> None:
        """Add the next events."""
        for event in events:
            if len(self.ring) == RING:
                self.first = self.ring[0][0]
            self.ring.append((event.number, frame(event)))
            self.last = event.number

    def wake(self) -> None:
        """Let every waiting stream look again."""
        self.changed.set()
        self.changed = asyncio.Event()


class Feeds:
    """The watched jobs of one process, and the task that looks after them."""

    def __init__(self, database: Database, poll_seconds: float) -> None:
        self.draining = False
        self.open = 0
        self._database, self._poll = database, poll_seconds
        self._feeds: dict[str, Feed] = {}
        self._look = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def poke(self) -> None:
        """Look at once, because this process has just written an event; from any thread."""
        if self._loop is not None and self._feeds and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._look.set)

    def drain(self) -> None:
        """End every stream; from any thread, and from a signal handler."""
        self.draining = True
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake_all)

    async def watch(self) -> None:
        """Look after the watched jobs until cancelled."""
        self._loop = asyncio.get_running_loop()
        limiter = anyio.CapacityLimiter(1)  # its own thread: never behind a queue of requests
        while True:
            try:
                async with asyncio.timeout(self._poll if self._feeds else None):
                    await self._look.wait()
            except TimeoutError:
                pass
            self._look.clear()
            try:
                heads = {job_id: feed.last for job_id, feed in self._feeds.items()}
                found = await anyio.to_thread.run_sync(self._read, heads, limiter=limiter)
            except sa.exc.SQLAlchemyError as error:
                logger.warning("events cannot be read", extra={"reason": str(error)[:300]})
                await asyncio.sleep(self._poll)
                continue
            for job_id, (status, events) in found.items():
                feed = self._feeds.get(job_id)
                if feed is not None and (events or status != feed.status):
                    feed.take(events)
                    feed.status = status
                    feed.wake()
            await asyncio.sleep(CROWD)

    async def follow(self, job: Job, after: int, comment_seconds: float) -> AsyncIterator[bytes]:
        """The events above `after` of a job just read, then new ones as they come, then `end` once it has ended."""
        feed = self._feeds.setdefault(job.id, Feed(job.number, job.last_event, job.last_event, job.status))
        feed.streams += 1
        self.open += 1
        self._look.set()
        try:
            position = min(after, job.last_event)
            yield format_sse_event(comment="saephase events", retry=2000)
            while not self.draining:
                changed = feed.changed
                frames: list[tuple[int, bytes]] | None
                if position < feed.first:
                    frames = await self._replay(feed.number, position)
                else:
                    frames = [entry for entry in feed.ring if entry[0] > position]
                if frames is None:
                    return
                if frames:
                    position = frames[-1][0]
                    yield b"".join(text for _, text in frames)
                elif feed.status in ENDED:
                    data = f'{{"status": "{feed.status}"}}'
                    yield format_sse_event(event="end", data_str=data, id=str(position))
                    return
                elif feed.status == "deleted":
                    return
                else:
                    try:
                        async with asyncio.timeout(comment_seconds):
                            await changed.wait()
                    except TimeoutError:
                        yield format_sse_event(comment="still here")
        finally:
            feed.streams -= 1
            self.open -= 1
            if not feed.streams:
                self._feeds.pop(job.id, None)

    async def _replay(self, number: int, after: int) -> list[tuple[int, bytes]] | None:
        """The next page of events as frames; waits while the database is away; None once the service leaves."""
        while not self.draining:
            try:
                events = await anyio.to_thread.run_sync(self._page, number, after)
            except sa.exc.SQLAlchemyError:
                await asyncio.sleep(self._poll)
                continue
            return [(event.number, frame(event)) for event in events]
        return None

    def _wake_all(self) -> None:
        for feed in self._feeds.values():
            feed.wake()

    def _page(self, number: int, after: int) -> list[Event]:
        with self._database.reading() as connection:
            return read_events(connection, number, after)

    def _read(self, heads: dict[str, int]) -> dict[str, tuple[str, list[Event]]]:
        """Status and new events of the watched jobs: one query, and one more for each job that has news."""
        found: dict[str, tuple[str, list[Event]]] = {job_id: ("deleted", []) for job_id in heads}
        query = sa.select(jobs.c.id, jobs.c.number, jobs.c.last_event, jobs.c.status).where(
            jobs.c.id.in_(list(heads)), jobs.c.deleted_at.is_(None)
        )
        with self._database.reading() as connection:
            for row in connection.execute(query).all():
                events: list[Event] = []
                while row.last_event > (events[-1].number if events else heads[row.id]):
                    page = read_events(connection, row.number, events[-1].number if events else heads[row.id])
                    if not page:
                        break
                    events += page
                    if len(page) < PAGE:
                        break
                found[row.id] = (row.status, events)
        return found


def frame(event: Event) -> bytes:
    """An event as it goes over the wire."""
    return format_sse_event(event=event.type, data_str=view_event(event), id=str(event.number))
