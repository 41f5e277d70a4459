"""Kill any process at any moment: nothing finished is lost or trained twice, and the same command continues."""

import os
import random
import signal
import time
from pathlib import Path

import pyarrow as pa
import pytest

from phase_diagrams.folder import find_finished, open_folder, read_trials, same_results, write_pack
from phase_diagrams.pack import cut_packs
from phase_diagrams.spec import JobSpec, read_spec
from phase_diagrams.trial import grid_trials, trial_namer
from tests.saephase.processes import Running, alive, start_command, wait_for
from tests.workers.trainers import CONTROL, Control, fake_rows

FAKE = "tests.saephase.fake_saephase"

SPEC = """
name: kill
data: {n_features: 8, n_inputs: 4}
grid: {sparsity: [0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9], hidden_dim: [8, 16], activation: ["topk:1"], seeds: 2}
"""

REAL = """
name: real
data: {n_features: 20, n_inputs: 8}
grid: {sparsity: [0.7, 0.8, 0.9], hidden_dim: [20, 40], activation: ["topk:1", "topk:2", relu], seeds: 4}
training: {steps: 2500, batch_size: 256}
"""
VICTIMS = ("raylet/raylet", "gcs_server", "ray_driver", "ray::PackTrainer", "ray::RuntimeEnvAgent")


class Disturbed:
    """Runs of one command in one folder, each ended in some way, and the promises that hold after each."""

    def __init__(self, place: Path, seconds: float) -> None:
        self.spec = read_spec(SPEC)
        self.file = place / "spec.yaml"
        self.file.write_text(SPEC)
        self.out = place / "out"
        self.control = Control(place / "control")
        self.control.set(seconds=seconds)
        self.before: frozenset[str] = frozenset()
        self.begun: list[list[str]] = []

    def start(self) -> Running:
        return start_command(
            "run", str(self.file), "--out", str(self.out), module=FAKE, **{CONTROL: str(self.control.folder)}
        )

    def finished(self) -> frozenset[str]:
        return find_finished(open_folder(str(self.out))).trial_ids if self.out.exists() else frozenset()

    def until_more_is_finished(self, running: Running) -> None:
        wait_for(lambda: self.finished() > self.before or running.process.poll() is not None, what="for a pack")
        assert running.process.poll() is None

    def check(self) -> None:
        """Nothing that was finished is lost, and none of it was begun again."""
        now = self.finished()
        assert now >= self.before, "finished trials are lost"
        begun = self.control.lines("begin")
        again = {trial_id for ids in begun[len(self.begun) :] for trial_id in ids} & self.before
        assert not again, "finished trials are trained again"
        self.before, self.begun = now, begun


def undisturbed(spec: JobSpec) -> pa.Table:
    """The rows that a run gives, in the order of the plan."""
    rows = pa.concat_tables([fake_rows(spec, pack) for pack in cut_packs(spec, grid_trials(spec))])
    order = {trial_id: index for index, trial_id in enumerate(rows["trial_id"].to_pylist())}
    return rows.take([order[trial_namer(spec)(trial)] for trial in grid_trials(spec)])


@pytest.mark.long
def test_a_run_that_is_killed_in_every_way_ends_with_the_rows_of_an_undisturbed_one(tmp_path: Path) -> None:
    run = Disturbed(tmp_path, seconds=0.25)
    moment = random.Random(3)

    running = run.start()
    run.until_more_is_finished(running)
    code, _, said = run.start().end()
    assert code == 3
    assert "another run is writing in" in said
    started = running.started()
    running.send(signal.SIGINT)
    code, out, said = running.end(timeout=5)
    assert code == 130
    assert "run the same command again" in said
    assert "Traceback" not in out + said
    wait_for(lambda: not alive(started), 2, f"for the end of {alive(started)}")
    run.check()

    running = run.start()
    run.until_more_is_finished(running)
    time.sleep(moment.uniform(0, 1))
    raylet = next(pid for pid, line in running.started().items() if "raylet/raylet" in line)
    os.kill(raylet, signal.SIGKILL)
    code, out, said = running.end(timeout=20)
    assert code == 3
    assert "The Ray cluster is lost: its raylet ended" in said
    assert "run the same command again" in said
    assert "Traceback" not in out + said
    run.check()

    running = run.start()
    run.until_more_is_finished(running)
    time.sleep(moment.uniform(0, 1))
    started = running.started()
    running.send(signal.SIGKILL)
    running.end()
    wait_for(lambda: not alive(started), 5, f"for the end of {alive(started)}")
    run.check()

    running = run.start()
    run.until_more_is_finished(running)
    worker = next(pid for pid, line in running.started().items() if "ray::PackTrainer" in line)
    os.kill(worker, signal.SIGKILL)
    code, _, said = running.end()
    assert code == 0, said
    assert "worker process died" in said
    run.check()
    assert same_results(read_trials(open_folder(str(run.out)), ids_in_order(run.spec)), undisturbed(run.spec))
    assert [path.name for path in (run.out / "packs").iterdir()] == []
    assert max(run.control.count("end", trial_id) for trial_id in run.before) <= 2, "only those in flight run again"


def test_a_run_that_is_stopped_while_it_draws_keeps_every_trial(tmp_path: Path) -> None:
    run = Disturbed(tmp_path, seconds=0.0)
    folder = open_folder(str(run.out))
    for pack in cut_packs(run.spec, grid_trials(run.spec)):
        write_pack(folder, pack.pack_id, fake_rows(run.spec, pack))
    running = start_command("run", str(run.file), "--out", str(run.out))
    wait_for(lambda: (run.out / "conditions.parquet").exists(), what="for the report")
    running.send(signal.SIGINT)
    code, out, said = running.end(timeout=5)
    assert code == 130
    assert "Traceback" not in out + said
    assert run.finished() == frozenset(ids_in_order(run.spec))


@pytest.mark.parametrize(
    "seed", [pytest.param(0, marks=pytest.mark.long), *(pytest.param(i, marks=pytest.mark.soak) for i in (1, 2))]
)
def test_random_kills_of_a_real_run_never_change_a_row(tmp_path: Path, seed: int) -> None:
    """Real training; a random process dies at a random moment, again and again, until a run gets through."""
    chance = random.Random(seed)
    spec = tmp_path / "spec.yaml"
    spec.write_text(REAL)
    calm, torn = tmp_path / "calm", tmp_path / "torn"
    assert start_command("run", str(spec), "--out", str(calm)).end()[0] == 0
    ends = []
    while not (torn / "manifest.json").exists():
        running = start_command("run", str(spec), "--out", str(torn))
        if len(ends) < 6:
            time.sleep(chance.uniform(0.5, 15))
            victims = [pid for pid, line in running.started().items() if any(name in line for name in VICTIMS)]
            os.kill(chance.choice([*victims, running.process.pid]), signal.SIGKILL)
        started = running.started()
        ends.append(running.end()[0])
        wait_for(lambda left=started: not alive(left), 5, f"for the end of {alive(started)}")
    assert ends[-1] == 0
    assert set(ends) <= {0, 3, -signal.SIGKILL}
    assert len(ends) < 10
    ids = ids_in_order(read_spec(REAL))
    assert same_results(read_trials(open_folder(str(torn)), ids), read_trials(open_folder(str(calm)), ids))


def ids_in_order(spec: JobSpec) -> list[str]:
    return [trial_namer(spec)(trial) for trial in grid_trials(spec)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_stopped_while_ray_starts_leaves_nothing_behind(tmp_path: Path, number: signal.Signals) -> None:
    run = Disturbed(tmp_path, seconds=0.0)
    running = run.start()
    wait_for(lambda: any("gcs_server" in line for line in running.started().values()), what="for Ray")
    started = running.started()
    running.send(number)
    code, out, said = running.end(timeout=5)
    assert code == 130
    assert "Traceback" not in out + said
    wait_for(lambda: not alive(started), 2, f"for the end of {alive(started)}")
