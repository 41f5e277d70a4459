"""`saephase submit`, `status`, `watch`, `cancel`, `resume`, `download`: clients of a running service."""

import argparse
import json
import sys
from dataclasses import fields
from typing import Any

from rich.console import Console
from rich.table import Table

from saephase.display import Display, clock
from saephase.spec_argument import UsageError, load_spec
from service.client import Client
from workers.progress import Progress

PATIENCE = 5.0
"""Seconds without the service after which a command gives up; heuristic: a restart, but not a person's patience."""


def run_job_command(options: argparse.Namespace) -> int:
    """Run the command; returns the exit code. Raises ServiceError and UnreachableError."""
    try:
        client = Client(options.url, options.token, patience=PATIENCE)
    except ValueError as error:
        raise UsageError(f"--url or --token: {error}") from None
    with client:
        return COMMANDS[options.command](client, options)


def _submit(client: Client, options: argparse.Namespace) -> int:
    spec = load_spec(options.spec, options.set)
    job = client.submit(spec, options.key, priority=options.priority)
    print(job["id"], flush=True)
    return follow(client, job["id"]) if options.wait else 0


def _status(client: Client, options: argparse.Namespace) -> int:
    if options.job is not None:
        job = client.get(_job(options))
        if options.json:
            print(json.dumps(job, indent=2))
        else:
            for name, value in job_lines(job):
                print(f"{name}: {value}")
        return 0
    listed = list(client.jobs(limit=options.limit))
    if options.json:
        print(json.dumps(listed, indent=2))
    else:
        _print_jobs(listed)
    return 0


def _watch(client: Client, options: argparse.Namespace) -> int:
    return follow(client, _job(options))


def _cancel(client: Client, options: argparse.Namespace) -> int:
    job = client.cancel(_job(options))
    print(f"{job['id']} is {'stopping' if job['status'] == 'running' else job['status']}")
    return 0


def _resume(client: Client, options: argparse.Namespace) -> int:
    job = client.resume(_job(options))
    print(f"{job['id']} is {job['status']}")
    return 0


def _download(client: Client, options: argparse.Namespace) -> int:
    job_id = _job(options)
    out = options.out or f"runs/{job_id}"
    try:
        files = client.download(job_id, out, options.name or None)
    except FileExistsError:
        raise UsageError(f"--out {out}: is a file, not a folder") from None
    except ValueError as error:
        raise UsageError(str(error)) from None
    if not files:
        print(f"saephase: job {job_id} has no files yet", file=sys.stderr)
    for file in files:
        print(file)
    return 0


COMMANDS = {
    "submit": _submit,
    "status": _status,
    "watch": _watch,
    "cancel": _cancel,
    "resume": _resume,
    "download": _download,
}


def follow(client: Client, job_id: str) -> int:
    """Show a job's events until it ends; returns 0 if it succeeded, 3 if not."""
    display = Display(Console(stderr=True))
    try:
        with display:
            for event in client.events(job_id):
                _show(display, event.type, event.data)
    except KeyboardInterrupt:
        display.say(f"the job goes on; `saephase watch {job_id}` follows it again, `saephase cancel {job_id}` stops it")
        raise
    job = client.get(job_id)
    if job["status"] == "succeeded":
        display.say(f"`saephase download {job_id}` fetches the diagram")
        return 0
    if job["error"]:
        print(f"saephase: {job['error']}", file=sys.stderr)
    return 3


def _show(display: Display, kind: str, data: dict[str, Any]) -> None:
    if kind == "status":
        by = f" on {data['worker']}" if data.get("worker") else ""
        reason = f" ({data['reason']})" if data.get("reason") else ""
        display.say(f"{data.get('status')}{by}{reason}")
    elif kind == "progress":
        display.progress(read_progress(data))
    elif "text" in data:
        display.say(str(data["text"]))


def read_progress(data: dict[str, Any]) -> Progress:
    """A job's progress in the service's JSON."""
    return Progress(**{field.name: data[field.name] for field in fields(Progress)})


def job_lines(job: dict[str, Any]) -> list[tuple[str, str]]:
    """A job as name and value, what is not known left out."""
    progress = job["progress"]
    done = f"{progress['trials_done']}/{progress['trials_total']}, {progress['trials_reused']} reused"
    lines = [
        ("id", job["id"]),
        ("name", job["name"]),
        ("status", job["status"]),
        ("trials", done),
        ("time", clock(progress["seconds"])),
        ("left", "" if progress["eta_seconds"] is None else clock(progress["eta_seconds"])),
        ("priority", str(job["priority"])),
        ("owner", job["owner"] or ""),
        ("created", job["created_at"]),
        ("started", job["started_at"] or ""),
        ("ended", job["ended_at"] or ""),
        ("error", " ".join((job["error"] or "").split())),
    ]
    return [(name, value) for name, value in lines if value]


def _print_jobs(listed: list[dict[str, Any]]) -> None:
    table = Table(box=None, pad_edge=False)
    for column in ("id", "status", "trials", "created", "owner", "name"):
        table.add_column(column)
    for job in listed:
        progress = job["progress"]
        trials = f"{progress['trials_done']}/{progress['trials_total']}"
        table.add_row(job["id"], job["status"], trials, job["created_at"], job["owner"] or "", job["name"])
    console = Console()
    (console if console.is_terminal else Console(width=200)).print(table, markup=False)


def _job(options: argparse.Namespace) -> str:
    job_id = str(options.job)
    if len(job_id) != 16 or not set(job_id) <= set("0123456789abcdef"):
        raise UsageError(f"JOB {job_id!r}: is not a job id, which is sixteen hexadecimal digits; see saephase status")
    return job_id
