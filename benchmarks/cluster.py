"""A job on three Ray nodes of this machine, undisturbed and with one node killed: what does the death cost?

    python benchmarks/cluster.py [--seeds 12] [--seconds 0.5]

Starts a head and two nodes of one CPU each, a service and a worker; posts a short job that warms everything up, then
two of the same size that share no trial, and kills -9 the raylet of one node when half of the last one's trials are
finished. Trainings are real, and sleep for most of their time, so that three nodes are three also on fewer cores.
Prints wall seconds from the post to the end, diagram included, and their ratio, as JSON.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.processes import Program, free_port  # noqa: E402
from benchmarks.ray_nodes import RayCluster, ray_cluster  # noqa: E402
from benchmarks.soak import LOG, SECONDS  # noqa: E402
from service.client import Client  # noqa: E402

LEASE_SECONDS = 30.0
"""The service's default."""
BOUND = 1.3
"""What the death of one node of three at half time may cost, beside the time of a lease: a third of the nodes for half
of the job is a quarter more time by itself."""


def job_spec(number: int, seeds: int) -> dict[str, Any]:
    """20 trials per seed in 5 packs; jobs of other numbers share none."""
    return {
        "name": f"cluster {number}",
        "data": {"n_features": 12, "n_inputs": 6, "superposition": {"kind": "random_unit", "seed": number}},
        "grid": {
            "sparsity": [0.5, 0.6, 0.7, 0.8, 0.9],
            "hidden_dim": [12, 24],
            "activation": ["topk:1"],
            "seeds": seeds,
        },
        "training": {"steps": 100, "batch_size": 64},
    }


def wall_seconds(client: Client, spec: dict[str, Any], at_half: Callable[[], None]) -> float:
    """From the post of a job to its end; what is to happen when half of it is finished, happens then."""
    began = time.monotonic()
    job_id = client.submit(spec)["id"]
    while (job := client.get(job_id))["progress"]["trials_done"] * 2 < job["progress"]["trials_total"]:
        assert job["status"] in ("queued", "running"), job
        time.sleep(0.2)
    at_half()
    job = client.wait(job_id, timeout=600)
    seconds = time.monotonic() - began
    assert job["status"] == "succeeded", job
    return seconds


def begun(log: Path) -> int:
    """Trainings that were begun so far."""
    return sum(len(line.split()) for line in log.read_text().splitlines()) if log.exists() else 0


def measure(place: Path, cluster: RayCluster, seeds: int) -> dict[str, Any]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    lease = {"SAEPHASE_LEASE_SECONDS": str(LEASE_SECONDS)}
    serve = ["-m", "saephase", "serve", "--no-worker", "--port", str(port), "--data", str(place / "data")]
    work = ["-m", "benchmarks.soak", "worker", "--url", url, "--address", cluster.address]
    api = Program([sys.executable, *serve], cluster.variables | lease, place / "api.log")
    worker = Program([sys.executable, *work], cluster.variables, place / "worker.log")
    try:
        api.start()
        worker.start()
        with Client(url, patience=60) as client:
            wall_seconds(client, job_spec(0, 1), lambda: None)
            calm = wall_seconds(client, job_spec(1, seeds), lambda: None)
            before = begun(place / "log")
            torn = wall_seconds(client, job_spec(2, seeds), lambda: cluster.nodes[0].kill("raylet/raylet"))
    finally:
        worker.end()
        api.end()
    trials = 20 * seeds
    return {
        "trials": trials,
        "undisturbed_seconds": round(calm, 1),
        "one_node_killed_seconds": round(torn, 1),
        "ratio": round(torn / calm, 3),
        "bound_seconds": round(BOUND * calm + LEASE_SECONDS, 1),
        "trainings_cut_short": begun(place / "log") - before - trials,
        "cores": os.cpu_count(),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=0.5, help="slept per trial; default 0.5")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cluster-") as temporary:
        place = Path(temporary)
        variables = {LOG: str(place / "log"), SECONDS: str(options.seconds)}
        with ray_cluster(2, **variables) as cluster:
            found = measure(place, cluster, options.seeds)
    print(json.dumps(found, indent=2))
    return int(found["one_node_killed_seconds"] > found["bound_seconds"])


if __name__ == "__main__":
    sys.exit(main())
