import numpy as np
import pyarrow as pa
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from phase_diagrams.boundary_shapes import band_rows, curve_rows
from phase_diagrams.figure import Row
from phase_diagrams.layout import Layout, PlotAxis, lay_out
from phase_diagrams.panel import Panel
from phase_diagrams.spec import JobSpec
from phase_diagrams.tables import BOUNDARY
from tests.phase_diagrams.synthetic_trials import small_spec

Points = list[tuple[float, float, float, float, int]]
"""x, y, y_low, y_high, branch of a boundary that is read along one axis."""


def _table(x_axis: str, points: Points, start: str = "random") -> pa.Table:
    y_axis = "sparsity" if x_axis == "hidden_dim" else "hidden_dim"
    fixed = {"activation": "topk", "k": 2, "l1": None, "exponent": 0.0, "boundary": f"{start}-start"}
    names = ("x", "y", "y_low", "y_high", "branch")
    rows = [{**fixed, "x_axis": x_axis, "y_axis": y_axis, **dict(zip(names, p, strict=True))} for p in points]
    return pa.Table.from_pylist(rows, schema=BOUNDARY)


def _curves(spec: JobSpec, *tables: pa.Table) -> list[Row]:
    layout = lay_out(spec)
    return curve_rows(Panel(spec.grid.activations[0], 0.0), pa.concat_tables(tables), layout.width, layout.density)


def test_curves_are_drawn_in_densities_and_break_where_a_place_is_left_out() -> None:
    points = [(20.0, 0.9, 0.8, 0.95, 0), (30.0, 0.8, 0.5, 0.9, 0), (40.0, 0.6, 0.5, 0.7, 1), (60.0, 0.7, 0.6, 0.8, 0)]
    rows = _curves(small_spec(activation=["topk:2"]), _table("hidden_dim", points))
    first = rows[0]
    assert (first["x"], first["y"], first["low"], first["high"]) == (20, 0.1, 0.2, 0.05)
    assert [row["path"] for row in rows] == [f"random hidden_dim {piece}" for piece in ("0.0", "0.0", "0.1", "1.0")]
    assert not any(row["sideways"] for row in rows)


def test_a_boundary_with_one_place_crosses_the_whole_cell() -> None:
    tall = small_spec(activation=["topk:2"], hidden_dim=[80])
    rows = _curves(tall, _table("hidden_dim", [(80.0, 0.9, 0.8, 0.95, 0)]))
    assert [row["x"] for row in rows] == pytest.approx(lay_out(tall).width.domain, rel=1e-6)
    flat = small_spec(activation=["topk:2"], sparsity=[0.9])
    rows = _curves(flat, _table("sparsity", [(0.9, 50.0, 40.0, 70.0, 0)]))
    assert all(row["sideways"] for row in rows)
    assert [row["y"] for row in rows] == pytest.approx(lay_out(flat).density.domain, rel=1e-6)
    assert {(row["x"], row["low"], row["high"]) for row in rows} == {(50, 40, 70)}


SPEC = small_spec(activation=["topk:2"], hidden_dim=[20, 40, 80, 160], sparsity=[0.5, 0.8, 0.9, 0.95])
LAYOUT = lay_out(SPEC)


def _shapes(rows: list[Row], layout: Layout = LAYOUT) -> dict[str, shapely.Polygon]:
    """The shapes that a picture shows, in pixels."""
    rings: dict[str, list[list[tuple[float, float]]]] = {}
    for row in rows:
        mine = rings.setdefault(str(row["path"]), [[]])
        if row["x"] is None:
            mine.append([])
            continue
        x, y = (float(str(row[name])) for name in ("x", "y"))
        mine[-1].append((float(layout.width.place(x)), float(layout.density.place(y))))
    return {path: shapely.Polygon(rim, holes) for path, (rim, *holes) in rings.items()}


def _bands(*tables: pa.Table) -> list[Row]:
    return band_rows(_curves(SPEC, *tables), LAYOUT.width, LAYOUT.density)


UPWARD = _table("sparsity", [(s, 40.0, 30.0, 55.0, 0) for s in (0.5, 0.8, 0.9, 0.95)])
ACROSS = _table("hidden_dim", [(n, 0.8, 0.75, 0.85, 0) for n in (20.0, 40.0, 80.0, 160.0)])


def test_bands_that_overlap_are_one_shape_which_covers_what_they_cover_once() -> None:
    both, upward, across = (_shapes(_bands(*tables)) for tables in ((UPWARD, ACROSS), (UPWARD,), (ACROSS,)))
    assert list(both) == ["random band 0"]
    (one,), (first,), (second,) = (list(shapes.values()) for shapes in (both, upward, across))
    assert one.area == pytest.approx(first.area + second.area - first.intersection(second).area)
    assert one.symmetric_difference(first.union(second)).area == pytest.approx(0, abs=1e-3)
    low, high = LAYOUT.width.place([30, 55])
    bottom, top = LAYOUT.density.place([0.5, 0.05])
    assert first.area == pytest.approx((high - low) * abs(top - bottom), rel=1e-6)


def test_bands_apart_are_shapes_apart_and_each_start_has_its_own() -> None:
    split = [(n, 0.8, 0.75, 0.85, 0 if n < 50 else 1) for n in (20.0, 40.0, 80.0, 160.0)]
    rows = _bands(_table("hidden_dim", split), _table("hidden_dim", split, "truth"))
    assert list(_shapes(rows)) == [f"{start} band {number}" for start in ("random", "truth") for number in (0, 1)]
    assert {row["start"] for row in rows if "truth" in str(row["path"])} == {"truth"}


def test_a_hole_stands_after_a_gap_and_runs_the_other_way_round() -> None:
    sides = _table("sparsity", [(s, n, n - 5, n + 5, b) for b, n in ((0, 40.0), (1, 80.0)) for s in (0.8, 0.95)])
    lids = _table(
        "hidden_dim", [(n, s, s - 0.01, s + 0.01, b) for b, s in ((0, 0.82), (1, 0.94)) for n in (36.0, 84.0)]
    )
    rows = _bands(sides, lids)
    (shape,) = _shapes(rows).values()
    assert len(shape.interiors) == sum(row["x"] is None for row in rows) == 1
    assert shape.exterior.is_ccw != shape.interiors[0].is_ccw
    inside = shapely.Point(float(LAYOUT.width.place(57)), float(LAYOUT.density.place(1 - 0.9)))
    assert not shape.contains(inside)
    assert shapely.Polygon(shape.exterior).contains(inside)


def test_a_single_place_is_a_bar_from_limit_to_limit() -> None:
    (shape,) = _shapes(_bands(_table("hidden_dim", [(20.0, 0.8, 0.7, 0.9, 0)]))).values()
    left, bottom, right, top = shape.bounds
    assert (left + right) / 2 == pytest.approx(float(LAYOUT.width.place(20)), abs=1e-3)
    assert right - left == pytest.approx(2, abs=1e-3)
    assert sorted((bottom, top)) == pytest.approx(sorted(LAYOUT.density.place([0.1, 0.3])), abs=1e-3)


def test_a_band_of_no_width_is_no_shape() -> None:
    assert _bands(_table("hidden_dim", [(n, 0.8, 0.8, 0.8, 0) for n in (20.0, 40.0)])) == []
    # A waist of no width: two shapes that touch, or one, but all of the area.
    waist = [(20.0, 0.8, 0.7, 0.9, 0), (40.0, 0.8, 0.8, 0.8, 0), (80.0, 0.8, 0.7, 0.9, 0)]
    assert sum(shape.area for shape in _shapes(_bands(_table("hidden_dim", waist))).values()) > 100


@given(
    st.lists(st.tuples(st.floats(0.5, 0.95), st.floats(0, 0.2), st.floats(0, 0.2)), min_size=2, max_size=4),
    st.lists(st.tuples(st.floats(20, 160), st.floats(0, 40), st.floats(0, 40)), min_size=2, max_size=4),
)
def test_a_place_is_in_the_shapes_where_it_is_in_the_band_of_some_piece(
    across: list[tuple[float, float, float]], upward: list[tuple[float, float, float]]
) -> None:
    widths, sparsities = (20.0, 40.0, 80.0, 160.0), (0.5, 0.8, 0.9, 0.95)
    flat = [(n, s, max(0.5, s - a), min(0.95, s + b), 0) for n, (s, a, b) in zip(widths, across, strict=False)]
    steep = [(s, n, max(20.0, n - a), min(160.0, n + b), 0) for s, (n, a, b) in zip(sparsities, upward, strict=False)]
    tables = _table("hidden_dim", flat), _table("sparsity", steep)
    shapes = shapely.union_all(list(_shapes(_bands(*tables)).values()))
    rng = np.random.default_rng(0)
    for x, y in zip(rng.uniform(0, LAYOUT.width.pixels, 40), rng.uniform(0, LAYOUT.density.pixels, 40), strict=True):
        inside = _within(flat, LAYOUT.width, LAYOUT.density, x, y, True) or _within(
            steep, LAYOUT.density, LAYOUT.width, y, x, False
        )
        if shapely.Point(x, y).distance(shapes.boundary) > 0.1:
            assert shapes.contains(shapely.Point(x, y)) == inside


def _within(points: Points, along: PlotAxis, across: PlotAxis, at: float, height: float, flat: bool) -> bool:
    """Whether a place in pixels is in the band of one piece, by interpolation between its points."""
    places = along.place([p[0] if flat else 1 - p[0] for p in points])
    limits = [across.place([1 - p[i] if flat else p[i] for p in points]) for i in (2, 3)]
    if not places.min() <= at <= places.max():
        return False
    order = np.argsort(places)
    first, second = (float(np.interp(at, places[order], limit[order])) for limit in limits)
    return min(first, second) <= height <= max(first, second)
