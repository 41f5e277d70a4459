"""A spec to its plan: how much there is to train, in what pieces, and about what it takes in memory and time."""

import heapq
from collections.abc import Collection
from dataclasses import dataclass

from phase_diagrams.pace import ESTIMATED, Paces, trial_cost
from phase_diagrams.pack import Pack, cut_packs, model_bytes
from phase_diagrams.scores import STACK_ENTRIES
from phase_diagrams.spec import JobSpec
from phase_diagrams.trial import expected_trials, trial_namer

START_SECONDS = 15.0
"""Ray's start, the workers' imports and the drawing of a small diagram; measured on 2 cores of 2024."""
ROW_SECONDS = 0.001
"""Fan-out, merging and drawing for each further trial; the same."""
WORKER_BYTES = 280_000_000
"""Memory of a worker process before it holds a pack: Python, Ray, numba; measured with ray 2.60."""
DRIVER_BYTES = 450_000_000
"""Memory of the command and of the process that drives Ray, before they hold a plan; measured with ray 2.60."""
EVALUATION_SAMPLES = 8192
"""Samples on which the workers score a trial (workers.evaluation)."""
SUM_BYTES = 24
"""Memory of what an SAE's code sums up to, for each feature and latent; a stack's stays until the next is done."""
SCORE_BYTES = 24
"""Memory that scoring takes beside it, for each feature and latent of what is scored at a time; measured."""
TRIAL_BYTES = 2_000
"""Memory of a trial in the plan, its id and its place in a pack, in the command and in the driver together."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a job would cost. Bytes and seconds are estimates."""

    conditions: int
    """Combinations of sparsity, hidden_dim, activation and exponent."""
    trials: int
    """Trainings that the job asks for: conditions x seeds x starts."""
    trainings: int
    """Of them, trainings that are not finished yet."""
    packs: int
    """Pieces that are trained at a time and written whole."""
    steps: int
    """Optimiser steps of all trainings; with training.stop, the most they may take."""
    multiply_adds: float
    """Arithmetic of all trainings."""
    pack_bytes: int
    """Memory of a worker process with the largest pack."""
    driver_bytes: int
    """Memory of the processes that plan, feed Ray and gather."""
    packs_at_a_time: int
    """Packs that run beside each other on the cores that the estimate is for."""
    seconds: float
    """Wall time on these cores, Ray's start and the drawing included."""


def plan_cost(spec: JobSpec, cores: int, finished: Collection[str] = frozenset(), paces: Paces = ESTIMATED) -> Plan:
    """Estimate what training the spec's trials that are not `finished` (ids) costs on a machine with so many cores."""
    name = trial_namer(spec)
    slots = max(1, int(cores / spec.resources.cpus_per_trial + 1e-9))
    slots = min(slots, spec.resources.max_concurrent or slots)
    packs = cut_packs(spec, (trial for trial in expected_trials(spec) if name(trial) not in finished), paces, slots)
    trainings = sum(len(pack.trials) for pack in packs)
    at_a_time = max(1, min(slots, len(packs)))
    return Plan(
        conditions=spec.n_conditions,
        trials=spec.n_trials,
        trainings=trainings,
        packs=len(packs),
        steps=trainings * spec.training.steps,
        multiply_adds=sum(trial_cost(spec, trial.condition) for pack in packs for trial in pack.trials),
        pack_bytes=max((pack_bytes(spec, pack) for pack in packs), default=0),
        driver_bytes=driver_bytes(spec),
        packs_at_a_time=at_a_time if packs else 0,
        seconds=_makespan([pack.cost for pack in packs], at_a_time) + START_SECONDS + ROW_SECONDS * trainings
        if packs
        else 0.0,
    )


def _makespan(seconds: list[float], at_a_time: int) -> float:
    """When the last of these packs ends, each starting in order where one is free."""
    free = [0.0] * at_a_time
    for length in seconds:
        heapq.heapreplace(free, free[0] + length)
    return max(free)


def pack_bytes(spec: JobSpec, pack: Pack) -> int:
    """Memory of a worker with this pack on the CPU: its models, their losses, and the evaluation data of the widest."""
    data, training = spec.data, spec.training
    widths = [trial.condition.hidden_dim for trial in pack.trials]
    models = sum(model_bytes(spec, trial.condition) for trial in pack.trials)
    # Features, inputs in two layouts, latents; then what stacks are scored with.
    evaluation = 4 * EVALUATION_SAMPLES * (3 * data.n_features + 3 * data.n_inputs + 3 * max(widths))
    threads = max(1, int(spec.resources.cpus_per_trial))
    stack = max(STACK_ENTRIES, data.n_features * max(widths))
    evaluation += (threads * SCORE_BYTES + (threads + 1) * SUM_BYTES) * stack
    batches = 2 * 4 * training.batch_size * (data.n_features + data.n_inputs)
    return WORKER_BYTES + models + evaluation + batches


def driver_bytes(spec: JobSpec) -> int:
    """Memory of the command and the driver together: the plan, and the rows twice while they are merged."""
    row = 300 + 4 * spec.data.n_features
    dictionary = 4 * spec.data.n_features * spec.data.n_inputs
    return DRIVER_BYTES + spec.n_trials * (TRIAL_BYTES + 4 * row) + 4 * dictionary
