"""A planner's trials to the packs that run next: one that fails runs again, then in halves, and the rest goes on."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import pyarrow as pa

from phase_diagrams.pace import ESTIMATED, Paces
from phase_diagrams.pack import Pack, cut_packs, halve
from phase_diagrams.planner import Planner
from phase_diagrams.spec import JobSpec
from phase_diagrams.trial import Trial

ATTEMPTS = 2
"""Runs of a pack before it is halved, or given up if it holds one trial: the contract's "retried once"."""
HOPELESS = 20
"""Given up trials, before the first pack has finished, after which the rest is not tried; heuristic: the cause is then
not a trial but the installation, and every attempt costs the start of a process."""

FASTER = 2.0
"""How many times as fast as expected packs must turn out before what waits is cut anew; heuristic: less is noise, and
a GPU, whose pace nobody knows before, is more."""

Answer = Literal["retry", "halve", "give_up"]


@dataclass(frozen=True, slots=True)
class Attempt:
    """A pack and how often it was started before."""

    pack: Pack
    failures: int = 0
    halved: bool = False


@dataclass(frozen=True, slots=True)
class Failure:
    """A pack that failed, why, and what follows."""

    pack: Pack
    reason: str
    answer: Answer

    def __str__(self) -> str:
        """What failed, in words."""
        pack = self.pack
        if len(pack.trials) > 1:
            return f"a pack of {len(pack.trials)} trials (sparsity {pack.sparsity:g}, seed {pack.seed})"
        condition = pack.trials[0].condition
        return (
            f"trial {pack.trial_ids[0]} (sparsity {condition.sparsity:g}, hidden_dim {condition.hidden_dim}, "
            f"activation {condition.activation}, exponent {condition.exponent:g}, seed {pack.seed}, "
            f"{pack.trials[0].start} start)"
        )


@dataclass(slots=True)
class PackQueue:
    """Packs that wait and packs that run, each known by the ticket it was taken with."""

    spec: JobSpec
    planner: Planner
    on_ask: Callable[[list[Pack]], None] = lambda packs: None
    """Hears of every round as it is cut; of an empty list once the planner is done."""
    paces: Paces = ESTIMATED
    """How long shapes take; it decides how much goes into a pack."""
    slots: int = 1
    """How many packs run at a time, which decides it too."""
    _waiting: deque[Attempt] = field(default_factory=deque, init=False)
    _running: dict[str, Attempt] = field(default_factory=dict, init=False)
    finished: int = field(default=0, init=False)
    """Packs that finished."""
    _cost: float = field(default=0.0, init=False)
    _seconds: float = field(default=0.0, init=False)
    """Of the finished packs: what they were to take, and what they took."""
    _speed: float = field(default=1.0, init=False)
    """How many times as fast as `paces` says packs are; what waits is cut for it."""
    _given_up: int = field(default=0, init=False)
    _closed: bool = field(default=False, init=False)
    _last: bool = field(default=False, init=False)
    """Whether the planner has said that nothing more will come."""

    def take(self, ticket: str) -> Pack | None:
        """The next pack, to be run under this ticket; None while there is none."""
        if not self._waiting and not self._closed and not self._last:
            self._ask()
        if not self._waiting:
            return None
        attempt = self._waiting.popleft()
        self._running[ticket] = attempt
        return attempt.pack

    def finish(self, ticket: str, rows: pa.Table | None, seconds: float = 0.0) -> Pack:
        """A pack's rows are written; `rows` are for the planner, and None where it asked for all it wants.

        `seconds` is what its training took, 0 where nobody knows.
        """
        pack = self._running.pop(ticket).pack
        self.finished += 1
        if rows is not None:
            self.planner.tell(rows)
        if seconds > 0:
            self._cost, self._seconds = self._cost + pack.cost, self._seconds + seconds
            if self._cost > FASTER * self._speed * self._seconds:
                self._cut_anew(self._cost / self._seconds)
        return pack

    def fail(self, ticket: str, reason: str) -> Failure:
        """A pack did not finish: run it again, or its halves, or give its one trial up.

        What comes back is tried at once, so that a trial that cannot be trained is found while much else is left.
        """
        attempt = self._running.pop(ticket)
        failed, pack = attempt.failures + 1, attempt.pack
        if failed < ATTEMPTS:
            self._return(Attempt(pack, failed))
            return Failure(pack, reason, "retry")
        if len(pack.trials) > 1:
            self._return(*(Attempt(half, halved=True) for half in halve(pack)))
            return Failure(pack, reason, "halve")
        self._given_up += 1
        self.planner.lose(pack.trials)
        if self._given_up >= HOPELESS and not self.finished:
            self.close()
        return Failure(pack, reason, "give_up")

    def fail_running(self, reason: str) -> list[Failure]:
        """Fail every pack that runs now."""
        return [self.fail(ticket, reason) for ticket in list(self._running)]

    def close(self) -> None:
        """Start nothing more; what runs may finish."""
        self._closed = True
        self._waiting.clear()

    @property
    def closed(self) -> bool:
        """Whether the rest was dropped."""
        return self._closed

    @property
    def exhausted(self) -> bool:
        """Whether `take` will never give another pack; asked after `take` gave none."""
        return not self._waiting and not self._running

    def _ask(self) -> None:
        packs = self._cut(self.planner.ask())
        self._last = not packs and self.planner.done
        if packs or self._last:
            self.on_ask(packs)
        self._waiting.extend(Attempt(pack) for pack in packs)

    def _cut(self, trials: list[Trial]) -> list[Pack]:
        return cut_packs(self.spec, trials, self.paces, self.slots, self._speed)

    def _cut_anew(self, speed: float) -> None:
        """Packs end sooner than they can be handed out: cut longer ones, but leave what failed before as it is."""
        self._speed = speed
        tried = [attempt for attempt in self._waiting if attempt.failures or attempt.halved]
        fresh = [attempt.pack for attempt in self._waiting if not (attempt.failures or attempt.halved)]
        packs = self._cut([trial for pack in fresh for trial in pack.trials])
        self._waiting = deque([*tried, *map(Attempt, packs)])

    def _return(self, *attempts: Attempt) -> None:
        if not self._closed:
            self._waiting.extendleft(reversed(attempts))
