"""Real workers of a real service: killed, stopped and cancelled, they lose nothing, repeat nothing, leave nothing."""

import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from phase_diagrams.folder import Folder, find_finished, open_folder, read_trials, same_results
from phase_diagrams.spec import parse_spec
from phase_diagrams.trial import grid_trials, trial_namer
from service.client import Client
from service.settings import Settings
from tests.saephase.processes import Running, alive, start_command, wait_for
from tests.saephase.test_kill import ids_in_order, undisturbed
from tests.service.running import Running as Service
from tests.service.running import running
from tests.workers.trainers import CONTROL, Control
from workers.lease_worker import storage_trouble

LEASE = 3.0
GRID = {"sparsity": [0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9], "hidden_dim": [8, 16], "activation": ["topk:1"], "seeds": 2}
SPEC: dict[str, Any] = {"name": "shaken", "data": {"n_features": 8, "n_inputs": 4}, "grid": GRID}
"""56 trials in 14 packs."""


@dataclass
class Lab:
    """A service, its workers, and what the trainings logged."""

    service: Service
    control: Control
    client: Client
    module: str
    """Of the worker: with Ray or without."""
    workers: list[Running] = field(default_factory=list)
    before: frozenset[str] = frozenset()
    begun: int = 0

    def start_worker(self, name: str, *options: str) -> Running:
        worker = start_command(
            "--url",
            self.service.url,
            "--name",
            name,
            *options,
            module=self.module,
            **{CONTROL: str(self.control.folder)},
        )
        self.workers.append(worker)
        return worker

    def folder(self, job_id: str) -> Folder:
        return open_folder(f"{self.service.settings.storage}/jobs/{job_id}")

    def finished(self, job_id: str) -> frozenset[str]:
        return find_finished(self.folder(job_id)).trial_ids

    def until_more_is_finished(self, job_id: str) -> None:
        wait_for(lambda: self.finished(job_id) > self.before, what="for a pack")

    def check(self, job_id: str) -> None:
        """Nothing that was finished is lost, and none of it was begun again."""
        now, lines = self.finished(job_id), self.control.lines("begin")
        assert now >= self.before, "finished trials are lost"
        again = {trial_id for ids in lines[self.begun :] for trial_id in ids} & self.before
        assert not again, "finished trials are trained again"
        self.before, self.begun = now, len(lines)

    def events(self, job_id: str, kind: str) -> list[dict[str, Any]]:
        return [event.data for event in self.client.events(job_id) if event.type == kind]


@pytest.fixture(params=[pytest.param("light", marks=pytest.mark.long), pytest.param("fake", marks=pytest.mark.soak)])
def lab(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Lab]:
    with open_lab(tmp_path, f"tests.workers.{request.param}_worker") as found:
        yield found


@contextmanager
def open_lab(tmp_path: Path, module: str) -> Iterator[Lab]:
    settings = Settings(
        database=f"sqlite:///{tmp_path / 'jobs.sqlite3'}", storage=str(tmp_path), lease_seconds=LEASE, poll_seconds=0.1
    )
    control = Control(tmp_path / "control")
    with running(settings) as service, Client(service.url) as client:
        lab = Lab(service, control, client, module)
        try:
            yield lab
        finally:
            for worker in lab.workers:
                if worker.process.poll() is None:
                    for pid in (worker.process.pid, *worker.started()):
                        os.kill(pid, signal.SIGCONT)
                    worker.process.kill()
                    worker.end()


def one(worker: Running, part: str) -> int:
    """The process of a worker whose command line holds this."""
    return next(pid for pid, line in worker.started().items() if part in line)


def test_a_job_outlives_its_workers(lab: Lab) -> None:
    lab.control.set(seconds=0.1 if "light" in lab.module else 0.3)
    spec = parse_spec(SPEC)
    job_id = lab.client.submit(spec)["id"]

    first = lab.start_worker("first")
    lab.until_more_is_finished(job_id)
    started = first.started()
    began = time.monotonic()
    first.send(signal.SIGTERM)
    code, _, said = first.end(timeout=10)
    assert code == 0, said
    assert time.monotonic() - began < 5
    assert "gave the job back" in said
    assert lab.client.get(job_id)["status"] == "queued"
    wait_for(lambda: not alive(started), 2, f"for the end of {alive(started)}")
    lab.check(job_id)

    second = lab.start_worker("second")
    lab.until_more_is_finished(job_id)
    started = second.started()
    child = one(second, "lease_run")
    os.kill(child, signal.SIGKILL)
    wait_for(lambda: not alive(started), 5, f"for the end of {alive(started)}")
    lab.check(job_id)
    lab.until_more_is_finished(job_id)
    started = second.started()
    second.send(signal.SIGKILL)
    second.end()
    wait_for(lambda: not alive(started), 5, f"for the end of {alive(started)}")
    lab.check(job_id)

    third = lab.start_worker("third")
    lab.until_more_is_finished(job_id)
    # All of it is stopped, as when a machine is suspended; its rows and its words come too late.
    stopped = [third.process.pid, *third.started()]
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    lab.check(job_id)
    fourth = lab.start_worker("fourth")
    assert lab.client.wait(job_id, timeout=200)["status"] == "succeeded"
    lab.check(job_id)
    artifacts, events = lab.client.artifacts(job_id), lab.events(job_id, "status")
    for pid in reversed(stopped):
        os.kill(pid, signal.SIGCONT)
    third_started = third.started()
    time.sleep(2 * LEASE)
    assert not alive(third_started)
    assert lab.client.artifacts(job_id) == artifacts
    assert lab.events(job_id, "status") == events
    third.send(signal.SIGTERM)
    fourth.send(signal.SIGTERM)
    _, _, said = third.end(timeout=10)
    assert "lost the lease" in said
    assert fourth.end(timeout=10)[0] == 0

    rows = read_trials(lab.folder(job_id), ids_in_order(spec))
    assert same_results(rows, undisturbed(spec))
    job = lab.client.get(job_id)
    assert job["progress"]["trials_done"] == spec.n_trials
    assert [event["worker"] for event in events if event["status"] == "running"] == [
        "first",
        "second",
        "third",
        "fourth",
    ]
    warnings = [event["text"] for event in lab.events(job_id, "warning")]
    assert warnings == ["the process that ran it was killed (SIGKILL); the job is started again"]


def test_cancelling_keeps_what_is_finished_and_later_jobs_use_it(lab: Lab) -> None:
    lab.control.set(seconds=0.1 if "light" in lab.module else 0.3)
    spec = parse_spec(SPEC)
    worker = lab.start_worker("only")
    job_id = lab.client.submit(spec)["id"]
    lab.until_more_is_finished(job_id)
    trainings = {pid: line for pid, line in worker.started().items() if "driver" in line or "ray::" in line}
    began = time.monotonic()
    assert lab.client.cancel(job_id)["status"] == "running"
    assert time.monotonic() - began < 1
    wait_for(lambda: not alive(trainings), 10, "for the trainings to stop")
    assert time.monotonic() - began < 10
    job = lab.client.wait(job_id, timeout=60)
    assert job["status"] == "cancelled"
    assert job["error"] is None
    lab.check(job_id)
    names = {item["name"] for item in lab.client.artifacts(job_id)}
    assert {"trials.parquet", "manifest.json"} <= names
    kept = len(lab.before)

    # A larger job of the same kind goes on from it, in a folder of its own.
    lab.control.set()
    larger = parse_spec({**SPEC, "grid": {**GRID, "hidden_dim": [8, 16, 24]}})
    other = lab.client.submit(larger)["id"]
    assert lab.client.wait(other, timeout=200)["status"] == "succeeded"
    assert lab.client.get(other)["progress"]["trials_reused"] == kept
    texts = [event["text"] for event in lab.events(other, "message")]
    assert f"reused {kept}, to run {larger.n_trials - kept}" in texts
    begun = [trial_id for ids in lab.control.lines("begin") for trial_id in ids]
    assert len(begun) == larger.n_trials - kept
    assert not set(begun) & lab.before

    # And the first one, resumed, finds all of its trials in the larger one's folder.
    lab.client.resume(job_id)
    assert lab.client.wait(job_id, timeout=60)["status"] == "succeeded"
    assert len(lab.control.lines("begin")) == len({tuple(ids) for ids in lab.control.lines("begin")})
    assert same_results(read_trials(lab.folder(job_id), ids_in_order(spec)), undisturbed(spec))
    worker.send(signal.SIGINT)
    assert worker.end(timeout=10)[0] == 0


def test_trials_that_always_fail_fail_the_job_and_the_rest_is_drawn(lab: Lab) -> None:
    small = parse_spec({**SPEC, "grid": {**GRID, "sparsity": [0.5, 0.9]}})
    bad = trial_namer(small)(next(grid_trials(small)))
    lab.control.set(fail=[bad])
    worker = lab.start_worker("only")
    job_id = lab.client.submit(small)["id"]
    job = lab.client.wait(job_id, timeout=200)
    assert job["status"] == "failed"
    assert f"1 of {small.n_trials} trials could not be trained" in job["error"]
    assert f"cannot train {bad}" in job["error"]
    names = {item["name"] for item in lab.client.artifacts(job_id)}
    assert {"error.txt", "manifest.json"} <= names
    worker.send(signal.SIGTERM)
    code, _, said = worker.end(timeout=10)
    assert code == 0
    assert all(json.loads(line)["message"] for line in said.splitlines() if line.startswith("{"))


@pytest.mark.long
def test_a_cluster_that_is_away_is_waited_for_and_cancelling_is_not(tmp_path: Path) -> None:
    with open_lab(tmp_path, "tests.workers.light_worker") as lab, socket.socket() as head:
        head.bind(("127.0.0.1", 0))  # and does not listen
        address = f"127.0.0.1:{head.getsockname()[1]}"
        worker = lab.start_worker("patient", "--address", address)
        first, second = (lab.client.submit(parse_spec({**SPEC, "name": name}))["id"] for name in ("first", "second"))
        warning = next(event for event in lab.client.events(first) if event.type == "warning").data["text"]
        assert warning.startswith(f"the Ray cluster is away (no Ray cluster could be joined at {address}: ")
        assert "refused" in warning
        lab.client.cancel(first)
        assert lab.client.wait(first, timeout=30)["status"] == "cancelled"
        assert next(event for event in lab.client.events(second) if event.type == "warning")
        time.sleep(LEASE + 1)
        assert lab.client.get(second)["status"] == "running"
        head.listen()
        assert lab.client.wait(second, timeout=60)["status"] == "succeeded"
        assert len(lab.events(second, "warning")) == 1
        said = [event["text"] for event in lab.events(second, "message")]
        assert said.count("the Ray cluster is there; the job goes on") == 1
        worker.send(signal.SIGTERM)
        assert worker.end(timeout=10)[0] == 0


def test_a_worker_without_a_service_waits_and_stops_at_once() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.settimeout(30)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        worker = start_command("--url", url, module="tests.workers.light_worker")
        for _ in range(2):
            listener.accept()[0].close()
    began = time.monotonic()
    worker.send(signal.SIGTERM)
    code, _, said = worker.end(timeout=10)
    assert code == 0
    assert time.monotonic() - began < 3
    assert "the service does not answer" in said


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    assert storage_trouble(str(tmp_path / "new")) is None
    assert list((tmp_path / "new").iterdir()) == []
    (tmp_path / "file").touch()
    assert "Not a directory" in str(storage_trouble(str(tmp_path / "file" / "job")))
