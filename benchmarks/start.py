"""From starting Ray to the first training step of a job, against Ray's own start and one bare actor.

    python benchmarks/start.py [ROUNDS]     (default 5)

Rounds alternate. What is measured of a job is the driver's process, from its start to the moment at which the first
worker calls the training kernel. The first round compiles what an installation compiles once, and does not count.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import Any

from workers import pack_run, training

MARK = "SAEPHASE_FIRST_STEP"
"""Environment variable: the file that a worker makes when it takes its first step."""
PAUSE = 5.0
"""Seconds before a measurement, in which what the one before has started ends."""
BARE = """
import logging, sys, ray
ray.init(address="local", log_to_driver=False, logging_level=logging.ERROR)

@ray.remote
class Actor:
    def answer(self):
        return 1

print(ray.get(Actor.remote().answer.remote()), flush=True)
"""


def train(*arguments: Any) -> Any:
    """`run_pack` that says when its first step comes; workers import it from here."""
    kernel = training.train_steps

    def first_step(*inputs: Any) -> Any:
        Path(os.environ[MARK]).touch(exist_ok=True)
        training.train_steps = kernel
        return kernel(*inputs)

    if not Path(os.environ[MARK]).exists():
        training.train_steps = first_step
    return pack_run.run_pack(*arguments)


def main() -> None:
    from trainer import processor, table_row

    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    job, bare = zip(*[(_job_seconds(), _bare_seconds()) for _ in range(rounds + 1)][1:], strict=True)
    ratios = [one / other for one, other in zip(job, bare, strict=True)]
    print(f"{date.today()}, {processor()}, {os.cpu_count()} cores, {rounds} rounds\n")
    print(table_row(["from the start of a process", "median, s", "least", "most"]))
    print(table_row(["---"] * 4))
    for name, times in (("a job's first training step", job), ("Ray and one bare actor", bare), ("ratio", ratios)):
        print(table_row([name, *(f"{one:.2f}" for one in (statistics.median(times), min(times), max(times)))]))


def _job_seconds() -> float:
    time.sleep(PAUSE)
    from phase_diagrams.planted import plant_dictionary
    from phase_diagrams.spec import parse_spec, spec_json
    from workers.ray_process import start_driver

    spec = parse_spec(
        {
            "data": {"n_features": 40, "n_inputs": 10},
            "grid": {"sparsity": [0.9, 0.95], "hidden_dim": [40, 80], "activation": ["topk:2"], "seeds": 2},
            "training": {"steps": 100, "batch_size": 512},
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        mark = Path(folder, "mark")
        os.environ |= {MARK: str(mark), "PYTHONPATH": str(Path(__file__).parent)}
        began = time.time()
        with start_driver(spec_json(spec), f"{folder}/out", "local", "start:train") as driver:
            driver.send_dictionary(plant_dictionary(spec.data))
            told = list(driver.events())
        if told[-1]["event"] != "done":
            raise SystemExit(json.dumps(told[-1]))
        return mark.stat().st_mtime - began


def _bare_seconds() -> float:
    time.sleep(PAUSE)
    began = time.time()
    with subprocess.Popen([sys.executable, "-c", BARE], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        if process.stdout.readline() != b"1\n":
            raise SystemExit("a bare actor did not answer")
        return time.time() - began  # its orderly end does not count


if __name__ == "__main__":
    main()
