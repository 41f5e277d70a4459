"""The route of trials: the finished rows of a job, by condition, seed and start, while it runs too."""

import operator
from functools import reduce
from hashlib import sha256
from typing import Annotated, Any

import anyio.to_thread
import pyarrow as pa
import pyarrow.compute as pc
from fastapi import APIRouter, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from phase_diagrams.activation import Activation, parse_activation
from phase_diagrams.problem import SpecError
from phase_diagrams.tables import TRIALS
from service.access import Reader, TheService
from service.download import has_current, not_modified
from service.job_routes import ALWAYS, see_job
from service.negotiation import choose
from service.partial import ARROW, JSON, PARQUET, read_rows, row_files_key, table_items
from service.problem import Refusal, document_problems
from service.views import JobId, TrialList

router = APIRouter(prefix="/v1/jobs/{job_id}", tags=["results"])

OFFERED = (JSON, ARROW, PARQUET)
"""No CSV: a trial's cosines are a list."""
MOST = 100
"""Most values of one filter: an axis of a large grid fits."""

Numbers = Annotated[list[float], Query(max_length=MOST, description="Repeat it for several; default: all.")]
Whole = Annotated[
    list[Annotated[int, Field(ge=0, lt=2**31)]],
    Query(max_length=MOST, description="Repeat it for several; default: all."),
]

Seeds = Annotated[
    list[Annotated[int, Field(ge=0, lt=2**63)]], Query(max_length=MOST, description="Repeat it for several.")
]

# What the schema says here is checked below, with an answer that names what is allowed.
ActivationText = Annotated[
    str, Field(json_schema_extra={"pattern": r"^(relu|(batch)?topk:[1-9][0-9]{0,8}|relu_l1:0\.[0-9]{0,6}[1-9])$"})
]
STARTS = ("random", "truth")
StartName = Annotated[str, Field(json_schema_extra={"enum": list(STARTS)})]
ColumnName = Annotated[str, Field(json_schema_extra={"enum": list(TRIALS.names)})]


@router.get(
    "/trials",
    response_model=TrialList,
    summary="Finished trials",
    responses={
        200: {
            "description": "JSON in pages; Arrow and Parquet hold all that match.",
            "content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in OFFERED if kind != JSON},
        },
        304: {"description": "The client has this content (If-None-Match)."},
        **document_problems(*ALWAYS, 404, 406, 422),
    },
)
async def trials(
    service: TheService,
    caller: Reader,
    request: Request,
    job_id: JobId,
    sparsity: Numbers = [],  # noqa: B006
    hidden_dim: Whole = [],  # noqa: B006
    activation: Annotated[
        list[ActivationText], Query(max_length=MOST, description="As in a spec: topk:2. Repeat it for several.")
    ] = [],  # noqa: B006
    exponent: Numbers = [],  # noqa: B006
    seed: Seeds = [],  # noqa: B006
    start: Annotated[list[StartName], Query(max_length=2, description="random, truth.")] = [],  # noqa: B006
    columns: Annotated[
        list[ColumnName],
        Query(max_length=len(TRIALS), description="Names of columns, trial_id among them anyway; default: all."),
    ] = [],  # noqa: B006
    limit: Annotated[int, Query(ge=1, le=1000, description="Most trials on a page of JSON.")] = 200,
    cursor: Annotated[
        str | None,
        Query(
            pattern="^[0-9a-f]{1,64}$",
            description="`next_cursor` of the page before.",
            examples=["5f2b1c0d9e8a7b6c"],
        ),
    ] = None,
) -> Response:
    """Rows of trials.parquet that are finished by now: those with any of the values of every filter that is given."""
    media_type = choose(request.headers.get("accept"), OFFERED)
    if media_type is None:
        raise Refusal(406, f"None of the accepted types is offered; offered: {', '.join(OFFERED)}.", "not-acceptable")
    _check_names(columns, start)
    chosen: dict[str, list[Any]] = {
        "sparsity": sparsity,
        "hidden_dim": hidden_dim,
        "exponent": exponent,
        "seed": seed,
        "start": start,
    }
    where = row_filter(chosen, [_activation(text) for text in activation])

    def work() -> Response:
        job = see_job(service, caller, job_id)
        folder = service.storage().job(job.id)
        key = row_files_key(folder, job.id, job.status == "succeeded")
        etag = sha256(f"{key} {media_type} {request.url.query}".encode()).hexdigest()
        headers = {"ETag": f'"{etag[:32]}"', "Cache-Control": "private, no-cache", "Vary": "Accept"}
        if has_current(request, headers["ETag"]):
            return not_modified(headers)
        rows = read_rows(folder, columns or TRIALS.names, where).sort_by("trial_id")
        if media_type == JSON:
            return JSONResponse(_page(rows, limit, cursor), headers=headers)
        return Response(_binary(rows, media_type), headers=headers, media_type=media_type)

    return await anyio.to_thread.run_sync(work, limiter=service.brisk)


def row_filter(chosen: dict[str, list[Any]], activations: list[Activation]) -> pc.Expression | None:
    """The rows with any of the values of every column that has some; None for all rows."""
    # Not isin: it misses 0.0 where a file's statistics say -0.0, as they do of a column of zeros.
    wanted = [[pc.field(name) == value for value in values] for name, values in chosen.items()]
    wanted.append([_is(activation) for activation in activations])
    clauses = [reduce(operator.or_, alternatives) for alternatives in wanted if alternatives]
    return reduce(operator.and_, clauses) if clauses else None


def _is(activation: Activation) -> pc.Expression:
    clause = pc.field("activation") == activation.kind
    for name, value in (("k", activation.k), ("l1", activation.l1)):
        if value is not None:
            clause = clause & (pc.field(name) == value)
    return clause


def _activation(text: str) -> Activation:
    try:
        return parse_activation(text)
    except ValueError as error:
        raise SpecError([("activation", str(error))]) from None


def _check_names(columns: list[str], starts: list[str]) -> None:
    for key, given, allowed in (("columns", columns, TRIALS.names), ("start", starts, STARTS)):
        for name in given:
            if name not in allowed:
                raise SpecError([(key, f"{name[:60]!r} is not allowed; allowed: {', '.join(allowed)}")])


def _page(rows: pa.Table, limit: int, cursor: str | None) -> dict[str, Any]:
    if cursor is not None:
        rows = rows.filter(pc.greater(rows["trial_id"], cursor))
    found = rows.slice(0, limit)
    after = found["trial_id"][-1].as_py() if rows.num_rows > limit else None
    return {"items": table_items(found), "next_cursor": after}


def _binary(rows: pa.Table, media_type: str) -> bytes:
    from phase_diagrams.folder import table_bytes

    if media_type == PARQUET:
        return table_bytes(rows)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows)
    return bytes(sink.getvalue())
