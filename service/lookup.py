"""Ids of jobs that are asked for at the same moment to one query.

A read costs a thread's turn and a connection far more than a row, so that many clients who each wait for one job are
best answered together. The first request starts a query at once; those that come while it runs are the next one's.
Each query begins after its requests have come, so that an answer is never older than its question.
"""

import asyncio
from collections.abc import Iterable

import anyio
import anyio.to_thread
import sqlalchemy as sa

from service.jobs import find_jobs
from service.records import Database, Job


class Lookup:
    """Reads jobs for the requests of one event loop, in a thread of its own."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._asked: dict[str, asyncio.Future[Job | None]] = {}
        self._reading: asyncio.Task[None] | None = None
        self._limiter = anyio.CapacityLimiter(1)

    async def find(self, job_id: str) -> Job | None:
        """The job of this id; None where there is none, or it is deleted. Raises SQLAlchemy's errors."""
        loop = asyncio.get_running_loop()
        if job_id not in self._asked:
            self._asked[job_id] = loop.create_future()
        answer = self._asked[job_id]
        if self._reading is None:
            self._reading = loop.create_task(self._read_on())
        try:
            async with asyncio.timeout(self._database.timeout):
                return await asyncio.shield(answer)  # others may wait for it too
        except TimeoutError:
            raise sa.exc.TimeoutError("the database does not answer") from None

    async def _read_on(self) -> None:
        """Read until nothing more has been asked for."""
        while self._asked:
            asked, self._asked = self._asked, {}
            try:
                found = await anyio.to_thread.run_sync(self._read, asked, limiter=self._limiter)
            except Exception as error:
                for answer in asked.values():
                    answer.set_exception(error)
                    answer.exception()  # whoever asked may have gone
            else:
                for job_id, answer in asked.items():
                    answer.set_result(found.get(job_id))
        self._reading = None

    def _read(self, job_ids: Iterable[str]) -> dict[str, Job]:
        with self._database.reading() as connection:
            return {job.id: job for job in find_jobs(connection, job_ids)}
