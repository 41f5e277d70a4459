"""A cluster of our own on real Ray: what it starts with, and which process an actor of Tune's becomes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from workers.arrival import ARRIVALS
from workers.head_start import IDLE, PRELOAD, WATCHERS, import_ahead, without_watchers
from workers.ray_driver import _most_become_actors

ROOT = Path(__file__).parents[2]
PROGRAM = """
import json, os, sys, tempfile, time
from workers.cluster import open_cluster, thread_variables
from workers.arrival import ARRIVALS
from workers.head_start import await_started_workers, reuse_started_workers
from ray import tune
from ray.util import placement_group, remove_placement_group
import psutil

class Probe(tune.Trainable):
    def step(self):
        return {"done": True, "pid": os.getpid(), "threads": os.environ["OMP_NUM_THREADS"],
                "ahead": "tabnanny" in sys.modules}

def processes():
    return {one.pid: " ".join(one.cmdline()) for one in psutil.Process().children(recursive=True)}

with tempfile.TemporaryDirectory() as scratch:
    with open_cluster("local", scratch, thread_variables(1), 1000, cpus=1, ahead=("tabnanny",)):
        before = processes()
        reuse_started_workers()
        await_started_workers(1)
        # As slow as a busy machine: a placement group of Tune's holds the CPU for seconds before its actor comes.
        reserved = placement_group([{"CPU": 1}])
        time.sleep(3.0)
        remove_placement_group(reserved)
        [result] = tune.Tuner(Probe, run_config=tune.RunConfig(storage_path=scratch, verbose=0)).fit()
        metrics = {name: result.metrics[name] for name in ("pid", "threads", "ahead")}
        print(json.dumps({"before": before, "metrics": metrics}))
"""


def test_an_actor_is_a_worker_that_ray_has_started_ahead_and_nothing_watches() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    before = {int(pid): command for pid, command in found["before"].items()}
    assert any("raylet" in command for command in before.values())
    assert found["metrics"]["pid"] in before, "no other process was started for it"
    assert found["metrics"]["threads"] == "1"
    assert found["metrics"]["ahead"]
    for watcher in ("monitor.py", "log_monitor.py", "dashboard.py"):
        assert not any(f"/{watcher}" in command for command in before.values()), watcher


def test_ray_starts_as_ever_afterwards() -> None:
    from ray._private.node import Node

    known = [getattr(Node, name) for name in WATCHERS]
    with without_watchers():
        assert [getattr(Node, name) for name in WATCHERS] != known
    assert [getattr(Node, name) for name in WATCHERS] == known


def test_what_a_user_has_set_stays(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(PRELOAD, "theirs")
    monkeypatch.setenv(IDLE, "500")
    monkeypatch.setenv(ARRIVALS, "")
    import_ahead(["ours"], str(tmp_path))
    assert os.environ[PRELOAD] == "workers.arrival,theirs"
    assert os.environ[IDLE] == "500"


@pytest.mark.parametrize(
    ("cpus_per_trial", "max_concurrent", "ahead"),
    [(1, None, True), (0.5, None, True), (2, None, True), (4, None, False), (1, 8, True), (1, 2, False)],
)
def test_workers_import_ahead_where_most_of_them_will_train(cpus_per_trial, max_concurrent, ahead, monkeypatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 16)
    resources = {"cpus_per_trial": cpus_per_trial, "max_concurrent": max_concurrent}
    assert _most_become_actors(resources) == ahead
