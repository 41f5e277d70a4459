import numpy as np
import pytest

from workers.lanes import LANES


@pytest.mark.parametrize("size", [LANES, 5 * LANES])
def test_lanes_add_multiply_and_sum(size):
    import numba

    from workers.lanes import fma, load, splat, total

    @numba.njit  # type: ignore[misc]
    def dot(a, b):
        sums = splat(np.float32(0))
        for at in range(0, a.size, LANES):
            sums = fma(load(a, at), load(b, at), sums)
        return total(sums)

    generator = np.random.default_rng(size)
    a, b = generator.standard_normal((2, size)).astype(np.float32)
    assert dot(a, b) == pytest.approx(float(a.astype(float) @ b.astype(float)), abs=1e-5)


@pytest.mark.parametrize("bits", [1, 0x8000, 0xA5A5])
def test_bits_are_the_lanes_that_hold(bits):
    import numba

    from workers.lanes import at_least, lane_bits, load, lowest_bit, splat

    @numba.njit  # type: ignore[misc]
    def find(array):
        held = lane_bits(at_least(load(array, 0), splat(np.float32(0.5))))
        return held, lowest_bit(held)

    array = np.array([bits >> lane & 1 for lane in range(LANES)], np.float32)
    assert find(array) == (bits, (bits & -bits).bit_length() - 1)


def test_words_compare_as_unsigned():
    import numba

    from workers.lanes import broadcast, lane_bits, load, words_at_most

    @numba.njit  # type: ignore[misc]
    def compare(words, limits):
        return lane_bits(words_at_most(load(words, 0), broadcast(limits, 0)))

    words = np.array([0, 1, 2**31 - 1, 2**31, 2**32 - 1] + [5] * 11, np.uint32)
    assert compare(words, np.array([2**31], np.uint32)) == 0b1111111111101111
