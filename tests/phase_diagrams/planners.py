"""Planners whose questions depend on the answers, for tests of all that asks and tells."""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from phase_diagrams.spec import JobSpec
from phase_diagrams.trial import Trial, grid_trials, trial_namer


@dataclass
class Listed:
    """Asks for the given trials at once."""

    trials: list[Trial]
    done: bool = False

    def ask(self) -> list[Trial]:
        if self.done:
            return []
        self.done = True
        return self.trials

    def tell(self, rows: pa.Table) -> None:
        raise AssertionError("a planner that is done is told nothing")

    def lose(self, trials: Collection[Trial]) -> None:
        return None

    @property
    def expected(self) -> int:
        return len(self.trials)

    def report(self) -> dict[str, Any]:
        return {}


@dataclass
class Curious:
    """Asks for the grid's trials in rounds, each chosen by a digest of all rows (or losses) of the rounds before."""

    spec: JobSpec
    size: int = 3
    limit: int = 4
    answers: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    rounds: int = 0

    def __post_init__(self) -> None:
        self.name = trial_namer(self.spec)
        self.left = {self.name(trial): trial for trial in grid_trials(self.spec)}

    def ask(self) -> list[Trial]:
        if self.done or len(self.answers) < len(self.asked):
            return []
        digest = repr(sorted(self.answers.items()))
        order = sorted(self.left, key=lambda name: hashlib.sha256((digest + name).encode()).hexdigest())
        chosen = order[: self.size]
        self.asked += chosen
        self.rounds += 1
        return [self.left.pop(name) for name in chosen]

    def tell(self, rows: pa.Table) -> None:
        for row in rows.select(["trial_id", "mcc"]).to_pylist():
            assert row["trial_id"] in self.asked
            assert row["trial_id"] not in self.answers
            self.answers[row["trial_id"]] = repr(row["mcc"])

    def lose(self, trials: Collection[Trial]) -> None:
        self.answers.update((self.name(trial), "lost") for trial in trials)

    @property
    def done(self) -> bool:
        return self.rounds == self.limit and len(self.answers) == len(self.asked)

    @property
    def expected(self) -> int:
        return self.size * self.limit

    def report(self) -> dict[str, Any]:
        return {"text": f"{len(self.answers)} answers", "answers": len(self.answers)}
