"""`saephase report`: a folder's finished trials to its tables and figures, without training."""

import sys
from pathlib import Path

import pyarrow as pa

from phase_diagrams.finding import find_exponents
from phase_diagrams.folder import find_finished, open_folder, read_trials
from phase_diagrams.holdings import own_ids
from phase_diagrams.overlay import read_overlays
from phase_diagrams.report import write_report
from phase_diagrams.spec import JobSpec, read_spec
from saephase.result_table import print_result
from saephase.spec_argument import UsageError
from saephase.unfinished_note import note_unfinished
from workers.job import earlier_run, plant, training_seconds


def redraw(location: str, overlays: str, optuna_url: str | None = None) -> int:
    """Draw the diagram of a folder's trials, of a run that is not finished too, with the theory's overlays named.

    `optuna_url` is a storage for the studies of its exponent search. Returns the exit code.
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
    note_unfinished(location, spec, trials, summary.refinement)
    if optuna_url is not None:
        _export(spec, trials, optuna_url)
    return 0


def _overlays(text: str) -> frozenset[str]:
    try:
        return read_overlays(text)
    except ValueError as error:
        raise UsageError(f"--overlay {text}: {error}") from None


def _export(spec: JobSpec, trials: pa.Table, url: str) -> None:
    if spec.search is None:
        raise UsageError(f"--optuna {url}: the folder's spec has no reweighting.search, so there is no study")
    # Optuna and its storages take a second to import.
    from workers.optuna_export import ExportError, export_studies

    try:
        count = export_studies(spec, find_exponents(spec, trials), url)
    except ExportError as error:
        raise UsageError(f"--optuna {error}") from None
    print(f"{count} Optuna studies, one per condition, are in the storage")
