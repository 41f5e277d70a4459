import copy
import json

import jsonschema
import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from phase_diagrams.pack import cut_packs
from phase_diagrams.spec import MAX_TRIALS, JobSpec, SpecError, parse_spec, read_spec, spec_json, spec_schema
from phase_diagrams.trial import expected_trials

MINIMAL = {
    "data": {"n_features": 4, "n_inputs": 2},
    "grid": {"sparsity": [0.5, 0.9], "hidden_dim": [4, 8], "activation": ["topk:1", "relu"]},
}


def changed(path, value, document=MINIMAL):
    document = copy.deepcopy(document)
    *parents, last = path.split(".")
    here = document
    for parent in parents:
        here = here.setdefault(parent, {})
    here[last] = value
    return document


def refusal(document, **options):
    with pytest.raises(SpecError) as caught:
        parse_spec(document, **options)
    text = str(caught.value)
    assert "\n" not in text
    assert "pydantic" not in text
    return text


def test_the_contract_s_defaults():
    spec = parse_spec(MINIMAL)
    assert json.loads(spec_json(spec)) == {
        "name": "unnamed",
        "data": {
            "n_features": 4,
            "n_inputs": 2,
            "superposition": {"kind": "random_unit", "seed": 0},
            "code": {"kind": "bernoulli", "magnitude": "uniform", "firing": {"kind": "uniform", "exponent": 1.0}},
            "noise": 0.0,
        },
        "grid": {
            "sparsity": [0.5, 0.9],
            "hidden_dim": [4, 8],
            "activation": ["topk:1", "relu"],
            "exponent": [0.0],
            "seeds": [0, 1, 2, 3],
            "starts": ["random", "truth"],
        },
        "sae": {"tied": True},
        "training": {
            "steps": 1500,
            "batch_size": 512,
            "learning_rate": 0.003,
            "schedule": "linear",
            "stop": None,
            "precision": "float32",
        },
        "recovery": {"cosine": 0.9, "fraction": 0.9},
        "refine": None,
        "reweighting": None,
        "resources": {"device": "auto", "gpus_per_trial": 0.25, "cpus_per_trial": 1.0, "max_concurrent": None},
    }


@pytest.mark.parametrize(
    "missing", ["data.n_features", "data.n_inputs", "grid.sparsity", "grid.hidden_dim", "grid.activation"]
)
def test_the_five_required_keys(missing):
    document = copy.deepcopy(MINIMAL)
    section, key = missing.split(".")
    del document[section][key]
    assert refusal(document) == f"{missing}: required, but missing"


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("grid.sparcity", [0.5], ["grid.sparcity", "did you mean 'sparsity'", "hidden_dim"]),
        ("trainings", {}, ["trainings", "did you mean 'training'"]),
        ("training.batchsize", 5, ["training.batchsize", "'batch_size'"]),
        ("data.superposition", {"kind": "random_unit", "sed": 1}, ["data.superposition.sed", "did you mean 'seed'"]),
        ("data.code.fireing", {}, ["data.code.fireing", "'firing'"]),
        ("grid.sparsity", [], ["grid.sparsity", "empty"]),
        ("grid.activation", [], ["grid.activation", "at least 1"]),
        ("grid.seeds", [], ["grid.seeds", "at least 1"]),
        ("grid.sparsity", [0.5, 0.5], ["grid.sparsity", "0.5", "more than once"]),
        ("grid.hidden_dim", [8, 8.0], ["grid.hidden_dim", "8", "more than once"]),
        ("grid.activation", ["topk:2", "topk:02"], ["grid.activation", "topk:2", "more than once"]),
        ("grid.exponent", [0.0, -0.0], ["grid.exponent", "more than once"]),
        ("grid.seeds", [3, 3], ["grid.seeds", "3", "more than once"]),
        ("grid.sparsity", [float("nan")], ["grid.sparsity[0]", "nan", "finite"]),
        ("grid.sparsity", [float("inf")], ["grid.sparsity[0]", "inf"]),
        ("grid.sparsity", [1.0], ["grid.sparsity[0]", "1.0", "less than 1"]),
        ("grid.sparsity", [-0.1], ["grid.sparsity[0]", "-0.1", "greater than or equal to 0"]),
        ("grid.sparsity", 0.5, ["grid.sparsity", "list", "range"]),
        ("grid.sparsity", {"start": 0.1, "stop": 1.0, "num": 3, "spacing": "log_density"}, ["stop < 1"]),
        ("grid.sparsity", {"start": 0.1, "stop": 0.9, "number": 3}, ["grid.sparsity", "number", "did you mean 'num'"]),
        ("grid.hidden_dim", {"start": -1e308, "stop": 1e308, "num": 3}, ["grid.hidden_dim"]),
        ("grid.sparsity", {"start": -1e308, "stop": 1e308, "num": 3}, ["grid.sparsity"]),
        ("grid.hidden_dim", [0], ["grid.hidden_dim[0]", "0", "greater than or equal to 1"]),
        ("grid.hidden_dim", [4.5], ["grid.hidden_dim[0]", "4.5"]),
        ("grid.hidden_dim", [True], ["grid.hidden_dim[0]", "true"]),
        ("grid.activation", ["topk:9"], ["grid.activation", "topk:9", "at most 4"]),
        ("grid.activation", ["batchtopk:5"], ["grid.activation", "batchtopk:5", "at most 4"]),
        ("grid.activation", ["topk"], ["grid.activation", "'topk'", "topk:K"]),
        ("grid.activation", ["topk:0"], ["grid.activation", "'topk:0'"]),
        ("grid.activation", ["topk:-1"], ["grid.activation", "'topk:-1'"]),
        ("grid.activation", ["relu_l1:nan"], ["grid.activation", "relu_l1:LAMBDA"]),
        ("grid.activation", ["softmax"], ["grid.activation", "'softmax'", "relu_l1:LAMBDA"]),
        ("grid.starts", ["truth"], ["grid.starts", "random"]),
        ("grid.starts", ["oracle"], ["grid.starts[0]", "'random' or 'truth'"]),
        ("grid.seeds", 0, ["grid.seeds", "0", "1 to 10000"]),
        ("grid.seeds", -3, ["grid.seeds", "-3"]),
        ("grid.exponent", [5], ["grid.exponent[0]", "5", "less than or equal to 4"]),
        ("data.n_features", 0, ["data.n_features", "0", "greater than or equal to 1"]),
        ("data.noise", -1, ["data.noise", "-1"]),
        ("data.superposition", {"kind": "polygons"}, ["data.superposition.kind", "'polygons'", "polygon"]),
        ("data.superposition", {"kind": "polygon", "digon": 1}, ["2 features", "data.n_features is 4"]),
        ("data.superposition", {"kind": "polygon", "mono": -1}, ["data.superposition.mono", "-1"]),
        ("data.superposition", {"kind": "explicit"}, ["data.superposition", "matrix", "path"]),
        ("data.superposition", {"kind": "explicit", "matrix": [[1, 2], [3]]}, ["data.superposition.matrix", "[1, 2]"]),
        ("data.superposition", {"kind": "explicit", "matrix": [[1.0] * 3] * 2}, ["2 x 3", "2 x 4"]),
        ("data.superposition", {"kind": "explicit", "matrix": [[1, 0, 1, 1]] * 2}, ["column 1", "zero"]),
        ("data.superposition", {"kind": "explicit", "path": "w.npy"}, ["data.superposition", "path", "matrix"]),
        ("data.superposition", {"kind": "toy_model", "sparsity": 1.0}, ["data.superposition.sparsity", "less than 1"]),
        ("training.steps", 0, ["training.steps", "0"]),
        ("training.learning_rate", float("nan"), ["training.learning_rate", "nan"]),
        ("training.schedule", "step", ["training.schedule", "'linear'", "'constant'", "'cosine'"]),
        ("training.precision", "float16", ["training.precision", "'float32'", "'bfloat16'"]),
        ("training.stop", True, ["training.stop", "True", "mapping"]),
        ("training.stop.patience", 9, ["training.stop.patience", "greater than or equal to 10"]),
        ("training.stop.tolerance", 1, ["training.stop.tolerance", "less than 1"]),
        ("training.stop.patient", 200, ["training.stop.patient", "'patience'", "tolerance"]),
        ("recovery.cosine", 0, ["recovery.cosine", "greater than 0"]),
        ("recovery.fraction", 1.1, ["recovery.fraction", "1.1"]),
        ("resources.gpus_per_trial", 0, ["resources.gpus_per_trial", "greater than or equal to 0.001"]),
        ("resources.gpus_per_trial", 1.5, ["resources.gpus_per_trial", "1.5", "0.001 to 1, or a whole number from 2"]),
        ("resources.cpus_per_trial", 5e-324, ["resources.cpus_per_trial", "greater than or equal to 0.01"]),
        ("resources.max_concurrent", 0, ["resources.max_concurrent", "greater than or equal to 1"]),
        ("sae.tied", 0, ["sae.tied", "0 is not allowed"]),
        ("refine", {"budget": 3}, ["refine.budget", "3", "16"]),
        ("refine", {"budgets": 3}, ["refine.budgets", "budget", "tolerance"]),
        ("reweighting", {"proxi": "kurtosis"}, ["reweighting.proxi", "'proxy'", "confirm_seeds"]),
        ("reweighting.proxy", "x", ["reweighting.proxy", "'variance'", "'known_polysemanticity'"]),
        ("reweighting.confirm_seeds", 1, ["reweighting.confirm_seeds", "greater than or equal to 2"]),
        ("reweighting.where", "edge", ["reweighting.where", "'all'", "'boundary'"]),
        ("reweighting.search", {"low": 2, "high": 1}, ["reweighting.search", "low is 2", "high is 1"]),
        ("reweighting.search", {"lo": 2}, ["reweighting.search.lo", "'low'", "sampler"]),
        ("reweighting.search.trials", 1, ["reweighting.search.trials", "greater than or equal to 2"]),
        ("reweighting.search.sampler", "grid", ["reweighting.search.sampler", "'tpe'", "'gp'", "'random'"]),
        ("reweighting.search.objective", "sae_loss", ["reweighting.search.objective", "'gt_loss'"]),
        ("sae", None, ["sae", "null is not allowed", "mapping"]),
        ("grid.activation", "topk:1", ["grid.activation", "'topk:1'", "list"]),
    ],
)  # fmt: skip
def test_a_refusal_names_the_key_and_what_is_allowed(path, value, words):
    text = refusal(changed(path, value))
    assert all(word in text for word in words), text


def test_every_bad_key_is_named_at_once():
    text = refusal(changed("grid.sparsity", [2], changed("training.steps", -1)))
    assert "grid.sparsity[0]" in text
    assert "training.steps" in text


@pytest.mark.parametrize(
    "document",
    [
        {**MINIMAL, **{f"key{number}": 1 for number in range(300)}},
        {**MINIMAL, **{f"key{number}": 1 for number in range(100_000)}},
        {**MINIMAL, "x" * 1_000_000: 1},
        changed("grid.activation", ["relu_l1:" + "9" * 100_000]),
        changed("data.superposition", {"kind": "explicit", "matrix": [["one"] * 300] * 300}),
    ],
)
def test_a_spec_of_many_or_long_errors_is_told_in_few_words(document):
    with pytest.raises(SpecError) as raised:
        parse_spec(document)
    assert 0 < len(raised.value.problems) <= 51
    assert len(str(raised.value)) < 10_000
    assert json.dumps(raised.value.problems)


def test_the_number_of_errors_is_told_where_they_are_not():
    with pytest.raises(SpecError, match=r"key0: unknown key.*and 250 more"):
        parse_spec({**MINIMAL, **{f"key{number}": 1 for number in range(300)}})
    with pytest.raises(SpecError, match=r"90,000 of its keys and values are not allowed"):
        parse_spec(changed("data.superposition", {"kind": "explicit", "matrix": [["one"] * 300] * 300}))


def test_a_key_that_is_given_twice_is_found_among_many():
    # Looking for each key among all others would take minutes here.
    text = "{" + ",".join(f'"key{number}": 1' for number in range(200_000)) + ', "key199999": 1}'
    with pytest.raises(SpecError, match="the key 'key199999' is given twice"):
        read_spec(text)


def test_a_huge_product_is_refused_with_its_number_and_the_limit():
    axis = {"start": 0.0, "stop": 0.99, "num": 10000}
    text = refusal(changed("grid.sparsity", axis, changed("grid.seeds", 10000)))
    assert f"{10000 * 2 * 2 * 10000 * 2:,}" in text
    assert f"{MAX_TRIALS:,}" in text
    assert "10000" in refusal(changed("grid.sparsity", {"start": 0.0, "stop": 0.99, "num": 10**12}))


def test_no_superposition_is_allowed():
    assert parse_spec(changed("data.n_inputs", 7)).data.n_inputs == 7


def test_ranges_are_their_lists():
    spec = parse_spec(changed("grid.sparsity", {"start": 0.5, "stop": 0.995, "num": 3, "spacing": "log_density"}))
    assert spec.grid.sparsity == pytest.approx((0.5, 0.95, 0.995))
    assert parse_spec(changed("grid.sparsity", [0.5, 0.95, 0.995])) == spec
    widths = parse_spec(changed("grid.hidden_dim", {"start": 4, "stop": 64, "num": 5, "spacing": "log"}))
    assert widths.grid.hidden_dim == (4, 8, 16, 32, 64)
    dense = parse_spec(changed("grid.hidden_dim", {"start": 4, "stop": 6, "num": 9}))
    assert dense.grid.hidden_dim == (4, 5, 6)  # neighbours that round to one width are one


def test_an_explicit_matrix_is_read_beside_the_spec_and_nowhere_else(tmp_path):
    matrix = np.random.default_rng(0).standard_normal((2, 4))
    np.save(tmp_path / "w.npy", matrix)
    document = changed("data.superposition", {"kind": "explicit", "path": "w.npy"})
    spec = parse_spec(document, tmp_path)
    assert np.allclose(spec.data.superposition.matrix, matrix)
    assert read_spec(spec_json(spec)) == spec  # self-contained: the saved spec needs no file
    np.save(tmp_path / "o.npy", np.array([{}], dtype=object), allow_pickle=True)
    (tmp_path / "broken.npy").write_bytes(b"not numpy")
    for name in ("o.npy", "broken.npy", "none.npy"):
        assert name in refusal(changed("data.superposition", {"kind": "explicit", "path": name}), folder=tmp_path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [", ["YAML", "line 1"]),
        ("name: a\nname: b\n", ["'name'", "twice"]),
        ("", ["mapping"]),
        ("- 1", ["mapping"]),
        ("a: !!python/object:os.system {}", ["YAML"]),
        ('{"name": "a", "name": "b"}', ["'name'", "twice"]),
        ("[" * 5000, ["nested too deeply"]),
        ("- " * 5000, []),
        ("? [a]\n: 1", ["YAML"]),
        ("a: \x00", ["YAML"]),
    ],
)
def test_text_that_is_no_spec(text, words):
    with pytest.raises(SpecError) as caught:
        read_spec(text)
    assert all(word in str(caught.value) for word in words)


leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["topk:1", "relu", "random", "truth", "polygon", "explicit", "toy_model", "zipf", "log_density"])
)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
paths = st.sampled_from(
    [f"{section}.{key}" for section, keys in {
        "data": ["n_features", "n_inputs", "superposition", "code", "noise", "x"],
        "data.superposition": ["kind", "seed", "matrix", "mono", "steps"],
        "data.code": ["kind", "magnitude", "firing"],
        "grid": ["sparsity", "hidden_dim", "activation", "exponent", "seeds", "starts"],
        "grid.sparsity": ["start", "stop", "num", "spacing"],
        "training": ["steps", "batch_size", "learning_rate", "schedule", "stop", "precision"],
        "training.stop": ["patience", "tolerance", "x"],
        "recovery": ["cosine", "fraction"],
        "reweighting": ["search", "proxy", "confirm_seeds", "where"],
        "reweighting.search": ["low", "high", "trials", "sampler", "objective", "batch"],
        "resources": ["device", "gpus_per_trial", "cpus_per_trial", "max_concurrent"],
    }.items() for key in keys] + ["name", "data", "grid", "sae", "training", "refine", "reweighting"]
)  # fmt: skip


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(paths, values), min_size=1, max_size=3))
def test_any_document_gives_a_plan_or_one_clear_paragraph(edits):
    document = copy.deepcopy(MINIMAL)
    for path, value in edits:
        *parents, last = path.split(".")
        here = document
        for parent in parents:
            if not isinstance(here.get(parent), dict):
                here[parent] = {}
            here = here[parent]
        here[last] = value
    try:
        spec = parse_spec(document)
    except SpecError as error:
        assert error.problems
        assert all(message for _, message in error.problems)
        assert "\n" not in str(error)
        top = {key.partition(".")[0].partition("[")[0] for key, _ in error.problems if key}
        assert top <= set(document) | {"data", "grid"}
        return
    assert read_spec(spec_json(spec)) == spec
    if spec.n_trials <= 5000:
        packs = cut_packs(spec, expected_trials(spec))
        assert sum(len(pack.trials) for pack in packs) == spec.n_trials


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60))
def test_any_text_gives_a_spec_or_a_spec_error(text):
    try:
        read_spec(text)
    except SpecError as error:
        assert str(error)


def test_the_schema_accepts_what_the_program_accepts_and_names_every_key():
    schema = spec_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    assert set(schema["properties"]) == set(JobSpec.model_fields)
    for document in (
        MINIMAL,
        changed("grid.sparsity", {"start": 0.5, "stop": 0.9, "num": 3}),
        changed("grid.seeds", [5, 6]),
        json.loads(spec_json(parse_spec(MINIMAL))),
    ):
        validator.validate(document)
        parse_spec(document)
    for document in (
        changed("grid.sparsity", [1.5]),
        changed("grid.sparcity", [0.5]),
        changed("refine", {"budget": 0}),
        changed("reweighting.search.batch", 0),
        changed("reweighting.proxy", "x"),
    ):
        assert not validator.is_valid(document)
    assert all("description" in field for field in schema["$defs"]["Training"]["properties"].values())


def test_a_search_needs_the_plain_loss_and_counts_all_that_it_may_ask_for():
    searched = changed("reweighting.search", {"trials": 10})
    text = refusal(changed("grid.exponent", [0.5, 1], searched))
    assert "grid.exponent: must contain 0" in text
    spec = parse_spec(changed("grid.exponent", [0, 1], searched))
    grid, places = 2 * 2 * 2 * 2 * 4 * 2, 2 * 2 * 2
    assert spec.n_trials == grid + places * (10 * 4 + 2 * 4 * 2)
    assert spec.adaptive
    proxy_only = parse_spec(changed("reweighting.proxy", "firing_rate"))
    assert (proxy_only.adaptive, proxy_only.search, proxy_only.n_trials) == (False, None, parse_spec(MINIMAL).n_trials)
    many = changed("grid.hidden_dim", list(range(10, 2010)), changed("reweighting.search", {"trials": 200}))
    assert "cross product and the search are" in refusal(many)


def test_yaml_and_json_are_one_language():
    assert read_spec(yaml.safe_dump(MINIMAL)) == read_spec(json.dumps(MINIMAL)) == parse_spec(MINIMAL)
