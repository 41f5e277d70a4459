"""A run that continues asks what an undisturbed run would have asked, and trains none of it twice."""

from collections.abc import Collection

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phase_diagrams.planner import GridPlanner, Planner
from phase_diagrams.replay import Replay
from phase_diagrams.trial import grid_trials, trial_namer
from tests.phase_diagrams.planners import Curious
from tests.phase_diagrams.synthetic_trials import small_spec, synthetic_trials

SPEC = small_spec(sparsity=[0.8, 0.9], hidden_dim=[40], activation=["topk:1", "relu"], seeds=3)
NAME = trial_namer(SPEC)
ROWS = synthetic_trials(SPEC)


class Table:
    """A stock that is a table."""

    def __init__(self, held: Collection[str]) -> None:
        self.held = frozenset(held)

    def fetch(self, trial_ids: Collection[str]) -> frozenset[str]:
        return frozenset(trial_ids) & self.held

    def read(self, trial_ids: Collection[str]) -> pa.Table:
        assert self.held.issuperset(trial_ids)
        return rows_of(trial_ids)


def rows_of(trial_ids: Collection[str]) -> pa.Table:
    return ROWS.filter(pc.is_in(ROWS["trial_id"], pa.array(sorted(trial_ids), pa.string())))


def run(planner: Planner, held: Collection[str] = (), stop: int = 10**9) -> tuple[list[str], Replay]:
    """Train what a replay asks for, one trial at a time and the last first, until `stop` are trained."""
    replay, trained = Replay(NAME, planner, Table(held)), []
    while trials := replay.ask():
        for trial in reversed(trials):
            if len(trained) == stop:
                return trained, replay
            trained.append(NAME(trial))
            if not replay.done:
                replay.tell(rows_of([NAME(trial)]))
    assert replay.done
    return trained, replay


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 12), st.integers(0, 12), st.sets(st.sampled_from(ROWS["trial_id"].to_pylist())))
def test_after_two_kills_the_questions_are_those_of_an_undisturbed_run(
    first: int, second: int, others: set[str]
) -> None:
    whole = Curious(SPEC)
    run(whole)
    early, _ = run(Curious(SPEC), others, first)
    middle, _ = run(Curious(SPEC), others | set(early), second)
    last = Curious(SPEC)
    trained, replay = run(last, others | set(early) | set(middle))
    assert last.asked == whole.asked
    every = early + middle + trained
    assert len(every) == len(set(every)), "nothing is trained twice"
    assert set(every) | others >= set(whole.asked)
    assert not set(every) & others
    assert replay.reused + len(trained) == replay.expected == len(whole.asked)
    assert replay.report() == {"text": "12 answers", "answers": 12}


def test_a_lost_trial_is_an_answer_too() -> None:
    planner = Curious(SPEC)
    replay = Replay(NAME, planner, Table(()))
    while trials := replay.ask():
        assert replay.ask() == [], "it waits for the whole round"
        replay.lose(trials[:1])
        replay.tell(rows_of([NAME(trial) for trial in trials[1:]]))
    assert replay.done
    assert sum(answer == "lost" for answer in planner.answers.values()) == planner.limit


@pytest.mark.parametrize("held", [0, 7, 24])
def test_a_grid_asks_once_for_what_is_missing_in_its_own_order(held: int) -> None:
    ids = [NAME(trial) for trial in grid_trials(SPEC)]
    replay = Replay(NAME, GridPlanner(SPEC), Table(ids[:held]))
    assert [NAME(trial) for trial in replay.ask()] == ids[held:]
    assert replay.done
    assert (replay.ask(), replay.reused, replay.expected) == ([], held, len(ids))
