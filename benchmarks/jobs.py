"""Whole jobs by number of trials: against Ray Tune with one trial each, against their plan, from one worker to two.

    python benchmarks/jobs.py [TRIALS ...]      (default: 100 1000; `make bench` runs it with these)

Trials of quickstart's shape, then of the smallest shape, whose training costs nothing and shows what all else costs.
The peer is what one writes first: a Tune trial per training, the plain PyTorch loop inside, one thread each. It runs
so few trials as PEER says and is taken to cost the same for each further one, after its start.
"""

import json
import multiprocessing
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import NamedTuple

from trainer import processor, table_row

from phase_diagrams.pack import cut_packs
from phase_diagrams.planted import plant_dictionary
from phase_diagrams.spec import JobSpec, parse_spec
from phase_diagrams.trial import grid_trials

PEER = 16
"""Trials that Ray Tune runs with one trial each: eight for each of two cores."""
CELLS = 5 * 3 * 4 * 2
"""Trainings of the quickstart grid per seed: sparsities, widths, activations, starts."""
SMALLEST = (100, 1_000, 10_000)
"""Trials of the smallest shape."""
STARTS = 5
"""Starts of Ray that are measured."""


class Run(NamedTuple):
    """One `saephase run`, in seconds."""

    planned: float
    """What `saephase plan` says of it."""
    wall: float
    started: float
    """From the words "starting Ray" to the first finished pack."""


def main() -> None:
    numbers = [int(text) for text in sys.argv[1:]] or [100, 1000]
    print(f"{date.today()}, {processor()}, {os.cpu_count()} cores\n")
    _run(_smallest(1))  # compiles what an installation compiles once
    start, each = _tune_seconds()
    print(f"Ray Tune, one trial each: {start:.1f} s to start, then {each:.2f} s per trial ({PEER} trials)\n")
    _header(["trials", "planned, s", "`saephase run`, s", "ms per trial", "Ray Tune with one trial each, s", "ratio"])
    for number in numbers:
        spec = _spec(number)
        run, peer = _run(spec), start + each * spec.n_trials
        _line(spec.n_trials, f"{run.planned:.0f}", *_cells(run, spec), f"{peer:.0f}", f"{peer / run.wall:.1f}")
    print("\nThe smallest shape:\n")
    _header(["trials", "`saephase run`, s", "ms per trial", "ms per trial more"])
    before: tuple[int, float] | None = None
    for number in SMALLEST:
        spec = _smallest(number)
        run = _run(spec)
        more = f"{1000 * (run.wall - before[1]) / (spec.n_trials - before[0]):.2f}" if before else ""
        _line(spec.n_trials, *_cells(run, spec), more)
        before = spec.n_trials, run.wall
    starts = [_run(_smallest(1)).started for _ in range(STARTS)]
    print(f"\nRay's start to the first finished pack: {statistics.median(starts):.1f} s", end="")
    print(f" ({min(starts):.1f} to {max(starts):.1f} s, {STARTS} times)")
    one, two = _pack_seconds(1), _pack_seconds(2)
    print(f"\nOne worker {one:.1f} s, two workers {two:.1f} s for the same packs: {one / two:.2f} times as fast")


def _header(columns: list[str]) -> None:
    print(table_row(columns))
    print(table_row(["---"] * len(columns)))


def _line(*cells: object) -> None:
    print(table_row([str(cell) for cell in cells]), flush=True)


def _cells(run: Run, spec: JobSpec) -> list[str]:
    return [f"{run.wall:.1f}", f"{1000 * run.wall / spec.n_trials:.2f}"]


def _smallest(trials: int) -> JobSpec:
    """At least so many trainings of one step, in ten packs or more, on 480 conditions from 960 trials on."""
    document = {
        "name": "smallest", "data": {"n_features": 8, "n_inputs": 4},
        "grid": {
            "sparsity": [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95] if trials > 100 else [0.5],
            "hidden_dim": list(range(4, 16)), "activation": ["topk:1", "topk:2", "topk:3", "relu"],
            "seeds": -(-trials // 960),
        },
        "training": {"steps": 1, "batch_size": 16},
    }  # fmt: skip
    return parse_spec(document)


def _spec(trials: int) -> JobSpec:
    """At least so many trainings of quickstart's shape."""
    document = {
        "name": "bench", "data": {"n_features": 40, "n_inputs": 10},
        "grid": {
            "sparsity": [0.5, 0.8, 0.9, 0.95, 0.98], "hidden_dim": [20, 40, 80],
            "activation": ["topk:1", "topk:2", "topk:4", "relu"], "seeds": -(-trials // CELLS),
        },
        "training": {"steps": 1500, "batch_size": 512},
    }  # fmt: skip
    return parse_spec(document)


def _run(spec: JobSpec) -> Run:
    command = [sys.executable, "-m", "saephase"]
    with tempfile.TemporaryDirectory() as folder:
        path, out = Path(folder) / "job.json", Path(folder) / "out"
        path.write_text(spec.model_dump_json())
        plan = subprocess.run([*command, "plan", str(path), "--json"], check=True, capture_output=True)
        began, starting, first = time.perf_counter(), 0.0, 0.0
        with subprocess.Popen(
            [*command, "run", str(path), "--out", str(out)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stderr
            for line in process.stderr:
                if line.startswith("starting Ray"):
                    starting = time.perf_counter()
                elif not first and re.match(r"[1-9]\d*/\d+ trials", line):
                    first = time.perf_counter()
        wall = time.perf_counter() - began
        if process.returncode:
            raise SystemExit(f"saephase run ended with {process.returncode}")
        return Run(json.loads(plan.stdout)["seconds"], wall, first - starting)


def _tune_seconds() -> tuple[float, float]:
    """Seconds until Ray Tune's first trial has ended, less that trial, and seconds per trial on all cores."""
    import ray
    from ray import tune

    ray.init(address="local", include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    began = time.perf_counter()
    _tune(tune, 2)
    few = time.perf_counter() - began
    began = time.perf_counter()
    _tune(tune, PEER)
    many = time.perf_counter() - began
    ray.shutdown()
    each = (many - few) / (PEER - 2)
    return few - 2 * each, each


def _tune(tune: object, trials: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        tuner = tune.Tuner(  # type: ignore[attr-defined]
            _train_one,
            param_space={"m": tune.choice([20, 40, 80]), "k": tune.choice([1, 2, 4])},  # type: ignore[attr-defined]
            tune_config=tune.TuneConfig(num_samples=trials),  # type: ignore[attr-defined]
            run_config=tune.RunConfig(storage_path=folder, verbose=0),  # type: ignore[attr-defined]
        )
        tuner.fit()


def _train_one(config: dict[str, int]) -> dict[str, float]:
    sys.path.insert(0, str(Path(__file__).parent))
    import torch
    from plain_loop import PlainLoop

    torch.set_num_threads(1)
    return {"seconds": PlainLoop(40, 10, config["m"], f"topk:{config['k']}", 512, True, 0.05).seconds(1500)}


def _pack_seconds(workers: int) -> float:
    """Wall time of eight packs in so many processes, each warmed up before the clock starts."""
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        pool.map(_run_pack, range(workers), chunksize=1)
        began = time.perf_counter()
        pool.map(_run_pack, range(8), chunksize=1)
        return time.perf_counter() - began


def _run_pack(index: int) -> None:
    from workers.pack_run import run_pack

    spec = _spec(CELLS * 2)
    pack = cut_packs(spec, grid_trials(spec))[index]
    run_pack(spec, plant_dictionary(spec.data), pack)


if __name__ == "__main__":
    main()
