"""examples/notebook.ipynb runs in a real kernel, against a job that a service and a worker really train."""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from phase_diagrams.spec import parse_spec
from service.client import Client
from tests.saephase.processes import environment, start_command
from tests.service.conftest import make_settings
from tests.service.running import running

NOTEBOOK = Path(__file__).parents[2] / "examples" / "notebook.ipynb"


def test_the_notebook_is_kept_without_outputs() -> None:
    notebook = json.loads(NOTEBOOK.read_text())
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    assert max(len(cell["source"]) for cell in code[1:2]) == 3, "a chart takes three lines"


@pytest.mark.long
def test_the_notebook_shows_a_bar_a_chart_and_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = make_settings(f"sqlite:///{tmp_path / 'jobs.sqlite3'}", tmp_path / "storage", lease_seconds=30.0)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    with running(settings) as service:
        worker = start_command("worker", "--url", service.url, "--name", "notebook")
        try:
            cells = run_notebook(tmp_path, service.url)
        finally:
            worker.send(signal.SIGTERM)
            worker.end()
        with Client(service.url) as client:
            [job] = client.jobs()
            assert job["status"] == "succeeded"
            rows = client.trials(job).num_rows
    assert rows == parse_spec(job["spec"]).n_trials
    bar, chart = cells[1]["outputs"]
    assert "succeeded: 16/16 trials" in bar["data"]["text/html"], "drawn over in place: one output, its last state"
    assert "vegaEmbed" in chart["data"]["text/html"]
    assert "p_identified" in cells[2]["outputs"][0]["data"]["text/html"]
    assert "mcc" in cells[3]["outputs"][0]["data"]["text/html"]
    assert (tmp_path / "runs" / "notebook" / "phase_diagram.png").read_bytes().startswith(b"\x89PNG")


def run_notebook(folder: Path, url: str) -> list[Any]:
    """The code cells as they are after running; raises where one of them does."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    client = NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(folder)}})
    done = client.execute(env=environment(SAEPHASE_URL=url, PATH=os.path.dirname(sys.executable) + ":/usr/bin:/bin"))
    return [cell for cell in done["cells"] if cell["cell_type"] == "code"]
