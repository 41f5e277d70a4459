"""The process of one job: it ends with its worker or its lease, whatever happens to that worker, and leaves nothing."""

import time
from pathlib import Path
from typing import Any

from phase_diagrams.folder import open_folder, read_trials, write_pack
from phase_diagrams.pack import cut_packs
from phase_diagrams.spec import parse_spec
from phase_diagrams.trial import grid_trials
from tests.saephase.processes import alive, descendants, environment, wait_for
from tests.workers.trainers import CONTROL, TRAIN_FAKE, Control, fake_rows
from workers import lease_child, lease_run
from workers.job import AGAIN, MEND
from workers.lease_child import start_child
from workers.lease_run import LOST, Order, read_order

SPEC: dict[str, Any] = {
    "data": {"n_features": 8, "n_inputs": 4},
    "grid": {"sparsity": [0.5, 0.9], "hidden_dim": [8], "activation": ["topk:1"], "seeds": 2},
}


def an_order(place: Path, seconds: float, train: str = TRAIN_FAKE, reuse: tuple[str, ...] = ()) -> Order:
    return Order(SPEC, str(place / "out"), reuse, "local", train, None, time.monotonic() + seconds)


def test_an_order_round_trips(tmp_path: Path) -> None:
    order = an_order(tmp_path, 1, reuse=("/a", "s3://b/c"))
    assert read_order(order.line()) == order


class Heard(list[dict[str, Any]]):
    def kinds(self) -> list[str]:
        return [event["event"] for event in self]


def test_it_ends_by_itself_at_its_deadline_with_all_that_it_started(tmp_path: Path, monkeypatch: Any) -> None:
    control = Control(tmp_path / "control")
    control.set(seconds=60)
    for name, value in environment(**{CONTROL: str(control.folder)}).items():
        monkeypatch.setenv(name, value)
    heard = Heard()
    order = an_order(tmp_path, 7)
    with start_child(order, heard.append) as child:
        wait_for(lambda: time.monotonic() > order.deadline - 0.3)
        started = descendants(child.pid)
        assert started
        wait_for(lambda: heard[-1]["event"] == "died", 15)
        assert order.deadline <= time.monotonic() < order.deadline + 1
        assert heard[-1]["text"].endswith(f"(exit code {LOST})")
        wait_for(lambda: not alive(started), 3, f"for the end of {alive(started)}")


def test_it_ends_when_its_worker_does(tmp_path: Path) -> None:
    heard = Heard()
    with start_child(an_order(tmp_path, 60), heard.append) as child:
        assert child._process.stdin is not None
        child._process.stdin.close()
        began = time.monotonic()
        wait_for(lambda: heard and heard[-1]["event"] == "died", 5)
        assert time.monotonic() - began < 2
    assert not Path(f"/proc/{child.pid}").exists()


def test_what_is_finished_of_a_stopped_job_is_drawn(tmp_path: Path) -> None:
    spec = parse_spec(SPEC)
    folder = open_folder(str(tmp_path / "out"))
    packs = cut_packs(spec, grid_trials(spec))
    write_pack(folder, "one", fake_rows(spec, packs[0]))
    heard = Heard()
    with start_child(an_order(tmp_path, 60, train=""), heard.append):
        wait_for(lambda: heard and heard[-1]["event"] in ("ended", "died"), 30)
    assert heard[-1]["status"] == "succeeded", heard
    assert folder.exists("phase_diagram.png")
    assert folder.exists("manifest.json")
    assert read_trials(folder).num_rows == len(packs[0].trials)


def test_a_spec_that_cannot_be_used_and_a_folder_that_cannot_be_written_are_told(tmp_path: Path) -> None:
    heard = Heard()
    order = Order({"data": {}}, str(tmp_path / "out"), (), "local", TRAIN_FAKE, None, time.monotonic() + 60)
    with start_child(order, heard.append):
        wait_for(lambda: heard, 30)
    assert (heard[0]["status"], heard[0]["final"]) == ("failed", True)
    assert "grid" in heard[0]["error"]
    (tmp_path / "out").touch()
    heard = Heard()
    with start_child(an_order(tmp_path, 60), heard.append):
        wait_for(lambda: heard, 30)
    assert (heard[0]["status"], heard[0]["final"]) == ("failed", False)


def test_exit_codes_are_told_in_words() -> None:
    assert lease_child._ending(-9) == "the process that ran it was killed (SIGKILL)"
    assert "exit code 3" in lease_child._ending(3)


def test_a_job_in_a_service_is_not_told_to_run_a_command() -> None:
    for advice in (AGAIN, MEND):
        assert lease_run._without_advice(f"no room. {advice}") == "no room."
