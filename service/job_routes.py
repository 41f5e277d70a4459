"""The routes of jobs and plans: submit, list, read, cancel, resume, delete, follow."""

import functools
import json
import logging
import os
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Annotated, Any

import anyio.to_thread
import sqlalchemy as sa
from fastapi import APIRouter, Header, Query
from starlette.responses import JSONResponse, Response, StreamingResponse

from phase_diagrams.cost import plan_cost
from phase_diagrams.problem import SpecError
from phase_diagrams.spec import spec_schema
from service import jobs as machine
from service.access import Reader, Submitter, TheService
from service.direct import Direct
from service.problem import Refusal, document_problems
from service.records import Job, jobs
from service.spec_body import REQUEST_BODY, SpecBody, parse_body
from service.state import Service, remove_job
from service.tokens import Caller
from service.views import (
    PRINTABLE,
    Change,
    JobId,
    JobList,
    JobView,
    PlanView,
    Priority,
    write_job,
    write_page,
    write_submission,
)

logger = logging.getLogger("saephase.service")
router = APIRouter(prefix="/v1")
direct = APIRouter(prefix="/v1", route_class=Direct)

ALWAYS = (401, 403, 503)
"""Problems that any route with a caller may answer."""
MAX_LIMIT = 200
JSON = "application/json"


def parse_id(job_id: str) -> str:
    """A job id as it was handed out; raises Refusal 404 for any other text, before it touches a query or path."""
    if len(job_id) != 16 or not set(job_id) <= set("0123456789abcdef"):
        raise no_job(job_id)
    return job_id


def no_job(job_id: str) -> Refusal:
    """What is said of a job that is not there, or is not the caller's to see."""
    return Refusal(404, f"There is no job {job_id[:40]!r}.", "no-job")


def see_job(service: Service, caller: Caller, job_id: str) -> Job:
    """A job that the caller may see; raises Refusal 404."""
    service.check_ready()
    with service.database.reading() as connection:
        job = machine.find_job(connection, parse_id(job_id))
    return _shown(job, caller, job_id)


async def look_up_job(service: Service, caller: Caller, job_id: str) -> Job:
    """`see_job` from the event loop, together with all who ask at the same moment."""
    service.check_ready()
    return _shown(await service.lookup.find(parse_id(job_id)), caller, job_id)


def hold_job(connection: sa.Connection, caller: Caller, job_id: str) -> Job:
    """A job that the caller may see, its row locked; raises Refusal 404."""
    return _shown(machine.lock_job(connection, jobs.c.id == parse_id(job_id)), caller, job_id)


def _shown(job: Job | None, caller: Caller, job_id: str) -> Job:
    if job is None or caller.sees not in (None, job.owner):
        raise no_job(job_id)
    return job


@router.post(
    "/jobs",
    status_code=202,
    response_model=JobView,
    summary="Submit a job",
    tags=["jobs"],
    openapi_extra=REQUEST_BODY,
    responses={
        200: {"model": JobView, "description": "The job that this Idempotency-Key already made, as it was answered."},
        202: {
            "description": "A new job, queued.",
            "headers": {"Location": {"schema": {"type": "string"}, "description": "The job."}},
        },
        **document_problems(*ALWAYS, 413, 415, 422, 429),
    },
)
def submit(
    service: TheService,
    caller: Submitter,
    body: SpecBody,
    priority: Annotated[Priority, Query(description="Higher runs first.")] = 0,
    idempotency_key: Annotated[
        str | None,
        Header(
            min_length=1,
            max_length=255,
            pattern=PRINTABLE,
            description="Repeating it makes no second job.",
            examples=["diagram-of-monday"],
        ),
    ] = None,
) -> Response:
    """Queue a job. Trials that an earlier job has finished are reused, not trained again."""
    service.check_ready()
    wanted = machine.Submission(caller.owner, parse_body(body, service.settings), priority, idempotency_key)
    with service.database.writing() as connection:
        job, new = machine.submit(connection, wanted, service.clock(), service.settings.max_queued)
    headers = {"Location": f"/v1/jobs/{job.id}"}
    if new:
        logger.info("submitted", extra={"job_id": job.id, "owner": job.owner, "trials": job.trials_total})
    else:
        headers["Idempotency-Replayed"] = "true"
    return Response(write_submission(job, priority), 202 if new else 200, headers, JSON)


@router.post(
    "/plans",
    response_model=PlanView,
    summary="What a job would cost",
    tags=["jobs"],
    openapi_extra=REQUEST_BODY,
    responses=document_problems(*ALWAYS, 413, 415, 422),
)
async def plan(
    service: TheService,
    caller: Reader,
    body: SpecBody,
    cores: Annotated[
        int | None, Query(ge=1, le=100_000, description="CPU cores; default: those of this host.", examples=[8])
    ] = None,
) -> Response:
    """Conditions, trials, packs, memory and time of a spec; nothing is run or kept."""

    def work() -> dict[str, Any]:
        spec = parse_body(body, service.settings)
        count = cores or os.cpu_count() or 1
        try:
            return {**asdict(plan_cost(spec, count)), "cores": count}
        except OverflowError:
            raise SpecError([("resources.cpus_per_trial", "is too small to plan with")]) from None

    return JSONResponse(await anyio.to_thread.run_sync(work, limiter=service.planning))


@router.get(
    "/jobs",
    response_model=JobList,
    summary="List jobs, newest first",
    tags=["jobs"],
    responses=document_problems(*ALWAYS, 422),
)
def list_jobs(
    service: TheService,
    caller: Reader,
    status: Annotated[list[machine.Status], Query(description="Repeat it for several.")] = [],  # noqa: B006
    name: Annotated[
        str | None,
        Query(max_length=200, pattern=r"^[^\x00]*$", description="The whole name.", examples=["quickstart"]),
    ] = None,
    search: Annotated[
        str | None,
        Query(
            min_length=1,
            max_length=200,
            pattern=r"^[^\x00]*$",
            description="Part of name, owner or id; any case.",
            examples=["quick"],
        ),
    ] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="Most jobs on a page.")] = 50,
    cursor: Annotated[
        str | None, Query(pattern="^[0-9]{1,18}$", description="`next_cursor` of the page before.", examples=["17"])
    ] = None,
) -> Response:
    """A page of the caller's jobs (an admin's: of all). A page may be shorter than `limit` and not the last."""
    service.check_ready()
    before = None if cursor is None else int(cursor)
    wanted = machine.Filter(caller.sees, tuple(status), name, search, before, limit)
    with service.database.reading() as connection:
        found, after = machine.list_jobs(connection, wanted)
    return Response(write_page(found, after), media_type=JSON)


@direct.get(
    "/jobs/{job_id}",
    response_model=JobView,
    summary="Read a job",
    tags=["jobs"],
    responses=document_problems(*ALWAYS, 404),
)
async def read_job(service: TheService, caller: Reader, job_id: JobId) -> Response:
    """Status, progress, spec and error of a job."""
    return Response(write_job(await look_up_job(service, caller, job_id)), media_type=JSON)


@router.patch(
    "/jobs/{job_id}",
    response_model=JobView,
    summary="Change a job's priority",
    tags=["jobs"],
    responses=document_problems(*ALWAYS, 400, 404, 413, 422),
)
def change_job(service: TheService, caller: Submitter, job_id: JobId, change: Change) -> Response:
    """Move a job in the queue; a job that runs already keeps running."""
    return _act(
        service, caller, job_id, lambda c, job: machine.prioritise(c, job, change.priority, service.clock()), 200
    )


@router.post(
    "/jobs/{job_id}/cancel",
    status_code=202,
    response_model=JobView,
    summary="Cancel a job",
    tags=["jobs"],
    responses=document_problems(*ALWAYS, 404, 409),
)
def cancel(service: TheService, caller: Submitter, job_id: JobId) -> Response:
    """Stop a job and keep what is finished. A queued one ends at once; a running one once its worker has stopped."""
    return _act(service, caller, job_id, lambda c, job: machine.cancel(c, job, service.clock()), 202)


@router.post(
    "/jobs/{job_id}/resume",
    status_code=202,
    response_model=JobView,
    summary="Resume a failed or cancelled job",
    tags=["jobs"],
    responses=document_problems(*ALWAYS, 404, 409, 429),
)
def resume(service: TheService, caller: Submitter, job_id: JobId) -> Response:
    """Queue a job again; it goes on from its finished trials."""
    limit = service.settings.max_queued
    return _act(service, caller, job_id, lambda c, job: machine.resume(c, job, service.clock(), limit), 202)


@router.delete(
    "/jobs/{job_id}",
    status_code=204,
    summary="Delete an ended job and its files",
    tags=["jobs"],
    response_class=Response,
    responses={
        202: {"description": "The job is gone; its files follow once the storage can be written."},
        **document_problems(*ALWAYS, 404, 409),
    },
)
def delete(service: TheService, caller: Submitter, job_id: JobId) -> Response:
    """Remove a job that has ended, with its files and events."""
    service.check_ready()
    with service.database.writing() as connection:
        machine.mark_deleted(connection, hold_job(connection, caller, job_id), service.clock())
    return Response(status_code=204 if remove_job(service, job_id) else 202)


@router.get(
    "/jobs/{job_id}/events",
    summary="Follow a job",
    tags=["jobs"],
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "Server-Sent Events: `status`, `progress`, `message`, `pack`, `warning`, `estimate`; `end` "
            "is the last.",
            "content": {
                "text/event-stream": {
                    "schema": {"type": "string"},
                    "example": 'event: status\ndata: {"status": "queued", "at": "2026-11-22T09:30:00.000Z"}\nid: 1\n\n',
                }
            },
        },
        **document_problems(*ALWAYS, 404),
    },
)
async def follow(
    service: TheService,
    caller: Reader,
    job_id: JobId,
    last_event_id: Annotated[
        str | None, Header(description="Number of the last event seen; the stream goes on after it.", examples=["17"])
    ] = None,
) -> Response:
    """Everything that happened to the job, from the first event or after Last-Event-ID, and what happens next."""
    job = await look_up_job(service, caller, job_id)
    if service.draining:
        raise Refusal(503, "The service is shutting down.", "draining", {"Retry-After": "5"})
    if service.feeds.open >= service.settings.max_streams:
        raise Refusal(503, "Too many event streams are open.", "streams", {"Retry-After": "10"})
    digits = last_event_id or ""
    after = int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= 18 else 0
    frames: AsyncIterator[bytes] = service.feeds.follow(job, after, service.settings.comment_seconds)
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    return StreamingResponse(frames, media_type="text/event-stream", headers=headers)


@router.get(
    "/spec-schema",
    summary="The job spec's JSON Schema",
    tags=["jobs"],
    response_model=dict[str, Any],
    responses={200: {"content": {"application/json": {"example": {"title": "JobSpec", "type": "object"}}}}},
)
async def read_schema() -> Response:
    """What a spec may contain (JSON Schema, draft 2020-12)."""
    return Response(_schema(), media_type="application/json")


@functools.cache
def _schema() -> bytes:
    return json.dumps(spec_schema()).encode()


def _act(service: Service, caller: Caller, job_id: str, act: Any, status: int) -> Response:
    """Do something to a job under its lock, and answer with the job as it is then."""
    service.check_ready()
    with service.database.writing() as connection:
        job = hold_job(connection, caller, job_id)
        act(connection, job)
        now = machine.find_job(connection, job_id)
    service.feeds.poke()
    assert now is not None
    return Response(write_job(now), status, media_type=JSON)
