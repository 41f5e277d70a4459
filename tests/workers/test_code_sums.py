import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from phase_diagrams.scores import code_statistics
from workers.code_sums import add_dense_pairs, add_sparse_pairs, sparse_codes


def codes(seed: int, samples: int, width: int, density: float) -> np.ndarray:
    generator = np.random.default_rng(seed)
    values = generator.standard_normal((samples, width)) * (generator.random((samples, width)) < density)
    return np.maximum(values, 0).astype(np.float32)


@settings(deadline=None)
@given(st.integers(0, 99), st.integers(1, 40), st.integers(1, 9), st.integers(1, 17), st.floats(0, 1), st.floats(0, 1))
def test_sums_over_active_pairs_are_those_of_matrix_products(seed, samples, n, m, feature_density, latent_density):
    features, latents = codes(seed, samples, n, feature_density), codes(seed + 100, samples, m, latent_density)
    expected, sparse, active = code_statistics(features, latents), sparse_codes(features), sparse_codes(latents)
    code = active.offsets, active.feature.astype(np.int32), active.magnitude
    by_feature, by_sample = ((np.zeros((n, m)), np.zeros((n, m)), np.zeros((n, m), np.int64)) for _ in range(2))
    add_sparse_pairs(sparse.feature_offsets, sparse.sample, sparse.feature_magnitude, *code, *by_feature)
    add_dense_pairs(sparse.offsets, sparse.feature, sparse.magnitude, *code, *by_sample)
    names = ("cross", "activation_sum", "joint_count")
    for name, one, other in zip(names, by_feature, by_sample, strict=True):
        assert np.array_equal(one, other), name
        assert np.allclose(one, getattr(expected, name), rtol=1e-12, atol=1e-12), name
    assert np.array_equal(sparse.count, expected.feature_count)
    assert np.allclose(sparse.energy, expected.feature_energy, rtol=1e-12)
