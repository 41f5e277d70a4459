"""Where a visitor arrives: the list of jobs, the question for a token, the look on every screen, the first paint."""

import time
from typing import Any

import pytest
from playwright.sync_api import expect

from service.tokens import create_token
from tests.service.page.browsing import Open, violations
from tests.service.page.conftest import page_settings
from tests.service.page.leased_job import SPEC, Job
from tests.service.running import Running, running, submit


def test_the_list_tells_searches_filters_and_pages(service: Running, done: Job, open_page: Open) -> None:
    client = service.client()
    made = [submit(client, {**SPEC, "name": f"listed {i}"})["id"] for i in range(53)]
    page = open_page()
    page.goto(service.url)
    rows = page.locator(".jobs tbody tr")
    expect(rows).to_have_count(50)
    expect(rows.first).to_contain_text("listed 52")
    expect(rows.first).to_contain_text("queued")
    expect(rows.first).to_contain_text("0 of 48 trials")
    expect(rows.first).to_contain_text("local")
    assert violations(page) == []
    page.get_by_role("button", name="Older jobs").click()
    expect(rows.nth(52)).to_contain_text("listed 0")
    expect(page.get_by_role("button", name="Older jobs")).to_have_count(0)
    page.get_by_role("searchbox").fill("DONE")
    expect(rows).to_have_count(1)
    expect(rows.first).to_contain_text("48 of 48 trials")
    assert "search=DONE" in page.url
    page.get_by_label("Status").select_option("failed")
    expect(page.get_by_text("No job matches")).to_be_visible()
    assert violations(page) == []
    for job_id in made:
        client.post(f"/v1/jobs/{job_id}/cancel")
        client.delete(f"/v1/jobs/{job_id}")


@pytest.mark.long
def test_nothing_yet_is_said_and_leads_to_the_form(tmp_path: Any, open_page: Open) -> None:
    with running(page_settings(tmp_path)) as empty:
        page = open_page()
        page.goto(empty.url)
        page.get_by_role("link", name="Make the first one").click()
        expect(page.get_by_role("heading", name="New job")).to_be_visible()
        page.goto(empty.url + "/#/jobs/0123456789abcdef")
        expect(page.get_by_role("alert")).to_contain_text("There is no job")
        page.goto(empty.url + "/#/elsewhere")
        expect(page.get_by_text("names no view")).to_be_visible()


@pytest.mark.long
def test_a_token_is_asked_for_once_and_forgotten_on_demand(tmp_path: Any, open_page: Open) -> None:
    with running(page_settings(tmp_path)) as closed:
        _, secret = create_token(closed.service.database, "ada", "submit", time.time())
        closed.service.refresh_ring()
        job_id = submit(closed.client(secret), {**SPEC, "name": "hers"})["id"]
        page = open_page(accept_downloads=True)
        page.goto(closed.url)
        expect(page.get_by_role("dialog")).to_have_count(1)
        assert violations(page) == []
        page.get_by_role("textbox", name="Token").fill("sae_wrong")
        page.keyboard.press("Enter")
        expect(page.get_by_role("dialog")).to_contain_text("unknown or revoked")
        page.get_by_role("textbox", name="Token").fill(secret)
        page.keyboard.press("Enter")
        expect(page.locator(".jobs")).to_contain_text("ada")
        page.goto(f"{closed.url}/#/jobs/{job_id}")
        expect(page.locator(".job-state")).to_contain_text("queued")
        # The stream of events came through with the token.
        page.get_by_role("link", name="Log").click()
        expect(page.locator(".log")).to_contain_text("queued")
        assert secret not in page.evaluate("JSON.stringify([document.cookie, {...localStorage}, location.href])")
        page.get_by_role("button", name="Forget token").click()
        expect(page.get_by_role("dialog")).to_contain_text("A bearer token is required")
        page.get_by_role("button", name="Not now").click()
        expect(page.get_by_role("alert")).to_contain_text("A bearer token is required")


@pytest.fixture(scope="module")
def failed(service: Running) -> Job:
    """For the list to show beside the job that is done."""
    job = Job(service, "failing", 0.5)
    job.worker.say("finish", {"status": "failed", "error": "3 of 48 trials could not be trained."})
    return job


@pytest.mark.long
@pytest.mark.usefixtures("failed")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_it_can_be_read_in_the_light_in_the_dark_and_on_a_phone(
    service: Running, done: Job, open_page: Open, scheme: str, width: int
) -> None:
    page = open_page(color_scheme=scheme, viewport={"width": width, "height": 844})
    for address in ("/", f"/#/jobs/{done.id}?colour=phase", "/#/new"):
        page.goto(service.url + address)
        page.wait_for_selector(".jobs, .legend, .cost dl")
        assert violations(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.long
def test_the_theme_can_be_chosen_against_the_system(service: Running, open_page: Open) -> None:
    page = open_page(color_scheme="light")
    page.goto(service.url)

    def ground() -> str:
        return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))

    light = ground()
    button = page.get_by_role("button", name="Theme")
    button.click()
    assert ground() == light
    button.click()
    assert ground() != light
    page.reload()
    assert ground() != light


@pytest.mark.long
def test_the_first_useful_paint_is_soon(service: Running, done: Job, open_page: Open) -> None:
    page = open_page()
    seconds = []
    for _ in range(5):
        page.goto("about:blank")
        page.goto(service.url, wait_until="commit")
        page.wait_for_selector(".jobs tbody tr")
        # When the list's text was painted, as the browser itself measures it from the start of the navigation.
        seconds.append(
            page.evaluate(
                """() => new Promise((resolve) => {
                  const tell = (list) => resolve(list.getEntries().at(-1).startTime / 1000);
                  new PerformanceObserver(tell).observe({ type: "largest-contentful-paint", buffered: true });
                })"""
            )
        )
    print(f"largest contentful paint: {', '.join(f'{s:.2f}' for s in seconds)} s")
    assert min(seconds) < 1
