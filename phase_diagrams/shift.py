"""Fresh seeds at the best exponents and at 0 to how far each boundary moves, paired seed by seed."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from phase_diagrams.activation import Activation
from phase_diagrams.finding import Finding
from phase_diagrams.gain import Gain
from phase_diagrams.interval import mean_interval
from phase_diagrams.layout import cell_edges, density_of
from phase_diagrams.spec import JobSpec, Start

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PlaceShift:
    """How far the boundary moves at one hidden dimension."""

    hidden_dim: int
    decades: Gain
    """Along the sparsity axis, in decades of the density 1 - S; more is towards lower sparsity. The interval is the
    paired 95 % t interval over seeds at this place; all places together hold less often."""


@dataclass(frozen=True, slots=True)
class Shift:
    """How a panel changes from the plain loss to the best exponents.

    Areas are shares of the panel, each condition weighing its cell in the plane of log n_m and log (1 - S).
    """

    activation: Activation
    start: Start
    gained: float
    """Mean over seeds of the area that succeeds at the best exponents only; seeds differ, so noise alone gains too."""
    lost: float
    """Mean over seeds of the area that succeeds at 0 only."""
    net: Gain
    """gained - lost, with the paired 95 % t interval over seeds."""
    decades: Gain | None
    """How far the boundary moves along the sparsity axis, in decades of the density 1 - S, averaged over hidden_dim;
    more is towards lower sparsity. None where the grid has one sparsity."""
    along: tuple[PlaceShift, ...]
    """The same at each hidden dimension with a confirmed condition, ascending; empty where there is one sparsity."""


def boundary_shifts(spec: JobSpec, findings: Iterable[Finding]) -> tuple[Shift, ...]:
    """The shift of every panel and start that has confirmed conditions.

    The area of success of one seed, divided by the width of the panel, is the Spearman-Karber estimate of where its
    boundary is (the mean of the threshold distribution), averaged over hidden_dim. The difference of two such is a
    paired number per seed, and the seeds give its interval; conditions that were not searched are equal in both. At one
    hidden dimension the same estimate is made of its column of cells.
    """
    found = tuple(findings)
    areas = _areas(spec)
    heights = _heights(spec)
    shifts = []
    for activation in spec.grid.activations:
        for start in spec.grid.starts:
            panel = [one for one in found if one.condition.activation == activation and one.confirmed]
            if panel:
                shifts.append(_shift(panel, activation, start, areas, heights))
    return tuple(shifts)


def _shift(
    findings: list[Finding],
    activation: Activation,
    start: Start,
    areas: dict[tuple[float, int], float],
    heights: dict[float, float],
) -> Shift:
    gained: dict[int, float] = {}
    lost: dict[int, float] = {}
    columns: dict[int, dict[int, float]] = {}
    for finding in findings:
        area = areas[finding.condition.sparsity, finding.condition.hidden_dim]
        height = heights[finding.condition.sparsity]
        column = columns.setdefault(finding.condition.hidden_dim, {})
        for confirmed in finding.confirmed:
            pair = confirmed.success(start)
            assert pair is not None
            change = int(pair.reweighted.identified) - int(pair.plain.identified)
            gained[confirmed.seed] = gained.get(confirmed.seed, 0.0) + area * (change > 0)
            lost[confirmed.seed] = lost.get(confirmed.seed, 0.0) + area * (change < 0)
            column[confirmed.seed] = column.get(confirmed.seed, 0.0) + height * change
    net = _counted([gained[seed] - lost[seed] for seed in sorted(gained)], areas.values())
    span = sum(heights.values())
    return Shift(
        activation,
        start,
        gained=float(np.mean(list(gained.values()))),
        lost=float(np.mean(list(lost.values()))),
        net=net,
        decades=Gain(*(span * value for value in net)) if len(heights) > 1 else None,
        along=tuple(
            PlaceShift(width, _counted([column[seed] for seed in sorted(column)], heights.values()))
            for width, column in sorted(columns.items())
            if len(heights) > 1
        ),
    )


def _counted(changes: list[float], cells: Collection[float]) -> Gain:
    """The mean of one number per seed that is counted in cells of these sizes.

    A boundary may move within a cell unseen: two roundings, as in gain.py.
    """
    return Gain(*mean_interval(changes, rounding=float(np.mean(list(cells))) ** 2 / 6))


def _heights(spec: JobSpec) -> dict[float, float]:
    """The decades of density that each sparsity stands for."""
    sparsities = sorted(spec.grid.sparsity, reverse=True)
    down = np.diff(np.log10(cell_edges([density_of(sparsity) for sparsity in sparsities])))
    return {sparsity: float(height) for sparsity, height in zip(sparsities, down, strict=True)}


def _areas(spec: JobSpec) -> dict[tuple[float, int], float]:
    """The share of a panel that each (sparsity, hidden_dim) stands for."""
    widths = sorted(spec.grid.hidden_dim)
    sparsities = sorted(spec.grid.sparsity, reverse=True)
    across = np.diff(np.log(cell_edges([float(width) for width in widths])))
    down = np.diff(np.log(cell_edges([density_of(sparsity) for sparsity in sparsities])))
    return {
        (sparsity, width): float(down[i] / down.sum() * across[j] / across.sum())
        for i, sparsity in enumerate(sparsities)
        for j, width in enumerate(widths)
    }
