"""A spec and its planted dictionary to the theory's lines, contours and regions in every panel, as numbers."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from phase_diagrams.activation import Activation
from phase_diagrams.code_law import active_count, coupled_features, firing_probabilities
from phase_diagrams.layout import Layout, PlotAxis, short
from phase_diagrams.spec import JobSpec
from phase_diagrams.theory import closed_form_losses, donoho_tanner_weak_threshold
from phase_diagrams.verdict import theory_setting

Floats = npt.NDArray[np.float64]
Row = dict[str, str | int | float | bool | None]
"""One mark of a picture; `layer` says of which kind, `panel` in which panel."""


@dataclass(frozen=True, slots=True)
class Overlay:
    """Something of the theory that a picture can show."""

    name: str
    """As on the command line, and the `layer` of its rows."""
    title: str
    """In a few words."""
    assumptions: tuple[str, ...]
    """What it rests on, in lines of the key."""
    default: bool
    """Whether it is shown where nothing else is asked for."""


OVERLAYS = (
    Overlay("n_m", "as many latents as features: n_m = n", (), True),
    Overlay("k", "k features active on average: n(1 − S) = k", (), True),
    Overlay("2k", "2k features active: n(1 − S) = 2k", (), False),
    Overlay(
        "donoho_tanner",
        "Donoho–Tanner: at higher S, ℓ1 decoding",
        ("with W_p known finds x (W_p random, n large)",),
        False,
    ),
    Overlay(
        "theorems",
        "Theorems 1 to 3 promise the truth: n_m ≥ n,",
        ("n(1 − S) ≤ 1, TopK 1 or interference ≤ 0; tied,", "unweighted, no noise, equal firing rates"),
        False,
    ),
    Overlay(
        "gt_loss",
        "L_GT / E|x|² of the closed form",
        ("W_m = (W_p, 0), with the panel's σ and code law",),
        False,
    ),
    Overlay(
        "loss_gap",
        "gap (L_SAE − L_GT) / L_GT of the closed form",
        ("Theorem 4, with the panel's σ and code law",),
        False,
    ),
    Overlay(
        "disagreement",
        "seeds settle the opposite of Theorems 1 to 3:",
        ("full: promised, yet objective-limited;", "hollow: excluded, yet identifiable"),
        True,
    ),
)
"""Every overlay, in the key's order."""

NAMES = tuple(overlay.name for overlay in OVERLAYS)
DEFAULT = frozenset(overlay.name for overlay in OVERLAYS if overlay.default)

LOSS_LEVELS = (0.1, 0.2, 0.5, 1.0, 2.0)
GAP_LEVELS = (-0.5, 0.0, 0.5, 1.0, 2.0)
"""Contours; heuristic: what closed forms reach between extreme sparsity and half of the features active."""
PLACES = 25
"""Densities at which the closed form's losses are taken; the curves are smooth, and contours lie between linearly."""
SAMPLES = (64, 1024)
"""Least and most samples per density: 1,024 samples of 40 features move a contour by under 2 % of its density."""
VALUE_HEIGHT = 14
"""Pixels from the top of a panel within which a contour is left out: its value would stand on the panel's title."""
WORK = 2e8
"""Multiply-adds per density from which there are fewer samples; heuristic: a tenth of a second."""


def read_overlays(text: str) -> frozenset[str]:
    """The overlays that a text such as "n_m,gt_loss" or "default" names; raises ValueError for another name."""
    sets = {"all": frozenset(NAMES), "none": frozenset[str](), "default": DEFAULT}
    if text in sets:
        return sets[text]
    names = [name.strip() for name in text.split(",")]
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        raise ValueError(
            f"{unknown[0]!r} is not an overlay; allowed: all, none, default, or some of {', '.join(NAMES)}"
        )
    return frozenset(names)


def overlay_rows(spec: JobSpec, layout: Layout, dictionary: npt.NDArray[np.floating] | None) -> list[Row]:
    """The lines, contours and regions of all panels, but for disagreements, which conditions carry.

    A line across has `y` and spans `x` to `x2`; a line upwards has `x`; a region spans both. Contours need the
    dictionary W_p, (n_inputs, n_features), and are left out without it.
    """
    width, density = layout.width, layout.density
    contours: dict[Activation, list[Row]] = {}
    rows: list[Row] = []
    for panel in layout.panels:
        found = [*_lines(spec, panel.activation, width, density), *_promise(spec, panel.activation, width, density)]
        if panel.exponent != 0.0:
            found = [row for row in found if row["layer"] != "theorems"]
        if dictionary is not None and width.edges[-1] > spec.data.n_features:
            if panel.activation not in contours:
                contours[panel.activation] = list(_contours(spec, panel.activation, dictionary, width, density))
            found += contours[panel.activation]
        rows += [{"panel": str(panel), **row} for row in found]
    return rows


def _lines(spec: JobSpec, activation: Activation, width: PlotAxis, density: PlotAxis) -> Iterator[Row]:
    """The straight lines that cross the panel."""
    n, k = spec.data.n_features, activation.k
    if width.edges[0] < n < width.edges[-1]:
        yield {"layer": "n_m", "x": n, "text": "n_m = n"}
    delta = spec.data.n_inputs / n
    levels: list[tuple[str, float, str]] = [] if k is None else [("k", k / n, "k"), ("2k", 2 * k / n, "2k")]
    if delta <= 1.0:
        # Active features per input, times inputs per feature: active features per feature.
        levels.append(("donoho_tanner", donoho_tanner_weak_threshold(delta, nonnegative=True) * delta, "DT"))
    for name, level, text in levels:
        if density.edges[0] < level < density.edges[-1]:
            yield _across(name, level, width.domain, text)


def _promise(spec: JobSpec, activation: Activation, width: PlotAxis, density: PlotAxis) -> Iterator[Row]:
    """The region in which Theorems 1 to 3, read at a finite S, promise that the truth is optimal."""
    setting, n = theory_setting(spec), spec.data.n_features
    if not (setting.covered and setting.exact_on_one(activation)):
        return
    # Exactly-k codes have one active feature up to n (1 - S) = 1.5.
    highest = (1.5 if spec.data.code.kind == "exact" else 1.0) / n
    low, high = max(width.edges[0], float(n)), min(density.edges[-1], highest)
    if low < width.edges[-1] and density.edges[0] < high:
        ends = {"x": low, "x2": width.edges[-1], "y": density.edges[0], "y2": high}
        yield {"layer": "theorems", **{name: short(end) for name, end in ends.items()}}


def _contours(
    spec: JobSpec,
    activation: Activation,
    dictionary: npt.NDArray[np.floating],
    width: PlotAxis,
    density: PlotAxis,
) -> Iterator[Row]:
    """Contours of the closed form's losses; they depend on the density alone, and exist where n_m >= n."""
    heights = np.geomspace(density.edges[0], min(density.edges[-1], 1.0), PLACES)
    energy, truth, reconstruction = np.array([_losses(spec, activation, dictionary, d) for d in heights]).T
    seen = (energy > 0) & (truth > 0)
    span = (max(width.edges[0], float(spec.data.n_features)), width.edges[-1])
    for name, levels, above, below in (
        ("gt_loss", LOSS_LEVELS, truth, energy),
        ("loss_gap", GAP_LEVELS, reconstruction - truth, truth),
    ):
        values = above[seen] / below[seen]
        for level in levels:
            sign = "+" if name == "loss_gap" and level > 0 else ""
            for place in _crossings(density.place(heights[seen]), values, level):
                if place > VALUE_HEIGHT:
                    yield _across(name, float(density.value(place)), span, f"{sign}{level:g}".replace("-", "−"))


def _losses(
    spec: JobSpec, activation: Activation, dictionary: npt.NDArray[np.floating], density: float
) -> tuple[float, float, float]:
    """E |x|^2, L_GT and L_SAE of the closed form at one density, on samples that all densities share."""
    data, code = spec.data, spec.data.code
    samples = int(np.clip(WORK / dictionary.size, *SAMPLES))
    rates = firing_probabilities(data.n_features, 1 - density, code.firing.kind, code.firing.exponent)
    count = active_count(data.n_features, 1 - density) if code.kind == "exact" else None
    features = coupled_features(rates, count, code.magnitude, samples, seed=0)
    losses = closed_form_losses(dictionary, features, activation.k, pooled=activation.kind == "batchtopk")
    return losses.energy, losses.ground_truth, losses.reconstruction


def _crossings(places: Floats, values: Floats, level: float) -> Iterable[float]:
    """Where values, linear between ascending places, have the level."""
    above = values > level
    for i in np.flatnonzero(above[1:] != above[:-1]):
        share = (level - values[i]) / (values[i + 1] - values[i])
        yield float(places[i] + share * (places[i + 1] - places[i]))


def _across(layer: str, y: float, span: tuple[float, float], text: str) -> Row:
    return {"layer": layer, "x": short(span[0]), "x2": short(span[1]), "y": short(y), "text": text}
