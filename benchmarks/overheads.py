"""This machine to the overheads that a simulation of a large run needs, as JSON: all that is not training.

    python benchmarks/overheads.py [PART ...] > overheads.json     (planning storage ending driver waiting api)

Seconds are processor time of the process that waits for them where the machine is shared, and wall time for storage.
The driver is the real one (workers.fan_out on a Ray cluster of this machine) with a trainer that sleeps.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from phase_diagrams.folder import Folder, merge_packs, open_folder, write_pack  # noqa: E402
from phase_diagrams.holdings import own_ids  # noqa: E402
from phase_diagrams.pace import ESTIMATED  # noqa: E402
from phase_diagrams.pack import Pack, cut_packs  # noqa: E402
from phase_diagrams.planted import plant_dictionary  # noqa: E402
from phase_diagrams.report import write_report  # noqa: E402
from phase_diagrams.spec import JobSpec, parse_spec  # noqa: E402
from phase_diagrams.trial import grid_trials  # noqa: E402
from tests.phase_diagrams.synthetic_trials import synthetic_trials  # noqa: E402
from tests.workers.trainers import fake_rows  # noqa: E402
from workers.planners import open_planner  # noqa: E402
from workers.stock import FolderStock  # noqa: E402

SECONDS = "SCALE_SECONDS"
"""Environment of the sleeping trainer: seconds that it sleeps for each second that a pack costs."""
TRAIN_SLEEPING = "benchmarks.overheads:train_sleeping"


def train_sleeping(spec: JobSpec, dictionary: npt.NDArray[np.float32], pack: Pack, device: str) -> pa.Table:
    """Sleeps as long as the pack would train, by its arithmetic; made-up rows."""
    cost = sum(ESTIMATED.trial_seconds(spec, trial.condition) for trial in pack.trials)
    time.sleep(float(os.environ[SECONDS]) * cost)
    return fake_rows(spec, pack)


def grid_spec(size: int) -> JobSpec:
    """The simulated job on small SAEs with about so many trials."""
    from benchmarks.scale import job_spec

    return job_spec("small", size)


def planning(sizes: tuple[int, ...] = (1_000, 10_000, 100_000)) -> list[dict[str, float]]:
    """Seconds and bytes of a job's plan, as the driver makes it."""
    found = []
    for size in sizes:
        spec = grid_spec(size)
        with tempfile.TemporaryDirectory() as place:
            planner = open_planner(spec, FolderStock(open_folder(place), frozenset()))
            before, began = _resident(), time.process_time()
            trials = planner.ask()
            packs = cut_packs(spec, trials)
            seconds = time.process_time() - began
        found.append(
            {
                "trials": len(trials), "packs": len(packs), "seconds": seconds,
                "bytes_per_1000_trials": 1000 * (_resident() - before) / len(trials),
            }
        )  # fmt: skip
    return found


def storage(packs: int = 200, trials: int = 40) -> dict[str, dict[str, float]]:
    """Wall seconds of a pack's file: written, looked for, read and deleted, in a folder and in an S3 server."""
    rows = synthetic_trials(grid_spec(1_000)).slice(0, trials)
    with tempfile.TemporaryDirectory() as place, _object_store() as uri:
        return {kind: _files(open_folder(location), packs, rows) for kind, location in (("folder", place), ("s3", uri))}


def _files(folder: Folder, packs: int, rows: pa.Table) -> dict[str, float]:
    names = [f"{number:016x}" for number in range(packs)]
    files = [f"packs/pack-{name}.parquet" for name in names]
    return {
        "write": _each(names, lambda name: write_pack(folder, name, rows)),
        "exists": _each(files, folder.exists),
        "read": _each(files, folder.read),
        "delete": _each(files, folder.delete),
    }


def ending(sizes: tuple[int, ...] = (1_000, 10_000, 100_000)) -> list[dict[str, float]]:
    """Seconds of what follows the last pack: merging in a folder, and every table and picture."""
    found = []
    for size in sizes:
        spec = grid_spec(size)
        rows = synthetic_trials(spec)
        packs = cut_packs(spec, grid_trials(spec))
        with tempfile.TemporaryDirectory() as place:
            folder = open_folder(place)
            start = 0
            for pack in packs:
                write_pack(folder, pack.pack_id, rows.slice(start, len(pack.trials)))
                start += len(pack.trials)
            began = time.process_time()
            trials = merge_packs(folder, own_ids(spec, folder))
            merged = time.process_time()
            write_report(
                folder, spec, plant_dictionary(spec.data), trials, device="none", wall_seconds=0.0, train_seconds=0.0
            )
            drawn = time.process_time()
        found.append(
            {
                "trials": trials.num_rows, "packs": len(packs), "conditions": spec.n_conditions,
                "merge": merged - began, "report": drawn - merged, "peak_bytes": _peak(),
            }
        )  # fmt: skip
        print(found[-1], file=sys.stderr)
    return found


@dataclass
class Heard:
    """When each pack was finished, in wall seconds and in processor seconds of this process."""

    began: float = field(default_factory=time.monotonic)
    packs: list[tuple[float, float, int]] = field(default_factory=list)
    look_at: tuple[int, ...] = ()
    """Numbers of finished packs at which the processor seconds of Ray's processes are noted."""
    looks: list[dict[str, float]] = field(default_factory=list)

    def asked(self, packs: list[Pack]) -> None:
        pass

    def finished(self, pack: Pack, seconds: float) -> None:
        self.packs.append((time.monotonic() - self.began, time.process_time(), _resident()))
        if len(self.packs) in self.look_at:
            self.looks.append(_processor_seconds())

    def failed(self, failure: object, detail: str) -> None:
        raise AssertionError(f"{failure} {detail}")


def drive(spec: JobSpec, actors: int, sleep: float, look_at: tuple[int, ...] = ()) -> tuple[Heard, float]:
    """A real run of the driver with so many actors; what it heard, and its wall seconds from a cluster that is up."""
    from workers.cluster import choose_seat, live_nodes, open_cluster, thread_variables
    from workers.fan_out import Job, fan_out

    os.environ |= {SECONDS: str(sleep), "PYTHONPATH": str(ROOT)}
    with (
        tempfile.TemporaryDirectory(prefix="sc") as scratch,
        open_cluster("local", scratch, thread_variables(1), 10_000, cpus=actors),
    ):
        folder = open_folder(f"{scratch}/out")
        planner = open_planner(spec, FolderStock(folder, frozenset()))
        job = Job(spec, plant_dictionary(spec.data), folder, f"{scratch}/out")
        heard = Heard(look_at=look_at)
        fan_out(job, planner, choose_seat(spec.resources, live_nodes()), heard, scratch, TRAIN_SLEEPING)
        return heard, time.monotonic() - heard.began


def driver(counts: tuple[int, ...] = (2, 8, 16)) -> list[dict[str, float]]:
    """The driver's seconds per pack with so many actors that never sleep, each in a process of its own."""
    return [_child("_drive_flat_out", count) for count in counts]


def _drive_flat_out(actors: int) -> dict[str, float]:
    packs = 200 + 25 * actors
    # From the time when every actor has had some packs: what came before is their start.
    first = 10 * actors
    heard, _ = drive(many_packs(packs), actors, 0.0, look_at=(first, packs))
    (wall, cpu, held), (last_wall, last_cpu, last_held) = heard.packs[first - 1], heard.packs[packs - 1]
    before, after = heard.looks
    count = packs - first
    return {
        "actors": actors,
        "packs": len(heard.packs),
        "until_first_pack": heard.packs[0][0],
        "wall_per_pack": (last_wall - wall) / count,
        "driver_cpu_per_pack": (last_cpu - cpu) / count,
        "driver_bytes_per_pack": (last_held - held) / count,
        **{f"{name}_cpu_per_pack": (after[name] - before.get(name, 0.0)) / count for name in after},
    }


def _processor_seconds() -> dict[str, float]:
    """Processor seconds of Ray's processes so far, by kind."""
    from benchmarks.processes import descendants, read

    found: dict[str, float] = {}
    for pid, _, line in descendants(os.getpid()):
        kind = next((kind for kind in ("gcs_server", "raylet/raylet", "ray::") if kind in line), "others")
        times = read(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()[11:13]
        found[kind] = found.get(kind, 0.0) + sum(map(int, times)) / os.sysconf("SC_CLK_TCK")
    return found


def many_packs(packs: int) -> JobSpec:
    """So many packs of one trial."""
    return parse_spec(
        {
            "data": {"n_features": 40, "n_inputs": 10},
            "grid": {
                "sparsity": {"start": 0.5, "stop": 0.9, "num": 20},
                "hidden_dim": [40],
                "activation": ["topk:1"],
                "seeds": -(-packs // 20),
                "starts": ["random"],
            },
        }
    )


def waiting(counts: tuple[int, ...] = (10, 100, 1_000, 4_000)) -> list[dict[str, float]]:
    """Seconds of one look of Tune at so many results that are not there, which precedes every event."""
    return [_child("_wait_for", count) for count in counts]


def _wait_for(futures: int) -> dict[str, float]:
    import random

    import ray

    from workers.cluster import open_cluster, thread_variables

    with (
        tempfile.TemporaryDirectory(prefix="sc") as scratch,
        open_cluster("local", scratch, thread_variables(1), 1, cpus=1),
    ):

        @ray.remote(num_cpus=0)
        class Busy:
            def work(self, seconds: float) -> None:
                time.sleep(seconds)

        slow, quick = Busy.remote(), Busy.remote()  # type: ignore[attr-defined]
        pending = [slow.work.remote(1e6 if not n else 0) for n in range(futures)]
        ray.get(quick.work.remote(0))
        began, rounds = time.process_time(), 100
        for _ in range(rounds):
            ready = quick.work.remote(0)
            shuffled = [*pending, ready]
            random.shuffle(shuffled)  # as Tune does
            [got], _ = ray.wait(shuffled, num_returns=1)
            assert got == ready
            ray.get(got)
        return {"futures": futures, "cpu_per_event": (time.process_time() - began) / rounds}


def api(beats: int = 300, sizes: tuple[int, ...] = (1_000, 10_000, 100_000)) -> dict[str, Any]:
    """Wall seconds of a service on SQLite: a heartbeat with progress, the conditions of a job that has just grown."""
    return {"heartbeat": _served(sizes[0], beats)["heartbeat"], "conditions": [_served(size, 1) for size in sizes]}


def _served(size: int, beats: int) -> dict[str, float]:
    import httpx

    from service.settings import local_settings
    from tests.service.running import FakeWorker, running, submit

    spec = grid_spec(size)
    rows = synthetic_trials(spec)
    with (
        tempfile.TemporaryDirectory() as place,
        running(local_settings(Path(place))) as server,
        httpx.Client(base_url=server.url, timeout=300) as client,
    ):
        job = submit(client, spec.model_dump(mode="json", exclude_none=True))
        worker = FakeWorker(client)
        worker.take()
        folder, start = open_folder(worker.lease["folder"]), 0
        for pack in cut_packs(spec, grid_trials(spec)):
            write_pack(folder, pack.pack_id, rows.slice(start, len(pack.trials)))
            start += len(pack.trials)

        def beat(name: str) -> None:
            assert worker.say("heartbeat", {"progress": worker.progress(int(name))}).status_code == 200

        def ask(name: str) -> None:
            assert client.get(f"/v1/jobs/{job['id']}/conditions", headers={"Accept": name}).status_code == 200

        return {
            "trials": spec.n_trials,
            "heartbeat": _each([str(number) for number in range(beats)], beat),
            "conditions": _each(["text/csv"], ask),
        }


def _each(names: list[str], act: Callable[[str], object]) -> float:
    began = time.perf_counter()
    for name in names:
        act(name)
    return (time.perf_counter() - began) / len(names)


@contextmanager
def _object_store() -> Iterator[str]:
    """A folder of a moto S3 server in a process of its own."""
    from benchmarks.processes import free_port

    port = free_port()
    os.environ |= {"AWS_ACCESS_KEY_ID": "t", "AWS_SECRET_ACCESS_KEY": "t", "AWS_EC2_METADATA_DISABLED": "true"}
    command = [sys.executable, "-m", "moto.server", "-p", str(port), "-H", "127.0.0.1"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            _create_bucket(f"http://127.0.0.1:{port}")
            yield f"s3://lab/scale?endpoint_override=http://127.0.0.1:{port}&region=us-east-1"
        finally:
            server.kill()


def _create_bucket(endpoint: str) -> None:
    import boto3
    from botocore.exceptions import EndpointConnectionError

    client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")
    for _ in range(100):
        try:
            client.create_bucket(Bucket="lab")
            return
        except EndpointConnectionError:
            time.sleep(0.2)


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _child(function: str, argument: int) -> dict[str, float]:
    """A measurement in a fresh process: Ray is started once in a process's life."""
    command = [sys.executable, __file__, function, str(argument)]
    text = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    found: dict[str, float] = json.loads(text.splitlines()[-1])
    print(found, file=sys.stderr)
    return found


PARTS: dict[str, Callable[[], Any]] = {
    "planning": planning,
    "storage": storage,
    "ending": ending,
    "driver": driver,
    "waiting": waiting,
    "api": api,
}


def main(arguments: list[str]) -> None:
    if arguments[:1] and arguments[0].startswith("_"):
        print(json.dumps(globals()[arguments[0]](int(arguments[1]))))
        return
    print(json.dumps({name: PARTS[name]() for name in arguments or PARTS}, indent=2))


if __name__ == "__main__":
    main(sys.argv[1:])
