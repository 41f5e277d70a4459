"""Trained weights to a row of scores, on evaluation data that every trial of a stream shares."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import groupby, islice

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from phase_diagrams.merges import Geometry
from phase_diagrams.scores import STACK_ENTRIES, Scores, score
from phase_diagrams.spec import Recovery
from workers.code_sums import Codes, sparse_codes
from workers.responses import Responses, respond
from workers.sae import Floats
from workers.sampler import EVALUATION_STEP, Stream, draw_batches, draw_features
from workers.training import Model, Trained

EVALUATION_SAMPLES = 8192
"""Fresh samples on which every score is taken: a loss is then known to about 1 %, far below the seeds' spread."""


@dataclass(frozen=True, slots=True)
class EvaluationData:
    """Features and inputs that no training batch contains."""

    codes: Codes  # of EVALUATION_SAMPLES samples
    inputs: Floats  # (EVALUATION_SAMPLES, n_inputs)
    samples: Floats  # the same inputs, padded as in `Batches`
    blocks: Floats  # the same inputs, lane-major
    power: float  # sum of their squares


def draw_evaluation_data(stream: Stream) -> EvaluationData:
    """The evaluation data of a stream; the same for all of its trials."""
    features = draw_features(stream, EVALUATION_STEP, EVALUATION_SAMPLES)
    batches = draw_batches(stream, EVALUATION_STEP, 1, EVALUATION_SAMPLES)
    samples, blocks = batches.samples[0], batches.blocks[0]
    inputs = samples[:EVALUATION_SAMPLES, : stream.n_inputs].copy()
    power = float(np.einsum("bi,bi->", inputs, inputs, dtype=np.float64))
    return EvaluationData(sparse_codes(features), inputs, samples, blocks, power)


@dataclass(frozen=True, slots=True)
class _Measured:
    """One trained SAE, by its place in the pack, and what it did with the evaluation samples."""

    place: int
    decoder: Floats
    responses: Responses
    objective: float


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What one trial measured; `scores` is None where it diverged."""

    scores: Scores | None
    sae_loss: float
    objective: float
    loss_slope: float


DIVERGED = Evaluation(None, np.nan, np.nan, np.nan)
"""What a trial measured whose loss, weights or code are not finite."""


def respond_in_turn(
    models: Sequence[Model], trained: Sequence[Trained], places: Iterable[int], tied: bool, data: EvaluationData
) -> Iterator[tuple[int, Responses]]:
    """Responses of the models at these places, on the CPU: one after another, bit for bit as alone."""
    for place in places:
        activation = models[place].activation
        yield place, respond(trained[place].weights, activation, tied, data.codes, data.samples, data.blocks)


def is_finite(trained: Trained) -> bool:
    """Whether there is an SAE to be evaluated: finite weights, and a finite loss at every step."""
    return bool(trained.weights.finite and np.isfinite(trained.losses).all())


def evaluate(
    models: Sequence[Model],
    trained: Sequence[Trained],
    responses: Iterable[tuple[int, Responses]],
    geometry: Geometry,
    data: EvaluationData,
    recovery: Recovery,
    threads: int = 1,
) -> list[Evaluation]:
    """Score trained SAEs, against the features that the data were planted with; DIVERGED where one has no responses.

    Responses come with the place of their SAE, and are taken as they are needed: SAEs of one shape that follow each
    other are scored in stacks, up to `threads` of them side by side, this thread included. An SAE's evaluation is bit
    for bit the one that it has alone.
    """
    evaluations, n_samples = [DIVERGED] * len(models), data.codes.n_samples
    measured = (
        _Measured(place, trained[place].weights.decoder, found, _objective(models[place], found, n_samples))
        for place, found in responses
    )
    finite = (one for one in measured if np.isfinite(one.objective))
    stacks = (
        stack
        for n_latents, equal in groupby(finite, lambda one: len(one.decoder))
        for stack in _stacks(equal, max(1, STACK_ENTRIES // (len(geometry.gram) * n_latents)))
    )

    def score_stack(stack: list[_Measured]) -> list[Scores]:
        decoders, statistics = [one.decoder for one in stack], [one.responses.statistics for one in stack]
        return score(geometry, decoders, statistics, recovery.cosine, recovery.fraction)

    def settle(stack: list[_Measured], scored: list[Scores]) -> None:
        for one, scores in zip(stack, scored, strict=True):
            sae_loss = float(one.responses.square_error.sum()) / data.power if data.power > 0 else np.nan
            slope = loss_slope(trained[one.place].losses)
            evaluations[one.place] = Evaluation(scores, sae_loss, one.objective, slope)

    def finish(stack: list[_Measured], future: Future[list[Scores]]) -> None:
        settle(stack, future.result())

    # Of BLAS, too, a thread is one: some of its builds keep the limit for each thread that calls.
    with ThreadPoolExecutor(threads, initializer=partial(threadpool_limits, limits=1)) as pool:
        running: deque[tuple[list[_Measured], Future[list[Scores]]]] = deque()
        for stack in stacks:
            while running and running[0][1].done():
                finish(*running.popleft())  # which keeps no name of it here: its sums may be large
            if len(running) < threads - 1:
                running.append((stack, pool.submit(score_stack, stack)))
            else:  # here, where the responses are in the core's cache; and no more of them are made meanwhile
                settle(stack, score_stack(stack))
        while running:
            finish(*running.popleft())
    return evaluations


def _stacks(measured: Iterator[_Measured], size: int) -> Iterator[list[_Measured]]:
    while stack := list(islice(measured, size)):
        yield stack


def _objective(model: Model, responses: Responses, n_samples: int) -> float:
    objective = float(responses.square_error @ model.gamma_squared.astype(np.float64)) / n_samples
    if model.activation.l1 is not None:
        objective += model.activation.l1 * responses.latent_total / n_samples
    return objective


def loss_slope(losses: npt.NDArray[np.float64]) -> float:
    """Relative change of the training loss over the last tenth of training, by a least-squares line.

    Near 0: converged; -0.1: it still fell by a tenth. 0 where training is too short for a line (under 20 steps).
    """
    tail = losses[len(losses) - len(losses) // 10 :]
    if len(tail) < 2:
        return 0.0
    place = np.arange(len(tail)) - (len(tail) - 1) / 2
    mean = float(tail.mean())
    change = float(place @ tail) / float(place @ place) * (len(tail) - 1)
    return change / mean if mean > 0 else 0.0
