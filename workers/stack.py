"""SAEs of one shape to one stack on a torch device, and the stack to its losses and hand-written gradients.

Arrays over samples are (models, latents or inputs, batch), so that one product encodes the batch for all models: they
share the inputs. The gradients are those of workers/kernels.py, written as batched matrix products; a model that
diverges fills its own slices with NaN and no other's.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from workers.sae import Floats, Weights
from workers.training import Model

PASSES = 2
"""Largest k chosen by k passes of a maximum instead of torch.topk: 10 against 17 ms for k = 2 at 24 models, 80 latents
and batch 512 on one CPU core, 21 against 17 ms for k = 4; benchmarks/gpu.py measures both on a GPU."""


@dataclass(frozen=True, slots=True)
class Stack:
    """Parameters of several SAEs of one shape; a tied stack's decoder is its encoder."""

    encoder: Tensor  # (models, latents, inputs)
    decoder: Tensor  # (models, latents, inputs)
    encoder_bias: Tensor  # (models, latents, 1)
    decoder_bias: Tensor  # (models, inputs, 1)

    @property
    def tied(self) -> bool:
        """Whether encoder and decoder are one tensor, without biases."""
        return self.decoder is self.encoder

    def parameters(self) -> list[Tensor]:
        """The tensors that training changes."""
        return [self.encoder] if self.tied else [self.encoder, self.decoder, self.encoder_bias, self.decoder_bias]

    def take(self, places: Tensor) -> "Stack":
        """A new stack of the models at some places."""
        encoder = self.encoder[places]
        decoder = encoder if self.tied else self.decoder[places]
        return Stack(encoder, decoder, self.encoder_bias[places], self.decoder_bias[places])

    def directions(self, place: int) -> Floats:
        """One model's decoder, copied to the host; waits for the device."""
        return self.decoder[place].cpu().numpy().astype(np.float32)

    def weights(self, place: int) -> Weights:
        """One model's weights, copied to the host; waits for the device."""
        encoder, decoder, bias, decoder_bias = (
            getattr(self, field.name)[place].cpu().numpy().astype(np.float32) for field in fields(self)
        )
        return Weights(encoder, decoder, bias[:, 0], decoder_bias[:, 0])


@dataclass(frozen=True, slots=True)
class Objective:
    """What a stack is trained on: its sigma, and the weights of its losses."""

    kind: str
    k: int
    l1: Tensor | None
    """(models, 1, 1): penalty / batch; None where no model has one."""
    scale: Tensor
    """(models, inputs, 1): 2 gamma^2 / batch."""
    rounded: bool
    """Whether the encoder's product rounds its factors to bfloat16."""

    def take(self, places: Tensor) -> "Objective":
        """The objective of the models at some places."""
        l1 = None if self.l1 is None else self.l1[places]
        return Objective(self.kind, self.k, l1, self.scale[places], self.rounded)


def stack(weights: Sequence[Weights], tied: bool, device: str, dtype: torch.dtype = torch.float32) -> Stack:
    """Stack weights of equal shape on a device."""

    def tensor(name: str) -> Tensor:
        return torch.tensor(np.stack([getattr(one, name) for one in weights]), device=device, dtype=dtype)

    encoder = tensor("encoder")
    decoder = encoder if tied else tensor("decoder")
    return Stack(encoder, decoder, tensor("encoder_bias")[..., None], tensor("decoder_bias")[..., None])


def stack_objectives(
    models: Sequence[Model], batch_size: int, device: str, rounded: bool = False, dtype: torch.dtype = torch.float32
) -> Objective:
    """The objectives of models that `same_stack` puts together."""
    activation = models[0].activation
    gamma_squared = torch.tensor(np.stack([one.gamma_squared for one in models]), device=device, dtype=dtype)
    penalties = [one.activation.l1 or 0.0 for one in models]
    l1 = torch.tensor(penalties, device=device, dtype=dtype)[:, None, None] / batch_size if any(penalties) else None
    kind = "relu" if activation.k is None else activation.kind
    return Objective(kind, activation.k or 0, l1, gamma_squared[..., None] * (2 / batch_size), rounded)


def same_stack(model: Model) -> tuple[int, ...]:
    """Models with equal values go on one stack: equal shapes and one way to choose the active latents."""
    return *model.weights.encoder.shape, model.activation.kind == "batchtopk", model.activation.k or 0


def activate(pre: Tensor, kind: str, k: int) -> Tensor:
    """Latents z of pre-activations (models, latents, batch): sigma of the SAE."""
    z = torch.relu(pre)
    if kind == "topk":
        kept = choose_latents(z.detach(), k)
        return torch.zeros_like(z).scatter(1, kept, z.gather(1, kept))
    if kind == "batchtopk":
        least = z.detach().flatten(1).topk(k * z.shape[2], dim=1, sorted=False).values.amin(1)
        return torch.where(z >= least[:, None, None], z, 0)
    return z


def choose_latents(z: Tensor, k: int) -> Tensor:
    """Places of the k largest latents of each sample, (models, k, batch), in any order."""
    if k > PASSES:
        return z.topk(k, dim=1, sorted=False).indices
    left, kept = z.clone() if k > 1 else z, []
    for place in range(k):
        kept.append(left.max(1, keepdim=True).indices)  # of equal ones the first, as the CPU kernel chooses
        if place < k - 1:
            left.scatter_(1, kept[-1], -1.0)
    return torch.cat(kept, 1)


def reconstruct(model: Stack, objective: Objective, inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Latents (models, latents, batch) and residual, reconstruction less inputs (models, inputs, batch)."""
    n_models, n_latents, n_inputs = model.encoder.shape
    rows = model.encoder.reshape(n_models * n_latents, n_inputs)
    pre = _encode(rows, inputs, objective.rounded).view(n_models, n_latents, -1)
    target = inputs.T
    if not model.tied:
        pre = pre + (model.encoder_bias - model.encoder @ model.decoder_bias)
        target = target - model.decoder_bias
    z = activate(pre, objective.kind, objective.k)
    return z, model.decoder.mT @ z - target


def _encode(rows: Tensor, inputs: Tensor, rounded: bool) -> Tensor:
    """Rows times inputs, (rows, batch); products of bfloat16 factors are exact and added in float32 or wider."""
    if not rounded:
        return rows @ inputs.T
    low, low_inputs = rows.to(torch.bfloat16), inputs.to(torch.bfloat16)
    if rows.is_cuda:
        return torch.mm(low, low_inputs.T, out_dtype=torch.float32)
    return low.to(rows.dtype) @ low_inputs.T.to(rows.dtype)


def losses_and_gradients(model: Stack, objective: Objective, inputs: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Loss of each model (models,) and its gradients, as `Stack.parameters`; inputs (batch, inputs).

    Rounding counts as the identity: the gradients reach the float32 weights as if there were none.
    """
    z, residual = reconstruct(model, objective, inputs)
    g = objective.scale * residual
    loss = (g * residual).sum((1, 2)) / 2
    dz = model.decoder @ g
    if objective.l1 is not None:
        loss = loss + (objective.l1 * z).sum((1, 2))
        dz = dz + objective.l1
    dz = torch.where(z > 0, dz, 0)
    encoder = (dz.flatten(0, 1) @ inputs).view_as(model.encoder)
    if model.tied:
        return loss, [torch.baddbmm(encoder, z, g.mT)]
    total = dz.sum(2, keepdim=True)
    encoder = encoder - total * model.decoder_bias.mT
    return loss, [encoder, z @ g.mT, total, g.sum(2, keepdim=True) - model.encoder.mT @ total]
