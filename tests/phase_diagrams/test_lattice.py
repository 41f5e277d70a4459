import numpy as np
import pytest

from phase_diagrams.binomial_field import features
from phase_diagrams.lattice import Lattice, shares

U, V = np.array([0.0, 0.1, 0.4, 1.0]), np.array([0.0, 0.5, 1.0])


def test_cells_cover_each_plane_once() -> None:
    lattice = Lattice((np.array([0.0, 1.0]), U, V))
    assert lattice.cells.sum() == pytest.approx(2)
    assert lattice.cells[:12] == pytest.approx(np.outer([0.05, 0.2, 0.45, 0.3], [0.25, 0.5, 0.25]).ravel())
    assert len(lattice.places) == len(lattice.cells) == 24


def test_the_last_axis_is_the_fastest() -> None:
    places = Lattice((U, V)).places
    assert places[:4].tolist() == [[0, 0], [0, 0.5], [0, 1], [0.1, 0]]


def test_features_are_those_of_the_places() -> None:
    lattice = Lattice((U, V))
    assert np.array_equal(lattice.features((0.6, 0.25)), features(lattice.places, (0.6, 0.25)))


def test_shares_run_from_0_to_1_and_one_value_is_0() -> None:
    assert shares([2.0, 3.0, 6.0]).tolist() == [0, 0.25, 1]
    assert shares([5.0]).tolist() == [0]
