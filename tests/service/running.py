"""A real service on a real port for the tests, and a worker that speaks the lease protocol without training."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import uvicorn

from phase_diagrams.conditions import condition_table
from phase_diagrams.folder import merge_packs, open_folder, table_bytes, write_pack
from phase_diagrams.spec import parse_spec, spec_json
from phase_diagrams.trial import grid_trials, trial_namer
from service.app import create_app
from service.server import ProblemProtocol
from service.settings import Settings
from service.state import Service
from tests.phase_diagrams.synthetic_trials import synthetic_trials

SPEC: dict[str, Any] = {
    "name": "small",
    "data": {"n_features": 8, "n_inputs": 4},
    "grid": {"sparsity": [0.5, 0.9], "hidden_dim": [8, 16], "activation": ["topk:1"], "seeds": 2},
}
"""A spec of 16 trials."""


@dataclass
class Running:
    """A service under test."""

    url: str
    settings: Settings
    service: Service

    def client(self, token: str | None = None, **options: Any) -> httpx.Client:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=30, **options)


@contextmanager
def running(settings: Settings, wait_ready: bool = True) -> Iterator[Running]:
    """Serve in a thread; stopped as a signal would stop it."""
    app = create_app(settings)
    config = uvicorn.Config(
        app, http=ProblemProtocol, port=0, log_config=None, timeout_graceful_shutdown=5, access_log=False
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until(lambda: server.started or not thread.is_alive())
    assert server.started
    port = server.servers[0].sockets[0].getsockname()[1]
    found = Running(f"http://127.0.0.1:{port}", settings, app.state.service)
    try:
        if wait_ready:
            until(lambda: httpx.get(found.url + "/readyz").status_code == 200)
        yield found
    finally:
        app.state.service.drain()
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive()


def until(true: Any, seconds: float = 30.0) -> None:
    """Wait for something to become true."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.02)


class FakeWorker:
    """Leases jobs and writes made-up rows where a real worker would train."""

    def __init__(self, client: httpx.Client, name: str = "fake") -> None:
        self.client, self.name = client, name
        self.lease: dict[str, Any] = {}

    def take(self) -> dict[str, Any] | None:
        answer = self.client.post("/v1/leases", json={"worker": self.name})
        if answer.status_code == 204:
            return None
        assert answer.status_code == 200, answer.text
        self.lease = answer.json()
        return self.lease

    def say(self, act: str, body: dict[str, Any]) -> httpx.Response:
        return self.client.post(f"/v1/leases/{self.lease['lease_id']}/{act}", json=body)

    def progress(self, done: int, reused: int = 0) -> dict[str, Any]:
        total = parse_spec(self.lease["spec"]).n_trials
        return {"trials_done": done, "trials_total": total, "trials_reused": reused, "seconds": 1.0, "eta_seconds": 2.0}

    def write_rows(self, share: float = 1.0, pack: str = "all") -> int:
        """Write made-up rows of a share of the trials, and say how many."""
        spec = parse_spec(self.lease["spec"])
        rows = synthetic_trials(spec)
        rows = rows.slice(0, round(share * rows.num_rows))
        folder = open_folder(self.lease["folder"])
        folder.write("spec.json", spec_json(spec).encode())
        write_pack(folder, pack, rows)
        return int(rows.num_rows)

    def merge(self) -> None:
        """Write trials.parquet and conditions.parquet as the end of a run does."""
        spec = parse_spec(self.lease["spec"])
        folder = open_folder(self.lease["folder"])
        name = trial_namer(spec)
        rows = merge_packs(folder, [name(trial) for trial in grid_trials(spec)])
        folder.write("conditions.parquet", table_bytes(condition_table(spec, rows)))

    def run(self) -> str:
        """Take a job and finish it; its id."""
        lease = self.take()
        assert lease is not None
        self.finish_job()
        return str(lease["job_id"])

    def finish_job(self) -> None:
        """Finish the job that was taken."""
        done = self.write_rows()
        assert self.say("heartbeat", {"progress": self.progress(done)}).status_code == 200
        self.merge()
        assert self.say("finish", {"status": "succeeded", "progress": self.progress(done)}).status_code == 204


def submit(client: httpx.Client, spec: dict[str, Any] | None = None, **headers: str) -> dict[str, Any]:
    answer = client.post("/v1/jobs", json=spec or SPEC, headers=headers)
    assert answer.status_code == 202, answer.text
    return dict(answer.json())


def read_stream(client: httpx.Client, job_id: str, after: int | None = None) -> Iterator[tuple[str, str, str]]:
    """The events of a stream as (id, type, data) until it ends; comments are of type ':'."""
    headers = {} if after is None else {"Last-Event-ID": str(after)}
    with client.stream("GET", f"/v1/jobs/{job_id}/events", headers=headers) as answer:
        assert answer.status_code == 200, answer.read()
        event: dict[str, str] = {}
        for line in answer.iter_lines():
            if line.startswith(":"):
                yield "", ":", line
            elif line:
                name, _, value = line.partition(": ")
                event[name] = value
            elif event:
                if "data" in event:
                    yield event.get("id", ""), event.get("event", ""), event["data"]
                event = {}
