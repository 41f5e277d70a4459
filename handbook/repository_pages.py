"""Files of the repository that pages link to, to pages of the site; and links between them to links of the site."""

import json
import posixpath
import re
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parent.parent
LINK = re.compile(r"(?<=\]\()([^)#\s]+)")
MOVED = {"ARCHITECTURE.md": "project/architecture.md", "CHANGELOG.md": "project/changelog.md", "README.md": "index.md"}
"""Documents outside docs/, and where on the site they are (the README's place is taken by the first page)."""
LANGUAGES = {
    ".yaml": "yaml",
    ".yml": "yaml",
    ".py": "python",
    ".toml": "toml",
    ".cff": "yaml",
    ".sh": "sh",
    ".sbatch": "sh",
}


def place(path: str) -> str:
    """Where on the site a file or folder of the repository is; both relative, with `/`."""
    if path in MOVED:
        return MOVED[path]
    if (ROOT / path).is_dir():
        path = f"{path}/index.md"
    return path.removeprefix("docs/") if path.startswith("docs/") else f"repository/{path}.md"


def move_links(text: str, origin: str, here: str) -> str:
    """A document's links as they must be on the site; those to nothing in the repository are left as they are.

    Args:
        text: Markdown.
        origin: the document's path in the repository.
        here: its place on the site.
    """

    def moved(found: re.Match[str]) -> str:
        target = _target(found[1], origin)
        return found[1] if target is None else posixpath.relpath(place(target), posixpath.dirname(here) or ".")

    return LINK.sub(moved, text)


def linked_files(texts: Iterable[tuple[str, str]]) -> set[str]:
    """The files outside docs/ that documents, given as pairs of origin and text, link to, without those that moved."""
    found = set()
    for origin, text in texts:
        targets = {_target(link, origin) for link in LINK.findall(text)} - {None}
        found |= {target for target in targets if target and place(target).startswith("repository/")}
    return {path for path in found if (ROOT / path).is_file()}


def repository_page(path: str) -> str:
    """A file of the repository as a page."""
    text = (ROOT / path).read_text()
    if path in MOVED:
        return move_links(text, path, MOVED[path])
    if path.endswith(".ipynb"):
        return move_links(f"# {path}\n\n{_notebook(text)}\n", path, place(path))
    language = LANGUAGES.get(Path(path).suffix, "text")
    return f"# {path}\n\n````{language}\n{text.rstrip()}\n````\n"


def _target(link: str, origin: str) -> str | None:
    """The path in the repository that a link of a document leads to; None where it leads out of it."""
    if "://" in link or link.startswith(("/", "mailto:")):
        return None
    path = posixpath.normpath(posixpath.join(posixpath.dirname(origin), link))
    return path if not path.startswith("..") and (ROOT / path).exists() else None


def _notebook(text: str) -> str:
    return "\n\n".join(_cell(cell["cell_type"], "".join(cell["source"])) for cell in json.loads(text)["cells"])


def _cell(kind: str, source: str) -> str:
    # One level down: the page has its title already.
    return re.sub(r"(?m)^#", "##", source) if kind == "markdown" else f"```python\n{source}\n```"
