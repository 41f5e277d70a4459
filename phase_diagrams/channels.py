"""An axis of the diagram's plane to the channel that panels are drawn along, with its ticks and labels."""

import json
from collections.abc import Callable
from typing import Any

import altair as alt

from phase_diagrams.layout import PlotAxis
from phase_diagrams.marks import INK


def width_channel(width: PlotAxis) -> Callable[[str], alt.X]:
    """The hidden dimension, across; called with the field that is drawn."""
    scale = alt.Scale(type="log", domain=list(width.domain), nice=False)
    axis = alt.Axis(title="hidden dimension n_m", **_labelled(width), **LOOK)
    return lambda field: alt.X(f"{field}:Q", scale=scale, axis=axis)


def density_channel(density: PlotAxis) -> Callable[[str], alt.Y]:
    """The sparsity, downwards; called with the field that is drawn."""
    # The value is the density 1 - S, so that sparsities are spaced by its logarithm; labels say S.
    scale = alt.Scale(type="log", domain=list(density.domain), nice=False, reverse=True)
    axis = alt.Axis(title="sparsity S", **_labelled(density), **LOOK)
    return lambda field: alt.Y(f"{field}:Q", scale=scale, axis=axis)


def tooltip(shown: dict[str, str]) -> list[alt.Tooltip]:
    """What pointing at a mark shows: field and words."""
    return [alt.Tooltip(field, type="nominal", title=words) for field, words in shown.items()]


LOOK: dict[str, Any] = {
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
"""How every axis looks."""


def _labelled(axis: PlotAxis) -> dict[str, Any]:
    return {
        "values": list(axis.ticks),
        "labelExpr": f"{json.dumps(axis.labels)}[indexof({json.dumps(axis.ticks)}, datum.value)]",
    }
