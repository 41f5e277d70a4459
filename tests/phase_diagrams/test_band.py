"""The band's reach on planes whose band is known in closed form."""

import numpy as np
import numpy.typing as npt
import pytest
from scipy.special import ndtr

from phase_diagrams.band import contour, probits_of, reach

Floats = npt.NDArray[np.float64]

U, V = np.linspace(0, 1, 41), np.linspace(0, 1, 33)
X, Y = np.meshgrid(U, V, indexing="ij")


def test_a_line_with_a_linear_probit_has_the_band_of_its_standard_deviation() -> None:
    assert reach((Y - 0.4) / 0.02, U, V, 0.95) == pytest.approx(1.96 * 0.02, abs=1e-3)
    assert reach((Y - 0.4) / 0.02, U, V, 0.5) == pytest.approx(0.6745 * 0.02, abs=1e-3)


def test_distance_is_taken_across_the_line_whichever_way_it_runs() -> None:
    slanted = (Y + X - 1) / np.sqrt(2) / 0.03
    assert reach(slanted, U, V, 0.95) == pytest.approx(1.96 * 0.03, abs=0.005)
    assert reach(slanted[::-1], U, V, 0.95) == pytest.approx(1.96 * 0.03, abs=0.005)


def test_a_wide_part_counts_and_a_doubt_that_does_not_touch_the_line_does_not() -> None:
    plain = (Y - 0.4) / 0.02
    wide = np.where(X > 0.8, (Y - 0.4) / 0.1, plain)
    assert reach(wide, U, V, 0.95) == pytest.approx(1.96 * 0.1, abs=0.02)
    pocket = np.where((X > 0.9) & (Y > 0.9), 1.5, plain)
    assert reach(pocket, U, V, 0.95) == pytest.approx(reach(plain, U, V, 0.95))


def test_without_a_line_doubt_is_endless_and_certainty_is_nothing() -> None:
    assert reach(np.full(X.shape, -3.0), U, V, 0.95) == 0
    assert reach(np.where(X > 0.9, -1.0, -3.0), U, V, 0.95) == np.inf


def test_the_contour_lies_on_the_level() -> None:
    points = contour(X**2 + Y**2, U, V, 0.5)
    assert np.hypot(*points.T) == pytest.approx(np.sqrt(0.5), abs=1e-3)
    assert len(contour(X, U, V, 2.0)) == 0


def test_probits_undo_the_normal_integral_and_stay_finite() -> None:
    x: Floats = np.array([-3.0, 0.0, 2.0])
    assert probits_of(ndtr(x)) == pytest.approx(x)
    assert np.all(np.isfinite(probits_of(np.array([0.0, 1.0]))))
