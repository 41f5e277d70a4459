"""A data key and a code law to batches of inputs: counter-based, so any batch can be drawn alone.

The counter of every random word names the sample's step, its place in the batch, the feature and the purpose. Nothing
is drawn "after" anything else. Sixteen samples are drawn side by side; only their active features are touched after
one comparison of each word.
"""

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from phase_diagrams.code_law import active_count, firing_probabilities
from phase_diagrams.spec import Data
from workers.firing import CHOICE, EVERY, RACE, SKIP, choose, choose_way, fire, race, skip
from workers.lanes import LANES, broadcast, fma, load, splat, store, transpose_tile
from workers.philox import MAGNITUDE, NOISE, draw_words, philox, standard_normal, unit

Floats = npt.NDArray[np.float32]

_MAGNITUDES = {"uniform": 0, "constant": 1, "half_normal": 2, "exponential": 3}
EVALUATION_STEP = 2**31
"""Steps from here on are the evaluation data: training never reaches them (spec: steps <= 10^7)."""
_ZERO = np.float32(0.0)
_GROUP = 64
"""Samples whose words are drawn at a time: enough for LLVM's vectors, few enough that those of 200 features stay in the
L2 cache."""


@dataclass(frozen=True, slots=True)
class Stream:
    """A data stream: law and key of x, and the dictionary that makes x_p of it."""

    key: int
    dictionary: Floats  # (n_inputs, n_features)
    directions: Floats  # (n_features, n_inputs padded to LANES): its columns, as the sampler adds them
    probabilities: Floats  # (n_features,)
    n_active: int
    """Active features per sample of an exactly-k code; 0 for a Bernoulli code."""
    way: int
    """How active features are drawn (workers/firing.py)."""
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
    blocks: Floats  # (steps, batch padded / LANES, inputs padded to LANES, LANES)
    batch_size: int

    def head(self, n_steps: int) -> "Batches":
        """Its first batches, in the same memory."""
        return Batches(self.samples[:n_steps], self.blocks[:n_steps], self.batch_size)


def open_stream(data: Data, dictionary: Floats, sparsity: float, key: int) -> Stream:
    """The stream of a spec's data section at one sparsity, under a 64-bit key."""
    law = data.code
    probabilities = firing_probabilities(data.n_features, sparsity, law.firing.kind, law.firing.exponent)
    n_inputs, n_features = dictionary.shape
    directions = np.zeros((n_features, -(-n_inputs // LANES) * LANES), np.float32)
    directions[:, :n_inputs] = dictionary.T
    return Stream(
        key=key,
        dictionary=np.ascontiguousarray(dictionary, dtype=np.float32),
        directions=directions,
        probabilities=probabilities.astype(np.float32),
        n_active=active_count(data.n_features, sparsity) if law.kind == "exact" else 0,
        way=choose_way(law, probabilities),
        magnitude=_MAGNITUDES[law.magnitude],
        noise=data.noise,
    )


def draw_features(stream: Stream, step: int, batch_size: int) -> Floats:
    """x of one batch, shape (batch_size, n_features); ground-truth features, each 0 or positive."""
    features = np.zeros((batch_size, stream.n_features), np.float32)
    _draw_features(_law(stream), step, features)
    return features


def draw_batches(stream: Stream, first_step: int, n_steps: int, batch_size: int) -> Batches:
    """x_p = W_p x + noise of n_steps consecutive batches."""
    batches = open_batches(stream, n_steps, batch_size)
    fill_batches(stream, first_step, batches)
    return batches


def open_batches(stream: Stream, n_steps: int, batch_size: int) -> Batches:
    """Room for n_steps batches: fresh memory costs more than the drawing, so training fills the same room again."""
    padded = -(-batch_size // LANES) * LANES
    width = -(-stream.n_inputs // LANES) * LANES
    samples = np.zeros((n_steps, padded, width), np.float32)
    blocks = np.zeros((n_steps, padded // LANES, width, LANES), np.float32)
    return Batches(samples, blocks, batch_size)


def fill_batches(stream: Stream, first_step: int, batches: Batches) -> None:
    """Draw as many consecutive batches as there is room for, in place; samples and inputs that pad it stay zero."""
    _draw_batches(
        _law(stream),
        first_step,
        stream.directions.reshape(-1),
        np.float32(stream.noise),
        stream.n_inputs,
        batches.batch_size,
        batches.samples,
        batches.blocks,
    )


def _law(stream: Stream) -> tuple[Any, ...]:
    low, high = np.uint32(stream.key & 0xFFFFFFFF), np.uint32(stream.key >> 32)
    # The largest word that fires: unit(word) < p exactly where word <= ceil(p 2^32 - 1/2) - 1. Rarer than 2^-32 is not.
    last = np.ceil(stream.probabilities.astype(np.float64) * 2.0**32 - 0.5) - 1
    limits = np.zeros(-(-stream.n_features // 4) * 4, np.uint32)
    limits[: stream.n_features] = np.clip(last, 0, 2.0**32 - 1)
    return low, high, stream.probabilities, limits, stream.n_active, stream.magnitude, stream.way


@numba.njit(cache=True)
def _magnitude(kind: Any, uniform: Any, key_low: Any, key_high: Any, feature: Any, sample: Any, step: Any) -> Any:
    """A positive magnitude; `uniform` is in (0, 1] and independent of which features fire."""
    if kind == 0:
        return np.float32(uniform)
    if kind == 1:
        return np.float32(1.0)
    if kind == 3:
        return np.float32(max(-np.log(uniform), 1e-30))
    w0, w1, _, _ = philox(key_low, key_high, feature, sample, step, MAGNITUDE)
    # |cos| may round to 0, and an active feature is positive.
    return np.float32(max(abs(standard_normal(w0, w1)), 1e-30))


@numba.njit(cache=True)
def _draw_codes(
    law: Any, step: Any, first: Any, n_samples: Any, words: Any, arrivals: Any, taken: Any, active: Any, raw: Any,
    counts: Any, values: Any,
) -> None:  # fmt: skip
    """The active features of 16 samples from `first` on and their magnitudes, each sample's packed to the front.

    `words` are those of the group of samples that these 16 belong to, where the law's way needs them.
    """
    key_low, key_high, probabilities, limits, n_active, magnitude, way = law
    offset, n_features = first % words.shape[1], probabilities.size
    if way == EVERY:
        fire(limits, n_features, words, offset, active, raw, counts)
    for lane in range(n_samples):
        sample = first + lane
        if way == SKIP:
            rate = probabilities[0]
            counts[lane] = skip(key_low, key_high, rate, n_features, sample, step, active[lane], raw[lane])
        elif way == CHOICE:
            choose(key_low, key_high, n_active, n_features, sample, step, taken, active[lane], raw[lane])
            counts[lane] = n_active
        elif way == RACE:
            race(probabilities, n_active, words, offset + lane, arrivals, active[lane])
            counts[lane] = n_active
        for place in range(counts[lane]):
            feature = active[lane, place]
            if way == EVERY:
                # Given that it fires, uniform / p is uniform in (0, 1]: one word gives event and magnitude.
                uniform = min(unit(raw[lane, place]) / np.float64(probabilities[feature]), 1.0)
            elif way == RACE:
                w0, _, _, _ = philox(key_low, key_high, feature + n_features, sample, step, MAGNITUDE)
                uniform = unit(w0)
            else:
                uniform = unit(raw[lane, place])
            values[lane, place] = _magnitude(magnitude, uniform, key_low, key_high, feature, sample, step)


@numba.njit(cache=True)
def _draw_features(law: Any, step: Any, features: Any) -> None:
    n_features, way = features.shape[1], law[6]
    words = np.empty(((n_features + 3) // 4 * 4, _GROUP), np.uint32)
    arrivals, taken = np.empty(n_features, np.float64), np.zeros(n_features, np.bool_)
    active = np.empty((LANES, n_features + 1), np.int32)
    raw = np.empty((LANES, n_features + 1), np.uint32)
    values = np.empty((LANES, n_features + 1), np.float32)
    counts = np.zeros(LANES, np.int64)
    for first in range(0, features.shape[0], LANES):
        if first % _GROUP == 0 and way in (EVERY, RACE):
            draw_words(law[0], law[1], step, first, words)
        here = min(LANES, features.shape[0] - first)
        _draw_codes(law, step, first, here, words, arrivals, taken, active, raw, counts, values)
        for lane in range(here):
            for place in range(counts[lane]):
                features[first + lane, active[lane, place]] = values[lane, place]


@numba.njit(cache=True)
def _superpose(code: Any, active: Any, directions: Any, width: Any, rows: Any, row: Any) -> None:
    """W_p x of one sample's active features, added in their order."""
    whole = width // (4 * LANES) * (4 * LANES)
    for d in range(0, whole, 4 * LANES):
        x0, x1, x2, x3 = splat(_ZERO), splat(_ZERO), splat(_ZERO), splat(_ZERO)
        for place in range(code.size):
            value, at = broadcast(code, place), np.int64(active[place]) * width + d
            x0 = fma(value, load(directions, at), x0)
            x1 = fma(value, load(directions, at + LANES), x1)
            x2 = fma(value, load(directions, at + 2 * LANES), x2)
            x3 = fma(value, load(directions, at + 3 * LANES), x3)
        store(rows, row + d, x0)
        store(rows, row + d + LANES, x1)
        store(rows, row + d + 2 * LANES, x2)
        store(rows, row + d + 3 * LANES, x3)
    for d in range(whole, width, LANES):
        x = splat(_ZERO)
        for place in range(code.size):
            x = fma(broadcast(code, place), load(directions, np.int64(active[place]) * width + d), x)
        store(rows, row + d, x)


@numba.njit(cache=True)
def _add_noise(law: Any, step: Any, sample: Any, noise: Any, row: Any) -> None:
    for d in range(row.size):
        w0, w1, _, _ = philox(law[0], law[1], d, sample, step, NOISE)
        row[d] += noise * np.float32(standard_normal(w0, w1))


@numba.njit(cache=True, nogil=True)
def _draw_batches(
    law: Any,
    first_step: Any,
    directions: Any,
    noise: Any,
    n_inputs: Any,
    batch_size: Any,
    samples: Any,
    blocks: Any,
) -> None:
    n_features, way = law[2].size, law[6]
    words = np.empty(((n_features + 3) // 4 * 4, _GROUP), np.uint32)
    arrivals, taken = np.empty(n_features, np.float64), np.zeros(n_features, np.bool_)
    active = np.empty((LANES, n_features + 1), np.int32)
    raw = np.empty((LANES, n_features + 1), np.uint32)
    values = np.empty((LANES, n_features + 1), np.float32)
    counts = np.zeros(LANES, np.int64)
    rows, lane_major = samples.reshape(-1), blocks.reshape(-1)
    width = samples.shape[2]
    for t in range(samples.shape[0]):
        step = first_step + t
        for first in range(0, batch_size, LANES):
            if first % _GROUP == 0 and way in (EVERY, RACE):
                draw_words(law[0], law[1], step, first, words)
            here = min(LANES, batch_size - first)
            _draw_codes(law, step, first, here, words, arrivals, taken, active, raw, counts, values)
            for lane in range(here):
                row = (t * samples.shape[1] + first + lane) * width
                _superpose(values[lane, : counts[lane]], active[lane], directions, width, rows, row)
                if noise > 0:
                    _add_noise(law, step, first + lane, noise, rows[row : row + n_inputs])
            start, at = (t * samples.shape[1] + first) * width, (t * blocks.shape[1] + first // LANES) * width * LANES
            for d in range(0, width, LANES):
                transpose_tile(rows, start + d, width, lane_major, at + d * LANES)
