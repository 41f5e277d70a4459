from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phase_diagrams.scores import CodeStatistics, code_statistics
from workers.code_sums import sparse_codes, sum_codes


def codes(seed: int, samples: int, width: int, density: float) -> np.ndarray:
    generator = np.random.default_rng(seed)
    values = generator.standard_normal((samples, width)) * (generator.random((samples, width)) < density)
    return np.maximum(values, 0).astype(np.float32)


@settings(deadline=None)
@given(st.integers(0, 99), st.integers(1, 40), st.integers(1, 9), st.integers(1, 17), st.floats(0, 1), st.floats(0, 1))
def test_sums_over_active_pairs_are_those_of_matrix_products(seed, samples, n, m, feature_density, latent_density):
    features, latents = codes(seed, samples, n, feature_density), codes(seed + 100, samples, m, latent_density)
    expected, found = code_statistics(features, latents), sum_codes(sparse_codes(features), latents)
    assert found.n_samples == samples
    for field in fields(CodeStatistics)[1:]:
        one, other = getattr(found, field.name), getattr(expected, field.name)
        assert one.shape == other.shape
        assert one.dtype == other.dtype
        assert np.allclose(one, other, rtol=1e-12, atol=1e-12), field.name


@pytest.mark.parametrize("latent_density", [0.1, 0.9])  # pair by pair, row by row
def test_parts_of_the_samples_add_up_to_the_whole(latent_density):
    features, latents = codes(1, 300, 8, 0.3), codes(2, 300, 16, latent_density)
    whole = sum_codes(sparse_codes(features), latents)
    first, second = (sum_codes(sparse_codes(features[part]), latents[part]) for part in (slice(150), slice(150, 300)))
    assert np.array_equal(whole.joint_count, (first + second).joint_count)
    assert np.allclose(whole.cross, (first + second).cross, rtol=1e-13)
