"""A trial to the weights it starts from, and the loss it is trained on."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from phase_diagrams.proxy import Proxy, proxy_values
from phase_diagrams.trial import Trial, initialisation_key

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Weights:
    """A sparse autoencoder z = sigma(E (x_p - b_d) + b_e), reconstruction D^T z + b_d.

    Tied (the paper's): D is E and both biases stay zero. Untied: rows of D have unit norm.
    """

    encoder: Floats  # (hidden_dim, n_inputs)
    decoder: Floats  # (hidden_dim, n_inputs)
    encoder_bias: Floats  # (hidden_dim,)
    decoder_bias: Floats  # (n_inputs,)

    @property
    def finite(self) -> bool:
        """Whether every weight is a finite number."""
        parts = (self.encoder, self.decoder, self.encoder_bias, self.decoder_bias)
        return all(bool(np.isfinite(part).all()) for part in parts)


def initialise(trial: Trial, dictionary: Floats) -> Weights:
    """Weights at the trial's start.

    random: rows uniform on the unit sphere, the norm that the optimum of the paper has (Theorem 1). truth: the
    same rows, with the first ones replaced by the feature directions (the most frequent features if hidden_dim < n).
    Encoder and decoder start equal, biases at zero. Trials that differ only in exponent start equal; the random rows
    of a truth start are those of its random start.
    """
    n_inputs, n_features = dictionary.shape
    generator = np.random.Generator(np.random.Philox(key=initialisation_key(trial)))
    rows = generator.standard_normal((trial.condition.hidden_dim, n_inputs))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    encoder = rows.astype(np.float32)
    if trial.start == "truth":
        known = min(n_features, trial.condition.hidden_dim)
        encoder[:known] = dictionary.T[:known]
    zeros = np.zeros(trial.condition.hidden_dim, np.float32)
    return Weights(encoder, encoder.copy(), zeros, np.zeros(n_inputs, np.float32))


def reweighting(proxy: Proxy, exponent: float, inputs: Floats, dictionary: Floats) -> Floats:
    """gamma_i^2 with gamma_i = s_i^alpha (arXiv 2506.15963, the weighted loss), shape (n_inputs,).

    s_i is what the proxy says of input dimension i over `inputs` (samples, n_inputs).
    """
    if exponent == 0:
        return np.ones(inputs.shape[1], np.float32)
    return np.asarray(proxy_values(proxy, inputs, dictionary) ** (2 * exponent), dtype=np.float32)


def learning_rates(schedule: str, peak: float, steps: int) -> npt.NDArray[np.float64]:
    """The learning rate of every step, shape (steps,): constant, or to 0 linearly or along half a cosine."""
    progress = np.arange(steps) / steps
    if schedule == "linear":
        return np.asarray(peak * (1 - progress))
    if schedule == "cosine":
        return np.asarray(peak * 0.5 * (1 + np.cos(np.pi * progress)))
    return np.full(steps, peak)
