"""Encoder rows and samples to latents: pre-activations of 16 samples at a time, and which of them stay.

The k largest of a sample are found without sorting. The k-th largest of the maxima of small groups of latents is at
most the k-th largest latent, and costs one comparison per latent; those at or above it are few more than k, and come
out of bit masks. Nothing here depends on how latents are grouped: the choice is exact.
"""

from typing import Any

import numba
import numpy as np

from workers.lanes import (
    LANES,
    LANES_LOG2,
    add,
    any_lane,
    at_least,
    broadcast,
    fma,
    has_wide_registers,
    lane_bits,
    larger,
    load,
    lowest_bit,
    smaller,
    splat,
    store,
    total,
)

_ZERO = np.float32(0.0)
LEAST = np.float32(1.1754944e-38)
"""The smallest normal float32: a pre-activation below it counts as not positive."""
PADDING = 16
"""The number of latents is padded to a multiple of this where they lie lane by lane; the padding is never positive."""


@numba.njit(cache=True, inline="always")
def _encode_four(encoder: Any, offset: Any, row: Any, width: Any, block: Any, place: Any, n_inputs: Any) -> Any:
    r0, r1, r2, r3 = row * width, (row + 1) * width, (row + 2) * width, (row + 3) * width
    a0, a1, a2, a3 = splat(_ZERO), splat(_ZERO), splat(_ZERO), splat(_ZERO)
    for d in range(n_inputs):
        x = load(block, place + d * LANES)
        a0 = fma(broadcast(encoder, r0 + d), x, a0)
        a1 = fma(broadcast(encoder, r1 + d), x, a1)
        a2 = fma(broadcast(encoder, r2 + d), x, a2)
        a3 = fma(broadcast(encoder, r3 + d), x, a3)
    return (
        add(a0, broadcast(offset, row)),
        add(a1, broadcast(offset, row + 1)),
        add(a2, broadcast(offset, row + 2)),
        add(a3, broadcast(offset, row + 3)),
    )


@numba.njit(cache=True, inline="always")
def _encode_eight(
    encoder: Any, offset: Any, row: Any, width: Any, block: Any, place: Any, n_inputs: Any, pre: Any, at: Any
) -> None:
    r0, r1, r2, r3 = row * width, (row + 1) * width, (row + 2) * width, (row + 3) * width
    a0, a1, a2, a3 = splat(_ZERO), splat(_ZERO), splat(_ZERO), splat(_ZERO)
    a4, a5, a6, a7 = splat(_ZERO), splat(_ZERO), splat(_ZERO), splat(_ZERO)
    r4, r5, r6, r7 = r0 + 4 * width, r1 + 4 * width, r2 + 4 * width, r3 + 4 * width
    for d in range(n_inputs):
        x = load(block, place + d * LANES)
        a0 = fma(broadcast(encoder, r0 + d), x, a0)
        a1 = fma(broadcast(encoder, r1 + d), x, a1)
        a2 = fma(broadcast(encoder, r2 + d), x, a2)
        a3 = fma(broadcast(encoder, r3 + d), x, a3)
        a4 = fma(broadcast(encoder, r4 + d), x, a4)
        a5 = fma(broadcast(encoder, r5 + d), x, a5)
        a6 = fma(broadcast(encoder, r6 + d), x, a6)
        a7 = fma(broadcast(encoder, r7 + d), x, a7)
    store(pre, at, add(a0, broadcast(offset, row)))
    store(pre, at + LANES, add(a1, broadcast(offset, row + 1)))
    store(pre, at + 2 * LANES, add(a2, broadcast(offset, row + 2)))
    store(pre, at + 3 * LANES, add(a3, broadcast(offset, row + 3)))
    store(pre, at + 4 * LANES, add(a4, broadcast(offset, row + 4)))
    store(pre, at + 5 * LANES, add(a5, broadcast(offset, row + 5)))
    store(pre, at + 6 * LANES, add(a6, broadcast(offset, row + 6)))
    store(pre, at + 7 * LANES, add(a7, broadcast(offset, row + 7)))


@numba.njit(cache=True)
def encode_block(
    encoder: Any, offset: Any, width: Any, block: Any, place: Any, n_inputs: Any, pre: Any, start: Any
) -> None:
    """Pre-activations of 16 samples, latent by latent from `pre[start]` on.

    `offset` is each latent's constant (its bias less E . b_d); the number of latents is padded to a multiple of four by
    the caller with offsets of -inf.
    """
    first = 0
    if has_wide_registers():
        # Eight sums in flight hide the latency of two AVX-512 units; on AVX2 they would not fit into the registers.
        for row in range(0, offset.size // 8 * 8, 8):
            _encode_eight(encoder, offset, row, width, block, place, n_inputs, pre, start + row * LANES)
        first = offset.size // 8 * 8
    for row in range(first, offset.size, 4):
        a0, a1, a2, a3 = _encode_four(encoder, offset, row, width, block, place, n_inputs)
        at = start + row * LANES
        store(pre, at, a0)
        store(pre, at + LANES, a1)
        store(pre, at + 2 * LANES, a2)
        store(pre, at + 3 * LANES, a3)


@numba.njit(cache=True)
def keep_positive(pre: Any, rows: Any) -> None:
    """Pre-activations to latents of a ReLU, in place."""
    for at in range(0, rows * LANES, LANES):
        store(pre, at, larger(load(pre, at), splat(_ZERO)))


@numba.njit(cache=True, inline="always")
def _largest_of_four(pre: Any, at: Any) -> Any:
    low = larger(load(pre, at), load(pre, at + LANES))
    return larger(larger(load(pre, at + 2 * LANES), load(pre, at + 3 * LANES)), low)


@numba.njit(cache=True, inline="always")
def _sink(k: Any, held: Any, a: Any, b: Any, c: Any, d: Any) -> None:
    """Let four values of each lane sink into its descending list of the k largest."""
    for slot in range(0, k * LANES, LANES):
        top = load(held, slot)
        top, a = larger(a, top), smaller(a, top)
        top, b = larger(b, top), smaller(b, top)
        top, c = larger(c, top), smaller(c, top)
        top, d = larger(d, top), smaller(d, top)
        store(held, slot, top)


@numba.njit(cache=True)
def least_of_top(pre: Any, n_latents: Any, k: Any, held: Any) -> Any:
    """For each lane a positive number that at least k latents reach if k are positive, and few more than k do.

    `pre` holds at least n_latents padded to PADDING rows; rows past n_latents are not positive.
    """
    for slot in range(k):
        store(held, slot * LANES, splat(_ZERO))
    # heuristic, by measurement: the larger the groups the cheaper the search, and the more latents above its result.
    if n_latents >= 12 * k:
        for at in range(0, n_latents * LANES, 16 * LANES):
            a, b = _largest_of_four(pre, at), _largest_of_four(pre, at + 4 * LANES)
            c, d = _largest_of_four(pre, at + 8 * LANES), _largest_of_four(pre, at + 12 * LANES)
            _sink(k, held, a, b, c, d)
    elif n_latents >= 4 * k:
        for at in range(0, n_latents * LANES, 8 * LANES):
            a, b = (
                larger(load(pre, at), load(pre, at + LANES)),
                larger(load(pre, at + 2 * LANES), load(pre, at + 3 * LANES)),
            )
            c = larger(load(pre, at + 4 * LANES), load(pre, at + 5 * LANES))
            d = larger(load(pre, at + 6 * LANES), load(pre, at + 7 * LANES))
            _sink(k, held, a, b, c, d)
    else:
        for at in range(0, n_latents * LANES, 4 * LANES):
            a, b = load(pre, at), load(pre, at + LANES)
            c, d = load(pre, at + 2 * LANES), load(pre, at + 3 * LANES)
            _sink(k, held, a, b, c, d)
    return larger(load(held, (k - 1) * LANES), splat(LEAST))


@numba.njit(cache=True)
def collect_active(
    pre: Any, start: Any, n_latents: Any, least: Any, counts: Any, latents: Any, values: Any, stride: Any
) -> None:
    """Each lane's latents that are at least `least`, in order: their names and values from lane * stride on."""
    for lane in range(LANES):
        counts[lane] = 0
    for latent in range(0, n_latents, 4):
        at = start + latent * LANES
        active = lane_bits(at_least(load(pre, at), least))
        active |= lane_bits(at_least(load(pre, at + LANES), least)) << LANES
        active |= lane_bits(at_least(load(pre, at + 2 * LANES), least)) << (2 * LANES)
        active |= lane_bits(at_least(load(pre, at + 3 * LANES), least)) << (3 * LANES)
        while active != 0:
            bit = lowest_bit(active)
            active &= active - 1
            lane = bit & (LANES - 1)
            place = lane * stride + counts[lane]
            latents[place] = latent + (bit >> LANES_LOG2)
            values[place] = pre[at + bit]
            counts[lane] += 1


@numba.njit(cache=True)
def _drop_smallest(start: Any, count: Any, latents: Any, values: Any) -> None:
    """Take the smallest value out of a lane's list, of equal ones the last."""
    worst = start
    for place in range(start + 1, start + count):
        if values[place] <= values[worst]:
            worst = place
    for place in range(worst, start + count - 1):
        values[place], latents[place] = values[place + 1], latents[place + 1]


@numba.njit(cache=True)
def choose_topk(
    pre: Any, n_latents: Any, k: Any, held: Any, counts: Any, latents: Any, values: Any, stride: Any
) -> None:
    """The k largest positive pre-activations of each of 16 samples; of equal ones the lower latents stay."""
    least = least_of_top(pre, n_latents, k, held)
    collect_active(pre, 0, n_latents, least, counts, latents, values, stride)
    for lane in range(LANES):
        while counts[lane] > k:
            _drop_smallest(lane * stride, counts[lane], latents, values)
            counts[lane] -= 1


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
def threshold_of_batch(pre: Any, kept: Any, last: Any, candidates: Any) -> Any:
    """The `kept`-th largest of a batch's pre-activations; `last` is the step's before, 0 if there was none."""
    # The last step's threshold, lowered, leaves few candidates; where it leaves too few, all take part.
    count = _collect(pre, np.float32(0.7) * last, candidates)
    if last > 0 and count >= kept:
        return kth_largest(candidates[:count], kept)
    return kth_largest(pre, kept)


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
