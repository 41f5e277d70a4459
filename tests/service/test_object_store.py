import pytest

from phase_diagrams.folder import open_folder
from tests.service.conftest import make_settings
from tests.service.object_store import KEYS, object_store
from tests.service.running import FakeWorker, running, submit


@pytest.fixture
def store(monkeypatch):
    """The URI of a folder in an S3-compatible store."""
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    with object_store() as uri:
        yield uri


def test_a_job_lives_in_an_object_store_as_in_a_folder(store, tmp_path):
    with running(make_settings(f"sqlite:///{tmp_path / 'jobs.sqlite3'}", store)) as server, server.client() as client:
        job = submit(client)
        worker = FakeWorker(client)
        worker.take()
        assert worker.lease["folder"] == store.replace("?", f"/jobs/{job['id']}?")
        url = f"/v1/jobs/{job['id']}"
        assert client.get(url + "/artifacts").json()["items"] == []
        assert client.get(url + "/conditions").json()["items"] == []
        worker.write_rows()
        assert len(client.get(url + "/conditions").json()["items"]) == 4
        worker.merge()
        worker.say("finish", {"status": "succeeded"})
        items = client.get(url + "/artifacts").json()["items"]
        assert [item["name"] for item in items] == ["spec.json", "trials.parquet", "conditions.parquet"]
        whole = client.get(url + "/artifacts/trials.parquet")
        part = client.get(url + "/artifacts/trials.parquet", headers={"Range": "bytes=4-99"})
        assert (part.status_code, part.content) == (206, whole.content[4:100])
        assert client.get(url + "/artifacts.zip").content[:2] == b"PK"
        assert client.delete(url).status_code == 204
        assert open_folder(worker.lease["folder"]).names() == []
