"""Scoring an SAE against training it, shape by shape: responses to samples, scores, and the matching in them.

    python benchmarks/evaluation.py

Processor times of one thread. Training is 1,500 steps at the pace of a pack of two; scoring is on the workers' 8,192
samples.
"""

import os
import time
from collections.abc import Callable
from datetime import date

from threadpoolctl import threadpool_limits
from trainer import SHAPES, Shape, processor, table_row

from phase_diagrams.activation import parse_activation
from phase_diagrams.planted import plant_dictionary
from phase_diagrams.scores import match_features, open_geometry, score
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


def main() -> None:
    print(f"{date.today()}, {processor()}, {os.cpu_count()} cores\n")
    columns = ["n / n_p / n_m", "activation", f"{STEPS:,} steps, s", "scoring, ms", "responses", "scores", "matching",
               "share of training"]  # fmt: skip
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
    trials = [Trial(Condition(SPARSITY, shape.m, activation, 0.0), seed, "random") for seed in range(2)]
    models = [open_model(trial, spec.proxy, dictionary, data) for trial in trials]
    training = Training(steps=PACE_STEPS, batch_size=shape.batch)
    trained = train(models, stream, training, shape.tied)[0]
    pace = _seconds(lambda: train(models, stream, training, shape.tied)) / PACE_STEPS / len(models)
    weights, geometry = trained.weights, open_geometry(dictionary)

    def respond() -> Responses:
        [(_, responses)] = respond_in_turn(models[:1], [trained], [0], shape.tied, data)
        return responses

    responses = respond()
    statistics = responses.statistics
    parts = [
        _seconds(lambda: evaluate(models[0], trained, respond(), geometry, data, spec.recovery)),
        _seconds(respond),
        _seconds(lambda: score(geometry, weights.decoder, statistics, 0.9, 0.9)),
        _seconds(lambda: match_features(dictionary, weights.decoder)),
    ]
    share = parts[0] / (pace * STEPS)
    name = f"{shape.n} / {shape.d} / {shape.m}"
    return [name, shape.activation, f"{pace * STEPS:.2f}", *(f"{1000 * part:.1f}" for part in parts), f"{share:.1%}"]


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
