from hypothesis import given, settings
from hypothesis import strategies as st

from phase_diagrams import pack as module
from phase_diagrams.pace import Pace, Paces, shape_name
from phase_diagrams.pack import DRIVER_SECONDS, MAX_PACK_SECONDS, MIN_PACK_SECONDS, cut_packs, halve, pack_limit
from phase_diagrams.spec import parse_spec
from phase_diagrams.trial import grid_trials, trial_namer

JOB = parse_spec(
    {
        "data": {"n_features": 8, "n_inputs": 4},
        "grid": {"sparsity": [0.5, 0.9], "hidden_dim": [8, 16], "activation": ["topk:1", "relu"], "seeds": 3},
    }
)


@settings(deadline=None)
@given(st.sets(st.sampled_from(list(grid_trials(JOB)))), st.floats(1e-4, 1e2))
def test_packs_partition_the_trials_and_never_mix_streams(trials, limit):
    module.MAX_PACK_SECONDS, before = limit, MAX_PACK_SECONDS
    try:
        packs = cut_packs(JOB, trials)
    finally:
        module.MAX_PACK_SECONDS = before
    packed = [trial for pack in packs for trial in pack.trials]
    assert len(packed) == len(trials)
    assert set(packed) == trials
    name = trial_namer(JOB)
    for pack in packs:
        assert {(t.condition.sparsity, t.seed) for t in pack.trials} == {(pack.sparsity, pack.seed)}
        assert pack.trial_ids == tuple(name(trial) for trial in pack.trials)
        assert pack.cost <= limit or len(pack.trials) == 1
    assert [pack.cost for pack in packs] == sorted((pack.cost for pack in packs), reverse=True)
    assert len({pack.pack_id for pack in packs}) == len(packs)


def test_halving_ends_at_single_trials_and_loses_none():
    whole = cut_packs(JOB, grid_trials(JOB))[0]
    parts = (whole,)
    while any(len(part.trials) > 1 for part in parts):
        parts = tuple(half for part in parts for half in halve(part))
    assert [trial for part in parts for trial in part.trials] == list(whole.trials)
    assert halve(parts[0]) == (parts[0],)


@given(st.floats(0.1, 1e7), st.floats(0, 10), st.integers(2, 5000))
def test_packs_get_shorter_for_more_slots_until_they_would_not_be_worth_their_overhead(seconds, drawing, slots):
    limit = pack_limit(seconds, drawing, slots)
    assert max(MIN_PACK_SECONDS, min(10 * drawing, MAX_PACK_SECONDS)) <= limit
    assert limit <= max(MAX_PACK_SECONDS, slots * DRIVER_SECONDS)
    # The driver needs no longer for all packs than the slots for their trainings, or than the longest pack.
    assert DRIVER_SECONDS * seconds / limit <= max(seconds / slots, limit) * (1 + 1e-9)
    assert pack_limit(seconds, drawing, 1) == MAX_PACK_SECONDS


def test_a_job_of_few_streams_gives_work_to_many_slots():
    # Two streams of 24 s each, in steps of 1 s.
    job = parse_spec(
        {
            "data": {"n_features": 8, "n_inputs": 4},
            "grid": {
                "sparsity": [0.5, 0.9],
                "hidden_dim": {"start": 8, "stop": 31, "num": 24},
                "activation": ["topk:1"],
                "seeds": 1,
                "starts": ["random"],
            },
        }
    )
    paces = Paces({shape_name(job, trial.condition): Pace(0.0, 0.0, 1.0) for trial in grid_trials(job)})
    sizes = {
        slots: [len(pack.trials) for pack in cut_packs(job, grid_trials(job), paces, slots)] for slots in (1, 2, 6)
    }
    assert sizes == {1: [20, 20, 4, 4], 2: [6] * 8, 6: [2] * 24}
