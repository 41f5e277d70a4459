"""The `refine` section: its ranges, and the values that may be sampled."""

import jsonschema
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phase_diagrams.axis import between, natural, smooth
from phase_diagrams.cost import plan_cost
from phase_diagrams.refine_spec import Candidates
from phase_diagrams.spec import SpecError, parse_spec, read_spec, spec_json, spec_schema
from phase_diagrams.trial import expected_trials, trial_namer
from tests.phase_diagrams.planted_boundary import refined_spec


def test_the_issue_s_section_is_read_and_written_back() -> None:
    spec = refined_spec(
        budget=400,
        tolerance=0.02,
        axes=["sparsity", "hidden_dim"],
        candidates={"sparsity": 41, "hidden_dim": 33},
        confidence=0.95,
    )
    assert read_spec(spec_json(spec)) == spec == refined_spec(budget=400)
    assert (spec.n_trials, spec.adaptive) == (400, True)
    jsonschema.validate(spec.model_dump(mode="json"), spec_schema())


@pytest.mark.parametrize(
    ("changes", "key", "words"),
    [
        ({"budget": 49}, "refine.budget", "less than the 50 trainings of the coarse start"),
        ({"budget": 0}, "refine.budget", "1"),
        ({"tolerance": 0}, "refine.tolerance", "0"),
        ({"tolerance": True}, "refine.tolerance", "not a number"),
        ({"confidence": 1}, "refine.confidence", "0.999"),
        ({"axes": ["sparsity"]}, "refine.axes", "sparsity and hidden_dim, and k if wanted"),
        ({"axes": ["sparsity", "hidden_dim", "seed"]}, "refine.axes", "'k'"),
        ({"axes": ["sparsity", "hidden_dim", "k"], "activation": ["relu"]}, "refine.axes", "topk"),
        ({"candidates": {"sparsity": 4}}, "refine.candidates.sparsity", "fewer than the 5 values"),
        ({"candidates": {"hidden_dim": 4}}, "refine.candidates.hidden_dim", "fewer than the 5 values"),
        ({"candidates": {"k": 4}}, "refine.candidates.k", "sparsity, hidden_dim"),
        ({"sparsity": [0.9], "hidden_dim": [40]}, "refine", "two values or more"),
        ({"points": 3}, "refine.points", "budget"),
        ({"candidates": {"sparsity": 201}}, "refine.candidates.sparsity", "200"),
        ({"candidates": {"sparsity": 200, "hidden_dim": 61}, "seeds": 1000}, "refine.candidates", "1,000,000"),
    ],
)
def test_a_wrong_section_is_named(changes: dict[str, object], key: str, words: str) -> None:
    with pytest.raises(SpecError) as caught:
        refined_spec(**{"budget": 400, **changes})  # type: ignore[arg-type]
    assert key in str(caught.value)
    assert words in str(caught.value)


def test_candidates_hold_the_grid_and_are_even_in_the_logarithms() -> None:
    spec = refined_spec(sparsity=[0.5, 0.987654321098, 0.9], hidden_dim=[80, 20, 41])
    assert set(spec.grid.sparsity) <= set(spec.sparsities)
    assert set(spec.grid.hidden_dim) <= set(spec.widths)
    assert len(spec.sparsities) == 41
    assert list(spec.widths) == sorted(set(spec.widths))
    steps = np.diff(smooth("sparsity", spec.sparsities))
    assert steps.max() < 1.2 * steps.min()
    octaves = np.diff(np.log2(spec.widths))
    assert octaves.max() < 0.1  # 2 octaves in 32 steps, each rounded to a whole width


def test_whole_widths_run_out_rather_than_repeat() -> None:
    assert Candidates(hidden_dim=33).widths([4, 8]) == (4, 5, 6, 7, 8)


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=6, unique=True),
    st.integers(0, 40),
)
def test_between_holds_what_is_given_and_has_the_number_asked_for(ends: list[float], more: int) -> None:
    num = len(ends) + more
    values = between(ends, num)
    assert set(ends) <= set(values.tolist())
    assert np.all(np.diff(values) >= 0)
    assert len(values) == (num if len(ends) > 1 else 1)


@pytest.mark.parametrize(("axis", "value"), [("sparsity", 0.0), ("sparsity", 0.987), ("hidden_dim", 40), ("k", 1)])
def test_natural_undoes_smooth(axis: str, value: float) -> None:
    assert natural(axis, float(smooth(axis, value))) == value


def test_expected_trials_are_as_many_as_the_budget_and_all_different() -> None:
    spec = refined_spec(budget=333)
    trials = list(expected_trials(spec))
    assert len({trial_namer(spec)(trial) for trial in trials}) == 333
    assert plan_cost(spec, 2).trainings == 333


def test_a_budget_beyond_all_candidates_is_what_they_have() -> None:
    candidates = {"sparsity": 6, "hidden_dim": 6}
    spec = refined_spec(budget=1_000_000, candidates=candidates)
    assert spec.n_trials == spec.n_candidates == 6 * 6 * 4 * 2
    trials = list(expected_trials(spec))
    assert len(set(trials)) == len(trials) == spec.n_trials
    plan, exact = (plan_cost(refined_spec(budget=budget, candidates=candidates), 2) for budget in (1_000_000, 288))
    assert plan == exact


def test_without_refine_conditions_are_the_grid_s() -> None:
    document = refined_spec().model_dump(mode="json") | {"refine": None}
    spec = parse_spec(document)
    assert (spec.sparsities, spec.widths, spec.n_conditions) == (spec.grid.sparsity, spec.grid.hidden_dim, 25)
