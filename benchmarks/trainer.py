"""Training steps per second of the fused CPU kernel against a plain PyTorch loop, one thread each, in one run.

    make bench            (or: python benchmarks/trainer.py)

Both train the same SAE with fresh inputs of the same law; the plain loop is what a researcher would write: autograd,
torch.optim.Adam, torch.topk, inputs from torch's generator. Rounds alternate, so that a busy machine slows both, and
the ratio is the median of the rounds' ratios with their spread.
"""

import platform
import statistics
import time
from datetime import date

import numpy as np
import torch

from phase_diagrams.activation import Activation, parse_activation
from phase_diagrams.spec import Data, Training
from phase_diagrams.trial import Condition, Trial
from workers.sae import initialise
from workers.sampler import open_stream
from workers.training import Model, train

SHAPES = [
    # n, n_p, n_m, activation, batch size, tied
    (40, 10, 80, "topk:2", 512, True),
    (40, 10, 80, "relu", 512, True),
    (32, 16, 32, "topk:2", 256, False),
    (128, 64, 128, "topk:4", 1024, False),
    (512, 64, 512, "topk:4", 1024, False),
    (200, 20, 200, "topk:4", 512, True),
    (200, 20, 400, "relu", 512, True),
]
DENSITY = 0.05
ROUNDS = 5
SECONDS = 0.6
"""Length of one measurement; a round takes twice this per shape."""


def main() -> None:
    torch.set_num_threads(1)
    print(f"{date.today()}, {_processor()}, torch {torch.__version__}, one thread, median of {ROUNDS} rounds\n")
    print("| n / n_p / n_m | activation | batch | tied | plain, us/step | fused, us/step | ratio (lowest to highest) |")
    print("|---|---|---|---|---|---|---|")
    for n, d, m, text, batch, tied in SHAPES:
        plain, fused = Plain(n, d, m, parse_activation(text), batch, tied), Fused(n, d, m, text, batch, tied)
        rounds = [(_seconds_per_step(plain), _seconds_per_step(fused)) for _ in range(ROUNDS)]
        ratios = sorted(a / b for a, b in rounds)
        a, b = (statistics.median(column) * 1e6 for column in zip(*rounds, strict=True))
        spread = f"{statistics.median(ratios):.1f} ({ratios[0]:.1f} to {ratios[-1]:.1f})"
        print(
            f"| {n} / {d} / {m} | {text} | {batch} | {'yes' if tied else 'no'} | {a:.0f} | {b:.0f} | {spread} |",
            flush=True,
        )


class Plain:
    """A loop in plain PyTorch, inputs drawn inside."""

    def __init__(self, n: int, d: int, m: int, activation: Activation, batch: int, tied: bool) -> None:
        self.generator = torch.Generator().manual_seed(0)
        self.dictionary = torch.nn.functional.normalize(torch.randn(n, d, generator=self.generator), dim=1)
        rows = torch.nn.functional.normalize(torch.randn(m, d, generator=self.generator), dim=1)
        self.encoder = rows.clone().requires_grad_(True)
        self.decoder = self.encoder if tied else rows.clone().requires_grad_(True)
        self.bias = torch.zeros(m, requires_grad=True)
        self.decoder_bias = torch.zeros(d, requires_grad=True)
        parameters = [self.encoder] if tied else [self.encoder, self.decoder, self.bias, self.decoder_bias]
        self.optimizer = torch.optim.Adam(parameters, lr=0.003)
        self.k, self.batch, self.tied, self.n = activation.k, batch, tied, n

    def steps(self, count: int) -> None:
        for _ in range(count):
            uniform = torch.rand(self.batch, self.n, generator=self.generator)
            x = torch.relu(1 - uniform / DENSITY) @ self.dictionary
            z = torch.relu((x - self.decoder_bias) @ self.encoder.T + self.bias)
            if self.k is not None:
                kept = z.topk(self.k, dim=1)
                z = torch.zeros_like(z).scatter(1, kept.indices, kept.values)
            loss = (z @ self.decoder + self.decoder_bias - x).square().sum(1).mean()
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            if not self.tied:
                with torch.no_grad():
                    self.decoder.div_(self.decoder.norm(dim=1, keepdim=True))


class Fused:
    """The trainer of this project, with a pack of one SAE: the data are not shared with anyone."""

    def __init__(self, n: int, d: int, m: int, text: str, batch: int, tied: bool) -> None:
        data = Data(n_features=n, n_inputs=d)
        dictionary = np.random.default_rng(0).standard_normal((d, n)).astype(np.float32)
        dictionary /= np.linalg.norm(dictionary, axis=0)
        activation = parse_activation(text)
        weights = initialise(Trial(Condition(1 - DENSITY, m, activation, 0.0), 0, "random"), dictionary)
        self.model = Model(weights, activation, np.ones(d, np.float32))
        self.stream = open_stream(data, dictionary, 1 - DENSITY, 1)
        self.batch, self.tied = batch, tied

    def steps(self, count: int) -> None:
        train([self.model], self.stream, Training(steps=count, batch_size=self.batch), self.tied)


def _seconds_per_step(trainer: Plain | Fused) -> float:
    trainer.steps(3)
    began, count, steps = time.perf_counter(), 0, 8
    while (elapsed := time.perf_counter() - began) < SECONDS:
        trainer.steps(steps)
        count += steps
        steps = min(2 * steps, 256)
    return elapsed / count


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
