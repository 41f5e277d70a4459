"""An exported SAE is the trial's own: read back by safetensors, and encoded with by SAELens itself where it is."""

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from benchmarks.saelens_loop import saelens_python
from phase_diagrams.pack import cut_packs
from phase_diagrams.planted import plant_dictionary
from phase_diagrams.spec import JobSpec
from phase_diagrams.trial import grid_trials
from tests.workers.test_retraining import job
from workers.pack_run import TrainedPack, train_pack
from workers.responses import encode
from workers.retraining import Retrained, retrain
from workers.saelens_files import saelens_files

ENCODE = """
import json, sys
import numpy as np, torch
from sae_lens import SAE
for folder in sys.argv[1:]:
    sae = SAE.load_from_disk(folder)
    inputs = torch.from_numpy(np.load(f"{folder}/inputs.npy"))
    with torch.no_grad():
        latents = sae.encode(inputs)
        np.save(f"{folder}/latents.npy", latents.numpy())
        np.save(f"{folder}/outputs.npy", sae.decode(latents).numpy())
    print(type(sae).__name__)
"""


def exported(spec: JobSpec) -> list[tuple[dict[str, Any], Retrained, TrainedPack]]:
    """A trial of each activation and exponent, trained again."""
    found = []
    for pack in cut_packs(spec, grid_trials(spec)):
        done = train_pack(spec, plant_dictionary(spec.data), pack)
        found += [(row, retrain(spec, row), done) for row in done.rows.to_pylist() if row["start"] == "random"]
    return found


@pytest.mark.parametrize("tied", [True, False])
def test_the_files_hold_the_weights_and_say_what_they_are(tied: bool, tmp_path: Path) -> None:
    spec = job(tied)
    for row, retrained, _ in exported(spec):
        files = saelens_files(spec, row["trial_id"], retrained)
        (tmp_path / "weights").write_bytes(files["sae_weights.safetensors"])
        tensors, config = load_file(tmp_path / "weights"), json.loads(files["cfg.json"])
        assert np.array_equal(tensors["W_enc"], retrained.weights.encoder.T)
        assert np.array_equal(tensors["W_dec"], retrained.weights.decoder)
        assert (config["d_in"], config["d_sae"]) == tensors["W_enc"].shape == (5, row["hidden_dim"])
        assert config["metadata"]["saephase_trial"]["trial_id"] == row["trial_id"]
        assert config["metadata"]["saephase_trial"]["equals_stored_row"]
        kinds = {"topk": "topk", "batchtopk": "jumprelu", "relu": "standard", "relu_l1": "standard"}
        assert config["architecture"] == kinds[row["activation"]]
        assert ("threshold" in tensors) == (row["activation"] == "batchtopk")
        assert config.get("k") == (2 if row["activation"] == "topk" else None)
        norms = np.linalg.norm(tensors["W_dec"], axis=1)
        assert tied or np.allclose(norms, 1, atol=1e-5)


@pytest.mark.skipif(saelens_python() is None, reason="SAELens is not installed; SAELENS_PYTHON may name a Python of it")
@pytest.mark.parametrize("tied", [True, False])
def test_saelens_encodes_and_decodes_as_the_trial_did(tied: bool, tmp_path: Path) -> None:
    spec = job(tied)
    trials = exported(spec)
    folders = []
    for row, retrained, done in trials:
        folder = tmp_path / row["trial_id"]
        folder.mkdir()
        for name, content in saelens_files(spec, row["trial_id"], retrained).items():
            (folder / name).write_bytes(content)
        np.save(folder / "inputs.npy", done.data.inputs)
        folders.append(folder)
    command = [str(saelens_python()), "-W", "ignore", "-c", ENCODE, *map(str, folders)]
    told = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert told.returncode == 0, told.stderr[-3000:]
    assert set(told.stdout.split()) == {"TopKSAE", "StandardSAE", "JumpReLUSAE"}
    worst = 0.0
    for folder, (_, retrained, done) in zip(folders, trials, strict=True):
        activation = retrained.trial.condition.activation
        inputs = done.data.samples, done.data.blocks, done.data.codes.n_samples
        latents = encode(retrained.weights, activation, tied, *inputs)
        outputs = latents @ retrained.weights.decoder + retrained.weights.decoder_bias
        worst = max(worst, float(np.abs(latents - np.load(folder / "latents.npy")).max()))
        worst = max(worst, float(np.abs(outputs - np.load(folder / "outputs.npy")).max()))
    assert worst <= 1e-6, worst
    print(f"largest difference of {len(folders)} SAEs: {worst:.2g}")
