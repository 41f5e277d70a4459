"""The job spec's JSON Schema to a reference of every key."""

from collections.abc import Iterable

from handbook.schema_keys import Key, nested_keys
from handbook.table import code, table, words
from phase_diagrams.axis import AxisRange
from phase_diagrams.spec import spec_schema

HEAD = ("key", "type", "allowed", "default", "meaning")


def spec_page() -> str:
    """A section per part of the spec, with a table of its keys; and how a range is written."""
    schema = spec_schema()
    keys = list(nested_keys(schema, schema["$defs"]))
    sections = [f"## The whole\n\n{_rows(key for key in keys if '.' not in key.path)}"]
    for name in schema["properties"]:
        below = [key for key in keys if key.path.startswith(f"{name}.")]
        if below:
            sections.append(f"## {name} {{#{name}}}\n\n{_said(name, keys)}\n\n{_rows(below)}")
    span = AxisRange.model_json_schema()
    ranges = list(nested_keys(span, {}, "range."))
    sections.append(f"## Ranges {{#range}}\n\n{words(span['description'])}\n\n{_rows(ranges)}")
    return "\n\n".join(sections)


def anchor(key: Key) -> str:
    """The id of a key's row: its path, and for a key of several choices the choice too."""
    return f"{key.path}-{key.when.removeprefix('kind: ')}" if key.when else key.path


def _rows(keys: Iterable[Key]) -> str:
    return table(HEAD, (_row(key) for key in keys))


def _row(key: Key) -> tuple[str, ...]:
    name = f"`{key.path}`{{#{anchor(key)}}}" if "." in key.path else f"[`{key.path}`](#{key.path})"
    if key.path == "name":
        name = "`name`{#name}"
    default = key.default if key.default == "required" else code(key.default)
    when = f"With `{key.when}`. " if key.when else ""
    return (name, key.type, key.allowed, default, when + words(key.meaning))


def _said(name: str, keys: list[Key]) -> str:
    return words(next(key.meaning for key in keys if key.path == name))
