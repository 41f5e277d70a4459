"""Calls of a program to a running service: submit a job, follow it, look at its diagram, download its files.

    with Client("http://127.0.0.1:8000") as client:
        job = client.submit({"data": {...}, "grid": {...}})
        client.wait(job)
        client.chart(job)

`AsyncClient` has the same calls for programs with an event loop. Jobs, plans and artifacts are JSON objects as in the
service's OpenAPI document; a job stands wherever its id does. What may pass (a lost connection, a restart) is tried
again; what may not is a ServiceError, by kind: InvalidSpecError, NotFoundError, ConflictError, LimitError, AccessError.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self, Unpack

import httpx

from service.calls import BROKE_OFF, LONG_PATIENCE, Calls, Job, JobRef, Spec, TrialFilter, refuse
from service.calls import ENDED as ENDED
from service.connection import CONNECT_SECONDS, connection_options, run, run_async
from service.event_stream import StreamEvent
from service.refusal import AccessError as AccessError
from service.refusal import ConflictError as ConflictError
from service.refusal import InvalidSpecError as InvalidSpecError
from service.refusal import LimitError as LimitError
from service.refusal import NotFoundError as NotFoundError
from service.refusal import ServiceError as ServiceError
from service.refusal import UnavailableError as UnavailableError
from service.refusal import UnreachableError as UnreachableError
from service.result_frames import Form, altair_chart
from service.retrieval import ChecksumError as ChecksumError
from service.waiting_bar import open_bar

LOCAL_URL = "http://127.0.0.1:8000"
"""Where `saephase serve` listens by default."""


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
        self._http = httpx.Client(
            **connection_options(url, token),
            timeout=httpx.Timeout(timeout, connect=CONNECT_SECONDS),
            transport=transport,
            follow_redirects=False,  # a redirect would carry the job elsewhere
        )
        self._calls = Calls(str(self._http.base_url), patience)

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
        self._http.close()

    def submit(self, spec: Spec, idempotency_key: str | None = None, *, priority: int = 0) -> Job:
        """Queue a job and return it; the same key gives the same job, and no key a new one.

        Without a key one is made up, so that a request which is sent again makes no second job.
        """
        return run(self._http, self._calls.submit(spec, idempotency_key, priority))

    def plan(self, spec: Spec) -> dict[str, Any]:
        """What a job would cost."""
        return run(self._http, self._calls.plan(spec))

    def get(self, job: JobRef) -> Job:
        """A job as it is now."""
        return run(self._http, self._calls.get(job))

    def jobs(self, status: str | None = None, name: str | None = None, limit: int | None = None) -> Iterator[Job]:
        """Jobs, newest first, page after page; `limit` is the most of them."""
        cursor: str | None = None
        left = limit
        while left is None or left > 0:
            answer = run(self._http, self._calls.page(cursor, left, status=status, name=name))
            yield from answer["items"]
            left = None if left is None else left - len(answer["items"])
            cursor = answer["next_cursor"]
            if cursor is None:
                return

    def cancel(self, job: JobRef) -> Job:
        """Ask for a job's end; what is finished is kept."""
        return run(self._http, self._calls.act(job, "cancel"))

    def resume(self, job: JobRef) -> Job:
        """Queue a failed or cancelled job again."""
        return run(self._http, self._calls.act(job, "resume"))

    def delete(self, job: JobRef) -> None:
        """Remove an ended job and its files."""
        run(self._http, self._calls.delete(job))

    def events(
        self, job: JobRef, last_event_id: str | None = None, *, patience: float = LONG_PATIENCE
    ) -> Iterator[StreamEvent]:
        """What happens to a job, from its beginning (or after an event) to its end, without gap or repeat.

        A stream that breaks off is taken up again; UnreachableError after `patience` seconds without the service.
        """
        following = self._calls.follow(job, last_event_id, patience)
        while True:
            broken: Exception = httpx.ReadError(BROKE_OFF)
            try:
                with self._http.stream(**following.request()) as response:
                    if not response.is_success:
                        response.read()
                        refuse(response)
                    for chunk in response.iter_bytes():
                        for event in following.read(chunk):
                            yield event
                            if following.is_last(event):
                                return
            except (httpx.TransportError, ServiceError) as error:
                broken = error
            time.sleep(following.pause(broken).seconds)

    def wait(self, job: JobRef, timeout: float | None = None, *, progress: bool | None = None) -> Job:
        """Wait until a job has ended, and return it; raises TimeoutError after `timeout` seconds.

        `progress` says whether a bar is shown: by default in a terminal and in a notebook, and nowhere else. A service
        that restarts meanwhile is waited for.
        """
        with open_bar(progress) as bar:
            return run(self._http, self._calls.wait(job, timeout, bar))

    def conditions(self, job: JobRef, form: Form = "arrow") -> Any:
        """The diagram's rows so far, one per condition: a table of pyarrow, pandas or polars."""
        return run(self._http, self._calls.conditions(job, form))

    def trials(
        self, job: JobRef, form: Form = "arrow", *, columns: Iterable[str] = (), **where: Unpack[TrialFilter]
    ) -> Any:
        """The trials finished so far, those that `where` picks (seed=0, activation=["topk:1", "relu"]), as a table.

        `columns` are those of trials.parquet, all of them by default.
        """
        return run(self._http, self._calls.trials(job, form, columns, where))

    def boundary(self, job: JobRef, form: Form = "arrow") -> Any:
        """The P = 1/2 level set with its band, as a table; NotFoundError until the job has drawn it."""
        return run(self._http, self._calls.boundary(job, form))

    def diagram(self, job: JobRef, *, boundaries: bool = True) -> dict[str, Any]:
        """The diagram so far as a Vega-Lite source; without boundaries it is there sooner."""
        return run(self._http, self._calls.diagram(job, boundaries))

    def chart(self, job: JobRef, *, boundaries: bool = True) -> Any:
        """The diagram so far as an altair chart, which a notebook shows; `result_frames.altair_chart` says how."""
        return altair_chart(self.diagram(job, boundaries=boundaries))

    def difference(self, job: JobRef, other: JobRef) -> dict[str, Any]:
        """What differs between the diagrams, `other` less `job`; ConflictError where they have no plane in common."""
        return run(self._http, self._calls.difference(job, other))

    def artifacts(self, job: JobRef) -> list[dict[str, Any]]:
        """The files of a job: name, bytes, sha256, media_type."""
        return run(self._http, self._calls.artifacts(job))

    def download(self, job: JobRef, folder: str | Path, names: str | Iterable[str] | None = None) -> list[Path]:
        """Download a job's artifacts (all of them, or those named) into a folder; returns the files.

        A download that broke off goes on where it was; files that are there already are left alone. Raises ValueError
        for a name that the job has no artifact of, ChecksumError, ServiceError, UnreachableError and OSError.
        """
        return run(self._http, self._calls.download(job, folder, names))


class AsyncClient:
    """`Client` for programs with an event loop: the same calls, awaited; `jobs` and `events` by `async for`."""

    def __init__(
        self,
        url: str = LOCAL_URL,
        token: str | None = None,
        *,
        patience: float = 10.0,
        timeout: float = 60.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Connect to nothing yet; the arguments are those of `Client`."""
        self._http = httpx.AsyncClient(
            **connection_options(url, token),
            timeout=httpx.Timeout(timeout, connect=CONNECT_SECONDS),
            transport=transport,
            follow_redirects=False,  # a redirect would carry the job elsewhere
        )
        self._calls = Calls(str(self._http.base_url), patience)

    async def __aenter__(self) -> Self:
        """Use the client in a `async with` statement."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def submit(self, spec: Spec, idempotency_key: str | None = None, *, priority: int = 0) -> Job:
        """Queue a job and return it; the same key gives the same job, and no key a new one.

        Without a key one is made up, so that a request which is sent again makes no second job.
        """
        return await run_async(self._http, self._calls.submit(spec, idempotency_key, priority))

    async def plan(self, spec: Spec) -> dict[str, Any]:
        """What a job would cost."""
        return await run_async(self._http, self._calls.plan(spec))

    async def get(self, job: JobRef) -> Job:
        """A job as it is now."""
        return await run_async(self._http, self._calls.get(job))

    async def jobs(
        self, status: str | None = None, name: str | None = None, limit: int | None = None
    ) -> AsyncIterator[Job]:
        """Jobs, newest first, page after page; `limit` is the most of them."""
        cursor: str | None = None
        left = limit
        while left is None or left > 0:
            answer = await run_async(self._http, self._calls.page(cursor, left, status=status, name=name))
            for job in answer["items"]:
                yield job
            left = None if left is None else left - len(answer["items"])
            cursor = answer["next_cursor"]
            if cursor is None:
                return

    async def cancel(self, job: JobRef) -> Job:
        """Ask for a job's end; what is finished is kept."""
        return await run_async(self._http, self._calls.act(job, "cancel"))

    async def resume(self, job: JobRef) -> Job:
        """Queue a failed or cancelled job again."""
        return await run_async(self._http, self._calls.act(job, "resume"))

    async def delete(self, job: JobRef) -> None:
        """Remove an ended job and its files."""
        await run_async(self._http, self._calls.delete(job))

    async def events(
        self, job: JobRef, last_event_id: str | None = None, *, patience: float = LONG_PATIENCE
    ) -> AsyncIterator[StreamEvent]:
        """What happens to a job, from its beginning (or after an event) to its end, without gap or repeat.

        A stream that breaks off is taken up again; UnreachableError after `patience` seconds without the service.
        """
        following = self._calls.follow(job, last_event_id, patience)
        while True:
            broken: Exception = httpx.ReadError(BROKE_OFF)
            try:
                async with self._http.stream(**following.request()) as response:
                    if not response.is_success:
                        await response.aread()
                        refuse(response)
                    async for chunk in response.aiter_bytes():
                        for event in following.read(chunk):
                            yield event
                            if following.is_last(event):
                                return
            except (httpx.TransportError, ServiceError) as error:
                broken = error
            await asyncio.sleep(following.pause(broken).seconds)

    async def wait(self, job: JobRef, timeout: float | None = None, *, progress: bool | None = None) -> Job:
        """Wait until a job has ended, and return it; raises TimeoutError after `timeout` seconds.

        `progress` says whether a bar is shown: by default in a terminal and in a notebook, and nowhere else. A service
        that restarts meanwhile is waited for.
        """
        with open_bar(progress) as bar:
            return await run_async(self._http, self._calls.wait(job, timeout, bar))

    async def conditions(self, job: JobRef, form: Form = "arrow") -> Any:
        """The diagram's rows so far, one per condition: a table of pyarrow, pandas or polars."""
        return await run_async(self._http, self._calls.conditions(job, form))

    async def trials(
        self, job: JobRef, form: Form = "arrow", *, columns: Iterable[str] = (), **where: Unpack[TrialFilter]
    ) -> Any:
        """The trials finished so far, those that `where` picks (seed=0, activation=["topk:1", "relu"]), as a table.

        `columns` are those of trials.parquet, all of them by default.
        """
        return await run_async(self._http, self._calls.trials(job, form, columns, where))

    async def boundary(self, job: JobRef, form: Form = "arrow") -> Any:
        """The P = 1/2 level set with its band, as a table; NotFoundError until the job has drawn it."""
        return await run_async(self._http, self._calls.boundary(job, form))

    async def diagram(self, job: JobRef, *, boundaries: bool = True) -> dict[str, Any]:
        """The diagram so far as a Vega-Lite source; without boundaries it is there sooner."""
        return await run_async(self._http, self._calls.diagram(job, boundaries))

    async def chart(self, job: JobRef, *, boundaries: bool = True) -> Any:
        """The diagram so far as an altair chart, which a notebook shows; `result_frames.altair_chart` says how."""
        return altair_chart(await self.diagram(job, boundaries=boundaries))

    async def difference(self, job: JobRef, other: JobRef) -> dict[str, Any]:
        """What differs between the diagrams, `other` less `job`; ConflictError where they have no plane in common."""
        return await run_async(self._http, self._calls.difference(job, other))

    async def artifacts(self, job: JobRef) -> list[dict[str, Any]]:
        """The files of a job: name, bytes, sha256, media_type."""
        return await run_async(self._http, self._calls.artifacts(job))

    async def download(self, job: JobRef, folder: str | Path, names: str | Iterable[str] | None = None) -> list[Path]:
        """Download a job's artifacts (all of them, or those named) into a folder; returns the files.

        A download that broke off goes on where it was; files that are there already are left alone. Raises ValueError
        for a name that the job has no artifact of, ChecksumError, ServiceError, UnreachableError and OSError.
        """
        return await run_async(self._http, self._calls.download(job, folder, names))
