"""Two jobs on one page: what the service says of their difference, and in its words why there is none."""

import json

import pytest
from playwright.sync_api import expect

from tests.service.page.browsing import CELLS, Open, violations, walk_to
from tests.service.page.leased_job import SPEC, Job
from tests.service.running import Running, submit

VEGA_LITE = "application/vnd.vegalite.v6+json"
BOUNDARY_KEYS = ("activation", "k", "l1", "exponent", "boundary", "x_axis")


@pytest.mark.long
def test_two_jobs_are_compared_as_the_service_compares_them(service: Running, done: Job, open_page: Open) -> None:
    other = Job(service, "other", recovery={"cosine": 0.95}, grid={**SPEC["grid"], "seeds": 2}).succeed()
    page = open_page(accept_downloads=True)
    page.goto(done.url)
    page.get_by_role("link", name="Compare with …").click()
    expect(page.get_by_role("checkbox", name="Compare done")).to_be_checked()
    expect(page.get_by_role("button", name="Compare two")).to_be_disabled()
    page.get_by_role("checkbox", name="Compare other").check()
    page.get_by_role("button", name="Compare two").click()
    # These jobs have no report: the service fits their boundaries now.
    expect(page.locator(CELLS)).to_have_count(1, timeout=120_000)
    told = other.client.get(f"/v1/jobs/{done.id}/diff/{other.id}").json()
    source = other.client.get(f"/v1/jobs/{done.id}/diff/{other.id}", headers={"Accept": VEGA_LITE}).json()
    expect(page.locator(".notice")).to_have_text(told["notes"][0])
    for title in source["facet"]["sort"]:
        expect(page.get_by_role("checkbox", name=title)).to_be_checked()
    panels = page.get_by_role("region", name="Whole panels").locator("tbody tr")
    expect(panels).to_have_count(len(told["panels"]))
    differing = [cell for cell in told["cells"] if cell["difference"] != 0]
    cells = page.get_by_role("region", name="Cells that differ").locator("tbody tr")
    expect(cells).to_have_count(len(differing))
    keys = page.get_by_role("region", name="Keys that differ")
    expect(keys.locator("tbody tr")).to_have_count(len(told["spec_changes"]))
    expect(keys).to_contain_text("recovery.cosine")
    expect(keys).to_contain_text("grid.seeds")
    moved = page.get_by_role("region", name="Displacements").locator("tbody tr")
    assert moved.count() == len({tuple(row[name] for name in BOUNDARY_KEYS) for row in told["displacement"]}) > 0
    expect(page.get_by_role("img", name="Displacement of the").first).to_be_visible()
    assert violations(page) == []
    walk_to(page, "sparsity S: 0.9, hidden dimension n_m: 16")
    said = page.locator("#announcer").inner_text()
    cell = next(
        row for row in source["datasets"]["rows"] if row["layer"] == "cell" and (row["S"], row["n_m"]) == (0.9, 16)
    )
    assert f"difference [95 %]: {cell['difference']}" in said
    page.keyboard.press("Enter")
    expect(page.locator(".opened h2")).to_be_focused()
    expect(page.locator(".opened")).to_contain_text(cell["shares"])
    with page.expect_download() as fetched:
        page.get_by_role("button", name="Vega-Lite").click()
    assert json.loads(fetched.value.path().read_text()) == source
    page.get_by_role("checkbox", name="p ≤ 0.05 alone").uncheck()
    again = open_page()
    again.goto(page.url)
    expect(again.locator(".opened")).to_contain_text(cell["shares"])
    expect(again.get_by_role("checkbox", name="p ≤ 0.05 alone")).not_to_be_checked()
    again.get_by_text("Both diagrams side by side").click()
    expect(again.locator(".pair .figure canvas")).to_have_count(2)
    again.locator(".pair .figure").first.focus()
    again.keyboard.press("ArrowRight")
    expect(again.locator(".pair .ring:not(.chosen):visible")).to_have_count(2)
    assert violations(again) == []
    again.get_by_role("link", name="Its trials in other").click()
    expect(again.locator(".side h2")).to_contain_text("S 0.9 · n_m 16")
    other.client.delete(f"/v1/jobs/{other.id}")


@pytest.mark.long
def test_jobs_without_a_common_plane_are_refused_in_the_services_words(
    service: Running, done: Job, open_page: Open
) -> None:
    far = Job(service, "far", grid={**SPEC["grid"], "sparsity": [0.6, 0.7]}).succeed()
    page = open_page()
    page.goto(f"{service.url}/#/compare/{done.id}/{far.id}")
    told = far.client.get(f"/v1/jobs/{done.id}/diff/{far.id}").json()
    assert told["status"] == 409
    expect(page.get_by_role("alert")).to_have_text(told["detail"])
    expect(page.get_by_text("Both diagrams side by side")).to_be_visible()
    assert violations(page) == []
    waiting = submit(far.client, {**SPEC, "name": "not begun"})["id"]
    page.goto(f"{service.url}/#/compare/{done.id}/{waiting}")
    expect(page.get_by_text("No condition has a finished trial in both jobs.")).to_be_visible()
    expect(page.get_by_role("button", name="Compare again")).to_be_visible()
    page.goto(f"{service.url}/#/compare/{done.id}/0123456789abcdef")
    expect(page.get_by_role("alert")).to_contain_text("There is no job")
    far.client.post(f"/v1/jobs/{waiting}/cancel")
    for job_id in (waiting, far.id):
        far.client.delete(f"/v1/jobs/{job_id}")
