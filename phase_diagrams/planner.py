"""Finished rows to the next trials: the ask-and-tell contract between what to train and where to train it."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, Protocol

import pyarrow as pa

from phase_diagrams.spec import JobSpec
from phase_diagrams.trial import Trial, grid_trials


class Planner(Protocol):
    """Says which trials next; a pure function of the rows it asked for, so that whoever asks again gets the same.

    It asks in rounds: a round waits until every trial of the one before is told or lost, and is computed from all rows
    so far in an order of the planner's own, never in the order in which they came. It knows nothing of files, of the
    cluster, or of what an earlier run has finished already (`Replay` does).
    """

    def ask(self) -> list[Trial]:
        """The next round, each trial once in a planner's life; empty while it waits for rows, or when it is done."""
        ...

    def tell(self, rows: pa.Table) -> None:
        """Hand over finished rows (schema TRIALS) of trials that were asked for, in any order and any grouping."""
        ...

    def lose(self, trials: Collection[Trial]) -> None:
        """Trials that failed in every attempt: they have no row, and nobody will train them."""
        ...

    @property
    def done(self) -> bool:
        """Whether `ask` will never give another trial, and rows are of no use any more."""
        ...

    @property
    def expected(self) -> int:
        """How many trials it will have asked for in the end, as far as is known now."""
        ...

    def report(self) -> dict[str, Any]:
        """News since the round before, as JSON, with a sentence for people under `text`; {} for none."""
        ...


@dataclass(slots=True)
class GridPlanner:
    """The full grid of a spec: asks for everything at once."""

    spec: JobSpec
    _asked: bool = field(default=False, init=False)

    def ask(self) -> list[Trial]:
        """All trials the first time, none after."""
        if self._asked:
            return []
        self._asked = True
        return list(grid_trials(self.spec))

    def tell(self, rows: pa.Table) -> None:
        """The grid does not depend on results."""

    def lose(self, trials: Collection[Trial]) -> None:
        """Nor on their absence."""

    @property
    def done(self) -> bool:
        """Whether the grid was asked for."""
        return self._asked

    @property
    def expected(self) -> int:
        """The size of the grid."""
        return self.spec.n_trials

    def report(self) -> dict[str, Any]:
        """A grid has no news."""
        return {}
