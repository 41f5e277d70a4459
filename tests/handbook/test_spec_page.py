import json
import re
from collections.abc import Iterator
from typing import Any

from handbook.schema_keys import nested_keys, object_keys
from handbook.spec_page import spec_page
from phase_diagrams.spec import JobSpec, parse_spec, spec_schema

PAGE = spec_page()
SMALLEST = {
    "data": {"n_features": 8, "n_inputs": 4},
    "grid": {"sparsity": [0.5], "hidden_dim": [8], "activation": ["relu"]},
}


def leaves(document: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in document.items():
        yield f"{path}{name}", value
        if isinstance(value, dict):
            yield from leaves(value, f"{path}{name}.")


def test_every_key_of_a_whole_spec_has_a_row() -> None:
    searched = {**SMALLEST, "reweighting": {"search": {}}, "training": {"stop": {}}}
    grid = {**SMALLEST["grid"], "sparsity": [0.5, 0.9]}
    spec = parse_spec(searched).model_dump(mode="json")
    refined = parse_spec({**SMALLEST, "grid": grid, "refine": {"budget": 100}}).model_dump(mode="json")
    for path, _ in [*leaves(spec), *leaves(refined)]:
        assert f"`{path}`" in PAGE, path


def test_every_row_has_a_type_and_a_meaning() -> None:
    schema = spec_schema()
    keys = list(nested_keys(schema, schema["$defs"]))
    assert len(keys) > 60
    for key in keys:
        assert key.type != "any", key
        assert key.meaning or key.path.endswith(".kind"), key


def test_the_defaults_are_those_of_the_program() -> None:
    schema = spec_schema()
    filled = dict(leaves(parse_spec(SMALLEST).model_dump(mode="json")))
    given = {path for path, _ in leaves(SMALLEST)}
    required = set()
    for key in nested_keys(schema, schema["$defs"]):
        if key.default == "required" and not key.when:
            required.add(key.path)
        if key.path in filled and key.path not in given and key.default and not key.when:
            assert json.loads(key.default) == filled[key.path], key
    assert {path for path in required if path.split(".")[0] in ("data", "grid")} == given


def test_ranges_are_told_in_words() -> None:
    schema = spec_schema()
    told = {(key.path, key.when): (key.type, key.allowed) for key in nested_keys(schema, schema["$defs"])}
    assert told["data.n_features", ""] == ("whole number", "1 to 4,096")
    assert told["training.learning_rate", ""] == ("number", "> 0, ≤ 1")
    assert told["data.superposition.seed", "kind: toy_model"] == ("whole number", "≥ 0, &lt; 2^63")
    assert told["training.schedule", ""] == ("one of", "`linear`, `constant`, `cosine`")
    assert told["grid.hidden_dim", ""][0] == "list of whole numbers or range"
    assert "each 1 to 16,384" in told["grid.hidden_dim", ""][1]
    assert told["training.stop", ""][0] == "mapping or null"
    assert told["data.superposition.matrix", "kind: explicit"][0] == "list of list of numbers or null"


def test_what_is_below_a_mapping_is_not_among_its_own_keys() -> None:
    schema = spec_schema()
    assert [key.path for key in object_keys(schema, schema["$defs"])] == list(JobSpec.model_fields)


def test_no_anchor_stands_twice() -> None:
    anchors = re.findall(r"\{#([^}]+)\}", PAGE)
    assert len(anchors) == len(set(anchors))
    assert set(re.findall(r"\]\(#([^)]+)\)", PAGE)) <= set(anchors)
