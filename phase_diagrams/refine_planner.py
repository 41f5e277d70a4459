"""A spec with `refine` to rounds of trials: a coarse start, then what tells most of the boundary, until it is known."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from phase_diagrams.pace import stream_cost
from phase_diagrams.panel import grid_panels
from phase_diagrams.refine_fields import (
    Group,
    Outcomes,
    Verdict,
    coarse_places,
    count_outcomes,
    open_field,
    panel_groups,
    places_of,
)
from phase_diagrams.refine_spec import Refine
from phase_diagrams.refinement import Choice, Field, choose, estimate
from phase_diagrams.spec import JobSpec
from phase_diagrams.tables import TRIALS
from phase_diagrams.trial import Condition, Trial, trial_namer

GROWTH = 8
"""A round asks for one in so many of what was asked for before, so that rounds grow in number as the logarithm of the
trainings; heuristic: a round of that share could not have told much more in two halves."""
LEAST_ROUND = 24
"""Fewest trainings of a round, per panel, so that its packs occupy a machine."""
REFRESH = 8
"""Rounds, or boundaries where there are more, from one fresh fit of a boundary to the next: they take turns."""


def coarse_trials(spec: JobSpec) -> list[Trial]:
    """Where refinement starts: every condition of the grid at its first seed, from every start."""
    grid = spec.grid
    return [
        Trial(Condition(sparsity, hidden_dim, activation, exponent), grid.seeds[0], start)
        for sparsity, hidden_dim, activation, exponent, start in product(
            grid.sparsity, grid.hidden_dim, grid.activations, grid.exponent, grid.starts
        )
    ]


@dataclass(slots=True)
class RefinePlanner:
    """Asks for rounds, each from all rows of those before, in an order that does not depend on when they came."""

    spec: JobSpec
    refine: Refine
    verdict: Verdict | None = field(default=None, init=False)
    """Why it is done; None while it is not."""
    _groups: tuple[Group, ...] = field(init=False)
    _fields: list[Field] = field(init=False)
    _awaited: set[str] = field(default_factory=set, init=False)
    _rows: list[pa.Table] = field(default_factory=lambda: [TRIALS.empty_table()], init=False)
    _asked: int = field(default=0, init=False)
    _rounds: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self._groups = panel_groups(self.spec, self.refine)
        self._fields = [open_field(self.spec, group) for group in self._groups]

    def ask(self) -> list[Trial]:
        """The next round, once all of the last one was told or lost; empty while it waits and when it is done."""
        if self._awaited or self.done:
            return []
        trials = self._next() if self._rounds else self._start()
        name = trial_namer(self.spec)
        self._awaited = {name(trial) for trial in trials}
        self._asked += len(trials)
        self._rounds += 1
        return trials

    def tell(self, rows: pa.Table) -> None:
        """Hand over finished rows; those that this round did not ask for are left out."""
        mine = rows.filter(pc.is_in(rows["trial_id"], value_set=pa.array(sorted(self._awaited), pa.string())))
        self._rows.append(mine)
        self._awaited.difference_update(mine["trial_id"].to_pylist())

    def lose(self, trials: Collection[Trial]) -> None:
        """Trials that were given up: nothing is known of them, and neither they nor their pairs are asked for again."""
        name = trial_namer(self.spec)
        self._awaited.difference_update(name(trial) for trial in trials)
        for trial in trials:
            for group, each in zip(self._groups, self._fields, strict=True):
                each.asked[places_of(self.spec, group, trial.condition), :, self.spec.grid.seeds.index(trial.seed)] = (
                    True
                )

    @property
    def done(self) -> bool:
        """Whether there is nothing more to ask for."""
        return self.verdict is not None

    @property
    def expected(self) -> int:
        """What the budget can be spent on; once it is done, what was asked for."""
        return self._asked if self.done else self.spec.n_trials

    def report(self) -> dict[str, Any]:
        """How far the bands reach so far, how many boundaries are settled, and what was never looked at."""
        reaches = [found.reach for each in self._fields for found in each.estimates if found is not None]
        if not reaches:
            return {}
        widest, tolerance = max(reaches), self.refine.tolerance
        settled, boundaries = sum(each <= tolerance for each in reaches), sum(len(f.estimates) for f in self._fields)
        known = [each for each in reaches if math.isfinite(each)]
        said = f", the widest band reaches {100 * max(known):.1f} %" if known else ""
        if len(known) < len(reaches):
            said += f", {len(reaches) - len(known)} without a line so far"
        return {
            "text": f"round {self._rounds}: {self._asked:,} trainings of at most {self.refine.budget:,}; {settled} of "
            f"{boundaries} boundaries within {100 * tolerance:g} % of an axis{said}",
            "round": self._rounds,
            "trainings": self._asked,
            "budget": self.refine.budget,
            "boundaries": boundaries,
            "settled": settled,
            "reach": round(widest, 4) if math.isfinite(widest) else None,
            "unsampled": round(max(float(each.nearest.max()) for each in self._fields), 4),
            "stopped_by": self.verdict,
        }

    def _start(self) -> list[Trial]:
        for group, each in zip(self._groups, self._fields, strict=True):
            each.asked[coarse_places(self.spec, group), :, 0] = True
        return coarse_trials(self.spec)

    def _next(self) -> list[Trial]:
        outcomes = count_outcomes(self.spec, self._groups, pa.concat_tables(self._rows))
        self._estimate(outcomes, afresh=False)
        if self._settled():
            self._estimate(outcomes, afresh=True)
        left = self.refine.budget - self._asked
        if self._settled():
            self.verdict = "tolerance"
        elif not left:
            self.verdict = "budget"
        else:
            size = min(left, max(LEAST_ROUND * len(grid_panels(self.spec)), self._asked // GROWTH))
            chosen = choose(self._fields, size, self.refine.tolerance, stream_cost(self.spec))
            self.verdict = None if chosen else "exhausted"
            return sorted((self._trial(choice) for choice in chosen), key=_canonical)
        return []

    def _estimate(self, outcomes: Sequence[Outcomes], afresh: bool) -> None:
        """Fit every boundary to the outcomes: one a round afresh, in turn, the others from where they were.

        Afresh takes seconds where panels share a posterior of three axes: in turn, those wander instead.
        """
        boundaries = [(each, start) for each in self._fields for start in range(len(each.estimates))]
        turns = max(REFRESH, len(boundaries))
        for number, (each, start) in enumerate(boundaries):
            counts, totals = outcomes[self._fields.index(each)][start]
            if totals.any():
                turn, shared = (self._rounds + number) % turns == 0, len(each.lattice.axes) > 2
                earlier = None if afresh or (turn and not shared) else each.estimates[start]
                each.estimates[start] = estimate(each.lattice, counts, totals, self.refine.confidence, earlier, turn)

    def _settled(self) -> bool:
        found = [found for each in self._fields for found in each.estimates]
        return all(each is not None and each.reach <= self.refine.tolerance for each in found)

    def _trial(self, choice: Choice) -> Trial:
        spec, panels = self.spec, self._groups[choice.field].panels
        shape = (len(panels), len(spec.sparsities), len(spec.widths))
        panel, sparsity, width = np.unravel_index(choice.place, shape)
        condition = Condition(
            spec.sparsities[sparsity], spec.widths[width], panels[panel].activation, panels[panel].exponent
        )
        return Trial(condition, spec.grid.seeds[choice.seed], spec.grid.starts[choice.start])


def _canonical(trial: Trial) -> tuple[float, int, str, float, int, str]:
    condition = trial.condition
    return (
        condition.sparsity,
        trial.seed,
        str(condition.activation),
        condition.exponent,
        condition.hidden_dim,
        trial.start,
    )
