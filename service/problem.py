"""What went wrong to application/problem+json (RFC 9457), without a word of our inner workings."""

import logging
import re
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from sqlalchemy import exc as sa
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from phase_diagrams.problem import SpecError

MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = 5
"""Retry-After of a 503: heuristic, about what a failover or a busy writer takes."""

logger = logging.getLogger("saephase.service")


class BadKey(BaseModel):
    """One key of the request that cannot stand."""

    key: str = Field(examples=["grid.sparsity"])
    """Dotted path of the key; empty where the whole is meant."""
    message: str = Field(examples=["required, but missing"])
    """What is wrong, and what is allowed."""


class Problem(BaseModel):
    """An error (RFC 9457)."""

    type: str = Field("about:blank", examples=["urn:saephase:spec"])
    """Kind of the problem; about:blank means no more than its status."""
    title: str = Field(examples=["Unprocessable Entity"])
    """The status in words."""
    status: int = Field(examples=[422], ge=400, le=599)
    """HTTP status."""
    detail: str = Field(examples=["grid.sparsity: required, but missing"])
    """One paragraph for people."""
    errors: list[BadKey] | None = None
    """Each bad key, where keys are to blame."""


class Refusal(Exception):
    """A request that is refused, with what the client is told."""

    def __init__(self, status: int, detail: str, kind: str = "", headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.kind, self.headers = status, detail, kind, headers or {}


def problem_response(
    status: int,
    detail: str,
    kind: str = "",
    errors: list[dict[str, str]] | None = None,
    headers: dict[str, str] | None = None,
) -> Response:
    """A problem as a response."""
    content = problem_content(status, detail, kind, errors)
    return JSONResponse(content, status, headers=headers, media_type=MEDIA_TYPE)


def problem_content(
    status: int, detail: str, kind: str = "", errors: list[dict[str, str]] | None = None
) -> dict[str, Any]:
    """A problem as the JSON object that `Problem` describes."""
    content: dict[str, Any] = {
        "type": f"urn:saephase:{kind}" if kind else "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    return content if errors is None else {**content, "errors": errors}


EXAMPLES: dict[int, dict[str, Any]] = {
    status: problem_content(status, detail, kind)
    for status, detail, kind in (
        (400, "There was an error parsing the body", ""),
        (401, "A bearer token is required.", "token"),
        (403, "A token of role read may not do this; it takes submit.", "role"),
        (404, "There is no job '9f86d081884c7d65'.", "no-job"),
        (406, "None of the accepted types is offered; offered: application/json, text/csv.", "not-acceptable"),
        (409, "Job 9f86d081884c7d65 has succeeded; there is nothing to cancel.", "job-ended"),
        (413, "The request body is larger than the 8,388,608 bytes that this service accepts.", "body-size"),
        (415, "The body must be JSON: send Content-Type: application/json.", "media-type"),
        (416, "summary.json has 1811 bytes; the range 'bytes=5000-' lies outside.", ""),
        (429, "ada has 10,000 queued jobs; at most 10,000 are allowed. Wait until one has started.", "queue-full"),
        (500, "The service failed; its log says why.", ""),
        (503, "The database cannot be used at the moment (locked, full, read-only or gone). Try again.", "database"),
    )
}
EXAMPLES[422] = problem_content(
    422,
    "grid.sparsity: required, but missing",
    "spec",
    [{"key": "grid.sparsity", "message": "required, but missing"}],
)
"""What each status may look like; for OpenAPI."""


def document_problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that may answer with these problems."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": schema, "example": EXAMPLES[status]}},
        }
        for status in statuses
    }


def install_handlers(app: FastAPI) -> None:
    """Make every error of the application a problem."""
    for error, handler in (
        (Refusal, _refused),
        (SpecError, _bad_spec),
        (RequestValidationError, _bad_request),
        (HTTPException, _http),
        (sa.OperationalError, _database),
        (sa.InterfaceError, _database),
        (sa.InternalError, _database),
        (sa.TimeoutError, _database),
        (sa.DatabaseError, _maybe_database),
        (OSError, _storage),
        (Exception, _unexpected),
    ):
        app.add_exception_handler(error, handler)  # type: ignore[arg-type]


async def _refused(request: Request, error: Refusal) -> Response:
    return problem_response(error.status, error.detail, error.kind, headers=error.headers)


async def _bad_spec(request: Request, error: SpecError) -> Response:
    errors = [{"key": key, "message": message} for key, message in error.problems]
    return problem_response(422, str(error), "spec", errors)


async def _bad_request(request: Request, error: RequestValidationError) -> Response:
    errors = [
        {"key": ".".join(str(part) for part in item["loc"]), "message": str(item["msg"])} for item in error.errors()
    ]
    detail = "; ".join(f"{item['key']}: {item['message']}" for item in errors)
    return problem_response(422, detail, "request", errors)


async def _http(request: Request, error: HTTPException) -> Response:
    details = {
        404: f"There is nothing at {request.url.path}.",
        405: f"{request.method} is not allowed here.",
        413: "The request body is larger than this service accepts.",
    }
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = ", ".join(_allowed(request) or READ_ONLY)
    return problem_response(error.status_code, details.get(error.status_code, str(error.detail)), headers=headers)


READ_ONLY = ("GET", "HEAD")
"""What the pages and their files allow, which no OpenAPI document lists."""


def _allowed(request: Request) -> list[str]:
    """Every method of the request's path: a route by itself knows only its own."""
    methods: set[str] = set()
    for template, operations in request.app.openapi()["paths"].items():
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), request.url.path):
            methods |= {name.upper() for name in operations}
    return sorted(methods)


async def _database(request: Request, error: sa.SQLAlchemyError) -> Response:
    logger.warning("the database cannot be used", extra={"reason": _reason(error)})
    return unavailable("The database cannot be used at the moment (locked, full, read-only or gone).", "database")


async def _maybe_database(request: Request, error: sa.DatabaseError) -> Response:
    """A broken file or connection is a 503; an error of ours is a 500."""
    if isinstance(error, (sa.IntegrityError, sa.ProgrammingError, sa.DataError)):
        return await _unexpected(request, error)
    return await _database(request, error)


async def _storage(request: Request, error: OSError) -> Response:
    logger.warning("the storage cannot be used", extra={"reason": _reason(error)})
    return unavailable("The storage cannot be used at the moment (full, read-only or gone).", "storage")


async def _unexpected(request: Request, error: Exception) -> Response:
    logger.error("a request failed", exc_info=error, extra={"path": request.url.path})
    return problem_response(500, "The service failed; its log says why.")


def unavailable(detail: str, kind: str) -> Response:
    """A 503 that says when to try again."""
    return problem_response(503, f"{detail} Try again.", kind, headers={"Retry-After": str(RETRY_SECONDS)})


def _reason(error: Exception) -> str:
    return " ".join(str(getattr(error, "orig", None) or error).split())[:300]
