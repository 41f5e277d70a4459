"""Ray Tune's questions to the pack queue's answers: which config next, and what became of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
from ray.tune import Callback
from ray.tune.search import Searcher

from phase_diagrams.pack import Pack
from workers.pack_queue import Failure, PackQueue
from workers.pack_trainer import pack_config

MAX_REASON = 600
"""Longest reason that is kept of a failure; heuristic: a readable paragraph."""

UNSEEN = (
    "A worker wrote its rows where this process cannot see them: the output folder must be one that all nodes of the "
    "cluster share, or a URI such as s3://bucket/folder"
)


class PackSearcher(Searcher):
    """Gives Tune the queue's packs, one per Tune trial, and takes back how each ended."""

    def __init__(
        self,
        queue: PackQueue,
        read_rows: Callable[[Pack], pa.Table | None],
        on_finish: Callable[[Pack, float], None],
        on_fail: Callable[[Failure, str], None],
    ) -> None:
        super().__init__()
        self._queue = queue
        self._read_rows = read_rows
        self._on_finish = on_finish
        self._on_fail = on_fail
        self._packs: dict[str, Pack] = {}
        self.fatal = ""
        """Why no further pack was started; empty if all were."""

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override] # FINISHED is a str
        """A pack's config; None while none waits; FINISHED when none will."""
        pack = self._queue.take(trial_id)
        if pack is None:
            return str(Searcher.FINISHED) if self._queue.exhausted else None
        self._packs[trial_id] = pack
        return pack_config(pack)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """A pack ended; one that raised or whose actor died is told by `FailureReasons`, which knows why."""
        if error or trial_id not in self._packs:
            return
        if not result:
            self.fail(trial_id, "Ray Tune stopped it")
        elif "failed" in result:
            self.fail(trial_id, str(result["failed"]))
        elif "fatal" in result:
            self._end(trial_id, str(result["fatal"]))
        else:
            self._take_rows(trial_id, float(result["seconds"]))

    def _take_rows(self, trial_id: str, seconds: float) -> None:
        pack = self._packs[trial_id]
        try:
            rows = self._read_rows(pack)
        except FileNotFoundError:
            self._end(trial_id, UNSEEN)
            return
        del self._packs[trial_id]
        self._queue.finish(trial_id, rows, seconds)
        self._on_finish(pack, seconds)

    def _end(self, trial_id: str, why: str) -> None:
        self.fatal = why
        self._queue.close()
        self.fail(trial_id, why)

    def fail(self, trial_id: str, text: str) -> None:
        """Hand a failed pack back to the queue; `text` is all that is known of the cause."""
        if self._packs.pop(trial_id, None) is not None:
            self._on_fail(self._queue.fail(trial_id, reason_of(text)), text)

    def fail_running(self, text: str) -> None:
        """Tune itself failed: hand back every pack that it held."""
        for trial_id in list(self._packs):
            self.fail(trial_id, text)

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles its searcher for a restore that never happens here."""
        return {}

    def save(self, checkpoint_path: str) -> None:
        """Nothing is saved: the folder holds what is finished, and Tune's own state is never read back."""


class FailureReasons(Callback):
    """Tells the searcher why a Tune trial failed, which Tune tells its callbacks only."""

    def __init__(self, searcher: PackSearcher) -> None:
        self._searcher = searcher

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Read the error that Tune wrote down."""
        path = trial.error_file
        text = Path(path).read_text(errors="replace") if path and Path(path).exists() else "no reason is known"
        self._searcher.fail(trial.trial_id, text)


def reason_of(text: str) -> str:
    """What an error text says, in one line."""
    if "ActorDiedError" in text or "actor died" in text or "worker process has died" in text:
        return "its worker process died (killed, out of memory, or its node was lost)"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return (lines[-1] if lines else "no reason is known")[:MAX_REASON]
