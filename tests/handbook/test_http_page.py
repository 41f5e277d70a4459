from handbook.http_page import http_page, openapi_document
from service.spec_body import spec_components

PAGE = http_page()


def test_every_call_and_status_is_on_the_page() -> None:
    for path, operations in openapi_document()["paths"].items():
        for method, call in operations.items():
            section = PAGE.partition(f"### {call['summary']}\n")[2].partition("\n### ")[0]
            assert section.startswith("\n```http\n"), call["summary"]
            assert f" {path}\n```" in section
            assert method.upper() in section
            for status in call["responses"]:
                assert f"| {status} |" in section
            for parameter in call.get("parameters", ()):
                assert f"`{parameter['name']}`" in section


def test_every_object_is_told_or_is_the_spec() -> None:
    names = set(openapi_document()["components"]["schemas"])
    assert {"JobView", "Problem", "ArtifactView"} <= names
    for name in names - set(spec_components()):
        assert f"### {name}\n" in PAGE
    assert "### JobSpec" not in PAGE
    assert "[JobSpec](job-spec.md)" in PAGE
