"""Batches of trainings on planted truths: what is asked for, and what it comes to."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from scipy.special import expit

from phase_diagrams.axis import between
from phase_diagrams.lattice import Lattice
from phase_diagrams.refinement import EXPLORATION, RANDOM, TRUTH, Field, choose, estimate

Floats = npt.NDArray[np.float64]

COARSE = np.linspace(0, 1, 5)
LATTICE = Lattice((between(COARSE, 21), between(COARSE, 17)))
X, Y = LATTICE.places.T
STARTED = np.outer(*(np.isin(axis, COARSE) for axis in LATTICE.axes)).ravel()


def planted(starts: int = 1, seeds: int = 3, key: int = 0, width: float = 0.04) -> tuple[Field, npt.NDArray[np.bool_]]:
    """A coarse start on a slanted boundary, the truth start's lower, with the outcome of everything."""
    asked = np.zeros((len(X), starts, seeds), dtype=bool)
    asked[STARTED, :, 0] = True
    rng = np.random.default_rng(key)
    heights = np.array([0.6, 0.3])[:starts]
    p = expit((Y[:, None] - heights - 0.2 * (X[:, None] - 0.5)) / width)  # (places, starts)
    outcomes = rng.random(asked.shape) < p[..., None]
    return Field(LATTICE, np.ones(len(X)), np.repeat(np.arange(21), 17), asked), outcomes


def fit(field: Field, outcomes: npt.NDArray[np.bool_]) -> None:
    """Estimates of all starts from all that was asked for; the truth start's from pairs."""
    for start in range(field.asked.shape[1]):
        seen = field.asked[:, start] & field.asked[:, RANDOM]
        totals = seen.sum(axis=1).astype(np.float64)
        counts = (seen & outcomes[:, start]).sum(axis=1).astype(np.float64)
        field.estimates[start] = estimate(LATTICE, counts, totals, 0.95)


def started(**how: int) -> Field:
    field, outcomes = planted(**how)
    fit(field, outcomes)
    return field


def test_a_batch_has_its_size_and_no_training_twice() -> None:
    field = started()
    before = field.asked.sum()
    batch = choose([field], 24, 0.0, 0.1)
    assert len(set(batch)) == len(batch) == 24
    assert field.asked.sum() == before + 24
    assert all(field.asked[c.place, c.start, c.seed] for c in batch)


def test_the_same_outcomes_give_the_same_batch() -> None:
    assert choose([started(starts=2)], 30, 0.0, 0.1) == choose([started(starts=2)], 30, 0.0, 0.1)


def test_a_batch_goes_along_the_whole_boundary_and_a_share_of_it_explores() -> None:
    batch = choose([started()], 32, 0.0, 0.1)
    explored, refined = batch[: round(32 * EXPLORATION)], batch[round(32 * EXPLORATION) :]
    offset = np.abs(Y - 0.6 - 0.2 * (X - 0.5))
    assert np.median(offset[[c.place for c in refined]]) < 0.15
    along = X[[c.place for c in refined]]
    assert np.histogram(along, bins=4, range=(0, 1))[0].min() >= 2
    # The farthest places of a 5 x 5 start are the middles of its cells.
    to_start = [np.hypot(X[c.place] - X[STARTED], Y[c.place] - Y[STARTED]).min() for c in explored]
    assert min(to_start) > 0.15


def test_no_place_gets_more_seeds_than_there_are() -> None:
    field = started(seeds=2)
    rest = np.flatnonzero(~STARTED)[::40]
    field.asked[~STARTED] = True
    field.asked[rest, :, 1] = False
    batch = choose([field], 200, 0.0, 0.1)
    assert {(c.place, c.seed) for c in batch} <= {(place, 1) for place in [*rest, *np.flatnonzero(STARTED)]}
    assert len(batch) < 200


def test_a_truth_start_is_asked_for_beside_its_random_start() -> None:
    field = started(starts=2)
    batch = choose([field], 41, 0.0, 0.1)
    truth = [c for c in batch if c.start == TRUTH]
    assert truth
    assert all(field.asked[c.place, RANDOM, c.seed] for c in truth)
    assert any(c.start == RANDOM and not field.asked[c.place, TRUTH, c.seed] for c in batch)


def test_a_settled_boundary_asks_for_nothing_but_exploration() -> None:
    batch = choose([started()], 32, 1.0, 0.1)
    assert len(batch) == round(32 * EXPLORATION)


def test_dear_places_are_left_for_cheap_ones() -> None:
    plain, dear = started(), started()
    dear.prices = np.where(X > 0.5, 20.0, 1.0)
    share = [np.mean(X[[c.place for c in choose([f], 40, 0.0, 0.1)[5:]]] > 0.5) for f in (plain, dear)]
    assert share[1] < 0.5 * share[0]


def test_dear_streams_are_shared() -> None:
    def streams(price: float) -> int:
        return len({(c.place // 17, c.seed) for c in choose([started()], 40, 0.0, price)})

    assert streams(20.0) < 0.7 * streams(0.0)


def test_a_field_that_is_settled_leaves_the_batch_to_the_others() -> None:
    settled, other = started(), started(key=1)
    assert settled.estimates[0] is not None
    settled.estimates[0] = replace(settled.estimates[0], reach=0.01)
    refined = choose([settled, other], 40, 0.02, 0.1)[round(40 * EXPLORATION) :]
    assert {c.field for c in refined} == {1}


@pytest.mark.parametrize("key", [0, 1])
def test_rounds_close_in_on_the_boundary(key: int) -> None:
    field, outcomes = planted(key=key)
    reaches = []
    for _ in range(6):
        fit(field, outcomes)
        found = field.estimates[0]
        assert found is not None
        reaches.append(found.reach)
        choose([field], 16, 0.0, 0.1)
    assert reaches[-1] < 0.6 * reaches[0]
    wrong = (found.above > 0.5) != (0.6 + 0.2 * (X - 0.5) < Y)
    # The mean distance from the line; a grid of 5 x 5 with one seed has 0.05 to 0.1.
    assert LATTICE.cells @ wrong < 0.035


def test_an_estimate_from_an_earlier_one_is_an_estimate() -> None:
    field, outcomes = planted()
    fit(field, outcomes)
    earlier = field.estimates[0]
    choose([field], 16, 0.0, 0.1)
    totals = field.asked[:, 0].sum(axis=1).astype(np.float64)
    counts = (field.asked[:, 0] & outcomes[:, 0]).sum(axis=1).astype(np.float64)
    warm, afresh = (estimate(LATTICE, counts, totals, 0.95, start) for start in (earlier, None))
    assert warm.above == pytest.approx(afresh.above, abs=0.03)
    assert np.array_equal(warm.known, afresh.known)
