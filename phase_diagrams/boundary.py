"""Seed outcomes over a plane of conditions to the P = 1/2 level set with a 95 % band.

The outcomes are binomial with logit f, and f is a Gaussian process: a constant, a linear trend and a smooth residual,
all multiplied by one steepness. Steepness and the two length scales are averaged over, never optimised, so that the
band also carries what the data leave open about them. docs/decisions/0003-boundary-fit.md says why, with figures.

RW is Rasmussen and Williams, Gaussian Processes for Machine Learning (2006).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import expit, log_expit, ndtr, ndtri

Floats = npt.NDArray[np.float64]
NoBoundary = Literal["all recovered", "none recovered"]

# Priors, uniform over these grids; settled on pilot diagrams, the calibration tests draw others. In axis lengths: from
# a boundary that bends within a quarter of the axis to one that is practically straight.
LENGTH_SCALES = (0.25, 0.6, 1.5)
# Logits: from outcomes that hardly depend on the condition to a step that no 8 x 8 grid could tell from a sharper one.
STEEPNESSES = (1.0, 2.5, 6.0, 15.0, 40.0)
# Hyperparameters of smaller posterior weight are left out: they could move P(f > 0) by no more than their sum.
LEAST_WEIGHT = 1e-3
# A steepness this far below the best in log evidence ends the search for steeper ones; exp(-10) is 5e-5.
NEGLIGIBLE = 10.0

# Nyström nodes per axis: six to the shortest length scale, where they give the kernel to 1e-11.
NODES = np.linspace(0.0, 1.0, 25)
# Share of the residual's variance below which a direction is left out; together they are 0.1 % of it.
LEAST_VARIANCE = 1e-4

# Quadrature in standard units of a marginal; the tails beyond 6 hold 2e-9.
QUADRATURE = np.linspace(-6.0, 6.0, 41)
# Parallel updates at full length oscillate on steep, separated outcomes. 0.6 settles within 30 sweeps on those tried,
# half of it from sweep 40 on the unanimous ones; what stays unsettled at 150 (a thousand seeds) moved P(f > 0) by 1e-3.
DAMPING = 0.6
PATIENCE = 40
MAX_SWEEPS = 150
# Largest move of a marginal's mean, in its sd, and of its variance, relative, at which sweeping stops.
TOLERANCE = 2e-3

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
    """Which side the panel is on where there is no boundary in range; None where there are crossings."""


@dataclass(frozen=True, slots=True, eq=False)
class _Component:
    """The Gaussian posterior of f at one choice of hyperparameters, whitened: f = a . (shift + standard normal)."""

    weight: float
    lengths: tuple[float, float]
    root: Floats  # (features, features): a = features(x, y) @ root
    shift: Floats  # (features,)


@dataclass(frozen=True, slots=True, eq=False)
class BoundaryFit:
    """The posterior of the logit f over one panel: a weighted mixture of Gaussian processes."""

    x_range: tuple[float, float]
    y_range: tuple[float, float]
    """The observed ranges, in the caller's units; nothing is said outside them."""
    successes: int
    trials: int
    components: tuple[_Component, ...]

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
        planes = {c.lengths: _features(u.ravel(), v.ravel(), c.lengths) for c in self.components}
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
    return BoundaryFit(
        x_range, y_range, int(counts.sum()), int(totals.sum()), _components(u, v, counts, totals, lengths)
    )


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
    return LevelSet((), "all recovered" if 2 * fit.successes > fit.trials else "none recovered")


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


def _components(
    u: Floats, v: Floats, counts: Floats, totals: Floats, lengths: list[tuple[float, float]]
) -> tuple[_Component, ...]:
    """One posterior per hyperparameter choice that keeps weight, their weights adding up to one."""
    planes = [_features(u, v, pair) for pair in lengths]
    # Columns of zeros carry no variance: padding lets all length scales go through one batch.
    widest = max(plane.shape[1] for plane in planes)
    batch = np.stack([np.pad(plane, ((0, 0), (0, widest - plane.shape[1]))) for plane in planes])
    site_precision = np.zeros((len(lengths), u.size))
    site_shift = np.zeros_like(site_precision)
    posteriors = []
    for steepness in STEEPNESSES:
        # Sites of the next lower steepness are a good start for this one.
        posterior = _propagate(steepness * batch, counts, totals, site_precision, site_shift)
        site_precision, site_shift = posterior.site_precision, posterior.site_shift
        posteriors.append(posterior)
        # Evidence rises to one peak along steepness and falls: far past it, the rest would be left out below.
        if posterior.log_evidence.max() < max(p.log_evidence.max() for p in posteriors) - NEGLIGIBLE:
            break
    evidence = np.stack([p.log_evidence for p in posteriors])  # (steepnesses, length pairs)
    weights = np.exp(evidence - evidence.max())
    weights /= weights.sum()
    weights[weights < LEAST_WEIGHT] = 0.0
    weights /= weights.sum()
    return tuple(
        _Component(
            float(weights[s, k]),
            lengths[k],
            STEEPNESSES[s] * posteriors[s].root[k, : planes[k].shape[1], : planes[k].shape[1]],
            posteriors[s].shift[k, : planes[k].shape[1]],
        )
        for s, k in np.argwhere(weights > 0)
    )


class _Posterior(NamedTuple):
    """Expectation propagation's result for a batch of priors; see _propagate."""

    root: Floats  # (batch, features, features)
    shift: Floats  # (batch, features)
    log_evidence: Floats  # (batch,)
    site_precision: Floats  # (batch, conditions)
    site_shift: Floats  # (batch, conditions)


def _propagate(planes: Floats, counts: Floats, totals: Floats, precision: Floats, shift: Floats) -> _Posterior:
    """Expectation propagation for f = planes @ w, w standard normal, one binomial site per condition (RW section 3.6).

    A site is exp(shift f - precision f^2 / 2), up to a constant. All sites are updated at once, with damping. The
    tilted moments are integrals over the current marginal of f times likelihood / site, taken by quadrature
    in the marginal's own units; at the fixed point their mean is 0 and their variance 1.

    Args:
        planes: (batch, conditions, features), prior sd included.
        counts, totals: (conditions,).
        precision, shift: (batch, conditions), the sites to start from.
    """
    step = QUADRATURE[1] - QUADRATURE[0]
    normal = -0.5 * QUADRATURE**2 + np.log(step / np.sqrt(2.0 * np.pi))
    transposed = planes.transpose(0, 2, 1)
    identity = np.eye(planes.shape[2])
    for sweep in range(MAX_SWEEPS):
        # w has precision L L^T and mean L^-T whitened (RW section 2.1, sites in place of observations).
        lower = np.linalg.cholesky(identity + (transposed * precision[:, None, :]) @ planes)
        inverse = np.linalg.inv(lower)
        root = inverse.transpose(0, 2, 1)
        a = planes @ root  # (batch, conditions, features)
        whitened = inverse @ (transposed @ shift[..., None])  # (batch, features, 1)
        variance = np.einsum("bcf,bcf->bc", a, a)
        sd, mean = np.sqrt(variance), (a @ whitened)[..., 0]
        f = mean[..., None] + sd[..., None] * QUADRATURE  # (batch, conditions, nodes)
        # log(1 - expit(f)) = log expit(f) - f
        log_ratio = totals[:, None] * log_expit(f) - (totals - counts)[:, None] * f
        log_ratio += (0.5 * precision[..., None] * f - shift[..., None]) * f + normal
        largest = log_ratio.max(axis=-1, keepdims=True)
        tilted = np.exp(log_ratio - largest)
        mass = tilted.sum(axis=-1)
        moved = (tilted @ QUADRATURE) / mass
        # A floor on the shrinkage of one sweep: the first sweeps may put a marginal far from its likelihood.
        spread = np.maximum((tilted @ QUADRATURE**2) / mass - moved**2, 0.05)
        if max(np.abs(moved).max(), np.abs(spread - 1.0).max()) < TOLERANCE:
            break
        matched = 1.0 / (spread * variance)
        # A log-concave likelihood has no negative site; quadrature errs by rounding only.
        damping = DAMPING if sweep < PATIENCE else 0.5 * DAMPING
        shift = shift + damping * (matched * (mean + sd * moved) - mean / variance)
        precision = np.maximum(precision + damping * (matched - 1.0 / variance), 0.0)
    # log Z_EP (RW section 3.6.2): normaliser of prior times sites, then per site likelihood / site under the marginal.
    log_evidence = 0.5 * np.einsum("bfo,bfo->b", whitened, whitened)
    log_evidence -= np.log(np.diagonal(lower, axis1=1, axis2=2)).sum(axis=1)
    log_evidence += (np.log(mass) + largest[..., 0]).sum(axis=1)
    return _Posterior(root, whitened[..., 0], log_evidence, precision, shift)


def _features(u: Floats, v: Floats, lengths: tuple[float, float]) -> Floats:
    """Functions of the place whose squares add up to the prior variance at steepness 1, (places, features).

    Constant, trend and residual; the residual's are products of the kernel's eigenfunctions along each axis by
    Nyström (RW section 4.3.2), the least of them left out. An infinite length leaves its axis out.
    """
    along_u, variance_u = _eigenfunctions(u, lengths[0])
    along_v, variance_v = _eigenfunctions(v, lengths[1])
    variance = np.outer(variance_u, variance_v).ravel()
    kept = variance > LEAST_VARIANCE * variance.sum()
    residual = (along_u[:, :, None] * along_v[:, None, :]).reshape(u.size, -1)[:, kept]
    trend = [2.0 * w - 1.0 for w, length in zip((u, v), lengths, strict=True) if np.isfinite(length)]
    return np.column_stack([np.ones(u.size), *trend, residual])


def _eigenfunctions(u: Floats, length: float) -> tuple[Floats, Floats]:
    """Scaled eigenfunctions (places, rank) of a squared-exponential kernel on [0, 1], and their mean variances."""
    if not np.isfinite(length):
        return np.ones((u.size, 1)), np.ones(1)
    values, vectors = np.linalg.eigh(_kernel(NODES, NODES, length))
    kept = values > LEAST_VARIANCE * values.sum()
    values, vectors = values[kept][::-1], vectors[:, kept][:, ::-1]
    distinct, place = np.unique(u, return_inverse=True)  # a grid of places repeats each coordinate many times
    along: Floats = _kernel(distinct, NODES, length) @ vectors / np.sqrt(values)
    return along[place], values / NODES.size


def _kernel(a: Floats, b: Floats, length: float) -> Floats:
    return np.asarray(np.exp(-0.5 * ((a[:, None] - b) / length) ** 2))


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
