"""A study of one condition's exponents to Optuna's next suggestions, with no state between two questions."""

import warnings

import optuna
from optuna.distributions import FloatDistribution
from optuna.samplers import BaseSampler, GPSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from phase_diagrams.study import Study

PARAMETER = "exponent"
"""What Optuna calls alpha."""


def suggest_exponents(study: Study, count: int) -> list[float]:
    """So many exponents that Optuna's sampler suggests after what was tried; a pure function of the study.

    The study is rebuilt in memory and asked `count` times in a row without an answer: tpe and gp then take the open
    questions into account (a constant liar each, Optuna's own), so that a batch is not the same exponent many times.
    """
    optuna.logging.disable_default_handler()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    asked = optuna.create_study(direction="maximize", sampler=_sampler(study))
    asked.add_trials(frozen_trials(study))
    search = study.search
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # experimental samplers warn of changes to come, at every call
        return [asked.ask().suggest_float(PARAMETER, search.low, search.high) for _ in range(count)]


def frozen_trials(study: Study, sign: float = 1.0) -> list[FrozenTrial]:
    """What was tried as trials of Optuna, in order, scores times `sign`; an exponent without a row is a failed one."""
    space = {PARAMETER: FloatDistribution(study.search.low, study.search.high)}
    return [
        create_trial(
            params={PARAMETER: tried.exponent},
            distributions=dict(space),
            value=None if tried.score is None else sign * tried.score,
            state=TrialState.FAIL if tried.score is None else TrialState.COMPLETE,
        )
        for tried in study.tried
    ]


def _sampler(study: Study) -> BaseSampler:
    seed = study.key % 2**32  # numpy's RandomState takes 32 bits
    if study.search.sampler == "random":
        return RandomSampler(seed=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # The first batch is ours and not random (study.next_exponents), so the model may speak from the second on.
        if study.search.sampler == "gp":
            return GPSampler(seed=seed, n_startup_trials=1)
        return TPESampler(seed=seed, n_startup_trials=1, constant_liar=True)
