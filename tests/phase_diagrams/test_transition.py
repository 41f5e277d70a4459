import numpy as np
import pytest
from scipy.special import expit

from phase_diagrams.transition import fit_transition


def _outcomes(rng, places, place, width, seeds):
    return rng.binomial(seeds, expit((places - place) / width))


@pytest.mark.parametrize(("width", "seeds"), [(0.05, 6), (0.15, 6), (0.15, 20)])
def test_intervals_cover_place_and_width(width: float, seeds: int) -> None:
    rng = np.random.default_rng(0)
    places = np.linspace(0.3, 2.0, 10)
    covered = []
    for _ in range(80):
        place = rng.uniform(0.8, 1.5)
        found = fit_transition(places, _outcomes(rng, places, place, width, seeds), np.full(10, seeds))
        assert found is not None
        covered.append((found.place_low <= place <= found.place_high, found.width_low <= width <= found.width_high))
    rates = np.mean(covered, axis=0)
    assert np.all(rates >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / 80))


def test_many_seeds_find_place_and_width() -> None:
    rng = np.random.default_rng(1)
    places = np.linspace(0, 3, 13)
    found = fit_transition(places, _outcomes(rng, places, 1.3, 0.2, 5000), np.full(13, 5000))
    assert found is not None
    assert found.rising
    assert found.place == pytest.approx(1.3, abs=0.02)
    assert found.width == pytest.approx(0.2, rel=0.06)


def test_a_falling_transition_is_the_mirror_of_a_rising_one() -> None:
    places, counts = np.linspace(0, 1, 6), np.array([0, 0, 1, 3, 4, 4])
    up = fit_transition(places, counts, np.full(6, 4))
    down = fit_transition(1 - places, counts, np.full(6, 4))
    assert up is not None
    assert down is not None
    assert (up.rising, down.rising) == (True, False)
    assert down.place == pytest.approx(1 - up.place, abs=1e-6)
    for name in ("width", "width_low", "width_high"):
        assert getattr(down, name) == pytest.approx(getattr(up, name))


def test_without_overlap_the_width_may_be_zero_and_has_an_upper_limit() -> None:
    found = fit_transition([0, 1, 2, 3], [0, 0, 6, 6], [6, 6, 6, 6])
    assert found is not None
    assert found.width_low == 0.0
    assert 0.0 < found.width < found.width_high < 1.0
    assert found.place == pytest.approx(1.5, abs=0.02)
    assert 0.9 < found.place_low < 1.2
    assert 1.8 < found.place_high < 2.1


def test_outcomes_that_need_not_depend_on_the_axis_have_no_upper_limit_of_the_width() -> None:
    found = fit_transition([0, 1, 2, 3], [1, 2, 1, 2], [4, 4, 4, 4])
    assert found is not None
    assert found.width_high == float("inf")


def test_there_is_no_transition_where_all_outcomes_agree_or_there_is_one_place() -> None:
    assert fit_transition([0, 1], [4, 4], [4, 4]) is None
    assert fit_transition([0, 1], [0, 0], [4, 4]) is None
    assert fit_transition([1, 1], [0, 4], [4, 4]) is None
    assert fit_transition([], [], []) is None
    with pytest.raises(ValueError, match="successes must lie"):
        fit_transition([0, 1], [5, 0], [4, 4])
