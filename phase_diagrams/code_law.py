"""The law of the ground-truth features x: how often each fires, how large it is, and the input variance so made."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

Firing = Literal["uniform", "zipf"]
Magnitude = Literal["uniform", "constant", "half_normal", "exponential"]


@dataclass(frozen=True, slots=True)
class Moments:
    """The moments of the magnitude v of an active feature."""

    mean: float
    """E v."""
    mean_square: float
    """E v^2."""


_MOMENTS: dict[Magnitude, Moments] = {
    "uniform": Moments(1 / 2, 1 / 3),  # on (0, 1], Elhage et al. 2022
    "constant": Moments(1.0, 1.0),  # always 1
    "half_normal": Moments(math.sqrt(2 / math.pi), 1.0),  # |N(0, 1)|
    "exponential": Moments(1.0, 2.0),  # rate 1
}


def magnitude_moments(magnitude: Magnitude) -> Moments:
    """Return E v and E v^2 of an active feature: uniform on (0, 1], constant 1, |N(0, 1)| or exponential of rate 1."""
    if magnitude not in _MOMENTS:
        raise ValueError(f"code.magnitude is {magnitude!r}; allowed are {', '.join(_MOMENTS)}")
    return _MOMENTS[magnitude]


def firing_probabilities(
    n_features: int, sparsity: float, firing: Firing = "uniform", exponent: float = 0.0
) -> npt.NDArray[np.float64]:
    """Return P(x_i > 0) for each feature, (n_features,), with mean 1 - S whatever the law.

    `zipf`: proportional to rank^-exponent, the first feature firing most. Where that would exceed 1, the probability is
    1 and the rest is shared by the other features in the same proportions (water-filling), so the mean holds.
    """
    _check_law(n_features, sparsity)
    if firing == "uniform":
        return np.full(n_features, 1.0 - sparsity)
    if firing != "zipf":
        raise ValueError(f"code.firing is {firing!r}; allowed are uniform, zipf")
    if not (math.isfinite(exponent) and exponent >= 0.0):
        raise ValueError(f"code.firing.exponent is {exponent}; allowed are finite numbers >= 0")
    log_ranks = np.log(np.arange(1.0, n_features + 1.0))
    expected = expected_active(n_features, sparsity)
    certain = 0  # how many of the first features fire always
    while True:
        shares = np.exp(-exponent * (log_ranks[certain:] - log_ranks[certain]))
        rest: npt.NDArray[np.float64] = (expected - certain) * shares / shares.sum()
        # The last feature alone may exceed 1 only by rounding: expected <= n_features.
        if rest[0] <= 1.0 or certain == n_features - 1:
            rest = np.minimum(rest, 1.0)
            return np.concatenate([np.ones(certain), rest])
        certain += 1


def expected_active(n_features: int, sparsity: float) -> float:
    """Return n (1 - S), the mean number of active features per sample."""
    _check_law(n_features, sparsity)
    return n_features * (1.0 - sparsity)


def active_count(n_features: int, sparsity: float) -> int:
    """Return round(n (1 - S)), at least 1: the number of active features of an exactly-k code; halves round up."""
    # Half up, a billionth early: n (1 - S) carries rounding (50 (1 - .95) = 2.5000000000000022), and neighbouring
    # sparsities should not fall on different sides of an even number, as the built-in round would have it.
    return max(1, math.floor(expected_active(n_features, sparsity) + 0.5 + 1e-9))


def input_variance(
    dictionary: npt.NDArray[np.floating],
    probabilities: npt.NDArray[np.float64],
    magnitude: Magnitude,
    noise: float,
) -> npt.NDArray[np.float64]:
    """Return the variance of each input dimension, (n_inputs,), for independent (Bernoulli) firing.

    The diagonal of W_p Cov(x) W_p^T + noise^2 I with Var x_i = p_i E v^2 - (p_i E v)^2; `noise` is the standard
    deviation added to inputs. Exactly-k codes have correlated features and another variance.
    """
    moments = magnitude_moments(magnitude)
    variance = probabilities * moments.mean_square - (probabilities * moments.mean) ** 2  # (n_features,)
    result: npt.NDArray[np.float64] = np.square(dictionary, dtype=np.float64) @ variance + noise**2
    return result


def coupled_features(
    probabilities: npt.NDArray[np.float64],
    count: int | None,
    magnitude: Magnitude,
    samples: int,
    seed: int,
) -> npt.NDArray[np.float64]:
    """Return features x, (samples, n_features), whose draws are the same for every density: curves over S are smooth.

    With `count` None each feature i fires on its own with `probabilities[i]`; else exactly `count` fire, drawn one
    after another in proportion to `probabilities` (Plackett-Luce, by an exponential race). A feature that fires at one
    density fires, with the same magnitude, at every higher one.
    """
    rng = np.random.default_rng([seed, samples, len(probabilities)])
    draws, sizes = rng.random((2, samples, len(probabilities)))
    if count is None:
        active = draws < probabilities
    else:
        finish = -np.log1p(-draws) / np.maximum(probabilities, np.finfo(np.float64).tiny)
        active = finish <= np.partition(finish, count - 1, axis=1)[:, [count - 1]]
    return np.asarray(np.where(active, _QUANTILES[magnitude](sizes), 0.0))


_QUANTILES: dict[Magnitude, Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]] = {
    "uniform": lambda u: 1.0 - u,  # on (0, 1], as u is on [0, 1)
    "constant": np.ones_like,
    "half_normal": lambda u: np.asarray(ndtri(0.5 + 0.5 * u)),
    "exponential": lambda u: -np.log1p(-u),
}


def _check_law(n_features: int, sparsity: float) -> None:
    if n_features < 1:
        raise ValueError(f"data.n_features is {n_features}; allowed are integers >= 1")
    if not 0.0 <= sparsity <= 1.0:
        raise ValueError(f"sparsity is {sparsity}; allowed are numbers in [0, 1]")
