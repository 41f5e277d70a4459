import json
from pathlib import Path
from typing import Any

import altair
import jsonschema
import pytest

from phase_diagrams.conditions import condition_table
from phase_diagrams.figure import Diagram, diagram
from phase_diagrams.key import BLOCK, SWATCH, key_rows
from phase_diagrams.layers import vega_lite
from phase_diagrams.marks import switch
from phase_diagrams.overlay import NAMES, OVERLAYS
from phase_diagrams.panel import boundary_table, trace_boundaries
from phase_diagrams.spec import JobSpec
from phase_diagrams.superposition import random_unit
from phase_diagrams.tables import BOUNDARY
from tests.phase_diagrams.synthetic_trials import small_spec, synthetic_trials


def _bare(spec: JobSpec, **how: float) -> Diagram:
    return diagram(spec, condition_table(spec, synthetic_trials(spec, **how)), BOUNDARY.empty_table())  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def whole() -> Diagram:
    spec = small_spec(activation=["topk:2", "relu"])
    conditions = condition_table(spec, synthetic_trials(spec, missing=0.5))
    return diagram(spec, conditions, boundary_table(trace_boundaries(spec, conditions)))


@pytest.fixture(scope="module")
def document(whole: Diagram) -> dict[str, Any]:
    return vega_lite(whole)


def _marks(node: object) -> list[dict[str, Any]]:
    """Every unit of a Vega-Lite document, however deep."""
    if isinstance(node, list):
        return [unit for item in node for unit in _marks(item)]
    if not isinstance(node, dict):
        return []
    below = [unit for name, item in node.items() if name != "datasets" for unit in _marks(item)]
    return ([node] if "mark" in node else []) + below


def _transforms(node: object) -> list[list[dict[str, Any]]]:
    if isinstance(node, list):
        return [found for item in node for found in _transforms(item)]
    if not isinstance(node, dict):
        return []
    below = [found for name, item in node.items() if name != "datasets" for found in _transforms(item)]
    return ([node["transform"]] if "transform" in node else []) + below


def test_the_document_with_its_data_meets_the_vega_lite_schema(document: dict[str, Any]) -> None:
    schema = Path(altair.__file__).parent / "vegalite" / "v6" / "schema" / "vega-lite-schema.json"
    checker = jsonschema.Draft7Validator(json.loads(schema.read_text(encoding="utf-8")))
    rows = {name: rows[:3] for name, rows in document["datasets"].items()}
    assert not list(checker.iter_errors({**document, "datasets": rows}))
    json.dumps(document, allow_nan=False)


def test_every_panel_is_a_facet_of_the_same_rows(document: dict[str, Any], whole: Diagram) -> None:
    panels = document["vconcat"][0]
    assert panels["data"] == {"name": "panels"}
    assert panels["facet"]["sort"] == [str(panel) for panel in whole.layout.panels]
    assert {row["panel"] for row in document["datasets"]["panels"]} == set(panels["facet"]["sort"])


def test_probability_is_coloured_on_a_fixed_scale(document: dict[str, Any]) -> None:
    scales = [unit["encoding"][channel]["scale"] for unit in _marks(document) for channel in ("fill", "stroke")
              if unit["encoding"].get(channel, {}).get("field") == "p"]  # fmt: skip
    assert len(scales) >= 2
    assert all(scale == {"domain": [0, 1], "scheme": "cividis"} for scale in scales)


def test_axes_cover_the_grid_and_space_sparsity_by_log_density(document: dict[str, Any], whole: Diagram) -> None:
    units = _marks(document["vconcat"][0])
    for channel, axis in (("x", whole.layout.width), ("y", whole.layout.density)):
        scales = [u["encoding"][channel]["scale"] for u in units if "scale" in u["encoding"].get(channel, {})]
        assert scales
        for scale in scales:
            assert scale["type"] == "log"
            assert scale["domain"] == pytest.approx(axis.domain)
            assert scale.get("reverse", False) == (channel == "y")


def test_each_phase_is_a_shape_and_doubt_is_hollow(document: dict[str, Any]) -> None:
    points = [unit for unit in _marks(document) if {"shape", "fill"} <= unit["encoding"].keys()]
    assert len(points) == 2
    for unit in points:
        scale = unit["encoding"]["shape"]["scale"]
        two = dict(zip(scale["domain"], scale["range"], strict=True))
        assert len({two[p] for p in ("recovered", "optimiser_limited", "objective_limited")}) == 3
        assert two["recovered"] != two["not_recovered"]
        fill = unit["encoding"]["fill"]
        assert fill["condition"]["test"] == "datum.certain"
        assert fill["condition"]["value"] != fill["value"]


def test_nothing_is_loaded_from_elsewhere(document: dict[str, Any]) -> None:
    text = json.dumps({name: item for name, item in document.items() if name != "$schema"})
    assert "http" not in text
    assert '"url"' not in text


def test_the_same_diagram_gives_the_same_document(document: dict[str, Any], whole: Diagram) -> None:
    assert vega_lite(whole) == document


def test_the_key_explains_exactly_what_is_drawn(whole: Diagram) -> None:
    def said(picture: Diagram) -> str:
        return "\n".join(str(row["text"]) for row in key_rows(picture) if "text" in row)

    text = said(whole)
    for words in ("recovered:", "optimiser-limited:", "objective-limited:", "hollow:", "no finished trial"):
        assert words in text
    for words in ("random start:", "truth start:", "95 % band", "n_m = n", "n(1 − S) = k", "P(identified)"):
        assert words in text
    assert "not recovered:" not in text
    bare = said(_bare(small_spec(activation=["relu"], hidden_dim=[80, 160], starts=["random"])))
    for words in ("not recovered:", "recovered:", "hollow:"):
        assert words in bare
    for words in ("optimiser", "objective-limited", "no finished trial", "truth start", "n_m = n", "n(1 − S)"):
        assert words not in bare


def test_the_key_stays_inside_its_box_and_holds_the_whole_caption(whole: Diagram) -> None:
    rows = key_rows(whole)
    corner = rows[-1]
    for row in rows:
        assert 0 <= float(str(row["x"])) <= float(str(corner["x"]))
        assert 0 <= float(str(row["y"])) <= float(str(corner["y"]))
    assert " ".join(str(row["text"]) for row in rows if row["layer"] == "caption") == whole.caption
    heights = [float(str(row["y"])) for row in rows if row["layer"] == "caption"]
    assert heights == sorted(heights)


def test_every_overlay_of_the_picture_has_a_switch_and_its_marks_obey_it(document: dict[str, Any]) -> None:
    spec = small_spec(activation=["topk:2", "relu"], seeds=8)
    conditions = condition_table(spec, synthetic_trials(spec))
    chosen = frozenset({"2k", "gt_loss"})
    picture = diagram(spec, conditions, BOUNDARY.empty_table(), random_unit(40, 10, 0), chosen)
    drawn = vega_lite(picture)
    params = {param["name"]: param for param in drawn["params"]}
    assert {switch(name) for name in NAMES} == set(params)
    assert {name for name in NAMES if params[switch(name)]["value"]} == chosen
    for overlay in OVERLAYS:
        bind = params[switch(overlay.name)].get("bind")
        assert (bind is not None) == bool(picture.layer(overlay.name))
        for line in overlay.assumptions if bind else ():
            assert line in bind["name"]
    filters = [step["filter"] for unit in _transforms(drawn) for step in unit if "filter" in step]
    for name in NAMES:
        named = [text for text in filters if f"datum.layer === '{name}'" in text]
        assert named
        assert all(f"({switch(name)} && datum.layer === '{name}')" in text for text in named)
    assert {param["name"]: param["value"] for param in document["params"]} == {
        switch(overlay.name): overlay.default for overlay in OVERLAYS
    }


def test_the_key_has_the_assumptions_of_the_overlays_that_are_shown() -> None:
    spec = small_spec(activation=["topk:1"], sparsity=[0.5, 0.9, 0.98], seeds=8)
    conditions = condition_table(spec, synthetic_trials(spec))
    for shown in (frozenset(NAMES), frozenset({"theorems"}), frozenset[str]()):
        picture = diagram(spec, conditions, BOUNDARY.empty_table(), random_unit(40, 10, 0), shown)
        said = {str(row["text"]) for row in key_rows(picture) if "text" in row}
        for overlay in OVERLAYS:
            assert picture.layer(overlay.name)
            for words in (overlay.title, *overlay.assumptions):
                assert (words in said) == (overlay.name in shown)


def test_the_words_of_the_key_fit_their_block() -> None:
    # Letters of Liberation Sans at 11 pixels are 5.2 pixels wide on average in these words (measured on the PNG).
    for overlay in OVERLAYS:
        for words in (overlay.title, *overlay.assumptions):
            assert 5.2 * len(words) < BLOCK - SWATCH - 8, words


def test_a_hundred_panels_make_no_bigger_a_document_than_one() -> None:
    """Only the data grow: panels are facets, not copies of layers."""
    grid = {"sparsity": [0.5, 0.9], "seeds": 1, "starts": ["random"]}
    one = vega_lite(_bare(small_spec(activation=["topk:1"], **grid)))
    activations = [f"topk:{k}" for k in range(1, 21)]
    many = vega_lite(_bare(small_spec(activation=activations, exponent=[0, 1, 2, 3, 4], **grid)))
    sizes = [len(json.dumps(document["vconcat"])) for document in (one, many)]
    assert sizes[1] < 1.2 * sizes[0] + 100 * 40
    assert len(many["vconcat"][0]["facet"]["sort"]) == 100
