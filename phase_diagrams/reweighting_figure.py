"""What an exponent search found to the numbers of its picture: maps, boundaries, recovery against loss."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from phase_diagrams.boundary_shapes import boundary_rows
from phase_diagrams.caption import caption, label
from phase_diagrams.confirmation import Confirmation, Diagram
from phase_diagrams.figure import Row
from phase_diagrams.finding import Finding
from phase_diagrams.gain import Gain
from phase_diagrams.layout import PlotAxis, density_of, plot_axes
from phase_diagrams.panel import Panel, boundary_table, panel_rows
from phase_diagrams.reweighting_summary import Estimate, ReweightingSummary, reweighting_sentences
from phase_diagrams.spec import JobSpec

MAPS = 4
"""Plots side by side for each activation."""
LEAST_GAIN = 0.05
"""Smallest end of the colour scale of gains; heuristic: noise must not be drawn in the colours of a large effect."""
PLAIN, BEST = "α = 0", "α = best"
"""What the two losses are called in the key."""
LOSSES = (PLAIN, BEST)


@dataclass(frozen=True, slots=True)
class ReweightingPicture:
    """Everything the picture shows, as numbers and words."""

    title: str
    subtitle: str
    caption: str
    verdicts: tuple[str, ...]
    """What was found, a sentence each."""
    objective: str
    panels: tuple[str, ...]
    """Activations from the top down."""
    width: PlotAxis
    density: PlotAxis
    exponents: tuple[float, float]
    """Ends of the exponents' colour scale."""
    gains: float
    """End of the gains' colour scale, which runs from its negative."""
    rows: tuple[Row, ...]
    """The marks; `layer` is cell, band, curve or shift, `panel` an activation."""


def reweighting_picture(
    spec: JobSpec, findings: Iterable[Finding], confirmation: Confirmation, summary: ReweightingSummary
) -> ReweightingPicture:
    """Lay out the picture of a search and its confirmation."""
    search = spec.search
    assert search is not None
    found = tuple(findings)
    width, density = plot_axes(confirmation.spec, MAPS)
    rows = [_cell(spec, finding, width, density) for finding in found]
    for diagram, loss in ((confirmation.plain, PLAIN), (confirmation.reweighted, BEST)):
        rows += _curves(confirmation.spec, diagram, loss, width, density)
    rows += _shifts(summary)
    shown = [abs(float(str(row["gain"]))) for row in rows if row["layer"] == "cell" and row["gain"] is not None]
    return ReweightingPicture(
        title=f"{label(spec)}: reweighting by {spec.proxy}^α",
        subtitle=(
            f"Best exponent of {search.trials} tried per condition, chosen by {search.objective} from random starts, "
            f"and its gain over α = 0 on {summary_seeds(found)} fresh seeds, paired"
        ),
        caption=caption(spec),
        verdicts=tuple(reweighting_sentences(summary)),
        objective=search.objective,
        panels=tuple(str(activation) for activation in spec.grid.activations),
        width=width,
        density=density,
        exponents=(min(search.low, 0.0), max(search.high, 0.0)),
        gains=max([LEAST_GAIN, *shown]),
        rows=tuple(rows),
    )


def summary_seeds(findings: Iterable[Finding]) -> int:
    """The most fresh seeds that any condition has finished."""
    return max((len(finding.confirmed) for finding in findings), default=0)


def _cell(spec: JobSpec, finding: Finding, width: PlotAxis, density: PlotAxis) -> Row:
    """A searched condition: its place in the plane, its exponent, and its gains."""
    condition, n = finding.condition, spec.data.n_features
    objective = finding.study.search.objective
    i = width.values.index(float(condition.hidden_dim))
    j = density.values.index(density_of(condition.sparsity))
    gain = finding.gain(objective, n)
    recovered, rebuilt = finding.gain("recovered_fraction", n), finding.gain("sae_loss", n)
    return {
        "layer": "cell",
        "panel": str(condition.activation),
        "x": width.edges[i],
        "x2": width.edges[i + 1],
        "y": density.edges[j],
        "y2": density.edges[j + 1],
        "cx": condition.hidden_dim,
        "cy": density.values[j],
        "S": condition.sparsity,
        "n_m": condition.hidden_dim,
        "exponent": finding.exponent,
        "gain": _finite(gain.mean),
        "open": not gain.significant,
        "said": _interval(gain),
        "searched": _signed(finding.search_gain(objective, n).mean),
        "recovered": _finite(recovered.mean),
        "recovered_low": _finite(recovered.low),
        "recovered_high": _finite(recovered.high),
        "recovered_said": _interval(recovered),
        "rebuilt": _finite(rebuilt.mean),
        "rebuilt_low": _finite(rebuilt.low),
        "rebuilt_high": _finite(rebuilt.high),
        "rebuilt_said": _interval(rebuilt),
    }


def _curves(spec: JobSpec, diagram: Diagram, loss: str, width: PlotAxis, density: PlotAxis) -> list[Row]:
    """The boundaries of one loss in all panels, with their bands."""
    table = boundary_table(diagram.boundaries)
    rows: list[Row] = []
    for activation in spec.grid.activations:
        panel = Panel(activation, 0.0)
        for row in boundary_rows(panel, panel_rows(table, panel), width, density):
            rows.append(row | {"panel": str(activation), "loss": loss, "path": f"{loss} {row['path']}"})
    return rows


def _shifts(summary: ReweightingSummary) -> list[Row]:
    """How far the boundaries move at each hidden dimension."""
    return [
        {
            "layer": "shift",
            "panel": shift.activation,
            "start": shift.start,
            "n_m": place.hidden_dim,
            "moved": place.decades.mean,
            "low": place.decades.low,
            "high": place.decades.high,
            "said": _interval(Gain(place.decades.mean, *_limits(place.decades))),
        }
        for shift in summary.shifts
        for place in shift.along
    ]


def _limits(estimate: Estimate) -> tuple[float, float]:
    low, high = estimate.low, estimate.high
    return -math.inf if low is None else low, math.inf if high is None else high


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _signed(value: float) -> str:
    return f"{value:+.3g}" if math.isfinite(value) else "–"


def _interval(gain: Gain) -> str:
    return f"{_signed(gain.mean)} [{_signed(gain.low)}, {_signed(gain.high)}]"
