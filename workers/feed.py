"""A stream to batches that lie on a device when its steps want them: drawn and copied while it computes.

A ring on the device holds two chunks of batches. While the device takes the steps of one, a thread draws the next on
the host, and a stream of its own copies it from pinned memory. The host never waits for a step, only for the last
chunk but one, so that it is at most two chunks ahead.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from phase_diagrams.spec import Training
from workers.sampler import Batches, Stream, draw_batches
from workers.stopping import next_look

_CHUNK_FLOATS = 2**22
_CHUNK_STEPS = 64
"""Bounds of a chunk, 16 MB and 64 steps; heuristic: milliseconds of work on a GPU, so that launches never run dry."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Consecutive steps, first <= step < last, whose batches lie in the ring from `row` on."""

    first: int
    last: int
    row: int


def chunk_steps(batch_size: int, n_inputs: int) -> int:
    """The largest number of steps of a chunk."""
    return max(1, min(_CHUNK_STEPS, _CHUNK_FLOATS // (batch_size * n_inputs)))


class Feed:
    """The ring, and what keeps it full; on a CPU the same without streams and events."""

    def __init__(self, stream: Stream, training: Training, device: str) -> None:
        self.steps = chunk_steps(training.batch_size, stream.n_inputs)
        """Steps of a chunk; the ring has twice as many rows."""
        self._stream, self._training = stream, training
        shape = (2 * self.steps, training.batch_size, stream.n_inputs)
        self.ring = torch.empty(shape, device=device)
        self._cuda = self.ring.is_cuda
        self._pinned = torch.empty(shape, pin_memory=self._cuda)
        self._done: dict[int, torch.cuda.Event] = {}
        self._copies: torch.cuda.Stream | None = None
        if self._cuda:
            self._copies = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            self._copies.wait_stream(torch.cuda.current_stream())  # the ring's memory may have been another tensor's

    def chunks(self) -> Iterator[Chunk]:
        """Every chunk in order; when one is given, the device has finished the last but one."""
        with ThreadPoolExecutor(1) as thread:
            cuts = list(self._cuts())
            drawn = thread.submit(self._draw, cuts[0])
            for chunk, coming in zip(cuts, [*cuts[1:], None], strict=True):
                batches = drawn.result()
                if coming is not None:
                    drawn = thread.submit(self._draw, coming)
                self._deliver(chunk, batches)
                yield chunk
                self._mark(chunk)

    def _cuts(self) -> Iterator[Chunk]:
        first = row = 0
        while first < self._training.steps:
            last = min(first + self.steps, next_look(first, self._training))
            yield Chunk(first, last, row)
            first, row = last, self.steps - row

    def _draw(self, chunk: Chunk) -> Batches:
        return draw_batches(self._stream, chunk.first, chunk.last - chunk.first, self._training.batch_size)

    def _deliver(self, chunk: Chunk, batches: Batches) -> None:
        if chunk.row in self._done:
            self._done[chunk.row].synchronize()
        rows = slice(chunk.row, chunk.row + chunk.last - chunk.first)
        inputs = batches.samples[:, : self._training.batch_size, : self._stream.n_inputs]
        self._pinned[rows] = torch.from_numpy(inputs)
        if self._copies is None:
            self.ring[rows] = self._pinned[rows]
            return
        with torch.cuda.stream(self._copies):
            self.ring[rows].copy_(self._pinned[rows], non_blocking=True)
        torch.cuda.current_stream().wait_stream(self._copies)

    def _mark(self, chunk: Chunk) -> None:
        if self._cuda:
            self._done[chunk.row] = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._done[chunk.row].record()

    def wait(self) -> None:
        """Wait until the device has done all that it was given."""
        if self._cuda:
            torch.cuda.current_stream().synchronize()


@contextmanager
def side_stream(device: str) -> Iterator[None]:
    """Work off the default stream, which a graph cannot be captured on; nothing on a CPU."""
    if torch.device(device).type != "cuda":
        yield
        return
    with torch.cuda.device(device), torch.cuda.stream(torch.cuda.Stream()):  # type: ignore[no-untyped-call]
        yield
