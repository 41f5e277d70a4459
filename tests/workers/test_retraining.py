"""A row leads back to the weights that it measured: the same, bit for bit, whatever pack they were trained in."""

from typing import Any

import numpy as np
import pytest

from phase_diagrams.activation import Activation
from phase_diagrams.pack import cut_packs
from phase_diagrams.planted import plant_dictionary
from phase_diagrams.spec import JobSpec, parse_spec
from phase_diagrams.trial import grid_trials
from workers.pack_run import train_pack
from workers.responses import encode
from workers.retraining import RetrainingError, retrain


def job(tied: bool = True, **training: Any) -> JobSpec:
    return parse_spec(
        {
            "data": {"n_features": 8, "n_inputs": 5},
            "grid": {
                "sparsity": [0.8],
                "hidden_dim": [6, 9],
                "activation": ["topk:2", "batchtopk:2", "relu", "relu_l1:0.01"],
                "exponent": [0.0, 1.0],
                "seeds": 1,
            },
            "sae": {"tied": tied},
            "training": {"steps": 40, "batch_size": 32, **training},
        }
    )


@pytest.mark.parametrize("spec", [job(), job(tied=False, stop={"patience": 10, "tolerance": 0.5})])
def test_every_trial_of_a_pack_is_trained_again_to_the_same_weights(spec: JobSpec) -> None:
    for pack in cut_packs(spec, grid_trials(spec)):
        done = train_pack(spec, plant_dictionary(spec.data), pack)
        for row, trained, trial in zip(done.rows.to_pylist(), done.trained, pack.trials, strict=True):
            again = retrain(spec, row)
            assert again.trial == trial
            assert again.differing == ()
            for name in ("encoder", "decoder", "encoder_bias", "decoder_bias"):
                assert np.array_equal(getattr(again.weights, name), getattr(trained.weights, name)), name
            if trial.condition.activation.kind != "batchtopk":
                assert again.threshold == 0
                continue
            inputs = done.data.samples, done.data.blocks, done.data.codes.n_samples
            every = encode(again.weights, Activation("relu"), spec.sae.tied, *inputs)
            kept = encode(again.weights, trial.condition.activation, spec.sae.tied, *inputs)
            assert np.array_equal(np.where(every > again.threshold, every, 0), kept), "one threshold picks the same"


def test_what_differs_is_told_and_what_cannot_be_is_refused() -> None:
    spec = job()
    pack = next(iter(cut_packs(spec, grid_trials(spec))))
    row = train_pack(spec, plant_dictionary(spec.data), pack).rows.to_pylist()[0]
    other = {**row, "mcc": np.nextafter(row["mcc"], 2.0).item(), "train_seconds": 9.0, "pack_id": "x"}
    assert retrain(spec, other).differing == ("mcc",)
    with pytest.raises(RetrainingError, match="another version of the engine"):
        retrain(spec, {**row, "trial_id": "0" * 16})
    with pytest.raises(RetrainingError, match="another version of the engine, or by another spec"):
        retrain(job(steps=41), row)
    with pytest.raises(RetrainingError, match="diverged"):
        retrain(spec, {**row, "diverged": True})
