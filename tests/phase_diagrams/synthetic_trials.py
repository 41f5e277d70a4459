"""A spec to a table of made-up trials: real functions are tested on them, without training."""

import numpy as np
import pyarrow as pa

from phase_diagrams.spec import JobSpec, parse_spec
from phase_diagrams.tables import METRICS, TRIALS
from phase_diagrams.trial import grid_trials, trial_namer


def small_spec(name: str = "synthetic", **grid: object) -> JobSpec:
    """A spec on n = 40, n_p = 10 with the given grid."""
    axes: dict[str, object] = {
        "sparsity": [0.5, 0.8, 0.9, 0.95],
        "hidden_dim": [20, 40, 80],
        "activation": ["topk:1", "topk:2", "topk:4", "relu"],
    }
    return parse_spec({"name": name, "data": {"n_features": 40, "n_inputs": 10}, "grid": {**axes, **grid}})


def synthetic_trials(spec: JobSpec, seed: int = 0, missing: float = 0.0, diverged: float = 0.0) -> pa.Table:
    """Made-up rows of every trial of the grid, less a share `missing`.

    The planted truth: ReLU never recovers; else nothing is identifiable below n_m = n, and above it the truth is
    optimal where -log10(1 - S) exceeds about 0.5 and is found where it exceeds about 0.6 + 0.5 n / n_m.
    """
    rng = np.random.default_rng(seed)
    trials = list(grid_trials(spec))
    n = len(trials)
    depth = -np.log10(1 - np.array([t.condition.sparsity for t in trials]))
    width = np.array([t.condition.hidden_dim for t in trials], dtype=float) / spec.data.n_features
    sparse = np.array([t.condition.activation.k is not None for t in trials])
    shift = 0.1 * np.log2([t.condition.activation.k or 1 for t in trials]) - 0.2 * np.array(
        [t.condition.exponent for t in trials]
    )
    truth = np.array([t.start == "truth" for t in trials])
    margin = np.where(truth, depth - 0.15 - shift, depth - 0.2 - shift - 0.5 / width) * 6
    margin = np.where((width < 0.99) | ~sparse, -6.0, margin)
    found = 1 / (1 + np.exp(-np.clip(margin + rng.normal(0, 1.0, n), -30, 30)))
    recovered = np.round(spec.data.n_features * found) / spec.data.n_features
    # The truth's own optimum is lower than what a random start finds exactly where the truth is identifiable.
    objective = 0.05 * (1 - 0.3 * found) * (1 + rng.normal(0, 0.002, n))
    lost = rng.random(n) < diverged
    columns: dict[str, object] = {metric: _share(found, rng, lost) for metric in METRICS}
    columns |= {
        "recovered_fraction": np.where(lost, np.nan, recovered),
        "objective": np.where(lost, np.nan, objective),
        "identified": np.where(lost, False, recovered >= spec.recovery.fraction),
        "diverged": lost,
        "steps": np.full(n, spec.training.steps),
        "train_seconds": rng.random(n),
    }
    name = trial_namer(spec)
    table = {
        "trial_id": [name(t) for t in trials],
        "sparsity": [t.condition.sparsity for t in trials],
        "hidden_dim": [t.condition.hidden_dim for t in trials],
        "activation": [t.condition.activation.kind for t in trials],
        "k": [t.condition.activation.k for t in trials],
        "l1": [t.condition.activation.l1 for t in trials],
        "exponent": [t.condition.exponent for t in trials],
        "seed": [t.seed for t in trials],
        "start": [t.start for t in trials],
        "n_features": [spec.data.n_features] * n,
        "n_inputs": [spec.data.n_inputs] * n,
        "feature_cosine": [None] * n,
        "pack_id": ["synthetic"] * n,
    }
    arrays = [
        pa.array(columns[field.name], field.type, from_pandas=True)
        if field.name in columns
        else pa.array(table[field.name], field.type)
        for field in TRIALS
    ]
    rows = pa.Table.from_arrays(arrays, schema=TRIALS)
    return rows.filter(pa.array(rng.random(n) >= missing))


def _share(found: np.ndarray, rng: np.random.Generator, lost: np.ndarray) -> np.ndarray:
    return np.where(lost, np.nan, np.clip(found + rng.normal(0, 0.02, len(found)), 0, 1))
