"""Finished trials to the files of a report: tables, pictures, summary, spec, and last the manifest that lists them."""

import hashlib
import json
import platform
from importlib.metadata import PackageNotFoundError, version

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from phase_diagrams.caption import software_version
from phase_diagrams.conditions import condition_table
from phase_diagrams.confirmation import confirm
from phase_diagrams.figure import diagram
from phase_diagrams.finding import find_exponents, reweighting_table
from phase_diagrams.folder import TRIALS_FILE, Folder, table_bytes
from phase_diagrams.overlay import DEFAULT
from phase_diagrams.panel import boundary_table, trace_boundaries
from phase_diagrams.render import draw, draw_reweighting
from phase_diagrams.reweighting_figure import reweighting_picture
from phase_diagrams.reweighting_summary import ReweightingSummary, summarise_reweighting
from phase_diagrams.shift import boundary_shifts
from phase_diagrams.spec import JobSpec, spec_json
from phase_diagrams.summary import Summary, summarise, summary_json
from phase_diagrams.superposition import interference

PARQUET = "application/vnd.apache.parquet"

ARTIFACTS = {
    "spec.json": "application/json",
    TRIALS_FILE: PARQUET,
    "conditions.parquet": PARQUET,
    "boundary.parquet": PARQUET,
    "phase_diagram.vl.json": "application/vnd.vegalite.v6+json",
    "phase_diagram.html": "text/html",
    "phase_diagram.png": "image/png",
    "phase_diagram.svg": "image/svg+xml",
    "phase_diagram.pdf": "application/pdf",
    "reweighting.parquet": PARQUET,
    "reweighting.vl.json": "application/vnd.vegalite.v6+json",
    "reweighting.html": "text/html",
    "reweighting.png": "image/png",
    "reweighting.svg": "image/svg+xml",
    "reweighting.pdf": "application/pdf",
    "summary.json": "application/json",
}
"""The files that a manifest may list, with their media types; whatever else lies in the folder is nobody's business."""

MANIFEST = "manifest.json"

PACKAGES = ("numpy", "scipy", "pyarrow", "pydantic", "altair", "vl-convert-python", "torch", "ray", "numba")
"""Distributions whose versions a manifest states, where installed: those that numbers or pictures can depend on."""


def write_report(
    folder: Folder,
    spec: JobSpec,
    dictionary: npt.NDArray[np.floating],
    trials: pa.Table,
    *,
    device: str,
    wall_seconds: float,
    train_seconds: float,
    overlays: frozenset[str] = DEFAULT,
) -> Summary:
    """Write every artifact but trials.parquet, each whole or not at all, and the manifest last.

    The same spec, dictionary and trials give the same bytes, but for the seconds in the manifest.

    Args:
        folder: where trials.parquet lies, if it is already merged.
        spec: the whole job.
        dictionary: W_p, (n_inputs, n_features).
        trials: the spec's finished rows (schema TRIALS); all of them, or those so far.
        device: what trained them, in words.
        wall_seconds: from the start of the run to now.
        train_seconds: summed over trials.
        overlays: names of the theory's overlays that the pictures show (overlay.py).
    """
    conditions = condition_table(spec, trials)
    boundaries = trace_boundaries(spec, conditions)
    curves = boundary_table(boundaries)
    reweighting = _report_search(folder, spec, trials) if spec.search else None
    summary = summarise(spec, trials, conditions, boundaries, interference(dictionary), reweighting)
    folder.write("spec.json", spec_json(spec).encode())
    folder.write("conditions.parquet", table_bytes(conditions))
    folder.write("boundary.parquet", table_bytes(curves))
    for name, content in draw(diagram(spec, conditions, curves, dictionary, overlays)).items():
        folder.write(name, content)
    folder.write("summary.json", summary_json(summary).encode())
    write_manifest(folder, device=device, wall_seconds=wall_seconds, train_seconds=train_seconds)
    return summary


def _report_search(folder: Folder, spec: JobSpec, trials: pa.Table) -> ReweightingSummary:
    """Write what the exponent search found so far: a table and a picture."""
    findings = find_exponents(spec, trials)
    summary = summarise_reweighting(spec, findings, boundary_shifts(spec, findings))
    folder.write("reweighting.parquet", table_bytes(reweighting_table(spec, findings)))
    picture = reweighting_picture(spec, findings, confirm(spec, trials, findings), summary)
    for name, content in draw_reweighting(picture).items():
        folder.write(name, content)
    return summary


def write_manifest(folder: Folder, *, device: str, wall_seconds: float, train_seconds: float) -> None:
    """List the artifacts that lie in the folder, with versions, device and seconds, in manifest.json."""
    document = {
        "files": [_entry(folder, name) for name in ARTIFACTS if folder.exists(name)],
        "versions": package_versions(),
        "device": device,
        "wall_seconds": round(wall_seconds, 3),
        "train_seconds": round(train_seconds, 3),
    }
    folder.write(MANIFEST, (json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode())


def package_versions() -> dict[str, str]:
    """Versions of saephase, Python and the packages that matter, read without importing them."""
    versions = {"saephase": software_version(), "python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions


def _entry(folder: Folder, name: str) -> dict[str, str | int]:
    content = folder.read(name)
    digest = hashlib.sha256(content).hexdigest()
    return {"name": name, "bytes": len(content), "sha256": digest, "media_type": ARTIFACTS[name]}
