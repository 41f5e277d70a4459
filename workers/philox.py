"""A key and a counter to random words: Philox4x32-10 (Salmon et al., SC 2011), so that any word can be drawn alone."""

from typing import Any

import numba
import numpy as np

FIRING, MAGNITUDE, NOISE = 0, 1, 2
"""Purposes: the last number of a counter, so that no two uses of one key share a word."""


@numba.njit(cache=True, inline="always")
def philox(key_low: Any, key_high: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    """Four independent 32-bit words (in 64-bit integers) of a key and the counter (a, b, c, d)."""
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
def unit(word: Any) -> Any:
    """A 32-bit word as a number in (0, 1)."""
    return (np.float64(word) + 0.5) * 2.0**-32


@numba.njit(cache=True)
def draw_words(key_low: Any, key_high: Any, step: Any, first: Any, words: Any) -> None:
    """The firing words of neighbouring samples from `first` on, (features padded to 4, samples).

    Samples run inside, so that LLVM vectorises them.
    """
    for block in range(words.shape[0] // 4):
        for sample in range(words.shape[1]):
            w0, w1, w2, w3 = philox(key_low, key_high, block, first + sample, step, FIRING)
            words[4 * block, sample] = np.uint32(w0)
            words[4 * block + 1, sample] = np.uint32(w1)
            words[4 * block + 2, sample] = np.uint32(w2)
            words[4 * block + 3, sample] = np.uint32(w3)


@numba.njit(cache=True, inline="always")
def standard_normal(word: Any, other: Any) -> Any:
    """A normal number from two words (Box and Muller 1958)."""
    return np.sqrt(-2.0 * np.log(unit(word))) * np.cos(2.0 * np.pi * unit(other))
