"""Ray clusters of several nodes on this machine: each node a set of processes that is killed and started again."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.processes import ROOT, descendants
from workers.process_session import end_session

STORE = 80_000_000
"""Bytes of each node's object store, little above Ray's least."""
LONGEST_START = 90.0
"""Seconds until a node must be there; it takes 5 on an idle machine."""
STARTED = "Ray runtime started."
"""What a node says once it is one."""


@dataclass
class RayNode:
    """`ray start --block` and all that it started, in a session of its own."""

    arguments: list[str]
    variables: dict[str, str]
    place: Path
    starts: int = 0
    process: subprocess.Popen[bytes] = field(init=False)

    @property
    def log(self) -> Path:
        return self.place.with_suffix(f".{self.starts}.log")

    def start(self) -> None:
        """Start it, also once more; it takes seconds to be there."""
        self.starts += 1
        common = ["--block", "--num-cpus=1", f"--object-store-memory={STORE}", f"--temp-dir={self.place}"]
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", *common, *self.arguments]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, env=self.variables, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def until_there(self) -> None:
        ends = time.monotonic() + LONGEST_START
        while STARTED not in (said := self.log.read_text(errors="replace")):
            assert self.process.poll() is None, said
            assert time.monotonic() < ends, said
            time.sleep(0.1)

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def kill(self, part: str) -> None:
        """kill -9 of the process of the node whose command line holds this."""
        os.kill(next(pid for pid, _, line in descendants(self.process.pid) if part in line), signal.SIGKILL)

    def end(self) -> None:
        end_session(self.process.pid)
        self.process.wait()


@dataclass
class RayCluster:
    """A head and other nodes, each of one CPU."""

    port: int
    scratch: Path
    variables: dict[str, str]
    head: RayNode
    nodes: list[RayNode]

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def add_node(self) -> RayNode:
        node = RayNode([f"--address={self.address}"], self.variables, self.scratch / f"node{len(self.nodes)}")
        self.nodes.append(node)
        node.start()
        return node

    def until_there(self) -> None:
        for node in (self.head, *self.nodes):
            node.until_there()


@contextmanager
def ray_cluster(nodes: int, **variables: str) -> Iterator[RayCluster]:
    """A cluster with so many nodes beside its head; nothing of it outlives the context.

    The machine's other Ray clusters are not touched: port, token and folder are this one's own.
    """
    scratch = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))  # short: Ray's sockets lie in it
    port = free_of_ray()
    own = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32), "RAY_USAGE_STATS_ENABLED": "0"}
    variables = {**os.environ, "PYTHONPATH": str(ROOT), **own, **variables}
    head = RayNode(["--head", f"--port={port}", "--include-dashboard=false"], variables, scratch / "head")
    cluster = RayCluster(port, scratch, variables, head, [])
    try:
        head.start()
        for _ in range(nodes):
            cluster.add_node()
        cluster.until_there()
        yield cluster
    finally:
        for node in (head, *cluster.nodes):
            node.end()
        shutil.rmtree(scratch, ignore_errors=True)


def free_of_ray() -> int:
    """A free port where none of Ray's own workers will listen."""
    for port in range(20_000 + secrets.randbelow(10_000), 32_000):
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")
