"""Rows to outcomes: every trial once, and a diverged one is an answer too."""

import math

from phase_diagrams.outcome import DIVERGED, better, read_outcomes
from phase_diagrams.tables import TRIALS
from phase_diagrams.trial import grid_trials
from tests.phase_diagrams.responses import Laboratory, search_spec
from tests.phase_diagrams.synthetic_trials import small_spec, synthetic_trials


def test_every_row_is_the_outcome_of_its_trial() -> None:
    spec = search_spec()
    outcomes = read_outcomes(Laboratory(spec, lambda condition: 0.2, noise=0.0).rows(grid_trials(spec)))
    assert list(outcomes) == list(grid_trials(spec))
    assert {(round(one.recovered_fraction, 3), round(one.gt_loss, 3)) for one in outcomes.values()} == {(0.7, 0.3)}
    assert read_outcomes(TRIALS.empty_table()) == {}


def test_a_diverged_row_is_an_autoencoder_that_says_nothing() -> None:
    spec = small_spec(activation=["topk:1"])
    rows = synthetic_trials(spec, diverged=0.3)
    outcomes = list(read_outcomes(rows).values())
    lost = rows["diverged"].to_pylist()
    assert 0 < sum(lost) < len(lost)
    assert [one == DIVERGED for one in outcomes] == lost
    assert (DIVERGED.recovered_fraction, DIVERGED.gt_loss, DIVERGED.objective) == (0, 1, math.inf)


def test_more_is_better_after_turning() -> None:
    assert (better("mcc", 0.2), better("gt_loss", 0.2)) == (0.2, -0.2)
