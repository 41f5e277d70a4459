"""Which conditions of a plain grid a boundary may pass."""

import pytest

from phase_diagrams.conditions import condition_table
from phase_diagrams.near_boundary import near_boundary
from phase_diagrams.spec import JobSpec
from phase_diagrams.tables import TRIALS
from phase_diagrams.trial import Condition, grid_trials
from tests.phase_diagrams.responses import Laboratory, search_spec


def near(spec: JobSpec, laboratory: Laboratory) -> set[tuple[float, int]]:
    rows = laboratory.rows(grid_trials(spec))
    return {(c.sparsity, c.hidden_dim) for c in near_boundary(spec, condition_table(spec, rows))}


@pytest.mark.parametrize("starts", [["random"], ["random", "truth"]])
def test_both_sides_of_a_turn_are_near_and_the_rest_is_not(starts: list[str]) -> None:
    spec = search_spec(grid={"sparsity": [0.5, 0.7, 0.8, 0.9], "hidden_dim": [40, 10, 20], "starts": starts})

    def above(condition: Condition) -> float:
        return 0.5 if condition.sparsity > 0.75 and condition.hidden_dim >= 20 else -0.5

    found = near(spec, Laboratory(spec, above, noise=0.0))
    turn = {(0.7, 20), (0.8, 20), (0.7, 40), (0.8, 40)} | {(0.8, 10), (0.9, 10), (0.9, 20)}
    assert found == turn


def test_a_condition_whose_seeds_disagree_is_near() -> None:
    spec = search_spec(grid={"sparsity": [0.5], "hidden_dim": [40], "seeds": 40})
    at_the_edge = Laboratory(spec, lambda condition: spec.recovery.fraction - 0.5, noise=0.05)
    assert near(spec, at_the_edge) == {(0.5, 40)}


def test_nothing_is_near_without_rows_or_without_a_turn() -> None:
    spec = search_spec()
    assert near_boundary(spec, condition_table(spec, TRIALS.empty_table())) == []
    assert near(spec, Laboratory(spec, lambda condition: -0.5, noise=0.0)) == set()
