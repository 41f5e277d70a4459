"""What an estimated P = 1/2 line is worth, and how many trainings designs need until it is worth as much as the grid's.

The error is the area on the wrong side of the estimated line over the length of the true one: how far, in axis lengths,
the line is off on average. A design *needs* the trainings from which on the median of its errors over the repetitions
is at most the median error of the full grid. Intervals are percentiles of the bootstrap over repetitions, grid and
design of a repetition together.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.interpolate import RegularGridInterpolator

from phase_diagrams.band import contour, probits_of
from phase_diagrams.lattice import Lattice

Floats = npt.NDArray[np.float64]
Truth = Callable[[Floats, Floats], Floats]
Record = dict[str, Any]

FINE = np.linspace(0.0, 1.0, 201)
RESAMPLES = 1000
MIDDLE = 0.1
"""Distance from its rim, in axis lengths, from which on a place is in the middle of a part."""
DESIGNS = ("refined", "random", "sobol", "learner2d")


class Reading(NamedTuple):
    """What an estimate is worth."""

    trainings: int
    error: float
    covered: float
    """Share of the true boundary's points where the sign of f is undecided, as it should be."""
    islands: bool
    """Whether every connected part that is identified shows at its middle."""
    reach: float


class Line:
    """A true P = 1/2 line, from a function that is positive where features are identified."""

    def __init__(self, truth: Truth) -> None:
        self._x, self._y = np.meshgrid(FINE, FINE, indexing="ij")
        values = truth(self._x, self._y)
        self._above, self._middle = values > 0, values > MIDDLE
        self._points = contour(values, FINE, FINE, 0.0)

    @property
    def length(self) -> float:
        """In axis lengths (Cauchy-Crofton from crossings along both axes)."""
        return float(len(self._points) / (len(FINE) - 1) * np.pi / 4)

    def read(self, lattice: Lattice, above: Floats, trainings: int, reach: float = np.nan) -> Reading:
        """Judge P(f > 0), (places,) of a lattice, by this line."""
        at = RegularGridInterpolator(lattice.axes, probits_of(above).reshape(lattice.shape))
        wrong = (at((self._x, self._y)) > 0) != self._above
        covered = np.abs(at(self._points)) < 1.96
        seen = not bool(wrong[self._middle].any())
        return Reading(trainings, float(wrong.mean() / self.length), float(covered.mean()), seen, reach)


class Curves(NamedTuple):
    """Errors of a design over its trainings, with the grid's of the same repetitions."""

    trainings: Floats  # (repetitions, readings)
    errors: Floats  # (repetitions, readings)
    grid: Floats  # (repetitions,), errors
    grid_trainings: int
    slack: float
    """Share of the grid's error by which an equal one may be larger."""

    def needed(self, chosen: npt.ArrayLike = slice(None)) -> float:
        """Trainings that the design needs; inf where they are more than were spent.

        Args:
            chosen: indices of repetitions.
        """
        error = (1 + self.slack) * float(np.median(self.grid[chosen]))
        trainings, errors = np.median(self.trainings[chosen], axis=0), np.median(self.errors[chosen], axis=0)
        worse = np.flatnonzero(errors > error)
        if not len(worse):
            return float(trainings[0])
        i = int(worse[-1])
        if i + 1 == len(errors):
            return float("inf")
        # Between readings the error is linear in the logarithms.
        share = np.log(errors[i] / error) / np.log(errors[i] / max(errors[i + 1], 1e-9))
        return float(np.exp(np.log(trainings[i]) + share * np.log(trainings[i + 1] / trainings[i])))

    def interval(self) -> tuple[float, float]:
        """95 % of what is needed."""
        rng = np.random.Generator(np.random.Philox(key=[0, len(self.grid)]))
        found = [self.needed(rng.integers(len(self.grid), size=len(self.grid))) for _ in range(RESAMPLES)]
        low, high = np.quantile(found, [0.025, 0.975], method="nearest")
        return float(low), float(high)

    def said(self) -> tuple[str, str]:
        """Needed trainings and their share of the grid's, with intervals; nothing of less than two repetitions."""
        if len(self.grid) < 2:
            return "", ""
        count, (low, high) = self.needed(), self.interval()
        ratios = [_ratio(self.grid_trainings, each) for each in (count, low, high)]
        return f"{_whole(count)} ({_whole(low)} to {_whole(high)})", f"{ratios[0]} ({ratios[1]} to {ratios[2]})"


def _whole(count: float) -> str:
    return f"{count:.0f}" if np.isfinite(count) else "more"


def _ratio(grid: int, count: float) -> str:
    return f"1/{grid / count:.1f}" if np.isfinite(count) else "more"


def curves(records: Sequence[Record], design: str, slack: float = 0.0) -> Curves:
    """The curves of a design over the records that have it."""
    mine = [record for record in records if design in record]
    shortest = min((len(record[design]) for record in mine), default=0)
    trainings, errors = (
        np.array([[reading[name] for reading in record[design][:shortest]] for record in mine], dtype=np.float64)
        for name in ("trainings", "error")
    )
    grid = np.array([record["grid"]["error"] for record in mine])
    return Curves(trainings, errors, grid, int(records[0]["grid"]["trainings"]), slack)


def share_said(values: Iterable[float]) -> str:
    """A mean share over repetitions with its 95 % interval (bootstrap), in per cent."""
    shares = np.array(list(values), dtype=np.float64)
    if not len(shares):
        return ""
    rng = np.random.Generator(np.random.Philox(key=[1, len(shares)]))
    means = shares[rng.integers(len(shares), size=(RESAMPLES, len(shares)))].mean(axis=1)
    low, high = 100 * np.quantile(means, [0.025, 0.975])
    return f"{100 * shares.mean():.0f} ({low:.0f} to {high:.0f}) %"


def table(records: Sequence[Record], names: Sequence[str], slack: float = 0.0) -> str:
    """Records, those of equal values under the names together, as Markdown: refinement, then the other designs."""
    heads = [*names, "repetitions", "grid's error", "needs", "of the grid's", "coverage", "islands found"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    heads = [*names, *DESIGNS[1:]]
    others = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for key, mine in _grouped(records, names):
        refined = curves(mine, "refined", slack)
        last = [record["refined"][-1] for record in mine if "refined" in record]
        error = f"{np.median([record['grid']['error'] for record in mine]):.4f}"
        covered, seen = (share_said(reading[name] for reading in last) for name in ("covered", "islands"))
        found = seen if key[0] == "islands" else ""
        lines.append(
            f"| {' | '.join(key)} | {len(mine)} | {error} | {' | '.join(refined.said())} | {covered} | {found} |"
        )
        said = [": ".join(filter(None, curves(mine, design, slack).said())) for design in DESIGNS[1:]]
        if any(said):
            others.append(f"| {' | '.join((*key, *said))} |")
    return "\n".join([*lines, "", *others])


def _grouped(records: Sequence[Record], names: Sequence[str]) -> Iterator[tuple[tuple[str, ...], list[Record]]]:
    for key in dict.fromkeys(tuple(record[name] for name in names) for record in records):
        yield tuple(map(str, key)), [record for record in records if tuple(record[name] for name in names) == key]


def read_records(path: Path) -> list[Record]:
    """Records of a file, a JSON line each; parts of one repetition that were measured apart are joined."""
    joined: dict[str, Record] = {}
    for line in path.read_text().splitlines():
        record = json.loads(line)
        name = json.dumps({key: value for key, value in record.items() if key not in (*DESIGNS, "grid")})
        joined.setdefault(name, {}).update(record)
    return list(joined.values())


def append_record(path: Path, record: Record) -> None:
    """Add a record to a file."""
    with path.open("a") as file:
        file.write(json.dumps(record) + "\n")
