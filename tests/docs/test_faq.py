"""docs/faq.md quotes real messages: its commands are run, and what else it quotes is in the program's source."""

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from saephase.command import main

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "faq.md").read_text()
BLOCKS = re.findall(r"^```console\n(.*?)\n```", PAGE, re.MULTILINE | re.DOTALL)
COMMANDS = [block for block in BLOCKS if block.startswith("$ ")]
QUOTES = [block for block in BLOCKS if not block.startswith("$ ")]
JOB = """
name: first diagram
data: {n_features: 24, n_inputs: 8}
grid: {sparsity: [0.5, 0.7, 0.8, 0.9, 0.95, 0.98], hidden_dim: [12, 24, 48, 72], activation: ["topk:2", "relu"]}
"""
LEAST = 20
"""Characters of a message of the source that a quote must hold literally; shorter ones would be found by accident."""


@pytest.mark.parametrize("block", COMMANDS, ids=lambda block: block.splitlines()[0])
def test_a_command_says_what_the_page_shows(
    block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("job.yaml").write_text(JOB)
    command, _, shown = block.partition("\n")
    assert main(shlex.split(command.removeprefix("$ saephase "))) in (2, 4)
    assert capsys.readouterr().err.strip() == shown


@pytest.mark.parametrize("quote", QUOTES, ids=lambda quote: quote[:60])
def test_a_quoted_message_is_one_of_the_source(quote: str) -> None:
    found = [literal for literal, pattern in MESSAGES if pattern.fullmatch(quote)]
    assert found, f"no message of the source looks like: {quote}"
    assert max(found) >= len(quote) / 3, f"only {max(found)} characters of it are in the source: {quote}"


def test_every_question_has_an_answer() -> None:
    for entry in re.split(r"^### ", PAGE, flags=re.MULTILINE)[1:]:
        title, _, rest = entry.partition("\n")
        assert len(rest.strip()) > 40, title


def messages() -> Iterator[tuple[int, re.Pattern[str]]]:
    """Every text of the program: its count of literal characters, and a pattern in which placeholders fit anything."""
    for room in ("phase_diagrams", "workers", "service", "saephase"):
        for path in sorted((ROOT / room).glob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                pieces = [node] if isinstance(node, ast.Constant) else getattr(node, "values", [])
                if isinstance(node, (ast.Constant, ast.JoinedStr)):
                    texts = [piece.value if isinstance(piece, ast.Constant) else None for piece in pieces]
                    literal = "".join(text for text in texts if isinstance(text, str))
                    if len(literal) >= LEAST and " " in literal and "\n" not in literal:
                        pattern = "".join(re.escape(text) if isinstance(text, str) else ".*?" for text in texts)
                        yield len(literal), re.compile(pattern)


MESSAGES = list(messages())
