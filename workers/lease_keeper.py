"""A lease, a run's progress and its reports to heartbeats: the thread that keeps a job this worker's."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, Literal

from workers.lease_service import Lease, LeaseLostError, LeaseService, Report, ServiceAwayError, ServiceRefusedError
from workers.progress import Progress

BEATS = 5
"""Heartbeats per lease when nothing happens."""
SHORTEST = 0.5
"""Least seconds between two heartbeats, however much happens."""
BATCH = 100
"""Most reports in one heartbeat."""
MAX_TEXT = 2000
"""Longest text of a report; heuristic: a paragraph."""

RAN_OUT = "it ran out, since no heartbeat was answered in time"

logger = logging.getLogger("saephase.worker")


class Keeper:
    """Keeps one lease; `lost` and `cancel` are called once, from the keeper's thread."""

    def __init__(
        self, service: LeaseService, lease: Lease, lost: Callable[[str], None], cancel: Callable[[], None]
    ) -> None:
        self.progress: Progress | None = None
        """The latest."""
        self.deadline = lease.deadline
        self._service, self._lease, self._lost, self._cancel = service, lease, lost, cancel
        self._extend: Callable[[float], None] = lambda deadline: None
        self._reports: list[Report] = []
        self._count = 0
        self._said: Progress | None = None
        self._cancelled = False
        self._lock, self._beating = threading.Lock(), threading.Lock()
        self._wake, self._stopped = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Send no further heartbeat; one that is under way ends by itself, and is not waited for."""
        self._stopped.set()
        self._wake.set()

    def follow(self, extend: Callable[[float], None]) -> None:
        """Tell every new deadline to this function too, and the present one now."""
        self._extend = extend
        extend(self.deadline)

    def report(self, kind: Literal["message", "pack", "warning", "estimate"], **data: Any) -> None:
        """Tell the service what happened, with the next heartbeat."""
        with self._lock:
            self._count += 1
            if isinstance(data.get("text"), str):
                data["text"] = data["text"][:MAX_TEXT]
            self._reports.append(Report(kind, data, f"{self._lease.fence}-{self._count}"))
        self._wake.set()

    def tell(self, progress: Progress) -> None:
        """Tell the service how far the run is, with the next heartbeat."""
        self.progress = progress
        self._wake.set()

    def flush(self) -> None:
        """Send what is not sent yet, now; raises what the service's calls raise."""
        while self._reports or self.progress != self._said:
            self._beat()

    def _run(self) -> None:
        while not self._stopped.is_set():
            wait = self._lease.seconds / BEATS
            try:
                self._beat()
            except LeaseLostError as error:
                return self._give_up(str(error))
            except ServiceAwayError as error:
                logger.warning("no heartbeat: %s", error, extra={"job_id": self._lease.job_id})
                wait = SHORTEST
            except ServiceRefusedError as error:
                return self._give_up(str(error))
            if time.monotonic() >= self.deadline:
                return self._give_up(RAN_OUT)
            self._stopped.wait(min(SHORTEST, wait))
            self._wake.wait(max(0.0, min(wait - SHORTEST, self.deadline - time.monotonic())))
            self._wake.clear()
        return None

    def _beat(self) -> None:
        with self._beating:
            self._send()

    def _send(self) -> None:
        if time.monotonic() >= self.deadline:
            # The process was stopped for a while: another worker may have the job, and is not to be disturbed.
            raise LeaseLostError(RAN_OUT)
        with self._lock:
            reports, progress = self._reports[:BATCH], self.progress
        reply = self._service.heartbeat(self._lease, progress if progress != self._said else None, reports)
        with self._lock:
            del self._reports[: len(reports)]
            self._said = progress
            self.deadline = max(self.deadline, reply.deadline)
        self._extend(self.deadline)
        if reply.cancel and not self._cancelled:
            self._cancelled = True
            self._cancel()

    def _give_up(self, reason: str) -> None:
        if not self._stopped.is_set():
            self._lost(reason)
