"""What is known of one condition's exponents to the exponents that are tried next, and to the best so far."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from statistics import fmean

from phase_diagrams.outcome import Outcome, better
from phase_diagrams.reweighting_spec import STEP, Search
from phase_diagrams.trial import Condition


@dataclass(frozen=True, slots=True)
class Tried:
    """An exponent that was trained at the search's seeds."""

    exponent: float
    score: float | None
    """Mean over the seeds of the search's objective, more being better; None where no seed has a row."""


@dataclass(frozen=True, slots=True)
class Study:
    """All that a search knows of one condition without its exponent."""

    condition: Condition
    """The plain one: its exponent is 0."""
    search: Search
    tried: tuple[Tried, ...]
    """In the order in which they were asked for; the grid's exponents first."""
    suggested: int
    """How many of them the search asked for."""
    key: int
    """Seeds the sampler: 64 bits of the content of all that the study is about, and of `suggested`."""

    @property
    def left(self) -> int:
        """Exponents that may still be asked for."""
        return self.search.trials - self.suggested

    @property
    def best(self) -> float:
        """The exponent of the best score; of equal ones that nearest to 0, the least reweighting.

        Recovery saturates, so ties are common: where no exponent beats the plain loss, the best is the plain loss.
        """
        scored = [
            (tried.score, -abs(tried.exponent), tried.exponent) for tried in self.tried if tried.score is not None
        ]
        return max(scored)[2] if scored else 0.0


Suggest = Callable[[Study, int], list[float]]
"""A sampler: so many exponents within the search's range, a pure function of the study."""


def mean_score(search: Search, outcomes: Collection[Outcome]) -> float | None:
    """The search's objective averaged over seeds, more being better; None without outcomes."""
    values = [better(search.objective, getattr(outcome, search.objective)) for outcome in outcomes]
    return fmean(values) if values else None


def next_exponents(study: Study, suggest: Suggest) -> list[float]:
    """The next batch of exponents, distinct from each other and from all that were tried; empty at the end.

    A model of nothing suggests nothing: but for the random sampler, the first batch is spread evenly over the range,
    in the middles of equal parts. Suggestions are rounded to STEP and moved to the nearest one that is free.
    """
    count = min(study.search.batch, study.left)
    if count <= 0:
        return []
    if study.suggested or study.search.sampler == "random":
        wanted = suggest(study, count)
    else:
        width = (study.search.high - study.search.low) / count
        wanted = [study.search.low + (part + 0.5) * width for part in range(count)]
    taken = {tried.exponent for tried in study.tried}
    chosen: list[float] = []
    for value in wanted:
        chosen.append(_nearest_free(value, study.search, taken))
        taken.add(chosen[-1])
    return chosen


def _nearest_free(value: float, search: Search, taken: set[float]) -> float:
    """The multiple of STEP within the range that is nearest to the value and not taken."""
    place = round(value / STEP)
    for distance in range(round((search.high - search.low) / STEP) + 2):
        for candidate in (place + distance, place - distance):
            exponent = round(candidate * STEP, 4) + 0.0  # no negative zero
            if search.low <= exponent <= search.high and exponent not in taken:
                return exponent
    raise ValueError(f"no exponent is left between {search.low:g} and {search.high:g}")
