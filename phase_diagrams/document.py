"""A YAML or JSON text to the document that it holds, nothing in it twice and nothing in it checked."""

import json
from typing import Any

import yaml

from phase_diagrams.problem import SpecError, unique_keys


def read_document(text: str) -> object:
    """A YAML or JSON text, parsed but not checked; raises SpecError where it is neither, or repeats a key."""
    try:
        document: object = json.loads(text, object_pairs_hook=unique_keys)
        return document
    except json.JSONDecodeError:
        pass  # then it is YAML, or nothing
    except RecursionError:
        raise SpecError([("", "the spec is nested too deeply")]) from None
    try:
        document = yaml.load(text, Loader=_UniqueKeyLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error)
        raise SpecError([("", f"not valid YAML or JSON{where}: {problem}")]) from None
    except (RecursionError, ValueError, OverflowError, AttributeError, TypeError) as error:
        raise SpecError([("", f"not valid YAML or JSON: {error}")]) from None
    return document


class _UniqueKeyLoader(yaml.SafeLoader):
    """SafeLoader that refuses repeated keys, of which YAML would silently keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key_node, _ in node.value:
            if isinstance(key_node, yaml.ScalarNode):
                if key_node.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {key_node.value!r} is given twice", key_node.start_mark
                    )
                seen.add(key_node.value)
        return super().construct_mapping(node, deep)
