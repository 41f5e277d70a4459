"""Commands under test as processes: what they started, whether it still lives, what they said."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]


def environment(**variables: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), **variables}


def start_command(*arguments: str, module: str = "saephase", **variables: str) -> "Running":
    return Running([sys.executable, "-m", module, *arguments], environment(**variables))


class Running:
    """A command that runs; what it says goes to pipes that are read at its end."""

    def __init__(self, command: list[str], variables: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def end(self, timeout: float = 400) -> tuple[int, str, str]:
        """Exit code, standard output, standard error."""
        out, err = self.process.communicate(timeout=timeout)
        return self.process.returncode, out, err

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def started(self) -> dict[int, str]:
        """The processes that it started, and those started by them, with their command lines."""
        return descendants(self.process.pid)


def descendants(ancestor: int) -> dict[int, str]:
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
    found: set[int] = set()
    frontier = {ancestor}
    while frontier:
        frontier = {pid for pid, parent in parents.items() if parent in frontier} - found
        found |= frontier
    return {pid: command_line(pid) for pid in found}


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def alive(pids: dict[int, str]) -> dict[int, str]:
    """Those that run still, as what they were: not zombies, not another process of the same number."""
    return {pid: line for pid, line in pids.items() if line and command_line(pid) == line}


def wait_for(condition: Callable[[], object], seconds: float = 60, what: str = "") -> float:
    """Wait until something holds; returns how long it took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, f"waited {seconds} s in vain {what}"
        time.sleep(0.05)
    return time.monotonic() - began
