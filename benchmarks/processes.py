"""Commands to processes that are started again whenever they die, and a process to all that it started."""

import socket
import subprocess
import threading
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]


@dataclass
class Program:
    """A command that is started again whenever it has died."""

    command: list[str]
    environment: dict[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0
    stopping: threading.Event = field(default_factory=threading.Event)
    keeper: threading.Thread | None = None

    def start(self) -> None:
        """Keep it running, in a thread: nothing else may wait for a service that is not there."""
        self._keep()
        self.keeper = threading.Thread(target=self._watch, daemon=True)
        self.keeper.start()

    def _watch(self) -> None:
        while not self.stopping.wait(0.3):
            self._keep()

    def _keep(self) -> None:
        if self.process is None or self.process.poll() is not None:
            with self.log.open("ab") as log:
                self.process = subprocess.Popen(
                    self.command, cwd=ROOT, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
                )
            self.starts += 1

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def end(self) -> None:
        self.stopping.set()
        if self.keeper is not None:
            self.keeper.join()
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(30)


def descendants(ancestor: int) -> list[tuple[int, int, str]]:
    """(pid, parent, command line) of what a process started, and of what that started."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            parent = read(entry / "stat").rpartition(")")[2].split()[1:2]
            if parent:
                parents[int(entry.name)] = int(parent[0])
    found: dict[int, int] = {}
    frontier = {ancestor}
    while frontier:
        reached = {pid: parent for pid, parent in parents.items() if parent in frontier and pid not in found}
        found |= reached
        frontier = set(reached)
    return [(pid, parent, read(Path(f"/proc/{pid}/cmdline")).replace("\0", " ")) for pid, parent in found.items()]


def read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
