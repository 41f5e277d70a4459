"""Conditions and boundaries to what a person would say about the diagram, as numbers and as sentences."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from phase_diagrams.caption import software_version, superposition_words
from phase_diagrams.interval import wilson
from phase_diagrams.layout import density_of
from phase_diagrams.panel import COUNTS, Panel, PanelBoundary, grid_panels, panel_rows
from phase_diagrams.phase import PHASES_RANDOM_START, PHASES_TWO_STARTS
from phase_diagrams.refine_judgement import Judgement, judge
from phase_diagrams.reweighting_summary import ReweightingSummary, reweighting_sentences
from phase_diagrams.spec import JobSpec
from phase_diagrams.superposition import Interference
from phase_diagrams.tables import CONDITION_KEYS


@dataclass(frozen=True, slots=True)
class Rate:
    """A share of trials with its 95 % Wilson interval; without trials the share is None and the interval 0 to 1."""

    successes: int
    trials: int
    rate: float | None
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Chance:
    """The mcc that a random dictionary of this width is expected to score."""

    hidden_dim: int
    mcc_chance: float


@dataclass(frozen=True, slots=True)
class Count:
    """Conditions of a phase, and how many of them are certain."""

    conditions: int
    certain: int


@dataclass(frozen=True, slots=True)
class Critical:
    """Where a boundary lies: `value` on y_axis, with the ends of its 95 % band."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class BoundarySummary:
    """One boundary read at one place, or on which side the whole panel is."""

    start: str
    """random (identified) or truth (identifiable: recovered or optimiser_limited)."""
    x_axis: str
    x: float | None
    """Where the boundary is read: at n_m = n or the nearest place where there is one; across hidden_dim, at the middle
    of the sparsities where there is one."""
    y_axis: str
    crossings: tuple[Critical, ...]
    no_boundary: str | None
    """NO_BOUNDARY and "recovered" (of truth starts "identifiable") "everywhere", "nowhere" or "in 3 of 71 seeds"; None
    where there is a boundary."""


@dataclass(frozen=True, slots=True)
class PanelSummary:
    """One panel in numbers."""

    label: str
    activation: str
    k: int | None
    l1: float | None
    exponent: float
    phases: dict[str, Count]
    identified: Rate
    """Random starts of all conditions of the panel."""
    identifiable: Rate | None
    """Pairs of starts of all conditions of the panel; None without truth starts."""
    boundaries: tuple[BoundarySummary, ...]
    sparsity_where_active_equals_k: float | None
    """S at which n (1 - S) = k; None without k, or where k > n."""


@dataclass(frozen=True, slots=True)
class DisagreementSummary:
    """A condition that the theorems and its seeds judge the opposite way."""

    sparsity: float
    hidden_dim: int
    activation: str
    k: int | None
    l1: float | None
    exponent: float
    disagreement: str
    """theory_only: promised, yet objective_limited; measurement_only: excluded, yet identifiable (verdict.py)."""
    phase: str
    p_identifiable: Rate | None
    """None without truth starts."""
    trial_ids: tuple[str, ...]
    """Its rows of trials.parquet."""


@dataclass(frozen=True, slots=True)
class TheorySummary:
    """The verdicts of Theorems 1 to 3 against the phases that the seeds settle."""

    judged: int
    """Conditions of which the theorems say something, identifiable or not."""
    settled: int
    """Of them, those whose phase is certain (and from two starts, where they do not recover)."""
    theory_only: int
    measurement_only: int
    disagreements: tuple[DisagreementSummary, ...]


@dataclass(frozen=True, slots=True)
class Summary:
    """What summary.json holds."""

    name: str
    version: str
    n_features: int
    n_inputs: int
    superposition: str
    interference: Interference
    recovery_cosine: float
    recovery_fraction: float
    trials_planned: int
    trials_finished: int
    trials_diverged: int
    conditions_planned: int
    """Conditions of the grid; with `refine` its candidates, most of which are not needed."""
    conditions_finished: int
    """Conditions with a finished trial."""
    phases: dict[str, Count]
    mcc_chance: tuple[Chance, ...]
    """By ascending hidden_dim."""
    panels: tuple[PanelSummary, ...]
    theory: TheorySummary
    refinement: Judgement | None = None
    """How well the boundaries are known; None without `refine`."""
    reweighting: ReweightingSummary | None = None
    """What the exponent search found; None without one."""


def summarise(
    spec: JobSpec,
    trials: pa.Table,
    conditions: pa.Table,
    boundaries: Iterable[PanelBoundary],
    interference: Interference,
    reweighting: ReweightingSummary | None = None,
) -> Summary:
    """Put the diagram into numbers: trials (schema TRIALS), conditions (schema CONDITIONS), traced boundaries."""
    found = tuple(boundaries)
    panels = tuple(
        _panel(spec, panel, panel_rows(conditions, panel), [b for b in found if b.panel == panel])
        for panel in grid_panels(spec)
    )
    chance = dict(zip(conditions["hidden_dim"].to_pylist(), conditions["mcc_chance"].to_pylist(), strict=True))
    return Summary(
        name=spec.name,
        version=software_version(),
        n_features=spec.data.n_features,
        n_inputs=spec.data.n_inputs,
        superposition=superposition_words(spec),
        interference=interference,
        recovery_cosine=spec.recovery.cosine,
        recovery_fraction=spec.recovery.fraction,
        trials_planned=spec.n_trials,
        trials_finished=trials.num_rows,
        trials_diverged=int(pc.sum(trials["diverged"]).as_py() or 0),
        conditions_planned=spec.n_conditions,
        conditions_finished=conditions.num_rows,
        phases=_phases(spec, conditions),
        mcc_chance=tuple(Chance(width, chance[width]) for width in sorted(chance)),
        panels=panels,
        theory=_theory(spec, trials, conditions),
        refinement=judge(spec, spec.refine, trials) if spec.refine else None,
        reweighting=reweighting,
    )


def summary_json(summary: Summary) -> str:
    """The summary as JSON text, with its sentences."""
    document = {**asdict(summary), "sentences": sentences(summary)}
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def sentences(summary: Summary) -> list[str]:
    """What a person would say, one fact a sentence."""
    said = [
        f"{summary.trials_finished:,} of {summary.trials_planned:,} trials finished, "
        f"{summary.trials_diverged:,} of them diverged; "
        f"{summary.conditions_finished:,} of {summary.conditions_planned:,} "
        f"{'candidate ' if summary.refinement else ''}conditions have finished trials."
    ]
    if summary.refinement:
        said.append(str(summary.refinement))
    counts = [f"{count.conditions:,} {phase} ({count.certain:,} certain)" for phase, count in summary.phases.items()]
    said.append(f"Conditions by phase: {', '.join(counts)}.")
    said += [_panel_sentence(panel.label, boundary) for panel in summary.panels for boundary in panel.boundaries]
    overlap = summary.interference
    condition = "meets" if overlap.non_positive else "does not meet"
    said.append(
        f"The superposition {summary.superposition} has coherence {overlap.coherence:.3f} (Welch bound "
        f"{overlap.welch_bound:.3f}) and {condition} the theory's condition of non-positive interference."
    )
    theory = summary.theory
    said.append(
        f"Theorems 1 to 3 judge {theory.judged:,} conditions, and the seeds settle {theory.settled:,} of them: "
        f"{theory.theory_only:,} promised by the theorems are objective_limited, {theory.measurement_only:,} excluded "
        f"by them are identifiable."
    )
    if summary.mcc_chance:
        ends = dict.fromkeys((summary.mcc_chance[0], summary.mcc_chance[-1]))
        scores = " and ".join(f"{end.mcc_chance:.3f} at n_m = {end.hidden_dim}" for end in ends)
        said.append(f"By chance, a random dictionary scores mcc {scores}.")
    return said + (reweighting_sentences(summary.reweighting) if summary.reweighting else [])


def _panel_sentence(label: str, boundary: BoundarySummary) -> str:
    asked = "identified" if boundary.start == "random" else "identifiable"
    if boundary.no_boundary is not None:
        where = boundary.no_boundary.removeprefix(NO_BOUNDARY).partition(" ")[2]
        return f"{label}: no boundary in range from {boundary.start} starts, features are {asked} {where}."
    places = " and ".join(
        f"{_SYMBOLS[boundary.y_axis]} = {_say(c.value)} [{_say(c.low)}, {_say(c.high)}]" for c in boundary.crossings
    )
    where = f"{_SYMBOLS[boundary.x_axis]} = {_say(boundary.x or 0.0)}"
    return f"{label}: at {where}, the {boundary.start}-start boundary (P = 1/2 {asked}) is at {places}."


NO_BOUNDARY = "no boundary in range: "

_SYMBOLS = {"hidden_dim": "n_m", "sparsity": "S"}


def _say(value: float) -> str:
    return f"{value:.4g}"


def _phases(spec: JobSpec, conditions: pa.Table) -> dict[str, Count]:
    phases = PHASES_TWO_STARTS if "truth" in spec.grid.starts else PHASES_RANDOM_START
    counts: dict[str, Count] = {}
    for phase in phases:
        certain = conditions.filter(pc.equal(conditions["phase"], phase))["phase_certain"]
        counts[phase] = Count(len(certain), int(pc.sum(certain).as_py() or 0))
    return counts


def _panel(spec: JobSpec, panel: Panel, rows: pa.Table, boundaries: list[PanelBoundary]) -> PanelSummary:
    activation, n = panel.activation, spec.data.n_features
    crossed = activation.k is not None and activation.k <= n
    return PanelSummary(
        label=str(panel),
        activation=activation.kind,
        k=activation.k,
        l1=activation.l1,
        exponent=panel.exponent,
        phases=_phases(spec, rows),
        identified=_rate(rows, "random"),
        identifiable=_rate(rows, "truth") if "truth" in spec.grid.starts else None,
        boundaries=tuple(_boundary(boundary, n, _rate(rows, boundary.start)) for boundary in boundaries),
        sparsity_where_active_equals_k=density_of((activation.k or 0) / n) if crossed else None,
    )


def _theory(spec: JobSpec, trials: pa.Table, conditions: pa.Table) -> TheorySummary:
    judged = conditions.filter(pc.is_valid(conditions["theory"]))
    settled = pc.and_(pc.fill_null(judged["phase_certain"], False), pc.not_equal(judged["phase"], "not_recovered"))
    opposite = judged.filter(pc.is_valid(judged["disagreement"]))
    sides = opposite["disagreement"].to_pylist()
    trial_ids: dict[tuple[object, ...], list[str]] = {}
    if sides:
        # Seeds that confirm an exponent search are not part of any condition.
        trials = trials.filter(pc.is_in(trials["seed"], value_set=pa.array(spec.grid.seeds, pa.int64())))
        keys = zip(*(trials[name].to_pylist() for name in CONDITION_KEYS), strict=True)
        for key, trial_id in zip(keys, trials["trial_id"].to_pylist(), strict=True):
            trial_ids.setdefault(key, []).append(trial_id)
    return TheorySummary(
        judged=judged.num_rows,
        settled=int(pc.sum(pc.fill_null(settled, False)).as_py() or 0),
        theory_only=sides.count("theory_only"),
        measurement_only=sides.count("measurement_only"),
        disagreements=tuple(_opposite(row, trial_ids) for row in opposite.to_pylist()),
    )


def _opposite(row: dict[str, Any], trial_ids: dict[tuple[object, ...], list[str]]) -> DisagreementSummary:
    key = {name: row[name] for name in CONDITION_KEYS}
    pairs, stays = row["n_pairs"], row["n_identifiable"]
    rate = None
    if pairs:
        rate = Rate(stays, pairs, row["p_identifiable"], row["p_identifiable_low"], row["p_identifiable_high"])
    return DisagreementSummary(
        **key,
        disagreement=row["disagreement"],
        phase=row["phase"],
        p_identifiable=rate,
        trial_ids=tuple(trial_ids.get(tuple(key.values()), ())),
    )


def _rate(rows: pa.Table, start: str) -> Rate:
    successes, trials = (int(pc.sum(rows[name]).as_py() or 0) for name in COUNTS[start])
    low, high = wilson(successes, trials)
    return Rate(successes, trials, successes / trials if trials else None, float(low), float(high))


def _boundary(boundary: PanelBoundary, n_features: int, rate: Rate) -> BoundarySummary:
    crossings = boundary.reading(n_features)
    return BoundarySummary(
        start=boundary.start,
        x_axis=boundary.x_axis,
        x=crossings[0].x if crossings else None,
        y_axis=boundary.y_axis,
        crossings=tuple(Critical(c.y, c.y_low, c.y_high) for c in crossings),
        no_boundary=None if boundary.no_boundary is None else f"{NO_BOUNDARY}{_side(boundary.start, rate)}",
    )


def _side(start: str, rate: Rate) -> str:
    """Where a panel without a boundary is: on one side only if every seed says so."""
    asked = "recovered" if start == "random" else "identifiable"
    if 0 < rate.successes < rate.trials:
        return f"{asked} in {rate.successes:,} of {rate.trials:,} seeds"
    return f"{asked} {'everywhere' if rate.successes else 'nowhere'}"
