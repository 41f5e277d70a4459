"""An order to the events of the process that runs it; nothing of that process outlives its handle."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from workers.lease_run import Order
from workers.process_session import end_session
from workers.ray_process import search_path

MODULE = "workers.lease_run"
"""What the process runs."""


class Child:
    """The running process."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._lock = threading.Lock()

    @property
    def pid(self) -> int:
        """Its process id, and that of its session."""
        return self._process.pid

    def extend(self, deadline: float) -> None:
        """Let it go on until then."""
        self._write(f"{deadline!r}\n".encode())

    def listen(self, hear: Callable[[dict[str, Any]], None]) -> None:
        """Pass on its events, the last of which tells how the process ended if it ended without a word."""
        assert self._process.stdout is not None
        told = False
        try:
            for line in self._process.stdout:
                event = json.loads(line)
                told = told or event["event"] == "ended"
                hear(event)
        except ValueError:
            pass  # the pipe was closed, or the process was killed in the middle of a line
        if not told:
            hear({"event": "died", "text": _ending(self._process.wait())})

    def _write(self, line: bytes) -> None:
        assert self._process.stdin is not None
        with self._lock:
            try:
                self._process.stdin.write(line)
                self._process.stdin.flush()
            except (BrokenPipeError, ValueError):
                return  # it has ended, and its last event or exit code says how

    def end(self) -> None:
        """Kill it with all that it started; its driver's own watch ends Ray as soon as it is gone."""
        if self._process.poll() is None:
            end_session(self.pid)
        self._process.wait()


@contextmanager
def start_child(order: Order, hear: Callable[[dict[str, Any]], None]) -> Iterator[Child]:
    """Start the process of an order, whose events are heard in another thread; leaving the context ends it."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", MODULE],  # -P: the current folder may hold a folder "workers" too
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": search_path()},
        start_new_session=True,  # a Ctrl-C at the terminal reaches the worker only
    )
    child = Child(process)
    listener = threading.Thread(target=child.listen, args=(hear,), daemon=True)
    try:
        child._write(order.line())
        listener.start()
        yield child
    finally:
        child.end()
        listener.join()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                _close(stream)


def _close(stream: Any) -> None:
    try:
        stream.close()
    except BrokenPipeError:
        return


def _ending(code: int) -> str:
    if code < 0:
        return f"the process that ran it was killed ({signal.Signals(-code).name})"
    return f"the process that ran it ended without a word (exit code {code})"
