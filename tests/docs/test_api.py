"""docs/api.md is run as it stands: real curl against a real service, and each command gets the status it promises."""

import json
import re
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import jsonschema
import pytest

from tests.saephase.processes import environment
from tests.service.running import FakeWorker, until
from tests.service.test_operations import serving

PAGE = (Path(__file__).parents[2] / "docs" / "api.md").read_text()
SHELL = f"""
set -eu
curl() {{ command curl --show-error --max-time 200 --write-out '%{{stderr}}%{{http_code}}\\n' "$@"; }}
saephase() {{ {sys.executable} -m saephase "$@" 2> token.log; }}
"""
"""Tells the status of every curl on standard error, wherever its output goes."""
CALLS = """
GET /  GET /docs  GET /healthz  GET /metrics  GET /readyz  GET /v1/spec-schema  POST /v1/plans
GET /v1/jobs  POST /v1/jobs  GET /v1/jobs/{}  PATCH /v1/jobs/{}  DELETE /v1/jobs/{}
POST /v1/jobs/{}/cancel  POST /v1/jobs/{}/resume  GET /v1/jobs/{}/events
GET /v1/jobs/{}/conditions  GET /v1/jobs/{}/diagram  GET /v1/jobs/{}/artifacts  GET /v1/jobs/{}/artifacts.zip
GET /v1/jobs/{}/artifacts/trials.parquet  HEAD /v1/jobs/{}/artifacts/trials.parquet
"""


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def commands() -> list[tuple[str, int]]:
    """Each command line of the page that holds a curl, with the status that it promises."""
    script = "".join(blocks("sh")).replace("\\\n", " ").replace("|\n", "| ")
    lines = [line for line in script.splitlines() if "curl " in line]
    found = []
    for line in lines:
        match = re.fullmatch(r"(.*?)\s+# (\d{3})", line)
        assert match is not None, f"no status is promised by: {line}"
        found.append((match[1], int(match[2])))
    return found


def test_every_call_of_the_contract_is_on_the_page() -> None:
    made = set()
    for command, _ in commands():
        path = re.search(r'"\$URL([^"?]*)', command)
        assert path is not None, command
        method = re.search(r"-X (\w+)", command)
        default = "HEAD" if " -sI " in command else "POST" if re.search(r" -d ", command) else "GET"
        made.add(f"{method[1] if method else default} {re.sub(r'[$](JOB|OTHER)', '{}', path[1])}")
    assert set(re.split(r"\s\s+|\n", CALLS.strip())) <= made


@pytest.mark.long
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_every_command_gets_the_status_that_the_page_promises(tmp_path: Path) -> None:
    stop = threading.Event()
    with serving(tmp_path, SAEPHASE_WORKER_TOKEN="the-worker") as (_, url), httpx.Client(base_url=url) as client:
        until(lambda: client.get("/readyz").status_code == 200)
        worker = threading.Thread(target=run_one_job, args=(url, stop))
        worker.start()
        try:
            done = subprocess.run(
                ["bash", "-c", SHELL + "".join(blocks("sh"))],
                cwd=tmp_path,
                env=environment(SAEPHASE_URL=url, SAEPHASE_DATA=str(tmp_path)),
                capture_output=True,
                text=True,
                timeout=300,
                check=False,
            )
        finally:
            stop.set()
            worker.join()
    told = [*zip(done.stderr.split("\n"), commands(), strict=False)]
    wrong = [f"{command}\n  promised {status}, got {got}" for got, (command, status) in told if got != str(status)]
    assert not wrong, "\n".join(wrong)
    assert done.returncode == 0, done.stdout[-1000:]
    assert len(done.stderr.split()) == len(commands()), done.stderr
    assert (tmp_path / "diagram.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "all.zip").read_bytes().startswith(b"PK")
    assert "event: end" in done.stdout
    check_shapes(json.loads((tmp_path / "openapi.json").read_text()))


def run_one_job(url: str, stop: threading.Event) -> None:
    """The job that the page follows; its second one stays in the queue."""
    with httpx.Client(base_url=url, headers={"Authorization": "Bearer the-worker"}, timeout=30) as client:
        worker = FakeWorker(client)
        while not stop.is_set() and worker.take() is None:
            time.sleep(0.2)
        if not stop.is_set():
            time.sleep(1.0)  # so that the page follows it while it runs
            worker.finish_job()


def check_shapes(document: dict[str, object]) -> None:
    """What the page shows of answers keeps to the service's own schemas."""
    for language, name in (("json", "JobView"), ("problem", "Problem")):
        shown = blocks(language)
        assert shown, language
        for text in shown:
            schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
            jsonschema.validate(json.loads(text), schema)
