import contextlib
import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa

from service.migrations import HEAD, ForeignDatabase, migrate, revision
from service.records import metadata, open_database
from tests.service.conftest import make_settings
from tests.service.running import SPEC, FakeWorker, read_stream, running, submit, until
from tests.service.test_jobs import is_problem

ASSETS = Path(__file__).parent / "assets"

SERVE = """
import os
import sys
from pathlib import Path
from service.logs import log_json
from service.server import serve
from service.settings import environment_settings, local_settings
log_json()
chosen = {"port": 0, "lease_seconds": 5.0, **environment_settings(os.environ)}
serve(local_settings(Path(sys.argv[1]), **chosen), lambda url: print(url, flush=True))
"""


@contextlib.contextmanager
def serving(data, **environment):
    """A service in a process of its own: the process, and its URL."""
    command = [sys.executable, "-c", SERVE, str(data)]
    with (
        open(data / "log", "ab") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, env={**os.environ, **environment}) as process,
    ):
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline().decode().strip()
        finally:
            process.kill()


def test_the_api_imports_no_engine():
    code = (
        "import sys, service.app, service.server\n"
        "heavy = {'torch', 'ray', 'optuna', 'numba', 'workers', 'altair', 'vl_convert', 'scipy', 'alembic', 'pandas'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_signal_turns_readiness_ends_streams_and_exits(tmp_path):
    with serving(tmp_path) as (process, url), httpx.Client(base_url=url, timeout=10) as client:
        job = submit(client)
        seen, codes = [], []

        def follow():
            with httpx.Client(base_url=url, timeout=30) as mine:
                seen.extend(read_stream(mine, job["id"]))

        threads = [threading.Thread(target=follow) for _ in range(10)]
        for thread in threads:
            thread.start()
        until(lambda: "saephase_event_streams 10.0" in client.get("/metrics").text)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(httpx.HTTPError):
            while True:
                codes.append(client.get("/readyz").status_code)
                if codes[-1] == 503:
                    is_problem(client.post("/v1/leases", json={"worker": "w"}), 503)
                    is_problem(client.get(f"/v1/jobs/{job['id']}/events"), 503)
                time.sleep(0.05)
        for thread in threads:
            thread.join(10)
        assert process.wait(10) in (0, -signal.SIGTERM)
        assert time.monotonic() - began < 6
        assert 503 in codes
        assert [event[1] for event in seen].count("status") == 10
        assert "end" not in [event[1] for event in seen]
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert any(line.get("job_id") == job["id"] and line["logger"] == "saephase.http" for line in lines)
    story = [line["message"] for line in lines if line.get("job_id") == job["id"]]
    assert story[0] == "submitted", "a job's story begins with its submission"
    assert not [line for line in lines if line["level"] in ("error", "critical")]


def test_other_accounts_cannot_look_into_a_new_data_folder(tmp_path):
    open_database(f"sqlite:///{tmp_path / 'data' / 'jobs.sqlite3'}", 1.0)
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) & 0o077 == 0


def test_a_killed_api_comes_back_with_its_jobs_and_leases(tmp_path):
    with serving(tmp_path) as (process, url), httpx.Client(base_url=url) as client:
        job = submit(client)
        worker = FakeWorker(client)
        worker.take()
        process.kill()
    time.sleep(0.5)
    with serving(tmp_path) as (process, url), httpx.Client(base_url=url) as client:
        worker.client = client
        assert client.get(f"/v1/jobs/{job['id']}").json()["status"] == "running"
        assert worker.say("heartbeat", {"progress": worker.progress(3)}).status_code == 200
        assert worker.say("finish", {"status": "succeeded"}).status_code == 204


def test_metrics_tell_the_queue_and_the_work(local):
    with local.client() as client:
        submit(client)
        worker = FakeWorker(client)
        before = client.get("/metrics").text
        assert 'saephase_jobs{status="queued"} 1.0' in before
        worker.run()
        after = client.get("/metrics").text
        assert 'saephase_jobs{status="queued"} 0.0' in after
        assert "saephase_trials_finished_total 16.0" in after
        assert "saephase_training_steps_total 24000.0" in after
        assert "saephase_queue_age_seconds" in after
        assert "saephase_lease_losses_total 0.0" in after
        assert 'route="/v1/leases/{lease_id}/finish",status="204"' in after


def test_a_failure_of_ours_tells_nothing_of_the_inside(local, monkeypatch):
    monkeypatch.setattr("service.lookup.find_jobs", lambda *_: 1 / 0)
    with local.client() as client:
        problem = is_problem(client.get(f"/v1/jobs/{'0' * 16}"), 500)
    assert "ZeroDivision" not in str(problem)
    assert "division" not in str(problem)


def test_a_locked_database_is_a_503_and_then_works_again(tmp_path):
    path = tmp_path / "jobs.sqlite3"
    settings = make_settings(f"sqlite:///{path}", tmp_path, database_timeout=0.3)
    with running(settings) as server, server.client() as client:
        job = submit(client)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        for answer in [client.post("/v1/jobs", json=SPEC) for _ in range(3)]:
            is_problem(answer, 503)
            assert int(answer.headers["retry-after"]) > 0
        assert client.get(f"/v1/jobs/{job['id']}").status_code == 200
        ready = client.get("/readyz")
        assert ready.status_code == 503
        assert "locked" in ready.json()["checks"]["database"]
        assert client.get("/healthz").status_code == 200
        other.execute("ROLLBACK")
        other.close()
        submit(client)
        assert client.get("/readyz").status_code == 200


def test_a_database_that_goes_away_and_comes_back(cluster, tmp_path):
    settings = make_settings(cluster.new_database(), tmp_path, database_timeout=2.0, lease_seconds=2.0)
    with running(settings) as server, server.client() as client:
        job = submit(client)
        worker = FakeWorker(client)
        worker.take()
        events = []
        thread = threading.Thread(target=lambda: events.extend(read_stream(client, job["id"])))
        thread.start()
        until(lambda: len(events) >= 3)
        cluster.stop()
        try:
            time.sleep(3)  # longer than the lease
            for answer in (client.get(f"/v1/jobs/{job['id']}"), client.post("/v1/jobs", json=SPEC)):
                is_problem(answer, 503)
                assert int(answer.headers["retry-after"]) > 0
            assert client.get("/readyz").status_code == 503
            assert client.get("/healthz").status_code == 200
            is_problem(worker.say("heartbeat", {}), 503)
        finally:
            cluster.start()
        until(lambda: client.get("/readyz").status_code == 200)
        # The lease's time passed while nobody could heartbeat; it is still the worker's.
        assert worker.say("heartbeat", {"progress": worker.progress(2)}).status_code == 200
        assert worker.say("finish", {"status": "succeeded"}).status_code == 204
        thread.join(20)
        assert [event[1] for event in events if event[1] != ":"] == ["status", "status", "progress", "status", "end"]


def test_a_service_that_starts_before_its_database(cluster, tmp_path):
    url = cluster.new_database()
    cluster.stop()
    stopped = True
    try:
        settings = make_settings(url, tmp_path, database_timeout=2.0)
        with running(settings, wait_ready=False) as server, server.client() as client:
            assert client.get("/healthz").status_code == 200
            assert client.get("/readyz").status_code == 503
            is_problem(client.get("/v1/jobs"), 503)
            cluster.start()
            stopped = False
            until(lambda: client.get("/readyz").status_code == 200)
            submit(client)
    finally:
        if stopped:
            cluster.start()


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="no /dev/shm")
def test_storage_that_cannot_be_written_is_told_and_recovers(tmp_path):
    storage = tmp_path / "storage"
    settings = make_settings(f"sqlite:///{tmp_path / 'jobs.sqlite3'}", storage)
    with running(settings) as server, server.client() as client:
        job = submit(client)
        FakeWorker(client).run()
        # Root may write anything but a file's inside: the folder makes way for a file.
        storage.rename(tmp_path / "away")
        storage.write_text("in the way")
        until(lambda: client.get("/readyz").status_code == 503, 10)
        assert "cannot be written" in client.get("/readyz").json()["checks"]["storage"]
        answer = client.get(f"/v1/jobs/{job['id']}/artifacts")
        is_problem(answer, 503) if answer.status_code != 200 else None
        # The job goes at once, its files when the storage is back.
        assert client.delete(f"/v1/jobs/{job['id']}").status_code in (202, 204)
        is_problem(client.get(f"/v1/jobs/{job['id']}"), 404)
        storage.unlink()
        (tmp_path / "away").rename(storage)
        until(lambda: client.get("/readyz").status_code == 200, 10)


def test_files_that_cannot_be_removed_are_removed_later(tmp_path, monkeypatch):
    from service.artifacts import Storage

    with (
        running(make_settings(f"sqlite:///{tmp_path / 'jobs.sqlite3'}", tmp_path)) as server,
        server.client() as client,
    ):
        job = submit(client)
        FakeWorker(client).run()
        folder = server.service.storage().job(job["id"])

        def full(*_):
            raise OSError(30, "Read-only file system")

        with monkeypatch.context() as patch:
            patch.setattr(Storage, "remove", full)
            assert client.delete(f"/v1/jobs/{job['id']}").status_code == 202
        assert client.get(f"/v1/jobs/{job['id']}").status_code == 404
        until(lambda: not Path(folder.root).exists(), 10)


def test_tables_are_those_of_the_migrations(database_url):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory

    database = open_database(database_url, 5)
    migrate(database)
    with database.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    import service.migrations

    assert ScriptDirectory(str(Path(service.migrations.__file__).parent)).get_current_head() == HEAD
    database.engine.dispose()


def test_processes_that_start_at_once_migrate_once(database_url):
    databases = [open_database(database_url, 10) for _ in range(6)]
    failures = []

    def start(database):
        try:
            migrate(database)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=start, args=(database,)) for database in databases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with databases[0].reading() as connection:
        assert revision(connection) == HEAD
    for database in databases:
        database.engine.dispose()


def test_a_database_of_a_later_version_is_refused(tmp_path):
    database = open_database(f"sqlite:///{tmp_path / 'later.sqlite3'}", 5)
    migrate(database)
    with database.writing() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(ForeignDatabase, match="later version"):
        migrate(database)


def test_a_database_file_of_version_0001_opens_with_all_it_holds(tmp_path):
    """The file was written by the service's first version; each later one must still read it."""
    path = tmp_path / "jobs.sqlite3"
    path.write_bytes((ASSETS / "database-0001.sqlite3").read_bytes())
    expected = json.loads((ASSETS / "database-0001.json").read_text())
    with running(make_settings(f"sqlite:///{path}", tmp_path)) as server, server.client(expected["secret"]) as client:
        assert client.get("/v1/jobs").json()["items"] == expected["jobs"]
        for job in expected["jobs"]:
            if job["status"] != "queued":
                events = [list(event) for event in read_stream(client, job["id"])]
                assert [event for event in events if event[1] != ":"] == expected["events"][job["id"]]
        job = client.post(f"/v1/jobs/{expected['jobs'][0]['id']}/resume")
        assert job.status_code == 202


@pytest.mark.parametrize("location", ["nonsense", "mysql://h/d", "sqlite://", "sqlite:///:memory:"])
def test_other_databases_are_refused(location):
    with pytest.raises(ValueError, match="database:"):
        open_database(location, 1)


def test_a_full_disk_under_the_database_is_a_503_and_then_works_again(tmp_path):
    settings = make_settings(f"sqlite:///{tmp_path / 'jobs.sqlite3'}", tmp_path)
    with running(settings) as server, server.client() as client:
        job = submit(client)
        engine = server.service.database.engine
        full = True

        # SQLite refuses to grow the file, as where the disk has no room left.
        @sa.event.listens_for(engine, "checkout")
        def limit(connection, *_):
            pages = connection.execute("PRAGMA page_count").fetchone()[0] if full else 2**30
            connection.execute(f"PRAGMA max_page_count={pages}")

        answers = [client.post("/v1/jobs", json=SPEC) for _ in range(60)]
        refused = [answer for answer in answers if answer.status_code != 202]
        assert refused
        is_problem(refused[-1], 503)
        assert client.get(f"/v1/jobs/{job['id']}").status_code == 200
        full = False
        submit(client)
        assert client.get("/readyz").status_code == 200


def test_a_read_only_database_is_a_503(tmp_path):
    settings = make_settings(f"sqlite:///{tmp_path / 'jobs.sqlite3'}", tmp_path)
    with running(settings) as server, server.client() as client:
        job = submit(client)
        engine, read_only = server.service.database.engine, "ON"

        @sa.event.listens_for(engine, "checkout")
        def protect(connection, *_):
            connection.execute(f"PRAGMA query_only={read_only}")

        is_problem(client.post("/v1/jobs", json=SPEC), 503)
        is_problem(client.post(f"/v1/jobs/{job['id']}/cancel"), 503)
        assert "cannot be written" in client.get("/readyz").json()["checks"]["database"]
        assert client.get(f"/v1/jobs/{job['id']}").json()["status"] == "queued"
        read_only = "OFF"
        assert client.post(f"/v1/jobs/{job['id']}/cancel").status_code == 202
