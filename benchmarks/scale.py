"""What 1 to 1,000 slots or GPUs make of a job, by simulation: wall time, utilisation, the first bottleneck.

    python benchmarks/scale.py cpu | gpu | adaptive [overheads: NAME=SECONDS ...]       (Markdown tables)
    python benchmarks/scale.py check [ACTORS]         (a real run of Ray with a trainer that sleeps, and its simulation)

Training takes what docs/performance.md measured per shape on one core of 2021. No GPU was ever measured: a GPU is
*assumed* to train as fast as 10, 50 or 200 such cores, shared by the four packs that it holds (gpus_per_trial 0.25).
"""

import copy
import sys
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow.fs as fs

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.simulation import Course, Overheads, bottlenecks, simulate  # noqa: E402
from phase_diagrams.folder import Folder  # noqa: E402
from phase_diagrams.pace import ESTIMATED, Pace, Paces, shape_name, trial_cost  # noqa: E402
from phase_diagrams.pace_cache import read_paces  # noqa: E402
from phase_diagrams.pack import Pack  # noqa: E402
from phase_diagrams.spec import JobSpec, parse_spec  # noqa: E402
from phase_diagrams.trial import expected_trials  # noqa: E402
from workers.pack_queue import PackQueue  # noqa: E402
from workers.planners import open_planner  # noqa: E402
from workers.stock import FolderStock  # noqa: E402

SLOTS = (1, 10, 100, 1_000)
SIZES = (1_000, 10_000, 100_000)
PER_GPU = 4
CORES_PER_GPU = (10, 50, 200)
"""An assumption, not a measurement."""

MEASURED = {"small": (40, 10, 80, 2, 512, 60e-6, 33e-6), "large": (128, 64, 512, 4, 1024, 1461e-6, 215e-6)}
"""n, n_p, n_m, k, batch, seconds per step in a pack, seconds of drawing a batch; docs/performance.md."""
SCORING = 3.5e-3
"""Seconds of starting and scoring a trial; docs/performance.md."""
GRIDS = {1_000: (5, 3, 8), 10_000: (13, 12, 8), 100_000: (26, 30, 16)}
"""Values of S and n_m, and seeds, of a job with about so many trials: four activations, two starts."""


NOWHERE = FolderStock(Folder(fs.LocalFileSystem(), "never-read"), frozenset())


def job_spec(kind: str, size: int, budget: int | None = None) -> JobSpec:
    """A grid on small or large SAEs, or its refinement with a budget of trainings."""
    n_features, n_inputs, _, _, batch, _, _ = MEASURED[kind]
    sparsities, widths, seeds = GRIDS[size]
    return parse_spec(
        {
            "data": {"n_features": n_features, "n_inputs": n_inputs},
            "grid": {
                "sparsity": {"start": 0.5, "stop": 0.98, "num": sparsities, "spacing": "log_density"},
                "hidden_dim": {"start": n_features // 2, "stop": n_features * max(2, widths // 4), "num": widths},
                "activation": ["topk:1", "topk:2", "topk:4", "relu"],
                "seeds": seeds,
            },
            "training": {"steps": 1500, "batch_size": batch},
            "refine": budget and {"budget": budget},
        }
    )


def paces_of(kind: str, spec: JobSpec) -> Paces:
    """Paces of all shapes of a job, from the measured one by their arithmetic."""
    _, _, width, k, _, step, draw = MEASURED[kind]
    measured = parse_spec(
        spec.model_dump(mode="json", exclude={"refine"})
        | {"grid": {"sparsity": [0.9], "hidden_dim": [width], "activation": [f"topk:{k}"]}}
    )
    [condition] = {trial.condition for trial in expected_trials(measured)}
    rate = trial_cost(measured, condition) / (step * measured.training.steps)
    conditions = {trial.condition for trial in expected_trials(spec)}
    return Paces(
        {
            shape_name(spec, one): Pace(trial_cost(spec, one) / rate / spec.training.steps, draw, SCORING)
            for one in conditions
        }
    )


def opened(spec: JobSpec, paces: Paces, slots: int) -> Callable[[], PackQueue]:
    """Gives the job's queue, cut for so many slots, as often as it is asked; planned once."""
    queue = PackQueue(spec, open_planner(spec, NOWHERE), paces=paces, slots=slots)
    ticket = "first"
    first = queue.take(ticket)
    assert first is not None
    queue._waiting.appendleft(queue._running.pop(ticket))

    def again() -> PackQueue:
        fresh = copy.copy(queue)
        fresh._waiting, fresh._running = deque(queue._waiting), {}
        return fresh

    return again


def trainer(spec: JobSpec, paces: Paces, speed: float = 1.0) -> Callable[[Pack], float]:
    """Seconds of a pack on a slot that is so many times as fast as the core that was measured."""
    known: dict[str, float] = {}

    def seconds(pack: Pack) -> float:
        if pack.pack_id not in known:
            drawing = paces.stream_seconds(spec, pack.trials[0].condition)
            known[pack.pack_id] = drawing + sum(paces.trial_seconds(spec, trial.condition) for trial in pack.trials)
        return known[pack.pack_id] / speed

    return seconds


def row(*cells: object) -> str:
    return f"| {' | '.join(str(cell) for cell in cells)} |"


def clock(seconds: float) -> str:
    for limit, unit, size in ((100, "s", 1), (6_000, "min", 60), (360_000, "h", 3600)):
        if seconds < limit:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 86_400:.3g} d"


def told(course: Course, parts: list[tuple[str, float]]) -> str:
    """The first bottleneck, with the share of the wall time that it costs; the second where it costs half as much."""
    (first, saved), (second, less) = parts[:2]
    words = f"{first} {saved / course.wall:.0%}"
    return f"{words}, {second} {less / course.wall:.0%}" if less > saved / 2 else words


def measure(spec: JobSpec, paces: Paces, cut_by: Paces, slots: int, speed: float, costs: Overheads) -> list[object]:
    queue, train = opened(spec, cut_by, slots), trainer(spec, paces, speed)

    def run(costs: Overheads) -> Course:
        return simulate(queue(), slots, train, costs)

    course = run(costs)
    driver = course.driver / (course.trained - costs.ray)
    return [course.packs, clock(course.even), clock(course.wall), f"{course.utilisation:.0%}", f"{driver:.0%}",
            told(course, bottlenecks(run, costs))]  # fmt: skip


def cpu(costs: Overheads) -> None:
    print(row("SAEs", "trials", "slots", "packs", "training / slots", "wall", "utilisation", "driver", "bottleneck"))
    print(row(*["---"] * 9))
    for kind in MEASURED:
        for size in SIZES:
            spec = job_spec(kind, size)
            paces = paces_of(kind, spec)
            for slots in SLOTS:
                print(
                    row(kind, f"{spec.n_trials:,}", f"{slots:,}", *measure(spec, paces, paces, slots, 1, costs)),
                    flush=True,
                )


def gpu(costs: Overheads, sizes: Sequence[int] = SIZES[1:]) -> None:
    print(row("trials", "GPUs", "a GPU is", "packs", "training / GPUs", "wall", "utilisation", "driver", "bottleneck"))
    print(row(*["---"] * 9))
    for size in sizes:
        spec = job_spec("large", size)
        paces = paces_of("large", spec)
        for gpus in SLOTS:
            for cores in CORES_PER_GPU:
                # As on a real one, packs are cut by the estimate for a CPU until the first have shown how fast it is.
                cells = measure(spec, paces, ESTIMATED, PER_GPU * gpus, cores / PER_GPU, costs)
                print(row(f"{spec.n_trials:,}", f"{gpus:,}", f"{cores} cores", *cells), flush=True)


def adaptive(costs: Overheads, budget: int = 400) -> None:
    """A refined job, which asks in rounds; its planner computes for real, on made-up rows."""
    from tests.phase_diagrams.planted_boundary import planted_rows, refined_spec

    spec = refined_spec(budget)
    paces = paces_of("small", spec)
    train = trainer(spec, paces)
    print(row("trials", "slots", "packs", "training / slots", "wall", "utilisation", "driver and planner"))
    print(row(*["---"] * 7))
    for slots in SLOTS[:3]:
        queue = PackQueue(spec, open_planner(spec, NOWHERE), paces=paces, slots=slots)
        course = simulate(queue, slots, train, costs, rows=lambda pack: planted_rows(spec, pack.trials))
        cells = [clock(course.even), clock(course.wall), f"{course.utilisation:.0%}", clock(course.driver)]
        print(row(course.trials, slots, course.packs, *cells), flush=True)


def check(actors: int = 16, seconds: float = 600.0) -> None:
    """A real run on this machine's Ray whose trainings sleep `seconds` in all, against its simulation."""
    from benchmarks.driving import drive

    spec, paces = job_spec("large", 1_000), read_paces()
    estimate = trainer(spec, ESTIMATED)
    queue = opened(spec, paces, actors)
    pace = seconds / sum(estimate(attempt.pack) for attempt in queue()._waiting)
    heard, wall = drive(spec, actors, pace)
    # The clock starts once Ray is up, and nothing is merged or drawn. How long actors need to come up is this machine's
    # own affair: all of them start on its cores.
    costs = replace(Overheads(), ray=0.0, actor=heard.starts[0], merging=0.0, drawing=0.0, drawing_condition=0.0)
    course = simulate(queue(), actors, lambda pack: pace * estimate(pack), costs)
    starts = f"{len(heard.starts)} of {actors} actors, up after {heard.starts[0]:.1f} to {heard.starts[-1]:.1f} s"
    ran = f"{starts}, {len(heard.packs)} packs (simulated {course.packs})"
    print(f"{ran}: {wall:.1f} s, simulated {course.wall:.1f} s, ratio {wall / course.wall:.2f}")


def main(arguments: list[str]) -> None:
    kind, *changes = arguments or ["cpu"]
    if kind == "check":
        check(*map(int, changes))
        return
    costs = replace(
        Overheads(), **{name: float(text) for name, _, text in (change.partition("=") for change in changes)}
    )
    {"cpu": cpu, "gpu": gpu, "adaptive": adaptive}[kind](costs)


if __name__ == "__main__":
    main(sys.argv[1:])
