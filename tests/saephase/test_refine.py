"""A refined job on real Ray: killed and run again, it asks what an undisturbed run asks, and says why it stopped."""

import json
import signal
from functools import partial
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from phase_diagrams.folder import find_finished, open_folder, same_results
from tests.saephase.processes import start_command, wait_for

SPEC = """
name: refined
data: {n_features: 12, n_inputs: 6}
grid: {sparsity: [0.6, 0.8, 0.95], hidden_dim: [6, 12, 24], activation: ["topk:1"], seeds: 3}
refine: {budget: 50, tolerance: 0.02, candidates: {sparsity: 13, hidden_dim: 13}}
training: {steps: 600, batch_size: 128}
"""
COARSE = 18


@pytest.mark.long
def test_a_killed_refinement_ends_as_an_undisturbed_one(tmp_path: Path) -> None:
    file = tmp_path / "spec.yaml"
    file.write_text(SPEC)
    killed, whole = tmp_path / "killed", tmp_path / "whole"

    def beyond(count: int) -> bool:
        return killed.exists() and len(find_finished(open_folder(str(killed))).trial_ids) > count

    for more_than in (3, COARSE + 2):
        running = start_command("run", str(file), "--out", str(killed))
        wait_for(partial(beyond, more_than), 240, "for rows")
        assert running.process.poll() is None
        running.send(signal.SIGKILL)
        running.end()
    for out in (killed, whole):
        code, said, error = start_command("run", str(file), "--out", str(out)).end(400)
        assert code == 0, error
        assert "round 2" in said + error
    ended, expected = (pq.read_table(out / "trials.parquet") for out in (killed, whole))
    assert ended.num_rows == 50
    assert same_results(ended, expected)
    refinement = json.loads((killed / "summary.json").read_text())["refinement"]
    assert (refinement["trainings"], refinement["budget"]) == (50, 50)
    assert refinement["stopped_by"] == "budget"
    assert [boundary["start"] for boundary in refinement["boundaries"]] == ["random", "truth"]
