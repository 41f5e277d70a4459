import re

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from phase_diagrams import superposition
from phase_diagrams.superposition import explicit, interference, polygon, random_unit, toy_model

SIZES = st.tuples(st.integers(1, 12), st.integers(1, 30), st.integers(0, 2**32))  # n_inputs, n_features, seed


def assert_unit_columns(dictionary, n_inputs, n_features):
    assert dictionary.shape == (n_inputs, n_features)
    assert dictionary.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(dictionary.astype(np.float64), axis=0), 1.0, atol=2e-7)


@settings(deadline=None)
@given(SIZES)
def test_random_unit_columns_and_repeatability(sizes):
    n_inputs, n_features, seed = sizes
    dictionary = random_unit(n_features, n_inputs, seed)
    assert_unit_columns(dictionary, n_inputs, n_features)
    assert np.array_equal(dictionary, random_unit(n_features, n_inputs, seed))
    if n_inputs > 1:
        assert not np.array_equal(dictionary, random_unit(n_features, n_inputs, seed + 1))


def test_random_unit_is_uniform_on_the_sphere():
    dictionary = random_unit(4000, 8, 0).astype(np.float64)
    np.testing.assert_allclose(dictionary @ dictionary.T / 4000, np.eye(8) / 8, atol=0.01)  # E w w^T = I / d
    np.testing.assert_allclose(dictionary.mean(axis=1), 0.0, atol=0.03)


def test_dictionary_stream_is_its_own():
    plain = np.random.Generator(np.random.Philox(np.random.SeedSequence([7]))).standard_normal(8)
    assert not np.array_equal(superposition.dictionary_generator(7).standard_normal(8), plain)


def test_toy_gradients_agree_with_finite_differences():
    generator = np.random.default_rng(0)
    weights, bias = generator.standard_normal((3, 6)), generator.standard_normal(6) * 0.1
    features = np.maximum(generator.uniform(-1.0, 1.0, (50, 6)), 0.0)

    def loss(w, b):
        return np.mean(np.sum((features - np.maximum(features @ w.T @ w + b, 0.0)) ** 2, axis=1))

    grad_weights, grad_bias = superposition._toy_gradients(weights, bias, features)
    for _ in range(20):
        dw, db = generator.standard_normal((3, 6)), generator.standard_normal(6)
        h = 1e-6
        slope = (loss(weights + h * dw, bias + h * db) - loss(weights - h * dw, bias - h * db)) / (2 * h)
        assert np.sum(grad_weights * dw) + np.sum(grad_bias * db) == pytest.approx(slope, rel=1e-6)


def test_toy_model_finds_the_pentagon():
    # Elhage et al. 2022: five sparse features in two dimensions become a regular pentagon.
    dictionary = toy_model(5, 2, 0.99, 6000, 0)
    assert_unit_columns(dictionary, 2, 5)
    angles = np.sort(np.degrees(np.arctan2(dictionary[1], dictionary[0])))
    np.testing.assert_allclose(np.diff(angles), 72.0, atol=1.5)


def test_toy_model_without_superposition_is_orthonormal():
    dictionary = toy_model(6, 8, 0.9, 3000, 0)
    np.testing.assert_allclose(dictionary.T @ dictionary, np.eye(6), atol=2e-3)


def test_toy_model_interferes_less_than_random_directions():
    trained, random = interference(toy_model(40, 10, 0.99, 5000, 0)), interference(random_unit(40, 10, 0))
    assert trained.coherence < random.coherence
    assert trained.max_positive < 0.3 < random.max_positive
    assert trained.mean_square == pytest.approx(trained.welch_bound**2, rel=0.01)  # nearly a tight frame


def test_toy_model_bits_do_not_depend_on_blas_threads():
    dictionaries = []
    for threads in (1, 2):
        with threadpool_limits(limits=threads, user_api="blas"):
            dictionaries.append(toy_model(100, 30, 0.98, 1500, 3))
    assert np.array_equal(*dictionaries)
    assert not np.array_equal(dictionaries[0], toy_model(100, 30, 0.98, 1500, 4))


def test_toy_model_says_how_many_features_it_left_out():
    message = r"left (\d+) of 30 features .*superposition\.sparsity = 0\.8 .*superposition\.steps = 4000"
    with pytest.raises(ValueError, match=message) as refusal:
        toy_model(30, 3, 0.8, 4000, 0)
    # Three dimensions do hold features, but at S = .8 not two digons' worth each (Elhage et al. 2022).
    assert 30 - 4 * 3 < int(re.search(message, str(refusal.value))[1]) < 30


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((0, 3, 0.9, 10, 0), "n_features"),
        ((3, 0, 0.9, 10, 0), "n_inputs"),
        ((3, 3, 1.0, 10, 0), r"superposition\.sparsity"),
        ((3, 3, float("nan"), 10, 0), r"superposition\.sparsity"),
        ((3, 3, 0.9, 0, 0), r"superposition\.steps"),
        ((3, 3, 0.9, 10, -1), r"superposition\.seed"),
    ],
)
def test_toy_model_names_the_bad_argument(arguments, named):
    with pytest.raises(ValueError, match=named):
        toy_model(*arguments)


@pytest.mark.parametrize(("mono", "digon", "pentagon"), [(3, 0, 0), (0, 2, 0), (0, 0, 2), (1, 2, 3), (1, 0, 0)])
def test_polygon_geometry(mono, digon, pentagon):
    dictionary = polygon(mono, digon, pentagon)
    assert_unit_columns(dictionary, mono + digon + 2 * pentagon, mono + 2 * digon + 5 * pentagon)
    gram = dictionary.T.astype(np.float64) @ dictionary
    off = gram[~np.eye(len(gram), dtype=bool)]
    near, far, opposite = (
        np.isclose(off, value, atol=1e-6).sum() for value in (np.cos(0.4 * np.pi), -np.cos(0.2 * np.pi), -1)
    )
    assert (near, far, opposite) == (10 * pentagon, 10 * pentagon, 2 * digon)
    assert np.isclose(off, 0.0, atol=1e-6).sum() == len(off) - 20 * pentagon - 2 * digon
    measured = interference(dictionary)
    assert measured.non_positive == (pentagon == 0)
    n_features = mono + 2 * digon + 5 * pentagon
    # A feature has a whole dimension alone, half of one in a digon, two fifths in a pentagon (Elhage et al. 2022).
    expected = (mono + 2 * digon / 2 + 5 * pentagon * 2 / 5) / n_features
    assert measured.feature_dimensionality == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("counts", [(0, 0, 0), (-1, 1, 1), (1, -1, 1), (1, 1, -1)])
def test_polygon_refuses_bad_counts(counts):
    with pytest.raises(ValueError, match=r"superposition\."):
        polygon(*counts)


def test_explicit_keeps_unit_columns_bit_for_bit():
    dictionary = random_unit(30, 7, 1)
    assert np.array_equal(explicit(dictionary), dictionary)
    assert np.array_equal(explicit(dictionary.tolist(), (7, 30)), dictionary)


@settings(deadline=None)
@given(SIZES, st.floats(-150, 150))
def test_explicit_scales_other_columns_to_unit_norm(sizes, exponent):
    beside = abs(exponent - round(exponent))
    assume(beside == 0 or beside > 1e-3)  # a length that is 1 but for its written decimals is left as it is
    n_inputs, n_features, seed = sizes
    direction = random_unit(n_features, n_inputs, seed).astype(np.float64)
    scaled = explicit(direction * 10.0 ** (exponent + np.arange(n_features)))
    assert_unit_columns(scaled, n_inputs, n_features)
    np.testing.assert_allclose(scaled, direction, atol=2e-7)
    assert np.array_equal(explicit(scaled), scaled)


def test_explicit_survives_lengths_that_overflow():
    np.testing.assert_allclose(explicit([[3e300, 3e-310], [4e300, 4e-310]]), [[0.6, 0.6], [0.8, 0.8]], rtol=1e-6)


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        ([[1.0, 2.0], [3.0]], "all of one length"),
        ([["a", "b"]], "rows of numbers"),
        ([1.0, 2.0], "shape"),
        ([[]], "shape"),
        ([[[1.0]]], "shape"),
        ([[1.0, float("nan")]], r"\[0\]\[1\] is nan"),
        ([[1.0], [float("inf")]], r"\[1\]\[0\] is inf"),
        ([[1.0, 0.0], [0.0, 0.0]], r"zero column \(1\)"),
        (None, "superposition"),
    ],
)
def test_explicit_refuses_what_is_no_dictionary(matrix, message):
    with pytest.raises(ValueError, match=message):
        explicit(matrix)


def test_explicit_checks_the_expected_shape():
    with pytest.raises(ValueError, match=r"\(2, 3\)"):
        explicit(np.eye(3), (2, 3))


@settings(deadline=None)
@given(SIZES)
def test_interference_bounds_and_invariance(sizes):
    n_inputs, n_features, seed = sizes
    generator = np.random.default_rng(seed)
    dictionary = random_unit(n_features, n_inputs, seed)
    measured = interference(dictionary)
    assert measured.welch_bound - 1e-6 <= measured.coherence <= 1.0
    assert measured.mean_square >= measured.welch_bound**2 - 1e-6
    assert 0.0 <= measured.max_positive <= measured.coherence
    assert measured.non_positive == (measured.max_positive <= 1e-6)
    shares = measured.share_positive + measured.share_negative + measured.share_zero
    assert shares == pytest.approx(1.0 if n_features > 1 else 0.0)
    # Neither a rotation of the inputs, an order of the features nor column lengths change any of it.
    rotation = np.linalg.qr(generator.standard_normal((n_inputs, n_inputs)))[0]
    lengths = generator.uniform(0.1, 10.0, n_features)
    moved = interference((rotation @ dictionary * lengths)[:, generator.permutation(n_features)])
    for name in ("coherence", "mean_square", "max_positive", "feature_dimensionality"):
        assert getattr(moved, name) == pytest.approx(getattr(measured, name), abs=1e-6)


def test_interference_of_one_feature_is_none():
    measured = interference(polygon(1, 0, 0))
    assert (measured.coherence, measured.max_positive, measured.mean_square) == (0.0, 0.0, 0.0)
    assert (measured.share_positive, measured.share_negative, measured.share_zero) == (0.0, 0.0, 0.0)
    assert (measured.welch_bound, measured.non_positive, measured.feature_dimensionality) == (0.0, True, 1.0)


def test_simplex_meets_the_welch_bound():
    # n_inputs + 1 corners of a simplex: every cosine is -1 / n_inputs, the least coherence there can be.
    corners = np.linalg.svd(np.eye(5) - 0.2)[2][:4]  # (4, 5)
    measured = interference(explicit(corners))
    assert measured.coherence == pytest.approx(0.25, abs=1e-6)
    assert measured.coherence == pytest.approx(measured.welch_bound, abs=1e-6)
    assert measured.share_negative == 1.0
    assert measured.non_positive
