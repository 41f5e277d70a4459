"""Early stopping against full training: how many labels stay, and what it saves, on four grids.

    python benchmarks/early_stopping.py [--patience 200 --tolerance 0.002] [quickstart measured_shape long fresh ...]

`quickstart` is examples/quickstart.yaml; `measured_shape` the two dictionaries and the grid that tests/data keeps;
`long` is quickstart with four times its steps, where training does converge; `fresh` is `long` with seeds of its own
and another dictionary, which no rule was chosen by. A trial's label is `identified`; a pair's label is the phase of its
seed, from both starts.
"""

import argparse
import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa

from phase_diagrams.conditions import condition_table
from phase_diagrams.pack import cut_packs
from phase_diagrams.phase import condition_phase
from phase_diagrams.planted import plant_dictionary
from phase_diagrams.spec import JobSpec, Stop, parse_spec, read_spec
from phase_diagrams.trial import grid_trials
from workers.pack_run import run_pack

ROOT = Path(__file__).parents[1]
PAIR = ("sparsity", "hidden_dim", "activation", "k", "l1", "exponent", "seed")


def main() -> None:
    options = _options()
    stop = Stop(patience=options.patience, tolerance=options.tolerance)
    print(f"{date.today()}, patience {stop.patience}, tolerance {stop.tolerance:g}\n")
    print("| grid | steps | trials | shortened | labels equal | seed phases equal | condition phases equal | "
          "steps taken | CPU time | objective, median and 95 % of |log ratio| |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|---|---|", flush=True)
    for name in options.grids or GRIDS:
        pairs = [(_run(spec), _run(_stopped(spec, stop))) for spec in GRIDS[name]()]
        steps = GRIDS[name]()[0].training.steps
        print(_row(f"{name} | {steps:,}", compare(pairs)), flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("grids", nargs="*", help=f"of {', '.join(GRIDS)}; all by default")
    parser.add_argument("--patience", type=int, default=Stop().patience)
    parser.add_argument("--tolerance", type=float, default=Stop().tolerance)
    options = parser.parse_args()
    if unknown := set(options.grids) - set(GRIDS):
        parser.error(f"no such grid: {', '.join(sorted(unknown))}")
    return options


def _quickstart() -> list[JobSpec]:
    return [read_spec((ROOT / "examples/quickstart.yaml").read_text())]


def _measured_shape() -> list[JobSpec]:
    grid = {
        "sparsity": [0.5, 0.8, 0.9, 0.95],
        "hidden_dim": [20, 40, 80],
        "activation": ["topk:1", "topk:2", "topk:4", "relu"],
        "seeds": 2,
    }
    return [
        parse_spec(
            {
                "data": {"n_features": 40, "n_inputs": 10, "superposition": {"kind": "explicit", "path": path}},
                "grid": grid,
            },
            ROOT / "tests" / "data",
        )
        for path in ("random_unit_10x40.npy", "toy_model_10x40.npy")
    ]


def _long() -> list[JobSpec]:
    document = _quickstart()[0].model_dump(mode="json")
    document["training"] |= {"steps": 6000}
    return [parse_spec(document)]


def _fresh() -> list[JobSpec]:
    document = _long()[0].model_dump(mode="json")
    document["data"]["superposition"] |= {"seed": 1}
    document["grid"] |= {"seeds": [4, 5, 6, 7]}
    return [parse_spec(document)]


GRIDS = {"quickstart": _quickstart, "measured_shape": _measured_shape, "long": _long, "fresh": _fresh}


@dataclass(frozen=True, slots=True)
class Run:
    """A job's trials and the phase of each condition."""

    trials: list[dict[str, object]]
    phases: list[str]
    seconds: float
    """CPU time of training and scoring."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Shares in [0, 1], of full training."""

    trials: int
    shortened: float
    labels: float
    seed_phases: float
    phases: float
    steps: float
    seconds: float
    objective_median: float
    objective_95: float


def _stopped(spec: JobSpec, stop: Stop) -> JobSpec:
    return spec.model_copy(update={"training": spec.training.model_copy(update={"stop": stop})})


def _run(spec: JobSpec) -> Run:
    dictionary = plant_dictionary(spec.data)
    began = time.process_time()
    table = pa.concat_tables(run_pack(spec, dictionary, pack) for pack in cut_packs(spec, grid_trials(spec)))
    seconds = time.process_time() - began
    # Packs that cost the same start in the order of their names, which a stop changes.
    table = table.sort_by([(name, "ascending") for name in (*PAIR, "start")])
    return Run(table.to_pylist(), condition_table(spec, table)["phase"].to_pylist(), seconds)


def compare(pairs: list[tuple[Run, Run]]) -> Comparison:
    """Full runs against stopped ones of the same trials in the same order."""
    rows = [both for full, stopped in pairs for both in zip(full.trials, stopped.trials, strict=True)]
    ratios = np.abs([np.log(float(b["objective"]) / float(a["objective"])) for a, b in rows])
    phases = [a == b for full, stopped in pairs for a, b in zip(full.phases, stopped.phases, strict=True)]
    seeds = [
        a == b
        for full, stopped in pairs
        for a, b in zip(_seed_phases(full.trials), _seed_phases(stopped.trials), strict=True)
    ]
    return Comparison(
        trials=len(rows),
        shortened=float(np.mean([b["steps"] < a["steps"] for a, b in rows])),
        labels=float(np.mean([a["identified"] == b["identified"] for a, b in rows])),
        seed_phases=float(np.mean(seeds)),
        phases=float(np.mean(phases)),
        steps=sum(b["steps"] for _, b in rows) / sum(a["steps"] for a, _ in rows),
        seconds=sum(stopped.seconds for _, stopped in pairs) / sum(full.seconds for full, _ in pairs),
        objective_median=float(np.median(ratios)),
        objective_95=float(np.quantile(ratios, 0.95)),
    )


def _seed_phases(trials: list[dict[str, object]]) -> list[str]:
    """The phase of each pair of starts; `random` and `truth` are neighbours in the rows' order."""
    return [
        condition_phase([a["identified"]], [a["objective"]], [b["identified"]], [b["objective"]]).phase
        for a, b in zip(trials[::2], trials[1::2], strict=True)
    ]


def _row(name: str, c: Comparison) -> str:
    return (
        f"| {name} | {c.trials:,} | {c.shortened:.0%} | {c.labels:.2%} | {c.seed_phases:.2%} | {c.phases:.2%} | "
        f"{c.steps:.0%} | {c.seconds:.0%} | {c.objective_median:.2%}, {c.objective_95:.2%} |"
    )


if __name__ == "__main__":
    main()
