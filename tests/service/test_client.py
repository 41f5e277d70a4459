"""The client: what may pass is tried again and does nothing twice, what may not is a typed error."""

import hashlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

import altair
import httpx
import pytest

from phase_diagrams.spec import parse_spec
from phase_diagrams.tables import TRIALS
from service.client import (
    AccessError,
    ChecksumError,
    Client,
    ConflictError,
    InvalidSpecError,
    LimitError,
    NotFoundError,
    ServiceError,
    UnreachableError,
)
from service.refusal import retry_after
from tests.service.running import SPEC, FakeWorker, Running

Handler = Callable[[httpx.Request], httpx.Response]
JOB = {"id": "0" * 16, "status": "queued"}


def scripted(*answers: httpx.Response | Exception, **options: Any) -> tuple[Client, list[httpx.Request]]:
    """A client whose requests are answered in turn, and the requests."""
    seen: list[httpx.Request] = []
    left = iter(answers)

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        answer = next(left)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return Client("http://service", transport=httpx.MockTransport(handle), **options), seen


def away(seconds: float = 0) -> httpx.Response:
    return httpx.Response(503, headers={"Retry-After": str(seconds)}, json={"title": "Away", "detail": "later"})


def test_a_submission_that_is_sent_again_carries_the_same_key_and_the_token() -> None:
    client, seen = scripted(
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("slow"),
        away(),
        httpx.Response(502),
        httpx.Response(202, json=JOB),
    )
    assert client.submit(SPEC) == JOB
    keys = [request.headers["Idempotency-Key"] for request in seen]
    assert len(seen) == 5
    assert len(set(keys)) == 1
    other, later = scripted(httpx.Response(202, json=JOB), token="sae_x")
    other.submit(parse_spec(SPEC), priority=3)
    assert later[0].headers["Idempotency-Key"] != keys[0]
    assert later[0].headers["Authorization"] == "Bearer sae_x"
    assert later[0].url.params["priority"] == "3"
    assert json.loads(later[0].content)["training"]["steps"] == 1500, "a JobSpec goes with every default"


def test_the_line_end_of_a_tokens_file_is_no_part_of_it() -> None:
    client, seen = scripted(httpx.Response(200, json=JOB), token="sae_abc\n")
    client.get("0" * 16)
    assert seen[0].headers["Authorization"] == "Bearer sae_abc"


@pytest.mark.parametrize("token", ["sae_a b", "sae_\u00fc", "sae_a\nb"])
def test_what_can_be_no_token_is_refused_at_once_and_not_repeated(token: str) -> None:
    with pytest.raises(ValueError, match="saephase token create") as refused:
        scripted(token=token)
    assert token not in str(refused.value)


@pytest.mark.parametrize("spec", ["job.yaml", None, ["grid"]])
def test_a_spec_that_is_none_says_how_a_file_becomes_one(spec: Any) -> None:
    client, seen = scripted()
    with pytest.raises(TypeError, match=rf"not {type(spec).__name__}; .*read_spec"):
        client.submit(spec)
    assert not seen


def test_patience_ends_with_what_was_wrong() -> None:
    client, _ = scripted(*[httpx.ConnectError("connection refused")] * 9, patience=0.3)
    with pytest.raises(UnreachableError, match=r"http://service.*cannot be reached: connection refused"):
        client.get("0" * 16)
    client, seen = scripted(away(60), patience=1)
    began = time.monotonic()
    with pytest.raises(ServiceError, match="later") as caught:
        client.get("0" * 16)
    assert caught.value.status == 503
    assert len(seen) == 1, "a wait beyond one's patience is not begun"
    assert time.monotonic() - began < 1


def test_refusals_are_typed_and_not_sent_again() -> None:
    problem = {"title": "Unprocessable Entity", "detail": "x: no", "errors": [{"key": "x", "message": "no"}]}
    client, seen = scripted(httpx.Response(422, json=problem), httpx.Response(500, html="<p>oops"))
    with pytest.raises(ServiceError, match="Unprocessable Entity: x: no") as caught:
        client.submit(SPEC)
    assert (caught.value.status, caught.value.errors) == (422, ({"key": "x", "message": "no"},))
    with pytest.raises(ServiceError, match="500 Internal Server Error"):
        client.get("0" * 16)
    assert len(seen) == 2


@pytest.mark.parametrize(
    "answer", [httpx.Response(200, html="<p>a proxy"), httpx.Response(302, headers={"Location": "/"})]
)
def test_a_server_that_is_no_service_is_told_so(answer: httpx.Response) -> None:
    client, _ = scripted(answer)
    with pytest.raises(ServiceError, match=r"Not the answer of a saephase service|302"):
        client.get("0" * 16)


def test_a_deletion_whose_answer_was_lost_has_still_deleted() -> None:
    client, _ = scripted(httpx.ReadError("cut"), httpx.Response(404, json={"title": "Not Found"}))
    client.delete("0" * 16)
    client, _ = scripted(httpx.Response(404, json={"title": "Not Found"}))
    with pytest.raises(ServiceError):
        client.delete("0" * 16)


@pytest.mark.parametrize("job_id", ["", "..", "a/b", "%2e", "a?b", "ä", "a b"])
def test_only_ids_become_paths(job_id: str) -> None:
    client, seen = scripted()
    with pytest.raises(ValueError, match="is not a job id"):
        client.get(job_id)
    assert not seen


def test_retry_after_is_seconds_or_a_date() -> None:
    assert retry_after({"retry-after": "7"}) == 7
    assert retry_after({"retry-after": formatdate(time.time() + 30, usegmt=True)}) == pytest.approx(30, abs=2)
    assert retry_after({"retry-after": "soon"}) is None
    assert retry_after({}) is None


def test_jobs_are_listed_page_after_page(local: Running) -> None:
    with Client(local.url) as client:
        ids = [client.submit({**SPEC, "name": "paged"})["id"] for _ in range(5)]
        assert [job["id"] for job in client.jobs(name="paged")] == ids[::-1]
        assert [job["id"] for job in client.jobs(name="paged", limit=3)] == ids[:1:-1]
        assert [job["id"] for job in client.jobs(name="paged", status="queued", limit=1)] == [ids[-1]]
        for job_id in ids:
            assert client.cancel(job_id)["status"] == "cancelled"
        assert list(client.jobs(name="paged", status="queued")) == []
        assert client.resume(ids[0])["status"] == "queued"
        assert client.cancel(ids[0])["status"] == "cancelled"
        client.delete(ids[0])
        with pytest.raises(ServiceError) as caught:
            client.get(ids[0])
        assert caught.value.status == 404
        assert client.plan(SPEC)["trainings"] == 16


def test_the_same_key_is_the_same_job(local: Running) -> None:
    with Client(local.url) as client:
        first = client.submit(SPEC, "a key")
        assert client.submit(SPEC, "a key") == first
        client.cancel(first["id"])


def finished_job(local: Running) -> str:
    with local.client() as http:
        job_id = str(http.post("/v1/jobs", json={**SPEC, "name": "done"}, params={"priority": 9}).json()["id"])
        assert FakeWorker(http).run() == job_id
    return job_id


class Cutting(httpx.BaseTransport):
    """A way to the service on which every answer to some paths breaks off after a number of bytes."""

    def __init__(self, path: str, limit: int, times: int) -> None:
        self.path, self.limit, self.times = path, limit, times
        self.seen: list[httpx.Request] = []
        self._way = httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = self._way.handle_request(request)
        if self.path not in request.url.path:
            return answer
        self.seen.append(request)
        if self.times <= 0:
            return answer
        self.times -= 1
        return httpx.Response(answer.status_code, headers=answer.headers, stream=_Cut(answer, self.limit))


class _Cut(httpx.SyncByteStream):
    def __init__(self, answer: httpx.Response, limit: int) -> None:
        self._answer, self._limit = answer, limit

    def __iter__(self) -> Iterator[bytes]:
        left = self._limit
        for chunk in self._answer.iter_raw():
            yield chunk[:left]
            left -= len(chunk)
            if left <= 0:
                break
        self._answer.close()
        raise httpx.ReadError("cut")


def test_events_come_once_each_over_a_stream_that_keeps_breaking(local: Running) -> None:
    job_id = finished_job(local)
    cutting = Cutting("/events", 300, times=8)
    with Client(local.url, transport=cutting) as client:
        events = list(client.events(job_id))
    assert len(cutting.seen) > 2, "the stream was taken up again"
    assert [int(event.id) for event in events[:-1]] == list(range(1, len(events)))
    assert [event.data["status"] for event in events if event.type == "status"] == ["queued", "running", "succeeded"]
    assert events[-1].type == "end"
    with Client(local.url) as client:
        assert [event.id for event in client.events(job_id, "2")] == [event.id for event in events[2:]]


def test_waiting_ends_with_the_job(local: Running) -> None:
    with Client(local.url) as client, local.client() as http:
        job = client.submit({**SPEC, "name": "awaited"}, priority=10)
        with pytest.raises(TimeoutError, match=r"is queued after 0\.2 seconds"):
            client.wait(job["id"], timeout=0.2)
        worker = threading.Timer(0.3, FakeWorker(http).run)
        worker.start()
        assert client.wait(job["id"], timeout=20)["status"] == "succeeded"
        worker.join()


def test_a_download_goes_on_where_it_broke_off(local: Running, tmp_path: Path) -> None:
    job_id = finished_job(local)
    cutting = Cutting("/artifacts/trials.parquet", 4000, times=2)
    with Client(local.url, transport=cutting) as client:
        listed = {item["name"]: item for item in client.artifacts(job_id)}
        files = client.download(job_id, tmp_path / "out")
        assert [file.name for file in files] == list(listed)
        for file in files:
            assert hashlib.sha256(file.read_bytes()).hexdigest() == listed[file.name]["sha256"]
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(listed), "no parts are left"
        ranges = [request.headers.get("Range") for request in cutting.seen]
        assert ranges == [None, "bytes=4000-", "bytes=8000-"]
        # What is there is not fetched again; what differs is.
        (tmp_path / "out" / "conditions.parquet").write_bytes(b"other")
        count = len(cutting.seen)
        client.download(job_id, tmp_path / "out")
        assert len(cutting.seen) == count
        assert len((tmp_path / "out" / "conditions.parquet").read_bytes()) == listed["conditions.parquet"]["bytes"]


def test_a_part_of_another_process_is_used_and_a_damaged_one_is_not(local: Running, tmp_path: Path) -> None:
    job_id = finished_job(local)
    cutting = Cutting("/artifacts/trials.parquet", 0, times=0)
    with Client(local.url, transport=cutting) as client:
        whole = client.download(job_id, tmp_path / "one", "trials.parquet")[0].read_bytes()
        part = f".part-{hashlib.sha256(whole).hexdigest()[:32]}"
        for name, content in (("two", whole[:1000]), ("three", b"x" * 1000), ("four", whole + b"x"), ("five", whole)):
            (tmp_path / name).mkdir()
            (tmp_path / name / part).write_bytes(content)
            found = client.download(job_id, tmp_path / name, ["trials.parquet"])
            assert found[0].read_bytes() == whole
            assert [path.name for path in (tmp_path / name).iterdir()] == ["trials.parquet"]
    ranges = [request.headers.get("Range") for request in cutting.seen]
    assert ranges == [None, "bytes=1000-", "bytes=1000-", None, None]


def test_a_name_that_is_not_there_is_told_with_those_that_are(local: Running, tmp_path: Path) -> None:
    with (
        Client(local.url) as client,
        pytest.raises(ValueError, match=r"no artifact 'x.png'; it has: spec.json, trials"),
    ):
        client.download(finished_job(local), tmp_path, ["x.png"])


def listing(name: str, content: bytes) -> httpx.Response:
    digest = hashlib.sha256(content).hexdigest()
    item = {"name": name, "bytes": len(content), "sha256": digest, "media_type": "text/plain"}
    return httpx.Response(200, json={"items": [item], "next_cursor": None})


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/b", "a\\b", "..", ".part-x", "", "a\0b", "-rf", "CON:"])
def test_a_service_cannot_choose_where_files_go(name: str, tmp_path: Path) -> None:
    client, seen = scripted(listing(name, b"x"))
    with pytest.raises(ValueError, match="cannot be one"):
        client.download("0" * 16, tmp_path)
    assert len(seen) == 1
    assert list(tmp_path.iterdir()) == []


def test_content_that_does_not_match_its_checksum_never_becomes_a_file(tmp_path: Path) -> None:
    answers = [listing("a.txt", b"right"), httpx.Response(200, content=b"wrong")] * 5
    client, _ = scripted(*answers)
    with pytest.raises(ChecksumError, match="SHA-256 differs"):
        client.download("0" * 16, tmp_path)
    assert list(tmp_path.iterdir()) == []
    client, _ = scripted(*answers[:2], listing("a.txt", b"wrong"), httpx.Response(200, content=b"wrong"))
    assert client.download("0" * 16, tmp_path)[0].read_bytes() == b"wrong", "it was drawn anew in between"


REFUSALS = [
    (422, "urn:saephase:spec", InvalidSpecError),
    (422, "urn:saephase:idempotency-key", ConflictError),
    (401, "urn:saephase:token", AccessError),
    (403, "urn:saephase:role", AccessError),
    (404, "urn:saephase:no-job", NotFoundError),
    (409, "urn:saephase:job-ended", ConflictError),
    (413, "urn:saephase:body-size", LimitError),
    (429, "urn:saephase:queue-full", LimitError),
    (500, "about:blank", ServiceError),
]


@pytest.mark.parametrize(("status", "kind", "error"), REFUSALS)
def test_each_refusal_has_its_class(status: int, kind: str, error: type[ServiceError]) -> None:
    problem = {"type": kind, "title": "No", "detail": "so", "errors": [{"key": "grid.seeds", "message": "no"}]}
    client, _ = scripted(httpx.Response(status, json=problem, headers={"Retry-After": "60"}))
    with pytest.raises(ServiceError) as caught:
        client.get("0" * 16)
    assert type(caught.value) is error
    assert caught.value.keys == ("grid.seeds",)
    assert caught.value.kind == kind.partition("urn:saephase:")[2]
    assert caught.value.retry_seconds == 60


def test_a_running_service_refuses_by_these_classes(local: Running) -> None:
    with Client(local.url) as client:
        with pytest.raises(InvalidSpecError, match="hidden_dim") as caught:
            client.submit({**SPEC, "grid": {**SPEC["grid"], "hidden_dim": [0]}})
        assert any("hidden_dim" in key for key in caught.value.keys)
        job = client.submit(SPEC, "one key")
        with pytest.raises(ConflictError, match="one key"):
            client.submit({**SPEC, "name": "another"}, "one key")
        with pytest.raises(ConflictError):
            client.delete(job)
        with pytest.raises(InvalidSpecError, match="start"):
            client.trials(job, start="middle")
        with pytest.raises(TypeError, match="'sparstiy' is no filter"):
            client.trials(job, sparstiy=0.5)  # type: ignore[call-arg]
        client.cancel(job)


def test_tables_come_as_arrow_pandas_and_polars_while_the_job_runs_too(local: Running) -> None:
    with Client(local.url) as client, local.client() as http:
        job = client.submit({**SPEC, "name": "tables"}, priority=20)
        worker = FakeWorker(http)
        assert worker.take() is not None
        worker.write_rows(0.5, "first")
        assert client.trials(job).num_rows == 8
        assert client.conditions(job).num_rows == 2
        assert client.diagram(job, boundaries=False)["datasets"]["panels"], "a running job has a diagram"
        with pytest.raises(NotFoundError):
            client.boundary(job)
        worker.finish_job()
        trials = client.trials(job)
        assert trials.schema.equals(TRIALS)
        assert sorted(trials["trial_id"].to_pylist()) == sorted(client.trials(job, "pandas")["trial_id"])
        picked = client.trials(job, "polars", columns=["mcc"], hidden_dim=[8], start="truth")
        assert picked.shape == (4, 2)
        assert picked.columns == ["trial_id", "mcc"]
        for form in ("pandas", "polars"):
            assert client.conditions(job, form)["p_identified"].to_list() == [
                row["p_identified"] for row in client.conditions(job).to_pylist()
            ]
        with pytest.raises(ValueError, match="allowed: arrow, pandas, polars"):
            client.conditions(job, "csv")  # type: ignore[arg-type]


@pytest.mark.long
def test_a_chart_is_altairs_own_and_is_drawn_without_a_network(local: Running) -> None:
    with Client(local.url) as client:
        job = client.submit({**SPEC, "name": "chart"}, priority=30)
        with local.client() as http:
            worker = FakeWorker(http)
            assert worker.take() is not None
            worker.write_rows(0.5, "first")
            chart = client.chart(job, boundaries=False)
            source = http.get(f"/v1/jobs/{job['id']}/diagram", params={"boundaries": "false"}).json()
            worker.finish_job()
    assert chart.to_dict() == source
    assert isinstance(chart, altair.TopLevelMixin), "of a job that still ran"
    for renderer, media_type in (("mimetype", "application/vnd.vegalite.v6.json"), ("svg", "image/svg+xml")):
        with altair.renderers.enable(renderer):
            bundle = chart._repr_mimebundle_(None, None)
        content = bundle[0] if isinstance(bundle, tuple) else bundle
        assert media_type in content


def test_a_difference_is_asked_for_by_both_ids() -> None:
    client, seen = scripted(httpx.Response(200, json={"cells": []}))
    assert client.difference({"id": "0" * 16}, "1" * 16) == {"cells": []}
    assert seen[0].url.path == f"/v1/jobs/{'0' * 16}/diff/{'1' * 16}"


def test_the_client_needs_nothing_of_the_server() -> None:
    heavy = ["fastapi", "starlette", "uvicorn", "sqlalchemy", "alembic", "torch", "ray", "numba", "optuna", "altair"]
    heavy += ["pandas", "polars", "IPython"]
    code = f"import sys, service.client; print([name for name in {heavy} if name in sys.modules])"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert told.strip() == "[]"
