"""Synthetic answers to an exponent search: rows whose scores follow a planted response to the exponent."""

import hashlib
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import NormalDist

import pyarrow as pa

from phase_diagrams.planner import Planner
from phase_diagrams.spec import JobSpec, parse_spec
from phase_diagrams.tables import METRICS, TRIALS
from phase_diagrams.trial import Condition, Trial, trial_namer

Response = Callable[[Condition], float]


def search_spec(n_features: int = 40, **changes: object) -> JobSpec:
    """A search on a small grid; keys of the sections are given as grid=, search=, reweighting=."""
    grid = {"sparsity": [0.5, 0.8, 0.9], "hidden_dim": [20, 40], "activation": ["topk:1"], "seeds": 3}
    grid |= changes.pop("grid", {})
    section = {"search": {"trials": 8, "batch": 3} | changes.pop("search", {}), "confirm_seeds": 4}
    section |= changes.pop("reweighting", {})
    data = {"n_features": n_features, "n_inputs": 10}
    return parse_spec({"name": "a search", "data": data, "grid": grid, "reweighting": section} | changes)


def unit_noise(*what: object) -> float:
    """A standard normal number that is a function of its arguments."""
    digest = hashlib.sha256(repr(what).encode()).digest()
    return NormalDist().inv_cdf((int.from_bytes(digest[:7], "big") + 0.5) / 2**56)


@dataclass(frozen=True)
class Laboratory:
    """Answers trials: recovery is the condition's level plus its response to the exponent, plus noise."""

    spec: JobSpec
    response: Response
    level: float = 0.5
    noise: float = 0.1
    world: int = 0
    """Another number, another draw of all noise."""

    def rows(self, trials: Iterable[Trial]) -> pa.Table:
        return pa.Table.from_pylist([self._row(trial) for trial in trials], schema=TRIALS)

    def _row(self, trial: Trial) -> dict[str, object]:
        condition, n = trial.condition, self.spec.data.n_features
        # What seeds have in common is paired; the rest differs between exponents as trainings of other losses do.
        common = unit_noise(self.world, condition.sparsity, condition.hidden_dim, trial.seed)
        own = unit_noise(self.world, trial)
        score = self.level + self.response(condition) + self.noise * (common + own) / math.sqrt(2)
        recovered = round(n * min(max(score, 0.0), 1.0)) / n
        return {
            **dict.fromkeys(METRICS, score),
            "trial_id": trial_namer(self.spec)(trial),
            "sparsity": condition.sparsity,
            "hidden_dim": condition.hidden_dim,
            "activation": condition.activation.kind,
            "k": condition.activation.k,
            "l1": condition.activation.l1,
            "exponent": condition.exponent,
            "seed": trial.seed,
            "start": trial.start,
            "n_features": n,
            "n_inputs": self.spec.data.n_inputs,
            "recovered_fraction": recovered,
            "mcc": score,
            "gt_loss": 1.0 - score,
            "sae_loss": 0.5 - 0.1 * score,
            "objective": max(1.0 - recovered, 0.0) + 0.1,
            "identified": recovered >= self.spec.recovery.fraction,
            "diverged": False,
            "steps": 1,
            "train_seconds": 0.0,
            "pack_id": "synthetic",
        }


def ask_to_the_end(planner: Planner, laboratory: Laboratory) -> tuple[list[list[Trial]], pa.Table]:
    """All rounds of a planner, and the rows of all that it asked."""
    rounds: list[list[Trial]] = []
    tables = [TRIALS.empty_table()]
    while trials := planner.ask():
        rounds.append(trials)
        tables.append(laboratory.rows(trials))
        if not planner.done:
            planner.tell(tables[-1])
    return rounds, pa.concat_tables(tables)
