"""The client of an event loop makes the same calls as the blocking one, and the same decisions."""

import asyncio
import inspect
import os
import signal
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.client import AsyncClient, Client, InvalidSpecError, NotFoundError, UnreachableError
from tests.service.running import SPEC, FakeWorker, Running, until
from tests.service.test_client import Cutting, finished_job
from tests.service.test_operations import serving


def test_both_clients_have_the_same_calls_with_the_same_arguments() -> None:
    def calls(kind: type) -> dict[str, list[str]]:
        methods = inspect.getmembers(kind, inspect.isfunction)
        return {name: list(inspect.signature(method).parameters) for name, method in methods if name[0] != "_"}

    assert calls(Client) == calls(AsyncClient)


class AsyncCutting(httpx.AsyncBaseTransport):
    """`Cutting` for an event loop."""

    def __init__(self, path: str, limit: int, times: int) -> None:
        self.cutting = Cutting(path, limit, times)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = await asyncio.to_thread(self.cutting.handle_request, request)
        return httpx.Response(answer.status_code, headers=answer.headers, stream=_Pieces(answer.stream))


class _Pieces(httpx.AsyncByteStream):
    def __init__(self, stream: Any) -> None:
        self._stream = stream

    async def __aiter__(self) -> Any:
        for piece in self._stream:
            yield piece


def test_a_job_is_followed_read_and_downloaded_over_broken_streams(local: Running, tmp_path: Path) -> None:
    job_id = finished_job(local)

    async def use() -> None:
        cutting = AsyncCutting("/events", 300, times=8)
        async with AsyncClient(local.url, transport=cutting) as client:
            events = [event async for event in client.events(job_id)]
            assert len(cutting.cutting.seen) > 2, "the stream was taken up again"
            assert [int(event.id) for event in events[:-1]] == list(range(1, len(events)))
            assert events[-1].type == "end"
        cutting = AsyncCutting("/artifacts/trials.parquet", 4000, times=2)
        async with AsyncClient(local.url, transport=cutting) as client:
            job = await client.wait(job_id)
            files = await client.download(job, tmp_path)
            listed = await client.artifacts(job)
            assert [file.stat().st_size for file in files] == [item["bytes"] for item in listed]
            ranges = [request.headers.get("Range") for request in cutting.cutting.seen]
            assert ranges == [None, "bytes=4000-", "bytes=8000-"]
            conditions, trials = await asyncio.gather(client.conditions(job, "pandas"), client.trials(job, seed=0))
            assert len(conditions) == 4
            assert trials.num_rows == 8
            assert (await client.diagram(job, boundaries=False))["datasets"]["panels"]

    asyncio.run(use())


def test_jobs_are_listed_and_refusals_typed(local: Running) -> None:
    async def use() -> None:
        async with AsyncClient(local.url) as client:
            made = [await client.submit({**SPEC, "name": "async paged"}) for _ in range(3)]
            found = [job["id"] async for job in client.jobs(name="async paged", limit=2)]
            assert found == [job["id"] for job in made[:0:-1]]
            for job in made:
                await client.cancel(job)
                await client.delete(job)
            with pytest.raises(NotFoundError):
                await client.get(made[0])
            with pytest.raises(InvalidSpecError) as caught:
                await client.submit({"data": {"n_features": 8}, "grid": {}})
            assert "data.n_inputs" in caught.value.keys
        async with AsyncClient("http://127.0.0.1:9", patience=0.3) as client:
            with pytest.raises(UnreachableError):
                await client.get("0" * 16)

    asyncio.run(use())


def test_a_wait_can_be_given_up_while_others_go_on(local: Running) -> None:
    async def use() -> None:
        async with AsyncClient(local.url) as client:
            job = await client.submit({**SPEC, "name": "given up"})
            waiting = asyncio.create_task(client.wait(job))
            await asyncio.sleep(0.3)
            assert (await client.get(job))["status"] == "queued", "the loop is free while a job is waited for"
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            with pytest.raises(TimeoutError, match="is queued"):
                await client.wait(job, timeout=0.1)
            await client.cancel(job)

    asyncio.run(use())


@pytest.mark.long
def test_waiting_and_following_survive_a_killed_service(tmp_path: Path) -> None:
    """Real `saephase serve`, killed with -9 while both clients wait, and started again at the same address."""
    with serving(tmp_path) as (process, url):
        until(lambda: _ready(url))
        with Client(url) as client:
            job = client.submit({**SPEC, "name": "restarted"})
        port = url.rpartition(":")[2]

        async def use() -> None:
            async with AsyncClient(url) as client:
                told = asyncio.create_task(_events(client, job["id"]))
                awaited = asyncio.create_task(client.wait(job))
                blocking = asyncio.create_task(asyncio.to_thread(_wait, url, job["id"]))
                await asyncio.sleep(0.5)
                os.kill(process.pid, signal.SIGKILL)
                await asyncio.to_thread(process.wait)
                await asyncio.sleep(0.5)
                assert not told.done()
                assert not awaited.done()
                assert not blocking.done()
                await asyncio.to_thread(_serve_and_finish, tmp_path, port, (told, awaited, blocking))
                assert (await awaited)["status"] == "succeeded"
                assert (await blocking)["status"] == "succeeded"
                events = await told
                assert [int(event.id) for event in events[:-1]] == list(range(1, len(events)))
                assert events[-1].type == "end"

        asyncio.run(use())


async def _events(client: AsyncClient, job_id: str) -> list[Any]:
    return [event async for event in client.events(job_id)]


def _wait(url: str, job_id: str) -> dict[str, Any]:
    with Client(url) as client:
        return client.wait(job_id)


def _ready(url: str) -> bool:
    try:
        return httpx.get(url + "/readyz").status_code == 200
    except httpx.TransportError:
        return False


def _serve_and_finish(folder: Path, port: str, waiting: tuple[asyncio.Task[Any], ...]) -> None:
    with serving(folder, SAEPHASE_PORT=port) as (_, url), httpx.Client(base_url=url, timeout=30) as http:
        until(lambda: _ready(url))
        FakeWorker(http).run()
        until(lambda: all(task.done() for task in waiting), 60)
