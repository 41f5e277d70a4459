"""A training loss to the steps that are left: a trial that has converged takes the rest of its schedule in short.

A trial is looked at after every `patience` steps. It has converged when the mean loss of the last `patience` steps is
below that of the `patience` steps before by at most the fraction `tolerance`. Where a quarter of its steps are done and
its label is clear as well, i.e. the number of features that it recovers is not near the number from which on it counts
as identified, what is left of its learning rates passes in `patience` steps: the annealing, which decides many labels,
is shortened but never left out.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from phase_diagrams.matching import cosines, match_features
from phase_diagrams.spec import Recovery, Stop, Training
from workers.sae import Floats

Rates = npt.NDArray[np.float64]

LEAST_SHARE = 0.25
"""Share of the steps that every trial takes; heuristic: random starts leave plateaus late where the budget is large."""
MARGIN = 0.1
"""Share of the features, but never less than LEAST_FEATURES, that a clear label is away from turning; heuristic:
between a look and the end of training seldom more are found or lost (docs/performance.md, early stopping)."""
LEAST_FEATURES = 2


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

    A trial is identified from so many features on. One that recovers about as many may yet change sides; one that
    recovers all is clear, and so is every one where no label will be asked for.
    """
    if recovery is None:
        return True
    n_features = int(dictionary.shape[1])
    needed = int(np.ceil(recovery.fraction * n_features - 1e-9))
    margin = max(float(LEAST_FEATURES), MARGIN * n_features)
    # Features with a latent near them are the most that an assignment can recover, and are counted without one: with
    # thousands of features it takes seconds.
    near = int(np.sum(cosines(dictionary, decoder).max(axis=1) >= recovery.cosine))
    if needed - near >= margin:
        return True
    recovered = int(np.sum(match_features(dictionary, decoder).cosine >= recovery.cosine))
    return recovered == n_features or abs(recovered - needed) >= margin


def _converged(losses: npt.NDArray[np.float64], stop: Stop) -> bool:
    if len(losses) < 2 * stop.patience:
        return False
    before, last = losses[-2 * stop.patience : -stop.patience].mean(), losses[-stop.patience :].mean()
    return bool(np.isfinite(last) and last >= (1 - stop.tolerance) * before)  # a diverged trial has not converged
