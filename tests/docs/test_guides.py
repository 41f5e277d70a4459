"""The guides against the program: their commands can be parsed, and their specs are specs."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from phase_diagrams.spec import read_spec
from saephase.command import command_parser

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(
    [*(DOCS / "how-to").glob("*.md"), *(DOCS / "explanation").glob("*.md"), *(DOCS / "tutorial").glob("*.md")]
)


def fences(page: Path, kind: str) -> list[str]:
    text = re.sub(r"(?m)^    ", "", page.read_text())  # also those in lists
    return re.findall(rf"^```{kind}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_can_be_parsed(page: Path) -> None:
    for block in fences(page, "sh"):
        for line in block.splitlines():
            # What follows a # is a comment, and a redirection or an & is the shell's.
            words = shlex.split(re.sub(r"\s(2>.*|&)$", "", line), comments=True)
            if words[:1] == ["saephase"]:
                assert command_parser().parse_args(words[1:]).command == words[1]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_whole_spec_is_one(page: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "directions.npy", np.eye(6, 16) + 1)
    for block in fences(page, "yaml"):
        if "grid:" in block:
            assert read_spec(block, tmp_path).n_trials > 0


def test_the_guides_have_specs() -> None:
    assert sum("grid:" in block for page in PAGES for block in fences(page, "yaml")) >= 3
