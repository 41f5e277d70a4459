"""The posterior of a logit over a lattice to what one more training at each place would tell of the P = 1/2 line.

The uncertainty is U, the integral over the plane of P (1 - P), P being the posterior probability that f > 0: an area,
which grows with the width of the band. What it is expected to fall to when the variance at a place is to shrink by a
share rho is known in closed form (Chevalier et al. 2014, Technometrics 56:455, the bivariate normal written as Owen's
T): E[P (1 - P)] = 2 T(a, sqrt((1 - rho) / (1 + rho))), a = mean / sd. A training is worth what it lowers U by. A
further seed at a known place and a first one at a new place are so the same question.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from phase_diagrams.binomial_field import Component, Lengths

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

PROBIT_VARIANCE = 8.0 / np.pi
"""The logistic is within .02 the normal integral of this variance (MacKay 1992, Neural Computation 4:720)."""
COMPONENTS = 3
"""Hyperparameter choices of most weight that gains are computed from; heuristic: the band needs all of them, the
ranking of places does not."""
TARGETS = 160
"""Most undecided places that U is summed over; more are thinned evenly. Heuristic, for speed."""
CANDIDATES = 300
"""Most places that stay in the running for a batch: those worth most at its start. Heuristic, for speed."""
LEAST_DOUBT = 1e-3
"""Density of U, relative to a place on the line, from which on a place counts as undecided."""


class _Model(NamedTuple):
    """One component on the lattice, as of the trainings that are picked so far; updated in place."""

    weight: float
    a: Floats  # (candidates, features): f = a . (shift + standard normal)
    mean: Floats  # (candidates,)
    variance: Floats  # (candidates,)
    spread: Floats  # (features, features), covariance of the features' coefficients
    doubt: Floats  # (targets,), squared mean / sd at the batch's start
    cells: Floats  # (targets,), share of the plane
    before: Floats  # (targets,), variance at the batch's start
    now: Floats  # (targets,), variance
    covariance: Floats  # (candidates, targets)


class Gains:
    """What one more training at each place of a lattice would lower U by; knows what is picked already."""

    def __init__(self, components: Sequence[Component], planes: Mapping[Lengths, Floats], cells: Floats) -> None:
        """Start a batch.

        Args:
            components: the posterior.
            planes: features of the lattice's places for the components' lengths, (places, features).
            cells: (places,) share of the plane that each place stands for.
        """
        best = sorted(components, key=lambda c: -c.weight)[:COMPONENTS]
        total = sum(c.weight for c in best)
        models = [_model(c.weight / total, planes[c.lengths] @ c.root, c.shift, cells) for c in best]
        self.places: Indices = np.arange(len(cells))
        """The places in the running, ascending."""
        values = _values(models)
        if len(values) > CANDIDATES:
            self.places = np.sort(np.argsort(-values, kind="stable")[:CANDIDATES])
            models = [_kept(model, self.places) for model in models]
        self._models = models
        self.values: Floats = values[self.places]
        """What U is expected to lose by one training at each of the places, (candidates,)."""

    def pick(self, candidate: int) -> None:
        """Count on one more training at a candidate (an index into `places`)."""
        for model in self._models:
            _observe(model, candidate)
        self.values = _values(self._models)

    def pick_place(self, place: int) -> None:
        """The same for a place of the lattice, if it is in the running."""
        index = int(np.searchsorted(self.places, place))
        if index < len(self.places) and self.places[index] == place:
            self.pick(index)


def _model(weight: float, a: Floats, shift: Floats, cells: Floats) -> _Model:
    mean, variance = a @ shift, np.einsum("pf,pf->p", a, a)
    doubt = mean**2 / variance
    targets = np.flatnonzero(np.exp(-doubt) > LEAST_DOUBT)
    step = -(-len(targets) // TARGETS) or 1
    targets = targets[::step]
    covariance = a @ a[targets].T
    now = variance[targets]
    return _Model(
        weight,
        a,
        mean,
        variance,
        np.eye(a.shape[1]),
        doubt[targets],
        cells[targets] * step,
        now,
        now.copy(),
        covariance,
    )


def _kept(model: _Model, places: Indices) -> _Model:
    return model._replace(
        a=model.a[places],
        mean=model.mean[places],
        variance=model.variance[places],
        covariance=model.covariance[places],
    )


def _values(models: Sequence[_Model]) -> Floats:
    """The derivative of -2 T(a, h(rho)) along rho, times the variance that a training takes, summed over targets."""
    total = np.zeros(len(models[0].mean))
    for model in models:
        rho = np.clip(1.0 - model.now / model.before, 0.0, 1.0 - 1e-9)
        density = np.exp(-model.doubt / (1.0 + rho)) / (2.0 * np.pi * np.sqrt(1.0 - rho**2))
        taken = model.covariance**2 @ (model.cells * density / model.before)
        total += model.weight * taken * _share(model.mean, model.variance) / model.variance
    return total


def _share(mean: Floats, variance: Floats) -> Floats:
    """The share of the variance at a place that one outcome there is expected to take, under a probit likelihood."""
    z = mean / np.sqrt(variance + PROBIT_VARIANCE)
    height = np.exp(-(z**2)) / (2.0 * np.pi)
    return np.asarray(variance / (variance + PROBIT_VARIANCE) * height / np.maximum(ndtr(z) * ndtr(-z), 1e-300))


def _observe(model: _Model, candidate: int) -> None:
    """Condition a component on an outcome at a candidate: variances fall, the mean is left as it is expected to be."""
    share = _share(model.mean[candidate : candidate + 1], model.variance[candidate : candidate + 1])
    factor = float(share[0] / model.variance[candidate])
    along = model.spread @ model.a[candidate]  # (features,)
    targets = model.covariance[candidate].copy()
    candidates = model.a @ along
    model.covariance[...] -= factor * np.outer(candidates, targets)
    model.variance[...] = np.maximum(model.variance - factor * candidates**2, 1e-9)
    model.now[...] = np.maximum(model.now - factor * targets**2, 1e-9 * model.before)
    model.spread[...] -= factor * np.outer(along, along)
