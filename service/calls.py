"""What a program asks of a service, as tasks: each call's requests, retries and answers, without a way to send them."""

import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import httpx

from phase_diagrams.spec import JobSpec
from service.connection import CONNECT_SECONDS, Patience, Pause, Task, send
from service.event_stream import EventReader, StreamEvent
from service.refusal import ServiceError, is_passing, refusal
from service.result_frames import Form, read_arrow, read_parquet
from service.retrieval import ChecksumError, fetch, read_listing

ENDED = frozenset({"succeeded", "failed", "cancelled"})
LONG_PATIENCE = 300.0
"""Seconds without the service that a program which follows a job sits out; heuristic: an upgrade, a sleeping laptop."""
SILENCE = 60.0
"""Longest silence of an event stream: four of the comments that the service sends in between."""
LASTING = 10.0
"""Seconds after which a stream that breaks off had come about; heuristic: beyond the wait for a connection."""
FIRST_POLL, LONGEST_POLL = 0.1, 2.0
"""Seconds between looks at a job that is waited for."""
CHANGES = 5
"""Times that a download starts over because a running job wrote its artifacts anew."""
ARROW = "application/vnd.apache.arrow.stream"

Job = dict[str, Any]
JobRef = str | Mapping[str, Any]
"""A job, or its id."""
Spec = JobSpec | Mapping[str, Any]


class TrialFilter(TypedDict, total=False):
    """Which trials: those with the value, or any of the values, of every name that is given."""

    sparsity: float | list[float]
    hidden_dim: int | list[int]
    activation: str | list[str]
    """As in a spec: topk:2."""
    exponent: float | list[float]
    seed: int | list[int]
    start: str | list[str]


@dataclass(frozen=True, slots=True)
class Calls:
    """Every call of the API; `seconds` is how long a request that found no service is sent again."""

    url: str
    seconds: float

    def submit(self, spec: Spec, idempotency_key: str | None, priority: int) -> Task[Job]:
        """Queue a job; a key is made up where none is given, so that a request sent again makes no second job."""
        key = uuid.uuid4().hex if idempotency_key is None else idempotency_key
        parameters = {"priority": priority} if priority else {}
        headers = {"Idempotency-Key": key}
        return (yield from self.json("POST", "v1/jobs", json=_document(spec), params=parameters, headers=headers))

    def plan(self, spec: Spec) -> Task[dict[str, Any]]:
        """What a job would cost."""
        return (yield from self.json("POST", "v1/plans", json=_document(spec)))

    def get(self, job: JobRef) -> Task[Job]:
        """A job as it is now."""
        return (yield from self.json("GET", job_path(job)))

    def page(self, cursor: str | None, limit: int | None, **chosen: str | None) -> Task[dict[str, Any]]:
        """A page of jobs; `limit` is the most that are wanted still."""
        query = {**chosen, "cursor": cursor, "limit": min(100, limit or 100)}
        given = {name: value for name, value in query.items() if value}
        return (yield from self.json("GET", "v1/jobs", params=given))

    def act(self, job: JobRef, act: str) -> Task[Job]:
        """Cancel or resume a job."""
        return (yield from self.json("POST", f"{job_path(job)}/{act}"))

    def delete(self, job: JobRef) -> Task[None]:
        """Remove an ended job and its files."""
        yield from send("DELETE", job_path(job), self._patience(), settled=(404,))

    def wait(self, job: JobRef, timeout: float | None, show: Callable[[Job], None]) -> Task[Job]:
        """Look at a job until it has ended, and show it each time; raises TimeoutError after `timeout` seconds."""
        ends = None if timeout is None else time.monotonic() + timeout
        pause = FIRST_POLL
        while True:
            found = yield from self.json("GET", job_path(job), patience=LONG_PATIENCE)
            show(found)
            if found["status"] in ENDED:
                return found
            left = pause if ends is None else min(pause, ends - time.monotonic())
            if left <= 0:
                raise TimeoutError(f"job {found['id']} is {found['status']} after {timeout:g} seconds")
            yield Pause(left)
            pause = min(LONGEST_POLL, 1.5 * pause)

    def conditions(self, job: JobRef, form: Form) -> Task[Any]:
        """The diagram's rows so far."""
        response = yield from self._get(f"{job_path(job)}/conditions", headers={"Accept": ARROW})
        return read_arrow(response.content, form)

    def trials(self, job: JobRef, form: Form, columns: Iterable[str], where: TrialFilter) -> Task[Any]:
        """Finished trials; raises TypeError for a filter that does not exist, which the service would pass over."""
        unknown = [name for name in where if name not in TrialFilter.__annotations__]
        if unknown:
            raise TypeError(
                f"{unknown[0]!r} is no filter of trials; there are {', '.join(TrialFilter.__annotations__)}"
            )
        query = {**where, "columns": list(columns)}
        response = yield from self._get(f"{job_path(job)}/trials", headers={"Accept": ARROW}, params=query)
        return read_arrow(response.content, form)

    def boundary(self, job: JobRef, form: Form) -> Task[Any]:
        """The table of boundaries."""
        response = yield from self._get(f"{job_path(job)}/artifacts/boundary.parquet")
        return read_parquet(response.content, form)

    def diagram(self, job: JobRef, boundaries: bool) -> Task[dict[str, Any]]:
        """The Vega-Lite source so far."""
        query = {} if boundaries else {"boundaries": "false"}
        return (yield from self.json("GET", f"{job_path(job)}/diagram", params=query))

    def difference(self, job: JobRef, other: JobRef) -> Task[dict[str, Any]]:
        """What differs between two jobs' diagrams, `other` less `job`."""
        return (yield from self.json("GET", f"{job_path(job)}/diff/{job_id(other)}"))

    def artifacts(self, job: JobRef) -> Task[list[dict[str, Any]]]:
        """The files of a job."""
        listed = yield from self.json("GET", f"{job_path(job)}/artifacts")
        return list(listed["items"])

    def download(self, job: JobRef, folder: str | Path, names: str | Iterable[str] | None) -> Task[list[Path]]:
        """Download artifacts into a folder, over again where they were written anew meanwhile."""
        place = Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        chosen = None if names is None else [names] if isinstance(names, str) else list(names)
        for _ in range(CHANGES):
            try:
                return (yield from self._download(job, place, chosen))
            except ChecksumError as error:
                changed = error
        raise changed

    def _download(self, job: JobRef, place: Path, names: list[str] | None) -> Task[list[Path]]:
        path = f"{job_path(job)}/artifacts"
        listed = {wanted.name: wanted for wanted in read_listing((yield from self.json("GET", path)))}
        unknown = [name for name in names or [] if name not in listed]
        if unknown:
            there = ", ".join(listed) or "nothing yet"
            raise ValueError(f"job {job_id(job)} has no artifact {unknown[0]!r}; it has: {there}")
        files = []
        for name in names or listed:
            files.append((yield from fetch(f"{path}/{name}", listed[name], place, self._patience())))
        return files

    def json(self, method: str, path: str, *, patience: float | None = None, **options: Any) -> Task[dict[str, Any]]:
        """Send a request whose answer is a JSON object."""
        response = yield from send(method, path, self._patience(patience), **options)
        try:
            answer: dict[str, Any] = response.json()
        except ValueError:
            answer = {}
        if not isinstance(answer, dict) or not answer:
            raise ServiceError(response.status_code, "Not the answer of a saephase service", str(response.url))
        return answer

    def follow(self, job: JobRef, last_event_id: str | None, patience: float) -> "Following":
        """The reading of a job's events."""
        return Following(self.url, f"{job_path(job)}/events", last_event_id, patience)

    def _get(self, path: str, **options: Any) -> Task[httpx.Response]:
        return (yield from send("GET", path, self._patience(), **options))

    def _patience(self, seconds: float | None = None) -> Patience:
        return Patience(self.url, self.seconds if seconds is None else seconds)


class Following:
    """A job's events over as many streams as it takes: what to ask for next, and when to give up."""

    def __init__(self, url: str, path: str, last: str | None, seconds: float) -> None:
        self._url, self._path, self._last, self._seconds = url, path, last, seconds
        self._patience = Patience(url, seconds)
        self._reader, self._began = EventReader(), time.monotonic()

    def request(self) -> dict[str, Any]:
        """Arguments of the next stream of httpx."""
        self._reader, self._began = EventReader(), time.monotonic()
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": self._last} if self._last else {})
        timeout = httpx.Timeout(SILENCE, connect=CONNECT_SECONDS)
        return {"method": "GET", "url": self._path, "headers": headers, "timeout": timeout}

    def read(self, chunk: bytes) -> list[StreamEvent]:
        """The events that a chunk completes."""
        return self._reader.read(chunk)

    def is_last(self, event: StreamEvent) -> bool:
        """Take note of an event that was handed on, and say whether it was the job's end."""
        self._last = event.id or self._last
        return event.type == "end"

    def pause(self, error: Exception) -> Pause:
        """The wait before the next stream, after one that broke off; raises what will not pass."""
        if not is_passing(error):
            raise error
        if time.monotonic() - self._began > LASTING:
            self._patience = Patience(self._url, self._seconds)
        return self._patience.pause(error)


BROKE_OFF = "the stream broke off"


def refuse(response: httpx.Response) -> None:
    """Raise the refusal of an answer that has been read and is one."""
    if not response.is_success:
        raise refusal(response)


def job_id(job: JobRef) -> str:
    """The id of a job; raises ValueError for what is none."""
    text = job if isinstance(job, str) else str(job["id"])
    # Ids come from command lines too: nothing in one may lead to another path.
    if not text.isascii() or not text.isalnum():
        raise ValueError(f"{text!r} is not a job id; one is sixteen hexadecimal digits")
    return text


def job_path(job: JobRef) -> str:
    """The path of a job."""
    return f"v1/jobs/{job_id(job)}"


def _document(spec: Spec) -> Any:
    if isinstance(spec, JobSpec):
        return spec.model_dump(mode="json")
    if isinstance(spec, Mapping):
        return dict(spec)
    raise TypeError(
        f"a spec is a mapping or a JobSpec, not {type(spec).__name__}; a YAML or JSON file is read by "
        "phase_diagrams.spec.read_spec(Path(file).read_text())"
    )
