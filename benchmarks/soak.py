"""A number of kills to a verdict: kill -9 at random moments over every process of the service; then what was lost?

    python benchmarks/soak.py --kills 100 --seed 1

Starts `saephase serve` and `saephase worker` as an operator would, starts them again when they die, posts jobs as long
as kills are left, and prints what it found as JSON. The exit code is 1 if a job did not succeed, a finished trial was
lost, trained again or duplicated, or a row differs from an undisturbed run's.
"""

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.processes import Program, descendants, free_port  # noqa: E402
from phase_diagrams.folder import find_finished, open_folder, read_trials, same_results  # noqa: E402
from phase_diagrams.pack import Pack, cut_packs  # noqa: E402
from phase_diagrams.planted import plant_dictionary  # noqa: E402
from phase_diagrams.spec import JobSpec, parse_spec  # noqa: E402
from phase_diagrams.trial import grid_trials, trial_namer  # noqa: E402
from service.client import Client  # noqa: E402

LOG, SECONDS = "SOAK_LOG", "SOAK_SECONDS"
"""Environment of the training function: where it tells which trials it begins, and how long it sleeps for each."""
KINDS = ("api", "worker", "child", "driver", "ray worker", "raylet")
LEASE_SECONDS = 5.0
LONGEST_GAP = 4.0
"""Seconds between kills are uniform up to this, once something has finished since the last one."""
HASTE = 0.25
"""Share of kills that do not wait for that, and so hit a restart."""
LONGEST_WAIT = 60.0
"""Seconds that a kill waits for something to finish."""


def train_logged(spec: JobSpec, dictionary: npt.NDArray[np.float32], pack: Pack, device: str) -> pa.Table:
    """The real training, slowed down and told of."""
    from workers.pack_run import run_pack

    handle = os.open(os.environ[LOG], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(handle, f"{' '.join(pack.trial_ids)}\n".encode())
    os.close(handle)
    time.sleep(float(os.environ[SECONDS]) * len(pack.trials))
    return run_pack(spec, dictionary, pack, device)


def job_spec(number: int) -> JobSpec:
    """A job of 40 trials in 10 packs that shares none with the others."""
    return parse_spec(
        {
            "name": f"soak {number}",
            "data": {"n_features": 12, "n_inputs": 6, "superposition": {"kind": "random_unit", "seed": number}},
            "grid": {
                "sparsity": [0.5, 0.6, 0.7, 0.8, 0.9],
                "hidden_dim": [12, 24],
                "activation": ["topk:1"],
                "seeds": 2,
            },
            "training": {"steps": 100, "batch_size": 64},
        }
    )


def undisturbed_rows(spec: JobSpec) -> pa.Table:
    """The rows as one process trains them, without a service, Ray or a folder."""
    from workers.pack_run import run_pack

    dictionary = plant_dictionary(spec.data)
    rows = pa.concat_tables([run_pack(spec, dictionary, pack, "cpu") for pack in cut_packs(spec, grid_trials(spec))])
    place = {trial_id: index for index, trial_id in enumerate(rows["trial_id"].to_pylist())}
    return rows.take([place[trial_id] for trial_id in wanted_ids(spec)])


def wanted_ids(spec: JobSpec) -> list[str]:
    name = trial_namer(spec)
    return [name(trial) for trial in grid_trials(spec)]


@dataclass
class Snapshot:
    """What was finished at a kill, and how many packs had begun by then."""

    kind: str
    finished: frozenset[str]
    begun: int
    at: float


@dataclass
class Soak:
    """A run of the soak."""

    place: Path
    rng: random.Random
    kills: int
    client: Client
    api: Program
    worker: Program
    jobs: dict[str, JobSpec] = field(default_factory=dict)
    running: set[str] = field(default_factory=set)
    statuses: dict[str, str] = field(default_factory=dict)
    snapshots: list[Snapshot] = field(default_factory=list)

    def run(self) -> None:
        """Kill until there are enough kills, then let every job end."""
        while len(self.snapshots) < self.kills:
            if self.rng.random() > HASTE:
                self._until_more_is_finished()
            self._tick(self.rng.uniform(0.0, LONGEST_GAP))
            kind = self.rng.choice(KINDS)
            pid = self._find(kind)
            if pid is None:
                continue
            snapshot = Snapshot(kind, self.finished(), len(self.begun()), time.monotonic())
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            self.snapshots.append(snapshot)
            print(
                f"{len(self.snapshots)}: {kind}, {len(snapshot.finished)} trials finished", file=sys.stderr, flush=True
            )
        ends = time.monotonic() + 300
        while self.running and time.monotonic() < ends:
            self._tick(1.0)

    def _until_more_is_finished(self) -> None:
        before, ends = self.finished(), time.monotonic() + LONGEST_WAIT
        while self.finished() <= before and time.monotonic() < ends:
            self._tick(0.2)

    def _tick(self, seconds: float) -> None:
        """Keep two jobs under way for a while."""
        ends = time.monotonic() + seconds
        while True:
            self._look_after_jobs()
            left = ends - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(0.2, left))

    def _look_after_jobs(self) -> None:
        for job_id in list(self.running):
            status = self.client.get(job_id)["status"]
            if status in ("succeeded", "failed", "cancelled"):
                self.statuses[job_id] = status
                self.running.remove(job_id)
        if len(self.running) < 2 and len(self.snapshots) < self.kills:
            spec = job_spec(len(self.jobs))
            job_id = self.client.submit(spec)["id"]
            self.jobs[job_id] = spec
            self.running.add(job_id)

    def _find(self, kind: str) -> int | None:
        """A process of a kind, if there is one now."""
        if kind in ("api", "worker"):
            return (self.api if kind == "api" else self.worker).pid
        marks = {"child": "workers.lease_run", "driver": "workers.ray_driver", "raylet": "raylet/raylet"}
        found = [
            (pid, parent)
            for pid, parent, line in descendants(self.worker.pid)
            if (line.startswith("ray::") if kind == "ray worker" else marks[kind] in line)
        ]
        if kind == "driver":
            # Its watch has the same command line, and the driver as its parent.
            drivers = {pid for pid, _ in found}
            found = [(pid, parent) for pid, parent in found if parent not in drivers]
        return self.rng.choice(sorted(found))[0] if found else None

    def finished(self) -> frozenset[str]:
        """The finished trials of all jobs."""
        found: set[str] = set()
        for job_id in self.jobs:
            found |= self._finished(job_id)
        return frozenset(found)

    def _finished(self, job_id: str) -> frozenset[str]:
        if not (self.place / "jobs" / job_id).exists():
            return frozenset()
        while True:
            try:
                return find_finished(open_folder(str(self.place / "jobs" / job_id))).trial_ids
            except FileNotFoundError:
                continue  # merged in this moment

    def begun(self) -> list[list[str]]:
        """The trials of each pack that began, in order."""
        log = self.place / "log"
        return [line.split() for line in log.read_text().splitlines()] if log.exists() else []

    def verdict(self) -> dict[str, Any]:
        """What was lost, trained again or changed."""
        begun, final = self.begun(), self.finished()
        retrained: set[str] = set()
        lost: set[str] = set()
        for snapshot in self.snapshots:
            lost |= snapshot.finished - final
            retrained |= snapshot.finished & {trial_id for ids in begun[snapshot.begun :] for trial_id in ids}
        duplicates = differing = 0
        for job_id, spec in self.jobs.items():
            table = read_trials(open_folder(str(self.place / "jobs" / job_id)), wanted_ids(spec))
            whole = pq.read_table(self.place / "jobs" / job_id / "trials.parquet")
            duplicates += whole.num_rows - len(set(whole["trial_id"].to_pylist()))
            differing += not same_results(table, undisturbed_rows(spec))
        trials = sum(spec.n_trials for spec in self.jobs.values())
        return {
            "kills": len(self.snapshots),
            "by_kind": dict(Counter(snapshot.kind for snapshot in self.snapshots)),
            "jobs": len(self.jobs),
            "jobs_not_succeeded": sum(self.statuses.get(job_id) != "succeeded" for job_id in self.jobs),
            "trials": trials,
            "finished_trials_lost": len(lost),
            "finished_trials_trained_again": len(retrained),
            "duplicate_rows": duplicates,
            "jobs_with_other_rows": differing,
            "trainings_cut_short": sum(len(ids) for ids in begun) - trials,
        }


def worker_main(arguments: list[str]) -> int:
    """`saephase worker` with the training that is told of."""
    import saephase.worker_command
    from saephase.command import main as saephase_main

    saephase.worker_command.TRAIN = "benchmarks.soak:train_logged"
    return saephase_main(["worker", *arguments])


def programs(place: Path, port: int, seconds: float) -> tuple[Program, Program]:
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "SAEPHASE_LEASE_SECONDS": str(LEASE_SECONDS),
        LOG: str(place / "log"),
        SECONDS: str(seconds),
    }
    serve = ["-m", "saephase", "serve", "--no-worker", "--port", str(port), "--data", str(place)]
    work = ["-m", "benchmarks.soak", "worker", "--url", f"http://127.0.0.1:{port}", "--name", "soaked"]
    return (
        Program([sys.executable, *serve], environment, place / "api.log"),
        Program([sys.executable, *work], environment, place / "worker.log"),
    )


def main(arguments: list[str] | None = None, told: Callable[[str], None] = print) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=0.25, help="slept per trial; default 0.25")
    parser.add_argument("--keep", type=Path, help="folder for everything; default a temporary one")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="soak-") as temporary:
        place = options.keep or Path(temporary)
        place.mkdir(parents=True, exist_ok=True)
        port = free_port()
        api, worker = programs(place, port, options.seconds)
        began = time.monotonic()
        with Client(f"http://127.0.0.1:{port}", patience=60) as client:
            soak = Soak(place, random.Random(options.seed), options.kills, client, api, worker)
            try:
                api.start()
                worker.start()
                soak.run()
            finally:
                worker.end()
                api.end()
        verdict = {"seed": options.seed, **soak.verdict(), "seconds": round(time.monotonic() - began)}
    told(json.dumps(verdict, indent=2))
    bad = ("jobs_not_succeeded", "finished_trials_lost", "finished_trials_trained_again", "duplicate_rows")
    return int(any(verdict[name] for name in (*bad, "jobs_with_other_rows")))


if __name__ == "__main__":
    sys.exit(worker_main(sys.argv[2:]) if sys.argv[1:2] == ["worker"] else main())
