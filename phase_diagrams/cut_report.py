"""A cut to its files: a table, a JSON document with sentences, and a picture."""

import json
import math
from dataclasses import asdict
from typing import Any

from phase_diagrams.cut import UNITS, Cut, SizedTransition
from phase_diagrams.folder import table_bytes
from phase_diagrams.render import draw_document

STEM = "cut"


def cut_files(cut: Cut) -> dict[str, bytes]:
    """cut.json, cut.parquet, and cut.vl.json, .html, .png, .svg, .pdf."""
    from phase_diagrams.cut_picture import cut_source

    return {
        f"{STEM}.json": cut_json(cut).encode(),
        f"{STEM}.parquet": table_bytes(cut.table),
        **draw_document(cut_source(cut), STEM, f"cut along {cut.axis}"),
    }


def cut_json(cut: Cut) -> str:
    """The cut as JSON text; a width without an upper limit is null."""
    document = {
        "axis": cut.axis,
        "at": cut.at,
        "units": UNITS[cut.axis],
        "sentences": cut_sentences(cut),
        "transitions": [_document(sized) for sized in cut.transitions],
        "rows": cut.table.to_pylist(),
    }
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _document(sized: SizedTransition) -> dict[str, Any]:
    document = asdict(sized)
    if sized.transition is not None:
        document["transition"] = {
            name: value if isinstance(value, bool) or math.isfinite(value) else None
            for name, value in document["transition"].items()
        }
    return document


def cut_sentences(cut: Cut) -> list[str]:
    """Where each probability turns and how fast, one sentence each."""
    return [_sentence(sized, cut.axis) for sized in cut.transitions]


def _sentence(sized: SizedTransition, axis: str) -> str:
    found = sized.transition
    if found is None:
        return f"{sized.diagram}: P({sized.quantity}) has no transition, all seeds agree."
    if math.isinf(found.width_high):
        return f"{sized.diagram}: P({sized.quantity}) need not depend on {axis}: no transition can be placed."
    return (
        f"{sized.diagram}: P({sized.quantity}) {'rises' if found.rising else 'falls'} through 1/2 at "
        f"{_value(axis, found.place)} [{_value(axis, found.place_low)}, {_value(axis, found.place_high)}], with a "
        f"logistic width of {found.width:.3g} [{found.width_low:.3g}, {found.width_high:.3g}] {UNITS[axis]}."
    )


def _value(axis: str, place: float) -> str:
    if axis == "sparsity":
        return f"S = {1 - 10.0**-place:.4g}"
    if axis == "exponent":
        return f"α = {place:.3g}"
    return f"{'n_m' if axis == 'hidden_dim' else 'k'} = {2.0**place:.3g}"
