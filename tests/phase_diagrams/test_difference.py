import dataclasses

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from phase_diagrams.difference import IncompatibleError, Side, compare_diagrams, compare_seeds, seed_outcomes
from phase_diagrams.refine_planner import coarse_trials
from phase_diagrams.spec import JobSpec
from phase_diagrams.tables import DIFFERENCE, DISPLACEMENT
from phase_diagrams.two_samples import benjamini_hochberg
from tests.phase_diagrams.planted_boundary import planted_rows, refined_spec
from tests.phase_diagrams.synthetic_trials import small_spec, synthetic_trials

GRID = {"sparsity": [0.5, 0.7, 0.8, 0.9, 0.95, 0.98], "activation": ["topk:1", "topk:2"], "seeds": 6}


def _side(seed: int = 0, **grid: object) -> Side:
    spec = small_spec(f"side {seed}", **{**GRID, **grid})
    return Side(spec, synthetic_trials(spec, seed=seed))


def _column(table: pa.Table, name: str) -> list[object]:
    return list(table[name].to_pylist())


def test_a_diagram_does_not_differ_from_itself() -> None:
    side = _side()
    found = compare_diagrams(side, side)
    assert found.cells.schema.equals(DIFFERENCE, check_metadata=True)
    assert found.cells.num_rows == 2 * side.spec.n_conditions
    assert set(_column(found.cells, "difference")) == {0.0}
    assert set(_column(found.cells, "p_value")) == {1.0}
    assert all(panel.p_value == 1.0 for panel in found.panels)
    assert (found.spec_changes, found.only_one, found.only_other) == ((), 0, 0)
    assert found.displacement.schema.equals(DISPLACEMENT, check_metadata=True)
    assert found.displacement.num_rows
    assert max(abs(shift) for shift in _column(found.displacement, "shift")) < 1e-9  # type: ignore[arg-type]


def test_cells_hold_the_shares_of_both_sides() -> None:
    one, other = _side(0), _side(1)
    outcomes = [seed_outcomes(side.trials) for side in (one, other)]
    for row in compare_seeds(one, other)[0].to_pylist():
        key = (row["sparsity"], row["hidden_dim"], row["activation"], row["k"], row["l1"], row["exponent"])
        index = ["identified", "identifiable"].index(row["statistic"])
        shares = [np.mean([outcome[index] for outcome in side[key].values()]) for side in outcomes]
        assert [row["p_one"], row["p_other"]] == pytest.approx(shares)
        assert row["difference"] == pytest.approx(shares[1] - shares[0])
        assert row["low"] <= row["difference"] <= row["high"]
        assert row["paired"]


def test_p_values_are_adjusted_over_all_cells_of_a_statistic() -> None:
    cells, _ = compare_seeds(_side(0), _side(1))
    for statistic in ("identified", "identifiable"):
        family = cells.filter(pc.equal(cells["statistic"], statistic))
        expected = benjamini_hochberg(family["p_value"].to_numpy())
        np.testing.assert_allclose(family["q_value"].to_numpy(), expected)
        assert _column(family, "significant") == list(expected <= 0.05)


def test_without_an_effect_false_findings_are_as_rare_as_promised() -> None:
    """Two diagrams of the same truth: whole panels at their level, and hardly ever any significant cell."""
    spec = small_spec(sparsity=[0.5, 0.8, 0.9, 0.95], activation=["topk:2"], seeds=8)
    panels, any_cell, rounds = [], [], 30
    for i in range(rounds):
        one, other = (Side(spec, synthetic_trials(spec, seed=2 * i + j)) for j in (0, 1))
        cells, (identified, _) = compare_seeds(one, other)
        panels.append(identified.p_value)
        any_cell.append(any(_column(cells, "significant")))
    # Level .05 plus three standard errors of 30 rounds.
    highest = 0.05 + 3 * np.sqrt(0.05 * 0.95 / rounds)
    assert np.mean([p is not None and p <= 0.05 for p in panels]) <= highest
    assert np.mean(any_cell) <= highest


def test_an_effect_is_found_and_told_by_panel_cell_and_boundary() -> None:
    """The planted boundary moves by .2 decades of density per unit of the exponent (synthetic_trials)."""
    many = {"seeds": 12, "exponent": [0.0], "hidden_dim": [40, 80, 160]}
    one, other = _side(0, **many), _side(1, **{**many, "exponent": [2.0]})
    found = compare_diagrams(one, other)
    assert [change[0] for change in found.spec_changes] == ["grid.exponent"]
    assert set(_column(found.cells, "other_exponent")) == {2.0}
    for panel in found.panels:
        assert panel.mean_difference > 0
        assert panel.p_value is not None
        assert panel.p_value < 0.01
    assert any(_column(found.cells, "significant"))
    rows = [row for row in found.displacement.to_pylist() if row["boundary"] == "random-start"]
    rows = [row for row in rows if row["y_axis"] == "sparsity"]
    assert rows
    assert np.mean([row["shift"] for row in rows]) == pytest.approx(-0.4, abs=0.12)
    assert np.mean([row["shift_low"] <= -0.4 <= row["shift_high"] for row in rows]) > 0.8
    for row in rows:
        shift = np.log10(1 - row["y_one"]) - np.log10(1 - row["y_other"])
        assert row["shift"] == pytest.approx(shift, abs=1e-6)


def test_other_seeds_are_independent_samples() -> None:
    one, other = _side(0), _side(1, seeds=[10, 11, 12, 13])
    cells, panels = compare_seeds(one, other)
    assert not any(_column(cells, "paired"))
    assert {panel.p_value for panel in panels} == {None}
    assert set(_column(cells, "n_other")) == {4}


def test_only_the_plane_that_both_have_is_compared() -> None:
    one, other = _side(0), _side(0, sparsity=[0.9, 0.98, 0.99], activation=["topk:2", "relu"])
    found = compare_diagrams(one, other)
    assert set(_column(found.cells, "sparsity")) == {0.9, 0.98}
    assert set(_column(found.cells, "k")) == {2}
    assert (found.only_one, found.only_other) == (36 - 6, 18 - 6)
    assert {change[0] for change in found.spec_changes} == {"grid.sparsity", "grid.activation"}


@pytest.mark.parametrize(
    ("grid", "words"),
    [
        ({"sparsity": [0.6, 0.99]}, r"grid.sparsity is 0.5, .* in one and 0.6, 0.99 in the other"),
        ({"hidden_dim": [41]}, "grid.hidden_dim is 20, 40, 80 in one and 41 in the other"),
        ({"activation": ["relu"]}, "grid.activation is topk:1, topk:2 in one and relu in the other"),
    ],
)
def test_diagrams_without_a_common_plane_are_refused_by_name(grid: dict[str, object], words: str) -> None:
    with pytest.raises(IncompatibleError, match=words):
        compare_diagrams(_side(0), _side(0, **grid))


def test_a_diverged_or_missing_start_is_never_a_success() -> None:
    spec = small_spec(**{**GRID, "activation": ["topk:1"]})
    lost = seed_outcomes(synthetic_trials(spec, diverged=1.0))
    assert {outcome for seeds in lost.values() for outcome in seeds.values()} == {(False, False)}
    trials = synthetic_trials(spec)
    random = trials.filter(pc.equal(trials["start"], "random"))
    assert {o[1] for seeds in seed_outcomes(random).values() for o in seeds.values()} == {None}
    assert not seed_outcomes(trials.filter(pc.equal(trials["start"], "truth"))).popitem()[1]


def test_the_order_of_rows_is_void() -> None:
    one, other = _side(0), _side(1)
    shuffled = one.trials.take(pa.array(np.random.default_rng(0).permutation(one.trials.num_rows)))
    assert compare_seeds(dataclasses.replace(one, trials=shuffled), other) == compare_seeds(one, other)


def test_refined_diagrams_are_compared_on_the_candidates_that_both_trained() -> None:
    spec = refined_spec()
    side = Side(spec, planted_rows(spec, coarse_trials(spec)))
    off_grid = spec.sparsities[1]
    assert off_grid not in spec.grid.sparsity
    moved = pa.array(np.where(side.trials["sparsity"].to_numpy() == 0.5, off_grid, side.trials["sparsity"].to_numpy()))
    at = side.trials.column_names.index("sparsity")
    other = Side(spec, side.trials.set_column(at, side.trials.schema.field(at), moved))
    found = compare_diagrams(other, other)
    assert (found.plane.n_conditions, found.only_one) == (spec.n_conditions, 0)
    assert off_grid in _column(found.cells, "sparsity")
    assert set(_column(compare_seeds(side, other)[0], "sparsity")) == set(spec.grid.sparsity) - {0.5}


def test_a_refined_diagram_is_compared_with_a_grid_on_the_grid_s_values() -> None:
    refined = refined_spec()
    grid = JobSpec.model_validate(refined.model_dump(exclude={"refine"}))
    rows = planted_rows(refined, coarse_trials(refined))
    first = [trial for trial in coarse_trials(refined) if trial.condition.sparsity == refined.grid.sparsity[0]]
    moved = [dataclasses.replace(t.condition, sparsity=refined.sparsities[1]) for t in first]
    between = [dataclasses.replace(t, condition=condition) for t, condition in zip(first, moved, strict=True)]
    more = pa.concat_tables([rows, planted_rows(refined, between)])
    found = compare_diagrams(Side(refined, more), Side(grid, rows))
    assert found.plane.sparsities == refined.grid.sparsity
    assert found.cells.num_rows == 2 * grid.n_conditions
    assert (found.only_one, found.only_other) == (len(refined.grid.hidden_dim), 0), "trained ones, not candidates"


def test_seeds_off_the_grid_count_in_no_cell() -> None:
    side = _side()
    fewer = Side(_side(seeds=4).spec, side.trials)
    assert set(_column(compare_seeds(fewer, fewer)[0], "n_one")) == {4}
