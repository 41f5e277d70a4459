"""Queued jobs to leases: one worker at a time holds a job, for as long as it keeps saying so."""

import secrets
from collections.abc import Callable

import sqlalchemy as sa

from service.events import Happening, record
from service.jobs import Status, end, lock_job, requeue
from service.problem import Refusal
from service.records import Database, Job, jobs

MAX_REUSE = 100
"""Earlier jobs whose trials a lease offers; heuristic: the newest hold what is worth copying."""


def claim(connection: sa.Connection, worker: str, now: float, seconds: float) -> Job | None:
    """Lease the queued job of the highest priority, the oldest of them; None where none is queued."""
    query = (
        sa.select(jobs)
        .where(jobs.c.status == "queued", jobs.c.deleted_at.is_(None))
        .order_by(jobs.c.priority.desc(), jobs.c.number)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    row = connection.execute(query).first()
    if row is None:
        return None
    job = Job(*row)
    record(
        connection,
        job,
        now,
        [Happening("status", {"status": "running", "worker": worker})],
        status="running",
        started_at=now if job.started_at is None else job.started_at,
        running_since=now,
        fence=job.fence + 1,
        lease_id=secrets.token_hex(16),
        worker=worker,
        lease_expires_at=now + seconds,
    )
    return Job(*connection.execute(sa.select(jobs).where(jobs.c.number == job.number)).one())


def reusable_jobs(connection: sa.Connection, job: Job) -> list[str]:
    """Other jobs that have finished trials of the same data, sae, training and recovery; newest first."""
    query = (
        sa.select(jobs.c.id)
        .where(jobs.c.shared == job.shared, jobs.c.number != job.number)
        .where(jobs.c.trials_done > 0, jobs.c.deleted_at.is_(None))
        .order_by(jobs.c.number.desc())
        .limit(MAX_REUSE)
    )
    return list(connection.scalars(query))


def heartbeat(
    connection: sa.Connection,
    lease_id: str,
    now: float,
    seconds: float,
    progress: dict[str, float | int | None] | None,
    happenings: list[Happening],
) -> tuple[Job, Job]:
    """Extend a lease, and take in progress and events; the job before and after. Raises Refusal 409."""
    job = _hold(connection, lease_id)
    changes: dict[str, object] = {"lease_expires_at": now + seconds, **(progress or {})}
    if progress and (progress["trials_done"], progress["trials_reused"]) != (job.trials_done, job.trials_reused):
        happenings = [*happenings, Happening("progress", dict(progress))]
    record(connection, job, now, happenings, **changes)
    return job, Job(*connection.execute(sa.select(jobs).where(jobs.c.number == job.number)).one())


def finish(
    connection: sa.Connection,
    lease_id: str,
    now: float,
    status: Status,
    error: str | None,
    progress: dict[str, float | int | None] | None,
) -> tuple[Job, Job]:
    """End a leased job; saying the same twice is as good as once. The job before and after. Raises Refusal 409."""
    ended = lock_job(connection, jobs.c.lease_id == lease_id)
    if ended is not None and ended.status == status:
        return ended, ended
    job = _hold(connection, lease_id)
    end(connection, job, now, status, error, **(progress or {}))
    return job, Job(*connection.execute(sa.select(jobs).where(jobs.c.number == job.number)).one())


def release(connection: sa.Connection, lease_id: str, now: float) -> None:
    """Give a lease back: the job is queued again, or cancelled if that was asked for. Raises Refusal 409."""
    job = _hold(connection, lease_id)
    _let_go(connection, job, now, f"{job.worker} gave it back")


def expire(database: Database, now: float) -> list[Job]:
    """Queue again (or cancel) the jobs whose leases have run out; each in a transaction of its own."""
    late = sa.and_(jobs.c.status == "running", jobs.c.lease_expires_at < now)
    return _sweep(
        database, late, lambda connection, job: _let_go(connection, job, now, f"the lease of {job.worker} ran out")
    )


def stop_overlong(database: Database, now: float, limit: float) -> list[Job]:
    """Fail the running jobs that have run longer than `limit` seconds; what they finished is kept."""
    ran = jobs.c.wall_seconds + now - jobs.c.running_since
    error = f"stopped after {limit:g} seconds, the longest that this service lets a job run; resume it to go on"
    return _sweep(
        database,
        sa.and_(jobs.c.status == "running", ran > limit),
        # The lease id goes too: the worker's next word is refused, and it stops its child.
        lambda connection, job: end(connection, job, now, "failed", error, lease_id=None),
    )


def _sweep(
    database: Database, condition: sa.ColumnElement[bool], act: Callable[[sa.Connection, Job], None]
) -> list[Job]:
    with database.reading() as connection:
        numbers = list(connection.scalars(sa.select(jobs.c.number).where(condition)))
    done = []
    for number in numbers:
        with database.writing() as connection:
            # Asked again under the lock: a heartbeat may have come in between.
            job = lock_job(connection, sa.and_(jobs.c.number == number, condition), skip_locked=True)
            if job is not None:
                act(connection, job)
                done.append(job)
    return done


def _let_go(connection: sa.Connection, job: Job, now: float, reason: str) -> None:
    if job.cancel_requested:
        end(connection, job, now, "cancelled", None, lease_id=None)
    else:
        requeue(connection, job, now, reason)


def _hold(connection: sa.Connection, lease_id: str) -> Job:
    job = lock_job(connection, jobs.c.lease_id == lease_id)
    if job is None or job.status != "running":
        raise Refusal(409, "This lease is lost: it ran out and the job went on without it, or has ended.", "lease-lost")
    return job
