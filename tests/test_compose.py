"""docker-compose.yml: what it promises, and its commands as processes of this machine, from a spec to its diagram."""

import hashlib
import re
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from benchmarks.ray_nodes import free_of_ray
from saephase.command import command_parser
from service.settings import PREFIX, environment_settings
from tests.compose import ROOT, VARIABLE, Stack, command_of, read_compose
from tests.service.postgres import free_port, running_cluster

SECRETS = {
    name: f"{number}" * 8 + "deadbeef" * 3
    for number, name in enumerate(
        (
            "POSTGRES_PASSWORD",
            "STORE_KEY_ID",
            "STORE_SECRET",
            "RAY_AUTH_TOKEN",
            "SAEPHASE_WORKER_TOKEN",
            "SAEPHASE_ADMIN_TOKEN",
        )
    )
}
SPEC: dict[str, Any] = {
    "name": "composed",
    "data": {"n_features": 8, "n_inputs": 4},
    "grid": {"sparsity": [0.5, 0.9], "hidden_dim": [8, 16], "activation": ["topk:1"], "seeds": 2},
    "training": {"steps": 50, "batch_size": 64},
}
DOCUMENT = read_compose(SECRETS)
SERVICES: dict[str, dict[str, Any]] = DOCUMENT["services"]
OURS = [name for name, service in SERVICES.items() if "build" in service]


def test_the_parts_are_there() -> None:
    assert set(SERVICES) == {
        *("api", "worker", "postgres", "store", "bucket", "ray-head", "ray-worker", "ray-worker-gpu")
    }
    assert [name for name, service in SERVICES.items() if service.get("profiles") == ["gpu"]] == ["ray-worker-gpu"]
    devices = SERVICES["ray-worker-gpu"]["deploy"]["resources"]["reservations"]["devices"]
    assert devices[0]["capabilities"] == ["gpu"]


@pytest.mark.parametrize("name", SECRETS)
def test_no_secret_is_in_the_file_and_a_missing_one_is_asked_for(name: str) -> None:
    with pytest.raises(LookupError, match=f"{name}: write {name} into .env"):
        read_compose({**SECRETS, name: ""})


def test_everything_that_sounds_like_a_secret_comes_from_a_variable() -> None:
    blank = read_compose(dict.fromkeys(SECRETS, "@"))
    told = [
        (name, variable, value)
        for name, service in blank["services"].items()
        for variable, value in service.get("environment", {}).items()
        if re.search("PASSWORD|SECRET|TOKEN|KEY|DATABASE", variable)
    ]
    assert len(told) > 10
    assert all("@" in value.replace("@postgres", "") for _, _, value in told), told


def test_the_example_has_every_variable_and_no_secret() -> None:
    lines = [line for line in (ROOT / ".env.example").read_text().splitlines() if line and not line.startswith("#")]
    example = dict(line.split("=", 1) for line in lines)
    assert set(example) == {match[0] for match in VARIABLE.findall((ROOT / "docker-compose.yml").read_text())}
    assert {name for name, value in example.items() if not value} == set(SECRETS)
    assert ".env" in (ROOT / ".gitignore").read_text().split()
    assert ".env*" in (ROOT / ".dockerignore").read_text().split()


def test_only_the_api_is_published_and_only_on_loopback() -> None:
    assert {name: service["ports"] for name, service in SERVICES.items() if "ports" in service} == {
        "api": ["127.0.0.1:8000:8000"]
    }
    for name, service in SERVICES.items():
        assert service["networks"] == (["inside", "outside"] if name == "api" else ["inside"])
        assert not {"network_mode", "privileged", "pid", "ipc"} & set(service)
    assert DOCUMENT["networks"]["inside"] == {"internal": True}


def test_health_restarts_and_order() -> None:
    ends = {"bucket"}
    for name, service in SERVICES.items():
        assert service["restart"] == ("on-failure" if name in ends else "unless-stopped")
        assert ("healthcheck" in service) == (name not in ends)
        for needed, how in service.get("depends_on", {}).items():
            expected = "service_completed_successfully" if needed in ends else "service_healthy"
            assert how == {"condition": expected}
            assert needed in SERVICES


def test_images_are_of_one_version_and_ours_run_without_root() -> None:
    for name, service in SERVICES.items():
        if name not in OURS:
            assert re.fullmatch(r"[\w./-]+:v?\d+\.\d+(\.\d+)?", service["image"]), service["image"]
    text = (ROOT / "Dockerfile").read_text()
    assert re.findall(r"^FROM (\S+)", text, re.MULTILINE) == ["python:3.12.11-slim-bookworm"]
    users = re.findall(r"^USER (\S+)", text, re.MULTILINE)
    assert users == ["saephase"]
    assert text.index("USER saephase") < text.index("ENTRYPOINT")
    for name in OURS:
        assert "user" not in SERVICES[name]
        assert SERVICES[name]["cap_drop"] == ["ALL"]
        assert SERVICES[name]["init"]
    assert SERVICES["postgres"]["user"] == "postgres"


def test_a_cuda_image_is_the_same_with_another_torch() -> None:
    text = (ROOT / "Dockerfile").read_text()
    (argument,) = SERVICES["ray-worker-gpu"]["build"]["args"]
    assert re.search(rf"^ARG {argument}=\S+/whl/cpu$", text, re.MULTILINE)
    assert f'--index-url "${argument}"' in text
    assert SERVICES["ray-worker-gpu"]["image"] != SERVICES["ray-worker"]["image"]


def test_the_image_holds_what_is_installed_and_nothing_that_is_ignored() -> None:
    text = (ROOT / "Dockerfile").read_text()
    sources = [source for line in re.findall(r"^COPY (.+) \S+$", text, re.MULTILINE) for source in line.split()]
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert {"phase_diagrams", "workers", "service", "saephase", "pyproject.toml"} <= set(sources)
    for source in sources:
        assert (ROOT / source).exists()
        assert source not in ignored


def test_every_node_of_ray_and_its_driver_asks_for_the_token() -> None:
    talkers = [name for name in OURS if "ray" in str(command_of(SERVICES[name]))]
    assert talkers == ["worker", "ray-head", "ray-worker", "ray-worker-gpu"]
    for name in talkers:
        environment = SERVICES[name]["environment"]
        assert environment["RAY_AUTH_MODE"] == "token"
        assert environment["RAY_AUTH_TOKEN"] == SECRETS["RAY_AUTH_TOKEN"]
        # Rows are written by the nodes, and read by the driver.
        assert environment["AWS_SECRET_ACCESS_KEY"] == SECRETS["STORE_SECRET"]
    port = next(word for word in SERVICES["ray-head"]["command"] if word.startswith("--port=")).partition("=")[2]
    assert not 10002 <= int(port) <= 19999  # Ray's own workers listen there


def test_settings_and_options_are_those_of_the_program() -> None:
    environment = {name: value for name, value in SERVICES["api"]["environment"].items() if name.startswith(PREFIX)}
    assert {PREFIX + name.upper() for name in environment_settings(environment)} == set(environment)
    for name in ("api", "worker"):
        program, *arguments = command_of(SERVICES[name])
        assert program == "saephase"
        assert command_parser().parse_args(arguments).command == arguments[0]


def test_volumes_are_declared_and_hold_what_must_last() -> None:
    mounted = {volume.partition(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])}
    assert mounted == set(DOCUMENT["volumes"])
    assert SERVICES["postgres"]["volumes"] == ["database:/var/lib/postgresql/data"]
    assert SERVICES["store"]["volumes"][0].endswith(":" + SERVICES["store"]["command"][-1])


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Everything but the images: their own programs have local equivalents, ours run as the file says."""
    home = tmp_path_factory.mktemp("home")
    scratch = Path(tempfile.mkdtemp(prefix="sp-", dir="/tmp"))
    with running_cluster(SECRETS["POSTGRES_PASSWORD"]) as postgres:
        postgres.new_database("saephase")
        places = {
            "api:8000": free_port(),
            "postgres:5432": postgres.port,
            "store:7070": free_port(),
            "ray-head:6379": free_of_ray(),
        }
        stack = Stack(DOCUMENT, places, home, scratch)
        stack.write_programs()
        store = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(places["store:7070"])]
        try:
            stack.replace("store", store)
            _until_open(places["store:7070"])
            for name in ("bucket", "api", "ray-head", "ray-worker", "worker"):
                assert set(SERVICES[name].get("depends_on", {})) <= {*stack.running, "postgres"}, "the order is wrong"
                stack.start(name)
            yield stack
        finally:
            stack.end()
            shutil.rmtree(scratch, ignore_errors=True)


@pytest.mark.long
def test_a_job_posted_to_the_stack_becomes_a_diagram(stack: Stack) -> None:
    made = stack.run("api", "saephase", "token", "create", "--owner", "ada")
    assert made.returncode == 0, made.stderr
    url = f"http://127.0.0.1:{stack.places['api:8000']}"
    headers = {"Authorization": f"Bearer {made.stdout.strip()}"}
    assert httpx.get(f"{url}/v1/jobs").status_code == 401
    with httpx.Client(base_url=url, headers=headers, timeout=60) as client:
        answer = client.post("/v1/jobs", json=SPEC)
        assert answer.status_code == 202, answer.text
        job = answer.headers["Location"]
        deadline = time.monotonic() + 400
        while (state := client.get(job).json())["status"] in ("queued", "running"):
            assert time.monotonic() < deadline, stack.log("worker")
            time.sleep(0.5)
        assert state["status"] == "succeeded", state["error"]
        assert (state["owner"], state["progress"]["trials_done"]) == ("ada", 16)
        manifest = client.get(f"{job}/artifacts/manifest.json").json()
        names = {entry["name"] for entry in manifest["files"]}
        assert {"phase_diagram.png", "phase_diagram.html", "trials.parquet", "conditions.parquet"} <= names
        for entry in manifest["files"]:
            content = client.get(f"{job}/artifacts/{entry['name']}").content
            assert (len(content), hashlib.sha256(content).hexdigest()) == (entry["bytes"], entry["sha256"])
        picture = client.get(f"{job}/diagram", headers={"Accept": "image/png"}).content
        assert picture == client.get(f"{job}/artifacts/phase_diagram.png").content
        assert picture.startswith(b"\x89PNG")


@pytest.mark.long
def test_ray_refuses_whoever_lacks_the_token(stack: Stack) -> None:
    address = f"127.0.0.1:{stack.places['ray-head:6379']}"
    ask = ("ray", "health-check", "--address", address)
    assert stack.run("ray-head", *ask).returncode == 0
    for changed in ({"RAY_AUTH_TOKEN": "0" * 64}, {"RAY_AUTH_TOKEN": "", "RAY_AUTH_MODE": "disabled"}):
        assert stack.run("ray-head", *ask, **changed).returncode != 0
        join = f"import ray; ray.init({address!r}); print(ray.get(ray.remote(lambda: 'run').remote()))"
        joined = stack.run("ray-head", "python", "-c", join, **changed)
        assert joined.returncode != 0
        assert "run" not in joined.stdout.split()
        assert re.search("(?i)unauthenticated|authentication", joined.stderr), joined.stderr[-2000:]


@pytest.mark.long
def test_all_are_healthy_and_stop_within_their_grace(stack: Stack) -> None:
    for name in ("api", "worker", "ray-head", "ray-worker"):
        assert stack.healthy(stack.service(name)), name
    for name in ("worker", "api"):
        assert stack.tell_to_stop(name) in (0, -15, 143), stack.log(name)
    assert not stack.healthy(stack.service("api"))
    assert not stack.healthy(stack.service("worker"))


def _until_open(port: int) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        else:
            return
