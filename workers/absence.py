"""A Ray cluster that is away to one warning, growing pauses, and a word when it is there again."""

import time
from typing import Protocol

from workers.seat import Device

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 10.0
"""Seconds between attempts to join a cluster that is away; they grow."""


class Patience(Protocol):
    """One who waits for a cluster that is away, where a person at a terminal is refused at once."""

    @property
    def trained_on(self) -> Device | None:
        """The device of the job's earlier packs on this cluster; None where none has been seen to fit."""

    def warn(self, text: str) -> None:
        """What is waited for, and why."""

    def say(self, text: str) -> None:
        """A sentence for people."""

    def seated(self, device: Device) -> None:
        """The job has its place on the cluster, on this device."""


class Absence:
    """The time without a cluster; it ends and begins again as often as the cluster does."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._pause, self._told = FIRST_PAUSE, False

    @property
    def trained_on(self) -> Device | None:
        """The device of the job's earlier packs on this cluster."""
        return self._patience.trained_on

    def tell(self, reason: str) -> None:
        """The cluster is away; said once."""
        if not self._told:
            self._patience.warn(f"the Ray cluster is away ({reason}); waiting until it is there")
        self._told = True

    def wait(self, reason: str) -> None:
        """Pause before another attempt."""
        self.tell(reason)
        time.sleep(self._pause)
        self._pause = min(LONGEST_PAUSE, 1.5 * self._pause)

    def end(self, device: Device) -> None:
        """The cluster is there."""
        if self._told:
            self._patience.say("the Ray cluster is there; the job goes on")
        self._pause, self._told = FIRST_PAUSE, False
        self._patience.seated(device)
