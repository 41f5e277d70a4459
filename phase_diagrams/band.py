"""P(f > 0) over a lattice to how far the places that are not decided reach from the P = 1/2 line.

Between neighbouring places the probit of P(f > 0) is taken as linear, as in boundary.py.
"""

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.special import ndtri

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


def probits_of(above: Floats) -> Floats:
    """The probit of P(f > 0), finite where P was rounded to 0 or 1."""
    return np.asarray(ndtri(np.clip(above, 1e-300, 1.0 - 1e-16)))


def contour(probits: Floats, u: Floats, v: Floats, level: float, within: Flags | None = None) -> Floats:
    """Where the probits have the level, along the lattice's lines: (points, 2), in the lattice's coordinates.

    Args:
        probits: (u, v), over the lattice.
        u, v: ascending coordinates of its lines.
        level: the probit that is looked for.
        within: (u, v), places between which it is looked for; everywhere if None.
    """
    among = np.ones(probits.shape, dtype=bool) if within is None else within
    points = []
    for plane, kept, along, across, turned in ((probits, among, u, v, False), (probits.T, among.T, v, u, True)):
        low, high = plane[:-1] - level, plane[1:] - level
        i, j = np.nonzero(((low > 0) != (high > 0)) & kept[:-1] & kept[1:])
        share = low[i, j] / (low[i, j] - high[i, j])
        crossing = np.column_stack([along[i] + share * (along[i + 1] - along[i]), across[j]])
        points.append(crossing[:, ::-1] if turned else crossing)
    return np.concatenate(points)


def reach(probits: Floats, u: Floats, v: Floats, confidence: float) -> float:
    """How far the band reaches from the P = 1/2 line; without a line 0 if every place is decided, else inf.

    The band is where the sign of f is not known with the probability (1 + confidence) / 2, as far as that hangs
    together with the line: the same as in boundary.py, but in two dimensions. Its reach is the largest distance from
    the line.

    Args:
        probits: (u, v), of P(f > 0) over the lattice.
        u, v: ascending coordinates of its lines, in shares of the axes.
        confidence: of the band.
    """
    limit = float(ndtri(0.5 + 0.5 * confidence))
    line, undecided = contour(probits, u, v, 0.0), np.abs(probits) < limit
    if not len(line):
        return float("inf") if undecided.any() else 0.0
    beside = _beside_line(probits)
    band = _hanging_together(undecided, beside)
    around = np.asarray(ndimage.binary_dilation(band)) | beside
    edge = [contour(probits, u, v, level, around) for level in (limit, -limit)]
    i, j = np.nonzero(band)
    places = np.concatenate([*edge, np.column_stack([u[i], v[j]])])
    return float(np.sqrt(((places[:, None] - line) ** 2).sum(axis=2).min(axis=1).max()))


def _beside_line(probits: Floats) -> Flags:
    """Places with a neighbour on the other side."""
    above = probits > 0
    found = np.zeros(above.shape, dtype=bool)
    found[:-1] |= above[:-1] != above[1:]
    found[1:] |= above[:-1] != above[1:]
    found[:, :-1] |= above[:, :-1] != above[:, 1:]
    found[:, 1:] |= above[:, :-1] != above[:, 1:]
    return found


def _hanging_together(places: Flags, seeds: Flags) -> Flags:
    """Those of the places from which a way along the lattice's lines leads to a seed."""
    labels, _ = ndimage.label(places)
    reached = np.unique(labels[seeds & places])
    return np.asarray(np.isin(labels, reached[reached > 0]))
