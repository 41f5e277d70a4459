"""How far boundaries move: known answers without noise, coverage of the paired interval with it."""

import math
from collections.abc import Sequence
from statistics import NormalDist

import pytest

from phase_diagrams.exponent_search import ExponentSearch
from phase_diagrams.finding import find_exponents
from phase_diagrams.shift import boundary_shifts
from phase_diagrams.spec import JobSpec
from phase_diagrams.study import Study
from phase_diagrams.trial import Condition
from tests.phase_diagrams.responses import Laboratory, Response, ask_to_the_end, search_spec

SPARSITY = {"start": 0.5, "stop": 0.99, "num": 11, "spacing": "log_density"}
SPAN = math.log10(0.5 / 0.01) * 11 / 10
"""Decades of density over eleven cells."""


def ones(study: Study, count: int) -> list[float]:
    return [1.0] * count


def wide_spec(hidden_dim: Sequence[int] = (40,), **changes: object) -> JobSpec:
    search = {"trials": 2, "batch": 2, "low": 0.0, "high": 1.0, "objective": "mcc"}
    return search_spec(
        grid={"sparsity": SPARSITY, "hidden_dim": list(hidden_dim), "seeds": 2}, search=search, **changes
    )


def step(depth: float, moved: float) -> Response:
    """Success below a density, which reweighting moves up by so many decades: to lower sparsity."""

    def level(condition: Condition) -> float:
        here = -math.log10(1 - condition.sparsity)
        return 0.5 if here > depth - (moved if condition.exponent else 0.0) else 0.1 * condition.exponent

    return level


def test_a_boundary_that_moves_by_cells_is_measured_in_cells_and_in_decades() -> None:
    spec = wide_spec()
    laboratory = Laboratory(spec, step(1.2, 0.35), noise=0.0)
    findings = find_exponents(spec, ask_to_the_end(ExponentSearch(spec, ones), laboratory)[1])
    random, truth = boundary_shifts(spec, findings)
    assert (random.start, truth.start) == ("random", "truth")
    depths = [-math.log10(1 - sparsity) for sparsity in spec.grid.sparsity]
    cells = sum(0.85 < depth <= 1.2 for depth in depths)
    assert cells == 2
    for shift in (random, truth):
        assert shift.gained == shift.net.mean == pytest.approx(cells / 11)
        assert shift.lost == 0
        assert shift.net.low > 0
        assert shift.decades is not None
        assert shift.decades.mean == pytest.approx(SPAN * cells / 11)
        assert abs(shift.decades.mean - 0.35) < SPAN / 11, "a step is known to a cell"
        assert [place.hidden_dim for place in shift.along] == [40]
        assert shift.along[0].decades == pytest.approx(shift.decades), "one place is all of the boundary"


def test_each_hidden_dimension_has_its_own_shift() -> None:
    spec = wide_spec(hidden_dim=[20, 40, 80])
    moved = {20: 0.0, 40: 0.35, 80: 0.7}

    def level(condition: Condition) -> float:
        return step(1.2, moved[condition.hidden_dim])(condition)

    findings = find_exponents(spec, ask_to_the_end(ExponentSearch(spec, ones), Laboratory(spec, level, noise=0.0))[1])
    for shift in boundary_shifts(spec, findings):
        assert [place.hidden_dim for place in shift.along] == [20, 40, 80]
        for place in shift.along:
            assert abs(place.decades.mean - moved[place.hidden_dim]) <= SPAN / 11
            assert place.decades.low <= moved[place.hidden_dim] <= place.decades.high
        middle = sum(place.decades.mean for place in shift.along) / 3
        assert shift.decades is not None
        assert shift.decades.mean == pytest.approx(middle), "cells of equal width weigh the same"


def test_nothing_moves_where_no_exponent_is_better() -> None:
    spec = wide_spec()
    laboratory = Laboratory(spec, lambda condition: -0.1 * condition.exponent, noise=0.0)
    findings = find_exponents(spec, ask_to_the_end(ExponentSearch(spec, ones), laboratory)[1])
    for shift in boundary_shifts(spec, findings):
        assert (shift.gained, shift.lost, shift.net.mean) == (0, 0, 0)
        assert shift.net.low < 0 < shift.net.high, "an area is known to a cell"


def test_one_sparsity_has_an_area_and_no_axis_to_move_along() -> None:
    spec = search_spec(grid={"sparsity": [0.8]}, search={"trials": 2, "batch": 2})
    laboratory = Laboratory(spec, lambda condition: 0.5 if condition.exponent else 0.0, noise=0.0)
    findings = find_exponents(spec, ask_to_the_end(ExponentSearch(spec, ones), laboratory)[1])
    assert {shift.decades for shift in boundary_shifts(spec, findings)} == {None}
    assert {shift.gained for shift in boundary_shifts(spec, findings)} == {1.0}


@pytest.mark.long
def test_intervals_cover_the_true_shift_for_four_seeds_as_a_whole_and_at_each_place() -> None:
    spec = wide_spec(hidden_dim=[20, 40, 80])
    moved, covered, places, worlds = 0.3, 0, 0, 60

    def slope(condition: Condition) -> float:
        here = -math.log10(1 - condition.sparsity) - 1.2 + (moved if condition.exponent else 0.0)
        return 0.4 + 0.4 * here + (1e-3 if condition.exponent else 0.0)  # at the recovery threshold where here = 0

    for world in range(worlds):
        laboratory = Laboratory(spec, slope, noise=0.08, world=world)
        findings = find_exponents(spec, ask_to_the_end(ExponentSearch(spec, ones), laboratory)[1])
        # Chance alone puts some conditions back to 0: the truth is then the shift of the others.
        true: dict[int, float] = {20: 0.0, 40: 0.0, 80: 0.0}
        for finding in findings:
            if finding.exponent:
                true[finding.condition.hidden_dim] += SPAN / 11 * _gain(finding.condition.sparsity, moved)
        shift = boundary_shifts(spec, findings)[0]
        assert shift.decades is not None
        covered += shift.decades.low <= sum(true.values()) / 3 <= shift.decades.high
        places += sum(place.decades.low <= true[place.hidden_dim] <= place.decades.high for place in shift.along)
    assert covered / worlds >= 0.86  # 95 % less three standard deviations of 60
    assert 0.9 <= places / (3 * worlds) <= 0.995


def _gain(sparsity: float, moved: float) -> float:
    """What reweighting adds to the probability of success at a sparsity: noise is normal with sd 0.08."""
    here = -math.log10(1 - sparsity) - 1.2
    # 40 features are recovered in steps of 1/40: success at 36 of 40 means a score of at least 35.5 / 40.
    chance = [NormalDist(0.9 + 0.4 * place, 0.08).cdf(35.5 / 40) for place in (here, here + moved)]
    return chance[0] - chance[1]
