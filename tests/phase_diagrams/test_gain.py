"""Paired gains: known answers, coverage for few seeds, and no interval of width 0 from counts."""

import math

import numpy as np
import pytest

from phase_diagrams.gain import Gain, Pair, paired_gain
from phase_diagrams.outcome import DIVERGED, Outcome


def outcome(value: float) -> Outcome:
    return Outcome(value, value, value, value, value, value >= 0.9)


def pairs(*values: tuple[float, float]) -> list[Pair]:
    return [Pair(outcome(reweighted), outcome(plain)) for reweighted, plain in values]


def test_a_gain_is_the_mean_paired_difference_with_students_interval() -> None:
    gain = paired_gain("mcc", pairs((0.5, 0.4), (0.7, 0.5), (0.6, 0.3)), 40)
    assert gain.mean == pytest.approx(0.2)
    half = 4.302652729911275 * 0.1 / math.sqrt(3)  # t(2) at 97.5 %, Student's table
    assert (gain.low, gain.high) == (pytest.approx(0.2 - half), pytest.approx(0.2 + half))
    assert not gain.significant
    assert Gain(0.1, 0.05, 0.15).significant


@pytest.mark.parametrize("score", ["gt_loss", "sae_loss"])
def test_less_of_a_loss_is_a_gain(score: str) -> None:
    assert paired_gain(score, pairs((0.1, 0.3), (0.1, 0.3)), 40).mean == pytest.approx(0.2)


def test_a_training_that_diverged_says_nothing_and_loses_to_any_other() -> None:
    good = outcome(0.5)
    for score in ("recovered_fraction", "mcc", "gt_loss", "sae_loss"):
        assert paired_gain(score, [Pair(DIVERGED, good)], 40).mean == -0.5


def test_one_seed_has_no_interval_and_none_has_no_mean() -> None:
    assert paired_gain("mcc", pairs((0.5, 0.4)), 40)[1:] == (-math.inf, math.inf)
    assert math.isnan(paired_gain("mcc", [], 40).mean)


def test_equal_counts_do_not_claim_more_than_counting_can() -> None:
    gain = paired_gain("recovered_fraction", pairs(*[(0.5 + 1 / 40, 0.5)] * 4), 40)
    assert gain.high - gain.mean == pytest.approx(3.182446305284263 / 40 / math.sqrt(6 * 4))  # t(3) at 97.5 %
    assert paired_gain("mcc", pairs(*[(0.5, 0.5)] * 4), 40) == (0, 0, 0)


@pytest.mark.parametrize("seeds", [2, 4])
def test_the_interval_covers_for_few_seeds(seeds: int) -> None:
    rng = np.random.default_rng(seeds)
    truth, repetitions = 0.03, 2000
    common = rng.normal(0.5, 0.2, (repetitions, seeds))
    plain = common + rng.normal(0, 0.05, common.shape)
    reweighted = common + truth + rng.normal(0, 0.05, common.shape)
    gains = [paired_gain("mcc", pairs(*zip(a, b, strict=True)), 40) for a, b in zip(reweighted, plain, strict=True)]
    covered = sum(gain.low <= truth <= gain.high for gain in gains) / repetitions
    assert 0.935 <= covered <= 0.965  # three standard deviations of 2,000 draws
