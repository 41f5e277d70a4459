import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phase_diagrams.matching import match_features
from phase_diagrams.superposition import polygon, random_unit
from phase_diagrams.theory import (
    closed_form_features,
    closed_form_losses,
    closed_form_weights,
    donoho_tanner_weak_threshold,
    expected_active,
    expected_max_cosine,
    ground_truth_loss,
    loss_gap,
    mcc_chance,
    sae_loss,
    weighted_loss_gap,
)

SHRINKING = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, -1.0]])


@st.composite
def samples_of_any_dictionary(draw):
    n_inputs, n_features, samples = draw(st.integers(1, 8)), draw(st.integers(1, 12)), draw(st.integers(1, 20))
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    dictionary = generator.standard_normal((n_inputs, n_features)) * draw(st.floats(0.01, 10.0))
    features = np.where(generator.random((samples, n_features)) < draw(st.floats(0, 1)), generator.random(1), 0.0)
    return dictionary, features, generator.uniform(0.0, 5.0, n_inputs)


def test_closed_form_shrinks_and_vanishes():
    np.testing.assert_allclose(closed_form_features(SHRINKING, np.array([[0.5, 1.0, 0.8]])), [[0.5, 0.2, 0.0]])


def test_closed_form_is_exact_without_positive_or_simultaneous_interference():
    dictionary = polygon(2, 3, 0)
    one_at_a_time = np.diag(np.arange(1.0, 9.0))
    np.testing.assert_allclose(closed_form_features(dictionary, one_at_a_time), one_at_a_time)
    assert ground_truth_loss(dictionary, one_at_a_time) == 0.0
    assert sae_loss(closed_form_weights(dictionary, 8), one_at_a_time @ dictionary.T) == 0.0
    # A pentagon's neighbours interfere by +.309: the closed form then errs even on a single feature.
    assert ground_truth_loss(polygon(0, 0, 1), np.eye(5)) > 0.1


def test_closed_form_weights_hold_the_dictionary_and_zeros():
    weights = closed_form_weights(SHRINKING, 5)
    np.testing.assert_array_equal(weights[:3], SHRINKING.T)
    np.testing.assert_array_equal(weights[3:], np.zeros((2, 2)))
    with pytest.raises(ValueError, match="hidden_dim is 2"):
        closed_form_weights(SHRINKING, 2)


@settings(deadline=None)
@given(samples_of_any_dictionary(), st.integers(0, 5))
def test_loss_gap_is_theorem_4(case, extra):
    dictionary, features, _ = case
    learned = sae_loss(closed_form_weights(dictionary, dictionary.shape[1] + extra), features @ dictionary.T)
    truth = ground_truth_loss(dictionary, features)
    assert learned - truth == pytest.approx(loss_gap(dictionary, features), abs=1e-11 * (1.0 + learned + truth))


@settings(deadline=None)
@given(samples_of_any_dictionary())
def test_weighted_loss_gap_is_theorem_5(case):
    dictionary, features, gamma = case
    learned = sae_loss(closed_form_weights(dictionary, dictionary.shape[1]), features @ dictionary.T, gamma)
    truth = ground_truth_loss(dictionary, features)
    gap = weighted_loss_gap(dictionary, features, gamma)
    assert learned - truth == pytest.approx(gap, abs=1e-11 * (1.0 + learned + truth))


@settings(deadline=None)
@given(samples_of_any_dictionary())
def test_unit_weights_weigh_nothing(case):
    dictionary, features, _ = case
    ones, inputs = np.ones(dictionary.shape[0]), features @ dictionary.T
    assert weighted_loss_gap(dictionary, features, ones) == loss_gap(dictionary, features)
    assert sae_loss(dictionary.T, inputs, ones) == sae_loss(dictionary.T, inputs)


def test_sae_loss_known_answer():
    # W_m = (1, 0) keeps the first input and drops the second: the loss is the second's energy.
    assert sae_loss(np.array([[1.0, 0.0]]), np.array([[2.0, 3.0], [1.0, 1.0]])) == pytest.approx((9.0 + 1.0) / 2)
    assert sae_loss(np.array([[1.0, 0.0]]), np.array([[2.0, 3.0]]), np.array([7.0, 2.0])) == pytest.approx(36.0)


@pytest.mark.parametrize(("n_inputs", "hidden_dim", "known"), [(16, 32, 0.557), (64, 128, 0.346), (128, 1024, 0.299)])
def test_expected_max_absolute_cosine_known_answers(n_inputs, hidden_dim, known):
    assert expected_max_cosine(n_inputs, hidden_dim, signed=False) == pytest.approx(known, abs=5e-4)


def test_expected_max_cosine_closed_forms():
    # d = 1: signs. d = 3: cosines are uniform on [-1, 1] (Archimedes), so the largest of m has mean (m - 1) / (m + 1).
    assert expected_max_cosine(1, 4, signed=True) == pytest.approx(1 - 2 * 0.5**4)
    assert expected_max_cosine(1, 4, signed=False) == 1.0
    for m in (1, 2, 7, 100):
        assert expected_max_cosine(3, m, signed=True) == pytest.approx((m - 1) / (m + 1), abs=1e-9)
        assert expected_max_cosine(3, m, signed=False) == pytest.approx(m / (m + 1), abs=1e-9)
    # d = 2: |cos| of a uniform angle has mean 2 / pi.
    assert expected_max_cosine(2, 1, signed=False) == pytest.approx(2 / np.pi, abs=1e-9)


@pytest.mark.parametrize(("n_inputs", "hidden_dim"), [(2, 5), (10, 40), (20, 200)])
def test_expected_max_cosine_against_simulation(n_inputs, hidden_dim):
    directions = np.random.default_rng(0).standard_normal((2000, hidden_dim, n_inputs))
    along = directions[:, :, 0] / np.linalg.norm(directions, axis=2)
    for signed, values in ((True, along), (False, np.abs(along))):
        largest = values.max(axis=1)
        error = 4.0 * largest.std() / np.sqrt(2000)
        assert expected_max_cosine(n_inputs, hidden_dim, signed=signed) == pytest.approx(largest.mean(), abs=error)


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 3000), st.integers(1, 100_000))
def test_expected_max_cosine_is_monotone(n_inputs, hidden_dim):
    signed = expected_max_cosine(n_inputs, hidden_dim, signed=True)
    assert 0.0 <= signed <= expected_max_cosine(n_inputs, hidden_dim, signed=False) + 1e-9 <= 1.0 + 1e-9
    assert signed <= expected_max_cosine(n_inputs, hidden_dim + 1, signed=True) + 1e-9
    if hidden_dim > 1 and n_inputs > 1:
        assert signed >= expected_max_cosine(n_inputs + 1, hidden_dim, signed=True) - 1e-9


@pytest.mark.parametrize(
    ("n_features", "n_inputs", "hidden_dim"),
    [(40, 10, 20), (40, 10, 40), (40, 10, 80), (200, 20, 50), (200, 20, 200), (10, 20, 10), (20, 10, 40)],
)
def test_chance_bounds_the_matched_score_of_random_dictionaries(n_features, n_inputs, hidden_dim):
    generator = np.random.default_rng(1)
    scored = [
        match_features(random_unit(n_features, n_inputs, seed), generator.standard_normal((hidden_dim, n_inputs)))
        for seed in range(30)
    ]
    mcc = np.array([matching.cosine.mean() for matching in scored])
    chance = mcc_chance(n_features, n_inputs, hidden_dim)
    error = 3.0 * mcc.std() / np.sqrt(30)
    # One to one costs at most .06 here, most at m = n and few features (measured .056 at n = m = 10, n_p = 20).
    assert chance - 0.06 - error < mcc.mean() < chance + error


def test_chance_known_cases():
    assert mcc_chance(40, 1, 20) == pytest.approx(0.5)  # one dimension: every latent finds a feature of its sign
    assert mcc_chance(1, 5, 1) == 0.0
    assert mcc_chance(100, 10, 50) == pytest.approx(0.5 * expected_max_cosine(10, 100, signed=True))
    assert mcc_chance(100, 10, 150) == expected_max_cosine(10, 150, signed=True)


def test_donoho_tanner_known_answers():
    assert donoho_tanner_weak_threshold(0.5, nonnegative=True) == pytest.approx(0.558, abs=5e-4)
    assert donoho_tanner_weak_threshold(0.5, nonnegative=False) == pytest.approx(0.386, abs=5e-4)
    assert donoho_tanner_weak_threshold(1.0, nonnegative=True) == 1.0
    assert donoho_tanner_weak_threshold(1.0, nonnegative=False) == 1.0


def test_donoho_tanner_small_delta_asymptote():
    # Donoho and Tanner 2009: rho ~ 1 / (2 log(1 / delta)) as delta -> 0, the same for both (approached slowly).
    for nonnegative in (True, False):
        ratios = [
            donoho_tanner_weak_threshold(delta, nonnegative=nonnegative) * 2 * np.log(1 / delta)
            for delta in (1e-3, 1e-6, 1e-12)
        ]
        assert 1.0 < ratios[2] < ratios[1] or ratios[0] < ratios[1] < ratios[2]
        assert ratios[2] == pytest.approx(1.0, abs=0.15)


@settings(deadline=None)
@given(st.floats(1e-4, 1.0), st.floats(1e-4, 1.0))
def test_donoho_tanner_rises_with_delta_and_with_the_sign(first, second):
    low, high = sorted((first, second))
    for nonnegative in (True, False):
        below = donoho_tanner_weak_threshold(low, nonnegative=nonnegative)
        assert 0.0 < below <= donoho_tanner_weak_threshold(high, nonnegative=nonnegative) + 1e-9 <= 1.0 + 1e-9
    signed = donoho_tanner_weak_threshold(low, nonnegative=False)
    assert donoho_tanner_weak_threshold(low, nonnegative=True) >= signed


@pytest.mark.parametrize("delta", [0.0, -0.1, 1.1, float("nan")])
def test_donoho_tanner_refuses_other_deltas(delta):
    with pytest.raises(ValueError, match="delta"):
        donoho_tanner_weak_threshold(delta, nonnegative=True)


def test_expected_active():
    assert expected_active(40, 0.95) == pytest.approx(2.0)
    assert expected_active(40, 1.0) == 0.0


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: expected_max_cosine(0, 3, signed=True), "n_inputs"),
        (lambda: expected_max_cosine(3, 0, signed=True), "hidden_dim"),
        (lambda: mcc_chance(0, 3, 3), "n_features"),
    ],
)
def test_errors_name_the_argument(call, named):
    with pytest.raises(ValueError, match=named):
        call()


@settings(deadline=None)
@given(samples_of_any_dictionary(), st.one_of(st.none(), st.integers(1, 12)), st.booleans())
def test_loss_gap_is_theorem_4_under_every_activation(case, k, pooled):
    dictionary, features, _ = case
    losses = closed_form_losses(dictionary, features, k, pooled=pooled)
    e = features - closed_form_features(dictionary, features, k, pooled=pooled)
    gap = np.mean(np.sum((e @ (dictionary.T @ dictionary - np.eye(dictionary.shape[1]))) * e, axis=1))
    scale = 1e-11 * (1.0 + losses.reconstruction + losses.ground_truth)
    assert losses.reconstruction - losses.ground_truth == pytest.approx(gap, abs=scale)
    if k is None:
        assert losses.ground_truth == ground_truth_loss(dictionary, features)


def test_the_closed_form_keeps_the_largest_latents():
    latents = np.array([[0.9, 0.5, 0.1], [0.2, 0.8, 0.7]])
    dictionary = np.eye(3)
    np.testing.assert_array_equal(closed_form_features(dictionary, latents, 1), [[0.9, 0, 0], [0, 0.8, 0]])
    np.testing.assert_array_equal(closed_form_features(dictionary, latents, 2), [[0.9, 0.5, 0], [0, 0.8, 0.7]])
    pooled = closed_form_features(dictionary, latents, 1, pooled=True)
    np.testing.assert_array_equal(pooled, [[0.9, 0, 0], [0, 0.8, 0]])
    np.testing.assert_array_equal(closed_form_features(dictionary, latents, 3, pooled=True), latents)
    uneven = np.array([[0.9, 0.5, 0.6], [0.2, 0.1, 0.3]])
    np.testing.assert_array_equal(closed_form_features(dictionary, uneven, 1, pooled=True), [[0.9, 0, 0.6], [0, 0, 0]])
