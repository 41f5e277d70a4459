"""`saephase cut`: output folders to a cut through their diagrams along one axis."""

import argparse
import math
from typing import cast

from rich.console import Console
from rich.table import Table

from phase_diagrams.cut import AXES, Axis, Cut, CutError, cut_diagrams
from phase_diagrams.cut_report import cut_files, cut_json, cut_sentences
from saephase.diff_command import read_side, write_files
from saephase.spec_argument import UsageError


def cut(options: argparse.Namespace) -> int:
    """Cut, print the probabilities and transitions, and write tables and pictures to --out; returns the exit code."""
    if options.axis not in AXES:
        raise UsageError(f"--axis {options.axis}: is not an axis; allowed: {', '.join(AXES)}")
    at = dict(_pair(text) for text in options.at)
    sides = [read_side(place, options) for place in options.places]
    try:
        found = cut_diagrams(sides, cast(Axis, options.axis), at, _range(options.between))
    except CutError as error:
        raise UsageError(str(error)) from None
    if options.json:
        print(cut_json(found), end="")
    else:
        _print_table(found)
        for sentence in cut_sentences(found):
            print(sentence)
    if options.out is not None:
        write_files(cut_files(found), options)
    return 0


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not value:
        raise UsageError(f"--at {text}: must be AXIS=VALUE, such as hidden_dim=40 or activation=topk:2")
    return name, value


def _range(text: str | None) -> tuple[float, float]:
    if text is None:
        return -math.inf, math.inf
    try:
        low, high = (float(part) for part in text.split(":"))
    except ValueError:
        raise UsageError(f"--between {text}: must be LOW:HIGH, such as 0.5:0.98") from None
    return low, high


def _print_table(found: Cut) -> None:
    table = Table(box=None, pad_edge=False)
    for column in ("diagram", found.axis, "P(identified) [95 %]", "P(identifiable) [95 %]"):
        table.add_column(column)
    rows: dict[tuple[str, float], dict[str, str]] = {}
    for row in found.table.to_pylist():
        said = f"{row['estimate']:.2f} [{row['low']:.2f}, {row['high']:.2f}] of {row['n_seeds']}"
        rows.setdefault((row["diagram"], row["value"]), {})[row["quantity"]] = said
    for (diagram, value), said_of in rows.items():
        shares = (said_of.get(name, "–") for name in ("identified", "identifiable"))
        table.add_row(diagram, f"{value:.6g}", *shares)
    console = Console()
    (console if console.is_terminal else Console(width=110)).print(table, markup=False)
