import json
from pathlib import Path

import altair
import jsonschema
import numpy as np
import pyarrow.compute as pc
import pytest
from scipy.stats import binom

from phase_diagrams.conditions import condition_table
from phase_diagrams.cut import Cut, CutError, cut_diagrams, median_interval
from phase_diagrams.cut_picture import cut_source
from phase_diagrams.cut_report import cut_json, cut_sentences
from phase_diagrams.difference import Side
from phase_diagrams.refine_planner import coarse_trials
from phase_diagrams.spec import parse_spec
from phase_diagrams.tables import CUT, METRICS
from tests.phase_diagrams.planted_boundary import planted_rows, refined_spec
from tests.phase_diagrams.synthetic_trials import small_spec, synthetic_trials

FINE = {"sparsity": {"start": 0.5, "stop": 0.98, "num": 9, "spacing": "log_density"}, "seeds": 8}


def _side(n: int = 40, n_inputs: int | None = None, **grid: object) -> Side:
    axes = {**FINE, "hidden_dim": [n // 2, n, 2 * n], "activation": ["topk:1", "topk:2", "topk:4", "relu"], **grid}
    data = {"n_features": n, "n_inputs": n_inputs or n // 4}
    spec = parse_spec({"name": f"n = {n}", "data": data, "grid": axes})
    return Side(spec, synthetic_trials(spec))


def test_a_cut_has_the_shares_and_medians_of_its_conditions() -> None:
    side = _side()
    cut = cut_diagrams([side], "sparsity", {"hidden_dim": "80", "activation": "topk:2"})
    assert cut.table.schema.equals(CUT, check_metadata=True)
    conditions = condition_table(side.spec, side.trials)
    mine = pc.and_(pc.equal(conditions["hidden_dim"], 80), pc.fill_null(pc.equal(conditions["k"], 2), False))
    by_sparsity = {row["sparsity"]: row for row in conditions.filter(mine).to_pylist()}
    rows = cut.table.to_pylist()
    assert {row["value"] for row in rows} == set(by_sparsity)
    assert {row["quantity"] for row in rows} == {"identified", "identifiable", *METRICS}
    for row in rows:
        condition = by_sparsity[row["value"]]
        column = (
            f"p_{row['quantity']}"
            if row["quantity"] in ("identified", "identifiable")
            else f"{row['quantity']}_{row['start']}"
        )
        assert row["estimate"] == pytest.approx(condition[column])
        assert row["low"] <= row["estimate"] <= row["high"]
        if row["quantity"] == "identified":
            assert (row["low"], row["high"]) == (condition["p_low"], condition["p_high"])


def test_the_transition_is_where_the_planted_truth_has_it() -> None:
    """synthetic_trials: the truth start turns where -log10(1 - S) = .15 + .1 log2 k, at .9 of the features."""
    cut = cut_diagrams([_side(seeds=30)], "sparsity", {"hidden_dim": "80", "activation": "topk:2"})
    (identified, identifiable) = (sized.transition for sized in cut.transitions)
    assert identified is not None
    assert identifiable is not None
    assert identified.rising
    assert identifiable.rising
    # .9 of the features are found where the margin is log 9: that much further along the axis.
    assert identified.place_low <= 0.2 + 0.1 + 0.25 + np.log(9) / 6 <= identified.place_high
    assert 0 < identified.width_low < identified.width < identified.width_high < 0.5


@pytest.mark.parametrize(("axis", "at", "values"), [
    ("hidden_dim", {"sparsity": "0.98", "activation": "topk:1"}, [20, 40, 80]),
    ("k", {"sparsity": "0.98", "hidden_dim": "2n"}, [1, 2, 4]),
])  # fmt: skip
def test_every_axis_can_be_cut(axis: str, at: dict[str, str], values: list[int]) -> None:
    cut = cut_diagrams([_side()], axis, at)  # type: ignore[arg-type]
    assert sorted(set(cut.table["value"].to_pylist())) == values


def test_sizes_are_compared_at_multiples_of_n() -> None:
    at = {"hidden_dim": "2n", "activation": "topk:0.05n"}
    cut = cut_diagrams([_side(20), _side(40), _side(80)], "sparsity", at)
    assert [(sized.n_features, sized.quantity) for sized in cut.transitions] == [
        (n, quantity) for n in (20, 40, 80) for quantity in ("identified", "identifiable")
    ]
    assert len({row["diagram"] for row in cut.table.to_pylist()}) == 3
    with pytest.raises(CutError, match=r"n_inputs / data.n_features is 0.25, 0.5 in the diagrams"):
        cut_diagrams([_side(20), _side(40, 20)], "sparsity", at)


@pytest.mark.parametrize(
    ("axis", "at", "words"),
    [
        (
            "sparsity",
            {"activation": "relu"},
            "hidden_dim=VALUE is needed: grid.hidden_dim of n = 40 is 20, 40, 80",
        ),
        ("sparsity", {"hidden_dim": "41", "activation": "relu"}, "hidden_dim=41: is not in the grid of n = 40, which"),
        ("sparsity", {"hidden_dim": "40", "activation": "topk:x"}, "'topk:x' is not an activation"),
        ("sparsity", {"hidden_dim": "0.33n", "activation": "relu"}, "13.2 at n = 40, which is not a whole number"),
        (
            "sparsity",
            {"width": "40"},
            "width: is not an axis; allowed: sparsity, hidden_dim, activation, exponent",
        ),
        ("k", {"activation": "relu"}, "--at activation: is the axis that the cut runs along"),
        ("exponent", {"hidden_dim": "40", "activation": "relu", "sparsity": "0.5"}, "--axis exponent: has 1 values"),
    ],
)
def test_a_cut_that_does_not_exist_is_refused_by_name(axis: str, at: dict[str, str], words: str) -> None:
    with pytest.raises(CutError, match=words):
        cut_diagrams([_side()], axis, at)  # type: ignore[arg-type]


def test_a_part_of_the_axis_can_be_taken() -> None:
    at = {"hidden_dim": "80", "activation": "topk:2"}
    cut = cut_diagrams([_side()], "sparsity", at, between=(0.6, 0.9))
    values = cut.table["value"].to_pylist()
    assert 0.6 <= min(values) < max(values) <= 0.9


def test_medians_have_distribution_free_intervals() -> None:
    """Published: for ten values, the second and the ninth bound the median with 97.9 %."""
    assert median_interval(list(range(1, 11))) == pytest.approx((5.5, 2.0, 9.0, 1 - 2 * binom.cdf(1, 10, 0.5)))
    assert median_interval([3.0, 1.0, 2.0]) == pytest.approx((2.0, 1.0, 3.0, 0.75))
    assert median_interval([1.0]) == (1.0, 1.0, 1.0, 0.0)
    rng = np.random.default_rng(0)
    found = [median_interval(list(rng.exponential(size=9))) for _ in range(1000)]
    assert np.mean([low <= np.log(2) <= high for _, low, high, _ in found]) >= 0.95 - 0.02


@pytest.mark.parametrize("sizes", [(40,), (20, 40)])
def test_pictures_and_documents_hold_the_whole_cut(sizes: tuple[int, ...]) -> None:
    at = {"hidden_dim": "2n", "activation": "topk:0.05n"}
    cut = cut_diagrams([_side(n) for n in sizes], "sparsity", at)
    source = cut_source(cut)
    schema = Path(altair.__file__).parent / "vegalite" / "v6" / "schema" / "vega-lite-schema.json"
    checker = jsonschema.Draft7Validator(json.loads(schema.read_text(encoding="utf-8")))
    rows = {name: rows[:3] for name, rows in source["datasets"].items()}
    assert not list(checker.iter_errors({**source, "datasets": rows}))
    assert len(source["datasets"]["points"]) == cut.table.num_rows
    document = json.loads(cut_json(cut), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert document["sentences"] == cut_sentences(cut)
    assert len(document["rows"]) == cut.table.num_rows
    assert "P(identifiable) rises through 1/2 at S = " in " ".join(cut_sentences(cut))


def test_no_transition_is_told_as_none() -> None:
    side = Side(small_spec(activation=["relu"]), synthetic_trials(small_spec(activation=["relu"])))
    cut: Cut = cut_diagrams([side], "sparsity", {"hidden_dim": "40"})
    assert {sized.transition for sized in cut.transitions} == {None}
    assert all("no transition, all seeds agree" in said for said in cut_sentences(cut))


def test_a_refined_diagram_is_cut_where_it_was_trained() -> None:
    spec = refined_spec()
    side = Side(spec, planted_rows(spec, coarse_trials(spec)))
    cut = cut_diagrams([side], "sparsity", {"hidden_dim": "40"})
    assert {row["value"] for row in cut.table.to_pylist()} == set(spec.grid.sparsity)
    between = next(width for width in spec.widths if width not in spec.grid.hidden_dim)
    assert cut_diagrams([side], "sparsity", {"hidden_dim": str(between)}).table.num_rows == 0
