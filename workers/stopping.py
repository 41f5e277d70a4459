"""A training loss to the steps that are left: a trial that has converged takes the rest of its schedule in short.

A trial is looked at after every `patience` steps. It has converged when the mean loss of the last `patience` steps is
below that of the `patience` steps before by at most the fraction `tolerance`. What is left of its learning rates then
passes in `patience` steps: the annealing, which decides many labels, is shortened but never left out.
"""

import numpy as np
import numpy.typing as npt

from phase_diagrams.spec import Stop, Training

Rates = npt.NDArray[np.float64]


def next_look(step: int, training: Training) -> int:
    """The step after `step` at which trials are looked at: a multiple of the patience, or the end."""
    if training.stop is None:
        return training.steps
    return min(training.steps, (step // training.stop.patience + 1) * training.stop.patience)


def shorten(rates: Rates, losses: npt.NDArray[np.float64], training: Training) -> Rates:
    """The learning rates of a trial with these losses so far: those it had, or fewer where it is seen to converge."""
    stop, done, left = training.stop, len(losses), len(rates) - len(losses)
    if stop is None or done % stop.patience or len(rates) < training.steps or left <= stop.patience:
        return rates
    if not _converged(losses, stop):
        return rates
    # Evenly through what is left, so that the rest of a line is a line and the rest of a cosine a cosine.
    rest = done + np.arange(stop.patience) * left // stop.patience
    return np.concatenate([rates[:done], rates[rest]])


def _converged(losses: npt.NDArray[np.float64], stop: Stop) -> bool:
    if len(losses) < 2 * stop.patience:
        return False
    before, last = losses[-2 * stop.patience : -stop.patience].mean(), losses[-stop.patience :].mean()
    return bool(last >= (1 - stop.tolerance) * before)  # false for NaN: a diverged trial has not converged
