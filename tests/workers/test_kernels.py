import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.encoding import kth_largest
from workers.lanes import LANES


@settings(max_examples=60, deadline=None)
@given(values=st.lists(st.floats(-2, 100, width=32), min_size=1, max_size=200), k=st.integers(1, 220))
def test_kth_largest_is_that_of_a_sort(values, k):
    array = np.array(values, np.float32)
    positive = np.sort(array[array > 0])[::-1]
    found = kth_largest(array, k)
    if k <= len(positive):
        assert found == positive[k - 1]
    else:
        assert 0 < found <= (positive[-1] if len(positive) else 1)


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
