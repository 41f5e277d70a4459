from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phase_diagrams.layout import (
    GLYPH_SPACING,
    MAX_COLUMNS,
    arrange_panels,
    cell_edges,
    density_of,
    hatch_rules,
    lay_out,
    sparsity_label,
    thin_ticks,
)
from phase_diagrams.panel import grid_panels
from tests.phase_diagrams.synthetic_trials import small_spec

ASCENDING = st.lists(st.floats(1e-4, 1e4), min_size=1, max_size=30, unique_by=lambda v: round(np.log(v), 3)).map(sorted)


@given(ASCENDING, st.floats(0.1, 10))
def test_edges_are_geometric_midpoints_whatever_the_unit(values: list[float], unit: float) -> None:
    edges = np.array(cell_edges(values))
    assert len(edges) == len(values) + 1
    assert np.all((edges[:-1] < values) & (values < edges[1:]))
    np.testing.assert_allclose(edges[1:-1] ** 2, np.multiply(values[1:], values[:-1]))
    np.testing.assert_allclose(cell_edges([unit * v for v in values]), unit * edges)
    if len(values) > 1:
        # The outer cells are as wide outwards as inwards.
        assert edges[0] * edges[1] == pytest.approx(values[0] ** 2)
        assert edges[-1] * edges[-2] == pytest.approx(values[-1] ** 2)


@given(st.lists(st.tuples(st.floats(0, 500), st.floats(1, 60)), min_size=1, max_size=40))
def test_kept_labels_never_overlap_and_the_last_one_stays(labels: list[tuple[float, float]]) -> None:
    places, spans = zip(*sorted(labels), strict=True)
    kept = thin_ticks(places, spans)
    assert kept[-1] == len(places) - 1
    assert kept == sorted(set(kept))
    for left, right in pairwise(kept):
        assert places[right] - places[left] >= (spans[left] + spans[right]) / 2


def test_labels_with_room_all_stay() -> None:
    assert thin_ticks([0, 10, 20, 30], [10] * 4) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("sparsity", "text"),
    [
        (0.0, "0"),
        (0.5, "0.5"),
        (0.9, "0.9"),
        (0.95, "0.95"),
        (0.9825, "0.9825"),
        (0.995, "0.995"),
        (0.99999, "0.99999"),
    ],
)
def test_a_sparsity_is_written_as_a_person_would(sparsity: float, text: str) -> None:
    assert sparsity_label(density_of(sparsity)) == text


@given(st.floats(1e-9, 1))
def test_a_sparsity_label_is_true_to_two_percent_of_the_density(density: float) -> None:
    assert abs(1 - float(sparsity_label(density)) - density) <= 0.021 * density


@pytest.mark.parametrize(
    ("activations", "exponents", "columns"),
    [
        (1, 1, 1),
        (2, 1, 2),
        (4, 1, 4),
        (5, 1, 5),
        (5, 2, 5),
        (2, 5, 5),
        (8, 1, 4),
        (10, 10, 10),
        (20, 5, 10),
    ],
)
def test_panels_are_each_placed_once_in_rows_that_fit(activations: int, exponents: int, columns: int) -> None:
    spec = small_spec(
        activation=[f"topk:{k}" for k in range(1, activations + 1)], exponent=[0.1 * i for i in range(exponents)]
    )
    panels, across = arrange_panels(spec)
    assert sorted(map(str, panels)) == sorted(map(str, grid_panels(spec)))
    assert across == columns <= MAX_COLUMNS


@pytest.mark.parametrize("n_widths", [1, 2, 8, 40, 100])
@pytest.mark.parametrize("n_sparsities", [1, 8, 60])
def test_axes_hold_the_grid_and_glyphs_keep_apart(n_widths: int, n_sparsities: int) -> None:
    spec = small_spec(
        hidden_dim=[10 + 4 * i for i in range(n_widths)],
        sparsity={"start": 0.5, "stop": 0.995, "num": n_sparsities, "spacing": "log_density"},
        activation=["topk:1"],
    )
    layout = lay_out(spec)
    for axis, values in ((layout.width, spec.grid.hidden_dim), (layout.density, spec.grid.sparsity)):
        assert len(axis.values) == len(values)
        assert axis.edges[0] < axis.values[0] <= axis.values[-1] < axis.edges[-1]
        assert len(axis.ticks) == len(axis.labels) == len(set(axis.labels))
        assert set(axis.ticks) <= set(axis.values)
        np.testing.assert_allclose(axis.value(axis.place(axis.values)), axis.values)
        np.testing.assert_allclose(axis.place(axis.domain), [0, axis.pixels], atol=1e-9)
        assert layout.stride * axis.pixels / len(axis.values) >= GLYPH_SPACING
    assert (layout.stride == 1) == (n_widths < 100)
    assert 3 <= layout.glyph <= 15


def test_hatching_stays_inside_the_panel() -> None:
    layout = lay_out(small_spec())
    rules = np.array(hatch_rules(layout.width, layout.density))
    x, y = layout.width.place(rules[:, :2]), layout.density.place(rules[:, 2:])
    assert x.min() >= -1e-6
    assert x.max() <= layout.width.pixels + 1e-6
    assert y.min() >= -1e-6
    assert y.max() <= layout.density.pixels + 1e-6
    # Every rule falls at 45 degrees on screen.
    np.testing.assert_allclose(np.diff(x, axis=1), -np.diff(y, axis=1), atol=1e-6)
