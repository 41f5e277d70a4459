"""A stranger's YAML or JSON to a `JobSpec`: every default filled in, every number in its range."""

import json
import math
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

import numpy as np
import yaml
from pydantic import (
    BeforeValidator,
    Field,
    StrictBool,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from phase_diagrams.activation import Activation, parse_activation
from phase_diagrams.axis import MAX_AXIS, Strict, axis_schema, expand_axis, expand_whole_axis, refuse_bool
from phase_diagrams.problem import SpecError as SpecError
from phase_diagrams.problem import find_problems, unique_keys
from phase_diagrams.proxy import Proxy
from phase_diagrams.refine_spec import Refine
from phase_diagrams.reweighting_spec import Reweighting, Search

MAX_TRIALS = 1_000_000
"""Largest number of trials that one spec may ask for."""
Start = Literal["random", "truth"]


Real = Annotated[float, BeforeValidator(refuse_bool)]
Whole = Annotated[int, BeforeValidator(refuse_bool)]


class RandomUnit(Strict):
    """Feature directions uniform on the unit sphere."""

    kind: Literal["random_unit"] = "random_unit"
    seed: Whole = Field(0, ge=0, lt=2**63)
    """Dictionary seed."""


class ToyModel(Strict):
    """Directions learned by the toy model of superposition (Elhage et al. 2022), columns scaled to unit norm."""

    kind: Literal["toy_model"]
    sparsity: Real = Field(0.99, ge=0, lt=1)
    """P(x_i = 0) while the dictionary is trained."""
    steps: Whole = Field(5000, ge=1, le=1_000_000)
    """Optimiser steps."""
    seed: Whole = Field(0, ge=0, lt=2**63)
    """Dictionary seed."""


class Polygon(Strict):
    """Single features, antipodal pairs and regular pentagons, each in dimensions of its own."""

    kind: Literal["polygon"]
    mono: Whole = Field(0, ge=0, le=4096)
    """Monosemantic dimensions: 1 feature in 1 dimension."""
    digon: Whole = Field(0, ge=0, le=4096)
    """Antipodal pairs: 2 features in 1 dimension."""
    pentagon: Whole = Field(0, ge=0, le=4096)
    """Regular pentagons: 5 features in 2 dimensions."""


class Explicit(Strict):
    """A matrix of the user's own, n_inputs rows of n_features numbers; columns are scaled to unit norm."""

    kind: Literal["explicit"]
    matrix: tuple[tuple[Real, ...], ...] | None = None
    """W_p, written in the spec."""
    path: str | None = None
    """A .npy file beside the spec, read when the spec is read (never over HTTP)."""

    @model_validator(mode="before")
    @classmethod
    def _read_path(cls, value: object, info: ValidationInfo) -> object:
        if not isinstance(value, Mapping):
            return value
        value = dict(value)
        path, matrix = value.get("path"), value.get("matrix")
        if (path is None) == (matrix is None):
            raise ValueError("give exactly one of matrix and path")
        if path is None:
            return value
        folder = (info.context or {}).get("folder")
        if folder is None:
            raise ValueError("path is read beside a spec file only; here, give matrix")
        try:
            array = np.load(Path(folder) / str(path), allow_pickle=False)
        except (OSError, ValueError) as error:
            raise ValueError(f"path: cannot read {str(path)!r} as .npy ({error})") from None
        if not isinstance(array, np.ndarray) or array.ndim != 2 or array.dtype.kind not in "fiu":
            raise ValueError(f"path: {str(path)!r} does not hold a matrix of numbers")
        return {**value, "path": None, "matrix": array.astype(float).tolist()}

    @field_validator("matrix")
    @classmethod
    def _rectangular(cls, rows: tuple[tuple[float, ...], ...] | None) -> tuple[tuple[float, ...], ...] | None:
        if rows is not None:
            lengths = sorted({len(row) for row in rows})
            if len(lengths) != 1 or lengths[0] == 0:
                raise ValueError(f"rows must have one and the same length >= 1; they have lengths {lengths}")
        return rows


class Firing(Strict):
    """How often each feature is active; the mean density stays 1 - S."""

    kind: Literal["uniform", "zipf"] = "uniform"
    """Equal rates, or rates falling as rank**-exponent."""
    exponent: Real = Field(1.0, ge=0, le=4)
    """Zipf exponent."""


class Code(Strict):
    """The law of the ground-truth features x."""

    kind: Literal["bernoulli", "exact"] = "bernoulli"
    """Independent features, or exactly round(n (1 - S)) active ones (at least 1)."""
    magnitude: Literal["uniform", "constant", "half_normal", "exponential"] = "uniform"
    """Law of an active feature: Uniform(0, 1], 1, |N(0, 1)|, Exponential(1)."""
    firing: Firing = Firing()


Superposition = RandomUnit | ToyModel | Polygon | Explicit


class Data(Strict):
    """The planted superposition model x_p = W_p x."""

    n_features: Whole = Field(ge=1, le=4096)
    """n, the number of ground-truth features."""
    n_inputs: Whole = Field(ge=1, le=4096)
    """n_p, the number of input dimensions."""
    superposition: Annotated[Superposition, Field(discriminator="kind")] = RandomUnit()
    """W_p."""
    code: Code = Code()
    noise: Real = Field(0.0, ge=0, le=10)
    """Standard deviation of the Gaussian noise added to the inputs."""


SparsityValue = Annotated[float, BeforeValidator(refuse_bool), Field(ge=0, lt=1)]
WidthValue = Annotated[int, BeforeValidator(refuse_bool), Field(ge=1, le=16384)]
ExponentValue = Annotated[float, BeforeValidator(refuse_bool), Field(ge=-4, le=4)]
SeedValue = Annotated[int, BeforeValidator(refuse_bool), Field(ge=0, lt=2**63)]


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


class Sae(Strict):
    """The autoencoder's architecture."""

    tied: StrictBool = True
    """True: one matrix, no bias (the paper). False: untied, with biases and a unit-norm decoder."""


class Stop(Strict):
    """When a training that has converged may take the rest of its schedule in short."""

    patience: Whole = Field(200, ge=10, le=1_000_000)
    """Steps of the two windows whose mean losses are compared, and of the rest of the schedule once they agree."""
    tolerance: Real = Field(0.005, gt=0, lt=1)
    """Converged: the later window's loss is below the earlier one's by at most this fraction."""


class Training(Strict):
    """The optimiser and its budget."""

    steps: Whole = Field(1500, ge=1, le=10_000_000)
    """Adam steps."""
    batch_size: Whole = Field(512, ge=1, le=65536)
    """Fresh samples per step."""
    learning_rate: Real = Field(0.003, gt=0, le=1)
    """Peak learning rate."""
    schedule: Literal["linear", "constant", "cosine"] = "linear"
    """Learning rate over the steps: linearly to 0, constant, or half a cosine to 0."""
    stop: Stop | None = None
    """Early stopping of trials that have converged; null: every trial takes all steps."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """bfloat16 rounds the factors of the encoder's product, for GPUs; weights and all else stay float32."""


class Recovery(Strict):
    """When a feature counts as recovered, and a trial as identified."""

    cosine: Real = Field(0.9, gt=0, le=1)
    """A feature is recovered if its matched cosine is at least this."""
    fraction: Real = Field(0.9, gt=0, le=1)
    """A trial is identified if at least this share of the n features is recovered."""


class Resources(Strict):
    """What one pack occupies on the Ray cluster."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto takes GPUs where the cluster has them."""
    gpus_per_trial: Real = Field(0.25, ge=0.001, le=8)
    """GPUs (or a fraction of one) that a pack reserves when it runs on GPUs."""
    cpus_per_trial: Real = Field(1, ge=0.01, le=1024)
    """CPUs that a pack reserves."""
    max_concurrent: Annotated[int, Field(ge=1, le=100_000), BeforeValidator(refuse_bool)] | None = None
    """Largest number of packs at a time; null leaves it to the resources."""


class JobSpec(Strict):
    """A phase diagram to be made: the planted model, the grid, the training and the thresholds."""

    name: str = Field("unnamed", min_length=1, max_length=200)
    """A label."""
    data: Data
    grid: Grid
    sae: Sae = Sae()
    training: Training = Training()
    recovery: Recovery = Recovery()
    refine: Refine | None = None
    """Adaptive boundary sampling: the grid's sparsity and hidden_dim are then its range and its coarse start, and seeds
    the most that a condition gets; null runs the full grid."""
    reweighting: Reweighting | None = None
    """The proxy that weights the loss, and the exponent search; null is {proxy: variance} without a search."""
    resources: Resources = Resources()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        data, grid = self.data, self.grid
        widest = min(grid.hidden_dim)
        for activation in grid.activations:
            if activation.k is not None and activation.k > widest:
                raise ValueError(
                    f"grid.activation: {activation} keeps more latents than grid.hidden_dim {widest} has; "
                    f"k must be at most {widest}"
                )
        if isinstance(data.superposition, Polygon):
            _check_polygon(data)
        if isinstance(data.superposition, Explicit):
            _check_shape(data)
        if self.refine is not None:
            _check_refine(self.refine, grid)
        candidates = self.n_conditions * len(grid.seeds) * len(grid.starts)
        if self.refine is not None and candidates > MAX_TRIALS:
            raise ValueError(
                f"refine.candidates: {candidates:,} trials could be asked for (candidates x activations x exponents x "
                f"seeds x starts); at most {MAX_TRIALS:,} are allowed in one job"
            )
        if self.search is not None and 0.0 not in grid.exponent:
            raise ValueError("grid.exponent: must contain 0 for a reweighting.search: gains are measured against it")
        if self.search is not None and self.refine is not None:
            raise ValueError("refine: does not go with a reweighting.search; leave one of them out")
        if self.n_trials > MAX_TRIALS:
            raise ValueError(
                f"grid: the cross product{' and the search are' if self.search else ' is'} {self.n_trials:,} trials; "
                f"at most {MAX_TRIALS:,} are allowed in one job"
            )
        return self

    @cached_property
    def sparsities(self) -> tuple[float, ...]:
        """The values of S that a condition may have: the grid's, with `refine` all candidates, ascending."""
        grid = self.grid.sparsity
        return grid if self.refine is None else self.refine.candidates.sparsities(grid)

    @cached_property
    def widths(self) -> tuple[int, ...]:
        """The values of n_m that a condition may have: the grid's, with `refine` all candidates, ascending."""
        grid = self.grid.hidden_dim
        return grid if self.refine is None else self.refine.candidates.widths(grid)

    @property
    def adaptive(self) -> bool:
        """Whether which trials are trained depends on the results of others."""
        return self.refine is not None or self.search is not None

    @property
    def n_conditions(self) -> int:
        """Number of combinations of sparsity, hidden_dim, activation and exponent that may be trained."""
        grid = self.grid
        return math.prod(len(axis) for axis in (self.sparsities, self.widths, grid.activation, grid.exponent))

    @property
    def search(self) -> Search | None:
        """The exponent search, if there is one."""
        return self.reweighting.search if self.reweighting else None

    @property
    def proxy(self) -> Proxy:
        """What s_i is in the weights of the loss."""
        return self.reweighting.proxy if self.reweighting else "variance"

    @property
    def n_trials(self) -> int:
        """Largest number of trainings that the job may ask for: the grid, and the search with its confirmation; or
        what `refine` may spend."""
        if self.refine is not None:
            return self.refine.budget
        grid, search = self.grid, self.search
        trials = self.n_conditions * len(grid.seeds) * len(grid.starts)
        if search is not None and self.reweighting is not None:
            confirm = 2 * self.reweighting.confirm_seeds * len(grid.starts)
            trials += self.n_conditions // len(grid.exponent) * (search.trials * len(grid.seeds) + confirm)
        return trials


def _check_refine(refine: Refine, grid: Grid) -> None:
    for key, values, num in (
        ("sparsity", grid.sparsity, refine.candidates.sparsity),
        ("hidden_dim", grid.hidden_dim, refine.candidates.hidden_dim),
    ):
        if num < len(values):
            raise ValueError(
                f"refine.candidates.{key}: {num} is fewer than the {len(values)} values of grid.{key}, which are among "
                "the candidates"
            )
    if len(grid.sparsity) == 1 and len(grid.hidden_dim) == 1:
        raise ValueError(
            "refine: grid.sparsity or grid.hidden_dim must have two values or more, else there is no range"
        )
    if "k" in refine.axes and not any(text.startswith("topk:") for text in grid.activation):
        raise ValueError("refine.axes: k needs topk activations in grid.activation")
    coarse = math.prod(
        len(axis) for axis in (grid.sparsity, grid.hidden_dim, grid.activation, grid.exponent, grid.starts)
    )
    if refine.budget < coarse:
        raise ValueError(
            f"refine.budget: {refine.budget:,} is less than the {coarse:,} trainings of the coarse start (every "
            "condition of the grid once from every start)"
        )


def _check_polygon(data: Data) -> None:
    shape = data.superposition
    assert isinstance(shape, Polygon)
    n_features = shape.mono + 2 * shape.digon + 5 * shape.pentagon
    n_inputs = shape.mono + shape.digon + 2 * shape.pentagon
    if (n_features, n_inputs) != (data.n_features, data.n_inputs):
        raise ValueError(
            f"data.superposition: mono + 2 digon + 5 pentagon = {n_features} features and "
            f"mono + digon + 2 pentagon = {n_inputs} inputs, but data.n_features is {data.n_features} "
            f"and data.n_inputs is {data.n_inputs}"
        )


def _check_shape(data: Data) -> None:
    explicit = data.superposition
    assert isinstance(explicit, Explicit)
    assert explicit.matrix is not None
    shape = (len(explicit.matrix), len(explicit.matrix[0]))
    if shape != (data.n_inputs, data.n_features):
        raise ValueError(
            f"data.superposition.matrix: is {shape[0]} x {shape[1]}; it must be n_inputs x n_features = "
            f"{data.n_inputs} x {data.n_features}"
        )
    columns = np.linalg.norm(np.array(explicit.matrix), axis=0)
    if not np.all(columns > 0):
        raise ValueError(f"data.superposition.matrix: column {int(np.argmin(columns))} is zero and has no direction")


def parse_spec(document: object, folder: Path | None = None) -> JobSpec:
    """Check a parsed document; `folder` is where `explicit.path` may be read (None: nowhere).

    Raises SpecError that names every bad key.
    """
    if not isinstance(document, Mapping):
        raise SpecError([("", "the spec must be a mapping with the keys " + ", ".join(JobSpec.model_fields))])
    try:
        return JobSpec.model_validate(dict(document), context={"folder": folder})
    except ValidationError as error:
        raise SpecError(find_problems(error, JobSpec)) from None
    except RecursionError:
        raise SpecError([("", "the spec is nested too deeply")]) from None


def read_spec(text: str, folder: Path | None = None) -> JobSpec:
    """Read a YAML or JSON text and check it as `parse_spec` does; raises SpecError."""
    return parse_spec(read_document(text), folder)


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


def spec_json(spec: JobSpec) -> str:
    """The spec with every default filled in, as JSON text that `read_spec` reads back to an equal spec."""
    return json.dumps(spec.model_dump(mode="json"), indent=2) + "\n"


def spec_schema() -> dict[str, Any]:
    """The job spec's JSON Schema (draft 2020-12)."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **JobSpec.model_json_schema()}
