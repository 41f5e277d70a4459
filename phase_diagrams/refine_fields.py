"""A spec with `refine` and its rows to the numbers that refinement works on: lattices, prices, counts of outcomes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, product
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from phase_diagrams.axis import smooth
from phase_diagrams.conditions import condition_table
from phase_diagrams.lattice import Lattice, shares
from phase_diagrams.pace import trial_cost
from phase_diagrams.panel import COUNTS, Panel, grid_panels, panel_rows
from phase_diagrams.refine_spec import Refine
from phase_diagrams.refinement import Field
from phase_diagrams.spec import JobSpec
from phase_diagrams.trial import Condition

Floats = npt.NDArray[np.float64]

Verdict = Literal["tolerance", "budget", "exhausted"]
"""Why sampling stopped: every band is within the tolerance, the budget is spent, or every seed of every place that is
wanted is trained."""

Outcomes = list[tuple[Floats, Floats]]
"""Of a group's lattice: counts and totals (places,) by start."""


@dataclass(frozen=True, slots=True)
class Group:
    """Panels that share a posterior: one, or those of an exponent whose activations are topk."""

    panels: tuple[Panel, ...]


def panel_groups(spec: JobSpec, refine: Refine) -> tuple[Group, ...]:
    """The groups in the order of their first panels; those that share are by ascending k."""
    groups: list[Group] = []
    for panel in grid_panels(spec):
        if "k" not in refine.axes or panel.activation.kind != "topk":
            groups.append(Group((panel,)))
    if "k" in refine.axes:
        shared = sorted(
            (panel for panel in grid_panels(spec) if panel.activation.kind == "topk"),
            key=lambda panel: (panel.exponent, panel.activation.k),
        )
        groups += [Group(tuple(members)) for _, members in groupby(shared, key=lambda panel: panel.exponent)]
    return tuple(groups)


def count_outcomes(spec: JobSpec, groups: Sequence[Group], rows: pa.Table) -> list[Outcomes]:
    """Seeds identified (random start) or identifiable (truth start) and seeds trained, as in conditions.parquet."""
    conditions = condition_table(spec, rows)
    sparsity = {value: i for i, value in enumerate(spec.sparsities)}
    width = {value: i for i, value in enumerate(spec.widths)}
    found: list[Outcomes] = []
    for group in groups:
        outcomes = [np.zeros((2, len(group.panels), len(sparsity), len(width))) for _ in spec.grid.starts]
        for number, panel in enumerate(group.panels):
            table = panel_rows(conditions, panel)
            i = [sparsity[value] for value in table["sparsity"].to_pylist()]
            j = [width[value] for value in table["hidden_dim"].to_pylist()]
            for start, each in zip(spec.grid.starts, outcomes, strict=True):
                for part, name in enumerate(COUNTS[start]):
                    each[part, number, i, j] = pc.fill_null(table[name], 0).to_numpy()
        found.append([(each[0].ravel(), each[1].ravel()) for each in outcomes])
    return found


def group_lattice(spec: JobSpec, group: Group) -> Lattice:
    """The places of a group's conditions: k in log2 where panels share, S in -log10(1 - S), n_m in log2."""
    sparsity, width = (
        shares(list(smooth(axis, np.array(values))))
        for axis, values in (("sparsity", spec.sparsities), ("hidden_dim", spec.widths))
    )
    if len(group.panels) == 1:
        return Lattice((sparsity, width))
    k = shares([math.log2(panel.activation.k or 1) for panel in group.panels])
    return Lattice((k, sparsity, width))


def open_field(spec: JobSpec, group: Group) -> Field:
    """A group's lattice with its prices, on which nothing is asked for yet."""
    lattice = group_lattice(spec, group)
    prices = [
        trial_cost(spec, Condition(sparsity, width, panel.activation, panel.exponent))
        for panel, sparsity, width in product(group.panels, spec.sparsities, spec.widths)
    ]
    streams = np.tile(np.repeat(np.arange(len(spec.sparsities)), len(spec.widths)), len(group.panels))
    asked = np.zeros((len(prices), len(spec.grid.starts), len(spec.grid.seeds)), dtype=bool)
    return Field(lattice, np.array(prices), streams, asked)


def coarse_places(spec: JobSpec, group: Group) -> npt.NDArray[np.intp]:
    """The places of the grid's own conditions."""
    sparsity = np.isin(spec.sparsities, spec.grid.sparsity)
    width = np.isin(spec.widths, spec.grid.hidden_dim)
    return np.flatnonzero(np.tile(np.outer(sparsity, width).ravel(), len(group.panels)))


def places_of(spec: JobSpec, group: Group, condition: Condition) -> list[int]:
    """The place of a condition on a group's lattice; none in a group of other panels."""
    shape = (len(group.panels), len(spec.sparsities), len(spec.widths))
    i, j = spec.sparsities.index(condition.sparsity), spec.widths.index(condition.hidden_dim)
    panel = Panel(condition.activation, condition.exponent)
    return [int(np.ravel_multi_index((number, i, j), shape)) for number, p in enumerate(group.panels) if p == panel]
