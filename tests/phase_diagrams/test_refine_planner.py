"""The planner of a refined job: a pure function of the rows it asked for, which spends no more than its budget."""

import re
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from phase_diagrams.conditions import condition_table
from phase_diagrams.refine_judgement import judge
from phase_diagrams.refine_planner import RefinePlanner, coarse_trials
from phase_diagrams.replay import Replay
from phase_diagrams.spec import JobSpec
from phase_diagrams.trial import Trial, trial_namer
from tests.phase_diagrams.planted_boundary import planted_rows, refined_spec

Teller = Callable[[RefinePlanner, list[Trial]], None]


def opened(spec: JobSpec) -> RefinePlanner:
    assert spec.refine is not None
    return RefinePlanner(spec, spec.refine)


def tell_whole(planner: RefinePlanner, trials: list[Trial]) -> None:
    planner.tell(planted_rows(planner.spec, trials))


def run(planner: RefinePlanner, tell: Teller = tell_whole) -> list[list[Trial]]:
    rounds = []
    while trials := planner.ask():
        rounds.append(trials)
        tell(planner, trials)
    return rounds


def flat(rounds: list[list[Trial]]) -> list[Trial]:
    return [trial for trials in rounds for trial in trials]


@pytest.fixture(scope="module")
def undisturbed() -> list[list[Trial]]:
    return run(opened(refined_spec(budget=110)))


def test_it_starts_with_the_grid_and_spends_its_budget_once(undisturbed: list[list[Trial]]) -> None:
    spec = refined_spec(budget=110)
    assert undisturbed[0] == coarse_trials(spec)
    assert len(undisturbed) > 3
    asked = flat(undisturbed)
    assert len(set(asked)) == len(asked) == 110
    assert {t.condition.sparsity for t in asked} <= set(spec.sparsities)
    assert {t.condition.hidden_dim for t in asked} <= set(spec.widths)
    assert {t.seed for t in asked} <= set(spec.grid.seeds)


def test_the_order_in_which_rows_come_changes_nothing(undisturbed: list[list[Trial]]) -> None:
    def tell_one_by_one(planner: RefinePlanner, trials: list[Trial]) -> None:
        order = np.random.default_rng(len(trials)).permutation(len(trials))
        for i in order[:-1]:
            planner.tell(planted_rows(planner.spec, [trials[i]]))
            assert not planner.ask()
        planner.tell(planted_rows(planner.spec, [trials[order[-1]], *trials[:1]]))

    assert run(opened(refined_spec(budget=110)), tell_one_by_one) == undisturbed


class Held:
    """A stock of the rows of some trials."""

    def __init__(self, spec: JobSpec, trials: list[Trial]) -> None:
        self.spec, name = spec, trial_namer(spec)
        self.trials = {name(trial): trial for trial in trials}

    def fetch(self, trial_ids: object) -> frozenset[str]:
        return frozenset(trial_ids) & frozenset(self.trials)  # type: ignore[call-overload, no-any-return]

    def read(self, trial_ids: object) -> pa.Table:
        return planted_rows(self.spec, [self.trials[i] for i in sorted(trial_ids)])  # type: ignore[call-overload]


@pytest.mark.parametrize("finished", [20, 71, 110])
def test_after_a_kill_the_next_question_is_the_same(undisturbed: list[list[Trial]], finished: int) -> None:
    """Finished trials are dropped in any place of a round: what is asked again is what is missing."""
    spec = refined_spec(budget=110)
    asked = flat(undisturbed)
    kept = asked[:finished:2] + asked[1:finished:2]
    replay = Replay(trial_namer(spec), opened(spec), Held(spec, kept))
    again: list[Trial] = []
    while trials := replay.ask():
        again += trials
        replay.tell(planted_rows(spec, trials))
    assert again == [trial for trial in asked if trial not in set(kept)]
    assert replay.done
    assert replay.reused == finished


def test_lost_trials_are_not_asked_for_again_nor_are_their_pairs() -> None:
    spec = refined_spec(budget=90)
    lost: set[tuple[object, int]] = set()

    def tell(planner: RefinePlanner, trials: list[Trial]) -> None:
        mine = trials[:3]
        assert not [t for t in trials if (t.condition, t.seed) in lost]
        planner.lose(mine)
        lost.update((t.condition, t.seed) for t in mine)
        planner.tell(planted_rows(spec, trials[3:]))

    asked = flat(run(opened(spec), tell))
    assert len(set(asked)) == len(asked) <= 90


def test_all_lost_ends() -> None:
    planner = opened(refined_spec(budget=90))
    run(planner, lambda planner, trials: planner.lose(trials))
    assert planner.done


def test_it_stops_when_every_band_is_within_the_tolerance_and_says_so() -> None:
    spec = refined_spec(budget=2000, tolerance=0.15, starts=["random"])
    planner = opened(spec)
    asked = flat(run(planner))
    assert planner.verdict == "tolerance"
    assert len(asked) < 300
    assert planner.expected == len(asked)
    news = planner.report()
    assert news["settled"] == news["boundaries"] == 1
    assert news["reach"] <= 0.15
    judged = judge(spec, planner.refine, planted_rows(spec, asked))
    assert judged.stopped_by == "tolerance"
    assert judged.boundaries[0].reach == pytest.approx(news["reach"], abs=0.01)
    assert "every band is within it" in str(judged)


def test_a_planner_expects_no_more_than_there_is() -> None:
    candidates = {"sparsity": 6, "hidden_dim": 6}
    assert opened(refined_spec(budget=110, candidates=candidates)).expected == 110
    assert opened(refined_spec(budget=1_000_000, candidates=candidates)).expected == 6 * 6 * 4 * 2


def test_a_spent_budget_is_named_and_news_come_with_every_round(undisturbed: list[list[Trial]]) -> None:
    spec = refined_spec(budget=110)
    planner = opened(spec)
    assert planner.report() == {}
    run(planner)
    news = planner.report()
    assert (news["stopped_by"], news["trainings"], news["boundaries"]) == ("budget", 110, 2)
    assert str(news["text"]).startswith("round")
    assert 0 < news["unsampled"] < 0.2
    judged = judge(spec, planner.refine, planted_rows(spec, flat(undisturbed)))
    assert (judged.stopped_by, judged.trainings) == ("budget", 110)
    half = judge(spec, planner.refine, planted_rows(spec, flat(undisturbed)[:80]))
    assert half.stopped_by is None


def test_news_tell_the_widest_of_the_bands_that_have_a_line_and_how_many_have_none() -> None:
    spec = refined_spec(budget=110)
    planner = opened(spec)
    while trials := planner.ask():
        rows = planted_rows(spec, trials)
        nowhere = pc.and_(rows["identified"], pc.equal(rows["start"], "truth"))
        planner.tell(rows.set_column(rows.schema.get_field_index("identified"), "identified", nowhere))
    news = planner.report()
    assert news["reach"] is None
    assert re.search(r"the widest band reaches \d+\.\d %, 1 without a line so far$", str(news["text"]))


def test_trainings_gather_at_both_boundaries(undisturbed: list[list[Trial]]) -> None:
    spec = refined_spec(budget=110)
    later = flat(undisturbed[1:])
    for start, critical in (("random", 1.0), ("truth", 0.7)):
        mine = [t.condition for t in later if t.start == start]
        depth = np.array([-np.log10(1 - c.sparsity) + 0.4 * np.log2(c.hidden_dim / 40) for c in mine])
        assert np.median(np.abs(depth - critical)) < 0.35
    table = condition_table(spec, planted_rows(spec, flat(undisturbed)))
    assert table.num_rows == len({t.condition for t in flat(undisturbed)})


def test_panels_of_topk_share_what_they_learn_where_k_is_an_axis() -> None:
    spec = refined_spec(
        budget=60,
        sparsity=[0.5, 0.9, 0.98],
        hidden_dim=[20, 40, 80],
        activation=["topk:4", "relu", "topk:1", "topk:2"],
        starts=["random"],
        axes=["sparsity", "hidden_dim", "k"],
        candidates={"sparsity": 9, "hidden_dim": 9},
    )
    planner = opened(spec)
    asked = flat(run(planner))
    assert len(set(asked)) == 60
    judged = judge(spec, planner.refine, planted_rows(spec, asked))
    assert [b.panels for b in judged.boundaries] == ["relu, α = 0", "topk:1, α = 0, topk:2, α = 0, topk:4, α = 0"]
