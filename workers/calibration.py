"""A spec to the paces of its shapes on this machine: a fraction of a second of trial steps each, kept in the cache.

    python -m workers.calibration < spec.json

It is a program of its own, so that whoever only plans loads no compiler. Times are those of the processor, not of the
clock: they are right for an idle machine, however busy this one is.
"""

import sys
import time

import numpy as np
from threadpoolctl import threadpool_limits

from phase_diagrams.merges import open_geometry
from phase_diagrams.pace import Pace, Paces, shape_name
from phase_diagrams.pace_cache import add_paces, read_paces
from phase_diagrams.planted import plant_dictionary
from phase_diagrams.spec import JobSpec, Training, read_spec
from phase_diagrams.trial import Condition, Trial, expected_trials
from workers.evaluation import draw_evaluation_data, evaluate, respond_in_turn
from workers.pack_run import open_model
from workers.sae import Floats
from workers.sampler import fill_batches, open_batches, open_stream
from workers.training import train

LEAST_SECONDS = 0.3
"""Length of one measurement; heuristic: some hundred steps, so that a moment's disturbance is a small part."""
FIRST_STEPS = 4
"""Steps of the first measurement, each next being four times as long."""
MODELS = 4
"""SAEs that share the data while the step is measured, as in a pack: the drawing, which is taken off, is then a small
part even where it takes as long as a step."""


def calibrate(spec: JobSpec, conditions: list[Condition]) -> Paces:
    """Measure the pace of each condition's shape on one core."""
    dictionary = plant_dictionary(spec.data)
    with threadpool_limits(limits=1):
        return Paces({shape_name(spec, one): _measure(spec, one, dictionary) for one in conditions})


def _measure(spec: JobSpec, condition: Condition, dictionary: Floats) -> Pace:
    trial = Trial(condition, 0, "random")
    stream = open_stream(spec.data, dictionary, condition.sparsity, 0)
    data = draw_evaluation_data(stream)
    model = open_model(trial, spec.proxy, dictionary, data)
    tied, steps = spec.sae.tied, FIRST_STEPS
    while True:
        training = Training(steps=steps, batch_size=spec.training.batch_size)
        began = time.thread_time()
        trained = train([model] * MODELS, stream, training, tied)[0]
        elapsed = time.thread_time() - began
        # The first round also loads or compiles the kernels: it is never the one that counts.
        if steps > FIRST_STEPS and elapsed >= LEAST_SECONDS:
            break
        steps *= 4
    draw = _draw_seconds(spec, condition, dictionary)
    geometry = open_geometry(dictionary)
    for _ in range(2):  # the first round warms up
        began = time.thread_time()
        open_model(trial, spec.proxy, dictionary, data)
        responses = respond_in_turn([model], [trained], [0], tied, data)
        evaluate([model], [trained], responses, geometry, data, spec.recovery)
    return Pace(max(elapsed / steps - draw, 0.0) / MODELS, draw, time.thread_time() - began)


def _draw_seconds(spec: JobSpec, condition: Condition, dictionary: Floats) -> float:
    stream = open_stream(spec.data, dictionary, condition.sparsity, 0)
    room = open_batches(stream, 8, spec.training.batch_size)
    times: list[float] = []
    while sum(times) < LEAST_SECONDS / 4:
        began = time.thread_time()
        fill_batches(stream, 8 * len(times), room)
        times.append(time.thread_time() - began)
    return float(np.median(times)) / 8


def main() -> None:
    """Measure what is not known yet of the spec on standard input."""
    spec = read_spec(sys.stdin.read())
    add_paces(calibrate(spec, read_paces().missing(spec, expected_trials(spec))))


if __name__ == "__main__":
    main()
