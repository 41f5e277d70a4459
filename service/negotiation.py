"""An Accept header to the one of our media types that the client likes best."""

from collections.abc import Sequence


def choose(accept: str | None, offered: Sequence[str]) -> str | None:
    """The offered type of the highest quality, the first among equals (RFC 9110, 12.5.1); None: none is acceptable."""
    if accept is None or not accept.strip():
        return offered[0]
    ranges = [_read(part) for part in accept.split(",") if part.strip()]
    best, highest = None, 0.0
    for media_type in offered:
        quality = _quality(media_type, ranges)
        if quality > highest:
            best, highest = media_type, quality
    return best


def _quality(media_type: str, ranges: list[tuple[str, float]]) -> float:
    """Quality by the most specific range that matches."""
    general = media_type.partition("/")[0] + "/*"
    for wanted in (media_type, general, "*/*"):
        found = [quality for name, quality in ranges if name == wanted]
        if found:
            return max(found)
    return 0.0


def _read(part: str) -> tuple[str, float]:
    name, *parameters = (piece.strip().lower() for piece in part.split(";"))
    quality = 1.0
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                quality = min(1.0, max(0.0, float(parameter[2:])))
            except ValueError:
                quality = 0.0
    return name, quality
