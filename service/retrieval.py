"""An artifact on the service to a file here: what an earlier attempt fetched is kept, and the whole is verified."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import httpx

from service.connection import Patience, Receive, Task
from service.refusal import ServiceError, is_passing, refusal

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,254}", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)


class ChecksumError(RuntimeError):
    """What arrived is not what the list of artifacts promised."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """An artifact as the service lists it."""

    name: str
    bytes: int
    sha256: str

    @property
    def part(self) -> str:
        """The file that holds what has arrived; it is named by content, so that no two contents mix."""
        return f".part-{self.sha256[:32]}"


def read_listing(listing: dict[str, Any]) -> list[Wanted]:
    """The service's list of artifacts; raises ValueError for a name that is not that of a file in the folder."""
    wanted = []
    for item in listing["items"]:
        name, size, digest = str(item["name"]), int(item["bytes"]), str(item["sha256"])
        if not _NAME.fullmatch(name) or not _SHA256.fullmatch(digest):
            raise ValueError(f"the service lists an artifact that cannot be one: {name[:80]!r}")
        wanted.append(Wanted(name, size, digest))
    return wanted


def fetch(path: str, wanted: Wanted, folder: Path, patience: Patience) -> Task[Path]:
    """Download an artifact into a folder, unless it is there; the file appears whole or not at all.

    Raises ChecksumError where the content is another one, ServiceError, UnreachableError and OSError.
    """
    target, part = folder / wanted.name, folder / wanted.part
    if target.is_file() and target.stat().st_size == wanted.bytes and _hash(target) == wanted.sha256:
        return target
    while not (part.exists() and part.stat().st_size == wanted.bytes):
        try:
            yield _receive(path, wanted, part)
        except (httpx.TransportError, ServiceError) as error:
            if not is_passing(error):
                raise
            pause = patience.pause(error)
        else:
            if part.stat().st_size >= wanted.bytes:
                break
            pause = patience.pause(httpx.RemoteProtocolError(f"{wanted.name} broke off"))
        yield pause
    if part.stat().st_size != wanted.bytes or _hash(part) != wanted.sha256:
        part.unlink()
        raise ChecksumError(f"{wanted.name} is not what the service lists: its SHA-256 differs")
    part.replace(target)
    return target


def _receive(path: str, wanted: Wanted, part: Path) -> Receive:
    """Append what is still missing; the checksum, not If-Range, guards against a content that has changed."""
    held = part.stat().st_size if part.exists() else 0
    if held > wanted.bytes:
        held = 0

    def open_part(response: httpx.Response) -> BinaryIO:
        if response.status_code == 416:
            part.unlink(missing_ok=True)  # the content is another one and shorter; the list will say so
            raise ChecksumError(f"{wanted.name} has changed while it was downloaded")
        if not response.is_success:
            raise refusal(response)
        resumed = response.status_code == 206 and response.headers.get("content-range", "").startswith(f"bytes {held}-")
        return part.open("ab" if resumed else "wb")

    return Receive(path, {"Accept-Encoding": "identity"} | ({"Range": f"bytes={held}-"} if held else {}), open_part)


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
