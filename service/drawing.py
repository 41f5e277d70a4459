"""Conditions to a diagram's files in a process of its own, which stays warm for the next drawing.

Drawing takes seconds of Python and a JavaScript engine; there it can neither slow the service's answers nor take the
service down. The child is `python -m service.drawing`: a line of JSON and some bytes each way. It ends when its input
does, so it never outlives the service, however that ends.
"""

import contextlib
import importlib
import io
import json
import os
import subprocess
import sys
import threading
import traceback
from dataclasses import replace
from functools import lru_cache
from typing import IO, TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from phase_diagrams.figure import Diagram
    from phase_diagrams.spec import Data, JobSpec

SECONDS = 120
"""Longest that a drawing may take; heuristic: four times the largest that was measured."""
IDLE_SECONDS = 120
"""How long the child is kept without work; it holds about 300 MB."""

Wanted = Literal["pictures", "source", "cells"]
"""All files; the Vega-Lite source alone; the source without boundaries, whose fit takes longest."""


class DrawingFailed(RuntimeError):
    """There is no picture; `str()` is for the log."""


class DrawingStopped(DrawingFailed):
    """There is no picture, for the service is shutting down."""


class Drawer:
    """The process that draws, started at the first drawing; one drawing at a time."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._idle: threading.Timer | None = None
        self._closed = False

    def draw(self, spec: str, conditions: bytes, wanted: Wanted = "pictures") -> dict[str, bytes]:
        """The report's pictures by file name, from a spec's JSON and a Parquet file of conditions.

        Raises DrawingFailed.
        """
        return self._made({"spec": json.loads(spec), "wanted": wanted}, [conditions])

    def compare(self, specs: tuple[str, str], rows: tuple[bytes, bytes]) -> dict[str, bytes]:
        """The files of a comparison of two diagrams, from their specs' JSON and Parquet files of their trials.

        Where they have no plane in common there is one file, incompatible.txt, that says why. Raises DrawingFailed.
        """
        return self._made({"specs": [json.loads(spec) for spec in specs]}, list(rows))

    def warm(self) -> None:
        """Have a process that is ready to draw, for somebody who will soon want to see something; waits for nothing."""
        if not self._lock.acquire(blocking=False):
            return
        try:
            if not self._closed:
                self._start()
                self._keep()
            if self._closed and self._child is not None:  # close() may have looked for a child a moment too early
                self._child.kill()
        finally:
            self._lock.release()

    def _keep(self) -> None:
        """Keep the child for a while from now."""
        if self._idle is not None:
            self._idle.cancel()
        self._idle = threading.Timer(IDLE_SECONDS, self._retire)
        self._idle.daemon = True
        self._idle.start()

    def _made(self, question: dict[str, object], parts: list[bytes]) -> dict[str, bytes]:
        with self._lock:
            if self._idle is not None:
                self._idle.cancel()
            if self._closed:
                raise DrawingStopped("the service is shutting down")
            warm = self._child is not None
            try:
                head, files = self._ask(question, parts)
            except DrawingFailed as error:
                if self._closed:
                    raise DrawingStopped("the service is shutting down") from error
                if not warm:
                    raise
                # It may have been killed while it had nothing to do, which only shows now: a new one draws.
                head, files = self._ask(question, parts)
            self._keep()
        if "error" in head:
            raise DrawingFailed(str(head["error"]))
        return dict(zip(head["names"], files, strict=True))

    def _ask(self, question: dict[str, object], parts: list[bytes]) -> tuple[dict[str, Any], list[bytes]]:
        """What the child answers; raises DrawingFailed where it ends instead, and forgets it."""
        child = self._start()
        if self._closed:  # close() may have looked for a child a moment too early
            child.kill()
        late = threading.Timer(SECONDS, child.kill)
        late.start()
        try:
            assert child.stdin is not None
            assert child.stdout is not None
            _send(child.stdin, question, parts)
            return _receive(child.stdout)
        except (OSError, EOFError, ValueError):
            child.kill()
            self._child = None
            raise DrawingFailed(f"the process that draws ended with {child.wait()}") from None
        finally:
            late.cancel()

    def stop(self) -> None:
        """Draw no more; a drawing under way fails at once. Waits for nothing."""
        self._closed = True
        child = self._child
        if child is not None:
            child.kill()  # a drawing that waits for it gives up, and with it the lock

    def close(self) -> None:
        """End the child, in the middle of a drawing too, and draw no more."""
        self.stop()
        self._retire()

    def _retire(self) -> None:
        with self._lock:
            child, self._child = self._child, None
            if self._idle is not None:
                self._idle.cancel()
        if child is not None:
            child.kill()
            child.communicate()

    def _start(self) -> "subprocess.Popen[bytes]":
        if self._child is None or self._child.poll() is not None:
            one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
            self._child = subprocess.Popen(
                [sys.executable, "-m", "service.drawing"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, **one_thread},
                start_new_session=True,  # a Ctrl-C at the service is not meant for it
            )
        return self._child


def main() -> None:
    """Draw what comes in until the input ends."""
    with contextlib.suppress(OSError):
        os.nice(5)
    # Before the first question, so that a child that waits for one is ready for it.
    for name in ("phase_diagrams.panel", "phase_diagrams.layers", "phase_diagrams.render"):
        importlib.import_module(name)
    with contextlib.suppress(EOFError, BrokenPipeError):
        while True:
            head, parts = _receive(sys.stdin.buffer)
            try:
                files = (
                    _draw(head["spec"], parts[0], head["wanted"]) if "spec" in head else _compare(head["specs"], parts)
                )
                _send(sys.stdout.buffer, {"names": list(files)}, list(files.values()))
            except Exception:
                _send(sys.stdout.buffer, {"error": traceback.format_exc()[-2000:]}, [])


def _draw(document: object, conditions: bytes, wanted: Wanted) -> dict[str, bytes]:
    import pyarrow.parquet as pq

    from phase_diagrams.figure import diagram
    from phase_diagrams.panel import boundary_table, trace_boundaries
    from phase_diagrams.planted import is_prompt
    from phase_diagrams.render import draw, draw_source
    from phase_diagrams.spec import parse_spec

    spec = parse_spec(document)
    table = pq.read_table(io.BytesIO(conditions))
    if wanted == "cells":
        return draw_source(unbounded_diagram(spec, table))
    # Whoever asks waits: theory that needs a long training of W_p comes with the finished job's own picture.
    planted = _planted(spec.data) if table.num_rows and is_prompt(spec.data) else None
    whole = diagram(spec, table, boundary_table(trace_boundaries(spec, table)), planted)
    return draw(whole) if wanted == "pictures" else draw_source(whole)


def unbounded_diagram(spec: "JobSpec", conditions: "pa.Table") -> "Diagram":
    """What a diagram shows but for its boundaries, and for overlays that need W_p; all else takes milliseconds.

    It says nothing about boundaries, found or not.
    """
    from phase_diagrams.figure import diagram
    from phase_diagrams.tables import BOUNDARY

    whole = diagram(spec, conditions, BOUNDARY.empty_table())
    return replace(whole, rows=tuple(row for row in whole.rows if row["layer"] != "note"))


def _compare(documents: list[str], rows: list[bytes]) -> dict[str, bytes]:
    import pyarrow.parquet as pq

    from phase_diagrams.difference import IncompatibleError, Side, compare_diagrams
    from phase_diagrams.difference_report import difference_files
    from phase_diagrams.spec import parse_spec

    sides = [
        Side(parse_spec(document), pq.read_table(io.BytesIO(part)))
        for document, part in zip(documents, rows, strict=True)
    ]
    try:
        return difference_files(compare_diagrams(*sides))
    except IncompatibleError as error:
        return {"incompatible.txt": str(error).encode()}


@lru_cache(maxsize=8)
def _planted(data: "Data") -> "npt.NDArray[np.float32]":
    """W_p; a toy model takes seconds of training, and a job is drawn many times."""
    from phase_diagrams.planted import plant_dictionary

    return plant_dictionary(data)


def _send(stream: IO[bytes], head: dict[str, object], parts: list[bytes]) -> None:
    stream.write(json.dumps({**head, "bytes": [len(part) for part in parts]}).encode() + b"\n")
    for part in parts:
        stream.write(part)
    stream.flush()


def _receive(stream: IO[bytes]) -> tuple[dict[str, Any], list[bytes]]:
    line = stream.readline()
    if not line:
        raise EOFError
    head = json.loads(line)
    return head, [stream.read(size) for size in head["bytes"]]


if __name__ == "__main__":
    main()
