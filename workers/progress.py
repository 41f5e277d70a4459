"""Finished packs to what a person wants to know of a run: how far, how fast, how long still."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is; the fields of the same names in the HTTP job."""

    trials_done: int
    """Trials whose rows are written, reused ones too."""
    trials_total: int
    """Trials that the job asks for."""
    trials_reused: int
    """Of them, trials that were there before the run began."""
    seconds: float
    """Since training began."""
    eta_seconds: float | None
    """Until the last trial is done, by the cost of what is left; None while nothing has finished."""

    @property
    def rate(self) -> float:
        """Trials per second of this run."""
        return (self.trials_done - self.trials_reused) / self.seconds if self.seconds > 0 else 0.0


def remaining_seconds(seconds: float, cost_done: float, cost_total: float) -> float | None:
    """Time still needed if the rest costs as much per unit as what was done in `seconds`."""
    if cost_done <= 0:
        return None
    return max(0.0, seconds * (cost_total - cost_done) / cost_done)
