"""The site as a reader gets it: built strictly, and read in a browser without a network."""

import functools
import http.server
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.service.page.browsing import RULES

ROOT = Path(__file__).parents[2]
VISITED = (
    "reference/job-spec.html",
    "reference/http.html",
    "explanation/identifiability.html",
)
JUDGED = ("index.html", "tutorial/first-diagram.html", "reference/python/phase_diagrams.boundary.html")
"""Short pages of each kind, for a judgement that takes long on long ones."""

pytestmark = pytest.mark.long


THEIRS = ("scrollable-region-focusable", "landmark-unique")
"""Rules about the theme's own wrappers of tables and code, which Chromium lets the keyboard scroll by itself."""


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built here, or where SITE says that it has just been built: CI's `make docs` comes first."""
    if "SITE" in os.environ:
        return Path(os.environ["SITE"])
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    variables = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def address(site: Path) -> Iterator[str]:
    handler = functools.partial(Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_pages_read_well_in_light_and_dark_on_desk_and_phone(address: str, open_page: Callable[..., Page]) -> None:
    for scheme, size in (("light", {"width": 1280, "height": 900}), ("dark", {"width": 390, "height": 844})):
        page = open_page(color_scheme=scheme, viewport=size)
        for path in (*VISITED, *JUDGED):
            page.goto(f"{address}/{path}")
            expect(page.locator("article h1")).to_be_visible()
            assert page.evaluate("document.documentElement.scrollWidth") <= size["width"], path
            assert page.evaluate("[...document.images].every((image) => image.naturalWidth > 0)"), path
            assert path not in JUDGED or violations(page) == [], path


def violations(page: Page) -> list[str]:
    """What axe-core finds in the page's text."""
    options = {**RULES, "rules": {name: {"enabled": False} for name in THEIRS}}
    found = Axe().run(page, context="article", options=options).response["violations"]
    return [f"{rule['id']}: {node['target']} {node['failureSummary']}" for rule in found for node in rule["nodes"]]


def test_the_search_finds_a_key_of_the_spec(address: str, open_page: Callable[..., Page]) -> None:
    page = open_page()
    page.goto(f"{address}/index.html")
    page.get_by_role("textbox", name="Search").fill("gpus_per_trial")
    expect(page.locator(".md-search-result__list")).to_contain_text("Job spec: every key")
