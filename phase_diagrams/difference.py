"""Two diagrams to what differs between them: probabilities cell by cell, whole panels, boundaries, specs.

Everything is `other` less `one`. Where both sides have the same seeds, outcomes are paired by seed (the data of a seed
are then the same too, unless the data sections differ); else they count as independent samples.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from phase_diagrams.conditions import condition_table
from phase_diagrams.displacement import displacement_table
from phase_diagrams.panel import Panel, boundary_table, grid_panels, panel_rows, trace_boundaries
from phase_diagrams.phase import condition_phase
from phase_diagrams.spec import JobSpec
from phase_diagrams.tables import DIFFERENCE
from phase_diagrams.two_samples import benjamini_hochberg, compare_paired, compare_unpaired, sign_flip_test

Statistic = Literal["identified", "identifiable"]
Flags = npt.NDArray[np.bool_]

LEVEL = 0.05
"""Largest share of false findings among the cells called significant (Benjamini and Hochberg)."""
UNEQUAL = ("name", "resources")
"""Parts of a spec that no number depends on."""


class IncompatibleError(ValueError):
    """The two diagrams have no plane in common; `str()` names the axis and both sides' values."""


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two diagrams."""

    spec: JobSpec
    trials: pa.Table
    """Finished rows (schema TRIALS, vectors may be left out)."""

    @property
    def grid_trials(self) -> pa.Table:
        """The rows of the grid's own seeds: those that confirm an exponent search belong to no cell."""
        seeds = pa.array(self.spec.grid.seeds, pa.int64())
        return self.trials.filter(pc.is_in(self.trials["seed"], value_set=seeds))


@dataclass(frozen=True, slots=True)
class PanelDifference:
    """One panel as a whole."""

    label: str
    other_label: str
    statistic: Statistic
    cells: int
    significant: int
    mean_difference: float
    """Mean over cells of the difference of probabilities."""
    p_value: float | None
    """Of no difference anywhere in the panel, signs flipped per stream of data; None where outcomes are not paired."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What differs between two diagrams."""

    one: str
    other: str
    """Their names."""
    plane: JobSpec
    """The spec of `one`, its grid cut down to what both have (of refined ones, candidates that both have)."""
    spec_changes: tuple[tuple[str, object, object], ...]
    """Keys of the spec whose values differ, with both values; None where a side has no such key."""
    cells: pa.Table
    """Schema DIFFERENCE."""
    panels: tuple[PanelDifference, ...]
    displacement: pa.Table
    """Schema DISPLACEMENT."""
    boundaries: tuple[pa.Table, pa.Table]
    """Of `one` and of `other` (schema BOUNDARY), both under the panels of `one`."""
    only_one: int
    only_other: int
    """Conditions of one side's grid that the other's has not; of a refined side, those that were trained."""


def compare_diagrams(one: Side, other: Side) -> Difference:
    """Compare two diagrams on the conditions that both have; raises IncompatibleError where there are none."""
    pairs = matched_panels(one.spec, other.spec)
    plane = _common_plane(one.spec, other.spec, [mine for mine, _ in pairs])
    cells, panels = _compare_seeds(one, other, pairs, plane)
    curves = tuple(_boundaries(side, [pair[i] for pair in pairs], pairs) for i, side in enumerate((one, other)))
    return Difference(
        one=one.spec.name,
        other=other.spec.name,
        plane=plane,
        spec_changes=tuple(spec_changes(one.spec, other.spec)),
        cells=cells,
        panels=panels,
        displacement=displacement_table(*curves),
        boundaries=(curves[0], curves[1]),
        only_one=_alone(one, [mine for mine, _ in pairs], plane),
        only_other=_alone(other, [theirs for _, theirs in pairs], plane),
    )


def _alone(side: Side, panels: list[Panel], plane: JobSpec) -> int:
    """Conditions of a side that the plane has not; candidates that refinement never asked for are none."""
    if side.spec.refine is None:
        return side.spec.n_conditions - plane.n_conditions
    sparsities, widths = set(plane.grid.sparsity), set(plane.grid.hidden_dim)
    names = ("sparsity", "hidden_dim", "activation", "k", "l1", "exponent")
    trained = set(zip(*(side.grid_trials[name].to_pylist() for name in names), strict=True))
    keys = {tuple(panel.keys[name] for name in names[2:]) for panel in panels}
    return sum(not (s in sparsities and width in widths and tuple(key) in keys) for s, width, *key in trained)


def compare_seeds(one: Side, other: Side) -> tuple[pa.Table, tuple[PanelDifference, ...]]:
    """The part of a comparison that rests on seeds alone: the cells (schema DIFFERENCE), and whole panels."""
    pairs = matched_panels(one.spec, other.spec)
    return _compare_seeds(one, other, pairs, _common_plane(one.spec, other.spec, [mine for mine, _ in pairs]))


def matched_panels(one: JobSpec, other: JobSpec) -> list[tuple[Panel, Panel]]:
    """Panels of both, matched by activation and exponent; raises IncompatibleError where none match.

    An axis on which each side has one value matches whatever the values are: that difference is then what is compared.
    """
    activations = _matched("grid.activation", one.grid.activations, other.grid.activations)
    exponents = _matched("grid.exponent", one.grid.exponent, other.grid.exponent)
    wanted = {(a, e): Panel(activations[a], exponents[e]) for e in exponents for a in activations}
    return [(panel, wanted[panel.activation, panel.exponent]) for panel in grid_panels(one)
            if (panel.activation, panel.exponent) in wanted]  # fmt: skip


def spec_changes(one: JobSpec, other: JobSpec) -> Iterator[tuple[str, object, object]]:
    """The keys at which two specs differ, with both values; name and resources do not count."""
    left, right = (dict(_leaves(spec.model_dump(mode="json", exclude=set(UNEQUAL)))) for spec in (one, other))
    for key in dict.fromkeys([*left, *right]):
        if left.get(key) != right.get(key):
            yield key, left.get(key), right.get(key)


def _leaves(document: dict[str, Any], under: str = "") -> Iterator[tuple[str, object]]:
    for key, value in document.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{under}{key}.")
        else:
            yield f"{under}{key}", value


def _matched(axis: str, one: tuple[Any, ...], other: tuple[Any, ...]) -> dict[Any, Any]:
    """Values of one side to those of the other."""
    if len(one) == len(other) == 1:
        return {one[0]: other[0]}
    common = [value for value in one if value in other]
    if not common:
        mine, theirs = (", ".join(str(value) for value in values) for values in (one, other))
        raise IncompatibleError(f"the diagrams cannot be compared: {axis} is {mine} in one and {theirs} in the other")
    return {value: value for value in common}


def _common_plane(one: JobSpec, other: JobSpec, panels: list[Panel]) -> JobSpec:
    """The spec of one side, its grid cut down to what both have."""
    axes: dict[str, Any] = {}
    for name in ("sparsity", "hidden_dim"):
        mine, theirs = axis_values(one, name), axis_values(other, name)
        common = tuple(value for value in mine if value in theirs)
        if not common:
            raise IncompatibleError(
                f"the diagrams cannot be compared: grid.{name} is {', '.join(map(str, mine))} in one and "
                f"{', '.join(map(str, theirs))} in the other, without a common value"
            )
        axes[name] = common
    axes["activation"] = tuple(dict.fromkeys(str(panel.activation) for panel in panels))
    axes["exponent"] = tuple(dict.fromkeys(panel.exponent for panel in panels))
    axes["starts"] = tuple(start for start in one.grid.starts if start in other.grid.starts)
    fields = {name: getattr(one, name) for name in JobSpec.model_fields}
    # A copy would keep the axes that `one` has worked out already.
    return JobSpec.model_construct(**{**fields, "grid": one.grid.model_copy(update=axes), "refine": None})


def axis_values(spec: JobSpec, axis: str) -> tuple[Any, ...]:
    """The values of sparsity, hidden_dim, activation or exponent that a condition may have."""
    lattice = {"sparsity": spec.sparsities, "hidden_dim": spec.widths, "activation": spec.grid.activations}
    return lattice.get(axis, spec.grid.exponent)


Outcomes = dict[tuple[object, ...], dict[int, tuple[bool, bool | None]]]
"""By condition, then by seed: identified from the random start, and identifiable (None without both starts)."""


def seed_outcomes(trials: pa.Table) -> Outcomes:
    """What each seed of each condition came to; seeds without a finished random start are left out."""
    names = ("sparsity", "hidden_dim", "activation", "k", "l1", "exponent")
    keys = zip(*(trials[name].to_pylist() for name in names), strict=True)
    parts = (trials[name].to_pylist() for name in ("seed", "start", "identified", "objective", "diverged"))
    runs: dict[tuple[object, ...], dict[int, dict[str, tuple[bool, float]]]] = {}
    for key, seed, start, identified, objective, diverged in zip(keys, *parts, strict=True):
        ended = float("nan") if diverged or objective is None else float(objective)
        runs.setdefault(key, {}).setdefault(seed, {})[start] = (bool(identified) and not diverged, ended)
    return {key: {seed: _outcome(starts) for seed, starts in seeds.items() if "random" in starts}
            for key, seeds in runs.items()}  # fmt: skip


def _outcome(starts: dict[str, tuple[bool, float]]) -> tuple[bool, bool | None]:
    identified, objective = starts["random"]
    if "truth" not in starts:
        return identified, None
    stays, truth_objective = starts["truth"]
    phase = condition_phase([identified], [objective], [stays], [truth_objective])
    assert phase.identifiable is not None
    return identified, phase.identifiable[0]


def _compare_seeds(
    one: Side, other: Side, pairs: list[tuple[Panel, Panel]], plane: JobSpec
) -> tuple[pa.Table, tuple[PanelDifference, ...]]:
    records = list(_cells(one, other, pairs, plane))
    cells = _with_q_values(records)
    return cells, _panel_differences(records, cells, pairs)


@dataclass(frozen=True, slots=True)
class _Cell:
    """One row of the table, and the sum of its paired differences by stream of data."""

    row: dict[str, Any]
    panel: Panel
    by_stream: dict[tuple[float, int], int]


def _cells(one: Side, other: Side, pairs: list[tuple[Panel, Panel]], plane: JobSpec) -> Iterator[_Cell]:
    mine, theirs = seed_outcomes(one.grid_trials), seed_outcomes(other.grid_trials)
    for panel, matched in pairs:
        for sparsity in plane.grid.sparsity:
            for hidden_dim in plane.grid.hidden_dim:
                seeds = mine.get(_key(sparsity, hidden_dim, panel), {})
                others = theirs.get(_key(sparsity, hidden_dim, matched), {})
                for index, statistic in enumerate(("identified", "identifiable")):
                    x = {seed: outcome[index] for seed, outcome in seeds.items() if outcome[index] is not None}
                    y = {seed: outcome[index] for seed, outcome in others.items() if outcome[index] is not None}
                    if x and y:
                        yield _compared(panel, matched, sparsity, hidden_dim, statistic, x, y)


def _key(sparsity: float, hidden_dim: int, panel: Panel) -> tuple[object, ...]:
    activation = panel.activation
    return sparsity, hidden_dim, activation.kind, activation.k, activation.l1, panel.exponent


def _compared(
    panel: Panel,
    matched: Panel,
    sparsity: float,
    hidden_dim: int,
    statistic: str,
    x: dict[int, Any],
    y: dict[int, Any],
) -> _Cell:
    paired = x.keys() == y.keys()
    order = sorted(x)
    found = (
        compare_paired([x[s] for s in order], [y[s] for s in order])
        if paired
        else compare_unpaired(list(x.values()), list(y.values()))
    )
    row = {
        **panel.keys,
        "other_activation": str(matched.activation),
        "other_exponent": matched.exponent,
        "sparsity": sparsity,
        "hidden_dim": hidden_dim,
        "statistic": statistic,
        "n_one": len(x),
        "n_other": len(y),
        "p_one": sum(x.values()) / len(x),
        "p_other": sum(y.values()) / len(y),
        "difference": found.difference,
        "low": found.low,
        "high": found.high,
        "paired": paired,
        "p_value": found.p_value,
    }
    return _Cell(row, panel, {(sparsity, s): int(y[s]) - int(x[s]) for s in order} if paired else {})


def _with_q_values(cells: list[_Cell]) -> pa.Table:
    """The table, p values adjusted over all cells of one statistic."""
    rows = [dict(cell.row) for cell in cells]
    for statistic in ("identified", "identifiable"):
        family = [row for row in rows if row["statistic"] == statistic]
        if family:
            for row, q in zip(family, benjamini_hochberg([row["p_value"] for row in family]), strict=True):
                row["q_value"], row["significant"] = float(q), bool(q <= LEVEL)
    return pa.Table.from_pylist(rows, schema=DIFFERENCE)


def _panel_differences(
    records: list[_Cell], cells: pa.Table, pairs: list[tuple[Panel, Panel]]
) -> tuple[PanelDifference, ...]:
    significant = cells["significant"].to_pylist()
    found = []
    for panel, matched in pairs:
        for statistic in ("identified", "identifiable"):
            mine = [(cell, mark) for cell, mark in zip(records, significant, strict=True)
                    if cell.panel == panel and cell.row["statistic"] == statistic]  # fmt: skip
            if not mine:
                continue
            streams: dict[tuple[float, int], int] = {}
            for cell, _ in mine:
                for stream, difference in cell.by_stream.items():
                    streams[stream] = streams.get(stream, 0) + difference
            paired = all(cell.row["paired"] for cell, _ in mine)
            found.append(
                PanelDifference(
                    label=str(panel),
                    other_label=str(matched),
                    statistic=statistic,
                    cells=len(mine),
                    significant=sum(mark for _, mark in mine),
                    mean_difference=float(np.mean([cell.row["difference"] for cell, _ in mine])),
                    p_value=sign_flip_test(list(streams.values())) if paired else None,
                )
            )
    return tuple(found)


def _boundaries(side: Side, panels: list[Panel], pairs: list[tuple[Panel, Panel]]) -> pa.Table:
    """The boundaries of a side's matched panels, under the names of `one`'s panels."""
    conditions = condition_table(side.spec, side.trials)
    table = boundary_table(trace_boundaries(side.spec, conditions))
    parts = []
    for panel, (mine, _) in zip(panels, pairs, strict=True):
        rows = panel_rows(table, panel)
        for name, value in mine.keys.items():
            field = rows.schema.field(name)
            renamed = pa.array([value] * rows.num_rows, field.type)
            rows = rows.set_column(rows.schema.get_field_index(name), field, renamed)
        parts.append(rows)
    return pa.concat_tables(parts)
