"""Measured paces to and from a file in the user's cache folder, one file per engine and processor."""

import hashlib
import json
import os
import platform
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from phase_diagrams.pace import Pace, Paces
from phase_diagrams.trial import ENGINE_VERSION


def cache_folder() -> Path:
    """Where this user's programs keep what can be made again."""
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "saephase"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "saephase"
    # The XDG Base Directory Specification.
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "saephase"


def pace_file() -> Path:
    """The file of this machine's paces."""
    machine = hashlib.sha256(f"{platform.machine()} {_processor()}".encode()).hexdigest()[:16]
    return cache_folder() / f"paces-{ENGINE_VERSION}-{machine}.json"


def read_paces() -> Paces:
    """What was measured on this machine; nothing where no file can be read."""
    try:
        shapes = json.loads(pace_file().read_text(encoding="utf-8"))
        return Paces({name: Pace(**pace) for name, pace in shapes.items()})
    except (OSError, ValueError, TypeError, AttributeError):
        return Paces({})


def add_paces(measured: Paces) -> None:
    """Add to what was measured before; the file is replaced whole."""
    path, known = pace_file(), read_paces()
    path.parent.mkdir(parents=True, exist_ok=True)
    shapes = {name: asdict(pace) for name, pace in {**known.shapes, **measured.shapes}.items()}
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(shapes, file, indent=1, sort_keys=True)
    os.replace(temporary, path)


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()
