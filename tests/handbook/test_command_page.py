import re

import pytest

from handbook.command_page import command_page, commands

PAGE = command_page()


def test_every_command_and_option_is_on_the_page() -> None:
    names = [name for name, _, _ in commands()]
    assert {"run", "plan", "report", "serve", "worker", "submit", "token create", "spec-schema"} <= set(names)
    for name, text, parser in commands():
        assert f"# saephase {name}\n" in PAGE
        assert text, name
        for option in re.findall(r"--[a-z][a-z-]*", parser.format_help()):
            if option != "--help":
                assert f"`{option}" in PAGE, (name, option)


def test_hidden_options_are_not_told() -> None:
    assert "end-with-stdin" not in PAGE


def test_a_usage_line_is_the_same_in_any_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    assert command_page() == PAGE
    assert "```text\nsaephase run [-h] [--out DIR] [--set KEY=VALUE]" in PAGE
