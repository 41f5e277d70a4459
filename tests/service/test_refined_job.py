"""A refined job over HTTP, with a real worker on real Ray: estimates while it runs, at its end the rows of a run."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from phase_diagrams.folder import open_folder, read_trials, same_results
from phase_diagrams.spec import parse_spec
from tests.saephase.processes import start_command
from tests.service.conftest import make_settings
from tests.service.running import Running, read_stream, running, submit

SPEC = {
    "name": "refined",
    "data": {"n_features": 12, "n_inputs": 6},
    "grid": {"sparsity": [0.6, 0.8, 0.95], "hidden_dim": [6, 12, 24], "activation": ["topk:1"], "seeds": 2},
    "refine": {"budget": 34, "tolerance": 0.02, "candidates": {"sparsity": 13, "hidden_dim": 13}},
    "training": {"steps": 200, "batch_size": 64},
}
COARSE = 18
"""Trainings of the first round: nine conditions from both starts."""


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Running]:
    with running(make_settings(f"sqlite:///{tmp_path / 'jobs.sqlite3'}", tmp_path / "data")) as found:
        yield found


@pytest.mark.soak
def test_a_refined_job_over_http_shows_its_estimates_and_ends_with_the_rows_of_a_run(
    service: Running, tmp_path: Path
) -> None:
    client = service.client()
    worker = start_command("worker", "--url", service.url)
    try:
        job = submit(client, SPEC)
        assert job["progress"]["trials_total"] == SPEC["refine"]["budget"]
        told = [(kind, json.loads(data)) for _, kind, data in read_stream(client, job["id"]) if kind != ":"]
    finally:
        worker.send(signal.SIGTERM)
        code, _, said = worker.end()
    assert code == 0, said
    ended = client.get(f"/v1/jobs/{job['id']}").json()
    assert (ended["status"], ended["progress"]["trials_done"]) == ("succeeded", 34), said

    kinds = [kind for kind, _ in told]
    estimates = [place for place, kind in enumerate(kinds) if kind == "estimate"]
    last_pack = max(place for place, kind in enumerate(kinds) if kind == "progress")
    assert len(estimates) >= 2
    assert estimates[0] < last_pack, "an estimate comes while trainings go on"

    spec = tmp_path / "spec.json"
    spec.write_text(parse_spec(SPEC).model_dump_json(exclude_none=True))
    code, _, said = start_command("run", str(spec), "--out", str(tmp_path / "alone")).end(120)
    assert code == 0, said
    mine, theirs = open_folder(f"{tmp_path / 'data'}/jobs/{job['id']}"), open_folder(str(tmp_path / "alone"))
    rows = read_trials(mine)
    assert rows.num_rows == 34 > COARSE
    assert same_results(rows, read_trials(theirs))
    reports = [json.loads(folder.read("summary.json"))["refinement"] for folder in (mine, theirs)]
    assert reports[0] == reports[1]
    assert reports[0]["stopped_by"] == "budget"
