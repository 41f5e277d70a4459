"""A diagram's numbers to one Vega-Lite source: panels of cells, boundaries, overlays and glyphs over a key."""

import json
import textwrap
from collections.abc import Callable
from typing import Any

import altair as alt

from phase_diagrams.channels import density_channel, tooltip, width_channel
from phase_diagrams.figure import Diagram
from phase_diagrams.key import key_chart, key_rows
from phase_diagrams.layout import COLUMN_GAP
from phase_diagrams.marks import (
    EMPTY,
    FONT,
    GREY,
    HATCH,
    INK,
    RULES,
    band,
    casing,
    curve,
    flags,
    glyphs,
    layer_marks,
    overlay_marks,
    promise,
    rule_values,
    rules,
    shade,
    switch,
)
from phase_diagrams.overlay import OVERLAYS

LINE = 12
"""Pixels between the lines of words above a panel."""
TITLE_LETTER, SUBTITLE_LETTER = 10.5, 5.9
"""Widths in pixels of a letter of the title (wide ones, bold) and of the subtitle (mean, rounded up)."""

TOOLTIP = {
    "S": "sparsity S",
    "n_m": "hidden dimension n_m",
    "activation": "activation",
    "exponent": "exponent α",
    "seeds": "seeds identified",
    "P": "P(identified) [95 %]",
    "reads": "phase",
    "theory": "Theorems 1 to 3",
    "mcc": "median mcc",
    "recovered": "recovered fraction, random / truth",
    "objective": "objective, random / truth",
    "diverged": "diverged trials",
}
"""What pointing at a cell shows: field and words."""


def vega_lite(diagram: Diagram) -> dict[str, Any]:
    """The picture as a Vega-Lite document that json.dumps writes, checked against altair's schema."""
    key = key_rows(diagram)
    width = int(str(key[-1]["x"]))
    title = alt.TitleParams(
        text=textwrap.wrap(diagram.title, int(width / TITLE_LETTER)),
        subtitle=textwrap.wrap(diagram.subtitle, int(width / SUBTITLE_LETTER)),
        anchor="start",
        fontSize=16,
        subtitleFontSize=12,
        subtitleColor=GREY,
        subtitlePadding=5,
        offset=14,
    )
    frame = alt.vconcat(spacing=16, title=title)
    frame = frame.configure(font=FONT, padding=14, background="white").configure_view(stroke=None)
    # Each part is checked by itself and joins as a dictionary: altair copies charts wherever it puts them together,
    # which took as long as all the rest.
    parts = [_part(_panels(diagram)), _part(key_chart(key))]
    document = {**frame.to_dict(), "vconcat": parts, "params": _switches(diagram)}
    # Data joins after the check: the schema says nothing about rows, and checking each would take seconds.
    document["datasets"] = {
        "panels": [dict(row) for row in diagram.rows],
        "hatch": [dict(row) for row in diagram.hatch],
        "key": [dict(row) for row in key],
    }
    return dict(document)


def _part(chart: alt.FacetChart | alt.LayerChart) -> dict[str, Any]:
    """A chart as a part of another."""
    return {name: value for name, value in chart.to_dict().items() if name not in ("$schema", "config")}


def _switches(diagram: Diagram) -> list[dict[str, Any]]:
    """A tick box for every overlay that the picture has: a page shows them, still pictures keep their values."""
    there = {row["layer"] for row in diagram.rows}
    switches: list[dict[str, Any]] = []
    for overlay in OVERLAYS:
        param = {"name": switch(overlay.name), "value": overlay.name in diagram.shown}
        if overlay.name in there:
            words = " ".join((f"{overlay.name} – {overlay.title}", *overlay.assumptions))
            param["bind"] = {"input": "checkbox", "name": words}
        switches.append(param)
    return switches


def _panels(diagram: Diagram) -> alt.FacetChart:
    layout = diagram.layout
    width, density = layout.width, layout.density
    full_rows = len(layout.panels) % layout.columns == 0
    layers = alt.layer(*_layers(diagram), data=alt.NamedData("panels")).properties(
        width=width.pixels, height=density.pixels, view=alt.ViewBackground(fill=EMPTY, stroke="#888")
    )
    header = alt.Header(labelAnchor="start", labelFontSize=11, labelFontWeight="bold", labelColor=INK, labelPadding=3)
    panels: alt.FacetChart = layers.facet(
        facet=alt.Facet("panel:N", sort=[str(panel) for panel in layout.panels], title=None, header=header),
        columns=layout.columns,
        spacing={"row": 14, "column": COLUMN_GAP},
    )
    shared: alt.FacetChart = panels.resolve_axis(x="shared" if full_rows else "independent")
    return shared


def _layers(diagram: Diagram) -> list[alt.Chart | alt.LayerChart]:
    x, y = width_channel(diagram.layout.width), density_channel(diagram.layout.density)
    cell = {"x": x("x"), "x2": "x2", "y": y("y"), "y2": "y2"}
    layers: list[alt.Chart | alt.LayerChart] = []
    if diagram.hatch:
        hatching = alt.Chart(alt.NamedData("hatch")).mark_rule(stroke=HATCH, strokeWidth=1, aria=False)
        missing = layer_marks("missing").mark_rect(fillOpacity=0, aria=False)
        shown = {field: TOOLTIP[field] for field in ("S", "n_m", "P")}
        layers += [hatching.encode(**cell), missing.encode(tooltip=tooltip(shown), **cell)]
    cells = layer_marks("cell")
    # An edge of the cell's own colour: without it, seams show between cells.
    shades = {"fill": shade(alt.Fill), "stroke": shade(alt.Stroke)}
    layers.append(cells.mark_rect(strokeWidth=0.6, aria=False).encode(tooltip=tooltip(TOOLTIP), **shades, **cell))
    layers.append(promise(**cell))
    layers += _boundaries(diagram, x, y)
    layers.append(rules("n_m", x=x("x")))
    layers.append(rules(*(name for name in RULES if name != "n_m"), x=x("x"), x2="x2", y=y("y")))
    marked = cells.transform_filter("datum.glyph && datum.phase")
    layers.append(glyphs(marked, diagram.layout.glyph, x=x("cx"), y=y("cy"), tooltip=tooltip(TOOLTIP)))
    layers.append(flags(0.6 * diagram.layout.glyph, x=x("fx"), y=y("fy")))
    return layers + _words(diagram, x, y)


def _boundaries(diagram: Diagram, x: Callable[[str], alt.X], y: Callable[[str], alt.Y]) -> list[alt.Chart]:
    """Bands below, then white edges, then lines; a boundary in hidden_dim runs along the vertical axis."""
    drawn = {(row["start"], row["sideways"]) for row in diagram.layer("curve")}
    kinds = [(s, w) for s in ("truth", "random") for w in (False, True) if (s, w) in drawn]
    of = {
        (start, sideways): layer_marks("curve").transform_filter(
            f"datum.start === '{start}' && datum.sideways === {json.dumps(sideways)}"
        )
        for start, sideways in kinds
    }
    along: dict[bool, dict[str, Any]] = {
        sideways: {"x": x("x"), "y": y("y"), "order": alt.Order("y:Q" if sideways else "x:Q")}
        for sideways in (False, True)
    }
    bands = {start: layer_marks("band").transform_filter(f"datum.start === '{start}'") for start, _ in kinds}
    return [
        *(band(mine, start, x=x("x"), y=y("y")) for start, mine in bands.items()),
        *(casing(of[s, w], detail="path:N", **along[w]) for s, w in kinds),
        *(curve(of[s, w], s, detail="path:N", **along[w]) for s, w in kinds),
    ]


def _words(diagram: Diagram, x: Callable[[str], alt.X], y: Callable[[str], alt.Y]) -> list[alt.Chart | alt.LayerChart]:
    """The panel's notes and the names of the theory's lines, which stand on cells only where they are switched on."""
    small: dict[str, Any] = {"fontSize": 9, "color": GREY}
    note, line = diagram.layer("note"), diagram.layer("n_m")
    above = LINE * bool(line)
    layers: list[alt.Chart | alt.LayerChart] = []
    if note:
        marks = layer_marks("note").mark_text(align="left", baseline="bottom", fontStyle="italic", aria=False, **small)
        layers.append(marks.encode(text="text:N", x=alt.value(0), y=alt.value(-3 - above)))
    if line:
        marks = overlay_marks("n_m").mark_text(baseline="bottom", aria=False, **small)
        layers.append(marks.encode(text="text:N", x=x("x"), y=alt.value(-3)))
    marks = overlay_marks("k", "2k").mark_text(align="left", baseline="middle", aria=False, **small)
    layers.append(marks.encode(text="text:N", x=alt.value(diagram.layout.width.pixels + 4), y=y("y")))
    layers.append(rule_values("gt_loss", "loss_gap", text="text:N", x=x("x"), y=y("y")))
    return layers
