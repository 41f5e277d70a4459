from pathlib import Path

import pytest

from handbook.foreign import foreign_loads


@pytest.mark.parametrize(
    "content",
    [
        '<script src="https://cdn.example.org/a.js"></script>',
        '<script src="//cdn.example.org/a.js"></script>',
        '<link rel="stylesheet" href="https://fonts.example.org/css">',
        '<link rel="preconnect" href="https://fonts.example.org">',
        '<img src="http://example.org/pixel.gif">',
        '<img srcset="https://example.org/a.png 2x">',
        '<iframe src="https://example.org"></iframe>',
        '<div style="background: url(https://example.org/a.png)"></div>',
        "<style>@import 'https://example.org/a.css';</style>",
    ],
)
def test_what_a_page_loads_from_elsewhere_is_found(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.html").write_text(content)
    (found,) = foreign_loads(tmp_path)
    assert found.startswith("a.html: ")


def test_style_sheets_are_read_too(tmp_path: Path) -> None:
    (tmp_path / "a.css").write_text("body { background: url('//example.org/a.png') } i { background: url(a.png) }")
    assert foreign_loads(tmp_path) == ["a.css: //example.org/a.png"]


def test_what_is_only_linked_or_shown_is_not(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        '<a href="https://arxiv.org">paper</a><link rel="canonical" href="https://example.org">'
        '<script src="a.js"></script><code>&lt;img src="https://example.org/a.png"&gt;</code>'
    )
    assert foreign_loads(tmp_path) == []
