"""A planner's trials to files of rows: packs go to Ray Tune through a Searcher, and failures come back as values."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.fs as fs
import pyarrow.parquet as pq
from ray import tune

from phase_diagrams.folder import PACKS, Folder
from phase_diagrams.pace import ESTIMATED
from phase_diagrams.pace_cache import read_paces
from phase_diagrams.pack import Pack
from phase_diagrams.planner import Planner
from phase_diagrams.spec import JobSpec, spec_json
from workers.freed_actors import FreedActors
from workers.pack_queue import Failure, PackQueue
from workers.pack_trainer import Order, PackTrainer
from workers.searcher import FailureReasons, PackSearcher
from workers.seat import Seat

MAX_STARTS = 3
"""Runs of Tune in a row that may break down without one finished pack; heuristic: Tune is then not the cause."""

MAX_PENDING = 128
"""Most actors that Tune starts at a time; heuristic: simulated (docs/scale.md), 64 fill 1,000 places 11 s later, and
with 256 fast GPUs have taken too many packs before it is known how long they should be."""


class FanOutError(RuntimeError):
    """The run cannot go on, for a reason that no other pack would escape."""


class Listener(Protocol):
    """Hears what becomes of packs."""

    def asked(self, packs: list[Pack]) -> None:
        """These packs are to be trained next; an empty list says that nothing more will be."""

    def finished(self, pack: Pack, seconds: float) -> None:
        """A pack's rows are in its file; `seconds` of training."""

    def failed(self, failure: Failure, detail: str) -> None:
        """A pack failed; `detail` is all that is known of the cause."""


@dataclass(frozen=True, slots=True)
class Job:
    """What is trained, and where its rows go."""

    spec: JobSpec
    dictionary: npt.NDArray[np.float32]
    folder: Folder
    location: str
    """The folder's path or URI as every node sees it."""


def fan_out(job: Job, planner: Planner, seat: Seat, listener: Listener, scratch: str, train: str) -> None:
    """Run all that the planner asks for on the connected Ray cluster, one Tune trial per pack.

    Every finished pack is a file in the folder when the listener hears of it. Packs that fail are retried, halved and
    in the end given up one trial at a time; raises FanOutError if nothing can be run. `train` names the training
    function as "module:name".
    """
    paces = read_paces() if seat.device == "cpu" else ESTIMATED
    limit = job.spec.resources.max_concurrent
    queue = PackQueue(job.spec, planner, listener.asked, paces, min(seat.slots, limit or seat.slots))
    searcher = PackSearcher(queue, row_reader(job.folder, planner), listener.finished, listener.failed)
    order = Order(spec_json(job.spec), job.dictionary, job.location, seat.device, train)
    fruitless, tunes = 0, 0
    while not queue.exhausted or not tunes:
        finished, tunes = queue.finished, tunes + 1
        breakdown = _run_tune(searcher, order, seat, limit, f"{scratch}/tune-{tunes}")
        if searcher.fatal:
            raise FanOutError(searcher.fatal)
        searcher.fail_running(breakdown)
        fruitless = 0 if queue.finished > finished else fruitless + 1
        if fruitless == MAX_STARTS and not queue.exhausted:
            raise FanOutError(f"Ray Tune broke down {MAX_STARTS} times in a row: {breakdown}")
    if queue.closed:
        raise FanOutError("The first trials all failed, so the rest was not tried")


def _run_tune(searcher: PackSearcher, order: Order, seat: Seat, max_concurrent: int | None, scratch: str) -> str:
    """Run Tune until the searcher has nothing more, or Tune itself breaks down; why it ended."""
    at_a_time = min(seat.slots, max_concurrent or seat.slots)
    # Tune's default for a searcher of one's own is one at a time: 16 actors would take a minute to start. One more, so
    # that an actor that is free finds a trial that no other is being started for.
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(min(at_a_time, MAX_PENDING) + 1)
    trainable: Any = tune.with_resources(
        tune.with_parameters(PackTrainer, order=order), tune.PlacementGroupFactory([seat.bundle])
    )
    trainable.__name__ = trainable.__qualname__ = PackTrainer.__name__  # what `ps` shows of the workers
    tuner = tune.Tuner(
        trainable,
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            scheduler=FreedActors(),
            num_samples=-1,
            reuse_actors=True,
            max_concurrent_trials=max_concurrent,
            trial_dirname_creator=_folder_name,
        ),
        run_config=tune.RunConfig(
            name="packs",
            storage_path=scratch,
            callbacks=[FailureReasons(searcher)],
            failure_config=tune.FailureConfig(max_failures=0),
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            verbose=0,
        ),
    )
    try:
        tuner.fit()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "Ray Tune ended before it"


def _folder_name(trial: Any) -> str:
    return str(trial.trial_id)


def row_reader(folder: Folder, planner: Planner) -> Callable[[Pack], pa.Table | None]:
    """Reads a finished pack's rows while the planner wants them; raises FileNotFoundError where there is no file."""
    # A store is the same for all nodes, and answers in 5 to 50 ms, in which the driver would serve nobody.
    sure = not isinstance(folder.filesystem, fs.LocalFileSystem)

    def read(pack: Pack) -> pa.Table | None:
        name = f"{PACKS}/pack-{pack.pack_id}.parquet"
        if planner.done:
            if not sure and not folder.exists(name):
                raise FileNotFoundError(name)
            return None
        return pq.read_table(pa.BufferReader(folder.read(name)))

    return read
