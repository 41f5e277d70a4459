import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from phase_diagrams.activation import parse_activation
from workers.sae import Weights
from workers.stack import PASSES, activate, choose_latents, losses_and_gradients, reconstruct, stack, stack_objectives
from workers.training import Model


def models(activation="topk:2", n_models=3, n_latents=11, n_inputs=5, bias=0.0):
    generator = np.random.default_rng(0)
    made = []
    for _ in range(n_models):
        encoder, decoder = generator.standard_normal((2, n_latents, n_inputs)).astype(np.float32)
        shift = np.full(n_latents, bias, np.float32), np.full(n_inputs, -bias, np.float32)
        weights = Weights(encoder, decoder, *shift)
        made.append(Model(weights, parse_activation(activation), np.ones(n_inputs, np.float32)))
    return made


def inputs(batch=9, n_inputs=5, dtype=torch.float32):
    return torch.tensor(np.random.default_rng(1).standard_normal((batch, n_inputs)), dtype=dtype)


@settings(max_examples=60, deadline=None)
@given(k=st.integers(1, 9), seed=st.integers(0, 100), levels=st.integers(1, 12))
def test_the_k_largest_are_chosen_and_of_equal_ones_exactly_k(k, seed, levels):
    generator = np.random.default_rng(seed)
    # Few levels make ties; ReLU makes zeros.
    z = torch.relu(torch.tensor(generator.integers(-levels, levels, (2, 9, 7)), dtype=torch.float32))
    kept = choose_latents(z, k)
    assert kept.shape == (2, k, 7)
    assert (kept.sort(1).values.diff(dim=1) > 0).all()
    chosen = z.gather(1, kept).sort(1, descending=True).values
    assert torch.equal(chosen, z.sort(1, descending=True).values[:, :k])


@pytest.mark.parametrize("k", range(1, PASSES + 1))
def test_of_equal_latents_the_first_stay_as_in_the_cpu_kernel(k):
    assert torch.equal(choose_latents(torch.ones(1, 6, 1), k)[0, :, 0], torch.arange(k))


@given(k=st.integers(1, 5), seed=st.integers(0, 50))
@settings(max_examples=30, deadline=None)
def test_batchtopk_keeps_k_times_batch_of_each_model(k, seed):
    pre = torch.tensor(np.random.default_rng(seed).standard_normal((2, 9, 7)) + 3)
    z = activate(pre, "batchtopk", k)
    assert ((z > 0).sum((1, 2)) == torch.minimum((pre > 0).sum((1, 2)), torch.tensor(7 * k))).all()


def test_a_model_of_a_stack_has_the_losses_and_gradients_it_has_alone():
    # Stated tolerance: a batched product may add in another order.
    several = models(bias=0.1)
    pack = stack([one.weights for one in several], False, "cpu")
    together, slopes = losses_and_gradients(pack, stack_objectives(several, 9, "cpu"), inputs())
    for place, one in enumerate(several):
        alone, own = losses_and_gradients(
            stack([one.weights], False, "cpu"), stack_objectives([one], 9, "cpu"), inputs()
        )
        assert torch.allclose(together[place], alone[0], rtol=1e-5)
        for slope, reference in zip(slopes, own, strict=True):
            assert torch.allclose(slope[place], reference[0], rtol=1e-4, atol=1e-6)


def test_penalties_of_one_stack_are_each_model_s_own():
    plain, dear, cheap = models("relu", 1)[0], models("relu_l1:2.0", 1)[0], models("relu_l1:0.5", 1)[0]
    pack = stack([one.weights for one in (plain, dear, cheap)], True, "cpu")
    objective = stack_objectives([plain, dear, cheap], 9, "cpu")
    z, _ = reconstruct(pack, objective, inputs())
    loss, _ = losses_and_gradients(pack, objective, inputs())
    active = z[0].sum() / 9
    assert torch.allclose(loss - loss[0], torch.stack([0 * active, 2 * active, 0.5 * active]), rtol=1e-4, atol=1e-4)


def test_a_diverged_model_fills_its_own_slices_only():
    several = models("relu")
    several[1].weights.encoder[:] = np.inf
    pack = stack([one.weights for one in several], True, "cpu")
    loss, (slope,) = losses_and_gradients(pack, stack_objectives(several, 9, "cpu"), inputs())
    assert loss.isfinite().tolist() == [True, False, True]
    assert slope.isfinite().all(2).all(1).tolist() == [True, False, True]


def test_bfloat16_rounds_the_factors_of_the_encoder_s_product_and_nothing_else():
    one = models("relu", 1)
    batch = inputs(dtype=torch.float64)
    exact = stack([one[0].weights], True, "cpu", torch.float64)
    objective = stack_objectives(one, 9, "cpu", rounded=True, dtype=torch.float64)
    z, residual = reconstruct(exact, objective, batch)
    rows = torch.tensor(one[0].weights.encoder).bfloat16().double()
    assert torch.equal(z[0], torch.relu(rows @ batch.bfloat16().double().T))
    assert torch.equal(residual[0], exact.decoder[0].T @ z[0] - batch.T)
    plain, _ = reconstruct(exact, stack_objectives(one, 9, "cpu", dtype=torch.float64), batch)
    assert not torch.equal(plain, z)
    assert torch.allclose(plain, z, atol=5 * 2.0**-7 * 3)  # two roundings of 2^-9 of each of 5 products


def test_gradients_pass_the_rounding_as_if_it_were_the_identity():
    one = models("relu", 1, bias=0.05)
    batch = inputs(dtype=torch.float64)
    pack = stack([one[0].weights], False, "cpu", torch.float64)
    objective = stack_objectives(one, 9, "cpu", rounded=True, dtype=torch.float64)
    encoder, decoder, bias, decoder_bias = (p[0].clone().requires_grad_(True) for p in pack.parameters())
    rounded_rows = encoder + (encoder.bfloat16().double() - encoder).detach()
    rounded_inputs = batch.bfloat16().double()
    pre = rounded_rows @ rounded_inputs.T + bias - encoder @ decoder_bias
    residual = decoder.T @ torch.relu(pre) + decoder_bias - batch.T
    expected = torch.autograd.grad(residual.square().sum() / 9, [decoder, bias, decoder_bias])
    _, gradients = losses_and_gradients(pack, objective, batch)
    for gradient, reference in zip(gradients[1:], expected, strict=True):
        assert torch.allclose(gradient[0], reference, rtol=1e-9, atol=1e-12)
