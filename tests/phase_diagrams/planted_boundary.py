"""Rows of any trials, whose outcome hangs on the trial alone: for planners, which must not care when a row comes."""

from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from phase_diagrams.spec import JobSpec, parse_spec
from phase_diagrams.tables import TRIALS
from phase_diagrams.trial import Trial, trial_namer


def refined_spec(budget: int = 120, **changes: object) -> JobSpec:
    """A refined spec on n = 40, n_p = 10 with one panel and both starts, or with the keys of grid and refine given."""
    grid: dict[str, object] = {
        "sparsity": {"start": 0.5, "stop": 0.99, "num": 5, "spacing": "log_density"},
        "hidden_dim": [20, 28, 40, 57, 80],
        "activation": ["topk:2"],
        "seeds": 4,
    }
    refine: dict[str, object] = {"budget": budget}
    for key, value in changes.items():
        (grid if key in (*grid, "starts", "exponent") else refine)[key] = value
    return parse_spec({"data": {"n_features": 40, "n_inputs": 10}, "grid": grid, "refine": refine})


def planted_rows(spec: JobSpec, trials: Iterable[Trial], width: float = 0.05) -> pa.Table:
    """Rows (schema TRIALS) of a boundary that falls with n_m, the truth start's a little below the random start's.

    `width` is the logistic's scale in decades of density.
    """
    name = trial_namer(spec)
    rows = []
    for trial in trials:
        condition = trial.condition
        trial_id = name(trial)
        depth = -np.log10(1 - condition.sparsity) + 0.4 * np.log2(condition.hidden_dim / spec.data.n_features)
        critical = 1.0 if trial.start == "random" else 0.7
        chance = np.random.default_rng(int(trial_id, 16)).random()
        found = bool(chance < 1 / (1 + np.exp(-(depth - critical) / width)))
        rows.append(
            {
                "trial_id": trial_id,
                "sparsity": condition.sparsity,
                "hidden_dim": condition.hidden_dim,
                "activation": condition.activation.kind,
                "k": condition.activation.k,
                "l1": condition.activation.l1,
                "exponent": condition.exponent,
                "seed": trial.seed,
                "start": trial.start,
                "identified": found,
                "objective": 0.05 if found else 0.06,
                "diverged": False,
                "train_seconds": 0.1,
            }
        )
    return pa.Table.from_pylist(rows, schema=TRIALS)
