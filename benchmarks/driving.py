"""The real driver on a Ray cluster of this machine, with a trainer that sleeps: what each pack costs it.

python benchmarks/driving.py NAME NUMBER      (a measurement in a process of its own: Ray is started once in a life)
"""

import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.processes import descendants, read  # noqa: E402
from phase_diagrams.folder import open_folder  # noqa: E402
from phase_diagrams.pace import ESTIMATED  # noqa: E402
from phase_diagrams.pack import Pack  # noqa: E402
from phase_diagrams.planted import plant_dictionary  # noqa: E402
from phase_diagrams.spec import JobSpec, parse_spec  # noqa: E402
from tests.workers.trainers import fake_rows  # noqa: E402
from workers.planners import open_planner  # noqa: E402
from workers.stock import FolderStock  # noqa: E402

SECONDS = "SCALE_SECONDS"
"""Environment of the sleeping trainer: seconds that it sleeps for each second that a pack costs."""
LOG = "SCALE_LOG"
"""Environment of the sleeping trainer: a file to which it adds a line, its process and the time, as a pack begins."""
TRAIN_SLEEPING = "benchmarks.driving:train_sleeping"


def train_sleeping(spec: JobSpec, dictionary: npt.NDArray[np.float32], pack: Pack, device: str) -> pa.Table:
    """Sleeps as long as the pack would train, by its arithmetic; made-up rows."""
    with open(os.environ[LOG], "a") as log:
        log.write(f"{os.getpid()} {time.monotonic()}\n")
    seconds = float(os.environ[SECONDS]) * sum(ESTIMATED.trial_seconds(spec, trial.condition) for trial in pack.trials)
    time.sleep(seconds)
    rows = fake_rows(spec, pack)
    share = pa.array([seconds / len(rows)] * len(rows))
    return rows.set_column(rows.schema.get_field_index("train_seconds"), rows.schema.field("train_seconds"), share)


@dataclass
class Heard:
    """When each pack was finished, in wall seconds and in processor seconds of this process."""

    log: Path

    began: float = field(default_factory=time.monotonic)
    packs: list[tuple[float, float, int]] = field(default_factory=list)
    look_at: tuple[int, ...] = ()
    """Numbers of finished packs at which the processor seconds of Ray's processes are noted."""
    looks: list[dict[str, float]] = field(default_factory=list)
    starts: list[float] = field(default_factory=list)
    """When each actor began its first pack."""

    def asked(self, packs: list[Pack]) -> None:
        pass

    def finished(self, pack: Pack, seconds: float) -> None:
        self.packs.append((time.monotonic() - self.began, time.process_time(), resident()))
        if len(self.packs) in self.look_at:
            self.looks.append(_processor_seconds())

    def failed(self, failure: object, detail: str) -> None:
        raise AssertionError(f"{failure} {detail}")


def drive(spec: JobSpec, actors: int, sleep: float, look_at: tuple[int, ...] = ()) -> tuple[Heard, float]:
    """A real run of the driver with so many actors; what it heard, and its wall seconds from a cluster that is up."""
    from workers.cluster import choose_seat, live_nodes, open_cluster, thread_variables
    from workers.fan_out import Job, fan_out

    with tempfile.TemporaryDirectory(prefix="sc") as scratch, ExitStack() as cluster:
        os.environ |= {SECONDS: str(sleep), LOG: f"{scratch}/log", "PYTHONPATH": str(ROOT)}
        cluster.enter_context(open_cluster("local", scratch, thread_variables(1), 10_000, cpus=actors))
        folder = open_folder(f"{scratch}/out")
        planner = open_planner(spec, FolderStock(folder, frozenset()))
        job = Job(spec, plant_dictionary(spec.data), folder, f"{scratch}/out")
        heard = Heard(Path(scratch) / "log", look_at=look_at)
        fan_out(job, planner, choose_seat(spec.resources, live_nodes()), heard, scratch, TRAIN_SLEEPING)
        seconds = time.monotonic() - heard.began
        heard.starts = _first_times(heard)
        return heard, seconds


def _first_times(heard: Heard) -> list[float]:
    first: dict[str, float] = {}
    for line in heard.log.read_text().splitlines():
        pid, at = line.split()
        first.setdefault(pid, float(at) - heard.began)
    return sorted(first.values())


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


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def _child(function: str, argument: int) -> dict[str, float]:
    """A measurement in a fresh process: Ray is started once in a process's life."""
    command = [sys.executable, __file__, function, str(argument)]
    text = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    found: dict[str, float] = json.loads(text.splitlines()[-1])
    print(found, file=sys.stderr)
    return found


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]](int(sys.argv[2]))))
