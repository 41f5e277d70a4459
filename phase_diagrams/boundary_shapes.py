"""A panel's boundaries to the lines and bands of its picture, as numbers.

A boundary is read along both axes, and its bands overlap where it turns. Half-transparent shapes would be darker there,
with edges across each other, so the bands of a boundary are drawn as one shape.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

import numpy as np
import pyarrow as pa
import shapely

from phase_diagrams.layout import PlotAxis, short
from phase_diagrams.overlay import Row
from phase_diagrams.panel import Panel

LEAST_AREA = 0.01
"""Square pixels of a shape or a hole that is drawn; smaller ones are rounding where edges meet."""


def boundary_rows(panel: Panel, boundary: pa.Table, width: PlotAxis, density: PlotAxis) -> list[Row]:
    """The marks of a panel's boundaries (rows of schema BOUNDARY): bands, then the lines upon them."""
    curves = curve_rows(panel, boundary, width, density)
    lines = [{name: value for name, value in row.items() if name not in ("low", "high")} for row in curves]
    return band_rows(curves, width, density) + lines


def curve_rows(panel: Panel, boundary: pa.Table, width: PlotAxis, density: PlotAxis) -> list[Row]:
    """Points of the panel's boundaries in the order they are joined; `path` tells pieces that are not joined apart."""
    rows: list[Row] = []
    for axis in ("hidden_dim", "sparsity"):
        records = [record for record in boundary.to_pylist() if record["x_axis"] == axis]
        places = sorted({record["x"] for record in records})
        for start in ("random", "truth"):
            mine = [record for record in records if record["boundary"] == f"{start}-start"]
            for branch in sorted({record["branch"] for record in mine}):
                points = sorted((r for r in mine if r["branch"] == branch), key=lambda r: float(r["x"]))
                at = np.array([places.index(record["x"]) for record in points])
                pieces = np.cumsum(np.diff(at, prepend=at[0] - 1) != 1)
                drawn = [
                    {
                        "panel": str(panel),
                        "layer": "curve",
                        "start": start,
                        "sideways": axis == "sparsity",
                        "path": f"{start} {axis} {branch}.{piece}",
                        **_point(record),
                    }
                    for record, piece in zip(points, pieces, strict=True)
                ]
                rows += _widen(drawn, width, density)
    return rows


def _point(record: dict[str, object]) -> Row:
    """A boundary point in the picture's coordinates: `low` and `high` run along the axis that the curve is read on."""
    if record["x_axis"] == "hidden_dim":
        y, low, high = (short(1 - float(str(record[name]))) for name in ("y", "y_low", "y_high"))
        return {"x": short(record["x"]), "y": y, "low": low, "high": high}
    x, low, high = (short(record[name]) for name in ("y", "y_low", "y_high"))
    return {"x": x, "y": short(1 - float(str(record["x"]))), "low": low, "high": high}


def _widen(points: list[Row], width: PlotAxis, density: PlotAxis) -> list[Row]:
    """A curve that has a single place is drawn across the whole cell."""
    if len(points) != 1:
        return points
    (point,) = points
    if len(width.values) == 1:
        return [{**point, "x": short(edge)} for edge in width.domain]
    if len(density.values) == 1:
        return [{**point, "y": short(edge)} for edge in density.domain]
    return points


def band_rows(curves: Sequence[Row], width: PlotAxis, density: PlotAxis) -> list[Row]:
    """The bands of a panel's boundaries (rows of curve_rows): points in the order they are joined, `turn`.

    Points of one `path` are one closed shape. A row without a place stands between its rim and each hole in it, which
    runs the other way round, so that the usual rules of filling leave it out.
    """
    rows: list[Row] = []
    for start in ("random", "truth"):
        mine = [row for row in curves if row["start"] == start]
        pieces = [list(piece) for _, piece in groupby(mine, key=lambda row: row["path"])]
        strips = [_strip(piece, width, density) for piece in pieces]
        for number, shape in enumerate(_shapes(strips)):
            of = {"panel": mine[0]["panel"], "layer": "band", "start": start, "path": f"{start} band {number}"}
            places = _outline(shape, width, density)
            rows += [{**of, "turn": turn, "x": x, "y": y} for turn, (x, y) in enumerate(places)]
    return rows


def _strip(piece: list[Row], width: PlotAxis, density: PlotAxis) -> shapely.Polygon:
    """The band along one piece of a curve, in pixels; a bar where that is a single place, which no line can show."""
    sideways = bool(piece[0]["sideways"])
    along, across = (density, width) if sideways else (width, density)
    at = along.place([float(str(row["y" if sideways else "x"])) for row in piece])
    low, high = (across.place([float(str(row[name])) for row in piece]) for name in ("low", "high"))
    if len(piece) == 1:
        at, low, high = at[0] + np.array([-1.0, 1.0]), low.repeat(2), high.repeat(2)
    rim = np.column_stack([np.concatenate([at, at[::-1]]), np.concatenate([low, high[::-1]])])
    return shapely.Polygon(rim[:, ::-1] if sideways else rim)


def _shapes(strips: list[shapely.Polygon]) -> Iterator[shapely.Polygon]:
    """The union of strips, as polygons without slivers."""
    # A strip may be of no width at some places, which makes it invalid for a union.
    union = shapely.union_all([shapely.make_valid(strip) for strip in strips])
    for part in shapely.get_parts(union):
        if part.area >= LEAST_AREA:
            holes = [hole for hole in part.interiors if shapely.Polygon(hole).area >= LEAST_AREA]
            yield shapely.Polygon(part.exterior, holes)


def _outline(shape: shapely.Polygon, width: PlotAxis, density: PlotAxis) -> Iterable[tuple[float | None, float | None]]:
    """Points of the rim, then of each hole after a gap, in the picture's coordinates."""
    turned = shapely.orient_polygons(shape)
    for number, ring in enumerate((turned.exterior, *turned.interiors)):
        if number:
            yield None, None
        x, y = shapely.get_coordinates(ring)[:-1].T
        yield from zip(map(short, width.value(x)), map(short, density.value(y)), strict=True)
