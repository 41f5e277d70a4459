"""A folder's rows to those that are a job's own: which trials its tables and pictures are made from."""

import pyarrow as pa

from phase_diagrams.activation import Activation
from phase_diagrams.folder import Folder, read_keys
from phase_diagrams.spec import JobSpec
from phase_diagrams.trial import Condition, Trial, grid_trials, trial_namer


def own_ids(spec: JobSpec, folder: Folder) -> list[str]:
    """Ids of the job's trials, in the order in which trials.parquet has them; of a grid, missing ones too.

    An adaptive job has no list of its trials: its own are all that bear the names which its spec gives them, whatever
    asked for them.
    """
    name = trial_namer(spec)
    if not spec.adaptive:
        return [name(trial) for trial in grid_trials(spec)]
    own = [(trial, trial_id) for trial, trial_id in _trials(read_keys(folder)) if name(trial) == trial_id]
    return [trial_id for _, trial_id in sorted(own, key=lambda pair: _order(spec, pair[0]))]


def _trials(rows: pa.Table) -> list[tuple[Trial, str]]:
    """The trial that each row describes, with the id that it bears."""
    return [
        (
            Trial(
                Condition(
                    row["sparsity"],
                    row["hidden_dim"],
                    Activation(row["activation"], row["k"], row["l1"]),
                    row["exponent"],
                ),
                row["seed"],
                row["start"],
            ),
            row["trial_id"],
        )
        for row in rows.to_pylist()
    ]


def _order(spec: JobSpec, trial: Trial) -> tuple[object, ...]:
    """As `grid_trials` goes: streams one after another, then shapes, exponents and starts."""
    condition = trial.condition
    kinds = [str(activation) for activation in spec.grid.activations]
    kind = str(condition.activation)
    place = kinds.index(kind) if kind in kinds else len(kinds)
    return (condition.sparsity, trial.seed, condition.hidden_dim, place, kind, condition.exponent, trial.start)
