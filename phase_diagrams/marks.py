"""A kind of mark to its look: the colours, shapes and strokes that panels and key share."""

from typing import Any, Literal

import altair as alt

from phase_diagrams.figure import PHASES

FONT = "Liberation Sans, Arial, Helvetica, sans-serif"
"""Liberation Sans comes with vl-convert, so that files are the same on every machine; the rest is for browsers."""

INK, PAPER, GREY = "#111111", "#ffffff", "#555555"
EMPTY, HATCH = "#f3f3f3", "#b9b9b9"
"""Ground and rules of a missing cell: no colour of the scale is grey and light."""
RANDOM, TRUTH = INK, "#d4006a"
"""Boundary colours: black, and a magenta that stands off the blue-to-yellow scale for all kinds of colour vision."""

CROSS = "M-1,-.62L-.62,-1L0,-.38L.62,-1L1,-.62L.38,0L1,.62L.62,1L0,.38L-.62,1L-1,.62L-.38,0Z"
"""A filled diagonal cross; Vega's own is upright."""
SHAPES = {
    "recovered": "circle",
    "optimiser_limited": "triangle-up",
    "objective_limited": CROSS,
    "not_recovered": CROSS,
}
BANDS = {"random": "#00d9b5", "truth": TRUTH}
DASHES = {"random": [1, 0], "truth": [6, 4]}
STROKES = {"random": RANDOM, "truth": TRUTH}
RULES: dict[str, tuple[str, list[int]]] = {
    "n_m": (INK, [2, 3]),
    "k": (INK, [8, 3, 2, 3]),
    "2k": (INK, [8, 3, 2, 3, 2, 3]),
    "donoho_tanner": ("#00618a", [12, 3]),
    "gt_loss": ("#8a3b00", [1, 0]),
    "loss_gap": ("#5b2a86", [4, 2]),
}
"""Colour and dash of the theory's lines: black ones are counts, coloured ones are computed from the model."""
PROMISE: dict[str, Any] = {"fill": "#1b8a3a", "fillOpacity": 0.16, "stroke": "#0b6b28", "strokeWidth": 1.6}
"""The region that the theorems promise: a green that the scale lacks."""
OPPOSITE = "#ff6a00"
"""Flags of cells where theory and measurement disagree."""


def layer_marks(layer: str) -> alt.Chart:
    """A chart on the rows of one layer, whatever data it will be placed on."""
    return alt.Chart().transform_filter(f"datum.layer === '{layer}'")


def switch(name: str) -> str:
    """The parameter of the source that shows an overlay or hides it."""
    return f"show_{name}"


def overlay_marks(*names: str) -> alt.Chart:
    """A chart on the rows of some overlays, without those that are switched off."""
    return alt.Chart().transform_filter(" || ".join(f"({switch(name)} && datum.layer === '{name}')" for name in names))


def shade(channel: type[alt.Fill] | type[alt.Stroke]) -> alt.Fill | alt.Stroke:
    """Probability as colour: a fixed scale from 0 to 1, perceptually uniform, readable with every colour vision."""
    return channel("p:Q", scale=alt.Scale(scheme="cividis", domain=[0, 1]), legend=None)


def glyphs(chart: alt.Chart, side: float, tooltip: list[alt.Tooltip] | None = None, **place: Any) -> alt.LayerChart:
    """Phase glyphs: filled where the phase is certain, hollow where not, with a halo for dark and for bright cells."""
    shape = alt.Shape(
        "phase:N", scale=alt.Scale(domain=list(PHASES), range=[SHAPES[phase] for phase in PHASES]), legend=None
    )
    halo = chart.mark_point(size=side**2, fill=PAPER, stroke=PAPER, strokeWidth=2.4, opacity=1, aria=False)
    point = chart.mark_point(size=side**2, stroke=INK, strokeWidth=1, opacity=1, aria=False)
    fill = alt.condition("datum.certain", alt.value(INK), alt.value(PAPER))
    shown = point.encode(shape=shape, fill=fill, tooltip=tooltip or alt.Undefined, **place)
    return alt.LayerChart(layer=[halo.encode(shape=shape, **place), shown])


def casing(chart: alt.Chart, **encodings: Any) -> alt.Chart:
    """The white edge under a boundary."""
    line = chart.mark_line(stroke=PAPER, strokeWidth=4.6, opacity=0.85, clip=True, aria=False)
    return _encoded(line, encodings)


def curve(chart: alt.Chart, start: str, **encodings: Any) -> alt.Chart:
    """A boundary: solid for random starts, dashed for truth starts."""
    line = chart.mark_line(stroke=STROKES[start], strokeWidth=2.2, strokeDash=DASHES[start], clip=True, aria=False)
    return _encoded(line, encodings)


def band(chart: alt.Chart, start: str, **encodings: Any) -> alt.Chart:
    """The 95 % band of a boundary: closed outlines around what is filled."""
    look: dict[str, Any] = {"fillOpacity": 0.3, "strokeWidth": 0.8, "strokeOpacity": 0.8, "aria": False}
    shape = chart.mark_line(interpolate="linear-closed", fill=BANDS[start], stroke=BANDS[start], clip=True, **look)
    return _encoded(shape, {"order": alt.Order("turn:Q"), "detail": "path:N", **encodings})


def rules(*names: str, **encodings: Any) -> alt.LayerChart:
    """Lines of the theory, each in its colour and dash, with their white edges."""
    chart = overlay_marks(*names)
    look = {
        "stroke": alt.Stroke("layer:N", scale=_by_name(0), legend=None),
        "strokeDash": alt.StrokeDash("layer:N", scale=_by_name(1), legend=None),
    }
    edge = chart.mark_rule(stroke=PAPER, strokeWidth=3, opacity=0.7, aria=False)
    line = chart.mark_rule(strokeWidth=1.3, aria=False)
    return alt.LayerChart(layer=[_encoded(edge, encodings), _encoded(line, {**look, **encodings})])


def rule_values(*names: str, **encodings: Any) -> alt.LayerChart:
    """The values of contours, above their lines and in their colours, on a white edge."""
    chart = overlay_marks(*names)
    look: dict[str, Any] = {"align": "left", "dx": 3, "dy": -1, "baseline": "bottom", "fontSize": 9, "aria": False}
    edge = chart.mark_text(color=PAPER, stroke=PAPER, strokeWidth=3, strokeJoin="round", **look)
    color = alt.Color("layer:N", scale=_by_name(0), legend=None)
    return alt.LayerChart(
        layer=[_encoded(edge, encodings), _encoded(chart.mark_text(**look), {"color": color, **encodings})]
    )


def promise(**encodings: Any) -> alt.Chart:
    """The region in which the theorems promise that the truth is optimal."""
    return _encoded(overlay_marks("theorems").mark_rect(**PROMISE, aria=False), encodings)


def flags(side: float, **encodings: Any) -> alt.Chart:
    """Flags of cells where theory and measurement disagree: full where theory alone promises, hollow the reverse."""
    chart = overlay_marks("disagreement").mark_point(
        shape="diamond", size=side**2, stroke=OPPOSITE, strokeWidth=1.8, opacity=1, aria=False
    )
    fill = alt.condition("datum.disagreement === 'theory_only'", alt.value(OPPOSITE), alt.value(PAPER))
    return _encoded(chart, {"fill": fill, **encodings})


def _by_name(part: Literal[0, 1]) -> alt.Scale:
    return alt.Scale(domain=list(RULES), range=[rule[part] for rule in RULES.values()])


def _encoded(chart: alt.Chart, encodings: dict[str, Any]) -> alt.Chart:
    """The chart with its channels; altair's own `encode` has lost its type."""
    encoded: alt.Chart = chart.encode(**encodings)
    return encoded
