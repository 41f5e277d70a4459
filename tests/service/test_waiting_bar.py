"""The bar of a client that waits: where a person looks on, and nowhere else."""

from typing import Any

import pytest

from service.waiting_bar import NotebookBar, bar_html, bar_text, open_bar

JOB: dict[str, Any] = {
    "id": "0" * 16,
    "status": "running",
    "progress": {"trials_done": 4, "trials_total": 16, "trials_reused": 0, "seconds": 12.5, "eta_seconds": 37.5},
}
ENDED = {**JOB, "status": "succeeded", "progress": {**JOB["progress"], "trials_done": 16, "eta_seconds": 0.0}}


def test_nothing_is_printed_where_nobody_looks_on_unless_asked(capsys: pytest.CaptureFixture[str]) -> None:
    for asked in (None, False):
        with open_bar(asked) as bar:
            bar(JOB)
            bar(ENDED)
    assert capsys.readouterr() == ("", "")
    with open_bar(True) as bar:
        bar(JOB)
        bar(ENDED)
    told = capsys.readouterr().out
    assert "succeeded" in told
    assert "16/16 trials" in told


def test_a_terminal_gets_a_bar(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    with open_bar(None) as bar:
        bar(JOB)
    assert "4/16" in capsys.readouterr().out
    with open_bar(False) as bar:
        bar(JOB)
    assert capsys.readouterr().out == ""


def test_a_notebook_gets_one_output_that_is_drawn_over() -> None:
    shown: list[str] = []

    class Handle:
        def update(self, bundle: dict[str, str], raw: bool) -> None:
            shown.append(bundle["text/html"])

    def display(bundle: dict[str, str], raw: bool, display_id: bool) -> Handle:
        shown.append(bundle["text/html"])
        return Handle()

    with NotebookBar(display) as bar:
        bar(JOB)
        bar(ENDED)
    assert shown == [bar_html(JOB), bar_html(ENDED)]
    assert 'value="4" max="16"' in shown[0]
    assert bar_text(JOB) == "running: 4/16 trials, 38 s left"
    assert bar_text(ENDED) == "succeeded: 16/16 trials"
    assert "<b>" not in bar_html({**JOB, "status": "<b>"}), "what a service says is never markup"
