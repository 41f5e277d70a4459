"""What workers send of the jobs that they lease, and what they are answered."""

import json
from typing import Annotated, Any

from fastapi import Path
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from service.examples import EXAMPLE_ID, EXAMPLE_PROGRESS, EXAMPLE_SPEC
from service.views import PRINTABLE, Strict, example, only_number

Count = Annotated[int, Field(ge=0, le=10**9), BeforeValidator(only_number)]
Seconds = Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False), BeforeValidator(only_number)]
LeaseId = Annotated[str, Path(description="Id of the lease.", examples=["0" * 32])]


class LeaseRequest(Strict):
    """A worker that wants a job."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"worker": "gpu-7:4211"}]})
    worker: Annotated[str, Field(min_length=1, max_length=200, pattern=PRINTABLE)]
    """A name for people to know it by."""


class LeaseView(BaseModel):
    """A job that is a worker's until `expires_at`, and longer with every heartbeat."""

    lease_id: str
    fence: int
    """Rises with every lease of the job."""
    job_id: str
    spec: dict[str, Any]
    folder: str
    """Path or URI of the job's folder, which the worker writes."""
    reuse: list[str]
    """Folders of other jobs with trials of the same data, sae, training and recovery."""
    expires_at: str
    ttl_seconds: float

    model_config = example(
        {
            "lease_id": "0" * 32,
            "fence": 1,
            "job_id": EXAMPLE_ID,
            "spec": EXAMPLE_SPEC,
            "folder": f"s3://lab/saephase/jobs/{EXAMPLE_ID}",
            "reuse": [],
            "expires_at": "2026-11-22T09:30:31.250Z",
            "ttl_seconds": 30.0,
        }
    )


class Progress(Strict):
    """How far the worker is; the fields of the job's progress."""

    trials_done: Count
    trials_total: Count
    trials_reused: Count
    seconds: Seconds
    eta_seconds: Seconds | None = None

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE_PROGRESS]})


class Report(Strict):
    """Something that happened to the worker's run."""

    type: Annotated[str, Field(pattern="^(message|pack|warning|estimate)$", examples=["message"])]
    data: dict[str, Any] = Field(examples=[{"text": "training on cpu, 2 packs at a time"}])
    key: Annotated[str, Field(min_length=1, max_length=80, pattern=PRINTABLE)] | None = None
    """Unique in the lease, so that a repeated heartbeat adds nothing."""

    @field_validator("data")
    @classmethod
    def _is_json(cls, data: dict[str, Any]) -> dict[str, Any]:
        # Python reads NaN and 1e999 where JSON has no such number; nobody could read the event.
        json.dumps(data, allow_nan=False)
        return data


class Heartbeat(Strict):
    """A worker's sign of life."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "progress": EXAMPLE_PROGRESS,
                    "events": [{"type": "message", "data": {"text": "drawing"}, "key": "1-7"}],
                }
            ]
        }
    )
    progress: Progress | None = None
    events: list[Report] = Field([], max_length=1000)


class HeartbeatView(BaseModel):
    """What the service answers to a sign of life."""

    model_config = example({"expires_at": "2026-11-22T09:31:01.250Z", "cancel": False})
    expires_at: str
    cancel: bool
    """Whether the worker is to stop and finish as cancelled."""


class Finish(Strict):
    """How a run ended."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"status": "succeeded", "progress": EXAMPLE_PROGRESS}]})
    status: Annotated[str, Field(pattern="^(succeeded|failed|cancelled)$", examples=["succeeded"])]
    error: Annotated[str, Field(max_length=20_000)] | None = None
    progress: Progress | None = None
