"""Counts of successes to an interval for their probability, and few values to one for their mean."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri, stdtrit

Floats = npt.NDArray[np.float64]


class Interval(NamedTuple):
    """Lower and upper limits, both in [0, 1], of the shape of the counts."""

    low: Floats
    high: Floats


def wilson(successes: npt.ArrayLike, trials: npt.ArrayLike, confidence: float = 0.95) -> Interval:
    """The score interval of a binomial probability; no trials give (0, 1).

    Source: Wilson, JASA 22 (1927) 209; advised for few trials by Brown, Cai and DasGupta, Statist. Sci. 16 (2001) 101.

    Args:
        successes: counts of any shape, each in [0, trials].
        trials: counts, broadcast against successes.
        confidence: the nominal coverage, in (0, 1).

    Raises:
        ValueError: a count or the confidence is out of range.
    """
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence = {confidence} must lie in (0, 1)")
    k, n = np.broadcast_arrays(_counts("successes", successes), _counts("trials", trials))
    if np.any(k > n):
        raise ValueError(f"successes must not exceed trials, got {k[k > n][0]:g} of {n[k > n][0]:g}")
    z2 = float(ndtri(0.5 + 0.5 * confidence)) ** 2
    some = np.maximum(n, 1.0)
    centre = (k + 0.5 * z2) / (some + z2)
    half = np.sqrt(z2 * k * (n - k) / some + 0.25 * z2 * z2) / (some + z2)
    # At k = 0 and k = n the limits are 0 and 1 exactly; rounding would leave 1e-17.
    low = np.where(k == 0, 0.0, centre - half)
    high = np.where(k == n, 1.0, centre + half)
    return Interval(low, high)


def mean_interval(values: npt.ArrayLike, confidence: float = 0.95, rounding: float = 0.0) -> tuple[float, float, float]:
    """Mean of (n,) values with Student's t interval; NaN without values, unbounded with one.

    `rounding` is a variance that the values' own spread may hide, and is added to it.
    """
    numbers = np.asarray(values, dtype=np.float64)
    n = numbers.size
    if n == 0:
        return float("nan"), float("nan"), float("nan")
    mean = float(numbers.mean())
    if n == 1:
        return mean, float("-inf"), float("inf")
    spread = float(np.sqrt(numbers.var(ddof=1) + rounding))
    half = float(stdtrit(n - 1, 0.5 + 0.5 * confidence)) * spread / n**0.5
    return mean, mean - half, mean + half


def _counts(name: str, values: npt.ArrayLike) -> npt.NDArray[np.floating[Any]]:
    counts = np.asarray(values, dtype=np.float64)
    if not np.all(np.isfinite(counts) & (counts >= 0)):
        raise ValueError(f"{name} must be finite and >= 0")
    return counts
