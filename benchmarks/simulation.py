"""A pack queue, a number of slots and what everything costs to the course of a run: a discrete-event simulation.

The queue, the planner behind it and the cutting of packs are the project's own. Simulated are the trainer (a function
from pack to seconds), the driver (one process that serves one event at a time, as Ray Tune's loop does), the start of
actors, the storage, and what follows the last pack.
"""

import heapq
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from itertools import count

import pyarrow as pa

from phase_diagrams.pack import Pack
from workers.fan_out import MAX_PENDING
from workers.pack_queue import PackQueue

Rows = Callable[[Pack], pa.Table]


@dataclass(frozen=True, slots=True)
class Overheads:
    """Seconds of all that is not training; the defaults are what benchmarks/overheads.py measured (docs/scale.md)."""

    ray: float = 5.0
    """Start of the commands and of Ray, or joining it."""
    planning: float = 2 * 26e-6
    """Per trial: ids and packs, in the command and in the driver."""
    actor: float = 3.3
    """Start of an actor; the driver has MAX_PENDING start at a time."""
    driver: float = 0.021
    """Of the driver per pack."""
    looking: float = 3.6e-6
    """Of the driver per pack and actor: Tune looks at all of them before each event."""
    writing: float = 0.0042
    """Of an actor: its pack's file."""
    checking: float = 6e-6
    """Of the driver: whether a pack's file is there."""
    reading: float = 2.1e-5
    """Of the driver: a pack's file, while the planner wants its rows."""
    merging: float = 9e-5
    """Per trial, once all are there."""
    fetching: float = 5e-5
    """Per pack, once all are there: its file read and deleted."""
    drawing: float = 5.0
    """Tables and pictures of a job, whatever its size."""
    drawing_condition: float = 9e-3
    """Tables and pictures, per condition."""


PARTS = {
    "Ray's start": ("ray",),
    "planning": ("planning",),
    "actors' start": ("actor",),
    "driver": ("driver", "looking", "checking", "reading"),
    "storage": ("writing", "fetching"),
    "merging": ("merging",),
    "drawing": ("drawing", "drawing_condition"),
}
"""What may be the bottleneck, and the overheads that it consists of."""


@dataclass(frozen=True, slots=True)
class Course:
    """How a run went; seconds."""

    slots: int
    trials: int
    packs: int
    training: float
    """Summed over packs."""
    trained: float
    """When the last pack was finished."""
    wall: float
    driver: float
    """That the driver was busy."""

    @property
    def utilisation(self) -> float:
        """Share of the slots' time, from start to end, in which they trained."""
        return self.training / (self.slots * self.wall)

    @property
    def even(self) -> float:
        """Wall time that training alone would take, if it could be shared out evenly."""
        return self.training / self.slots


def simulate(
    queue: PackQueue,
    slots: int,
    train: Callable[[Pack], float],
    costs: Overheads,
    rows: Rows | None = None,
    starts: Sequence[float] | None = None,
) -> Course:
    """Run a queue to its end on so many slots, which come up at `starts`, or MAX_PENDING at a time.

    `rows` answers for the trainings of a planner that wants to know; what it computes between rounds takes the time
    that it takes here.
    """
    tickets = count()
    driver = _Server()
    running: dict[str, Pack] = {}
    training, trials, last, free = 0.0, 0, 0.0, 0
    up = costs.ray + costs.planning * queue.planner.expected
    waves = [up + costs.actor * (actor // MAX_PENDING + 1) for actor in range(slots)]
    events = [(at, "") for at in (waves if starts is None else starts)]
    while events:
        now, done = heapq.heappop(events)
        free += 1
        if done:
            pack = running.pop(done)
            training, trials = training + train(pack), trials + len(pack.trials)
            last = now = driver.serve(now, costs.checking if rows is None else costs.reading)
            queue.finish(done, rows and rows(pack), train(pack))
        while free:
            ticket, began = str(next(tickets)), time.perf_counter()
            pack = queue.take(ticket)
            if rows is not None:
                now = driver.serve(now, time.perf_counter() - began)
            if pack is None:
                break
            running[ticket], free = pack, free - 1
            now = driver.serve(now, costs.driver + costs.looking * slots)
            heapq.heappush(events, (now + train(pack) + costs.writing, ticket))
        if free and queue.exhausted:
            break
    merging = costs.merging * trials + costs.fetching * queue.finished
    drawing = costs.drawing + costs.drawing_condition * queue.spec.n_conditions
    return Course(slots, trials, queue.finished, training, last, last + merging + drawing, driver.busy)


@dataclass(slots=True)
class _Server:
    """Does one thing at a time, in the order in which it is asked."""

    free: float = 0.0
    busy: float = 0.0

    def serve(self, now: float, seconds: float) -> float:
        """When it has done what takes so many seconds, if it is asked now."""
        self.free = max(self.free, now) + seconds
        self.busy += seconds
        return self.free


def bottlenecks(run: Callable[[Overheads], Course], costs: Overheads) -> list[tuple[str, float]]:
    """What the wall time would fall by if one part cost nothing, largest first; `packs`: if work were shared evenly."""
    course = run(costs)
    saved = {name: course.wall - run(replace(costs, **dict.fromkeys(parts, 0.0))).wall for name, parts in PARTS.items()}
    nothing = Overheads(**{field.name: 0.0 for field in fields(Overheads)})
    saved["packs"] = run(nothing).trained - course.even
    return sorted(saved.items(), key=lambda entry: -entry[1])
