"""A real browser on the page: what it complains of, what axe finds, where a cell is."""

import time
from collections.abc import Callable
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import ConsoleMessage, Page, expect

expect.set_options(timeout=60_000)

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
"""Headless, as root, on a machine whose network is closed."""

Open = Callable[..., Page]
"""How a test gets a page: options of its browser profile by name."""

RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


def watch(page: Page, complaints: list[str]) -> None:
    """Collect errors and warnings of the console, exceptions, and requests to anywhere else."""

    def hear(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not expected(message):
            complaints.append(f"{message.type}: {message.text} ({message.location})")

    page.on("console", hear)
    page.on("pageerror", lambda error: complaints.append(f"exception: {error}"))
    page.on("request", lambda request: complaints.append(f"asks {request.url}") if foreign(request.url) else None)


def expected(message: ConsoleMessage) -> bool:
    """The browser itself notes every refusal; these are the API's answers to what a test did wrong on purpose."""
    return "Failed to load resource" in message.text and "/v1/" in str(message.location.get("url", ""))


def foreign(url: str) -> bool:
    return not url.startswith(("http://127.0.0.1:", "data:", "blob:http://127.0.0.1:"))


def violations(page: Page) -> list[str]:
    """What axe-core finds against WCAG 2.2 AA and its own best practices, one line each."""
    found: dict[str, Any] = Axe().run(page, options=RULES).response
    return [
        f"{violation['id']}: {node['target']} {node['failureSummary']}"
        for violation in found["violations"]
        for node in violation["nodes"]
    ]


CELLS = ".figure .chart canvas"


def wait_for_diagram(page: Page) -> None:
    page.wait_for_selector(CELLS, state="visible")


def note_drawings(page: Page) -> None:
    """Let the page remember how many cells with a colour its diagram has; to be called before it is opened."""
    page.add_init_script("document.addEventListener('drawn', (event) => { window.drawn = event.detail.cells; });")


def wait_for_cells(page: Page, cells: int, seconds: float = 60) -> None:
    """Wait until that many are drawn. Asked again and again from here: the page's policy lets nobody evaluate text."""
    deadline = time.monotonic() + seconds
    while page.evaluate("window.drawn") != cells:
        assert time.monotonic() < deadline, f"{page.evaluate('window.drawn')} cells are drawn, not {cells}"
        page.wait_for_timeout(20)


def walk_to(page: Page, words: str, keys: str = "ArrowRight", most: int = 100) -> None:
    """Walk through the diagram with a key until the announced cell contains the words."""
    page.locator(".figure").focus()
    for _ in range(most):
        page.keyboard.press(keys)
        if words in page.locator("#announcer").inner_text():
            return
    raise AssertionError(f"{words!r} was not reached; the last cell was {page.locator('#announcer').inner_text()!r}")
