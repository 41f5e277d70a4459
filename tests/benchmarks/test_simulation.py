"""The simulation of large runs: where its answer is known, it gives it."""

from dataclasses import fields, replace

import pytest

from benchmarks.scale import job_spec, opened, paces_of, trainer
from benchmarks.simulation import PARTS, SPREAD, Course, Overheads, bottlenecks, simulate
from phase_diagrams.cost import ROW_SECONDS, START_SECONDS, plan_cost
from phase_diagrams.pack import Pack
from tests.phase_diagrams.planted_boundary import planted_rows, refined_spec
from workers.fan_out import MAX_PENDING
from workers.pack_queue import PackQueue
from workers.planners import open_planner

SPEC = job_spec("small", 1_000)
PACES = paces_of("small", SPEC)
NOTHING = Overheads(**{field.name: 0.0 for field in fields(Overheads)})
TRAIN = trainer(SPEC, PACES)


def course(slots: int, costs: Overheads, cut_for: int | None = None) -> Course:
    return simulate(opened(SPEC, PACES, cut_for or slots)(), slots, TRAIN, costs)


@pytest.mark.parametrize("slots", [1, 3, 50])
def test_without_overheads_it_takes_what_the_plan_says(slots: int) -> None:
    found = course(slots, NOTHING)
    rest = START_SECONDS + ROW_SECONDS * SPEC.n_trials
    assert found.wall == pytest.approx(plan_cost(SPEC, slots, paces=PACES).seconds - rest)
    assert (found.trials, found.driver) == (SPEC.n_trials, 0)
    assert found.utilisation == pytest.approx(found.even / found.wall)
    assert found.utilisation == pytest.approx(1.0, abs={1: 1e-9, 3: 0.1, 50: 1.0}[slots])


def test_one_slot_waits_for_each_overhead_in_turn() -> None:
    bare = course(1, NOTHING)
    costs = replace(NOTHING, ray=5.0, actor=3.0, driver=0.5, writing=0.25, checking=0.125, drawing=7.0)
    assert course(1, costs).wall == pytest.approx(bare.wall + 15.0 + bare.packs * 0.875, abs=3.0 * SPREAD)


def test_no_more_packs_are_served_than_the_driver_can() -> None:
    found = course(1000, replace(NOTHING, driver=2.0))
    # The first pack begins when it has been served, and so for all; the last one then trains.
    assert found.wall >= 2.0 * found.packs
    assert found.driver == pytest.approx(2.0 * found.packs)
    [(first, saved), *_] = bottlenecks(lambda costs: course(1000, costs), replace(NOTHING, driver=2.0))
    assert first == "driver"
    assert saved <= found.wall


def test_actors_start_in_waves_and_are_disturbed_only_where_each_waiting_trial_has_one() -> None:
    costs = replace(NOTHING, actor=10.0)
    assert course(MAX_PENDING, costs).wall == pytest.approx(course(MAX_PENDING, NOTHING).wall + 10.0, abs=10 * SPREAD)
    queue = opened(SPEC, PACES, 1)
    [together, few] = [simulate(queue(), 8, lambda pack: 1.0, costs, starting=starting) for starting in (8, 2)]
    # 40 packs of a second: eight that are up need 5 s. Of three that start at a time, each that ends a pack ends one
    # of the next three before it is up.
    assert together.wall == pytest.approx(15.5, abs=0.6)
    assert few.wall == pytest.approx(10.5 + 40 / 3, abs=2.0)


def test_every_overhead_belongs_to_one_part() -> None:
    parts = [name for names in PARTS.values() for name in names]
    assert sorted(parts) == sorted(field.name for field in fields(Overheads))


def test_a_planner_in_rounds_leaves_slots_idle_between_them() -> None:
    spec = refined_spec(budget=120)

    class Nothing:
        def fetch(self, trial_ids: object) -> frozenset[str]:
            return frozenset()

    def second(pack: Pack) -> float:
        return 1.0 * len(pack.trials)

    planner = open_planner(spec, Nothing())  # type: ignore[arg-type]
    queue = PackQueue(spec, planner)
    found = simulate(queue, 1000, second, NOTHING, rows=lambda pack: planted_rows(spec, pack.trials))
    assert found.trials == 120
    assert found.wall > 3.0  # rounds, each as long as its longest pack
    assert queue.exhausted
