"""The routes to a complete OpenAPI document: with the schemas that FastAPI cannot see, and no errors but ours."""

from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

from service import lease_views, views
from service.problem import Problem
from service.spec_body import spec_components

FASTAPI_ERRORS = ("HTTPValidationError", "ValidationError")
"""Schemas of answers that this service never gives."""


def complete_openapi(app: FastAPI) -> None:
    """Make the application's document the completed one; it is put together when it is first asked for."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = plain()
            _add_schemas(document.setdefault("components", {}).setdefault("schemas", {}))
            _drop_errors(document["paths"])
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _add_schemas(schemas: dict[str, Any]) -> None:
    """Add the schema of specs, which are read here, and that of problems; give back the examples' nulls."""
    for name in FASTAPI_ERRORS:
        schemas.pop(name, None)
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update({**spec_components(), **problem.pop("$defs"), "Problem": problem})
    for name, model in (vars(views) | vars(lease_views)).items():
        # FastAPI drops null from examples, and with it keys that are required.
        if name in schemas and isinstance(model, type) and issubclass(model, BaseModel):
            extra = model.model_config.get("json_schema_extra")
            if isinstance(extra, dict):
                schemas[name].update(extra)


def _drop_errors(paths: dict[str, Any]) -> None:
    """Drop the 422 that FastAPI documents wherever there is a parameter; ours are problems, and declared."""
    for operations in paths.values():
        for operation in operations.values():
            if "HTTPValidationError" in str(operation["responses"].get("422", "")):
                del operation["responses"]["422"]
