"""The trainer on a GPU: model-steps per second of packs, what each part of it is worth, and whether the numbers hold.

    python benchmarks/gpu.py [--device cuda]

Rows are ratios of one run, rounds alternate. `--device cpu` runs the same code without graphs, to see that it works.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from unittest.mock import patch

import numpy as np
import torch

from phase_diagrams.activation import parse_activation
from phase_diagrams.merges import open_geometry
from phase_diagrams.spec import Data, Recovery, Training
from phase_diagrams.trial import Condition, Trial
from workers import device_group, stack
from workers.evaluation import draw_evaluation_data, evaluate, respond_in_turn
from workers.responses import Responses
from workers.sae import initialise
from workers.sampler import Stream, draw_batches, open_stream
from workers.torch_responses import respond_on
from workers.torch_training import step_budget, train_on
from workers.training import Model, train

SHAPES = [
    # n, n_p, n_m, activation, batch size, tied
    (40, 10, 80, "topk:2", 512, True),
    (40, 10, 80, "relu", 512, True),
    (32, 16, 32, "topk:2", 256, False),
    (128, 64, 128, "topk:4", 1024, False),
    (128, 64, 512, "topk:4", 1024, False),
    (200, 20, 200, "topk:4", 512, True),
    (1024, 256, 1024, "topk:8", 1024, False),
]
PACKS = (1, 16, 64, 256)
DENSITY = 0.05
ROUNDS = 3
FULL_STEPS = 1500
"""Steps of a training, as in the contract's default."""
KEPT = 64
"""Models whose responses are held at once while scoring is measured."""
CURVE_STEPS = 40
CURVE_TOLERANCE = 1e-3
"""Largest relative difference from the CPU kernel's training curve over CURVE_STEPS; tests/workers states it too."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One shape with a number of models that share a stream."""

    models: list[Model]
    stream: Stream
    batch_size: int
    tied: bool

    def run(self, steps: int, device: str, precision: str = "float32") -> list[np.ndarray]:
        training = Training.model_validate({"steps": steps, "batch_size": self.batch_size, "precision": precision})
        budget = step_budget(device, 1.0)
        return [one.losses for one in train_on(self.models, self.stream, training, self.tied, device, budget)]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--steps", type=int, default=512, help="steps of one measurement")
    options = parser.parse_args()
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        parser.error("no GPU is visible to torch; --device cpu runs the same code without graphs")
    torch.set_num_threads(1)  # as in a worker, whose pack has a core
    name = torch.cuda.get_device_name() if options.device.startswith("cuda") else options.device
    print(f"{date.today()}, {name}, torch {torch.__version__}, median of {ROUNDS} rounds of {options.steps} steps\n")
    print("| n / n_p / n_m | activation | batch | models | model-steps/s | to plain loop | graphs to eager | "
          "bfloat16 to float32 | passes to topk | GB at most | curve against the CPU kernel | responses, ms | "
          "on the CPU, ms | scores, ms | scoring to training |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|", flush=True)
    for shape in SHAPES:
        for n_models in PACKS:
            print(_row(shape, n_models, options.steps, options.device), flush=True)


def _row(shape: tuple[int, int, int, str, int, bool], n_models: int, steps: int, device: str) -> str:
    n, d, m, text, batch, _ = shape
    cell = open_cell(shape, n_models)
    cell.run(8, device)  # what is done once per process: CUDA's start, cuBLAS, the sampler's compilation
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats()
    plain = PlainLoop(cell, device)
    ways: dict[str, Callable[[], object]] = {
        "graphs": lambda: cell.run(steps, device),
        "plain": lambda: plain.steps(min(steps, 64)),
        "bfloat16": lambda: cell.run(steps, device, "bfloat16"),
    }
    seconds: dict[str, list[float]] = {name: [] for name in (*ways, "eager", "other choice")}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            seconds[name].append(_seconds(way, device))
        with patch.object(device_group, "EAGER_STEPS", steps + 1):
            seconds["eager"].append(_seconds(ways["graphs"], device))
        with patch.object(stack, "PASSES", 0 if stack.PASSES else 64):
            seconds["other choice"].append(_seconds(ways["graphs"], device))
    spent = {name: statistics.median(times) for name, times in seconds.items()}
    rate, plain_rate = n_models * steps / spent["graphs"], min(steps, 64) / spent["plain"]
    peak = torch.cuda.max_memory_allocated() / 1e9 if device.startswith("cuda") else float("nan")
    return (
        f"| {n} / {d} / {m} | {text} | {batch} | {n_models} | {rate:,.0f} | {rate / plain_rate:.1f} | "
        f"{spent['eager'] / spent['graphs']:.2f} | {spent['graphs'] / spent['bfloat16']:.2f} | "
        f"{spent['other choice'] / spent['graphs']:.2f} | {peak:.2f} | {_curve(cell, device)} | "
        f"{_scoring(cell, device, rate)} |"
    )


class PlainLoop:
    """One SAE as a researcher would train it: autograd, torch.optim.Adam, a batch that lies on the device already."""

    def __init__(self, cell: Cell, device: str) -> None:
        self.model = stack.stack([cell.models[0].weights], cell.tied, device)
        self.objective = stack.stack_objectives(cell.models[:1], cell.batch_size, device)
        for parameter in self.model.parameters():
            parameter.requires_grad_(True)
        self.adam = torch.optim.Adam(self.model.parameters(), lr=0.003)
        batches = draw_batches(cell.stream, 0, 1, cell.batch_size)
        self.inputs = torch.tensor(batches.samples[0, : cell.batch_size, : cell.stream.n_inputs], device=device)

    def steps(self, count: int) -> None:
        for _ in range(count):
            _, residual = stack.reconstruct(self.model, self.objective, self.inputs)
            self.adam.zero_grad()
            residual.square().sum(1).mean().backward()
            self.adam.step()


def open_cell(shape: tuple[int, int, int, str, int, bool], n_models: int) -> Cell:
    """A pack of one shape: seeds differ in the initialisation only."""
    n, d, m, text, batch, tied = shape
    dictionary = np.random.default_rng(0).standard_normal((d, n)).astype(np.float32)
    dictionary /= np.linalg.norm(dictionary, axis=0)
    activation = parse_activation(text)
    models = [
        Model(
            initialise(Trial(Condition(1 - DENSITY, m, activation, 0.0), seed, "random"), dictionary),
            activation,
            np.ones(d, np.float32),
        )
        for seed in range(n_models)
    ]
    return Cell(models, open_stream(Data(n_features=n, n_inputs=d), dictionary, 1 - DENSITY, 1), batch, tied)


def _curve(cell: Cell, device: str) -> str:
    one = Cell(cell.models[:1], cell.stream, cell.batch_size, cell.tied)
    training = Training(steps=CURVE_STEPS, batch_size=cell.batch_size)
    expected = train(one.models, one.stream, training, one.tied)[0].losses
    far = float(np.max(np.abs(one.run(CURVE_STEPS, device)[0] / expected - 1)))
    return f"{far:.0e} {'within' if far <= CURVE_TOLERANCE else 'NOT WITHIN'} {CURVE_TOLERANCE:g}"


def _scoring(cell: Cell, device: str, rate: float) -> str:
    """Times of scoring an SAE of the pack, and their share of the pack's training of FULL_STEPS."""
    training, recovery = Training(steps=8, batch_size=cell.batch_size), Recovery()
    budget, places = step_budget(device, 1.0), range(len(cell.models))
    trained = train_on(cell.models, cell.stream, training, cell.tied, device, budget)
    data, geometry = draw_evaluation_data(cell.stream), open_geometry(cell.stream.dictionary)
    found: dict[int, Responses] = {}
    kept = min(KEPT, len(places))

    def on_device() -> None:
        found.update(respond_on(cell.models, trained, places[:kept], cell.tied, data, device, budget))

    def on_cpu() -> None:
        found.update(respond_in_turn(cell.models, trained, [0], cell.tied, data))

    def scores() -> None:
        evaluate(cell.models, trained, found.items(), geometry, data, recovery)

    spent = []
    for way, count in ((on_device, kept), (on_cpu, 1), (scores, kept)):
        way()
        spent.append(statistics.median(_seconds(way, device) for _ in range(ROUNDS)) / count)
    device_time, cpu_time, score_time = spent
    share = (device_time + score_time) * rate / FULL_STEPS
    return f"{1e3 * device_time:.2f} | {1e3 * cpu_time:.2f} | {1e3 * score_time:.2f} | {share:.1%}"


def _seconds(way: Callable[[], object], device: str) -> float:
    began = time.perf_counter()
    way()
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
