"""A list of values, or a range that stands for one, to the axis of a grid."""

import math
from collections.abc import Mapping
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema

from phase_diagrams.problem import find_problems

Floats = npt.NDArray[np.float64]

MAX_AXIS = 10_000
"""Largest number of values on one axis."""


class Strict(BaseModel):
    """A frozen model that refuses unknown keys, NaN and infinities."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


def refuse_bool(value: object) -> object:
    """Refuse true and false where a number is wanted: they would count as 1 and 0."""
    if isinstance(value, bool):
        raise ValueError(f"{str(value).lower()} is not a number")
    return value


Real = Annotated[float, BeforeValidator(refuse_bool)]
"""A number; true and false are none."""
Whole = Annotated[int, BeforeValidator(refuse_bool)]
"""A whole number; true and false are none."""


def expand_axis(value: object) -> object:
    """Turn `{start, stop, num, spacing}` into its list; leave lists for the field's own check."""
    if isinstance(value, Mapping):
        try:
            values = AxisRange.model_validate(dict(value)).values()
        except ValidationError as error:
            raise ValueError("; ".join(f"{k}: {m}" for k, m in find_problems(error, AxisRange))) from None
    elif isinstance(value, (list, tuple)):
        values = list(value)
    else:
        raise ValueError("must be a list, or a range {start, stop, num, spacing}")
    if not values:
        raise ValueError("must not be empty")
    if len(values) > MAX_AXIS:
        raise ValueError(f"has {len(values)} values; at most {MAX_AXIS} are allowed")
    return values


def expand_whole_axis(value: object) -> object:
    """The same, for whole numbers."""
    values = expand_axis(value)
    if isinstance(value, Mapping) and isinstance(values, list):
        # Neighbours of a fine range may round to one width; an overflow is left for the field's own check.
        return list(dict.fromkeys(round(v) if math.isfinite(v) else v for v in values))
    return values


class AxisRange(Strict):
    """A list of values written as a range."""

    start: Real
    """First value."""
    stop: Real
    """Last value (included)."""
    num: Whole = Field(ge=1, le=MAX_AXIS)
    """Number of values."""
    spacing: Literal["linear", "log", "log_density"] = "linear"
    """Even in the value, in its logarithm, or in the logarithm of 1 - value (for sparsities)."""

    def values(self) -> list[float]:
        """The values, rounded to 10 significant digits so that equal grids written differently are equal."""
        if self.spacing == "log" and min(self.start, self.stop) <= 0:
            raise ValueError("spacing log needs start > 0 and stop > 0")
        if self.spacing == "log_density" and max(self.start, self.stop) >= 1:
            raise ValueError("spacing log_density needs start < 1 and stop < 1")
        with np.errstate(all="ignore"):  # what overflows is refused by the field's range
            if self.spacing == "log":
                raw = np.geomspace(self.start, self.stop, self.num)
            elif self.spacing == "log_density":
                raw = 1 - np.geomspace(1 - self.start, 1 - self.stop, self.num)
            else:
                raw = np.linspace(self.start, self.stop, self.num)
        return [float(f"{value:.10g}") for value in raw]


def axis_schema(item: dict[str, object]) -> WithJsonSchema:
    """JSON Schema of an axis whose values fit `item`."""
    span = AxisRange.model_json_schema()
    listing = {"type": "array", "items": item, "minItems": 1, "maxItems": MAX_AXIS, "uniqueItems": True}
    return WithJsonSchema({"anyOf": [listing, span]})


def smooth(axis: str, values: npt.ArrayLike) -> Floats:
    """The coordinate in which a boundary is expected to be smooth; rising with the value.

    -log10(1 - S) for sparsity, log2 for hidden_dim and k.
    """
    numbers = np.asarray(values, dtype=np.float64)
    return -np.log10(1 - numbers) if axis == "sparsity" else np.log2(numbers)


def natural(axis: str, value: float) -> float:
    """The inverse of `smooth`, at ten significant digits: the smooth coordinate's rounding is dropped."""
    number = 1 - 10.0**-value if axis == "sparsity" else 2.0**value
    return float(f"{number:.10g}")


def between(ends: npt.ArrayLike, num: int) -> Floats:
    """`num` ascending numbers that hold all the given ones and are as even between them as that allows.

    The num - 1 steps go to the gaps in proportion to their length: one each, then by largest remaining step.

    Args:
        ends: two or more distinct numbers, or one, which is then alone.
        num: at least as many as there are given.
    """
    fixed = np.unique(np.asarray(ends, dtype=np.float64))
    gaps = np.diff(fixed)
    steps = np.ones(len(gaps), dtype=np.intp)
    for _ in range(num - len(fixed) if len(gaps) else 0):
        # Rounded, so that equal gaps are equal on every machine and the first of them comes first.
        steps[np.argmax(np.round(gaps / steps, 12))] += 1
    inner = [low + gap * np.arange(n) / n for low, gap, n in zip(fixed, gaps, steps, strict=False)]
    return np.concatenate([*inner, fixed[-1:]])
