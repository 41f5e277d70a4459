"""`saephase run`: a spec file to a folder with a diagram, and a table of what it shows."""

import argparse
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from rich.console import Console

from phase_diagrams.folder import open_folder
from saephase.display import Display
from saephase.result_table import print_result
from saephase.spec_argument import UsageError, load_spec, slug
from workers.job import run_job

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(options: argparse.Namespace) -> int:
    """Run the job of a spec file; returns the exit code."""
    spec = load_spec(options.spec, options.set)
    out = options.folder = options.out or f"runs/{slug(spec.name)}"
    _check_folder(out)
    display = Display(Console(stderr=True))
    try:
        with _stoppable(), display:
            outcome = run_job(spec, out, listener=display, address=options.address)
    except KeyboardInterrupt:
        display.say(_stopped(display, out))
        return 130
    if outcome.summary:
        print_result(open_folder(out), outcome.summary)
    for lost in outcome.given_up:
        print(f"saephase: {lost.trial} failed in every attempt; the last error: {lost.reason}", file=sys.stderr)
    if outcome.given_up:
        count = len(outcome.given_up)
        print(
            f"saephase: {count} of {spec.n_trials} trials could not be trained and are missing from the diagram in "
            f"{out}; error.txt there holds the errors, and the same command tries them again",
            file=sys.stderr,
        )
        return 3
    return 0


@contextmanager
def _stoppable() -> Iterator[None]:
    """Let the signals that ask a program to end raise KeyboardInterrupt, once."""
    before = {number: signal.getsignal(number) for number in SIGNALS}

    def stop(number: int, frame: FrameType | None) -> None:
        # What follows takes seconds, and a second signal must not cut it short.
        for each in SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    for number, handler in before.items():
        if number != signal.SIGHUP or handler != signal.SIG_IGN:  # nohup stays in force
            signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stopped(display: Display, out: str) -> str:
    again = f"run the same command again to continue, or `saephase report {out}` to draw what is there"
    if display.latest is None:
        return f"stopped; nothing finished is lost: {again}"
    done, total = display.latest.trials_done, display.latest.trials_total
    return f"stopped; {done} of {total} trials are finished and kept: {again}"


def _check_folder(out: str) -> None:
    try:
        open_folder(out)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise UsageError(f"--out {out}: cannot be used as a folder: {reason}") from None
