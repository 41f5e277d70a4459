import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, false_discovery_control

from phase_diagrams.two_samples import (
    Comparison,
    benjamini_hochberg,
    compare_paired,
    compare_unpaired,
    sign_flip_test,
)

outcomes = st.lists(st.booleans(), min_size=1, max_size=12)


def test_newcombe_s_published_unpaired_example() -> None:
    """Newcombe 1998, method 10: 56/70 against 48/80 gives .2 with .0524 to .3339."""
    found = compare_unpaired([True] * 48 + [False] * 32, [True] * 56 + [False] * 14)
    assert found[:3] == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)


def test_newcombe_s_published_paired_example() -> None:
    """Newcombe 1998 (paired), method 10: cells 36, 12, 2, 0 give .2 with .0569 to .3404."""
    one = [True] * 36 + [False] * 12 + [True] * 2
    other = [True] * 36 + [True] * 12 + [False] * 2
    assert compare_paired(one, other)[:3] == pytest.approx((0.2, 0.0569, 0.3404), abs=5e-5)


def test_mcnemar_counts_discordant_pairs_alone() -> None:
    one = [True] * 5 + [False] * 7
    other = [True] * 5 + [False, True, True, True, True, True, True]
    assert compare_paired(one, other).p_value == pytest.approx(binomtest(6, 6, 0.5).pvalue)
    assert compare_paired(one, one).p_value == 1.0


@settings(deadline=None)
@given(outcomes, outcomes)
def test_exchanging_the_sides_exchanges_the_sign(one, other):
    def mirrored(found: Comparison) -> tuple[float, ...]:
        return (-found.difference, -found.high, -found.low, found.p_value)

    assert compare_unpaired(other, one) == pytest.approx(mirrored(compare_unpaired(one, other)))
    size = min(len(one), len(other))
    forward, back = compare_paired(one[:size], other[:size]), compare_paired(other[:size], one[:size])
    assert back == pytest.approx(mirrored(forward))
    for found in (forward, compare_unpaired(one, other)):
        assert -1 - 1e-12 <= found.low <= found.difference + 1e-12
        assert found.difference <= found.high + 1e-12 <= 1 + 2e-12


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_without_a_difference_exact_tests_reject_at_most_at_their_level(p):
    rng = np.random.default_rng(0)
    pairs = rng.random((600, 2, 8)) < p
    for compare in (compare_paired, compare_unpaired):
        rate = np.mean([compare(one, other).p_value <= 0.05 for one, other in pairs])
        assert rate <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 600)


@pytest.mark.parametrize(("p", "q"), [(0.2, 0.6), (0.5, 0.5), (0.9, 0.4)])
def test_intervals_cover_the_true_difference(p, q):
    rng = np.random.default_rng(1)
    shared = rng.random((500, 12))
    own = rng.random((2, 500, 12))
    for compare, one, other in (
        (compare_unpaired, own[0] < p, own[1] < q),
        (compare_paired, np.where(own[0] < 0.5, shared, own[0]) < p, np.where(own[0] < 0.5, shared, own[1]) < q),
    ):
        truth = np.mean(other) - np.mean(one)
        found = [compare(x, y) for x, y in zip(one, other, strict=True)]
        assert np.mean([c.low <= truth <= c.high for c in found]) >= 0.93


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_adjusted_p_values_are_those_of_benjamini_and_hochberg(p_values):
    np.testing.assert_allclose(benjamini_hochberg(p_values), false_discovery_control(p_values), atol=1e-12)


def test_flipping_signs_is_exact_for_few_blocks_and_has_its_level_for_many() -> None:
    assert sign_flip_test([1, 1, 1, 1]) == 2 / 16
    assert sign_flip_test([0, 0]) == 1.0
    assert sign_flip_test([3, -1, 2]) == sign_flip_test([-2, -3, 1])
    rng = np.random.default_rng(2)
    null = [sign_flip_test(rng.integers(-3, 4, 24)) for _ in range(100)]
    assert np.mean(np.array(null) <= 0.05) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 100)
    assert sign_flip_test(rng.integers(-1, 4, 40)) < 0.01


@pytest.mark.parametrize("compare", [compare_paired, compare_unpaired])
def test_no_outcomes_are_refused(compare):
    with pytest.raises(ValueError, match="at least one seed"):
        compare([], [])
