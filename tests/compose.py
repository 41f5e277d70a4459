"""docker-compose.yml to local processes: its commands with its environment, each service at a loopback address."""

import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")
PROGRAMS = {
    "python": "",
    "saephase": "-m saephase",
    "ray": "-m ray.scripts.scripts",
}
"""What the image has on its path, and how this environment's interpreter runs it."""


def read_compose(variables: Mapping[str, str]) -> dict[str, Any]:
    """The file with its variables replaced; raises LookupError with the file's own message where one is missing."""
    document: dict[str, Any] = fill_in(yaml.safe_load((ROOT / "docker-compose.yml").read_text()), variables)
    return document


def fill_in(value: Any, variables: Mapping[str, str]) -> Any:
    """${NAME}, ${NAME:-default} and ${NAME:?message} in all strings of a document."""

    def found(match: re.Match[str]) -> str:
        name, kind, text = match.groups()
        if kind == "?" and not variables.get(name):
            raise LookupError(f"{name}: {text}")
        return variables.get(name) or (text if kind == "-" else "")

    return _map(value, lambda text: VARIABLE.sub(found, text).replace("$$", "$"))


def image_entrypoint() -> list[str]:
    """The program of the image, from the Dockerfile."""
    found = re.search(r"^ENTRYPOINT (\[.*\])$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert found is not None
    return [str(word) for word in yaml.safe_load(found[1])]


def command_of(service: Mapping[str, Any]) -> list[str]:
    """What a container of one of our images runs."""
    return [*service.get("entrypoint", image_entrypoint()), *service["command"]]


@cache
def separate() -> list[str]:
    """What gives a command processes of its own, as a container has; nothing where this machine does not allow it."""
    prefix = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
    try:
        allowed = subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        allowed = False
    return prefix if allowed else []


@dataclass
class Stack:
    """The services that run, at their places on this machine."""

    document: dict[str, Any]
    places: dict[str, int]
    """`name:port` in the file to the port on the loopback address."""
    home: Path
    scratch: Path
    """Ray's; its path must be short, as sockets are made in it."""
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def service(self, name: str) -> dict[str, Any]:
        """A service of the file, as it is here."""
        service: dict[str, Any] = _map(self.document["services"][name], self._here)
        return service

    def start(self, name: str) -> None:
        """Start a service of ours and wait until it is healthy, or has ended well where it is one that ends."""
        service = self.service(name)
        self.running[name] = self._process(command_of(service), self.environment(service), name, separate())
        if "healthcheck" in service:
            self._until_healthy(name, service)
        else:
            assert self.running[name].wait(60) == 0, self.log(name)

    def run(self, name: str, *command: str, **changed: str) -> subprocess.CompletedProcess[str]:
        """Run a command as `docker compose exec` would."""
        environment = self.environment(self.service(name)) | changed
        return subprocess.run(
            [self._program(command[0]), *command[1:]], env=environment, cwd=self.home, capture_output=True, text=True
        )

    def environment(self, service: Mapping[str, Any]) -> dict[str, str]:
        """What the file gives the service, over what the image and the machine give every process."""
        machine = {
            "PATH": f"{self.home / 'bin'}:{os.environ['PATH']}",
            "HOME": str(self.home),
            "PYTHONPATH": str(ROOT),
            "RAY_TMPDIR": str(self.scratch),
        }
        return machine | service.get("environment", {})

    def log(self, name: str) -> str:
        """What a service has said."""
        return (self.home / f"{name}.log").read_text(errors="replace")[-6000:]

    def tell_to_stop(self, name: str) -> int:
        """SIGTERM, as `docker stop` sends it; the exit code, within the service's grace."""
        grace = float(str(self.document["services"][name]["stop_grace_period"]).removesuffix("s"))
        process = self.running.pop(name)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(children[0]) if separate() else process.pid, 15)
        return process.wait(grace)

    def end(self) -> None:
        """Kill what runs; what has processes of its own loses them all."""
        for process in self.running.values():
            process.kill()
            process.wait()

    def write_programs(self) -> None:
        """Make what the image has on its path."""
        (self.home / "bin").mkdir()
        for name, module in PROGRAMS.items():
            program = self.home / "bin" / name
            program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {module} "$@"\n')
            program.chmod(0o755)

    def replace(self, name: str, command: list[str]) -> None:
        """Run a local equivalent of another image's program."""
        self.running[name] = self._process(command, self.environment({}), name, [])

    def healthy(self, service: Mapping[str, Any]) -> bool:
        """Whether the service's own health check says so."""
        kind, *test = service["healthcheck"]["test"]
        command = ["/bin/sh", "-c", *test] if kind == "CMD-SHELL" else [self._program(test[0]), *test[1:]]
        assert kind in ("CMD", "CMD-SHELL")
        return (
            subprocess.run(command, env=self.environment(service), cwd=self.home, capture_output=True).returncode == 0
        )

    def _until_healthy(self, name: str, service: Mapping[str, Any]) -> None:
        deadline = time.monotonic() + 120
        while not self.healthy(service):
            assert self.running[name].poll() is None, self.log(name)
            assert time.monotonic() < deadline, self.log(name)
            time.sleep(0.5)

    def _process(
        self, command: list[str], environment: Mapping[str, str], name: str, prefix: list[str]
    ) -> subprocess.Popen[bytes]:
        with open(self.home / f"{name}.log", "wb") as log:
            return subprocess.Popen(
                [*prefix, self._program(command[0]), *command[1:]],
                env=environment,
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _program(self, name: str) -> str:
        return str(self.home / "bin" / name) if name in PROGRAMS else name

    def _here(self, text: str) -> str:
        for place, port in self.places.items():
            text = re.sub(rf"\b{place}\b", f"127.0.0.1:{port}", text)
        for place, port in self.places.items():
            text = re.sub(rf"(?<![\w.]){place.partition(':')[2]}\b", str(port), text)
        return text.replace("0.0.0.0", "127.0.0.1")


def _map(value: Any, change: Any) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [_map(item, change) for item in value]
    if isinstance(value, dict):
        return {key: _map(item, change) for key, item in value.items()}
    return value
