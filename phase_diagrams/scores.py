"""Learned decoders and what their latents did on evaluation samples to the truth-side scores of trials.

Truth-side: averages run over the n_features ground-truth features, and a feature left without a latent counts as 0.
Averages over latents are named so. Definitions that science.md leaves open are settled in the fields of `Scores`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from phase_diagrams.matching import Floats, Matching, align, match
from phase_diagrams.merges import Geometry, merged_latents

Counts = npt.NDArray[np.int64]
Column = list[float | None]

SPLIT_COSINE = 0.95  # science.md, `split_fraction`
STACK_ENTRIES = 2**16
"""Features by latents, of all SAEs of a stack, up to which scoring them at once pays: half a megabyte each, so that the
arrays stay in a core's cache (measured)."""
RESPONSE_SHARE = 0.1  # science.md, `features_per_latent`: a tenth of the top feature's mean activation


@dataclass(frozen=True, slots=True, eq=False)  # eq=False: arrays have no single truth value
class CodeStatistics:
    """Sums over evaluation samples of features x (n) against latents z (m); statistics of parts add up with +."""

    n_samples: int
    """Number of samples summed over."""
    feature_energy: Floats
    """Sum of x_i^2: (n,)."""
    latent_energy: Floats
    """Sum of z_j^2: (m,)."""
    cross: Floats
    """Sum of x_i z_j: (n, m)."""
    feature_count: Counts
    """Number of samples with x_i > 0: (n,)."""
    latent_count: Counts
    """Number of samples with z_j > 0: (m,)."""
    joint_count: Counts
    """Number of samples with x_i > 0 and z_j > 0: (n, m)."""
    activation_sum: Floats
    """Sum of z_j over the samples with x_i > 0: (n, m)."""

    def __add__(self, other: "CodeStatistics") -> "CodeStatistics":
        return CodeStatistics(
            self.n_samples + other.n_samples,
            self.feature_energy + other.feature_energy,
            self.latent_energy + other.latent_energy,
            self.cross + other.cross,
            self.feature_count + other.feature_count,
            self.latent_count + other.latent_count,
            self.joint_count + other.joint_count,
            self.activation_sum + other.activation_sum,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """What a trial reports of its features; None where the evaluation data leave a score without meaning."""

    mcc: float
    """Mean over features of the matched signed cosine, negative ones as they are."""
    feature_cosine: Floats
    """The matched signed cosine of each feature, 0 where unmatched: (n_features,)."""
    recovered_fraction: float
    """Share of features whose matched cosine is at least `recovery.cosine`."""
    recovered_fraction_90: float
    """The same at .90."""
    recovered_fraction_95: float
    """The same at .95."""
    identified: bool
    """recovered_fraction is at least `recovery.fraction`."""
    gt_loss: float | None
    """E|x - x_hat|^2 / E|x|^2, x_hat_i the matched latent's activation, 0 where unmatched; None if x was always 0."""
    gt_loss_rescaled: float | None
    """The same with each x_hat_i times its best scale >= 0 (E x_i z / E z^2), so at most 1 and at most gt_loss."""
    support_f1: float | None
    """Mean of F1 = 2 |both active| / (|feature active| + |matched latent active|) over the features that were active at
    all, 0 where unmatched; None if no feature was."""
    l0: float
    """Mean number of active latents per sample."""
    dead_fraction: float
    """Share of latents that were never active."""
    shrinkage: float | None
    """Mean over recovered features that were active of the slope E x_i z / E x_i^2 (least squares through the origin)
    of matched latent on feature, 1 = none, below 1 = shrunk; None if there is no such feature."""
    vanished_fraction: float | None
    """Share of the features that were active at all whose matched latent was never active with them, an unmatched
    feature being one; None if no feature was active."""
    merged_fraction: float | None
    """Share of live latents whose direction is a merge (merged_latents); None if no latent lives."""
    split_fraction: float
    """Share of features with two or more live latents at cosine >= .95."""
    features_per_latent: float | None
    """Mean over live latents of the number of features i whose E[z_j | x_i > 0] is positive and at least a tenth of
    that of the latent's top feature; None if no latent lives."""


def code_statistics(features: npt.NDArray[np.floating], latents: npt.NDArray[np.floating]) -> CodeStatistics:
    """Sum up features (samples, n_features) against latents (samples, hidden_dim), in float64."""
    if features.ndim != 2 or latents.ndim != 2 or len(features) != len(latents):
        raise ValueError(f"features {features.shape} and latents {latents.shape} must be 2-D with as many samples")
    x, z = features.astype(np.float64), latents.astype(np.float64)
    fires, active = x > 0.0, z > 0.0
    with np.errstate(over="ignore", invalid="ignore"):  # the latents of a diverged trial; `score` silences them
        return CodeStatistics(
            n_samples=len(x),
            feature_energy=np.sum(x * x, axis=0),
            latent_energy=np.sum(z * z, axis=0),
            cross=x.T @ z,
            feature_count=fires.sum(axis=0),
            latent_count=active.sum(axis=0),
            # Through float64: BLAS has no integer product, and counts are exact up to 2^53.
            joint_count=(fires.T.astype(np.float64) @ active.astype(np.float64)).astype(np.int64),
            activation_sum=fires.T.astype(np.float64) @ z,
        )


def score(
    geometry: Geometry,
    decoders: Sequence[npt.NDArray[np.floating]],
    statistics: Sequence[CodeStatistics],
    cosine_threshold: float,
    fraction_threshold: float,
) -> list[Scores]:
    """Score SAEs of one shape by their decoders (hidden_dim, n_inputs) and their codes of the same samples.

    `cosine_threshold` and `fraction_threshold` are `recovery.cosine` and `recovery.fraction`. A latent with a NaN or an
    infinity among its sums (a diverged trial) counts as never active. An SAE's scores are bit for bit those it has
    alone. Two to three arrays (n_saes, n_features, hidden_dim) are held meanwhile.
    """
    if not decoders:
        return []
    _check_shapes(geometry, decoders, statistics)
    # Contiguous: a product of another layout may add in another order.
    stacked = _stack([np.ascontiguousarray(one) for one in decoders])
    alignments = align(geometry.directions, stacked)  # (n_saes, n_features, hidden_dim)
    matching, codes = match(alignments), [_silence_non_finite(one) for one in statistics]
    latent_count = _stack([code.latent_count for code in codes])  # (n_saes, hidden_dim)
    live, recovered = latent_count > 0, matching.cosine >= cosine_threshold
    recovered_fraction = np.mean(recovered, axis=1)
    gt_loss, gt_loss_rescaled = _ground_truth_losses(codes, matching)
    support_f1, vanished_fraction = _support_scores(codes, matching)
    columns: dict[str, Iterable[Any]] = {
        "mcc": np.mean(matching.cosine, axis=1).tolist(),
        "feature_cosine": matching.cosine,
        "recovered_fraction": recovered_fraction.tolist(),
        "recovered_fraction_90": np.mean(matching.cosine >= 0.90, axis=1).tolist(),
        "recovered_fraction_95": np.mean(matching.cosine >= 0.95, axis=1).tolist(),
        "identified": (recovered_fraction >= fraction_threshold).tolist(),
        "gt_loss": gt_loss,
        "gt_loss_rescaled": gt_loss_rescaled,
        "support_f1": support_f1,
        "l0": (latent_count.sum(axis=1) / codes[0].n_samples).tolist(),
        "dead_fraction": np.mean(~live, axis=1).tolist(),
        "shrinkage": map(_shrinkage, codes, matching.latent, recovered),
        "vanished_fraction": vanished_fraction,
        "merged_fraction": _merged_fractions(geometry, alignments, live),
        "split_fraction": _split_fractions(alignments, live),
        "features_per_latent": _features_per_latent(codes, live),
    }
    return [Scores(**dict(zip(columns, row, strict=True))) for row in zip(*columns.values(), strict=True)]


def _stack(arrays: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    return np.stack(arrays) if len(arrays) > 1 else arrays[0][None]  # a single one may be large, and needs no copy


def _check_shapes(
    geometry: Geometry, decoders: Sequence[npt.NDArray[np.floating]], statistics: Sequence[CodeStatistics]
) -> None:
    n_features, n_inputs = geometry.directions.shape
    for decoder, code in zip(decoders, statistics, strict=True):
        if decoder.ndim != 2 or decoder.shape[1] != n_inputs or decoder.shape != decoders[0].shape:
            raise ValueError(f"decoder {decoder.shape} must be (hidden_dim, n_inputs), with n_inputs = {n_inputs}")
        if code.n_samples < 1:
            raise ValueError(f"statistics of {code.n_samples} samples; at least 1 is needed")
        if not _are_of_the_same_samples(code, statistics[0]):
            raise ValueError("SAEs that are scored together must have seen the same samples")
        shape = n_features, len(decoder)
        if code.cross.shape != shape:
            raise ValueError(
                f"statistics are of (n_features, hidden_dim) = {code.cross.shape}, the decoder is of {shape}"
            )


def _are_of_the_same_samples(one: CodeStatistics, other: CodeStatistics) -> bool:
    same = one.n_samples == other.n_samples
    for mine, theirs in ((one.feature_count, other.feature_count), (one.feature_energy, other.feature_energy)):
        same &= mine is theirs or np.array_equal(mine, theirs)
    return same


def _silence_non_finite(code: CodeStatistics) -> CodeStatistics:
    finite = np.isfinite(code.latent_energy) & np.isfinite(code.cross).all(0) & np.isfinite(code.activation_sum).all(0)
    if finite.all():
        return code
    return CodeStatistics(
        code.n_samples,
        code.feature_energy,
        np.where(finite, code.latent_energy, 0.0),
        np.where(finite, code.cross, 0.0),
        code.feature_count,
        np.where(finite, code.latent_count, 0),
        np.where(finite, code.joint_count, 0),
        np.where(finite, code.activation_sum, 0.0),
    )


def _ground_truth_losses(codes: Sequence[CodeStatistics], matching: Matching) -> tuple[Column, Column]:
    feature_energy = codes[0].feature_energy
    total = float(feature_energy.sum())
    if total <= 0.0:
        return [None] * len(codes), [None] * len(codes)
    # As many features of each SAE are matched: all, or one for each latent.
    matched = np.nonzero(matching.latent >= 0)[1].reshape(len(codes), -1)
    latent = np.take_along_axis(matching.latent, matched, axis=1)
    cross = _stack([code.cross[i, j] for code, i, j in zip(codes, matched, latent, strict=True)])
    energy = _stack([code.latent_energy[j] for code, j in zip(codes, latent, strict=True)])
    plain = total + np.sum(energy - 2.0 * cross, axis=1)
    # The best scale a = cross / energy takes cross^2 / energy off E x^2; by Cauchy-Schwarz never more than all of it.
    gain = np.divide(cross * cross, energy, out=np.zeros_like(cross), where=energy > 0.0)
    rescaled = total - np.sum(np.minimum(gain, feature_energy[matched]), axis=1)
    # Both are sums of squares, which rounding must not make negative.
    return (np.maximum(plain, 0.0) / total).tolist(), (np.maximum(rescaled, 0.0) / total).tolist()


def _support_scores(codes: Sequence[CodeStatistics], matching: Matching) -> tuple[Column, Column]:
    feature_count = codes[0].feature_count
    fired = np.flatnonzero(feature_count > 0)
    if fired.size == 0:
        return [None] * len(codes), [None] * len(codes)
    latent = matching.latent[:, fired]
    joint = _stack([code.joint_count[fired, j] for code, j in zip(codes, latent, strict=True)])
    alone = _stack([code.latent_count[j] for code, j in zip(codes, latent, strict=True)])
    both = np.where(latent >= 0, joint, 0)
    either = feature_count[fired] + np.where(latent >= 0, alone, 0)
    return np.mean(2.0 * both / either, axis=1).tolist(), np.mean(both == 0, axis=1).tolist()


def _shrinkage(code: CodeStatistics, latent: npt.NDArray[np.int64], recovered: npt.NDArray[np.bool_]) -> float | None:
    chosen = np.flatnonzero(recovered & (latent >= 0) & (code.feature_energy > 0.0))
    if chosen.size == 0:
        return None
    return float(np.mean(code.cross[chosen, latent[chosen]] / code.feature_energy[chosen]))


def _merged_fractions(geometry: Geometry, alignments: Floats, live: npt.NDArray[np.bool_]) -> Column:
    merged = merged_latents(geometry, np.swapaxes(alignments, 1, 2)[live])
    return _shares(np.bincount(np.nonzero(live)[0][merged], minlength=len(live)), live)


def _split_fractions(alignments: Floats, live: npt.NDArray[np.bool_]) -> list[float]:
    n_saes, n_features, hidden_dim = alignments.shape
    near = np.flatnonzero((alignments >= SPLIT_COSINE) & live[:, None, :]) // hidden_dim  # the feature of each
    count = np.bincount(near, minlength=n_saes * n_features).reshape(n_saes, n_features)
    shares: list[float] = np.mean(count >= 2, axis=1).tolist()
    return shares


def _features_per_latent(codes: Sequence[CodeStatistics], live: npt.NDArray[np.bool_]) -> Column:
    sums = _stack([code.activation_sum for code in codes])
    response = sums / np.maximum(codes[0].feature_count, 1)[:, None]  # of a feature that never fired the sum is 0
    top = response.max(axis=1, keepdims=True)
    least = np.maximum(RESPONSE_SHARE * top, np.finfo(np.float64).smallest_subnormal)  # a response is positive
    responds = response >= np.where(live[:, None, :], least, np.inf)
    return _shares(np.array([np.count_nonzero(one) for one in responds]), live)


def _shares(count: npt.NDArray[np.int64], live: npt.NDArray[np.bool_]) -> Column:
    """Counts per live latent, None where no latent lives."""
    return [n / of if of else None for n, of in zip(count.tolist(), live.sum(axis=1).tolist(), strict=True)]
