"""Two boundaries of one panel to how far the second lies from the first, place by place, with a 95 % band."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from phase_diagrams.axis import natural, smooth
from phase_diagrams.tables import DISPLACEMENT

Floats = npt.NDArray[np.float64]

PANEL = ("activation", "k", "l1", "exponent", "boundary", "x_axis", "y_axis")
STEPS = 2.5
"""Widest gap, in steps between sampled places, over which a boundary is taken as straight; wider ones are real gaps."""


def displacement_table(one: pa.Table, other: pa.Table) -> pa.Table:
    """Compare boundaries (schema BOUNDARY) of the same panels; one row (schema DISPLACEMENT) per place that both have.

    A shift is `other` less `one` in the coordinate of the fit: decades of density, -log10(1 - S), or octaves of
    hidden_dim. Its band joins the two bands by the method of variance estimates recovery (Zou and Donner, Statist. Med.
    27 (2008) 1693), as if the boundaries were independent; shared data make them similar, and the band then too wide.
    Places where either side has several crossings are left out: which belongs to which is not known.
    """
    left, right = _curves(one), _curves(other)
    rows = [row for key, curve in left.items() if key in right for row in _shifts(key, curve, right[key])]
    return pa.Table.from_pylist(rows, schema=DISPLACEMENT)


Curve = dict[float, tuple[float, float, float]]
"""By place x: y and the ends of its band, in the columns' units."""


def _curves(table: pa.Table) -> dict[tuple[Any, ...], Curve]:
    """The boundary of each panel, start and direction, at the places where it has one crossing."""
    places: dict[tuple[Any, ...], dict[float, list[tuple[float, float, float]]]] = {}
    for row in table.to_pylist():
        key = tuple(row[name] for name in PANEL)
        places.setdefault(key, {}).setdefault(row["x"], []).append((row["y"], row["y_low"], row["y_high"]))
    return {key: {x: found[0] for x, found in curve.items() if len(found) == 1} for key, curve in places.items()}


def _shifts(key: tuple[Any, ...], one: Curve, other: Curve) -> Iterator[dict[str, Any]]:
    panel = dict(zip(PANEL, key, strict=True))
    x_axis, y_axis = panel["x_axis"], panel["y_axis"]
    places = np.array(sorted(other))
    at = smooth(x_axis, places)
    bands = smooth(y_axis, [other[x] for x in places]).reshape(-1, 3)
    for x in sorted(one):
        there = _interpolated(float(smooth(x_axis, x)), at, bands)
        if there is None:
            continue
        y, low, high = smooth(y_axis, one[x])
        shift = there[0] - y
        yield {
            **panel,
            "x": x,
            "y_one": one[x][0],
            "y_other": natural(y_axis, there[0]),
            "shift": shift,
            "shift_low": shift - float(np.hypot(there[0] - there[1], high - y)),
            "shift_high": shift + float(np.hypot(there[2] - there[0], y - low)),
        }


def _interpolated(x: float, places: Floats, bands: Floats) -> Floats | None:
    """A boundary's y and band at x, linear between neighbouring places; None outside them and in a gap."""
    if len(places) == 1:
        return bands[0] if abs(places[0] - x) < 1e-9 else None
    steps = np.diff(places)
    i = int(np.clip(np.searchsorted(places, x, side="right") - 1, 0, len(steps) - 1))
    if not places[i] - 1e-9 <= x <= places[i + 1] + 1e-9 or steps[i] > STEPS * steps.min():
        return None
    share = (x - places[i]) / steps[i]
    return np.asarray(bands[i] + share * (bands[i + 1] - bands[i]))
