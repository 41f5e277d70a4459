import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from phase_diagrams.spec import read_spec
from phase_diagrams.trial import grid_trials, trial_namer

REPOSITORY = Path(__file__).parent.parent.parent
EXAMPLES = REPOSITORY / "examples"


def saephase(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "saephase", *arguments]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=900, check=False)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.name)
def test_every_example_has_a_plan(path: Path) -> None:
    done = saephase("plan", str(path), "--estimate")
    assert done.returncode == 0, done.stderr
    assert f"{read_spec(path.read_text()).n_trials:,}" in done.stdout


@pytest.mark.long
@pytest.mark.parametrize("name", ["quickstart", "paper-small"])
def test_an_example_runs_to_its_diagram(name: str, tmp_path: Path) -> None:
    path = EXAMPLES / f"{name}.yaml"
    done = saephase("run", str(path), "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    assert str(tmp_path / "out" / "phase_diagram.png") in done.stdout
    spec = read_spec(path.read_text())
    trials = pq.read_table(tmp_path / "out" / "trials.parquet")
    name_of = trial_namer(spec)
    assert trials["trial_id"].to_pylist() == [name_of(trial) for trial in grid_trials(spec)]
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    for entry in manifest["files"]:
        assert (tmp_path / "out" / entry["name"]).stat().st_size == entry["bytes"]
    if name == "quickstart":
        phases = set(pq.read_table(tmp_path / "out" / "conditions.parquet")["phase"].to_pylist())
        assert phases == {"recovered", "optimiser_limited", "objective_limited"}


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("reweighting", ["reweighting.parquet", "reweighting.png"]),
        ("refine", ["phase_diagram.png", "boundary.parquet"]),
    ],
)
def test_an_adaptive_example_runs_to_its_pictures(name: str, made: list[str], tmp_path: Path) -> None:
    done = saephase("run", str(EXAMPLES / f"{name}.yaml"), "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert {entry["name"] for entry in manifest["files"]}.issuperset(made)


def test_the_library_example_draws_its_panel(tmp_path: Path) -> None:
    command = [sys.executable, str(EXAMPLES / "library.py"), str(tmp_path / "diagram.svg")]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("seeds") == 9
    assert (tmp_path / "diagram.svg").read_bytes().startswith(b"<svg")
    lines = (EXAMPLES / "library.py").read_text().splitlines()
    assert sum(bool(line.strip()) and not line.startswith(("from", "import", '"""')) for line in lines) <= 30


@pytest.mark.long
def test_the_finite_size_example_cuts_through_three_sizes(tmp_path: Path) -> None:
    quick = ["training.steps=100", "grid.seeds=2", "grid.sparsity=[0.5, 0.9, 0.98]"]
    command = [sys.executable, str(EXAMPLES / "finite_size.py"), str(tmp_path), *quick]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    cut = json.loads((tmp_path / "cut" / "cut.json").read_text())
    assert [sized["n_features"] for sized in cut["transitions"]] == [20, 20, 40, 40, 80, 80]
    assert (tmp_path / "cut" / "cut.png").read_bytes().startswith(b"\x89PNG")
