"""A spec and a folder to a finished diagram: what is missing is trained, and all of it is drawn."""

import json
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as fs

from phase_diagrams.folder import PACKS, Folder, find_finished, merge_packs, open_folder
from phase_diagrams.holdings import own_ids
from phase_diagrams.planted import plant_dictionary
from phase_diagrams.problem import SpecError
from phase_diagrams.report import MANIFEST, write_report
from phase_diagrams.spec import JobSpec, read_spec, spec_json
from phase_diagrams.summary import Summary
from phase_diagrams.trial import trial_namer
from workers.absence import Absence, Patience
from workers.address import LOCAL, silence
from workers.folder_lock import lock_folder
from workers.kernel_cache import COMPILING, kernels_compiled
from workers.planners import open_planner
from workers.progress import Progress, remaining_seconds
from workers.ray_process import HEAD_GONE, RayProcess, start_driver
from workers.stock import FolderStock

RUN_PACK = "workers.pack_run:run_pack"
"""The training function, as the module and the name by which each worker imports it."""
ERROR_FILE = "error.txt"
AGAIN = "Nothing finished is lost: run the same command again, it continues."
MEND = "Nothing finished is lost; once that is mended, run the command again."

MESSAGES = {
    "retry": "it is tried again",
    "halve": "its halves are tried on their own",
    "give_up": "it is given up, the rest goes on",
}


class JobError(RuntimeError):
    """The job could not go on; `str()` is one readable paragraph, `detail` is for error.txt.

    An `accident` is the end of a process or of the cluster, after which another run may well succeed.
    """

    def __init__(self, message: str, detail: str = "", accident: bool = False) -> None:
        super().__init__(message)
        self.detail, self.accident = detail, accident


class _AwayError(JobError):
    """The Ray cluster that the job is to join is away, and may be there in a moment."""

    def __init__(self, reason: str) -> None:
        super().__init__(_to_mend(reason))
        self.reason = reason


class Listener(Protocol):
    """Hears how a job goes."""

    def say(self, text: str) -> None:
        """A sentence for people."""

    def progress(self, progress: Progress) -> None:
        """Where the job is now."""

    def estimate(self, news: dict[str, Any]) -> None:
        """What an adaptive job has found so far, as JSON, with a sentence for people under `text`."""


@dataclass(frozen=True, slots=True)
class GivenUp:
    """A trial that failed in every attempt."""

    trial: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to."""

    reused: int
    """Trials that were there before."""
    summary: Summary | None
    """What the diagram shows; None where no trial is finished."""
    given_up: tuple[GivenUp, ...]


@dataclass(frozen=True, slots=True)
class _Trained:
    """What training came to."""

    dictionary: npt.NDArray[np.float32]
    device: str
    given_up: tuple[GivenUp, ...]


def run_job(
    spec: JobSpec,
    location: str,
    *,
    listener: Listener,
    address: str = LOCAL,
    train: str = RUN_PACK,
    reuse: Sequence[str] = (),
    lock: bool = True,
    patience: Patience | None = None,
) -> Outcome:
    """Train what the folder lacks of the spec's trials, merge all rows, and draw the diagram from them.

    `location` is a path or URI; `address` is local, auto or HOST:PORT; `reuse` are folders of earlier jobs, whose rows
    are copied; `lock` is false for one who holds the folder by a lease; with `patience` a cluster that is away is
    waited for. Trials that fail in every attempt are left out of the diagram and come back in the outcome. Raises
    JobError where the run cannot go on, SpecError where the dictionary cannot be planted, FolderBusyError, and OSError
    from the folder.
    """
    folder = open_folder(location)
    with lock_folder(folder) if lock else nullcontext():
        _sweep(folder)
        _tell_of_another(folder, spec, listener)
        folder.write("spec.json", spec_json(spec).encode())
        stock = FolderStock(folder, _take_stock(folder, listener), tuple(reuse))
        planner = open_planner(spec, stock)
        missing = planner.ask()
        to_come = planner.expected - planner.reused - len(missing) if missing else 0
        listener.say(f"reused {planner.reused}, to run {len(missing)}{f' and up to {to_come} more' if to_come else ''}")
        began, (device, seconds) = time.monotonic(), earlier_run(folder)
        if missing:
            account = _Account(planner.reused, planner.expected, listener)
            trained = _train(spec, stock, location, address, train, account, listener, patience)
        else:
            listener.progress(Progress(planner.reused, planner.expected, planner.reused, 0.0, None))
            trained = _Trained(plant(spec), device, ())
        if trained.given_up:
            folder.write(ERROR_FILE, "\n\n".join(f"{lost.trial}\n{lost.detail}" for lost in trained.given_up).encode())
        listener.say("drawing the diagram")
        trials = merge_packs(folder, own_ids(spec, folder))
        if not trials.num_rows:
            return Outcome(planner.reused, None, trained.given_up)
        summary = write_report(
            folder,
            spec,
            trained.dictionary,
            trials,
            device=trained.device,
            wall_seconds=time.monotonic() - began if missing else seconds,
            train_seconds=training_seconds(trials),
        )
        return Outcome(planner.reused, summary, trained.given_up)


def earlier_run(folder: Folder) -> tuple[str, float]:
    """The device and the wall seconds that a folder's manifest states, for a diagram that is drawn without training."""
    try:
        manifest = json.loads(folder.read(MANIFEST))
        return str(manifest["device"]), float(manifest["wall_seconds"])
    except (OSError, ValueError, KeyError, TypeError):
        return "unknown", 0.0


def training_seconds(trials: pa.Table) -> float:
    """Training seconds of all trials together."""
    return float(pc.sum(trials["train_seconds"]).as_py() or 0.0)


def _tell_of_another(folder: Folder, spec: JobSpec, listener: Listener) -> None:
    """Say so where the folder holds the diagram of trials that this spec does not share."""
    if not folder.exists("spec.json"):
        return
    try:
        earlier = read_spec(folder.read("spec.json").decode())
    except ValueError:
        return  # of another version, or no spec at all: its rows are judged one by one
    if trial_namer(earlier) != trial_namer(spec):
        listener.say(
            f"this folder held {earlier.name!r} with other data, sae, training or recovery: its pictures and tables "
            "are replaced, and its trials are kept under packs/"
        )


def plant(spec: JobSpec) -> npt.NDArray[np.float32]:
    """The spec's dictionary; a law that gives none is a SpecError."""
    try:
        return plant_dictionary(spec.data)
    except ValueError as error:
        raise SpecError([("data.superposition", str(error))]) from None


def _sweep(folder: Folder) -> None:
    """Remove what an earlier run left behind that is no result: its errors, and files that were being written."""
    if folder.exists(ERROR_FILE):
        folder.delete(ERROR_FILE)
    if isinstance(folder.filesystem, fs.LocalFileSystem):
        for place in (Path(folder.root), Path(folder.root) / PACKS):
            for path in place.glob(".writing-*"):
                path.unlink(missing_ok=True)


def _take_stock(folder: Folder, listener: Listener) -> frozenset[str]:
    found = find_finished(folder)
    for name, reason in found.set_aside:
        listener.say(f"{name} cannot be used ({reason}); it is set aside, and its trials run again")
    return found.trial_ids


def _train(
    spec: JobSpec,
    stock: FolderStock,
    location: str,
    address: str,
    train: str,
    account: "_Account",
    listener: Listener,
    patience: Patience | None,
) -> _Trained:
    """Run the missing trials in a process that drives Ray, while the dictionary is planted here."""
    place = location if "://" in location and not location.startswith("file:") else stock.folder.root
    listener.say("starting Ray" if address == LOCAL else f"joining Ray at {address}")
    if address == LOCAL and spec.resources.device != "cuda" and not kernels_compiled():
        listener.say(COMPILING)
    absence = None if patience is None or address == LOCAL else Absence(patience)
    dictionary: npt.NDArray[np.float32] | None = None
    while True:
        try:
            if (silent := silence(address)) is not None:
                raise _AwayError(silent)
            trained_on = absence.trained_on if absence else None
            with start_driver(
                spec_json(spec), place, address, train, stock.sources, absence is not None, trained_on
            ) as driver:
                dictionary = plant(spec) if dictionary is None else dictionary
                driver.send_dictionary(dictionary)
                _listen(driver, account, absence)
            return _Trained(dictionary, account.device, tuple(account.given_up))
        except _AwayError as error:
            if absence is None:
                raise
            absence.wait(error.reason)


def _listen(driver: RayProcess, account: "_Account", absence: Absence | None) -> None:
    waiting = absence
    for event in driver.events():
        kind = event["event"]
        if kind == "done":
            return
        if kind == "away":
            raise _AwayError(event["message"])
        if kind == "refused":
            raise _refusal(event["message"], account)
        if kind == "broke":
            raise JobError(f"The run broke off: {event['message']}. {AGAIN}", event["detail"])
        if kind == "lost" and waiting:
            raise _AwayError(f"its {event['part']} ended")
        if kind == "lost":
            raise JobError(f"The Ray cluster is lost: its {event['part']} ended. {AGAIN}", accident=True)
        if kind == "waiting" and waiting:
            waiting.tell(event["message"])
            continue
        if kind == "connected" and waiting:
            waiting.end(event["device"])
            waiting = None
        account.take(event)
    words = driver.last_words()
    if HEAD_GONE in words:
        raise JobError(f"The Ray cluster is lost: its head does not answer. {AGAIN}", words, accident=True)
    raise JobError(f"The process that drives Ray ended without a word. {AGAIN}", words, accident=True)


def _refusal(message: str, account: "_Account") -> JobError:
    last = account.given_up[-1] if account.given_up else None
    told = f"{message}; the last error was: {last.reason}" if last else message
    return JobError(_to_mend(told), last.detail if last else "")


def _to_mend(reason: str) -> str:
    return f"{reason.rstrip('.')}{'' if reason.endswith('?') else '.'} {MEND}"


class _Account:
    """Adds up what the driver tells."""

    def __init__(self, reused: int, expected: int, listener: Listener) -> None:
        self.given_up: list[GivenUp] = []
        self.device = "unknown"
        self._listener = listener
        self._total, self._reused = expected, reused
        self._asked, self._cost_asked = 0, 0.0
        self._done, self._cost, self._began = 0, 0.0, time.monotonic()
        self._first: tuple[float, float] | None = None

    def take(self, event: dict[str, Any]) -> None:
        """Count one event, and tell of it."""
        if event["event"] == "connected":
            self._began, self.device = time.monotonic(), event["device"]
            packs = "pack" if event["slots"] == 1 else "packs"
            self._listener.say(f"training on {event['device']}, {event['slots']} {packs} at a time")
        elif event["event"] == "finished":
            self._done += event["trials"]
            self._cost += event["cost"]
        elif event["event"] == "asked":
            self._ask(event)
        else:
            self._listener.say(f"{event['what']} failed: {event['reason']}; {MESSAGES[event['answer']]}")
            if event["answer"] == "give_up":
                self.given_up.append(GivenUp(event["what"], event["reason"], event["detail"]))
        now = time.monotonic()
        if self._first is None and self._cost > 0:
            self._first = now, self._cost
        seconds = now - self._began
        left = None
        if self._first is not None:
            # Counted from the first finished pack: what came before it is the start of workers, which happens once.
            since, cost = self._first
            left = remaining_seconds(now - since, self._cost - cost, self._cost_total - cost)
        done = self._reused + self._done
        self._listener.progress(Progress(done, self._total, self._reused, seconds, left))

    def _ask(self, event: dict[str, Any]) -> None:
        """A round is to be trained; a grid has one."""
        self._cost_asked += event["cost"]
        self._asked += event["trials"]
        self._reused, self._total = event["reused"], event["expected"]
        if event["news"]:
            self._listener.estimate(event["news"])

    @property
    def _cost_total(self) -> float:
        """Cost of all that this run trains; of rounds to come, at the mean of those that were asked for."""
        return self._cost_asked * (self._total - self._reused) / self._asked if self._asked else 0.0
