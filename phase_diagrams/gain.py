"""Outcomes at an exponent and at 0, paired by seed, to the gain of each score with its 95 % interval."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from phase_diagrams.interval import mean_interval
from phase_diagrams.outcome import Outcome, better

SCORES = ("recovered_fraction", "mcc", "gt_loss", "sae_loss")
"""The scores whose gain is told."""


class Gain(NamedTuple):
    """Mean over seeds of a paired difference, turned so that more is better, with its 95 % interval."""

    mean: float
    low: float
    high: float

    @property
    def significant(self) -> bool:
        """Whether the interval leaves 0 out."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True, slots=True)
class Pair:
    """One seed trained twice on the same data from the same weights: with the reweighted and with the plain loss."""

    reweighted: Outcome
    plain: Outcome


def paired_gain(score: str, pairs: Iterable[Pair], n_features: int) -> Gain:
    """The gain in a score over pairs, one per seed, with Student's interval of the paired differences.

    t with n - 1 degrees of freedom is exact for normal differences and any n >= 2; one pair has no interval (-inf to
    inf), none has NaN. Recovery is counted in steps of 1 / n_features: the two roundings add step^2 / 6 to the variance
    of a difference (step^2 / 12 each, Sheppard), so that a few equal counts do not claim an interval of width 0.
    """
    step = 1.0 / n_features if score == "recovered_fraction" else 0.0
    differences = [better(score, getattr(one.reweighted, score) - getattr(one.plain, score)) for one in pairs]
    return Gain(*mean_interval(differences, rounding=step**2 / 6))
