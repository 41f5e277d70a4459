"""A picture's numbers to its five files: Vega-Lite source, HTML that works offline, PNG, SVG and PDF."""

import html
import json
import re
from typing import Any

from phase_diagrams.figure import Diagram
from phase_diagrams.pdf import canonical_pdf
from phase_diagrams.reweighting_figure import ReweightingPicture

PNG_SCALE = 2.0
"""Pixels of the PNG per pixel of the source: sharp on dense screens, 144 dots per inch on paper."""
SVG_MARKS = 4000
"""Most marks that the page draws as SVG, which stays sharp; heuristic: above, browsers are slow and canvas is used."""

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; \
style-src 'unsafe-inline'; img-src data: blob:">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
</head>
<body>
<div id="picture"></div>
<script type="application/json" id="source">{source}</script>
<script>{library}</script>
<script>
vegaEmbed("#picture", JSON.parse(document.getElementById("source").textContent), {options});
</script>
</body>
</html>
"""
"""The policy lets nothing in from outside: the page is whole."""


def draw(diagram: Diagram) -> dict[str, bytes]:
    """The picture's files by name; the same diagram always gives the same bytes."""
    # altair and vl-convert take most of a second to import, and only drawing needs them.
    from phase_diagrams.layers import vega_lite

    return draw_document(vega_lite(diagram), "phase_diagram", diagram.title)


def draw_reweighting(picture: ReweightingPicture) -> dict[str, bytes]:
    """The files of the picture of an exponent search."""
    from phase_diagrams.reweighting_layers import vega_lite

    return draw_document(vega_lite(picture), "reweighting", picture.title)


def draw_document(document: dict[str, Any], stem: str, title: str) -> dict[str, bytes]:
    """A Vega-Lite document to its files: stem.vl.json, .html, .png, .svg and .pdf."""
    import vl_convert

    source = _source(document)
    release = _release(document)
    library = vl_convert.javascript_bundle(None, vl_version=release)  # type: ignore[arg-type]  # None: the whole of it
    # Drawn once, so that all files show the same picture.
    svg = _stable_names(vl_convert.vegalite_to_svg(source, vl_version=release))
    marks = sum(map(len, document.get("datasets", {}).values()))
    return {
        f"{stem}.vl.json": source.encode(),
        f"{stem}.html": _page(title, stem, marks, source, library).encode(),
        f"{stem}.png": vl_convert.svg_to_png(svg, scale=PNG_SCALE),
        f"{stem}.svg": svg.encode(),
        f"{stem}.pdf": canonical_pdf(vl_convert.svg_to_pdf(svg)),
    }


def draw_source(diagram: Diagram) -> dict[str, bytes]:
    """The first of the picture's files alone, by its name: the Vega-Lite source."""
    from phase_diagrams.layers import vega_lite

    return {"phase_diagram.vl.json": _source(vega_lite(diagram)).encode()}


def _source(document: dict[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _release(document: dict[str, Any]) -> str:
    """The Vega-Lite release that the document is written for, as vl-convert names it: "6.4"."""
    found = re.search(r"/v(\d+\.\d+)[.\d]*\.json$", document["$schema"])
    assert found, document["$schema"]
    return found[1]


def _stable_names(svg: str) -> str:
    """Number an SVG's ids as they come: Vega counts them on from one picture of a process to the next."""
    names = {name: f"id{place}" for place, name in enumerate(dict.fromkeys(re.findall(r'\bid="([^"]+)"', svg)))}
    svg = re.sub(r'\bid="([^"]+)"', lambda found: f'id="{names[found[1]]}"', svg)
    return re.sub(r"url\(#([^)]+)\)", lambda found: f"url(#{names.get(found[1], found[1])})", svg)


def _page(title: str, stem: str, marks: int, source: str, library: str) -> str:
    options = {
        "renderer": "svg" if marks <= SVG_MARKS else "canvas",
        "actions": {"export": True, "source": True, "compiled": False, "editor": False},
        "downloadFileName": stem,
    }
    # A label may hold "</script>": inside JSON, "<" is as well written as an escape.
    return _PAGE.format(
        title=html.escape(title),
        source=source.replace("<", "\\u003c"),
        library=library,
        options=json.dumps(options),
    )
