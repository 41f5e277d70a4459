"""A pack to its rows: the one function that a Ray Tune trial runs, and all that it needs is in its arguments."""

import time
from dataclasses import dataclass, fields

import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_limits

from phase_diagrams.merges import open_geometry
from phase_diagrams.pack import Pack
from phase_diagrams.proxy import Proxy
from phase_diagrams.scores import Scores
from phase_diagrams.spec import JobSpec
from phase_diagrams.tables import TRIALS
from phase_diagrams.trial import Trial, data_key
from workers.evaluation import (
    Evaluation,
    EvaluationData,
    draw_evaluation_data,
    evaluate,
    is_finite,
    respond_in_turn,
)
from workers.sae import Floats, initialise, reweighting
from workers.sampler import Stream, open_stream
from workers.training import Model, Trained, train


@dataclass(frozen=True, slots=True)
class TrainedPack:
    """A pack's rows (schema TRIALS), the SAEs that they measure, and the data they were measured on."""

    rows: pa.Table
    trained: list[Trained]
    data: EvaluationData


def run_pack(spec: JobSpec, dictionary: Floats, pack: Pack, device: str = "cpu") -> pa.Table:
    """Train and score the trials of a pack; one row each, in order (schema TRIALS).

    A trial that diverges is a row with `diverged` set and null scores. On "cpu" a row is the same bit for bit in
    every pack; on "cuda" up to the order in which a batched product adds.
    """
    return train_pack(spec, dictionary, pack, device).rows


def train_pack(spec: JobSpec, dictionary: Floats, pack: Pack, device: str = "cpu") -> TrainedPack:
    """`run_pack`, with what the rows were made from."""
    # One thread: packs run side by side, and a BLAS product split over threads would add in another order.
    with threadpool_limits(limits=1):
        stream = open_stream(spec.data, dictionary, pack.sparsity, data_key(spec, pack.sparsity, pack.seed))
        data = draw_evaluation_data(stream)
        models = [open_model(trial, spec.proxy, dictionary, data) for trial in pack.trials]
        trained = _train(models, stream, spec, device)
        began = time.perf_counter()
        evaluations = _evaluate(models, trained, spec, dictionary, data, device)
        seconds = _shares(time.perf_counter() - began, models)
        rows = [
            _row(spec, pack, index, evaluations[index], trained[index], seconds[index]) for index in range(len(models))
        ]
    return TrainedPack(pa.Table.from_pylist(rows, schema=TRIALS), trained, data)


def open_model(trial: Trial, proxy: Proxy, dictionary: Floats, data: EvaluationData) -> Model:
    """A trial's SAE before training."""
    condition = trial.condition
    gamma_squared = reweighting(proxy, condition.exponent, data.inputs, dictionary)
    return Model(initialise(trial, dictionary), condition.activation, gamma_squared)


def _train(models: list[Model], stream: Stream, spec: JobSpec, device: str) -> list[Trained]:
    training, tied = spec.training, spec.sae.tied
    if device == "cpu" and training.precision == "float32":
        return train(models, stream, training, tied, spec.recovery, prefetch=spec.resources.cpus_per_trial >= 2)
    # Torch costs seconds and half a gigabyte to import: only packs that need it pay for it.
    from workers.torch_training import step_budget, train_on

    # On a CPU one model at a time: a product of several could add in another order, and no pack may change a row.
    budget = 0 if device == "cpu" else step_budget(device, spec.resources.gpus_per_trial)
    # Once more: torch brings an OpenMP of its own, which the pack's limit does not know if it was imported after it.
    with threadpool_limits(limits=1):
        return train_on(models, stream, training, tied, device, budget, spec.recovery)


def _evaluate(
    models: list[Model],
    trained: list[Trained],
    spec: JobSpec,
    dictionary: Floats,
    data: EvaluationData,
    device: str,
) -> list[Evaluation]:
    tied = spec.sae.tied
    finite = [place for place, one in enumerate(trained) if is_finite(one)]
    places = sorted(finite, key=lambda place: len(models[place].weights.encoder))  # equal shapes are scored together
    if device == "cpu":
        responses = respond_in_turn(models, trained, places, tied, data)
    else:
        from workers.torch_responses import respond_on
        from workers.torch_training import step_budget

        budget = step_budget(device, spec.resources.gpus_per_trial)
        responses = respond_on(models, trained, places, tied, data, device, budget)
    threads = max(1, int(spec.resources.cpus_per_trial))
    return evaluate(models, trained, responses, open_geometry(dictionary), data, spec.recovery, threads)


def _shares(seconds: float, models: list[Model]) -> list[float]:
    """Each model's share of the time that was spent on all of them, by its number of latents."""
    latents = [len(model.weights.encoder) for model in models]
    return [seconds * one / sum(latents) for one in latents]


def _row(
    spec: JobSpec, pack: Pack, index: int, evaluation: Evaluation, trained: Trained, seconds: float
) -> dict[str, object]:
    trial = pack.trials[index]
    condition = trial.condition
    row: dict[str, object] = {
        "trial_id": pack.trial_ids[index],
        "sparsity": condition.sparsity,
        "hidden_dim": condition.hidden_dim,
        "activation": condition.activation.kind,
        "k": condition.activation.k,
        "l1": condition.activation.l1,
        "exponent": condition.exponent,
        "seed": trial.seed,
        "start": trial.start,
        "n_features": spec.data.n_features,
        "n_inputs": spec.data.n_inputs,
        "identified": False,
        "diverged": evaluation.scores is None,
        "steps": int(np.isfinite(trained.losses).sum()),
        "train_seconds": trained.seconds + seconds,
        "pack_id": pack.pack_id,
    }
    if evaluation.scores is not None:
        row |= {field.name: getattr(evaluation.scores, field.name) for field in fields(Scores)}
        row |= {
            "sae_loss": _number(evaluation.sae_loss),
            "objective": evaluation.objective,
            "loss_slope": evaluation.loss_slope,
        }
    return row


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
