"""A kind of mark to its look: the colours, shapes and strokes that panels and key share."""

from typing import Any

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
N_DASH, K_DASH = [2, 3], [8, 3, 2, 3]
"""Strokes of n_m = n (dotted) and n (1 - S) = k (dash and dot)."""


def layer_marks(layer: str) -> alt.Chart:
    """A chart on the rows of one layer, whatever data it will be placed on."""
    return alt.Chart().transform_filter(f"datum.layer === '{layer}'")


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


def band(chart: alt.Chart, start: str, sideways: bool, **encodings: Any) -> alt.Chart:
    """The 95 % band of a boundary; sideways where the boundary runs along the vertical axis."""
    area = chart.mark_area(
        orient="horizontal" if sideways else "vertical",
        fill=BANDS[start],
        fillOpacity=0.3,
        stroke=BANDS[start],
        strokeWidth=0.8,
        strokeOpacity=0.8,
        clip=True,
        aria=False,
    )
    return _encoded(area, encodings)


def overlay(chart: alt.Chart, dash: list[int], **encodings: Any) -> alt.LayerChart:
    """A line of the theory, with its white edge."""
    edge = chart.mark_rule(stroke=PAPER, strokeWidth=3, opacity=0.7, aria=False)
    line = chart.mark_rule(stroke=INK, strokeWidth=1.2, strokeDash=dash, aria=False)
    return alt.LayerChart(layer=[_encoded(edge, encodings), _encoded(line, encodings)])


def _encoded(chart: alt.Chart, encodings: dict[str, Any]) -> alt.Chart:
    """The chart with its channels; altair's own `encode` has lost its type."""
    encoded: alt.Chart = chart.encode(**encodings)
    return encoded
