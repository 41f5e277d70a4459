"""The service's commands: from a spec file to a downloaded diagram over a real service, a real worker and real Ray."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from phase_diagrams.folder import open_folder, read_trials, same_results
from saephase.command import main
from service.settings import Settings
from tests.saephase.processes import alive, start_command, wait_for
from tests.service.running import Running as Service
from tests.service.running import running

SPEC = """
name: tiny
data: {n_features: 8, n_inputs: 4}
grid: {sparsity: [0.5, 0.8], hidden_dim: [8], activation: ["topk:1"], seeds: 2}
training: {steps: 50, batch_size: 32}
"""
ROOT = Path(__file__).parents[2]


@pytest.fixture
def spec(tmp_path: Path) -> str:
    (tmp_path / "tiny.yaml").write_text(SPEC)
    return str(tmp_path / "tiny.yaml")


@pytest.fixture(scope="module")
def idle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service without a worker."""
    root = tmp_path_factory.mktemp("idle")
    with running(Settings(database=f"sqlite:///{root / 'jobs.sqlite3'}", storage=str(root))) as service:
        yield service


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.long
def test_from_a_spec_file_to_a_downloaded_diagram(tmp_path: Path, spec: str) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    began = time.monotonic()
    server = start_command("serve", "--port", str(port), "--data", str(tmp_path / "data"))
    wait_for(lambda: ready(url), 30, "for the service")
    print(f"ready after {time.monotonic() - began:.2f} s")
    try:
        out = follow_a_job(url, tmp_path, spec)
        alone = start_command("run", spec, "--out", str(tmp_path / "alone"))
        assert alone.end()[0] == 0
        mine, theirs = (open_folder(str(place)) for place in (out, tmp_path / "alone"))
        assert same_results(read_trials(mine), read_trials(theirs))
        assert sorted(path.name for path in out.iterdir()) == sorted(
            path.name for path in (tmp_path / "alone").iterdir() if path.is_file()
        )
        for name in ("conditions.parquet", "boundary.parquet", "phase_diagram.png", "summary.json", "spec.json"):
            assert mine.read(name) == theirs.read(name), name
    finally:
        started = server.started()
        server.send(signal.SIGTERM)
        began = time.monotonic()
        code, _, said = server.end(timeout=15)
    assert code == 0, said
    assert time.monotonic() - began < 10
    wait_for(lambda: not alive(started), 2, f"for the end of {alive(started)}")


def ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz").status_code == 200
    except httpx.TransportError:
        return False


def follow_a_job(url: str, place: Path, spec: str) -> Path:
    code, out, said = start_command("submit", spec, "--wait", SAEPHASE_URL=url).end()
    assert code == 0, said
    job_id = out.strip()
    assert len(job_id) == 16
    for words in ("queued", "running on", "reused 0, to run 8", "8/8 trials", "succeeded", "saephase download"):
        assert words in said
    code, _, again = start_command("watch", job_id, SAEPHASE_URL=url).end()
    assert code == 0
    assert again == said
    code, out, said = start_command("download", job_id, "--out", str(place / "fetched"), SAEPHASE_URL=url).end()
    assert code == 0, said
    assert str(place / "fetched" / "phase_diagram.png") in out.splitlines()
    return place / "fetched"


def run_here(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(arguments)
    told = capsys.readouterr()
    return code, told.out, told.err


def test_status_cancel_and_resume(idle: Service, spec: str, capsys: pytest.CaptureFixture[str]) -> None:
    url = ("--url", idle.url)
    _, out, _ = run_here(capsys, "submit", spec, *url, "--set", "name=waiting", "--key", "k", "--priority", "2")
    job_id = out.strip()
    assert run_here(capsys, "submit", spec, *url, "--set", "name=waiting", "--key", "k", "--priority", "2")[1] == out
    code, out, _ = run_here(capsys, "status", job_id, *url)
    assert code == 0
    assert "status: queued\ntrials: 0/8, 0 reused\n" in out
    assert "priority: 2" in out
    code, out, _ = run_here(capsys, "status", *url, "--limit", "1")
    assert [line.split()[0] for line in out.splitlines()] == ["id", job_id]
    assert json.loads(run_here(capsys, "status", *url, "--json", job_id)[1])["spec"]["name"] == "waiting"
    assert run_here(capsys, "cancel", job_id, *url)[1] == f"{job_id} is cancelled\n"
    code, _, said = run_here(capsys, "watch", job_id, *url)
    assert code == 3
    assert "cancelled" in said
    assert run_here(capsys, "resume", job_id, *url)[1] == f"{job_id} is queued\n"
    assert run_here(capsys, "cancel", job_id, *url)[0] == 0
    code, out, said = run_here(capsys, "download", job_id, *url, "--out", f"{spec}.out")
    assert (code, out) == (0, "")
    assert "has no files yet" in said


def test_refusals_and_wrong_use_have_their_exit_codes(
    idle: Service, spec: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    url = ("--url", idle.url)
    assert run_here(capsys, "status", "0" * 16, *url)[::2] == (
        4,
        "saephase: the service refused: Not Found: There is no job '0000000000000000'.\n",
    )
    code, _, said = run_here(capsys, "cancel", "../x", *url)
    assert code == 2
    assert "is not a job id" in said
    (tmp_path / "bad.yaml").write_text("data: {}")
    assert run_here(capsys, "submit", str(tmp_path / "bad.yaml"), *url)[0] == 2
    code, _, said = run_here(capsys, "submit", spec, "--url", "nonsense")
    assert code == 2
    assert "nonsense is not the URL of a service" in said
    code, _, said = run_here(capsys, "status", *url, "--token", "sae_\u00e9")
    assert code == 2
    assert "--token: the token holds characters that no token has" in said
    assert "sae_\u00e9" not in said
    began = time.monotonic()
    code, _, said = run_here(capsys, "status", "--url", f"http://127.0.0.1:{free_port()}")
    assert code == 4
    assert "cannot be reached" in said
    assert time.monotonic() - began < 8
    code, _, said = start_command("worker", "--url", idle.url + "/nothing").end()
    assert code == 4
    assert "the service refused: There is nothing at /nothing/v1/leases. (HTTP 404)" in said


def test_a_port_that_is_taken_and_an_open_address_are_refused(idle: Service, tmp_path: Path) -> None:
    port = idle.url.rpartition(":")[2]
    code, _, said = start_command("serve", "--port", port, "--data", str(tmp_path)).end()
    assert code == 2
    assert f"port {port}: Address already in use" in said
    code, _, said = start_command("serve", "--host", "0.0.0.0", "--port", "0", "--data", str(tmp_path)).end()
    assert code == 2
    assert "saephase token create" in said.replace("\n", " ")


def test_tokens_are_made_listed_and_revoked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = ("--data", str(tmp_path))
    code, secret, said = run_here(capsys, "token", "create", "--owner", "ada", "--role", "read", *place)
    assert code == 0
    assert secret.startswith("sae_")
    token_id = said.split()[2]
    listed = run_here(capsys, "token", "list", *place)[1]
    assert token_id in listed
    assert "ada" in listed
    assert secret.strip() not in listed
    assert secret.strip().encode() not in b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    assert run_here(capsys, "token", "revoke", token_id, *place)[:2] == (0, f"revoked {token_id}\n")
    assert run_here(capsys, "token", "revoke", token_id, *place)[0] == 2
    assert run_here(capsys, "token", "create", "--owner", "ada", "--role", "king", *place)[0] == 2
    assert run_here(capsys, "token", "list", "--database", "mysql://x/y")[0] == 2


def test_a_worker_beside_a_service_ends_with_it_and_is_replaced(tmp_path: Path) -> None:
    port = free_port()
    server = start_command("serve", "--port", str(port), "--data", str(tmp_path))
    wait_for(lambda: "saephase worker" in str(server.started()), 30)
    first = next(pid for pid, line in server.started().items() if "saephase worker" in line)
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: "saephase worker" in str({p: line for p, line in server.started().items() if p != first}), 30)
    started = server.started()
    wait_for(lambda: ready(f"http://127.0.0.1:{port}"), 30)
    server.send(signal.SIGKILL)
    server.end()
    wait_for(lambda: not alive(started), 10, f"for the end of {alive(started)}")


def test_the_api_process_and_help_load_nothing_heavy() -> None:
    heavy = ["torch", "ray", "numba", "optuna"]
    for code, unwanted in (
        ("import saephase.serve_command, service.server", heavy),
        ("import saephase.worker_command", ["torch", "ray", "numba", "sqlalchemy", "fastapi"]),
        (
            "import saephase.command as c; c.command_parser()",
            [*heavy, "numpy", "httpx", "rich", "sqlalchemy", "fastapi"],
        ),
    ):
        told = subprocess.run(
            [sys.executable, "-c", f"import sys; {code}; print([n for n in {unwanted} if n in sys.modules])"],
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
        )
        assert told.stdout.strip() == "[]", code
