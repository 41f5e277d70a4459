"""An exponent search over HTTP: its limit, its diagram while it runs, its news, and the files it adds."""

import io

import pyarrow.parquet as pq
import pytest

from phase_diagrams.exponent_search import ExponentSearch
from phase_diagrams.folder import merge_packs, open_folder, write_pack
from phase_diagrams.holdings import own_ids
from phase_diagrams.report import ARTIFACTS, write_report
from phase_diagrams.spec import parse_spec, spec_json
from phase_diagrams.superposition import random_unit
from tests.phase_diagrams.responses import Laboratory
from tests.service.conftest import make_settings
from tests.service.running import FakeWorker, read_stream, running, submit

SPEC = {
    "name": "searched",
    "data": {"n_features": 8, "n_inputs": 4},
    "grid": {"sparsity": [0.5, 0.9], "hidden_dim": [8, 16], "activation": ["topk:1"], "seeds": 2},
    "reweighting": {"search": {"trials": 4, "batch": 2}, "confirm_seeds": 2, "proxy": "kurtosis"},
}
N_TRIALS = 16 + 4 * (4 * 2 + 2 * 2 * 2)
"""The grid, and for each of four conditions four exponents at two seeds and two at two fresh seeds from both starts."""


def spread(study, count):
    return [1.0 + 0.1 * place for place in range(count)]


@pytest.fixture(scope="module")
def patient(tmp_path_factory):
    """A service whose leases outlast the drawing of a report, which this worker does without a sign of life."""
    root = tmp_path_factory.mktemp("patient")
    settings = make_settings(f"sqlite:///{root / 'jobs.sqlite3'}", root, lease_seconds=600.0)
    with running(settings) as found:
        yield found


def test_a_search_runs_over_http_as_a_grid_does(patient):
    client = patient.client()
    job = submit(client, SPEC)
    assert job["progress"]["trials_total"] == N_TRIALS
    worker = FakeWorker(client)
    worker.take()
    spec = parse_spec(worker.lease["spec"])
    assert spec.reweighting.proxy == "kurtosis"
    folder, planner = open_folder(worker.lease["folder"]), ExponentSearch(spec, spread)
    laboratory = Laboratory(spec, lambda condition: 0.2 * condition.exponent)
    folder.write("spec.json", spec_json(spec).encode())
    done = 0
    while trials := planner.ask():
        rows = laboratory.rows(trials)
        write_pack(folder, f"round-{done}", rows)
        done += len(trials)
        news = [{"type": "estimate", "data": planner.report()}] if planner.report() else []
        assert worker.say("heartbeat", {"progress": worker.progress(done), "events": news}).status_code == 200
        if not planner.done:
            planner.tell(rows)
        partial = client.get(f"/v1/jobs/{job['id']}/conditions").json()
        assert [row["n_seeds"] for row in partial["items"]] == [2] * 4, "the grid's seeds, and no searched exponent"
    merged = merge_packs(folder, own_ids(spec, folder))
    assert merged.num_rows == done
    write_report(folder, spec, random_unit(8, 4, 0), merged, device="none", wall_seconds=1, train_seconds=1)
    assert worker.say("finish", {"status": "succeeded", "progress": worker.progress(done)}).status_code == 204

    listed = {item["name"]: item for item in client.get(f"/v1/jobs/{job['id']}/artifacts").json()["items"]}
    assert set(ARTIFACTS) <= listed.keys()
    table = client.get(f"/v1/jobs/{job['id']}/artifacts/reweighting.parquet")
    assert pq.read_table(io.BytesIO(table.content)).num_rows == 4
    picture = client.get(f"/v1/jobs/{job['id']}/artifacts/reweighting.png")
    assert picture.headers["content-type"] == "image/png"
    assert picture.content.startswith(b"\x89PNG")
    told = [data for _, kind, data in read_stream(client, job["id"]) if kind == "estimate"]
    assert len(told) == 3
    assert "exponent search: round 1 of 2 for 4 conditions" in told[0]
    assert "fresh seeds" in told[-1]


def test_a_plan_counts_the_search(patient):
    plan = patient.client().post("/v1/plans", json=SPEC)
    assert plan.status_code == 200, plan.text
    assert plan.json()["trials"] == N_TRIALS


@pytest.mark.parametrize(("limit", "status"), [(N_TRIALS, 202), (N_TRIALS - 1, 422)])
def test_the_limit_is_on_the_most_that_the_search_may_ask_for(tmp_path, limit, status):
    settings = make_settings(f"sqlite:///{tmp_path / 'jobs.sqlite3'}", tmp_path, max_trials=limit)
    with running(settings) as found:
        answer = found.client().post("/v1/jobs", json=SPEC)
    assert answer.status_code == status, answer.text
