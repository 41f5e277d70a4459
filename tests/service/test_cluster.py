"""Jobs on Ray clusters of several nodes, over S3 and PostgreSQL, whose nodes and head are killed and come back."""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from benchmarks.ray_nodes import RayCluster, ray_cluster
from phase_diagrams.folder import Folder, find_finished, open_folder, read_trials, same_results
from phase_diagrams.pack import cut_packs
from phase_diagrams.planted import plant_dictionary
from phase_diagrams.spec import JobSpec, parse_spec
from phase_diagrams.trial import grid_trials
from service.client import Client
from tests.saephase.processes import Running, start_command, wait_for
from tests.saephase.test_kill import ids_in_order
from tests.service.conftest import make_settings
from tests.service.object_store import KEYS, object_store
from tests.service.running import Running as Service
from tests.service.running import running
from tests.workers.trainers import CONTROL, Control

SECONDS = 0.4
"""Slept per trial: the nodes share this machine's cores, and a training that sleeps takes nothing from the others."""


def a_spec(number: int = 0, seeds: int = 2) -> JobSpec:
    """28 trials per seed in 7 packs; specs of other numbers share no trial."""
    return parse_spec(
        {
            "name": f"cluster {number}",
            "data": {"n_features": 8, "n_inputs": 4, "superposition": {"kind": "random_unit", "seed": number}},
            "grid": {
                "sparsity": [0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9],
                "hidden_dim": [8, 16],
                "activation": ["topk:1"],
                "seeds": seeds,
            },
            "training": {"steps": 50, "batch_size": 64},
        }
    )


def undisturbed(spec: JobSpec) -> pa.Table:
    """The rows as one process trains them, without a service, Ray or a folder; in the order of the plan."""
    from workers.pack_run import run_pack

    dictionary = plant_dictionary(spec.data)
    rows = pa.concat_tables([run_pack(spec, dictionary, pack, "cpu") for pack in cut_packs(spec, grid_trials(spec))])
    place = {trial_id: index for index, trial_id in enumerate(rows["trial_id"].to_pylist())}
    return rows.take([place[trial_id] for trial_id in ids_in_order(spec)])


@dataclass
class Stage:
    """A service on PostgreSQL and S3, and workers that each have a Ray cluster."""

    service: Service
    client: Client
    workers: list[Running] = field(default_factory=list)

    def start_worker(self, name: str, cluster: RayCluster) -> None:
        options = ["--url", self.service.url, "--name", name, "--address", cluster.address]
        self.workers.append(start_command(*options, module="tests.workers.slow_worker", **cluster.variables))

    def folder(self, job_id: str) -> Folder:
        return open_folder(self.service.settings.storage.replace("?", f"/jobs/{job_id}?"))

    def finished(self, job_id: str) -> frozenset[str]:
        while True:
            try:
                return find_finished(self.folder(job_id)).trial_ids
            except FileNotFoundError:
                continue  # merged in this moment

    def events(self, job_id: str, kind: str) -> list[dict[str, Any]]:
        return [event.data for event in self.client.events(job_id) if event.type == kind]


@pytest.fixture(scope="module")
def store() -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch, object_store() as uri:
        for name, value in KEYS.items():
            patch.setenv(name, value)
        yield uri


@pytest.fixture
def stage(cluster: Any, store: str) -> Iterator[Stage]:
    """`cluster` is PostgreSQL's."""
    with contextlib.ExitStack() as opened:
        service = opened.enter_context(running(make_settings(cluster.new_database(), store, lease_seconds=10.0)))
        stage = Stage(service, opened.enter_context(Client(service.url)))
        try:
            yield stage
        finally:
            for worker in stage.workers:
                worker.process.terminate()
            for worker in stage.workers:
                code, _, said = worker.end(timeout=20)
                assert code == 0, said


@contextlib.contextmanager
def obedient_cluster(place: Path, nodes: int, **variables: str) -> Iterator[tuple[RayCluster, Control]]:
    """A Ray cluster whose trainings are slowed and logged as its control says."""
    control = Control(place)
    control.set(seconds=SECONDS)
    with ray_cluster(nodes, **{CONTROL: str(place)}, **variables) as cluster:
        yield cluster, control


@dataclass
class Shaken:
    """A job whose cluster is disturbed, and what was finished and in flight when it was."""

    stage: Stage
    control: Control
    job_id: str
    seen: list[tuple[frozenset[str], int]] = field(default_factory=list)

    def disturb(self, act: Callable[[], None]) -> None:
        """Once more is finished and something is in flight, do this."""
        before = self.seen[-1][0] if self.seen else frozenset()
        wait_for(lambda: self.stage.finished(self.job_id) > before, 120, "for a pack")
        self.seen.append((self.stage.finished(self.job_id), len(self.control.lines("begin"))))
        act()

    def until_warned(self, words: str) -> None:
        """Wait for a warning that holds these words."""
        events = self.stage.client.events(self.job_id)
        assert next(event for event in events if event.type == "warning" and words in event.data["text"])

    def check(self, spec: JobSpec, in_flight: int) -> None:
        """All rows are an undisturbed run's; no finished trial was begun again, nor more than were in flight."""
        begun = self.control.lines("begin")
        for finished, lines in self.seen:
            assert not finished & {trial_id for ids in begun[lines:] for trial_id in ids}, "trained again"
        again = [ids for ids, times in Counter(map(tuple, begun)).items() if times > 1]
        assert len(again) <= in_flight, again
        assert same_results(read_trials(self.stage.folder(self.job_id), ids_in_order(spec)), undisturbed(spec))


@pytest.mark.long
def test_two_clusters_serve_one_api_and_the_death_of_a_node_costs_what_was_in_flight_on_it(
    stage: Stage, tmp_path: Path
) -> None:
    large, small = a_spec(1), a_spec(2, seeds=1)
    with (
        obedient_cluster(tmp_path / "one", 2) as (first, one),
        obedient_cluster(tmp_path / "two", 0) as (second, two),
    ):
        job = Shaken(stage, one, stage.client.submit(large)["id"])
        stage.start_worker("first", first)
        wait_for(lambda: stage.client.get(job.job_id)["status"] == "running", what="for a worker")
        other = stage.client.submit(small)["id"]
        stage.start_worker("second", second)
        job.disturb(lambda: first.nodes[0].kill("raylet/raylet"))
        for job_id in (job.job_id, other):
            ended = stage.client.wait(job_id, timeout=120)
            assert ended["status"] == "succeeded", ended["error"]
        job.check(large, in_flight=1)
        assert not stage.events(job.job_id, "warning"), "the job itself was not started again"
        assert not first.nodes[0].running
        assert same_results(read_trials(stage.folder(other), ids_in_order(small)), undisturbed(small))
        for control, spec in ((one, large), (two, small)):
            assert {trial_id for ids in control.lines("end") for trial_id in ids} == set(ids_in_order(spec))


@pytest.mark.soak
def test_a_job_outlives_a_node_and_the_head_and_uses_the_node_that_joins(stage: Stage, tmp_path: Path) -> None:
    spec = a_spec(seeds=8)
    # Nodes and drivers end by themselves when the head has been silent for so long; a minute by default.
    with obedient_cluster(tmp_path / "control", 2, RAY_gcs_rpc_server_reconnect_timeout_s="10") as (cluster, control):
        job = Shaken(stage, control, stage.client.submit(spec)["id"])
        stage.start_worker("only", cluster)
        job.disturb(lambda: cluster.nodes[0].kill("raylet/raylet"))
        job.disturb(cluster.head.end)
        job.until_warned("waiting until it is there")
        wait_for(lambda: not cluster.nodes[1].running, 60, "for the end of a node without a head")
        cluster.head.start()
        cluster.head.until_there()
        job.disturb(lambda: cluster.add_node().until_there())
        joined = len(control.pids())
        ended = stage.client.wait(job.job_id, timeout=300)
        assert ended["status"] == "succeeded", ended["error"]
        job.check(spec, in_flight=1 + 2)
        assert len(set(control.pids()[joined:])) >= 2, "the node that joined trained nothing"
        lost, away = (event["text"] for event in stage.events(job.job_id, "warning"))
        assert "the job is started again" in lost
        assert "no Ray cluster could be joined" in away
