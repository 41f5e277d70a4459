"""The command line's parsers to a reference of every command and option."""

import argparse
from collections.abc import Iterator

from handbook.table import code, table, words
from saephase.command import command_parser

WIDTH = 100
"""Columns of a usage line."""


def command_page() -> str:
    """A section per command: what it does, its usage, a table of its arguments."""
    return "\n\n".join(_section(name, text, parser) for name, text, parser in commands())


def commands() -> Iterator[tuple[str, str, argparse.ArgumentParser]]:
    """Every command with its one line of help and its parser, a command's own commands after it."""
    yield from _children(command_parser(), "")


def _children(parser: argparse.ArgumentParser, before: str) -> Iterator[tuple[str, str, argparse.ArgumentParser]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            texts = {choice.dest: choice.help or "" for choice in action._choices_actions}
            for name, child in action.choices.items():
                yield f"{before}{name}", texts[name], child
                yield from _children(child, f"{before}{name} ")


def _section(name: str, text: str, parser: argparse.ArgumentParser) -> str:
    level = "##" if " " not in name else "###"
    parts = [f"{level} saephase {name}", f"{words(text[:1].upper() + text[1:])}.", f"```text\n{_usage(parser)}\n```"]
    rows = [_row(action) for action in _shown(parser)]
    if rows:
        parts.append(table(("argument", "meaning"), rows))
    return "\n\n".join(parts)


def _shown(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    hidden = (argparse._HelpAction, argparse._SubParsersAction)
    return [action for action in parser._actions if action.help != argparse.SUPPRESS and not isinstance(action, hidden)]


def _row(action: argparse.Action) -> tuple[str, str]:
    value = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
    if not action.option_strings:
        return code(value), words(action.help or "")
    takes_none = action.nargs == 0
    return code(action.option_strings[-1] + ("" if takes_none else f" {value}")), words(action.help or "")


def _usage(parser: argparse.ArgumentParser) -> str:
    # Of a width of its own: the parser would take the terminal's.
    formatter = argparse.HelpFormatter(parser.prog, width=WIDTH)
    formatter.add_usage(parser.usage, parser._actions, parser._mutually_exclusive_groups, prefix="")
    return formatter.format_help().strip()
