"""One training step of one SAE on the CPU, fused: encode, choose the active latents, decode, gradients, Adam.

Sixteen samples go side by side in the lanes while encoding; afterwards only active latents take part. E and D are
encoder and decoder rows; a tied SAE passes one matrix for both, and one gradient buffer, so that both halves of its
gradient add up in it. With r = D^T z + b_d - x and Gamma^2 = diag(gamma_squared), the step's loss and gradients are

    L      = (1/B) sum_b r^T Gamma^2 r + l1 (1/B) sum_b sum_j z_j
    g      = (2/B) Gamma^2 r
    dz_j   = [z_j > 0] (D_j . g + l1 / B)
    dL/dD_j = z_j g,   dL/dE_j = dz_j (x - b_d),   dL/db_j = dz_j,   dL/db_d = g - sum_j dz_j E_j.

Arrays over inputs are padded with zeros to whole lanes, so that no loop has a remainder.
"""

from typing import Any

import numba
import numpy as np

from workers.lanes import (
    LANES,
    add,
    any_lane,
    at_least,
    choose,
    divide,
    fma,
    greater,
    load,
    multiply,
    splat,
    splat_int,
    square_root,
    store,
    subtract,
    total,
)

TOPK, BATCHTOPK, RELU = 0, 1, 2

_ZERO, _ONE = np.float32(0.0), np.float32(1.0)
_NONE = np.int32(-1)


@numba.njit(cache=True, inline="always")
def _encode_four(encoder: Any, row: Any, width: Any, block: Any, place: Any, n_inputs: Any) -> Any:
    """Pre-activations of four neighbouring latents for one block of samples (without bias)."""
    r0, r1, r2, r3 = row * width, (row + 1) * width, (row + 2) * width, (row + 3) * width
    a0, a1, a2, a3 = splat(_ZERO), splat(_ZERO), splat(_ZERO), splat(_ZERO)
    for d in range(n_inputs):
        x = load(block, place + d * LANES)
        a0 = fma(splat(encoder[r0 + d]), x, a0)
        a1 = fma(splat(encoder[r1 + d]), x, a1)
        a2 = fma(splat(encoder[r2 + d]), x, a2)
        a3 = fma(splat(encoder[r3 + d]), x, a3)
    return a0, a1, a2, a3


@numba.njit(cache=True, inline="always")
def _insert(value: Any, latent: Any, k: Any, values: Any, latents: Any) -> None:
    """Insert one latent's values into each lane's descending list of its k largest."""
    if any_lane(greater(value, load(values, (k - 1) * LANES))):
        name = splat_int(np.int32(latent))
        for slot in range(k):
            held, holder = load(values, slot * LANES), load(latents, slot * LANES)
            above = greater(value, held)
            store(values, slot * LANES, choose(above, value, held))
            store(latents, slot * LANES, choose(above, name, holder))
            value, name = choose(above, held, value), choose(above, holder, name)


@numba.njit(cache=True)
def choose_topk(
    encoder: Any, offset: Any, width: Any, block: Any, place: Any, n_inputs: Any, k: Any, values: Any, latents: Any
) -> None:
    """The k largest positive pre-activations of each of 16 samples; empty slots hold value 0 and latent -1.

    Of equal values the lower latent stays. `offset` is each latent's constant (its bias less E . b_d); the number of
    latents is padded to a multiple of four by the caller with offsets of -inf.
    """
    for slot in range(k):
        store(values, slot * LANES, splat(_ZERO))
        store(latents, slot * LANES, splat_int(_NONE))
    for latent in range(0, offset.size, 4):
        a0, a1, a2, a3 = _encode_four(encoder, latent, width, block, place, n_inputs)
        _insert(add(a0, splat(offset[latent])), latent, k, values, latents)
        _insert(add(a1, splat(offset[latent + 1])), latent + 1, k, values, latents)
        _insert(add(a2, splat(offset[latent + 2])), latent + 2, k, values, latents)
        _insert(add(a3, splat(offset[latent + 3])), latent + 3, k, values, latents)


@numba.njit(cache=True)
def encode_dense(
    encoder: Any, offset: Any, width: Any, block: Any, place: Any, n_inputs: Any, threshold: Any, latents: Any
) -> None:
    """Latents of 16 samples, lane-major: the positive pre-activations that are at least the threshold."""
    zero, least = splat(_ZERO), splat(threshold)
    for latent in range(0, offset.size, 4):
        a0, a1, a2, a3 = _encode_four(encoder, latent, width, block, place, n_inputs)
        a0, a1 = add(a0, splat(offset[latent])), add(a1, splat(offset[latent + 1]))
        a2, a3 = add(a2, splat(offset[latent + 2])), add(a3, splat(offset[latent + 3]))
        a0 = choose(greater(a0, zero), choose(at_least(a0, least), a0, zero), zero)
        a1 = choose(greater(a1, zero), choose(at_least(a1, least), a1, zero), zero)
        a2 = choose(greater(a2, zero), choose(at_least(a2, least), a2, zero), zero)
        a3 = choose(greater(a3, zero), choose(at_least(a3, least), a3, zero), zero)
        store(latents, latent * LANES, a0)
        store(latents, (latent + 1) * LANES, a1)
        store(latents, (latent + 2) * LANES, a2)
        store(latents, (latent + 3) * LANES, a3)


@numba.njit(cache=True)
def kth_largest(values: Any, k: Any) -> Any:
    """The k-th largest of the positive values; the smallest positive number if there are fewer than k."""
    # Positive floats order as their bits do: three rounds of 11, 11 and 10 bits find the k-th without sorting.
    bits = values.view(np.int32)
    prefix, known = np.int32(0), np.int32(0)
    left = k
    for shift, n_bits in ((21, 11), (10, 11), (0, 10)):
        counts = np.zeros(1 << n_bits, np.int64)
        low = np.int32((1 << n_bits) - 1)
        for i in range(bits.size):
            word = bits[i]
            if word > 0 and (word & known) == prefix:
                counts[(word >> shift) & low] += 1
        digit = low
        while digit >= 0 and counts[digit] < left:
            left -= counts[digit]
            digit -= np.int32(1)
        if digit < 0:
            return np.float32(1e-45)
        prefix = np.int32(prefix | (digit << shift))
        known = np.int32(known | (low << shift))
    found = np.empty(1, np.int32)
    found[0] = prefix
    return found.view(np.float32)[0]


@numba.njit(cache=True)
def _collect(values: Any, floor: Any, candidates: Any) -> Any:
    """Copy the values that are at least the floor; returns how many there are."""
    count = 0
    least = splat(floor)
    for at in range(0, values.size, LANES):
        if any_lane(at_least(load(values, at), least)):
            for lane in range(LANES):
                candidates[count] = values[at + lane]
                count += int(values[at + lane] >= floor)
    return count


@numba.njit(cache=True)
def latent_offset(encoder: Any, bias: Any, decoder_bias: Any, n_latents: Any, width: Any, offset: Any) -> None:
    """Each latent's constant b_j - E_j . b_d; the padding of `offset` past n_latents becomes -inf."""
    for latent in range(offset.size):
        offset[latent] = -np.inf
    for latent in range(n_latents):
        dot = splat(_ZERO)
        for d in range(0, width, LANES):
            dot = fma(load(encoder, latent * width + d), load(decoder_bias, d), dot)
        offset[latent] = bias[latent] - total(dot)


@numba.njit(cache=True)
def _sparse_gradients(
    encoder: Any,
    decoder: Any,
    decoder_bias: Any,
    width: Any,
    samples: Any,
    first: Any,
    n_samples: Any,
    batch_size: Any,
    k: Any,
    values: Any,
    latents: Any,
    gamma_squared: Any,
    centred: Any,
    residual: Any,
    encoder_gradient: Any,
    decoder_gradient: Any,
    bias_gradient: Any,
    decoder_bias_gradient: Any,
    biased: Any,
) -> Any:
    """Loss and gradients of up to 16 samples from their k active latents each."""
    scale = splat(np.float32(2.0) / np.float32(batch_size))
    loss = splat(_ZERO)
    for lane in range(n_samples):
        row = (first + lane) * width
        for d in range(0, width, LANES):
            x = subtract(load(samples, row + d), load(decoder_bias, d))
            store(centred, d, x)
            r = subtract(splat(_ZERO), x)
            for slot in range(k):
                latent = latents[slot * LANES + lane]
                if latent < 0:
                    break
                r = fma(splat(values[slot * LANES + lane]), load(decoder, latent * width + d), r)
            weighted = multiply(load(gamma_squared, d), r)
            loss = fma(weighted, r, loss)
            g = multiply(scale, weighted)
            store(residual, d, g)
            if biased:
                store(decoder_bias_gradient, d, add(load(decoder_bias_gradient, d), g))
        for slot in range(k):
            latent = latents[slot * LANES + lane]
            if latent < 0:
                break
            place = latent * width
            dot = splat(_ZERO)
            for d in range(0, width, LANES):
                dot = fma(load(decoder, place + d), load(residual, d), dot)
            slope = total(dot)
            z, dz = splat(values[slot * LANES + lane]), splat(slope)
            for d in range(0, width, LANES):
                gradient = fma(z, load(residual, d), load(decoder_gradient, place + d))
                store(decoder_gradient, place + d, gradient)
                gradient = fma(dz, load(centred, d), load(encoder_gradient, place + d))
                store(encoder_gradient, place + d, gradient)
            if biased:
                bias_gradient[latent] += slope
                for d in range(0, width, LANES):
                    back = load(decoder_bias_gradient, d)
                    back = subtract(back, multiply(dz, load(encoder, place + d)))
                    store(decoder_bias_gradient, d, back)
    return total(loss)


@numba.njit(cache=True)
def _dense_gradients(
    encoder: Any,
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
            r0 = fma(splat(decoder[at]), z, r0)
            r1 = fma(splat(decoder[at + 1]), z, r1)
            r2 = fma(splat(decoder[at + 2]), z, r2)
            r3 = fma(splat(decoder[at + 3]), z, r3)
        for i in range(4):
            r = r0 if i == 0 else r1 if i == 1 else r2 if i == 2 else r3
            target = subtract(splat(decoder_bias[d + i]), load(blocks, place + (d + i) * LANES))
            r = fma(alive, target, r)
            weighted = multiply(splat(gamma_squared[d + i]), r)
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
            d0 = fma(splat(decoder[at + d]), g, d0)
            d1 = fma(splat(decoder[at + width + d]), g, d1)
            d2 = fma(splat(decoder[at + 2 * width + d]), g, d2)
            d3 = fma(splat(decoder[at + 3 * width + d]), g, d3)
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
    for latent in range(0, n_latents, 2):
        z_at = latent * LANES
        for d in range(0, width, LANES):
            decoder_row, encoder_row = splat(_ZERO), splat(_ZERO)
            decoder_next, encoder_next = splat(_ZERO), splat(_ZERO)
            for lane in range(LANES):
                g, x = load(residual_rows, lane * width + d), load(centred, lane * width + d)
                decoder_row = fma(splat(latents[z_at + lane]), g, decoder_row)
                encoder_row = fma(splat(slopes[z_at + lane]), x, encoder_row)
                decoder_next = fma(splat(latents[z_at + LANES + lane]), g, decoder_next)
                encoder_next = fma(splat(slopes[z_at + LANES + lane]), x, encoder_next)
            at = latent * width + d
            store(decoder_gradient, at, add(load(decoder_gradient, at), decoder_row))
            store(encoder_gradient, at, add(load(encoder_gradient, at), encoder_row))
            store(decoder_gradient, at + width, add(load(decoder_gradient, at + width), decoder_next))
            store(encoder_gradient, at + width, add(load(encoder_gradient, at + width), encoder_next))
    if biased:
        for latent in range(n_latents):
            back = total(load(slopes, latent * LANES))
            bias_gradient[latent] += back
            for d in range(0, width, LANES):
                at = load(decoder_bias_gradient, d)
                at = subtract(at, multiply(splat(back), load(encoder, latent * width + d)))
                store(decoder_bias_gradient, d, at)
    return total(loss) + np.float32(l1) * total(sum_of_latents)


@numba.njit(cache=True)
def _adam(parameter: Any, gradient: Any, mean: Any, square: Any, rate: Any, correction1: Any, correction2: Any) -> None:
    """One Adam step (Kingma & Ba 2015, Algorithm 1; beta 0.9 and 0.999, epsilon 1e-8); zeroes the gradient."""
    beta1, beta2, epsilon = splat(np.float32(0.9)), splat(np.float32(0.999)), splat(np.float32(1e-8))
    rest1, rest2 = splat(np.float32(0.1)), splat(np.float32(0.001))
    size, unbias = splat(np.float32(rate / correction1)), splat(np.float32(1.0 / np.sqrt(correction2)))
    zero = splat(_ZERO)
    for at in range(0, parameter.size, LANES):
        g = load(gradient, at)
        m = fma(beta1, load(mean, at), multiply(rest1, g))
        v = fma(beta2, load(square, at), multiply(rest2, multiply(g, g)))
        step = divide(multiply(size, m), fma(square_root(v), unbias, epsilon))
        store(mean, at, m)
        store(square, at, v)
        store(parameter, at, subtract(load(parameter, at), step))
        store(gradient, at, zero)


@numba.njit(cache=True)
def _tangent(decoder: Any, gradient: Any, n_latents: Any, width: Any) -> None:
    """Take from each row's gradient its part along the row: rows of unit norm move on the sphere only."""
    for latent in range(n_latents):
        dot = splat(_ZERO)
        for d in range(latent * width, (latent + 1) * width, LANES):
            dot = fma(load(decoder, d), load(gradient, d), dot)
        along = splat(total(dot))
        for d in range(latent * width, (latent + 1) * width, LANES):
            store(gradient, d, subtract(load(gradient, d), multiply(along, load(decoder, d))))


@numba.njit(cache=True)
def _unit_rows(decoder: Any, n_latents: Any, width: Any) -> None:
    for latent in range(n_latents):
        square = splat(_ZERO)
        for d in range(latent * width, (latent + 1) * width, LANES):
            square = fma(load(decoder, d), load(decoder, d), square)
        norm = splat(np.float32(np.sqrt(total(square))))
        for d in range(latent * width, (latent + 1) * width, LANES):
            store(decoder, d, divide(load(decoder, d), norm))


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
    offset = np.empty((n_latents + 3) // 4 * 4, np.float32)
    dense = kind != TOPK
    rows = offset.size if dense else k
    values = np.empty(rows * LANES, np.float32)
    chosen = np.empty((1 if dense else k) * LANES, np.int32)
    slopes = np.empty((rows if dense else 1) * LANES, np.float32)
    centred = np.empty(width * LANES, np.float32)
    residual = np.zeros(width * LANES, np.float32)
    residual_rows = np.zeros(width * LANES, np.float32)
    all_latents = np.empty((padded // LANES if kind == BATCHTOPK else 0) * rows * LANES, np.float32)
    candidates = np.empty(all_latents.size + LANES, np.float32)
    last_threshold = _ZERO
    biased = not tied
    depth = blocks.shape[2]
    block_size = depth * LANES
    for t in range(n_steps):
        rows_of_batch = samples[t].reshape(-1)
        blocks_of_batch = blocks[t].reshape(-1)
        latent_offset(encoder, bias, decoder_bias, n_latents, width, offset)
        threshold = _ZERO
        if kind == BATCHTOPK:
            for block in range(padded // LANES):
                here = all_latents[block * rows * LANES : (block + 1) * rows * LANES]
                encode_dense(encoder, offset, width, blocks_of_batch, block * block_size, n_inputs, _ZERO, here)
                for lane in range(max(0, batch_size - block * LANES), LANES):
                    for latent in range(rows):
                        here[latent * LANES + lane] = _ZERO
            # The last step's threshold, lowered, leaves few candidates; where it leaves too few, all take part.
            count = _collect(all_latents, np.float32(0.7) * last_threshold, candidates)
            if last_threshold > 0 and count >= k * batch_size:
                threshold = kth_largest(candidates[:count], k * batch_size)
            else:
                threshold = kth_largest(all_latents, k * batch_size)
            last_threshold = threshold
        loss = 0.0
        for block in range(padded // LANES):
            first, place = block * LANES, block * block_size
            n_samples = min(LANES, batch_size - first)
            if dense:
                encode_dense(encoder, offset, width, blocks_of_batch, place, n_inputs, threshold, values)
                loss += _dense_gradients(
                    encoder, decoder, decoder_bias, width, n_latents, n_inputs, depth, rows_of_batch, first, n_samples,
                    batch_size, blocks_of_batch, place, values, slopes, l1, gamma_squared, centred, residual,
                    residual_rows, encoder_gradient, decoder_gradient, bias_gradient, decoder_bias_gradient, biased,
                )  # fmt: skip
            else:
                choose_topk(encoder, offset, width, blocks_of_batch, place, n_inputs, k, values, chosen)
                loss += _sparse_gradients(
                    encoder, decoder, decoder_bias, width, rows_of_batch, first, n_samples, batch_size, k, values,
                    chosen, gamma_squared, centred, residual, encoder_gradient, decoder_gradient, bias_gradient,
                    decoder_bias_gradient, biased,
                )  # fmt: skip
        losses[t] = loss / batch_size
        if not np.isfinite(losses[t]):
            return False
        step = first_step + t + 1
        correction1, correction2 = 1.0 - 0.9**step, 1.0 - 0.999**step
        if biased:
            _tangent(decoder, decoder_gradient, n_latents, width)
            _adam(decoder, decoder_gradient, means[1], squares[1], rates[t], correction1, correction2)
            _unit_rows(decoder, n_latents, width)
            _adam(bias, bias_gradient, means[2], squares[2], rates[t], correction1, correction2)
            _adam(decoder_bias, decoder_bias_gradient, means[3], squares[3], rates[t], correction1, correction2)
        _adam(encoder, encoder_gradient, means[0], squares[0], rates[t], correction1, correction2)
    return True


@numba.njit(cache=True, nogil=True)
def encode_samples(
    parameters: Any, n_latents: Any, n_inputs: Any, kind: Any, k: Any, blocks: Any, n_samples: Any, latents: Any
) -> None:
    """Latents z of many samples as rows of `latents` (n_samples, n_latents); batchtopk chooses among all samples."""
    encoder, _, bias, decoder_bias = parameters
    width = decoder_bias.size
    offset = np.empty((n_latents + 3) // 4 * 4, np.float32)
    latent_offset(encoder, bias, decoder_bias, n_latents, width, offset)
    rows = k if kind == TOPK else offset.size
    values = np.empty(rows * LANES, np.float32)
    chosen = np.empty(rows * LANES, np.int32)
    flat = blocks.reshape(-1)
    for block in range((n_samples + LANES - 1) // LANES):
        place, first = block * blocks.shape[1] * LANES, block * LANES
        here = min(LANES, n_samples - first)
        if kind == TOPK:
            choose_topk(encoder, offset, width, flat, place, n_inputs, k, values, chosen)
            for lane in range(here):
                latents[first + lane, :] = _ZERO
                for slot in range(k):
                    latent = chosen[slot * LANES + lane]
                    if latent >= 0:
                        latents[first + lane, latent] = values[slot * LANES + lane]
        else:
            encode_dense(encoder, offset, width, flat, place, n_inputs, _ZERO, values)
            for lane in range(here):
                for latent in range(n_latents):
                    latents[first + lane, latent] = values[latent * LANES + lane]
    if kind == BATCHTOPK:
        threshold = kth_largest(latents.reshape(-1), k * n_samples)
        for sample in range(n_samples):
            for latent in range(n_latents):
                if latents[sample, latent] < threshold:
                    latents[sample, latent] = _ZERO
