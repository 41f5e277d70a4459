"""A job that is waited for to a bar: in a terminal, in a notebook's cell, or nowhere."""

import sys
from contextlib import AbstractContextManager, nullcontext
from html import escape
from types import TracebackType
from typing import Any, Protocol, Self


class Bar(Protocol):
    """Shows a job each time that it was looked at."""

    def __call__(self, job: dict[str, Any]) -> None:
        """Show the job as it is now."""


def open_bar(progress: bool | None) -> AbstractContextManager[Bar]:
    """The bar for this place; None: one where a person looks on, which is a terminal or a notebook.

    True in any other place writes the bar's last state to standard output, once the waiting is over.
    """
    if progress is False:
        return nullcontext(_show_nothing)
    display = _notebook_display()
    if display is not None:
        return NotebookBar(display)
    if progress or sys.stdout.isatty():
        return TerminalBar()
    return nullcontext(_show_nothing)


class TerminalBar:
    """Rich's bar on standard output."""

    def __init__(self) -> None:
        # Only who wants a bar loads rich.
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("trials"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=Console(file=sys.stdout),
        )
        self._task = self._bar.add_task("waiting", total=None, left="")

    def __enter__(self) -> Self:
        """Start drawing."""
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the terminal as it was."""
        self._bar.stop()

    def __call__(self, job: dict[str, Any]) -> None:
        """Move the bar."""
        progress = job["progress"]
        self._bar.update(
            self._task,
            description=job["status"],
            completed=progress["trials_done"],
            total=progress["trials_total"],
            left=_left(job),
        )


class NotebookBar:
    """A bar of HTML, which is drawn over in place; it needs no widgets."""

    def __init__(self, display: Any) -> None:
        self._display = display
        self._handle: Any = None

    def __enter__(self) -> Self:
        """Show nothing yet."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the last state in the cell's output."""

    def __call__(self, job: dict[str, Any]) -> None:
        """Draw the bar anew."""
        bundle = {"text/plain": bar_text(job), "text/html": bar_html(job)}
        if self._handle is None:
            self._handle = self._display(bundle, raw=True, display_id=True)
        else:
            self._handle.update(bundle, raw=True)


def bar_text(job: dict[str, Any]) -> str:
    """A job's progress in words."""
    progress = job["progress"]
    words = f"{job['status']}: {progress['trials_done']}/{progress['trials_total']} trials"
    left = _left(job)
    return f"{words}, {left}" if left else words


def bar_html(job: dict[str, Any]) -> str:
    """A job's progress as HTML."""
    done, total = int(job["progress"]["trials_done"]), int(job["progress"]["trials_total"])
    text = escape(bar_text(job))
    return f'<progress value="{done}" max="{max(1, total)}" aria-label="{text}"></progress> {text}'


def _left(job: dict[str, Any]) -> str:
    eta = job["progress"]["eta_seconds"]
    return "" if eta is None or job["status"] != "running" else f"{round(eta)} s left"


def _notebook_display() -> Any:
    """IPython's `display` where this program is a notebook's kernel; None elsewhere."""
    if "IPython" not in sys.modules:
        return None
    from IPython import get_ipython
    from IPython.display import display

    shell = get_ipython()
    return display if shell is not None and getattr(shell, "kernel", None) is not None else None


def _show_nothing(job: dict[str, Any]) -> None:
    """For those who asked for no bar."""
