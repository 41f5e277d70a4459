"""Active latents of 16 samples to the loss and its gradients, added to what earlier samples left in the buffers.

With r = D^T z + b_d - x and Gamma^2 = diag(gamma_squared), the loss of a batch of B samples and its gradients are

    L      = (1/B) sum_b r^T Gamma^2 r + l1 (1/B) sum_b sum_j z_j
    g      = (2/B) Gamma^2 r
    dz_j   = [z_j > 0] (D_j . g + l1 / B)
    dL/dD_j = z_j g,   dL/dE_j = dz_j (x - b_d),   dL/db_j = dz_j,   dL/db_d = g - sum_j dz_j E_j.

The last sum is sum_j (dL/db_j) E_j over the whole batch: `through_encoder` takes it off once per step.
"""

from typing import Any

import numba
import numpy as np

from workers.lanes import (
    LANES,
    add,
    broadcast,
    choose,
    fma,
    greater,
    load,
    multiply,
    splat,
    store,
    subtract,
    total,
)

_ZERO, _ONE = np.float32(0.0), np.float32(1.0)


@numba.njit(cache=True)
def sparse_gradients(
    decoder: Any,
    decoder_bias: Any,
    width: Any,
    samples: Any,
    first: Any,
    n_samples: Any,
    batch_size: Any,
    counts: Any,
    latents: Any,
    values: Any,
    stride: Any,
    gamma_squared: Any,
    centred: Any,
    residual: Any,
    encoder_gradient: Any,
    decoder_gradient: Any,
    bias_gradient: Any,
    decoder_bias_gradient: Any,
    biased: Any,
) -> Any:
    """Loss and gradients of up to 16 samples from the active latents that `collect_active` listed."""
    scale = splat(np.float32(2.0) / np.float32(batch_size))
    loss = splat(_ZERO)
    for lane in range(n_samples):
        row = (first + lane) * width
        begin, end = lane * stride, lane * stride + counts[lane]
        for d in range(0, width, LANES):
            x = subtract(load(samples, row + d), load(decoder_bias, d))
            store(centred, d, x)
            r = subtract(splat(_ZERO), x)
            for place in range(begin, end):
                r = fma(broadcast(values, place), load(decoder, np.int64(latents[place]) * width + d), r)
            weighted = multiply(load(gamma_squared, d), r)
            loss = fma(weighted, r, loss)
            g = multiply(scale, weighted)
            store(residual, d, g)
            if biased:
                store(decoder_bias_gradient, d, add(load(decoder_bias_gradient, d), g))
        for place in range(begin, end):
            latent = np.int64(latents[place])
            at = latent * width
            dot = splat(_ZERO)
            for d in range(0, width, LANES):
                dot = fma(load(decoder, at + d), load(residual, d), dot)
            slope = total(dot)
            z, dz = broadcast(values, place), splat(slope)
            if biased:
                bias_gradient[latent] += slope
                for d in range(0, width, LANES):
                    store(decoder_gradient, at + d, fma(z, load(residual, d), load(decoder_gradient, at + d)))
                    store(encoder_gradient, at + d, fma(dz, load(centred, d), load(encoder_gradient, at + d)))
            else:  # tied: both halves belong to one row
                for d in range(0, width, LANES):
                    gradient = fma(z, load(residual, d), load(encoder_gradient, at + d))
                    store(encoder_gradient, at + d, fma(dz, load(centred, d), gradient))
    return total(loss)


@numba.njit(cache=True)
def _add_outer(
    latents: Any, slopes: Any, residual_rows: Any, centred: Any, n_latents: Any, width: Any, decoder_gradient: Any,
    encoder_gradient: Any,
) -> None:  # fmt: skip
    """Add z_j g to the decoder's gradient and dz_j (x - b_d) to the encoder's, of 16 samples."""
    for latent in range(0, n_latents, 2):
        z_at = latent * LANES
        for d in range(0, width, LANES):
            decoder_row, encoder_row = splat(_ZERO), splat(_ZERO)
            decoder_next, encoder_next = splat(_ZERO), splat(_ZERO)
            for lane in range(LANES):
                g, x = load(residual_rows, lane * width + d), load(centred, lane * width + d)
                decoder_row = fma(broadcast(latents, z_at + lane), g, decoder_row)
                encoder_row = fma(broadcast(slopes, z_at + lane), x, encoder_row)
                decoder_next = fma(broadcast(latents, z_at + LANES + lane), g, decoder_next)
                encoder_next = fma(broadcast(slopes, z_at + LANES + lane), x, encoder_next)
            at = latent * width + d
            store(decoder_gradient, at, add(load(decoder_gradient, at), decoder_row))
            store(encoder_gradient, at, add(load(encoder_gradient, at), encoder_row))
            store(decoder_gradient, at + width, add(load(decoder_gradient, at + width), decoder_next))
            store(encoder_gradient, at + width, add(load(encoder_gradient, at + width), encoder_next))


@numba.njit(cache=True)
def _add_outer_tied(
    latents: Any, slopes: Any, residual_rows: Any, centred: Any, n_latents: Any, width: Any, gradient: Any
) -> None:
    """Add z_j g + dz_j x of 16 samples to the one gradient of a tied SAE."""
    for latent in range(0, n_latents, 4):
        z_at = latent * LANES
        for d in range(0, width, LANES):
            r0, r1, r2, r3 = splat(_ZERO), splat(_ZERO), splat(_ZERO), splat(_ZERO)
            for lane in range(LANES):
                g, x = load(residual_rows, lane * width + d), load(centred, lane * width + d)
                at = z_at + lane
                r0 = fma(broadcast(slopes, at), x, fma(broadcast(latents, at), g, r0))
                r1 = fma(broadcast(slopes, at + LANES), x, fma(broadcast(latents, at + LANES), g, r1))
                r2 = fma(broadcast(slopes, at + 2 * LANES), x, fma(broadcast(latents, at + 2 * LANES), g, r2))
                r3 = fma(broadcast(slopes, at + 3 * LANES), x, fma(broadcast(latents, at + 3 * LANES), g, r3))
            at = latent * width + d
            store(gradient, at, add(load(gradient, at), r0))
            store(gradient, at + width, add(load(gradient, at + width), r1))
            store(gradient, at + 2 * width, add(load(gradient, at + 2 * width), r2))
            store(gradient, at + 3 * width, add(load(gradient, at + 3 * width), r3))


@numba.njit(cache=True)
def dense_gradients(
    decoder: Any,
    decoder_bias: Any,
    width: Any,
    n_latents: Any,
    n_inputs: Any,
    depth: Any,
    samples: Any,
    first: Any,
    n_samples: Any,
    batch_size: Any,
    blocks: Any,
    place: Any,
    latents: Any,
    slopes: Any,
    l1: Any,
    gamma_squared: Any,
    centred: Any,
    residual: Any,
    residual_rows: Any,
    encoder_gradient: Any,
    decoder_gradient: Any,
    bias_gradient: Any,
    decoder_bias_gradient: Any,
    biased: Any,
) -> Any:
    """Loss and gradients of up to 16 samples from all latents; lanes past n_samples hold zeros."""
    scale = np.float32(2.0) / np.float32(batch_size)
    price = np.float32(l1) / np.float32(batch_size)
    loss = splat(_ZERO)
    for lane in range(n_samples, LANES):
        for latent in range(n_latents):
            latents[latent * LANES + lane] = _ZERO
    alive = splat(_ONE)
    if n_samples < LANES:
        for lane in range(LANES):
            residual[lane] = _ONE if lane < n_samples else _ZERO
        alive = load(residual, 0)
    # Decode: r = D^T z + b_d - x, four input dimensions at a time for 16 samples.
    for d in range(0, depth, 4):
        r0, r1, r2, r3 = splat(_ZERO), splat(_ZERO), splat(_ZERO), splat(_ZERO)
        for latent in range(n_latents):
            z, at = load(latents, latent * LANES), latent * width + d
            r0 = fma(broadcast(decoder, at), z, r0)
            r1 = fma(broadcast(decoder, at + 1), z, r1)
            r2 = fma(broadcast(decoder, at + 2), z, r2)
            r3 = fma(broadcast(decoder, at + 3), z, r3)
        for i in range(4):
            r = r0 if i == 0 else r1 if i == 1 else r2 if i == 2 else r3
            target = subtract(broadcast(decoder_bias, d + i), load(blocks, place + (d + i) * LANES))
            r = fma(alive, target, r)
            weighted = multiply(broadcast(gamma_squared, d + i), r)
            loss = fma(weighted, r, loss)
            g = multiply(splat(scale), weighted)
            store(residual, (d + i) * LANES, g)
            if biased:
                decoder_bias_gradient[d + i] += total(g)
    sum_of_latents = splat(_ZERO)
    # Back through the activation: dz_j = [z_j > 0] (D_j . g + l1 / B).
    zero = splat(_ZERO)
    for latent in range(0, n_latents, 4):
        d0, d1, d2, d3 = splat(price), splat(price), splat(price), splat(price)
        at = latent * width
        for d in range(n_inputs):
            g = load(residual, d * LANES)
            d0 = fma(broadcast(decoder, at + d), g, d0)
            d1 = fma(broadcast(decoder, at + width + d), g, d1)
            d2 = fma(broadcast(decoder, at + 2 * width + d), g, d2)
            d3 = fma(broadcast(decoder, at + 3 * width + d), g, d3)
        for i in range(4):
            dz = d0 if i == 0 else d1 if i == 1 else d2 if i == 2 else d3
            z = load(latents, (latent + i) * LANES)
            dz = choose(greater(z, zero), dz, zero)
            store(slopes, (latent + i) * LANES, dz)
            sum_of_latents = add(sum_of_latents, z)
    for lane in range(LANES):
        row = (first + lane) * width
        for d in range(n_inputs):
            residual_rows[lane * width + d] = residual[d * LANES + lane]
        for d in range(0, width, LANES):
            store(centred, lane * width + d, subtract(load(samples, row + d), load(decoder_bias, d)))
    if biased:
        _add_outer(latents, slopes, residual_rows, centred, n_latents, width, decoder_gradient, encoder_gradient)
    else:
        _add_outer_tied(latents, slopes, residual_rows, centred, n_latents, width, encoder_gradient)
    if biased:
        for latent in range(n_latents):
            bias_gradient[latent] += total(load(slopes, latent * LANES))
    return total(loss) + np.float32(l1) * total(sum_of_latents)


@numba.njit(cache=True)
def through_encoder(encoder: Any, bias_gradient: Any, n_latents: Any, width: Any, decoder_bias_gradient: Any) -> None:
    """Take sum_j (dL/db_j) E_j off the decoder bias's gradient."""
    for latent in range(n_latents):
        back = broadcast(bias_gradient, latent)
        for d in range(0, width, LANES):
            taken = fma(back, load(encoder, latent * width + d), splat(_ZERO))
            store(decoder_bias_gradient, d, subtract(load(decoder_bias_gradient, d), taken))
