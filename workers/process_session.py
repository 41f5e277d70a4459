"""A process of ours to all that it started: they share its session, and end with it whatever happens to whom."""

import os
import select
import shutil
import signal
import subprocess
import time
from pathlib import Path

PASSES = 20
"""Rounds of killing; each finds what was started during the one before, and two are enough as a rule."""


def end_session(session: int, spare: int = 0) -> None:
    """Kill every process of a session, except one; returns when no new member appears."""
    killed: set[int] = set()
    for _ in range(PASSES):
        members = set(_members(session)) - killed - {spare}
        if not members:
            return
        for pid in members:
            try:
                os.kill(pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                continue
        killed |= members
        time.sleep(0.01)


def keep_watch(lifeline: int, scratch: str) -> None:
    """Leave a small process behind that ends this session as soon as this process ends or the lifeline closes.

    The lifeline is the reading end of a pipe whose writing end only the parent holds: it closes even when the parent
    is killed. Ray alone would leave its agents for a minute, holding ports (measured, 2.60). The scratch folder is
    removed once the parent has let go. Call it before any thread starts.
    """
    ours, driver = os.pipe()
    if os.fork():
        os.close(ours)
        os.close(lifeline)
        return  # `driver` stays open for as long as this process lives
    try:
        os.close(driver)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        for stream in (0, 1):
            os.close(stream)
        select.select([ours, lifeline], [], [])
        end_session(os.getsid(0), spare=os.getpid())
        select.select([lifeline], [], [])
        shutil.rmtree(scratch, ignore_errors=True)
    finally:
        os._exit(0)


def _members(session: int) -> list[int]:
    members = []
    for pid in _pids():
        try:
            if os.getsid(pid) == session:
                members.append(pid)
        except (ProcessLookupError, PermissionError):
            continue
    return members


def _pids() -> list[int]:
    if Path("/proc/self").exists():
        return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    listed = subprocess.run(["ps", "-A", "-o", "pid="], capture_output=True, text=True, check=False).stdout
    return [int(pid) for pid in listed.split()]
