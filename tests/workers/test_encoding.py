import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.encoding import PADDING, choose_topk, encode_block, kth_largest
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


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 99), st.integers(1, 90), st.integers(1, 12), st.sampled_from([1000.0, 4.0]))
def test_topk_keeps_what_a_stable_sort_keeps(seed, n_latents, k, grain):
    """With a coarse grain many values are equal: the lower latents stay."""
    rows = -(-n_latents // PADDING) * PADDING
    pre = np.zeros((rows, LANES), np.float32)
    pre[:n_latents] = np.round(np.random.default_rng(seed).standard_normal((n_latents, LANES)) * grain) / grain
    stride = rows + LANES
    counts, latents = np.zeros(LANES, np.int64), np.zeros(LANES * stride, np.int32)
    values = np.zeros(LANES * stride, np.float32)
    choose_topk(pre.reshape(-1), n_latents, k, np.empty(k * LANES, np.float32), counts, latents, values, stride)
    for lane in range(LANES):
        column = pre[:n_latents, lane]
        best = np.argsort(-column, kind="stable")[:k]
        expected = np.sort(best[column[best] > 0])
        found = slice(lane * stride, lane * stride + counts[lane])
        assert latents[found].tolist() == expected.tolist()
        assert values[found].tolist() == column[expected].tolist()


def test_no_latent_is_chosen_where_pre_activations_are_not_numbers():
    pre = np.full((PADDING, LANES), np.nan, np.float32)
    pre[3] = 1.0
    counts, latents = np.zeros(LANES, np.int64), np.zeros(LANES * 32, np.int32)
    values = np.zeros(LANES * 32, np.float32)
    choose_topk(pre.reshape(-1), PADDING, 2, np.empty(2 * LANES, np.float32), counts, latents, values, 32)
    assert counts.tolist() == [1] * LANES
    assert latents[::32].tolist() == [3] * LANES


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 40), st.integers(1, 9))
def test_pre_activations_are_products_plus_offsets(n_latents, n_inputs):
    generator = np.random.default_rng(n_latents)
    rows, width = -(-n_latents // 4) * 4, LANES
    encoder = np.zeros((rows, width), np.float32)
    encoder[:n_latents, :n_inputs] = generator.standard_normal((n_latents, n_inputs))
    offset = np.full(rows, -np.inf, np.float32)
    offset[:n_latents] = generator.standard_normal(n_latents)
    block = generator.standard_normal((n_inputs, LANES)).astype(np.float32)
    pre = np.empty(rows * LANES, np.float32)
    encode_block(encoder.reshape(-1), offset, width, block.reshape(-1), 0, n_inputs, pre, 0)
    expected = encoder[:n_latents, :n_inputs].astype(float) @ block + offset[:n_latents, None]
    assert np.allclose(pre.reshape(rows, LANES)[:n_latents], expected, atol=1e-5)
    assert not (pre.reshape(rows, LANES)[n_latents:] > 0).any()
