import json
from pathlib import Path

import pytest
from pyarrow.parquet import read_table

from phase_diagrams.folder import open_folder, table_bytes
from phase_diagrams.spec import spec_json
from saephase.command import main
from tests.phase_diagrams.synthetic_trials import small_spec, synthetic_trials


def _run(path: Path, seed: int, **grid: object) -> str:
    spec = small_spec(path.name, sparsity=[0.5, 0.9, 0.95], activation=["topk:1"], hidden_dim=[40, 80], **grid)
    folder = open_folder(str(path))
    folder.write("spec.json", spec_json(spec).encode())
    folder.write("trials.parquet", table_bytes(synthetic_trials(spec, seed=seed)))
    return str(path)


def test_two_folders_are_compared_in_words_and_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = _run(tmp_path / "one", 0), _run(tmp_path / "other", 1)
    assert main(["diff", one, other, "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "other is compared with one; the specs differ in nothing that counts." in said
    assert str(tmp_path / "out" / "difference.png") in said
    assert main(["diff", one, other, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document == json.loads((tmp_path / "out" / "difference.json").read_text())


@pytest.mark.parametrize("command", [["diff"], ["cut", "--axis", "sparsity", "--at", "hidden_dim=40"]])
def test_an_unfinished_folder_is_named_on_standard_error(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = _run(tmp_path / "one", 0), _run(tmp_path / "other", 0)
    assert main([*command, one, other, "--json"]) == 0
    assert capsys.readouterr().err == ""
    open_folder(other).write("trials.parquet", table_bytes(read_table(f"{other}/trials.parquet").slice(0, 40)))
    assert main([*command, one, other, "--json"]) == 0
    captured = capsys.readouterr()
    json.loads(captured.out)
    assert captured.err == (
        f"saephase: {other} is unfinished: 40 of 48 trials; the same `saephase run` command goes on\n"
    )


def test_what_cannot_be_compared_is_an_error_of_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = _run(tmp_path / "one", 0), _run(tmp_path / "other", 0)
    spec = small_spec(sparsity=[0.123], activation=["topk:1"], hidden_dim=[40])
    open_folder(other).write("spec.json", spec_json(spec).encode())
    open_folder(other).write("trials.parquet", table_bytes(synthetic_trials(spec)))
    assert main(["diff", one, other]) == 2
    assert "grid.sparsity is 0.5, 0.9, 0.95 in one and 0.123 in the other" in capsys.readouterr().err
    assert main(["diff", one, str(tmp_path / "missing")]) == 2
    assert "is neither a folder nor a job id" in capsys.readouterr().err
    assert main(["diff", one, str(tmp_path)]) == 2
    assert "holds no spec.json" in capsys.readouterr().err


def test_a_job_is_asked_of_the_service(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = _run(tmp_path / "one", 0)
    assert main(["diff", one, "0123456789abcdef", "--url", "http://127.0.0.1:1"]) == 4
    assert "127.0.0.1" in capsys.readouterr().err
