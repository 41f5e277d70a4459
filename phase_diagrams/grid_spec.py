"""The `grid` section of a spec: the axes whose cross product a job trains."""

from typing import Annotated, Literal, get_args

from pydantic import BeforeValidator, Field, WithJsonSchema, field_validator

from phase_diagrams.activation import Activation, parse_activation
from phase_diagrams.axis import MAX_AXIS, Real, Strict, Whole, axis_schema, expand_axis, expand_whole_axis, refuse_bool

Start = Literal["random", "truth"]

SparsityValue = Annotated[Real, Field(ge=0, lt=1)]
WidthValue = Annotated[Whole, Field(ge=1, le=16384)]
ExponentValue = Annotated[Real, Field(ge=-4, le=4)]
SeedValue = Annotated[Whole, Field(ge=0, lt=2**63)]


def _expand_seeds(value: object) -> object:
    refuse_bool(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int):
        if not 1 <= value <= MAX_AXIS:
            raise ValueError(f"{value} is out of range; the number of seeds must be 1 to {MAX_AXIS}")
        return tuple(range(value))
    if isinstance(value, (list, tuple)) and len(value) > MAX_AXIS:
        raise ValueError(f"has {len(value)} values; at most {MAX_AXIS} are allowed")
    return value


class Grid(Strict):
    """The axes; a job is their cross product."""

    sparsity: Annotated[
        tuple[SparsityValue, ...],
        BeforeValidator(expand_axis),
        axis_schema({"type": "number", "minimum": 0, "exclusiveMaximum": 1}),
    ]
    """S = P(x_i = 0), each in [0, 1)."""
    hidden_dim: Annotated[
        tuple[WidthValue, ...],
        BeforeValidator(expand_whole_axis),
        axis_schema({"type": "integer", "minimum": 1, "maximum": 16384}),
    ]
    """n_m, each in 1 .. 16384."""
    activation: tuple[str, ...] = Field(min_length=1, max_length=100)
    """Each one of topk:K, batchtopk:K, relu, relu_l1:LAMBDA."""
    exponent: Annotated[
        tuple[ExponentValue, ...],
        BeforeValidator(expand_axis),
        axis_schema({"type": "number", "minimum": -4, "maximum": 4}),
    ] = (0.0,)
    """Reweighting exponents alpha, each in [-4, 4]; 0 is the plain SAE."""
    seeds: Annotated[
        tuple[SeedValue, ...],
        BeforeValidator(_expand_seeds),
        WithJsonSchema(
            {
                "anyOf": [
                    {"type": "integer", "minimum": 1, "maximum": MAX_AXIS},
                    {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1, "uniqueItems": True},
                ]
            }
        ),
    ] = Field((0, 1, 2, 3), min_length=1)
    """Number of replicates, or the list of their seeds."""
    starts: tuple[Start, ...] = Field(("random", "truth"), min_length=1)
    """Initialisations; `random` must be among them."""

    @field_validator("activation")
    @classmethod
    def _canonical_activations(cls, texts: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(str(parse_activation(text)) for text in texts)

    @field_validator("sparsity", "hidden_dim", "activation", "exponent", "seeds", "starts")
    @classmethod
    def _distinct(cls, values: tuple[object, ...]) -> tuple[object, ...]:
        repeated = sorted({str(value) for value in values if values.count(value) > 1})
        if repeated:
            raise ValueError(f"{', '.join(repeated)} is listed more than once")
        return values

    @field_validator("sparsity", "exponent")
    @classmethod
    def _no_negative_zero(cls, values: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(value + 0.0 for value in values)  # -0.0 and 0.0 are one exponent, so they must hash alike

    @field_validator("starts")
    @classmethod
    def _has_random(cls, starts: tuple[Start, ...]) -> tuple[Start, ...]:
        if "random" not in starts:
            raise ValueError("must contain random: phases compare the truth start with it")
        return tuple(start for start in get_args(Start) if start in starts)

    @property
    def activations(self) -> tuple[Activation, ...]:
        """The activations, parsed."""
        return tuple(parse_activation(text) for text in self.activation)
