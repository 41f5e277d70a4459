"""The rows of a folder that are a job's own: by the grid, or by the names that its spec gives."""

from pathlib import Path

import pytest

from phase_diagrams.folder import open_folder, write_pack
from phase_diagrams.holdings import own_ids
from phase_diagrams.spec import JobSpec
from phase_diagrams.trial import grid_trials, trial_namer
from tests.phase_diagrams.synthetic_trials import small_spec, synthetic_trials


@pytest.fixture
def adaptive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(JobSpec, "adaptive", property(lambda spec: True))


def test_a_grids_own_are_all_its_trials_in_its_order(tmp_path: Path) -> None:
    spec = small_spec()
    assert own_ids(spec, open_folder(str(tmp_path))) == [trial_namer(spec)(trial) for trial in grid_trials(spec)]


@pytest.mark.usefixtures("adaptive")
def test_an_adaptive_jobs_own_bear_its_names_in_the_order_of_a_grid(tmp_path: Path) -> None:
    spec, folder = small_spec(), open_folder(str(tmp_path))
    foreign = spec.model_copy(update={"training": spec.training.model_copy(update={"steps": 7})})
    rows = synthetic_trials(spec, missing=0.3)
    write_pack(folder, "a", rows.slice(len(rows) // 2))
    write_pack(folder, "b", rows.slice(0, len(rows) // 2 + 5))
    write_pack(folder, "c", synthetic_trials(foreign))
    held = set(rows["trial_id"].to_pylist())
    grid = [trial_namer(spec)(trial) for trial in grid_trials(spec)]
    assert own_ids(spec, folder) == [trial_id for trial_id in grid if trial_id in held]


@pytest.mark.usefixtures("adaptive")
def test_an_empty_folder_holds_none(tmp_path: Path) -> None:
    assert own_ids(small_spec(), open_folder(str(tmp_path))) == []
