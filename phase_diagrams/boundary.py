"""Seed outcomes over a plane of conditions to the P = 1/2 level set with a 95 % band.

The outcomes are binomial with logit f, and f is a Gaussian process (binomial_field.py): a constant, a linear trend and
a smooth residual, all multiplied by one steepness. Steepness and the two length scales are averaged over, never
optimised, so that the band also carries what the data leave open about them. docs/decisions/0003-boundary-fit.md says
why, with figures.

RW is Rasmussen and Williams, Gaussian Processes for Machine Learning (2006).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import expit, ndtr, ndtri

from phase_diagrams.binomial_field import LENGTH_SCALES, QUADRATURE, Component, features, fit_components

Floats = npt.NDArray[np.float64]
NoBoundary = Literal["mostly recovered", "mostly not recovered"]

# Share of the slope along the other axis down to which a crossing is kept; heuristic: slopes are taken by differences
# that err by some 20 % where a boundary turns, and pieces that miss each other look like two boundaries.
MEETING = 0.6

# Heights per x at which the level set is looked for: steps of 1/128 of the axis, linear between in the probit of P.
HEIGHTS = np.linspace(0.0, 1.0, 129)
BAND = 0.95


class Latent(NamedTuple):
    """Posterior mean and standard deviation of the logit f, of the shape of the places asked for."""

    mean: Floats
    sd: Floats


class Crossing(NamedTuple):
    """Where the posterior median of f is zero at one x, with the limits of the 95 % band, in the caller's units."""

    x: float
    y: float
    y_low: float
    y_high: float
    branch: int
    """Number of the line that the crossing is on, from 0; a line keeps its number along x."""


@dataclass(frozen=True, slots=True)
class LevelSet:
    """The P = 1/2 level set at the x values asked for, ordered by x, then y."""

    crossings: tuple[Crossing, ...]
    no_boundary: NoBoundary | None
    """Which side most outcomes are on where there is no boundary in range; None where there are crossings."""


@dataclass(frozen=True, slots=True, eq=False)
class BoundaryFit:
    """The posterior of the logit f over one panel: a weighted mixture of Gaussian processes."""

    x_range: tuple[float, float]
    y_range: tuple[float, float]
    """The observed ranges, in the caller's units; nothing is said outside them."""
    successes: int
    trials: int
    components: tuple[Component, ...]

    def latent(self, x: npt.ArrayLike, y: npt.ArrayLike) -> Latent:
        """Posterior mean and sd of f at the places (x, y), broadcast, in the caller's units (RW section 3.6.1)."""
        weights, means, sds = self._marginals(x, y)
        mean = np.tensordot(weights, means, 1)
        return Latent(mean, np.sqrt(np.tensordot(weights, sds**2 + (means - mean) ** 2, 1)))

    def probability(self, x: npt.ArrayLike, y: npt.ArrayLike) -> Floats:
        """Posterior mean of P(identified) at the places (x, y), the logistic averaged over f (RW eq. 3.10)."""
        weights, means, sds = self._marginals(x, y)
        density = np.exp(-0.5 * QUADRATURE**2)
        values = expit(means[..., None] + sds[..., None] * QUADRATURE) @ (density / density.sum())
        return np.asarray(np.tensordot(weights, values, 1))

    def probability_above(self, x: npt.ArrayLike, y: npt.ArrayLike) -> Floats:
        """Posterior probability that f > 0, i.e. that P(identified) > 1/2, at the places (x, y)."""
        weights, means, sds = self._marginals(x, y)
        return np.asarray(np.tensordot(weights, ndtr(means / sds), 1))

    def _marginals(self, x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[Floats, Floats, Floats]:
        """Weights (components,), means and sds (components, *places)."""
        u, v = np.broadcast_arrays(_scaled(x, self.x_range), _scaled(y, self.y_range))
        places = np.column_stack([u.ravel(), v.ravel()])
        planes = {lengths: features(places, lengths) for lengths in {c.lengths for c in self.components}}
        means, sds = [], []
        for component in self.components:
            a = planes[component.lengths] @ component.root  # (places, features)
            means.append((a @ component.shift).reshape(u.shape))
            sds.append(np.sqrt(np.einsum("pf,pf->p", a, a)).reshape(u.shape))
        return np.array([c.weight for c in self.components]), np.stack(means), np.stack(sds)


def fit_boundary(x: npt.ArrayLike, y: npt.ArrayLike, successes: npt.ArrayLike, trials: npt.ArrayLike) -> BoundaryFit:
    """The posterior of the logit of P(identified) over a panel from all its seed outcomes.

    Prior: f = s (b0 + b1 u + b2 v + g(u, v)), u and v being x and y scaled to [-1, 1], b standard normal (RW section
    2.7) and g a Gaussian process of unit variance with a squared-exponential kernel of one length scale per axis (RW
    section 5.1). The zero set of f does not depend on the steepness s, which says only how fast outcomes turn.
    Inference: expectation propagation (RW section 3.6) for each s and pair of length scales, weighted by its evidence
    (RW section 5.2). An axis with one distinct value is left out of the model.

    Args:
        x, y: (conditions,) coordinates in which the boundary is expected to be smooth, e.g. log2 hidden_dim and
            -log10(1 - sparsity). Their order is void, equal places are merged.
        successes, trials: (conditions,) seeds identified and seeds trained; rows without trials are ignored.

    Raises:
        ValueError: lengths differ, a value is not finite, successes exceed trials, there is no trial at all, or y has
            one distinct value while x has several (swap the axes: the level set is sought along y).
    """
    x_places, y_places, counts, totals = _merged(x, y, successes, trials)
    x_range, y_range = _extent(x_places), _extent(y_places)
    if y_range[0] == y_range[1] and x_range[0] < x_range[1]:
        raise ValueError(f"y has one distinct value, {y_range[0]:g}, and x has several: swap the axes")
    u, v = _scaled(x_places, x_range), _scaled(y_places, y_range)
    lengths = [
        (length_x, length_y)
        for length_x in (LENGTH_SCALES if x_range[0] < x_range[1] else (np.inf,))
        for length_y in (LENGTH_SCALES if y_range[0] < y_range[1] else (np.inf,))
    ]
    components = fit_components(np.column_stack([u, v]), counts, totals, lengths)
    return BoundaryFit(x_range, y_range, int(counts.sum()), int(totals.sum()), components)


def level_set(
    fit: BoundaryFit, x_values: npt.ArrayLike, *, across: Literal["y", "x"] = "y", steeper: bool = False
) -> LevelSet:
    """The heights y at which P(identified) = 1/2, at each of the x values, with their 95 % band.

    A crossing is where the posterior median of f changes sign. Its band is the contiguous set of y around it in which
    the sign of f is not known with 97.5 % probability, for monotone f the central 95 % interval of the crossing; it
    ends at the range of the data. There is no crossing at an x outside that range, nor where the median keeps its sign
    within it, nor anywhere if all outcomes agree.

    Args:
        fit: the posterior of one panel.
        x_values: (n_x,) in the units of the fit's x; their order is void.
        across: "x" exchanges the axes: x values at which P = 1/2, at each of given y values. A crossing's x is then a
            y of the fit, and the reverse.
        steeper: leave out the crossings where f changes faster along the other axis, both scaled to their range. The
            level sets across y and across x then make up the whole boundary, each place in the better direction: one
            that runs straight up at some x has no height y, but an x at every height.

    Raises:
        ValueError: an x value is not finite.
    """
    values = np.unique(np.asarray(x_values, dtype=np.float64))
    if not np.all(np.isfinite(values)):
        raise ValueError("x_values must be finite")
    along, span = (fit.x_range, fit.y_range) if across == "y" else (fit.y_range, fit.x_range)
    inside = values[(values >= along[0]) & (values <= along[1])]
    crossings: list[Crossing] = []
    if 0 < fit.successes < fit.trials and inside.size and span[0] < span[1]:
        places, heights = inside[:, None], span[0] + (span[1] - span[0]) * HEIGHTS
        above = fit.probability_above(*((places, heights) if across == "y" else (heights, places)))  # (n_x, heights)
        # The probit is close to linear in y near a crossing; rounding to 0 or 1 must stay finite.
        probits = ndtri(np.clip(above, 1e-300, 1.0 - 1e-16))
        kept = _steeper(probits, _scaled(inside, along)) if steeper else np.ones(probits.shape, dtype=bool)
        zeros = [[zero for zero in _zeros(row) if keep[zero.node]] for row, keep in zip(probits, kept, strict=True)]
        crossings = _numbered(inside, zeros, span)
    if crossings:
        return LevelSet(tuple(crossings), None)
    return LevelSet((), "mostly recovered" if 2 * fit.successes > fit.trials else "mostly not recovered")


def _steeper(probits: Floats, places: Floats) -> npt.NDArray[np.bool_]:
    """Where a plane (places, heights) of probits changes about as fast along the heights as along the places.

    Or faster. About: the two directions overlap a little, so that their pieces meet in a picture.
    """
    if len(places) < 2:
        return np.ones(probits.shape, dtype=bool)
    along = np.abs(np.gradient(probits, places, axis=0))
    upward = np.abs(np.diff(probits, axis=1, append=probits[:, -1:])) / (HEIGHTS[1] - HEIGHTS[0])
    return np.asarray(upward >= MEETING * along)


class _Zero(NamedTuple):
    """A sign change along one column, in shares of the axis."""

    height: float
    low: float
    high: float
    rising: bool
    node: int
    """The node of HEIGHTS below it."""


def _zeros(probits: Floats) -> list[_Zero]:
    """The sign changes of a column of probits of P(f > 0), from the bottom up."""
    limit = float(ndtri(0.5 + 0.5 * BAND))
    decided = np.abs(probits) >= limit
    zeros = []
    for i in np.flatnonzero((probits[:-1] > 0) != (probits[1:] > 0)):
        below, above = np.flatnonzero(decided[: i + 1]), np.flatnonzero(decided[i + 1 :])
        low, high = 0.0, 1.0
        if below.size:
            j = int(below[-1])
            low = _height(probits, j, np.sign(probits[j]) * limit)
        if above.size:
            j = int(i + 1 + above[0])
            high = _height(probits, j - 1, np.sign(probits[j]) * limit)
        zeros.append(_Zero(_height(probits, int(i), 0.0), low, high, bool(probits[i + 1] > 0), int(i)))
    return zeros


def _height(probits: Floats, j: int, level: float) -> float:
    """The height between nodes j and j + 1 at which the probits, linear between them, have the level."""
    share = (level - probits[j]) / (probits[j + 1] - probits[j])
    return float(HEIGHTS[j] + share * (HEIGHTS[j + 1] - HEIGHTS[j]))


def _numbered(x_values: Floats, columns: Sequence[list[_Zero]], y_range: tuple[float, float]) -> list[Crossing]:
    """Crossings with branch numbers: nearest pairs of equal direction in neighbouring columns share a number."""
    low, span = y_range[0], y_range[1] - y_range[0]
    crossings: list[Crossing] = []
    previous: list[tuple[_Zero, int]] = []
    used = 0
    for x, zeros in zip(x_values, columns, strict=True):
        pairs = sorted(
            (abs(zero.height - old.height), i, j)
            for i, zero in enumerate(zeros)
            for j, (old, _) in enumerate(previous)
            if zero.rising == old.rising
        )
        branches: dict[int, int] = {}
        taken: set[int] = set()
        for _, i, j in pairs:
            if i not in branches and j not in taken:
                branches[i] = previous[j][1]
                taken.add(j)
        for i in range(len(zeros)):
            if i not in branches:
                branches[i] = used
                used += 1
        previous = [(zero, branches[i]) for i, zero in enumerate(zeros)]
        crossings += [
            Crossing(float(x), low + span * zero.height, low + span * zero.low, low + span * zero.high, branches[i])
            for i, zero in enumerate(zeros)
        ]
    return crossings


def _scaled(values: npt.ArrayLike, limits: tuple[float, float]) -> Floats:
    low, high = limits
    return (np.asarray(values, dtype=np.float64) - low) / (high - low if high > low else 1.0)


def _extent(values: Floats) -> tuple[float, float]:
    return float(values.min()), float(values.max())


def _merged(
    x: npt.ArrayLike, y: npt.ArrayLike, successes: npt.ArrayLike, trials: npt.ArrayLike
) -> tuple[Floats, Floats, Floats, Floats]:
    """The checked outcomes as one row per distinct place that has trials, in the order of (x, y)."""
    rows = [np.asarray(column, dtype=np.float64) for column in (x, y, successes, trials)]
    if any(row.ndim != 1 or row.shape != rows[0].shape for row in rows):
        raise ValueError(f"x, y, successes and trials must be of one length, got shapes {[row.shape for row in rows]}")
    for name, row in zip(("x", "y", "successes", "trials"), rows, strict=True):
        if not np.all(np.isfinite(row)):
            raise ValueError(f"{name} must be finite")
    if np.any((rows[2] < 0) | (rows[2] > rows[3])):
        raise ValueError("successes must lie in [0, trials]")
    seen = rows[3] > 0
    if not np.any(seen):
        raise ValueError("no condition has trials")
    places, group = np.unique(np.column_stack([rows[0][seen], rows[1][seen]]), axis=0, return_inverse=True)
    counts, totals = np.zeros(len(places)), np.zeros(len(places))
    np.add.at(counts, group.ravel(), rows[2][seen])
    np.add.at(totals, group.ravel(), rows[3][seen])
    return places[:, 0], places[:, 1], counts, totals
