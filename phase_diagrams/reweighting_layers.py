"""The numbers of an exponent search to one Vega-Lite source: a row of maps per activation over a scatter plot."""

import textwrap
from typing import Any

import altair as alt

from phase_diagrams.channels import LOOK, density_channel, tooltip, width_channel
from phase_diagrams.figure import Row
from phase_diagrams.layout import COLUMN_GAP
from phase_diagrams.marks import EMPTY, FONT, GREY, INK, PAPER, layer_marks
from phase_diagrams.reweighting_figure import LOSSES, MAPS, ReweightingPicture

COLOURS = ["#444444", "#0072b2"]
"""Boundaries at alpha = 0 and at the best exponents; the second is the blue of Okabe and Ito's palette."""
DASHES = {"random": [1, 0], "truth": [6, 4]}
LEAST_SHIFT = 0.1
"""Smallest end of the shifts' axis in decades; heuristic: noise must not fill the plot as a large effect does."""
DARK = 0.6
"""Share of the exponents' scale from which its colours need white letters."""
SCATTER = (430, 300)
"""Pixels of recovery against reconstruction."""
APART: Any = dict.fromkeys(("fill", "stroke", "color", "shape", "strokeDash"), "independent")
"""Each part of the picture has its own colours and its own key."""
MOST_NAMED = 8
"""Most sparsities that the key of the scatter plot names; more do not fit below it."""
LETTER = 5.9
"""Mean width in pixels of a letter of the words, rounded up."""
LEAST_WIDTH = 900
"""Pixels that words may always take."""

CELL = {
    "S": "sparsity S",
    "n_m": "hidden dimension n_m",
    "panel": "activation",
    "exponent": "best exponent α",
    "said": "gain on fresh seeds [95 %]",
    "searched": "gain at the seeds that chose it",
    "recovered_said": "gain in recovered_fraction [95 %]",
    "rebuilt_said": "fall of sae_loss [95 %]",
}
"""What pointing at a condition shows: field and words."""


def vega_lite(picture: ReweightingPicture) -> dict[str, Any]:
    """The picture as a Vega-Lite document that json.dumps writes, checked against altair's schema."""
    width = max(LEAST_WIDTH, MAPS * (picture.width.pixels + COLUMN_GAP) + 60)
    letters = int(width / LETTER)
    column = max(60, int((width - SCATTER[0] - 100) / 4.9))
    words = [line for said in picture.verdicts for line in [*textwrap.wrap(said, column), ""]]
    title = alt.TitleParams(
        text=textwrap.wrap(picture.title, int(width / 10.5)),
        subtitle=textwrap.wrap(picture.subtitle, letters),
        anchor="start",
        fontSize=16,
        subtitleFontSize=12,
        subtitleColor=GREY,
        subtitlePadding=5,
        offset=14,
    )
    maps = alt.hconcat(
        _facet(picture, _exponents(picture), "Best exponent α"),
        _facet(picture, _gains(picture), f"Gain in {picture.objective} on fresh seeds"),
        _facet(picture, _boundaries(picture), "P = 1/2: grey α = 0, blue α best"),
        _facet(picture, _shifts(picture), "Its shift along S with 95 % bands"),
        spacing=COLUMN_GAP,
    ).resolve_scale(**APART)
    chart = alt.vconcat(
        maps,
        alt.hconcat(_scatter(picture), _text("What was found", words), spacing=40).resolve_scale(**APART),
        _lines(textwrap.wrap(picture.caption, int(width / 4.75))),
        spacing=24,
        title=title,
    ).resolve_scale(**APART)
    chart = chart.configure(font=FONT, padding=14, background="white").configure_view(stroke=None)
    document = chart.to_dict()
    # Data joins after the check, which says nothing about rows.
    document["datasets"] = {**document.get("datasets", {}), "panels": [dict(row) for row in picture.rows]}
    return dict(document)


def _facet(picture: ReweightingPicture, layers: list[alt.Chart | alt.LayerChart], title: str) -> alt.FacetChart:
    layered = alt.layer(*layers, data=alt.NamedData("panels")).properties(
        width=picture.width.pixels,
        height=picture.density.pixels,
        view=alt.ViewBackground(fill=EMPTY, stroke="#888"),
    )
    header = alt.Header(labelAnchor="start", labelFontSize=11, labelFontWeight="bold", labelColor=INK, labelPadding=3)
    facet: alt.FacetChart = layered.facet(
        facet=alt.Facet("panel:N", sort=list(picture.panels), title=None, header=header), columns=1, spacing=14
    ).properties(title=alt.TitleParams(title, fontSize=12, anchor="start", offset=4))
    return facet


def _place(picture: ReweightingPicture) -> dict[str, Any]:
    x, y = width_channel(picture.width), density_channel(picture.density)
    return {"x": x("x"), "x2": "x2", "y": y("y"), "y2": "y2"}


def _middle(picture: ReweightingPicture) -> dict[str, Any]:
    return {"x": width_channel(picture.width)("cx"), "y": density_channel(picture.density)("cy")}


def _legend(title: str, **how: Any) -> alt.Legend:
    return alt.Legend(title=title, orient="bottom", direction="horizontal", gradientLength=150, titleLimit=300, **how)


def _exponents(picture: ReweightingPicture) -> list[alt.Chart | alt.LayerChart]:
    low, high = picture.exponents
    reach = max(-low, high)
    scale = alt.Scale(scheme="purpleorange", domain=[-reach, reach], reverse=True)
    fill = alt.Fill("exponent:Q", scale=scale, legend=_legend("α (0: plain loss)"))
    cells = layer_marks("cell").mark_rect(stroke="#888", strokeWidth=0.4, aria=False)
    text = layer_marks("cell").mark_text(fontSize=9, aria=False)
    ink = alt.condition(f"abs(datum.exponent) > {DARK * reach}", alt.value(PAPER), alt.value(INK))
    return [
        cells.encode(fill=fill, tooltip=tooltip(CELL), **_place(picture)),
        text.encode(text=alt.Text("exponent:Q", format=".2f"), color=ink, **_middle(picture)),
    ]


def _gains(picture: ReweightingPicture) -> list[alt.Chart | alt.LayerChart]:
    scale = alt.Scale(scheme="redblue", domain=[-picture.gains, picture.gains])
    fill = alt.Fill("gain:Q", scale=scale, legend=_legend("mean gain;  ○ 95 % interval holds 0", format="+.2f"))
    known = layer_marks("cell").transform_filter("datum.gain !== null")
    marked = known.transform_filter("datum.open")
    ring = marked.mark_point(size=42, fill=PAPER, stroke=INK, strokeWidth=1.1, opacity=1, aria=False)
    cells = known.mark_rect(stroke="#888", strokeWidth=0.4, aria=False)
    return [
        cells.encode(fill=fill, tooltip=tooltip(CELL), **_place(picture)),
        ring.encode(tooltip=tooltip(CELL), **_middle(picture)),
    ]


def _boundaries(picture: ReweightingPicture) -> list[alt.Chart | alt.LayerChart]:
    """Bands under lines; colour is the loss, the dash is the start."""
    x, y = width_channel(picture.width), density_channel(picture.density)
    colours = alt.Scale(domain=list(LOSSES), range=COLOURS)
    loss = alt.Stroke("loss:N", scale=colours, legend=None)
    dashes = alt.Scale(domain=["random", "truth"], range=[DASHES["random"], DASHES["truth"]])
    start = alt.StrokeDash("start:N", scale=dashes, legend=_legend("start", symbolType="stroke", symbolStrokeColor=INK))
    band = alt.Fill("loss:N", scale=colours, legend=None)
    cells = layer_marks("cell").mark_rect(fill=PAPER, stroke="#ddd", strokeWidth=0.5, aria=False)
    layers: list[alt.Chart | alt.LayerChart] = [cells.encode(**_place(picture))]
    drawn = sorted({bool(row["sideways"]) for row in picture.rows if row["layer"] == "curve"})
    outlines = layer_marks("band").mark_line(
        interpolate="linear-closed", fillOpacity=0.16, strokeWidth=0, clip=True, aria=False
    )
    layers.append(outlines.encode(fill=band, detail="path:N", order=alt.Order("turn:Q"), x=x("x"), y=y("y")))
    for sideways in drawn:
        curves = layer_marks("curve").transform_filter(f"datum.sideways === {str(sideways).lower()}")
        line = curves.mark_line(strokeWidth=2.2, clip=True, aria=False)
        order = alt.Order("y:Q" if sideways else "x:Q")
        layers.append(line.encode(stroke=loss, strokeDash=start, detail="path:N", order=order, x=x("x"), y=y("y")))
    return layers


SHIFT = {
    "panel": "activation",
    "n_m": "hidden dimension n_m",
    "start": "start",
    "said": "decades of density towards lower S [95 %]",
}


def _shifts(picture: ReweightingPicture) -> list[alt.Chart | alt.LayerChart]:
    """How far the boundary moves at each hidden dimension; the dash is the start."""
    x = width_channel(picture.width)("n_m")
    look: dict[str, Any] = {**LOOK, "format": "+.2~f", "tickCount": 5, "orient": "right"}
    axis = alt.Axis(title="decades of density, up: towards lower S", **look)
    reach = max([LEAST_SHIFT, *_reaches(picture)])
    scale = alt.Scale(domain=[-reach, reach], nice=False)
    y = alt.Y("moved:Q", axis=axis, scale=scale)
    low, high = alt.Y("low:Q", axis=axis, scale=scale), alt.Y2("high")
    starts = list(DASHES)
    dash = alt.StrokeDash(
        "start:N", scale=alt.Scale(domain=starts, range=[DASHES[start] for start in starts]), legend=None
    )
    fills = alt.Scale(domain=starts, range=[COLOURS[1], PAPER])
    fill = alt.Fill("start:N", scale=fills, legend=None)
    places = layer_marks("shift")
    known = places.transform_filter("datum.low !== null")
    zero = alt.Chart(alt.InlineData([{"zero": 0}])).mark_rule(stroke=GREY, strokeDash=[3, 3], aria=False)
    blue: dict[str, Any] = {"stroke": COLOURS[1], "clip": True, "aria": False}
    area = known.mark_area(fill=COLOURS[1], fillOpacity=0.13, clip=True, aria=False)
    return [
        zero.encode(y=alt.Y("zero:Q", axis=axis, scale=scale)),
        area.encode(x=x, y=low, y2=high, detail="start:N"),
        known.mark_rule(strokeWidth=0.9, **blue).encode(x=x, y=low, y2=high, strokeDash=dash),
        places.mark_line(strokeWidth=1.8, **blue).encode(x=x, y=y, strokeDash=dash),
        places.mark_point(size=38, strokeWidth=1.4, opacity=1, **blue).encode(
            x=x, y=y, fill=fill, tooltip=tooltip(SHIFT)
        ),
    ]


def _reaches(picture: ReweightingPicture) -> list[float]:
    """How far the ends of shifts lie from 0; without an interval, the shifts themselves."""
    rows = [row for row in picture.rows if row["layer"] == "shift"]
    ends = [row[name] for row in rows for name in ("moved", "low", "high")]
    return [1.05 * abs(float(str(end))) for end in ends if end is not None]


def _scatter(picture: ReweightingPicture) -> alt.LayerChart:
    """What recovery gains against what reconstruction gains, one point per condition with both intervals."""
    known = layer_marks("cell").transform_filter("datum.recovered_low !== null && datum.exponent !== 0")
    look: dict[str, Any] = {**LOOK, "domain": True, "domainColor": "#888", "format": "+.3~g"}
    x_axis = alt.Axis(title="gain in reconstruction: fall of sae_loss", tickCount=6, **look)
    y_axis = alt.Axis(title="gain in recovered_fraction", **look)
    x = alt.X("rebuilt:Q", axis=x_axis, scale=alt.Scale(zero=True, nice=True))
    y = alt.Y("recovered:Q", axis=y_axis, scale=alt.Scale(zero=True, nice=True))
    shown = _compared(picture)
    scale = alt.Scale(scheme="viridis", reverse=True, domain=shown)
    named = shown[:: -(-len(shown) // MOST_NAMED) or 1]
    colour = alt.Color(
        "S:O", scale=scale, legend=_legend("sparsity S", values=named, symbolType="circle", symbolOpacity=1)
    )
    bars: dict[str, Any] = {"strokeWidth": 0.8, "opacity": 0.45, "aria": False}
    zero = alt.Chart(alt.InlineData([{"zero": 0}])).mark_rule(stroke=GREY, strokeDash=[3, 3], aria=False)
    shape = alt.Shape("panel:N", legend=_legend("activation"))
    points = known.mark_point(filled=True, size=46, stroke=PAPER, strokeWidth=0.5, opacity=1, aria=False)
    layers: list[alt.Chart | alt.LayerChart] = [
        zero.encode(x=alt.X("zero:Q", axis=x_axis)),
        zero.encode(y=alt.Y("zero:Q", axis=y_axis)),
        known.mark_rule(**bars).encode(x=alt.X("rebuilt_low:Q", axis=x_axis), x2="rebuilt_high", y=y, color=colour),
        known.mark_rule(**bars).encode(y=alt.Y("recovered_low:Q", axis=y_axis), y2="recovered_high", x=x, color=colour),
        points.encode(x=x, y=y, color=colour, shape=shape, tooltip=tooltip(CELL)),
    ]
    title = alt.TitleParams("Recovery against reconstruction", fontSize=12, anchor="start", offset=6)
    return alt.LayerChart(layer=layers, data=alt.NamedData("panels"), width=SCATTER[0], height=SCATTER[1], title=title)


def _compared(picture: ReweightingPicture) -> list[float]:
    """The sparsities that have a point in the scatter plot, ascending."""
    rows = (row for row in picture.rows if row["layer"] == "cell")
    return sorted({float(str(row["S"])) for row in rows if row["recovered_low"] is not None and row["exponent"] != 0})


def _text(heading: str, lines: list[str]) -> alt.Chart:
    return _lines(lines).properties(title=alt.TitleParams(heading, fontSize=12, anchor="start", offset=6))


def _lines(lines: list[str]) -> alt.Chart:
    """Words below each other, at a fixed distance."""
    rows: list[Row] = [{"line": place, "text": text} for place, text in enumerate(lines)]
    marks = alt.Chart(alt.InlineData(rows)).mark_text(
        align="left", baseline="top", fontSize=10, color="#444", aria=False
    )
    scale = alt.Scale(domain=[0, max(len(lines), 1)], nice=False, reverse=True)
    chart: alt.Chart = marks.encode(
        text="text:N", x=alt.value(0), y=alt.Y("line:Q", scale=scale, axis=None)
    ).properties(width=10, height=14 * max(len(lines), 1))
    return chart
