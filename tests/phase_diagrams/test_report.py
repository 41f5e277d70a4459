import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from phase_diagrams.exponent_search import ExponentSearch
from phase_diagrams.folder import Folder, open_folder, table_bytes
from phase_diagrams.report import ARTIFACTS, MANIFEST, write_manifest, write_report
from phase_diagrams.spec import read_spec
from phase_diagrams.superposition import random_unit
from phase_diagrams.tables import BOUNDARY, CONDITIONS, TRIALS
from tests.phase_diagrams.responses import Laboratory, ask_to_the_end, search_spec
from tests.phase_diagrams.synthetic_trials import small_spec, synthetic_trials

SPEC = small_spec("a report", activation=["topk:2"], sparsity=[0.5, 0.8, 0.9, 0.95])
DICTIONARY = random_unit(40, 10, 0)
PLAIN = [name for name in ARTIFACTS if not name.startswith("reweighting.")]
"""What a job without an exponent search has."""


def _report(folder: Folder, missing: float = 0.2) -> None:
    trials = synthetic_trials(SPEC, missing=missing)
    folder.write("trials.parquet", table_bytes(trials))
    folder.write("packs/pack-0.parquet", b"a pack")
    folder.write("notes.txt", b"the user's own")
    write_report(folder, SPEC, DICTIONARY, trials, device="2 cores", wall_seconds=1.23456, train_seconds=7)


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report")
    _report(open_folder(str(path)))
    return path


def test_the_folder_holds_what_the_contract_lists(reported: Path) -> None:
    assert {*PLAIN, MANIFEST, "notes.txt"} == {file.name for file in reported.iterdir() if file.is_file()}
    assert read_spec((reported / "spec.json").read_text()) == SPEC
    assert pq.read_schema(reported / "conditions.parquet").equals(CONDITIONS, check_metadata=True)
    assert pq.read_schema(reported / "boundary.parquet").equals(BOUNDARY, check_metadata=True)
    assert pq.read_table(reported / "boundary.parquet").num_rows
    assert json.loads((reported / "summary.json").read_text())["name"] == "a report"


@pytest.mark.parametrize("name", ["trials", "conditions", "boundary"])
def test_every_table_opens_in_duckdb_polars_and_pandas(reported: Path, name: str) -> None:
    duckdb, pandas, polars = pytest.importorskip("duckdb"), pytest.importorskip("pandas"), pytest.importorskip("polars")
    path = reported / f"{name}.parquet"
    table = pq.read_table(path)
    asked = duckdb.sql(f"select * from '{path}'")
    for columns, count in (
        (pandas.read_parquet(path).columns, len(pandas.read_parquet(path))),
        (polars.read_parquet(path).columns, polars.read_parquet(path).height),
        (asked.columns, len(asked.fetchall())),
    ):
        assert list(columns) == table.schema.names
        assert count == table.num_rows > 0
    number = "mcc" if name == "trials" else "p_identified" if name == "conditions" else "y"
    wanted = [value for value in table[number].to_pylist() if value is not None]
    assert duckdb.sql(f"select sum({number}) from '{path}'").fetchall()[0][0] == pytest.approx(sum(wanted))
    assert polars.read_parquet(path)[number].sum() == pytest.approx(sum(wanted))
    assert pandas.read_parquet(path)[number].sum() == pytest.approx(sum(wanted))
    by_key = polars.read_parquet(path).group_by(polars.read_parquet(path).columns[0]).len()
    assert by_key["len"].sum() == table.num_rows


def test_the_manifest_lists_every_artifact_but_itself_as_it_lies_there(reported: Path) -> None:
    manifest = json.loads((reported / MANIFEST).read_text())
    assert [entry["name"] for entry in manifest["files"]] == PLAIN
    for entry in manifest["files"]:
        content = (reported / entry["name"]).read_bytes()
        assert entry["bytes"] == len(content)
        assert entry["sha256"] == hashlib.sha256(content).hexdigest()
        assert entry["media_type"] == ARTIFACTS[entry["name"]]
    assert (manifest["device"], manifest["wall_seconds"], manifest["train_seconds"]) == ("2 cores", 1.235, 7)
    assert {"saephase", "python", "numpy", "altair", "vl-convert-python"} <= manifest["versions"].keys()


def test_reporting_twice_changes_no_byte_and_writes_the_manifest_last(
    reported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {file.name: file.read_bytes() for file in reported.iterdir() if file.is_file()}
    written = []
    write = Folder.write

    def recorded(folder: Folder, name: str, content: bytes) -> None:
        written.append(name)
        write(folder, name, content)

    monkeypatch.setattr(Folder, "write", recorded)
    _report(open_folder(str(reported)))
    after = {file.name: file.read_bytes() for file in reported.iterdir() if file.is_file()}
    assert [name for name in before if before[name] != after.get(name)] == []
    assert written[-1] == MANIFEST
    assert written.count(MANIFEST) == 1


def test_a_job_without_any_finished_trial_gets_its_report_too(tmp_path: Path) -> None:
    folder = open_folder(str(tmp_path))
    summary = write_report(
        folder, SPEC, DICTIONARY, TRIALS.empty_table(), device="none", wall_seconds=0, train_seconds=0
    )
    assert summary.trials_finished == 0
    listed = [entry["name"] for entry in json.loads(folder.read(MANIFEST))["files"]]
    assert listed == [name for name in PLAIN if name != "trials.parquet"]


def test_an_exponent_search_adds_its_table_and_its_picture(tmp_path: Path) -> None:
    spec = search_spec(grid={"sparsity": [0.5, 0.9], "seeds": 2}, search={"trials": 2, "batch": 2})
    laboratory = Laboratory(spec, lambda condition: 0.2 * condition.exponent)
    rounds, trials = ask_to_the_end(ExponentSearch(spec, lambda study, count: [0.3] * count), laboratory)
    folder = open_folder(str(tmp_path))
    folder.write("trials.parquet", table_bytes(trials))
    summary = write_report(folder, spec, DICTIONARY, trials, device="2 cores", wall_seconds=1, train_seconds=7)
    assert [entry["name"] for entry in json.loads(folder.read(MANIFEST))["files"]] == list(ARTIFACTS)
    assert pq.read_table(tmp_path / "reweighting.parquet").num_rows == 4
    assert pq.read_table(tmp_path / "conditions.parquet").num_rows == 4, "the diagram is the grid's"
    document = json.loads((tmp_path / "summary.json").read_text())
    assert document["reweighting"]["conditions_confirmed"] == 4
    assert any("On fresh seeds" in sentence for sentence in document["sentences"])
    assert summary.trials_finished == trials.num_rows == sum(map(len, rounds))
    half = trials.slice(0, len(rounds[0]) + 3)
    write_report(folder, spec, DICTIONARY, half, device="2 cores", wall_seconds=1, train_seconds=7)
    assert "being searched" in (tmp_path / "summary.json").read_text()


def test_the_manifest_follows_what_lies_there(tmp_path: Path) -> None:
    folder = open_folder(str(tmp_path))
    folder.write("spec.json", b"{}")
    write_manifest(folder, device="none", wall_seconds=0, train_seconds=0)
    (entry,) = json.loads(folder.read(MANIFEST))["files"]
    assert entry == {
        "name": "spec.json",
        "bytes": 2,
        "sha256": hashlib.sha256(b"{}").hexdigest(),
        "media_type": "application/json",
    }


def test_importing_the_report_loads_no_drawing_library() -> None:
    code = "import sys, phase_diagrams.report; print({'altair', 'vl_convert', 'torch', 'ray'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
