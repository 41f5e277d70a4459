"""MkDocs' events to our pages: what is generated is added, markers are filled, links moved, foreign loads refused."""

import re
from collections.abc import Callable
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from handbook.column_page import column_page
from handbook.command_page import command_page
from handbook.foreign import foreign_loads
from handbook.http_page import http_page
from handbook.module_pages import module_list, module_pages
from handbook.navigation import expand
from handbook.repository_pages import MOVED, ROOT, linked_files, move_links, place, repository_page
from handbook.spec_page import spec_page

MARKER = re.compile(r"^<!-- generated: ([a-z ]+) -->$", re.MULTILINE)
GENERATED: dict[str, Callable[[], str]] = {
    "job spec": spec_page,
    "commands": command_page,
    "columns": column_page,
    "http": http_page,
    "modules": module_list,
}
"""What stands in a page where the marker `<!-- generated: NAME -->` is."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are not in docs/, and put every page into the navigation."""
    documents = [(f"docs/{file.src_uri}", file.content_string) for file in files.documentation_pages()]
    brought = [path for path in MOVED if path != "README.md"]
    texts = [*documents, *((path, (ROOT / path).read_text()) for path in brought)]
    examples = {f"examples/{path.name}" for path in (ROOT / "examples").glob("*.*")}
    pages = module_pages()
    pages |= {place(path): repository_page(path) for path in sorted(linked_files(texts) | examples | set(brought))}
    for address, content in pages.items():
        files.append(File.generated(config, address, content=content))
    config.nav = expand(config.nav or [], [file.src_uri for file in files.documentation_pages()])
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Fill the markers and move the links of a page of docs/."""
    if page.file.generated_by is not None:
        return markdown
    here = page.file.src_uri
    return MARKER.sub(lambda found: GENERATED[found[1]](), move_links(markdown, f"docs/{here}", here))


def on_post_build(config: MkDocsConfig) -> None:
    """Refuse a site that would load anything from another host."""
    found = foreign_loads(Path(config.site_dir))
    if found:
        raise PluginError("pages load from other hosts:\n" + "\n".join(found))
