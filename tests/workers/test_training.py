from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from phase_diagrams.activation import parse_activation
from phase_diagrams.matching import match_features
from phase_diagrams.proxy import Proxy
from phase_diagrams.spec import Data, Recovery, Training
from phase_diagrams.trial import Condition, Trial
from workers.sae import Weights, initialise, learning_rates, reweighting
from workers.sampler import open_stream
from workers.stack import losses_and_gradients, reconstruct, stack, stack_objectives
from workers.torch_training import step_bytes, train_on
from workers.training import Model, train

ACTIVATIONS = ["topk:1", "topk:3", "batchtopk:2", "relu", "relu_l1:0.05"]
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
DATA = Data.model_validate({"n_features": 10, "n_inputs": 6})
DICTIONARY = np.random.default_rng(3).standard_normal((6, 10)).astype(np.float32)
DICTIONARY /= np.linalg.norm(DICTIONARY, axis=0)


def model(activation, start="random", seed=0, hidden_dim=14, exponent=0.0, bias=0.0):
    chosen = parse_activation(activation)
    weights = initialise(Trial(Condition(0.7, hidden_dim, chosen, exponent), seed, start), DICTIONARY)
    shift = np.full(hidden_dim, bias, np.float32), np.full(6, bias, np.float32)
    gamma = np.linspace(0.5, 1.5, 6).astype(np.float32) if exponent else np.ones(6, np.float32)
    return Model(Weights(weights.encoder, weights.decoder, *shift), chosen, gamma)


def stream(key=5):
    return open_stream(DATA, DICTIONARY, 0.7, key)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("exponent", [0.0, 1.0])
@pytest.mark.parametrize("start", ["random", "truth"])
def test_hand_written_gradients_are_those_of_autograd(tied, activation, exponent, start):
    one = model(activation, start, exponent=exponent, bias=0.0 if tied else 0.03)
    two = model(activation, start, seed=1, exponent=exponent, bias=0.0 if tied else -0.02)
    pair = stack([one.weights, two.weights], tied, "cpu", torch.float64)
    inputs = torch.tensor(np.random.default_rng(0).standard_normal((32, 6)))
    objective = stack_objectives([one, two], 32, "cpu", dtype=torch.float64)
    gamma = torch.tensor(np.stack([one.gamma_squared, two.gamma_squared])[..., None], dtype=torch.float64)
    parameters = pair.parameters()
    for parameter in parameters:
        parameter.requires_grad_(True)
    z, residual = reconstruct(pair, objective, inputs)
    loss = (gamma * residual**2).sum((1, 2)) / 32 + (one.activation.l1 or 0) * z.sum((1, 2)) / 32
    expected = torch.autograd.grad(loss.sum(), parameters)
    with torch.no_grad():
        value, gradients = losses_and_gradients(pair, objective, inputs)
    assert torch.allclose(value, loss.detach(), rtol=1e-12)
    for gradient, reference in zip(gradients, expected, strict=True):
        assert torch.allclose(gradient, reference, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("batch_size", [48, 37])
@pytest.mark.parametrize("device", DEVICES)
def test_the_kernel_trains_as_torch_does(tied, activation, batch_size, device):
    models = [model(activation, seed=seed, exponent=float(seed), bias=0.0 if tied else 0.01) for seed in (0, 1)]
    training = Training(steps=40, batch_size=batch_size, learning_rate=0.003)
    fused = train(models, stream(), training, tied)
    reference = train_on(models, stream(), training, tied, device)
    for one, other in zip(fused, reference, strict=True):
        # Stated tolerance: rounding differs, and 40 steps of Adam amplify it to below 1e-3 of the loss.
        assert np.allclose(one.losses, other.losses, rtol=1e-3)
        assert np.allclose(one.losses[:5], other.losses[:5], rtol=2e-5)
        assert np.allclose(one.weights.decoder, other.weights.decoder, atol=5e-3)


@settings(max_examples=12, deadline=None)
@given(order=st.permutations(range(8)), cut=st.integers(1, 7), tied=st.booleans())
def test_packed_is_alone_bit_for_bit(order, cut, tied):
    models = [
        model(activation, start, hidden_dim=width)
        for activation, width in (("topk:2", 14), ("relu", 9), ("batchtopk:1", 7), ("topk:1", 20))
        for start in ("random", "truth")
    ]
    training = Training(steps=12, batch_size=20)
    alone = [train([one], stream(), training, tied)[0] for one in models]
    for part in (order[:cut], order[cut:]):
        for index, packed in zip(part, train([models[i] for i in part], stream(), training, tied), strict=True):
            assert np.array_equal(packed.losses, alone[index].losses)
            for name in ("encoder", "decoder", "encoder_bias", "decoder_bias"):
                assert np.array_equal(getattr(packed.weights, name), getattr(alone[index].weights, name))


@pytest.mark.parametrize("stop", [None, {"patience": 30, "tolerance": 0.2}])
def test_drawing_ahead_in_a_second_thread_changes_no_number(stop):
    training = Training.model_validate({"steps": 130, "batch_size": 1024, "stop": stop})  # chunks of 16 steps
    models = [model("topk:2"), model("relu", "truth")]
    at_once, ahead = (train(models, stream(), training, False, prefetch=prefetch) for prefetch in (False, True))
    assert any(len(one.losses) < 130 for one in ahead) == (stop is not None)
    for one, other in zip(at_once, ahead, strict=True):
        assert np.array_equal(one.losses, other.losses)
        for part, same in zip(_parts(one.weights), _parts(other.weights), strict=True):
            assert np.array_equal(part, same)


STOP = {"patience": 10, "tolerance": 0.05}


def stopping(steps=100, batch_size=48, **changes):
    return Training.model_validate({"steps": steps, "batch_size": batch_size, "stop": STOP | changes})


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("recovery", [None, Recovery(cosine=0.8, fraction=0.2)])
def test_a_stopped_trial_is_the_same_packed_and_alone_and_takes_its_own_steps(tied, recovery):
    models = [model(text, start) for text in ("topk:2", "relu", "batchtopk:1") for start in ("random", "truth")]
    alone = [train([one], stream(), stopping(), tied, recovery)[0] for one in models]
    packed = train(models, stream(), stopping(), tied, recovery)
    taken = {len(one.losses) for one in alone}
    assert len(taken) > 1
    assert min(taken) < 100
    for one, other in zip(alone, packed, strict=True):
        assert np.array_equal(one.losses, other.losses)
        assert np.isfinite(one.losses).all()
        for part, same in zip(_parts(one.weights), _parts(other.weights), strict=True):
            assert np.array_equal(part, same)


def test_a_trial_that_stops_takes_the_steps_of_full_training_up_to_the_look():
    full = train([model("topk:2")], stream(), Training(steps=100, batch_size=48), True)[0]
    stopped = train([model("topk:2")], stream(), stopping(), True)[0]
    look = len(stopped.losses) - STOP["patience"]
    assert 0 < look < 90
    assert np.array_equal(stopped.losses[: look + 1], full.losses[: look + 1])
    assert not np.array_equal(stopped.losses[look + 1 :], full.losses[look + 1 : look + 10])


@pytest.mark.parametrize("trainer", ["kernel", *DEVICES])
def test_only_a_trial_whose_label_is_clear_stops(trainer):
    models = [model("topk:2", start, seed) for start in ("random", "truth") for seed in range(2)]

    def trained(training, recovery=None):
        if trainer == "kernel":
            return train(models, stream(), training, True, recovery)
        return train_on(models, stream(), training, True, trainer, recovery=recovery)

    # Cosines at the look decide, so the features' shares there are those of training up to it.
    looks = [len(one.losses) - STOP["patience"] for one in trained(stopping())]
    assert 100 - STOP["patience"] not in looks
    shares = [_share_at(look, models[index]) for index, look in enumerate(looks)]
    assert any(0 < share < 1 for share in shares)
    assert max(shares) - min(shares) > 0.1
    for share in sorted({share for share in shares if 0 < share < 1}):
        taken = [len(one.losses) for one in trained(stopping(), Recovery(cosine=0.8, fraction=share))]
        for index, look in enumerate(looks):
            if shares[index] == share:
                assert taken[index] > look + STOP["patience"]
            elif abs(shares[index] - share) > 0.1:
                assert taken[index] == look + STOP["patience"]


def _share_at(look, one):
    """Share of features with a latent at cosine .8 after so many steps of full training."""
    full = Training(steps=100, batch_size=48)
    rates = learning_rates(full.schedule, full.learning_rate, 100)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("workers.training.learning_rates", lambda *_: rates[:look])
        [short] = train([one], stream(), Training(steps=look, batch_size=48), True)
    return float(np.mean(match_features(DICTIONARY, short.weights.decoder).cosine >= 0.8))


def test_a_stop_that_is_never_due_changes_nothing():
    full = train([model("relu")], stream(), Training(steps=100, batch_size=48), True)[0]
    patient = train([model("relu")], stream(), stopping(patience=60), True)[0]
    assert np.array_equal(full.losses, patient.losses)
    assert np.array_equal(full.weights.encoder, patient.weights.encoder)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("device", DEVICES)
def test_torch_stops_where_the_kernel_stops(tied, device):
    models = [model(text, start) for text in ("topk:2", "topk:1") for start in ("random", "truth")]
    models += [model("relu", seed=seed) for seed in range(5)]
    fused = train(models, stream(), stopping(), tied)
    reference = train_on(models, stream(), stopping(), tied, device)
    taken = [len(one.losses) for one in fused]
    assert len(set(taken)) > 1
    assert [len(one.losses) for one in reference] == taken
    for one, other in zip(fused, reference, strict=True):
        # Stated tolerance: Adam's first step is a sign, which rounding decides where a gradient is next to nothing.
        assert np.allclose(one.losses, other.losses, rtol=3e-2)
        assert one.losses.mean() == pytest.approx(other.losses.mean(), rel=2e-3)


@pytest.mark.parametrize("device", DEVICES)
def test_a_budget_cuts_stacks_and_changes_numbers_within_the_tolerance_only(device):
    models = [model("topk:2", seed=seed, exponent=float(seed % 2)) for seed in range(5)]
    training = Training(steps=30, batch_size=48)
    whole = train_on(models, stream(), training, False, device)
    for budget in (0, 2 * step_bytes(models[0], 48)):
        cut = train_on(models, stream(), training, False, device, budget)
        for one, other in zip(whole, cut, strict=True):
            assert np.allclose(one.losses, other.losses, rtol=1e-4)


def test_torch_with_no_budget_is_the_same_packed_and_alone_bit_for_bit():
    models = [model(text, seed=seed) for text in ("topk:3", "batchtopk:2", "relu") for seed in range(2)]
    training = stopping(steps=40)
    packed = train_on(models, stream(), training, False, "cpu", budget=0)
    for one, other in zip(models, packed, strict=True):
        alone = train_on([one], stream(), training, False, "cpu", budget=0)[0]
        assert np.array_equal(alone.losses, other.losses)
        for part, same in zip(_parts(alone.weights), _parts(other.weights), strict=True):
            assert np.array_equal(part, same)


@pytest.mark.parametrize("device", DEVICES)
def test_models_that_diverge_leave_a_stack_that_looks_and_spoil_no_neighbour(device):
    wild = Weights(*(np.full_like(part, 1e25) for part in _parts(model("relu").weights)))
    broken = Model(wild, parse_activation("relu"), np.ones(6, np.float32))
    training = stopping(steps=40, tolerance=1e-6)
    pack = train_on([broken, model("relu"), broken], stream(), training, True, device)
    alone = train_on([model("relu")], stream(), training, True, device)[0]
    assert [int(np.isfinite(one.losses).sum()) for one in pack] == [0, 40, 0]
    assert np.allclose(pack[1].losses, alone.losses, rtol=1e-4)


@pytest.mark.skipif(len(DEVICES) == 1, reason="needs a GPU")
def test_replayed_steps_are_the_eager_ones(monkeypatch):
    models = [model(text, seed=seed) for text in ("topk:1", "topk:3", "batchtopk:2", "relu") for seed in range(3)]
    training = Training(steps=150, batch_size=48)
    replayed = train_on(models, stream(), training, False, "cuda")
    monkeypatch.setattr("workers.device_group.EAGER_STEPS", 10**9)
    for one, other in zip(replayed, train_on(models, stream(), training, False, "cuda"), strict=True):
        assert np.array_equal(one.losses, other.losses)


def test_exponent_zero_is_the_plain_loss_exactly():
    inputs = np.random.default_rng(0).standard_normal((100, 6)).astype(np.float32)
    for proxy in get_args(Proxy):
        assert (reweighting(proxy, 0.0, inputs, np.eye(6, dtype=np.float32)) == 1).all()


def test_weights_are_powers_of_the_variance_with_mean_one():
    inputs = np.random.default_rng(0).standard_normal((20_000, 3)).astype(np.float32) * [1, 2, 3]
    inputs = np.concatenate([inputs, np.zeros((20_000, 1))], axis=1).astype(np.float32)
    identity = np.eye(4, dtype=np.float32)
    squared = reweighting("variance", 0.5, inputs, identity)
    assert squared[:3].mean() == pytest.approx(1, rel=1e-5)  # gamma^2 = s at alpha = 1/2
    assert np.allclose(squared[:3] / squared[0], [1, 4, 9], rtol=0.05)
    up, down = (reweighting("variance", exponent, inputs, identity)[:3] for exponent in (1.0, -1.0))
    assert np.allclose(up * down, 1, rtol=1e-4)
    assert squared[3] == 1


def test_an_untied_decoder_keeps_unit_rows():
    trained = train([model("topk:2")], stream(), Training(steps=30, batch_size=32), tied=False)[0]
    assert np.allclose(np.linalg.norm(trained.weights.decoder, axis=1), 1, atol=1e-6)
    assert np.abs(trained.weights.decoder_bias).max() > 0


def test_a_tied_sae_stays_tied_and_without_bias():
    trained = train([model("relu")], stream(), Training(steps=30, batch_size=32), tied=True)[0]
    assert np.array_equal(trained.weights.encoder, trained.weights.decoder)
    assert not trained.weights.encoder_bias.any()
    assert not trained.weights.decoder_bias.any()


@pytest.mark.parametrize("trainer", ["kernel", *DEVICES])
def test_divergence_is_a_value_and_spoils_no_neighbour(trainer):
    wild = Weights(*(np.full_like(part, 1e25) for part in _parts(model("relu").weights)))
    models = [Model(wild, parse_activation("relu"), np.ones(6, np.float32)), model("relu")]
    training = Training(steps=10, batch_size=16)
    run = (
        (lambda m: train(m, stream(), training, True))
        if trainer == "kernel"
        else (lambda m: train_on(m, stream(), training, True, trainer))
    )
    broken, healthy = run(models)
    assert np.isnan(broken.losses).any()
    assert np.array_equal(healthy.losses, run([models[1]])[0].losses)


def _parts(weights):
    return weights.encoder, weights.decoder, weights.encoder_bias, weights.decoder_bias


@given(st.sampled_from(["linear", "cosine", "constant"]), st.floats(1e-6, 1), st.integers(1, 300))
def test_schedules_start_at_the_peak_and_never_rise(schedule, peak, steps):
    rates = learning_rates(schedule, peak, steps)
    assert rates[0] == pytest.approx(peak)
    assert (np.diff(rates) <= 1e-12).all()
    assert (rates > 0).all()
    if schedule != "constant" and steps > 100:
        assert rates[-1] < 0.02 * peak


def test_initialisation_is_paired_over_exponents_and_starts():
    trial = Trial(Condition(0.7, 14, parse_activation("topk:2"), 0.0), 0, "random")
    weighted = Trial(Condition(0.7, 14, parse_activation("topk:2"), 1.0), 0, "random")
    truth = Trial(Condition(0.7, 14, parse_activation("topk:2"), 0.0), 0, "truth")
    other = Trial(Condition(0.7, 14, parse_activation("topk:2"), 0.0), 1, "random")
    plain = initialise(trial, DICTIONARY)
    assert np.array_equal(plain.encoder, initialise(weighted, DICTIONARY).encoder)
    assert np.array_equal(initialise(truth, DICTIONARY).encoder[:10], DICTIONARY.T)
    assert np.array_equal(initialise(truth, DICTIONARY).encoder[10:], plain.encoder[10:])
    assert not np.isclose(initialise(other, DICTIONARY).encoder, plain.encoder).any(axis=1).all()
    narrow = Trial(Condition(0.7, 4, parse_activation("topk:2"), 0.0), 0, "truth")
    assert np.array_equal(initialise(narrow, DICTIONARY).encoder, DICTIONARY.T[:4])
