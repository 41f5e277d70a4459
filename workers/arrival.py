"""Imported by every worker of our own cluster as soon as it has reported to Ray: leaves a file that says so."""

import os
from pathlib import Path

ARRIVALS = "SAEPHASE_ARRIVALS"
"""Environment variable: the folder for these files, named by process."""


def arrive() -> None:
    """Leave this process's file; nothing where nobody asked for it."""
    if folder := os.environ.get(ARRIVALS):
        Path(folder, str(os.getpid())).touch()


def arrived(folder: Path) -> int:
    """The number of processes that have left one."""
    return len(os.listdir(folder))


arrive()
