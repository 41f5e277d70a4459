"""The `data` section of a spec: the planted superposition model and the law of its features."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, ValidationInfo, field_validator, model_validator

from phase_diagrams.axis import Real, Strict, Whole


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


def check_superposition(data: Data) -> None:
    """Raise ValueError, which names the key, where the superposition is not n_inputs x n_features."""
    if isinstance(data.superposition, Polygon):
        _check_polygon(data, data.superposition)
    if isinstance(data.superposition, Explicit):
        _check_explicit(data, data.superposition)


def _check_polygon(data: Data, shape: Polygon) -> None:
    n_features = shape.mono + 2 * shape.digon + 5 * shape.pentagon
    n_inputs = shape.mono + shape.digon + 2 * shape.pentagon
    if (n_features, n_inputs) != (data.n_features, data.n_inputs):
        raise ValueError(
            f"data.superposition: mono + 2 digon + 5 pentagon = {n_features} features and "
            f"mono + digon + 2 pentagon = {n_inputs} inputs, but data.n_features is {data.n_features} "
            f"and data.n_inputs is {data.n_inputs}"
        )


def _check_explicit(data: Data, explicit: Explicit) -> None:
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
