import io
from collections.abc import Iterator

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from phase_diagrams.folder import open_folder, write_pack
from phase_diagrams.spec import parse_spec
from phase_diagrams.tables import TRIALS
from service.partial import ARROW, PARQUET
from tests.phase_diagrams.synthetic_trials import synthetic_trials
from tests.service.running import FakeWorker, Running, submit
from tests.service.test_jobs import is_problem

SPEC = {
    "name": "trials",
    "data": {"n_features": 8, "n_inputs": 4},
    "grid": {
        "sparsity": [0.5, 0.9],
        "hidden_dim": [8, 16],
        "activation": ["topk:1", "topk:2", "relu", "relu_l1:0.00001"],
        "seeds": 2,
    },
}


@pytest.fixture(scope="module")
def client(local: Running) -> Iterator[httpx.Client]:
    with local.client() as found:
        yield found


@pytest.fixture(scope="module")
def running_job(client: httpx.Client) -> tuple[str, pa.Table]:
    """A job that runs, with half of its rows in two packs; one has vectors, and the packs share a row."""
    job_id = submit(client, SPEC)["id"]
    worker = FakeWorker(client)
    assert worker.take() is not None
    rows = with_cosines(synthetic_trials(parse_spec(SPEC)))
    half = rows.num_rows // 2
    folder = open_folder(worker.lease["folder"])
    write_pack(folder, "first", rows.slice(0, half // 2 + 1))
    write_pack(folder, "second", rows.slice(half // 2, half - half // 2))
    return job_id, rows.slice(0, half)


def with_cosines(rows: pa.Table) -> pa.Table:
    vectors = pa.array([[0.5, 1.0, float("nan")]] * rows.num_rows, TRIALS.field("feature_cosine").type)
    return rows.set_column(TRIALS.get_field_index("feature_cosine"), TRIALS.field("feature_cosine"), vectors)


def ask(client: httpx.Client, job_id: str, **query: object) -> httpx.Response:
    return client.get(f"/v1/jobs/{job_id}/trials", params=query)  # type: ignore[arg-type]


def test_finished_trials_are_there_once_each_while_the_job_runs(client, running_job):
    job_id, rows = running_job
    found = ask(client, job_id).json()
    assert found["next_cursor"] is None
    assert [item["trial_id"] for item in found["items"]] == sorted(rows["trial_id"].to_pylist())
    assert list(found["items"][0]) == TRIALS.names
    assert found["items"][0]["feature_cosine"] == [0.5, 1.0, None]


@pytest.mark.parametrize(
    "wanted",
    [
        {"sparsity": 0.5},
        {"hidden_dim": [8, 16], "seed": 1},
        {"activation": "topk:1", "start": "truth"},
        {"activation": ["topk:2", "relu_l1:1e-05"]},
        {"exponent": 0.0, "sparsity": [0.5, 0.9], "hidden_dim": 16},
        {"exponent": 1.0},
    ],
)
def test_filters_give_the_rows_that_have_any_of_the_values_of_each(client, running_job, wanted):
    job_id, rows = running_job
    sets = {name: value if isinstance(value, list) else [value] for name, value in wanted.items()}
    expected = {row["trial_id"] for row in rows.to_pylist() if all(says(row, name) in sets[name] for name in sets)}
    found = {item["trial_id"] for item in ask(client, job_id, **wanted).json()["items"]}
    assert found == expected
    assert bool(found) == ("exponent" not in wanted or wanted["exponent"] == 0.0)


def says(row: dict[str, object], name: str) -> object:
    if name != "activation":
        return row[name]
    argument = row["k"] if row["k"] is not None else row["l1"]
    return row["activation"] if argument is None else f"{row['activation']}:{argument!r}"


def test_pages_hold_every_trial_once(client, running_job):
    job_id, rows = running_job
    seen: list[str] = []
    cursor = None
    while True:
        page = ask(client, job_id, limit=5, columns="mcc", **({"cursor": cursor} if cursor else {})).json()
        assert all(set(item) == {"trial_id", "mcc"} for item in page["items"])
        seen += [item["trial_id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
        assert len(page["items"]) == 5
    assert seen == sorted(rows["trial_id"].to_pylist())


@pytest.mark.parametrize("media_type", [ARROW, PARQUET])
def test_tables_hold_all_that_match_with_the_schema_of_the_file(client, running_job, media_type):
    job_id, rows = running_job
    answer = client.get(f"/v1/jobs/{job_id}/trials", params={"start": "random"}, headers={"Accept": media_type})
    assert answer.headers["content-type"] == media_type
    table = (
        pq.read_table(io.BytesIO(answer.content))
        if media_type == PARQUET
        else pa.ipc.open_stream(answer.content).read_all()
    )
    assert table.num_rows == rows["start"].to_pylist().count("random")
    assert table.cast(TRIALS).schema.equals(TRIALS)
    assert table["mcc"].type == pa.float64()


def test_an_answer_that_the_client_has_is_not_sent_again(client, running_job):
    job_id, _ = running_job
    first = ask(client, job_id, seed=0)
    url = f"/v1/jobs/{job_id}/trials"
    same = client.get(url, params={"seed": 0}, headers={"If-None-Match": first.headers["etag"]})
    assert (same.status_code, same.content) == (304, b"")
    other = client.get(url, params={"seed": 1}, headers={"If-None-Match": first.headers["etag"]})
    assert other.status_code == 200


@pytest.mark.parametrize(
    ("query", "key"),
    [
        ({"columns": "weights"}, "columns"),
        ({"start": "middle"}, "start"),
        ({"activation": "topk"}, "activation"),
        ({"hidden_dim": 2**31}, "query.hidden_dim.0"),
        ({"limit": 0}, "query.limit"),
        ({"cursor": "../etc"}, "query.cursor"),
        ({"sparsity": "much"}, "query.sparsity.0"),
    ],
)
def test_a_bad_filter_is_named(client, running_job, query, key):
    answer = ask(client, running_job[0], **query)
    is_problem(answer, 422)
    assert [error["key"] for error in answer.json()["errors"]] == [key]


def test_a_job_that_is_not_there_and_a_type_that_is_not_offered(client, running_job):
    is_problem(ask(client, "0" * 16), 404)
    is_problem(client.get(f"/v1/jobs/{running_job[0]}/trials", headers={"Accept": "text/csv"}), 406)


def test_nothing_finished_is_an_empty_list(client):
    job_id = submit(client, SPEC)["id"]
    assert ask(client, job_id).json() == {"items": [], "next_cursor": None}
    assert client.get(f"/v1/jobs/{job_id}/diagram/rows").json()["panels"]


def test_the_rows_of_the_diagram_are_those_of_its_source_without_boundaries(client, running_job):
    job_id, _ = running_job
    answer = client.get(f"/v1/jobs/{job_id}/diagram/rows")
    source = client.get(f"/v1/jobs/{job_id}/diagram", params={"boundaries": "false"})
    assert source.headers["content-type"] == "application/json"
    assert source.json()["datasets"]["panels"] == answer.json()["panels"]
    assert source.json()["datasets"]["hatch"] == answer.json()["hatch"] != []
    layers = {row["layer"] for row in answer.json()["panels"]}
    assert {"cell", "missing"} <= layers
    # Nothing is said of boundaries that nobody has looked for.
    assert not layers & {"curve", "note"}
    again = client.get(f"/v1/jobs/{job_id}/diagram/rows", headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304


def test_a_picture_always_has_its_boundaries(client, running_job):
    url = f"/v1/jobs/{running_job[0]}/diagram"
    is_problem(client.get(url, params={"boundaries": "false"}, headers={"Accept": "image/png"}), 406)
