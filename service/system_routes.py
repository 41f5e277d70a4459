"""The routes of operators: alive, ready, metrics."""

from typing import Any

import anyio.to_thread
from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from service.access import Known, TheService
from service.metrics import CONTENT_TYPE
from service.problem import document_problems
from service.views import Health, Readiness

router = APIRouter(tags=["operations"])


@router.get("/healthz", response_model=Health, summary="Whether the process lives")
@router.head("/healthz", response_model=Health, summary="Whether the process lives", operation_id="head_healthz")
async def alive() -> Response:
    """Answers as long as the process does; asks nothing else."""
    return JSONResponse({"status": "alive"})


READY: dict[str, Any] = {
    "response_model": Readiness,
    "summary": "Whether the service can take requests",
    "responses": {503: {"model": Readiness, "description": "Not ready: `checks` says why. Also while it shuts down."}},
}


@router.get("/readyz", **READY)
@router.head("/readyz", **READY, operation_id="head_readyz")
async def ready(service: TheService) -> Response:
    """Database writable and migrated, storage writable, not shutting down."""
    checks = await anyio.to_thread.run_sync(service.checks, limiter=service.health)
    fine = all(answer == "ok" for answer in checks.values())
    headers = {} if fine else {"Retry-After": "5"}
    return JSONResponse({"ready": fine, "checks": checks}, 200 if fine else 503, headers)


@router.get(
    "/metrics",
    summary="Metrics for Prometheus",
    response_class=Response,
    responses={
        200: {
            "content": {"text/plain": {"schema": {"type": "string"}, "example": 'saephase_jobs{status="queued"} 3.0\n'}}
        },
        **document_problems(401, 403, 503),
    },
)
def metrics(service: TheService, caller: Known) -> Response:
    """Jobs by status, queue age, finished trials, training steps, lost leases, HTTP latencies."""
    service.metrics.streams.set(service.feeds.open)
    return Response(service.metrics.scrape(), media_type=CONTENT_TYPE)
