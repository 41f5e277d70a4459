"""A spec to its trials: what is trained, under which name, with which random streams."""

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count, islice, product

from phase_diagrams.activation import Activation
from phase_diagrams.proxy import Proxy
from phase_diagrams.spec import Explicit, JobSpec, Start

ENGINE_VERSION = "4"
"""Part of every trial's identity: raised whenever the same trial would give other numbers."""

STOPPING_VERSION = 2
"""Part of the identity of trials that may stop early: raised whenever the same one would stop at another step."""

_LATER_KEYS: dict[str, object] = {"stop": None, "precision": "float32"}
"""Keys of `training` that the first version did not have, with the value that means what it did."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One combination of the grid's axes, without seed and start."""

    sparsity: float
    hidden_dim: int
    activation: Activation
    exponent: float


@dataclass(frozen=True, slots=True)
class Trial:
    """One training: a condition at one seed and one start."""

    condition: Condition
    seed: int
    start: Start


def grid_trials(spec: JobSpec) -> Iterator[Trial]:
    """Every trial of the full grid exactly once; data streams (sparsity, seed) come one after another."""
    grid = spec.grid
    streams = product(grid.sparsity, grid.seeds)
    for sparsity, seed in streams:
        shapes = product(grid.hidden_dim, grid.activations, grid.exponent, grid.starts)
        for hidden_dim, activation, exponent, start in shapes:
            yield Trial(Condition(sparsity, hidden_dim, activation, exponent), seed, start)


def expected_trials(spec: JobSpec) -> Iterator[Trial]:
    """Trials that cost what the job's would, at most; those of a grid themselves.

    Which exponents a search will ask for is not known before; they cost the same, so any stand for them.
    """
    if spec.refine is not None:
        yield from _spread_trials(spec, spec.n_trials)
        return
    yield from grid_trials(spec)
    if spec.search is None:
        return
    search, starts = spec.search, spec.grid.starts
    width = (search.high - search.low) / search.trials
    exponents = [search.low + (part + 0.5) * width for part in range(search.trials)]
    for condition in plain_conditions(spec):
        for exponent, seed in product(exponents, spec.grid.seeds):
            yield Trial(replace(condition, exponent=exponent), seed, "random")
        for exponent, seed, start in product((0.0, search.high), confirm_seeds(spec), starts):
            yield Trial(replace(condition, exponent=exponent), seed, start)


def _spread_trials(spec: JobSpec, number: int) -> Iterator[Trial]:
    """So many of all that refinement could ask for, spread evenly."""
    grid = spec.grid
    axes = (spec.sparsities, grid.seeds, spec.widths, grid.activations, grid.exponent, grid.starts)
    step = max(1, math.prod(map(len, axes)) // number)
    chosen = islice(product(*axes), 0, step * number, step)
    for sparsity, seed, hidden_dim, activation, exponent, start in chosen:
        yield Trial(Condition(sparsity, hidden_dim, activation, exponent), seed, start)


def plain_conditions(spec: JobSpec) -> Iterator[Condition]:
    """Every condition of the grid without its exponent, as the one with exponent 0."""
    for sparsity, hidden_dim, activation in product(spec.grid.sparsity, spec.grid.hidden_dim, spec.grid.activations):
        yield Condition(sparsity, hidden_dim, activation, 0.0)


def confirm_seeds(spec: JobSpec) -> tuple[int, ...]:
    """The smallest seeds that the grid, and so the search, does not use; empty without a search."""
    if spec.reweighting is None or spec.search is None:
        return ()
    fresh = (seed for seed in count() if seed not in spec.grid.seeds)
    return tuple(islice(fresh, spec.reweighting.confirm_seeds))


@dataclass(frozen=True, slots=True)
class TrialNamer:
    """Gives trials of one spec their ids; holds the digest of what all of them share."""

    shared: str
    proxy: Proxy = "variance"

    def __call__(self, trial: Trial) -> str:
        """Sixteen hexadecimal digits: the content hash of all that determines the trial's row.

        The proxy counts where it weights anything: plain trials are shared by the jobs of all proxies, and the names
        of those with the paper's, the variance, are what they were before there were others.
        """
        condition = trial.condition
        weighted = [self.proxy] if condition.exponent != 0 and self.proxy != "variance" else []
        return _digest(
            [
                self.shared,
                condition.sparsity,
                condition.hidden_dim,
                str(condition.activation),
                condition.exponent,
                trial.seed,
                trial.start,
                *weighted,
            ]
        )


def trial_namer(spec: JobSpec) -> TrialNamer:
    """The naming of a spec's trials: data, sae, training, recovery and proxy count; name, grid, resources do not."""
    return TrialNamer(
        _digest(
            {
                "engine": ENGINE_VERSION,
                "data": _data_identity(spec),
                "sae": spec.sae.model_dump(mode="json"),
                "training": _training_identity(spec),
                "recovery": spec.recovery.model_dump(mode="json"),
            }
        ),
        spec.proxy,
    )


def _data_identity(spec: JobSpec) -> dict[str, object]:
    identity = spec.data.model_dump(mode="json")
    if isinstance(spec.data.superposition, Explicit):
        identity["superposition"] = {"kind": "explicit", "matrix": spec.data.superposition.matrix}
    return identity


def _training_identity(spec: JobSpec) -> dict[str, object]:
    # Keys that came later count where they are set: trials of folders written before them keep their names.
    unset = {name for name, default in _LATER_KEYS.items() if getattr(spec.training, name) == default}
    identity = spec.training.model_dump(mode="json", exclude=unset)
    return identity if spec.training.stop is None else {**identity, "stopping": STOPPING_VERSION}


def data_key(spec: JobSpec, sparsity: float, seed: int) -> int:
    """64-bit key of the data stream: shared by trials that differ in width, activation, exponent or start."""
    return _key(["data", seed, sparsity, spec.data.n_features])


def initialisation_key(trial: Trial) -> int:
    """64-bit key of the random rows: shared by trials that differ in exponent (paired) or start."""
    condition = trial.condition
    return _key(["initialisation", trial.seed, condition.sparsity, condition.hidden_dim, str(condition.activation)])


def study_key(spec: JobSpec, condition: Condition, suggested: int) -> int:
    """64-bit key of a sampler's draws: the content of a condition's exponent search, and how much it has asked for.

    How much it may ask for in the end is left out: a search with more trials continues one with fewer.
    """
    search = spec.search.model_dump(mode="json", exclude={"trials"}) if spec.search else None
    place = [condition.sparsity, condition.hidden_dim, str(condition.activation), list(spec.grid.seeds)]
    return _key(["exponents", trial_namer(spec).shared, spec.proxy, search, *place, suggested])


def _canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _digest(value: object) -> str:
    return hashlib.sha256(_canonical(value)).hexdigest()[:16]


def _key(value: object) -> int:
    return int.from_bytes(hashlib.sha256(_canonical(value)).digest()[:8], "little")


def content_digest(names: list[str]) -> str:
    """Sixteen hexadecimal digits that name a set of names, whatever their order."""
    return _digest(sorted(names))
