from hypothesis import given, settings
from hypothesis import strategies as st

from phase_diagrams import pack as module
from phase_diagrams.pack import MAX_PACK_SECONDS, cut_packs, halve
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
