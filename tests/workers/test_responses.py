from dataclasses import fields

import numpy as np
import pytest
import torch

from phase_diagrams.activation import parse_activation
from phase_diagrams.scores import CodeStatistics, code_statistics
from phase_diagrams.spec import Data, Training
from phase_diagrams.trial import Condition, Trial
from workers.evaluation import EvaluationData, draw_evaluation_data, respond_in_turn
from workers.responses import Responses, encode, respond
from workers.sae import Weights, initialise
from workers.sampler import EVALUATION_STEP, draw_features, open_stream
from workers.torch_responses import SAMPLES, respond_on, response_bytes
from workers.training import Model, Trained, train

ACTIVATIONS = ["topk:1", "topk:3", "batchtopk:2", "relu", "relu_l1:0.05"]
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
DATA = Data.model_validate({"n_features": 30, "n_inputs": 18, "noise": 0.01})
DICTIONARY = np.random.default_rng(3).standard_normal((18, 30)).astype(np.float32)
DICTIONARY /= np.linalg.norm(DICTIONARY, axis=0)
STREAM = open_stream(DATA, DICTIONARY, 0.9, 5)


@pytest.fixture(scope="module")
def data() -> EvaluationData:
    return draw_evaluation_data(STREAM)


def model(activation: str, seed: int = 0, hidden_dim: int = 37, tied: bool = False) -> Model:
    chosen = parse_activation(activation)
    weights = initialise(Trial(Condition(0.9, hidden_dim, chosen, 0.0), seed, "random"), DICTIONARY)
    scale = 0.0 if tied else 0.02
    biases = (np.random.default_rng(seed).normal(0, scale, size).astype(np.float32) for size in (hidden_dim, 18))
    return Model(Weights(weights.encoder, weights.decoder, *biases), chosen, np.ones(18, np.float32))


def trained(models: list[Model], tied: bool) -> list[Trained]:
    return train(models, STREAM, Training(steps=30, batch_size=64), tied)


def same(one: Responses, other: Responses) -> bool:
    statistics = (getattr(each.statistics, field.name) for field in fields(CodeStatistics) for each in (one, other))
    pairs = [one.square_error, other.square_error, one.latent_total, other.latent_total, *statistics]
    return all(np.array_equal(left, right) for left, right in zip(pairs[::2], pairs[1::2], strict=True))


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_responses_are_those_of_the_definitions_in_float64(tied, activation, data):
    one = model(activation, tied=tied)
    weights = trained([one], tied)[0].weights
    arguments = weights, one.activation, tied, data.codes, data.samples, data.blocks
    found = respond(*arguments)
    z = encode(weights, one.activation, tied, data.samples, data.blocks, data.codes.n_samples).astype(np.float64)
    apart = np.abs(z - _definition(weights, one, tied, data.inputs)).max(axis=1)
    assert np.mean(apart > 1e-5) < 1e-3, "but for near ties, of which float64 may choose the other latent"
    residual = z @ weights.decoder - data.inputs + (0 if tied else weights.decoder_bias)
    features = draw_features(STREAM, EVALUATION_STEP, data.codes.n_samples)
    expected = code_statistics(features, z)
    assert np.allclose(found.square_error, np.sum(residual**2, axis=0), rtol=1e-5)
    assert found.latent_total == pytest.approx(z.sum(), rel=1e-12)
    for field in fields(CodeStatistics):
        left, right = getattr(found.statistics, field.name), getattr(expected, field.name)
        assert np.shape(left) == np.shape(right)
        assert np.asarray(left).dtype == np.asarray(right).dtype
        assert np.allclose(left, right, rtol=1e-12, atol=1e-12), field.name


def _definition(weights: Weights, one: Model, tied: bool, inputs: np.ndarray) -> np.ndarray:
    """Latents as the papers define them: sort, and keep the largest."""
    x, e = inputs.astype(np.float64), weights.encoder.astype(np.float64)
    pre = x @ e.T if tied else (x - weights.decoder_bias) @ e.T + weights.encoder_bias
    z = np.maximum(pre, 0)
    if one.activation.kind == "topk":
        return np.where(z >= np.sort(z, axis=1)[:, [-one.activation.k]], z, 0)
    if one.activation.kind == "batchtopk":
        return np.where(z >= np.sort(z, axis=None)[-one.activation.k * len(z)], z, 0)
    return z


@pytest.mark.parametrize("n_samples", [1, 15, 16, 17, 100])
@pytest.mark.parametrize("activation", ["topk:3", "batchtopk:2", "relu"])
def test_samples_that_pad_the_last_lanes_do_not_count(activation, n_samples, data):
    one = model(activation)
    padded = -(-n_samples // 16) * 16
    filled = data.samples[:padded], data.blocks[: padded // 16]
    emptied = filled[0].copy(), filled[1].copy()
    emptied[0][n_samples:] = 0
    emptied[1].swapaxes(1, 2).reshape(padded, -1)[n_samples:] = 0
    first = encode(one.weights, one.activation, False, *filled, n_samples)
    assert np.array_equal(first, encode(one.weights, one.activation, False, *emptied, n_samples))
    if activation == "batchtopk:2":
        assert np.count_nonzero(first) == 2 * n_samples


def test_a_model_in_turn_responds_bit_for_bit_as_alone(data):
    models = [model(activation, seed, size) for seed, size in enumerate((37, 37, 16, 80)) for activation in ACTIVATIONS]
    everyone = trained(models, False)
    together = dict(respond_in_turn(models, everyone, range(len(models)), False, data))
    for place in reversed(range(len(models))):
        [(_, alone)] = respond_in_turn(models, everyone, [place], False, data)
        assert same(alone, together[place]), models[place].activation


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("most", [1, 2, 100])  # models that the budget has room for
def test_a_device_responds_as_the_kernel_does(device, tied, most, data):
    sizes = enumerate((37, 37, 16))
    models = [model(activation, seed, size, tied) for seed, size in sizes for activation in ACTIVATIONS]
    everyone, places = trained(models, tied), [0, *range(2, 15)]
    budget = most * response_bytes(models[0], data.codes)
    found = dict(respond_on(models, everyone, places, tied, data, device, budget))
    assert sorted(found) == places
    for place, expected in respond_in_turn(models, everyone, places, tied, data):
        one, name = found[place], models[place].activation
        assert np.allclose(one.square_error, expected.square_error, rtol=1e-4), name
        assert one.latent_total == pytest.approx(expected.latent_total, rel=1e-5)
        for field in fields(CodeStatistics):
            left, right = getattr(one.statistics, field.name), getattr(expected.statistics, field.name)
            assert np.shape(left) == np.shape(right)
            assert np.asarray(left).dtype == np.asarray(right).dtype
            # Of near ties a device may choose the other latent.
            apart = np.abs(np.asarray(left, np.float64) - right).sum() / max(1.0, np.abs(right).sum())
            assert apart < 1e-4, (name, field.name, apart)
    assert data.codes.n_samples > SAMPLES, "more than one product is added up"
