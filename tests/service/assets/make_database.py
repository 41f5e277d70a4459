"""Writes database-<revision>.sqlite3 and what it holds; run once per revision, by a version that writes it.

python -m tests.service.assets.make_database
"""

import json
import sqlite3
import tempfile
import time
from pathlib import Path

from service.migrations import HEAD
from service.tokens import create_token
from tests.service.conftest import make_settings
from tests.service.running import SPEC, FakeWorker, read_stream, running, submit


def main() -> None:
    here = Path(__file__).parent
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "jobs.sqlite3"
        with running(make_settings(f"sqlite:///{path}", folder)) as server:
            _, secret = create_token(server.service.database, "ada", "admin", time.time(), "laptop")
            with server.client(secret) as client:
                worker = FakeWorker(client)
                submit(client, {**SPEC, "name": "done"})
                worker.run()
                submit(client, {**SPEC, "name": "waiting"}, **{"Idempotency-Key": "once"})
                stopped = submit(client, {**SPEC, "name": "stopped"})
                client.post(f"/v1/jobs/{stopped['id']}/cancel")
                failed = client.post("/v1/jobs", json={**SPEC, "name": "failed"}, params={"priority": 7}).json()
                assert worker.take()["job_id"] == failed["id"]
                worker.say("heartbeat", {"events": [{"type": "message", "data": {"text": "training"}, "key": "1"}]})
                worker.say("finish", {"status": "failed", "error": "The Ray cluster is lost."})
                jobs = client.get("/v1/jobs").json()["items"]
                ended = [job["id"] for job in jobs if job["status"] != "queued"]
                events = {job_id: [e for e in read_stream(client, job_id) if e[1] != ":"] for job_id in ended}
        target = here / f"database-{HEAD}.sqlite3"
        target.unlink(missing_ok=True)
        sqlite3.connect(path).execute("VACUUM INTO ?", (str(target),))
        content = {"secret": secret, "jobs": jobs, "events": events}
        (here / f"database-{HEAD}.json").write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
