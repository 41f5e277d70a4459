"""The fan-out on a real Ray cluster, with a training function that fails on command."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow.fs as fs
import pytest

from phase_diagrams.folder import Folder, find_finished, open_folder, read_trials
from phase_diagrams.pack import Pack, cut_packs
from phase_diagrams.planner import GridPlanner, Planner
from phase_diagrams.spec import JobSpec, parse_spec
from phase_diagrams.trial import grid_trials, trial_namer
from tests.phase_diagrams.planners import Curious, Listed
from tests.workers.trainers import CONTROL, TRAIN_FAKE, TRAIN_LATE, Control
from workers.cluster import live_nodes, lost_part, open_cluster, thread_variables
from workers.fan_out import FanOutError, Job, fan_out, row_reader
from workers.pack_queue import ATTEMPTS, Failure
from workers.seat import Seat, choose_seat

ROOT = Path(__file__).parents[2]


def a_spec(seeds: int = 2, **resources: object) -> JobSpec:
    return parse_spec(
        {
            "data": {"n_features": 8, "n_inputs": 4},
            "grid": {
                "sparsity": [0.7, 0.8, 0.9],
                "hidden_dim": [8, 16],
                "activation": ["topk:1", "relu"],
                "seeds": seeds,
            },
            "resources": resources,
        }
    )


def ids_of(spec: JobSpec) -> list[str]:
    return [trial_namer(spec)(trial) for trial in grid_trials(spec)]


@pytest.fixture(scope="module")
def control(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Control]:
    """A Ray cluster of two CPUs whose workers obey the control."""
    scratch = tmp_path_factory.mktemp("ray")
    control = Control(scratch / "control")
    kept = dict(os.environ)
    os.environ |= {CONTROL: str(control.folder), "PYTHONPATH": str(ROOT)}
    with open_cluster("local", str(scratch), thread_variables(1), 1000, cpus=2):
        yield control
    os.environ.clear()
    os.environ |= kept


@dataclass
class Heard:
    rounds: list[list[Pack]] = field(default_factory=list)
    packs: list[Pack] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    details: list[str] = field(default_factory=list)

    def asked(self, packs: list[Pack]) -> None:
        self.rounds.append(packs)

    def finished(self, pack: Pack, seconds: float) -> None:
        self.packs.append(pack)

    def failed(self, failure: Failure, detail: str) -> None:
        self.failures.append(failure)
        self.details.append(detail)

    @property
    def given_up(self) -> list[str]:
        return [failure.pack.trial_ids[0] for failure in self.failures if failure.answer == "give_up"]


def run(
    spec: JobSpec,
    place: Path,
    train: str = TRAIN_FAKE,
    finished: frozenset[str] = frozenset(),
    planner: Planner | None = None,
) -> Heard:
    heard = Heard()
    seat = choose_seat(spec.resources, list(live_nodes().values()))
    dictionary = np.ones((spec.data.n_inputs, spec.data.n_features), np.float32)
    job = Job(spec, dictionary, open_folder(str(place)), str(place))
    name = trial_namer(spec)
    planner = planner or Listed([trial for trial in grid_trials(spec) if name(trial) not in finished])
    fan_out(job, planner, seat, heard, str(place.parent / "scratch"), train)
    return heard


def finished_in(folder: Folder) -> frozenset[str]:
    return find_finished(folder).trial_ids


def test_every_trial_is_trained_once_and_lies_in_its_packs_file(control: Control, tmp_path: Path) -> None:
    control.set()
    spec = a_spec()
    heard = run(spec, tmp_path / "out")
    assert sorted(read_trials(open_folder(str(tmp_path / "out")))["trial_id"].to_pylist()) == sorted(ids_of(spec))
    assert all(control.count("begin", trial_id) == 1 for trial_id in ids_of(spec))
    assert sorted(pack.pack_id for pack in heard.packs) == sorted(p.pack_id for p in cut_packs(spec, grid_trials(spec)))
    assert not heard.failures
    assert lost_part() is None
    assert len(set(control.pids())) <= 2, "actors are reused"


def test_max_concurrent_packs_run_at_a_time_and_finished_trials_are_left_out(control: Control, tmp_path: Path) -> None:
    control.set(seconds=0.02)
    spec = a_spec(max_concurrent=1)
    done = frozenset(ids_of(spec)[:9])
    run(spec, tmp_path / "out", finished=done)
    assert finished_in(open_folder(str(tmp_path / "out"))) == frozenset(ids_of(spec)) - done
    kinds = [line.split()[0] for line in (control.folder / "log").read_text().splitlines()]
    assert kinds == ["begin", "end"] * (len(kinds) // 2)


@pytest.mark.long
def test_an_actor_comes_up_though_others_finish_packs_while_it_starts(control: Control, tmp_path: Path) -> None:
    control.set(seconds=0.03)
    spec = a_spec(seeds=16)  # packs of a quarter of a second
    run(spec, tmp_path / "out", TRAIN_LATE)
    assert len(set(control.pids())) == 2, "one actor did all the work"
    assert all(control.count("begin", trial_id) == 1 for trial_id in ids_of(spec))


def test_a_pack_that_fails_once_is_retried_and_nothing_is_missing(control: Control, tmp_path: Path) -> None:
    spec = a_spec()
    ids = ids_of(spec)
    control.set(fail=[ids[0]], die=[ids[-1]], once=True)
    heard = run(spec, tmp_path / "out")
    assert finished_in(open_folder(str(tmp_path / "out"))) == frozenset(ids)
    assert sorted(failure.answer for failure in heard.failures) == ["retry", "retry"]
    reasons = " ".join(failure.reason for failure in heard.failures)
    assert f"RuntimeError: cannot train {ids[0]}" in reasons
    assert "worker process died" in reasons


@pytest.mark.long
def test_trials_that_always_fail_are_given_up_and_the_rest_finishes(control: Control, tmp_path: Path) -> None:
    spec = a_spec()
    ids = ids_of(spec)
    bad = [ids[1], ids[-1]]
    control.set(fail=bad[:1], die=bad[1:])
    done = frozenset(ids[-8:-2])  # the one that kills its process is in a pack of two: each death costs seconds
    heard = run(spec, tmp_path / "out", finished=done)
    assert finished_in(open_folder(str(tmp_path / "out"))) == frozenset(ids) - set(bad) - done
    assert sorted(heard.given_up) == sorted(bad)
    for trial_id in bad:
        alone = [begun for begun in control.lines("begin") if begun == [trial_id]]
        assert len(alone) == ATTEMPTS
    assert max(control.count("end", trial_id) for trial_id in ids) == 1
    assert any("Traceback" in detail or "train_fake" in detail for detail in heard.details)


def test_an_adaptive_planner_is_told_of_every_round_and_asks_on_after_a_lost_trial(
    control: Control, tmp_path: Path
) -> None:
    spec = a_spec()
    planner = Curious(spec)
    first = trial_namer(spec)(Curious(spec).ask()[0])
    control.set(fail=[first])
    heard = run(spec, tmp_path / "out", planner=planner)
    assert planner.done
    assert heard.given_up == [first]
    assert [len(packs) > 0 for packs in heard.rounds] == [True] * planner.limit + [False]
    assert finished_in(open_folder(str(tmp_path / "out"))) == frozenset(planner.asked) - {first}


def test_what_no_pack_can_escape_ends_the_run_at_once(control: Control, tmp_path: Path) -> None:
    control.set()
    spec = a_spec()
    with pytest.raises(FanOutError, match="cannot start: ModuleNotFoundError"):
        run(spec, tmp_path / "out", train="no.such.module:train")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "packs").touch()  # a file where the folder of packs must be
    with pytest.raises(FanOutError, match="cannot write to"):
        run(spec, tmp_path / "full")


def test_rows_that_do_not_fit_the_pack_are_never_written(control: Control, tmp_path: Path) -> None:
    control.set()
    spec = a_spec()
    wanted = frozenset(ids_of(spec)[1:])
    heard = run(spec, tmp_path / "out", train="tests.workers.trainers:train_short", finished=wanted)
    assert heard.given_up == [ids_of(spec)[0]]
    assert "one row per trial" in heard.failures[0].reason
    assert not finished_in(open_folder(str(tmp_path / "out")))


def test_the_seat_is_what_the_spec_asks_for(control: Control) -> None:
    nodes = list(live_nodes().values())
    assert choose_seat(a_spec().resources, nodes) == Seat("cpu", 1.0, 0.0, 2)
    assert choose_seat(a_spec(cpus_per_trial=0.5, device="cpu").resources, nodes).slots == 4


def test_a_store_is_not_asked_about_rows_that_nobody_wants_but_a_folder_is(tmp_path: Path) -> None:
    spec = a_spec()
    planner = GridPlanner(spec)
    packs = cut_packs(spec, planner.ask())
    assert planner.done
    # Any file system but the local one stands for a store.
    store = Folder(fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem()), "nothing-was-written")
    assert row_reader(store, planner)(packs[0]) is None
    with pytest.raises(FileNotFoundError):
        row_reader(open_folder(str(tmp_path)), planner)(packs[0])
    with pytest.raises(FileNotFoundError):
        row_reader(store, GridPlanner(spec))(packs[0])
