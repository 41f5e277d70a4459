"""The axes of a panel's plane to Vega-Lite channels: hidden dimension across, sparsity upwards."""

import json
from collections.abc import Callable
from typing import Any

import altair as alt

from phase_diagrams.layout import PlotAxis
from phase_diagrams.marks import INK


def horizontal(width: PlotAxis) -> Callable[[str], alt.X]:
    """The hidden dimension: the channel of a field that holds n_m."""
    scale = alt.Scale(type="log", domain=list(width.domain), nice=False)
    axis = alt.Axis(title="hidden dimension n_m", **_labelled(width), **_AXIS)
    return lambda field: alt.X(f"{field}:Q", scale=scale, axis=axis)


def vertical(density: PlotAxis) -> Callable[[str], alt.Y]:
    """The sparsity: the channel of a field that holds the density 1 - S; labels say S."""
    # Sparsities are spaced by the logarithm of the density.
    scale = alt.Scale(type="log", domain=list(density.domain), nice=False, reverse=True)
    axis = alt.Axis(title="sparsity S", **_labelled(density), **_AXIS)
    return lambda field: alt.Y(f"{field}:Q", scale=scale, axis=axis)


def _labelled(axis: PlotAxis) -> dict[str, Any]:
    return {
        "values": list(axis.ticks),
        "labelExpr": f"{json.dumps(axis.labels)}[indexof({json.dumps(axis.ticks)}, datum.value)]",
    }


_AXIS: dict[str, Any] = {
    "grid": False,
    "domain": False,
    "tickColor": "#888",
    "tickSize": 4,
    "labelColor": INK,
    "labelFontSize": 10,
    "titleFontSize": 11,
    "titleFontWeight": "normal",
    "titlePadding": 6,
    "labelOverlap": False,
}
