"""P(f > 0) over a lattice to how far the places that are not decided reach from the P = 1/2 line.

Between neighbouring places the probit of P(f > 0) is taken as linear, as in boundary.py.
"""

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

Floats = npt.NDArray[np.float64]


def probits_of(above: Floats) -> Floats:
    """The probit of P(f > 0), finite where P was rounded to 0 or 1."""
    return np.asarray(ndtri(np.clip(above, 1e-300, 1.0 - 1e-16)))


def contour(probits: Floats, u: Floats, v: Floats, level: float) -> Floats:
    """Where the probits have the level, along the lattice's lines: (points, 2), in the lattice's coordinates.

    Args:
        probits: (u, v), over the lattice.
        u, v: ascending coordinates of its lines.
        level: the probit that is looked for.
    """
    points = []
    for plane, along, across, turned in ((probits, u, v, False), (probits.T, v, u, True)):
        low, high = plane[:-1] - level, plane[1:] - level
        i, j = np.nonzero((low > 0) != (high > 0))
        share = low[i, j] / (low[i, j] - high[i, j])
        crossing = np.column_stack([along[i] + share * (along[i + 1] - along[i]), across[j]])
        points.append(crossing[:, ::-1] if turned else crossing)
    return np.concatenate(points)


def reach(probits: Floats, u: Floats, v: Floats, confidence: float) -> float:
    """The largest distance of an undecided place from the P = 1/2 line; 0 if all are decided, inf without a line.

    Undecided is where the sign of f is not known with the probability (1 + confidence) / 2, so that a straight
    boundary between decided sides lies within its band with the confidence.

    Args:
        probits: (u, v), of P(f > 0) over the lattice.
        u, v: ascending coordinates of its lines, in shares of the axes.
        confidence: of the band.
    """
    limit = float(ndtri(0.5 + 0.5 * confidence))
    i, j = np.nonzero(np.abs(probits) < limit)
    if not len(i) and not np.any(np.diff(np.sign(probits), axis=0)) and not np.any(np.diff(np.sign(probits), axis=1)):
        return 0.0
    line = contour(probits, u, v, 0.0)
    if not len(line):
        return float("inf")
    edge = np.concatenate(
        [contour(probits, u, v, limit), contour(probits, u, v, -limit), np.column_stack([u[i], v[j]])]
    )
    squares = ((edge[:, None] - line) ** 2).sum(axis=2).min(axis=1)
    return float(np.sqrt(squares.max()))
