"""Seed outcomes at places of the unit cube to the posterior of their logit: a mixture of Gaussian processes.

The logit is f = s (b0 + b . (2 u - 1) + g(u)): b standard normal (RW section 2.7), g a Gaussian process of unit
variance with a squared-exponential kernel of one length scale per axis (RW section 5.1), s one steepness over
everything. Steepness and length scales are averaged over by their evidence, never optimised.
docs/decisions/0003-boundary-fit.md says why, with figures.

RW is Rasmussen and Williams, Gaussian Processes for Machine Learning (2006).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Lengths = tuple[float, ...]

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
POWERS = QUADRATURE ** np.arange(3.0)[:, None]
LOG_NORMAL = (np.log((QUADRATURE[1] - QUADRATURE[0]) / np.sqrt(2.0 * np.pi)) - 0.5 * QUADRATURE**2)[:, None]
# Marginals at a time: their nodes stay in the cache. Measured: twice as slow in one piece.
CHUNK = 256
# Parallel updates at full length oscillate on steep, separated outcomes. 0.6 settles within 30 sweeps on those tried,
# half of it from sweep 40 on the unanimous ones; what stays unsettled at 150 (a thousand seeds) moved P(f > 0) by 1e-3.
DAMPING = 0.6
PATIENCE = 40
MAX_SWEEPS = 150
# Largest move of a marginal's mean, in its sd, and of its variance, relative, at which sweeping stops.
TOLERANCE = 2e-3
# Of a refit, which only ranks places until the next fit. Heuristic, for speed.
REFIT_WEIGHT, REFIT_TOLERANCE = 1e-2, 1e-2


@dataclass(frozen=True, slots=True, eq=False)
class Component:
    """The Gaussian posterior of f at one choice of hyperparameters, whitened: f = a . (shift + standard normal)."""

    weight: float
    steepness: float
    lengths: Lengths
    root: Floats  # (features, features): a = features(places, lengths) @ root
    shift: Floats  # (features,)
    site_precision: Floats  # (conditions,), what each outcome adds to the precision of its f
    site_shift: Floats  # (conditions,)


def fit_components(places: Floats, counts: Floats, totals: Floats, lengths: Sequence[Lengths]) -> tuple[Component, ...]:
    """One posterior per hyperparameter choice that keeps weight, their weights adding up to one.

    Args:
        places: (conditions, axes), in [0, 1], distinct.
        counts, totals: (conditions,), seeds identified and seeds trained, totals > 0.
        lengths: the length scales to average over, one per axis each; an infinite length leaves its axis out.
    """
    planes = [features(places, each) for each in lengths]
    batch = _padded(planes)
    site_precision = np.zeros((len(lengths), len(places)))
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
    joined = _Posterior(*(np.concatenate(part) for part in zip(*posteriors, strict=True)))
    sizes = [plane.shape[1] for plane in planes]
    tried = STEEPNESSES[: len(posteriors)]
    return _weighted([(s, *choice) for s in tried for choice in zip(lengths, sizes, strict=True)], joined)


def refit_components(
    earlier: Sequence[Component],
    known: npt.NDArray[np.intp],
    places: Floats,
    counts: Floats,
    totals: Floats,
    wander: bool = False,
) -> tuple[Component, ...]:
    """`fit_components` for more outcomes, over the hyperparameters that had weight before and started from there.

    Several times faster and good enough to choose by: hyperparameters of little weight are left out, and of those that
    `earlier` left out none come back but, with `wander`, the neighbours of the heaviest.

    Args:
        earlier: the posterior of fewer outcomes.
        known: (earlier conditions,), where in `places` the conditions of `earlier` are.
        places, counts, totals: as for `fit_components`.
        wander: whether hyperparameters one step from the heaviest are tried too, so that rounds of refits can walk.
    """
    starts = {(c.steepness, c.lengths): c for c in earlier if c.weight >= REFIT_WEIGHT}
    if wander:
        heaviest = max(earlier, key=lambda c: c.weight)
        starts = dict.fromkeys(_beside(heaviest.steepness, heaviest.lengths), heaviest) | starts
    bare = {lengths: features(places, lengths) for lengths in {lengths for _, lengths in starts}}
    planes = [steepness * bare[lengths] for steepness, lengths in starts]
    sites = np.zeros((2, len(starts), len(places)))
    sites[0][:, known] = [c.site_precision for c in starts.values()]
    sites[1][:, known] = [c.site_shift for c in starts.values()]
    posterior = _propagate(_padded(planes), counts, totals, sites[0], sites[1], REFIT_TOLERANCE)
    choices = [(*choice, plane.shape[1]) for choice, plane in zip(starts, planes, strict=True)]
    return _weighted(choices, posterior)


def _beside(steepness: float, lengths: Lengths) -> list[tuple[float, Lengths]]:
    """The hyperparameters one step from these, in one of them."""
    found = [(each, lengths) for each in _neighbours(STEEPNESSES, steepness)]
    for axis, length in enumerate(lengths):
        steps = _neighbours(LENGTH_SCALES, length) if np.isfinite(length) else []
        found += [(steepness, (*lengths[:axis], step, *lengths[axis + 1 :])) for step in steps]
    return found


def _neighbours(values: Sequence[float], value: float) -> list[float]:
    place = values.index(value)
    return list(values[max(place - 1, 0) : place]) + list(values[place + 1 : place + 2])


class _Posterior(NamedTuple):
    """Expectation propagation's result for a batch of priors; see _propagate."""

    root: Floats  # (batch, features, features)
    shift: Floats  # (batch, features)
    log_evidence: Floats  # (batch,)
    site_precision: Floats  # (batch, conditions)
    site_shift: Floats  # (batch, conditions)


def _weighted(choices: Sequence[tuple[float, Lengths, int]], posterior: _Posterior) -> tuple[Component, ...]:
    """Components of a batch of choices (steepness, lengths, number of features) that keep weight."""
    weights = np.exp(posterior.log_evidence - posterior.log_evidence.max())
    weights /= weights.sum()
    weights[weights < LEAST_WEIGHT] = 0.0
    weights /= weights.sum()
    return tuple(
        Component(
            float(weights[i]),
            steepness,
            lengths,
            steepness * posterior.root[i, :size, :size],
            posterior.shift[i, :size],
            posterior.site_precision[i],
            posterior.site_shift[i],
        )
        for i, (steepness, lengths, size) in enumerate(choices)
        if weights[i] > 0
    )


def _padded(planes: Sequence[Floats]) -> Floats:
    """Planes of features as one batch: columns of zeros carry no variance."""
    widest = max(plane.shape[1] for plane in planes)
    return np.stack([np.pad(plane, ((0, 0), (0, widest - plane.shape[1]))) for plane in planes])


def _propagate(
    planes: Floats, counts: Floats, totals: Floats, precision: Floats, shift: Floats, tolerance: float = TOLERANCE
) -> _Posterior:
    """Expectation propagation for f = planes @ w, w standard normal, one binomial site per condition (RW section 3.6).

    A site is exp(shift f - precision f^2 / 2), up to a constant. All sites are updated at once, with damping. The
    tilted moments are integrals over the current marginal of f times likelihood / site, taken by quadrature
    in the marginal's own units; at the fixed point their mean is 0 and their variance 1.

    Args:
        planes: (batch, conditions, features), prior sd included.
        counts, totals: (conditions,).
        precision, shift: (batch, conditions), the sites to start from.
        tolerance: largest move of a marginal at which a prior of the batch is swept no more.
    """
    batch, _, width = planes.shape
    found = _Posterior(
        np.empty((batch, width, width)),
        np.empty((batch, width)),
        np.empty(batch),
        np.empty_like(precision),
        np.empty_like(shift),
    )
    left = np.arange(batch)
    transposed = planes.transpose(0, 2, 1)
    identity = np.eye(width)
    for sweep in range(MAX_SWEEPS):
        # w has precision L L^T and mean L^-T whitened (RW section 2.1, sites in place of observations).
        lower = np.linalg.cholesky(identity + (transposed * precision[:, None, :]) @ planes)
        inverse = np.linalg.inv(lower)
        root = inverse.transpose(0, 2, 1)
        a = planes @ root  # (left, conditions, features)
        whitened = inverse @ (transposed @ shift[..., None])  # (left, features, 1)
        variance = np.einsum("bcf,bcf->bc", a, a)
        sd, mean = np.sqrt(variance), (a @ whitened)[..., 0]
        log_mass, moved, spread = _tilted_moments(mean, sd, counts, totals, precision, shift)
        moves = np.maximum(np.abs(moved).max(axis=1), np.abs(spread - 1.0).max(axis=1))
        settled = (moves < tolerance) | (sweep == MAX_SWEEPS - 1)
        if settled.any():
            # log Z_EP (RW section 3.6.2): normaliser of prior times sites, then per site likelihood / site under the
            # marginal.
            log_evidence = 0.5 * np.einsum("bfo,bfo->b", whitened, whitened) + log_mass.sum(axis=1)
            log_evidence -= np.log(np.diagonal(lower, axis1=1, axis2=2)).sum(axis=1)
            results = _Posterior(root, whitened[..., 0], log_evidence, precision, shift)
            for whole, part in zip(found, results, strict=True):
                whole[left[settled]] = part[settled]
            if settled.all():
                break
            left = left[~settled]
            planes, precision, shift = planes[~settled], precision[~settled], shift[~settled]
            transposed = planes.transpose(0, 2, 1)
            variance, sd, mean, moved, spread = (each[~settled] for each in (variance, sd, mean, moved, spread))
        matched = 1.0 / (spread * variance)
        # A log-concave likelihood has no negative site; quadrature errs by rounding only.
        damping = DAMPING if sweep < PATIENCE else 0.5 * DAMPING
        shift = shift + damping * (matched * (mean + sd * moved) - mean / variance)
        precision = np.maximum(precision + damping * (matched - 1.0 / variance), 0.0)
    return found


def _tilted_moments(
    mean: Floats, sd: Floats, counts: Floats, totals: Floats, precision: Floats, shift: Floats
) -> tuple[Floats, Floats, Floats]:
    """Of marginals (batch, conditions) times likelihood / site: log mass, mean and variance in the marginal's units."""
    columns = [np.broadcast_to(each, mean.shape).ravel() for each in (mean, sd, counts, totals, precision, shift)]
    log_mass, moved, second = np.empty((3, mean.size))
    nodes = QUADRATURE[:, None]
    for first in range(0, mean.size, CHUNK):
        chunk = slice(first, first + CHUNK)
        centre, scale, count, total, curve, slope = (each[chunk] for each in columns)
        f = centre + nodes * scale  # (nodes, chunk)
        # log expit(f) = min(f, 0) - log(1 + exp(-|f|)), whose last term is at most .7: in float32 its error is 1e-7 a
        # seed, and both functions take a fifth of the time that they take in float64.
        log_ratio = (0.5 * curve * f - (slope + total - count)) * f + LOG_NORMAL
        log_ratio += total * (np.minimum(f, 0.0) - np.log(1.0 + np.exp(-np.abs(f).astype(np.float32))))
        largest = log_ratio.max(axis=0)
        log_ratio -= largest
        mass, moved[chunk], second[chunk] = POWERS @ np.exp(log_ratio.astype(np.float32)).astype(np.float64)
        moved[chunk] /= mass
        second[chunk] /= mass
        log_mass[chunk] = np.log(mass) + largest
    # A floor on the shrinkage of one sweep: the first sweeps may put a marginal far from its likelihood.
    spread = np.maximum(second - moved**2, 0.05)
    return log_mass.reshape(mean.shape), moved.reshape(mean.shape), spread.reshape(mean.shape)


def features(places: Floats, lengths: Lengths) -> Floats:
    """Functions of the place whose squares add up to the prior variance at steepness 1, (places, features).

    Constant, trend and residual; the residual's are products of the kernel's eigenfunctions along each axis by
    Nyström (RW section 4.3.2), the least of them left out. An infinite length leaves its axis out.
    """
    residual, variance = np.ones((len(places), 1)), np.ones(1)
    for u, length in zip(places.T, lengths, strict=True):
        along, variance_u = _eigenfunctions(u, length)
        residual = (residual[:, :, None] * along[:, None, :]).reshape(len(places), -1)
        variance = np.outer(variance, variance_u).ravel()
    kept = variance > LEAST_VARIANCE * variance.sum()
    trend = [2.0 * u - 1.0 for u, length in zip(places.T, lengths, strict=True) if np.isfinite(length)]
    return np.column_stack([np.ones(len(places)), *trend, residual[:, kept]])


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
