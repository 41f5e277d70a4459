"""A throwaway PostgreSQL cluster for the tests, run as nobody where the tests run as root."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def binaries() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


class Cluster:
    """A running cluster; `start` and `stop` it to see what a service does without its database."""

    def __init__(self, bin: Path, root: Path, port: int, password: str = "") -> None:
        """Whoever connects is trusted, or has to know the password if there is one."""
        self.bin, self.root, self.port, self._password = bin, root, port, password
        self._user = pwd.getpwnam("nobody").pw_uid if os.getuid() == 0 else None
        self._made = 0

    def run(self, *command: str) -> None:
        done = subprocess.run(
            [str(self.bin / command[0]), *command[1:]],
            user=self._user,
            capture_output=True,
            text=True,
            cwd=self.root,
            env={**os.environ, "PGPASSWORD": self._password},
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def create(self) -> None:
        if self._user is not None:
            os.chown(self.root, self._user, -1)
        secret = self.root / "password"
        secret.write_text(self._password)
        access = ["-A", "scram-sha-256", "--pwfile", str(secret)] if self._password else ["-A", "trust"]
        self.run("initdb", "-D", str(self.root / "data"), "-U", "saephase", *access, "--no-sync", "-E", "UTF8")

    def start(self) -> None:
        options = f"-p {self.port} -k {self.root} -c listen_addresses=127.0.0.1 -c fsync=off -c max_connections=200"
        self.run("pg_ctl", "-D", str(self.root / "data"), "-l", str(self.root / "log"), "-o", options, "-w", "start")

    def stop(self) -> None:
        self.run("pg_ctl", "-D", str(self.root / "data"), "-m", "immediate", "-w", "stop")

    def new_database(self, name: str = "") -> str:
        self._made += 1
        name = name or f"test_{self._made}"
        self.run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "saephase", name)
        return f"postgresql://saephase@127.0.0.1:{self.port}/{name}"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def running_cluster(password: str = "") -> Iterator[Cluster]:
    """A cluster while the tests need it; skipped where PostgreSQL is not installed, but not in CI."""
    bin = binaries()
    if bin is None:
        reason = "PostgreSQL is not installed here (no initdb on PATH or in /usr/lib/postgresql)"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    # Not under pytest's own folder, which other users may not enter.
    root = Path(tempfile.mkdtemp(prefix="saephase-pg-", dir="/tmp"))
    root.chmod(0o755)
    cluster = Cluster(bin, root, free_port(), password)
    try:
        cluster.create()
        cluster.start()
        yield cluster
    finally:
        if (root / "data" / "postmaster.pid").exists():
            cluster.stop()
        shutil.rmtree(root, ignore_errors=True)
