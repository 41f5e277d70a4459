"""Finished rows to the exponents tried next, for all conditions in step: grid, rounds of suggestions, confirmation."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any

import pyarrow as pa

from phase_diagrams.conditions import condition_table
from phase_diagrams.near_boundary import near_boundary
from phase_diagrams.outcome import Outcome, read_outcomes
from phase_diagrams.reweighting_spec import Reweighting, Search
from phase_diagrams.spec import JobSpec
from phase_diagrams.study import Study, Suggest, Tried, mean_score, next_exponents
from phase_diagrams.trial import Condition, Trial, confirm_seeds, grid_trials, plain_conditions, study_key


@dataclass(slots=True)
class ExponentSearch:
    """The planner of a spec with a `reweighting.search`.

    First the grid. Then rounds: in each, every condition's study is asked for a batch of exponents, which random starts
    train at the grid's seeds. All conditions go in step, so that trials on one data stream fill common packs. Last the
    confirmation: the best exponent of each condition, and 0, from all starts on seeds that the search has not seen.
    """

    spec: JobSpec
    suggest: Suggest
    _outcomes: dict[Trial, Outcome] = field(default_factory=dict, init=False)
    _rows: list[pa.Table] = field(default_factory=list, init=False)
    _waiting: set[Trial] = field(default_factory=set, init=False)
    _suggested: dict[Condition, list[float]] = field(default_factory=dict, init=False)
    _rounds: Iterator[list[Trial]] = field(init=False)
    _round: int = field(default=-1, init=False)
    _expected: int = field(init=False)
    done: bool = field(default=False, init=False)
    """Whether the confirmation was asked for: its rows change no question."""

    def __post_init__(self) -> None:
        if self.spec.reweighting is None or self.spec.search is None:
            raise ValueError("the spec has no reweighting.search")
        self._expected = self.spec.n_trials
        self._rounds = self._plan(self.spec.reweighting, self.spec.search)

    def ask(self) -> list[Trial]:
        """The next round; empty while trials of the one before are neither told nor lost."""
        if self._waiting or self.done:
            return []
        trials = next(self._rounds, [])
        self._waiting = set(trials)
        self._round += 1
        return trials

    def tell(self, rows: pa.Table) -> None:
        """Take finished rows in."""
        outcomes = read_outcomes(rows)
        self._outcomes |= outcomes
        self._waiting -= outcomes.keys()
        if self._round == 0:
            self._rows.append(rows)

    def lose(self, trials: Collection[Trial]) -> None:
        """Trials without a row count for nothing; a score is the mean of the seeds that are there."""
        self._waiting.difference_update(trials)

    @property
    def expected(self) -> int:
        """The spec's upper bound, until it is known which conditions are searched and what is confirmed."""
        return self._expected

    def report(self) -> dict[str, Any]:
        """How far the search is, and what it has found so far; {} before it begins."""
        search = self.spec.search
        assert search is not None
        if self._round < 1 or not self._suggested:
            return {}
        asked = self._round if not self.done else search.rounds
        best = [self.study(condition).best for condition in self._suggested]
        moved = [exponent for exponent in best if exponent != 0]
        text = (
            f"exponent search: round {asked} of {search.rounds} for {len(best)} conditions; so far "
            f"{len(moved)} have a better exponent than 0"
        )
        text += f", the median of theirs is {median(moved):.2g}" if moved else ""
        if self.done:
            text += "; the gains are now measured on fresh seeds"
        return {
            "text": text,
            "round": asked,
            "rounds": search.rounds,
            "conditions": len(best),
            "moved": len(moved),
            "confirming": self.done,
        }

    def study(self, condition: Condition) -> Study:
        """What is known of a searched condition now."""
        search = self.spec.search
        assert search is not None
        suggested = self._suggested[condition]
        exponents = [value for value in self.spec.grid.exponent if search.low <= value <= search.high] + suggested
        tried = tuple(Tried(exponent, self._score(condition, exponent)) for exponent in exponents)
        return Study(condition, search, tried, len(suggested), study_key(self.spec, condition, len(suggested)))

    def _score(self, condition: Condition, exponent: float) -> float | None:
        assert self.spec.search is not None
        trials = (Trial(replace(condition, exponent=exponent), seed, "random") for seed in self.spec.grid.seeds)
        return mean_score(self.spec.search, [self._outcomes[trial] for trial in trials if trial in self._outcomes])

    def _plan(self, reweighting: Reweighting, search: Search) -> Iterator[list[Trial]]:
        """The rounds one after another; what each is computed from has been told when it is asked for."""
        grid, starts = self.spec.grid, len(self.spec.grid.starts)
        yield list(grid_trials(self.spec))
        self._suggested = {condition: [] for condition in self._chosen(reweighting)}
        self._rows.clear()
        per_condition = search.trials * len(grid.seeds) + 2 * reweighting.confirm_seeds * starts
        planned = self.spec.n_conditions * len(grid.seeds) * starts
        self._expected = planned + len(self._suggested) * per_condition
        for _ in range(search.rounds if self._suggested else 0):
            yield self._batch()
        confirmation = list(self._confirmation())
        self._expected = planned + len(self._suggested) * search.trials * len(grid.seeds) + len(confirmation)
        self.done = True
        yield confirmation

    def _chosen(self, reweighting: Reweighting) -> list[Condition]:
        if reweighting.where == "all":
            return list(plain_conditions(self.spec))
        near = set[Condition]()
        if self._rows:
            near.update(near_boundary(self.spec, condition_table(self.spec, pa.concat_tables(self._rows))))
        return [condition for condition in plain_conditions(self.spec) if condition in near]

    def _batch(self) -> list[Trial]:
        """A batch of every study, by data stream."""
        asked = {condition: next_exponents(self.study(condition), self.suggest) for condition in self._suggested}
        for condition, exponents in asked.items():
            self._suggested[condition] += exponents
        return [
            Trial(replace(condition, exponent=exponent), seed, "random")
            for seed in self.spec.grid.seeds
            for condition, exponents in asked.items()
            for exponent in exponents
        ]

    def _confirmation(self) -> Iterator[Trial]:
        """The best exponent and 0 of every study on the fresh seeds; where 0 is the best, it alone."""
        best = {condition: self.study(condition).best for condition in self._suggested}
        for seed in confirm_seeds(self.spec):
            for condition, exponent in best.items():
                for value in dict.fromkeys((0.0, exponent)):
                    for start in self.spec.grid.starts:
                        yield Trial(replace(condition, exponent=value), seed, start)
