"""Seed outcomes on lattices to the trainings that would tell most of where P = 1/2, and to how well that is known.

Numbers only: a lattice's places, starts and seeds are indices here; refine_planner.py says which trials they are.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.spatial import KDTree
from scipy.special import ndtr

from phase_diagrams.acquisition import Gains
from phase_diagrams.band import probits_of, reach
from phase_diagrams.binomial_field import LENGTH_SCALES, Component, fit_components, refit_components
from phase_diagrams.lattice import Lattice

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.intp]

RANDOM, TRUTH = 0, 1
"""Starts, as indices."""

EXPLORED = 0.06
"""Distance, in axis lengths, that no place needs to be farther than from a sampled one; heuristic: a quarter of the
shortest length scale of the fit, below which more trainings there are the acquisition's to ask for."""
EXPLORATION = 1 / 16
"""Share of a batch's trainings that goes to the places farthest from all that was sampled, whatever the fit says there:
what keeps an island from being missed. Heuristic; benchmarks/refinement.py measures what it finds and costs."""


class Choice(NamedTuple):
    """A training: indices of its field, of the place on that field's lattice, of the seed and of the start."""

    field: int
    place: int
    seed: int
    start: int


@dataclass(frozen=True, slots=True, eq=False)
class Estimate:
    """The posterior of one boundary of one field, and what it says on the lattice."""

    components: tuple[Component, ...]
    known: Indices
    """(conditions,), the places that had outcomes."""
    above: Floats
    """(places,), P(f > 0)."""
    reach: float
    """How far undecided places are from the line, in axis lengths: the worst plane's."""


@dataclass(slots=True, eq=False)
class Field:
    """One lattice with all that was asked and seen on it."""

    lattice: Lattice
    prices: Floats
    """(places,), cost of one training."""
    streams: Indices
    """(places,), number of the data stream's sparsity: trainings of one stream and seed share batches."""
    asked: Flags
    """(places, starts, seeds)."""
    estimates: list[Estimate | None] = field(init=False)
    """By start; None before the first fit."""

    def __post_init__(self) -> None:
        self.estimates = [None] * self.asked.shape[1]

    @property
    def nearest(self) -> Floats:
        """(places,), distance to the nearest place of the same plane that was asked for."""
        planes = self.asked.any(axis=(1, 2)).reshape(-1, self.lattice.shape[-2] * self.lattice.shape[-1])
        points = self.lattice.places[: planes.shape[1], -2:]
        return np.concatenate([_distance(points, points[plane]) for plane in planes])


def estimate(
    lattice: Lattice,
    counts: Floats,
    totals: Floats,
    confidence: float,
    earlier: Estimate | None = None,
    wander: bool = False,
) -> Estimate:
    """Fit the outcomes of a lattice's places; from `earlier` on where it is given, which is faster (refit_components).

    Args:
        lattice: the places.
        counts, totals: (places,), seeds identified and trained; at least one is trained.
        confidence: of the band whose reach is wanted.
        earlier: an estimate from fewer outcomes of the same lattice.
        wander: whether hyperparameters beside the best of `earlier` are tried too.
    """
    known = np.flatnonzero(totals > 0)
    places = lattice.places[known]
    outcomes = counts[known], totals[known]
    if earlier is None:
        scales = [LENGTH_SCALES if len(axis) > 1 else (np.inf,) for axis in lattice.axes]
        components = fit_components(places, *outcomes, list(product(*scales)))
    else:
        where = np.searchsorted(known, earlier.known)
        components = refit_components(earlier.components, where, places, *outcomes, wander=wander)
    u, v = lattice.axes[-2:]
    above = probability_above(lattice, components)
    planes = probits_of(above).reshape(-1, len(u), len(v))
    return Estimate(components, known, above, max(reach(plane, u, v, confidence) for plane in planes))


def probability_above(lattice: Lattice, components: Sequence[Component]) -> Floats:
    """Posterior probability that f > 0, i.e. that P(identified) > 1/2, at each of the lattice's places."""
    above = np.zeros(math.prod(lattice.shape))
    for component in components:
        a = lattice.features(component.lengths) @ component.root
        above += component.weight * ndtr((a @ component.shift) / np.sqrt(np.einsum("pf,pf->p", a, a)))
    return above


def choose(fields: Sequence[Field], size: int, tolerance: float, stream_price: float) -> list[Choice]:
    """At most `size` trainings, marked as asked for: a share of them explores, the rest tells most for its price.

    One by one, each as if those before were trained already: so a batch spreads over places, planes and seeds. A
    boundary that reaches no further than the tolerance asks for nothing more.

    Args:
        fields: with estimates of all their starts.
        size: most trainings.
        tolerance: reach at which a boundary is settled.
        stream_price: cost of a data stream, paid once for all trainings of a batch that share it.
    """
    auctions = [_Auction(i, each, tolerance, stream_price) for i, each in enumerate(fields)]
    opened = np.zeros((1 + max(int(each.streams.max()) for each in fields), fields[0].asked.shape[2]), dtype=bool)
    chosen: list[Choice] = []
    for wanted, bids in ((round(size * EXPLORATION), _Auction.explore), (size, _Auction.refine)):
        while len(chosen) < wanted:
            offers = [offer for auction in auctions if (offer := bids(auction, size - len(chosen), opened)) is not None]
            if not offers:
                break
            _, choices = max(offers, key=lambda offer: offer[0])
            auction = auctions[choices[0].field]
            for choice in choices:
                auction.take(choice)
                opened[auction.stream(choice.place), choice.seed] = True
            chosen += choices
    return chosen


_Offer = tuple[float, list[Choice]]


class _Auction:
    """What one field offers for a batch."""

    def __init__(self, index: int, owner: Field, tolerance: float, stream_price: float) -> None:
        self._index, self._field, self._stream_price = index, owner, stream_price
        self._nearest = owner.nearest
        self._gains = [
            Gains(found.components, {c.lengths: owner.lattice.features(c.lengths) for c in found.components}, cells)
            if found is not None and found.reach > tolerance
            else None
            for found, cells in zip(owner.estimates, [owner.lattice.cells] * 2, strict=False)
        ]

    def stream(self, place: int) -> int:
        """The stream's sparsity of a place."""
        return int(self._field.streams[place])

    def take(self, choice: Choice) -> None:
        """Mark a training as asked for, and count on its outcome."""
        asked, lattice = self._field.asked, self._field.lattice
        asked[choice.place, choice.start, choice.seed] = True
        gains = self._gains[choice.start]
        if gains is not None:
            gains.pick_place(choice.place)
        plane = lattice.shape[-2] * lattice.shape[-1]
        first = choice.place // plane * plane
        points = lattice.places[first : first + plane, -2:]
        near = self._nearest[first : first + plane]
        np.minimum(near, np.hypot(*(points - points[choice.place - first]).T), out=near)

    def explore(self, room: int, opened: Flags) -> _Offer | None:
        """The place farthest from all that were asked for, from all starts, valued at its distance."""
        starts = self._field.asked.shape[1]
        place = int(np.argmax(np.round(self._nearest, 9)))
        distance = float(self._nearest[place])
        if distance <= EXPLORED or room < starts or self._field.asked[place].any():
            return None
        return round(distance, 9), [Choice(self._index, place, 0, start) for start in range(starts)]

    def refine(self, room: int, opened: Flags) -> _Offer | None:
        """The training, or pair of them, that tells most for its price."""
        offers = [offer for start in range(len(self._gains)) if (offer := self._best(start, room, opened)) is not None]
        return max(offers, key=lambda offer: offer[0], default=None)

    def _best(self, start: int, room: int, opened: Flags) -> _Offer | None:
        gains = self._gains[start]
        if gains is None:
            return None
        places, asked = gains.places, self._field.asked[gains.places]  # (candidates, starts, seeds)
        # What the truth start is asked about is a pair: a seed whose random start is there first, else both.
        half: Flags = asked[:, RANDOM] & ~asked[:, start]
        single = np.asarray(half.any(axis=1))
        free = np.asarray(~asked.any(axis=1))
        seed = np.where(single, half.argmax(axis=1), free.argmax(axis=1))
        number = np.where(single | (start == RANDOM), 1, 2)
        possible = (single | free.any(axis=1)) & (number <= room)
        if not possible.any():
            return None
        fresh = ~opened[self._field.streams[places], seed]
        value = gains.values + (number == 2) * self._beside(places)
        price = number * self._field.prices[places] + fresh * self._stream_price
        worth = np.where(possible, value / price, -np.inf)
        best = int(np.argmax(worth))
        starts = (start,) if number[best] == 1 else (RANDOM, TRUTH)
        return float(worth[best]), [Choice(self._index, int(places[best]), int(seed[best]), each) for each in starts]

    def _beside(self, places: Indices) -> Floats:
        """What the random start of a pair tells of the random-start boundary."""
        values = np.zeros(len(self._field.prices))
        gains = self._gains[RANDOM]
        if gains is not None:
            values[gains.places] = gains.values
        return values[places]


def _distance(points: Floats, others: Floats) -> Floats:
    """Distance of each point to the nearest of the others; inf without others."""
    return np.asarray(KDTree(others).query(points)[0] if len(others) else np.full(len(points), np.inf))
