import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from phase_diagrams.conditions import condition_table
from phase_diagrams.panel import (
    PanelBoundary,
    boundary_axes,
    boundary_table,
    grid_panels,
    panel_rows,
    trace_boundaries,
)
from phase_diagrams.spec import JobSpec
from phase_diagrams.tables import BOUNDARY
from tests.phase_diagrams.synthetic_trials import small_spec, synthetic_trials


def _traced(spec: JobSpec, **how: float) -> dict[tuple[str, str], PanelBoundary]:
    """By panel and start, the boundary across sparsity, or the only direction that there is."""
    conditions = condition_table(spec, synthetic_trials(spec, **how))  # type: ignore[arg-type]
    return {(str(b.panel), b.start): b for b in reversed(trace_boundaries(spec, conditions))}


@pytest.fixture(scope="module")
def traced() -> dict[tuple[str, str], PanelBoundary]:
    return _traced(small_spec(activation=["topk:2", "relu"], sparsity=[0.5, 0.7, 0.8, 0.9, 0.95, 0.98]))


def test_panels_partition_the_conditions() -> None:
    spec = small_spec(activation=["topk:2", "batchtopk:2", "relu", "relu_l1:0.1", "relu_l1:0.2"], exponent=[-1, 0, 1])
    conditions = condition_table(spec, synthetic_trials(spec, missing=0.5))
    parts = [panel_rows(conditions, panel) for panel in grid_panels(spec)]
    assert sum(part.num_rows for part in parts) == conditions.num_rows
    assert all(part.num_rows for part in parts)
    assert len({str(panel) for panel in grid_panels(spec)}) == 15
    assert str(grid_panels(spec)[0]) == "topk:2, α = −1"


def test_the_planted_boundary_falls_with_width_and_truth_starts_reach_lower(
    traced: dict[tuple[str, str], PanelBoundary],
) -> None:
    random, truth = traced["topk:2, α = 0", "random"], traced["topk:2, α = 0", "truth"]
    (narrow,), wide = random.reading(40), random.nearest(80)[0]
    assert narrow.x == 40
    assert wide.y < narrow.y
    assert truth.nearest(80)[0].y < wide.y
    # synthetic_trials plants 0.3 + 0.5 n / n_m (+ logit(0.9) / 6 = 0.37) in -log10(1 - S).
    assert narrow.y_low <= 1 - 10**-1.17 <= narrow.y_high
    assert wide.y_low <= 1 - 10**-0.92 <= wide.y_high


def test_bands_hold_their_line_inside_the_grid(traced: dict[tuple[str, str], PanelBoundary]) -> None:
    crossings = [c for boundary in traced.values() for c in boundary.crossings]
    assert crossings
    for c in crossings:
        assert 0.5 <= c.y_low <= c.y <= c.y_high <= 0.98
        assert 20 <= c.x <= 80


def test_a_panel_of_one_phase_says_on_which_side_it_is(traced: dict[tuple[str, str], PanelBoundary]) -> None:
    for start in ("random", "truth"):
        boundary = traced["relu, α = 0", start]
        assert (boundary.crossings, boundary.no_boundary) == ((), "mostly not recovered")
        assert boundary.nearest(40) == ()
    easy = _traced(small_spec(activation=["topk:1"], sparsity=[0.99, 0.995], hidden_dim=[80, 160]))
    assert easy["topk:1, α = 0", "random"].no_boundary == "mostly recovered"


def test_the_table_holds_every_crossing_once(traced: dict[tuple[str, str], PanelBoundary]) -> None:
    table = boundary_table(traced.values())
    assert table.schema.equals(BOUNDARY, check_metadata=True)
    assert table.num_rows == sum(len(b.crossings) for b in traced.values())
    assert set(table["boundary"].to_pylist()) == {"random-start", "truth-start"}
    assert set(table["activation"].to_pylist()) == {"topk"}
    line = table.filter(pc.equal(table["boundary"], "random-start"))
    assert len(set(zip(line["x"].to_pylist(), line["branch"].to_pylist(), strict=True))) == line.num_rows


def test_axes_follow_the_grid() -> None:
    across_sparsity, across_width = ("hidden_dim", "sparsity"), ("sparsity", "hidden_dim")
    assert boundary_axes(small_spec()) == (across_sparsity, across_width)
    assert boundary_axes(small_spec(hidden_dim=[40])) == (across_sparsity,)
    assert boundary_axes(small_spec(sparsity=[0.9])) == (across_width,)
    one = small_spec(sparsity=[0.9], hidden_dim=[40])
    assert boundary_axes(one) == ()
    assert _traced(one) == {}
    assert boundary_table(()).equals(BOUNDARY.empty_table())


def test_one_sparsity_gives_a_critical_width() -> None:
    boundary = _traced(small_spec(sparsity=[0.9], hidden_dim=[20, 30, 40, 60, 80, 120, 160]))["topk:2, α = 0", "random"]
    (crossing,) = boundary.crossings
    assert crossing.x == 0.9
    # 0.3 + 20 / n_m + 0.37 = 1 at S = 0.9
    assert crossing.y_low <= 60 <= crossing.y_high


def test_a_boundary_straight_up_at_one_width_is_found_across_it() -> None:
    spec = small_spec(activation=["topk:2"], hidden_dim=[20, 30, 40, 60, 80], sparsity=[0.5, 0.8, 0.9, 0.95], seeds=4)
    conditions = condition_table(spec, synthetic_trials(spec))
    recovered = pc.greater_equal(conditions["hidden_dim"], 40)
    for name, value in (("n_identified", 4), ("n_identifiable", 4)):
        counts = pc.cast(pc.if_else(recovered, value, 0), pa.int32())
        conditions = conditions.set_column(
            conditions.schema.get_field_index(name), conditions.schema.field(name), counts
        )
    for boundary in trace_boundaries(spec, conditions):
        assert (boundary.x_axis, boundary.y_axis, boundary.no_boundary) == ("sparsity", "hidden_dim", None)
        places = [crossing.x for crossing in boundary.crossings]
        assert min(places) == 0.5
        assert max(places) == 0.95
        for crossing in boundary.crossings:
            assert 30 <= crossing.y <= 40
            assert 20 <= crossing.y_low < crossing.y < crossing.y_high <= 60


def test_a_running_job_with_one_finished_height_has_no_boundary_yet() -> None:
    spec = small_spec(activation=["topk:2"])
    trials = synthetic_trials(spec)
    conditions = condition_table(spec, trials.filter(pc.equal(trials["sparsity"], 0.5)))
    assert [b.no_boundary for b in trace_boundaries(spec, conditions)] == ["mostly not recovered"] * 2
    assert trace_boundaries(spec, conditions.slice(0, 0)) == ()


def test_a_fine_grid_is_pooled_without_moving_the_boundary() -> None:
    fine = small_spec(
        activation=["topk:2"],
        hidden_dim={"start": 20, "stop": 160, "num": 60, "spacing": "log"},
        sparsity={"start": 0.5, "stop": 0.99, "num": 50, "spacing": "log_density"},
        starts=["random"],
        seeds=2,
    )
    (crossing,) = _traced(fine)["topk:2, α = 0", "random"].nearest(80)
    # 0.3 + 0.5 n / n_m + 0.37, see above
    assert crossing.y_low <= 1 - 10**-0.92 <= crossing.y_high
    assert crossing.y_high - crossing.y_low < 0.05


def test_a_boundary_does_not_depend_on_the_order_of_the_grid() -> None:
    spec = small_spec(activation=["topk:2"])
    conditions = condition_table(spec, synthetic_trials(spec))
    shuffled = conditions.take(pa.array(np.random.default_rng(1).permutation(conditions.num_rows)))
    one, other = (boundary_table(trace_boundaries(spec, table)) for table in (conditions, shuffled))
    for name in ("x", "y", "y_low", "y_high"):
        np.testing.assert_allclose(one[name].to_numpy(), other[name].to_numpy(), rtol=1e-9)
