"""The values of a coarse grid to the lattice of places that refinement may sample, in shares of each axis."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from phase_diagrams.binomial_field import Lengths, features

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Lattice:
    """The places of one posterior: the product of its axes, in shares of each, the last axis fastest.

    The last two axes span the plane of a picture; further ones before them (k) number its panels.
    """

    axes: tuple[Floats, ...]
    _planes: dict[Lengths, Floats] = field(default_factory=dict, init=False, repr=False)

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of places along each axis."""
        return tuple(len(axis) for axis in self.axes)

    @property
    def places(self) -> Floats:
        """Every place, (places, axes)."""
        return np.stack(np.meshgrid(*self.axes, indexing="ij"), axis=-1).reshape(-1, len(self.axes))

    @property
    def cells(self) -> Floats:
        """The share of the whole that each place stands for, (places,); they add up to the number of planes."""
        plane = np.outer(_widths(self.axes[-2]), _widths(self.axes[-1])).ravel()
        return np.tile(plane, math.prod(self.shape[:-2]))

    def features(self, lengths: Lengths) -> Floats:
        """`binomial_field.features` of all places, computed once."""
        if lengths not in self._planes:
            self._planes[lengths] = features(self.places, lengths)
        return self._planes[lengths]


def shares(values: Sequence[float]) -> Floats:
    """Ascending coordinates as shares of their range; one alone is 0."""
    numbers = np.asarray(values, dtype=np.float64)
    span = numbers[-1] - numbers[0]
    return np.asarray((numbers - numbers[0]) / (span if span > 0 else 1.0))


def _widths(axis: Floats) -> Floats:
    """The share of an axis that is nearest to each of its places."""
    edges = np.concatenate([[0.0], (axis[1:] + axis[:-1]) / 2, [1.0]])
    return np.diff(edges)
