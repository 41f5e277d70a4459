"""A job's description to a stream of events: starts the Ray driver as a process of its own, and ends all of it."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from workers.process_session import end_session

PATIENCE = 2.0
"""Seconds that the driver's own watch gets to end the session, before it is ended from here; it needs 0.1."""
HEAD_GONE = "Failed to connect to GCS"
"""Ray's last words in the log of a driver that it ends because its cluster's head has been silent for a minute."""
TAIL = 4000
"""Characters of the driver's log that are kept where it died without a word."""


@dataclass(frozen=True, slots=True)
class RayProcess:
    """The running driver."""

    process: subprocess.Popen[bytes]
    scratch: Path

    def send_dictionary(self, dictionary: npt.NDArray[np.float32]) -> None:
        """Hand over what it waits for once its cluster stands."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(np.ascontiguousarray(dictionary, np.float32).tobytes())
            self.process.stdin.flush()
        except BrokenPipeError:
            return  # it has ended, and its last event says why

    def events(self) -> Iterator[dict[str, Any]]:
        """What it tells, until it ends."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.endswith(b"\n"):  # else it was killed in the middle of a word
                yield json.loads(line)

    def last_words(self) -> str:
        """How it ended, and the end of its log."""
        try:
            ended = f"exit code {self.process.wait(PATIENCE)}"
        except subprocess.TimeoutExpired:
            ended = "it does not answer"
        log = self.scratch / "driver.log"
        text = log.read_text(errors="replace")[-TAIL:] if log.exists() else ""
        return f"{ended}\n{text}"


@contextmanager
def start_driver(
    spec_text: str,
    location: str,
    address: str,
    train: str,
    reuse: Sequence[str] = (),
    patient: bool = False,
    trained_on: str | None = None,
) -> Iterator[RayProcess]:
    """Start the driver of a job, and end it with all that it started when the context is left.

    A patient one waits until there is room on its cluster; `trained_on` is the device that earlier packs had there.
    It dies with this process too, even if this process is killed.
    """
    scratch = tempfile.mkdtemp(prefix="saephase-")
    lifeline, ours = os.pipe()
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "workers.ray_driver", str(lifeline), scratch],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=(lifeline,),
            cwd=scratch,  # Ray puts the current folder on the workers' path, and a user's may hold a folder "workers"
            env={**os.environ, "PYTHONPATH": search_path()},
            start_new_session=True,  # a Ctrl-C at the terminal reaches this process only
        )
    except BaseException:
        os.close(ours)
        os.close(lifeline)
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    os.close(lifeline)
    try:
        assert process.stdin is not None
        order = {
            "spec": spec_text,
            "location": location,
            "address": address,
            "train": train,
            "reuse": list(reuse),
            "patient": patient,
            "trained_on": trained_on,
        }
        process.stdin.write(json.dumps(order).encode() + b"\n")
        process.stdin.flush()
        yield RayProcess(process, Path(scratch))
    finally:
        os.close(ours)
        _end(process, scratch)


def search_path() -> str:
    """PYTHONPATH with which other processes find this package, from any folder."""
    given = [str(Path(entry).absolute()) for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    return os.pathsep.join([str(Path(__file__).parents[1]), *given])


def _end(process: subprocess.Popen[bytes], scratch: str) -> None:
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            try:
                stream.close()
            except BrokenPipeError:
                continue
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        pass
    finally:
        end_session(process.pid)
        process.wait()
        shutil.rmtree(scratch, ignore_errors=True)
