from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from phase_diagrams.folder import same_results
from phase_diagrams.pack import cut_packs, halve
from phase_diagrams.planted import plant_dictionary
from phase_diagrams.spec import parse_spec
from phase_diagrams.tables import TRIALS
from phase_diagrams.trial import grid_trials
from workers.evaluation import loss_slope
from workers.pack_run import run_pack
from workers.sae import initialise


def spec(**changes):
    document = {
        "data": {"n_features": 8, "n_inputs": 5, "code": {"kind": "bernoulli"}},
        "grid": {
            "sparsity": [0.6, 0.9],
            "hidden_dim": [6, 9],
            "activation": ["topk:1", "topk:2", "batchtopk:2", "relu", "relu_l1:0.01"],
            "exponent": [0.0, 1.0],
            "seeds": 2,
        },
        "training": {"steps": 15, "batch_size": 24},
    }
    for key, value in changes.items():
        *parents, last = key.split("__")
        here = document
        for parent in parents:
            here = here.setdefault(parent, {})
        here[last] = value
    return parse_spec(document)


def rows_by_id(job, packs):
    dictionary = plant_dictionary(job.data)
    table = [run_pack(job, dictionary, pack) for pack in packs]
    return {one["trial_id"][i].as_py(): one.slice(i, 1) for one in table for i in range(one.num_rows)}


JOB = spec()
ALONE = {}


def alone():
    if not ALONE:
        pieces = cut_packs(JOB, grid_trials(JOB))
        while any(len(pack.trials) > 1 for pack in pieces):
            pieces = [half for pack in pieces for half in halve(pack)]
        ALONE.update(rows_by_id(JOB, pieces))
    return ALONE


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.randoms(use_true_random=False))
def test_a_row_is_the_same_in_every_packing(random):
    trials = list(grid_trials(JOB))
    random.shuffle(trials)
    packs = cut_packs(JOB, trials[: random.randint(1, len(trials))])
    for _ in range(random.randint(0, 3)):
        packs = [half for pack in packs for half in (halve(pack) if random.random() < 0.5 else (pack,))]
    for trial_id, row in rows_by_id(JOB, packs).items():
        assert same_results(row, alone()[trial_id]), trial_id


def test_every_trial_has_one_row_of_the_schema():
    table = alone()
    assert len(table) == JOB.n_trials == 2 * 2 * 5 * 2 * 2 * 2
    for row in table.values():
        assert row.schema.equals(TRIALS)
        assert not row["diverged"][0].as_py()
        assert len(row["feature_cosine"][0].as_py()) == 8
        assert row["steps"][0].as_py() == 15


def test_alpha_changes_the_loss_but_not_data_or_start():
    dictionary = plant_dictionary(JOB.data)
    job = spec(training={"steps": 1, "batch_size": 24, "learning_rate": 1e-9}, grid__activation=["topk:2"])
    rows = [row for pack in cut_packs(job, grid_trials(job)) for row in run_pack(job, dictionary, pack).to_pylist()]
    groups = {}
    for row in rows:
        groups.setdefault((row["sparsity"], row["hidden_dim"], row["seed"], row["start"]), []).append(row)
    for plain, weighted in groups.values():
        assert plain["exponent"] != weighted["exponent"]
        assert plain["sae_loss"] == pytest.approx(weighted["sae_loss"], rel=1e-6)  # unweighted, the same weights
        assert plain["objective"] != weighted["objective"]


def test_the_truth_start_of_an_orthogonal_dictionary_stays():
    job = spec(
        data={"n_features": 4, "n_inputs": 4, "superposition": {"kind": "polygon", "mono": 4}},
        grid={"sparsity": [0.8], "hidden_dim": [4], "activation": ["relu"], "seeds": 1, "starts": ["random", "truth"]},
        training={"steps": 200, "batch_size": 64},
    )
    truth = next(
        row
        for pack in cut_packs(job, grid_trials(job))
        for row in run_pack(job, plant_dictionary(job.data), pack).to_pylist()
        if row["start"] == "truth"
    )
    assert truth["mcc"] == pytest.approx(1, abs=1e-4)
    assert truth["identified"]
    assert truth["gt_loss"] < 1e-4
    assert truth["sae_loss"] < 1e-4
    assert truth["support_f1"] == 1
    assert truth["shrinkage"] == pytest.approx(1, abs=1e-2)


def test_a_diverged_trial_is_a_row_and_spoils_no_neighbour(monkeypatch):
    def exploding(trial, dictionary):
        weights = initialise(trial, dictionary)
        if trial.start == "random" and trial.condition.activation.kind == "relu":
            return replace(weights, encoder=weights.encoder * np.float32(1e25))
        return weights

    monkeypatch.setattr("workers.pack_run.initialise", exploding)
    for trial_id, row in rows_by_id(JOB, cut_packs(JOB, grid_trials(JOB))[:1]).items():
        one = row.to_pylist()[0]
        if one["start"] == "random" and one["activation"] == "relu":
            assert one["diverged"]
            assert not one["identified"]
            assert {one[name] for name in ("mcc", "objective", "sae_loss", "loss_slope", "feature_cosine")} == {None}
            assert one["steps"] < 15
        else:
            assert same_results(row, alone()[trial_id])


def test_cuda_path_of_a_pack_agrees_with_the_cpu_path():
    job = spec(sae={"tied": False})
    pack = cut_packs(job, grid_trials(job))[0]
    dictionary = plant_dictionary(job.data)
    fused = run_pack(job, dictionary, pack, "cpu").to_pylist()
    # device names a torch device; "meta" aside, every device takes the same path, and cpu:0 is one that exists here.
    torch_rows = run_pack(job, dictionary, pack, "cpu:0").to_pylist()
    for one, other in zip(fused, torch_rows, strict=True):
        assert one["trial_id"] == other["trial_id"]
        assert one["objective"] == pytest.approx(other["objective"], rel=1e-2)
        assert one["mcc"] == pytest.approx(other["mcc"], abs=2e-2)


def test_the_steps_column_tells_of_early_stops_and_the_row_does_not_depend_on_the_pack():
    stop = {"patience": 10, "tolerance": 0.1}
    job = spec(training={"steps": 60, "batch_size": 24, "stop": stop}, grid__sparsity=[0.9])
    packs = cut_packs(job, grid_trials(job))
    whole = rows_by_id(job, packs)
    halves = rows_by_id(job, [half for pack in packs for half in halve(pack)])
    steps = {row["steps"][0].as_py() for row in whole.values()}
    assert steps <= {20 + 10, 30 + 10, 40 + 10, 60}
    assert len(steps) > 1
    for trial_id, row in whole.items():
        assert same_results(row, halves[trial_id])
        assert np.isfinite(row["loss_slope"][0].as_py())


def test_bfloat16_on_a_cpu_gives_rows_of_its_own_that_do_not_depend_on_the_pack():
    small = {"grid__sparsity": [0.9], "grid__exponent": [0.0], "grid__seeds": 1}
    job = spec(training={"steps": 15, "batch_size": 24, "precision": "bfloat16"}, **small)
    packs = cut_packs(job, grid_trials(job))
    whole = rows_by_id(job, packs)
    halves = rows_by_id(job, [half for pack in packs for half in halve(pack)])
    plain = rows_by_id(spec(**small), cut_packs(spec(**small), grid_trials(spec(**small))))
    assert not set(whole) & set(plain)
    for trial_id, row in whole.items():
        assert same_results(row, halves[trial_id])
    objectives = [sorted(row["objective"][0].as_py() for row in rows.values()) for rows in (whole, plain)]
    assert objectives[0] != objectives[1]
    assert objectives[0] == pytest.approx(objectives[1], rel=0.05)


def test_loss_slope_of_known_curves():
    assert loss_slope(np.full(1000, 3.0)) == pytest.approx(0)
    falling = np.concatenate([np.ones(900), np.linspace(1.05, 0.95, 100)])
    assert loss_slope(falling) == pytest.approx(-0.1, rel=1e-6)
    assert loss_slope(np.ones(5)) == 0
