"""One SAE and its batches to the SAE after these steps, on the CPU, fused: encode, choose, decode, gradients, Adam.

Sixteen samples go side by side in the lanes while encoding (`encoding`); afterwards only active latents take part
(`gradients`). E and D are encoder and decoder rows; a tied SAE passes one matrix for both, and one gradient buffer, so
that both halves of its gradient add up in it. Arrays over inputs are padded with zeros to whole lanes, so that no loop
has a remainder. Numba's cache looks at this file's time only: touch it after a change to a module that it is built of.
"""

from typing import Any

import numba
import numpy as np

from workers.adam import adam, tangent, unit_rows
from workers.encoding import (
    LEAST,
    PADDING,
    choose_topk,
    collect_active,
    encode_block,
    keep_positive,
    latent_offset,
    threshold_of_batch,
)
from workers.gradients import dense_gradients, sparse_gradients, through_encoder
from workers.lanes import LANES, splat

TOPK, BATCHTOPK, RELU = 0, 1, 2

_ZERO = np.float32(0.0)


@numba.njit(cache=True)
def encode_batch(encoder: Any, offset: Any, width: Any, blocks: Any, n_inputs: Any, batch_size: Any, pre: Any) -> None:
    """Pre-activations of a whole batch, block after block; those of samples that pad the last block become 0."""
    flat = blocks.reshape(-1)
    block_size, size = blocks.shape[1] * LANES, offset.size * LANES
    for block in range(blocks.shape[0]):
        encode_block(encoder, offset, width, flat, block * block_size, n_inputs, pre, block * size)
        for lane in range(max(0, batch_size - block * LANES), LANES):
            for latent in range(offset.size):
                pre[block * size + latent * LANES + lane] = _ZERO


@numba.njit(cache=True, nogil=True)
def train_steps(
    parameters: Any,
    gradients: Any,
    means: Any,
    squares: Any,
    tied: Any,
    n_latents: Any,
    n_inputs: Any,
    kind: Any,
    k: Any,
    l1: Any,
    gamma_squared: Any,
    samples: Any,
    blocks: Any,
    batch_size: Any,
    first_step: Any,
    rates: Any,
    losses: Any,
) -> Any:
    """Train one SAE in place on consecutive batches; returns whether every loss stayed finite.

    `parameters`, `gradients`, `means` and `squares` are tuples of flat float32 arrays: encoder (n_latents padded to
    four, times width), decoder (the same array if tied), bias (n_latents padded to lanes), decoder bias (width).
    `rates` are the learning rates of these steps, `losses` receives their training losses.
    """
    encoder, decoder, bias, decoder_bias = parameters
    encoder_gradient, decoder_gradient, bias_gradient, decoder_bias_gradient = gradients
    n_steps, padded, width = samples.shape
    n_blocks, biased = padded // LANES, not tied
    offset = np.empty((n_latents + 3) // 4 * 4, np.float32)
    rows = (n_latents + PADDING - 1) // PADDING * PADDING
    pre = np.zeros((n_blocks if kind == BATCHTOPK else 1) * rows * LANES, np.float32)
    pre_size = (offset.size if kind == BATCHTOPK else rows) * LANES
    # Lists of active latents, a lane's own on a row of its own; the odd length keeps rows off each other's cache sets.
    stride = rows + LANES
    counts, latents = np.zeros(LANES, np.int64), np.empty(LANES * stride, np.int32)
    values, held = np.empty(LANES * stride, np.float32), np.empty(max(1, k) * LANES, np.float32)
    slopes = np.empty(rows * LANES, np.float32)
    centred, residual = np.empty(width * LANES, np.float32), np.zeros(width * LANES, np.float32)
    residual_rows = np.zeros(width * LANES, np.float32)
    candidates = np.empty(pre.size + LANES if kind == BATCHTOPK else 1, np.float32)
    threshold = _ZERO
    depth = (n_inputs + 3) // 4 * 4
    for t in range(n_steps):
        rows_of_batch = samples[t].reshape(-1)
        blocks_of_batch = blocks[t].reshape(-1)
        latent_offset(encoder, bias, decoder_bias, n_latents, width, offset)
        if kind == BATCHTOPK:
            encode_batch(encoder, offset, width, blocks[t], n_inputs, batch_size, pre)
            threshold = threshold_of_batch(pre[: n_blocks * pre_size], k * batch_size, threshold, candidates)
        loss = 0.0
        for block in range(n_blocks):
            first, place = block * LANES, block * width * LANES
            n_samples = min(LANES, batch_size - first)
            if kind == RELU:
                encode_block(encoder, offset, width, blocks_of_batch, place, n_inputs, pre, 0)
                keep_positive(pre, offset.size)
                loss += dense_gradients(
                    decoder, decoder_bias, width, n_latents, n_inputs, depth, rows_of_batch, first, n_samples,
                    batch_size, blocks_of_batch, place, pre, slopes, l1, gamma_squared, centred, residual,
                    residual_rows, encoder_gradient, decoder_gradient, bias_gradient, decoder_bias_gradient, biased,
                )  # fmt: skip
                continue
            if kind == BATCHTOPK:
                least = splat(max(threshold, LEAST))
                collect_active(pre, block * pre_size, n_latents, least, counts, latents, values, stride)
            else:
                encode_block(encoder, offset, width, blocks_of_batch, place, n_inputs, pre, 0)
                choose_topk(pre, n_latents, k, held, counts, latents, values, stride)
            loss += sparse_gradients(
                decoder, decoder_bias, width, rows_of_batch, first, n_samples, batch_size, counts, latents, values,
                stride, gamma_squared, centred, residual, encoder_gradient, decoder_gradient, bias_gradient,
                decoder_bias_gradient, biased,
            )  # fmt: skip
        losses[t] = loss / batch_size
        if not np.isfinite(losses[t]):
            return False
        step = first_step + t + 1
        correction1, correction2 = 1.0 - 0.9**step, 1.0 - 0.999**step
        if biased:
            through_encoder(encoder, bias_gradient, n_latents, width, decoder_bias_gradient)
            tangent(decoder, decoder_gradient, n_latents, width)
            adam(decoder, decoder_gradient, means[1], squares[1], rates[t], correction1, correction2)
            unit_rows(decoder, n_latents, width)
            adam(bias, bias_gradient, means[2], squares[2], rates[t], correction1, correction2)
            adam(decoder_bias, decoder_bias_gradient, means[3], squares[3], rates[t], correction1, correction2)
        adam(encoder, encoder_gradient, means[0], squares[0], rates[t], correction1, correction2)
    return True
