import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from phase_diagrams.code_law import (
    active_count,
    coupled_features,
    expected_active,
    firing_probabilities,
    input_variance,
    magnitude_moments,
)
from phase_diagrams.superposition import random_unit

COUNTS = st.integers(1, 300)
SPARSITIES = st.floats(0.0, 1.0)


@settings(deadline=None)
@given(COUNTS, SPARSITIES, st.sampled_from(["uniform", "zipf"]), st.floats(0.0, 5.0))
def test_mean_density_is_one_minus_sparsity(n_features, sparsity, firing, exponent):
    probabilities = firing_probabilities(n_features, sparsity, firing, exponent)
    assert probabilities.shape == (n_features,)
    assert np.all((probabilities >= 0.0) & (probabilities <= 1.0))
    assert probabilities.mean() == pytest.approx(1.0 - sparsity, abs=1e-12)
    assert np.all(np.diff(probabilities) <= 1e-15)  # the first fires most


@settings(deadline=None)
@given(st.integers(2, 200), st.floats(0.0, 0.999), st.floats(0.01, 4.0))
def test_zipf_keeps_its_proportions_below_certainty(n_features, sparsity, exponent):
    probabilities = firing_probabilities(n_features, sparsity, "zipf", exponent)
    free = np.flatnonzero(probabilities < 1.0)
    scales = probabilities[free] * (free + 1.0) ** exponent
    np.testing.assert_allclose(scales, scales.mean() if free.size else 1.0, rtol=1e-9)
    # Water-filling: a feature at 1 is one that the common scale would push to 1 or past it.
    certain = np.flatnonzero(probabilities == 1.0)
    if free.size:
        assert np.all(scales.mean() >= (certain + 1.0) ** exponent * (1.0 - 1e-9))


def test_zipf_known_answers():
    np.testing.assert_allclose(firing_probabilities(3, 1 - 11 / 30, "zipf", 1.0), [0.6, 0.3, 0.2])
    # 1 : 1/2 : 1/3 of 2.2 would be (1.2, .6, .4): the first is certain, the others share 1.2 as 3 : 2.
    np.testing.assert_allclose(firing_probabilities(3, 1 - 2.2 / 3, "zipf", 1.0), [1.0, 0.72, 0.48])
    np.testing.assert_array_equal(firing_probabilities(5, 0.0, "zipf", 2.0), np.ones(5))
    np.testing.assert_array_equal(firing_probabilities(5, 1.0, "zipf", 2.0), np.zeros(5))


def test_zipf_of_exponent_zero_is_uniform():
    zipf, uniform = firing_probabilities(17, 0.9, "zipf", 0.0), firing_probabilities(17, 0.9)
    np.testing.assert_allclose(zipf, uniform, rtol=1e-14)


def test_zipf_survives_absurd_exponents():
    np.testing.assert_allclose(firing_probabilities(4, 0.5, "zipf", 1e6), [1.0, 1.0, 0.0, 0.0], atol=1e-12)


@pytest.mark.parametrize(
    ("n_features", "sparsity", "count"),
    [
        (40, 0.95, 2),
        (50, 0.95, 3),
        (10, 0.75, 3),
        (40, 0.999, 1),
        (200, 0.995, 1),
        (7, 0.0, 7),
        (40, 1.0, 1),
        (10, 0.86, 1),
    ],
)
def test_active_count(n_features, sparsity, count):
    assert active_count(n_features, sparsity) == count


@settings(deadline=None)
@given(COUNTS, SPARSITIES)
def test_active_count_is_the_nearest_positive_number(n_features, sparsity):
    count = active_count(n_features, sparsity)
    assert 1 <= count <= n_features
    assert abs(count - expected_active(n_features, sparsity)) <= 0.5 + 1e-8 or count == 1


@pytest.mark.parametrize(
    ("magnitude", "law"),
    [("uniform", stats.uniform()), ("half_normal", stats.halfnorm()), ("exponential", stats.expon())],
)
def test_magnitude_moments_are_those_of_the_law(magnitude, law):
    moments = magnitude_moments(magnitude)
    assert moments.mean == pytest.approx(law.mean())
    assert moments.mean_square == pytest.approx(law.var() + law.mean() ** 2)


def test_constant_magnitude_is_one():
    assert (magnitude_moments("constant").mean, magnitude_moments("constant").mean_square) == (1.0, 1.0)


@pytest.mark.parametrize("magnitude", ["uniform", "constant", "half_normal", "exponential"])
def test_input_variance_against_samples(magnitude):
    generator = np.random.default_rng(5)
    dictionary = random_unit(12, 4, 0)
    probabilities = firing_probabilities(12, 0.7, "zipf", 1.0)
    shape, noise = (200_000, 12), 0.3
    values = {
        "uniform": generator.random,
        "constant": np.ones,
        "half_normal": lambda size: np.abs(generator.standard_normal(size)),
        "exponential": generator.standard_exponential,
    }[magnitude](shape)
    features = np.where(generator.random(shape) < probabilities, values, 0.0)
    inputs = features @ dictionary.T + noise * generator.standard_normal((shape[0], 4))
    expected = input_variance(dictionary, probabilities, magnitude, noise)
    np.testing.assert_allclose(inputs.var(axis=0), expected, rtol=0.02)


def test_input_variance_known_answer():
    # One feature, always active and constant, does not vary; only the noise does.
    np.testing.assert_allclose(input_variance(np.array([[0.6], [0.8]]), np.array([1.0]), "constant", 0.5), [0.25, 0.25])
    # p = 1/2 and constant 1: variance 1/4 along the direction.
    np.testing.assert_allclose(input_variance(np.array([[0.6], [0.8]]), np.array([0.5]), "constant", 0.0), [0.09, 0.16])


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: firing_probabilities(0, 0.5), "n_features"),
        (lambda: firing_probabilities(3, 1.5), "sparsity"),
        (lambda: firing_probabilities(3, float("nan")), "sparsity"),
        (lambda: firing_probabilities(3, 0.5, "linear"), "firing"),
        (lambda: firing_probabilities(3, 0.5, "zipf", -1.0), "exponent"),
        (lambda: firing_probabilities(3, 0.5, "zipf", float("inf")), "exponent"),
        (lambda: magnitude_moments("cauchy"), "magnitude"),
        (lambda: active_count(3, -0.1), "sparsity"),
    ],
)
def test_errors_name_the_argument(call, named):
    with pytest.raises(ValueError, match=named):
        call()


@pytest.mark.parametrize("magnitude", ["uniform", "constant", "half_normal", "exponential"])
def test_coupled_features_have_the_law_of_the_code(magnitude):
    probabilities = firing_probabilities(30, 0.8, "zipf", 0.5)
    features = coupled_features(probabilities, None, magnitude, 20_000, seed=1)
    rates = (features > 0).mean(axis=0)
    np.testing.assert_allclose(rates, probabilities, atol=5 * np.sqrt(0.25 / 20_000))
    sizes, moments = features[features > 0], magnitude_moments(magnitude)
    error = 5 * max(sizes.std(), 1e-9) / np.sqrt(len(sizes))
    assert sizes.mean() == pytest.approx(moments.mean, abs=error + 1e-12)
    assert np.square(sizes).mean() == pytest.approx(moments.mean_square, abs=10 * error + 1e-12)


def test_coupled_features_grow_with_density_and_exact_codes_hold_their_count():
    law = [np.full(20, 1 - s) for s in (0.95, 0.8, 0.3)]
    rare, middle, dense = (coupled_features(p, None, "uniform", 500, seed=0) for p in law)
    assert np.all((rare == 0) | (rare == middle))
    assert np.all((middle == 0) | (middle == dense))
    exact = [coupled_features(law[0], count, "uniform", 500, seed=0) for count in (1, 4)]
    assert [set((x > 0).sum(axis=1)) for x in exact] == [{1}, {4}]
    assert np.all((exact[0] == 0) | (exact[0] == exact[1]))
    np.testing.assert_allclose((exact[1] > 0).mean(axis=0), 0.2, atol=5 * np.sqrt(0.16 / 500))
