"""A job's progress to a terminal's bar, or to plain lines where there is none."""

import time
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from workers.progress import Progress

LINE_SECONDS = 3.0
"""Least time between plain lines; heuristic: a log of an hour stays readable."""


class Display:
    """Shows what a job says and how far it is, on standard error."""

    def __init__(self, console: Console) -> None:
        self.latest: Progress | None = None
        self._console = console
        self._shown = float("-inf")
        self._bar = Bar(
            TextColumn("trials"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[pace]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("trials", total=None, pace="", visible=False)

    def __enter__(self) -> Self:
        """Start drawing."""
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the terminal as it was."""
        self._bar.stop()

    def say(self, text: str) -> None:
        """A line above the bar."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def estimate(self, news: dict[str, Any]) -> None:
        """The sentence of an adaptive job's news."""
        self.say(str(news["text"]))

    def progress(self, progress: Progress) -> None:
        """Move the bar, or print a line if the last one is old enough or all is done."""
        self.latest = progress
        done, total = progress.trials_done, progress.trials_total
        self._bar.update(self._task, completed=done, total=total, pace=pace(progress), visible=True)
        now = time.monotonic()
        if not self._console.is_terminal and (now - self._shown >= LINE_SECONDS or done == total):
            self._shown = now
            self.say(f"{done}/{total} trials, {clock(progress.seconds)}, {pace(progress)}".rstrip(", "))


def pace(progress: Progress) -> str:
    """Rate and time left, once there is something to tell them from."""
    if progress.eta_seconds is None:
        return ""
    return f"{progress.rate:.3g} trials/s, {clock(progress.eta_seconds)} left"


def clock(seconds: float) -> str:
    """Seconds as 0:05, 12:34 or 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
