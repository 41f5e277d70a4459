"""A job's stock: what lies in its folder, and what is copied from earlier jobs when it is asked for."""

from pathlib import Path

from phase_diagrams.folder import find_finished, open_folder, write_pack
from tests.workers.test_reuse import contents, rows
from workers.stock import FolderStock


def test_only_what_is_asked_for_is_copied_and_only_when_it_is(tmp_path: Path) -> None:
    own, earlier = open_folder(str(tmp_path / "own")), open_folder(str(tmp_path / "earlier"))
    write_pack(own, "a", rows("1"))
    write_pack(earlier, "b", rows("2", "3", "4"))
    before = contents(earlier)
    stock = FolderStock(own, find_finished(own).trial_ids, (earlier.root,))
    assert stock.fetch(["1", "9"]) == {"1"}
    assert find_finished(own).trial_ids == {"1"}
    assert stock.fetch(["1", "3", "9"]) == {"1", "3"}
    assert find_finished(own).trial_ids == {"1", "3"}
    assert stock.read(["3", "1"])["trial_id"].to_pylist() == ["1", "3"]
    assert stock.fetch(["3"]) == {"3"}
    assert contents(earlier) == before
