"""Starting weights and a data stream to trained weights, on the CPU: many SAEs on one stream of batches."""

import time
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from phase_diagrams.activation import Activation
from phase_diagrams.spec import Recovery, Training
from workers.kernels import BATCHTOPK, RELU, TOPK, train_steps
from workers.lanes import LANES
from workers.sae import Floats, Weights, learning_rates
from workers.sampler import Batches, Stream, fill_batches, open_batches
from workers.stopping import label_is_clear, next_look, shorten

KINDS = {"topk": TOPK, "batchtopk": BATCHTOPK, "relu": RELU, "relu_l1": RELU}

_CHUNK_FLOATS = 2**18
"""Inputs drawn at a time: 1 MB, so that a chunk stays in the L2 cache while every model of the pack passes over it."""


@dataclass(frozen=True, slots=True)
class Model:
    """One SAE to train: its starting weights, activation and weighted loss."""

    weights: Weights
    activation: Activation
    gamma_squared: Floats  # (n_inputs,)


@dataclass(frozen=True, slots=True)
class Trained:
    """One trained SAE: its weights, the training loss of every step, and what it cost."""

    weights: Weights
    losses: npt.NDArray[np.float64]  # (steps taken,), NaN from the step at which it diverged
    seconds: float


@dataclass(frozen=True, slots=True)
class _State:
    """Parameters, gradients and Adam's two moments as flat padded arrays, changed in place by the kernel."""

    parameters: tuple[Floats, Floats, Floats, Floats]
    gradients: tuple[Floats, Floats, Floats, Floats]
    means: tuple[Floats, Floats, Floats, Floats]
    squares: tuple[Floats, Floats, Floats, Floats]


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Batches of consecutive steps, first <= step < last, and the seconds that were waited for them."""

    first: int
    last: int
    batches: Batches
    waited: float


def train(
    models: Sequence[Model],
    stream: Stream,
    training: Training,
    tied: bool,
    recovery: Recovery | None = None,
    prefetch: bool = False,
) -> list[Trained]:
    """Train every model on the same batches; each one's numbers are those of training it alone, bit for bit.

    With `prefetch`, a second thread draws the next batches meanwhile; the numbers stay the same. Where
    `recovery` is given, only trials stop early whose label it makes clear.
    """

    def is_clear(index: int) -> bool:
        decoder = _close_state(models[index], states[index]).decoder
        return label_is_clear(stream.dictionary, decoder, recovery)

    rates = [learning_rates(training.schedule, training.learning_rate, training.steps)] * len(models)
    states = [_open_state(model.weights, tied) for model in models]
    losses = np.full((len(models), training.steps), np.nan)
    seconds = np.zeros(len(models))
    running = set(range(len(models)))
    with closing(_chunks(stream, training, prefetch)) as chunks:
        for chunk in chunks:
            first, last, shared = chunk.first, chunk.last, chunk.waited / len(running)
            for index in sorted(running):
                began = time.perf_counter()
                here, pace = losses[index, first:last], rates[index][first:last]
                finite = _train_chunk(models[index], states[index], tied, chunk.batches, first, pace, here)
                rates[index] = shorten(rates[index], losses[index, :last], training, partial(is_clear, index))
                if not finite or last == len(rates[index]):
                    running.discard(index)
                seconds[index] += shared + time.perf_counter() - began
            if not running:
                break
    return [
        Trained(_close_state(model, state), losses[index, : len(rates[index])], float(seconds[index]))
        for index, (model, state) in enumerate(zip(models, states, strict=True))
    ]


def _chunks(stream: Stream, training: Training, prefetch: bool) -> Generator[_Chunk, None, None]:
    """All batches in order; a chunk's memory is that of the one before, or with `prefetch` of the last but one."""
    size = -(-training.batch_size // LANES) * LANES * (-(-stream.n_inputs // LANES) * LANES)
    steps = min(max(1, _CHUNK_FLOATS // size), training.steps)
    room, other = (open_batches(stream, steps, training.batch_size) for _ in range(2))  # zeros: free until touched

    def draw(first: int, room: Batches) -> tuple[int, Batches]:
        last = min(first + steps, next_look(first, training))
        batches = room.head(last - first)
        fill_batches(stream, first, batches)
        return last, batches

    with ThreadPoolExecutor(1) as thread:
        began = time.perf_counter()
        first, (last, batches) = 0, draw(0, room)
        while True:
            waited = time.perf_counter() - began
            more = last < training.steps
            coming = thread.submit(draw, last, other) if prefetch and more else None
            yield _Chunk(first, last, batches, waited)
            if not more:
                return
            began = time.perf_counter()
            if coming:
                room, other = other, room
            first, (last, batches) = last, coming.result() if coming else draw(last, room)


def _train_chunk(
    model: Model,
    state: _State,
    tied: bool,
    batches: Batches,
    first: int,
    rates: npt.NDArray[np.float64],
    losses: npt.NDArray[np.float64],
) -> bool:
    n_latents, n_inputs = model.weights.encoder.shape
    finite = train_steps(
        state.parameters,
        state.gradients,
        state.means,
        state.squares,
        tied,
        n_latents,
        n_inputs,
        KINDS[model.activation.kind],
        model.activation.k or 0,
        model.activation.l1 or 0.0,
        pad_rows(model.gamma_squared[None, :], 1)[: len(state.parameters[3])],
        batches.samples,
        batches.blocks,
        batches.batch_size,
        first,
        rates,
        losses,
    )
    return bool(finite)


def pad_rows(rows: Floats, multiple: int) -> Floats:
    """Rows as a flat array, padded with zeros to whole lanes of columns and a multiple of rows."""
    n_rows, n_columns = rows.shape
    padded = np.zeros((-(-n_rows // multiple) * multiple, -(-n_columns // LANES) * LANES), np.float32)
    padded[:n_rows, :n_columns] = rows
    return padded.reshape(-1)


def flat_parameters(weights: Weights, tied: bool) -> tuple[Floats, Floats, Floats, Floats]:
    """Weights in the kernel's layout; a tied SAE's encoder and decoder are one array."""
    encoder = pad_rows(weights.encoder, 4)
    decoder = encoder if tied else pad_rows(weights.decoder, 4)
    return encoder, decoder, pad_rows(weights.encoder_bias[None, :], 1), pad_rows(weights.decoder_bias[None, :], 1)


def _open_state(weights: Weights, tied: bool) -> _State:
    encoder, decoder, bias, decoder_bias = flat_parameters(weights, tied)

    def zeros() -> tuple[Floats, Floats, Floats, Floats]:
        first = np.zeros_like(encoder)
        second = first if tied else np.zeros_like(decoder)
        return first, second, np.zeros_like(bias), np.zeros_like(decoder_bias)

    return _State((encoder, decoder, bias, decoder_bias), zeros(), zeros(), zeros())


def _close_state(model: Model, state: _State) -> Weights:
    n_latents, n_inputs = model.weights.encoder.shape
    encoder, decoder, bias, decoder_bias = state.parameters

    def rows(flat: Floats) -> Floats:
        return flat.reshape(-1, decoder_bias.size)[:n_latents, :n_inputs].copy()

    return Weights(rows(encoder), rows(decoder), bias[:n_latents].copy(), decoder_bias[:n_inputs].copy())
