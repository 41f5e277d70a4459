"""What happens to a job to numbered events, in the same transaction as the change itself."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from service.records import Job, events, jobs

PAGE = 500
"""Events read at a time."""


@dataclass(frozen=True, slots=True)
class Happening:
    """An event that has no number yet."""

    type: str
    """status, progress, message, or a worker's own."""
    data: dict[str, Any]
    key: str | None = None
    """Names a report, so that repeating it adds nothing."""


@dataclass(frozen=True, slots=True)
class Event:
    """An event of a job."""

    number: int
    """From 1, without gaps, in the order in which they were committed."""
    at: float
    """Seconds since 1970."""
    type: str
    data: dict[str, Any]


# Statements are built once: building one takes longer than running it.
_KNOWN = sa.select(events.c.key).where(
    events.c.job_number == sa.bindparam("the_job"), events.c.key.in_(sa.bindparam("the_keys", expanding=True))
)
_INSERT = events.insert()
_CHANGE = jobs.update().where(jobs.c.number == sa.bindparam("the_job"))


def record(connection: sa.Connection, job: Job, now: float, happenings: Iterable[Happening], **changes: object) -> None:
    """Change a job whose row is locked, and append its events; a keyed event that is already there is left out."""
    happenings = list(happenings)
    wanted = [happening.key for happening in happenings if happening.key is not None]
    known: set[str | None] = set()
    if wanted:
        known = set(connection.scalars(_KNOWN, {"the_job": job.number, "the_keys": wanted}))
    number = job.last_event
    rows = []
    for happening in happenings:
        if happening.key is not None:
            if happening.key in known:
                continue
            known.add(happening.key)
        number += 1
        rows.append(
            {
                "job_number": job.number,
                "number": number,
                "at": now,
                "type": happening.type,
                "data": json.dumps(happening.data, allow_nan=False),
                "key": happening.key,
            }
        )
    if rows:
        connection.execute(_INSERT, rows)
        changes["last_event"] = number
    if changes:
        connection.execute(_CHANGE, {"the_job": job.number, **changes})


def read_events(connection: sa.Connection, job_number: int, after: int, limit: int = PAGE) -> list[Event]:
    """The job's events with numbers above `after`, in order."""
    query = (
        sa.select(events.c.number, events.c.at, events.c.type, events.c.data)
        .where(events.c.job_number == job_number, events.c.number > after)
        .order_by(events.c.number)
        .limit(limit)
    )
    return [Event(row.number, row.at, row.type, json.loads(row.data)) for row in connection.execute(query)]
