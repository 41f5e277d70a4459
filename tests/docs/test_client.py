"""docs/client.md is run as it stands against a real service; its tables name every call and every error."""

import asyncio
import inspect
import re
import textwrap
import threading
from pathlib import Path
from typing import Any

import pytest

import service.client
from service.client import Client, ServiceError
from tests.docs.test_api import run_one_job
from tests.service.conftest import make_settings
from tests.service.running import SPEC, running

PAGE = (Path(__file__).parents[2] / "docs" / "client.md").read_text()


def blocks() -> list[str]:
    found = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return [block for block in found if "sae_lens" not in block]


def test_the_page_names_every_call_and_every_error() -> None:
    for name, method in inspect.getmembers(Client, inspect.isfunction):
        if name[0] != "_" and name not in ("close", "plan", "jobs", "cancel", "resume", "delete"):
            assert re.search(rf"\b{name}\(", PAGE), name
            for parameter in re.findall(rf"`{name}\(([^`]*)\)", PAGE):
                names = re.findall(r"(\w+)(?:=[^,]*)?(?:,|$)", parameter)
                assert set(names) <= set(inspect.signature(method).parameters), name
    errors = {name for name, kind in vars(service.client).items() if inspect.isclass(kind) and name.endswith("Error")}
    assert errors == set(re.findall(r"^\| `(\w+Error)`", PAGE, re.MULTILINE))
    assert issubclass(service.client.LimitError, ServiceError)


@pytest.mark.long
def test_every_block_of_the_page_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = make_settings(
        f"sqlite:///{tmp_path / 'jobs.sqlite3'}", tmp_path, lease_seconds=30.0, worker_token="the-worker"
    )
    space: dict[str, Any] = {"asyncio": asyncio, "spec": {"data": {}}, "specs": [SPEC, SPEC], **vars(service.client)}
    stop = threading.Event()
    with running(settings) as found:
        try:
            for block in blocks():
                # Each block submits as many jobs as it has specs; workers finish them.
                count = 2 if "for spec in specs" in block else 1 if "client.wait(job)" in block else 0
                for _ in range(count):
                    threading.Thread(target=run_one_job, args=(found.url, stop), daemon=True).start()
                code = block.replace("http://127.0.0.1:8000", found.url)
                if "async with" in block:
                    body = textwrap.indent(code, "    ")
                    code = f"async def main():\n{body}    return done\n\ndone = asyncio.run(main())"
                exec(code, space)
        finally:
            stop.set()
    assert [job["status"] for job in space["done"]] == ["succeeded", "succeeded"]
    told = capsys.readouterr().out
    assert "end {'status': 'succeeded'}" in told
    assert "data.n_features required, but missing" in told
