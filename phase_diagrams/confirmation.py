"""What an exponent search found to two phase diagrams of the same conditions: plain, and at the best exponents."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import pyarrow as pa

from phase_diagrams.conditions import condition_table
from phase_diagrams.finding import Finding
from phase_diagrams.outcome import read_outcomes
from phase_diagrams.panel import PanelBoundary, trace_boundaries
from phase_diagrams.spec import JobSpec
from phase_diagrams.trial import Condition, confirm_seeds


@dataclass(frozen=True, slots=True)
class Diagram:
    """Conditions (schema CONDITIONS) and boundaries, all under exponent 0 whatever loss trained them.

    The theorems' verdict in `conditions` is that of the plain loss.
    """

    conditions: pa.Table
    boundaries: tuple[PanelBoundary, ...]


@dataclass(frozen=True, slots=True)
class Confirmation:
    """Two diagrams that differ in the loss only, on the same seeds."""

    spec: JobSpec
    """The spec of the plain diagram: exponent 0, no search."""
    plain: Diagram
    reweighted: Diagram


def confirm(spec: JobSpec, trials: pa.Table, findings: Iterable[Finding]) -> Confirmation:
    """The diagrams at exponent 0 and at each condition's best exponent, from rows (schema TRIALS).

    Conditions that were searched have the fresh seeds in both, so that neither is favoured by a choice. Conditions that
    were not have the grid's plain rows in both, and move nothing.
    """
    best = {finding.condition: finding.exponent for finding in findings}
    grid = spec.grid.model_copy(update={"exponent": (0.0,), "seeds": spec.grid.seeds + confirm_seeds(spec)})
    plain_spec = spec.model_copy(update={"grid": grid, "reweighting": None})
    plain = _diagram(plain_spec, _select(spec, trials, dict.fromkeys(best, 0.0)))
    return Confirmation(plain_spec, plain, _diagram(plain_spec, _select(spec, trials, best)))


def _diagram(spec: JobSpec, rows: pa.Table) -> Diagram:
    conditions = condition_table(spec, rows)
    return Diagram(conditions, trace_boundaries(spec, conditions))


def _select(spec: JobSpec, trials: pa.Table, exponents: dict[Condition, float]) -> pa.Table:
    """The rows of the fresh seeds at these exponents, and the grid's plain rows elsewhere, all as if exponent 0."""
    places = []
    for place, trial in enumerate(read_outcomes(trials)):
        searched = exponents.get(replace(trial.condition, exponent=0.0))
        if searched is None:
            kept = trial.seed in spec.grid.seeds and trial.condition.exponent == 0
        else:
            kept = trial.seed not in spec.grid.seeds and trial.condition.exponent == searched
        if kept:
            places.append(place)
    rows = trials.take(pa.array(places, pa.int64()))
    column = rows.schema.get_field_index("exponent")
    zeros = pa.array([0.0] * rows.num_rows, pa.float64())
    return rows.set_column(column, rows.schema.field(column), zeros)
