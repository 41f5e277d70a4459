"""A learned decoder and what its latents did on evaluation samples to the truth-side scores of a trial.

Truth-side: averages run over the n_features ground-truth features, and a feature left without a latent counts as 0.
Averages over latents are named so. Definitions that science.md leaves open are settled in the fields of `Scores`.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

SPLIT_COSINE = 0.95  # science.md, `split_fraction`
RESPONSE_SHARE = 0.1  # science.md, `features_per_latent`: a tenth of the top feature's mean activation
MERGE_COSINE = 0.95  # science.md, `merged_fraction`: cosine to the combination, at least
MERGE_SINGLE_COSINE = 0.9  # the same: cosine to a single feature, at most
MERGE_WEIGHT = 0.1  # the same: least a and b; only their sign is at stake, as the two cosines imply a, b >= .304
MERGE_PLANE = 1e-6  # least 1 - g^2 of two features that span a plane: below, float32 directions do not place it
MERGE_CHUNK = 2**18  # entries per temporary array: 2 MB stay in a core's cache


@dataclass(frozen=True, slots=True, eq=False)  # eq=False: arrays have no single truth value
class Geometry:
    """How the features of a dictionary lie to each other: all that the scores of its trials share."""

    directions: Floats
    """Unit vectors of the features, 0 where one has no direction: (n_features, n_inputs)."""
    gram: Floats
    """Their cosines with each other: (n_features, n_features)."""
    parallel: npt.NDArray[np.bool_]
    """Which pairs lie along one line, and so span no plane: (n_features, n_features)."""
    least: Floats
    """The least cosine that a merge of a feature has to it, or to the other one: (n_features,)."""


@dataclass(frozen=True, slots=True, eq=False)
class Matching:
    """One latent for each feature, no latent twice: the assignment with the largest sum of signed cosines."""

    latent: npt.NDArray[np.int64]
    """The matched latent of each feature, -1 where unmatched (hidden_dim < n_features): (n_features,)."""
    cosine: Floats
    """Its signed cosine to the feature's direction, -1 to 1, 0 where unmatched: (n_features,)."""


@dataclass(frozen=True, slots=True, eq=False)
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


def open_geometry(dictionary: npt.NDArray[np.floating]) -> Geometry:
    """The geometry of a dictionary (n_inputs, n_features)."""
    directions = _unit_rows(dictionary.T)
    gram = np.clip(directions @ directions.T, -1.0, 1.0)
    parallel = 1.0 - gram * gram <= MERGE_PLANE
    # The projection p of a merge lies between v_i and v_j, within half their angle of the nearer one, say v_i, so
    # w . v_i = p . v_i >= |p| cos(angle / 2) >= .95 sqrt((1 + g_ij) / 2).
    opposite = np.min(np.where(parallel, 1.0, gram), axis=1)
    return Geometry(directions, gram, parallel, MERGE_COSINE * np.sqrt((1.0 + opposite) / 2.0) - 1e-9)


def cosines(dictionary: npt.NDArray[np.floating], decoder: npt.NDArray[np.floating]) -> Floats:
    """Return the signed cosines (n_features, hidden_dim) of dictionary columns and decoder rows.

    Scale-free and never NaN: a decoder row that is zero or holds a NaN or infinity has cosine 0 to everything.
    """
    if dictionary.ndim != 2 or decoder.ndim != 2 or dictionary.shape[0] != decoder.shape[1]:
        raise ValueError(
            f"dictionary {dictionary.shape} and decoder {decoder.shape} must be (n_inputs, n_features) and "
            "(hidden_dim, n_inputs)"
        )
    return _alignment(_unit_rows(dictionary.T), decoder)


def _alignment(directions: Floats, decoder: npt.NDArray[np.floating]) -> Floats:
    alignment: Floats = np.clip(directions @ _unit_rows(decoder).T, -1.0, 1.0)
    return alignment


def match_features(dictionary: npt.NDArray[np.floating], decoder: npt.NDArray[np.floating]) -> Matching:
    """Match learned directions to features one to one, by signed cosine, with the Hungarian method.

    `dictionary` is (n_inputs, n_features), `decoder` is (hidden_dim, n_inputs). A decoder row without a direction has
    cosine 0; a matched cosine may be negative where nothing better is left, and stays so.
    """
    return _match(cosines(dictionary, decoder))


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
    decoder: npt.NDArray[np.floating],
    statistics: CodeStatistics,
    cosine_threshold: float,
    fraction_threshold: float,
) -> Scores:
    """Score a decoder (hidden_dim, n_inputs) and its code against the features it was planted with.

    `cosine_threshold` and `fraction_threshold` are `recovery.cosine` and `recovery.fraction`. A latent with a NaN or an
    infinity among its sums (a diverged trial) counts as never active.
    """
    n_inputs = geometry.directions.shape[1]
    if decoder.ndim != 2 or decoder.shape[1] != n_inputs:
        raise ValueError(f"decoder {decoder.shape} must be (hidden_dim, n_inputs), with n_inputs = {n_inputs}")
    alignment = _alignment(geometry.directions, decoder)  # (n_features, hidden_dim)
    _check_statistics(statistics, alignment.shape)
    matching, code = _match(alignment), _silence_non_finite(statistics)
    live = code.latent_count > 0  # (hidden_dim,)
    recovered = matching.cosine >= cosine_threshold
    recovered_fraction = float(np.mean(recovered))
    gt_loss, gt_loss_rescaled = _ground_truth_losses(code, matching)
    support_f1, vanished_fraction = _support_scores(code, matching)
    return Scores(
        mcc=float(np.mean(matching.cosine)),
        feature_cosine=matching.cosine,
        recovered_fraction=recovered_fraction,
        recovered_fraction_90=float(np.mean(matching.cosine >= 0.90)),
        recovered_fraction_95=float(np.mean(matching.cosine >= 0.95)),
        identified=recovered_fraction >= fraction_threshold,
        gt_loss=gt_loss,
        gt_loss_rescaled=gt_loss_rescaled,
        support_f1=support_f1,
        l0=float(code.latent_count.sum() / code.n_samples),
        dead_fraction=float(np.mean(~live)),
        shrinkage=_shrinkage(code, matching, recovered),
        vanished_fraction=vanished_fraction,
        merged_fraction=float(np.mean(merged_latents(geometry, alignment[:, live]))) if live.any() else None,
        split_fraction=float(np.mean(np.sum(alignment[:, live] >= SPLIT_COSINE, axis=1) >= 2)),
        features_per_latent=_features_per_latent(code, live),
    )


def merged_latents(geometry: Geometry, alignment: Floats) -> npt.NDArray[np.bool_]:
    """Tell which directions w are a merge of two features v_i and v_j, (m,), from the cosines of unit vectors.

    `alignment` holds those of features with directions, (n_features, m). w is a merge if a v_i + b v_j, its
    least-squares projection on their plane, has a >= 0.1, b >= 0.1 and cosine >= .95 to w, while the cosine of w to
    v_i, to v_j and to every other feature is <= .9 (a recovered feature is no merge of its neighbours). Two features
    along one line span no plane.
    """
    gram, parallel = geometry.gram, geometry.parallel
    aligned = alignment.T  # (m, n_features)
    mixed = aligned.max(axis=1) <= MERGE_SINGLE_COSINE
    # Sound pruning: only for such pairs of w and its nearer feature need the other one be looked for.
    latents, nearer = np.nonzero((aligned >= geometry.least) & mixed[:, None])
    merged = np.zeros(len(aligned), dtype=bool)
    rows = max(1, MERGE_CHUNK // len(gram))
    for start in range(0, len(latents), rows):
        latent, i = latents[start : start + rows], nearer[start : start + rows]
        g, c_i, c_j = gram[i], aligned[latent, i][:, None], aligned[latent]  # (rows, n_features), (rows, 1), (rows, n)
        plane = 1.0 - g * g
        a, b = c_i - g * c_j, c_j - g * c_i  # each times `plane`
        fits = a * c_i + b * c_j >= MERGE_COSINE**2 * plane  # |p|^2 = a c_i + b c_j
        fits &= (np.minimum(a, b) >= MERGE_WEIGHT * plane) & ~parallel[i]
        merged[latent[fits.any(axis=1)]] = True
    return merged


def _unit_rows(matrix: npt.NDArray[np.floating]) -> Floats:
    rows = np.where(np.isfinite(matrix).all(axis=1, keepdims=True), matrix, 0.0).astype(np.float64)
    # By the largest entry first: a norm would overflow or underflow where the direction is still exact.
    largest = np.abs(rows).max(axis=1, keepdims=True, initial=0.0)
    rows = np.divide(rows, largest, out=np.zeros_like(rows), where=largest > 0.0)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: Floats = np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 0.0)
    return unit


def _match(alignment: Floats) -> Matching:
    # Imported late: SciPy's optimisers take a third of a second of processor time, which a first step does not need.
    from scipy.optimize import linear_sum_assignment

    n_features = len(alignment)
    features, latents = linear_sum_assignment(alignment, maximize=True)
    latent = np.full(n_features, -1, np.int64)
    cosine = np.zeros(n_features)
    latent[features], cosine[features] = latents, alignment[features, latents]
    return Matching(latent, cosine)


def _check_statistics(statistics: CodeStatistics, shape: tuple[int, ...]) -> None:
    if statistics.n_samples < 1:
        raise ValueError(f"statistics of {statistics.n_samples} samples; at least 1 is needed")
    if statistics.cross.shape != shape:
        raise ValueError(
            f"statistics are of (n_features, hidden_dim) = {statistics.cross.shape}, the decoder is of {shape}"
        )


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


def _ground_truth_losses(code: CodeStatistics, matching: Matching) -> tuple[float | None, float | None]:
    total = float(code.feature_energy.sum())
    if total <= 0.0:
        return None, None
    matched = np.flatnonzero(matching.latent >= 0)
    latent = matching.latent[matched]
    cross, energy = code.cross[matched, latent], code.latent_energy[latent]
    plain = total + float(np.sum(energy - 2.0 * cross))
    # The best scale a = cross / energy takes cross^2 / energy off E x^2; by Cauchy-Schwarz never more than all of it.
    gain = np.divide(cross * cross, energy, out=np.zeros_like(cross), where=energy > 0.0)
    rescaled = total - float(np.sum(np.minimum(gain, code.feature_energy[matched])))
    # Both are sums of squares, which rounding must not make negative.
    return max(plain, 0.0) / total, max(rescaled, 0.0) / total


def _support_scores(code: CodeStatistics, matching: Matching) -> tuple[float | None, float | None]:
    fired = np.flatnonzero(code.feature_count > 0)
    if fired.size == 0:
        return None, None
    latent = matching.latent[fired]
    both = np.where(latent >= 0, code.joint_count[fired, latent], 0)
    either = code.feature_count[fired] + np.where(latent >= 0, code.latent_count[latent], 0)
    return float(np.mean(2.0 * both / either)), float(np.mean(both == 0))


def _shrinkage(code: CodeStatistics, matching: Matching, recovered: npt.NDArray[np.bool_]) -> float | None:
    chosen = np.flatnonzero(recovered & (matching.latent >= 0) & (code.feature_energy > 0.0))
    if chosen.size == 0:
        return None
    return float(np.mean(code.cross[chosen, matching.latent[chosen]] / code.feature_energy[chosen]))


def _features_per_latent(code: CodeStatistics, live: npt.NDArray[np.bool_]) -> float | None:
    if not live.any():
        return None
    count = code.feature_count[:, None]
    response = np.divide(code.activation_sum, count, out=np.zeros_like(code.activation_sum), where=count > 0)[:, live]
    responds = (response > 0.0) & (response >= RESPONSE_SHARE * response.max(axis=0))
    return float(np.mean(responds.sum(axis=0)))
