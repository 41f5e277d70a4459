"""Starting weights and a data stream to trained weights, in torch: the reference, and the way onto a GPU.

Models of equal shape and activation are stacked on a leading axis. The gradients are those of workers/kernels.py,
written as batched matrix products; nothing inside the loop waits for the device.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
import torch
from torch import Tensor

from phase_diagrams.activation import Activation
from phase_diagrams.spec import Training
from workers.sae import Weights, learning_rates
from workers.sampler import Stream, draw_batches
from workers.training import Model, Trained

_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-8
_CHUNK_STEPS = 16
"""Batches copied to the device at a time; heuristic: hides the latency of the copy, costs little memory."""


@dataclass(frozen=True, slots=True)
class Stack:
    """Parameters of several SAEs of one shape; a tied stack's decoder is its encoder."""

    encoder: Tensor  # (models, latents, inputs)
    decoder: Tensor  # (models, latents, inputs)
    encoder_bias: Tensor  # (models, 1, latents)
    decoder_bias: Tensor  # (models, 1, inputs)

    def parameters(self, tied: bool) -> list[Tensor]:
        """The tensors that training changes."""
        return [self.encoder] if tied else [self.encoder, self.decoder, self.encoder_bias, self.decoder_bias]


def stack(weights: Sequence[Weights], tied: bool, device: str, dtype: torch.dtype = torch.float32) -> Stack:
    """Stack weights of equal shape on a device."""

    def tensor(name: str, row: bool = False) -> Tensor:
        array = np.stack([getattr(one, name) for one in weights])
        return torch.tensor(array[:, None] if row else array, device=device, dtype=dtype)

    encoder = tensor("encoder")
    return Stack(
        encoder,
        encoder if tied else tensor("decoder"),
        tensor("encoder_bias", row=True),
        tensor("decoder_bias", row=True),
    )


def activate(pre: Tensor, activation: Activation) -> Tensor:
    """Latents z of pre-activations (models, batch, latents): sigma of the SAE."""
    z = torch.relu(pre)
    if activation.kind == "topk":
        assert activation.k is not None
        kept = z.topk(activation.k, dim=-1).indices
        return torch.zeros_like(z).scatter(-1, kept, z.gather(-1, kept))
    if activation.kind == "batchtopk":
        assert activation.k is not None
        flat = z.flatten(1)
        least = flat.topk(activation.k * z.shape[1], dim=-1).values[:, -1]
        return torch.where(z >= least[:, None, None], z, 0)
    return z


def reconstruct(model: Stack, inputs: Tensor, activation: Activation) -> tuple[Tensor, Tensor]:
    """Latents (models, batch, latents) and reconstruction (models, batch, inputs) of inputs (batch, inputs)."""
    pre = torch.matmul(inputs - model.decoder_bias, model.encoder.mT) + model.encoder_bias
    z = activate(pre, activation)
    return z, torch.matmul(z, model.decoder) + model.decoder_bias


def losses_and_gradients(
    model: Stack, inputs: Tensor, activation: Activation, gamma_squared: Tensor, tied: bool
) -> tuple[Tensor, list[Tensor]]:
    """Loss of each model (models,) and its gradients, as `Stack.parameters`; gamma_squared (models, 1, inputs)."""
    batch = inputs.shape[0]
    l1 = activation.l1 or 0.0
    z, reconstruction = reconstruct(model, inputs, activation)
    residual = reconstruction - inputs
    weighted = gamma_squared * residual
    loss = ((weighted * residual).sum((1, 2)) + l1 * z.sum((1, 2))) / batch
    g = weighted * (2.0 / batch)
    dz = torch.where(z > 0, torch.matmul(g, model.decoder.mT) + l1 / batch, 0)
    decoder = torch.matmul(z.mT, g)
    encoder = torch.matmul(dz.mT, inputs - model.decoder_bias)
    if tied:
        return loss, [encoder + decoder]
    dz_total = dz.sum(1, keepdim=True)
    return loss, [encoder, decoder, dz_total, g.sum(1, keepdim=True) - torch.matmul(dz_total, model.encoder)]


def train_on(models: Sequence[Model], stream: Stream, training: Training, tied: bool, device: str) -> list[Trained]:
    """Train every model on the same batches as `workers.training.train` draws, on a torch device."""

    def shape(index: int) -> tuple[tuple[int, ...], str]:
        return models[index].weights.encoder.shape, str(models[index].activation)

    results: dict[int, Trained] = {}
    for _, group in groupby(sorted(range(len(models)), key=shape), key=shape):
        members = list(group)
        trained = _train_stack([models[index] for index in members], stream, training, tied, device)
        results.update(zip(members, trained, strict=True))
    return [results[index] for index in range(len(models))]


def _train_stack(models: Sequence[Model], stream: Stream, training: Training, tied: bool, device: str) -> list[Trained]:
    began = time.perf_counter()
    activation = models[0].activation
    model = stack([one.weights for one in models], tied, device)
    gamma_squared = torch.tensor(np.stack([one.gamma_squared for one in models])[:, None], device=device)
    means = [torch.zeros_like(parameter) for parameter in model.parameters(tied)]
    squares = [torch.zeros_like(parameter) for parameter in model.parameters(tied)]
    rates = learning_rates(training.schedule, training.learning_rate, training.steps)
    losses = torch.empty(training.steps, len(models), device=device)
    for step in range(training.steps):
        if step % _CHUNK_STEPS == 0:
            batches = draw_batches(stream, step, min(_CHUNK_STEPS, training.steps - step), training.batch_size)
            chunk = torch.from_numpy(batches.samples[:, : training.batch_size, : stream.n_inputs].copy()).to(device)
        loss, gradients = losses_and_gradients(model, chunk[step % _CHUNK_STEPS], activation, gamma_squared, tied)
        losses[step] = loss
        if not tied:
            along = (gradients[1] * model.decoder).sum(-1, keepdim=True)
            gradients[1] = gradients[1] - along * model.decoder
        _adam(model.parameters(tied), gradients, means, squares, float(rates[step]), step + 1)
        if not tied:
            model.decoder.div_(model.decoder.norm(dim=-1, keepdim=True))
    curves = losses.T.cpu().numpy().astype(np.float64)
    seconds = (time.perf_counter() - began) / len(models)
    return [_close(model, one, index, curves[index], seconds) for index, one in enumerate(models)]


def _adam(
    parameters: list[Tensor],
    gradients: list[Tensor],
    means: list[Tensor],
    squares: list[Tensor],
    rate: float,
    step: int,
) -> None:
    """One Adam step (Kingma & Ba 2015, Algorithm 1), in the order of operations of the CPU kernel."""
    size = rate / (1 - _BETA1**step)
    unbias = 1 / (1 - _BETA2**step) ** 0.5
    for parameter, gradient, mean, square in zip(parameters, gradients, means, squares, strict=True):
        mean.mul_(_BETA1).add_(gradient, alpha=1 - _BETA1)
        square.mul_(_BETA2).addcmul_(gradient, gradient, value=1 - _BETA2)
        parameter.addcdiv_(mean, square.sqrt().mul_(unbias).add_(_EPSILON), value=-size)


def _close(model: Stack, start: Model, index: int, losses: np.ndarray, seconds: float) -> Trained:
    finite = np.isfinite(losses)
    if not finite.all():
        losses = np.where(np.arange(len(losses)) < int(np.argmin(finite)), losses, np.nan)
    arrays = {
        name: getattr(model, name)[index].cpu().numpy().reshape(getattr(start.weights, name).shape)
        for name in ("encoder", "decoder", "encoder_bias", "decoder_bias")
    }
    return Trained(replace(start.weights, **arrays), losses, seconds)
