"""Backup and restore as docs/operations.md says: the database while the service runs, then the files."""

import shutil
import subprocess
from pathlib import Path

import pytest

from service.settings import Settings
from tests.service.conftest import make_settings
from tests.service.postgres import Cluster
from tests.service.running import FakeWorker, running, submit, until

LEASE_SECONDS = 10.0


def copy_sqlite(source: str, folder: Path, request: pytest.FixtureRequest) -> str:
    if shutil.which("sqlite3") is None:
        pytest.skip("the sqlite3 command is not installed here")
    copy = folder / "copy.sqlite3"
    subprocess.run(["sqlite3", source.removeprefix("sqlite:///"), f".backup {copy}"], check=True)
    return f"sqlite:///{copy}"


def copy_postgresql(source: str, folder: Path, request: pytest.FixtureRequest) -> str:
    cluster: Cluster = request.getfixturevalue("cluster")
    dump = folder / "saephase.dump"
    subprocess.run([cluster.bin / "pg_dump", "--format=custom", f"--file={dump}", source], check=True)
    target = cluster.new_database()
    subprocess.run([cluster.bin / "pg_restore", f"--dbname={target}", dump], check=True)
    return target


@pytest.mark.long
def test_what_is_restored_goes_on(database_url: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    storage, restored = tmp_path / "storage", tmp_path / "restored"
    settings: Settings = make_settings(database_url, storage, lease_seconds=LEASE_SECONDS)
    with running(settings) as server, server.client() as client:
        done = submit(client)
        FakeWorker(client).run()
        begun = submit(client)
        worker = FakeWorker(client)
        worker.take()
        rows = worker.write_rows(0.5)
        assert worker.say("heartbeat", {"progress": worker.progress(rows)}).status_code == 200
        copy = copy_sqlite if database_url.startswith("sqlite") else copy_postgresql
        database = copy(database_url, tmp_path, request)
        shutil.copytree(storage / "jobs", restored / "jobs")
        artifacts = client.get(f"/v1/jobs/{done['id']}/artifacts").json()
        later = submit(client)
    with running(make_settings(database, restored, lease_seconds=LEASE_SECONDS)) as server, server.client() as client:
        assert client.get(f"/v1/jobs/{done['id']}/artifacts").json() == artifacts
        assert client.get(f"/v1/jobs/{later['id']}").status_code == 404
        until(lambda: client.get(f"/v1/jobs/{begun['id']}").json()["status"] == "queued", 4 * LEASE_SECONDS)
        worker = FakeWorker(client)
        lease = worker.take()
        assert lease is not None
        assert lease["job_id"] == begun["id"]
        assert Path(lease["folder"], "packs").is_dir()
        assert worker.say("finish", {"status": "succeeded", "progress": worker.progress(rows)}).status_code == 204
