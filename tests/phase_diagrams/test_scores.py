import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phase_diagrams.matching import cosines, match_features
from phase_diagrams.merges import open_geometry
from phase_diagrams.scores import CodeStatistics, code_statistics, score
from phase_diagrams.superposition import random_unit

N_FEATURES, N_INPUTS, SAMPLES = 24, 12, 600
DICTIONARY = random_unit(N_FEATURES, N_INPUTS, 0)
GENERATOR_SEEDS = st.integers(0, 2**32)


def sparse_features(n_features, seed, samples=SAMPLES, density=0.15):
    generator = np.random.default_rng(seed)
    return np.where(
        generator.random((samples, n_features)) < density, 1.0 - generator.random((samples, n_features)), 0.0
    )


def random_rows(rows, seed, n_inputs=N_INPUTS):
    return np.random.default_rng(seed).standard_normal((rows, n_inputs))


FEATURES = sparse_features(N_FEATURES, 1)


def score_of(decoder, latents, dictionary=DICTIONARY, features=FEATURES, cosine=0.9, fraction=0.9):
    [scored] = score(open_geometry(dictionary), [decoder], [code_statistics(features, latents)], cosine, fraction)
    return scored


def encode(decoder, dictionary=DICTIONARY, features=FEATURES):
    return np.maximum(features @ dictionary.T @ np.nan_to_num(decoder).T - 0.3, 0.0)


def scalars(scores):
    values = {field.name: getattr(scores, field.name) for field in dataclasses.fields(scores)}
    values["feature_cosine"] = tuple(values["feature_cosine"].tolist())
    return values


def assert_same(first, second, *, skip=()):
    one, two = scalars(first), scalars(second)
    for name in one.keys() - set(skip):
        assert two[name] == pytest.approx(one[name], abs=1e-6), name


def assert_finite(scores):
    for name, value in scalars(scores).items():
        assert value is None or np.all(np.isfinite(value)), name


# The table of degenerate dictionaries.


def test_perfect_dictionary_and_code_score_one():
    perfect = score_of(DICTIONARY.T, FEATURES)
    assert perfect.mcc == pytest.approx(1.0)
    assert (perfect.recovered_fraction, perfect.recovered_fraction_90, perfect.recovered_fraction_95) == (1.0, 1.0, 1.0)
    assert perfect.identified
    assert perfect.gt_loss == pytest.approx(0.0, abs=1e-12)
    assert perfect.gt_loss_rescaled == pytest.approx(0.0, abs=1e-12)
    assert (perfect.support_f1, perfect.shrinkage) == (1.0, pytest.approx(1.0))
    assert (perfect.dead_fraction, perfect.vanished_fraction) == (0.0, 0.0)
    assert (perfect.merged_fraction, perfect.split_fraction) == (0.0, 0.0)
    assert perfect.l0 == pytest.approx(np.mean(np.sum(FEATURES > 0, axis=1)))


@settings(deadline=None, max_examples=25)
@given(GENERATOR_SEEDS)
def test_order_of_latents_does_not_matter(seed):
    decoder = np.concatenate([DICTIONARY.T, random_rows(10, 3)])
    order = np.random.default_rng(seed).permutation(len(decoder))
    assert_same(score_of(decoder, encode(decoder)), score_of(decoder[order], encode(decoder)[:, order]))


@settings(deadline=None, max_examples=25)
@given(GENERATOR_SEEDS)
def test_order_of_features_does_not_matter(seed):
    decoder = random_rows(30, 3)
    order = np.random.default_rng(seed).permutation(N_FEATURES)
    one = score_of(decoder, encode(decoder))
    two = score_of(decoder, encode(decoder), DICTIONARY[:, order], FEATURES[:, order])
    np.testing.assert_allclose(two.feature_cosine, one.feature_cosine[order])
    assert_same(one, two, skip=("feature_cosine",))


@settings(deadline=None, max_examples=25)
@given(GENERATOR_SEEDS)
def test_lengths_of_decoder_rows_do_not_matter(seed):
    decoder = np.concatenate([DICTIONARY.T[:15], random_rows(15, 3)])
    lengths = 10.0 ** np.random.default_rng(seed).uniform(-200.0, 100.0, (30, 1))
    latents = encode(decoder)
    assert_same(score_of(decoder, latents), score_of(decoder * lengths, latents))


@settings(deadline=None, max_examples=25)
@given(GENERATOR_SEEDS)
def test_order_of_samples_does_not_matter(seed):
    decoder = random_rows(30, 3)
    latents, order = encode(decoder), np.random.default_rng(seed).permutation(SAMPLES)
    assert_same(score_of(decoder, latents), score_of(decoder, latents[order], features=FEATURES[order]))


def test_sign_flipped_dictionary_falls():
    flipped = score_of(-DICTIONARY.T, FEATURES)
    assert flipped.mcc < 0.8
    assert flipped.recovered_fraction < 0.2
    assert not flipped.identified
    # Where nothing else is left the negative cosine stays as it is.
    assert score_of(-DICTIONARY.T[:1], FEATURES[:, :1], DICTIONARY[:, :1], FEATURES[:, :1]).mcc == pytest.approx(-1.0)


def test_duplicates_recover_one_feature():
    duplicates = score_of(np.tile(DICTIONARY.T[0], (N_FEATURES, 1)), np.tile(FEATURES[:, :1], N_FEATURES))
    assert duplicates.recovered_fraction == pytest.approx(1 / N_FEATURES)
    assert duplicates.split_fraction == pytest.approx(1 / N_FEATURES)
    assert not duplicates.identified


def test_perfect_subset_recovers_its_share():
    subset = score_of(DICTIONARY.T[:6], FEATURES[:, :6])
    assert subset.recovered_fraction == 6 / N_FEATURES
    assert subset.mcc == pytest.approx(6 / N_FEATURES)
    assert subset.support_f1 == pytest.approx(6 / N_FEATURES)
    assert subset.vanished_fraction == pytest.approx(18 / N_FEATURES)
    energy = np.sum(FEATURES**2, axis=0)
    assert subset.gt_loss == pytest.approx(energy[6:].sum() / energy.sum())
    matching = match_features(DICTIONARY, DICTIONARY.T[:6])
    assert sorted(matching.latent.tolist()) == [-1] * 18 + list(range(6))
    assert np.all(matching.cosine[matching.latent < 0] == 0.0)


def test_dead_extras_change_nothing_but_their_own_share():
    perfect = score_of(DICTIONARY.T, FEATURES)
    extras = score_of(np.concatenate([DICTIONARY.T, random_rows(24, 7)]), np.pad(FEATURES, ((0, 0), (0, 24))))
    assert extras.dead_fraction == 0.5
    assert_same(perfect, extras, skip=("dead_fraction",))


@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf, -np.inf])
def test_atoms_without_direction_give_no_nan(bad):
    decoder = DICTIONARY.T.astype(np.float64)
    decoder[3] = bad
    one_bad = score_of(decoder, FEATURES)
    assert_finite(one_bad)
    assert one_bad.recovered_fraction == 23 / N_FEATURES
    assert np.all(cosines(DICTIONARY, decoder)[:, 3] == 0.0)
    all_bad = score_of(np.full_like(decoder, bad), np.full_like(FEATURES, bad))
    assert_finite(all_bad)
    assert (all_bad.mcc, all_bad.recovered_fraction, all_bad.dead_fraction, all_bad.l0) == (0.0, 0.0, 1.0, 0.0)
    assert (all_bad.gt_loss, all_bad.support_f1, all_bad.vanished_fraction) == (1.0, 0.0, 1.0)
    assert (all_bad.shrinkage, all_bad.merged_fraction, all_bad.features_per_latent) == (None, None, None)


def test_a_latent_that_diverged_counts_as_dead():
    latents = FEATURES.copy()
    latents[5, 2] = np.nan
    diverged = score_of(DICTIONARY.T, latents)
    assert_finite(diverged)
    assert diverged.dead_fraction == pytest.approx(1 / N_FEATURES)
    latents[:, 2] = 0.0
    assert_same(score_of(DICTIONARY.T, latents), diverged)


def test_merged_atom_recovers_neither():
    decoder = np.eye(8)
    decoder[0] = (decoder[0] + decoder[1]) / np.sqrt(2.0)
    features = sparse_features(8, 2)
    latents = features.copy()
    latents[:, 0] += latents[:, 1]
    decoder[1], latents[:, 1] = 0.0, 0.0
    merged = score_of(decoder, latents, np.eye(8), features)
    assert merged.recovered_fraction == 6 / 8
    assert merged.merged_fraction == pytest.approx(1 / 7)  # of live latents
    assert merged.feature_cosine[:2].max() == pytest.approx(np.sqrt(0.5))
    assert merged.features_per_latent > 1.1


# The code scores.


def test_losses_equal_their_definitions():
    decoder = random_rows(30, 3)
    latents = encode(decoder)
    scored, matching = score_of(decoder, latents), match_features(DICTIONARY, decoder)
    x_hat = latents[:, matching.latent]
    assert scored.gt_loss == pytest.approx(np.sum((FEATURES - x_hat) ** 2) / np.sum(FEATURES**2))
    scales = np.linspace(0.0, 3.0, 3001)
    best = [min(np.sum((x - a * z) ** 2) for a in scales) for x, z in zip(FEATURES.T, x_hat.T, strict=True)]
    assert scored.gt_loss_rescaled == pytest.approx(sum(best) / np.sum(FEATURES**2), abs=1e-5)


def test_shrinkage_is_separated_from_error():
    shrunk = score_of(DICTIONARY.T, 0.6 * FEATURES)
    assert shrunk.shrinkage == pytest.approx(0.6)
    assert shrunk.gt_loss == pytest.approx(0.16)
    assert shrunk.gt_loss_rescaled == pytest.approx(0.0, abs=1e-12)
    assert shrunk.support_f1 == 1.0


def test_support_f1_against_counting():
    latents = np.where(np.random.default_rng(4).random(FEATURES.shape) < 0.5, FEATURES, 0.1)
    f1 = []
    for x, z in zip(FEATURES.T > 0, latents.T > 0, strict=True):
        precision, recall = np.sum(x & z) / np.sum(z), np.sum(x & z) / np.sum(x)
        f1.append(2 * precision * recall / (precision + recall))
    assert score_of(DICTIONARY.T, latents).support_f1 == pytest.approx(np.mean(f1))


def test_features_that_never_fire_are_left_out_of_support_scores():
    features = FEATURES.copy()
    features[:, :12] = 0.0
    silent = score_of(DICTIONARY.T, features, features=features)
    assert (silent.support_f1, silent.vanished_fraction, silent.shrinkage) == (1.0, 0.0, pytest.approx(1.0))
    nothing = score_of(DICTIONARY.T, FEATURES, features=np.zeros_like(FEATURES))
    assert (nothing.gt_loss, nothing.gt_loss_rescaled, nothing.support_f1, nothing.vanished_fraction) == (None,) * 4
    assert nothing.features_per_latent == 0.0
    assert nothing.recovered_fraction == 1.0


def test_vanished_feature_is_one_whose_latent_never_fires_with_it():
    latents = FEATURES.copy()
    latents[:, 4] = 0.0
    latents[:, 5] = np.where(FEATURES[:, 5] > 0, 0.0, 1.0)  # fires, but never with its feature
    once = np.flatnonzero(FEATURES[:, 6] > 0)[0]
    latents[:, 6] = np.where(np.arange(SAMPLES) == once, 1.0, 0.0)  # once with its feature is enough
    assert score_of(DICTIONARY.T, latents).vanished_fraction == pytest.approx(2 / N_FEATURES)


def test_features_per_latent_counts_from_a_tenth_of_the_top():
    features = np.eye(4)[np.arange(400) % 4]
    responses = np.array([[1.0, 0.099, 0.11, 0.0], [0.0, 1.0, 0.0, 0.0]])  # of two latents to four features
    assert score_of(np.eye(4)[:2], features @ responses.T, np.eye(4), features).features_per_latent == 1.5


def test_thresholds_are_inclusive():
    dictionary, angle = np.eye(2), np.arccos([0.97, 0.93])
    decoder = np.stack([[np.cos(angle[0]), np.sin(angle[0])], [-np.sin(angle[1]), np.cos(angle[1])]])
    features = sparse_features(2, 0)
    scored = score_of(decoder, features, dictionary, features, cosine=0.96, fraction=0.5)
    assert (scored.recovered_fraction, scored.recovered_fraction_90, scored.recovered_fraction_95) == (0.5, 1.0, 0.5)
    assert scored.identified
    assert not score_of(decoder, features, dictionary, features, cosine=0.96, fraction=0.51).identified


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 6), st.integers(1, 12), st.integers(1, 14), GENERATOR_SEEDS)
def test_scores_stay_in_range(n_inputs, n_features, hidden_dim, seed):
    dictionary, decoder = random_unit(n_features, n_inputs, seed), random_rows(hidden_dim, seed, n_inputs)
    features = sparse_features(n_features, seed, samples=40)
    scores = score_of(decoder, encode(decoder, dictionary, features), dictionary, features)
    assert_finite(scores)
    for name in ("recovered_fraction", "support_f1", "dead_fraction", "vanished_fraction", "split_fraction"):
        assert getattr(scores, name) is None or 0.0 <= getattr(scores, name) <= 1.0
    assert -1.0 <= scores.mcc <= 1.0
    assert scores.recovered_fraction_95 <= scores.recovered_fraction_90
    if scores.gt_loss is not None:
        assert 0.0 <= scores.gt_loss_rescaled <= min(1.0, scores.gt_loss) + 1e-12


def test_split_needs_two_live_latents():
    decoder = np.concatenate([np.eye(4), np.eye(4)[:1]])
    features = sparse_features(4, 0)
    live = np.concatenate([features, features[:, :1]], axis=1)
    assert score_of(decoder, live, np.eye(4), features).split_fraction == 0.25
    dead = np.concatenate([features, np.zeros_like(features[:, :1])], axis=1)
    assert score_of(decoder, dead, np.eye(4), features).split_fraction == 0.0


# The statistics.


@settings(deadline=None, max_examples=30)
@given(st.integers(0, SAMPLES), GENERATOR_SEEDS)
def test_statistics_of_parts_add_up(cut, seed):
    features = sparse_features(7, seed)
    latents = np.maximum(np.random.default_rng(seed).standard_normal((SAMPLES, 9)), 0.0)
    whole = code_statistics(features, latents)
    parts = code_statistics(features[:cut], latents[:cut]) + code_statistics(features[cut:], latents[cut:])
    for field in dataclasses.fields(CodeStatistics):
        np.testing.assert_allclose(getattr(parts, field.name), getattr(whole, field.name), rtol=1e-12, atol=1e-12)


def test_statistics_equal_their_definitions():
    features, latents = np.array([[0.5, 0.0], [1.0, 2.0]]), np.array([[0.0, 1.0, 0.0], [3.0, 1.0, 0.0]])
    statistics = code_statistics(features.astype(np.float32), latents.astype(np.float32))
    assert statistics.n_samples == 2
    np.testing.assert_array_equal(statistics.feature_energy, [1.25, 4.0])
    np.testing.assert_array_equal(statistics.latent_energy, [9.0, 2.0, 0.0])
    np.testing.assert_array_equal(statistics.cross, [[3.0, 1.5, 0.0], [6.0, 2.0, 0.0]])
    np.testing.assert_array_equal(statistics.feature_count, [2, 1])
    np.testing.assert_array_equal(statistics.latent_count, [1, 2, 0])
    np.testing.assert_array_equal(statistics.joint_count, [[1, 2, 0], [1, 1, 0]])
    np.testing.assert_array_equal(statistics.activation_sum, [[3.0, 2.0, 0.0], [3.0, 1.0, 0.0]])


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="hidden_dim"):
        score_of(DICTIONARY.T, FEATURES[:, :3])
    with pytest.raises(ValueError, match="n_inputs"):
        score_of(DICTIONARY.T[:, :3], FEATURES)
    with pytest.raises(ValueError, match="at least 1"):
        score_of(DICTIONARY.T, FEATURES[:0], features=FEATURES[:0])
    with pytest.raises(ValueError, match="as many samples"):
        code_statistics(FEATURES, FEATURES[:3])


def test_only_saes_of_one_shape_and_the_same_samples_are_scored_together():
    geometry, statistics = open_geometry(DICTIONARY), code_statistics(FEATURES, FEATURES)
    fewer = code_statistics(FEATURES, FEATURES[:, :20])
    with pytest.raises(ValueError, match="decoder"):
        score(geometry, [DICTIONARY.T, DICTIONARY.T[:20]], [statistics, fewer], 0.9, 0.9)
    others = code_statistics(sparse_features(N_FEATURES, 2), FEATURES)
    with pytest.raises(ValueError, match="same samples"):
        score(geometry, [DICTIONARY.T, DICTIONARY.T], [statistics, others], 0.9, 0.9)
    assert score(geometry, [], [], 0.9, 0.9) == []


# Stacks.


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 6), st.integers(1, 20), st.integers(1, 24), st.floats(0, 1), GENERATOR_SEEDS)
def test_scores_in_a_stack_are_those_alone_bit_for_bit(n_inputs, n_features, hidden_dim, learned, seed):
    # SAEs of all kinds beside each other: one that learned, others that did less, one that diverged, one that is dead.
    dictionary, features = random_unit(n_features, n_inputs, seed), sparse_features(n_features, seed, samples=40)
    true = np.concatenate([dictionary.T, random_rows(max(0, hidden_dim - n_features), seed, n_inputs)])[:hidden_dim]
    decoders = [
        share * true + (1 - share) * random_rows(hidden_dim, seed + at, n_inputs)
        for at, share in enumerate([1, learned, 0, learned, 0])
    ]
    codes = [encode(decoder, dictionary, features) for decoder in decoders]
    codes[3][np.random.default_rng(seed).random(codes[3].shape) < 0.01] = np.nan
    codes[4][:] = 0.0
    together = score(open_geometry(dictionary), decoders, [code_statistics(features, z) for z in codes], 0.9, 0.9)
    alone = [score_of(decoder, z, dictionary, features) for decoder, z in zip(decoders, codes, strict=True)]
    assert list(map(scalars, together)) == list(map(scalars, alone))
