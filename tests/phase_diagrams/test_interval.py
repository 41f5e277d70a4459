import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from phase_diagrams.interval import wilson

counts = st.integers(0, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


def test_known_values() -> None:
    # Brown, Cai and DasGupta (2001): (p + z^2/2n +- z sqrt(p q / n + z^2 / 4 n^2)) / (1 + z^2 / n), by hand.
    low, high = wilson([0, 4, 3, 81], [4, 4, 4, 263])
    assert low == pytest.approx([0.0, 0.5101, 0.3006, 0.2553], abs=1e-4)
    assert high == pytest.approx([0.4899, 1.0, 0.9544, 0.3662], abs=1e-4)


def test_limits_solve_the_score_equation() -> None:
    k, n = np.array([1, 2, 5, 11]), np.array([3, 8, 6, 40])
    for limit in wilson(k, n):
        assert np.abs(k / n - limit) / np.sqrt(limit * (1 - limit) / n) == pytest.approx([1.959964] * 4, abs=1e-5)


@pytest.mark.parametrize("n", range(3, 9))
def test_coverage_over_p_for_few_seeds(n: int) -> None:
    """Exact coverage, summed over the binomial law: on average nominal, never far below it."""
    p = np.linspace(0.005, 0.995, 397)
    low, high = wilson(np.arange(n + 1), n)
    inside = (low <= p[:, None]) & (p[:, None] <= high)
    coverage = np.sum(binom.pmf(np.arange(n + 1), n, p[:, None]) * inside, axis=1)
    assert 0.94 < coverage.mean() < 0.98
    assert coverage.min() > 0.82


def test_coverage_by_simulation() -> None:
    rng = np.random.Generator(np.random.Philox(1))
    p = rng.random(20_000)
    n = rng.integers(3, 9, p.size)
    low, high = wilson(rng.binomial(n, p), n)
    assert 0.94 < np.mean((low <= p) & (p <= high)) < 0.97


@given(counts)
def test_symmetric_and_around_the_share(count: tuple[int, int]) -> None:
    k, n = count
    low, high = wilson(k, n)
    other_low, other_high = wilson(n - k, n)
    assert low == pytest.approx(1 - other_high, abs=1e-12)
    assert high == pytest.approx(1 - other_low, abs=1e-12)
    assert 0 <= low < high <= 1
    if n:
        assert low <= k / n <= high


@pytest.mark.parametrize("n", [1, 4, 9, 200])
def test_rises_with_successes_and_narrows_with_seeds_and_less_confidence(n: int) -> None:
    low, high = wilson(np.arange(n + 1), n)
    assert np.all(np.diff(low) > 0)
    assert np.all(np.diff(high) > 0)
    doubled = wilson(2 * np.arange(n + 1), 2 * n)
    assert np.all(doubled.high - doubled.low < high - low)
    less = wilson(np.arange(n + 1), n, confidence=0.5)
    assert np.all(less.high - less.low < high - low)


def test_no_trials_say_nothing_and_shapes_broadcast() -> None:
    low, high = wilson(np.zeros((2, 1)), [0, 3, 5])
    assert low.shape == high.shape == (2, 3)
    assert np.all(low[:, 0] == 0)
    assert np.all(high[:, 0] == 1)


@pytest.mark.parametrize(
    ("k", "n", "confidence", "names"),
    [
        (3, 2, 0.95, "successes"),
        (-1, 2, 0.95, "successes"),
        (1, np.nan, 0.95, "trials"),
        (1, 2, 1.0, "confidence = 1.0"),
    ],
)
def test_bad_counts_are_named(k: float, n: float, confidence: float, names: str) -> None:
    with pytest.raises(ValueError, match=names):
        wilson(k, n, confidence)
