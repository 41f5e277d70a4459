"""Pydantic's errors to one paragraph that names each bad key and what is allowed there."""

import difflib
from typing import TypeGuard, get_args

from pydantic import BaseModel, ValidationError


class SpecError(ValueError):
    """A spec that cannot be run; `problems` holds (key, message) pairs, `str()` is one readable paragraph."""

    def __init__(self, problems: list[tuple[str, str]]) -> None:
        self.problems = tuple(problems)
        text = "; ".join(f"{key}: {message}" if key else message for key, message in problems)
        super().__init__(" ".join(text.split()))  # one paragraph, whatever a key or value contains


def find_problems(error: ValidationError, model: type[BaseModel]) -> list[tuple[str, str]]:
    """Pydantic's errors as (key, message) pairs in the words of the contract."""
    found = []
    for item in error.errors(include_url=False):
        location, known = _locate(item["loc"], model)
        kind, message = item["type"], item["msg"]
        if kind == "extra_forbidden":
            name = str(item["loc"][-1])
            nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
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
        found.append((location, message))
    return found


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
        sections = [one for one in (annotation, *get_args(annotation)) if _is_model(one) and not _tags(one)]
        if len(sections) == 1:
            here = sections[0]
        tagged = {tag: choice for choice in get_args(annotation) for tag in _tags(choice)}
    return text, known


def _is_model(annotation: object) -> TypeGuard[type[BaseModel]]:
    """Whether a field's type is a section of its own; one that may be null is a union of it and None."""
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _tags(choice: object) -> tuple[str, ...]:
    """The values of `kind` that select a member of a tagged union."""
    if _is_model(choice) and "kind" in choice.model_fields:
        return tuple(get_args(choice.model_fields["kind"].annotation))
    return ()


_WORDS = {
    "tuple_type": "it must be a list, such as [a, b]",
    "model_type": "it must be a mapping of keys to values",
    "model_attributes_type": "it must be a mapping of keys to values",
}
"""What a user is told where pydantic speaks of Python's types."""


def _short(value: object) -> str:
    text = "null" if value is None else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
