"""Adaptive jobs on real Ray: killed and run again, they ask what an undisturbed run asks, and come to the same rows."""

import json
import signal
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from phase_diagrams.folder import find_finished, open_folder, same_results
from tests.saephase.processes import start_command, wait_for

REFINED = """
name: refined
data: {n_features: 12, n_inputs: 6}
grid: {sparsity: [0.6, 0.8, 0.95], hidden_dim: [6, 12, 24], activation: ["topk:1"], seeds: 3}
refine: {budget: 50, tolerance: 0.02, candidates: {sparsity: 13, hidden_dim: 13}}
training: {steps: 600, batch_size: 128}
"""
SEARCHED = """
name: searched
data: {n_features: 9, n_inputs: 5, superposition: {kind: polygon, mono: 2, digon: 1, pentagon: 1}}
grid: {sparsity: [0.5, 0.8], hidden_dim: [9], activation: ["topk:2"], seeds: 2}
reweighting: {search: {trials: 6, batch: 3, objective: mcc}, confirm_seeds: 2}
training: {steps: 600, batch_size: 128}
"""
COARSE, PLAIN = 18, 8
"""Trainings of the first round of each."""


def killed_and_whole(place: Path, spec: str, *beyond: int) -> tuple[Path, Path]:
    """Folders of a job that was killed each time it had more than so many rows, and of one that was left alone."""
    file = place / "spec.yaml"
    file.write_text(spec)
    killed, whole = place / "killed", place / "whole"

    def holds_more_than(count: int) -> bool:
        return killed.exists() and len(find_finished(open_folder(str(killed))).trial_ids) > count

    for count in beyond:
        running = start_command("run", str(file), "--out", str(killed))
        wait_for(partial(holds_more_than, count), 240, "for rows")
        assert running.process.poll() is None
        running.send(signal.SIGKILL)
        running.end()
    for out in (killed, whole):
        code, _, error = start_command("run", str(file), "--out", str(out)).end(400)
        assert code == 0, error
    return killed, whole


def tables(name: str, *folders: Path) -> list[pa.Table]:
    return [pq.read_table(folder / name) for folder in folders]


@pytest.mark.long
def test_a_killed_refinement_ends_as_an_undisturbed_one(tmp_path: Path) -> None:
    killed, whole = killed_and_whole(tmp_path, REFINED, 3, COARSE + 2)
    ended, expected = tables("trials.parquet", killed, whole)
    assert ended.num_rows == 50
    assert same_results(ended, expected)
    refinement = json.loads((killed / "summary.json").read_text())["refinement"]
    assert (refinement["trainings"], refinement["budget"]) == (50, 50)
    assert refinement["stopped_by"] == "budget"
    assert [boundary["start"] for boundary in refinement["boundaries"]] == ["random", "truth"]


@pytest.mark.long
def test_a_killed_exponent_search_ends_as_an_undisturbed_one(tmp_path: Path) -> None:
    killed, whole = killed_and_whole(tmp_path, SEARCHED, 3, PLAIN + 2)
    ended, expected = tables("trials.parquet", killed, whole)
    assert len(set(ended["exponent"].to_pylist())) > 2, "exponents were searched"
    assert len(set(ended["seed"].to_pylist())) == 4, "and confirmed on fresh seeds"
    assert same_results(ended, expected)
    found, wanted = tables("reweighting.parquet", killed, whole)
    assert found.num_rows == 2
    assert found.equals(wanted)
