"""The tutorial is run as it stands, and says what its commands say."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "tutorial" / "first-diagram.md").read_text()
BLOCKS = re.findall(r"^```(sh|python|text)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.long
def test_every_command_runs_and_says_what_the_page_shows(tmp_path: Path) -> None:
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": f"{commands(tmp_path)}{os.pathsep}{os.environ['PATH']}"}
    said = ""
    for kind, text in BLOCKS:
        if kind == "text":
            shown_in_order([shape(line) for line in text.splitlines()], [shape(line) for line in said.splitlines()])
            continue
        command = ["bash", "-ec", text] if kind == "sh" else [sys.executable, "-c", text]
        done = subprocess.run(
            command, cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=600, check=False
        )
        assert done.returncode == 0, done.stderr
        said = done.stderr + done.stdout
    assert (tmp_path / "runs" / "first" / "phase_diagram.html").exists()


def test_every_output_follows_a_command() -> None:
    kinds = [kind for kind, _ in BLOCKS]
    assert kinds.count("text") >= 4
    assert all(before != "text" for before, kind in zip(["text", *kinds], kinds, strict=False) if kind == "text")


def commands(folder: Path) -> Path:
    """A folder with `saephase`, as an installed package has it."""
    place = folder / "bin"
    place.mkdir()
    (place / "saephase").write_text(f'#!/bin/sh\nexec {sys.executable} -m saephase "$@"\n')
    (place / "saephase").chmod(0o755)
    return place


def shape(line: str) -> str:
    """A line without its numbers, which may differ in their last places between processors, and its spaces."""
    return " ".join(re.sub(r"[\d.]+", "#", line).split())


def shown_in_order(shown: list[str], said: list[str]) -> None:
    rest = iter(said)
    for line in shown:
        assert any(line in other for other in rest), f"{line!r} is not said, or not in this order, in {said}"
