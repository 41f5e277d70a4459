"""A leased job on standard input to a finished folder: the process in which `saephase worker` runs one job.

    python -m workers.lease_run

Input: a line of JSON (an Order), then one line with a new deadline whenever the lease is extended. Output: one event
of JSON per line, the last being `ended`. The process ends itself when its input closes or the deadline passes: whoever
started it is then dead or stopped, and another worker may have the job.
"""

import json
import os
import select
import sys
import threading
import time
import traceback
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from workers.progress import Progress
from workers.ray_driver import Events

if TYPE_CHECKING:
    from phase_diagrams.spec import JobSpec
    from workers.job import Outcome
    from workers.seat import Device

LOST = 75
"""Exit code of a process that ended itself; EX_TEMPFAIL of sysexits.h: another attempt may succeed."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be run."""

    spec: dict[str, Any]
    folder: str
    reuse: tuple[str, ...]
    address: str
    """Of the Ray cluster: local, auto or HOST:PORT."""
    train: str
    """The training function as "module:name"; empty to draw what is finished and train nothing."""
    trained_on: "Device | None"
    """The device of the job's earlier packs on this cluster; None where none has been seen to fit."""
    deadline: float
    """In monotonic seconds, which count alike in every process of a machine."""

    def line(self) -> bytes:
        """As the first line of the process's input."""
        return json.dumps(asdict(self)).encode() + b"\n"


def read_order(line: bytes) -> Order:
    """The order that a line holds."""
    fields = json.loads(line)
    return Order(**{**fields, "reuse": tuple(fields["reuse"])})


class Lifeline:
    """The input that extends the deadline; a process without one in the future does not go on."""

    def __init__(self, handle: int, deadline: float, text: bytes = b"") -> None:
        self._handle, self._deadline, self._text = handle, deadline, text

    def keep(self) -> None:
        """End the process when the deadline passes or the input closes; in a thread of its own."""
        while True:
            *lines, self._text = self._text.split(b"\n")
            self._deadline = max([self._deadline, *map(float, lines)])
            left = self._deadline - time.monotonic()
            if left <= 0:
                os._exit(LOST)
            if select.select([self._handle], [], [], left)[0]:
                chunk = os.read(self._handle, 4096)
                if not chunk:
                    os._exit(LOST)
                self._text += chunk

    def check(self) -> None:
        """End the process if the deadline has passed: a process that was stopped wakes up anywhere."""
        if time.monotonic() >= self._deadline:
            os._exit(LOST)


class Teller:
    """Passes on what a run says, while the lease lasts."""

    def __init__(self, events: Events, lifeline: Lifeline, trained_on: "Device | None") -> None:
        self._events, self._lifeline, self._trained_on = events, lifeline, trained_on

    def say(self, text: str) -> None:
        """A sentence for people."""
        self._lifeline.check()
        self._events.send("message", text=text)

    def warn(self, text: str) -> None:
        """A sentence for people about something that is amiss."""
        self._lifeline.check()
        self._events.send("warning", text=text)

    @property
    def trained_on(self) -> "Device | None":
        """The device of the job's earlier packs on this cluster."""
        return self._trained_on

    def seated(self, device: "Device") -> None:
        """The job has its place on the cluster."""
        self._trained_on = device
        self._events.send("seated", device=device)

    def progress(self, progress: Progress) -> None:
        """Where the run is now."""
        self._lifeline.check()
        self._events.send("progress", **asdict(progress))

    def estimate(self, news: dict[str, Any]) -> None:
        """What an adaptive job has found so far."""
        self._lifeline.check()
        self._events.send("estimate", news=news)


def main() -> None:
    """Run what standard input describes; every way to end is told as an event."""
    order, rest = _read_order(0)
    lifeline = Lifeline(0, order.deadline, rest)
    threading.Thread(target=lifeline.keep, daemon=True).start()
    events = Events(os.dup(1))
    os.dup2(2, 1)  # whatever a library prints is no event
    try:
        events.send("ended", **_run(order, Teller(events, lifeline, order.trained_on)))
    finally:
        os._exit(0)  # nothing here is worth an orderly end, which an object store's threads can keep from coming


def _run(order: Order, teller: Teller) -> dict[str, object]:
    """How the run ended; `final` says whether another attempt would end the same."""
    # Imported here, so that the process ends in time even while it is still importing.
    from phase_diagrams.problem import SpecError
    from phase_diagrams.spec import parse_spec
    from workers.job import JobError, run_job

    try:
        spec = parse_spec(order.spec)
        if not order.train:
            draw_finished(spec, order.folder, teller)
            return {"status": "succeeded", "error": None, "final": True}
        outcome = run_job(
            spec,
            order.folder,
            listener=teller,
            address=order.address,
            train=order.train,
            reuse=order.reuse,
            # The lease is the lock; a lock of the folder would be held for ever by a process that was stopped.
            lock=False,
            patience=teller,
        )
        return _ended(spec, outcome)
    except SpecError as error:
        return {"status": "failed", "error": f"The spec cannot be used: {error}.", "final": True}
    except JobError as error:
        _keep_detail(order.folder, error.detail)
        text = _without_advice(str(error))
        return {"status": "failed", "error": text, "final": False, "accident": error.accident}
    except Exception as error:
        _keep_detail(order.folder, traceback.format_exc())
        text = f"{type(error).__name__}: {' '.join(str(error).split())}."
        return {"status": "failed", "error": text, "final": False}


def draw_finished(spec: "JobSpec", location: str, teller: Teller) -> None:
    """Merge and draw what is finished of a job that was stopped; nothing is written where there is nothing."""
    from phase_diagrams.folder import find_finished, merge_packs, open_folder
    from phase_diagrams.holdings import own_ids
    from phase_diagrams.report import write_report
    from workers.job import earlier_run, plant, training_seconds

    folder = open_folder(location)
    finished = find_finished(folder).trial_ids
    wanted = own_ids(spec, folder)
    if finished.isdisjoint(wanted):
        return
    teller.say("drawing what is finished")
    trials = merge_packs(folder, wanted)
    device, wall_seconds = earlier_run(folder)
    write_report(
        folder,
        spec,
        plant(spec),
        trials,
        device=device,
        wall_seconds=wall_seconds,
        train_seconds=training_seconds(trials),
    )


def _ended(spec: "JobSpec", outcome: "Outcome") -> dict[str, object]:
    if not outcome.given_up:
        return {"status": "succeeded", "error": None, "final": True}
    last = outcome.given_up[-1]
    error = (
        f"{len(outcome.given_up)} of {spec.n_trials} trials could not be trained and are missing from the diagram; "
        f"the last error, of {last.trial}, was: {last.reason}. error.txt holds the errors; resume the job to try "
        "them again."
    )
    return {"status": "failed", "error": error, "final": True}


def _without_advice(text: str) -> str:
    """An error without what one at a terminal would do next."""
    from workers.job import AGAIN, MEND

    return text.removesuffix(AGAIN).removesuffix(MEND).rstrip()


def _keep_detail(location: str, detail: str) -> None:
    """Leave all that is known of an error in the folder, where it can be read over HTTP."""
    from phase_diagrams.folder import open_folder
    from workers.job import ERROR_FILE

    if not detail:
        return
    try:
        open_folder(location).write(ERROR_FILE, detail.encode(errors="replace"))
    except (OSError, ValueError) as error:
        print(f"error.txt cannot be written: {error}", file=sys.stderr)


def _read_order(handle: int) -> tuple[Order, bytes]:
    """The first line, and what has been read of the lines after it."""
    text = b""
    while b"\n" not in text:
        chunk = os.read(handle, 1 << 16)
        if not chunk:
            os._exit(LOST)
        text += chunk
    line, _, rest = text.partition(b"\n")
    return read_order(line), rest


if __name__ == "__main__":
    main()
