"""Finished rows to the next trials: the ask-and-tell contract between what to train and where to train it."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Protocol

import pyarrow as pa

from phase_diagrams.spec import JobSpec
from phase_diagrams.trial import Trial, grid_trials, trial_namer


class Planner(Protocol):
    """Says which trials next. It sees rows only, never the cluster, and gives the same answers to the same rows."""

    def ask(self) -> list[Trial]:
        """Trials wanted now that were not asked for before; empty while it waits for rows, or when it is done."""
        ...

    def tell(self, rows: pa.Table) -> None:
        """Hand over finished rows (schema TRIALS), in any order and any grouping."""
        ...

    @property
    def done(self) -> bool:
        """Whether `ask` will never give another trial."""
        ...


@dataclass(slots=True)
class GridPlanner:
    """The full grid of a spec, less what is finished already: asks for everything at once."""

    spec: JobSpec
    finished: Collection[str] = frozenset()
    _asked: bool = field(default=False, init=False)

    def ask(self) -> list[Trial]:
        """All missing trials the first time, none after."""
        if self._asked:
            return []
        self._asked = True
        return missing_trials(self.spec, grid_trials(self.spec), self.finished)

    def tell(self, rows: pa.Table) -> None:
        """The grid does not depend on results."""

    @property
    def done(self) -> bool:
        """Whether the grid was asked for."""
        return self._asked


def missing_trials(spec: JobSpec, trials: Iterable[Trial], finished: Collection[str]) -> list[Trial]:
    """The trials whose id is not among the finished ones: resuming is a set difference."""
    name = trial_namer(spec)
    return [trial for trial in trials if name(trial) not in finished]
