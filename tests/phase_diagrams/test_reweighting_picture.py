"""The picture of an exponent search, from its numbers to its source, and its sentences."""

import json

import pytest

from phase_diagrams.confirmation import confirm
from phase_diagrams.exponent_search import ExponentSearch
from phase_diagrams.finding import find_exponents
from phase_diagrams.render import draw_reweighting
from phase_diagrams.reweighting_figure import BEST, PLAIN, ReweightingPicture, reweighting_picture
from phase_diagrams.reweighting_layers import vega_lite
from phase_diagrams.reweighting_summary import reweighting_sentences, summarise_reweighting
from phase_diagrams.shift import boundary_shifts
from phase_diagrams.study import Study
from tests.phase_diagrams.responses import Laboratory, Response, ask_to_the_end, search_spec

GRID = {"sparsity": [0.5, 0.7, 0.8, 0.9], "hidden_dim": [20, 40], "activation": ["topk:1", "relu"], "seeds": 2}


def ones(study: Study, count: int) -> list[float]:
    return [1.0] * count


def found(level: Response, noise: float = 0.05, **reweighting: object) -> tuple[ReweightingPicture, list[str]]:
    spec = search_spec(grid=GRID, search={"trials": 2, "batch": 2, "objective": "mcc"}, reweighting=reweighting)
    rows = ask_to_the_end(ExponentSearch(spec, ones), Laboratory(spec, level, noise=noise))[1]
    findings = find_exponents(spec, rows)
    summary = summarise_reweighting(spec, findings, boundary_shifts(spec, findings))
    return reweighting_picture(spec, findings, confirm(spec, rows, findings), summary), reweighting_sentences(summary)


@pytest.fixture(scope="module")
def moved() -> tuple[ReweightingPicture, list[str]]:
    return found(lambda c: 0.3 * (c.sparsity - 0.5) + 0.25 * (c.exponent > 0) + 0.15)


def test_every_condition_is_a_cell_with_its_exponent_and_its_gain(moved: tuple[ReweightingPicture, list[str]]) -> None:
    picture, _ = moved
    cells = [row for row in picture.rows if row["layer"] == "cell"]
    assert len(cells) == 16
    assert {cell["panel"] for cell in cells} == set(picture.panels) == {"topk:1", "relu"}
    for cell in cells:
        assert isinstance(cell["gain"], float)
        assert abs(cell["gain"]) <= picture.gains
        assert picture.exponents[0] <= float(str(cell["exponent"])) <= picture.exponents[1]
        low, high = str(cell["said"]).split("[")[1].rstrip("]").split(", ")
        assert cell["open"] == (float(low) <= 0 <= float(high))


def test_both_losses_have_their_boundaries(moved: tuple[ReweightingPicture, list[str]]) -> None:
    picture, _ = moved
    curves = [row for row in picture.rows if row["layer"] == "curve"]
    assert {row["loss"] for row in curves} <= {PLAIN, BEST}
    assert {row["panel"] for row in curves} <= set(picture.panels)
    assert curves
    assert (
        len({row["path"] for row in curves if row["loss"] == PLAIN} & {r["path"] for r in curves if r["loss"] == BEST})
        == 0
    )


def test_every_place_of_a_boundary_has_its_shift_inside_its_band(moved: tuple[ReweightingPicture, list[str]]) -> None:
    picture, _ = moved
    shifts = [row for row in picture.rows if row["layer"] == "shift"]
    places = {(row["panel"], row["start"], row["n_m"]) for row in shifts}
    assert places == {(p, start, n_m) for p in picture.panels for start in ("random", "truth") for n_m in (20, 40)}
    for row in shifts:
        assert float(str(row["low"])) <= float(str(row["moved"])) <= float(str(row["high"]))


def test_the_source_is_valid_and_its_words_and_rows_are_in_it(moved: tuple[ReweightingPicture, list[str]]) -> None:
    picture, sentences = moved
    document = vega_lite(picture)
    assert len(document["datasets"]["panels"]) == len(picture.rows)
    text = json.dumps(document, allow_nan=False)
    assert "Recovery against reconstruction" in text
    assert sentences[0].split(":")[0] in text


def test_the_five_files_are_the_same_every_time(moved: tuple[ReweightingPicture, list[str]]) -> None:
    picture, _ = moved
    files = draw_reweighting(picture)
    assert set(files) == {f"reweighting.{kind}" for kind in ("vl.json", "html", "png", "svg", "pdf")}
    assert files == draw_reweighting(picture)
    assert files["reweighting.png"].startswith(b"\x89PNG")
    assert files["reweighting.pdf"].startswith(b"%PDF")


def test_a_gain_is_told_as_a_gain(moved: tuple[ReweightingPicture, list[str]]) -> None:
    _, sentences = moved
    (mcc,) = [sentence for sentence in sentences if "gain in mcc" in sentence]
    assert "on average: a gain" in mcc


def test_no_effect_is_said_plainly() -> None:
    _, sentences = found(lambda condition: 0.1, noise=0.1)
    told = [sentence for sentence in sentences if "On fresh seeds" in sentence or "moves the" in sentence]
    assert len(told) == 4 + 4
    assert sum("no effect is shown" in sentence for sentence in told) >= 7, "one in twenty may err"


def test_a_search_of_nothing_says_so() -> None:
    _, sentences = found(lambda c: -0.4, noise=0.0, where="boundary")
    assert sentences == ["No condition is near a boundary, so no exponent was searched."]


def test_the_key_names_only_sparsities_that_have_a_point(moved: tuple[ReweightingPicture, list[str]]) -> None:
    picture, _ = moved
    points = [row for row in picture.rows if row["layer"] == "cell" and row["exponent"] != 0]
    scatter = vega_lite(picture)["vconcat"][-2]["hconcat"][0]
    colour = scatter["layer"][-1]["encoding"]["color"]
    assert colour["type"] == "ordinal"
    assert colour["scale"]["domain"] == colour["legend"]["values"] == sorted({row["S"] for row in points})
