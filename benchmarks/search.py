"""What asking Optuna costs in a job that searches the exponents of 500 conditions, 16 trials each.

    python benchmarks/search.py [STEPS]      (training steps, default 500; quickstart has 1,500)

Runs the job as `saephase run` does, from an empty folder. Then its planner is asked and told everything once more from
the finished rows, which repeats every suggestion exactly (that is how a killed run continues), and only that is timed.
"""

import os
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

import pyarrow as pa
from trainer import processor

from phase_diagrams.exponent_search import ExponentSearch
from phase_diagrams.folder import open_folder, read_trials
from phase_diagrams.spec import JobSpec, parse_spec
from phase_diagrams.trial import Trial, trial_namer


def main() -> None:
    spec = _spec(int(sys.argv[1]) if len(sys.argv) > 1 else 500)
    with tempfile.TemporaryDirectory() as place:
        path, out = Path(place) / "job.json", Path(place) / "out"
        path.write_text(spec.model_dump_json())
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "saephase", "run", str(path), "--out", str(out)],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wall = time.perf_counter() - began
        rows = read_trials(open_folder(str(out)))
    seconds, rounds, repeated = _ask_again(spec, rows)
    if repeated != rows.num_rows:
        sys.exit(f"the planner asked for {repeated:,} of {rows.num_rows:,} trials: not the same search")
    search = spec.search
    assert search is not None
    print(f"{date.today()}, {processor()}, {os.cpu_count()} cores, load {os.getloadavg()[1]:.1f}")
    print(
        f"{spec.n_conditions} studies of {search.trials} trials, {rows.num_rows:,} trainings of "
        f"{spec.training.steps} x {spec.training.batch_size}: {wall:.0f} s"
    )
    print(f"asking and telling: {seconds:.1f} s in {rounds} rounds, {100 * seconds / wall:.2f} % of the wall time")


def _spec(steps: int) -> JobSpec:
    """Quickstart's shape, searched: 25 sparsities, 4 widths, 5 activations."""
    return parse_spec(
        {
            "name": "search",
            "data": {"n_features": 40, "n_inputs": 10},
            "grid": {
                "sparsity": {"start": 0.5, "stop": 0.98, "num": 25, "spacing": "log_density"},
                "hidden_dim": [20, 40, 60, 80],
                "activation": ["topk:1", "topk:2", "topk:3", "topk:4", "relu"],
                "seeds": 2,
                "starts": ["random"],
            },
            "training": {"steps": steps, "batch_size": 512},
            "reweighting": {"search": {"trials": 16}, "confirm_seeds": 2},
        }
    )


def _ask_again(spec: JobSpec, rows: pa.Table) -> tuple[float, int, int]:
    """Seconds that the planner took for the whole search, its rounds, and how many finished trials it asked for."""
    # Importing Optuna is a part of Ray's start, not of each question.
    from workers.exponent_sampler import suggest_exponents

    places = {trial_id: place for place, trial_id in enumerate(rows["trial_id"].to_pylist())}
    name, planner = trial_namer(spec), ExponentSearch(spec, suggest_exponents)
    seconds, rounds, repeated = 0.0, 0, 0
    while True:
        began = time.perf_counter()
        asked: list[Trial] = planner.ask()
        seconds += time.perf_counter() - began
        if not asked:
            return seconds, rounds, repeated
        rounds += 1
        held = [places[trial_id] for trial_id in map(name, asked) if trial_id in places]
        repeated += len(held)
        told = rows.take(pa.array(held, pa.int64()))
        began = time.perf_counter()
        planner.tell(told)
        seconds += time.perf_counter() - began


if __name__ == "__main__":
    main()
