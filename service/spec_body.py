"""The bytes of a request to a checked spec; they are data, and nothing in them names a file here."""

import json
from typing import Annotated, Any, NoReturn

from fastapi import Depends, Request

from phase_diagrams.problem import SpecError, unique_keys
from phase_diagrams.spec import JobSpec, parse_spec
from service.examples import EXAMPLE_SPEC
from service.problem import Refusal
from service.settings import Settings

SCHEMA_NAME = "JobSpec"
REQUEST_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "A job spec.",
        "content": {
            "application/json": {
                "schema": {"$ref": f"#/components/schemas/{SCHEMA_NAME}"},
                "examples": {"quickstart": {"value": EXAMPLE_SPEC}},
            }
        },
    }
}
"""What OpenAPI says of a body that is a spec: it is read here, not by FastAPI."""


async def read_body(request: Request) -> bytes:
    """The body of a request that says it is JSON; a page of another site cannot say so without being asked first."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        raise Refusal(415, "The body must be JSON: send Content-Type: application/json.", "media-type")
    return await request.body()


SpecBody = Annotated[bytes, Depends(read_body)]


def parse_body(body: bytes, settings: Settings) -> JobSpec:
    """Check a spec and the service's limits on it; raises SpecError and Refusal 422.

    JSON only: YAML's references make a small text grow without bound.
    """
    try:
        document = json.loads(body.decode("utf-8"), object_pairs_hook=unique_keys, parse_constant=_no_constant)
        spec = parse_spec(document)
    except SpecError:
        raise
    except RecursionError:
        raise SpecError([("", "the spec is nested too deeply")]) from None
    except (ValueError, OverflowError) as error:
        raise SpecError([("", f"not valid JSON: {error}")]) from None
    if not spec.name.isprintable():
        raise SpecError([("name", "must consist of printable characters")])
    steps = spec.n_trials * spec.training.steps
    for key, asked, allowed, what in (
        ("grid", spec.n_trials, settings.max_trials, "trials"),
        ("training.steps", steps, settings.max_steps, "training steps in all"),
    ):
        if asked > allowed:
            raise SpecError([(key, f"asks for {asked:,} {what}; this service allows {allowed:,} in one job")])
    return spec


def spec_components() -> dict[str, Any]:
    """The spec's schema and the schemas that it refers to, as components of an OpenAPI document."""
    schema = JobSpec.model_json_schema(ref_template="#/components/schemas/{model}")
    parts = schema.pop("$defs", {})
    return {**parts, SCHEMA_NAME: schema}


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a number of JSON")
