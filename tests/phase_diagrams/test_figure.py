import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from phase_diagrams.caption import caption, label
from phase_diagrams.conditions import condition_table
from phase_diagrams.figure import ALL_DIVERGED, NOT_FINISHED, Diagram, diagram
from phase_diagrams.layout import density_of
from phase_diagrams.panel import boundary_table, trace_boundaries
from phase_diagrams.refine_planner import coarse_trials
from phase_diagrams.spec import JobSpec, parse_spec
from phase_diagrams.tables import BOUNDARY, CONDITIONS, TRIALS
from tests.phase_diagrams.planted_boundary import planted_rows, refined_spec
from tests.phase_diagrams.synthetic_trials import small_spec, synthetic_trials


def _bare(spec: JobSpec, conditions: pa.Table) -> Diagram:
    return diagram(spec, conditions, BOUNDARY.empty_table())


def _whole(spec: JobSpec, **how: float) -> Diagram:
    conditions = condition_table(spec, synthetic_trials(spec, **how))  # type: ignore[arg-type]
    return diagram(spec, conditions, boundary_table(trace_boundaries(spec, conditions)))


@pytest.fixture(scope="module")
def drawn() -> Diagram:
    return _whole(small_spec(activation=["topk:2", "relu"], sparsity=[0.5, 0.8, 0.9, 0.95]))


def test_every_condition_of_the_grid_is_one_cell_or_one_missing_cell() -> None:
    spec = small_spec(exponent=[0, 1])
    conditions = condition_table(spec, synthetic_trials(spec, missing=0.8))
    picture = _bare(spec, conditions)
    cells, missing = picture.layer("cell"), picture.layer("missing")
    places = [(row["panel"], row["S"], row["n_m"]) for row in cells + missing]
    assert len(places) == len(set(places)) == spec.n_conditions
    assert len(cells) == len(conditions["p_identified"].drop_null())
    assert bool(picture.hatch) == bool(missing)


def test_a_cell_shows_the_numbers_of_its_condition(drawn: Diagram) -> None:
    spec = small_spec(activation=["topk:2", "relu"], sparsity=[0.5, 0.8, 0.9, 0.95])
    conditions = condition_table(spec, synthetic_trials(spec))
    by_place = {(r["activation"], r["sparsity"], r["hidden_dim"]): r for r in conditions.to_pylist()}
    for cell in drawn.layer("cell"):
        row = by_place[str(cell["activation"]).partition(":")[0], cell["S"], cell["n_m"]]
        assert cell["p"] == pytest.approx(row["p_identified"])
        assert (cell["phase"], cell["certain"]) == (row["phase"], row["phase_certain"])
        assert cell["seeds"] == f"{row['n_identified']} of {row['n_seeds']}"
        assert f"[{row['p_low']:.2f}, {row['p_high']:.2f}]" in str(cell["P"])
        assert f"chance {row['mcc_chance']:.3f}" in str(cell["mcc"])


def test_cells_tile_the_panel_without_gaps(drawn: Diagram) -> None:
    layout = drawn.layout
    for panel in map(str, layout.panels):
        cells = [cell for cell in drawn.layer("cell") if cell["panel"] == panel]
        assert len({(cell["x"], cell["y"]) for cell in cells}) == len(cells)
        for low, high, axis in (("x", "x2", layout.width), ("y", "y2", layout.density)):
            edges = sorted({float(str(cell[end])) for cell in cells for end in (low, high)})
            assert edges == pytest.approx(axis.edges, rel=1e-6)
    for cell in drawn.layer("cell"):
        assert float(str(cell["x"])) < float(str(cell["n_m"])) < float(str(cell["x2"]))
        assert float(str(cell["y"])) < density_of(float(str(cell["S"]))) < float(str(cell["y2"]))


def test_a_condition_that_only_diverged_is_not_drawn_as_a_low_value() -> None:
    spec = small_spec(activation=["topk:1"])
    picture = _bare(spec, condition_table(spec, synthetic_trials(spec, diverged=1.0)))
    assert not picture.layer("cell")
    assert {row["P"] for row in picture.layer("missing")} == {ALL_DIVERGED}
    assert "have finished trials" not in picture.subtitle


def test_nothing_finished_is_all_missing() -> None:
    spec = small_spec()
    picture = _bare(spec, CONDITIONS.empty_table())
    assert {row["P"] for row in picture.layer("missing")} == {NOT_FINISHED}
    assert not picture.layer("note")
    assert "0 of 48 conditions have finished trials" in picture.subtitle


def test_lines_of_the_theory_are_where_the_equations_say(drawn: Diagram) -> None:
    assert {row["x"] for row in drawn.layer("n_m")} == {40}
    assert [row["y"] for row in drawn.layer("k")] == [2 / 40]
    assert [str(row["panel"]) for row in drawn.layer("k")] == ["topk:2, α = 0"]
    assert [row["y"] for row in drawn.layer("2k")] == [4 / 40]


def test_lines_of_the_theory_out_of_range_are_left_out() -> None:
    picture = _whole(small_spec(activation=["topk:1", "batchtopk:2"], sparsity=[0.5, 0.6], hidden_dim=[80, 160]))
    assert not picture.layer("n_m")
    assert not picture.layer("k")


def test_panels_say_which_boundaries_are_not_in_range(drawn: Diagram) -> None:
    notes = {row["panel"]: row["text"] for row in drawn.layer("note")}
    assert notes == {"relu, α = 0": "no boundary in range", "topk:2, α = 0": "\u00a0"}
    spec = small_spec(activation=["topk:2"])
    conditions = condition_table(spec, synthetic_trials(spec))
    table = boundary_table(trace_boundaries(spec, conditions))
    random = diagram(spec, conditions, table.filter(pc.equal(table["boundary"], "random-start")))
    assert [row["text"] for row in random.layer("note")] == ["truth start: no boundary"]


def test_tiny_cells_share_glyphs_and_the_caption_says_so() -> None:
    spec = small_spec(
        activation=["topk:1", "topk:2"],
        hidden_dim=list(range(11, 111)),
        sparsity={"start": 0.5, "stop": 0.99, "num": 30, "spacing": "log_density"},
        seeds=1,
    )
    picture = _bare(spec, condition_table(spec, synthetic_trials(spec)))
    stride = picture.layout.stride
    assert stride > 1
    shown = sum(bool(cell["glyph"]) for cell in picture.layer("cell"))
    assert shown == 2 * len(range((stride - 1) // 2, 100, stride)) * len(range((stride - 1) // 2, 30, stride))
    assert f"one in {stride} rows" in picture.caption


def test_the_caption_states_everything_a_reader_needs() -> None:
    spec = parse_spec(
        {
            "name": "a line\nbreak\u2028and\x00 more",
            "data": {
                "n_features": 7,
                "n_inputs": 3,
                "superposition": {"kind": "polygon", "mono": 0, "digon": 1, "pentagon": 1},
                "code": {"kind": "exact", "magnitude": "half_normal", "firing": {"kind": "zipf", "exponent": 0.5}},
                "noise": 0.25,
            },
            "grid": {"sparsity": [0.5], "hidden_dim": [7], "activation": ["relu"], "seeds": 3},
            "sae": {"tied": False},
            "training": {"steps": 1234, "batch_size": 99, "learning_rate": 0.01, "schedule": "cosine"},
            "recovery": {"cosine": 0.8, "fraction": 0.75},
        }
    )
    text = caption(spec)
    for part in (
        "n = 7", "n_p = 3", "polygon (0 mono, 1 digons, 1 pentagons)", "exact", "half_normal", "zipf (exponent 0.5)",
        "noise 0.25", "untied, with biases", "1,234 steps × 99 samples", "0.01 (cosine)", "75\u00a0%", "≥ 0.8",
        "3 seeds", "95\u00a0%", "saephase",
    ):  # fmt: skip
        assert part in text
    assert label(spec) == "a line break and more"


def test_a_flag_stands_inside_each_cell_that_theory_and_measurement_judge_the_opposite_way() -> None:
    spec = small_spec(seeds=8)
    conditions = condition_table(spec, synthetic_trials(spec))
    picture = _bare(spec, conditions)
    flags = picture.layer("disagreement")
    sides = [side for side in conditions["disagreement"].to_pylist() if side]
    assert sorted(str(flag["disagreement"]) for flag in flags) == sorted(sides)
    assert flags
    for flag in flags:
        (cell,) = (
            cell
            for cell in picture.layer("cell")
            if cell["panel"] == flag["panel"]
            and float(str(cell["x"])) < float(str(flag["fx"])) < float(str(cell["x2"]))
            and float(str(cell["y"])) < float(str(flag["fy"])) < float(str(cell["y2"]))
        )
        assert cell["disagreement"] == flag["disagreement"]


def test_a_refined_picture_shows_what_was_asked_for_and_strikes_what_failed() -> None:
    spec = refined_spec(budget=110)
    rows = planted_rows(spec, coarse_trials(spec))
    lost = rows["sparsity"].to_numpy() == 0.5
    rows = rows.set_column(rows.column_names.index("diverged"), TRIALS.field("diverged"), pa.array(lost))
    rows = rows.set_column(
        rows.column_names.index("objective"),
        TRIALS.field("objective"),
        pa.array(np.where(lost, np.nan, 0.05), from_pandas=True),
    )
    conditions = condition_table(spec, rows)
    picture = diagram(spec, conditions, boundary_table(trace_boundaries(spec, conditions)))
    cells, missing = picture.layer("cell"), picture.layer("missing")
    assert (len(cells), len(missing)) == (20, 5)
    assert {row["P"] for row in missing} == {ALL_DIVERGED}
    assert [dict(stroke) for stroke in picture.hatch] == [
        {name: row[name] for name in ("x", "x2", "y", "y2")} for row in missing
    ]
    assert "refinement trained 25 of 1,353 candidate conditions" in picture.subtitle
    assert "Up to 4 seeds" in picture.caption.replace("\u00a0", " ")
    assert picture.layer("curve")
    assert picture.layer("band")
