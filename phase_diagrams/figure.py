"""Conditions and boundaries to the numbers of a picture: which cell, glyph, line and word goes where."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from phase_diagrams.panel import Panel, grid_panels, panel_rows
from phase_diagrams.spec import Explicit, JobSpec, Polygon, ToyModel

Row = dict[str, str | int | float | bool | None]
"""One mark of the picture; `layer` says of which kind, `panel` in which panel."""

PHASES = ("recovered", "optimiser_limited", "objective_limited", "not_recovered")
"""The phases that have a glyph, in the legend's order."""

FIGURE_WIDTH = 1040
"""Width in pixels that panels share; heuristic: two columns of a paper at 144 pixels per inch."""
CELL = 56
"""Preferred side of a cell in pixels; heuristic: a glyph and its halo fill half of it."""
COLUMN_GAP = 26
"""Pixels between panels; fits the turned name of a line of the theory."""
MIN_PANEL, MAX_HEIGHT = 120, 520
"""Bounds of a panel's sides in pixels; heuristic: the shortest fits four tick labels, the highest fits a screen."""
GLYPH_SPACING = 11.0
"""Least distance in pixels between glyphs; heuristic: below it circles, triangles and crosses look alike."""
MAX_COLUMNS = 10
"""Most panels side by side: ten of MIN_PANEL and their gaps still fit a screen of 1920 pixels."""


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis of every panel, logarithmic in its value."""

    values: tuple[float, ...]
    """The grid's values, ascending (hidden_dim, or density 1 - S)."""
    edges: tuple[float, ...]
    """Edges of the cells: one more than values."""
    ticks: tuple[float, ...]
    """Values that carry a label: all, or as many as do not overlap."""
    labels: tuple[str, ...]
    """One per tick: n_m, or S for a density."""
    pixels: int
    """Length on screen."""

    @property
    def domain(self) -> tuple[float, float]:
        """Lower and upper end."""
        return self.edges[0], self.edges[-1]

    def place(self, values: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Pixels from the lower end."""
        low, high = np.log(self.domain)
        return np.asarray((np.log(np.asarray(values, dtype=np.float64)) - low) / (high - low) * self.pixels)

    def value(self, places: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """The inverse of `place`."""
        low, high = np.log(self.domain)
        return np.asarray(np.exp(low + np.asarray(places, dtype=np.float64) / self.pixels * (high - low)))


@dataclass(frozen=True, slots=True)
class Diagram:
    """Everything a picture shows, as numbers and words; drawing adds only shapes and colours."""

    title: str
    subtitle: str
    caption: str
    panels: tuple[str, ...]
    """Labels in reading order."""
    columns: int
    """Panels side by side."""
    width: Axis
    """Horizontal: hidden_dim n_m."""
    density: Axis
    """Vertical, drawn downwards: density 1 - S, labelled with S."""
    rows: tuple[Row, ...]
    """The marks; `layer` is cell, missing, curve, text, n_line or k_line."""
    hatch: tuple[Row, ...]
    """Diagonal rules behind every panel, visible where a cell is missing; empty if none is."""
    two_starts: bool
    """Whether truth starts are part of the grid."""
    swapped: bool
    """Whether boundaries are hidden_dim as a function of sparsity."""
    glyph_size: float
    """Side of a glyph in pixels."""

    def layer(self, name: str) -> tuple[Row, ...]:
        """The rows of one layer."""
        return tuple(row for row in self.rows if row["layer"] == name)


def diagram(spec: JobSpec, conditions: pa.Table, boundary: pa.Table) -> Diagram:
    """Lay out the picture of a spec's conditions (schema CONDITIONS) and boundaries (schema BOUNDARY).

    Conditions of the grid without a row, or without a finished random start, are drawn as missing.
    """
    panels = grid_panels(spec)
    across, columns = _arrange(spec, panels)
    width, density = _axes(spec, columns)
    stride, glyph = _glyphs(width, density)
    rows: list[Row] = []
    for panel in across:
        cells = _cells(spec, panel, panel_rows(conditions, panel), width, density, stride)
        curves = _curves(panel, panel_rows(boundary, panel), width, density)
        rows += cells + curves + _words(spec, panel, cells, curves) + _overlays(spec, panel, width, density)
    if any(row["layer"] == "note" for row in rows):
        # A blank line in the panels that say nothing keeps all titles on one height.
        said = {row["panel"] for row in rows if row["layer"] == "note"}
        rows += [{"panel": str(p), "layer": "note", "text": "\u00a0"} for p in across if str(p) not in said]
    missing = sum(row["layer"] == "missing" for row in rows)
    return Diagram(
        title=spec.name,
        subtitle=_subtitle(spec, missing),
        caption=caption(spec, stride),
        panels=tuple(str(panel) for panel in across),
        columns=columns,
        width=width,
        density=density,
        rows=tuple(rows),
        hatch=tuple(_hatch(width, density)) if missing else (),
        two_starts="truth" in spec.grid.starts,
        swapped=len(spec.grid.sparsity) == 1,
        glyph_size=glyph,
    )


def cell_edges(values: Sequence[float]) -> tuple[float, ...]:
    """Edges of the cells around ascending positive values: geometric midpoints, mirrored at both ends.

    A single value gets half an octave on either side.
    """
    logs = np.log(np.asarray(values, dtype=np.float64))
    if len(logs) == 1:
        return tuple(float(v) for v in np.exp(logs[0] + np.array([-0.5, 0.5]) * math.log(2)))
    middle = (logs[1:] + logs[:-1]) / 2
    edges = np.concatenate([[2 * logs[0] - middle[0]], middle, [2 * logs[-1] - middle[-1]]])
    return tuple(float(v) for v in np.exp(edges))


def thin_ticks(places: Sequence[float], spans: Sequence[float]) -> list[int]:
    """Indices of labels that do not overlap, both ends kept: labels at ascending places, each as long as its span."""
    kept = [0]
    for index in range(1, len(places)):
        if places[index] - places[kept[-1]] >= (spans[index] + spans[kept[-1]]) / 2:
            kept.append(index)
    last = len(places) - 1
    while len(kept) > 1 and kept[-1] != last and places[last] - places[kept[-1]] < (spans[last] + spans[kept[-1]]) / 2:
        kept.pop()
    if kept[-1] != last and places[last] - places[kept[-1]] >= (spans[last] + spans[kept[-1]]) / 2:
        kept.append(last)
    return kept


def software_version() -> str:
    """The installed version of saephase; "unknown" where it is used without being installed."""
    try:
        return version("saephase")
    except PackageNotFoundError:
        return "unknown"


def caption(spec: JobSpec, stride: int = 1) -> str:
    """Everything needed to read the picture alone: model, budget, thresholds, seeds, version."""
    data, training, recovery, seeds = spec.data, spec.training, spec.recovery, len(spec.grid.seeds)
    firing = data.code.firing.kind
    if firing == "zipf":
        firing += f" (exponent {data.code.firing.exponent:g})"
    sentences = [
        f"{spec.name}: n = {data.n_features} features in n_p = {data.n_inputs} inputs, "
        f"superposition {_superposition(spec)}",
        f"Code {data.code.kind}, magnitude {data.code.magnitude}, firing {firing}, noise {data.noise:g}",
        f"SAE {'tied, without bias' if spec.sae.tied else 'untied, with biases'}; Adam, {training.steps:,} steps × "
        f"{training.batch_size:,} samples, learning rate {training.learning_rate:g} ({training.schedule})",
        f"Identified: at least {100 * recovery.fraction:g} % of the features matched at cosine ≥ {recovery.cosine:g}",
        f"{seeds} seed{'s' * (seeds != 1)} per condition; bands and intervals: 95 %",
    ]
    if stride > 1:
        sentences.append(f"Cells are too small for a glyph each: every {stride}th row and column has one")
    sentences.append(f"saephase {software_version()}")
    return ". ".join(sentences) + "."


def _superposition(spec: JobSpec) -> str:
    law = spec.data.superposition
    if isinstance(law, Polygon):
        return f"polygon ({law.mono} mono, {law.digon} digons, {law.pentagon} pentagons)"
    if isinstance(law, Explicit):
        return "explicit matrix"
    if isinstance(law, ToyModel):
        return f"toy_model (S = {law.sparsity:g}, {law.steps:,} steps, seed {law.seed})"
    return f"random_unit (seed {law.seed})"


def _subtitle(spec: JobSpec, missing: int) -> str:
    starts = "random and truth starts" if "truth" in spec.grid.starts else "random starts"
    text = f"Probability that training identifies the features, and their phases, from {starts}"
    if missing:
        text += f"; {spec.n_conditions - missing:,} of {spec.n_conditions:,} conditions have finished trials"
    return text


def _arrange(spec: JobSpec, panels: tuple[Panel, ...]) -> tuple[tuple[Panel, ...], int]:
    """Panels in reading order and their number per row: a row per exponent if that fits, else near a 5 : 3 block."""
    activations, exponents = len(spec.grid.activation), len(spec.grid.exponent)
    if activations <= 6 and (exponents > 1 or activations <= 4):
        return panels, activations
    if 1 < exponents <= 6:
        return tuple(p for i in range(activations) for p in panels[i::activations]), exponents
    wanted = math.sqrt(5 / 3 * len(panels))
    choices = range(3, MAX_COLUMNS + 1)
    return panels, min(choices, key=lambda c: (-len(panels) % c / c + abs(c - wanted) / wanted, c))


def _axes(spec: JobSpec, columns: int) -> tuple[Axis, Axis]:
    widths = sorted(float(value) for value in spec.grid.hidden_dim)
    densities = sorted(1 - value for value in spec.grid.sparsity)
    room = max(MIN_PANEL, FIGURE_WIDTH // columns - COLUMN_GAP)
    x_pixels = round(min(max(CELL * len(widths), MIN_PANEL), room))
    y_pixels = round(min(max(min(CELL, x_pixels / len(widths)) * len(densities), MIN_PANEL), MAX_HEIGHT))
    names = [f"{width:.0f}" for width in widths]
    # 10-point digits are 6 pixels wide and 10 high, and labels keep their distance.
    across = _axis(widths, names, x_pixels, [6 * len(name) + 8 for name in names])
    return across, _axis(densities, [sparsity_label(d) for d in densities], y_pixels, [14] * len(densities))


def _axis(values: list[float], names: list[str], pixels: int, spans: list[int]) -> Axis:
    bare = Axis(tuple(values), cell_edges(values), (), (), pixels)
    kept = thin_ticks(list(bare.place(values)), spans)
    ticks, labels = zip(*((values[i], names[i]) for i in kept), strict=True)
    return Axis(bare.values, bare.edges, ticks, labels, pixels)


def sparsity_label(density: float) -> str:
    """S with the fewest decimals that move the density 1 - S by no more than 2 %: less than a glyph's width."""
    for decimals in range(17):
        text = f"{1 - density:.{decimals}f}"
        if abs(1 - float(text) - density) <= 0.02 * density:
            break
    return text


def _glyphs(width: Axis, density: Axis) -> tuple[int, float]:
    """Every how many rows and columns a glyph stands, and its side in pixels."""
    side = min(float(np.min(np.diff(axis.place(axis.edges)))) for axis in (width, density))
    mean = min(axis.pixels / len(axis.values) for axis in (width, density))
    stride = max(1, math.ceil(GLYPH_SPACING / mean))
    side = stride * max(side, 0.6 * mean)
    return stride, float(np.clip(0.42 * side, min(0.8 * side, 8.0), 15.0))


def _cells(spec: JobSpec, panel: Panel, conditions: pa.Table, width: Axis, density: Axis, stride: int) -> list[Row]:
    """One row per condition of the panel: a cell with its tooltip, or a missing one."""
    columns = {name: conditions[name].to_pylist() for name in _SHOWN}
    at = {place: i for i, place in enumerate(zip(columns["sparsity"], columns["hidden_dim"], strict=True))}
    rows: list[Row] = []
    for j, sparsity in enumerate(sorted(spec.grid.sparsity, reverse=True)):
        for i, hidden_dim in enumerate(sorted(spec.grid.hidden_dim)):
            row: Row = {
                "panel": str(panel),
                "x": _short(width.edges[i]),
                "x2": _short(width.edges[i + 1]),
                "y": _short(density.edges[j]),
                "y2": _short(density.edges[j + 1]),
                "S": sparsity,
                "n_m": hidden_dim,
            }
            index = at.get((sparsity, hidden_dim))
            if index is None or columns["p_identified"][index] is None:
                rows.append({"layer": "missing", **row, "P": "no finished trial"})
                continue
            seen = {name: values[index] for name, values in columns.items()}
            place: Row = {"glyph": (i - (stride - 1) // 2) % stride == 0 and (j - (stride - 1) // 2) % stride == 0}
            place |= {"cx": hidden_dim, "cy": _short(1 - sparsity)}
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
        "p": _short(seen["p_identified"]),
        "phase": phase,
        "certain": certain,
        "activation": str(panel.activation),
        "exponent": panel.exponent,
        "seeds": f"{seen['n_identified']} of {seen['n_seeds']}",
        "P": f"{_say(seen['p_identified'], '.2f')} [{_say(seen['p_low'], '.2f')}, {_say(seen['p_high'], '.2f')}]",
        "reads": "not known yet" if phase is None else f"{phase}{'' if certain else ' (uncertain)'}",
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


def _short(value: object) -> float:
    """Seven significant digits: far below a pixel, and a third less to download."""
    assert isinstance(value, (int, float))
    return float(f"{value:.7g}")


def _curves(panel: Panel, boundary: pa.Table, width: Axis, density: Axis) -> list[Row]:
    """Points of the panel's boundaries in the order they are joined; `path` tells pieces that are not joined apart."""
    rows: list[Row] = []
    records = boundary.to_pylist()
    places = sorted({record["x"] for record in records})
    for start in ("random", "truth"):
        for branch in sorted({record["branch"] for record in records if record["boundary"] == f"{start}-start"}):
            points = [r for r in records if r["boundary"] == f"{start}-start" and r["branch"] == branch]
            points.sort(key=lambda r: float(r["x"]))
            piece, before = 0, None
            drawn = []
            for record in points:
                index = places.index(record["x"])
                piece += before is not None and index != before + 1
                before = index
                name = {"panel": str(panel), "layer": "curve", "start": start, "path": f"{start} {branch}.{piece}"}
                drawn.append({**name, **_point(record)})
            rows += _widen(drawn, width, density)
    return rows


def _point(record: dict[str, object]) -> Row:
    """A boundary point in the picture's coordinates: `low` and `high` run along the axis that the curve is read on."""
    if record["x_axis"] == "hidden_dim":
        y, low, high = (_short(1 - float(str(record[name]))) for name in ("y", "y_low", "y_high"))
        return {"x": _short(record["x"]), "y": y, "low": low, "high": high}
    x, low, high = (_short(record[name]) for name in ("y", "y_low", "y_high"))
    return {"x": x, "y": _short(1 - float(str(record["x"]))), "low": low, "high": high}


def _widen(points: list[Row], width: Axis, density: Axis) -> list[Row]:
    """A curve that has a single place is drawn across the whole cell."""
    if len(points) != 1:
        return points
    (point,) = points
    if len(width.values) == 1:
        return [{**point, "x": _short(edge)} for edge in width.domain]
    if len(density.values) == 1:
        return [{**point, "y": _short(edge)} for edge in density.domain]
    return points


def _words(spec: JobSpec, panel: Panel, cells: list[Row], curves: list[Row]) -> list[Row]:
    """What the panel says where it has no boundary."""
    if len(cells) == 1 or not any(cell["layer"] == "cell" for cell in cells):
        return []
    absent = [start for start in spec.grid.starts if not any(curve["start"] == start for curve in curves)]
    if absent:
        text = "no boundary in range" if len(absent) == len(spec.grid.starts) else f"{absent[0]} start: no boundary"
        return [{"panel": str(panel), "layer": "note", "text": text}]
    return []


def _overlays(spec: JobSpec, panel: Panel, width: Axis, density: Axis) -> list[Row]:
    """The lines n_m = n and n (1 - S) = k, where they cross the panel."""
    n = spec.data.n_features
    rows: list[Row] = []
    if width.edges[0] < n < width.edges[-1]:
        rows.append({"panel": str(panel), "layer": "n_line", "x": n, "text": "n_m = n"})
    k = panel.activation.k
    if k is not None and density.edges[0] < k / n < density.edges[-1]:
        # The label is turned and stands beside the panel: kept clear of the corners by half its length.
        middle = np.clip(density.place(k / n), 32, max(32, density.pixels - 32))
        label = _short(float(density.value(middle)))
        rows.append({"panel": str(panel), "layer": "k_line", "y": _short(k / n), "label": label, "text": "n(1−S) = k"})
    return rows


HATCH_SPACING = 7
"""Pixels between diagonal rules; heuristic: three in the smallest cell that is drawn one by one."""


def _hatch(width: Axis, density: Axis) -> list[Row]:
    """Diagonal rules over a whole panel."""
    rows: list[Row] = []
    for offset in range(HATCH_SPACING, width.pixels + density.pixels, HATCH_SPACING):
        # The rule u + v = offset, cut at the panel's sides.
        u = np.array([max(0, offset - density.pixels), min(width.pixels, offset)], dtype=np.float64)
        x, y = width.value(u), density.value(offset - u)
        rows.append({"x": _short(float(x[0])), "x2": _short(float(x[1]))} | {"y": _short(float(y[0])), "y2": _short(float(y[1]))})
    return rows
