"""Rows to outcomes by trial: the few numbers of a training that a search or a comparison of exponents reads."""

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from phase_diagrams.activation import Activation
from phase_diagrams.trial import Condition, Trial


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one training came to.

    One that diverged counts as an autoencoder that says nothing: nothing recovered, and both losses 1 (they are shares
    of the power of x and of x_p). Its objective is infinite.
    """

    recovered_fraction: float
    mcc: float
    gt_loss: float
    sae_loss: float
    objective: float
    identified: bool


DIVERGED = Outcome(0.0, 0.0, 1.0, 1.0, float("inf"), False)

LOSSES = ("gt_loss", "sae_loss")
"""Scores of which less is better."""

COLUMNS = [
    "sparsity",
    "hidden_dim",
    "activation",
    "k",
    "l1",
    "exponent",
    "seed",
    "start",
    "recovered_fraction",
    "mcc",
    "gt_loss",
    "sae_loss",
    "objective",
    "identified",
    "diverged",
]
"""Columns of trials.parquet that an outcome is read from."""


def read_outcomes(rows: pa.Table) -> dict[Trial, Outcome]:
    """The outcome of every row (schema TRIALS, or COLUMNS of it)."""
    return {_trial(row): _outcome(row) for row in rows.select(COLUMNS).to_pylist()}


def better(score: str, value: float) -> float:
    """A score, or a difference of two, turned so that more is better."""
    return -value if score in LOSSES else value


def _trial(row: dict[str, Any]) -> Trial:
    activation = Activation(row["activation"], row["k"], row["l1"])
    return Trial(Condition(row["sparsity"], row["hidden_dim"], activation, row["exponent"]), row["seed"], row["start"])


def _outcome(row: dict[str, Any]) -> Outcome:
    if row["diverged"]:
        return DIVERGED
    # A loss is null where there is no power to be a share of; nothing is then lost.
    losses = {name: 0.0 if row[name] is None else row[name] for name in LOSSES}
    return Outcome(
        row["recovered_fraction"], row["mcc"], **losses, objective=row["objective"], identified=row["identified"]
    )
