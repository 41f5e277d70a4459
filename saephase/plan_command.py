"""`saephase plan` and `saephase spec-schema`: a spec to its cost, and the schema that specs follow."""

import dataclasses
import json
import os
import subprocess
import sys

from rich.console import Console
from rich.table import Table

from phase_diagrams.cost import Plan, plan_cost
from phase_diagrams.pace import ESTIMATED, Paces
from phase_diagrams.pace_cache import read_paces
from phase_diagrams.spec import JobSpec, spec_json, spec_schema
from phase_diagrams.trial import expected_trials
from saephase.display import clock
from saephase.spec_argument import load_spec

WORTH_MEASURING = 60.0
"""Shortest estimate, in seconds on one core, for which a machine is measured; heuristic: measuring takes some ten."""


def print_plan(source: str, settings: list[str], as_json: bool, estimate: bool) -> int:
    """Print what a job would cost on this machine; returns the exit code."""
    spec = load_spec(source, settings)
    cores = _cores()
    plan = plan_cost(spec, cores, paces=ESTIMATED if estimate else _paces(spec))
    if as_json:
        print(json.dumps({**dataclasses.asdict(plan), "cores": cores}, indent=2))
        return 0
    lines = _lines(spec, plan, cores)
    console = Console()
    if not console.is_terminal:
        for name, value in lines:
            print(f"{name}: {value}")
        return 0
    table = Table(title=f"Plan of {spec.name}", show_header=False, title_justify="left")
    for name, value in lines:
        table.add_row(name, value)
    console.print(table)
    return 0


def print_schema() -> int:
    """Print the job spec's JSON Schema; returns the exit code."""
    print(json.dumps(spec_schema(), indent=2))
    return 0


def _lines(spec: JobSpec, plan: Plan, cores: int) -> list[tuple[str, str]]:
    asked = [("conditions", f"{plan.conditions:,}"), ("trainings", f"{plan.trainings:,}")]
    if spec.refine is not None:
        asked = [
            ("budget", f"{spec.refine.budget:,} trainings at most{_cap(spec.refine.budget, plan.trials)}"),
            ("candidates", f"{plan.conditions:,} conditions may be sampled; those near the boundary are"),
        ]
    return [
        *asked,
        ("packs", f"{plan.packs:,}, {plan.packs_at_a_time} at a time"),
        ("steps", f"{plan.steps:,}"),
        ("multiply-adds", f"{plan.multiply_adds:.2g}"),
        ("memory", f"about {size(plan.pack_bytes)} per worker and {size(plan.driver_bytes)} for the driver"),
        ("time", f"about {clock(plan.seconds)} on {cores} cores of this machine"),
        *_room(spec.resources.cpus_per_trial, cores),
    ]


def _cap(budget: int, trials: int) -> str:
    return f", of which {trials:,} can be spent" if trials < budget else ""


def _room(cpus: float, cores: int) -> list[tuple[str, str]]:
    """A note where no pack fits on this machine: no error, since the plan may be for a cluster."""
    return [("note", f"a pack asks for {cpus:g} CPUs; this machine has {cores}")] if cpus > cores else []


def _paces(spec: JobSpec) -> Paces:
    """This machine's paces; a long job's shapes that are not known yet are measured once."""
    paces = read_paces()
    missing = paces.missing(spec, expected_trials(spec))
    if not missing or plan_cost(spec, 1, paces=paces).seconds < WORTH_MEASURING:
        return paces
    print(f"measuring {len(missing)} shapes of SAE on this machine, once; --estimate does without", file=sys.stderr)
    # In a process of its own: a plan loads no compiler, and can do without the answer.
    told = subprocess.run([sys.executable, "-m", "workers.calibration"], input=spec_json(spec), text=True, check=False)
    if told.returncode:
        print("measuring failed; the time is an estimate from arithmetic", file=sys.stderr)
    return read_paces()


def size(count: int) -> str:
    """Bytes in MB or GB."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
