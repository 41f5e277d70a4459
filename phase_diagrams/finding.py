"""Rows of an exponent search to what it found: the best exponent of each condition, and its gain on fresh seeds."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from phase_diagrams.gain import SCORES, Gain, Pair, paired_gain
from phase_diagrams.outcome import Outcome, read_outcomes
from phase_diagrams.phase import condition_phase
from phase_diagrams.spec import JobSpec, Start
from phase_diagrams.study import Study, Tried, mean_score
from phase_diagrams.tables import REWEIGHTING
from phase_diagrams.trial import Condition, Trial, confirm_seeds, plain_conditions, study_key

NO_GAIN = Gain(0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Confirmed:
    """A fresh seed trained at the best exponent and at 0."""

    seed: int
    random: Pair
    truth: Pair | None
    """None without truth starts."""

    def success(self, start: Start) -> Pair | None:
        """Not the outcomes but whether each loss has what the start's boundary is about, as 0 or 1 in `identified`."""
        if start == "random":
            return self.random
        if self.truth is None:
            return None
        return Pair(
            _identifiable(self.random.reweighted, self.truth.reweighted),
            _identifiable(self.random.plain, self.truth.plain),
        )


@dataclass(frozen=True, slots=True)
class Finding:
    """What the search of one condition came to."""

    condition: Condition
    """The plain one."""
    study: Study
    searched: tuple[Pair, ...]
    """The best exponent against 0 at the seeds that chose it, random starts."""
    confirmed: tuple[Confirmed, ...]
    """The same on fresh seeds, by seed; empty before the confirmation."""
    n_trials: int
    """Trainings that the search and its confirmation took, those of the grid aside."""

    @property
    def exponent(self) -> float:
        """The best exponent: 0 where none beat the plain loss."""
        return self.study.best

    def search_gain(self, score: str, n_features: int) -> Gain:
        """The gain at the seeds that chose the exponent: overstated, since the best of many was chosen by it."""
        return paired_gain(score, self.searched, n_features) if self.exponent else NO_GAIN

    def gain(self, score: str, n_features: int) -> Gain:
        """The gain of random starts on the fresh seeds; exactly 0 where the best exponent is 0."""
        pairs = [one.random for one in self.confirmed]
        return paired_gain(score, pairs, n_features) if self.exponent or not pairs else NO_GAIN


def find_exponents(spec: JobSpec, trials: pa.Table) -> tuple[Finding, ...]:
    """What the rows (schema TRIALS) of a spec with a search show, for every condition that was searched so far."""
    outcomes = read_outcomes(trials)
    of: dict[Condition, dict[Trial, Outcome]] = defaultdict(dict)
    for trial, outcome in outcomes.items():
        of[replace(trial.condition, exponent=0.0)][trial] = outcome
    found = (_finding(spec, condition, of[condition]) for condition in plain_conditions(spec))
    return tuple(finding for finding in found if finding.study.suggested)


def reweighting_table(spec: JobSpec, findings: Iterable[Finding]) -> pa.Table:
    """One row (schema REWEIGHTING) per searched condition."""
    return pa.Table.from_pylist([_row(spec, finding) for finding in findings], schema=REWEIGHTING)


def _finding(spec: JobSpec, condition: Condition, outcomes: dict[Trial, Outcome]) -> Finding:
    search = spec.search
    assert search is not None
    scores: dict[float, list[Outcome]] = defaultdict(list)
    for trial, outcome in outcomes.items():
        exponent = trial.condition.exponent
        if trial.start == "random" and trial.seed in spec.grid.seeds and search.low <= exponent <= search.high:
            scores[exponent].append(outcome)
    tried = tuple(Tried(exponent, mean_score(search, scores[exponent])) for exponent in sorted(scores))
    suggested = len(scores.keys() - set(spec.grid.exponent))
    study = Study(condition, search, tried, suggested, study_key(spec, condition, suggested))
    own = sum(t.seed not in spec.grid.seeds or t.condition.exponent not in spec.grid.exponent for t in outcomes)
    return Finding(
        condition,
        study,
        searched=tuple(_pairs(condition, study.best, spec.grid.seeds, "random", outcomes).values()),
        confirmed=_confirmed(spec, condition, study.best, outcomes),
        n_trials=own,
    )


def _confirmed(
    spec: JobSpec, condition: Condition, best: float, outcomes: dict[Trial, Outcome]
) -> tuple[Confirmed, ...]:
    """The fresh seeds that have finished from every start at both exponents."""
    by_start = {s: _pairs(condition, best, confirm_seeds(spec), s, outcomes) for s in spec.grid.starts}
    random, truth = by_start["random"], by_start.get("truth")
    complete = [seed for seed in random if truth is None or seed in truth]
    return tuple(Confirmed(seed, random[seed], truth[seed] if truth else None) for seed in complete)


def _pairs(
    condition: Condition, best: float, seeds: Iterable[int], start: Start, outcomes: dict[Trial, Outcome]
) -> dict[int, Pair]:
    """The best exponent beside 0, for each seed that has both."""
    found = {}
    for seed in seeds:
        both = [outcomes.get(Trial(replace(condition, exponent=value), seed, start)) for value in (best, 0.0)]
        if both[0] is not None and both[1] is not None:
            found[seed] = Pair(both[0], both[1])
    return found


def _identifiable(random: Outcome, truth: Outcome) -> Outcome:
    """The truth start's outcome, `identified` being whether the seed is recovered or optimiser_limited (phase.py)."""
    phase = condition_phase([random.identified], [random.objective], [truth.identified], [truth.objective])
    assert phase.identifiable is not None
    return replace(truth, identified=phase.identifiable[0])


def _row(spec: JobSpec, finding: Finding) -> dict[str, object]:
    condition, n = finding.condition, spec.data.n_features
    row: dict[str, object] = {
        "sparsity": condition.sparsity,
        "hidden_dim": condition.hidden_dim,
        "activation": condition.activation.kind,
        "k": condition.activation.k,
        "l1": condition.activation.l1,
        "n_features": n,
        "n_inputs": spec.data.n_inputs,
        "proxy": spec.proxy,
        "objective": finding.study.search.objective,
        "exponent_best": finding.exponent,
        "n_exponents": len(finding.study.tried),
        "n_trials": finding.n_trials,
        "n_search_seeds": len(finding.searched),
        "n_confirm_seeds": len(finding.confirmed),
    }
    pairs = [one.random for one in finding.confirmed]
    for score in SCORES:
        gain, searched = finding.gain(score, n), finding.search_gain(score, n)
        row[f"gain_{score}"], row[f"gain_{score}_low"], row[f"gain_{score}_high"] = map(_known, gain)
        row[f"search_gain_{score}"] = _known(searched.mean)
        row[f"{score}_plain"] = _known(_mean(getattr(pair.plain, score) for pair in pairs))
        row[f"{score}_best"] = _known(_mean(getattr(pair.reweighted, score) for pair in pairs))
    return row


def _mean(values: Iterable[float]) -> float:
    numbers = list(values)
    return float(np.mean(numbers)) if numbers else float("nan")


def _known(value: float) -> float | None:
    return value if np.isfinite(value) else None
