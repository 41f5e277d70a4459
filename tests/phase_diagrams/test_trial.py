import json
from dataclasses import replace
from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from phase_diagrams.activation import Activation, parse_activation
from phase_diagrams.proxy import Proxy
from phase_diagrams.spec import parse_spec
from phase_diagrams.trial import Condition, Trial, data_key, grid_trials, initialisation_key, study_key, trial_namer


def spec(**changes):
    document = {
        "data": {"n_features": 8, "n_inputs": 4},
        "grid": {
            "sparsity": [0.5, 0.9],
            "hidden_dim": [8, 16],
            "activation": ["topk:1", "relu", "relu_l1:0.1"],
            "exponent": [0.0, 1.0],
            "seeds": 3,
        },
    }
    return parse_spec(document | changes)


def test_the_grid_holds_every_trial_exactly_once():
    job = spec()
    trials = list(grid_trials(job))
    assert len(trials) == len(set(trials)) == job.n_trials == 2 * 2 * 3 * 2 * 3 * 2
    name = trial_namer(job)
    assert len({name(trial) for trial in trials}) == len(trials)


def test_a_name_depends_on_what_determines_the_row_and_on_nothing_else():
    trial = next(iter(grid_trials(spec())))
    name = trial_namer(spec())(trial)
    assert len(name) == 16
    assert int(name, 16) >= 0
    same = [
        spec(name="other"),
        spec(resources={"max_concurrent": 3, "device": "cpu"}),
        spec(grid={"sparsity": [0.5], "hidden_dim": [8], "activation": ["topk:1"]}),
        spec(training={"schedule": "linear", "steps": 1500}),
        spec(training={"stop": None, "precision": "float32"}),
        spec(data={"n_inputs": 4, "n_features": 8}),
    ]
    other = [
        spec(training={"steps": 1501}),
        spec(training={"stop": {}}),
        spec(training={"precision": "bfloat16"}),
        spec(training={"stop": {"tolerance": 0.01}}),
        spec(recovery={"cosine": 0.95}),
        spec(sae={"tied": False}),
        spec(data={"n_features": 8, "n_inputs": 4, "noise": 0.1}),
        spec(data={"n_features": 8, "n_inputs": 4, "superposition": {"kind": "random_unit", "seed": 1}}),
    ]
    assert {trial_namer(job)(trial) for job in same} == {name}
    assert name not in {trial_namer(job)(trial) for job in other}


def test_names_are_stable_across_versions_of_this_engine():
    trial = Trial(Condition(0.5, 8, Activation("topk", k=1), 0.0), 0, "random")
    assert trial_namer(spec())(trial) == "dc8e58d6eb95a316"


def test_trials_that_may_stop_early_have_other_names_under_another_rule_of_stopping(monkeypatch):
    trial = Trial(Condition(0.5, 8, Activation("topk", k=1), 0.0), 0, "random")
    plain, stopping = spec(), spec(training={"stop": {"patience": 200, "tolerance": 0.002}})
    before = [trial_namer(each)(trial) for each in (plain, stopping)]
    monkeypatch.setattr("phase_diagrams.trial.STOPPING_VERSION", 0)
    after = [trial_namer(each)(trial) for each in (plain, stopping)]
    assert before[0] == after[0]
    assert before[1] != after[1]


def test_a_proxy_counts_where_it_weights_and_the_variance_keeps_its_names():
    plain, weighted = (Trial(Condition(0.5, 8, Activation("topk", k=1), alpha), 0, "random") for alpha in (0.0, 1.0))
    of = {proxy: trial_namer(spec(reweighting={"proxy": proxy})) for proxy in get_args(Proxy)}
    assert {name(plain) for name in of.values()} == {trial_namer(spec())(plain)}, "plain trials are shared"
    assert len({name(weighted) for name in of.values()}) == len(of)
    assert of["variance"](weighted) == trial_namer(spec())(weighted) == "8cbd013041bfd1d3"
    searched = trial_namer(spec(reweighting={"search": {}, "proxy": "kurtosis"}))
    assert searched(weighted) == of["kurtosis"](weighted), "what asked for a trial is not in its name"


def test_a_longer_search_continues_a_shorter_one_and_other_searches_draw_otherwise():
    def key(condition, suggested, **search):
        return study_key(spec(reweighting={"search": search}), condition, suggested)

    here = Condition(0.5, 8, Activation("topk", k=1), 0.0)
    assert key(here, 4, trials=8) == key(here, 4, trials=16)
    others = [key(here, 8), key(here, 4, high=1.5), key(here, 4, sampler="gp"), key(replace(here, sparsity=0.9), 4)]
    assert len({key(here, 4), *others}) == 5


def test_equal_matrices_are_one_dictionary_however_they_are_written():
    rows = [[1.0, 0, 0, 0, 1, 0, 0, 0], [0, 1, 0, 0, 0, 1, 0, 0], [0, 0, 1, 0, 0, 0, 1, 0], [0, 0, 0, 1, 0, 0, 0, 1]]
    data = {"n_features": 8, "n_inputs": 4, "superposition": {"kind": "explicit", "matrix": rows}}
    trial = next(iter(grid_trials(spec())))
    reread = json.loads(spec(data=data).model_dump_json())["data"]
    assert trial_namer(spec(data=data))(trial) == trial_namer(spec(data=reread))(trial)


@given(st.sampled_from(list(grid_trials(spec()))), st.sampled_from(list(grid_trials(spec()))))
def test_streams_are_shared_exactly_where_the_contract_says(one, other):
    job = spec()
    a, b = one.condition, other.condition
    same_data = (a.sparsity, one.seed) == (b.sparsity, other.seed)
    assert (data_key(job, a.sparsity, one.seed) == data_key(job, b.sparsity, other.seed)) == same_data
    same_rows = same_data and (a.hidden_dim, a.activation) == (b.hidden_dim, b.activation)
    assert (initialisation_key(one) == initialisation_key(other)) == same_rows
    assert initialisation_key(one) != data_key(job, b.sparsity, other.seed)


@given(st.sampled_from(["topk", "batchtopk"]), st.integers(1, 10**8))
def test_activations_round_trip(kind, k):
    assert parse_activation(str(Activation(kind, k=k))) == Activation(kind, k=k)


@given(st.floats(1e-12, 1e6))
def test_penalties_round_trip(l1):
    assert parse_activation(str(Activation("relu_l1", l1=l1))) == Activation("relu_l1", l1=l1)
