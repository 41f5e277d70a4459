"""What an exponent search found to what a person would say about it, as numbers and as sentences."""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from phase_diagrams.finding import Finding
from phase_diagrams.gain import SCORES, Gain
from phase_diagrams.interval import mean_interval
from phase_diagrams.outcome import better
from phase_diagrams.shift import Shift
from phase_diagrams.spec import JobSpec

CHANCE = 0.025
"""Share of conditions without any effect whose 95 % interval lies above 0 by chance; as many lie below."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its 95 % interval; limits are None where one seed or none leaves them open."""

    mean: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class ScoreGain:
    """The gain in one score over all searched conditions; more is better."""

    score: str
    confirmed: Estimate
    """Mean over conditions, on fresh seeds; the interval is over seeds."""
    searched: float
    """The same at the seeds that chose the exponents: overstated."""
    better: int
    """Conditions whose confirmed interval lies above 0."""
    worse: int
    """Conditions whose confirmed interval lies below 0."""


@dataclass(frozen=True, slots=True)
class PlaceSummary:
    """How one boundary of one panel moves at one hidden dimension."""

    hidden_dim: int
    decades: Estimate
    """Along the sparsity axis, in decades of 1 - S; more is towards lower sparsity."""


@dataclass(frozen=True, slots=True)
class ShiftSummary:
    """How one boundary of one panel moves."""

    activation: str
    start: str
    area_gained: float
    area_lost: float
    area_net: Estimate
    """Shares of the panel."""
    decades: Estimate | None
    """Along the sparsity axis, in decades of 1 - S; more is towards lower sparsity."""
    along: tuple[PlaceSummary, ...]
    """The same at each hidden dimension."""


@dataclass(frozen=True, slots=True)
class ReweightingSummary:
    """What the `reweighting` key of summary.json holds."""

    proxy: str
    objective: str
    conditions_searched: int
    conditions_confirmed: int
    exponent_median: float | None
    """Median of the best exponents."""
    exponents_not_zero: int
    expected_by_chance: float
    """How many conditions of each score would lie above 0 if no exponent had an effect; as many below."""
    gains: tuple[ScoreGain, ...]
    shifts: tuple[ShiftSummary, ...]


def summarise_reweighting(spec: JobSpec, findings: Iterable[Finding], shifts: Iterable[Shift]) -> ReweightingSummary:
    """Put a search into numbers."""
    found = tuple(findings)
    confirmed = [finding for finding in found if finding.confirmed]
    assert spec.search is not None
    best = [finding.exponent for finding in found]
    return ReweightingSummary(
        proxy=spec.proxy,
        objective=spec.search.objective,
        conditions_searched=len(found),
        conditions_confirmed=len(confirmed),
        exponent_median=median(best) if best else None,
        exponents_not_zero=sum(exponent != 0 for exponent in best),
        expected_by_chance=CHANCE * len(confirmed),
        gains=tuple(_score_gain(spec, confirmed, score) for score in SCORES) if confirmed else (),
        shifts=tuple(_shift(shift) for shift in shifts),
    )


def overall_gain(findings: Iterable[Finding], score: str) -> Gain:
    """The mean gain over conditions with its 95 % interval.

    Conditions share seeds, data and so luck; seeds do not. The mean over conditions is one number per seed, and these
    numbers give the interval.
    """
    by_seed: dict[int, list[float]] = {}
    for finding in findings:
        for one in finding.confirmed:
            difference = getattr(one.random.reweighted, score) - getattr(one.random.plain, score)
            by_seed.setdefault(one.seed, []).append(better(score, difference))
    means = [sum(values) / len(values) for _, values in sorted(by_seed.items())]
    return Gain(*mean_interval(means))


def reweighting_sentences(summary: ReweightingSummary) -> list[str]:
    """What a person would say, one fact a sentence; that there is no effect, if there is none."""
    if not summary.conditions_searched:
        return ["No condition is near a boundary, so no exponent was searched."]
    if not summary.conditions_confirmed:
        return [
            f"The exponents of {summary.conditions_searched} conditions are being searched; no gain is measured yet."
        ]
    said = [
        f"Reweighting by {summary.proxy}^alpha: {summary.exponents_not_zero} of {summary.conditions_searched} searched "
        f"conditions have a better exponent than 0 at the seeds that chose it (median {summary.exponent_median:.2g})."
    ]
    said += [_gain_sentence(summary, gain) for gain in summary.gains]
    said += [_shift_sentence(shift) for shift in summary.shifts]
    return said


def _gain_sentence(summary: ReweightingSummary, gain: ScoreGain) -> str:
    sign = "lower" if better(gain.score, 1.0) < 0 else "higher"
    return (
        f"On fresh seeds the gain in {gain.score} ({sign} is better) is {gain.confirmed.mean:+.3g} "
        f"{_within(gain.confirmed)} on average: {_verdict(gain.confirmed)}; the seeds that chose the exponents say "
        f"{gain.searched:+.3g}. {gain.better} of {summary.conditions_confirmed} conditions are better and {gain.worse} "
        f"worse beyond their interval, where chance alone would give {summary.expected_by_chance:.1f} of each."
    )


def _shift_sentence(shift: ShiftSummary) -> str:
    text = (
        f"{shift.activation}: reweighting moves the {shift.start}-start boundary by {100 * shift.area_net.mean:+.1f} "
        f"{_within(shift.area_net, 100)} % of the panel's area (gained {100 * shift.area_gained:.1f} %, lost "
        f"{100 * shift.area_lost:.1f} %)"
    )
    if shift.decades is not None:
        text += f", {shift.decades.mean:+.3f} {_within(shift.decades)} decades of density towards lower sparsity"
    return f"{text}: {_verdict(shift.area_net)}."


def _verdict(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return "one seed cannot tell"
    if estimate.low > 0:
        return "a gain"
    return "a loss" if estimate.high < 0 else "no effect is shown"


def _within(estimate: Estimate, scale: float = 1) -> str:
    if estimate.low is None or estimate.high is None:
        return "[unknown]"
    return f"[{scale * estimate.low:+.3g}, {scale * estimate.high:+.3g}]"


def _score_gain(spec: JobSpec, findings: list[Finding], score: str) -> ScoreGain:
    n = spec.data.n_features
    gains = [finding.gain(score, n) for finding in findings]
    searched = [finding.search_gain(score, n).mean for finding in findings]
    return ScoreGain(
        score=score,
        confirmed=_estimate(overall_gain(findings, score)),
        searched=sum(searched) / len(searched),
        better=sum(gain.low > 0 for gain in gains),
        worse=sum(gain.high < 0 for gain in gains),
    )


def _shift(shift: Shift) -> ShiftSummary:
    return ShiftSummary(
        activation=str(shift.activation),
        start=shift.start,
        area_gained=shift.gained,
        area_lost=shift.lost,
        area_net=_estimate(shift.net),
        decades=None if shift.decades is None else _estimate(shift.decades),
        along=tuple(PlaceSummary(place.hidden_dim, _estimate(place.decades)) for place in shift.along),
    )


def _estimate(gain: Gain) -> Estimate:
    open_ended = gain.low == float("-inf")
    return Estimate(gain.mean, None if open_ended else gain.low, None if open_ended else gain.high)
