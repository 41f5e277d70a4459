"""One worker, two workers, or no Ray at all: the rows of a job are the same bit for bit."""

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from phase_diagrams.folder import open_folder, read_trials, same_results
from phase_diagrams.pack import cut_packs
from phase_diagrams.planted import plant_dictionary
from phase_diagrams.spec import read_spec
from phase_diagrams.trial import grid_trials, trial_namer
from workers.pack_run import run_pack

SPEC = """
data: {n_features: 8, n_inputs: 4}
grid: {sparsity: [0.5, 0.9], hidden_dim: [8, 16], activation: ["topk:1", relu], seeds: 2}
training: {steps: 60, batch_size: 64}
"""


@pytest.mark.long
def test_rows_do_not_depend_on_the_number_of_workers(tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text(SPEC)
    spec = read_spec(SPEC)
    order = [trial_namer(spec)(trial) for trial in grid_trials(spec)]
    dictionary = plant_dictionary(spec.data)
    alone = pa.concat_tables(run_pack(spec, dictionary, pack) for pack in cut_packs(spec, grid_trials(spec)))
    place = alone["trial_id"].to_pylist()
    expected = alone.take(pa.array([place.index(trial_id) for trial_id in order]))
    for workers in (1, 2):
        out = tmp_path / str(workers)
        command = [sys.executable, "-m", "saephase", "run", str(tmp_path / "job.yaml"), "--out", str(out)]
        subprocess.run([*command, "--set", f"resources.max_concurrent={workers}"], check=True, capture_output=True)
        assert same_results(read_trials(open_folder(str(out)), order), expected)
