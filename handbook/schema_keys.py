"""A JSON Schema to the keys that it allows: type, range, default and meaning of each, in words."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Schema = Mapping[str, Any]

TYPES = {
    "integer": "whole number",
    "number": "number",
    "string": "text",
    "boolean": "true or false",
    "object": "mapping",
    "null": "null",
}
LARGE = 2**31
"""A bound from which on a power of two is written as such."""


@dataclass(frozen=True)
class Key:
    """One key of a mapping."""

    path: str
    """Dotted, from the top of the document."""
    type: str
    """In words: `list of numbers`."""
    allowed: str
    """Its range or its values; empty where the type says all."""
    default: str
    """As JSON; `required` where there is none to fall back on, empty where it is in the keys below."""
    meaning: str
    """The schema's description; empty where it has none."""
    when: str = ""
    """The choice for which the key exists, such as `kind: polygon`; empty for any."""
    section: str = ""
    """Name of the definition that describes what is below, for a mapping; empty for a value."""


def object_keys(schema: Schema, definitions: Schema, prefix: str = "", when: str = "") -> list[Key]:
    """The keys of one mapping, and of no mapping below it.

    Args:
        schema: of type object, with `properties`.
        definitions: what a `$ref` names, by the last part of the reference.
        prefix: path of the mapping, with its dot.
        when: the choice for which it exists.
    """
    required = schema.get("required", ())
    return [
        _key(f"{prefix}{name}", field, definitions, name in required, when)
        for name, field in schema.get("properties", {}).items()
    ]


def nested_keys(schema: Schema, definitions: Schema, prefix: str = "", when: str = "") -> Iterator[Key]:
    """The keys of a mapping, each followed by those of the mapping or the choices that it holds."""
    for key, field in zip(
        object_keys(schema, definitions, prefix, when), schema.get("properties", {}).values(), strict=True
    ):
        yield key
        options = field.get("oneOf", ())
        for part in options or _parts(field):
            inner = _resolve(part, definitions)
            if "properties" in inner and "$ref" in part:
                chosen = inner["properties"].get("kind", {})
                only = chosen.get("const", chosen.get("default")) if options else None
                yield from nested_keys(inner, definitions, f"{key.path}.", f"kind: {only}" if only else when)


def reference(schema: Schema) -> str:
    """The name of the definition that a schema refers to, itself or beside null; empty where it refers to none."""
    names = [part["$ref"].rpartition("/")[2] for part in _parts(schema) if "$ref" in part]
    return str(names[0]) if len(names) == 1 else ""


def _key(path: str, field: Schema, definitions: Schema, required: bool, when: str) -> Key:
    section = reference(field)
    whole = {**_resolve(field, definitions), **field}
    meaning = whole.get("description") or (definitions[section].get("description", "") if section else "")
    below = bool(section) and isinstance(field.get("default"), Mapping)
    default = "" if below else "required" if required else json.dumps(field["default"]) if "default" in field else ""
    parts = [_resolve(part, definitions) for part in _parts(field)]
    allowed = [told for told in dict.fromkeys(_allowed(part) for part in parts) if told]
    return Key(path, _type(field, definitions), "; ".join(allowed), default, meaning, when, section)


def _parts(field: Schema) -> list[Schema]:
    return list(field.get("anyOf") or field.get("oneOf") or [field])


def _resolve(field: Schema, definitions: Schema) -> Schema:
    found: Schema = definitions[field["$ref"].rpartition("/")[2]] if "$ref" in field else field
    return found


def _type(field: Schema, definitions: Schema) -> str:
    found = []
    for part in _parts(field):
        inner = _resolve(part, definitions)
        if inner.get("title") == "AxisRange":
            found.append("range")
        elif inner.get("type") == "array":
            items = _type(inner.get("items", {}), definitions)
            found.append(f"list of {items}s" if items in ("number", "whole number", "text") else f"list of {items}")
        elif "enum" in inner or "const" in inner:
            found.append("one of")
        else:
            found.append(TYPES.get(str(inner.get("type")), "any"))
    return " or ".join(dict.fromkeys(found)).replace("texts", "text")


def _allowed(part: Schema) -> str:
    """The range or the values of one alternative, in words."""
    if "enum" in part:
        return ", ".join(f"`{_plain(value)}`" for value in part["enum"])
    if "const" in part:
        return f"`{_plain(part['const'])}`"
    if part.get("title") == "AxisRange":
        return "`{start, stop, num, spacing}`"
    if part.get("type") == "array":
        items = part.get("items", {})
        # A list in a list, such as a matrix, has its range inside.
        each = _allowed(items)
        told = [f"each {each}" if each and items.get("type") != "array" else each, _count(part, "values", "Items")]
        return ", ".join(word for word in told if word)
    if part.get("type") == "string":
        return _count(part, "characters", "Length") or (f"`{part['pattern']}`" if "pattern" in part else "")
    return _range(part)


def _range(part: Schema) -> str:
    low, high = part.get("minimum"), part.get("maximum")
    if low is not None and high is not None:
        return f"{_number(low)} to {_number(high)}"
    said = []
    for name, sign in (("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤"), ("exclusiveMaximum", "&lt;")):
        if name in part:
            said.append(f"{sign} {_number(part[name])}")
    return ", ".join(said)


def _count(part: Schema, what: str, name: str) -> str:
    low, high = part.get(f"min{name}"), part.get(f"max{name}")
    if high is not None:
        return f"{_number(low)} to {_number(high)} {what}" if low is not None else f"at most {_number(high)} {what}"
    return f"{_number(low)} {what} or more" if low is not None else ""


def _number(value: float) -> str:
    if isinstance(value, int) and value >= LARGE and value & (value - 1) == 0:
        return f"2^{value.bit_length() - 1}"
    return f"{value:,}"


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
