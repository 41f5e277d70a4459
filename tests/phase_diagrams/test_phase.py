from random import Random
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phase_diagrams.phase import (
    OBJECTIVE_TOLERANCE,
    PHASES_RANDOM_START,
    PHASES_TWO_STARTS,
    ConditionPhase,
    condition_phase,
)


class Seed(NamedTuple):
    random_identified: bool
    random_objective: float
    truth_identified: bool
    truth_objective: float


# Seeds of each phase, objectives far enough apart for any tolerance.
RECOVERED = Seed(True, 0.10, True, 0.10)
OPTIMISER = Seed(False, 0.20, True, 0.10)
LEFT = Seed(False, 0.20, False, 0.18)
LOWER = Seed(False, 0.10, True, 0.20)

objectives = st.one_of(st.floats(0.0, 10.0), st.just(float("nan")), st.sampled_from([0.1, 0.1001, 0.101]))
seeds = st.builds(Seed, st.booleans(), objectives, st.booleans(), objectives)


def phase_of(rows: list[Seed]) -> ConditionPhase:
    return condition_phase(*(list(column) for column in zip(*rows, strict=True)))


def random_phase_of(rows: list[Seed]) -> ConditionPhase:
    return condition_phase([r.random_identified for r in rows], [r.random_objective for r in rows])


@pytest.mark.parametrize(
    ("seed", "phase"),
    [
        (RECOVERED, "recovered"),
        (OPTIMISER, "optimiser_limited"),
        (LEFT, "objective_limited"),
        (LOWER, "objective_limited"),
        # Recovered needs nothing of the truth start, not even its survival.
        (Seed(True, 0.1, False, 0.05), "recovered"),
        # Equal objectives, within the tolerance and beyond it.
        (Seed(False, 0.1, True, 0.1 * (1 + 0.9 * OBJECTIVE_TOLERANCE)), "optimiser_limited"),
        (Seed(False, 0.1, True, 0.1 * (1 + 1.1 * OBJECTIVE_TOLERANCE)), "objective_limited"),
        # Diverged starts are not identified, whatever the flag says; a diverged random start ends above any truth.
        (Seed(True, np.nan, False, 0.1), "objective_limited"),
        (Seed(True, np.nan, True, 0.1), "optimiser_limited"),
        (Seed(False, np.inf, True, 0.1), "optimiser_limited"),
        (Seed(False, 0.1, True, np.nan), "objective_limited"),
        (Seed(False, np.nan, True, np.nan), "objective_limited"),
    ],
)
def test_phase_of_one_seed(seed: Seed, phase: str) -> None:
    found = phase_of([seed])
    assert found.phase == phase
    assert found.seed_phases == (phase,)
    assert found.identifiable == (phase != "objective_limited",)
    assert not found.certain


@pytest.mark.parametrize("kind", [RECOVERED, OPTIMISER, LEFT, LOWER])
def test_four_agreeing_seeds_are_certain_three_of_four_and_three_of_three_are_not(kind: Seed) -> None:
    other = LEFT if kind is RECOVERED else RECOVERED
    assert phase_of([kind] * 4).certain
    assert phase_of([kind] * 4).share == 1.0
    assert not phase_of([kind] * 3).certain
    split = phase_of([kind] * 3 + [other])
    assert split.phase == phase_of([kind]).phase
    assert split.share == 0.75
    assert not split.certain
    assert split.share_low < 0.5 < split.share_high


@pytest.mark.parametrize(
    ("rows", "phase"),
    [
        ([RECOVERED, RECOVERED, OPTIMISER, OPTIMISER], "optimiser_limited"),
        ([RECOVERED, RECOVERED, LEFT, LEFT], "objective_limited"),
        ([OPTIMISER] * 10 + [LOWER] * 10, "objective_limited"),
    ],
)
def test_an_even_split_gets_the_less_favourable_claim_and_is_never_certain(rows: list[Seed], phase: str) -> None:
    found = phase_of(rows)
    assert found.phase == phase
    assert not found.certain


def test_majority_of_identifiable_seeds_that_differ_in_how() -> None:
    found = phase_of([RECOVERED, OPTIMISER, LEFT])
    assert found.phase == "optimiser_limited"
    assert not found.certain


@pytest.mark.parametrize(
    ("ratios", "phase", "certain"),
    [
        ([0.98, 0.985, 0.99, 0.98, 0.985], "optimiser_limited", True),
        # All five on the same side of the tolerance, but by less than their spread.
        ([0.80, 1.0, 1.0015, 1.0015, 1.0015], "optimiser_limited", False),
        ([1.02, 1.01, 1.015, 1.02, 1.01], "objective_limited", True),
        ([1.003, 1.003, 1.003, 1.003, 1.2], "objective_limited", False),
        # Surely above 1, not surely above the tolerance.
        ([1.0021, 1.0021, 1.006, 1.006, 1.004], "objective_limited", False),
        ([1.0, 1.0, 1.0, 1.0, 1.0], "optimiser_limited", True),
    ],
)
def test_objectives_closer_than_their_spread_leave_the_phase_open(
    ratios: list[float], phase: str, certain: bool
) -> None:
    found = phase_of([Seed(False, 0.3, True, 0.3 * ratio) for ratio in ratios])
    assert found.phase == phase
    assert found.share == 1.0
    assert found.certain is certain
    assert found.log_ratio == pytest.approx(np.mean(np.log(ratios)))


def test_paired_interval_is_student_t() -> None:
    ratios = np.array([0.97, 0.99, 0.96, 0.98])
    found = phase_of([Seed(False, 0.3, True, 0.3 * ratio) for ratio in ratios])
    # t(3, 0.975) = 3.18245
    half = 3.18245 * np.log(ratios).std(ddof=1) / 2
    assert found.log_ratio_high - found.log_ratio == pytest.approx(half, rel=1e-5)
    assert found.log_ratio - found.log_ratio_low == pytest.approx(half, rel=1e-5)


def test_the_interval_does_not_pick_the_seeds_that_agree() -> None:
    """Seven of eight pass the share test; the eighth's objective still counts in the interval."""
    rows = [Seed(False, 0.3, True, 0.299)] * 7 + [Seed(False, 0.3, True, 0.6)]
    found = phase_of(rows)
    assert found.phase == "optimiser_limited"
    assert found.share_low > 0.5
    assert not found.certain


def test_one_comparison_has_no_spread_and_settles_nothing() -> None:
    assert not phase_of([LEFT] * 7 + [LOWER]).certain
    assert phase_of([LEFT] * 8).certain
    assert np.isnan(phase_of([LEFT] * 8).log_ratio)


def test_random_starts_alone() -> None:
    assert random_phase_of([RECOVERED] * 4).phase == "recovered"
    assert random_phase_of([RECOVERED] * 4).certain
    failed = random_phase_of([OPTIMISER] * 4)
    assert failed.phase == "not_recovered"
    assert failed.certain
    assert failed.identifiable is None
    tie = random_phase_of([RECOVERED, OPTIMISER])
    assert tie.phase == "not_recovered"
    assert not tie.certain


@given(st.lists(seeds, min_size=1, max_size=9), st.randoms(use_true_random=False), st.booleans())
def test_the_order_of_seeds_is_void(rows: list[Seed], shuffler: Random, two_starts: bool) -> None:
    order = list(range(len(rows)))
    shuffler.shuffle(order)
    make = phase_of if two_starts else random_phase_of
    found, again = make(rows), make([rows[i] for i in order])
    assert (found.phase, found.certain, found.share) == (again.phase, again.certain, again.share)
    assert repr(found.log_ratio_low) == repr(again.log_ratio_low)
    assert tuple(found.seed_phases[i] for i in order) == again.seed_phases


@given(st.lists(seeds, min_size=1, max_size=9), st.integers(0, 8), st.floats(0.0, 10.0))
def test_a_failure_that_turns_into_a_recovery_is_never_less_favourable(
    rows: list[Seed], i: int, objective: float
) -> None:
    i %= len(rows)
    better = [
        row._replace(random_identified=True, random_objective=objective) if j == i else row
        for j, row in enumerate(rows)
    ]
    for make, order in ((phase_of, PHASES_TWO_STARTS), (random_phase_of, PHASES_RANDOM_START)):
        assert order.index(make(better).phase) <= order.index(make(rows).phase)


@given(st.lists(seeds, min_size=1, max_size=9))
def test_a_certain_phase_holds_a_strict_majority(rows: list[Seed]) -> None:
    found = phase_of(rows)
    assert 0 <= found.share_low <= found.share <= found.share_high <= 1
    if found.certain:
        assert found.seed_phases.count(found.phase) > len(rows) / 2
        assert len(rows) >= 4


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (([], []), "random_objective"),
        (([True], [0.1, 0.2]), "random_identified"),
        (([True], [-0.1]), "random_objective"),
        (([True], [0.1], [True], None), "truth_objective"),
        (([True], [0.1], [True, True], [0.1, 0.1]), "1 random and 2 truth"),
    ],
)
def test_bad_input_is_named(arguments: tuple[list[float], ...], names: str) -> None:
    with pytest.raises(ValueError, match=names):
        condition_phase(*arguments)
