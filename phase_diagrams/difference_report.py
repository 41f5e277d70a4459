"""What differs between two diagrams to its files: two tables, a JSON document with sentences, and a picture."""

import json
from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from phase_diagrams.difference import Difference, PanelDifference
from phase_diagrams.folder import table_bytes
from phase_diagrams.render import draw_document
from phase_diagrams.two_samples import compare_unpaired

STEM = "difference"
UNITS = {"hidden_dim": "octaves of n_m", "sparsity": "decades of density (towards S = 1 if positive)"}
"""What a shift is measured in, by the axis along which the boundary is read."""


def difference_files(found: Difference) -> dict[str, bytes]:
    """difference.json, difference.parquet, displacement.parquet, and difference.vl.json, .html, .png, .svg, .pdf."""
    from phase_diagrams.difference_picture import difference_source

    return {
        f"{STEM}.json": difference_json(found).encode(),
        f"{STEM}.parquet": table_bytes(found.cells),
        "displacement.parquet": table_bytes(found.displacement),
        **draw_document(difference_source(found), STEM, f"{found.other} less {found.one}"),
    }


def difference_json(found: Difference) -> str:
    """The comparison as JSON text: sentences, panels, what differs in the specs, every cell and place."""
    document = {
        "one": found.one,
        "other": found.other,
        "sentences": sentences(found),
        "notes": notes(found),
        "spec_changes": [{"key": key, "one": one, "other": other} for key, one, other in found.spec_changes],
        "conditions_only_in_one": found.only_one,
        "conditions_only_in_other": found.only_other,
        "panels": [asdict(panel) for panel in found.panels],
        "cells": found.cells.to_pylist(),
        "displacement": found.displacement.to_pylist(),
    }
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def sentences(found: Difference) -> list[str]:
    """What a person would say, one fact a sentence."""
    changes = ", ".join(key for key, _, _ in found.spec_changes) or "nothing that counts"
    said = [f"{found.other} is compared with {found.one}; the specs differ in {changes}."]
    said += [_panel_sentence(panel) for panel in found.panels]
    return said + _shift_sentences(found.displacement) + notes(found)


def notes(found: Difference) -> list[str]:
    """Of the sentences, those that say how far the comparison reaches."""
    said = []
    least = _least_p_value(found.cells)
    if least is not None and not any(found.cells["significant"].to_pylist()):
        said.append(
            f"No cell is significant. The smallest p value that a cell could have with these seeds is {least:.2g}; "
            "look at whole panels, or train more seeds."
        )
    if found.only_one or found.only_other:
        said.append(
            f"{found.only_one:,} conditions are in {found.one} alone and {found.only_other:,} in {found.other} alone; "
            "they are not compared."
        )
    return said


def _panel_sentence(panel: PanelDifference) -> str:
    label = panel.label if panel.label == panel.other_label else f"{panel.other_label} against {panel.label}"
    whole = "" if panel.p_value is None else f" (whole panel: p = {panel.p_value:.2g})"
    return (
        f"{label}: P({panel.statistic}) differs by {panel.mean_difference:+.3f} on average over {panel.cells} "
        f"cells{whole}; {panel.significant} of them differ significantly at a false discovery rate of 5 %."
    )


def _shift_sentences(displacement: pa.Table) -> list[str]:
    """One sentence per boundary: its middle place, and at how many places the band leaves out 0."""
    names = ("activation", "k", "l1", "exponent", "boundary", "x_axis", "y_axis")
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in displacement.to_pylist():
        groups.setdefault(tuple(row[name] for name in names), []).append(row)
    said = []
    for rows in groups.values():
        middle = rows[len(rows) // 2]
        apart = sum(row["shift_low"] > 0 or row["shift_high"] < 0 for row in rows)
        unit = "octaves of n_m" if middle["y_axis"] == "hidden_dim" else "decades of density, towards S = 1 if positive"
        kind = middle["activation"] + "".join(f":{middle[name]}" for name in ("k", "l1") if middle[name] is not None)
        at = f"{'n_m' if middle['x_axis'] == 'hidden_dim' else 'S'} = {middle['x']:.3g}"
        said.append(
            f"{kind}, α = {middle['exponent']:g}: at {at} the {middle['boundary']} boundary moves by "
            f"{middle['shift']:+.3f} [{middle['shift_low']:+.3f}, {middle['shift_high']:+.3f}] {unit}; the band leaves "
            f"out 0 at {apart} of {len(rows)} places."
        )
    return said


def _least_p_value(cells: pa.Table) -> float | None:
    """The smallest p value that the largest cell could have, all pairs discordant or all outcomes opposite."""
    if not cells.num_rows:
        return None
    seeds = int(np.min([pc.max(cells[name]).as_py() for name in ("n_one", "n_other")]))
    paired = bool(pc.any(cells["paired"]).as_py())
    if paired:
        return float(min(1.0, 2.0 * 0.5**seeds))
    return compare_unpaired([True] * seeds, [False] * seeds).p_value
