"""An SAE and evaluation samples to its responses: what it made of the inputs, and what its latents did to features.

Sixteen samples at a time are encoded in the lanes as in training; all that follows touches active latents only.
"""

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from phase_diagrams.activation import Activation
from phase_diagrams.scores import CodeStatistics
from workers.code_sums import Codes, Doubles, Integers, add_dense_pairs, add_sparse_pairs
from workers.encoding import LEAST, PADDING, choose_topk, collect_active, encode_block, kth_largest, latent_offset
from workers.kernels import BATCHTOPK, TOPK, encode_batch
from workers.lanes import LANES, add, broadcast, fma, load, splat, store, subtract
from workers.sae import Floats, Weights
from workers.training import KINDS, flat_parameters

_DENSE_SHARE = 4
"""An SAE of which at least one in so many latents is active is summed up densely; heuristic: LLVM's vectors hold four
float64."""


@dataclass(frozen=True, slots=True, eq=False)
class Responses:
    """What one SAE did with evaluation samples."""

    square_error: Doubles
    """Sum over samples of the squared residual of each input: (n_inputs,)."""
    latent_total: float
    """Sum of all latents over all samples."""
    statistics: CodeStatistics


def respond(
    weights: Weights, activation: Activation, tied: bool, codes: Codes, samples: Floats, blocks: Floats
) -> Responses:
    """Responses of an SAE to the samples of `codes`, whose inputs are as in `Batches`: sample-major and lane-major.

    Everything is added in one order, whatever else is scored beside it.
    """
    n_latents, n_inputs = weights.encoder.shape
    n, n_samples = codes.n_features, codes.n_samples
    square, energy, count = np.zeros(samples.shape[1]), np.zeros(n_latents), np.zeros(n_latents, np.int64)
    total, active = _reconstruct(weights, activation, tied, samples, blocks, n_samples, square, energy, count)
    starts, latents, values = active
    sums = np.zeros((n, n_latents)), np.zeros((n, n_latents)), np.zeros((n, n_latents), np.int64)
    if starts[-1] * _DENSE_SHARE < n_samples * n_latents:
        add_sparse_pairs(codes.feature_offsets, codes.sample, codes.feature_magnitude, starts, latents, values, *sums)
    else:
        add_dense_pairs(codes.offsets, codes.feature, codes.magnitude, starts, latents, values, *sums)
    cross, activation_sum, joint_count = sums
    statistics = CodeStatistics(
        n_samples=n_samples,
        feature_energy=codes.energy,
        latent_energy=energy,
        cross=cross,
        feature_count=codes.count,
        latent_count=count,
        joint_count=joint_count,
        activation_sum=activation_sum,
    )
    return Responses(square[:n_inputs], total, statistics)


def encode(
    weights: Weights, activation: Activation, tied: bool, samples: Floats, blocks: Floats, n_samples: int
) -> Floats:
    """Latents z, shape (n_samples, hidden_dim); batchtopk keeps the k * n_samples largest of all samples."""
    n_latents = len(weights.encoder)
    square, energy, count = np.zeros(samples.shape[1]), np.zeros(n_latents), np.zeros(n_latents, np.int64)
    _, active = _reconstruct(weights, activation, tied, samples, blocks, n_samples, square, energy, count)
    starts, latents, values = active
    dense = np.zeros((n_samples, n_latents), np.float32)
    dense[np.repeat(np.arange(n_samples), np.diff(starts)), latents[: starts[-1]]] = values[: starts[-1]]
    return dense


def _reconstruct(
    weights: Weights,
    activation: Activation,
    tied: bool,
    samples: Floats,
    blocks: Floats,
    n_samples: int,
    square: Doubles,
    energy: Doubles,
    count: Integers,
) -> tuple[float, tuple[Integers, npt.NDArray[np.int32], Floats]]:
    """Add to the sums; the total of all latents, and each sample's active ones: where they start, which, how large."""
    n_latents, n_inputs = weights.encoder.shape
    # Fresh memory costs nothing until it is touched: room for all latents, of which few are active.
    room = n_samples * (activation.k if activation.kind == "topk" and activation.k else n_latents)
    active = np.empty(n_samples + 1, np.int64), np.empty(room, np.int32), np.empty(room, np.float32)
    total = _reconstruct_samples(
        flat_parameters(weights, tied), n_latents, n_inputs, KINDS[activation.kind], activation.k or 0, samples, blocks,
        *active, square, energy, count,
    )  # fmt: skip
    return float(total), active


@numba.njit(cache=True, nogil=True)
def _reconstruct_samples(
    parameters: Any,
    n_latents: Any,
    n_inputs: Any,
    kind: Any,
    k: Any,
    samples: Any,
    blocks: Any,
    starts: Any,
    latents: Any,
    values: Any,
    square: Any,
    energy: Any,
    count: Any,
) -> Any:
    """Active latents of all samples, the squares of what is left of their inputs, and sums of latents."""
    encoder, decoder, bias, decoder_bias = parameters
    n_samples, width = starts.size - 1, decoder_bias.size
    n_blocks = (n_samples + LANES - 1) // LANES
    offset = np.empty((n_latents + 3) // 4 * 4, np.float32)
    latent_offset(encoder, bias, decoder_bias, n_latents, width, offset)
    padded = (n_latents + PADDING - 1) // PADDING * PADDING
    size, stride = offset.size * LANES, padded + LANES
    pre = np.zeros(max(padded * LANES, n_blocks * size if kind == BATCHTOPK else 0), np.float32)
    held, counts = np.empty(max(1, k) * LANES, np.float32), np.zeros(LANES, np.int64)
    lane_latents, lane_values = np.empty(LANES * stride, np.int32), np.empty(LANES * stride, np.float32)
    residual = np.empty(width, np.float32)
    flat_samples, flat_blocks = samples.reshape(-1), blocks.reshape(-1)
    least = splat(LEAST)
    if kind == BATCHTOPK:
        encode_batch(encoder, offset, width, blocks, n_inputs, n_samples, pre)
        least = splat(max(kth_largest(pre[: n_blocks * size], k * n_samples), LEAST))
    total, end = 0.0, 0
    starts[0] = 0
    for block in range(n_blocks):
        first = block * LANES
        if kind == BATCHTOPK:
            collect_active(pre, block * size, n_latents, least, counts, lane_latents, lane_values, stride)
        else:
            encode_block(encoder, offset, width, flat_blocks, first * width, n_inputs, pre, 0)
            if kind == TOPK:
                choose_topk(pre, n_latents, k, held, counts, lane_latents, lane_values, stride)
            else:
                collect_active(pre, 0, n_latents, least, counts, lane_latents, lane_values, stride)
        for lane in range(min(LANES, n_samples - first)):
            start = end
            for at in range(lane * stride, lane * stride + counts[lane]):
                latent, z = np.uint64(lane_latents[at]), np.float64(lane_values[at])
                latents[end], values[end] = lane_latents[at], lane_values[at]
                end += 1
                total += z
                energy[latent] += z * z
                count[latent] += 1
            starts[first + lane + 1] = end
            _residual(
                decoder, decoder_bias, flat_samples, (first + lane) * width, latents, values, start, end, residual
            )
            for d in range(width):
                square[d] += np.float64(residual[d]) * np.float64(residual[d])
    return total


@numba.njit(cache=True)
def _residual(
    decoder: Any, decoder_bias: Any, samples: Any, place: Any, latents: Any, values: Any, start: Any, end: Any,
    residual: Any,
) -> None:  # fmt: skip
    """r = D^T z + b_d - x of one sample."""
    width = residual.size
    for d in range(0, width, LANES):
        r = splat(np.float32(0.0))
        for at in range(start, end):
            r = fma(broadcast(values, at), load(decoder, np.int64(latents[at]) * width + d), r)
        store(residual, d, subtract(add(r, load(decoder_bias, d)), load(samples, place + d)))
