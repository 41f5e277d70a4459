import concurrent.futures
import hashlib
import io
import json
import os
import zipfile

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from phase_diagrams.folder import open_folder
from phase_diagrams.report import ARTIFACTS, MANIFEST
from service.artifacts import MEDIA_TYPES
from service.download import parse_range
from service.drawing import SECONDS
from service.negotiation import choose
from tests.service.running import SPEC, FakeWorker, submit, until
from tests.service.test_jobs import is_problem

CONTENT = bytes(range(256)) * 40


@pytest.fixture(scope="module")
def client(local):
    with local.client() as found:
        found.timeout = SECONDS  # a drawing takes seconds of computing, and a busy machine many times that
        yield found


@pytest.fixture(scope="module")
def done(client, local):
    """A job that has succeeded, with a made-up picture."""
    job = submit(client)
    worker = FakeWorker(client)
    worker.take()
    folder = open_folder(worker.lease["folder"])
    worker.write_rows()
    worker.merge()
    folder.write("phase_diagram.png", CONTENT)
    folder.write("phase_diagram.vl.json", b'{"mark": "rect"}')
    folder.write("secret.txt", b"not an artifact")
    files = [
        {"name": name, "bytes": len(folder.read(name)), "sha256": hashlib.sha256(folder.read(name)).hexdigest()}
        for name in folder.names()
        if name in MEDIA_TYPES
    ]
    folder.write("manifest.json", json.dumps({"files": files}).encode())
    worker.say("finish", {"status": "succeeded"})
    return job["id"]


def test_names_and_media_types_are_the_reports():
    assert {**ARTIFACTS, MANIFEST: "application/json", "error.txt": "text/plain"} == MEDIA_TYPES


def test_the_list_tells_bytes_and_digest_of_each_file(client, done):
    listed = client.get(f"/v1/jobs/{done}/artifacts").json()
    assert listed["next_cursor"] is None
    names = [item["name"] for item in listed["items"]]
    assert "manifest.json" in names
    assert "secret.txt" not in names
    for item in listed["items"]:
        answer = client.get(f"/v1/jobs/{done}/artifacts/{item['name']}")
        assert answer.status_code == 200
        assert len(answer.content) == item["bytes"] == int(answer.headers["content-length"])
        assert hashlib.sha256(answer.content).hexdigest() == item["sha256"]
        assert answer.headers["etag"] == f'"{item["sha256"]}"'
        assert answer.headers["content-type"].partition(";")[0] == item["media_type"] == MEDIA_TYPES[item["name"]]
        assert answer.headers["content-disposition"] == f'attachment; filename="{item["name"]}"'
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_file_written_after_the_manifest_is_not_believed_to_be_the_manifests(client, done, local):
    folder = local.service.storage().job(done)
    path = folder.path("phase_diagram.png")
    before = client.get(f"/v1/jobs/{done}/artifacts/phase_diagram.png")
    other = CONTENT[::-1]
    folder.write("phase_diagram.png", other)
    os.utime(path, ns=(10**18 * 2, 10**18 * 2))
    after = client.get(f"/v1/jobs/{done}/artifacts/phase_diagram.png")
    assert after.content == other
    assert after.headers["etag"] == f'"{hashlib.sha256(other).hexdigest()}"' != before.headers["etag"]
    folder.write("phase_diagram.png", CONTENT)
    folder.write("manifest.json", folder.read("manifest.json"))


def test_head_and_conditions_on_the_etag(client, done):
    url = f"/v1/jobs/{done}/artifacts/phase_diagram.png"
    head = client.head(url)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(CONTENT))
    etag = head.headers["etag"]
    for tags in (etag, f'"other", {etag}', f"W/{etag}", "*"):
        answer = client.get(url, headers={"If-None-Match": tags})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", etag)
    assert client.get(url, headers={"If-None-Match": '"other"'}).status_code == 200


RANGES = {
    "bytes=0-9": (0, 10),
    "bytes=10-": (10, None),
    "bytes=-7": (-7, None),
    "bytes=5-999999999": (5, None),
    "bytes=-999999999": (0, None),
}


@pytest.mark.parametrize("wanted", RANGES)
def test_a_range_is_a_slice(client, done, wanted):
    start, stop = RANGES[wanted]
    answer = client.get(f"/v1/jobs/{done}/artifacts/phase_diagram.png", headers={"Range": wanted})
    assert answer.status_code == 206
    assert answer.content == CONTENT[start:stop]
    first = start % len(CONTENT)
    assert answer.headers["content-range"] == f"bytes {first}-{first + len(answer.content) - 1}/{len(CONTENT)}"


def test_ranges_that_cannot_be_and_ranges_of_another_content(client, done):
    url = f"/v1/jobs/{done}/artifacts/phase_diagram.png"
    etag = client.head(url).headers["etag"]
    answer = client.get(url, headers={"Range": f"bytes={len(CONTENT)}-"})
    is_problem(answer, 416)
    assert answer.headers["content-range"] == f"bytes */{len(CONTENT)}"
    is_problem(client.get(url, headers={"Range": "bytes=-0"}), 416)
    for header in ("bytes=9-1", "lines=0-1", "bytes=a-b", "bytes=0-1,4-5", "bytes=-"):
        assert client.get(url, headers={"Range": header}).content == CONTENT
    part = {"Range": "bytes=0-0"}
    assert client.get(url, headers={**part, "If-Range": etag}).content == CONTENT[:1]
    for validator in ('"other"', f"W/{etag}", "Sun, 22 Nov 2026 00:00:00 GMT"):
        assert client.get(url, headers={**part, "If-Range": validator}).content == CONTENT
    head = client.head(url, headers=part)
    assert (head.status_code, head.headers["content-length"]) == (200, str(len(CONTENT)))
    assert parse_range("bytes=0-0", 0) == (0, 0)


def test_the_zip_holds_every_listed_file_and_equal_files_make_equal_zips(client, done):
    answer = client.get(f"/v1/jobs/{done}/artifacts.zip")
    assert answer.headers["content-type"] == "application/zip"
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    assert archive.testzip() is None
    listed = client.get(f"/v1/jobs/{done}/artifacts").json()["items"]
    assert archive.namelist() == [f"{done}/{item['name']}" for item in listed]
    assert archive.read(f"{done}/phase_diagram.png") == CONTENT
    again = client.get(f"/v1/jobs/{done}/artifacts.zip")
    assert (again.content, again.headers["etag"]) == (answer.content, answer.headers["etag"])
    unchanged = client.get(f"/v1/jobs/{done}/artifacts.zip", headers={"If-None-Match": answer.headers["etag"]})
    assert unchanged.status_code == 304


TRAVERSALS = [
    "../spec.json",
    "..%2fspec.json",
    "%2e%2e%2f%2e%2e%2fjobs.sqlite3",
    "%252e%252e%252fjobs.sqlite3",
    "..%5c..%5cjobs.sqlite3",
    "..\\..\\jobs.sqlite3",
    "/etc/passwd",
    "%2fetc%2fpasswd",
    "//etc/passwd",
    "file:%2f%2f%2fetc%2fpasswd",
    "spec.json%00.png",
    "spec.json%00",
    "./spec.json%2f..%2fsecret.txt",
    "packs",
    "packs%2fpack-all.parquet",
    "secret.txt",
    "SPEC.JSON",
    "spec.json.",
    "spec.json%20",
    ".",
    "..",
    "%2e%2e",
    "%c0%ae%c0%ae%2fspec.json",
    "%uff0e%uff0e%2fspec.json",
    "con",
    "spec.json::$DATA",
    "x" * 5000,
]


@pytest.mark.parametrize("name", TRAVERSALS)
def test_no_name_but_a_listed_one_is_read(local, done, name):
    # A raw connection: clients tidy paths before they send them.
    import http.client
    from urllib.parse import urlsplit

    address = urlsplit(local.url)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=10)
    connection.putrequest("GET", f"/v1/jobs/{done}/artifacts/{name}", skip_accept_encoding=True)
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read()
    assert answer.status in (400, 404), (answer.status, body[:200])
    assert b"not an artifact" not in body
    assert b"root:" not in body
    assert b"SQLite" not in body
    connection.close()


def test_links_in_a_folder_lead_nowhere(client, local, tmp_path):
    (tmp_path / "secret").write_text("root: not for you")
    job = submit(client)
    folder = local.service.storage().job(job["id"])
    folder.write("spec.json", b"{}")
    os.symlink(tmp_path / "secret", folder.path("summary.json"))
    assert [item["name"] for item in client.get(f"/v1/jobs/{job['id']}/artifacts").json()["items"]] == ["spec.json"]
    is_problem(client.get(f"/v1/jobs/{job['id']}/artifacts/summary.json"), 404)

    other = submit(client)
    os.symlink(folder.root, local.service.storage().job(other["id"]).root)
    assert client.get(f"/v1/jobs/{other['id']}/artifacts").json()["items"] == []
    for made in (job, other):
        client.post(f"/v1/jobs/{made['id']}/cancel")


def test_conditions_are_the_rows_finished_so_far_in_four_formats(client):
    job = submit(client)
    url = f"/v1/jobs/{job['id']}/conditions"
    assert client.get(url).json() == {"items": [], "next_cursor": None}
    worker = FakeWorker(client)
    worker.take()
    worker.write_rows(0.5, "half")
    half = client.get(url)
    assert 0 < len(half.json()["items"]) < 4
    assert client.get(url, headers={"If-None-Match": half.headers["etag"]}).status_code == 304
    worker.write_rows()
    # A broken file and a file of another kind are passed over, and left where they are.
    folder = open_folder(worker.lease["folder"])
    folder.write("packs/pack-broken.parquet", b"PAR1")
    folder.write("packs/pack-other.parquet", folder.read("spec.json"))
    rows = client.get(url).json()["items"]
    assert len(rows) == 4
    assert {row["n_seeds"] for row in rows} == {2}
    assert folder.exists("packs/pack-broken.parquet")

    def get(accept):
        answer = client.get(url, headers={"Accept": accept})
        assert answer.headers["content-type"].partition(";")[0] == accept
        assert answer.headers["vary"] == "Accept"
        return io.BytesIO(answer.content)

    parquet = pq.read_table(get("application/vnd.apache.parquet"))
    arrow = pa.ipc.open_stream(get("application/vnd.apache.arrow.stream")).read_all()
    csv = pyarrow.csv.read_csv(get("text/csv"))
    assert parquet.equals(arrow)
    assert csv["hidden_dim"].to_pylist() == parquet["hidden_dim"].to_pylist() == [row["hidden_dim"] for row in rows]
    is_problem(client.get(url, headers={"Accept": "text/html"}), 406)
    is_problem(client.get(f"/v1/jobs/{job['id']}/diagram", headers={"Accept": "text/html"}), 406)
    worker.say("finish", {"status": "cancelled"})


def test_the_diagram_is_drawn_from_what_is_there_and_once(client, local):
    job = submit(client)
    worker = FakeWorker(client)
    worker.take()
    worker.write_rows(0.6)
    url = f"/v1/jobs/{job['id']}/diagram"
    source = client.get(url)
    assert source.headers["content-type"] == "application/json"
    assert "vega-lite" in source.json()["$schema"]
    starts = {"image/png": b"\x89PNG", "image/svg+xml": b"<svg", "application/pdf": b"%PDF"}
    for accept, start in starts.items():
        answer = client.get(url, headers={"Accept": accept})
        assert answer.headers["content-type"] == accept
        assert answer.content.startswith(start)
        assert "sandbox" in answer.headers["content-security-policy"]
    assert client.get(url, headers={"If-None-Match": source.headers["etag"]}).status_code == 304
    # The source alone, and once more for all the pictures.
    assert len(local.service.diagrams._kept) == 2
    # The process that draws is killed, as a machine short of memory would do: the next drawing has a new one.
    local.service.drawer._child.kill()
    worker.write_rows()
    assert client.get(url).headers["etag"] != source.headers["etag"]
    worker.say("finish", {"status": "cancelled"})


def test_drawings_hold_up_nothing_but_drawings(client, local, monkeypatch):
    monkeypatch.setattr("service.result_routes.TURN_SECONDS", 0.3)
    job = submit(client)
    worker = FakeWorker(client)
    worker.take()
    worker.write_rows(0.6)
    url = f"/v1/jobs/{job['id']}"
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        with local.service.drawer._lock:  # as a drawing that takes long
            waiting = [pool.submit(lambda: local.client().get(f"{url}/diagram")) for _ in range(2)]
            until(lambda: local.service.drawing.borrowed_tokens == 2)
            refused = client.get(f"{url}/diagram")
            assert refused.status_code == 503
            assert refused.headers["retry-after"]
            assert client.get(f"{url}/conditions").json()["items"]
            assert client.get(f"{url}/diagram/rows").status_code == 200
            assert client.post("/v1/plans", json=SPEC).status_code == 200
        assert [answer.result().status_code for answer in waiting] == [200, 200]
    worker.say("finish", {"status": "cancelled"})


def test_the_diagram_of_a_job_that_succeeded_is_the_reports(client, done):
    url = f"/v1/jobs/{done}/diagram"
    assert client.get(url).json() == {"mark": "rect"}
    assert client.get(url, headers={"Accept": "image/png"}).content == CONTENT


def test_accept_is_read_as_http_says():
    offered = ("application/json", "text/csv", "image/png")
    for header, chosen in {
        None: "application/json",
        "": "application/json",
        "*/*": "application/json",
        "text/*": "text/csv",
        "text/csv;q=0.5, image/png": "image/png",
        "text/csv;q=0, */*;q=0.1": "application/json",
        "application/json;q=0.2, */*": "text/csv",
        "TEXT/CSV; charset=utf-8; q=0.9, application/json;q=0.8": "text/csv",
        "image/gif": None,
        "image/gif;q=x": None,
        "application/json;q=0": None,
    }.items():
        assert choose(header, offered) == chosen, header


def _finished(client, **grid):
    job = submit(client, {**SPEC, "grid": {**SPEC["grid"], **grid}})
    while FakeWorker(client).run() != job["id"]:
        pass  # a job that another test left in the queue
    return job["id"]


def test_two_jobs_are_compared_and_the_picture_is_there_by_accept(client):
    one, other = _finished(client), _finished(client)
    answer = client.get(f"/v1/jobs/{one}/diff/{other}")
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert found["cells"]
    assert {cell["difference"] for cell in found["cells"]} == {0.0}
    assert found["spec_changes"] == []
    again = client.get(f"/v1/jobs/{one}/diff/{other}", headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304
    picture = client.get(f"/v1/jobs/{one}/diff/{other}", headers={"Accept": "image/png"})
    assert picture.headers["Content-Type"] == "image/png"
    assert picture.content.startswith(b"\x89PNG")


def test_jobs_that_cannot_be_compared_are_refused_with_the_reason(client):
    one, other = _finished(client), _finished(client, sparsity=[0.123])
    answer = client.get(f"/v1/jobs/{one}/diff/{other}")
    assert "grid.sparsity is 0.5, 0.9 in one and 0.123 in the other" in is_problem(answer, 409)["detail"]
    assert client.get(f"/v1/jobs/{one}/diff/{'0' * 16}").status_code == 404
    assert client.get(f"/v1/jobs/{one}/diff/{other}", headers={"Accept": "text/csv"}).status_code == 406
