"""An open artifact to an HTTP response: whole, in part, not at all because the client has it, or all in one zip."""

import io
import re
import zipfile
from collections.abc import Iterator
from hashlib import sha256

import pyarrow as pa
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from phase_diagrams.folder import Folder
from service.artifacts import CHUNK, Artifact, Digests, open_artifact
from service.problem import problem_response

SANDBOX = "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""Policy of files that a browser might show: no script of an artifact runs with the rights of this service."""

_RANGE = re.compile(r"bytes=(\d*)-(\d*)", re.ASCII)


def has_current(request: Request, etag: str) -> bool:
    """Whether If-None-Match names this content (weak comparison, RFC 9110, 13.1.2)."""
    header = request.headers.get("if-none-match")
    if header is None:
        return False
    tags = [tag.strip().removeprefix("W/") for tag in header.split(",")]
    return "*" in tags or etag in tags


def not_modified(headers: dict[str, str]) -> Response:
    """A 304 with the headers that the 200 would have had for caches."""
    kept = ("ETag", "Cache-Control", "Vary")
    return Response(status_code=304, headers={name: value for name, value in headers.items() if name in kept})


def send_artifact(request: Request, artifact: Artifact, file: pa.NativeFile) -> Response:
    """Answer GET or HEAD with the file, or the range of it that was asked for; the file is closed."""
    headers = {
        "ETag": artifact.etag,
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-cache",
        "Content-Disposition": f'attachment; filename="{artifact.name}"',
        "Content-Security-Policy": SANDBOX,
    }
    span = None
    if has_current(request, artifact.etag):
        file.close()
        return not_modified(headers)
    wanted = request.headers.get("range") if request.method == "GET" else None  # RFC 9110, 14.2: of GET only
    if wanted is not None and request.headers.get("if-range") in (None, artifact.etag):
        span = parse_range(wanted, artifact.bytes)
        if span == (0, 0):
            file.close()
            detail = f"{artifact.name} has {artifact.bytes} bytes; the range {wanted!r} lies outside."
            return problem_response(416, detail, headers={"Content-Range": f"bytes */{artifact.bytes}"})
    start, stop = span or (0, artifact.bytes)
    headers["Content-Length"] = str(stop - start)
    if span:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{artifact.bytes}"
    status = 206 if span else 200
    if request.method == "HEAD":
        file.close()
        return Response(status_code=status, headers=headers, media_type=artifact.media_type)
    return StreamingResponse(_read(file, start, stop), status, headers, artifact.media_type)


def parse_range(header: str, size: int) -> tuple[int, int] | None:
    """The bytes [start, stop) that a Range header asks for; (0, 0) where there are none; None to send all.

    Several ranges, and what is not a range, are answered with the whole file, as RFC 9110, 14.2 allows.
    """
    match = _RANGE.fullmatch(header.replace(" ", ""))
    if match is None or not any(match.groups()) or len(header) > 64:
        return None
    first, last = match.groups()
    if not first:
        start, stop = max(0, size - int(last)), size
    else:
        start, stop = int(first), min(size, int(last) + 1) if last else size
        if last and int(last) < start:
            return None
    return (start, stop) if start < stop else (0, 0)


def _read(file: pa.NativeFile, start: int, stop: int) -> Iterator[bytes]:
    with file:
        file.seek(start)
        while start < stop:
            chunk = file.read(min(CHUNK, stop - start))
            if not chunk:
                raise OSError("the file is shorter than it was")
            start += len(chunk)
            yield chunk


def zip_etag(artifacts: list[Artifact]) -> str:
    """The validator of the zip of these artifacts: its bytes depend on nothing else."""
    content = "\n".join(f"{artifact.name} {artifact.sha256}" for artifact in artifacts)
    return f'"{sha256(content.encode()).hexdigest()}"'


def zip_artifacts(folder: Folder, artifacts: list[Artifact], digests: Digests, root: str) -> Iterator[bytes]:
    """A zip of the artifacts under one folder, made while it is sent; nothing is held but a chunk.

    Raises OSError, which breaks the download off, where a file changes while it is on its way.
    """
    sink = _Sink()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:
        for artifact in artifacts:
            opened = open_artifact(folder, artifact.name, digests)
            if opened is None or opened[0].sha256 != artifact.sha256:
                raise OSError(f"{artifact.name} changed while the zip was sent")
            # The time is fixed, so that equal files make equal zips.
            entry = zipfile.ZipInfo(f"{root}/{artifact.name}", date_time=(1980, 1, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            entry.file_size = artifact.bytes
            with archive.open(entry, "w") as member:
                for chunk in _read(opened[1], 0, artifact.bytes):
                    member.write(chunk)
                    yield sink.take()
            yield sink.take()
    yield sink.take()


class _Sink(io.RawIOBase):
    """A file that can only be written, and is emptied in between."""

    def __init__(self) -> None:
        self._written = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, chunk: bytes) -> int:  # type: ignore[override]
        self._written += chunk
        return len(chunk)

    def take(self) -> bytes:
        taken, self._written = bytes(self._written), bytearray()
        return taken
