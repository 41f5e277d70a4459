"""Planted boundaries to the number of trainings that refinement, the full grid and other designs need for equal error.

    python benchmarks/refinement.py --out refinement.jsonl [--repetitions 20] [--from 0] [--only curved] [--width 0.03]
        [--seeds 4] [--full 16] [--designs refined random sobol learner2d]
    python benchmarks/refinement.py --table refinement.jsonl

No training: P(identified) is known, outcomes are drawn from it, and every design is read by the same estimator (the
fit of phase_diagrams.binomial_field) on the same lattice. refinement_score.py says what is counted.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import expit
from scipy.stats import qmc

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from refinement_score import DESIGNS, Floats, Line, Reading, Record, Truth, append_record, read_records, table  # noqa: E402

from phase_diagrams.axis import between  # noqa: E402
from phase_diagrams.binomial_field import LENGTH_SCALES, fit_components  # noqa: E402
from phase_diagrams.lattice import Lattice  # noqa: E402
from phase_diagrams.refine_planner import GROWTH, LEAST_ROUND, REFRESH  # noqa: E402
from phase_diagrams.refinement import Estimate, Field, choose, estimate, probability_above  # noqa: E402

CONFIDENCE = 0.95
COARSE = 5
"""Values of an axis at which refinement starts, with one seed each."""
FULL = 16
"""Values of an axis of the full grid, each place with all seeds, unless said otherwise."""
LENGTHS = list(product(LENGTH_SCALES, repeat=2))


class Case(NamedTuple):
    shape: str
    width: float
    """Scale of the logistic, in axis lengths."""
    seeds: int
    """Seeds per place: all of them in the full grid, at most so many in refinement."""
    full: int = FULL
    """Values of an axis of the full grid."""

    @property
    def trainings(self) -> int:
        """Of the full grid, and the most of designs that do not look at outcomes."""
        return self.full**2 * self.seeds

    @property
    def budget(self) -> int:
        """Trainings that refinement may spend: a tenth more than the grid, which it must never need."""
        return self.trainings * 11 // 10


CASES = [
    *(Case(shape, width, 4) for shape in ("straight", "curved", "reentrant", "islands") for width in (0.01, 0.03, 0.1)),
    *(Case("curved", 0.03, seeds) for seeds in (1, 2, 8)),
]


def signed_distance(shape: str, rng: np.random.Generator) -> Truth:
    """A random boundary of a shape: positive where features are identified, in axis lengths along y or from a rim."""
    if shape == "islands":
        a, b = rng.uniform(0.22, 0.34, 2), rng.uniform(0.66, 0.78, 2)
        radii = rng.uniform(0.12, 0.17, 2)
        return lambda x, y: np.maximum(radii[0] - np.hypot(x - a[0], y - a[1]), radii[1] - np.hypot(x - b[0], y - b[1]))
    height, slope = rng.uniform(0.35, 0.65), rng.uniform(-0.4, 0.4)
    bend = rng.uniform(0.6, 1.0) * rng.choice([-1, 1]) if shape == "curved" else 0.0
    if shape == "reentrant":
        half = rng.uniform(0.18, 0.25)
        return lambda x, y: half - np.abs(y - (0.5 + slope * (x - 0.5)))
    return lambda x, y: y - (height + slope * (x - 0.5) + bend * ((x - 0.5) ** 2 - 1 / 12))


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """A planted truth on the lattice of candidates, with the outcome of every seed that anybody may train there."""

    lattice: Lattice
    truth: Truth
    line: Line
    outcomes: npt.NDArray[np.bool_]
    """(places, seeds)."""


def world(case: Case, repetition: int) -> World:
    rng = np.random.Generator(np.random.Philox(key=[hash_of(case.shape), repetition]))
    truth = signed_distance(case.shape, rng)
    coarse = np.linspace(0, 1, COARSE)
    lattice = Lattice((between(coarse, 41), between(coarse, 33)))
    p = expit(truth(*lattice.places.T) / case.width)
    return World(lattice, truth, Line(truth), rng.random((len(p), case.seeds)) < p[:, None])


def hash_of(text: str) -> int:
    return int.from_bytes(text.encode()[:8], "little")


def refined(there: World, case: Case) -> Iterator[Reading]:
    """Refinement as refine_planner.py runs it on one boundary, without a spec around it."""
    lattice, n = there.lattice, len(there.outcomes)
    asked = np.zeros((n, 1, case.seeds), dtype=bool)
    coarse = [np.isclose(axis[:, None], np.linspace(0, 1, COARSE)).any(axis=1) for axis in lattice.axes]
    asked[np.outer(*coarse).ravel(), 0, 0] = True
    field = Field(lattice, np.ones(n), np.repeat(np.arange(41), 33), asked)
    found: Estimate | None = None
    for turn in range(1000):
        totals = asked[:, 0].sum(axis=1).astype(np.float64)
        counts = (asked[:, 0] & there.outcomes).sum(axis=1).astype(np.float64)
        trainings = int(totals.sum())
        last = trainings >= case.budget
        earlier = None if last or turn % REFRESH == 0 else found
        found = estimate(lattice, counts, totals, CONFIDENCE, earlier)
        field.estimates[0] = found
        # A job that ended here would be read by a fresh fit.
        shown = estimate(lattice, counts, totals, CONFIDENCE) if earlier else found
        yield there.line.read(lattice, shown.above, trainings, shown.reach)
        size = min(case.budget - trainings, max(LEAST_ROUND, trainings // GROWTH))
        if last or not choose([field], size, 0.0, 0.1):
            return


def full(there: World, case: Case, repetition: int) -> Reading:
    """The grid of full x full places with all seeds, outcomes of its own places."""
    rng = np.random.Generator(np.random.Philox(key=[hash_of("full"), repetition]))
    axis = np.linspace(0, 1, case.full)
    places = Lattice((axis, axis)).places
    totals = np.full(len(places), float(case.seeds))
    counts = rng.binomial(case.seeds, expit(there.truth(*places.T) / case.width)).astype(np.float64)
    components = fit_components(places, counts, totals, LENGTHS)
    return there.line.read(there.lattice, probability_above(there.lattice, components), int(totals.sum()))


def designed(there: World, case: Case, name: str, repetition: int) -> Iterator[Reading]:
    """One seed at each place of a design that does not look at outcomes (random, sobol) or of adaptive's Learner2D."""
    rng = np.random.Generator(np.random.Philox(key=[hash_of(name), repetition]))
    sizes = np.unique(np.geomspace(COARSE**2, case.trainings, 9).round().astype(int))
    if name == "learner2d":
        places, found = learner_places(there, case, rng, int(sizes[-1]))
    else:
        most = int(sizes[-1])
        places = qmc.Sobol(2, rng=int(rng.integers(2**32))).random(most) if name == "sobol" else rng.random((most, 2))
        found = (rng.random(most) < expit(there.truth(*places.T) / case.width)).astype(np.float64)
    for size in sizes:
        distinct, where = np.unique(places[:size], axis=0, return_inverse=True)
        counts = np.bincount(where.ravel(), found[:size])
        totals = np.bincount(where.ravel()).astype(np.float64)
        components = fit_components(distinct, counts, totals, LENGTHS)
        yield there.line.read(there.lattice, probability_above(there.lattice, components), int(size))


def learner_places(there: World, case: Case, rng: np.random.Generator, most: int) -> tuple[Floats, Floats]:
    """Places in the order in which Learner2D asks for them, each answered by one seed."""
    from adaptive import Learner2D  # type: ignore[import-not-found]

    learner = Learner2D(lambda place: 0.0, bounds=[(0, 1), (0, 1)])
    places, found = [], []
    while len(places) < most:
        for place in learner.ask(min(LEAST_ROUND, most - len(places)))[0]:
            outcome = float(rng.random() < expit(there.truth(*np.array(place)) / case.width))
            learner.tell(place, outcome)
            places.append(place)
            found.append(outcome)
    return np.array(places), np.array(found)


def run_case(case: Case, repetition: int, designs: Sequence[str]) -> Record:
    there = world(case, repetition)
    record: Record = {**case._asdict(), "repetition": repetition, "grid": full(there, case, repetition)._asdict()}
    for name in designs:
        readings = refined(there, case) if name == "refined" else designed(there, case, name, repetition)
        record[name] = [reading._asdict() for reading in readings]
    return record


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="file to append results to, a JSON line each")
    parser.add_argument("--repetitions", type=int, default=20)
    parser.add_argument("--from", type=int, default=0, dest="first", help="number of the first repetition")
    parser.add_argument("--only", default="", help="cases of this shape")
    parser.add_argument("--width", type=float, help="cases of this width")
    parser.add_argument("--seeds", type=int, help="cases of so many seeds")
    parser.add_argument("--full", type=int, default=FULL, help="values of an axis of the full grid")
    parser.add_argument("--designs", nargs="+", default=["refined"], choices=DESIGNS)
    parser.add_argument("--table", type=Path, help="print the results in this file")
    arguments = parser.parse_args()
    if arguments.table:
        print(table(read_records(arguments.table), ("shape", "width", "seeds", "full")))
        return 0
    for repetition in range(arguments.first, arguments.first + arguments.repetitions):
        for case in CASES:
            case = case._replace(full=arguments.full)
            known = arguments.width in (None, case.width) and arguments.seeds in (None, case.seeds)
            if known and arguments.only in case.shape:
                append_record(arguments.out, run_case(case, repetition, arguments.designs))
    return 0


if __name__ == "__main__":
    sys.exit(main())
