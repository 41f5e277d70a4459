"""Rows of earlier jobs: what is wanted and missing is copied once, and the earlier folders stay as they are."""

from pathlib import Path

import pyarrow as pa
import pytest

from phase_diagrams.folder import Folder, find_finished, merge_packs, open_folder, read_trials, same_results, write_pack
from phase_diagrams.tables import TRIALS
from workers.reuse import copy_rows


def rows(*ids: str, pack: str = "p") -> pa.Table:
    return pa.Table.from_pylist(
        [
            {"trial_id": i, "sparsity": 0.5, "feature_cosine": [0.5], "pack_id": pack, "mcc": int(i, 16) / 99}
            for i in ids
        ],
        schema=TRIALS,
    )


def contents(folder: Folder) -> dict[str, bytes]:
    root = Path(folder.root)
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    first, second = open_folder(str(tmp_path / "first")), open_folder(str(tmp_path / "second"))
    write_pack(first, "a", rows("1", "2"))
    merge_packs(first, ["1", "2"])
    write_pack(first, "b", rows("3", "2"))
    write_pack(second, "c", rows("3", "4", "5"))
    return tmp_path


def test_only_wanted_rows_are_copied_each_once_in_one_file(place: Path) -> None:
    own = open_folder(str(place / "own"))
    sources = [str(place / "first"), str(place / "second"), str(place / "missing")]
    before = [contents(open_folder(source)) for source in sources[:2]]
    assert copy_rows(own, sources, ["2", "3", "5", "6"]) == {"2", "3", "5"}
    assert len(own.names("packs")) == 1
    assert find_finished(own).trial_ids == {"2", "3", "5"}
    assert same_results(read_trials(own, ["2", "3", "5"]), rows("2", "3", "5"))
    assert [contents(open_folder(source)) for source in sources[:2]] == before
    assert not (place / "missing").exists()


def test_nothing_wanted_or_nothing_there_writes_nothing(place: Path) -> None:
    own = open_folder(str(place / "own"))
    assert copy_rows(own, [str(place / "first")], []) == frozenset()
    assert copy_rows(own, [str(place / "first"), "nosuch://scheme"], ["9"]) == frozenset()
    assert contents(own) == {}


def test_damaged_files_are_passed_over_and_stay(place: Path) -> None:
    first = open_folder(str(place / "first"))
    Path(first.path("trials.parquet")).write_bytes(b"damaged")
    own = open_folder(str(place / "own"))
    assert copy_rows(own, [first.root], ["1", "2", "3"]) == {"2", "3"}
    assert Path(first.path("trials.parquet")).read_bytes() == b"damaged"


def test_a_folder_that_is_merged_meanwhile_loses_nothing(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    second = open_folder(str(place / "second"))
    write_pack(second, "d", rows("6"))
    names = Folder.names
    merged = False

    def names_then_merge(folder: Folder, under: str = "") -> list[str]:
        nonlocal merged
        found = names(folder, under)
        if folder.root == second.root and not merged:
            merged = True
            merge_packs(second, ["3", "4", "5", "6"])
        return found

    monkeypatch.setattr(Folder, "names", names_then_merge)
    own = open_folder(str(place / "own"))
    assert copy_rows(own, [second.root], ["3", "4", "5", "6"]) == {"3", "4", "5", "6"}
    assert merged
