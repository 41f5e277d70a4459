"""A service's URL to jobs that are this worker's for a while: the worker's side of the lease protocol."""

import json
import time
from dataclasses import asdict, dataclass
from typing import Any, Literal

import httpx

from workers.progress import Progress

TAKE_SECONDS = 5.0
"""Longest wait for the answer whether there is a job; a worker that is told to stop waits no longer either."""
LAST_SECONDS = 3.0
"""Longest wait for the answer to a lease that is given back."""

Status = Literal["succeeded", "failed", "cancelled"]


class LeaseLostError(RuntimeError):
    """The job is no longer this worker's: the lease ran out, or the job was ended."""


class ServiceAwayError(RuntimeError):
    """No answer, or one that says to try again."""


class ServiceRefusedError(RuntimeError):
    """An answer that will not change: a wrong token, a wrong URL, or words that the service does not understand."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A job that is this worker's until `deadline`."""

    lease_id: str
    fence: int
    """Rises with every lease of the job."""
    job_id: str
    spec: dict[str, Any]
    folder: str
    """Path or URI of the job's output folder."""
    reuse: tuple[str, ...]
    """Folders of other jobs with trials of the same kind."""
    seconds: float
    """How long it lasts after each heartbeat."""
    deadline: float
    """In monotonic seconds; counted from the sending of the request, so never later than the service counts."""


@dataclass(frozen=True, slots=True)
class Report:
    """Something that happened to the run; `key` makes a repeated report one."""

    type: Literal["message", "pack", "warning", "estimate"]
    data: dict[str, Any]
    key: str


@dataclass(frozen=True, slots=True)
class Reply:
    """What the service answers to a heartbeat."""

    deadline: float
    cancel: bool
    """Whether the run is to be stopped."""


@dataclass(frozen=True, slots=True)
class LeaseService:
    """The lease calls of a service."""

    http: httpx.Client

    def take(self, worker: str) -> Lease | None:
        """Lease a job; None where none is queued. Raises ServiceAwayError and ServiceRefusedError."""
        sent = time.monotonic()
        answer = self._post("v1/leases", {"worker": worker}, TAKE_SECONDS)
        if answer is None:
            return None
        try:
            seconds = float(answer["ttl_seconds"])
            return Lease(
                lease_id=str(answer["lease_id"]),
                fence=int(answer["fence"]),
                job_id=str(answer["job_id"]),
                spec=dict(answer["spec"]),
                folder=str(answer["folder"]),
                reuse=tuple(answer["reuse"]),
                seconds=seconds,
                deadline=sent + seconds,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ServiceRefusedError(f"the service's lease cannot be read ({error!r})") from None

    def heartbeat(self, lease: Lease, progress: Progress | None, reports: list[Report]) -> Reply:
        """Say that the run goes on, how far it is, and what happened; raises LeaseLostError and the others."""
        sent = time.monotonic()
        body = {"progress": _progress(progress), "events": [asdict(report) for report in reports]}
        # A third of the lease: an answer that does not come leaves time for two more attempts.
        answer = self._post(f"v1/leases/{lease.lease_id}/heartbeat", body, lease.seconds / 3)
        return Reply(sent + lease.seconds, bool((answer or {}).get("cancel")))

    def finish(self, lease: Lease, status: Status, error: str | None, progress: Progress | None) -> None:
        """Say how the run ended; raises LeaseLostError and the others."""
        body = {"status": status, "error": error, "progress": _progress(progress)}
        self._post(f"v1/leases/{lease.lease_id}/finish", body, lease.seconds / 3)

    def release(self, lease: Lease) -> None:
        """Give the job back to the queue; raises LeaseLostError and the others."""
        self._post(f"v1/leases/{lease.lease_id}/release", {}, LAST_SECONDS)

    def _post(self, path: str, body: dict[str, Any], seconds: float) -> dict[str, Any] | None:
        try:
            response = self.http.post(path, json=body, timeout=seconds)
        except httpx.TransportError as error:
            raise ServiceAwayError(" ".join(str(error).split()) or type(error).__name__) from error
        code = response.status_code
        if code == 204:
            return None
        if code == 409:
            raise LeaseLostError(_detail(response))
        if code == 429 or code >= 500:
            raise ServiceAwayError(_detail(response))
        try:
            answer = response.json() if response.is_success else None
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise ServiceRefusedError(_detail(response))
        return answer


def _progress(progress: Progress | None) -> dict[str, Any] | None:
    return None if progress is None else asdict(progress)


def _detail(response: httpx.Response) -> str:
    """What a refused request's answer says, in one line."""
    try:
        problem = json.loads(response.content)
    except (ValueError, UnicodeDecodeError):
        problem = None
    detail = problem.get("detail") or problem.get("title") if isinstance(problem, dict) else None
    return " ".join(str(detail or "not the answer of a saephase service").split()) + f" (HTTP {response.status_code})"
