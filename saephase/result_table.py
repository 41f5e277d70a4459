"""A diagram's summary to the table that ends a run: one row per panel of the picture."""

from rich.console import Console
from rich.table import Table

from phase_diagrams.folder import Folder
from phase_diagrams.reweighting_summary import reweighting_sentences
from phase_diagrams.summary import BoundarySummary, Summary

PICTURES = ("phase_diagram.html", "phase_diagram.png", "reweighting.html", "reweighting.png")
SYMBOLS = {"sparsity": "S", "hidden_dim": "n_m"}
PLAIN_WIDTH = 110
"""Columns of the table where standard output is not a terminal; heuristic: a boundary's words fit in one line."""


def print_result(folder: Folder, summary: Summary) -> None:
    """Print per panel how many conditions are in each phase and where P = 1/2, then where the pictures are."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=PLAIN_WIDTH)
    table = Table(title=f"{summary.name}: conditions in each phase", title_justify="left")
    table.add_column("panel")
    for phase in summary.phases:
        table.add_column(phase.replace("_", " "), justify="right", max_width=9)
    table.add_column("P = 1/2 [95 %]")
    for panel in summary.panels:
        counts = [str(count.conditions) for count in panel.phases.values()]
        words = [f"{boundary.start}: {boundary_words(boundary)}" for boundary in panel.boundaries]
        table.add_row(panel.label, *counts, "\n".join(words))
    console.print(table)
    for sentence in reweighting_sentences(summary.reweighting) if summary.reweighting else ():
        console.print(sentence, markup=False, highlight=False)
    for name in PICTURES:
        if folder.exists(name):
            print(folder.path(name))


def boundary_words(boundary: BoundarySummary) -> str:
    """A boundary in a few words: its place, or on which side the whole panel is."""
    if boundary.no_boundary is not None:
        return boundary.no_boundary
    places = " and ".join(f"{c.value:.3g} [{c.low:.3g}, {c.high:.3g}]" for c in boundary.crossings)
    return f"{SYMBOLS[boundary.y_axis]} = {places} at {SYMBOLS[boundary.x_axis]} = {boundary.x or 0:.3g}"
