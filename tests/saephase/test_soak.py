"""kill -9 at random moments over every process of the service and of Ray: nothing is lost, repeated or changed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("kills", [pytest.param(4, marks=pytest.mark.long), pytest.param(12, marks=pytest.mark.soak)])
def test_kills_lose_nothing(tmp_path: Path, kills: int) -> None:
    command = [sys.executable, "benchmarks/soak.py", "--kills", str(kills), "--seed", "3", "--keep", str(tmp_path)]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1200, check=False)
    verdict = json.loads(found.stdout)
    assert found.returncode == 0, verdict
    assert verdict["kills"] == kills
    assert verdict["jobs"] >= kills // 4
