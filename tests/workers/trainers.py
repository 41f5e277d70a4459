"""A training function that trains nothing: it fails, dies or waits as a control file says, and logs what it did.

Workers import it by name; they find the control file through an environment variable that Ray's raylet hands down.
"""

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from phase_diagrams.pack import Pack
from phase_diagrams.spec import JobSpec
from phase_diagrams.tables import METRICS, TRIALS

TRAIN_FAKE = "tests.workers.trainers:train_fake"
TRAIN_SLOWLY = "tests.workers.trainers:train_slowly"
TRAIN_LATE = "tests.workers.late_trainers:train_fake"
CONTROL = "SAEPHASE_TEST_CONTROL"


class Control:
    """A folder that tells `train_fake` what to do, and where it tells what it did."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.set()

    def set(self, **orders: Any) -> None:
        """seconds: slept per trial; fail, die: ids that raise or kill their process; once: each only once."""
        (self.folder / "control.json").write_text(json.dumps(orders))
        (self.folder / "log").write_text("")

    def lines(self, what: str) -> list[list[str]]:
        """The ids of each pack that began ("begin") or ended ("end"), in order."""
        lines = [line.split() for line in (self.folder / "log").read_text().splitlines()]
        return [ids for kind, _, *ids in lines if kind == what]

    def pids(self) -> list[int]:
        """Processes that began a pack, in order."""
        return [int(line.split()[1]) for line in (self.folder / "log").read_text().splitlines()]

    def count(self, what: str, trial_id: str) -> int:
        return sum(trial_id in ids for ids in self.lines(what))


def train_fake(spec: JobSpec, dictionary: npt.NDArray[np.float32], pack: Pack, device: str) -> pa.Table:
    """One row per trial; its numbers are a function of its id."""
    assert dictionary.shape == (spec.data.n_inputs, spec.data.n_features)
    folder = Path(os.environ[CONTROL])
    orders = json.loads((folder / "control.json").read_text())
    _log(folder, "begin", pack)
    for trial_id in pack.trial_ids:
        time.sleep(orders.get("seconds", 0))
        if _chosen(folder, orders, "fail", trial_id):
            raise RuntimeError(f"cannot train {trial_id}")
        if _chosen(folder, orders, "die", trial_id):
            os.kill(os.getpid(), signal.SIGKILL)
    rows = fake_rows(spec, pack)
    _log(folder, "end", pack)
    return rows


def train_slowly(spec: JobSpec, dictionary: npt.NDArray[np.float32], pack: Pack, device: str) -> pa.Table:
    """The real training, slowed down and logged."""
    from workers.pack_run import run_pack

    folder = Path(os.environ[CONTROL])
    _log(folder, "begin", pack)
    time.sleep(json.loads((folder / "control.json").read_text()).get("seconds", 0) * len(pack.trials))
    rows = run_pack(spec, dictionary, pack, device)
    _log(folder, "end", pack)
    return rows


def train_short(spec: JobSpec, dictionary: npt.NDArray[np.float32], pack: Pack, device: str) -> pa.Table:
    """One row too few."""
    return fake_rows(spec, pack).slice(1)


def fake_rows(spec: JobSpec, pack: Pack) -> pa.Table:
    return pa.Table.from_pylist(
        [_row(spec, pack, index) for index in range(len(pack.trials))],
        schema=TRIALS,
    )


def _row(spec: JobSpec, pack: Pack, index: int) -> dict[str, object]:
    trial, trial_id = pack.trials[index], pack.trial_ids[index]
    condition = trial.condition
    number = int(trial_id, 16) / 16**16
    return {
        **dict.fromkeys((name for name in METRICS), number),
        "trial_id": trial_id,
        "sparsity": condition.sparsity,
        "hidden_dim": condition.hidden_dim,
        "activation": condition.activation.kind,
        "k": condition.activation.k,
        "l1": condition.activation.l1,
        "exponent": condition.exponent,
        "seed": trial.seed,
        "start": trial.start,
        "n_features": spec.data.n_features,
        "n_inputs": spec.data.n_inputs,
        "identified": number > 0.5,
        "feature_cosine": [number] * spec.data.n_features,
        "steps": spec.training.steps,
        "diverged": False,
        "train_seconds": 0.0,
        "pack_id": pack.pack_id,
    }


def _chosen(folder: Path, orders: dict[str, Any], what: str, trial_id: str) -> bool:
    if trial_id not in orders.get(what, []):
        return False
    mark = folder / f"{what}-{trial_id}"
    if orders.get("once") and mark.exists():
        return False
    mark.touch()
    return True


def _log(folder: Path, what: str, pack: Pack) -> None:
    handle = os.open(folder / "log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(handle, f"{what} {os.getpid()} {' '.join(pack.trial_ids)}\n".encode())
    finally:
        os.close(handle)
