"""A navigation with patterns to one with pages: what no one named finds its section by its folder."""

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Any

REST = "More"
"""The section of pages that neither a name nor a pattern holds."""


def expand(navigation: list[Any], pages: Iterable[str]) -> list[Any]:
    """Replace every entry with a `*` by the pages that match it in their folder and that no entry names.

    Args:
        navigation: as in mkdocs.yml: addresses, or mappings of one title to an address or a list.
        pages: addresses of all pages.
    """
    left = sorted(set(pages) - set(_named(navigation)))
    expanded = _expand(navigation, left)
    return [*expanded, {REST: left}] if left else expanded


def _named(entry: Any) -> Iterator[str]:
    if isinstance(entry, str):
        yield entry
        return
    for child in entry.values() if isinstance(entry, dict) else entry:
        yield from _named(child)


def _expand(entries: list[Any], left: list[str]) -> list[Any]:
    """The entries with their patterns replaced; what they take is taken out of `left`."""
    expanded: list[Any] = []
    for entry in entries:
        if isinstance(entry, str) and "*" in entry:
            taken = [page for page in left if fnmatchcase(page, entry) and page.count("/") == entry.count("/")]
            left[:] = [page for page in left if page not in taken]
            expanded += taken
        elif isinstance(entry, dict):
            expanded += [
                {title: _expand(inner, left) if isinstance(inner, list) else inner} for title, inner in entry.items()
            ]
        else:
            expanded.append(entry)
    # A section whose patterns match nothing is left out.
    return [entry for entry in expanded if not (isinstance(entry, dict) and [] in entry.values())]
