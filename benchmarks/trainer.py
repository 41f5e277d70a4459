"""The fused CPU trainer against SAELens, a plain PyTorch loop and a matrix product of the same shape, in one run.

    make bench            (or: python benchmarks/trainer.py)

Every contender trains the same shape on the same batch size, one thread each, with inputs of the same law drawn inside
the loop (SAELens draws its own kind). Times are processor times, which one thread on an idle machine turns into as much
wall time; rounds alternate between contenders, so that a busy machine's caches hurt all of them; a ratio is the median
over rounds of the ratio within a round, with its lowest and highest. SAELens needs a Python that has it:
`pip install '.[bench]'`, or SAELENS_PYTHON=path; without one its columns stay empty.
"""

import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial

import torch
from fused_pack import FusedPack
from plain_loop import PlainLoop
from saelens_loop import Saelens, saelens_python

DENSITY = 0.05
ROUNDS = 5
SECONDS = 0.3
"""Least length of one measurement."""
PACK = 8
"""SAEs on one stream in the column that shares the data; heuristic: a diagram has 4 to 40."""


@dataclass(frozen=True, slots=True)
class Shape:
    """One cell of the table."""

    n: int
    d: int
    m: int
    activation: str
    batch: int
    tied: bool

    @property
    def step_flop(self) -> float:
        """Arithmetic that one step cannot avoid: encoding all latents; decoding, slopes, gradients of active ones."""
        k = int(self.activation.partition(":")[2]) if self.activation.startswith("topk") else self.m
        return 2.0 * self.batch * self.d * (self.m + 4 * k)


SHAPES = [
    Shape(32, 16, 32, "topk:2", 256, False),
    Shape(128, 64, 128, "topk:4", 1024, False),
    Shape(128, 64, 512, "topk:4", 1024, False),
    Shape(200, 20, 200, "topk:4", 512, True),
    Shape(1024, 256, 1024, "topk:8", 512, False),
    Shape(64, 32, 32, "topk:4", 256, False),
    Shape(64, 32, 64, "topk:4", 256, False),
    Shape(64, 32, 96, "topk:8", 256, False),
    Shape(40, 10, 80, "topk:2", 512, True),
    Shape(40, 10, 80, "relu", 512, True),
    Shape(200, 20, 400, "relu", 512, True),
]

COLUMNS = [
    "n / n_p / n_m", "activation", "batch", "tied", "SAELens, us/step", "plain, us/step", "fused, us/step",
    f"fused in a pack of {PACK}, us/step", "SAELens / fused", "SAELens / fused in a pack", "plain / fused",
    "plain / fused in a pack", "fused in a pack, GFLOP/s", "share of a GEMM's speed",
]  # fmt: skip


def main() -> None:
    torch.set_num_threads(1)
    print(f"{date.today()}, {processor()}, torch {torch.__version__}, one thread, median of {ROUNDS} rounds\n")
    print(table_row(COLUMNS))
    print(table_row(["---"] * len(COLUMNS)))
    python = saelens_python()
    saelens = Saelens(python) if python else None
    for shape in SHAPES:
        print(table_row(_measure(shape, saelens)), flush=True)
    if saelens:
        saelens.close()


def _measure(shape: Shape, saelens: Saelens | None) -> list[str]:
    cell = (shape.n, shape.d, shape.m, shape.activation, shape.batch, shape.tied, DENSITY)
    plain, alone, pack = PlainLoop(*cell), FusedPack(*cell), FusedPack(*cell, models=PACK)
    contenders: list[Callable[[int], float]] = [plain.seconds, alone.seconds, pack.seconds]
    if saelens and shape.activation.startswith("topk") and not shape.tied:
        theirs = (shape.n, shape.d, shape.m, int(shape.activation.partition(":")[2]), shape.batch, DENSITY)
        contenders.append(partial(saelens.seconds, theirs))
    counts = [steps_that_fill(contender, SECONDS) for contender in contenders]
    gemm = _gemm_flop_per_second(shape)
    rounds = []
    for _ in range(ROUNDS):
        times = [contender(count) / count for contender, count in zip(contenders, counts, strict=True)]
        times[2] /= PACK
        rounds.append(times)
    columns = list(zip(*rounds, strict=True))
    speed = shape.step_flop / statistics.median(columns[2])
    return [
        f"{shape.n} / {shape.d} / {shape.m}",
        shape.activation,
        str(shape.batch),
        "yes" if shape.tied else "no",
        *(_micro(columns[i]) if i < len(columns) else "" for i in (3, 0, 1, 2)),
        *(spread(columns[i], columns[j]) if i < len(columns) else "" for i, j in ((3, 1), (3, 2), (0, 1), (0, 2))),
        f"{speed / 1e9:.0f}",
        f"{speed / gemm:.2f}",
    ]


def steps_that_fill(contender: Callable[[int], float], least: float) -> int:
    """How many steps take about so many seconds; warms the contender up on the way."""
    count = 4
    contender(count)
    while (seconds := contender(count)) < least / 4:
        count *= 4
    return max(count, round(count * least / seconds))


def _gemm_flop_per_second(shape: Shape) -> float:
    """Speed of torch's product of a batch with the encoder, the best of many."""
    x, encoder = torch.randn(shape.batch, shape.d), torch.randn(shape.m, shape.d)
    out = torch.empty(shape.batch, shape.m)
    best, began = float("inf"), time.process_time()
    while time.process_time() - began < SECONDS / 2:
        start = time.process_time()
        torch.mm(x, encoder.T, out=out)
        best = min(best, time.process_time() - start)
    return 2.0 * shape.batch * shape.d * shape.m / best


def spread(slow: Sequence[float], fast: Sequence[float]) -> str:
    """The ratio of two contenders over rounds: median (lowest to highest)."""
    ratios = sorted(a / b for a, b in zip(slow, fast, strict=True))
    return f"{statistics.median(ratios):.1f} ({ratios[0]:.1f} to {ratios[-1]:.1f})"


def _micro(seconds: Sequence[float]) -> str:
    return f"{statistics.median(seconds) * 1e6:.0f}"


def table_row(cells: Sequence[str]) -> str:
    """One line of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def processor() -> str:
    """The processor's name, as far as the system tells it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
