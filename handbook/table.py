"""Rows to a Markdown table, whatever their cells contain."""

from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; cells are Markdown, of one line each."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def code(text: str) -> str:
    """Text as code, empty where there is none."""
    fence = "``" if "`" in text else "`"
    return f"{fence}{text}{fence}" if text else ""


def words(text: str) -> str:
    """Plain text as Markdown that shows it as it is."""
    for sign in "\\*<>[]":
        text = text.replace(sign, f"&#{ord(sign)};")
    return " ".join(text.split())


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
