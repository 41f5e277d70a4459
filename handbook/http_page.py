"""The service's OpenAPI document to a reference of every call and every object."""

import json
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from handbook.schema_keys import Key, object_keys, reference
from handbook.table import code, table, words
from service.app import create_app
from service.settings import local_settings
from service.spec_body import spec_components

TAGS = {"jobs": "Jobs", "results": "Results", "operations": "Operations", "workers": "Workers"}
"""Sections of the page, by the tag of their calls, in order."""


def openapi_document() -> dict[str, Any]:
    """The document that a running service gives at `/openapi.json`; nothing is served."""
    with tempfile.TemporaryDirectory() as folder:
        app = create_app(local_settings(Path(folder)))
        try:
            return app.openapi()
        finally:
            app.state.service.database.engine.dispose()


def http_page() -> str:
    """A section per group of calls, then one per object that they take or give."""
    document = openapi_document()
    schemas = document["components"]["schemas"]
    calls = _calls(document["paths"])
    parts = []
    for tag, title in TAGS.items():
        parts.append(f"## {title}")
        parts += [_call(methods, path, call) for methods, path, call in calls if call["tags"] == [tag]]
    parts.append("## Objects")
    parts += [_object(name, schema, schemas) for name, schema in schemas.items() if name not in spec_components()]
    return "\n\n".join(parts)


def _calls(paths: Mapping[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    """Methods, path and description of each call; HEAD stands beside its GET."""
    found = []
    for path, operations in paths.items():
        methods = {method.upper(): call for method, call in operations.items()}
        if "HEAD" in methods and "GET" in methods:
            del methods["HEAD"]
            methods = {("GET, HEAD" if name == "GET" else name): call for name, call in methods.items()}
        found += [(name, path, call) for name, call in methods.items()]
    return found


def _call(methods: str, path: str, call: Mapping[str, Any]) -> str:
    parts = [f"### {call['summary']}", f"```http\n{methods} {path}\n```", words(call.get("description", ""))]
    given: dict[str, Any] = {"properties": {}, "required": []}
    places = {}
    for parameter in call.get("parameters", ()):
        name = parameter["name"]
        given["properties"][name] = parameter["schema"]
        given["required"] += [name] if parameter.get("required") else []
        places[name] = parameter["in"]
    if places:
        rows = [(code(key.path), places[key.path], *_told(key)) for key in object_keys(given, {})]
        parts.append(table(("parameter", "in", "type", "allowed", "default", "meaning"), rows))
    if "requestBody" in call:
        body = call["requestBody"]
        kinds = ", ".join(f"{code(kind)} {_linked(content)}".strip() for kind, content in body["content"].items())
        spared = "" if body.get("required") else " (may be left out)"
        parts.append(f"Body: {kinds}{spared}. {words(body.get('description', ''))}")
    answers = [
        (status, words(answer["description"]), _content(answer)) for status, answer in sorted(call["responses"].items())
    ]
    parts.append(table(("status", "when", "answer"), answers))
    return "\n\n".join(part for part in parts if part)


def _content(answer: Mapping[str, Any]) -> str:
    content = answer.get("content", {})
    told = [f"{code(kind)} {_linked(how)}".strip() for kind, how in content.items()]
    headers = [f"header {code(name)}" for name in answer.get("headers", {})]
    return ", ".join(told + headers)


def _linked(content: Mapping[str, Any]) -> str:
    name = reference(content.get("schema", {}))
    return _link(name) if name else ""


def _link(name: str) -> str:
    return f"[{name}](job-spec.md)" if name in spec_components() else f"[{name}](#{name.lower()})"


def _object(name: str, schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> str:
    rows = []
    for key in object_keys(schema, schemas):
        kind, *rest = _told(key)
        rows.append((code(key.path), _link(key.section) if key.section else kind, *rest))
    parts = [f"### {name}", words(schema.get("description", ""))]
    if rows:
        parts.append(table(("key", "type", "allowed", "default", "meaning"), rows))
    for example in schema.get("examples", ())[:1]:
        parts.append(f"```json\n{_short(example)}\n```")
    return "\n\n".join(part for part in parts if part)


def _told(key: Key) -> tuple[str, ...]:
    default = key.default if key.default == "required" else code(key.default)
    return key.type, key.allowed, default, words(key.meaning)


def _short(example: object) -> str:
    """JSON with a list of plain values on one line."""
    text = json.dumps(example, indent=1)
    return re.sub(r"\[\s*((?:[^\[\]{}]+?))\s*\]", lambda found: f"[{' '.join(found[1].split())}]", text)
