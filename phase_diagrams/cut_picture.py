"""A cut to a Vega-Lite source: probabilities with their intervals and transitions; metrics, or widths against n."""

import textwrap
from collections.abc import Iterator
from typing import Any

import altair as alt
import numpy as np

from phase_diagrams.caption import software_version
from phase_diagrams.cut import UNITS, Cut, along
from phase_diagrams.marks import FONT, GREY, INK, TRUTH

PANEL = (300, 190)
"""Width and height in pixels of a panel of probabilities."""
SMALL = (212, 110)
"""Those of a metric's panel."""
LETTER = 5.9
"""Width in pixels of a letter of the subtitle, as in layers.py."""
STEPS = 121
"""Places along the axis at which a fitted transition is drawn."""
TITLES = {
    "sparsity": "sparsity S",
    "hidden_dim": "hidden dimension n_m",
    "k": "active latents k",
    "exponent": "exponent α",
}
SPREAD = 0.012
"""Share of the axis by which neighbouring diagrams' marks are set apart, so that intervals do not cover each other."""


def cut_source(cut: Cut) -> dict[str, Any]:
    """The picture as a Vega-Lite document that json.dumps writes."""
    names = list(dict.fromkeys(cut.table["diagram"].to_pylist()))
    several = len(names) > 1
    rows = list(_points(cut, names))
    ticks = sorted({(row["u"], row["tick"]) for row in rows if row["diagram"] == names[0]})
    x = _across(cut, ticks)
    parts: list[Any] = [_probabilities(x, names)]
    parts.append(_sizes(cut) if several else _metrics(x))
    title = alt.TitleParams(
        text=f"Cut along {TITLES[cut.axis]}: {', '.join(names)}" if not several else f"Cut along {TITLES[cut.axis]}",
        subtitle=textwrap.wrap(_words(cut, several), int((2 * PANEL[0] + 60) / LETTER)),
        anchor="start",
        fontSize=16,
        subtitleFontSize=12,
        subtitleColor=GREY,
        offset=12,
    )
    chart = alt.vconcat(*parts, spacing=24, title=title).resolve_scale(color="independent")
    chart = chart.configure(font=FONT, padding=14, background="white").configure_view(stroke="#888")
    document = chart.to_dict()
    return {**document, "datasets": {"points": rows, "curves": list(_curves(cut)), "sizes": list(_size_rows(cut))}}


def _words(cut: Cut, several: bool) -> str:
    fixed = ", ".join(f"{name} = {value}" for name, value in cut.at.items()) or "the only values of the other axes"
    second = (
        "Below: width and place of the logistic transition against n."
        if several
        else "Below: median of each metric over seeds, with the interval between order statistics."
    )
    return (
        f"At {fixed}. Above: share of seeds with its 95\u00a0% Wilson interval, and the logistic transition fitted to "
        f"all of them (penalised likelihood). {second} saephase {software_version()}."
    )


def _points(cut: Cut, names: list[str]) -> Iterator[dict[str, Any]]:
    values = along(cut.axis, cut.table["value"].to_numpy())
    span = float(np.ptp(values)) or 1.0
    for row, u in zip(cut.table.to_pylist(), values, strict=True):
        aside = SPREAD * span * (names.index(row["diagram"]) - (len(names) - 1) / 2)
        probability = row["quantity"] in ("identified", "identifiable")
        start = row["start"] or "both"
        said = f"{row['estimate']:.3g} [{row['low']:.3g}, {row['high']:.3g}], {100 * row['confidence']:.3g} %"
        yield {
            "kind": "probability" if probability else "metric",
            "diagram": row["diagram"],
            "quantity": row["quantity"],
            "facet": f"P({row['quantity']})" if probability else row["quantity"],
            "start": start,
            "u": float(u),
            "shown": float(u) + (aside if probability else SPREAD * span * (-0.5 if start == "random" else 0.5)),
            "tick": _tick(cut.axis, row["value"]),
            "estimate": row["estimate"],
            "low": row["low"],
            "high": row["high"],
            "said": said,
        }


def _tick(axis: str, value: float) -> str:
    return f"{value:.4g}" if axis in ("sparsity", "exponent") else f"{value:.0f}"


def _curves(cut: Cut) -> Iterator[dict[str, Any]]:
    """The fitted transitions over the range of each diagram's places."""
    for sized in cut.transitions:
        if sized.transition is None or not np.isfinite(sized.transition.width_high):
            continue
        mine = [row["value"] for row in cut.table.to_pylist() if row["diagram"] == sized.diagram]
        ends = along(cut.axis, [min(mine), max(mine)])
        sign = 1.0 if sized.transition.rising else -1.0
        for u in np.linspace(ends[0], ends[1], STEPS):
            logit = sign * (u - sized.transition.place) / sized.transition.width
            p = 1.0 / (1.0 + np.exp(-np.clip(logit, -50, 50)))
            yield {"diagram": sized.diagram, "facet": f"P({sized.quantity})", "shown": float(u), "estimate": float(p)}


def _across(cut: Cut, ticks: list[tuple[float, str]]) -> alt.X:
    # The axis is linear in the coordinate of the fit; labels say the values.
    places, labels = [u for u, _ in ticks], [tick for _, tick in ticks]
    margin = 0.06 * (places[-1] - places[0])
    axis = alt.Axis(
        title=TITLES[cut.axis],
        values=places,
        labelExpr=f"{labels}[indexof({places}, datum.value)]",
        labelOverlap="greedy",
        grid=False,
        titleFontWeight="normal",
    )
    scale = alt.Scale(domain=[places[0] - margin, places[-1] + margin], nice=False, zero=False)
    return alt.X("shown:Q", scale=scale, axis=axis)


def _probabilities(x: alt.X, names: list[str]) -> alt.HConcatChart:
    legend = None if len(names) == 1 else alt.Legend(title=None, orient="right", labelLimit=260)
    colours = [INK] if len(names) == 1 else ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", INK][: len(names)]
    # The palette of Okabe and Ito, distinct for every colour vision.
    color = alt.Color("diagram:N", scale=alt.Scale(domain=names, range=colours), legend=legend)
    y_scale = alt.Scale(domain=[-0.03, 1.03], nice=False)
    y = alt.Y("estimate:Q", scale=y_scale, axis=alt.Axis(title="share of seeds", grid=False, titleFontWeight="normal"))
    points = alt.Chart(alt.NamedData("points")).transform_filter("datum.kind === 'probability'")
    lines = alt.Chart(alt.NamedData("curves"))
    tooltip = [alt.Tooltip("diagram:N"), alt.Tooltip("tick:N", title="at"), alt.Tooltip("said:N", title="share")]
    facets = [("P(identified)", "random starts"), ("P(identifiable)", "both starts")]
    panels = []
    for facet, said in facets:
        mine, fitted = (chart.transform_filter(f"datum.facet === '{facet}'") for chart in (points, lines))
        layers = (
            fitted.mark_line(strokeWidth=1.8).encode(x=x, y=y, color=color),
            mine.mark_rule().encode(x=x, y="low:Q", y2="high:Q", color=color),
            mine.mark_point(filled=True, size=42, opacity=1).encode(x=x, y=y, color=color, tooltip=tooltip),
        )
        heading = alt.TitleParams(f"{facet}, {said}", fontSize=12)
        panels.append(alt.layer(*layers).properties(width=PANEL[0], height=PANEL[1], title=heading))
    joined: alt.HConcatChart = alt.hconcat(*panels, spacing=30)
    return joined


def _metrics(x: alt.X) -> alt.FacetChart:
    color = alt.Color(
        "start:N", scale=alt.Scale(domain=["random", "truth"], range=[INK, TRUTH]), legend=alt.Legend(title="start")
    )
    base = alt.Chart().encode(x=x, color=color)
    y = alt.Y("estimate:Q", scale=alt.Scale(zero=False), axis=alt.Axis(title=None, grid=False, tickCount=4))
    chart = alt.layer(
        base.mark_line(strokeWidth=1.2).encode(y=y),
        base.mark_rule().encode(y="low:Q", y2="high:Q"),
        base.mark_point(filled=True, size=18, opacity=1).encode(
            y=y, tooltip=[alt.Tooltip("tick:N", title="at"), alt.Tooltip("said:N", title="median")]
        ),
        data=alt.NamedData("points"),
    ).transform_filter("datum.kind === 'metric'")
    chart = chart.properties(width=SMALL[0], height=SMALL[1])
    header = alt.Header(title=None, labelFontSize=11, labelFontWeight="bold")
    faceted: alt.FacetChart = chart.facet(facet=alt.Facet("facet:N", header=header), columns=3, spacing=14)
    scaled: alt.FacetChart = faceted.resolve_scale(y="independent")
    return scaled


def _size_rows(cut: Cut) -> Iterator[dict[str, Any]]:
    """Width and place of each transition; one that may be no transition at all (no upper limit) is left out."""
    for sized in cut.transitions:
        found = sized.transition
        if found is None or not np.isfinite(found.width_high):
            continue
        # Set apart by a few pixels, so that the two intervals of a size do not cover each other.
        aside = 0.985 if sized.quantity == "identified" else 1.015
        place = {"n": aside * sized.n_features, "series": sized.quantity, "diagram": sized.diagram}
        yield {**place, "facet": "width", "estimate": found.width, "low": found.width_low, "high": found.width_high}
        yield {**place, "facet": "place", "estimate": found.place, "low": found.place_low, "high": found.place_high}


def _sizes(cut: Cut) -> alt.HConcatChart:
    sizes = sorted({sized.n_features for sized in cut.transitions})
    domain = [sizes[0] / 1.25, sizes[-1] * 1.25]
    axis = alt.Axis(title="number of features n", values=sizes, grid=False, titleFontWeight="normal")
    x = alt.X("n:Q", scale=alt.Scale(type="log", domain=domain, nice=False), axis=axis)
    color = alt.Color(
        "series:N",
        scale=alt.Scale(domain=["identified", "identifiable"], range=[INK, TRUTH]),
        legend=alt.Legend(title="P of"),
    )
    panels = []
    for facet in ("width", "place"):
        base = alt.Chart(alt.NamedData("sizes")).transform_filter(f"datum.facet === '{facet}'")
        title = alt.Axis(title=f"{facet}, {UNITS[cut.axis]}", grid=False, titleFontWeight="normal")
        y = alt.Y("estimate:Q", scale=alt.Scale(zero=facet == "width"), axis=title)
        panels.append(
            alt.layer(
                base.mark_line(strokeWidth=1, strokeDash=[3, 3]).encode(x=x, y=y, color=color),
                base.mark_rule(strokeWidth=1.6).encode(x=x, y="low:Q", y2="high:Q", color=color),
                base.mark_point(filled=True, size=46, opacity=1).encode(x=x, y=y, color=color),
            ).properties(
                width=PANEL[0], height=PANEL[1], title=alt.TitleParams(f"{facet} of the transition", fontSize=12)
            )
        )
    joined: alt.HConcatChart = alt.hconcat(*panels, spacing=30)
    return joined
