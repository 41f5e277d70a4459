from dataclasses import replace

import numpy as np
import pytest

from phase_diagrams.activation import parse_activation
from phase_diagrams.conditions import condition_table
from phase_diagrams.refine_planner import coarse_trials
from phase_diagrams.spec import JobSpec, parse_spec
from phase_diagrams.tables import TRIALS
from phase_diagrams.verdict import Verdict, disagreement, theory_setting
from tests.phase_diagrams.planted_boundary import planted_rows, refined_spec
from tests.phase_diagrams.synthetic_trials import small_spec, synthetic_trials


def _spec(**changes: object) -> JobSpec:
    data = {"n_features": 40, "n_inputs": 20, "superposition": {"kind": "polygon", "digon": 20}}
    data |= changes.pop("data", {})  # type: ignore[arg-type]
    grid = {"sparsity": [0.9], "hidden_dim": [40], "activation": ["topk:1"]}
    return parse_spec({"data": data, "grid": grid, **changes})


RANDOM = {"superposition": {"kind": "random_unit"}}


def _says(
    spec: JobSpec, activation: str, sparsity: float = 0.98, hidden_dim: int = 40, exponent: float = 0.0
) -> object:
    return theory_setting(spec).verdict(sparsity, hidden_dim, parse_activation(activation), exponent)


@pytest.mark.parametrize("activation", ["topk:1", "topk:4", "batchtopk:1", "relu"])
def test_without_positive_interference_the_theorems_promise_every_unpenalised_activation(activation: str) -> None:
    assert _says(_spec(), activation) == "identifiable"


def test_with_positive_interference_only_topk_1_is_exact_on_single_features() -> None:
    spec = _spec(data=RANDOM)
    assert _says(spec, "topk:1") == "identifiable"
    assert _says(spec, "topk:2") is None
    assert _says(spec, "batchtopk:1") is None
    assert _says(spec, "relu") == "not_identifiable"


def test_each_condition_of_the_theorems_can_fail() -> None:
    assert _says(_spec(), "topk:1", hidden_dim=35) == "not_identifiable"
    assert _says(_spec(), "topk:1", hidden_dim=36) is None  # .9 n latents can still count as identified
    assert _says(_spec(), "topk:1", sparsity=0.97) == "not_identifiable"  # 1.2 active features, one latent
    assert _says(_spec(), "topk:4", sparsity=0.89) == "not_identifiable"
    assert _says(_spec(), "topk:4", sparsity=0.9) is None
    assert _says(_spec(), "relu", sparsity=0.5) is None


def test_counts_at_the_edge_are_compared_without_rounding_errors() -> None:
    for n, sparsity in ((20, 0.95), (40, 0.975), (50, 0.98), (100, 0.99)):
        spec = _spec(data={"n_features": n, "n_inputs": n // 2, "superposition": {"kind": "polygon", "digon": n // 2}})
        assert _says(spec, "topk:1", sparsity=sparsity, hidden_dim=n) == "identifiable"
    wanted = _spec(data={"n_features": 10, "n_inputs": 5, "superposition": {"kind": "polygon", "digon": 5}})
    assert theory_setting(wanted).least_width == 9


def test_an_exact_code_is_judged_by_the_number_that_is_active() -> None:
    exact = _spec(data={"code": {"kind": "exact"}})
    assert _says(exact, "topk:1", sparsity=0.97) == "identifiable"  # round(1.2) = 1
    assert _says(exact, "topk:1", sparsity=0.95) == "not_identifiable"


@pytest.mark.parametrize(
    "changes", [{"sae": {"tied": False}}, {"data": {"noise": 0.1}}, {"data": {"code": {"firing": {"kind": "zipf"}}}}]
)
def test_nothing_is_said_of_what_the_theorems_do_not_cover(changes: dict[str, object]) -> None:
    assert _says(_spec(**changes), "topk:1") is None
    assert _says(_spec(**changes), "topk:1", hidden_dim=10) is None


def test_nothing_is_said_of_weighted_losses_and_little_of_penalties() -> None:
    assert _says(_spec(), "topk:1", exponent=0.5) is None
    assert _says(_spec(), "relu_l1:0.01") is None
    assert _says(_spec(), "relu_l1:0.01", hidden_dim=20) == "not_identifiable"


def test_interference_is_that_of_the_planted_dictionary() -> None:
    """The shortcuts (polygons; more than 2 n_p directions) agree with the dictionaries themselves."""
    antipodal = np.hstack([np.eye(3), -np.eye(3)]).tolist()
    explicit = {"n_features": 6, "n_inputs": 3, "superposition": {"kind": "explicit", "matrix": antipodal}}
    assert theory_setting(_spec(data=explicit)).non_positive
    pentagon = {"n_features": 5, "n_inputs": 2, "superposition": {"kind": "polygon", "pentagon": 1}}
    assert not theory_setting(_spec(data=pentagon)).non_positive
    assert not theory_setting(_spec(data=RANDOM)).non_positive
    assert not theory_setting(_spec(data={**RANDOM, "n_inputs": 10})).non_positive


@pytest.mark.parametrize("phase", ["recovered", "optimiser_limited", "objective_limited", "not_recovered", None])
@pytest.mark.parametrize("verdict", ["identifiable", "not_identifiable", None])
def test_a_disagreement_is_certain_and_opposite(verdict: Verdict | None, phase: str | None) -> None:
    found = disagreement(verdict, phase, True)  # type: ignore[arg-type]
    opposite = {
        ("identifiable", "objective_limited"): "theory_only",
        ("not_identifiable", "recovered"): "measurement_only",
        ("not_identifiable", "optimiser_limited"): "measurement_only",
    }
    assert found == opposite.get((str(verdict), str(phase)))
    assert disagreement(verdict, phase, False) is None  # type: ignore[arg-type]


def test_every_condition_carries_its_verdict_and_disagreement() -> None:
    spec = small_spec(sparsity=[0.5, 0.9, 0.98], seeds=8)
    rows = condition_table(spec, synthetic_trials(spec)).to_pylist()
    setting = theory_setting(spec)
    for row, activation in ((row, f"{row['activation']}{':' + str(row['k']) if row['k'] else ''}") for row in rows):
        verdict = setting.verdict(row["sparsity"], row["hidden_dim"], parse_activation(activation), row["exponent"])
        assert row["theory"] == verdict
        assert row["disagreement"] == disagreement(verdict, row["phase"], row["phase_certain"])
    assert {row["theory"] for row in rows} == {"identifiable", "not_identifiable", None}
    assert {row["disagreement"] for row in rows} >= {"measurement_only", None}


def test_refined_conditions_carry_their_verdict_too() -> None:
    spec = refined_spec(activation=["topk:1"])
    coarse = list(coarse_trials(spec))
    width = next(width for width in spec.widths if width not in spec.grid.hidden_dim and width > 40)
    off_grid = [
        replace(t, condition=replace(t.condition, sparsity=spec.sparsities[-2], hidden_dim=width)) for t in coarse
    ]
    unique = list(dict.fromkeys(off_grid))
    rows = condition_table(spec, planted_rows(spec, [*coarse, *unique])).to_pylist()
    setting = theory_setting(spec)
    verdicts = [setting.verdict(row["sparsity"], row["hidden_dim"], parse_activation("topk:1"), 0.0) for row in rows]
    assert [row["theory"] for row in rows] == verdicts
    assert (spec.sparsities[-2], width) in {(row["sparsity"], row["hidden_dim"]) for row in rows}
    assert {"identifiable", "not_identifiable"} <= set(verdicts)


def test_an_impossible_dictionary_is_nobody_s_business_while_nothing_is_trained() -> None:
    """A toy model that leaves features out fails its job; asking for that job's conditions must not fail too."""
    data = {"n_features": 8, "n_inputs": 4, "superposition": {"kind": "toy_model", "sparsity": 0.0, "steps": 1}}
    assert condition_table(_spec(data=data), TRIALS.empty_table()).num_rows == 0
