"""A checked spec to a job, and a job through its states: queued, running, then succeeded, failed or cancelled."""

import hashlib
import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import sqlalchemy as sa

from phase_diagrams.spec import JobSpec
from phase_diagrams.trial import trial_namer
from service.events import Happening, record
from service.problem import Refusal
from service.records import Job, jobs, owners

Status = Literal["queued", "running", "succeeded", "failed", "cancelled"]
STATUSES: tuple[Status, ...] = get_args(Status)
ENDED = ("succeeded", "failed", "cancelled")
PAGE_BYTES = 4 * 2**20
"""Specs in one page of a list, but for the first; an explicit matrix can be megabytes."""

# Statements are built once: building one takes longer than running it.
_OWNER = sa.select(owners.c.owner).where(owners.c.owner == sa.bindparam("the_owner")).with_for_update()
_BY_KEY = sa.select(jobs).where(
    jobs.c.owner == sa.bindparam("the_owner"), jobs.c.idempotency_key == sa.bindparam("the_key")
)
_INSERT = jobs.insert().returning(jobs)
_WAITING = sa.select(sa.func.count()).where(
    jobs.c.owner == sa.bindparam("the_owner"), jobs.c.status == "queued", jobs.c.deleted_at.is_(None)
)
_BY_IDS = sa.select(jobs).where(jobs.c.id.in_(sa.bindparam("job_ids", expanding=True)), jobs.c.deleted_at.is_(None))


@dataclass(frozen=True, slots=True)
class Submission:
    """A job as its owner asks for it."""

    owner: str
    spec: JobSpec
    priority: int
    key: str | None
    """Idempotency-Key."""


def submit(connection: sa.Connection, wanted: Submission, now: float, max_queued: int) -> tuple[Job, bool]:
    """Add a job, or find the one that its key already made; says whether it is new.

    Raises Refusal 422 where the key made a job of another spec or priority, 429 where the owner's queue is full.
    """
    lock_owner(connection, wanted.owner)
    content = json.dumps(wanted.spec.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(f"{wanted.priority}\n{content}".encode()).hexdigest()
    if wanted.key is not None:
        row = connection.execute(_BY_KEY, {"the_owner": wanted.owner, "the_key": wanted.key}).first()
        if row is not None:
            return _repeated(Job(*row), digest, wanted.key), False
    _check_queue(connection, wanted.owner, max_queued)
    spec = wanted.spec
    values = {
        "id": secrets.token_hex(8),
        "owner": wanted.owner,
        "name": spec.name,
        "status": "queued",
        "priority": wanted.priority,
        "spec": content,
        "shared": trial_namer(spec).shared,
        "steps_per_trial": spec.training.steps,
        "created_at": now,
        "cancel_requested": False,
        "trials_total": spec.n_trials,
        "trials_done": 0,
        "trials_reused": 0,
        "seconds": 0.0,
        "wall_seconds": 0.0,
        "queued_at": now,
        "fence": 0,
        "last_event": 0,
        "idempotency_key": wanted.key,
        "spec_digest": digest,
    }
    job = Job(*connection.execute(_INSERT, values).one())
    record(connection, job, now, [_status("queued")])
    return job, True


def lock_owner(connection: sa.Connection, owner: str) -> None:
    """Hold an owner's row until the transaction ends, so that what is counted next stays true."""
    while connection.scalar(_OWNER, {"the_owner": owner}) is None:
        try:
            with connection.begin_nested():
                connection.execute(owners.insert().values(owner=owner))
        except sa.exc.IntegrityError:
            continue  # another transaction added it in the meantime
        return


def _check_queue(connection: sa.Connection, owner: str, max_queued: int) -> None:
    count = connection.scalar(_WAITING, {"the_owner": owner}) or 0
    if count >= max_queued:
        detail = f"{owner} has {count:,} queued jobs; at most {max_queued:,} are allowed. Wait until one has started."
        raise Refusal(429, detail, "queue-full", {"Retry-After": "60"})


def _repeated(job: Job, digest: str, key: str) -> Job:
    if job.deleted_at is not None:
        raise Refusal(422, f"The Idempotency-Key {key!r} made a job that has been deleted.", "idempotency-key")
    if job.spec_digest != digest:
        detail = f"The Idempotency-Key {key!r} already made job {job.id} from another spec or priority."
        raise Refusal(422, detail, "idempotency-key")
    return job


def find_jobs(connection: sa.Connection, job_ids: Iterable[str]) -> list[Job]:
    """The jobs of these ids, in any order; one that is not there, or is deleted, is left out."""
    return [Job(*row) for row in connection.execute(_BY_IDS, {"job_ids": list(job_ids)})]


def find_job(connection: sa.Connection, job_id: str) -> Job | None:
    """The job of this id; None where there is none, or it is deleted."""
    return next(iter(find_jobs(connection, [job_id])), None)


def lock_job(connection: sa.Connection, condition: sa.ColumnElement[bool], skip_locked: bool = False) -> Job | None:
    """The job that meets a condition, its row locked until the transaction ends."""
    query = sa.select(jobs).where(condition, jobs.c.deleted_at.is_(None)).with_for_update(skip_locked=skip_locked)
    row = connection.execute(query).first()
    return None if row is None else Job(*row)


@dataclass(frozen=True, slots=True)
class Filter:
    """Which jobs a list shows."""

    owner: str | None
    """None: of all owners."""
    statuses: tuple[str, ...]
    """Empty: every status."""
    name: str | None
    """The whole name."""
    before: int | None
    """Jobs that arrived before the one of this number."""
    limit: int


def list_jobs(connection: sa.Connection, wanted: Filter) -> tuple[list[Job], int | None]:
    """A page of jobs, newest first, and the number to go on from (None: there are no more)."""
    query = sa.select(jobs.c.number, sa.func.length(jobs.c.spec)).where(jobs.c.deleted_at.is_(None))
    if wanted.owner is not None:
        query = query.where(jobs.c.owner == wanted.owner)
    if wanted.statuses:
        query = query.where(jobs.c.status.in_(wanted.statuses))
    if wanted.name is not None:
        query = query.where(jobs.c.name == wanted.name)
    if wanted.before is not None:
        query = query.where(jobs.c.number < wanted.before)
    found = list(connection.execute(query.order_by(jobs.c.number.desc()).limit(wanted.limit + 1)))
    numbers: list[int] = []
    size = 0
    for number, length in found[: wanted.limit]:
        size += length
        if numbers and size > PAGE_BYTES:
            break
        numbers.append(number)
    rows = connection.execute(sa.select(jobs).where(jobs.c.number.in_(numbers)).order_by(jobs.c.number.desc()))
    return [Job(*row) for row in rows], numbers[-1] if len(numbers) < len(found) else None


def cancel(connection: sa.Connection, job: Job, now: float) -> None:
    """End a queued job, or ask the worker of a running one to stop; raises Refusal 409 where it has ended otherwise."""
    if job.status == "queued":
        record(connection, job, now, [_status("cancelled")], status="cancelled", ended_at=now, eta_seconds=None)
    elif job.status == "running" and not job.cancel_requested:
        happening = Happening("message", {"text": "cancel requested; the worker is stopping"})
        record(connection, job, now, [happening], cancel_requested=True)
    elif job.status in ("succeeded", "failed"):
        raise Refusal(409, f"Job {job.id} has {job.status}; there is nothing to cancel.", "job-ended")


def resume(connection: sa.Connection, job: Job, now: float, max_queued: int) -> None:
    """Queue a failed or cancelled job again, with all its finished trials; raises Refusal 409 or 429."""
    if job.status == "succeeded":
        raise Refusal(409, f"Job {job.id} has succeeded; there is nothing to resume.", "job-ended")
    if job.cancel_requested and job.status == "running":
        raise Refusal(409, f"Job {job.id} is being cancelled; resume it once it has stopped.", "job-active")
    if job.status in ENDED:
        _check_queue(connection, job.owner, max_queued)
        requeue(connection, job, now, "resumed", error=None, ended_at=None, wall_seconds=0.0)


def requeue(connection: sa.Connection, job: Job, now: float, reason: str, **changes: object) -> None:
    """Put a job back into the queue, free of any lease."""
    values = {**leaseless(job, now), "cancel_requested": False, "queued_at": now, "eta_seconds": None, **changes}
    record(connection, job, now, [_status("queued", reason=reason)], status="queued", **values)


def end(connection: sa.Connection, job: Job, now: float, status: Status, error: str | None, **changes: object) -> None:
    """End a job; its lease id stays, so that the worker may say so twice."""
    values = {
        **leaseless(job, now),
        "lease_id": job.lease_id,
        "cancel_requested": False,
        **changes,
        "eta_seconds": None,
    }
    happening = _status(status, **({"error": error} if error else {}))
    record(connection, job, now, [happening], status=status, error=error, ended_at=now, **values)


def leaseless(job: Job, now: float) -> dict[str, Any]:
    """The columns of a lease as they are without one, with the time that it ran added up."""
    ran = now - job.running_since if job.running_since is not None else 0.0
    return {
        "lease_id": None,
        "worker": None,
        "lease_expires_at": None,
        "running_since": None,
        "wall_seconds": job.wall_seconds + max(0.0, ran),
    }


def mark_deleted(connection: sa.Connection, job: Job, now: float) -> None:
    """Hide an ended job, whose files and row go next; raises Refusal 409 where it has not ended."""
    if job.status not in ENDED:
        raise Refusal(409, f"Job {job.id} is {job.status}; cancel it first, then delete it.", "job-active")
    connection.execute(jobs.update().where(jobs.c.number == job.number).values(deleted_at=now))


def forget(connection: sa.Connection, job_id: str) -> None:
    """Drop a deleted job's row and events, once its files are gone."""
    connection.execute(jobs.delete().where(jobs.c.id == job_id, jobs.c.deleted_at.is_not(None)))


def deleted_jobs(connection: sa.Connection) -> list[str]:
    """Deleted jobs whose files are still to be removed."""
    return list(connection.scalars(sa.select(jobs.c.id).where(jobs.c.deleted_at.is_not(None)).limit(100)))


def prioritise(connection: sa.Connection, job: Job, priority: int, now: float) -> None:
    """Change a job's place in the queue."""
    if priority != job.priority:
        happening = Happening("message", {"text": f"priority {priority}"})
        record(connection, job, now, [happening], priority=priority)


def _status(status: Status, **more: object) -> Happening:
    return Happening("status", {"status": status, **more})
