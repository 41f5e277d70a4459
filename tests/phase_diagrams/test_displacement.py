"""The band of a displacement against synthetic pairs: how often it holds the true shift of the boundary."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest

from phase_diagrams.axis import natural
from phase_diagrams.boundary import fit_boundary, level_set
from phase_diagrams.displacement import displacement_table
from phase_diagrams.tables import BOUNDARY
from tests.phase_diagrams.test_boundary import (
    AXIS,
    SEEDS,
    WIDTHS,
    Counts,
    Curve,
    Floats,
    X,
    Y,
    curved,
    generator,
    horizontal,
    probability,
    slanted,
)

PAIRS = 45
FAMILIES = (slanted, curved, horizontal)
X_AT, Y_AT = 0.3, 4.0
"""Where the unit square begins: decades of density and octaves of hidden_dim."""


def boundary_of(successes: Counts) -> pa.Table:
    """Rows (schema BOUNDARY) of one synthetic diagram."""
    panel = {"activation": "topk", "k": 1, "l1": 0.0, "exponent": 0.0, "boundary": "random", "branch": 0}
    axes = {"x_axis": "sparsity", "y_axis": "hidden_dim"}
    fit = fit_boundary(X, Y, successes, np.full(X.size, SEEDS))
    rows = [
        {
            **panel,
            **axes,
            "x": float(natural("sparsity", X_AT + c.x)),
            **{
                name: float(natural("hidden_dim", Y_AT + y))
                for name, y in (("y", c.y), ("y_low", c.y_low), ("y_high", c.y_high))
            },
        }
        for c in level_set(fit, AXIS).crossings
    ]
    return pa.Table.from_pylist(rows, schema=BOUNDARY)


def covered(one: Counts, other: Counts, curves: tuple[Curve, Curve]) -> list[bool]:
    """Whether the band holds the true shift, at each place that has one and whose true boundaries are both in range."""
    found = []
    for row in displacement_table(boundary_of(one), boundary_of(other)).to_pylist():
        x = np.array(-np.log10(1.0 - row["x"]) - X_AT)
        first, second = (float(curve(x)) for curve in curves)
        if 0.0 <= first <= 1.0 and 0.0 <= second <= 1.0:
            found.append(row["shift_low"] <= second - first <= row["shift_high"])
    return found


def moved(curve: Curve, by: float, tilt: float) -> Curve:
    return lambda x: curve(x) + by + tilt * (x - 0.5)


def counts_of(curve: Curve, width: float, draws: Floats) -> Counts:
    """Identified seeds per place, from draws (places, seeds) that another diagram may share."""
    return np.asarray((draws < probability([curve], X, Y, width)[:, None]).sum(axis=1))


@pytest.mark.soak
def test_the_band_of_a_displacement_holds_the_truth_whether_seeds_are_shared_or_not() -> None:
    apart: list[bool] = []
    shared: list[bool] = []
    kinds: list[tuple[Callable[[np.random.Generator], list[Curve]], float]]
    kinds = [(family, width) for family in FAMILIES for width in WIDTHS]
    for i in range(PAIRS):
        family, width = kinds[i % len(kinds)]
        rng = generator(41, i)
        first = family(rng)[0]
        second = moved(first, rng.uniform(-0.2, 0.2), rng.uniform(-0.1, 0.1))
        draws, others = rng.random((2, X.size, SEEDS))
        one = counts_of(first, width, draws)
        apart += covered(one, counts_of(second, width, others), (first, second))
        shared += covered(one, counts_of(second, width, draws), (first, second))
    said = f"apart {np.mean(apart):.3f} of {len(apart)} places, shared {np.mean(shared):.3f} of {len(shared)}"
    print(said)
    assert min(len(apart), len(shared)) > 5 * PAIRS, said
    assert 0.88 <= np.mean(apart) <= 0.99, said
    assert np.mean(shared) >= 0.88, said
