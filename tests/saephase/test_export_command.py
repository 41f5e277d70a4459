"""`saephase export`: from a folder and from a service, the same files; what cannot be is told in a paragraph."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from phase_diagrams.folder import open_folder, table_bytes, write_pack
from phase_diagrams.pack import cut_packs
from phase_diagrams.planted import plant_dictionary
from phase_diagrams.spec import parse_spec, spec_json
from phase_diagrams.trial import grid_trials
from saephase.command import main
from service.client import Client
from tests.service.conftest import make_settings
from tests.service.running import FakeWorker, running
from workers.pack_run import run_pack

DOCUMENT: dict[str, Any] = {
    "data": {"n_features": 8, "n_inputs": 4},
    "grid": {"sparsity": [0.9], "hidden_dim": [8], "activation": ["topk:1", "batchtopk:1"], "seeds": 1},
    "training": {"steps": 20, "batch_size": 16},
}
SPEC = parse_spec(DOCUMENT)


def train(place: str) -> list[dict[str, Any]]:
    folder = open_folder(place)
    folder.write("spec.json", spec_json(SPEC).encode())
    rows = []
    for pack in cut_packs(SPEC, grid_trials(SPEC)):
        table = run_pack(SPEC, plant_dictionary(SPEC.data), pack)
        write_pack(folder, pack.pack_id, table)
        rows += table.to_pylist()
    return rows


def test_a_trial_of_a_folder_and_of_a_service_become_the_same_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = train(str(tmp_path / "run"))
    settings = make_settings(f"sqlite:///{tmp_path / 'jobs.sqlite3'}", tmp_path / "storage", lease_seconds=30.0)
    with running(settings) as service, Client(service.url) as client, service.client() as http:
        job = client.submit(DOCUMENT)
        lease = FakeWorker(http).take()
        assert lease is not None
        train(lease["folder"])
        for row in rows[:2]:
            for place, options in ((str(tmp_path / "run"), []), (job["id"], ["--url", service.url])):
                out = tmp_path / row["trial_id"] / ("served" if options else "local")
                command = ["export", place, "--trial", row["trial_id"], "--format", "safetensors", "--out", str(out)]
                assert main([*command, *options]) == 0
                told = capsys.readouterr()
                assert told.out.split() == [str(out / "sae_weights.safetensors"), str(out / "cfg.json")]
                assert told.err == ""
            one, other = (sorted((tmp_path / row["trial_id"] / side).iterdir()) for side in ("local", "served"))
            assert [file.read_bytes() for file in one] == [file.read_bytes() for file in other]
        assert main(["export", job["id"], "--trial", "0" * 16, "--url", service.url]) == 2
        assert "has no finished trial of that id" in capsys.readouterr().err


def test_a_row_that_is_not_reproduced_is_said_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row = train(str(tmp_path / "run"))[0]
    [file] = [path for path in (tmp_path / "run" / "packs").iterdir() if path.suffix == ".parquet"][:1]
    table = pq.read_table(file)
    place = table.schema.get_field_index("mcc")
    changed = [value + 0.001 for value in table["mcc"].to_pylist()]
    table = table.set_column(place, table.schema.field("mcc"), [changed])
    file.write_bytes(table_bytes(table))
    trial_id = table["trial_id"][0].as_py()
    assert main(["export", str(tmp_path / "run"), "--trial", trial_id, "--out", str(tmp_path / "sae")]) == 0
    assert "was not reproduced: mcc differ" in capsys.readouterr().err
    assert (tmp_path / "sae" / "cfg.json").exists()
    for arguments, told in (
        (["--trial", "x"], "no finished trial"),
        (["--trial", row["trial_id"], "--format", "onnx"], "allowed: safetensors"),
    ):
        assert main(["export", str(tmp_path / "run"), *arguments]) == 2
        assert told in capsys.readouterr().err
    assert main(["export", str(tmp_path), "--trial", "x"]) == 2
    assert "holds no spec.json" in capsys.readouterr().err
    assert main(["export", "nowhere", "--trial", "x"]) == 2
