"""A plan's figures: they add up, they grow with the job, and they leave out what is finished."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phase_diagrams.cost import START_SECONDS, WORKER_BYTES, driver_bytes, plan_cost
from phase_diagrams.pace import Pace, Paces, shape_name, trial_cost
from phase_diagrams.pack import cut_packs
from phase_diagrams.spec import JobSpec, parse_spec
from phase_diagrams.trial import grid_trials, trial_namer


def a_spec(steps: int = 100, seeds: int = 3, **resources: object) -> JobSpec:
    return parse_spec(
        {
            "data": {"n_features": 40, "n_inputs": 10},
            "grid": {"sparsity": [0.8, 0.9], "hidden_dim": [20, 80], "activation": ["topk:2", "relu"], "seeds": seeds},
            "training": {"steps": steps},
            "resources": resources,
        }
    )


@settings(deadline=None)
@given(finished=st.integers(0, 48))
def test_a_plan_adds_up_and_leaves_out_what_is_finished(finished: int) -> None:
    spec = a_spec()
    trials = list(grid_trials(spec))
    done = {trial_namer(spec)(trial) for trial in trials[:finished]}
    plan = plan_cost(spec, 2, done)
    assert (plan.conditions, plan.trials) == (8, 48)
    assert plan.trainings == 48 - finished
    assert plan.steps == plan.trainings * spec.training.steps
    assert plan.multiply_adds == pytest.approx(sum(trial_cost(spec, trial.condition) for trial in trials[finished:]))


def test_nothing_to_do_costs_nothing() -> None:
    spec = a_spec()
    plan = plan_cost(spec, 4, {trial_namer(spec)(trial) for trial in grid_trials(spec)})
    assert (plan.trainings, plan.packs, plan.packs_at_a_time, plan.seconds, plan.pack_bytes) == (0, 0, 0, 0, 0)


def test_time_falls_with_cores_as_far_as_packs_and_limits_allow() -> None:
    def seconds(cores: int, **resources: object) -> float:
        return plan_cost(a_spec(steps=200_000, **resources), cores).seconds - START_SECONDS

    assert seconds(4) == pytest.approx(seconds(1) / 4, rel=0.2)
    assert seconds(64, max_concurrent=1) == pytest.approx(seconds(1))
    assert seconds(4, cpus_per_trial=2) == pytest.approx(seconds(2))
    assert seconds(10**6) > 0


def test_memory_grows_with_the_width_of_a_pack_and_the_length_of_a_plan() -> None:
    narrow, wide = (
        parse_spec(
            {
                "data": {"n_features": 40, "n_inputs": 10},
                "grid": {"sparsity": [0.9], "hidden_dim": [width], "activation": ["relu"]},
            }
        )
        for width in (32, 4096)
    )
    assert WORKER_BYTES < plan_cost(narrow, 2).pack_bytes < plan_cost(wide, 2).pack_bytes
    assert driver_bytes(a_spec(seeds=3)) < driver_bytes(a_spec(seeds=3000))


def test_measured_paces_set_the_time_and_the_rest_is_estimated() -> None:
    spec = a_spec(steps=1000, seeds=1)
    shapes = {shape_name(spec, trial.condition) for trial in grid_trials(spec)}
    assert len(shapes) == 4
    paces = Paces(dict.fromkeys(shapes, Pace(step=0.001, draw=0.002, trial=0.5)))
    # Two streams of eight trainings: 2 s of drawing, and 8 times 1 s of steps and 0.5 s of scoring.
    assert plan_cost(spec, 1, paces=paces).seconds == pytest.approx(START_SECONDS + 2 * (2 + 8 * 1.5))
    assert plan_cost(spec, 2, paces=paces).seconds == pytest.approx(START_SECONDS + 2 + 8 * 1.5)
    assert paces.missing(spec, grid_trials(spec)) == []
    half = Paces({name: paces.shapes[name] for name in sorted(shapes)[:2]})
    assert {shape_name(spec, one) for one in half.missing(spec, grid_trials(spec))} == set(sorted(shapes)[2:])
    assert plan_cost(spec, 1).seconds < plan_cost(spec, 1, paces=half).seconds < plan_cost(spec, 1, paces=paces).seconds


def test_packs_are_cut_by_measured_time_and_by_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = a_spec(steps=1000, seeds=1)
    slow = Paces({shape_name(spec, trial.condition): Pace(0.006, 0.0, 0.0) for trial in grid_trials(spec)})
    assert [len(pack.trials) for pack in cut_packs(spec, grid_trials(spec))] == [8, 8]
    assert sorted(len(pack.trials) for pack in cut_packs(spec, grid_trials(spec), slow)) == [2, 2, 3, 3, 3, 3]
    monkeypatch.setattr("phase_diagrams.pack.MAX_PACK_BYTES", 0)
    assert all(len(pack.trials) == 1 for pack in cut_packs(spec, grid_trials(spec)))
