import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phase_diagrams.code_law import firing_probabilities, magnitude_moments
from phase_diagrams.spec import Data
from workers.philox import philox
from workers.sampler import draw_batches, draw_features, open_stream

MAGNITUDES = ["uniform", "constant", "half_normal", "exponential"]


def data(kind="bernoulli", magnitude="uniform", firing="uniform", noise=0.0, n=12, d=5):
    code = {"kind": kind, "magnitude": magnitude, "firing": {"kind": firing}}
    return Data.model_validate({"n_features": n, "n_inputs": d, "code": code, "noise": noise})


def stream(sparsity=0.8, key=7, **law):
    spec = data(**law)
    dictionary = np.random.default_rng(0).standard_normal((spec.n_inputs, spec.n_features)).astype(np.float32)
    return open_stream(spec, dictionary, sparsity, key)


@pytest.mark.parametrize(
    ("key", "counter", "expected"),
    [  # known answers published with Random123 (kat_vectors, philox4x32 10)
        ((0, 0), (0, 0, 0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((0xFFFFFFFF,) * 2, (0xFFFFFFFF,) * 4, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0xA4093822, 0x299F31D0),
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_philox_gives_the_published_answers(key, counter, expected):
    assert tuple(int(word) for word in philox(*map(np.uint32, key), *map(np.uint32, counter))) == expected


@pytest.mark.parametrize(
    ("kind", "n", "sparsity"), [("bernoulli", 12, 0.75), ("bernoulli", 100, 0.99), ("exact", 12, 0.75)]
)
@pytest.mark.parametrize("magnitude", MAGNITUDES)
def test_features_follow_their_law(kind, n, sparsity, magnitude):
    x = draw_features(stream(sparsity, kind=kind, magnitude=magnitude, n=n), 3, 40_000)
    active = x > 0
    assert (x >= 0).all()
    assert np.allclose(active.mean(0), 1 - sparsity, atol=5 * np.sqrt((1 - sparsity) * sparsity / 40_000))
    if kind == "exact":
        assert (active.sum(1) == 3).all()
    else:
        assert active.sum(1).var() == pytest.approx(n * sparsity * (1 - sparsity), rel=0.05)
    law = magnitude_moments(magnitude)
    assert x[active].mean(dtype=float) == pytest.approx(law.mean, rel=0.02)
    assert np.square(x[active], dtype=float).mean() == pytest.approx(law.mean_square, rel=0.04)


def test_magnitudes_do_not_depend_on_which_features_fire():
    x = draw_features(stream(0.5, magnitude="half_normal", n=4), 0, 50_000)
    alone = x[(x > 0).sum(1) == 1].max(1)
    together = x[(x > 0).sum(1) == 4].mean(1)
    assert alone.mean() == pytest.approx(together.mean(), rel=0.03)
    pair = x[(x[:, 0] > 0) & (x[:, 1] > 0)]
    assert abs(np.corrcoef(pair[:, 0], pair[:, 1])[0, 1]) < 0.04


@pytest.mark.parametrize("kind", ["bernoulli", "exact"])
def test_zipf_firing_keeps_the_mean_density_and_falls_with_rank(kind):
    x = draw_features(stream(0.8, kind=kind, firing="zipf", n=20), 0, 40_000)
    rates = (x > 0).mean(0)
    assert rates.mean() == pytest.approx(0.2, abs=0.003)
    assert (np.diff(rates) < 0.01).all()
    assert rates[0] > 3 * rates[-1]
    if kind == "bernoulli":
        assert np.allclose(rates, firing_probabilities(20, 0.8, "zipf", 1.0), atol=0.012)


def test_no_sparsity_means_every_feature_fires():
    assert (draw_features(stream(0.0), 0, 100) > 0).all()


def test_inputs_are_the_dictionary_times_the_features_in_both_layouts():
    source = stream(0.7, n=12, d=5)
    batches = draw_batches(source, 10, 3, 37)
    for t in range(3):
        x = draw_features(source, 10 + t, 37)
        expected = x @ source.dictionary.T
        assert np.allclose(batches.samples[t, :37, :5], expected, atol=1e-5)
        lanes = batches.blocks[t].transpose(0, 2, 1).reshape(48, -1)
        assert np.array_equal(lanes[:37, :5], batches.samples[t, :37, :5])
    assert not batches.samples[:, 37:].any()
    assert not batches.samples[:, :, 5:].any()


def test_noise_has_its_standard_deviation_and_leaves_the_features_alone():
    quiet, noisy = (draw_batches(stream(0.9, noise=noise), 0, 4, 2048) for noise in (0.0, 0.3))
    difference = (noisy.samples - quiet.samples)[:, :, :5]
    assert difference.std() == pytest.approx(0.3, rel=0.02)
    assert abs(difference.mean()) < 0.01


@settings(max_examples=25, deadline=None)
@given(
    first=st.integers(0, 1000),
    count=st.integers(1, 5),
    batch=st.integers(1, 40),
    key=st.integers(0, 2**64 - 1),
    law=st.sampled_from(
        [
            (0.6, "bernoulli", "uniform", 12),
            (0.99, "bernoulli", "uniform", 70),
            (0.6, "exact", "uniform", 12),
            (0.6, "exact", "zipf", 12),
        ]
    ),
)
def test_a_batch_is_the_same_however_the_stream_is_cut(first, count, batch, key, law):
    sparsity, kind, firing, n = law
    source = stream(sparsity, key=key, kind=kind, firing=firing, n=n, noise=0.1)
    together = draw_batches(source, first, count, batch)
    for t in range(count):
        alone = draw_batches(source, first + t, 1, batch)
        assert np.array_equal(together.samples[t], alone.samples[0])


def test_keys_and_steps_give_different_data():
    digests = {
        hashlib.sha256(draw_features(stream(0.5, key=key), step, 16).tobytes()).hexdigest()
        for key in (0, 1, 2**32, 2**63)
        for step in (0, 1, 2**31)
    }
    assert len(digests) == 12
