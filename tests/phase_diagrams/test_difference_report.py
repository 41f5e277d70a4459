import json
from pathlib import Path
from typing import Any

import altair
import jsonschema
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from phase_diagrams.difference import Difference, Side, compare_diagrams
from phase_diagrams.difference_picture import difference_source
from phase_diagrams.difference_report import difference_files, difference_json, sentences
from phase_diagrams.tables import DIFFERENCE, DISPLACEMENT, TRIALS
from tests.phase_diagrams.synthetic_trials import small_spec, synthetic_trials


def _side(name: str, exponent: float, seeds: int) -> Side:
    spec = small_spec(name, sparsity=[0.5, 0.8, 0.9, 0.95], activation=["topk:1"], exponent=[exponent], seeds=seeds)
    return Side(spec, synthetic_trials(spec, seed=int(exponent)))


@pytest.fixture(scope="module")
def found() -> Difference:
    return compare_diagrams(_side("plain", 0.0, 10), _side("weighted", 2.0, 10))


@pytest.fixture(scope="module")
def source(found: Difference) -> dict[str, Any]:
    return difference_source(found)


def test_every_cell_has_its_colour_and_its_mark_of_significance(found: Difference, source: dict[str, Any]) -> None:
    cells = [row for row in source["datasets"]["rows"] if row["layer"] == "cell"]
    rows = {(row["statistic"], row["sparsity"], row["hidden_dim"]): row for row in found.cells.to_pylist()}
    assert len(cells) == len(rows) == found.cells.num_rows
    for cell in cells:
        row = rows[cell["facet"].rpartition(" ")[2], cell["S"], cell["n_m"]]
        assert cell["d"] == row["difference"]
        expected = "found" if row["significant"] else "alone" if row["p_value"] <= 0.05 else None
        assert cell["mark"] == expected
    assert "found" in {cell["mark"] for cell in cells}


def test_both_boundaries_are_drawn_beside_the_statistic_they_belong_to(source: dict[str, Any]) -> None:
    curves = [row for row in source["datasets"]["rows"] if row["layer"] == "curve"]
    assert {row["side"] for row in curves} == {"one", "other"}
    assert {row["facet"].rpartition(" ")[2] for row in curves} == {"identified", "identifiable"}


def test_the_source_meets_the_vega_lite_schema(source: dict[str, Any]) -> None:
    schema = Path(altair.__file__).parent / "vegalite" / "v6" / "schema" / "vega-lite-schema.json"
    checker = jsonschema.Draft7Validator(json.loads(schema.read_text(encoding="utf-8")))
    rows = {name: rows[:3] for name, rows in source["datasets"].items()}
    assert not list(checker.iter_errors({**source, "datasets": rows}))


def test_files_are_the_tables_the_document_and_the_picture(found: Difference) -> None:
    files = difference_files(found)
    assert set(files) == {
        "difference.json",
        "difference.parquet",
        "displacement.parquet",
        *(f"difference.{kind}" for kind in ("vl.json", "html", "png", "svg", "pdf")),
    }
    for name, schema in (("difference", DIFFERENCE), ("displacement", DISPLACEMENT)):
        assert pq.read_schema(pa.BufferReader(files[f"{name}.parquet"])).equals(schema, check_metadata=True)
    assert files["difference.png"].startswith(b"\x89PNG")


def test_sentences_tell_of_the_spec_the_panels_and_the_boundaries(found: Difference) -> None:
    document = json.loads(difference_json(found), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert document["sentences"] == sentences(found)
    assert document["spec_changes"] == [{"key": "grid.exponent", "one": [0.0], "other": [2.0]}]
    text = " ".join(sentences(found))
    assert "weighted is compared with plain; the specs differ in grid.exponent." in text
    assert "topk:1, α = 2 against topk:1, α = 0: P(identified) differs by +" in text
    assert "decades of density" in text
    assert "No cell is significant" not in text


def test_few_seeds_are_told_that_no_cell_could_be_significant() -> None:
    found = compare_diagrams(_side("plain", 0.0, 4), _side("weighted", 2.0, 4))
    assert any("smallest p value that a cell could have with these seeds is 0.12;" in said for said in sentences(found))
    assert json.loads(difference_json(found))["notes"] == sentences(found)[-1:]


def test_jobs_without_any_finished_trial_are_compared_too() -> None:
    spec = small_spec(sparsity=[0.5, 0.9], activation=["topk:1"])
    side = Side(spec, TRIALS.empty_table())
    files = difference_files(compare_diagrams(side, side))
    assert json.loads(files["difference.json"])["cells"] == []
    assert files["difference.png"].startswith(b"\x89PNG")
