"""Trained weights to a row of scores, on evaluation data that every trial of a stream shares."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from phase_diagrams.activation import Activation
from phase_diagrams.scores import Scores, score
from phase_diagrams.spec import Recovery
from workers.code_sums import Codes, sparse_codes, sum_codes
from workers.kernels import encode_samples
from workers.sae import Floats, Weights
from workers.sampler import EVALUATION_STEP, Stream, draw_batches, draw_features
from workers.training import KINDS, Trained, flat_parameters

EVALUATION_SAMPLES = 8192
"""Fresh samples on which every score is taken: a loss is then known to about 1 %, far below the seeds' spread."""


@dataclass(frozen=True, slots=True)
class EvaluationData:
    """Features and inputs that no training batch contains."""

    codes: Codes  # of EVALUATION_SAMPLES samples
    inputs: Floats  # (EVALUATION_SAMPLES, n_inputs)
    blocks: Floats  # the same inputs, lane-major


def draw_evaluation_data(stream: Stream) -> EvaluationData:
    """The evaluation data of a stream; the same for all of its trials."""
    features = draw_features(stream, EVALUATION_STEP, EVALUATION_SAMPLES)
    batches = draw_batches(stream, EVALUATION_STEP, 1, EVALUATION_SAMPLES)
    inputs = batches.samples[0, :EVALUATION_SAMPLES, : stream.n_inputs].copy()
    return EvaluationData(sparse_codes(features), inputs, batches.blocks[0])


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What one trial measured; `scores` is None where it diverged."""

    scores: Scores | None
    sae_loss: float
    objective: float
    loss_slope: float


def encode(weights: Weights, activation: Activation, tied: bool, blocks: Floats, n_samples: int) -> Floats:
    """Latents z, shape (n_samples, hidden_dim); batchtopk keeps the k * n_samples largest of all samples."""
    n_latents, n_inputs = weights.encoder.shape
    latents = np.empty((n_samples, n_latents), np.float32)
    parameters = flat_parameters(weights, tied)
    encode_samples(
        parameters, n_latents, n_inputs, KINDS[activation.kind], activation.k or 0, blocks, n_samples, latents
    )
    return latents


def evaluate(
    trained: Trained,
    activation: Activation,
    tied: bool,
    gamma_squared: Floats,
    dictionary: Floats,
    evaluation: EvaluationData,
    recovery: Recovery,
) -> Evaluation:
    """Score one trained SAE against the dictionary and the features it was planted with."""
    weights = trained.weights
    if not (weights.finite and np.isfinite(trained.losses).all()):
        return Evaluation(None, np.nan, np.nan, np.nan)
    latents = encode(weights, activation, tied, evaluation.blocks, len(evaluation.inputs))
    residual = latents @ weights.decoder + weights.decoder_bias - evaluation.inputs
    square = np.einsum("bi,bi->i", residual, residual, dtype=np.float64)  # (n_inputs,)
    power = float(np.einsum("bi,bi->", evaluation.inputs, evaluation.inputs, dtype=np.float64))
    objective = float(square @ gamma_squared.astype(np.float64)) / len(residual)
    if activation.l1 is not None:
        objective += activation.l1 * float(latents.sum(dtype=np.float64)) / len(residual)
    if not np.isfinite(objective):
        return Evaluation(None, np.nan, np.nan, np.nan)
    scores = score(
        dictionary, weights.decoder, sum_codes(evaluation.codes, latents), recovery.cosine, recovery.fraction
    )
    return Evaluation(
        scores=scores,
        sae_loss=float(square.sum()) / power if power > 0 else np.nan,
        objective=objective,
        loss_slope=loss_slope(trained.losses),
    )


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
