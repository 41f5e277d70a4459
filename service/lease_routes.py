"""The routes of workers: lease, heartbeat, finish, release."""

import json
import logging
from typing import Any

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from service import leases
from service.access import TheService, Worker
from service.events import Happening
from service.lease_views import Finish, Heartbeat, HeartbeatView, LeaseId, LeaseRequest, LeaseView, Progress
from service.problem import Refusal, document_problems
from service.views import timestamp

router = APIRouter(prefix="/v1/leases", tags=["workers"])
logger = logging.getLogger("saephase.service")

PROBLEMS = (400, 401, 403, 413, 422, 503)
LOST: dict[int | str, dict[str, Any]] = document_problems(*PROBLEMS, 404, 409)


@router.post(
    "",
    response_model=LeaseView,
    summary="Take a job",
    responses={204: {"description": "No job is queued."}, **document_problems(*PROBLEMS)},
)
def take(service: TheService, caller: Worker, wanted: LeaseRequest) -> Response:
    """Lease the queued job of the highest priority, the oldest of them."""
    service.check_ready()
    if service.draining:
        raise Refusal(503, "The service is shutting down.", "draining", {"Retry-After": "5"})
    seconds = service.settings.lease_seconds
    with service.database.writing() as connection:
        job = leases.claim(connection, wanted.worker, service.clock(), seconds)
        reuse = [] if job is None else leases.reusable_jobs(connection, job)
    if job is None:
        return Response(status_code=204)
    service.feeds.poke()
    logger.info("leased", extra={"job_id": job.id, "worker": wanted.worker, "fence": job.fence})
    storage = service.storage()
    return JSONResponse(
        {
            "lease_id": job.lease_id,
            "fence": job.fence,
            "job_id": job.id,
            "spec": json.loads(job.spec),
            "folder": storage.job_location(job.id),
            "reuse": [storage.job_location(other) for other in reuse],
            "expires_at": timestamp(job.lease_expires_at or 0.0),
            "ttl_seconds": seconds,
        }
    )


@router.post("/{lease_id}/heartbeat", response_model=HeartbeatView, summary="Keep a job", responses=LOST)
def beat(service: TheService, caller: Worker, lease_id: LeaseId, heartbeat: Heartbeat) -> Response:
    """Extend the lease, and tell how the run goes."""
    service.check_ready()
    # The key is the lease's own: another worker of the same job may number its reports alike.
    happenings = [
        Happening(report.type, report.data, None if report.key is None else f"{_parse(lease_id)}:{report.key}")
        for report in heartbeat.events
    ]
    with service.database.writing() as connection:
        before, after = leases.heartbeat(
            connection,
            _parse(lease_id),
            service.clock(),
            service.settings.lease_seconds,
            _columns(heartbeat.progress),
            happenings,
        )
    service.metrics.count(before, after)
    if after.last_event != before.last_event:
        service.feeds.poke()
    return JSONResponse({"expires_at": timestamp(after.lease_expires_at or 0.0), "cancel": after.cancel_requested})


@router.post("/{lease_id}/finish", status_code=204, summary="End a job", response_class=Response, responses=LOST)
def finish(service: TheService, caller: Worker, lease_id: LeaseId, outcome: Finish) -> Response:
    """Say how the run ended; saying it twice is as good as once."""
    service.check_ready()
    error = None if outcome.error is None else outcome.error.replace("\x00", "")
    with service.database.writing() as connection:
        before, after = leases.finish(
            connection,
            _parse(lease_id),
            service.clock(),
            outcome.status,  # type: ignore[arg-type]  # the pattern of Finish.status
            error,
            _columns(outcome.progress),
        )
    service.metrics.count(before, after)
    service.feeds.poke()
    logger.info("ended", extra={"job_id": after.id, "status": after.status})
    return Response(status_code=204)


@router.post("/{lease_id}/release", status_code=204, summary="Give a job back", response_class=Response, responses=LOST)
def release(service: TheService, caller: Worker, lease_id: LeaseId) -> Response:
    """Queue the job again, for another worker to go on."""
    service.check_ready()
    with service.database.writing() as connection:
        leases.release(connection, _parse(lease_id), service.clock())
    service.feeds.poke()
    return Response(status_code=204)


def _parse(lease_id: str) -> str:
    if len(lease_id) != 32 or not set(lease_id) <= set("0123456789abcdef"):
        raise Refusal(404, "There is no such lease.", "no-lease")
    return lease_id


def _columns(progress: Progress | None) -> dict[str, float | int | None] | None:
    return None if progress is None else progress.model_dump()
