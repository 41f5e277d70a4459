"""Seed outcomes along one axis to the place and the width of a logistic transition, with their intervals."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit, log_expit

Floats = npt.NDArray[np.float64]

# Slopes tried, in logits per axis length: from hardly any dependence to a step within 1/200 of the axis.
SLOPES = np.geomspace(0.05, 200.0, 91)
# Places tried, as shares of their half range about the middle of the axis, which holds one axis length on either side
# of the data and, at small slopes, probabilities down to exp(-6) in the middle.
SHARES = np.linspace(-1.0, 1.0, 301)
HALF_RANGE, HALF_LOGITS = 1.5, 6.0
DROP = 1.920729
"""Fall of the log likelihood that bounds a 95 % interval: half the chi-squared quantile with one degree of freedom."""


@dataclass(frozen=True, slots=True)
class Transition:
    """A logistic P = 1 / (1 + exp(-(u - place) / width)), rising or falling, with 95 % intervals, in units of u.

    The likelihood is penalised by Jeffreys' prior (Firth 1993, Biometrika 80:27), so that few seeds do not make the
    transition look sharper than it is and outcomes without overlap stay finite; intervals are those of the penalised
    profile likelihood (Heinze and Schemper 2002, Statist. Med. 21:2409), but for how sharp the transition may be: that
    is said by the likelihood alone, wherever it allows more.
    """

    place: float
    place_low: float
    """Cut at the range of the data, as place_high."""
    place_high: float
    width: float
    width_low: float
    """0 where a step within 1/200 of the axis is as likely."""
    width_high: float
    """inf where the outcomes need not depend on u at all."""
    rising: bool


def fit_transition(u: npt.ArrayLike, successes: npt.ArrayLike, trials: npt.ArrayLike) -> Transition | None:
    """Fit the transition; None where all outcomes agree or u has one value.

    `u`, `successes` and `trials` are (places,); outcomes are binomial. Raises ValueError where successes exceed trials.
    """
    x, k, n = (np.asarray(values, dtype=np.float64) for values in (u, successes, trials))
    if np.any((k < 0) | (k > n)):
        raise ValueError("successes must lie in [0, trials]")
    x, k, n = x[n > 0], k[n > 0], n[n > 0]
    if not n.size or k.sum() in (0, n.sum()) or x.min() == x.max():
        return None
    low, span = float(x.min()), float(x.max() - x.min())
    v = (x - low) / span
    places = 0.5 + SHARES * np.maximum(HALF_RANGE, HALF_LOGITS / SLOPES)[:, None]  # (slopes, shares)
    (rising, bare_rising), (falling, bare_falling) = (_likelihoods(v, counts, n, places) for counts in (k, n - k))
    upwards = bool(rising.max() >= falling.max())
    likelihood, other = (rising, falling) if upwards else (falling, rising)
    bare = bare_rising if upwards else bare_falling
    best = int(likelihood.argmax())
    kept = likelihood >= likelihood.max() - DROP
    slopes = np.flatnonzero(kept.any(axis=1))
    # The penalty rules out a step, which outcomes without overlap do not: the bare likelihood says how sharp it may be.
    sharpest = np.flatnonzero((bare >= bare.max() - DROP).any(axis=1))[-1]
    sharpest = max(int(sharpest), int(slopes[-1]))
    flat = slopes[0] == 0 or bool(other.max() >= likelihood.max() - DROP)
    ends = np.clip([places[kept].min(), places[kept].max()], 0.0, 1.0)
    return Transition(
        place=low + span * float(places.ravel()[best]),
        place_low=low + span * float(ends[0]),
        place_high=low + span * float(ends[1]),
        width=span / float(SLOPES[best // SHARES.size]),
        width_low=0.0 if sharpest == SLOPES.size - 1 else span / float(SLOPES[sharpest]),
        width_high=float("inf") if flat else span / float(SLOPES[slopes[0]]),
        rising=upwards,
    )


def _likelihoods(v: Floats, k: Floats, n: Floats, places: Floats) -> tuple[Floats, Floats]:
    """The log likelihood plus half the log determinant of the information, and without, of the shape of the places."""
    likelihood, total, first, second = (np.zeros(places.shape) for _ in range(4))
    for at, successes, trials in zip(v, k, n, strict=True):
        logits = SLOPES[:, None] * (at - places)
        likelihood += successes * log_expit(logits) + (trials - successes) * log_expit(-logits)
        weight = trials * expit(logits) * expit(-logits)
        total, first, second = total + weight, first + weight * at, second + weight * at * at
    information = np.maximum(total * second - first**2, np.finfo(np.float64).tiny)
    return likelihood + 0.5 * np.log(information), likelihood
