"""A pack queue, a number of slots and what everything costs to the course of a run: a discrete-event simulation.

The queue, the planner behind it and the cutting of packs are the project's own. Simulated are the trainer (a function
from pack to seconds), the driver (one process that serves one event at a time, as Ray Tune's loop does), the start of
actors, the storage, and what follows the last pack.
"""

import heapq
import random
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, replace
from itertools import count

import pyarrow as pa

from phase_diagrams.pack import Pack
from workers.fan_out import MAX_PENDING
from workers.pack_queue import PackQueue

SPREAD = 0.1
"""Share of its start by which an actor comes up later than the first; measured: 0.05 to 0.15."""

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
    starting: int = MAX_PENDING,
) -> Course:
    """Run a queue to its end on so many slots, whose actors start `starting` at a time.

    `rows` answers for the trainings of a planner that wants to know; what it computes between rounds takes the time
    that it takes here.
    """
    tickets = count()
    driver = _Server()
    running: dict[str, Pack] = {}
    waiting: deque[tuple[str, Pack]] = deque()  # Tune takes as many ahead as may start at a time
    training, trials, last, free = 0.0, 0, 0.0, 0
    up = costs.ray + costs.planning * queue.planner.expected
    coming = _Coming(min(starting, slots) + 1, slots, costs.actor, [])
    events: list[tuple[float, str]] = coming.begin(up)
    while events:
        now, done = heapq.heappop(events)
        if done in running:
            pack = running.pop(done)
            training, trials = training + train(pack), trials + len(pack.trials)
            last = now = driver.serve(now, costs.checking if rows is None else costs.reading)
            queue.finish(done, rows and rows(pack), train(pack))
            for event in coming.disturb(now):
                heapq.heappush(events, event)
        else:
            if not coming.arrive(done):
                continue
            for event in coming.begin(now):
                heapq.heappush(events, event)
        free += 1
        while len(waiting) < coming.at_a_time + free:
            ticket, began = str(next(tickets)), time.perf_counter()
            pack = queue.take(ticket)
            if rows is not None:
                now = driver.serve(now, time.perf_counter() - began)
            if pack is None:
                break
            waiting.append((ticket, pack))
        while free and waiting:
            ticket, pack = waiting.popleft()
            running[ticket], free = pack, free - 1
            now = driver.serve(now, costs.driver + costs.looking * slots)
            heapq.heappush(events, (now + train(pack) + costs.writing, ticket))
        if free and queue.exhausted:
            break
    merging = costs.merging * trials + costs.fetching * queue.finished
    drawing = costs.drawing + costs.drawing_condition * queue.spec.n_conditions
    return Course(slots, trials, queue.finished, training, last, last + merging + drawing, driver.busy)


@dataclass(slots=True)
class _Coming:
    """The actors that are starting: a Tune trial for each waits for it.

    An actor that has finished its pack takes a Tune trial that no actor is starting for (workers/freed_actors.py). If
    there is none, it takes any, and the actor that was starting for that one is given up
    (TuneController._maybe_reuse_cached_actor); another then starts from the beginning.
    """

    at_a_time: int
    left: int
    """Slots without an actor, those included that are starting."""
    seconds: float
    names: list[str]
    _numbers: Iterator[int] = field(default_factory=count)
    _random: random.Random = field(default_factory=lambda: random.Random(0))

    def begin(self, now: float) -> list[tuple[float, str]]:
        """Start as many as may start: when each will be up, and its name."""
        new = [f"actor {next(self._numbers)}" for _ in range(min(self.at_a_time, self.left) - len(self.names))]
        self.names += new
        return [(now + self.seconds * (1 + SPREAD * self._random.random()), name) for name in new]

    def arrive(self, name: str) -> bool:
        """An actor is up, unless it was given up before."""
        if name not in self.names:
            return False
        self.names.remove(name)
        self.left -= 1
        return True

    def disturb(self, now: float) -> list[tuple[float, str]]:
        """An actor takes a waiting Tune trial; what starts in place of one that was starting for it."""
        if len(self.names) < self.at_a_time:
            return []
        del self.names[self._random.randrange(len(self.names))]
        return self.begin(now)


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
