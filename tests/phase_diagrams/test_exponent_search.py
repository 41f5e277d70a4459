"""The planner of an exponent search: rounds in step, no exponent twice, the same question after every interruption."""

import random
from collections.abc import Collection
from dataclasses import replace

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phase_diagrams.exponent_search import ExponentSearch
from phase_diagrams.replay import Replay
from phase_diagrams.spec import JobSpec
from phase_diagrams.study import Study
from phase_diagrams.trial import Trial, confirm_seeds, expected_trials, grid_trials, plain_conditions, trial_namer
from tests.phase_diagrams.responses import Laboratory, ask_to_the_end, search_spec


def draw(study: Study, count: int) -> list[float]:
    """A sampler that looks at all it is given: its draws follow the study's key and its best exponent."""
    width = study.search.high - study.search.low
    places = [(study.key // 7 ** (i + 1) + round(1e4 * study.best)) % 10_000 / 10_000 for i in range(count)]
    return [study.search.low + width * place for place in places]


def peak(at: float, height: float = 0.3):
    return lambda condition: height * (1 - min((condition.exponent - at) ** 2, 1.0))


def test_a_job_is_its_grid_then_batches_of_every_condition_then_the_confirmation():
    spec = search_spec()
    planner = ExponentSearch(spec, draw)
    rounds, _ = ask_to_the_end(planner, Laboratory(spec, peak(0.7)))
    grid, *batches, confirmation = rounds
    conditions, seeds = list(plain_conditions(spec)), spec.grid.seeds
    assert grid == list(grid_trials(spec))
    assert [len(batch) for batch in batches] == [count * len(conditions) * len(seeds) for count in (3, 3, 2)]
    for batch in batches:
        assert {trial.start for trial in batch} == {"random"}
        assert {replace(trial.condition, exponent=0.0) for trial in batch} == set(conditions), "all in step"
        assert len({(trial.condition.sparsity, trial.seed) for trial in batch[: len(batch) // len(seeds)]}) == 3
    asked = [trial for trials in rounds for trial in trials]
    assert len(asked) == len(set(asked))
    fresh = {trial.seed for trial in confirmation}
    assert fresh == set(confirm_seeds(spec)) == {3, 4, 5, 6}
    assert not fresh & {trial.seed for trials in rounds[:-1] for trial in trials}
    assert planner.done
    assert len(asked) == planner.expected <= spec.n_trials == len(list(expected_trials(spec)))


def test_confirmed_are_zero_and_the_best_exponent_on_the_same_seeds_from_all_starts():
    spec = search_spec(search={"trials": 12, "batch": 4, "objective": "mcc"})
    rounds, _ = ask_to_the_end(ExponentSearch(spec, draw), Laboratory(spec, peak(0.5), noise=0.0))
    for condition in plain_conditions(spec):
        mine = [t for t in rounds[-1] if replace(t.condition, exponent=0.0) == condition]
        exponents = {trial.condition.exponent for trial in mine}
        assert 0.0 in exponents
        (best,) = exponents - {0.0}
        tried = [
            t.condition for trials in rounds[:-1] for t in trials if replace(t.condition, exponent=0.0) == condition
        ]
        assert abs(best - 0.5) == min(abs(one.exponent - 0.5) for one in tried)
        assert len(mine) == 2 * len(confirm_seeds(spec)) * len(spec.grid.starts)


def test_where_nothing_beats_the_plain_loss_it_alone_is_confirmed():
    spec = search_spec()
    rounds, _ = ask_to_the_end(ExponentSearch(spec, draw), Laboratory(spec, lambda c: -abs(c.exponent), noise=0.0))
    assert {trial.condition.exponent for trial in rounds[-1]} == {0.0}


class Shelf:
    """A stock that keeps rows in memory."""

    def __init__(self, spec: JobSpec, laboratory: Laboratory) -> None:
        self.name, self.laboratory, self.held = trial_namer(spec), laboratory, {}

    def train(self, trials: list[Trial]) -> pa.Table:
        for trial in trials:
            assert self.name(trial) not in self.held, "trained twice"
            self.held[self.name(trial)] = trial
        return self.laboratory.rows(trials)

    def fetch(self, trial_ids: Collection[str]) -> frozenset[str]:
        return frozenset(trial_ids) & self.held.keys()

    def read(self, trial_ids: Collection[str]) -> pa.Table:
        return self.laboratory.rows(self.held[trial_id] for trial_id in trial_ids)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_neither_order_of_arrival_nor_a_kill_changes_a_question_or_repeats_a_trial(draws):
    chance = random.Random(draws)
    spec = search_spec(grid={"sparsity": [0.5, 0.9], "hidden_dim": [40]}, search={"trials": 5, "batch": 2})
    laboratory = Laboratory(spec, peak(0.3))
    undisturbed, _ = ask_to_the_end(ExponentSearch(spec, draw), laboratory)
    shelf = Shelf(spec, laboratory)
    planner = Replay(shelf.name, ExponentSearch(spec, draw), shelf)
    while trials := planner.ask():
        arriving = chance.sample(trials, len(trials))
        cut = chance.randint(0, len(arriving))
        for part in (arriving[:cut], arriving[cut:]):
            rows = shelf.train(part)
            if not planner.done:
                planner.tell(rows)
            if chance.random() < 0.2:
                planner = Replay(shelf.name, ExponentSearch(spec, draw), shelf)  # killed, and run again
                break
    assert set(shelf.held.values()) == {trial for trials in undisturbed for trial in trials}


def test_a_trial_that_was_given_up_stops_nothing_and_counts_for_nothing():
    spec = search_spec(search={"trials": 4, "batch": 2})
    laboratory, planner = Laboratory(spec, peak(0.7)), ExponentSearch(spec, draw)
    rounds = []
    while trials := planner.ask():
        rounds.append(trials)
        lost = [trial for trial in trials if trial.seed == 0 or trial.condition.sparsity == 0.5]
        planner.lose(lost)
        planner.tell(laboratory.rows([trial for trial in trials if trial not in lost]))
    assert len(rounds) == 4
    assert {t.condition.exponent for t in rounds[-1] if t.condition.sparsity == 0.5} == {0.0}
    assert planner.done


def test_near_the_boundary_only_conditions_that_it_may_pass_are_searched():
    spec = search_spec(grid={"sparsity": [0.5, 0.8, 0.9, 0.95]}, reweighting={"where": "boundary"})
    laboratory = Laboratory(spec, lambda condition: 0.5 if condition.sparsity >= 0.9 else -0.5, noise=0.0)
    planner = ExponentSearch(spec, draw)
    rounds, _ = ask_to_the_end(planner, laboratory)
    assert {trial.condition.sparsity for trial in rounds[1]} == {0.8, 0.9}
    assert sum(map(len, rounds)) == planner.expected < spec.n_trials
    nowhere = ExponentSearch(spec, draw)
    rounds, _ = ask_to_the_end(nowhere, Laboratory(spec, lambda condition: -0.5, noise=0.0))
    assert len(rounds) == 1
    assert nowhere.done
    assert nowhere.expected == len(rounds[0])


def test_news_tell_how_far_the_search_is():
    spec = search_spec()
    planner, laboratory = ExponentSearch(spec, draw), Laboratory(spec, peak(0.7))
    news = []
    while trials := planner.ask():
        news.append(planner.report())
        if not planner.done:
            planner.tell(laboratory.rows(trials))
    assert news[0] == {}
    assert [one["round"] for one in news[1:]] == [1, 2, 3, 3]
    assert [one["confirming"] for one in news[1:]] == [False, False, False, True]
    assert news[1]["moved"] == 0
    assert news[-1]["moved"] > 0
    assert "fresh seeds" in news[-1]["text"]


def test_only_a_spec_with_a_search_has_this_planner():
    spec = search_spec()
    plain = spec.model_copy(update={"reweighting": None})
    with pytest.raises(ValueError, match=r"reweighting\.search"):
        ExponentSearch(plain, draw)
    assert confirm_seeds(plain) == ()


def test_fresh_seeds_are_the_smallest_that_the_grid_does_not_use():
    spec = search_spec(grid={"seeds": [5, 1, 0]}, reweighting={"confirm_seeds": 3})
    assert confirm_seeds(spec) == (2, 3, 4)
