"""Conditions to panels and their boundaries: one plane per activation and exponent, and where P = 1/2 in it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from phase_diagrams.activation import Activation
from phase_diagrams.axis import natural, smooth
from phase_diagrams.boundary import Crossing, NoBoundary, fit_boundary, level_set
from phase_diagrams.spec import JobSpec, Start
from phase_diagrams.tables import BOUNDARY

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

PLACES = 65
"""Places along x at which a boundary is sampled: 64 steps are finer than a pixel's kink in any picture of ours."""

POOL = 40
"""Most distinct places along an axis that a boundary is fitted to; more are pooled in steps of 1/40 of the axis, a
tenth of the shortest length scale of the fit. Measured on 5,400 conditions: 25 s become 5 s, and lines move by a
third of their band or less."""

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
    """The P = 1/2 level set of one panel and one start, in the units of the columns x_axis and y_axis.

    A boundary may come in two of these, one in each direction: the places that run across the sparsity axis, with the
    critical sparsity at each hidden_dim, and those that run across the hidden_dim axis (n_m = n is such a place), with
    the critical hidden_dim at each sparsity.
    """

    panel: Panel
    start: Start
    x_axis: str
    y_axis: str
    crossings: tuple[Crossing, ...]
    no_boundary: NoBoundary | None
    """Which side most outcomes are on where there is no boundary in range, in either direction."""
    at_n_features: tuple[Crossing, ...] = ()
    """The critical sparsities at n_m = n, whichever direction the boundary has there."""

    @property
    def middle(self) -> float:
        """The middle one of the places x that have a crossing; NaN without a boundary."""
        places = sorted({crossing.x for crossing in self.crossings})
        return places[len(places) // 2] if places else float("nan")

    def reading(self, n_features: int) -> tuple[Crossing, ...]:
        """The crossings at n_m = n, else at the sampled place nearest to it; across hidden_dim, at the middle place."""
        if self.at_n_features:
            return self.at_n_features
        return self.nearest(n_features if self.x_axis == "hidden_dim" else self.middle)

    def nearest(self, x: float) -> tuple[Crossing, ...]:
        """All crossings at the sampled place nearest to x, lowest first; empty without a boundary."""
        if not self.crossings:
            return ()
        target = smooth(self.x_axis, np.array([x]))
        places = np.array([crossing.x for crossing in self.crossings])
        place = places[np.argmin(np.abs(smooth(self.x_axis, places) - target))]
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


def boundary_axes(spec: JobSpec) -> tuple[tuple[str, str], ...]:
    """The directions (x, y) in which a boundary is read, y as a function of x; none where a panel is one condition.

    The critical sparsity at a given hidden_dim first, then the critical hidden_dim at a given sparsity; an axis with
    one value is not read.
    """
    directions = []
    if len(spec.sparsities) > 1:
        directions.append(("hidden_dim", "sparsity"))
    if len(spec.widths) > 1:
        directions.append(("sparsity", "hidden_dim"))
    return tuple(directions)


def trace_boundaries(spec: JobSpec, conditions: pa.Table) -> tuple[PanelBoundary, ...]:
    """The boundary of every panel and start that has finished conditions, fitted to all of it (boundary.py)."""
    return tuple(
        boundary
        for panel in grid_panels(spec)
        for rows in (panel_rows(conditions, panel),)
        for start in spec.grid.starts
        for boundary in _trace(spec, panel, start, rows)
    )


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


def _trace(spec: JobSpec, panel: Panel, start: Start, rows: pa.Table) -> list[PanelBoundary]:
    """The boundary in each direction that has a part of it; one without crossings where there is none."""
    directions = boundary_axes(spec)
    successes, trials = (pc.fill_null(rows[name], 0).to_numpy() for name in COUNTS[start])
    seen = trials > 0
    if not directions or not seen.any():
        return []
    at = {axis: smooth(axis, rows[axis].to_numpy()) for axis in ("hidden_dim", "sparsity")}
    # Some of a running job's panels have conditions on one height only: they cannot place a boundary along it yet.
    directions = tuple(d for d in directions if len(np.unique(at[d[1]][seen])) > 1)
    side: NoBoundary = "mostly recovered" if 2 * successes.sum() > trials.sum() else "mostly not recovered"
    if not directions:
        return [PanelBoundary(panel, start, *boundary_axes(spec)[0], (), side)]
    main = directions[0]
    # Refinement asks for few of many candidates, and its own estimate is not pooled either.
    few = spec.refine is not None and np.count_nonzero(seen) <= POOL**2
    x, y = (at[axis] if few else _pooled(at[axis], seen) for axis in main)
    fit = fit_boundary(x, y, successes, trials)
    found = []
    for direction in directions:
        along = (x if direction == main else y)[seen]
        places = np.linspace(along.min(), along.max(), PLACES)
        across: Literal["x", "y"] = "y" if direction == main else "x"
        level = level_set(fit, places, across=across, steeper=len(directions) > 1)
        at_n: tuple[Crossing, ...] = ()
        if direction == ("hidden_dim", "sparsity"):
            at_n = level_set(fit, smooth("hidden_dim", np.array([spec.data.n_features]))).crossings
        if level.crossings or at_n:
            crossings, reading = (tuple(_in_units(direction, c) for c in group) for group in (level.crossings, at_n))
            found.append(PanelBoundary(panel, start, *direction, crossings, None, reading))
    return found or [PanelBoundary(panel, start, *main, (), side)]


def _in_units(direction: tuple[str, str], crossing: Crossing) -> Crossing:
    x_axis, y_axis = direction
    return Crossing(
        x=natural(x_axis, crossing.x),
        y=natural(y_axis, crossing.y),
        y_low=natural(y_axis, crossing.y_low),
        y_high=natural(y_axis, crossing.y_high),
        branch=crossing.branch,
    )


def _pooled(coordinates: Floats, seen: Flags) -> Floats:
    """The coordinates, or where an axis has more than POOL distinct ones, the mean of those in each of POOL steps."""
    distinct = np.unique(coordinates[seen])
    if len(distinct) <= POOL:
        return coordinates
    inner = np.linspace(distinct[0], distinct[-1], POOL + 1)[1:-1]
    step = np.digitize(distinct, inner)
    means = np.bincount(step, distinct, POOL) / np.maximum(np.bincount(step, minlength=POOL), 1)
    return np.where(seen, means[np.digitize(coordinates, inner)], coordinates)
