"""Features and latents of evaluation samples to the sums that scores are made of, touching active pairs only."""

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from phase_diagrams.scores import CodeStatistics

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]

_DENSE_SHARE = 4
"""A sample of which at least one in so many latents is active is added row by row; heuristic: LLVM's vectors hold four
float64."""


@dataclass(frozen=True, slots=True, eq=False)
class Codes:
    """The active features of samples, one sample after another."""

    offsets: Integers
    """Where each sample's begin, and the end: (samples + 1,)."""
    feature: Integers
    """Which features they are: (active,)."""
    magnitude: Floats
    """Their x_i > 0: (active,)."""
    n_features: int

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return len(self.offsets) - 1


def sparse_codes(features: Floats) -> Codes:
    """The active entries of features (samples, n_features)."""
    sample, feature = np.nonzero(features > 0)
    offsets = np.zeros(len(features) + 1, np.int64)
    np.cumsum(np.bincount(sample, minlength=len(features)), out=offsets[1:])
    return Codes(offsets, feature, features[sample, feature], features.shape[1])


def sum_codes(codes: Codes, latents: Floats) -> CodeStatistics:
    """What `phase_diagrams.scores.code_statistics` sums up, of latents (samples, hidden_dim), in float64."""
    n, m = codes.n_features, latents.shape[1]
    cross, activation_sum = np.zeros((n, m)), np.zeros((n, m))
    joint_count = np.zeros((n, m), np.int64)
    latent_energy, latent_count = np.zeros(m), np.zeros(m, np.int64)
    _add_samples(
        codes.offsets, codes.feature, codes.magnitude, latents, cross, joint_count, activation_sum, latent_energy,
        latent_count,
    )  # fmt: skip
    energy = codes.magnitude.astype(np.float64) ** 2
    return CodeStatistics(
        n_samples=codes.n_samples,
        feature_energy=np.bincount(codes.feature, energy, minlength=n).astype(np.float64),  # of nothing: integers
        latent_energy=latent_energy,
        cross=cross,
        feature_count=np.bincount(codes.feature, minlength=n),
        latent_count=latent_count,
        joint_count=joint_count,
        activation_sum=activation_sum,
    )


@numba.njit(cache=True)
def _add_samples(
    offsets: Any,
    feature: Any,
    magnitude: Any,
    latents: Any,
    cross: Any,
    joint_count: Any,
    activation_sum: Any,
    latent_energy: Any,
    latent_count: Any,
) -> None:
    n_samples, n_latents = latents.shape
    active = np.empty(n_latents + 1, np.int64)
    for sample in range(n_samples):
        z = latents[sample]
        count = 0
        for latent in range(n_latents):
            active[count] = latent  # overwritten unless it is active: no branch to mispredict
            count += int(z[latent] > 0)
        for place in range(count):
            latent = active[place]
            latent_energy[latent] += np.float64(z[latent]) ** 2
            latent_count[latent] += 1
        for entry in range(offsets[sample], offsets[sample + 1]):
            i, x = feature[entry], np.float64(magnitude[entry])
            if count * _DENSE_SHARE < n_latents:
                for place in range(count):
                    latent = active[place]
                    cross[i, latent] += x * np.float64(z[latent])
                    activation_sum[i, latent] += np.float64(z[latent])
                    joint_count[i, latent] += 1
            else:
                for latent in range(n_latents):
                    cross[i, latent] += x * np.float64(z[latent])
                for latent in range(n_latents):
                    activation_sum[i, latent] += np.float64(z[latent])
                for latent in range(n_latents):
                    joint_count[i, latent] += int(z[latent] > 0)
