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
from pathlib import Path
from typing import Any

import pyarrow as pa

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.driving import driver, resident, waiting  # noqa: E402
from phase_diagrams.folder import Folder, merge_packs, open_folder, write_pack  # noqa: E402
from phase_diagrams.holdings import own_ids  # noqa: E402
from phase_diagrams.pack import cut_packs  # noqa: E402
from phase_diagrams.planted import plant_dictionary  # noqa: E402
from phase_diagrams.report import write_report  # noqa: E402
from phase_diagrams.spec import JobSpec  # noqa: E402
from phase_diagrams.trial import grid_trials  # noqa: E402
from tests.phase_diagrams.synthetic_trials import synthetic_trials  # noqa: E402
from workers.planners import open_planner  # noqa: E402
from workers.stock import FolderStock  # noqa: E402


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
            before, began = resident(), time.process_time()
            trials = planner.ask()
            packs = cut_packs(spec, trials)
            seconds = time.process_time() - began
        found.append(
            {
                "trials": len(trials), "packs": len(packs), "seconds": seconds,
                "bytes_per_1000_trials": 1000 * (resident() - before) / len(trials),
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


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


PARTS: dict[str, Callable[[], Any]] = {
    "planning": planning,
    "storage": storage,
    "ending": ending,
    "driver": driver,
    "waiting": waiting,
    "api": api,
}


def main(arguments: list[str]) -> None:
    print(json.dumps({name: PARTS[name]() for name in arguments or PARTS}, indent=2))


if __name__ == "__main__":
    main(sys.argv[1:])
