"""A queue of packs: nothing lost, nothing twice, a bad trial found by halving."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phase_diagrams.pace import Pace, Paces, shape_name
from phase_diagrams.pack import MAX_PACK_SECONDS, Pack
from phase_diagrams.planner import GridPlanner
from phase_diagrams.spec import JobSpec, parse_spec
from phase_diagrams.trial import grid_trials, trial_namer
from tests.phase_diagrams.planners import Curious, Listed
from tests.workers.trainers import fake_rows
from workers.pack_queue import ATTEMPTS, FASTER, HOPELESS, PackQueue


def a_spec(seeds: int = 2, widths: int = 4) -> JobSpec:
    return parse_spec(
        {
            "data": {"n_features": 8, "n_inputs": 4},
            "grid": {
                "sparsity": [0.8, 0.9],
                "hidden_dim": list(range(8, 8 + widths)),
                "activation": ["topk:1", "relu"],
                "seeds": seeds,
            },
        }
    )


def drain(
    queue: PackQueue, bad: set[str], at_a_time: int, speed: float = 0.0
) -> tuple[list[str], list[str], dict[str, int]]:
    """Run a queue dry with trials that always fail: finished ids, given up ids, starts per trial.

    With a `speed`, packs say that they took so much less than they were to take.
    """
    costs: dict[str, float] = {}
    finished: list[str] = []
    given_up: list[str] = []
    starts: dict[str, int] = {}
    running: dict[str, list[str]] = {}
    ticket = 0
    while True:
        while len(running) < at_a_time and (pack := queue.take(str(ticket))) is not None:
            running[str(ticket)] = list(pack.trial_ids)
            costs[str(ticket)] = pack.cost
            for trial_id in pack.trial_ids:
                starts[trial_id] = starts.get(trial_id, 0) + 1
            ticket += 1
        if not running:
            assert queue.exhausted
            return finished, given_up, starts
        one = next(iter(running))
        ids = running.pop(one)
        if bad & set(ids):
            failure = queue.fail(one, "no reason")
            if failure.answer == "give_up":
                given_up += ids
        else:
            queue.finish(one, None, costs[one] / speed if speed else 0.0)
            finished += ids


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_bad_trials_are_given_up_and_every_other_one_finishes_once(data: st.DataObject) -> None:
    spec = a_spec()
    ids = [trial_namer(spec)(trial) for trial in grid_trials(spec)]
    bad = set(data.draw(st.lists(st.sampled_from(ids), unique=True, max_size=4)))
    finished, given_up, starts = drain(PackQueue(spec, GridPlanner(spec)), bad, data.draw(st.integers(1, 3)))
    assert sorted(finished + given_up) == sorted(ids)
    assert set(given_up) == bad
    if not bad:
        assert set(starts.values()) == {1}


def test_a_single_trial_runs_twice_before_it_is_given_up() -> None:
    spec = a_spec(seeds=1, widths=1)
    ids = [trial_namer(spec)(trial) for trial in grid_trials(spec)]
    _, given_up, starts = drain(PackQueue(spec, Listed(list(grid_trials(spec))[:1])), {ids[0]}, 1)
    assert (given_up, starts) == ([ids[0]], {ids[0]: ATTEMPTS})


def test_a_pack_is_retried_as_it_is_before_it_is_halved() -> None:
    spec = a_spec()
    queue = PackQueue(spec, GridPlanner(spec))
    pack = queue.take("a")
    assert queue.fail("a", "why").answer == "retry"
    assert queue.take("b") == pack
    assert queue.fail("b", "why").answer == "halve"
    halves = [queue.take("c"), queue.take("d")]
    assert pack is not None
    assert [trial for half in halves if half for trial in half.trials] == list(pack.trials)


def test_a_run_in_which_everything_fails_ends_early() -> None:
    spec = a_spec(seeds=8, widths=8)
    ids = {trial_namer(spec)(trial) for trial in grid_trials(spec)}
    queue = PackQueue(spec, GridPlanner(spec))
    finished, given_up, _ = drain(queue, ids, 2)
    assert queue.closed
    assert not finished
    assert len(given_up) == HOPELESS


def test_a_planner_gets_rows_and_its_later_trials_run() -> None:
    spec = a_spec()
    planner, asked = Curious(spec), []
    queue = PackQueue(spec, planner, lambda packs: asked.append(sum(len(pack.trials) for pack in packs)))
    seen: list[str] = []
    for number in range(1000):
        pack = queue.take(str(number))
        if pack is None:
            break
        seen += pack.trial_ids
        queue.finish(str(number), fake_rows(spec, pack))
    assert sorted(seen) == sorted(planner.asked)
    assert queue.exhausted
    assert asked == [planner.size] * planner.limit + [0], "and an empty round says that it is done"


def test_a_planner_goes_on_without_the_trials_that_were_given_up() -> None:
    spec = a_spec()
    planner = Curious(spec)
    first = trial_namer(spec)(Curious(spec).ask()[0])
    queue = PackQueue(spec, planner)
    running: list[tuple[str, Pack]] = []
    for ticket in map(str, range(1000)):
        pack = queue.take(ticket)
        if pack is None:
            break
        running.append((ticket, pack))
        if first in pack.trial_ids:
            queue.fail(ticket, "no reason")
        else:
            queue.finish(ticket, fake_rows(spec, pack))
    assert planner.done
    assert planner.answers[first] == "lost"
    assert list(planner.answers.values()).count("lost") == 1


@pytest.mark.parametrize("trials", [1, 2, 5])
def test_failures_are_told_in_words(trials: int) -> None:
    spec = a_spec()
    namer = trial_namer(spec)
    wanted = list(grid_trials(spec))[:trials]
    queue = PackQueue(spec, Listed(wanted))
    queue.take("a")
    told = str(queue.fail("a", "why"))
    assert f"{trials} trials" in told or (trials == 1 and namer(wanted[0]) in told)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_packs_that_are_cut_anew_lose_and_repeat_nothing(data: st.DataObject) -> None:
    spec = a_spec(widths=8)
    trials = list(grid_trials(spec))
    ids = [trial_namer(spec)(trial) for trial in trials]
    bad = data.draw(st.sets(st.sampled_from(ids), max_size=3))
    # So slow that each trial is a pack of its own, until the packs show otherwise.
    slow = Paces({shape_name(spec, trial.condition): Pace(0.0, 0.0, MAX_PACK_SECONDS) for trial in trials})
    queue = PackQueue(spec, Listed(trials), paces=slow, slots=2)
    speed = data.draw(st.sampled_from([0.5, 1.9, 4.0, 100.0]))
    finished, given_up, starts = drain(queue, bad, data.draw(st.integers(1, 3)), speed)
    assert sorted(finished) == sorted(set(ids) - bad)
    assert sorted(given_up) == sorted(bad)
    assert all(starts[trial_id] == 1 for trial_id in finished) or bad
    # Four streams at least; with no more than that, each is cut as long as it can be.
    assert (queue.finished == len(ids) - len(bad)) == (speed < FASTER) or bad


def test_longer_packs_follow_fast_ones_and_what_failed_stays_short() -> None:
    spec = a_spec(seeds=1, widths=8)
    trials = list(grid_trials(spec))
    slow = Paces({shape_name(spec, trial.condition): Pace(0.0, 0.0, MAX_PACK_SECONDS) for trial in trials})
    queue = PackQueue(spec, Listed(trials), paces=slow, slots=2)
    first, second = queue.take("1"), queue.take("2")
    assert first is not None
    assert second is not None
    assert len(first.trials) == len(second.trials) == 1
    queue.fail("2", "its node was lost")
    queue.finish("1", None, first.cost / 8)
    again, longer = queue.take("3"), queue.take("4")
    assert again == second
    assert longer is not None
    assert len(longer.trials) == 7  # an eighth of what is left, as two slots are to have four packs each
