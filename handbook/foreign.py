"""Built pages to what they would load from elsewhere: a page that is read offline loads nothing."""

import re
from html.parser import HTMLParser
from pathlib import Path

LOADING = {
    "script": ("src",),
    "img": ("src", "srcset"),
    "iframe": ("src",),
    "source": ("src", "srcset"),
    "video": ("src", "poster"),
    "audio": ("src",),
    "object": ("data",),
    "embed": ("src",),
    "image": ("href", "xlink:href"),
    "use": ("href", "xlink:href"),
}
"""Attributes by which an element loads something; an `a` only leads somewhere."""
LOADED_BY_LINK = {
    "stylesheet",
    "icon",
    "preload",
    "prefetch",
    "preconnect",
    "dns-prefetch",
    "modulepreload",
    "manifest",
}
FOREIGN = re.compile(r"^\s*(https?:)?//", re.IGNORECASE)
IN_STYLE = re.compile(r"(?:url\(\s*['\"]?|@import\s+['\"])((?:https?:)?//[^'\")\s]+)", re.IGNORECASE)


def foreign_loads(site: Path) -> list[str]:
    """`page: address` of all that pages and style sheets under a folder load from another host, sorted."""
    found = []
    for path in sorted(site.rglob("*")):
        if path.suffix == ".html":
            page = _Page()
            page.feed(path.read_text())
            loads = page.loads
        elif path.suffix == ".css":
            loads = IN_STYLE.findall(path.read_text())
        else:
            continue
        found += [f"{path.relative_to(site)}: {address}" for address in loads]
    return found


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self._in_style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        names = LOADING.get(tag, ())
        if tag == "link" and LOADED_BY_LINK & set(given.get("rel", "").split()):
            names = ("href",)
        self.loads += [given[name] for name in names if FOREIGN.match(given.get(name, ""))]
        self.loads += IN_STYLE.findall(given.get("style", ""))
        self._in_style = tag == "style"

    def handle_data(self, data: str) -> None:
        if self._in_style:
            self.loads += IN_STYLE.findall(data)

    def handle_endtag(self, tag: str) -> None:
        self._in_style = False
