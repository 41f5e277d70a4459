"""`saephase report`: what it says of an unfinished folder; the studies of a searched one in a storage, or a refusal."""

from pathlib import Path

import optuna
import pytest

from phase_diagrams.exponent_search import ExponentSearch
from phase_diagrams.folder import open_folder, write_pack
from phase_diagrams.spec import JobSpec, spec_json
from phase_diagrams.trial import grid_trials
from saephase.report_command import redraw
from saephase.spec_argument import UsageError
from tests.phase_diagrams.responses import Laboratory, ask_to_the_end, search_spec
from tests.phase_diagrams.synthetic_trials import small_spec, synthetic_trials


def folder_of(path: Path, spec: JobSpec) -> str:
    laboratory = Laboratory(spec, lambda condition: 0.2 * condition.exponent)
    if spec.search is None:
        rows = laboratory.rows(grid_trials(spec))
    else:
        rows = ask_to_the_end(ExponentSearch(spec, lambda study, count: [1.0] * count), laboratory)[1]
    folder = open_folder(str(path))
    folder.write("spec.json", spec_json(spec).encode())
    write_pack(folder, "all", rows)
    return str(path)


def test_a_searched_folder_gets_its_picture_and_its_studies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = search_spec(grid={"sparsity": [0.5, 0.9], "hidden_dim": [40], "seeds": 2}, search={"trials": 2, "batch": 2})
    url = f"sqlite:///{tmp_path}/studies.db"
    assert redraw(folder_of(tmp_path / "out", spec), "default", url) == 0
    assert len(optuna.get_all_study_summaries(url)) == 2
    told, warned = capsys.readouterr()
    assert warned == ""
    assert "2 Optuna studies" in told
    assert "On fresh seeds" in told
    assert str(tmp_path / "out" / "reweighting.png") in told


def test_a_folder_without_a_search_has_no_study(tmp_path: Path) -> None:
    spec = search_spec(grid={"sparsity": [0.5], "hidden_dim": [40], "seeds": 2}).model_copy(
        update={"reweighting": None}
    )
    with pytest.raises(UsageError, match=r"no reweighting\.search"):
        redraw(folder_of(tmp_path, spec), "default", "sqlite:///:memory:")


def test_an_unfinished_job_is_drawn_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = small_spec(sparsity=[0.5, 0.9], hidden_dim=[40], activation=["relu"], seeds=2)
    folder = open_folder(str(tmp_path))
    folder.write("spec.json", spec_json(spec).encode())
    write_pack(folder, "some", synthetic_trials(spec).slice(0, 6))
    assert redraw(str(tmp_path), "default") == 0
    line = f"saephase: {tmp_path} is unfinished: 6 of 8 trials; the same `saephase run` command goes on\n"
    assert capsys.readouterr().err == line
