"""Two sets of seed outcomes to the difference of their probabilities: its interval, an exact test, and many at once."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import binom, fisher_exact

from phase_diagrams.interval import wilson

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

EXACT_BLOCKS = 13
"""Blocks up to which every choice of signs is tried: 8,192 of them."""
PERMUTATIONS = 9_999
"""Random choices of signs beyond that; p values are then good to .004 at .05 (two standard errors)."""


class Comparison(NamedTuple):
    """The difference other - one of two probabilities, with its 95 % interval and two-sided p value."""

    difference: float
    low: float
    high: float
    p_value: float


def compare_unpaired(one: npt.ArrayLike, other: npt.ArrayLike) -> Comparison:
    """Compare independent outcomes: Newcombe's interval (Statist. Med. 17 (1998) 873, method 10), Fisher's exact test.

    `one` and `other` are (seeds,) flags, at least one each.
    """
    x, y = _flags(one), _flags(other)
    (p, low_p, high_p), (q, low_q, high_q) = _share(x), _share(y)
    low = q - p - np.hypot(q - low_q, high_p - p)
    high = q - p + np.hypot(high_q - q, p - low_p)
    table = [[int(x.sum()), int((~x).sum())], [int(y.sum()), int((~y).sum())]]
    return Comparison(q - p, float(low), float(high), float(fisher_exact(table)[1]))


def compare_paired(one: npt.ArrayLike, other: npt.ArrayLike) -> Comparison:
    """Compare outcomes paired by seed: Newcombe's interval (Statist. Med. 17 (1998) 2635, method 10), exact McNemar.

    The test looks at the discordant pairs alone, which fall either way with probability 1/2 if nothing differs.
    """
    x, y = _flags(one), _flags(other)
    if x.size != y.size:
        raise ValueError(f"paired outcomes must be of one length, got {x.size} and {y.size}")
    (p, low_p, high_p), (q, low_q, high_q) = _share(x), _share(y)
    phi = _correlation(x, y)
    low = q - p - _distance(q - low_q, high_p - p, phi)
    high = q - p + _distance(high_q - q, p - low_p, phi)
    gained, lost = int(np.sum(y & ~x)), int(np.sum(x & ~y))
    p_value = min(1.0, 2.0 * float(binom.cdf(min(gained, lost), gained + lost, 0.5)))
    return Comparison(q - p, low, high, p_value)


def benjamini_hochberg(p_values: npt.ArrayLike) -> Floats:
    """Adjusted p values: of those up to q, a share of at most q is false on average (JRSS B 57 (1995) 289)."""
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p)
    scaled = p[order] * p.size / np.arange(1, p.size + 1)
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum.accumulate(scaled[::-1])[::-1]
    return np.minimum(adjusted, 1.0)


def sign_flip_test(block_sums: npt.ArrayLike) -> float:
    """Two-sided p value of a sum of paired differences, whose blocks are independent: each block's sign is arbitrary.

    All outcomes of a block share their data, so they are flipped together. Exact up to 13 blocks that are not 0, else
    from 9,999 random flips, always the same ones.
    """
    sums = np.sort(np.asarray(block_sums, dtype=np.float64))  # the order of blocks is void
    sums = sums[sums != 0]
    total = abs(float(sums.sum()))
    if not sums.size:
        return 1.0
    if sums.size <= EXACT_BLOCKS:
        codes = np.arange(2**sums.size)[:, None] >> np.arange(sums.size) & 1
        flipped = (2.0 * codes - 1.0) @ sums
        return float(np.mean(np.abs(flipped) >= total - 1e-9))
    signs = np.random.default_rng(sums.size).choice((-1.0, 1.0), (PERMUTATIONS, sums.size))
    return float((1 + np.sum(np.abs(signs @ sums) >= total - 1e-9)) / (1 + PERMUTATIONS))


def _flags(values: npt.ArrayLike) -> Flags:
    flags = np.asarray(values, dtype=bool)
    if flags.ndim != 1 or not flags.size:
        raise ValueError(f"outcomes must be one flag per seed for at least one seed, got shape {flags.shape}")
    return flags


def _share(flags: Flags) -> tuple[float, float, float]:
    low, high = wilson(int(flags.sum()), flags.size)
    return float(flags.mean()), float(low), float(high)


def _correlation(x: Flags, y: Flags) -> float:
    """The phi coefficient with Newcombe's correction towards 0; 0 where a margin is empty."""
    a, b, c, d = (float(np.sum(cell)) for cell in (x & y, x & ~y, ~x & y, ~x & ~y))
    margins = (a + b) * (c + d) * (a + c) * (b + d)
    if not margins:
        return 0.0
    cross = a * d - b * c
    corrected = cross if cross < 0 else max(cross - (a + b + c + d) / 2, 0.0)
    return float(corrected / np.sqrt(margins))


def _distance(first: float, second: float, phi: float) -> float:
    return float(np.sqrt(max(first**2 - 2 * phi * first * second + second**2, 0.0)))
