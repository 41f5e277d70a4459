"""The web page in a real Chromium: its first paint, a pack's way to the screen, and a thousand cells under the pointer.

    python benchmarks/page.py      (needs Chromium and the `dev` extra; about two minutes)

The service runs in this process, as the tests run it; its worker makes rows up, so that nothing else loads the machine.
"""

import os
import shutil
import statistics
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright
from trainer import processor

sys.path.insert(0, str(Path(__file__).parents[1]))

from phase_diagrams.folder import open_folder, write_pack
from phase_diagrams.spec import parse_spec
from service.settings import Settings
from tests.phase_diagrams.synthetic_trials import synthetic_trials
from tests.service.page.browsing import CELLS, FLAGS, note_drawings, wait_for_cells
from tests.service.running import FakeWorker, Running, running, submit

DATA = {"n_features": 40, "n_inputs": 10}
QUICKSTART: dict[str, Any] = {
    "sparsity": [0.5, 0.8, 0.9, 0.95, 0.98],
    "hidden_dim": [20, 40, 80],
    "activation": ["topk:1", "topk:2", "topk:4", "relu"],
    "seeds": 4,
}
"""60 conditions in 4 panels."""
THOUSAND: dict[str, Any] = {
    "sparsity": {"start": 0.5, "stop": 0.98, "num": 32, "spacing": "log_density"},
    "hidden_dim": list(range(4, 132, 4)),
    "activation": ["topk:1"],
    "seeds": 1,
}
"""1,024 conditions in one panel."""
PACKS = 8
FRAMES = """([left, top, width, height]) => new Promise((resolve) => {
  const stage = document.querySelector(".chart");
  const starts = [];
  const step = (now) => {
    starts.push(now);
    const i = starts.length;
    if (i > 240) {
      resolve(starts.slice(1).map((start, j) => start - starts[j]).sort((a, b) => a - b));
      return;
    }
    const [across, down] = [i / 240, ((i * 7) % 240) / 240];
    stage.dispatchEvent(new PointerEvent("pointermove",
      { clientX: left + width * (0.15 + 0.8 * across), clientY: top + height * (0.1 + 0.8 * down) }));
    requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
})"""
"""Move the pointer over cells in every frame; the milliseconds from frame to frame."""
PAINTED = """() => new Promise((resolve) => {
  const tell = (list) => resolve(list.getEntries().at(-1).startTime);
  new PerformanceObserver(tell).observe({ type: "largest-contentful-paint", buffered: true });
})"""


class Job:
    """A job whose rows appear pack by pack."""

    def __init__(self, service: Running, name: str, grid: dict[str, Any]) -> None:
        client = service.client()
        spec = {"name": name, "data": DATA, "grid": grid}
        self.url = f"{service.url}/#/jobs/{submit(client, spec)['id']}"
        self.worker = FakeWorker(client)
        lease = self.worker.take()
        assert lease is not None
        self.folder = open_folder(lease["folder"])
        order = [(column, "ascending") for column in ("sparsity", "hidden_dim", "activation", "k")]
        self.rows = synthetic_trials(parse_spec(spec)).sort_by(order)
        self.written = 0

    def write(self, share: float) -> int:
        """Finish trials up to a share of them as one pack, tell the service, and say how many cells have a colour."""
        upto = round(share * self.rows.num_rows)
        write_pack(self.folder, f"pack-{upto}", self.rows.slice(self.written, upto - self.written))
        self.written = upto
        self.worker.say("heartbeat", {"progress": self.worker.progress(upto)})
        rows = self.rows.slice(0, upto).to_pylist()
        names = ("sparsity", "hidden_dim", "activation", "k")
        return len({tuple(row[name] for name in names) for row in rows if row["start"] == "random"})

    def succeed(self) -> None:
        self.worker.merge()
        self.worker.say("finish", {"status": "succeeded", "progress": self.worker.progress(self.rows.num_rows)})


def main() -> None:
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        sys.exit("there is no Chromium here (Debian: apt-get install chromium)")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        settings = Settings(database=f"sqlite:///{folder}/jobs.sqlite3", storage=folder, lease_seconds=600.0)
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        print(f"{date.today()}, {processor()}, {os.cpu_count()} cores, Chromium {browser.version}\n")
        with running(settings) as service:
            _first_paint(browser, service)
            _packs(browser, service)
            _thousand(browser, service)
        browser.close()


def _open(browser: Browser) -> Page:
    """A page in a profile of its own: nothing is kept from before."""
    page: Page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    page.set_default_timeout(120_000)
    note_drawings(page)
    return page


def _first_paint(browser: Browser, service: Running) -> None:
    client = service.client()
    for i in range(50):
        submit(client, {"name": f"job {i}", "data": DATA, "grid": QUICKSTART})
    seconds = []
    for _ in range(7):
        page = _open(browser)
        page.goto(service.url, wait_until="commit")
        page.wait_for_selector(".jobs tbody tr")
        seconds.append(page.evaluate(PAINTED) / 1000)
        page.context.close()
    print(f"list of 50 jobs, cold, painted: {_said(seconds)} s")
    for job in client.get("/v1/jobs?limit=50").json()["items"]:
        client.post(f"/v1/jobs/{job['id']}/cancel")


def _packs(browser: Browser, service: Running) -> None:
    job = Job(service, "packs", QUICKSTART)
    cells = job.write(1 / PACKS)
    page = _open(browser)
    page.goto(service.url)
    # A reader's pause over the list, in which the process that draws gets ready.
    page.wait_for_timeout(4000)
    began = time.monotonic()
    page.get_by_role("link", name="packs").click()
    wait_for_cells(page, cells)
    print(f"job of 60 cells in 4 panels, from the list to its first diagram: {time.monotonic() - began:.2f} s")
    seconds = []
    for part in range(2, PACKS + 1):
        # Fits of boundaries run beside it, as they do while a job runs.
        page.wait_for_timeout(1500)
        before = time.monotonic()
        cells = job.write(part / PACKS)
        wait_for_cells(page, cells)
        seconds.append(time.monotonic() - before)
    print(f"from before a pack is written to its cells on the screen: {_said(seconds)} s")
    job.succeed()
    page.context.close()


def _thousand(browser: Browser, service: Running) -> None:
    job = Job(service, "a thousand cells", THOUSAND)
    cells = job.write(1.0)
    job.succeed()
    page = _open(browser)
    began = time.monotonic()
    page.goto(job.url)
    wait_for_cells(page, cells, 180)
    print(f"1,024 cells with their boundaries, cold, to the diagram: {time.monotonic() - began:.2f} s")
    page.wait_for_timeout(1000)
    box = page.locator(CELLS).bounding_box()
    assert box is not None
    times = page.evaluate(FRAMES, [box["x"], box["y"], box["width"], box["height"]])
    slow = sum(time > 1000 / 30 for time in times)
    print(
        f"pointing at another cell in every frame: {statistics.median(times):.1f} ms per frame at the median, "
        f"{times[int(0.95 * len(times))]:.1f} at 95 %, {slow} of {len(times)} above 33 ms"
    )
    for name in ("95 % bands", "n(1 − S) = 2k", "phase glyphs"):
        seconds = []
        for _ in range(5):
            page.evaluate("window.drawn = null")
            before = time.monotonic()
            page.get_by_role("checkbox", name=name).click()
            wait_for_cells(page, cells)
            seconds.append(time.monotonic() - before)
        print(f"switching {name!r}: {_said(seconds)} s to the new picture")
    page.context.close()


def _said(seconds: list[float]) -> str:
    return f"median {statistics.median(seconds):.2f}, largest {max(seconds):.2f} of {len(seconds)}"


if __name__ == "__main__":
    main()
