"""Studies of a search in a storage that Optuna opens."""

from pathlib import Path

import optuna
import pytest

from phase_diagrams.exponent_search import ExponentSearch
from phase_diagrams.finding import find_exponents
from tests.phase_diagrams.responses import Laboratory, ask_to_the_end, search_spec
from workers.exponent_sampler import suggest_exponents
from workers.optuna_export import ExportError, export_studies, study_name


@pytest.mark.parametrize(("objective", "direction"), [("mcc", "MAXIMIZE"), ("gt_loss", "MINIMIZE")])
def test_every_study_loads_with_its_trials_and_its_best(tmp_path: Path, objective: str, direction: str) -> None:
    spec = search_spec(grid={"sparsity": [0.5, 0.9], "hidden_dim": [40]}, search={"objective": objective})
    laboratory = Laboratory(spec, lambda condition: 0.1 * condition.exponent, noise=0.01)
    findings = find_exponents(spec, ask_to_the_end(ExponentSearch(spec, suggest_exponents), laboratory)[1])
    url = f"sqlite:///{tmp_path}/studies.db"
    assert export_studies(spec, findings, url) == 2
    assert export_studies(spec, findings, url) == 2, "again replaces"
    assert len(optuna.get_all_study_summaries(url)) == 2
    for finding in findings:
        study = optuna.load_study(study_name=study_name(spec, finding.condition), storage=url)
        assert study.direction.name == direction
        assert len(study.trials) == len(finding.study.tried) == 9
        assert study.best_params == {"exponent": finding.exponent}
        assert 0 < study.best_value < 1
        assert study.user_attrs["sparsity"] == finding.condition.sparsity
        assert study.user_attrs["objective"] == objective


@pytest.mark.parametrize("url", ["nonsense", "sqlite:////no/such/folder/studies.db"])
def test_a_storage_that_cannot_be_used_is_named(url: str) -> None:
    with pytest.raises(ExportError, match="cannot be used as an Optuna storage"):
        export_studies(search_spec(), (), url)


def test_a_password_is_not_repeated() -> None:
    with pytest.raises(ExportError) as told:
        export_studies(search_spec(), (), "postgresql://me:secret@127.0.0.1:1/studies")
    assert "secret" not in str(told.value)
