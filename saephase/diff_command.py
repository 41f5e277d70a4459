"""`saephase diff`: two output folders or jobs of a service to what differs between their diagrams."""

import argparse
import tempfile
from collections.abc import Mapping
from pathlib import Path

from phase_diagrams.difference import IncompatibleError, Side, compare_diagrams
from phase_diagrams.difference_report import difference_files, difference_json, sentences
from phase_diagrams.folder import TRIALS_FILE, open_folder, read_trials
from phase_diagrams.holdings import own_ids
from phase_diagrams.spec import read_spec
from saephase.spec_argument import UsageError
from saephase.unfinished_note import note_unfinished

PATIENCE = 5.0
"""Seconds without the service after which a download gives up, as for the service's other commands."""


def diff(options: argparse.Namespace) -> int:
    """Compare two diagrams, print what differs, and write tables and pictures to --out; returns the exit code."""
    sides = [read_side(place, options) for place in (options.one, options.other)]
    try:
        found = compare_diagrams(*sides)
    except IncompatibleError as error:
        raise UsageError(str(error)) from None
    if options.json:
        print(difference_json(found), end="")
    else:
        for sentence in sentences(found):
            print(sentence)
    if options.out is not None:
        write_files(difference_files(found), options)
    return 0


def write_files(files: Mapping[str, bytes], options: argparse.Namespace) -> None:
    """Write the files of a comparison or a cut into --out, and say where they are unless --json has the output."""
    folder = open_folder(options.out)
    for name, content in files.items():
        folder.write(name, content)
        if not options.json:
            print(folder.path(name))


def read_side(place: str, options: argparse.Namespace) -> Side:
    """The spec and the finished rows of a folder, or of a job of the service; raises UsageError."""
    if "://" in place or Path(place).is_dir():
        side = folder_side(place)
        note_unfinished(place, side.spec, side.trials)
        return side
    if len(place) != 16 or not set(place) <= set("0123456789abcdef"):
        raise UsageError(f"{place}: is neither a folder nor a job id, which is sixteen hexadecimal digits")
    from service.client import Client

    try:
        client = Client(options.url, options.token, patience=PATIENCE)
    except ValueError as error:
        raise UsageError(f"--url or --token: {error}") from None
    with client, tempfile.TemporaryDirectory() as folder:
        try:
            client.download(place, folder, ["spec.json", TRIALS_FILE])
        except ValueError as error:
            raise UsageError(f"{error}; a job can be compared once it has succeeded") from None
        return folder_side(folder)


def folder_side(place: str) -> Side:
    """The spec and the finished rows of an output folder; raises UsageError."""
    folder = open_folder(place)
    if not folder.exists("spec.json"):
        raise UsageError(f"DIR {place}: holds no spec.json, so it is not the output folder of a run")
    spec = read_spec(folder.read("spec.json").decode())
    trials = read_trials(folder, own_ids(spec, folder))
    if not trials.num_rows:
        raise UsageError(f"DIR {place}: holds no finished trial of its spec yet")
    return Side(spec, trials)
