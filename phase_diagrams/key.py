"""A diagram to its key: what colours, glyphs and lines mean, and the caption, laid out in pixels under the panels."""

import textwrap
from collections.abc import Callable
from typing import Any

import altair as alt

from phase_diagrams.figure import PHASES, Diagram, Row
from phase_diagrams.layout import COLUMN_GAP
from phase_diagrams.marks import (
    EMPTY,
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
    promise,
    rules,
    shade,
)
from phase_diagrams.overlay import OVERLAYS

BLOCK = 290
"""Width in pixels of a block of the key; fits its longest line of words."""
LINE = 18
"""Height in pixels of a line of the key."""
BAR = 220
"""Length in pixels of the colour bar, which has as many steps."""
SWATCH = 34
"""Width in pixels of a drawn example; words start behind it."""
GLYPH = 11.0
"""Side in pixels of a glyph of the key."""
CAPTION_LINE = 14
LETTER = 4.75
"""Mean width in pixels of a letter of the caption, rounded up; measured on Liberation Sans at 10 pixels."""

PHASE_WORDS = {
    "recovered": "recovered: random starts find the features",
    "optimiser_limited": "optimiser-limited: optimal, but not found",
    "objective_limited": "objective-limited: the loss prefers others",
    "not_recovered": "not recovered: random starts miss them",
}


def key_rows(diagram: Diagram) -> list[Row]:
    """The marks of the key, in pixels from its upper left corner; the last row is the lower right corner."""
    layout = diagram.layout
    width = max(2 * BLOCK, layout.columns * (layout.width.pixels + COLUMN_GAP) - COLUMN_GAP)
    # A key a little wider than the panels is better than a block on a line of its own.
    width = max(width, 3 * BLOCK) if width > 2.5 * BLOCK else width
    made = (make(diagram) for make in (_scale_block, _phase_block, _line_block, _theory_block))
    blocks = [block for block in made if block]
    # Each block goes under the shortest column so far.
    ends = [0] * min(len(blocks), width // BLOCK)
    rows: list[Row] = []
    for block in blocks:
        column = ends.index(min(ends))
        for line, marks in enumerate(block):
            rows += [_moved(mark, column * BLOCK, ends[column] + line * LINE + LINE // 2) for mark in marks]
        ends[column] += LINE * len(block) + 8
    top = max(ends)
    for text in textwrap.wrap(diagram.caption, int(width / LETTER)):
        rows.append({"layer": "caption", "x": 0, "y": top + CAPTION_LINE // 2, "text": text})
        top += CAPTION_LINE
    return [*rows, {"layer": "corner", "x": width, "y": top}]


def key_chart(rows: list[Row]) -> alt.LayerChart:
    """Draw the rows of the key with the marks that the panels use."""
    corner = rows[-1]
    width, height = int(str(corner["x"])), int(str(corner["y"]))
    x, y = _pixels(alt.X, width, reverse=False), _pixels(alt.Y, height, reverse=True)
    place: dict[str, Any] = {"x": x("x"), "y": y("y")}
    box: dict[str, Any] = {**place, "x2": "x2", "y2": "y2"}
    span: dict[str, Any] = {**place, "x2": "x2"}
    layers: list[alt.Chart | alt.LayerChart] = [
        layer_marks("bar").mark_rect(aria=False).encode(fill=shade(alt.Fill), **box),
        layer_marks("empty").mark_rect(fill=EMPTY, stroke=GREY, strokeWidth=0.5, aria=False).encode(**box),
        layer_marks("hatch").mark_rule(stroke=HATCH, aria=False).encode(**box),
        layer_marks("ground").mark_rect(color="#7c7b78", aria=False).encode(**box),
    ]
    for start in ("random", "truth"):
        data = layer_marks(start)
        layers.append(band(layer_marks(f"{start} band"), start, **place))
        layers += [casing(data, **place), curve(data, start, **place)]
    layers += [rules(*RULES, **span), promise(**box), flags(8.0, **place)]
    layers += [
        glyphs(layer_marks("glyph"), GLYPH, **place),
        _words("tick", place, align="center", fontSize=10),
        _words("heading", place, fontSize=11, fontWeight="bold"),
        _words("words", place, fontSize=11),
        _words("caption", place, fontSize=10, color="#444"),
    ]
    return alt.LayerChart(layer=layers, data=alt.NamedData("key"), width=width, height=height)


def _words(layer: str, place: dict[str, Any], **style: Any) -> alt.Chart:
    look: dict[str, Any] = {"align": "left", "baseline": "middle", "color": INK, "aria": False, **style}
    chart: alt.Chart = layer_marks(layer).mark_text(**look).encode(text="text:N", **place)
    return chart


def _pixels(channel: type[alt.X] | type[alt.Y], length: int, reverse: bool) -> Callable[[str], Any]:
    scale = alt.Scale(domain=[0, length], nice=False, zero=False, reverse=reverse)
    return lambda field: channel(f"{field}:Q", scale=scale, axis=None)


def _moved(mark: Row, right: int, down: int) -> Row:
    by = {"x": right, "x2": right, "y": down, "y2": down}
    return {
        name: value + by[name] if name in by and isinstance(value, (int, float)) else value
        for name, value in mark.items()
    }


def _said(text: str, layer: str = "words", x: float = SWATCH + 8) -> Row:
    return {"layer": layer, "x": x, "y": 0, "text": text}


Block = list[list[Row]]
"""Lines of marks; a line's marks are placed from its left end and its middle."""


def _scale_block(diagram: Diagram) -> Block:
    """The colour bar, and what a cell without a colour is."""
    # Each step reaches to the end of the bar, so that no seam shows between steps.
    bar: list[Row] = [{"layer": "bar", "x": i, "x2": BAR, "y": -7, "y2": 7, "p": (i + 0.5) / BAR} for i in range(BAR)]
    ticks = [_said(f"{p:g}", "tick", p * BAR) for p in (0, 0.25, 0.5, 0.75, 1)]
    block: Block = [[_said("P(identified), share of random starts", "heading", 0)], bar, ticks]
    if diagram.hatch:
        rules: list[Row] = [
            {
                "layer": "hatch",
                "x": max(0, u - 14),
                "x2": min(SWATCH, u),
                "y": 7 - max(0, 14 - u),
                "y2": 7 - min(14, 14 + SWATCH - u),
            }
            for u in range(7, SWATCH + 14, 7)
        ]
        empty: Row = {"layer": "empty", "x": 0, "x2": SWATCH, "y": -7, "y2": 7}
        block.append([empty, *rules, _said("no finished trial, or all diverged")])
    return block


def _phase_block(diagram: Diagram) -> Block:
    """The glyphs of the phases that the spec can tell apart, and what hollow means."""
    shown = [p for p in PHASES if (p in ("recovered", "not_recovered")) != diagram.two_starts or p == "recovered"]

    def glyph(phase: str, certain: bool, x: float) -> Row:
        return {"layer": "glyph", "x": x, "y": 0, "phase": phase, "certain": certain}

    block: Block = [[_said("Phase", "heading", 0)]]
    block += [[glyph(phase, True, SWATCH / 2), _said(PHASE_WORDS[phase])] for phase in shown]
    hollow = [glyph(phase, False, SWATCH / 2 + 13 * (i - (len(shown) - 1) / 2)) for i, phase in enumerate(shown)]
    block.append([*hollow, _said("hollow: seeds leave the phase open")])
    if any(cell["phase"] is None for cell in diagram.layer("cell")):
        block.append([_said("no glyph: no seed has finished both starts yet")])
    return block


def _line_block(diagram: Diagram) -> Block:
    """The boundaries that the panels show."""
    curves = {row["start"] for row in diagram.layer("curve")}
    block: Block = []
    for start, words in (("random", "random start: identified"), ("truth", "truth start: identifiable (● or ▲)")):
        if start in curves:
            ends: list[Row] = [{"layer": start, "x": x, "y": 0} for x in (0, SWATCH)]
            corners = ((0, -6), (SWATCH, -6), (SWATCH, 6), (0, 6))
            band: list[Row] = [
                {"layer": f"{start} band", "path": start, "turn": turn, "x": x, "y": y}
                for turn, (x, y) in enumerate(corners)
            ]
            ground: Row = {"layer": "ground", "x": 0, "x2": SWATCH, "y": -8, "y2": 8}
            block.append([ground, *band, *ends, _said(words)])
    if block:
        block.insert(0, [_said("Boundary P = 1/2, with its 95 % band", "heading", 0)])
    return block


def _theory_block(diagram: Diagram) -> Block:
    """The overlays that are shown to begin with and that the panels have, each with its assumptions."""
    block: Block = []
    for overlay in OVERLAYS:
        if overlay.name in diagram.shown and diagram.layer(overlay.name):
            block.append([*_example(overlay.name), _said(overlay.title)])
            block += [[_said(line)] for line in overlay.assumptions]
    return [[_said("Theory", "heading", 0)], *block] if block else []


def _example(name: str) -> list[Row]:
    """The mark of an overlay in the key."""
    if name in RULES:
        return [{"layer": name, "x": 0, "x2": SWATCH, "y": 0}]
    if name == "theorems":
        return [{"layer": name, "x": 0, "x2": SWATCH, "y": -7, "y2": 7}]
    sides = enumerate(("theory_only", "measurement_only"))
    return [{"layer": name, "x": SWATCH / 2 + 16 * i - 8, "y": 0, "disagreement": side} for i, side in sides]
