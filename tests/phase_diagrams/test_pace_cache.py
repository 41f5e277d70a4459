from pathlib import Path

import pytest

from phase_diagrams.pace import ESTIMATED, Pace, Paces
from phase_diagrams.pace_cache import add_paces, pace_file, read_paces


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("phase_diagrams.pace_cache.cache_folder", lambda: tmp_path / "saephase")
    return tmp_path


def test_what_is_added_is_read_back_beside_what_was_there() -> None:
    assert read_paces() == ESTIMATED
    first, second = Pace(1e-4, 2e-5, 0.01), Pace(3e-4, 2e-5, 0.02)
    add_paces(Paces({"a": first}))
    add_paces(Paces({"b": second}))
    assert read_paces() == Paces({"a": first, "b": second})
    add_paces(Paces({"a": second}))
    assert read_paces().shapes["a"] == second
    assert [path.name for path in pace_file().parent.iterdir()] == [pace_file().name]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"a": 1}', '{"a": {"step": 1}}'])
def test_a_spoilt_file_is_as_none(text: str) -> None:
    pace_file().parent.mkdir()
    pace_file().write_text(text)
    assert read_paces() == ESTIMATED
    add_paces(Paces({"a": Pace(1.0, 1.0, 1.0)}))
    assert list(read_paces().shapes) == ["a"]
