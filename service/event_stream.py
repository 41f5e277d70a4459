"""The bytes of a Server-Sent Events stream to events (HTML standard, 9.2.6)."""

import codecs
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """Something that happened to a job."""

    id: str
    """Send it as Last-Event-ID to hear what came after it."""
    type: str
    """status, progress, message, ...; the last event of a job is `end`."""
    data: dict[str, Any]


def read_stream(chunks: Iterable[bytes]) -> Iterator[StreamEvent]:
    """The events of a stream, each as soon as it is complete; comments and an event that breaks off are left out.

    Raises ValueError where an event's data is not a JSON object.
    """
    reader = EventReader()
    for chunk in chunks:
        yield from reader.read(chunk)


class EventReader:
    """Bytes of one stream, as they come, to the events that they complete."""

    def __init__(self) -> None:
        self._lines = _LineReader()
        self._identity, self._kind, self._data = "", "", list[str]()

    def read(self, chunk: bytes) -> list[StreamEvent]:
        """The events that end in this chunk; raises ValueError where an event's data is not a JSON object."""
        found = []
        for line in self._lines.read(chunk):
            if line:
                self._take(line)
                continue
            if self._data:
                found.append(StreamEvent(self._identity, self._kind or "message", _read_data("\n".join(self._data))))
            self._kind, self._data = "", []
        return found

    def _take(self, line: str) -> None:
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "id" and "\0" not in value:
            self._identity = value
        elif field == "event":
            self._kind = value
        elif field == "data":
            self._data.append(value)


def _read_data(text: str) -> dict[str, Any]:
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError(f"an event's data is not a JSON object: {text[:80]}")
    return value


class _LineReader:
    """Lines that end with CR, LF or CRLF, and nothing else: str.splitlines knows more ends, and data may hold them."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest, self._after_return, self._started = "", False, False

    def read(self, chunk: bytes) -> list[str]:
        text = self._decoder.decode(chunk)
        if not text:
            return []
        if not self._started:
            text, self._started = text.removeprefix("\ufeff"), True
        if self._after_return and text.startswith("\n"):
            text = text[1:]
        self._after_return = text.endswith("\r")
        *whole, self._rest = (self._rest + text).replace("\r\n", "\n").replace("\r", "\n").split("\n")
        return whole
