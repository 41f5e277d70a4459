"""service/settings.py to the table of docs/operations.md: variable, default and meaning, in the file's own words."""

import ast
from dataclasses import MISSING, fields
from itertools import pairwise
from pathlib import Path

import service.settings
from service.settings import PREFIX, Settings


def settings_table() -> str:
    """The table's rows as Markdown, in the order of the fields."""
    meanings = _meanings()
    defaults = {field.name: "" if field.default is MISSING else _told(field.default) for field in fields(Settings)}
    rows = [f"| `{PREFIX}{name.upper()}` | {defaults[name]} | {meanings[name]} |" for name in defaults]
    return "\n".join(["| variable | default | meaning |", "|---|---|---|", *rows])


def _told(value: object) -> str:
    if value is None:
        return "none"
    return f"{value:,}" if isinstance(value, int) and value >= 10_000 else f"{value}"


def _meanings() -> dict[str, str]:
    """The text under each field, which the interpreter forgets."""
    tree = ast.parse(Path(service.settings.__file__).read_text())
    body = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Settings").body
    found = {}
    for field, text in pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
            found[ast.unparse(field.target)] = " ".join(str(text.value.value).split())
    return found


if __name__ == "__main__":
    print(settings_table())
