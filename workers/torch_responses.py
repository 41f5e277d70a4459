"""Trained SAEs to their responses on a torch device: models of equal shape and k in one product, a budget of memory."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

import numpy as np
import torch
from torch import Tensor

from phase_diagrams.scores import CodeStatistics
from workers.code_sums import Codes
from workers.evaluation import EvaluationData
from workers.responses import Responses
from workers.sae import Floats, Weights
from workers.stack import reconstruct, same_stack, stack, stack_objectives
from workers.training import Model, Trained

SAMPLES = 1024
"""Samples that a float32 product adds up; sums of those are float64. heuristic: rounding stays near 1e-6."""


def respond_on(
    models: Sequence[Model],
    trained: Sequence[Trained],
    places: Iterable[int],
    tied: bool,
    data: EvaluationData,
    device: str,
    budget: int,
) -> Iterator[tuple[int, Responses]]:
    """Responses of the models at these places, as `workers.responses.respond` up to the order of float32 sums.

    `budget` bounds the bytes on the device that a stack of them needs at a time.
    """

    def key(place: int) -> tuple[int, ...]:
        return same_stack(models[place])

    inputs = torch.from_numpy(data.inputs).to(device)
    features = torch.from_numpy(_dense(data.codes)).to(device)
    for _, equal in groupby(sorted(places, key=key), key=key):
        members = list(equal)
        most = max(1, budget // response_bytes(models[members[0]], data.codes))
        for part in (members[first : first + most] for first in range(0, len(members), most)):
            chosen, weights = [models[place] for place in part], [trained[place].weights for place in part]
            with torch.no_grad():
                yield from zip(part, _respond(chosen, weights, tied, data.codes, inputs, features), strict=True)


def response_bytes(model: Model, codes: Codes) -> int:
    """Memory of one model: its latents by samples, four times, and six sums of features by latents in float64."""
    n_latents, n_inputs = model.weights.encoder.shape
    samples = codes.n_samples if model.activation.kind == "batchtopk" else SAMPLES
    return int(4 * samples * (4 * n_latents + 3 * n_inputs) + 8 * 6 * codes.n_features * n_latents)


def _dense(codes: Codes) -> Floats:
    features = np.zeros((codes.n_samples, codes.n_features), np.float32)
    features[np.repeat(np.arange(codes.n_samples), np.diff(codes.offsets)), codes.feature] = codes.magnitude
    return features


def _respond(
    models: Sequence[Model], weights: Sequence[Weights], tied: bool, codes: Codes, inputs: Tensor, features: Tensor
) -> Iterator[Responses]:
    n_samples, n = features.shape
    model = stack(weights, tied, str(inputs.device))
    objective = stack_objectives(models, n_samples, str(inputs.device))
    n_models, n_latents, n_inputs = model.encoder.shape

    def zeros(*shape: int) -> Tensor:
        return torch.zeros(n_models, *shape, dtype=torch.float64, device=inputs.device)

    square, total, energy, count = zeros(n_inputs), zeros(), zeros(n_latents), zeros(n_latents)
    sums, joint = zeros(n_latents, 2 * n), zeros(n_latents, n)
    # Batchtopk chooses among all samples.
    step = n_samples if objective.kind == "batchtopk" else SAMPLES
    for first in range(0, n_samples, step):
        latents, residual = reconstruct(model, objective, inputs[first : first + step])
        square += residual.square().sum(2, dtype=torch.float64)
        total += latents.sum((1, 2), dtype=torch.float64)
        energy += latents.square().sum(2, dtype=torch.float64)
        for place in range(0, latents.shape[2], SAMPLES):
            z, x = latents[..., place : place + SAMPLES], features[first + place : first + place + SAMPLES]
            active, fires = (z > 0).float(), (x > 0).float()
            sums += z @ torch.cat([x, fires], 1)
            joint += active @ fires
            count += active.sum(2)
    host = [one.cpu().numpy() for one in (square, total, energy, count, sums.mT, joint.mT)]
    for square_error, latent_total, latent_energy, latent_count, both, pairs in zip(*host, strict=True):
        statistics = CodeStatistics(
            n_samples=n_samples,
            feature_energy=codes.energy,
            latent_energy=latent_energy,
            cross=both[:n],
            feature_count=codes.count,
            latent_count=latent_count.astype(np.int64),
            joint_count=pairs.astype(np.int64),
            activation_sum=both[n:],
        )
        yield Responses(square_error, float(latent_total), statistics)
