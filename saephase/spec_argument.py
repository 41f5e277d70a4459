"""SPEC and --set on a command line to a `JobSpec`."""

import errno
import os
import re
import sys
from pathlib import Path
from typing import Any

import yaml

from phase_diagrams.spec import JobSpec, parse_spec, read_document, read_spec


class UsageError(ValueError):
    """The command line asks for what cannot be; `str()` is one readable paragraph."""


def load_spec(source: str, settings: list[str]) -> JobSpec:
    """Read a spec file (- for standard input), change it as KEY=VALUE settings say, and check it.

    Raises SpecError and UsageError.
    """
    text, folder = _read(source)
    if not settings:
        return read_spec(text, folder)
    document = read_document(text)
    if document is None:
        document = {}  # an empty file has no keys yet
    for setting in settings:
        _apply(document, setting)
    return parse_spec(document, folder)


def slug(name: str) -> str:
    """A label as the name of a folder."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:80] or "unnamed"


def _read(source: str) -> tuple[str, Path]:
    try:
        if source == "-":
            return _decode(sys.stdin.buffer.read()), Path.cwd()
        path = Path(source)
        return _decode(path.read_bytes()), path.parent
    except UnicodeDecodeError as error:
        raise UsageError(f"SPEC {source}: is not UTF-8 text (byte {error.start})") from None
    except ValueError:
        raise UsageError(f"SPEC {source!r}: is not the name of a file") from None
    except OSError as error:
        hint = "; give a YAML or JSON file, or - for standard input" if error.errno == errno.ENOENT else ""
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise UsageError(f"SPEC {source}: cannot be read: {reason}{hint}") from None


def _decode(content: bytes) -> str:
    return content.decode("utf-8-sig")


def _apply(document: Any, setting: str) -> None:
    """Put one KEY=VALUE into a parsed spec; a number in KEY is a place in a list."""
    key, equals, text = setting.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        raise UsageError(f"--set {setting}: must be KEY=VALUE with a dotted key, such as training.steps=100")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        raise UsageError(f"--set {setting}: the value is not valid YAML") from None
    here = document
    for depth, part in enumerate(parts[:-1]):
        if isinstance(here, dict) and here.get(part) is None:
            here[part] = {}
        here = _child(here, part, ".".join(parts[:depth]), setting)
    if isinstance(here, dict):
        here[parts[-1]] = value
    else:
        _child(here, parts[-1], ".".join(parts[:-1]), setting)
        here[int(parts[-1])] = value


def _child(here: Any, part: str, where: str, setting: str) -> Any:
    if isinstance(here, dict):
        return here[part]
    if isinstance(here, list):
        if part.isascii() and part.isdigit() and len(part) < 9 and int(part) < len(here):
            return here[int(part)]
        raise UsageError(f"--set {setting}: {where} is a list of {len(here)}; its places are 0 to {len(here) - 1}")
    raise UsageError(f"--set {setting}: {where or 'the spec'} is {here!r}, which has no keys")
