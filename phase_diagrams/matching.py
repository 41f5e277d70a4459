"""Learned directions to features: signed cosines, and the best assignment of one latent to each feature."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)  # eq=False: arrays have no single truth value
class Matching:
    """One latent for each feature, no latent twice: the assignment with the largest sum of signed cosines.

    Of a stack of SAEs, arrays have a leading axis for it.
    """

    latent: npt.NDArray[np.int64]
    """The matched latent of each feature, -1 where unmatched (hidden_dim < n_features): (n_features,)."""
    cosine: Floats
    """Its signed cosine to the feature's direction, -1 to 1, 0 where unmatched: (n_features,)."""


def unit_rows(matrix: npt.NDArray[np.floating]) -> Floats:
    """Return the rows (..., n_inputs) at length 1; 0 where a row is zero or holds a NaN or infinity."""
    rows = np.where(np.isfinite(matrix).all(axis=-1, keepdims=True), matrix, 0.0).astype(np.float64)
    # By the largest entry first: a norm would overflow or underflow where the direction is still exact.
    largest = np.abs(rows).max(axis=-1, keepdims=True, initial=0.0)
    rows = np.divide(rows, largest, out=np.zeros_like(rows), where=largest > 0.0)
    norms = np.linalg.norm(rows, axis=-1, keepdims=True)
    unit: Floats = np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 0.0)
    return unit


def cosines(dictionary: npt.NDArray[np.floating], decoder: npt.NDArray[np.floating]) -> Floats:
    """Return the signed cosines (n_features, hidden_dim) of dictionary columns and decoder rows.

    Scale-free and never NaN: a decoder row that is zero or holds a NaN or infinity has cosine 0 to everything.
    """
    if dictionary.ndim != 2 or decoder.ndim != 2 or dictionary.shape[0] != decoder.shape[1]:
        raise ValueError(
            f"dictionary {dictionary.shape} and decoder {decoder.shape} must be (n_inputs, n_features) and "
            "(hidden_dim, n_inputs)"
        )
    return align(unit_rows(dictionary.T), decoder)


def align(directions: Floats, decoders: npt.NDArray[np.floating]) -> Floats:
    """Return the cosines (..., n_features, hidden_dim) of unit vectors (n_features, n_inputs) and decoder rows.

    `decoders` is (..., hidden_dim, n_inputs). Each SAE of a stack has its own product: its bits are those it has alone.
    """
    aligned: Floats = np.matmul(directions, np.swapaxes(unit_rows(decoders), -1, -2))
    return np.clip(aligned, -1.0, 1.0, out=aligned)


def match_features(dictionary: npt.NDArray[np.floating], decoder: npt.NDArray[np.floating]) -> Matching:
    """Match learned directions to features one to one, by signed cosine, with the Hungarian method.

    `dictionary` is (n_inputs, n_features), `decoder` is (hidden_dim, n_inputs). A decoder row without a direction has
    cosine 0; a matched cosine may be negative where nothing better is left, and stays so.
    """
    matching = match(cosines(dictionary, decoder)[None])
    return Matching(matching.latent[0], matching.cosine[0])


def match(alignments: Floats) -> Matching:
    """Match a stack of SAEs by their cosines (n_saes, n_features, hidden_dim).

    Where each feature has one best latent and no two have the same, these are the assignment; SciPy's
    `linear_sum_assignment` finds that of the others.
    """
    latent, cosine = alignments.argmax(axis=2), alignments.max(axis=2)
    in_order = np.sort(latent, axis=1)
    contested = (in_order[:, 1:] == in_order[:, :-1]).any(axis=1)
    for place in np.flatnonzero(~contested):  # equal cosines leave the choice to SciPy
        contested[place] = np.count_nonzero(alignments[place] >= cosine[place, :, None]) > latent.shape[1]
    if contested.any():
        # Imported late: SciPy's optimisers take a third of a second of processor time, which no first step needs.
        from scipy.optimize import linear_sum_assignment

        for place in np.flatnonzero(contested):
            features, latents = linear_sum_assignment(alignments[place], maximize=True)
            latent[place], cosine[place] = -1, 0.0
            latent[place, features], cosine[place, features] = latents, alignments[place, features, latents]
    return Matching(latent, cosine)
