"""A dictionary to how its features lie to each other, and to the learned directions that merge two of them."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from phase_diagrams.matching import Floats, unit_rows

MERGE_COSINE = 0.95  # science.md, `merged_fraction`: cosine to the combination, at least
MERGE_SINGLE_COSINE = 0.9  # the same: cosine to a single feature, at most
MERGE_WEIGHT = 0.1  # the same: least a and b; only their sign is at stake, as the two cosines imply a, b >= .304
MERGE_PLANE = 1e-6  # least 1 - g^2 of two features that span a plane: below, float32 directions do not place it
MERGE_CHUNK = 2**16  # entries per temporary array: half a megabyte each, so that all of them stay in a core's cache
SLACK = 1e-9  # of what only tells which pairs to look at: far above rounding


@dataclass(frozen=True, slots=True, eq=False)  # eq=False: arrays have no single truth value
class Geometry:
    """How the features of a dictionary lie to each other: all that the scores of its trials share."""

    directions: Floats
    """Unit vectors of the features, 0 where one has no direction: (n_features, n_inputs)."""
    gram: Floats
    """Their cosines g with each other: (n_features, n_features)."""
    stretch: Floats
    """1 / sqrt(1 - g^2) of a pair, 0 where it lies along one line, and so spans no plane: (n_features, n_features)."""
    least: Floats
    """The least cosine that a merge of a feature has to it, or to the other one: (n_features,)."""


def open_geometry(dictionary: npt.NDArray[np.floating]) -> Geometry:
    """The geometry of a dictionary (n_inputs, n_features)."""
    directions = unit_rows(dictionary.T)
    gram = np.clip(directions @ directions.T, -1.0, 1.0)
    plane = 1.0 - gram * gram
    spans = plane > MERGE_PLANE
    stretch = np.where(spans, 1.0 / np.sqrt(np.where(spans, plane, 1.0)), 0.0)
    # The projection p of a merge lies between v_i and v_j, within half their angle of the nearer one, say v_i, so
    # w . v_i = p . v_i >= |p| cos(angle / 2) >= .95 sqrt((1 + g_ij) / 2).
    opposite = np.min(np.where(spans, gram, 1.0), axis=1)
    return Geometry(directions, gram, stretch, MERGE_COSINE * np.sqrt((1.0 + opposite) / 2.0) - SLACK)


def merged_latents(geometry: Geometry, aligned: Floats) -> npt.NDArray[np.bool_]:
    """Tell which directions w are a merge of two features v_i and v_j, (m,), from the cosines of unit vectors.

    `aligned` is (m, n_features), the other way round than what `cosines` returns. w is a merge if a v_i + b v_j, its
    least-squares projection on their plane, has a >= 0.1, b >= 0.1 and cosine >= .95 to w, while the cosine of w to
    v_i, to v_j and to every other feature is <= .9 (a recovered feature is no merge of its neighbours). Two features
    along one line span no plane.
    """
    mixed = aligned.max(axis=1) <= MERGE_SINGLE_COSINE
    # Sound pruning: only for such pairs of w and its nearer feature need the other one be looked for.
    latents, nearer = np.nonzero((aligned >= geometry.least) & mixed[:, None])
    merged = np.zeros(len(aligned), dtype=bool)
    rows = max(1, MERGE_CHUNK // len(geometry.gram))
    for start in range(0, len(latents), rows):
        latent, i = latents[start : start + rows], nearer[start : start + rows]
        row, j = np.nonzero(_spanned(geometry, aligned, latent, i))
        latent, i = latent[row], i[row]
        g, c_i, c_j = geometry.gram[i, j], aligned[latent, i], aligned[latent, j]
        plane = 1.0 - g * g
        a, b = c_i - g * c_j, c_j - g * c_i  # each times `plane`
        fits = a * c_i + b * c_j >= MERGE_COSINE**2 * plane  # |p|^2 = a c_i + b c_j
        fits &= np.minimum(a, b) >= MERGE_WEIGHT * plane
        merged[latent[fits]] = True
    return merged


def _spanned(
    geometry: Geometry, aligned: Floats, latent: npt.NDArray[np.int64], i: npt.NDArray[np.int64]
) -> npt.NDArray[np.bool_]:
    """Which features v_j span with v_i a plane that w is near, on v_j's side: (pairs of w and v_i, n_features).

    w's part across v_i is all that v_j can explain beyond c_i: c_i^2 + ((c_j - g c_i) / sqrt(1 - g^2))^2 >= .95^2.
    """
    c_i = aligned[latent, i][:, None]
    stretch, across = geometry.stretch[i], geometry.gram[i]
    across *= c_i
    np.subtract(aligned[latent], across, out=across)
    across *= stretch
    near: npt.NDArray[np.bool_] = across >= np.sqrt(MERGE_COSINE**2 - c_i * c_i) - SLACK
    return near
