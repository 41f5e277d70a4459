import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from phase_diagrams.tables import CONDITIONS
from service.examples import EXAMPLE_CONDITION
from tests.service.conftest import make_settings
from tests.service.running import FakeWorker, running, submit

METHODS = {"get", "put", "post", "delete", "patch", "head"}
CONTRACT = [
    ("post", "/v1/jobs"),
    ("post", "/v1/plans"),
    ("get", "/v1/jobs"),
    ("get", "/v1/jobs/{job_id}"),
    ("post", "/v1/jobs/{job_id}/cancel"),
    ("post", "/v1/jobs/{job_id}/resume"),
    ("delete", "/v1/jobs/{job_id}"),
    ("get", "/v1/jobs/{job_id}/events"),
    ("get", "/v1/jobs/{job_id}/conditions"),
    ("get", "/v1/jobs/{job_id}/diagram"),
    ("get", "/v1/jobs/{job_id}/artifacts"),
    ("get", "/v1/jobs/{job_id}/artifacts/{name}"),
    ("head", "/v1/jobs/{job_id}/artifacts/{name}"),
    ("get", "/v1/spec-schema"),
    ("get", "/healthz"),
    ("get", "/readyz"),
    ("get", "/metrics"),
]


@pytest.fixture(scope="module")
def document(local):
    with local.client() as client:
        return client.get("/openapi.json").json()


def test_every_call_of_the_contract_is_there_with_words_and_statuses(document):
    for method, path in CONTRACT:
        assert method in document["paths"][path], path
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert method in METHODS
            assert operation["summary"], path
            assert operation["description"], path
            for status, answer in operation["responses"].items():
                if int(status) >= 400 and path != "/readyz":
                    assert list(answer["content"]) == ["application/problem+json"], (path, status)
            if "requestBody" in operation:
                assert "422" in operation["responses"], path


def test_every_reference_leads_somewhere_and_models_have_examples(document):
    schemas = document["components"]["schemas"]
    text = json.dumps(document)
    for part in text.split('"#/components/schemas/')[1:]:
        assert part.partition('"')[0] in schemas
    assert "HTTPValidationError" not in text
    for name in ("JobView", "JobList", "ArtifactList", "PlanView", "LeaseView", "HeartbeatView", "Readiness"):
        assert schemas[name]["examples"], name


def test_the_examples_are_what_the_service_takes_and_answers(document, local):
    import jsonschema

    body = document["paths"]["/v1/jobs"]["post"]["requestBody"]["content"]["application/json"]
    with local.client() as client:
        job = submit(client, body["examples"]["quickstart"]["value"])
        schema = {"$ref": "#/components/schemas/JobView", "components": document["components"]}
        jsonschema.validate(job, schema)
        jsonschema.validate(document["components"]["schemas"]["JobView"]["examples"][0], schema)
        client.post(f"/v1/jobs/{job['id']}/cancel")


def shows_an_example(content, schemas):
    """Whether a reader sees what the content looks like: beside it, in its schema, or in every part of that."""
    if "example" in content or "examples" in content:
        return True
    schema = content.get("schema", {})
    if "$ref" in schema:
        schema = schemas[schema["$ref"].rpartition("/")[2]]
    return schema.get("format") == "binary" or bool(schema.get("examples"))


def test_every_call_shows_what_goes_in_and_what_comes_out(document):
    schemas = document["components"]["schemas"]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            where = f"{method} {path}"
            for parameter in operation.get("parameters", []):
                assert parameter["description"], (where, parameter["name"])
                assert {"examples", "default"} & set(parameter["schema"]), (where, parameter["name"])
            for content in operation.get("requestBody", {}).get("content", {}).values():
                assert shows_an_example(content, schemas), where
            for status, answer in operation["responses"].items():
                for kind, content in answer.get("content", {}).items():
                    assert shows_an_example(content, schemas), (where, status, kind)


def test_examples_keep_to_their_schemas(document):
    import jsonschema

    checked = 0
    for name, schema in document["components"]["schemas"].items():
        for example in schema.get("examples", []):
            jsonschema.validate(example, {"$ref": f"#/components/schemas/{name}", "components": document["components"]})
            checked += 1
    for operations in document["paths"].values():
        for operation in operations.values():
            for status, answer in operation["responses"].items():
                problem = answer.get("content", {}).get("application/problem+json")
                if problem is not None:
                    schema = {**problem["schema"], "components": document["components"]}
                    jsonschema.validate(problem["example"], schema)
                    assert problem["example"]["status"] == int(status)
                    checked += 1
    assert checked > 50
    assert set(EXAMPLE_CONDITION) <= set(CONDITIONS.names)


def test_the_page_of_calls_loads_nothing_from_elsewhere(local):
    with local.client() as client:
        page = client.get("/docs")
        loaded = re.findall(r'(?:src|href)="([^"]*)"', page.text)
        assert {"/swagger/swagger-ui-bundle.js", "/swagger/swagger-ui.css", "/page/docs.js"} <= set(loaded)
        for url in loaded:
            assert re.match("/[a-z]", url), url
            assert client.get(url).status_code == 200, url
        assert "<script>" not in page.text
        policy = page.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self';")
        assert "unsafe" not in policy
        assert "http" not in policy
        assert "/openapi.json" in client.get("/page/docs.js").text


def fuzz(url, token, examples, phases, seconds):
    command = [
        str(Path(sys.executable).parent / "schemathesis"),
        "--config-file",
        str(Path(__file__).parent / "schemathesis.toml"),
        "run",
        f"{url}/openapi.json",
        f"--header=Authorization: Bearer {token}",
        f"--phases={phases}",
        f"--max-examples={examples}",
        f"--max-time={seconds}",
        "--continue-on-failure",
        "--request-timeout=90",
        "--no-color",
        "--warnings=off",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-1000:]


@pytest.mark.parametrize(
    ("examples", "phases", "seconds"),
    [
        pytest.param(2, "examples,fuzzing,stateful", 8, id="short"),
        pytest.param(40, "examples,coverage,fuzzing,stateful", 300, id="whole", marks=pytest.mark.soak),
    ],
)
def test_no_request_gets_an_answer_that_is_not_documented(database_url, tmp_path, examples, phases, seconds):
    # A token, so that doing without one can be tried as well.
    settings = make_settings(database_url, tmp_path, admin_token="root", lease_seconds=5.0)
    with running(settings) as server:
        with server.client("root") as client:
            for _ in range(3):
                submit(client)
            FakeWorker(client).run()
        fuzz(server.url, "root", examples, phases, seconds)
