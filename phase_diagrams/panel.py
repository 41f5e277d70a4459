"""Conditions to panels and their boundaries: one plane per activation and exponent, and where P = 1/2 in it."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from phase_diagrams.activation import Activation
from phase_diagrams.boundary import Crossing, NoBoundary, fit_boundary, level_set
from phase_diagrams.spec import JobSpec, Start
from phase_diagrams.tables import BOUNDARY

Floats = npt.NDArray[np.float64]

PLACES = 65
"""Places along x at which a boundary is sampled: 64 steps are finer than a pixel's kink in any picture of ours."""

COUNTS = {"random": ("n_identified", "n_seeds"), "truth": ("n_identifiable", "n_pairs")}
"""Successes and trials of the two boundaries; the truth start's phase is recovered or optimiser_limited."""


@dataclass(frozen=True, slots=True)
class Panel:
    """What is held fixed in one panel; its plane is sparsity by hidden_dim."""

    activation: Activation
    exponent: float

    def __str__(self) -> str:
        """The panel's label in pictures and sentences."""
        exponent = f"{self.exponent:g}".replace("-", "−")
        return f"{self.activation}, α = {exponent}"

    @property
    def keys(self) -> dict[str, str | int | float | None]:
        """The panel's columns in conditions.parquet and boundary.parquet."""
        kind, k, l1 = self.activation.kind, self.activation.k, self.activation.l1
        return {"activation": kind, "k": k, "l1": l1, "exponent": self.exponent}


@dataclass(frozen=True, slots=True)
class PanelBoundary:
    """The P = 1/2 level set of one panel and one start, in the units of the columns x_axis and y_axis."""

    panel: Panel
    start: Start
    x_axis: str
    y_axis: str
    crossings: tuple[Crossing, ...]
    no_boundary: NoBoundary | None
    """Which side the panel is on where there is no boundary in range."""

    def nearest(self, x: float) -> tuple[Crossing, ...]:
        """All crossings at the sampled place nearest to x, lowest first; empty without a boundary."""
        if not self.crossings:
            return ()
        target = _smooth(self.x_axis, np.array([x]))
        places = np.array([crossing.x for crossing in self.crossings])
        place = places[np.argmin(np.abs(_smooth(self.x_axis, places) - target))]
        return tuple(crossing for crossing in self.crossings if crossing.x == place)


def grid_panels(spec: JobSpec) -> tuple[Panel, ...]:
    """Every panel of the grid: activations in their order, for each exponent in its order."""
    return tuple(Panel(a, exponent) for exponent in spec.grid.exponent for a in spec.grid.activations)


def panel_rows(table: pa.Table, panel: Panel) -> pa.Table:
    """The rows of a table with the panel's key columns that belong to the panel."""
    mask = np.ones(table.num_rows, dtype=bool)
    for name, value in panel.keys.items():
        column = table[name]
        equal = pc.is_null(column) if value is None else pc.fill_null(pc.equal(column, value), False)
        mask &= equal.to_numpy()
    return table.filter(pa.array(mask))


def boundary_axes(spec: JobSpec) -> tuple[str, str] | None:
    """The columns (x, y) of which a boundary is y as a function of x; None where a panel is a single condition.

    The critical sparsity at a given hidden_dim where the grid varies sparsity, else the critical hidden_dim.
    """
    if len(spec.grid.sparsity) > 1:
        return "hidden_dim", "sparsity"
    if len(spec.grid.hidden_dim) > 1:
        return "sparsity", "hidden_dim"
    return None


def trace_boundaries(spec: JobSpec, conditions: pa.Table) -> tuple[PanelBoundary, ...]:
    """The boundary of every panel and start that has finished conditions, fitted to all of it (boundary.py)."""
    axes = boundary_axes(spec)
    if axes is None:
        return ()
    found = []
    for panel in grid_panels(spec):
        rows = panel_rows(conditions, panel)
        for start in spec.grid.starts:
            boundary = _trace(spec, panel, start, axes, rows)
            found += [boundary] if boundary else []
    return tuple(found)


def boundary_table(boundaries: Iterable[PanelBoundary]) -> pa.Table:
    """Every sampled place of every boundary (schema BOUNDARY); panels without a boundary have no rows."""
    rows = [
        {
            **boundary.panel.keys,
            "boundary": f"{boundary.start}-start",
            "x_axis": boundary.x_axis,
            "y_axis": boundary.y_axis,
            **crossing._asdict(),
        }
        for boundary in boundaries
        for crossing in boundary.crossings
    ]
    return pa.Table.from_pylist(rows, schema=BOUNDARY)


def _trace(spec: JobSpec, panel: Panel, start: Start, axes: tuple[str, str], rows: pa.Table) -> PanelBoundary | None:
    x_axis, y_axis = axes
    successes, trials = (pc.fill_null(rows[name], 0).to_numpy() for name in COUNTS[start])
    x, y = _smooth(x_axis, rows[x_axis].to_numpy()), _smooth(y_axis, rows[y_axis].to_numpy())
    seen = trials > 0
    if not seen.any():
        return None
    # Some of a running job's panels have conditions on one height only: they cannot place a boundary yet.
    if len(np.unique(y[seen])) == 1:
        side: NoBoundary = "all recovered" if 2 * successes.sum() > trials.sum() else "none recovered"
        return PanelBoundary(panel, start, x_axis, y_axis, (), side)
    places = np.linspace(x[seen].min(), x[seen].max(), PLACES)
    marked = _smooth(x_axis, np.array([spec.data.n_features])) if x_axis == "hidden_dim" else x
    level = level_set(fit_boundary(x, y, successes, trials), np.unique(np.concatenate([places, marked])))
    crossings = tuple(
        Crossing(
            x=_natural(x_axis, c.x),
            y=_natural(y_axis, c.y),
            y_low=_natural(y_axis, c.y_low),
            y_high=_natural(y_axis, c.y_high),
            branch=c.branch,
        )
        for c in level.crossings
    )
    return PanelBoundary(panel, start, x_axis, y_axis, crossings, level.no_boundary)


def _smooth(axis: str, values: npt.NDArray[np.generic]) -> Floats:
    """The coordinate in which a boundary is expected to be smooth; rising with the value."""
    numbers = np.asarray(values, dtype=np.float64)
    return np.log2(numbers) if axis == "hidden_dim" else -np.log10(1 - numbers)


def _natural(axis: str, value: float) -> float:
    """The inverse of `_smooth`, at ten significant digits: the smooth coordinate's rounding is dropped."""
    number = 2.0**value if axis == "hidden_dim" else 1 - 10.0**-value
    return float(f"{number:.10g}")
