"""A superposition matrix and samples to what theory says of them: closed form, loss gaps, chance levels, thresholds.

Theorem numbers are those of Cui, Zhang, Wang, Wang, arXiv 2506.15963. W_p is (n_inputs, n_features), features x are
(samples, n_features), inputs x_p are (samples, n_inputs), a tied sparse autoencoder W_m is (hidden_dim, n_inputs).
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.integrate import quad
from scipy.optimize import minimize_scalar
from scipy.special import betainc, ndtr

from phase_diagrams.code_law import expected_active as expected_active

Floats = npt.NDArray[np.float64]
Reals = npt.NDArray[np.floating]


def closed_form_weights(dictionary: Reals, hidden_dim: int) -> Floats:
    """Return W_m* = (W_p, 0)^T, (hidden_dim, n_inputs): the optimum of Theorems 1 to 3 as S -> 1, if hidden_dim >= n.

    Rows may be permuted freely; for hidden_dim = n it is the only optimum. Raises ValueError for fewer.
    """
    n_inputs, n_features = dictionary.shape
    if hidden_dim < n_features:
        raise ValueError(f"hidden_dim is {hidden_dim}; the closed form needs at least n_features = {n_features}")
    weights = np.zeros((hidden_dim, n_inputs))
    weights[:n_features] = dictionary.T
    return weights


def closed_form_features(dictionary: Reals, features: Reals, k: int | None = None, *, pooled: bool = False) -> Floats:
    """Return what the closed form recovers, x_hat = sigma(W_p^T W_p x), (samples, n_features) (Theorems 1 to 3).

    sigma is ReLU; with `k` it then keeps the k largest of each sample (TopK), `pooled` the k * samples largest of all
    (BatchTopK). Positive interference adds to a feature, negative interference makes it shrink or vanish: under ReLU,
    W_p = [[1, 0, 0], [0, 1, -1]] turns (.5, 1, .8) into (.5, .2, 0).
    """
    x = np.asarray(features, dtype=np.float64)
    latents = np.maximum(x @ dictionary.T @ dictionary, 0.0)
    if k is None or k >= latents.shape[1]:
        return latents
    if pooled:
        least = np.partition(latents, latents.size - k * len(latents), axis=None)[latents.size - k * len(latents)]
    else:
        least = np.partition(latents, -k, axis=1)[:, [-k]]
    return np.asarray(np.where(latents >= least, latents, 0.0))


def sae_loss(weights: Reals, inputs: Reals, gamma: Reals | None = None) -> float:
    """Return L_SAE(W_m) = E |x_p - W_m^T relu(W_m x_p)|^2, or with gamma L_WSAE = E |Gamma (...)|^2.

    The mean is over the given samples; gamma is the diagonal of Gamma, (n_inputs,).
    """
    x_p = np.asarray(inputs, dtype=np.float64)
    residual = x_p - np.maximum(x_p @ weights.T, 0.0) @ weights
    return _mean_square_norm(residual if gamma is None else residual * gamma)


def ground_truth_loss(dictionary: Reals, features: Reals) -> float:
    """Return L_GT = E |x - relu(W_p^T W_p x)|^2, the loss of the closed form on the ground-truth features."""
    return _mean_square_norm(features - closed_form_features(dictionary, features))


@dataclass(frozen=True, slots=True)
class ClosedFormLosses:
    """The losses of the closed form W_m* = (W_p, 0)^T on samples, whatever its activation."""

    energy: float
    """E |x|^2."""
    ground_truth: float
    """L_GT = E |e|^2, e = x - x_hat."""
    reconstruction: float
    """L_SAE = E |W_p e|^2; less L_GT it is the gap of Theorem 4, E e^T (W_p^T W_p - I) e."""


def closed_form_losses(
    dictionary: Reals, features: Reals, k: int | None = None, *, pooled: bool = False
) -> ClosedFormLosses:
    """Return the losses of the closed form with ReLU, TopK (`k`) or BatchTopK (`k`, `pooled`) on given features."""
    e = np.asarray(features, dtype=np.float64) - closed_form_features(dictionary, features, k, pooled=pooled)
    return ClosedFormLosses(_mean_square_norm(features), _mean_square_norm(e), _mean_square_norm(e @ dictionary.T))


def loss_gap(dictionary: Reals, features: Reals) -> float:
    """Return L_SAE - L_GT at the closed form (Theorem 4): E e^T (W_p^T W_p - I) e with e = x - relu(W_p^T W_p x)."""
    return weighted_loss_gap(dictionary, features, np.ones(dictionary.shape[0]))


def weighted_loss_gap(dictionary: Reals, features: Reals, gamma: Reals) -> float:
    """Return L_WSAE - L_GT at the closed form (Theorem 5): E e^T (W_p^T Gamma^2 W_p - I) e, gamma = diag(Gamma)."""
    e = features - closed_form_features(dictionary, features)  # (samples, n_features)
    w = np.asarray(dictionary, dtype=np.float64)
    quadratic = (w.T * np.square(gamma, dtype=np.float64)) @ w - np.eye(w.shape[1])
    return float(np.mean(np.sum((e @ quadratic) * e, axis=1)))


def expected_max_cosine(n_inputs: int, hidden_dim: int, *, signed: bool) -> float:
    """Return the expected largest cosine of a fixed direction with hidden_dim random ones in n_inputs dimensions.

    The square of a random cosine in d dimensions is Beta(1/2, (d - 1)/2), so |cosine| has the distribution function
    F(t) = I_{t^2}(1/2, (d - 1)/2), the signed cosine 1/2 + sign(t) F(|t|) / 2. The expected largest of m is 1 minus the
    integral of F^m, over [0, 1] for |cosine| and over [-1, 1] for the signed one.
    """
    _check_counts(n_inputs=n_inputs, hidden_dim=hidden_dim)
    if n_inputs == 1:  # cosines are +1 or -1
        return 1.0 - 2.0 ** (1 - hidden_dim) if signed else 1.0

    def below(t: float) -> float:
        share = float(betainc(0.5, (n_inputs - 1) / 2, t * t))
        return float(((1.0 + math.copysign(share, t)) / 2.0 if signed else share) ** hidden_dim)

    # Split at 0, where the distribution is steep in t^2; 200 intervals are more than any size here takes.
    upper = quad(below, 0.0, 1.0, limit=200)[0]
    lower = quad(below, -1.0, 0.0, limit=200)[0] if signed else 0.0
    return max(0.0, float(1.0 - upper - lower))  # 0 for one signed cosine, but for rounding


def mcc_chance(n_features: int, n_inputs: int, hidden_dim: int) -> float:
    """Return the chance level of `mcc`: what a decoder of random directions scores, in closed form.

    For hidden_dim >= n_features the mean over features of the best signed cosine among all latents, and for fewer
    latents the mean over latents of the best among all features, times hidden_dim / n_features:
    expected_max_cosine(n_inputs, max(n, m), signed) * min(1, m / n). It bounds the expected one-to-one score from
    above, since the matching uses a latent once only: at m >= n for every dictionary, at m < n for random_unit ones
    (digons and trained ones come out up to 7 % higher there: spread directions are never far from a latent).
    """
    _check_counts(n_features=n_features)
    best = expected_max_cosine(n_inputs, max(n_features, hidden_dim), signed=True)
    return best * min(1.0, hidden_dim / n_features)


def donoho_tanner_weak_threshold(delta: float, *, nonnegative: bool) -> float:
    """Return the weak phase transition rho(delta) of l1 recovery: active per input that a typical sparse x may have.

    delta = n_inputs / n_features in (0, 1]; typical x with fewer than rho n_inputs active features is the least-l1
    solution of W_p x = x_p for random W_p (Donoho and Tanner 2009). Computed by the maximin formula of Donoho, Maleki
    and Montanari 2009 (PNAS 106:18914), which equals it: with h(z) = (1 + z^2) Phi(-z) - z phi(z) and
    kappa = 1 (x >= 0) or 2 (any sign), rho is the largest (1 - kappa h / delta) / (1 + z^2 - kappa h) over z >= 0.
    At delta = 1/2: .558 for x >= 0, .386 for any sign.
    """
    if not 0.0 < delta <= 1.0:
        raise ValueError(f"delta is {delta}; allowed are numbers in (0, 1]")
    if delta == 1.0:
        return 1.0  # a square W_p is invertible; the formula is 0/0 at its maximum z = 0
    kappa = 1.0 if nonnegative else 2.0

    def minus_rho(z: float) -> float:
        tail = kappa * ((1.0 + z * z) * float(ndtr(-z)) - z * math.exp(-z * z / 2.0) / math.sqrt(2.0 * math.pi))
        return -(1.0 - tail / delta) / (1.0 + z * z - tail)

    # The maximiser grows as sqrt(2 log(1 / delta)): at that plus 1 the loss in `tail` is over.
    widest = math.sqrt(2.0 * math.log(1.0 / delta)) + 2.0
    return float(-minimize_scalar(minus_rho, bounds=(0.0, widest), method="bounded", options={"xatol": 1e-10}).fun)


def _mean_square_norm(residual: Reals) -> float:
    return float(np.mean(np.sum(np.square(residual, dtype=np.float64), axis=1)))


def _check_counts(**counts: int) -> None:
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"{name} is {count}; allowed are integers >= 1")
