"""Calls of a program to requests of a running service: submit a job, follow it, download its diagram.

    with Client("http://127.0.0.1:8000") as client:
        job = client.submit({"data": {...}, "grid": {...}})
        client.wait(job["id"])
        client.download(job["id"], "runs/mine")

Jobs, plans and artifacts are JSON objects as in the service's OpenAPI document. What may pass (a lost connection, a
restart) is tried again; what may not is a ServiceError.
"""

import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from phase_diagrams.spec import JobSpec
from service.connection import CONNECT_SECONDS, Connection, is_passing, open_http
from service.connection import ServiceError as ServiceError
from service.connection import UnreachableError as UnreachableError
from service.event_stream import StreamEvent, read_stream
from service.retrieval import ChecksumError as ChecksumError
from service.retrieval import fetch, read_listing

LOCAL_URL = "http://127.0.0.1:8000"
"""Where `saephase serve` listens by default."""
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

Job = dict[str, Any]


class Client:
    """A service, by URL and token; one per thread, or shared: it holds no state but connections."""

    def __init__(
        self,
        url: str = LOCAL_URL,
        token: str | None = None,
        *,
        patience: float = 10.0,
        timeout: float = 60.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """Connect to nothing yet; raises ValueError for a URL of no service.

        Args:
            url: of the service, with the path below which a proxy shows it.
            token: bearer token.
            patience: seconds during which a request that found no service is sent again.
            timeout: seconds for one answer.
            transport: of httpx, for programs that need their own.
        """
        http = open_http(
            url,
            token,
            timeout=httpx.Timeout(timeout, connect=CONNECT_SECONDS),
            transport=transport,
            follow_redirects=False,  # a redirect would carry the job elsewhere
        )
        self._connection = Connection(http, patience)

    def __enter__(self) -> Self:
        """Use the client in a `with` statement."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._connection.http.close()

    def submit(
        self, spec: JobSpec | Mapping[str, Any], idempotency_key: str | None = None, *, priority: int = 0
    ) -> Job:
        """Queue a job and return it; the same key gives the same job, and no key a new one.

        Without a key one is made up, so that a request which is sent again makes no second job.
        """
        key = uuid.uuid4().hex if idempotency_key is None else idempotency_key
        parameters = {"priority": priority} if priority else {}
        return self._json("POST", "v1/jobs", json=_document(spec), params=parameters, headers={"Idempotency-Key": key})

    def plan(self, spec: JobSpec | Mapping[str, Any]) -> dict[str, Any]:
        """What a job would cost."""
        return self._json("POST", "v1/plans", json=_document(spec))

    def get(self, job_id: str) -> Job:
        """A job as it is now."""
        return self._json("GET", _path(job_id))

    def jobs(self, status: str | None = None, name: str | None = None, limit: int | None = None) -> Iterator[Job]:
        """Jobs, newest first, page after page; `limit` is the most of them."""
        cursor: str | None = None
        left = limit
        while left is None or left > 0:
            page = {"status": status, "name": name, "cursor": cursor, "limit": min(100, left or 100)}
            answer = self._json("GET", "v1/jobs", params={key: value for key, value in page.items() if value})
            yield from answer["items"]
            left = None if left is None else left - len(answer["items"])
            cursor = answer["next_cursor"]
            if cursor is None:
                return

    def cancel(self, job_id: str) -> Job:
        """Ask for a job's end; what is finished is kept."""
        return self._json("POST", f"{_path(job_id)}/cancel")

    def resume(self, job_id: str) -> Job:
        """Queue a failed or cancelled job again."""
        return self._json("POST", f"{_path(job_id)}/resume")

    def delete(self, job_id: str) -> None:
        """Remove an ended job and its files."""
        self._connection.send("DELETE", _path(job_id), settled=(404,))

    def events(
        self, job_id: str, last_event_id: str | None = None, *, patience: float = LONG_PATIENCE
    ) -> Iterator[StreamEvent]:
        """What happens to a job, from its beginning (or after an event) to its end, without gap or repeat.

        A stream that breaks off is taken up again; UnreachableError after `patience` seconds without the service.
        """
        attempts = self._connection.attempts(patience)
        last = last_event_id
        while True:
            error: Exception = httpx.ReadError("the stream broke off")
            began = time.monotonic()
            headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last} if last else {})
            timeout = httpx.Timeout(SILENCE, connect=CONNECT_SECONDS)
            try:
                with self._connection.stream(f"{_path(job_id)}/events", headers=headers, timeout=timeout) as response:
                    for event in read_stream(response.iter_bytes()):
                        yield event
                        last = event.id or last
                        if event.type == "end":
                            return
            except (httpx.TransportError, ServiceError) as broken:
                if not is_passing(broken):
                    raise
                error = broken
            if time.monotonic() - began > LASTING:
                attempts = self._connection.attempts(patience)
            next(attempts).pause(error)

    def wait(self, job_id: str, timeout: float | None = None) -> Job:
        """Wait until a job has ended, and return it; raises TimeoutError after `timeout` seconds."""
        ends = None if timeout is None else time.monotonic() + timeout
        pause = FIRST_POLL
        while True:
            job = self._json("GET", _path(job_id), patience=LONG_PATIENCE)
            if job["status"] in ENDED:
                return job
            left = pause if ends is None else min(pause, ends - time.monotonic())
            if left <= 0:
                raise TimeoutError(f"job {job_id} is {job['status']} after {timeout:g} seconds")
            time.sleep(left)
            pause = min(LONGEST_POLL, 1.5 * pause)

    def artifacts(self, job_id: str) -> list[dict[str, Any]]:
        """The files of a job: name, bytes, sha256, media_type."""
        listed: list[dict[str, Any]] = self._json("GET", f"{_path(job_id)}/artifacts")["items"]
        return listed

    def download(self, job_id: str, folder: str | Path, names: Iterable[str] | None = None) -> list[Path]:
        """Download a job's artifacts (all of them, or those named) into a folder; returns the files.

        A download that broke off goes on where it was; files that are there already are left alone. Raises ValueError
        for a name that the job has no artifact of, ChecksumError, ServiceError, UnreachableError and OSError.
        """
        place = Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        chosen = None if names is None else list(names)
        for _ in range(CHANGES):
            try:
                return self._download(job_id, place, chosen)
            except ChecksumError as error:
                changed = error
        raise changed

    def _download(self, job_id: str, place: Path, names: list[str] | None) -> list[Path]:
        listed = {wanted.name: wanted for wanted in read_listing(self._json("GET", f"{_path(job_id)}/artifacts"))}
        unknown = [name for name in names or [] if name not in listed]
        if unknown:
            there = ", ".join(listed) or "nothing yet"
            raise ValueError(f"job {job_id} has no artifact {unknown[0]!r}; it has: {there}")
        path = f"{_path(job_id)}/artifacts"
        return [fetch(self._connection, f"{path}/{name}", listed[name], place) for name in names or listed]

    def _json(self, method: str, path: str, patience: float | None = None, **options: Any) -> dict[str, Any]:
        response = self._connection.send(method, path, patience=patience, **options)
        try:
            answer: dict[str, Any] = response.json()
        except ValueError:
            answer = {}
        if not isinstance(answer, dict) or not answer:
            raise ServiceError(response.status_code, "Not the answer of a saephase service", str(response.url))
        return answer


def _path(job_id: str) -> str:
    # Ids come from command lines too: nothing in one may lead to another path.
    if not job_id.isascii() or not job_id.isalnum():
        raise ValueError(f"{job_id!r} is not a job id; one is sixteen hexadecimal digits")
    return f"v1/jobs/{job_id}"


def _document(spec: JobSpec | Mapping[str, Any]) -> Any:
    return spec.model_dump(mode="json") if isinstance(spec, JobSpec) else dict(spec)
