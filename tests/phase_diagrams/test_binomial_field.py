"""The posterior that both the picture and the planner read; test_boundary.py tests what is read from it."""

from itertools import product

import numpy as np
import numpy.typing as npt
import pytest
from scipy.special import expit, ndtr

from phase_diagrams.binomial_field import LENGTH_SCALES, Component, features, fit_components, refit_components

Floats = npt.NDArray[np.float64]
LENGTHS = list(product(LENGTH_SCALES, repeat=2))


def outcomes(size: int, axes: int = 2) -> tuple[Floats, Floats, Floats]:
    rng = np.random.default_rng(7)
    places = rng.random((size, axes))
    p = expit((places[:, -1] - 0.4 - 0.3 * places[:, 0]) / 0.05)
    return places, rng.binomial(2, p).astype(np.float64), np.full(size, 2.0)


def above(components: tuple[Component, ...], places: Floats) -> Floats:
    total = np.zeros(len(places))
    for c in components:
        a = features(places, c.lengths) @ c.root
        total += c.weight * ndtr((a @ c.shift) / np.sqrt((a**2).sum(axis=1)))
    return total


def test_the_sites_of_a_component_are_its_own() -> None:
    places, counts, totals = outcomes(60)
    for c in fit_components(places, counts, totals, LENGTHS):
        # The posterior precision of whitened weights is that of their prior and of the sites: root root^T inverts it.
        plane = c.steepness * features(places, c.lengths)
        precision = np.eye(plane.shape[1]) + (plane.T * c.site_precision) @ plane
        covariance = c.root @ c.root.T / c.steepness**2
        assert covariance @ precision == pytest.approx(np.eye(len(precision)), abs=1e-6)


def test_a_refit_is_a_fit() -> None:
    places, counts, totals = outcomes(60)
    earlier = fit_components(places[:45], counts[:45], totals[:45], LENGTHS)
    order = np.random.default_rng(1).permutation(60)
    known = np.argsort(order)[:45]
    again = refit_components(earlier, known, places[order], counts[order], totals[order])
    afresh = fit_components(places, counts, totals, LENGTHS)
    probe = np.random.default_rng(2).random((200, 2))
    assert above(again, probe) == pytest.approx(above(afresh, probe), abs=0.02)
    assert sum(c.weight for c in again) == pytest.approx(1)


def test_refits_that_wander_find_the_hyperparameters_of_a_fit() -> None:
    places, counts, totals = outcomes(60)
    found = fit_components(places, counts, totals, [(0.25, 0.25)])
    for _ in range(4):
        found = refit_components(found, np.arange(60), places, counts, totals, wander=True)
    afresh = fit_components(places, counts, totals, LENGTHS)
    heaviest = max(afresh, key=lambda c: c.weight)
    assert (heaviest.steepness, heaviest.lengths) in {(c.steepness, c.lengths) for c in found}
    probe = np.random.default_rng(2).random((200, 2))
    assert above(found, probe) == pytest.approx(above(afresh, probe), abs=0.06)


def test_prior_variance_of_the_features_is_that_of_the_kernel_in_three_axes() -> None:
    """Constant 1, trend 1 per axis at the corners, residual 1 but for the directions that are left out."""
    corners = np.array(list(product([0.0, 1.0], repeat=3)))
    variance = (features(corners, (0.6, 1.5, 0.6)) ** 2).sum(axis=1)
    assert variance == pytest.approx(5, abs=0.02)
    one = (features(corners, (np.inf, 1.5, 0.6)) ** 2).sum(axis=1)
    assert one == pytest.approx(4, abs=0.02)


def test_an_axis_that_tells_nothing_leaves_the_others_as_they_are() -> None:
    places, counts, totals = outcomes(50, axes=2)
    flat = np.column_stack([np.zeros(50), places])
    two = fit_components(places, counts, totals, LENGTHS)
    three = fit_components(flat, counts, totals, [(np.inf, *each) for each in LENGTHS])
    probe = np.random.default_rng(3).random((100, 2))
    assert above(three, np.column_stack([np.zeros(100), probe])) == pytest.approx(above(two, probe), abs=1e-9)
