"""`saephase report`: a folder's finished trials to its tables and figures, without training."""

import sys
from pathlib import Path

from phase_diagrams.folder import find_finished, open_folder, read_trials
from phase_diagrams.holdings import own_ids
from phase_diagrams.overlay import read_overlays
from phase_diagrams.report import write_report
from phase_diagrams.spec import read_spec
from saephase.result_table import print_result
from saephase.spec_argument import UsageError
from workers.job import earlier_run, plant, training_seconds


def redraw(location: str, overlays: str) -> int:
    """Draw the diagram of a folder's trials, of a run that is not finished too, with the theory's overlays named.

    Returns the exit code.
    """
    shown = _overlays(overlays)
    if "://" not in location and not Path(location).is_dir():
        raise UsageError(f"DIR {location}: is not a folder")
    folder = open_folder(location)
    if not folder.exists("spec.json"):
        raise UsageError(f"DIR {location}: holds no spec.json, so it is not the output folder of a run")
    spec = read_spec(folder.read("spec.json").decode())
    for name, reason in find_finished(folder).set_aside:
        print(f"{name} cannot be used ({reason}); it is set aside", file=sys.stderr)
    trials = read_trials(folder, own_ids(spec, folder))
    if not trials.num_rows:
        raise UsageError(f"DIR {location}: holds no finished trial of its spec yet")
    device, wall_seconds = earlier_run(folder)
    summary = write_report(
        folder,
        spec,
        plant(spec),
        trials,
        device=device,
        wall_seconds=wall_seconds,
        train_seconds=training_seconds(trials),
        overlays=shown,
    )
    print_result(folder, summary)
    return 0


def _overlays(text: str) -> frozenset[str]:
    try:
        return read_overlays(text)
    except ValueError as error:
        raise UsageError(f"--overlay {text}: {error}") from None
