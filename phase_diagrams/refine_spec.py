"""The `refine` section of a spec: how precisely the boundary is wanted, and what may be spent on it."""

from collections.abc import Sequence
from typing import Literal, get_args

from pydantic import Field, field_validator

from phase_diagrams.axis import Real, Strict, Whole, between, natural, smooth

MAX_CANDIDATES = 200
"""Largest number of values of an axis that may be sampled: a two-hundredth of an axis is finer than any band."""

RefineAxis = Literal["sparsity", "hidden_dim", "k"]


class Candidates(Strict):
    """How many values of each axis may be sampled."""

    sparsity: Whole = Field(41, ge=2, le=MAX_CANDIDATES)
    """Values of S between the grid's first and last, even in log(1 - S); the grid's own are among them."""
    hidden_dim: Whole = Field(33, ge=2, le=MAX_CANDIDATES)
    """Values of n_m between the grid's first and last, even in log n_m and whole; the grid's own are among them."""

    def sparsities(self, grid: Sequence[float]) -> tuple[float, ...]:
        """The values of S that may be sampled, ascending, for the grid's."""
        return _refined("sparsity", sorted(grid), self.sparsity)

    def widths(self, grid: Sequence[int]) -> tuple[int, ...]:
        """The values of n_m that may be sampled, ascending, for the grid's; fewer where whole numbers run out."""
        values = {round(value) for value in _refined("hidden_dim", sorted(grid), self.hidden_dim)}
        return tuple(sorted(values))


class Refine(Strict):
    """Adaptive boundary sampling: the grid is where it starts, the boundary is where it goes."""

    budget: Whole = Field(ge=1, le=1_000_000)
    """Trainings to spend at most, those of the coarse start included."""
    tolerance: Real = Field(0.02, gt=0, le=0.5)
    """How far, in shares of an axis, the band may reach from the boundary when sampling stops."""
    axes: tuple[RefineAxis, ...] = ("sparsity", "hidden_dim")
    """What the boundary runs through: sparsity and hidden_dim; with k, panels of topk activations share what they learn
    of each other."""
    candidates: Candidates = Candidates()
    confidence: Real = Field(0.95, ge=0.5, le=0.999)
    """Of the band that `tolerance` is about."""

    @field_validator("axes")
    @classmethod
    def _known_axes(cls, axes: tuple[RefineAxis, ...]) -> tuple[RefineAxis, ...]:
        missing = [axis for axis in ("sparsity", "hidden_dim") if axis not in axes]
        if missing or len(set(axes)) < len(axes):
            raise ValueError("must be sparsity and hidden_dim, and k if wanted, each once")
        return tuple(axis for axis in get_args(RefineAxis) if axis in axes)


def _refined(axis: str, grid: Sequence[float], num: int) -> tuple[float, ...]:
    """`num` values that hold the grid's as they are, the others at ten significant digits."""
    own = dict(zip(smooth(axis, grid).tolist(), grid, strict=True))
    return tuple(own[place] if place in own else natural(axis, place) for place in between(list(own), num).tolist())
