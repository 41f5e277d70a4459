"""A grid to the geometry of its picture: where axes, cells, ticks and panels lie, in pixels and in values."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from phase_diagrams.panel import Panel, grid_panels
from phase_diagrams.spec import JobSpec

Floats = npt.NDArray[np.float64]

FIGURE_WIDTH = 1040
"""Width in pixels that panels share; heuristic: two columns of a paper at 144 pixels per inch."""
CELL = 56
"""Preferred side of a cell in pixels; heuristic: a glyph and its halo fill a quarter of it."""
COLUMN_GAP = 26
"""Pixels between panels; fits the turned name of a line of the theory."""
MIN_PANEL, MAX_HEIGHT = 120, 700
"""Bounds of a panel's sides in pixels; heuristic: the shortest fits four tick labels, the highest fits a screen."""
GLYPH_SPACING = 11.0
"""Least distance in pixels between glyphs; heuristic: below it circles, triangles and crosses look alike."""
MAX_COLUMNS = 10
"""Most panels side by side: ten of MIN_PANEL and their gaps still fit a screen of 1920 pixels."""
HATCH_SPACING = 7
"""Pixels between the rules of the hatching; heuristic: two in the smallest cell that has a glyph."""


@dataclass(frozen=True, slots=True)
class PlotAxis:
    """One axis of every panel, logarithmic in its value."""

    values: tuple[float, ...]
    """The grid's values, ascending: hidden_dim, or density 1 - S."""
    edges: tuple[float, ...]
    """Edges of the cells: one more than values."""
    ticks: tuple[float, ...]
    """The values that carry a label: all, or as many as do not overlap."""
    labels: tuple[str, ...]
    """One per tick: n_m, or S for a density."""
    pixels: int
    """Length on screen."""

    @property
    def domain(self) -> tuple[float, float]:
        """Lower and upper end."""
        return self.edges[0], self.edges[-1]

    def place(self, values: npt.ArrayLike) -> Floats:
        """Pixels from the lower end."""
        low, high = np.log(self.domain)
        return np.asarray((np.log(np.asarray(values, dtype=np.float64)) - low) / (high - low) * self.pixels)

    def value(self, places: npt.ArrayLike) -> Floats:
        """The inverse of `place`."""
        low, high = np.log(self.domain)
        return np.asarray(np.exp(low + np.asarray(places, dtype=np.float64) / self.pixels * (high - low)))


@dataclass(frozen=True, slots=True)
class Layout:
    """The geometry that all panels of a picture share."""

    panels: tuple[Panel, ...]
    """In reading order."""
    columns: int
    """Panels side by side."""
    width: PlotAxis
    """Horizontal: hidden_dim n_m."""
    density: PlotAxis
    """Vertical, downwards: density 1 - S, labelled with S."""
    stride: int
    """Every how many rows and columns of cells a phase glyph stands; 1 unless cells are tiny."""
    glyph: float
    """Side of a glyph in pixels."""


def lay_out(spec: JobSpec) -> Layout:
    """The geometry of a spec's picture; it depends on the grid alone, never on results."""
    panels, columns = arrange_panels(spec)
    width, density = plot_axes(spec, columns)
    stride, glyph = _glyphs(width, density)
    return Layout(panels, columns, width, density, stride, glyph)


def arrange_panels(spec: JobSpec) -> tuple[tuple[Panel, ...], int]:
    """Panels in reading order and their number per row.

    A row holds whole groups (all activations of an exponent, or all exponents of an activation) where that makes a
    block no worse than 5 : 3; up to four panels stand in one row.
    """
    by_exponent = grid_panels(spec)
    activations, total = len(spec.grid.activation), len(by_exponent)
    by_activation = tuple(panel for i in range(activations) for panel in by_exponent[i::activations])
    wanted = max(min(total, 4), math.sqrt(5 / 3 * total))

    def cost(columns: int, group: int) -> float:
        # Heuristic weights: an empty row's end costs its share, a group that is cut costs as much as a third of a row.
        return abs(math.log(columns / wanted)) + -total % columns / columns + (columns % group > 0) / 3

    choices = range(1, min(MAX_COLUMNS, total) + 1)
    across = min(choices, key=lambda columns: cost(columns, activations))
    down = min(choices, key=lambda columns: cost(columns, total // activations))
    if cost(across, activations) <= cost(down, total // activations) or total == activations:
        return by_exponent, across
    return by_activation, down


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
    """Indices of labels that do not overlap: labels at ascending places, each as long as its span.

    The last label is always among them, the first unless they overlap.
    """

    def clear(left: int, right: int) -> bool:
        return places[right] - places[left] >= (spans[left] + spans[right]) / 2

    last = len(places) - 1
    kept = [0]
    for index in range(1, last):
        if clear(kept[-1], index):
            kept.append(index)
    while kept and not clear(kept[-1], last) and last:
        kept.pop()
    return [*kept, last] if last else [0]


def density_of(sparsity: float) -> float:
    """1 - S without the subtraction's rounding: 0.05 for 0.95, not 0.050000000000000044."""
    return float(f"{1 - sparsity:.12g}")


def sparsity_label(density: float) -> str:
    """S with the fewest decimals that move the density 1 - S by no more than 2 %: less than a glyph's width."""
    decimals = 0
    while abs(1 - round(1 - density, decimals) - density) > 0.02 * density:
        decimals += 1
    return f"{1 - density:.{decimals}f}"


def hatch_rules(width: PlotAxis, density: PlotAxis) -> list[tuple[float, float, float, float]]:
    """Diagonal rules over a whole panel as (n_m, n_m, density, density) of their two ends."""
    rules = []
    for offset in range(HATCH_SPACING, width.pixels + density.pixels, HATCH_SPACING):
        # The line u + v = offset in pixels, cut at the panel's sides.
        u = np.array([max(0, offset - density.pixels), min(width.pixels, offset)], dtype=np.float64)
        (x, x2), (y, y2) = width.value(u), density.value(offset - u)
        rules.append((float(x), float(x2), float(y), float(y2)))
    return rules


def plot_axes(spec: JobSpec, columns: int) -> tuple[PlotAxis, PlotAxis]:
    """Width and density axis of panels of which so many stand side by side."""
    widths = sorted(float(value) for value in spec.widths)
    densities = sorted(density_of(value) for value in spec.sparsities)
    room = max(MIN_PANEL, FIGURE_WIDTH // columns - COLUMN_GAP)
    x_pixels = round(min(max(CELL * len(widths), MIN_PANEL), room))
    y_pixels = round(min(max(min(CELL, x_pixels / len(widths)) * len(densities), MIN_PANEL), MAX_HEIGHT))
    names = [f"{width:.0f}" for width in widths]
    # 10-pixel digits are 6 pixels wide and 10 high, and labels keep their distance.
    across = _axis(widths, names, x_pixels, [6 * len(name) + 8 for name in names])
    return across, _axis(densities, [sparsity_label(d) for d in densities], y_pixels, [14] * len(densities))


def _axis(values: list[float], names: list[str], pixels: int, spans: list[int]) -> PlotAxis:
    bare = PlotAxis(tuple(values), cell_edges(values), (), (), pixels)
    kept = thin_ticks(list(bare.place(values)), spans)
    return PlotAxis(bare.values, bare.edges, tuple(values[i] for i in kept), tuple(names[i] for i in kept), pixels)


def _glyphs(width: PlotAxis, density: PlotAxis) -> tuple[int, float]:
    """Every how many rows and columns a glyph stands, and its side in pixels."""
    least = min(float(np.min(np.diff(axis.place(axis.edges)))) for axis in (width, density))
    mean = min(axis.pixels / len(axis.values) for axis in (width, density))
    stride = max(1, math.ceil(GLYPH_SPACING / mean))
    # One crowded corner of a grid must not shrink all glyphs to dots.
    side = stride * max(least, 0.6 * mean)
    return stride, float(np.clip(0.42 * side, min(0.8 * side, 7.0), 15.0))


def short(value: object) -> float:
    """A number with seven significant digits: far below a pixel, and a third less to download."""
    assert isinstance(value, (int, float))
    return float(f"{value:.7g}")
