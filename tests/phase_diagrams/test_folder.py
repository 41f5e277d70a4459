import threading

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from phase_diagrams.folder import Folder, find_finished, merge_packs, open_folder, read_trials, same_results, write_pack
from phase_diagrams.tables import CONDITIONS, TRIALS


def rows(*ids, pack="p"):
    return pa.Table.from_pylist(
        [{"trial_id": i, "sparsity": 0.5, "feature_cosine": [0.5, 1.0], "pack_id": pack, "mcc": 0.25} for i in ids],
        schema=TRIALS,
    )


@pytest.fixture
def folder(tmp_path):
    return open_folder(str(tmp_path / "out"))


def test_rows_round_trip_with_their_types_and_descriptions(folder):
    write_pack(folder, "a", rows("1", "2"))
    table = read_trials(folder)
    assert table.schema.equals(TRIALS, check_metadata=True)
    assert same_results(table, rows("1", "2"))
    for schema in (TRIALS, CONDITIONS):
        assert all(field.metadata[b"description"] for field in schema)


def test_a_trial_written_twice_counts_once(folder):
    write_pack(folder, "a", rows("1", "2", pack="a"))
    write_pack(folder, "b", rows("2", "3", pack="b"))
    assert find_finished(folder).trial_ids == {"1", "2", "3"}
    assert read_trials(folder, ["3", "2", "1", "0"])["trial_id"].to_pylist() == ["3", "2", "1"]


def test_merging_keeps_the_order_asked_for_and_drops_the_packs(folder):
    write_pack(folder, "a", rows("1", "2"))
    write_pack(folder, "b", rows("3"))
    merged = merge_packs(folder, ["3", "1", "2"])
    assert merged["trial_id"].to_pylist() == ["3", "1", "2"]
    assert folder.names("packs") == []
    assert same_results(read_trials(folder, ["3", "1", "2"]), merged)


def test_rows_of_another_spec_survive_a_merge(folder):
    write_pack(folder, "a", rows("1", "2", "3"))
    merge_packs(folder, ["1"])
    assert find_finished(folder).trial_ids == {"1", "2", "3"}
    merged = merge_packs(folder, ["3", "2"])
    assert merged["trial_id"].to_pylist() == ["3", "2"]
    assert find_finished(folder).trial_ids == {"1", "2", "3"}
    assert merge_packs(folder, ["1", "2", "3"])["trial_id"].to_pylist() == ["1", "2", "3"]
    assert folder.names("packs") == []


def test_corrupt_and_foreign_files_are_set_aside_with_a_reason(folder, tmp_path):
    write_pack(folder, "good", rows("1"))
    write_pack(folder, "cut", rows("3"))
    cut = tmp_path / "out/packs/pack-cut.parquet"
    cut.write_bytes(cut.read_bytes()[:-20])
    pq.write_table(pa.table({"x": [1]}), tmp_path / "out/packs/pack-foreign.parquet")
    (tmp_path / "out/packs/pack-empty.parquet").write_bytes(b"")
    found = find_finished(folder)
    assert found.trial_ids == {"1"}
    assert {name for name, _ in found.set_aside} == {
        f"packs/pack-{name}.parquet" for name in ("cut", "foreign", "empty")
    }
    assert all(reason for _, reason in found.set_aside)
    assert len(folder.names("set_aside")) == 3
    assert find_finished(folder).set_aside == ()


def test_no_damaged_byte_goes_unnoticed(folder, tmp_path):
    original = rows("1", "2")
    write_pack(folder, "a", original)
    path = tmp_path / "out/packs/pack-a.parquet"
    content = path.read_bytes()
    detected = 0
    for place in range(0, len(content), 29):
        damaged = bytearray(content)
        damaged[place] ^= 0x55
        path.write_bytes(damaged)
        if find_finished(folder).set_aside:
            detected += 1
        else:
            assert read_trials(folder).equals(original), place  # a byte that carries no meaning
    assert detected > 100


def test_a_file_being_written_is_not_seen(folder, tmp_path, monkeypatch):
    write_pack(folder, "a", rows("1"))
    (tmp_path / "out/packs/.writing-abc").write_bytes(b"half")
    assert folder.names("packs") == ["packs/pack-a.parquet"]

    def full(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", full)
    with pytest.raises(OSError, match="No space"):
        folder.write("packs/pack-b.parquet", b"content")
    assert [p.name for p in (tmp_path / "out/packs").iterdir() if p.name != ".writing-abc"] == ["pack-a.parquet"]


def test_tables_open_without_this_package(folder, tmp_path):
    duckdb, pandas, polars = pytest.importorskip("duckdb"), pytest.importorskip("pandas"), pytest.importorskip("polars")
    write_pack(folder, "a", rows("1", "2"))
    merge_packs(folder, ["1", "2"])
    path = str(tmp_path / "out/trials.parquet")
    assert pandas.read_parquet(path)["trial_id"].tolist() == ["1", "2"]
    assert polars.read_parquet(path)["feature_cosine"].to_list() == [[0.5, 1.0]] * 2
    assert duckdb.sql(f"select avg(mcc) from '{path}'").fetchall() == [(0.25,)]


def test_a_merge_reads_each_file_once_and_many_at_a_time(folder, monkeypatch):
    names = [f"{number:02}" for number in range(20)]
    for name in names:
        write_pack(folder, name, rows(name))
    read, together = Folder.read, threading.Barrier(10, timeout=10)
    reads = []

    def far_away(self, name):
        reads.append(name)
        together.wait()  # goes on only once ten wait
        return read(self, name)

    monkeypatch.setattr(Folder, "read", far_away)
    assert merge_packs(folder, names)["trial_id"].to_pylist() == names
    assert sorted(reads) == [f"packs/pack-{name}.parquet" for name in names]
    assert folder.names("packs") == []


def test_what_reads_break_off_with_reaches_the_caller(folder, monkeypatch):
    for name in ("1", "2", "3"):
        write_pack(folder, name, rows(name))

    def broken(self, name):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Folder, "read", broken)
    with pytest.raises(OSError, match="Input/output error"):
        merge_packs(folder, ["1", "2", "3"])
    assert len(folder.names("packs")) == 3
