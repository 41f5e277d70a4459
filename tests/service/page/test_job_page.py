"""A job's page: its diagram, which fills in and opens, its table and files, and what can be done to the job."""

import io
import json
import time
import zipfile

import pyarrow.parquet as pq
import pytest
from playwright.sync_api import Page, expect

from tests.service.page.browsing import (
    CELLS,
    Open,
    note_drawings,
    violations,
    wait_for_cells,
    wait_for_diagram,
    walk_to,
)
from tests.service.page.leased_job import SPEC, Job
from tests.service.running import Running, submit


def test_a_diagram_fills_in_within_two_seconds_of_a_pack(service: Running, open_page: Open) -> None:
    job = Job(service, "filling", 0.25)
    page = open_page()
    note_drawings(page)
    page.goto(job.url)
    wait_for_diagram(page)
    wait_for_cells(page, job.cells)
    seconds = []
    for share in (0.5, 0.75):
        before = job.cells
        job.write(share)
        assert job.cells > before
        began = time.monotonic()
        wait_for_cells(page, job.cells)
        seconds.append(time.monotonic() - began)
    print(f"a pack is on the screen after {', '.join(f'{s:.2f}' for s in seconds)} s")
    expect(page.locator(".job-state")).to_contain_text("36 of 48 trials")
    job.succeed()
    wait_for_cells(page, 8)
    expect(page.locator(".job-state")).to_contain_text("succeeded")
    expect(page.get_by_role("button", name="Delete")).to_be_visible()
    assert min(seconds) < 2


def test_a_cell_opens_by_mouse_and_keyboard_and_its_address_is_shared(done: Job, open_page: Open) -> None:
    page = open_page(viewport={"width": 1500, "height": 1000})
    page.goto(done.url)
    wait_for_diagram(page)
    walk_to(page, "sparsity S: 0.9, hidden dimension n_m: 8, activation: topk:1")
    said = page.locator("#announcer").inner_text()
    assert "seeds identified: " in said
    assert "P(identified) [95 %]: " in said
    page.keyboard.press("Enter")
    panel = page.locator(".side")
    expect(panel.get_by_role("heading", name="S 0.9 · n_m 8 · topk:1")).to_be_focused()
    expect(panel.locator(".trials tbody tr")).to_have_count(6)
    shown = panel.locator(".trials tbody tr").all_inner_texts()
    rows = [row for row in done.rows.to_pylist() if (row["sparsity"], row["hidden_dim"], row["k"]) == (0.9, 8, 1)]
    for row in rows:
        words = [row["start"], str(row["seed"]), "yes" if row["identified"] else "no", f"{row['mcc']:.3f}"]
        assert any(all(word in line for word in words) for line in shown), words
    expect(panel.locator(".small-chart canvas")).to_have_count(3)
    assert violations(page) == []
    address = page.url
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    again = open_page(viewport={"width": 1500, "height": 1000})
    again.goto(address)
    expect(again.locator(".side h2")).to_have_text("S 0.9 · n_m 8 · topk:1")
    # The panel takes room from the diagram, which is drawn again.
    expect(again.locator(".side .small-chart canvas")).to_have_count(3)
    again.wait_for_timeout(500)
    ring = again.locator(".ring.chosen").bounding_box()
    assert ring is not None
    # The cell to the right of the one that is open.
    again.mouse.move(ring["x"] + 1.5 * ring["width"], ring["y"] + ring["height"] / 2)
    expect(again.locator(".tip")).to_contain_text("seeds identified")
    again.mouse.click(ring["x"] + 1.5 * ring["width"], ring["y"] + ring["height"] / 2)
    expect(again.locator(".side h2")).to_have_text("S 0.9 · n_m 16 · topk:1")


def test_colours_panels_and_overlays_are_chosen_and_kept_in_the_address(done: Job, open_page: Open) -> None:
    page = open_page()
    page.goto(done.url)
    wait_for_diagram(page)
    pictures = {picture(page)}
    for colour in ("phase", "mcc_random", "objective_truth", "p_identifiable"):
        page.get_by_role("combobox", name="Colour").select_option(colour)
        assert f"colour={colour}" in page.url
        pictures.add(changed(page, pictures))
    page.get_by_role("checkbox", name="relu").uncheck()
    pictures.add(changed(page, pictures))
    page.get_by_role("checkbox", name="n_m = n").uncheck()
    pictures.add(changed(page, pictures))
    page.get_by_role("checkbox", name="n(1 − S) = 2k").check()
    expect(page.locator(".legend")).to_contain_text("2k features active")
    pictures.add(changed(page, pictures))
    page.get_by_role("checkbox", name="phase glyphs").uncheck()
    last = changed(page, pictures)
    assert len(pictures) == 8
    again = open_page()
    again.goto(page.url)
    wait_for_diagram(again)
    expect(again.get_by_role("checkbox", name="relu")).not_to_be_checked()
    expect(again.get_by_role("checkbox", name="n_m = n")).not_to_be_checked()
    expect(again.get_by_role("checkbox", name="n(1 − S) = 2k")).to_be_checked()
    expect(again.get_by_role("combobox", name="Colour")).to_have_value("p_identifiable")
    again.wait_for_timeout(500)
    assert picture(again) == last


def test_a_boundary_can_be_shown_without_its_band_and_takes_it_along_when_it_is_hidden(
    done: Job, open_page: Open
) -> None:
    page = open_page()
    page.goto(done.url)
    wait_for_diagram(page)
    bands = page.get_by_role("checkbox", name="95 % bands")
    boundaries = page.get_by_role("checkbox", name="boundary, ")
    pictures = [picture(page)]
    bands.uncheck()
    pictures.append(changed(page, set(pictures)))
    for boundary in boundaries.all():
        boundary.uncheck()
        pictures.append(changed(page, set(pictures)))
    assert len(pictures) > 2
    bands.check()
    page.wait_for_timeout(1500)
    assert picture(page) == pictures[-1], "a band is there without its line"


def picture(page: Page) -> str:
    return str(page.locator(CELLS).evaluate("(canvas) => canvas.toDataURL()"))


def changed(page: Page, seen: set[str]) -> str:
    deadline = time.monotonic() + 20
    while (now := picture(page)) in seen:
        assert time.monotonic() < deadline, "the picture stays as it was"
        page.wait_for_timeout(50)
    return now


def test_table_spec_log_and_files_say_what_the_api_says(done: Job, open_page: Open) -> None:
    page = open_page(accept_downloads=True)
    page.goto(done.url + "/table")
    cells = page.locator(".grid-table tbody tr")
    expect(cells).to_have_count(8)
    page.get_by_role("button", name="n_m").click()
    page.get_by_role("button", name="n_m").click()
    assert [row.split("\t")[1] for row in cells.all_inner_texts()] == ["16"] * 4 + ["8"] * 4
    assert page.locator("th[aria-sort=descending]").inner_text().startswith("n_m")
    assert violations(page) == []
    page.get_by_role("link", name="Spec").click()
    text = page.locator(".source").inner_text()
    assert json.loads(text) == done.client.get(f"/v1/jobs/{done.id}").json()["spec"]
    page.get_by_role("link", name="Log").click()
    expect(page.locator(".log")).to_contain_text("queued")
    assert violations(page) == []
    page.get_by_role("link", name="Files").click()
    listed = done.client.get(f"/v1/jobs/{done.id}/artifacts").json()["items"]
    expect(page.locator(".files tbody tr")).to_have_count(len(listed))
    expect(page.locator(".files tbody tr").filter(has_text="trials.parquet")).to_contain_text("kB")
    assert violations(page) == []
    with page.expect_download() as fetched:
        page.get_by_role("link", name="trials.parquet").click()
    assert fetched.value.suggested_filename == "trials.parquet"
    content = fetched.value.path().read_bytes()
    assert content == done.client.get(f"/v1/jobs/{done.id}/artifacts/trials.parquet").content
    assert pq.read_table(io.BytesIO(content)).num_rows == 48
    with page.expect_download() as fetched:
        page.get_by_role("button", name="All as a zip").click()
    with zipfile.ZipFile(fetched.value.path()) as archive:
        assert archive.testzip() is None
        assert {name.rpartition("/")[2] for name in archive.namelist()} == {item["name"] for item in listed}


def test_cancel_resume_and_delete_ask_first(service: Running, open_page: Open) -> None:
    job_id = submit(service.client(), {**SPEC, "name": "unwanted"})["id"]
    page = open_page()
    page.goto(f"{service.url}/#/jobs/{job_id}")

    def status() -> str:
        return str(service.client().get(f"/v1/jobs/{job_id}").json().get("status", "gone"))

    page.get_by_role("button", name="Cancel").click()
    dialog = page.get_by_role("dialog")
    assert violations(page) == []
    expect(dialog.get_by_role("button", name="Keep as it is")).to_be_focused()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    assert status() == "queued"
    page.get_by_role("button", name="Cancel").click()
    dialog.get_by_role("button", name="Stop it").click()
    expect(page.locator(".job-state")).to_contain_text("cancelled")
    page.get_by_role("button", name="Resume").click()
    expect(page.locator(".job-state")).to_contain_text("queued")
    assert status() == "queued"
    page.get_by_role("button", name="Cancel").click()
    dialog.get_by_role("button", name="Stop it").click()
    page.get_by_role("button", name="Delete").click()
    dialog.get_by_role("button", name="Delete it").click()
    expect(page.get_by_role("heading", name="Jobs")).to_be_visible()
    assert status() == "404"


@pytest.mark.long
def test_a_failed_job_says_why(service: Running, open_page: Open) -> None:
    job = Job(service, "failing", 0.5)
    job.worker.say("finish", {"status": "failed", "error": "<b>3</b> of 48 trials could not be trained."})
    page = open_page()
    page.goto(job.url)
    expect(page.get_by_role("alert")).to_contain_text("<b>3</b> of 48 trials could not be trained.")
    wait_for_diagram(page)
    assert violations(page) == []


@pytest.mark.soak
def test_a_thousand_cells_are_drawn_soon_and_pointing_at_them_is_fluid(service: Running, open_page: Open) -> None:
    widths = list(range(4, 4 + 32 * 4, 4))
    grid = {
        "sparsity": {"start": 0.5, "stop": 0.98, "num": 32, "spacing": "log_density"},
        "hidden_dim": widths,
        "activation": ["topk:1"],
        "seeds": 1,
    }
    job = Job(service, "a thousand cells", 1.0, grid=grid)
    page = open_page()
    note_drawings(page)
    page.goto(job.url)
    wait_for_cells(page, 1024, 180)
    page.wait_for_timeout(2_000)  # with its boundaries it is drawn once more
    box = page.locator(CELLS).bounding_box()
    assert box is not None
    work = page.evaluate(
        """([left, top, width, height]) => {
          const stage = document.querySelector(".chart");
          const times = [];
          for (let i = 0; i < 200; i += 1) {
            const began = performance.now();
            stage.dispatchEvent(new PointerEvent("pointermove",
              { clientX: left + width * (0.15 + 0.8 * i / 200), clientY: top + height * (0.1 + 0.8 * i / 200) }));
            document.querySelector(".tip").getBoundingClientRect();
            times.push(performance.now() - began);
          }
          return times.sort((a, b) => a - b);
        }""",
        [box["x"], box["y"], box["width"], box["height"]],
    )
    print(f"pointing at a cell: median {work[100]:.2f} ms, 95 % below {work[190]:.2f} ms")
    # Work per movement, at the median: a sixtieth of a second is 16.7 ms.
    assert work[100] < 8
    expect(page.locator(".tip")).to_be_visible()
    job.worker.say("finish", {"status": "cancelled"})
