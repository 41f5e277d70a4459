"""What a run shows of its progress, with a terminal and without."""

import io
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from rich.console import Console

from phase_diagrams.summary import BoundarySummary, Critical
from saephase.display import Display, clock
from saephase.result_table import boundary_words
from workers.progress import Progress


def progress(done: int, eta: float | None = 5.0) -> Progress:
    return Progress(done, 100, 10, 20.0, eta)


def test_without_a_terminal_lines_are_few_and_the_last_one_is_there() -> None:
    out = io.StringIO()
    with Display(Console(file=out)) as display:
        display.say("reused 10, to run [90]")
        for done in range(10, 101):
            display.progress(progress(done, 0.5 * (100 - done)))
    lines = out.getvalue().splitlines()
    assert lines[0] == "reused 10, to run [90]"
    assert lines[1] == "10/100 trials, 0:20, 0 trials/s, 0:45 left"
    assert lines[-1] == "100/100 trials, 0:20, 4.5 trials/s, 0:00 left"
    assert len(lines) == 3, "91 steps within three seconds"
    assert display.latest == progress(100, 0.0)


def test_a_terminal_gets_a_bar() -> None:
    out = io.StringIO()
    with Display(Console(file=out, force_terminal=True, width=120)) as display:
        display.progress(progress(40))
    assert "40/100" in out.getvalue()
    assert "1.5 trials/s, 0:05 left" in out.getvalue()


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0:00"), (59.6, "1:00"), (754, "12:34"), (3723, "1:02:03")])
def test_a_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_a_boundary_in_words() -> None:
    crossings = (Critical(0.871, 0.85, 0.9), Critical(0.95, 0.94, 0.96))
    boundary = BoundarySummary("random", "hidden_dim", 40.0, "sparsity", crossings, None)
    assert boundary_words(boundary) == "S = 0.871 [0.85, 0.9] and 0.95 [0.94, 0.96] at n_m = 40"
    none = BoundarySummary("random", "hidden_dim", None, "sparsity", (), "no boundary in range: recovered nowhere")
    assert boundary_words(none) == "no boundary in range: recovered nowhere"


def test_a_reader_that_goes_away_stops_nothing() -> None:
    program = "import sys; from saephase.standard_error import unhurt_stderr\nwith unhurt_stderr():\n"
    program += "  for i in range(5000): print('a line of progress', i, file=sys.stderr)\nprint('done')"
    command = f'{sys.executable} -c "$PROGRAM" 2>&1 >{{out}} | head -1'
    with tempfile.NamedTemporaryFile() as out:
        shell = ["bash", "-c", command.format(out=out.name) + "; echo ${PIPESTATUS[0]}"]
        done = subprocess.run(shell, env=os.environ | {"PROGRAM": program}, capture_output=True, text=True, check=True)
        assert done.stdout.splitlines() == ["a line of progress 0", "0"]
        assert Path(out.name).read_text() == "done\n"
