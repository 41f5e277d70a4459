"""Jobs of quickstart's shape: against Ray Tune with one trial each, from one worker to two, by number of trials.

    python benchmarks/jobs.py [TRIALS ...]      (default: 100 1000; `make bench` runs it with these)

The peer is what one writes first: a Tune trial per training, the plain PyTorch loop inside, one thread each. It runs so
few trials as PEER says and is taken to cost the same for each further one, after its start.
"""

import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

from trainer import processor, table_row

from phase_diagrams.pack import cut_packs
from phase_diagrams.planted import plant_dictionary
from phase_diagrams.spec import JobSpec, parse_spec
from phase_diagrams.trial import grid_trials

PEER = 16
"""Trials that Ray Tune runs with one trial each: eight for each of two cores."""
CELLS = 5 * 3 * 4 * 2
"""Trainings of the quickstart grid per seed: sparsities, widths, activations, starts."""


def main() -> None:
    numbers = [int(text) for text in sys.argv[1:]] or [100, 1000]
    print(f"{date.today()}, {processor()}, {os.cpu_count()} cores\n")
    start, each = _tune_seconds()
    print(f"Ray Tune, one trial each: {start:.1f} s to start, then {each:.2f} s per trial ({PEER} trials)\n")
    columns = ["trials", "saephase run, s", "ms per trial", "Ray Tune with one trial each, s", "ratio"]
    print(table_row(columns))
    print(table_row(["---"] * len(columns)))
    for number in numbers:
        spec = _spec(number)
        seconds, trials = _run_seconds(spec), spec.n_trials
        peer = start + each * trials
        cells = [
            str(trials),
            f"{seconds:.1f}",
            f"{1000 * seconds / trials:.0f}",
            f"{peer:.0f}",
            f"{peer / seconds:.1f}",
        ]
        print(table_row(cells), flush=True)
    one, two = _pack_seconds(1), _pack_seconds(2)
    print(f"\nOne worker {one:.1f} s, two workers {two:.1f} s for the same packs: {one / two:.2f} times as fast")


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


def _run_seconds(spec: JobSpec) -> float:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "job.json"
        path.write_text(spec.model_dump_json())
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "saephase", "run", str(path), "--out", f"{folder}/out"],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        return time.perf_counter() - began


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
