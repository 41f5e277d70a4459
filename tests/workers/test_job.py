"""A job from its folder to its diagram: what is there is reused, what is missing is trained, what failed is told."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import workers.absence
import workers.job
from phase_diagrams.folder import find_finished, open_folder, read_trials, same_results, write_pack
from phase_diagrams.pack import cut_packs
from phase_diagrams.problem import SpecError
from phase_diagrams.spec import JobSpec, parse_spec, read_spec
from phase_diagrams.trial import grid_trials, trial_namer
from tests.workers.trainers import CONTROL, TRAIN_FAKE, Control, fake_rows
from workers.folder_lock import FolderBusyError, lock_folder
from workers.job import JobError, run_job
from workers.progress import Progress, remaining_seconds

ROOT = Path(__file__).parents[2]


def a_spec(**changes: Any) -> JobSpec:
    return parse_spec(
        {
            "name": "job",
            "data": {"n_features": 8, "n_inputs": 4},
            "grid": {"sparsity": [0.7, 0.8, 0.9], "hidden_dim": [8, 16], "activation": ["topk:1"], "seeds": 2},
            **changes,
        }
    )


def ids_of(spec: JobSpec) -> list[str]:
    return [trial_namer(spec)(trial) for trial in grid_trials(spec)]


@dataclass
class Heard:
    lines: list[str] = field(default_factory=list)
    at: list[Progress] = field(default_factory=list)

    def say(self, text: str) -> None:
        self.lines.append(text)

    def progress(self, progress: Progress) -> None:
        self.at.append(progress)

    def estimate(self, news: dict[str, Any]) -> None:
        raise AssertionError("a grid has no news")


@pytest.fixture
def control(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Control:
    control = Control(tmp_path / "control")
    monkeypatch.setenv(CONTROL, str(control.folder))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return control


def test_only_what_is_missing_is_trained_and_what_always_fails_is_left_out(control: Control, tmp_path: Path) -> None:
    spec, out = a_spec(), tmp_path / "out"
    folder = open_folder(str(out))
    ids, packs = ids_of(spec), cut_packs(spec, grid_trials(spec))
    for pack in packs[:3]:
        write_pack(folder, pack.pack_id, fake_rows(spec, pack))
    corrupt = out / "packs" / f"pack-{packs[0].pack_id}.parquet"
    corrupt.write_bytes(corrupt.read_bytes()[:-20])
    (out / "packs" / "pack-foreign.parquet").write_bytes(b"PAR1, no more")
    (out / "packs" / ".writing-0123").write_bytes(b"what a killed worker leaves")
    reused = {trial_id for pack in packs[1:3] for trial_id in pack.trial_ids}
    bad = packs[4].trial_ids[0]
    control.set(fail=[bad])

    heard = Heard()
    outcome = run_job(spec, str(out), listener=heard, train=TRAIN_FAKE)
    assert f"reused {len(reused)}, to run {len(ids) - len(reused)}" in heard.lines
    assert sum("is set aside" in line for line in heard.lines) == 2
    assert {trial_id for begun in control.lines("begin") for trial_id in begun} == set(ids) - reused
    assert [lost.reason for lost in outcome.given_up] == [f"RuntimeError: cannot train {bad}"]
    assert bad in outcome.given_up[0].trial
    assert "cannot train" in (out / "error.txt").read_text()
    assert read_trials(folder)["trial_id"].to_pylist() == sorted(set(ids) - {bad})
    assert outcome.summary is not None
    assert (outcome.summary.trials_finished, outcome.summary.trials_planned) == (len(ids) - 1, len(ids))
    last = heard.at[-1]
    assert (last.trials_done, last.trials_total, last.trials_reused) == (len(ids) - 1, len(ids), len(reused))
    assert {"manifest.json", "phase_diagram.png", "trials.parquet"} <= {path.name for path in out.iterdir()}
    assert read_spec((out / "spec.json").read_text()) == spec
    assert not list((out / "packs").iterdir())


@pytest.fixture
def no_ray(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def refuse(*arguments: object) -> None:
        raise AssertionError("Ray was started")

    monkeypatch.setattr(workers.job, "start_driver", refuse)
    monkeypatch.setattr(workers.job, "write_report", lambda *_, **__: None)
    return


@pytest.mark.usefixtures("no_ray")
def test_a_finished_job_starts_no_ray_and_keeps_its_rows_in_the_order_of_the_plan(tmp_path: Path) -> None:
    spec, out = a_spec(), str(tmp_path / "out")
    folder = open_folder(out)
    for pack in cut_packs(spec, grid_trials(spec)):
        write_pack(folder, pack.pack_id, fake_rows(spec, pack))
    expected = read_trials(folder, ids_of(spec))
    heard = Heard()
    assert run_job(spec, out, listener=heard).reused == spec.n_trials
    assert heard.lines[0] == f"reused {spec.n_trials}, to run 0"
    assert heard.at == [Progress(spec.n_trials, spec.n_trials, spec.n_trials, 0.0, None)]
    assert (tmp_path / "out" / "trials.parquet").exists()
    assert same_results(read_trials(folder, ids_of(spec)), expected)
    assert run_job(spec, out, listener=heard).reused == spec.n_trials, "and again from trials.parquet"


@pytest.mark.usefixtures("no_ray")
def test_a_smaller_grid_reuses_a_larger_ones_rows_and_loses_none(tmp_path: Path) -> None:
    large, out = a_spec(), str(tmp_path / "out")
    small = a_spec(grid={"sparsity": [0.8], "hidden_dim": [8], "activation": ["topk:1"], "seeds": 1})
    folder = open_folder(out)
    for pack in cut_packs(large, grid_trials(large)):
        write_pack(folder, pack.pack_id, fake_rows(large, pack))
    assert run_job(small, out, listener=Heard()).reused == small.n_trials
    assert find_finished(folder).trial_ids == frozenset(ids_of(large))


class Spoken:
    """A driver that says what a test gives it."""

    def __init__(self, *events: dict[str, Any]) -> None:
        self._events = events

    def __enter__(self) -> "Spoken":
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def send_dictionary(self, dictionary: object) -> None:
        assert np.shape(dictionary) == (4, 8)

    def events(self) -> Iterator[dict[str, Any]]:
        return iter(self._events)

    def last_words(self) -> str:
        return "exit code -9\nwhat its log ended with"


@pytest.mark.parametrize(
    ("event", "message", "detail"),
    [
        ({"event": "lost", "part": "raylet"}, "its raylet ended. Nothing finished is lost: run the same", ""),
        ({"event": "refused", "message": "no room"}, "no room. Nothing finished is lost", ""),
        ({"event": "away", "message": "is it up?"}, "is it up. Nothing finished is lost".replace(".", r"\?", 1), ""),
        ({"event": "broke", "message": "KeyError: 1", "detail": "where"}, "broke off: KeyError: 1", "where"),
        (None, "ended without a word", "what its log ended with"),
    ],
)
def test_a_driver_that_ends_early_is_one_paragraph_and_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, event: dict[str, Any] | None, message: str, detail: str
) -> None:
    connected = {"event": "connected", "device": "cpu", "slots": 1}
    said = Spoken(connected, *([event] if event else []))
    monkeypatch.setattr(workers.job, "start_driver", lambda *_: said)
    with pytest.raises(JobError, match=message) as caught:
        run_job(a_spec(), str(tmp_path / "out"), listener=Heard())
    assert detail in caught.value.detail
    assert "\n" not in str(caught.value)


@dataclass
class Patient:
    """One who waits for a cluster."""

    trained_on: Any = None
    heard: list[str] = field(default_factory=list)

    def warn(self, text: str) -> None:
        self.heard.append(f"warning: {text}")

    def say(self, text: str) -> None:
        self.heard.append(text)

    def seated(self, device: Any) -> None:
        self.trained_on = device
        self.heard.append(f"seated on {device}")


def test_a_cluster_that_is_away_is_waited_for_with_one_warning_and_longer_and_longer_pauses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connected = {"event": "connected", "device": "cuda", "slots": 1}
    drivers = [
        Spoken({"event": "away", "message": "nobody is there"}),
        Spoken({"event": "away", "message": "still nobody"}),
        Spoken({"event": "waiting", "message": "no room"}, {"event": "lost", "part": "raylet"}),
        Spoken({"event": "waiting", "message": "no room"}, connected, {"event": "done"}),
    ]
    begun: list[tuple[Any, ...]] = []
    pauses: list[float] = []
    monkeypatch.setattr(workers.job, "start_driver", lambda *given: begun.append(given[-2:]) or drivers.pop(0))
    monkeypatch.setattr(workers.absence.time, "sleep", pauses.append)
    patient = Patient("cuda")
    run_job(a_spec(), str(tmp_path / "out"), listener=Heard(), address="auto", patience=patient)
    assert patient.heard == [
        "warning: the Ray cluster is away (nobody is there); waiting until it is there",
        "the Ray cluster is there; the job goes on",
        "seated on cuda",
    ]
    assert pauses == [1.0, 1.5, 2.25]
    assert begun == [(True, "cuda")] * 4


def test_a_driver_that_ray_ended_for_want_of_a_head_tells_of_the_head(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = Spoken({"event": "connected", "device": "cpu", "slots": 1})
    monkeypatch.setattr(
        said, "last_words", lambda: "exit code 1\nrpc_client.h:204: Failed to connect to GCS within 60 s"
    )
    monkeypatch.setattr(workers.job, "start_driver", lambda *_: said)
    with pytest.raises(JobError, match="its head does not answer") as caught:
        run_job(a_spec(), str(tmp_path / "out"), listener=Heard())
    assert caught.value.accident


def test_a_joined_cluster_that_is_lost_in_the_middle_is_an_accident(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = Spoken({"event": "connected", "device": "cpu", "slots": 1}, {"event": "lost", "part": "raylet"})
    monkeypatch.setattr(workers.job, "start_driver", lambda *_: said)
    patient = Patient()
    with pytest.raises(JobError, match="its raylet ended") as caught:
        run_job(a_spec(), str(tmp_path / "out"), listener=Heard(), address="auto", patience=patient)
    assert caught.value.accident
    assert patient.heard == ["seated on cpu"]


@pytest.mark.usefixtures("no_ray")
def test_a_dictionary_that_cannot_be_planted_is_a_fault_of_the_spec(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(data: object) -> None:
        raise ValueError("features are not represented")

    monkeypatch.setattr(workers.job, "plant_dictionary", refuse)
    monkeypatch.setattr(workers.job, "start_driver", lambda *_: Spoken())
    with pytest.raises(SpecError, match=r"data\.superposition: features are not represented"):
        run_job(a_spec(), str(tmp_path / "out"), listener=Heard())


def test_a_folder_is_held_by_one_run_until_its_process_ends(tmp_path: Path) -> None:
    folder = open_folder(str(tmp_path))
    with lock_folder(folder), pytest.raises(FolderBusyError, match="another run is writing in"), lock_folder(folder):
        pass
    program = (
        "from phase_diagrams.folder import open_folder\nfrom workers.folder_lock import lock_folder\n"
        f"with lock_folder(open_folder({str(tmp_path)!r})):\n    print('held', flush=True)\n    input()\n"
    )
    holder = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(FolderBusyError), lock_folder(folder):
        pass
    holder.kill()
    holder.communicate()
    with lock_folder(folder):
        assert list(tmp_path.iterdir()) == [], "no lock file lies among the results"


TEN_THOUSAND = """
import sys
import ray.tune
from phase_diagrams.folder import merge_packs, open_folder, write_pack
from phase_diagrams.planner import GridPlanner
from phase_diagrams.spec import read_spec
from phase_diagrams.trial import grid_trials, trial_namer
from tests.workers.trainers import fake_rows
from workers.pack_queue import PackQueue
from workers.pack_trainer import pack_config

spec = read_spec(sys.argv[1])
folder = open_folder(sys.argv[2])
queue = PackQueue(spec, GridPlanner(spec))
configs = []
while (pack := queue.take(str(len(configs)))) is not None:
    configs.append(pack_config(pack))
    write_pack(folder, pack.pack_id, fake_rows(spec, pack))
    queue.finish(str(len(configs) - 1), None)
name = trial_namer(spec)
rows = merge_packs(folder, [name(trial) for trial in grid_trials(spec)])
# Not getrusage: its peak is that of the process before exec too, which was the test suite's own.
with open("/proc/self/status") as status:
    print(rows.num_rows, next(line.split()[1] for line in status if line.startswith("VmHWM")))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of memory is read from Linux's /proc")
def test_ten_thousand_trials_are_planned_fed_and_gathered_in_less_than_a_gigabyte(tmp_path: Path) -> None:
    grid = "{sparsity: {start: 0.5, stop: 0.99, num: 20}, hidden_dim: [50, 100, 200, 300, 400], "
    grid += "activation: ['topk:1', 'topk:2', 'topk:4', 'topk:8', relu], seeds: 10}"
    spec = f"data: {{n_features: 200, n_inputs: 20}}\ngrid: {grid}"
    command = [sys.executable, "-c", TEN_THOUSAND, spec, str(tmp_path)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    rows, kilobytes = map(int, ended.stdout.split())
    assert rows == 10_000
    assert kilobytes < 500_000, "half of it, since the driver and the command are two processes"


def test_the_time_left_follows_the_cost_that_is_done() -> None:
    assert remaining_seconds(10, 0, 4) is None
    assert remaining_seconds(10, 1, 4) == pytest.approx(30)
    assert remaining_seconds(10, 4, 4) == 0
    assert Progress(30, 100, 10, 5.0, None).rate == pytest.approx(4)
    assert Progress(0, 1, 0, 0.0, None).rate == 0
