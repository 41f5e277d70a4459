import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from phase_diagrams.matching import align, cosines, match, match_features, unit_rows
from phase_diagrams.superposition import explicit, random_unit
from phase_diagrams.theory import mcc_chance

GENERATOR_SEEDS = st.integers(0, 2**32)


def random_rows(rows, seed, n_inputs):
    return np.random.default_rng(seed).standard_normal((rows, n_inputs))


@pytest.mark.parametrize("hidden_dim", [12, 24, 48])
def test_random_dictionary_scores_chance(hidden_dim):
    scored = [match_features(random_unit(24, 12, s), random_rows(hidden_dim, s, 12)).cosine.mean() for s in range(40)]
    chance = mcc_chance(24, 12, hidden_dim)
    assert chance - 0.06 < np.mean(scored) < chance + 0.005


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 5), st.integers(1, 5), GENERATOR_SEEDS)
def test_matching_is_the_best_of_all(n_features, hidden_dim, seed):
    dictionary, decoder = random_unit(n_features, 3, seed), random_rows(hidden_dim, seed, 3)
    alignment, matching = cosines(dictionary, decoder), match_features(dictionary, decoder)
    used = matching.latent[matching.latent >= 0]
    assert len(used) == len(set(used.tolist())) == min(n_features, hidden_dim)
    if hidden_dim >= n_features:
        orders = itertools.permutations(range(hidden_dim), n_features)
        best = max(sum(alignment[i, j] for i, j in enumerate(order)) for order in orders)
    else:
        orders = itertools.permutations(range(n_features), hidden_dim)
        best = max(sum(alignment[i, j] for j, i in enumerate(order)) for order in orders)
    assert matching.cosine.sum() == pytest.approx(best)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 9), st.integers(1, 14), st.sampled_from([0.0, 0.5, 1.0]), st.integers(0, 3), GENERATOR_SEEDS)
def test_a_stack_is_matched_as_scipy_matches_each(n_features, hidden_dim, learned, decimals, seed):
    # From SAEs that learned everything, whose best latents differ, to chance; rounded cosines have ties.
    dictionary = random_unit(n_features, 5, seed)
    near = np.concatenate([dictionary.T, random_rows(max(0, hidden_dim - n_features), seed, 5)])[:hidden_dim]
    noise = np.random.default_rng(seed).standard_normal((4, hidden_dim, 5))
    alignments = np.round(align(unit_rows(dictionary.T), learned * near + (1.1 - learned) * noise), 1 + 5 * decimals)
    matching = match(alignments)
    for alignment, latent, cosine in zip(alignments, matching.latent, matching.cosine, strict=True):
        features, latents = linear_sum_assignment(alignment, maximize=True)
        expected = np.full(n_features, -1)
        expected[features] = latents
        assert latent.tolist() == expected.tolist()
        assert np.array_equal(cosine, np.where(expected >= 0, alignment[np.arange(n_features), expected], 0.0))


def test_best_latents_that_all_differ_need_no_assignment(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("an assignment was solved")

    monkeypatch.setattr("scipy.optimize.linear_sum_assignment", refuse)
    dictionary = random_unit(12, 6, 0)
    learned = np.stack([dictionary.T[np.random.default_rng(seed).permutation(12)] for seed in range(3)])
    assert np.allclose(match(align(unit_rows(dictionary.T), learned)).cosine, 1.0)
    learned[1, 4] = learned[1, 5]
    with pytest.raises(AssertionError, match="was solved"):
        match(align(unit_rows(dictionary.T), learned))


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 20), GENERATOR_SEEDS)
def test_cosines_in_a_stack_are_those_alone_bit_for_bit(n_features, hidden_dim, n_inputs, seed):
    dictionary = random_unit(n_features, n_inputs, seed)
    decoders = np.random.default_rng(seed).standard_normal((5, hidden_dim, n_inputs)).astype(np.float32)
    alignments = align(unit_rows(dictionary.T), decoders)
    for alignment, decoder in zip(alignments, decoders, strict=True):
        assert np.array_equal(alignment, cosines(dictionary, decoder))


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="n_inputs"):
        match_features(explicit(np.eye(3)), np.eye(4))
