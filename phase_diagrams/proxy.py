"""Inputs and the planted dictionary to s_i: how polysemantic a proxy takes each input dimension to be.

Inputs x_p are (samples, n_inputs), the dictionary W_p is (n_inputs, n_features); docs/science.md has the formulas.
"""

from typing import Literal

import numpy as np
import numpy.typing as npt

Proxy = Literal["variance", "inverse_variance", "kurtosis", "firing_rate", "known_polysemanticity"]

FIRING = 0.1
"""Share of its root mean square above which an input dimension counts as firing; heuristic: noise of a tenth of the
signal is then not taken for a feature."""

Floats = npt.NDArray[np.float64]
Reals = npt.NDArray[np.floating]


def proxy_values(proxy: Proxy, inputs: Reals, dictionary: Reals) -> Floats:
    """s_i of every input dimension, (n_inputs,): mean 1 over the dimensions that vary, and 1 where one never does.

    The mean is 1 so that the reweighting exponent does not change the learning rate. A dimension that never varies has
    no loss to weight.
    """
    x = np.asarray(inputs, dtype=np.float64)
    variance: Floats = x.var(axis=0)
    varies = variance > 0
    if not varies.any():
        return np.ones(x.shape[1])
    raw = variance
    if proxy != "variance":
        raw = np.ones_like(variance)
        raw[varies] = _raw(proxy, x[:, varies], variance[varies], np.asarray(dictionary, np.float64)[varies])
    return np.asarray(np.where(varies, raw / raw[varies].mean(), 1.0))


def effective_features(dictionary: Reals) -> Floats:
    """How many features share each input dimension, (n_inputs,): (sum_j w_ij^2)^2 / sum_j w_ij^4.

    The inverse participation ratio (Simpson's index; Hill's number of order 2) of the squared weights: 1 for a
    monosemantic dimension, 2 for an antipodal pair, k where k features weigh the same. A row of zeros has 0.
    """
    square = np.square(np.asarray(dictionary, dtype=np.float64))
    fourth = np.square(square).sum(axis=1)
    return np.asarray(square.sum(axis=1) ** 2 / np.where(fourth > 0, fourth, 1.0))


def _raw(proxy: Proxy, x: Floats, variance: Floats, dictionary: Floats) -> Floats:
    """s_i before normalisation, of dimensions that vary."""
    if proxy == "inverse_variance":
        return np.asarray(1.0 / variance)
    if proxy == "kurtosis":
        return np.asarray(((x - x.mean(axis=0)) ** 4).mean(axis=0) / variance**2)
    if proxy == "firing_rate":
        return np.asarray((np.abs(x) > FIRING * np.sqrt((x**2).mean(axis=0))).mean(axis=0))
    # Noise alone makes a dimension vary that no feature reaches: it counts as the least polysemantic.
    return np.maximum(effective_features(dictionary), 1.0)
