"""Standard error to a stream that nothing dies of: a job outlives the terminal or pipe that watched it."""

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import TextIO


@contextlib.contextmanager
def unhurt_stderr() -> Iterator[None]:
    """Within the context, writing to standard error never raises."""
    before = sys.stderr
    sys.stderr = Unhurt(before)
    try:
        yield
    finally:
        sys.stderr = before


class Unhurt(io.TextIOBase):
    """A text stream that goes silent when its reader has gone: a job outlives the terminal that watched it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream: TextIO | None = stream

    def write(self, text: str) -> int:
        """Write, or drop the text once nobody reads."""
        if self._stream is not None:
            try:
                self._stream.write(text)
                self._stream.flush()
            except (BrokenPipeError, ValueError):
                silence(self._stream)
                self._stream = None
        return len(text)

    def isatty(self) -> bool:
        """Whether somebody watches a terminal."""
        return self._stream is not None and self._stream.isatty()

    def fileno(self) -> int:
        """The stream's own; a terminal's width is asked of it."""
        if self._stream is None:
            raise OSError("the stream is closed")
        return self._stream.fileno()


def silence(stream: TextIO) -> None:
    """Point a stream that nobody reads to nowhere: the interpreter would fail when it flushes it at the end."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
