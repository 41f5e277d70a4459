"""The page from a form to a finished diagram, with `saephase serve` and its own worker, which trains on Ray."""

import hashlib
import json
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.saephase.processes import alive, start_command, wait_for
from tests.saephase.test_service_commands import free_port, ready
from tests.service.page.browsing import note_drawings, violations, wait_for_cells, walk_to

SPEC = {
    "name": "seen to the end",
    "data": {"n_features": 8, "n_inputs": 4},
    "grid": {"sparsity": [0.5, 0.9], "hidden_dim": [8, 16], "activation": ["topk:1"], "seeds": 2},
    "training": {"steps": 200, "batch_size": 64},
}
"""16 trials in 4 conditions."""
LONG = {**SPEC, "name": "stopped on the way", "training": {"steps": 40_000, "batch_size": 64}}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service with its worker, as `saephase serve` starts them."""
    port = free_port()
    place = f"http://127.0.0.1:{port}"
    server = start_command("serve", "--port", str(port), "--data", str(tmp_path_factory.mktemp("whole")))
    try:
        wait_for(lambda: ready(place), 180, "for the service")
        yield place
    finally:
        started = server.started()
        server.send(signal.SIGTERM)
        code, _, said = server.end(timeout=60)
        wait_for(lambda: not alive(started), 15, f"for the end of {alive(started)}")
    assert code == 0, said


def submit_by_form(page: Page, url: str, spec: dict[str, object]) -> str:
    page.goto(url + "/#/new")
    page.get_by_text("As JSON").click()
    page.get_by_label("The spec as JSON").fill(json.dumps(spec))
    expect(page.locator(".cost")).to_contain_text("about")
    page.get_by_role("button", name="Submit the job").click()
    expect(page.get_by_role("heading", name=str(spec["name"]))).to_be_visible()
    return page.url.rpartition("/")[2]


@pytest.mark.long
def test_a_job_is_submitted_watched_opened_and_downloaded(url: str, open_page: Callable[..., Page]) -> None:
    page = open_page(accept_downloads=True)
    note_drawings(page)
    job_id = submit_by_form(page, url, SPEC)
    state = page.locator(".job-state")
    expect(state).to_contain_text("succeeded", timeout=600_000)
    expect(state).to_contain_text("16 of 16 trials")
    wait_for_cells(page, 4)
    walk_to(page, "sparsity S: 0.9, hidden dimension n_m: 16")
    page.keyboard.press("Enter")
    panel = page.locator(".side")
    expect(panel.locator(".trials tbody tr")).to_have_count(4)
    expect(panel.locator(".small-chart canvas")).to_have_count(3)
    assert "4 trials" in str(panel.locator(".small-chart").first.get_attribute("aria-label"))
    assert violations(page) == []
    page.get_by_role("link", name="Files").click()
    manifest = httpx.get(f"{url}/v1/jobs/{job_id}/artifacts/manifest.json").json()
    sums = {entry["name"]: entry["sha256"] for entry in manifest["files"]}
    assert {"trials.parquet", "phase_diagram.png", "phase_diagram.html", "phase_diagram.pdf"} <= set(sums)
    for name, digest in sums.items():
        with page.expect_download() as fetched:
            page.get_by_role("link", name=name, exact=True).click()
        content = Path(fetched.value.path()).read_bytes()
        assert hashlib.sha256(content).hexdigest() == digest, name


@pytest.mark.long
def test_a_job_is_cancelled_and_resumed_on_the_page(url: str, open_page: Callable[..., Page]) -> None:
    page = open_page()
    job_id = submit_by_form(page, url, LONG)
    state = page.locator(".job-state")
    expect(state).to_contain_text("running", timeout=120_000)
    began = time.monotonic()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Stop it").click()
    expect(state).to_contain_text("cancelled", timeout=120_000)
    print(f"cancelled on the screen after {time.monotonic() - began:.1f} s")
    kept = httpx.get(f"{url}/v1/jobs/{job_id}").json()["progress"]["trials_done"]
    page.get_by_role("button", name="Resume").click()
    expect(state).to_contain_text("succeeded", timeout=600_000)
    expect(state).to_contain_text("16 of 16 trials")
    assert httpx.get(f"{url}/v1/jobs/{job_id}").json()["progress"]["trials_reused"] >= kept
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Delete it").click()
    expect(page.get_by_role("heading", name="Jobs")).to_be_visible()
    assert httpx.get(f"{url}/v1/jobs/{job_id}").status_code == 404
