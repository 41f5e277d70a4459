"""Paired seed outcomes of one condition to its phase and whether the seeds settle it.

The phases, from the most to the least favourable claim (science.md, "Three phases, two starts"):

- `recovered`: random starts identify the features;
- `optimiser_limited`: they do not, but truth starts stay identified and end at a lower or equal objective;
- `objective_limited`: truth starts leave the truth, or random starts end lower with wrong features.

From random starts alone only `recovered` and `not_recovered` can be told apart.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from phase_diagrams.interval import mean_interval, wilson

Phase = Literal["recovered", "optimiser_limited", "objective_limited", "not_recovered"]

PHASES_TWO_STARTS: tuple[Phase, ...] = ("recovered", "optimiser_limited", "objective_limited")
PHASES_RANDOM_START: tuple[Phase, ...] = ("recovered", "not_recovered")

# The independent trainer of science.md ("the measured shape") calls two objectives equal within .2 %.
OBJECTIVE_TOLERANCE = 0.002
CONFIDENCE = 0.95

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ConditionPhase:
    """The phase of one condition, what supports it, and the verdict of each seed."""

    phase: Phase
    certain: bool
    """False where an interval leaves the phase open: too few or split seeds, or objectives closer than their spread."""
    share: float
    """Share of the seeds that are in this very phase, in [0, 1]."""
    share_low: float
    share_high: float
    """Wilson 95 % limits of the share."""
    log_ratio: float
    log_ratio_low: float
    log_ratio_high: float
    """Mean of log(truth objective / random objective) over the seeds whose phase it decides, with the paired 95 %
    t-interval; NaN where no seed is decided by it, limits -inf and inf where only one is."""
    seed_phases: tuple[Phase, ...]
    """In the order of the seeds."""
    identifiable: tuple[bool, ...] | None
    """Per seed: recovered or optimiser_limited; None without truth starts."""


def condition_phase(
    random_identified: npt.ArrayLike,
    random_objective: npt.ArrayLike,
    truth_identified: npt.ArrayLike | None = None,
    truth_objective: npt.ArrayLike | None = None,
) -> ConditionPhase:
    """The phase that the median seed supports.

    The seeds' phases are ordered by favour and the condition gets the most favourable claim that more than half of
    the seeds support. Where one phase holds a majority that is the majority; an even split gives the less favourable
    phase; and a seed that turns from failure to recovery never makes the claim less favourable (which the most
    frequent of three phases would not promise).

    Args:
        random_identified, random_objective: (seeds,), random starts.
        truth_identified, truth_objective: (seeds,), truth starts on the same data; both None if none were trained.
            An objective that is not finite marks a start that diverged or is missing: it counts as not identified.

    Raises:
        ValueError: no seeds, lengths that differ, a negative objective, or one truth array without the other.
    """
    random_objectives = _objectives("random_objective", random_objective)
    recovered = _identified("random_identified", random_identified, random_objectives)
    if truth_identified is None and truth_objective is None:
        return _from_random_starts(recovered)
    if truth_identified is None or truth_objective is None:
        raise ValueError("truth_identified and truth_objective must be given together")
    truth_objectives = _objectives("truth_objective", truth_objective)
    stays = _identified("truth_identified", truth_identified, truth_objectives)
    if recovered.size != stays.size:
        raise ValueError(f"the starts must be paired by seed, got {recovered.size} random and {stays.size} truth")
    compared = stays & ~recovered
    # A random start that diverged ends above any truth start.
    against = np.where(np.isfinite(random_objectives), random_objectives, np.inf)
    lower = np.where(np.isfinite(truth_objectives), truth_objectives, np.inf) <= against * (1.0 + OBJECTIVE_TOLERANCE)
    ranks = np.where(recovered, 0, np.where(compared & lower, 1, 2))
    ratios = _log_ratios(truth_objectives, random_objectives, compared)
    return _majority(ranks, PHASES_TWO_STARTS, ratios, tuple(bool(r < 2) for r in ranks))


def _from_random_starts(recovered: Bools) -> ConditionPhase:
    return _majority(np.where(recovered, 0, 1), PHASES_RANDOM_START, np.empty(0), None)


def _majority(
    ranks: npt.NDArray[np.int_], phases: Sequence[Phase], ratios: Floats, identifiable: tuple[bool, ...] | None
) -> ConditionPhase:
    n = ranks.size
    # Sorted by favour, element n // 2 is the first rank that more than half of the seeds reach.
    winner = int(np.sort(ranks)[n // 2])
    count = int(np.sum(ranks == winner))
    low, high = wilson(count, n, CONFIDENCE)
    ratio, ratio_low, ratio_high = mean_interval(ratios, CONFIDENCE)
    return ConditionPhase(
        phase=phases[winner],
        certain=bool(low > 0.5) and _comparison_settles(phases[winner], ratio_low, ratio_high),
        share=count / n,
        share_low=float(low),
        share_high=float(high),
        log_ratio=ratio,
        log_ratio_low=ratio_low,
        log_ratio_high=ratio_high,
        seed_phases=tuple(phases[r] for r in ranks),
        identifiable=identifiable,
    )


def _comparison_settles(phase: Phase, low: float, high: float) -> bool:
    """Whether the objectives' interval is on the side that the phase claims; true where no objectives decide."""
    tolerance = float(np.log1p(OBJECTIVE_TOLERANCE))
    if np.isnan(low):
        return True
    if phase == "optimiser_limited":
        return high <= tolerance
    if phase == "objective_limited":
        return low > tolerance
    return True


def _log_ratios(truth: Floats, random: Floats, compared: Bools) -> Floats:
    """log(truth / random) of the compared seeds whose random start ended somewhere; sorted, so seed order is void."""
    pairs = compared & np.isfinite(random)
    # Two objectives of exactly zero are equal.
    tiny = np.finfo(np.float64).tiny
    return np.sort(np.log(np.maximum(truth[pairs], tiny)) - np.log(np.maximum(random[pairs], tiny)))


def _objectives(name: str, values: npt.ArrayLike) -> Floats:
    objectives = np.asarray(values, dtype=np.float64)
    if objectives.ndim != 1 or objectives.size == 0:
        raise ValueError(f"{name} must be one value per seed for at least one seed, got shape {objectives.shape}")
    if np.any(objectives < 0):
        raise ValueError(f"{name} must be >= 0 (a loss), got {objectives.min()}")
    return objectives


def _identified(name: str, values: npt.ArrayLike, objectives: Floats) -> Bools:
    identified = np.asarray(values, dtype=np.bool_)
    if identified.shape != objectives.shape:
        raise ValueError(f"{name} must have one value per objective, got {identified.shape} and {objectives.shape}")
    return np.asarray(identified & np.isfinite(objectives))
