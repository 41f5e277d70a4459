"""A service's queue to finished jobs: takes one lease after another, and runs each job in a process of its own."""

import contextlib
import logging
import queue
import threading
import time
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from phase_diagrams.folder import open_folder
from workers.lease_child import start_child
from workers.lease_keeper import Keeper
from workers.lease_run import Order
from workers.lease_service import Lease, LeaseLostError, LeaseService, ServiceAwayError, ServiceRefusedError, Status
from workers.progress import Progress

if TYPE_CHECKING:
    from workers.seat import Device

FIRST_POLL, LONGEST_POLL = 0.2, 2.0
"""Seconds between questions for a job; they grow while there is none."""
LONGEST_AWAY = 5.0
"""Seconds between questions while the service does not answer."""
MAX_FAILURES = 3
"""Attempts in a row that may fail without a finished trial; heuristic: what fails thrice fails always."""
MAX_DEATHS = 10
"""Attempts in a row whose process or cluster may be killed without a finished trial in between; heuristic: more than
accidents explain, few enough that a job which eats all memory ends."""
LONGEST_PAUSE = 30.0
"""Seconds between attempts, at most."""
MAX_ERROR = 10_000
"""Longest error that is told; the whole is in error.txt."""
RESUME = "Nothing finished is lost: resume the job, it continues."
"""What a person can do about a failed job."""
PROBE_BYTES = 1 << 20
"""What must fit into the folder before another attempt; a full disk often has room for a few bytes."""

logger = logging.getLogger("saephase.worker")


class _Stopped(Exception):
    """The worker is to stop."""


class _Cancelled(Exception):
    """The job is to stop."""


@dataclass(frozen=True, slots=True)
class _Ending:
    """How a job ended."""

    status: Status
    error: str | None
    final: bool
    """Whether the run came to its end, and drew what there is to draw."""


class Worker:
    """Takes jobs and runs them until it is stopped."""

    def __init__(self, service: LeaseService, name: str, address: str, train: str) -> None:
        """Nothing happens yet.

        Args:
            service: where the jobs come from.
            name: for people to know the worker by.
            address: of the Ray cluster that runs them: local, auto or HOST:PORT.
            train: the training function, "module:name".
        """
        self._service, self._name, self._address, self._train = service, name, address, train
        self._inbox: queue.SimpleQueue[object] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._trained_on: tuple[str, Device] | None = None
        """The job whose packs were last seen to fit on the cluster, and the device."""
        self._lost: Lease | None = None
        """A lease that was given up while the service was away, which may still count it."""

    def stop(self) -> None:
        """Take no further job, and give back the one that runs; from any thread, and from a signal handler."""
        self._stopping.set()
        self._inbox.put(_Stopped())

    def run(self) -> None:
        """Work until stopped; raises ServiceRefusedError."""
        pause = FIRST_POLL
        logger.info("waiting for jobs", extra={"worker": self._name})
        while not self._stopping.is_set():
            try:
                self._give_up_lost()
                lease = self._service.take(self._name)
            except ServiceAwayError as error:
                logger.warning("the service does not answer: %s", error, extra={"worker": self._name})
                lease, pause = None, max(pause, LONGEST_POLL)
                longest = LONGEST_AWAY
            else:
                longest = LONGEST_POLL
            if lease is None:
                self._stopping.wait(pause)
                pause = min(longest, 1.5 * pause)
                continue
            pause = FIRST_POLL
            self._hold(lease)

    def _hold(self, lease: Lease) -> None:
        """Run a leased job to its end, or until the lease is lost or the worker is stopped."""
        logger.info("took a job", extra={"job_id": lease.job_id, "fence": lease.fence})
        inbox: queue.SimpleQueue[object] = queue.SimpleQueue()
        self._inbox = inbox
        if self._stopping.is_set():
            inbox.put(_Stopped())
        keeper = Keeper(
            self._service,
            lease,
            lost=lambda reason: inbox.put(LeaseLostError(reason)),
            cancel=lambda: inbox.put(_Cancelled()),
        )
        keeper.start()
        try:
            ending = self._run_job(lease, keeper)
            keeper.stop()
            self._finish(lease, keeper, ending)
            logger.info("job %s", ending.status, extra={"job_id": lease.job_id})
        except LeaseLostError as error:
            logger.warning("lost the lease: %s", error, extra={"job_id": lease.job_id})
            self._lost = lease
        except _Stopped:
            keeper.stop()
            self._give_back(lease)
        finally:
            keeper.stop()

    def _run_job(self, lease: Lease, keeper: Keeper) -> _Ending:
        try:
            ending = self._attempts(lease, keeper)
            if ending.final:
                return ending
        except _Cancelled:
            ending = _Ending("cancelled", None, False)
        try:
            self._draw(lease, keeper)
        except _Cancelled:
            ending = _Ending("cancelled", None, False)
        return ending

    def _attempts(self, lease: Lease, keeper: Keeper) -> _Ending:
        """Run the job until it ends by itself; one whose process, cluster or storage fails is run again."""
        failures = deaths = best = 0
        while True:
            ended = self._attempt(lease, keeper, self._train)
            done = keeper.progress.trials_done if keeper.progress else 0
            if done > best:
                failures, deaths, best = 0, 0, done
            if ended.get("final"):
                return _Ending(ended["status"], ended["error"], True)
            text = str(ended.get("error") or ended.get("text"))
            died = ended["event"] == "died" or bool(ended.get("accident"))
            deaths, failures = deaths + died, failures + (not died)
            if self._wait_for_storage(lease, keeper):
                continue
            if failures >= MAX_FAILURES or deaths >= MAX_DEATHS:
                stop = "" if text.endswith((".", "?")) else "."
                told = f"After {failures + deaths} attempts without progress: {text}{stop} {RESUME}"
                return _Ending("failed", told, False)
            pause = min(LONGEST_PAUSE, 2.0 ** (failures + deaths - 2))
            keeper.report("warning", text=f"{text.rstrip('.')}; the job is started again")
            logger.warning("%s", text, extra={"job_id": lease.job_id})
            self._sleep(pause)

    def _attempt(self, lease: Lease, keeper: Keeper, train: str) -> dict[str, Any]:
        """One process from start to end: its last event."""
        heard: queue.SimpleQueue[object] = self._inbox
        this = object()  # events of an earlier process may still lie in the inbox
        known = self._trained_on
        trained_on = known[1] if known and known[0] == lease.job_id else None
        order = Order(lease.spec, lease.folder, lease.reuse, self._address, train, trained_on, keeper.deadline)
        with start_child(order, lambda event: heard.put((this, event))) as child:
            keeper.follow(child.extend)
            while True:
                what = self._next()
                if not isinstance(what, tuple) or what[0] is not this:
                    continue
                event: dict[str, Any] = what[1]
                if event["event"] == "message":
                    keeper.report("message", text=event["text"])
                elif event["event"] == "warning":
                    logger.warning("%s", event["text"], extra={"job_id": lease.job_id})
                    keeper.report("warning", text=event["text"])
                elif event["event"] == "seated":
                    self._trained_on = lease.job_id, event["device"]
                elif event["event"] == "estimate":
                    keeper.report("estimate", **event["news"])
                elif event["event"] == "progress":
                    keeper.tell(_progress(event))
                else:
                    return event

    def _draw(self, lease: Lease, keeper: Keeper) -> None:
        """Draw what is finished of a job that did not succeed, once its trainings have stopped."""
        ended = self._attempt(lease, keeper, "")
        if ended.get("status") != "succeeded":
            text = ended.get("error") or ended.get("text")
            keeper.report("warning", text=f"what is finished could not be drawn: {text}")

    def _wait_for_storage(self, lease: Lease, keeper: Keeper) -> bool:
        """Wait until the job's folder can be written; says whether there was anything to wait for."""
        waited, pause = False, 1.0
        while (reason := self._probe(lease)) is not None:
            if not waited:
                logger.warning("waiting for the storage: %s", reason, extra={"job_id": lease.job_id})
                keeper.report("warning", text=f"the storage cannot be written ({reason}); waiting until it can be")
            waited = True
            self._sleep(pause)
            pause = min(LONGEST_PAUSE / 3, 1.5 * pause)
        if waited:
            keeper.report("message", text="the storage can be written again; the job goes on")
        return waited

    def _probe(self, lease: Lease) -> str | None:
        """Why the job's folder cannot be written; asked in a thread, since a storage that hangs must not hang this."""
        this, heard = object(), self._inbox
        threading.Thread(target=lambda: heard.put((this, storage_trouble(lease.folder))), daemon=True).start()
        while True:
            what = self._next()
            if isinstance(what, tuple) and what[0] is this:
                return str(what[1]) if what[1] else None

    def _finish(self, lease: Lease, keeper: Keeper, ending: _Ending) -> None:
        """Say how the job ended, for as long as the lease lasts."""
        while True:
            try:
                keeper.flush()
                self._service.finish(lease, ending.status, (ending.error or "")[:MAX_ERROR] or None, keeper.progress)
            except ServiceAwayError as error:
                if time.monotonic() >= keeper.deadline:
                    raise LeaseLostError(f"the end could not be told: {error}") from None
                self._sleep(0.5)
            else:
                return

    def _give_up_lost(self) -> None:
        """Give back what the service may still count as ours, so that the job need not wait for its end."""
        if self._lost is not None:
            with contextlib.suppress(LeaseLostError, ServiceRefusedError):
                self._service.release(self._lost)
            self._lost = None

    def _give_back(self, lease: Lease) -> None:
        try:
            self._service.release(lease)
            logger.info("gave the job back", extra={"job_id": lease.job_id})
        except (LeaseLostError, ServiceAwayError) as error:
            logger.warning("could not give the job back: %s", error, extra={"job_id": lease.job_id})

    def _next(self, timeout: float | None = None) -> object:
        """What happens next; None after `timeout` seconds. Raises what ends the job."""
        try:
            what = self._inbox.get(timeout=timeout)
        except queue.Empty:
            return None
        if isinstance(what, Exception):
            raise what
        return what

    def _sleep(self, seconds: float) -> None:
        ends = time.monotonic() + seconds
        while (left := ends - time.monotonic()) > 0:
            self._next(left)


def storage_trouble(location: str) -> str | None:
    """Why a folder cannot be written at the moment; None if it can."""
    name = ".probe"
    try:
        folder = open_folder(location)
        folder.write(name, bytes(PROBE_BYTES))
        folder.delete(name)
    except OSError as error:
        return " ".join(str(error).split())[:300]
    return None


def _progress(event: dict[str, Any]) -> Progress:
    return Progress(**{field.name: event[field.name] for field in fields(Progress)})
