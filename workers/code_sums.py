"""Active features and active latents of evaluation samples to the sums that scores are made of: active pairs only."""

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Codes:
    """The active features of samples: one sample after another, and one feature after another."""

    offsets: Integers
    """Where each sample's begin, and the end: (samples + 1,)."""
    feature: Integers
    """Which features they are: (active,)."""
    magnitude: Floats
    """Their x_i > 0: (active,)."""
    feature_offsets: Integers
    """Where each feature's begin, and the end: (n_features + 1,)."""
    sample: Integers
    """In which samples each feature is active, in order: (active,)."""
    feature_magnitude: Floats
    """Its x_i > 0 there: (active,)."""
    energy: Doubles
    """Sum of each feature's x_i^2: (n_features,)."""

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return len(self.offsets) - 1

    @property
    def n_features(self) -> int:
        """The number of ground-truth features n."""
        return len(self.feature_offsets) - 1

    @property
    def count(self) -> Integers:
        """Number of samples in which each feature is active: (n_features,)."""
        return np.diff(self.feature_offsets)


def sparse_codes(features: Floats) -> Codes:
    """The active entries of features (samples, n_features)."""
    sample, feature = np.nonzero(features > 0)
    sample_by_feature, feature_by_feature = np.nonzero(features.T > 0)[::-1]
    return Codes(
        offsets=_offsets(sample, len(features)),
        feature=feature,
        magnitude=features[sample, feature],
        feature_offsets=_offsets(feature_by_feature, features.shape[1]),
        sample=sample_by_feature,
        feature_magnitude=features[sample_by_feature, feature_by_feature],
        energy=np.sum(features.astype(np.float64) ** 2, axis=0),
    )


def _offsets(owner: Integers, n_owners: int) -> Integers:
    offsets = np.zeros(n_owners + 1, np.int64)
    np.cumsum(np.bincount(owner, minlength=n_owners), out=offsets[1:])
    return offsets


@numba.njit(cache=True)
def add_sparse_pairs(
    feature_offsets: Any,
    sample: Any,
    magnitude: Any,
    starts: Any,
    latents: Any,
    values: Any,
    cross: Any,
    activation_sum: Any,
    joint_count: Any,
) -> None:
    """Sum up x_i z_j, [x_i > 0] z_j and [x_i > 0][z_j > 0] over samples, each (n_features, hidden_dim).

    A sample's active latents stand between its `starts` in `latents` and `values`. Feature by feature, so that the rows
    that are added to stay in the L1 cache.
    """
    for i in range(feature_offsets.size - 1):
        cross_row, activation_row, joint_row = cross[i], activation_sum[i], joint_count[i]
        for entry in range(feature_offsets[i], feature_offsets[i + 1]):
            b, x = sample[entry], np.float64(magnitude[entry])
            for at in range(starts[b], starts[b + 1]):
                # Unsigned: numba need not ask whether an index counts from the end.
                latent, z = np.uint64(latents[at]), np.float64(values[at])
                cross_row[latent] += x * z
                activation_row[latent] += z
                joint_row[latent] += 1


@numba.njit(cache=True)
def add_dense_pairs(
    offsets: Any,
    feature: Any,
    magnitude: Any,
    starts: Any,
    latents: Any,
    values: Any,
    cross: Any,
    activation_sum: Any,
    joint_count: Any,
) -> None:
    """The sums of `add_sparse_pairs`, bit for bit, sample by sample over all latents: faster where many are active."""
    n_latents = cross.shape[1]
    row = np.zeros(n_latents, np.float32)
    for b in range(offsets.size - 1):
        row[:] = np.float32(0.0)
        for at in range(starts[b], starts[b + 1]):
            row[np.uint64(latents[at])] = values[at]
        for entry in range(offsets[b], offsets[b + 1]):
            i, x = feature[entry], np.float64(magnitude[entry])
            for latent in range(n_latents):
                cross[i, latent] += x * np.float64(row[latent])
            for latent in range(n_latents):
                activation_sum[i, latent] += np.float64(row[latent])
            for latent in range(n_latents):
                joint_count[i, latent] += int(row[latent] > 0)
