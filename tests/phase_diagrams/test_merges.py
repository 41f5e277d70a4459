import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phase_diagrams.matching import cosines
from phase_diagrams.merges import merged_latents, open_geometry
from phase_diagrams.superposition import polygon, random_unit

GENERATOR_SEEDS = st.integers(0, 2**32)


def merged_by_definition(dictionary, direction):
    w = direction / np.linalg.norm(direction)
    if np.max(dictionary.T @ w) > 0.9:
        return False
    for i, j in itertools.combinations(range(dictionary.shape[1]), 2):
        pair = dictionary[:, [i, j]]
        if 1.0 - (pair[:, 0] @ pair[:, 1]) ** 2 <= 1e-6:
            continue
        weights = np.linalg.lstsq(pair, w, rcond=None)[0]
        if weights.min() >= 0.1 and np.linalg.norm(pair @ weights) >= 0.95:
            return True
    return False


@settings(deadline=None, max_examples=80)
@given(st.integers(2, 6), st.integers(1, 14), st.booleans(), GENERATOR_SEEDS)
def test_merges_agree_with_brute_force(n_inputs, n_features, antipodal, seed):
    generator = np.random.default_rng(seed)
    dictionary = random_unit(n_features, n_inputs, seed).astype(np.float64)
    dictionary /= np.linalg.norm(dictionary, axis=0)
    if antipodal:  # nearly opposite features are where pruning has the least to hold on to
        opposite = -dictionary + 0.1 * generator.standard_normal(dictionary.shape)
        dictionary = np.concatenate([dictionary, opposite / np.linalg.norm(opposite, axis=0), -dictionary], axis=1)
    blends = dictionary @ np.where(generator.random((dictionary.shape[1], 20)) < 0.3, 1.0, 0.0)
    directions = (blends + 0.2 * generator.standard_normal(blends.shape)).T  # (20, n_inputs)
    expected = [merged_by_definition(dictionary, direction) for direction in directions]
    found = merged_latents(open_geometry(dictionary), cosines(dictionary, directions).T)
    assert found.tolist() == expected


def test_brute_force_meets_both_answers():
    # So that the comparison above is one of merges, not of empty lists.
    dictionary = random_unit(10, 4, 0).astype(np.float64)
    directions = np.random.default_rng(0).standard_normal((200, 4))
    found = merged_latents(open_geometry(dictionary), cosines(dictionary, directions).T)
    assert 20 < found.sum() < 180


def test_merges_do_not_depend_on_chunks(monkeypatch):
    dictionary, directions = random_unit(60, 6, 0), np.random.default_rng(1).standard_normal((80, 6))
    geometry, aligned = open_geometry(dictionary), cosines(dictionary, directions).T
    whole = merged_latents(geometry, aligned)
    monkeypatch.setattr("phase_diagrams.merges.MERGE_CHUNK", 1)
    assert np.array_equal(merged_latents(geometry, aligned), whole)
    assert 0 < whole.sum() < 80


@pytest.mark.parametrize(
    ("direction", "merged"),
    [
        ([1.0, 1.0, 0.0], True),
        ([1.0, 0.2, 0.0], False),  # cosine .98 to the first alone: recovered, no merge
        ([1.0, 1.0, 0.4], True),  # cosine .962 to the plane
        ([1.0, 1.0, 0.5], False),  # cosine .943
        ([1.0, -1.0, 0.0], False),  # a negative weight
        ([1.0, 1.0, 1.0], False),  # three features: no pair explains it
    ],
)
def test_merge_known_answers(direction, merged):
    assert merged_latents(open_geometry(np.eye(3)), cosines(np.eye(3), np.array([direction])).T).tolist() == [merged]


def test_antipodal_features_span_no_plane():
    dictionary = polygon(0, 1, 0)
    assert not merged_latents(open_geometry(dictionary), cosines(dictionary, np.array([[1.0], [-1.0]])).T).any()
