"""Conditions of a plain grid to those near a boundary, where reweighting has something to move."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from phase_diagrams.panel import COUNTS, Panel, panel_rows
from phase_diagrams.spec import JobSpec
from phase_diagrams.trial import Condition

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


def near_boundary(spec: JobSpec, conditions: pa.Table) -> list[Condition]:
    """The plain conditions (exponent 0; schema CONDITIONS) at which one of the two boundaries may pass.

    Those whose seeds disagree, and those with a neighbour along sparsity or hidden_dim on whose other side of P = 1/2
    they are; for P(identified) and, with truth starts, P(identifiable). In the order of the grid's axes.
    """
    sparsities, widths = sorted(spec.grid.sparsity), sorted(spec.grid.hidden_dim)
    found = []
    for activation in spec.grid.activations:
        rows = panel_rows(conditions, Panel(activation, 0.0)).to_pylist()
        near = np.zeros((len(sparsities), len(widths)), dtype=bool)
        for start in spec.grid.starts:
            shares = np.full(near.shape, np.nan)
            for row in rows:
                successes, trials = (row[name] or 0 for name in COUNTS[start])
                place = sparsities.index(row["sparsity"]), widths.index(row["hidden_dim"])
                shares[place] = successes / trials if trials else np.nan
            near |= _near(shares)
        found += [Condition(sparsities[i], widths[j], activation, 0.0) for i, j in np.argwhere(near)]
    return found


def _near(shares: Floats) -> Flags:
    """Where a plane of shares is neither 0 nor 1, or differs in majority from a neighbour; NaN is no neighbour."""
    near = (shares > 0) & (shares < 1)
    side = np.where(np.isnan(shares), 0, np.where(shares > 0.5, 1, -1))
    for axis in (0, 1):
        first, second = np.moveaxis(near, axis, 0)[:-1], np.moveaxis(near, axis, 0)[1:]
        turns = np.moveaxis(side, axis, 0)
        turn = turns[:-1] * turns[1:] < 0
        first |= turn
        second |= turn
    return near
