import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from service.settings import Settings
from tests.service.conftest import make_settings
from tests.service.page.browsing import FLAGS, Open, watch
from tests.service.page.leased_job import Job
from tests.service.running import Running, running


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """The system's Chromium; in CI its absence is a failure."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        reason = "there is no Chromium here (Debian: apt-get install chromium)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: Browser) -> Iterator[Open]:
    """Opens pages, each in a browser profile of its own; what any of them complains of in its console is a failure."""
    contexts = []
    complaints: list[str] = []

    def open_one(**options: Any) -> Page:
        context = chromium.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        contexts.append(context)
        page = context.new_page()
        watch(page, complaints)
        page.set_default_timeout(120_000)
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert not complaints


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A service of this module's own, whose jobs no other worker takes."""
    with running(page_settings(tmp_path_factory.mktemp("page"))) as found:
        yield found


@pytest.fixture(scope="module")
def done(service: Running) -> Job:
    return Job(service, "done").succeed()


def page_settings(root: Path) -> Settings:
    return make_settings(f"sqlite:///{root / 'jobs.sqlite3'}", root, lease_seconds=600.0)
