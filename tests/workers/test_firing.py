from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phase_diagrams.data_spec import Code
from workers.firing import CHOICE, EVERY, MANY, RACE, RARE, SKIP, choose, choose_way, skip

KEY = (np.uint32(11), np.uint32(5))


def skipped(n, rate, samples, step=0):
    """Which features fire, (samples, n), and the second words of those that do."""
    active, raw = np.empty(n + 1, np.int32), np.empty(n + 1, np.uint32)
    fired, words = np.zeros((samples, n), bool), []
    for sample in range(samples):
        count = skip(*KEY, np.float32(rate), n, sample, step, active, raw)
        assert (np.diff(active[:count]) > 0).all()
        fired[sample, active[:count]] = True
        words.append(raw[:count].copy())
    return fired, np.concatenate(words)


def chosen(n, k, samples, step=0):
    active, raw, taken = np.empty(n + 1, np.int32), np.empty(n + 1, np.uint32), np.zeros(n, bool)
    sets, words = [], []
    for sample in range(samples):
        choose(*KEY, k, n, sample, step, taken, active, raw)
        assert not taken.any()
        sets.append(frozenset(active[:k].tolist()))
        words.append(raw[:k].copy())
    return sets, np.concatenate(words)


def test_gaps_make_features_fire_alone_at_their_rate():
    n, rate, samples = 80, 1 / 70, 60_000
    fired, _ = skipped(n, rate, samples)
    spread = np.sqrt(rate * (1 - rate) / samples)
    assert np.abs(fired.mean(0) - rate).max() < 4.5 * spread
    counts = fired.sum(1)
    assert counts.var() == pytest.approx(n * rate * (1 - rate), rel=0.03)
    # Neighbours are where gaps could go wrong: a feature fires after one that fired as often as after one that did not.
    after = fired[:, 1:][fired[:, :-1]].mean()
    assert after == pytest.approx(rate, abs=4.5 * np.sqrt(rate / fired[:, :-1].sum()))


def test_all_sets_of_active_features_are_equally_likely():
    n, k, samples = 6, 3, 40_000
    sets, _ = chosen(n, k, samples)
    counts = np.array([sets.count(frozenset(combination)) for combination in combinations(range(n), k)])
    expected = samples / len(counts)
    assert ((counts - expected) ** 2 / expected).sum() < 50  # chi-square of 19 degrees: beyond it one in 10^4


@settings(max_examples=50, deadline=None)
@given(n=st.integers(1, 60), data=st.data())
def test_a_choice_has_as_many_features_as_it_is_asked_for(n, data):
    k = data.draw(st.integers(1, n))
    sets, _ = chosen(n, k, 5)
    assert all(len(one) == k and max(one) < n for one in sets)


def test_second_words_are_uniform():
    for words in (skipped(80, 1 / 70, 20_000)[1], chosen(6, 3, 10_000)[1]):
        shares = np.histogram(words, bins=16, range=(0, 2**32))[0] / len(words)
        assert np.abs(shares - 1 / 16).max() < 5 * np.sqrt(1 / 16 / len(words))


def test_each_law_is_drawn_in_the_cheapest_way_that_fits_it():
    def way(n, rate, kind="bernoulli", firing="uniform"):
        return choose_way(Code.model_validate({"kind": kind, "firing": {"kind": firing}}), np.full(n, rate))

    assert way(MANY, RARE) == SKIP
    assert way(MANY, 1.01 * RARE) == way(MANY - 1, RARE) == way(MANY, RARE, firing="zipf") == way(MANY, 0.0) == EVERY
    assert way(MANY, RARE, "exact") == CHOICE
    assert way(MANY, RARE, "exact", "zipf") == RACE
