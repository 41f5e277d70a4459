"""Proxies of polysemanticity: closed forms, mean 1, and what is paired stays paired."""

from typing import get_args

import numpy as np
import pytest

from phase_diagrams.proxy import Proxy, effective_features, proxy_values
from phase_diagrams.superposition import polygon

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("proxy", get_args(Proxy))
def test_every_proxy_is_positive_with_mean_one_and_leaves_dead_dimensions_alone(proxy: Proxy) -> None:
    dictionary = polygon(2, 2, 1)  # 2 + 4 + 5 features in 2 + 2 + 2 dimensions
    codes = RNG.random((4000, 11)) * (RNG.random((4000, 11)) < 0.1)
    inputs = (codes @ dictionary.T).astype(np.float32)
    values = proxy_values(proxy, inputs, dictionary)
    assert values.shape == (6,)
    assert (values > 0).all()
    assert values.mean() == pytest.approx(1)
    dead = np.column_stack([inputs, np.full(4000, 3.0, np.float32)])
    with_dead = proxy_values(proxy, dead, np.vstack([dictionary, np.zeros(11)]))
    assert with_dead[6] == 1
    assert np.allclose(with_dead[:6], values)
    assert (proxy_values(proxy, np.ones((10, 6)), dictionary) == 1).all()


def test_variance_and_its_inverse_are_reciprocal_up_to_their_means() -> None:
    inputs = RNG.normal(0, [1, 2, 3], (1000, 3))
    product = proxy_values("variance", inputs, np.eye(3)) * proxy_values("inverse_variance", inputs, np.eye(3))
    assert np.allclose(product, product[0])


def test_kurtosis_and_firing_rate_have_their_known_values() -> None:
    n = 400_000
    normal, uniform = RNG.normal(0, 5, n), RNG.uniform(-1, 1, n)
    values = proxy_values("kurtosis", np.column_stack([normal, uniform]), np.eye(2))
    assert values[0] / values[1] == pytest.approx(3 / 1.8, rel=0.02)  # Gaussian 3, uniform 9/5
    rare, common = (RNG.random(n) < 0.05).astype(float), (RNG.random(n) < 0.4).astype(float)
    noisy = np.column_stack([rare + RNG.normal(0, 1e-4, n), 100 * common])
    values = proxy_values("firing_rate", noisy, np.eye(2))
    assert values[1] / values[0] == pytest.approx(8, rel=0.03)  # neither scale nor faint noise counts


def test_known_polysemanticity_counts_the_features_that_share_a_dimension() -> None:
    assert np.allclose(effective_features(np.eye(4)), 1)
    assert np.allclose(effective_features(np.array([[1, -1, 0], [0, 0, 1], [0.5, 0.5, 0.5]])), [2, 1, 3])
    shared = effective_features(polygon(1, 1, 1))
    # A regular pentagon: sum cos^2 = 5/2 and sum cos^4 = 15/8 along either axis, so (5/2)^2 / (15/8).
    assert np.allclose(shared, [1, 2, 10 / 3, 10 / 3], atol=1e-5)
    assert effective_features(np.zeros((1, 3))) == 0
