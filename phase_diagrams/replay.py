"""A planner and what is finished already to the trials that are missing: how a run continues where another ended."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, Protocol

import pyarrow as pa

from phase_diagrams.planner import Planner
from phase_diagrams.trial import Trial, TrialNamer


class Stock(Protocol):
    """Rows that need no training: those of the job's own folder, and of earlier jobs'."""

    def fetch(self, trial_ids: Collection[str]) -> frozenset[str]:
        """Make sure that all that is known of these trials lies in the job's folder; the ids of those that do."""
        ...

    def read(self, trial_ids: Collection[str]) -> pa.Table:
        """Rows of fetched trials (schema TRIALS), each once."""
        ...


@dataclass(slots=True)
class Replay:
    """A planner that asks for what is missing only.

    Trials that the stock holds are told to the planner behind it at once. That planner sees the same rows in the same
    rounds as in an undisturbed run, so it asks the same next question: there is no other state to save.
    """

    name: TrialNamer
    planner: Planner
    stock: Stock
    reused: int = field(default=0, init=False)
    """Trials that were asked for and needed no training."""

    def ask(self) -> list[Trial]:
        """The missing trials of the next round that has any; empty while rows are awaited, or when all is done."""
        while trials := self.planner.ask():
            names = {self.name(trial): trial for trial in trials}
            held = self.stock.fetch(names.keys())
            self.reused += len(held)
            if held and not self.planner.done:
                self.planner.tell(self.stock.read(held))
            missing = [trial for name, trial in names.items() if name not in held]
            if missing:
                return missing
        return []

    def tell(self, rows: pa.Table) -> None:
        """Hand over rows that were trained now."""
        self.planner.tell(rows)

    def lose(self, trials: Collection[Trial]) -> None:
        """Hand on what nobody will train."""
        self.planner.lose(trials)

    @property
    def done(self) -> bool:
        """Whether the planner behind it is done."""
        return self.planner.done

    @property
    def expected(self) -> int:
        """As many as the planner behind it expects, reused ones too."""
        return self.planner.expected

    def report(self) -> dict[str, Any]:
        """News of the planner behind it."""
        return self.planner.report()
