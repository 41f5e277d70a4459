import json

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from phase_diagrams.activation import parse_activation
from phase_diagrams.conditions import condition_table
from phase_diagrams.interval import wilson
from phase_diagrams.panel import Panel, PanelBoundary, trace_boundaries
from phase_diagrams.refine_planner import coarse_trials
from phase_diagrams.spec import JobSpec
from phase_diagrams.summary import Rate, Summary, _boundary, _panel_sentence, sentences, summarise, summary_json
from phase_diagrams.superposition import interference, polygon, random_unit
from phase_diagrams.tables import TRIALS
from phase_diagrams.theory import mcc_chance
from phase_diagrams.trial import Start
from tests.phase_diagrams.planted_boundary import planted_rows, refined_spec
from tests.phase_diagrams.synthetic_trials import small_spec, synthetic_trials

OVERLAP = interference(random_unit(40, 10, 0))


def _summary(spec: JobSpec, **how: float) -> Summary:
    trials = synthetic_trials(spec, **how)  # type: ignore[arg-type]
    conditions = condition_table(spec, trials)
    return summarise(spec, trials, conditions, trace_boundaries(spec, conditions), OVERLAP)


@pytest.fixture(scope="module")
def summary() -> Summary:
    return _summary(small_spec(activation=["topk:2", "relu"]), missing=0.1, diverged=0.1)


def test_counts_add_up(summary: Summary) -> None:
    spec = small_spec(activation=["topk:2", "relu"])
    trials = synthetic_trials(spec, missing=0.1, diverged=0.1)
    conditions = condition_table(spec, trials)
    assert (summary.trials_planned, summary.trials_finished) == (spec.n_trials, trials.num_rows)
    assert summary.trials_diverged == pc.sum(trials["diverged"]).as_py()
    assert summary.conditions_finished == conditions.num_rows
    assert sum(count.conditions for count in summary.phases.values()) == conditions["phase"].length() - (
        conditions["phase"].null_count
    )
    for phase, count in summary.phases.items():
        assert 0 <= count.certain <= count.conditions
        assert count.conditions == sum(panel.phases[phase].conditions for panel in summary.panels)
    assert sum(panel.identified.trials for panel in summary.panels) == sum(conditions["n_seeds"].to_pylist())


def test_every_rate_has_its_interval(summary: Summary) -> None:
    for panel in summary.panels:
        assert panel.identifiable is not None
        for rate in (panel.identified, panel.identifiable):
            low, high = wilson(rate.successes, rate.trials)
            assert rate.rate == rate.successes / rate.trials
            assert (rate.low, rate.high) == (low, high)
            assert rate.low <= rate.rate <= rate.high


def test_a_boundary_is_read_where_the_width_equals_the_number_of_features(summary: Summary) -> None:
    sparse, relu = summary.panels
    assert {boundary.start for boundary in sparse.boundaries if boundary.x_axis == "hidden_dim"} == {"random", "truth"}
    for boundary in sparse.boundaries:
        if boundary.x_axis == "sparsity":
            assert all(20 <= crossing.low <= crossing.value <= crossing.high <= 80 for crossing in boundary.crossings)
            continue
        assert (boundary.x_axis, boundary.x, boundary.y_axis, boundary.no_boundary) == (
            "hidden_dim",
            40,
            "sparsity",
            None,
        )
        for crossing in boundary.crossings:
            assert 0.5 <= crossing.low <= crossing.value <= crossing.high <= 0.95
    for boundary in relu.boundaries:
        assert (boundary.x, boundary.crossings) == (None, ())
        asked = "recovered" if boundary.start == "random" else "identifiable"
        assert boundary.no_boundary == f"no boundary in range: {asked} nowhere"
    assert sparse.sparsity_where_active_equals_k == 0.95
    assert relu.sparsity_where_active_equals_k is None


def test_out_of_range_the_nearest_place_is_read() -> None:
    summary = _summary(small_spec(activation=["topk:2"], hidden_dim=[60, 80, 120], sparsity=[0.5, 0.7, 0.8, 0.9, 0.95]))
    assert summary.panels[0].boundaries[0].x == 60
    swapped = _summary(small_spec(activation=["topk:2"], sparsity=[0.9], hidden_dim=[20, 40, 60, 80, 160]))
    (random, _) = swapped.panels[0].boundaries
    assert (random.x_axis, random.x, random.y_axis) == ("sparsity", 0.9, "hidden_dim")
    assert any("S = 0.9, the random-start boundary (P = 1/2 identified) is at n_m = " in s for s in sentences(swapped))


def test_the_chance_level_is_told_by_width(summary: Summary) -> None:
    assert [(c.hidden_dim, c.mcc_chance) for c in summary.mcc_chance] == [
        (width, mcc_chance(40, 10, width)) for width in (20, 40, 80)
    ]


def test_json_holds_everything_and_no_nan(summary: Summary) -> None:
    document = json.loads(summary_json(summary), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert document["sentences"] == sentences(summary)
    assert document["interference"]["coherence"] == OVERLAP.coherence
    assert document["recovery_cosine"] == 0.9
    assert [panel["label"] for panel in document["panels"]] == ["topk:2, α = 0", "relu, α = 0"]
    assert document["panels"][0]["boundaries"][0]["crossings"][0].keys() == {"value", "low", "high"}


@pytest.mark.parametrize(
    ("start", "successes", "said"),
    [
        ("random", 0, "recovered nowhere"),
        ("random", 71, "recovered everywhere"),
        ("random", 3, "recovered in 3 of 71 seeds"),
        ("truth", 0, "identifiable nowhere"),
        ("truth", 70, "identifiable in 70 of 71 seeds"),
    ],
)
def test_a_panel_without_a_boundary_is_on_one_side_only_if_all_its_seeds_are(
    start: Start, successes: int, said: str
) -> None:
    panel = PanelBoundary(
        Panel(parse_activation("relu"), 0.0), start, "hidden_dim", "sparsity", (), "mostly not recovered"
    )
    found = _boundary(panel, 40, Rate(successes, 71, successes / 71, 0.0, 1.0))
    assert found.no_boundary == f"no boundary in range: {said}"
    where = said.partition(" ")[2]
    assert _panel_sentence("relu", found).endswith(f"{'identified' if start == 'random' else 'identifiable'} {where}.")


def test_sentences_say_what_the_numbers_say(summary: Summary) -> None:
    text = "\n".join(sentences(summary))
    assert f"{summary.trials_finished} of 192 trials finished" in text
    assert "relu, α = 0: no boundary in range from random starts, features are identified nowhere." in text
    assert "topk:2, α = 0: at n_m = 40, the truth-start boundary (P = 1/2 identifiable) is at S = " in text
    assert "does not meet the theory's condition of non-positive interference" in text
    spec = small_spec(activation=["relu"])
    none = TRIALS.empty_table()
    digons = summarise(spec, none, condition_table(spec, none), (), interference(polygon(0, 3, 0)))
    assert "and meets the theory's condition of non-positive interference" in "\n".join(sentences(digons))


def test_nothing_finished_is_said_without_dividing_by_it() -> None:
    summary = _summary(small_spec(), missing=1.0)
    assert summary.trials_finished == summary.conditions_finished == 0
    for panel in summary.panels:
        assert (panel.identified.rate, panel.identified.low, panel.identified.high) == (None, 0, 1)
    assert "0 of 384 trials finished" in sentences(summary)[0]
    json.loads(summary_json(summary))


def test_a_random_start_says_nothing_about_truth_starts() -> None:
    summary = _summary(small_spec(activation=["topk:2"], starts=["random"]))
    assert set(summary.phases) == {"recovered", "not_recovered"}
    assert summary.panels[0].identifiable is None
    assert {boundary.start for boundary in summary.panels[0].boundaries} == {"random"}
    assert np.all([("truth" not in sentence) for sentence in sentences(summary)])


def test_disagreements_are_told_with_the_trials_that_they_rest_on() -> None:
    spec = small_spec(seeds=8)
    trials = synthetic_trials(spec)
    conditions = condition_table(spec, trials)
    theory = summarise(spec, trials, conditions, (), OVERLAP).theory
    sides = [side for side in conditions["disagreement"].to_pylist() if side]
    assert [told.disagreement for told in theory.disagreements] == sides
    assert (theory.theory_only, theory.measurement_only) == tuple(
        sides.count(side) for side in ("theory_only", "measurement_only")
    )
    assert 0 < len(sides) <= theory.settled <= theory.judged < conditions.num_rows
    for told in theory.disagreements:
        rows = trials.filter(pc.is_in(trials["trial_id"], pa.array(told.trial_ids)))
        assert rows.num_rows == 16  # 8 seeds from 2 starts
        assert set(rows["sparsity"].to_pylist()) == {told.sparsity}
        assert set(rows["hidden_dim"].to_pylist()) == {told.hidden_dim}
        assert set(rows["k"].to_pylist()) == {told.k}
        assert told.p_identifiable is not None
        assert told.p_identifiable.trials == 8


def test_a_refined_job_says_how_well_its_boundaries_are_known() -> None:
    spec = refined_spec(budget=50)
    trials = planted_rows(spec, coarse_trials(spec))
    conditions = condition_table(spec, trials)
    summary = summarise(spec, trials, conditions, trace_boundaries(spec, conditions), OVERLAP)
    assert summary.refinement is not None
    assert summary.refinement.stopped_by == "budget"
    document = json.loads(summary_json(summary))
    assert [boundary["start"] for boundary in document["refinement"]["boundaries"]] == ["random", "truth"]
    assert "25 of 1,353 candidate conditions" in document["sentences"][0]
    assert document["sentences"][1].startswith("Refinement: 50 trainings of at most 50; 0 of 2 boundaries")
    assert "the budget is spent" in document["sentences"][1]
