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
    identity, kind, data = "", "", list[str]()
    for line in _lines(chunks):
        if not line:
            if data:
                yield StreamEvent(identity, kind or "message", _read_data("\n".join(data)))
            kind, data = "", []
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "id" and "\0" not in value:
            identity = value
        elif field == "event":
            kind = value
        elif field == "data":
            data.append(value)


def _read_data(text: str) -> dict[str, Any]:
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError(f"an event's data is not a JSON object: {text[:80]}")
    return value


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """Lines that end with CR, LF or CRLF, and nothing else: str.splitlines knows more ends, and data may hold them."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    rest, after_return, started = "", False, False
    for chunk in chunks:
        text = decoder.decode(chunk)
        if not text:
            continue
        if not started:
            text, started = text.removeprefix("\ufeff"), True
        if after_return and text.startswith("\n"):
            text = text[1:]
        after_return = text.endswith("\r")
        *whole, rest = (rest + text).replace("\r\n", "\n").replace("\r", "\n").split("\n")
        yield from whole
