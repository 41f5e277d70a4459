"""Scoring SAEs against training them, shape by shape: responses to samples, scores, and the matching in them.

    python benchmarks/evaluation.py

Processor times of one thread, per SAE. Training is 1,500 steps at the pace of a pack of two; scoring is on the workers'
8,192 samples, of a pack of eight SAEs. "alone" is what the scores and the matching of one take that is scored alone.
"""

import os
import time
from collections.abc import Callable
from datetime import date

import numpy as np
from threadpoolctl import threadpool_limits
from trainer import SHAPES, Shape, processor, table_row

from phase_diagrams.activation import parse_activation
from phase_diagrams.matching import align, match
from phase_diagrams.merges import open_geometry
from phase_diagrams.planted import plant_dictionary
from phase_diagrams.scores import STACK_ENTRIES, score
from phase_diagrams.spec import Training, parse_spec
from phase_diagrams.trial import Condition, Trial
from workers.evaluation import draw_evaluation_data, evaluate, respond_in_turn
from workers.pack_run import open_model
from workers.responses import Responses
from workers.sampler import open_stream
from workers.training import train

SPARSITY = 0.95
STEPS = 1500
"""Steps of a training, as in the contract's default."""
PACE_STEPS = 100
"""Steps over which the pace is measured."""
PACK = 8
"""SAEs that are scored together."""


def main() -> None:
    print(f"{date.today()}, {processor()}, {os.cpu_count()} cores\n")
    columns = ["n / n_p / n_m", "activation", f"{STEPS:,} steps, s", "scoring, ms", "responses", "scores", "alone",
               "matching", "alone", "share of training"]  # fmt: skip
    print(table_row(columns))
    print(table_row(["---"] * len(columns)))
    with threadpool_limits(limits=1):
        for shape in SHAPES:
            print(table_row(_measure(shape)), flush=True)


def _measure(shape: Shape) -> list[str]:
    spec = parse_spec(
        {
            "data": {"n_features": shape.n, "n_inputs": shape.d},
            "grid": {"sparsity": [SPARSITY], "hidden_dim": [shape.m], "activation": [shape.activation], "seeds": 1},
            "sae": {"tied": shape.tied},
            "training": {"batch_size": shape.batch},
        }
    )
    dictionary, activation = plant_dictionary(spec.data), parse_activation(shape.activation)
    stream = open_stream(spec.data, dictionary, SPARSITY, 0)
    data = draw_evaluation_data(stream)
    trials = [Trial(Condition(SPARSITY, shape.m, activation, 0.0), seed, "random") for seed in range(PACK)]
    models = [open_model(trial, spec.proxy, dictionary, data) for trial in trials]
    training = Training(steps=PACE_STEPS, batch_size=shape.batch)
    trained = train(models, stream, training, shape.tied)
    pace = _seconds(lambda: train(models[:2], stream, training, shape.tied)) / PACE_STEPS / 2
    geometry, together = open_geometry(dictionary), max(1, min(PACK, STACK_ENTRIES // (shape.n * shape.m)))
    decoders = [one.weights.decoder for one in trained]
    statistics = [found.statistics for _, found in respond_in_turn(models, trained, range(PACK), shape.tied, data)]
    alignments = align(geometry.directions, np.stack(decoders))

    def respond() -> list[tuple[int, Responses]]:
        return list(respond_in_turn(models, trained, range(PACK), shape.tied, data))

    def scores(size: int) -> None:
        for at in range(0, PACK, size):
            score(geometry, decoders[at : at + size], statistics[at : at + size], 0.9, 0.9)

    def matching(size: int) -> None:
        for at in range(0, PACK, size):
            match(alignments[at : at + size])

    works: list[Callable[[], object]] = [
        lambda: evaluate(models, trained, respond(), geometry, data, spec.recovery),
        respond,
        lambda: scores(together),
        lambda: scores(1),
        lambda: matching(together),
        lambda: matching(1),
    ]
    parts = [_seconds(work) / PACK for work in works]
    share = parts[0] / (pace * STEPS)
    name = f"{shape.n} / {shape.d} / {shape.m}"
    return [name, shape.activation, f"{pace * STEPS:.2f}", *(f"{1000 * part:.2f}" for part in parts), f"{share:.1%}"]


def _seconds(work: Callable[[], object], rounds: int = 3) -> float:
    """The least processor time of a few rounds, after one that warms up."""
    work()
    times = []
    for _ in range(rounds):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return min(times)


if __name__ == "__main__":
    main()
