"""The public modules to reference pages that mkdocstrings fills from their docstrings, and to a list of them."""

import ast
from pathlib import Path

from handbook.table import table, words

ROOT = Path(__file__).parent.parent
ROOM = "phase_diagrams"
CLIENT = ("service.client", "service.refusal", "service.retrieval")
"""The client, and where the errors are defined that it gives on."""

BEHIND = "---\nsearch:\n  boost: 0.001\n---"
"""Lets the search show pages written for readers before those of modules, whose headings would count a thousandfold."""


def module_pages() -> dict[str, str]:
    """Content by address in docs/: a page per module of the science, and one for the client."""
    pages = {f"reference/python/{name}.md": _page(name, [name]) for name in _modules()}
    pages[f"reference/python/{CLIENT[0]}.md"] = _page(CLIENT[0], list(CLIENT))
    return pages


def module_list() -> str:
    """A table of the modules with the first sentence of each."""
    names = [*_modules(), CLIENT[0]]
    return table(("module", "turns"), [(f"[{name}](python/{name}.md)", words(_first_line(name))) for name in names])


def _modules() -> list[str]:
    return sorted(f"{ROOM}.{path.stem}" for path in (ROOT / ROOM).glob("*.py") if not path.stem.startswith("_"))


def _page(name: str, modules: list[str]) -> str:
    return "\n\n".join([BEHIND, f"# {name}", *(f"::: {module}" for module in modules)]) + "\n"


def _first_line(name: str) -> str:
    tree = ast.parse((ROOT / f"{name.replace('.', '/')}.py").read_text())
    return (ast.get_docstring(tree) or "").splitlines()[0]
