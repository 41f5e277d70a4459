"""A finished trial's row to the SAE that it measured: the trial is trained again, alone, and compared with its row."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from phase_diagrams.activation import Activation
from phase_diagrams.pack import cut_packs
from phase_diagrams.planted import plant_dictionary
from phase_diagrams.spec import JobSpec
from phase_diagrams.tables import NOT_DETERMINED
from phase_diagrams.trial import Condition, Trial, trial_namer
from workers.evaluation import EvaluationData
from workers.pack_run import train_pack
from workers.responses import encode
from workers.sae import Weights


class RetrainingError(ValueError):
    """There is no SAE to be had from this row."""


@dataclass(frozen=True, slots=True)
class Retrained:
    """The SAE of one trial."""

    trial: Trial
    weights: Weights
    threshold: float
    """Of batchtopk: latents above it are those that its scores were taken with; 0 for the other activations."""
    differing: tuple[str, ...]
    """Columns in which the new row is not the stored one: none, for a row of a CPU and this engine."""


def retrain(spec: JobSpec, row: dict[str, object]) -> Retrained:
    """Train the trial of a stored row (schema TRIALS) again, on the CPU; raises RetrainingError.

    On a CPU a trial's numbers depend on its spec only, so the weights are those that the row was measured on. A row
    from a GPU differs in its last digits, and so does the SAE.
    """
    trial = read_trial(row)
    if trial_namer(spec)(trial) != row["trial_id"]:
        raise RetrainingError(
            f"trial {row['trial_id']} was trained by another version of the engine, or by another spec; "
            "run the job again with this version, and export the trial that it makes"
        )
    if row["diverged"]:
        raise RetrainingError(f"trial {row['trial_id']} diverged: it has no weights that are worth keeping")
    [pack] = cut_packs(spec, [trial])
    done = train_pack(spec, plant_dictionary(spec.data), pack)
    [again] = done.rows.to_pylist()
    weights = done.trained[0].weights
    if again["diverged"]:
        raise RetrainingError(f"trial {row['trial_id']} diverged here, though its row says that it did not")
    threshold = 0.0
    if trial.condition.activation.kind == "batchtopk":
        threshold = batch_threshold(weights, trial.condition.activation, spec.sae.tied, done.data)
    return Retrained(trial, weights, threshold, differing_columns(done.rows.schema, row, again))


def read_trial(row: dict[str, object]) -> Trial:
    """The trial that a row describes."""
    activation = Activation(row["activation"], row["k"], row["l1"])  # type: ignore[arg-type]
    condition = Condition(row["sparsity"], row["hidden_dim"], activation, row["exponent"])  # type: ignore[arg-type]
    return Trial(condition, row["seed"], row["start"])  # type: ignore[arg-type]


def differing_columns(schema: pa.Schema, row: dict[str, object], again: dict[str, object]) -> tuple[str, ...]:
    """Columns in which two rows of one trial differ, but for those that tell of one run; NaN equals NaN."""
    names = [name for name in schema.names if name not in NOT_DETERMINED]
    # repr: equal for equal floats and for NaN, and told apart wherever a digit differs.
    return tuple(name for name in names if repr(row[name]) != repr(again[name]))


def batch_threshold(weights: Weights, activation: Activation, tied: bool, data: EvaluationData) -> float:
    """Half way between the smallest latent that batchtopk kept of the evaluation data, and the largest it dropped.

    So that a threshold picks sample by sample what batchtopk picked of all samples together; 0 where it dropped none.
    """
    inputs = data.samples, data.blocks, data.codes.n_samples
    kept = encode(weights, activation, tied, *inputs)
    every = encode(weights, Activation("relu"), tied, *inputs)
    dropped = every[(kept == 0) & (every > 0)]
    if not dropped.size or not kept.any():
        return 0.0
    low, high = float(dropped.max()), float(kept[kept > 0].min())
    middle = np.float32((low + high) / 2)
    return float(middle if low <= middle < high else np.nextafter(np.float32(high), np.float32(0)))
