"""Pydantic's errors to one paragraph that names each bad key and what is allowed there."""

import difflib
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

MAX_PROBLEMS = 50
"""Problems of one spec that are told; heuristic: more than anybody reads, and few to put into words."""
MAX_FOUND = 10_000
"""Problems above which none is told: pydantic has no way to make only the first of them, and each takes it 30 us."""
MAX_TEXT = 400
"""Longest key and longest message that are told, in characters; heuristic: the longest list of allowed keys fits."""


class SpecError(ValueError):
    """A spec that cannot be run; `problems` holds (key, message) pairs, `str()` is one readable paragraph."""

    def __init__(self, problems: list[tuple[str, str]]) -> None:
        self.problems = tuple(problems)
        text = "; ".join(f"{key}: {message}" if key else message for key, message in problems)
        super().__init__(" ".join(text.split()))  # one paragraph, whatever a key or value contains


def find_problems(error: ValidationError, model: type[BaseModel]) -> list[tuple[str, str]]:
    """Pydantic's errors as (key, message) pairs in the words of the contract."""
    found: list[tuple[str, str]] = []
    if error.error_count() > MAX_FOUND:
        return [("", f"{error.error_count():,} of its keys and values are not allowed, too many to name them")]
    for item in error.errors(include_url=False)[:MAX_PROBLEMS]:
        location, known = _locate(item["loc"], model)
        kind, message = item["type"], item["msg"]
        if kind == "extra_forbidden":
            name = str(item["loc"][-1])
            nearest = difflib.get_close_matches(name[:MAX_TEXT], known, n=1, cutoff=0.5)
            hint = f"did you mean {nearest[0]!r}? " if nearest else ""
            message = f"unknown key; {hint}allowed here: {', '.join(known)}"
        elif kind == "missing":
            message = "required, but missing"
        elif kind == "union_tag_invalid":
            location = f"{location}.kind"
            message = f"{_short(item['input'].get('kind'))} is not allowed; allowed: {item['ctx']['expected_tags']}"
        elif kind == "union_tag_not_found":
            message = "kind is required; allowed: random_unit, toy_model, polygon, explicit"
        elif kind == "none_required":
            message = "not available in this version; it must be null or left out"
        elif kind == "value_error":
            message = str(item["ctx"]["error"])
            if message.startswith(("grid", "data")):
                location = ""
        else:
            words = _WORDS.get(kind, f"{message[0].lower()}{message[1:]}")
            message = f"{_short(item['input'])} is not allowed: {words}"
        found.append((_cut(location), _cut(message)))
    if error.error_count() > MAX_PROBLEMS:
        found.append(("", f"and {error.error_count() - MAX_PROBLEMS:,} more"))
    return found


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The pairs of a JSON object as a mapping; raises SpecError where a key is given twice."""
    document = dict[str, Any]()
    for key, value in pairs:
        if key in document:
            raise SpecError([("", f"the key {_short(key)} is given twice")])
        document[key] = value
    return document


def _locate(loc: tuple[int | str, ...], model: type[BaseModel]) -> tuple[str, list[str]]:
    """A dotted key without pydantic's union tags, and the keys known beside its last part."""
    text, here, known = "", model, list(model.model_fields)
    tagged: dict[int | str, type[BaseModel]] = {}
    for part in loc:
        if isinstance(part, int):
            text += f"[{part}]"
            continue
        if part not in here.model_fields and part in tagged:
            here = tagged[part]
            known = list(here.model_fields)
            continue
        text += f".{part}" if text else str(part)
        known = list(here.model_fields)
        annotation = here.model_fields[part].annotation if part in here.model_fields else None
        here = _only_model(annotation) or here
        tagged = {tag: choice for choice in get_args(annotation) for tag in _tags(choice)}
    return text, known


def _only_model(annotation: object) -> type[BaseModel] | None:
    """The model that a key holds; None where it holds none, or a choice of several."""
    choices = [part for part in get_args(annotation) if part is not type(None)] or [annotation]
    only = choices[0] if len(choices) == 1 else None
    return only if isinstance(only, type) and issubclass(only, BaseModel) else None


def _tags(choice: object) -> tuple[str, ...]:
    """The values of `kind` that select a member of a tagged union."""
    if isinstance(choice, type) and issubclass(choice, BaseModel) and "kind" in choice.model_fields:
        return tuple(get_args(choice.model_fields["kind"].annotation))
    return ()


_WORDS = {
    "tuple_type": "it must be a list, such as [a, b]",
    "model_type": "it must be a mapping of keys to values",
    "model_attributes_type": "it must be a mapping of keys to values",
}
"""What a user is told where pydantic speaks of Python's types."""


def _cut(text: str) -> str:
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}..."


def _short(value: object) -> str:
    text = "null" if value is None else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
