"""A job's folder to the list of its artifacts: the contract's names only, each with bytes and SHA-256."""

import hashlib
import json
import threading
import uuid
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.fs as fs

from phase_diagrams.folder import Folder, open_folder

CHUNK = 1 << 18
"""Bytes read at a time."""
PROBE_BYTES = 1 << 16
"""What must fit for the storage to count as writable; a full disk often has room for an empty file."""
PARQUET = "application/vnd.apache.parquet"
VEGA_LITE = "application/vnd.vegalite.v6+json"

MEDIA_TYPES = {
    "spec.json": "application/json",
    "trials.parquet": PARQUET,
    "conditions.parquet": PARQUET,
    "boundary.parquet": PARQUET,
    "phase_diagram.vl.json": VEGA_LITE,
    "phase_diagram.html": "text/html",
    "phase_diagram.png": "image/png",
    "phase_diagram.svg": "image/svg+xml",
    "phase_diagram.pdf": "application/pdf",
    "reweighting.parquet": PARQUET,
    "reweighting.vl.json": VEGA_LITE,
    "reweighting.html": "text/html",
    "reweighting.png": "image/png",
    "reweighting.svg": "image/svg+xml",
    "reweighting.pdf": "application/pdf",
    "summary.json": "application/json",
    "manifest.json": "application/json",
    "error.txt": "text/plain",
}
"""Every name that can be an artifact; what else lies in a folder is never served."""


@dataclass(frozen=True, slots=True)
class Storage:
    """The place of all job folders."""

    location: str
    """Path or URI."""
    folder: Folder

    def job(self, job_id: str) -> Folder:
        """A job's folder, whether it is there yet or not."""
        return Folder(self.folder.filesystem, f"{self.folder.root}/jobs/{job_id}")

    def job_location(self, job_id: str) -> str:
        """A job's folder as the path or URI that a worker opens."""
        place, mark, options = self.location.partition("?")
        return f"{place.rstrip('/')}/jobs/{job_id}{mark}{options}"

    def remove(self, job_id: str) -> None:
        """Remove a job's folder with all that is in it; raises OSError."""
        folder = self.job(job_id)
        if folder.filesystem.get_file_info(folder.root).type != fs.FileType.NotFound:
            folder.filesystem.delete_dir(folder.root)

    def probe(self) -> None:
        """Write a file and delete it; raises OSError."""
        name = f".probe-{uuid.uuid4().hex}"
        self.folder.write(name, bytes(PROBE_BYTES))
        self.folder.delete(name)


def open_storage(location: str) -> Storage:
    """Open the storage by path or URI; raises OSError or ValueError."""
    return Storage(location, open_folder(location))


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file that is served."""

    name: str
    bytes: int
    sha256: str
    media_type: str
    modified: int
    """Nanoseconds since 1970."""

    @property
    def etag(self) -> str:
        """The strong validator of its content."""
        return f'"{self.sha256}"'


@dataclass(frozen=True, slots=True)
class Digests:
    """Remembers the SHA-256 of files by path, size and time, so that each is read once."""

    limit: int = 10_000
    _known: OrderedDict[tuple[str, int, int], str] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, folder: Folder, info: fs.FileInfo, claimed: str | None) -> str:
        """The digest of a file; `claimed` is what a manifest written after it says."""
        place = (info.path, info.size, info.mtime_ns or 0)
        with self._lock:
            if place in self._known:
                self._known.move_to_end(place)
                return self._known[place]
        found = claimed or _hash(folder.filesystem, info.path)
        with self._lock:
            self._known[place] = found
            while len(self._known) > self.limit:
                self._known.popitem(last=False)
        return found


def list_artifacts(folder: Folder, digests: Digests) -> list[Artifact]:
    """The artifacts that are in the folder now, in the contract's order."""
    if Path(folder.root).is_symlink():
        return []
    infos = [info for info in folder.filesystem.get_file_info([folder.path(n) for n in MEDIA_TYPES]) if _served(info)]
    written = next((info.mtime_ns or 0 for info in infos if info.base_name == "manifest.json"), 0)
    claims = _read_manifest(folder) if written else {}
    found = []
    for info in infos:
        claim = claims.get(info.base_name)
        # A manifest older than the file speaks of another content, as during a resumed run.
        believed = claim is not None and claim.get("bytes") == info.size and (info.mtime_ns or 0) <= written
        sha256 = str(claim.get("sha256")) if claim is not None and believed else None
        found.append(_artifact(folder, info, digests, sha256))
    return found


def find_artifact(folder: Folder, name: str, digests: Digests) -> Artifact | None:
    """One artifact by name; None where the name is not the contract's, or the file is not there."""
    if name not in MEDIA_TYPES:
        return None
    return next((artifact for artifact in list_artifacts(folder, digests) if artifact.name == name), None)


def open_artifact(folder: Folder, name: str, digests: Digests) -> tuple[Artifact, pa.NativeFile] | None:
    """An artifact and its open file, which are of one content though the file may be replaced at any moment."""
    for _ in range(5):
        before = find_artifact(folder, name, digests)
        if before is None:
            return None
        try:
            file = folder.filesystem.open_input_file(folder.path(name))
        except FileNotFoundError:
            continue
        after = folder.filesystem.get_file_info(folder.path(name))
        if (after.size, after.mtime_ns) == (before.bytes, before.modified) and file.size() == before.bytes:
            return before, file
        file.close()
    raise OSError(f"{name} changes faster than it can be read")


def _artifact(folder: Folder, info: fs.FileInfo, digests: Digests, claimed: str | None) -> Artifact:
    name = info.base_name
    return Artifact(name, info.size, digests.of(folder, info, claimed), MEDIA_TYPES[name], info.mtime_ns or 0)


def _served(info: fs.FileInfo) -> bool:
    # A link could lead anywhere on this machine; nothing of ours makes one.
    return bool(info.is_file) and not Path(info.path).is_symlink()


def _read_manifest(folder: Folder) -> dict[str, dict[str, Any]]:
    try:
        files = json.loads(folder.read("manifest.json"))["files"]
        return {str(entry["name"]): dict(entry) for entry in files}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _hash(filesystem: fs.FileSystem, path: str) -> str:
    found = hashlib.sha256()
    with filesystem.open_input_stream(path) as stream:
        while chunk := stream.read(CHUNK):
            found.update(chunk)
    return found.hexdigest()
