"""The routes of results: artifacts, and the conditions, diagram and comparison of what is finished so far."""

import json
from collections.abc import Callable
from hashlib import sha256
from typing import Annotated, Any

import anyio
import anyio.to_thread
from fastapi import APIRouter, Path, Query
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from phase_diagrams.folder import table_bytes
from phase_diagrams.spec import parse_spec
from service.access import Reader, TheService
from service.artifacts import MEDIA_TYPES, list_artifacts, open_artifact
from service.download import SANDBOX, has_current, not_modified, send_artifact, zip_artifacts, zip_etag
from service.drawing import DrawingFailed, DrawingStopped, Wanted, unbounded_diagram
from service.examples import EXAMPLE_DIFFERENCE
from service.job_routes import ALWAYS, see_job
from service.negotiation import choose
from service.partial import (
    ARROW,
    COMPARISONS,
    CSV,
    JSON,
    PARQUET,
    PICTURES,
    TABLE_TYPES,
    VEGA_LITE,
    conditions_so_far,
    read_parquet,
    read_rows,
    row_files_key,
    table_items,
    write_table,
)
from service.problem import Refusal, document_problems
from service.records import Job
from service.state import Service
from service.views import ArtifactList, ConditionList, DiagramRows, JobId, OtherId

router = APIRouter(prefix="/v1/jobs/{job_id}", tags=["results"])

Name = Annotated[str, Path(description="Name in the list of files.", examples=["summary.json"])]
BINARY: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
CSV_EXAMPLE = '"sparsity","hidden_dim","p_identified","p_low","p_high"\n0.9,40,0.75,0.301,0.954\n'
VEGA_LITE_SOURCE: dict[str, Any] = {
    "schema": {"type": "object"},
    "example": {"$schema": "https://vega.github.io/schema/vega-lite/v6.json", "hconcat": []},
}
TURN_SECONDS = 20.0
"""Longest wait for a drawing's turn: below the patience of clients and proxies."""
RETRY = {"Retry-After": "5"}
NOT_MODIFIED: dict[int | str, dict[str, Any]] = {304: {"description": "The client has this content (If-None-Match)."}}


@router.get(
    "/artifacts",
    response_model=ArtifactList,
    summary="List a job's files",
    responses=document_problems(*ALWAYS, 404),
)
def artifacts(service: TheService, caller: Reader, job_id: JobId) -> Response:
    """The files that are there by now, with bytes and SHA-256."""
    job = see_job(service, caller, job_id)
    found = list_artifacts(service.storage().job(job.id), service.digests)
    names = ("name", "bytes", "sha256", "media_type")
    return JSONResponse(
        {"items": [{name: getattr(artifact, name) for name in names} for artifact in found], "next_cursor": None}
    )


DOWNLOAD: dict[str, Any] = {
    "summary": "Download a file",
    "response_class": Response,
    "responses": {
        200: {
            "description": "The file.",
            "content": {
                kind: {"example": {}} if "json" in kind else BINARY for kind in sorted(set(MEDIA_TYPES.values()))
            },
        },
        206: {"description": "The range asked for (Range, If-Range)."},
        **NOT_MODIFIED,
        **document_problems(*ALWAYS, 404, 416),
    },
}


@router.get("/artifacts/{name}", **DOWNLOAD)
@router.head("/artifacts/{name}", **DOWNLOAD, operation_id="head_artifact")
def download(service: TheService, caller: Reader, request: Request, job_id: JobId, name: Name) -> Response:
    """One of the listed files, by its name; the ETag is its SHA-256."""
    job = see_job(service, caller, job_id)
    opened = open_artifact(service.storage().job(job.id), name, service.digests)
    if opened is None:
        raise Refusal(404, f"Job {job.id} has no file {name[:60]!r}.", "no-artifact")
    return send_artifact(request, *opened)


@router.get(
    "/artifacts.zip",
    summary="Download all files",
    response_class=StreamingResponse,
    responses={
        200: {"description": "A zip, made while it is sent.", "content": {"application/zip": BINARY}},
        **NOT_MODIFIED,
        **document_problems(*ALWAYS, 404),
    },
)
def download_all(service: TheService, caller: Reader, request: Request, job_id: JobId) -> Response:
    """Every listed file in one zip, in a folder of the job's id."""
    job = see_job(service, caller, job_id)
    folder = service.storage().job(job.id)
    found = list_artifacts(folder, service.digests)
    headers = {
        "ETag": zip_etag(found),
        "Cache-Control": "private, no-cache",
        "Content-Disposition": f'attachment; filename="saephase-{job.id}.zip"',
    }
    if has_current(request, headers["ETag"]):
        return not_modified(headers)
    parts = zip_artifacts(folder, found, service.digests, job.id)
    return StreamingResponse(parts, headers=headers, media_type="application/zip")


@router.get(
    "/conditions",
    response_model=ConditionList,
    summary="The diagram's rows so far",
    responses={
        200: {"content": {CSV: {"schema": {"type": "string"}, "example": CSV_EXAMPLE}, ARROW: BINARY, PARQUET: BINARY}},
        **NOT_MODIFIED,
        **document_problems(*ALWAYS, 404, 406),
    },
)
async def conditions(service: TheService, caller: Reader, request: Request, job_id: JobId) -> Response:
    """One row per condition that has a finished trial: JSON, CSV, Arrow or Parquet by Accept."""
    media_type = choose(request.headers.get("accept"), TABLE_TYPES)
    if media_type is None:
        raise _not_acceptable(TABLE_TYPES)

    def work() -> Response:
        job = see_job(service, caller, job_id)
        key, parquet = _conditions(service, job)
        headers = _headers(key, media_type)
        if has_current(request, headers["ETag"]):
            return not_modified(headers)
        if media_type == JSON:
            return JSONResponse({"items": table_items(read_parquet(parquet)), "next_cursor": None}, headers=headers)
        return Response(write_table(parquet, media_type), headers=headers, media_type=media_type)

    return await anyio.to_thread.run_sync(work, limiter=service.brisk)


@router.get(
    "/diagram",
    summary="The diagram so far",
    response_class=Response,
    responses={
        200: {
            "description": "The picture of the rows finished so far.",
            "content": {kind: VEGA_LITE_SOURCE if "json" in kind else BINARY for kind in PICTURES},
        },
        **NOT_MODIFIED,
        **document_problems(*ALWAYS, 404, 406, 422, 500),
    },
)
async def diagram(
    service: TheService,
    caller: Reader,
    request: Request,
    job_id: JobId,
    boundaries: Annotated[
        bool, Query(description="false: the source without boundaries, whose fit takes longest; never a picture.")
    ] = True,
) -> Response:
    """The Vega-Lite source; PNG, SVG or PDF by Accept. Drawing takes seconds; the same rows are drawn once."""
    offered = tuple(PICTURES) if boundaries else (JSON, VEGA_LITE)
    media_type = choose(request.headers.get("accept"), offered)
    if media_type is None:
        raise _not_acceptable(offered)
    wanted: Wanted = "cells" if not boundaries else "source" if media_type in (JSON, VEGA_LITE) else "pictures"

    def work() -> Response:
        job = see_job(service, caller, job_id)
        folder = service.storage().job(job.id)
        if boundaries and job.status == "succeeded" and folder.exists(PICTURES[media_type]):
            key = row_files_key(folder, job.id, True)
            content = folder.read(PICTURES[media_type])
        else:
            rows, parquet = _conditions(service, job)
            key = rows if wanted == "pictures" else sha256(f"{wanted} {rows}".encode()).hexdigest()
            headers = _headers(key, media_type)
            if has_current(request, headers["ETag"]):
                return not_modified(headers)
            drawer = service.sketcher if wanted == "cells" else service.drawer
            try:
                files = service.diagrams.get(key, lambda: drawer.draw(job.spec, parquet, wanted))
            except DrawingStopped:
                raise _leaving() from None
            except DrawingFailed as error:
                raise RuntimeError(f"the diagram of job {job.id} cannot be drawn: {error}") from None
            content = files[PICTURES[media_type]]
        headers = _headers(key, media_type)
        if has_current(request, headers["ETag"]):
            return not_modified(headers)
        return Response(content, headers={**headers, "Content-Security-Policy": SANDBOX}, media_type=media_type)

    return await _in_turn(service, work)


@router.get(
    "/diagram/rows",
    response_model=DiagramRows,
    summary="The diagram's cells so far",
    responses={**NOT_MODIFIED, **document_problems(*ALWAYS, 404)},
)
async def diagram_rows(service: TheService, caller: Reader, request: Request, job_id: JobId) -> Response:
    """What stands in the source's `datasets`, but for boundaries and key: in milliseconds, to follow a running job."""

    def work() -> Response:
        job = see_job(service, caller, job_id)
        key, parquet = _conditions(service, job)
        headers = _headers(key, "application/rows")
        if has_current(request, headers["ETag"]):
            return not_modified(headers)
        drawn = unbounded_diagram(parse_spec(json.loads(job.spec)), read_parquet(parquet))
        return JSONResponse({"panels": drawn.rows, "hatch": drawn.hatch}, headers=headers)

    return await anyio.to_thread.run_sync(work, limiter=service.brisk)


@router.get(
    "/diff/{other_id}",
    summary="What differs between two diagrams",
    response_class=Response,
    responses={
        200: {
            "description": "Cells, whole panels, boundaries and specs, `other_id` less `job_id`; or the picture.",
            "content": {
                **dict.fromkeys(COMPARISONS, BINARY),
                JSON: {"schema": {"type": "object"}, "example": EXAMPLE_DIFFERENCE},
                VEGA_LITE: VEGA_LITE_SOURCE,
            },
        },
        **NOT_MODIFIED,
        **document_problems(*ALWAYS, 404, 406, 409, 500),
    },
)
async def difference(
    service: TheService, caller: Reader, request: Request, job_id: JobId, other_id: OtherId
) -> Response:
    """Compare the finished rows of two jobs; JSON, or the picture as Vega-Lite source, PNG, SVG or PDF by Accept."""
    media_type = choose(request.headers.get("accept"), tuple(COMPARISONS))
    if media_type is None:
        raise _not_acceptable(tuple(COMPARISONS))

    def work() -> Response:
        jobs = [see_job(service, caller, each) for each in (job_id, other_id)]
        folders = [service.storage().job(job.id) for job in jobs]
        keys = [row_files_key(folder, job.id, False) for folder, job in zip(folders, jobs, strict=True)]
        key = sha256(f"difference {keys}".encode()).hexdigest()
        headers = _headers(key, media_type)
        if has_current(request, headers["ETag"]):
            return not_modified(headers)

        def compare() -> dict[str, bytes]:
            one, other = (table_bytes(read_rows(folder)) for folder in folders)
            return service.drawer.compare((jobs[0].spec, jobs[1].spec), (one, other))

        try:
            files = service.diagrams.get(key, compare)
        except DrawingStopped:
            raise _leaving() from None
        except DrawingFailed as error:
            raise RuntimeError(f"jobs {job_id} and {other_id} cannot be compared: {error}") from None
        if "incompatible.txt" in files:
            raise Refusal(409, files["incompatible.txt"].decode(), "incompatible")
        content = files[COMPARISONS[media_type]]
        return Response(content, headers={**headers, "Content-Security-Policy": SANDBOX}, media_type=media_type)

    return await _in_turn(service, work)


async def _in_turn(service: Service, work: Callable[[], Response]) -> Response:
    """Do what draws in one of the threads for that; raises Refusal 503 where none of them comes free in time."""
    turn = object()
    try:
        with anyio.fail_after(TURN_SECONDS):
            await service.drawing.acquire_on_behalf_of(turn)
    except TimeoutError:
        raise Refusal(503, "The service draws for others at the moment. Try again.", "busy", RETRY) from None
    try:
        return await anyio.to_thread.run_sync(work, limiter=anyio.CapacityLimiter(1))
    finally:
        service.drawing.release_on_behalf_of(turn)


def _leaving() -> Refusal:
    return Refusal(503, "The service is shutting down. Try again.", "draining", RETRY)


def _conditions(service: Service, job: Job) -> tuple[str, bytes]:
    """The key of the rows that are there now, and the Parquet file of their conditions."""
    folder = service.storage().job(job.id)
    whole = job.status == "succeeded"
    key = row_files_key(folder, job.id, whole)
    made = service.conditions.get(key, lambda: conditions_so_far(parse_spec(json.loads(job.spec)), folder, whole))
    return key, made[PARQUET]


def _headers(key: str, media_type: str) -> dict[str, str]:
    kind = media_type.rpartition("/")[2].replace("+", ".")
    return {"ETag": f'"{key[:32]}-{kind}"', "Cache-Control": "private, no-cache", "Vary": "Accept"}


def _not_acceptable(offered: tuple[str, ...]) -> Refusal:
    return Refusal(406, f"None of the accepted types is offered; offered: {', '.join(offered)}.", "not-acceptable")
