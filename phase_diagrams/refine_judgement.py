"""The finished rows of a refined job to how well its boundaries are known, and why sampling stopped."""

import math
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from phase_diagrams.pace import stream_cost
from phase_diagrams.refine_fields import Verdict, count_outcomes, open_field, panel_groups
from phase_diagrams.refine_spec import Refine
from phase_diagrams.refinement import Field, choose, estimate
from phase_diagrams.spec import JobSpec

PROBE = 24
"""Trainings of the round that is looked for: enough that it would explore, too."""

REASONS: dict[Verdict | None, str] = {
    "tolerance": "every band is within it, so sampling stopped",
    "budget": "the budget is spent",
    "exhausted": "every seed of every place that would tell more is trained",
    None: "sampling goes on",
}


@dataclass(frozen=True, slots=True)
class KnownBoundary:
    """How well one boundary is known."""

    panels: str
    """Label of the panel, or of those that share."""
    start: str
    reach: float | None
    """How far its band reaches from it, in shares of an axis; None where the band has no line yet."""
    settled: bool
    """Whether that is within the tolerance."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What refinement came to."""

    trainings: int
    budget: int
    tolerance: float
    confidence: float
    boundaries: tuple[KnownBoundary, ...]
    unsampled: float
    """Largest distance of a place from a sampled one, in shares of an axis: a smaller island can be missed."""
    stopped_by: Verdict | None

    def __str__(self) -> str:
        """One sentence."""
        settled = sum(boundary.settled for boundary in self.boundaries)
        return (
            f"Refinement: {self.trainings:,} trainings of at most {self.budget:,}; {settled} of {len(self.boundaries)} "
            f"boundaries are known within {100 * self.tolerance:g} % of an axis at {100 * self.confidence:g} % "
            f"confidence, {REASONS[self.stopped_by]}. No place is farther than {100 * self.unsampled:.1f} % of an axis "
            "from a sampled one."
        )


def judge(spec: JobSpec, refine: Refine, rows: pa.Table) -> Judgement:
    """How well the boundaries are known from the finished rows of a job, whoever asked for them."""
    groups = panel_groups(spec, refine)
    known, fields = list[KnownBoundary](), list[Field]()
    for group, outcomes in zip(groups, count_outcomes(spec, groups, rows), strict=True):
        each = open_field(spec, group)
        for number, (start, (counts, totals)) in enumerate(zip(spec.grid.starts, outcomes, strict=True)):
            each.asked[:, number] = np.arange(each.asked.shape[2]) < totals[:, None]
            found = estimate(each.lattice, counts, totals, refine.confidence) if totals.any() else None
            each.estimates[number] = found
            reached = found.reach if found is not None else math.inf
            label = ", ".join(map(str, group.panels))
            shown = round(reached, 4) if math.isfinite(reached) else None
            known.append(KnownBoundary(label, start, shown, reached <= refine.tolerance))
        fields.append(each)
    unsampled = max(float(np.minimum(each.nearest, 1.0).max()) for each in fields)
    left = refine.budget - rows.num_rows
    verdict: Verdict | None = "tolerance" if all(b.settled for b in known) else "budget" if left <= 0 else None
    if verdict is None and not _wanted(spec, refine, fields, left):
        verdict = "exhausted"
    return Judgement(
        rows.num_rows, refine.budget, refine.tolerance, refine.confidence, tuple(known), round(unsampled, 4), verdict
    )


def _wanted(spec: JobSpec, refine: Refine, fields: list[Field], left: int) -> bool:
    """Whether a planner that knew these outcomes would ask for more: it may leave places of settled boundaries, and
    the last training of a budget where only pairs tell anything."""
    if any(found is None for each in fields for found in each.estimates):
        return True
    return bool(choose(fields, min(left, PROBE), refine.tolerance, stream_cost(spec)))
