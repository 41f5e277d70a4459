"""A diagram to a cut through it: probabilities and metrics along one axis, and the transition, for one size or several.

Sizes are compared at fixed n_p / n and fixed multiples of n: `hidden_dim=1n` is n_m = n, `activation=topk:0.05n` is
TopK with k = n / 20.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import pyarrow as pa
from scipy.stats import binom

from phase_diagrams.activation import Activation, parse_activation
from phase_diagrams.axis import smooth
from phase_diagrams.difference import Side, axis_values, seed_outcomes
from phase_diagrams.interval import wilson
from phase_diagrams.spec import JobSpec
from phase_diagrams.tables import CONDITION_KEYS, CUT, METRICS
from phase_diagrams.transition import Transition, fit_transition

Axis = Literal["sparsity", "hidden_dim", "k", "exponent"]
AXES: tuple[Axis, ...] = get_args(Axis)
FIXED = ("sparsity", "hidden_dim", "activation", "exponent")
"""What the other axes are fixed by."""
UNITS = {"sparsity": "decades of density", "hidden_dim": "octaves of n_m", "k": "octaves of k", "exponent": "of α"}
"""The units of a transition's place and width: -log10(1 - S), log2 n_m, log2 k, alpha."""
CONFIDENCE = 0.95


class CutError(ValueError):
    """The cut does not exist; `str()` names the axis and the values that it has."""


@dataclass(frozen=True, slots=True)
class SizedTransition:
    """The transition of one diagram along the cut, in smooth coordinates."""

    diagram: str
    n_features: int
    quantity: str
    """identified (random starts) or identifiable (both starts)."""
    transition: Transition | None
    """None where all seeds agree."""


@dataclass(frozen=True, slots=True)
class Cut:
    """A cut through one diagram, or the same cut through several."""

    axis: Axis
    at: dict[str, str]
    """What is fixed, as it was asked for."""
    table: pa.Table
    """Schema CUT."""
    transitions: tuple[SizedTransition, ...]


def cut_diagrams(
    sides: list[Side], axis: Axis, at: Mapping[str, str], between: tuple[float, float] = (-math.inf, math.inf)
) -> Cut:
    """Cut through diagrams along `axis`, the other axes fixed `at` values; raises CutError.

    An axis with one value in the grid need not be fixed. Several diagrams must have the same n_p / n. `between` keeps
    the values from its first to its second: a re-entrant cut has two transitions, and the fit knows one.
    """
    ratios = {side.spec.data.n_inputs / side.spec.data.n_features for side in sides}
    if len(ratios) > 1:
        said = ", ".join(f"{ratio:.4g}" for ratio in sorted(ratios))
        raise CutError(f"data.n_inputs / data.n_features is {said} in the diagrams; sizes are compared at one value")
    rows: list[dict[str, Any]] = []
    transitions: list[SizedTransition] = []
    for side in sides:
        mine = list(_rows(side, axis, at, between))
        rows += mine
        transitions += [_transition(side.spec, axis, name, mine) for name in ("identified", "identifiable")]
    return Cut(axis, dict(at), pa.Table.from_pylist(rows, schema=CUT), tuple(transitions))


def along(axis: str, values: Any) -> Any:
    """The coordinate in which the transition is fitted."""
    if axis == "exponent":
        return np.asarray(values, dtype=np.float64)
    return smooth(axis, values)


def _rows(side: Side, axis: Axis, at: Mapping[str, str], between: tuple[float, float]) -> Iterator[dict[str, Any]]:
    spec = side.spec
    outcomes = seed_outcomes(side.grid_trials)
    metrics = _metrics(side.grid_trials)
    for value, key in _conditions(spec, axis, at, between):
        place = {"diagram": spec.name, "n_features": spec.data.n_features, "axis": axis, "value": float(value)}
        seeds = list(outcomes.get(key, {}).values())
        for index, (name, start) in enumerate((("identified", "random"), ("identifiable", None))):
            flags = [bool(outcome[index]) for outcome in seeds if outcome[index] is not None]
            if flags:
                low, high = wilson(sum(flags), len(flags))
                found = (sum(flags) / len(flags), float(low), float(high), CONFIDENCE)
                yield {**place, "quantity": name, "start": start, "n_seeds": len(flags), **_named(found)}
        for start in spec.grid.starts:
            for name in METRICS:
                values = metrics.get((*key, start), {}).get(name, [])
                if values:
                    found = median_interval(values)
                    yield {**place, "quantity": name, "start": start, "n_seeds": len(values), **_named(found)}


def _named(found: tuple[float, float, float, float]) -> dict[str, float]:
    return dict(zip(("estimate", "low", "high", "confidence"), found, strict=True))


def median_interval(values: list[float]) -> tuple[float, float, float, float]:
    """The median, an interval between order statistics, and its confidence, distribution-free.

    The narrowest one of at least 95 % (David and Nagaraja, Order Statistics, 2003, section 7.1); below six values none
    has that much, and the range is given with the confidence that it has, 1 - 2^(1 - n).
    """
    ordered = np.sort(values)
    n = ordered.size
    ranks = [r for r in range(1, n // 2 + 1) if 1 - 2 * binom.cdf(r - 1, n, 0.5) >= CONFIDENCE]
    r = max(ranks, default=1)
    return float(np.median(ordered)), float(ordered[r - 1]), float(ordered[n - r]), _coverage(r, n)


def _coverage(r: int, n: int) -> float:
    return float(max(0.0, 1 - 2 * binom.cdf(r - 1, n, 0.5)))


def _metrics(trials: pa.Table) -> dict[tuple[object, ...], dict[str, list[float]]]:
    """By condition and start, the finite values of each metric."""
    keys = zip(*(trials[name].to_pylist() for name in (*CONDITION_KEYS, "start")), strict=True)
    columns = {name: trials[name].to_pylist() for name in METRICS}
    found: dict[tuple[object, ...], dict[str, list[float]]] = {}
    for i, key in enumerate(keys):
        for name, values in columns.items():
            if values[i] is not None and math.isfinite(values[i]):
                found.setdefault(key, {}).setdefault(name, []).append(float(values[i]))
    return found


def _conditions(
    spec: JobSpec, axis: Axis, at: Mapping[str, str], between: tuple[float, float]
) -> list[tuple[float, tuple[object, ...]]]:
    """The cut's places: the value along the axis and the condition's key, ascending."""
    varied = "activation" if axis == "k" else axis
    if unknown := [name for name in at if name not in FIXED]:
        raise CutError(f"--at {unknown[0]}: is not an axis; allowed: {', '.join(FIXED)}")
    if varied in at:
        raise CutError(f"--at {varied}: is the axis that the cut runs along")
    fixed = {name: _fixed(spec, name, at.get(name)) for name in FIXED if name != varied}
    if axis == "k":
        choices: list[tuple[float, dict[str, Any]]] = [
            (a.k, {"activation": a}) for a in spec.grid.activations if a.kind == "topk" and a.k is not None
        ]
    else:
        choices = [(value, {axis: value}) for value in axis_values(spec, axis)]
    choices = [choice for choice in choices if between[0] <= choice[0] <= between[1]]
    if len(choices) < 2:
        raise CutError(f"--axis {axis}: has {len(choices)} values to cut along in {spec.name}; at least 2 are needed")
    return [(value, _key({**fixed, **choice})) for value, choice in sorted(choices, key=lambda choice: choice[0])]


def _key(place: dict[str, Any]) -> tuple[object, ...]:
    activation: Activation = place["activation"]
    return place["sparsity"], place["hidden_dim"], activation.kind, activation.k, activation.l1, place["exponent"]


def _fixed(spec: JobSpec, name: str, text: str | None) -> Any:
    """The value of an axis that is held fixed."""
    values = axis_values(spec, name)
    said = ", ".join(str(value) for value in values)
    if text is None:
        if len(values) > 1:
            raise CutError(f"--at {name}=VALUE is needed: grid.{name} of {spec.name} is {said}")
        return values[0]
    try:
        wanted = _read(name, text, spec.data.n_features)
    except ValueError as error:
        raise CutError(f"--at {name}={text}: {error}") from None
    found = [value for value in values if value == wanted]
    if not found and name in ("sparsity", "exponent"):
        # Tables and pictures show four digits of a value such as 0.9121236066.
        found = [value for value in values if f"{value:.4g}" == f"{wanted:.4g}"]
    if len(found) != 1:
        raise CutError(f"--at {name}={text}: is not in the grid of {spec.name}, which has {said}")
    return found[0]


def _read(name: str, text: str, n_features: int) -> Any:
    """A value, or a multiple of n: "1.5n", "topk:0.05n"."""
    kind, colon, number = text.rpartition(":")
    if number.endswith("n"):
        multiple = float(number[:-1]) * n_features
        if abs(multiple - round(multiple)) > 1e-6:
            raise ValueError(f"is {multiple:g} at n = {n_features}, which is not a whole number")
        text = f"{kind}{colon}{round(multiple)}"
    if name == "activation":
        return parse_activation(text)
    return int(text) if name == "hidden_dim" else float(text)


def _transition(spec: JobSpec, axis: Axis, quantity: str, rows: list[dict[str, Any]]) -> SizedTransition:
    mine = [row for row in rows if row["quantity"] == quantity]
    counts = [round(row["estimate"] * row["n_seeds"]) for row in mine]
    u = along(axis, [row["value"] for row in mine])
    found = fit_transition(u, counts, [row["n_seeds"] for row in mine]) if mine else None
    return SizedTransition(spec.name, spec.data.n_features, quantity, found)
