"""A folder's rows to a line on standard error, where its job has more to train."""

import sys

import pyarrow as pa

from phase_diagrams.completion import unfinished
from phase_diagrams.refine_judgement import Judgement
from phase_diagrams.spec import JobSpec


def note_unfinished(place: str, spec: JobSpec, trials: pa.Table, judgement: Judgement | None = None) -> None:
    """Say how far the job of a folder is, unless it is finished; as `unfinished` takes its arguments."""
    if (extent := unfinished(spec, trials, judgement)) is not None:
        print(f"saephase: {place} is unfinished: {extent}; the same `saephase run` command goes on", file=sys.stderr)
