"""Trials to conditions: how often each was identified, its phase, what theory says, the median of every metric."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from phase_diagrams.interval import wilson
from phase_diagrams.phase import ConditionPhase, condition_phase
from phase_diagrams.spec import JobSpec
from phase_diagrams.tables import CONDITIONS, METRICS
from phase_diagrams.theory import mcc_chance
from phase_diagrams.verdict import disagreement, theory_setting

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.int64]

STARTS = ("random", "truth")


def condition_table(spec: JobSpec, trials: pa.Table) -> pa.Table:
    """One row (schema CONDITIONS) per condition of the grid that has a finished trial, in grid order.

    `trials` (schema TRIALS) are rows of this spec's data, sae and training; rows off its grid are left out. A trial
    that diverged counts as not identified. The phase rests on the seeds that have finished from every start of the
    grid; it is null while there is none.
    """
    condition, start, seed, rows = _places(spec, trials)
    shape = (spec.n_conditions, len(STARTS), len(spec.grid.seeds))
    where = (condition, start, seed)

    def spread(name: str, missing: float) -> Floats:
        values = np.full(shape, missing)
        column = pc.fill_null(trials[name].cast(pa.float64()), float("nan"))
        values[where] = column.to_numpy()[rows]
        return values

    finished = np.zeros(shape, dtype=bool)
    finished[where] = True
    diverged = spread("diverged", 0.0) == 1.0
    identified = (spread("identified", 0.0) == 1.0) & ~diverged
    objective = np.where(diverged, np.nan, spread("objective", np.nan))

    present = np.flatnonzero(finished.any(axis=(1, 2)))
    phases = _phases(spec, finished[present], identified[present], objective[present])
    columns: dict[str, object] = {
        **_axes(spec, present),
        **_rates(finished[present], identified[present], phases),
        "phase": [phase.phase if phase else None for phase in phases],
        "phase_certain": [phase.certain if phase else None for phase in phases],
        **_theory(spec, present, phases),
        "n_diverged": diverged[present].sum(axis=(1, 2)),
    }
    for index, name in enumerate(STARTS):
        for metric in METRICS:
            columns[f"{metric}_{name}"] = median_over_seeds(spread(metric, np.nan)[present, index])
    arrays = [pa.array(columns[field.name], field.type, from_pandas=True) for field in CONDITIONS]
    return pa.Table.from_arrays(arrays, schema=CONDITIONS)


def median_over_seeds(values: Floats) -> Floats:
    """Median of each row of (conditions, seeds) over its finite values; NaN where it has none."""
    finite = np.isfinite(values)
    ordered = np.sort(np.where(finite, values, np.inf), axis=1)
    count = finite.sum(axis=1)
    low, high = np.maximum(count - 1, 0) // 2, np.minimum(count // 2, values.shape[1] - 1)
    line = np.arange(len(values))
    with np.errstate(invalid="ignore"):
        middle = (ordered[line, low] + ordered[line, high]) / 2
    return np.where(count > 0, middle, np.nan)


def _places(spec: JobSpec, trials: pa.Table) -> tuple[Indices, Indices, Indices, Indices]:
    """Of each row on the grid: its condition in grid order, its start, its seed, and its place in the table."""
    grid = spec.grid
    sparsity = _index(trials["sparsity"], pa.array(spec.sparsities, pa.float64()))
    width = _index(trials["hidden_dim"], pa.array(spec.widths, pa.int32()))
    exponent = _index(trials["exponent"], pa.array(grid.exponent, pa.float64()))
    start = _index(trials["start"], pa.array(STARTS, pa.string()))
    seed = _index(trials["seed"], pa.array(grid.seeds, pa.int64()))
    activation = np.full(trials.num_rows, -1, dtype=np.int64)
    for index, wanted in enumerate(grid.activations):
        same = _equal(trials["activation"], wanted.kind) & _equal(trials["k"], wanted.k)
        activation[same & _equal(trials["l1"], wanted.l1)] = index
    known = np.min([sparsity, width, activation, exponent, start, seed], axis=0) >= 0
    rows = np.flatnonzero(known)
    places = (sparsity[rows], width[rows], activation[rows], exponent[rows])
    return np.ravel_multi_index(places, _sizes(spec)), start[rows], seed[rows], rows


def _index(column: pa.ChunkedArray, values: pa.Array) -> Indices:
    """Where in `values` each entry is; -1 if nowhere."""
    return np.asarray(pc.fill_null(pc.index_in(column, value_set=values), -1).to_numpy(), dtype=np.int64)


def _equal(column: pa.ChunkedArray, value: str | int | float | None) -> Flags:
    same = pc.is_null(column) if value is None else pc.fill_null(pc.equal(column, value), False)
    return np.asarray(same.to_numpy(), dtype=bool)


def _theory(spec: JobSpec, present: Indices, phases: list[ConditionPhase | None]) -> dict[str, object]:
    """What Theorems 1 to 3 say of each condition, and who alone calls it identifiable where the seeds settle it."""
    if not present.size:
        return {"theory": [], "disagreement": []}
    grid, activations, setting = spec.grid, spec.grid.activations, theory_setting(spec)
    verdicts = [
        setting.verdict(spec.sparsities[s], spec.widths[w], activations[a], grid.exponent[e])
        for s, w, a, e in zip(*_unravelled(spec, present), strict=True)
    ]
    sides = [
        disagreement(verdict, phase.phase, phase.certain) if phase else None
        for verdict, phase in zip(verdicts, phases, strict=True)
    ]
    return {"theory": verdicts, "disagreement": sides}


def _unravelled(spec: JobSpec, present: Indices) -> tuple[Indices, ...]:
    """Index of each condition along sparsity, hidden_dim, activation and exponent."""
    return np.unravel_index(present, _sizes(spec))


def _sizes(spec: JobSpec) -> tuple[int, int, int, int]:
    return len(spec.sparsities), len(spec.widths), len(spec.grid.activation), len(spec.grid.exponent)


def _axes(spec: JobSpec, present: Indices) -> dict[str, object]:
    """The columns that name a condition, and what depends on its width alone."""
    grid, data = spec.grid, spec.data
    sparsity, width, activation, exponent = _unravelled(spec, present)
    chance = {w: mcc_chance(data.n_features, data.n_inputs, spec.widths[w]) for w in np.unique(width).tolist()}
    kinds = [grid.activations[index] for index in activation]
    return {
        "sparsity": np.array(spec.sparsities)[sparsity],
        "hidden_dim": np.array(spec.widths)[width],
        "activation": [kind.kind for kind in kinds],
        "k": pa.array([kind.k for kind in kinds], pa.int32()),
        "l1": pa.array([kind.l1 for kind in kinds], pa.float64()),
        "exponent": np.array(grid.exponent)[exponent],
        "n_features": np.full(len(present), data.n_features),
        "n_inputs": np.full(len(present), data.n_inputs),
        "mcc_chance": [chance[w] for w in width.tolist()],
    }


def _phases(spec: JobSpec, finished: Flags, identified: Flags, objective: Floats) -> list[ConditionPhase | None]:
    """The phase of each condition, from (conditions, starts, seeds), on the seeds finished from all starts."""
    two = "truth" in spec.grid.starts
    complete: Flags = np.all(finished, axis=1) if two else finished[:, 0]
    phases: list[ConditionPhase | None] = []
    for index, seeds in enumerate(complete):
        random = identified[index, 0, seeds], objective[index, 0, seeds]
        truth = (identified[index, 1, seeds], objective[index, 1, seeds]) if two else ()
        phases.append(condition_phase(*random, *truth) if seeds.any() else None)
    return phases


def _rates(finished: Flags, identified: Flags, phases: list[ConditionPhase | None]) -> dict[str, object]:
    """Counts and probabilities with their intervals; null where there is nothing to count."""
    n_seeds = finished[:, 0].sum(axis=1)
    n_identified = (identified & finished)[:, 0].sum(axis=1)
    pairs = finished.all(axis=1).sum(axis=1)
    identifiable = np.array([sum(phase.identifiable) if phase and phase.identifiable else 0 for phase in phases])
    return {
        "n_seeds": n_seeds,
        "n_identified": n_identified,
        **_rate(("p_identified", "p_low", "p_high"), n_identified, n_seeds),
        "n_pairs": pairs,
        "n_identifiable": pa.array(identifiable, pa.int32(), mask=pairs == 0),
        **_rate(("p_identifiable", "p_identifiable_low", "p_identifiable_high"), identifiable, pairs),
    }


def _rate(names: tuple[str, str, str], successes: Indices, trials: Indices) -> dict[str, object]:
    low, high = wilson(successes, trials)
    with np.errstate(invalid="ignore"):
        share = np.where(trials > 0, successes / np.maximum(trials, 1), np.nan)
    bare = trials == 0
    return {names[0]: share, names[1]: np.where(bare, np.nan, low), names[2]: np.where(bare, np.nan, high)}
