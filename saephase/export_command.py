"""`saephase export`: one trial of a folder, or of a job of a service, to a trained SAE that SAELens loads."""

import argparse
import sys
from pathlib import Path
from typing import Any

from phase_diagrams.folder import open_folder, read_trials
from phase_diagrams.problem import SpecError
from phase_diagrams.spec import JobSpec, parse_spec, read_spec
from saephase.diff_command import PATIENCE
from saephase.spec_argument import UsageError

FORMATS = ("safetensors",)


def export(options: argparse.Namespace) -> int:
    """Train the trial again, here, and write its weights and configuration; returns the exit code."""
    if options.format not in FORMATS:
        raise UsageError(f"--format {options.format}: is not a format; allowed: {', '.join(FORMATS)}")
    spec, row = _read(options)
    # What trains takes seconds to import: a wrong name is told at once.
    from workers.retraining import RetrainingError, retrain
    from workers.saelens_files import saelens_files

    try:
        retrained = retrain(spec, row)
    except RetrainingError as error:
        raise UsageError(str(error)) from None
    if retrained.differing:
        columns = ", ".join(retrained.differing)
        print(
            f"saephase: the trial's row was not reproduced: {columns} differ, as they do where it was trained on a GPU "
            "or another kind of processor; what is written is the SAE that was trained here",
            file=sys.stderr,
        )
    folder = open_folder(options.out or f"runs/sae-{options.trial}")
    for name, content in saelens_files(spec, options.trial, retrained).items():
        folder.write(name, content)
        print(folder.path(name))
    return 0


def _read(options: argparse.Namespace) -> tuple[JobSpec, dict[str, Any]]:
    """The spec, and the stored row of the trial; raises UsageError."""
    place = str(options.job)
    if "://" in place or Path(place).is_dir():
        return _read_folder(place, options.trial)
    if len(place) != 16 or not set(place) <= set("0123456789abcdef"):
        raise UsageError(f"{place}: is neither a folder nor a job id, which is sixteen hexadecimal digits")
    return _read_job(place, options)


def _read_folder(place: str, trial_id: str) -> tuple[JobSpec, dict[str, Any]]:
    folder = open_folder(place)
    if not folder.exists("spec.json"):
        raise UsageError(f"JOB {place}: holds no spec.json, so it is not the output folder of a run")
    rows = read_trials(folder, [trial_id]).to_pylist()
    return read_spec(folder.read("spec.json").decode()), _only(rows, trial_id, place)


def _read_job(job_id: str, options: argparse.Namespace) -> tuple[JobSpec, dict[str, Any]]:
    from service.client import Client

    try:
        client = Client(options.url, options.token, patience=PATIENCE)
    except ValueError as error:
        raise UsageError(f"--url or --token: {error}") from None
    keys = ("sparsity", "hidden_dim", "activation", "k", "l1", "exponent", "seed", "start")
    with client:
        document = client.get(job_id)["spec"]
        names = client.trials(job_id, columns=keys).to_pylist()
        named = _only([row for row in names if row["trial_id"] == options.trial], options.trial, job_id)
        # The rest of one row only: the rows of a large job are many megabytes.
        where = {name: named[name] for name in ("sparsity", "hidden_dim", "exponent", "seed", "start")}
        rows = client.trials(job_id, **where).to_pylist()
    try:
        spec = parse_spec(document)
    except SpecError as error:
        raise UsageError(f"job {job_id} is of another version of saephase: {error}") from None
    return spec, _only([row for row in rows if row["trial_id"] == options.trial], options.trial, job_id)


def _only(rows: list[dict[str, Any]], trial_id: str, place: str) -> dict[str, Any]:
    if not rows:
        raise UsageError(f"--trial {trial_id}: {place} has no finished trial of that id; trials.parquet lists them")
    return rows[0]
