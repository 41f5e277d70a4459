"""Random words to the features that fire in a sample: four ways to draw them, each where it is the cheapest.

A way is chosen by the law alone, so that a stream's numbers depend on its spec only. Where rates differ between
features, each feature has a word of its own; where they are equal, a sample costs as many words as it has active
features.
"""

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from phase_diagrams.data_spec import Code
from workers.lanes import LANES, LANES_LOG2, broadcast, lane_bits, load, lowest_bit, words_at_most
from workers.philox import FIRING, philox, unit

EVERY, SKIP, CHOICE, RACE = 0, 1, 2, 3
"""A word per feature; gaps between active features; k of n at equal rates; k of n at different rates."""
RARE, MANY = 1 / 64, 64
"""Largest rate and least number of features at which gaps are drawn; beyond, words for all features are cheaper
(docs/performance.md)."""


def choose_way(code: Code, probabilities: npt.NDArray[np.floating]) -> int:
    """The way in which a law's active features are drawn, from its firing probabilities (n_features,)."""
    equal = code.firing.kind == "uniform"
    if code.kind == "exact":
        return CHOICE if equal else RACE
    rare = equal and len(probabilities) >= MANY and 0 < probabilities[0] <= RARE
    return SKIP if rare else EVERY


@numba.njit(cache=True)
def fire(limits: Any, n_features: Any, words: Any, offset: Any, active: Any, raw: Any, counts: Any) -> None:
    """EVERY: the features whose word is at most their limit, in 16 samples, in order; `raw` gets those words."""
    group = words.shape[1]
    flat = words.reshape(-1)
    for lane in range(LANES):
        counts[lane] = 0
    for block in range(0, n_features, 4):
        fired = np.int64(0)
        for i in range(4):
            word = load(flat, (block + i) * group + offset)
            fired |= lane_bits(words_at_most(word, broadcast(limits, block + i))) << (LANES * i)
        if block + 4 > n_features:
            fired &= (np.int64(1) << (LANES * (n_features - block))) - 1
        # One loop over four features' bits: a branch per feature would be mispredicted as often as not.
        while fired != 0:
            bit = lowest_bit(fired)
            fired &= fired - 1
            lane, feature = bit & (LANES - 1), block + (bit >> LANES_LOG2)
            place = counts[lane]
            active[lane, place] = feature
            raw[lane, place] = words[feature, offset + lane]
            counts[lane] = place + 1


@numba.njit(cache=True)
def skip(key_low: Any, key_high: Any, rate: Any, n_features: Any, sample: Any, step: Any, active: Any, raw: Any) -> Any:
    """SKIP: geometric gaps from one active feature to the next, in order; `raw` gets a second word of each.

    Returns the number of active features.
    """
    scale = 1.0 / np.log1p(-np.float64(rate))
    count, feature = 0, np.int64(-1)
    while True:
        w0, w1, w2, w3 = philox(key_low, key_high, count >> 1, sample, step, FIRING)
        # P(gap >= g) = P(u <= (1 - rate)^g)
        feature += 1 + np.int64(np.log(unit(w0)) * scale)
        if feature >= n_features:
            return count
        active[count], raw[count] = feature, np.uint32(w1)
        feature += 1 + np.int64(np.log(unit(w2)) * scale)
        if feature >= n_features:
            return count + 1
        active[count + 1], raw[count + 1] = feature, np.uint32(w3)
        count += 2


@numba.njit(cache=True)
def choose(
    key_low: Any, key_high: Any, n_active: Any, n_features: Any, sample: Any, step: Any, taken: Any, active: Any,
    raw: Any,
) -> None:  # fmt: skip
    """CHOICE: each set of n_active features equally often (Floyd; Bentley and Floyd, CACM 1987).

    `raw` gets a second word of each; `taken` (n_features,) is false before and after. A word times a number below 2^32
    picks a feature with a bias of at most 2^-32 times that number.
    """
    for place in range(n_active):
        w0, w1, w2, w3 = philox(key_low, key_high, place >> 1, sample, step, FIRING)
        if place & 1:
            w0, w1 = w2, w3
        last = np.uint64(n_features - n_active + place)
        feature = np.int64((w0 * (last + np.uint64(1))) >> np.uint64(32))
        if taken[feature]:
            feature = np.int64(last)
        taken[feature] = True
        active[place], raw[place] = feature, np.uint32(w1)
    for place in range(n_active):
        taken[active[place]] = False


@numba.njit(cache=True)
def race(probabilities: Any, n_active: Any, words: Any, place: Any, arrivals: Any, active: Any) -> None:
    """RACE: the first n_active arrivals of exponential clocks, sampling without replacement by rate (Plackett-Luce)."""
    for feature in range(arrivals.size):
        arrivals[feature] = -np.log(unit(words[feature, place])) / np.float64(probabilities[feature])
    last = np.partition(arrivals, n_active - 1)[n_active - 1]
    count = 0
    for feature in range(arrivals.size):
        if arrivals[feature] <= last and count < n_active:
            active[count] = feature
            count += 1
