"""A training loss to the steps that are left: a trial that has converged takes the rest of its schedule in short.

A trial is looked at after every `patience` steps, from a quarter of its steps on. It has converged when the mean loss
of the last `patience` steps is below that of the `patience` steps before by at most the fraction `tolerance`. Where its
label is clear as well, i.e. the share of features that it recovers is not near the share from which on it counts as
identified, what is left of its learning rates passes in `patience` steps: the annealing, which decides many labels, is
shortened but never left out.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from phase_diagrams.scores import match_features
from phase_diagrams.spec import Recovery, Stop, Training
from workers.sae import Floats

Rates = npt.NDArray[np.float64]

LEAST_SHARE = 0.25
"""Share of the steps that every trial takes; heuristic: random starts leave plateaus late where the budget is large."""
MARGIN = 0.1
"""Distance of a clear share of recovered features from recovery.fraction; heuristic: what features do between a look
and the end of training is seldom more than a tenth of them (docs/performance.md, early stopping)."""


def next_look(step: int, training: Training) -> int:
    """The step after `step` at which trials are looked at: a multiple of the patience, or the end."""
    if training.stop is None:
        return training.steps
    return min(training.steps, (step // training.stop.patience + 1) * training.stop.patience)


def shorten(
    rates: Rates, losses: npt.NDArray[np.float64], training: Training, is_clear: Callable[[], bool] = lambda: True
) -> Rates:
    """The learning rates of a trial with these losses so far: those it had, or fewer where it is seen to converge.

    `is_clear` says whether its label is; it is asked only of a trial whose loss has converged.
    """
    stop, done, left = training.stop, len(losses), len(rates) - len(losses)
    if stop is None or done % stop.patience or len(rates) < training.steps or left <= stop.patience:
        return rates
    if done < LEAST_SHARE * training.steps or not _converged(losses, stop) or not is_clear():
        return rates
    # Evenly through what is left, so that the rest of a line is a line and the rest of a cosine a cosine.
    rest = done + np.arange(stop.patience) * left // stop.patience
    return np.concatenate([rates[:done], rates[rest]])


def label_is_clear(dictionary: Floats, decoder: Floats, recovery: Recovery | None) -> bool:
    """Whether what a decoder (hidden_dim, n_inputs) recovers of a dictionary (n_inputs, n_features) settles its label.

    A share of features within MARGIN of recovery.fraction may yet change sides; all of them are clear in any case, and
    so is everything where no label will be asked for.
    """
    if recovery is None:
        return True
    recovered = float(np.mean(match_features(dictionary, decoder).cosine >= recovery.cosine))
    return recovered == 1.0 or round(abs(recovered - recovery.fraction), 9) >= MARGIN


def _converged(losses: npt.NDArray[np.float64], stop: Stop) -> bool:
    if len(losses) < 2 * stop.patience:
        return False
    before, last = losses[-2 * stop.patience : -stop.patience].mean(), losses[-stop.patience :].mean()
    return bool(last >= (1 - stop.tolerance) * before)  # false for NaN: a diverged trial has not converged
