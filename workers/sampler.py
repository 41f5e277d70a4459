"""A data key and a code law to batches of inputs: counter-based, so any batch can be drawn alone.

Every random word is Philox4x32-10 (Salmon et al., SC 2011) of (key, counter); the counter names the sample's step,
its place in the batch, the feature and the purpose. Nothing is drawn "after" anything else.
"""

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from phase_diagrams.code_law import active_count, firing_probabilities
from phase_diagrams.spec import Data
from workers.lanes import LANES, fma, load, splat, store

Floats = npt.NDArray[np.float32]

_FIRING, _MAGNITUDE, _NOISE = 0, 1, 2
_MAGNITUDES = {"uniform": 0, "constant": 1, "half_normal": 2, "exponential": 3}
EVALUATION_STEP = 2**31
"""Steps from here on are the evaluation data: training never reaches them (spec: steps <= 10^7)."""


@dataclass(frozen=True, slots=True)
class Stream:
    """A data stream: law and key of x, and the dictionary that makes x_p of it."""

    key: int
    dictionary: Floats  # (n_inputs, n_features)
    probabilities: Floats  # (n_features,)
    n_active: int
    """Active features per sample of an exactly-k code; 0 for a Bernoulli code."""
    magnitude: int
    noise: float

    @property
    def n_inputs(self) -> int:
        """n_p."""
        return int(self.dictionary.shape[0])

    @property
    def n_features(self) -> int:
        """The number of ground-truth features n."""
        return int(self.dictionary.shape[1])


@dataclass(frozen=True, slots=True)
class Batches:
    """Consecutive batches, sample-major and lane-major; inputs are padded with zeros to whole lanes."""

    samples: Floats  # (steps, batch padded to LANES, inputs padded to LANES)
    blocks: Floats  # (steps, batch padded / LANES, n_inputs padded to 4, LANES)
    batch_size: int


def open_stream(data: Data, dictionary: Floats, sparsity: float, key: int) -> Stream:
    """The stream of a spec's data section at one sparsity, under a 64-bit key."""
    law = data.code
    probabilities = firing_probabilities(data.n_features, sparsity, law.firing.kind, law.firing.exponent)
    return Stream(
        key=key,
        dictionary=np.ascontiguousarray(dictionary, dtype=np.float32),
        probabilities=probabilities.astype(np.float32),
        n_active=active_count(data.n_features, sparsity) if law.kind == "exact" else 0,
        magnitude=_MAGNITUDES[law.magnitude],
        noise=data.noise,
    )


def draw_features(stream: Stream, step: int, batch_size: int) -> Floats:
    """x of one batch, shape (batch_size, n_features); ground-truth features, each 0 or positive."""
    features = np.zeros((batch_size, stream.n_features), np.float32)
    _draw_features(_law(stream), step, _words(stream, batch_size), features)
    return features


def draw_batches(stream: Stream, first_step: int, n_steps: int, batch_size: int) -> Batches:
    """x_p = W_p x + noise of n_steps consecutive batches."""
    padded = -(-batch_size // LANES) * LANES
    width = -(-stream.n_inputs // LANES) * LANES
    samples = np.zeros((n_steps, padded, width), np.float32)
    depth = -(-stream.n_inputs // 4) * 4
    blocks = np.zeros((n_steps, padded // LANES, depth, LANES), np.float32)
    directions = np.zeros((stream.n_features, width), np.float32)
    directions[:, : stream.n_inputs] = stream.dictionary.T
    words, noise = _words(stream, batch_size), np.float32(stream.noise)
    _draw_batches(
        _law(stream), first_step, words, directions.reshape(-1), noise, stream.n_inputs, batch_size, samples, blocks
    )
    return Batches(samples, blocks, batch_size)


def _words(stream: Stream, batch_size: int) -> npt.NDArray[np.uint32]:
    return np.empty((-(-stream.n_features // 4) * 4, batch_size), np.uint32)


def _law(stream: Stream) -> tuple[Any, ...]:
    low, high = np.uint32(stream.key & 0xFFFFFFFF), np.uint32(stream.key >> 32)
    return low, high, stream.probabilities, stream.n_active, stream.magnitude


@numba.njit(cache=True, inline="always")
def _philox(key_low: Any, key_high: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    mask = np.uint64(0xFFFFFFFF)
    shift = np.uint64(32)
    x0, x1, x2, x3 = np.uint64(a), np.uint64(b), np.uint64(c), np.uint64(d)
    k0, k1 = np.uint64(key_low), np.uint64(key_high)
    for _ in range(10):
        p0 = np.uint64(0xD2511F53) * x0
        p1 = np.uint64(0xCD9E8D57) * x2
        x0, x1, x2, x3 = (p1 >> shift) ^ x1 ^ k0, p1 & mask, (p0 >> shift) ^ x3 ^ k1, p0 & mask
        k0 = (k0 + np.uint64(0x9E3779B9)) & mask
        k1 = (k1 + np.uint64(0xBB67AE85)) & mask
    return x0, x1, x2, x3


@numba.njit(cache=True, inline="always")
def _unit(word: Any) -> Any:
    """A 32-bit word as a number in (0, 1)."""
    return (np.float64(word) + 0.5) * 2.0**-32


@numba.njit(cache=True)
def _magnitude(kind: Any, uniform: Any, key_low: Any, key_high: Any, feature: Any, sample: Any, step: Any) -> Any:
    """A positive magnitude; `uniform` is in (0, 1] and independent of which features fire."""
    if kind == 0:
        return np.float32(uniform)
    if kind == 1:
        return np.float32(1.0)
    if kind == 3:
        return np.float32(max(-np.log(uniform), 1e-30))
    w0, w1, _, _ = _philox(key_low, key_high, feature, sample, step, _MAGNITUDE)
    # Box and Muller 1958; |cos| may round to 0, and an active feature is positive.
    normal = np.sqrt(-2.0 * np.log(_unit(w0))) * np.cos(2.0 * np.pi * _unit(w1))
    return np.float32(max(abs(normal), 1e-30))


@numba.njit(cache=True)
def _draw_words(key_low: Any, key_high: Any, step: Any, words: Any) -> None:
    """The firing words of a batch, (features padded to 4, samples); samples run inside so that LLVM vectorises them."""
    for block in range(words.shape[0] // 4):
        for sample in range(words.shape[1]):
            w0, w1, w2, w3 = _philox(key_low, key_high, block, sample, step, _FIRING)
            words[4 * block, sample] = np.uint32(w0)
            words[4 * block + 1, sample] = np.uint32(w1)
            words[4 * block + 2, sample] = np.uint32(w2)
            words[4 * block + 3, sample] = np.uint32(w3)


@numba.njit(cache=True)
def _draw_sample(law: Any, step: Any, sample: Any, words: Any, race: Any, active: Any, values: Any) -> Any:
    """The active features of one sample and their magnitudes, packed to the front; returns how many there are."""
    key_low, key_high, probabilities, n_active, magnitude = law
    n_features = probabilities.size
    count = 0
    if n_active == 0:
        for feature in range(n_features):
            active[count] = feature  # overwritten unless it fires: no branch to mispredict
            count += int(_unit(words[feature, sample]) < np.float64(probabilities[feature]))
        for place in range(count):
            # Given that it fires, uniform / p is uniform in (0, 1]: one word gives event and magnitude.
            feature = active[place]
            uniform = _unit(words[feature, sample]) / np.float64(probabilities[feature])
            values[place] = _magnitude(magnitude, uniform, key_low, key_high, feature, sample, step)
        return count
    # The first n_active arrivals of exponential clocks: sampling without replacement by rate (Plackett-Luce).
    for feature in range(n_features):
        race[feature] = -np.log(_unit(words[feature, sample])) / np.float64(probabilities[feature])
    last = np.partition(race, n_active - 1)[n_active - 1]
    for feature in range(n_features):
        if race[feature] <= last:
            w0, _, _, _ = _philox(key_low, key_high, feature + n_features, sample, step, _MAGNITUDE)
            active[count] = feature
            values[count] = _magnitude(magnitude, _unit(w0), key_low, key_high, feature, sample, step)
            count += 1
    return count


@numba.njit(cache=True)
def _draw_features(law: Any, step: Any, words: Any, features: Any) -> None:
    _draw_words(law[0], law[1], step, words)
    n_features = features.shape[1]
    race = np.empty(n_features, np.float64)
    active = np.empty(n_features + 1, np.int64)
    values = np.empty(n_features, np.float32)
    for sample in range(features.shape[0]):
        for place in range(_draw_sample(law, step, sample, words, race, active, values)):
            features[sample, active[place]] = values[place]


@numba.njit(cache=True, nogil=True)
def _draw_batches(
    law: Any,
    first_step: Any,
    words: Any,
    directions: Any,
    noise: Any,
    n_inputs: Any,
    batch_size: Any,
    samples: Any,
    blocks: Any,
) -> None:
    n_features = law[2].size
    race = np.empty(n_features, np.float64)
    active = np.empty(n_features + 1, np.int64)
    values = np.empty(n_features, np.float32)
    rows = samples.reshape(-1)
    width = samples.shape[2]
    for t in range(samples.shape[0]):
        step = first_step + t
        _draw_words(law[0], law[1], step, words)
        for sample in range(batch_size):
            count = _draw_sample(law, step, sample, words, race, active, values)
            row = (t * samples.shape[1] + sample) * width
            for d in range(0, width, LANES):
                x = splat(np.float32(0.0))
                for place in range(count):
                    x = fma(splat(values[place]), load(directions, active[place] * width + d), x)
                store(rows, row + d, x)
            if noise > 0:
                for d in range(n_inputs):
                    w0, w1, _, _ = _philox(law[0], law[1], d, sample, step, _NOISE)
                    normal = np.sqrt(-2.0 * np.log(_unit(w0))) * np.cos(2.0 * np.pi * _unit(w1))
                    rows[row + d] += noise * np.float32(normal)
            for d in range(n_inputs):
                blocks[t, sample // LANES, d, sample % LANES] = rows[row + d]
