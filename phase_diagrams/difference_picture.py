"""What differs between two diagrams to a Vega-Lite source: difference maps with significance and both boundaries."""

import textwrap
from collections.abc import Iterator
from typing import Any

import altair as alt
import pyarrow as pa

from phase_diagrams.caption import software_version
from phase_diagrams.channels import density_channel, tooltip, width_channel
from phase_diagrams.difference import LEVEL, Difference
from phase_diagrams.layout import COLUMN_GAP, Layout, density_of, lay_out
from phase_diagrams.marks import EMPTY, FONT, GREY, INK, PAPER
from phase_diagrams.panel import Panel, panel_rows

STARTS = {"identified": "random-start", "identifiable": "truth-start"}
"""The boundary that belongs to each statistic."""
LETTER = 5.9
"""Width in pixels of a letter of the subtitle, as in layers.py."""
GLYPH = 60
"""Area of a mark of significance in square pixels."""
KEY_WIDTH = 110
"""Pixels beside the panels that the key of colours takes."""


def difference_source(found: Difference) -> dict[str, Any]:
    """The picture as a Vega-Lite document that json.dumps writes; one facet per panel and statistic."""
    layout = lay_out(found.plane)
    rows = list(_rows(found, layout))
    facets = list(dict.fromkeys(row["facet"] for row in rows))
    columns = min(max(1, len(facets)), layout.columns)
    width = columns * (layout.width.pixels + COLUMN_GAP) + KEY_WIDTH
    title = alt.TitleParams(
        text=textwrap.wrap(f"{found.other} less {found.one}", int(width / 10.5)),
        subtitle=textwrap.wrap(words(found), int(width / LETTER)),
        anchor="start",
        fontSize=16,
        subtitleFontSize=12,
        subtitleColor=GREY,
        subtitlePadding=5,
        offset=14,
    )
    panels = alt.layer(*_layers(layout), data=alt.NamedData("rows")).properties(
        width=layout.width.pixels,
        height=layout.density.pixels,
        view=alt.ViewBackground(fill=EMPTY, stroke="#888"),
    )
    header = alt.Header(labelAnchor="start", labelFontSize=11, labelFontWeight="bold", labelColor=INK, labelPadding=3)
    chart = panels.facet(
        facet=alt.Facet("facet:N", sort=facets, title=None, header=header),
        columns=columns,
        spacing={"row": 14, "column": COLUMN_GAP},
    ).resolve_axis(x="independent" if len(facets) % columns else "shared")
    chart = chart.properties(title=title).configure(font=FONT, padding=14, background="white")
    document = chart.configure_view(stroke=None).to_dict()
    return {**document, "datasets": {"rows": rows}}


def words(found: Difference) -> str:
    """What the picture shows, in sentences."""
    counts = {s: [p.cells for p in found.panels if p.statistic == s] for s in STARTS}
    tested = " and ".join(f"{sum(cells):,} cells of P({s})" for s, cells in counts.items() if cells)
    changes = "; ".join(f"{key}: {one} → {other}" for key, one, other in found.spec_changes) or "nothing but the name"
    return (
        f"Colour: difference of probabilities. Dots: significant at a false discovery rate of {100 * LEVEL:g} % over "
        f"{tested}; rings: p ≤ 0.05 alone. Boundaries P = 1/2: solid {found.one}, dashed {found.other}. "
        f"The specs differ in {changes}. saephase {software_version()}."
    ).replace(" %", "\u00a0%")


def _rows(found: Difference, layout: Layout) -> Iterator[dict[str, Any]]:
    for statistic, boundary in STARTS.items():
        for panel in layout.panels:
            cells = [row for row in panel_rows(found.cells, panel).to_pylist() if row["statistic"] == statistic]
            if not cells:
                continue
            facet = {"facet": f"{panel}: {statistic}"}
            yield from ({**facet, **_cell(row, layout)} for row in cells)
            for side, table in zip(("one", "other"), found.boundaries, strict=True):
                yield from ({**facet, "side": side, **row} for row in _curve(table, panel, boundary))


def _cell(row: dict[str, Any], layout: Layout) -> dict[str, Any]:
    width, density = layout.width, layout.density
    i = width.values.index(float(row["hidden_dim"]))
    j = density.values.index(density_of(row["sparsity"]))
    interval = f"{row['difference']:+.2f} [{row['low']:+.2f}, {row['high']:+.2f}]"
    return {
        "layer": "cell",
        "x": width.edges[i],
        "x2": width.edges[i + 1],
        "y": density.edges[j],
        "y2": density.edges[j + 1],
        "cx": row["hidden_dim"],
        "cy": density.values[j],
        "d": row["difference"],
        "mark": "found" if row["significant"] else "alone" if row["p_value"] <= LEVEL else None,
        "S": row["sparsity"],
        "n_m": row["hidden_dim"],
        "shares": f"{row['p_one']:.2f} of {row['n_one']} → {row['p_other']:.2f} of {row['n_other']}",
        "difference": interval,
        "p": f"{row['p_value']:.3g} ({'paired' if row['paired'] else 'unpaired'}), q {row['q_value']:.3g}",
    }


def _curve(table: pa.Table, panel: Panel, boundary: str) -> Iterator[dict[str, Any]]:
    """The boundary's places in the picture's coordinates; `path` tells pieces apart."""
    for row in panel_rows(table, panel).to_pylist():
        if row["boundary"] == boundary:
            across = row["x_axis"] == "hidden_dim"
            width, sparsity = (row["x"], row["y"]) if across else (row["y"], row["x"])
            path = f"{row['x_axis']} {row['branch']}"
            yield {"layer": "curve", "path": path, "order": row["x"], "cx": width, "cy": 1 - sparsity}


TOOLTIP = {
    "S": "sparsity S",
    "n_m": "hidden dimension n_m",
    "shares": "share of seeds",
    "difference": "difference [95 %]",
    "p": "p value",
}


def _layers(layout: Layout) -> list[alt.Chart]:
    x, y = width_channel(layout.width), density_channel(layout.density)
    legend = alt.Legend(title=["difference", "of P"], gradientLength=160)
    color = alt.Scale(scheme="blueorange", domain=[-1, 1])
    shown = tooltip(TOOLTIP)
    cells = alt.Chart().transform_filter("datum.layer === 'cell'")
    fill = alt.Fill("d:Q", scale=color, legend=legend)
    place: dict[str, Any] = {"x": x("x"), "x2": "x2", "y": y("y"), "y2": "y2"}
    if layout.stride == 1:
        # The scale's middle is as light as the ground: an edge tells a cell without a difference from one not compared.
        rect = cells.mark_rect(stroke=GREY, strokeOpacity=0.45, strokeWidth=0.7, aria=False)
    else:
        # On tiny cells edges would be most of the colour; without any of the cell's own, seams show between them.
        own = alt.Stroke("d:Q", scale=color, legend=None)
        rect = cells.mark_rect(strokeWidth=0.6, aria=False).encode(stroke=own)
    layers = [rect.encode(tooltip=shown, fill=fill, **place)]
    for side, dash in (("one", [1, 0]), ("other", [6, 4])):
        lines = alt.Chart().transform_filter(f"datum.layer === 'curve' && datum.side === '{side}'")
        place = {"x": x("cx"), "y": y("cy"), "detail": "path:N", "order": alt.Order("order:Q")}
        edge = lines.mark_line(stroke=PAPER, strokeWidth=4.2, opacity=0.85, clip=True, aria=False)
        layers.append(edge.encode(**place))
        line = lines.mark_line(stroke=INK, strokeWidth=1.8, strokeDash=dash, clip=True, aria=False)
        layers.append(line.encode(**place))
    marked = cells.transform_filter("isValid(datum.mark)").mark_point(
        size=GLYPH, stroke=INK, strokeWidth=1.4, opacity=1, aria=False
    )
    inside = alt.condition("datum.mark === 'found'", alt.value(INK), alt.value(PAPER))
    # `fill` is taken by the cells' colours, so that the marks' own is a plain value on a scale of its own.
    layers.append(marked.encode(x=x("cx"), y=y("cy"), fill=inside, tooltip=shown))
    return layers
