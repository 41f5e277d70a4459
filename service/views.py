"""Records to the JSON that clients see, and the bodies that they send."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Path
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from service.events import Event
from service.examples import EXAMPLE_CONDITION, EXAMPLE_ID, EXAMPLE_JOB, EXAMPLE_PROGRESS
from service.jobs import Status
from service.records import Job

JOB_ID = "^[0-9a-f]{16}$"
PRINTABLE = r"^[\x20-\x7e]+$"


def example(value: dict[str, Any]) -> ConfigDict:
    """The settings of a model with this example."""
    return ConfigDict(json_schema_extra={"examples": [value]}, use_attribute_docstrings=True)


class ProgressView(BaseModel):
    """How far a job is."""

    model_config = example(EXAMPLE_PROGRESS)
    trials_done: int
    """Trials whose rows are written, reused ones too."""
    trials_total: int
    """Trials that the job asks for."""
    trials_reused: int
    """Of them, trials that were there before the run began."""
    seconds: float
    """Since training began."""
    eta_seconds: float | None
    """Until the last trial is done; null while unknown."""


class JobView(BaseModel):
    """A job."""

    model_config = example(EXAMPLE_JOB)
    id: Annotated[str, Field(pattern=JOB_ID)]
    """Sixteen hexadecimal digits."""
    name: str
    """The spec's label."""
    status: Status
    """Where it stands; the last three are ends."""
    priority: int
    """Higher runs first."""
    owner: str
    """Whose token submitted it; `local` without tokens."""
    created_at: str
    """ISO 8601 in UTC."""
    started_at: str | None
    """When a worker first took it."""
    ended_at: str | None
    """When it ended; null again once it is resumed."""
    progress: ProgressView
    spec: dict[str, Any]
    """With every default filled in."""
    error: str | None
    """Why it failed, in a paragraph."""
    links: dict[str, str]
    """What else there is of this job."""


class JobList(BaseModel):
    """A page of jobs, newest first."""

    model_config = example({"items": [EXAMPLE_JOB], "next_cursor": "17"})
    items: list[JobView]
    next_cursor: str | None
    """`cursor` of the next page; null on the last one."""


class ArtifactView(BaseModel):
    """A file of a job."""

    name: str
    bytes: int
    sha256: str
    """Of its content, in hexadecimal; its ETag, too."""
    media_type: str


class ArtifactList(BaseModel):
    """The files that a job has by now."""

    model_config = example(
        {
            "items": [
                {"name": "summary.json", "bytes": 1811, "sha256": "ab" * 32, "media_type": "application/json"},
            ],
            "next_cursor": None,
        }
    )
    items: list[ArtifactView]
    next_cursor: None
    """Always null: all files are on one page."""


class ConditionList(BaseModel):
    """The conditions that have finished trials, in grid order."""

    model_config = example({"items": [EXAMPLE_CONDITION], "next_cursor": None})
    items: list[dict[str, Any]]
    """The columns of conditions.parquet."""
    next_cursor: None
    """Always null."""


class DiagramRows(BaseModel):
    """The numbers of a diagram's panels; a row is one mark, of the kind that its `layer` says."""

    model_config = example(
        {
            "panels": [{"layer": "missing", "panel": "topk:1, α = 0", "S": 0.9, "n_m": 40, "P": "no finished trial"}],
            "hatch": [{"x": 14.1, "x2": 15.0, "y": 0.012, "y2": 0.013}],
        }
    )
    panels: list[dict[str, Any]]
    """Cells, missing cells and the lines of theory, in the order of the source's `datasets.panels`."""
    hatch: list[dict[str, Any]]
    """The rules behind missing cells."""


class TrialList(BaseModel):
    """Finished trials in the order of their ids, which new ones never change."""

    model_config = example(
        {
            "items": [
                {
                    "trial_id": "5f2b1c0d9e8a7b6c",
                    "sparsity": 0.9,
                    "hidden_dim": 40,
                    "activation": "topk",
                    "k": 2,
                    "l1": None,
                    "exponent": 0.0,
                    "seed": 0,
                    "start": "random",
                    "identified": True,
                    "mcc": 0.981,
                    "feature_cosine": [0.99, 0.97, 1.0],
                }
            ],
            "next_cursor": None,
        }
    )
    items: list[dict[str, Any]]
    """The columns of trials.parquet."""
    next_cursor: str | None
    """`cursor` of the next page; null on the last one."""


class PlanView(BaseModel):
    """What a job would cost; bytes and seconds are estimates."""

    conditions: int
    """Combinations of sparsity, hidden_dim, activation and exponent."""
    trials: int
    """Trainings that the job asks for: conditions x seeds x starts."""
    trainings: int
    """Of them, trainings to run."""
    packs: int
    """Pieces that are trained at a time and written whole."""
    steps: int
    """Optimiser steps of all trainings."""
    multiply_adds: float
    """Arithmetic of all trainings."""
    pack_bytes: int
    """Memory of a worker process with the largest pack."""
    driver_bytes: int
    """Memory of the processes that plan, feed Ray and gather."""
    packs_at_a_time: int
    """Packs that run beside each other on the cores asked about."""
    seconds: float
    """Wall time on these cores."""
    cores: int
    """Cores that the estimate is for."""

    model_config = example(
        {
            "conditions": 36,
            "trials": 288,
            "trainings": 288,
            "packs": 16,
            "steps": 432000,
            "multiply_adds": 3.4e11,
            "pack_bytes": 300000000,
            "driver_bytes": 450000000,
            "packs_at_a_time": 2,
            "seconds": 18.5,
            "cores": 2,
        }
    )


class Strict(BaseModel):
    """A body in which unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


def only_number(value: object) -> object:
    """Numbers only: neither their names nor true and false."""
    if isinstance(value, (str, bool)):
        raise ValueError("must be a number")
    return value


Priority = Annotated[int, Field(ge=-1000, le=1000)]
JobId = Annotated[str, Path(description="Id of the job.", examples=[EXAMPLE_ID])]
OtherId = Annotated[str, Path(description="Id of the job that it is compared with.", examples=[EXAMPLE_ID])]


class Change(Strict):
    """What can be changed of a job."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"priority": 5}]})
    priority: Annotated[int, Field(ge=-1000, le=1000), BeforeValidator(only_number)]
    """Higher runs first."""


class Health(BaseModel):
    """Whether the process lives."""

    model_config = example({"status": "alive"})
    status: str


class Readiness(BaseModel):
    """Whether the service can take requests, and what of it cannot."""

    model_config = example({"ready": True, "checks": {"database": "ok", "storage": "ok", "draining": "ok"}})
    ready: bool
    checks: dict[str, str]
    """`ok`, or what is wrong."""


def timestamp(seconds: float) -> str:
    """Seconds since 1970 as ISO 8601 in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def write_job(job: Job) -> str:
    """A job as clients see it, as JSON; its spec is stored as JSON and goes out as it is."""
    view = {
        "id": job.id,
        "name": job.name,
        "status": job.status,
        "priority": job.priority,
        "owner": job.owner,
        "created_at": timestamp(job.created_at),
        "started_at": None if job.started_at is None else timestamp(job.started_at),
        "ended_at": None if job.ended_at is None else timestamp(job.ended_at),
        "progress": {
            "trials_done": job.trials_done,
            "trials_total": job.trials_total,
            "trials_reused": job.trials_reused,
            "seconds": job.seconds,
            "eta_seconds": job.eta_seconds,
        },
        "error": job.error,
        "links": _links(job.id),
    }
    return f'{_compact(view)[:-1]},"spec":{job.spec}}}'


def write_submission(job: Job, priority: int) -> str:
    """A job as it was when it was submitted, with that priority: what every repetition of the request is answered."""
    fresh: dict[str, Any] = dict.fromkeys(("started_at", "ended_at", "eta_seconds", "error"))
    return write_job(
        replace(job, priority=priority, status="queued", trials_done=0, trials_reused=0, seconds=0.0, **fresh)
    )


def write_page(jobs: list[Job], after: int | None) -> str:
    """A page of jobs as JSON, and the number to go on from (None: it is the last page)."""
    cursor = "null" if after is None else f'"{after}"'
    return f'{{"items":[{",".join(map(write_job, jobs))}],"next_cursor":{cursor}}}'


_compact = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode
"""Made once: json.dumps makes an encoder for every call that wants no spaces."""


def _links(job_id: str) -> dict[str, str]:
    here = f"/v1/jobs/{job_id}"
    parts = ("events", "conditions", "diagram", "artifacts", "cancel", "resume")
    return {"self": here, **{part: f"{here}/{part}" for part in parts}, "zip": f"{here}/artifacts.zip"}


def view_event(event: Event) -> str:
    """An event's data as one line of JSON."""
    return json.dumps({**event.data, "at": timestamp(event.at)})
