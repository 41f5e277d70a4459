"""Conditions and boundaries to the numbers of a picture: which cell, glyph, line and word goes where."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from phase_diagrams.boundary_shapes import boundary_rows
from phase_diagrams.caption import caption, label, subtitle
from phase_diagrams.layout import Layout, PlotAxis, density_of, hatch_rules, lay_out, short
from phase_diagrams.overlay import DEFAULT, overlay_rows
from phase_diagrams.overlay import Row as Row
from phase_diagrams.panel import Panel, panel_rows
from phase_diagrams.spec import JobSpec

PHASES = ("recovered", "optimiser_limited", "objective_limited", "not_recovered")
"""The phases that have a glyph, in the key's order."""

NOT_FINISHED, ALL_DIVERGED = "no finished trial", "every random start diverged"
"""Why a cell has no colour; cells that refinement never asked for are not drawn at all."""


@dataclass(frozen=True, slots=True)
class Diagram:
    """Everything a picture shows, as numbers and words; drawing adds only shapes and colours."""

    title: str
    subtitle: str
    caption: str
    layout: Layout
    rows: tuple[Row, ...]
    """The marks of all panels; `layer` is cell, missing, band, curve, note or the name of an overlay."""
    hatch: tuple[Row, ...]
    """Diagonal rules behind every panel, visible where a cell is missing; empty if none is."""
    two_starts: bool
    """Whether truth starts are part of the grid."""
    shown: frozenset[str]
    """The overlays that are shown to begin with; the source holds all, and its page switches them."""

    def layer(self, name: str) -> tuple[Row, ...]:
        """The rows of one layer."""
        return tuple(row for row in self.rows if row["layer"] == name)


def diagram(
    spec: JobSpec,
    conditions: pa.Table,
    boundary: pa.Table,
    dictionary: npt.NDArray[np.floating] | None = None,
    shown: frozenset[str] = DEFAULT,
) -> Diagram:
    """Lay out the picture of a spec's conditions (schema CONDITIONS) and boundaries (schema BOUNDARY).

    Conditions of the grid without a finished random start, or with diverged ones only, are drawn as missing. `shown`
    are the names of the theory's overlays to begin with; those that need W_p are there if `dictionary` is given.
    """
    layout = lay_out(spec)
    width, density = layout.width, layout.density
    rows: list[Row] = []
    for panel in layout.panels:
        cells = _cells(spec, panel, panel_rows(conditions, panel), layout)
        boundaries = boundary_rows(panel, panel_rows(boundary, panel), width, density)
        rows += cells + boundaries + _notes(spec, panel, cells, boundaries) + _disagreements(cells, layout)
    rows += overlay_rows(spec, layout, dictionary)
    said = {row["panel"] for row in rows if row["layer"] == "note"}
    if said:
        # A blank line in the panels that say nothing keeps all titles on one height.
        silent = [str(panel) for panel in layout.panels if str(panel) not in said]
        rows += [{"panel": panel, "layer": "note", "text": "\u00a0"} for panel in silent]
    missing = [row["P"] for row in rows if row["layer"] == "missing"]
    return Diagram(
        title=label(spec),
        subtitle=subtitle(spec, conditions.num_rows, missing.count(NOT_FINISHED)),
        caption=caption(spec, layout.stride),
        layout=layout,
        rows=tuple(rows),
        hatch=tuple(_hatch(width, density) if spec.refine is None else _strokes(rows)) if missing else (),
        two_starts="truth" in spec.grid.starts,
        shown=shown,
    )


def _cells(spec: JobSpec, panel: Panel, conditions: pa.Table, layout: Layout) -> list[Row]:
    """One row per condition of the panel: a cell with its tooltip, or a missing one."""
    columns = {name: conditions[name].to_pylist() for name in _SHOWN}
    at = {place: i for i, place in enumerate(zip(columns["sparsity"], columns["hidden_dim"], strict=True))}
    width, density, stride = layout.width, layout.density, layout.stride
    first = (stride - 1) // 2
    rows: list[Row] = []
    for j, sparsity in enumerate(sorted(spec.sparsities, reverse=True)):
        for i, hidden_dim in enumerate(sorted(spec.widths)):
            row: Row = {
                "panel": str(panel),
                "x": short(width.edges[i]),
                "x2": short(width.edges[i + 1]),
                "y": short(density.edges[j]),
                "y2": short(density.edges[j + 1]),
                "S": sparsity,
                "n_m": hidden_dim,
            }
            index = at.get((sparsity, hidden_dim))
            seen = {name: None if index is None else values[index] for name, values in columns.items()}
            if seen["objective_random"] is None:
                failed = seen["p_identified"] is not None
                if failed or spec.refine is None:
                    rows.append({"layer": "missing", **row, "P": ALL_DIVERGED if failed else NOT_FINISHED})
                continue
            glyph = i % stride == first and j % stride == first
            place: Row = {"glyph": glyph, "cx": hidden_dim, "cy": density_of(sparsity)}
            rows.append({"layer": "cell", **row, **place, **_reading(panel, seen)})
    return rows


_SHOWN = (
    "sparsity",
    "hidden_dim",
    "n_seeds",
    "n_identified",
    "p_identified",
    "p_low",
    "p_high",
    "phase",
    "phase_certain",
    "theory",
    "disagreement",
    "n_diverged",
    "mcc_chance",
    "mcc_random",
    "recovered_fraction_random",
    "recovered_fraction_truth",
    "objective_random",
    "objective_truth",
)


def _reading(panel: Panel, seen: dict[str, object]) -> Row:
    """What a cell's colour, glyph and tooltip say."""
    certain = bool(seen["phase_certain"])
    phase = None if seen["phase"] is None else str(seen["phase"])
    return {
        "p": short(seen["p_identified"]),
        "phase": phase,
        "certain": certain,
        "activation": str(panel.activation),
        "exponent": panel.exponent,
        "seeds": f"{seen['n_identified']} of {seen['n_seeds']}",
        "P": f"{_say(seen['p_identified'], '.2f')} [{_say(seen['p_low'], '.2f')}, {_say(seen['p_high'], '.2f')}]",
        "reads": "not known yet" if phase is None else f"{phase}{'' if certain else ' (uncertain)'}",
        "theory": "–" if seen["theory"] is None else str(seen["theory"]),
        "disagreement": None if seen["disagreement"] is None else str(seen["disagreement"]),
        "mcc": f"{_say(seen['mcc_random'], '.3f')} (chance {_say(seen['mcc_chance'], '.3f')})",
        "recovered": _pair(seen, "recovered_fraction", ".2f"),
        "objective": _pair(seen, "objective", ".4g"),
        "diverged": _whole(seen["n_diverged"]),
    }


def _pair(seen: dict[str, object], metric: str, form: str) -> str:
    return f"{_say(seen[f'{metric}_random'], form)} / {_say(seen[f'{metric}_truth'], form)}"


def _say(value: object, form: str) -> str:
    return format(value, form) if isinstance(value, (int, float)) and math.isfinite(value) else "–"


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0


def _notes(spec: JobSpec, panel: Panel, cells: list[Row], boundaries: list[Row]) -> list[Row]:
    """What the panel says where it has no boundary."""
    if len(cells) == 1 or not any(cell["layer"] == "cell" for cell in cells):
        return []
    absent = [start for start in spec.grid.starts if not any(row["start"] == start for row in boundaries)]
    if absent:
        text = "no boundary in range" if len(absent) == len(spec.grid.starts) else f"{absent[0]} start: no boundary"
        return [{"panel": str(panel), "layer": "note", "text": text}]
    return []


def _disagreements(cells: list[Row], layout: Layout) -> list[Row]:
    """A flag in the upper left corner of each cell where the theorems and the measurement say the opposite."""
    width, density = layout.width, layout.density
    inset = 0.45 * layout.glyph
    rows: list[Row] = []
    for cell in cells:
        if cell.get("disagreement") is not None:
            x, y = (float(str(cell[name])) for name in ("x", "y"))  # the edges at low n_m and high S
            corner = {"fx": width.value(width.place(x) + inset), "fy": density.value(density.place(y) + inset)}
            place: Row = {name: short(float(value)) for name, value in corner.items()}
            rows.append(
                {"panel": cell["panel"], "layer": "disagreement", **place, "disagreement": cell["disagreement"]}
            )
    return rows


def _strokes(rows: list[Row]) -> list[Row]:
    """A diagonal in each missing cell: where most cells were never asked for, only those that failed are marked."""
    return [{name: row[name] for name in ("x", "x2", "y", "y2")} for row in rows if row["layer"] == "missing"]


def _hatch(width: PlotAxis, density: PlotAxis) -> list[Row]:
    return [dict(zip(("x", "x2", "y", "y2"), map(short, rule), strict=True)) for rule in hatch_rules(width, density)]
