"""The sections of a spec that say how each trial is trained, judged and placed."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, StrictBool, field_validator

from phase_diagrams.axis import Real, Strict, Whole, refuse_bool


class Sae(Strict):
    """The autoencoder's architecture."""

    tied: StrictBool = True
    """True: one matrix, no bias (the paper). False: untied, with biases and a unit-norm decoder."""


class Stop(Strict):
    """When a training that has converged may take the rest of its schedule in short.

    Not before a quarter of its steps, nor while the features it recovers leave open whether it counts as identified.
    """

    patience: Whole = Field(200, ge=10, le=1_000_000)
    """Steps of the two windows whose mean losses are compared, and of the rest of the schedule once they agree."""
    tolerance: Real = Field(0.002, gt=0, lt=1)
    """Converged: the later window's loss is below the earlier one's by at most this fraction."""


class Training(Strict):
    """The optimiser and its budget."""

    steps: Whole = Field(1500, ge=1, le=10_000_000)
    """Adam steps."""
    batch_size: Whole = Field(512, ge=1, le=65536)
    """Fresh samples per step."""
    learning_rate: Real = Field(0.003, gt=0, le=1)
    """Peak learning rate."""
    schedule: Literal["linear", "constant", "cosine"] = "linear"
    """Learning rate over the steps: linearly to 0, constant, or half a cosine to 0."""
    stop: Stop | None = None
    """Early stopping of trials that have converged; null: every trial takes all steps."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """bfloat16 rounds the factors of the encoder's product, for GPUs; weights and all else stay float32."""


class Recovery(Strict):
    """When a feature counts as recovered, and a trial as identified."""

    cosine: Real = Field(0.9, gt=0, le=1)
    """A feature is recovered if its matched cosine is at least this."""
    fraction: Real = Field(0.9, gt=0, le=1)
    """A trial is identified if at least this share of the n features is recovered."""


class Resources(Strict):
    """What one pack occupies on the Ray cluster."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto takes GPUs where the cluster has them."""
    gpus_per_trial: Real = Field(0.25, ge=0.001, le=8)
    """GPUs that a pack reserves when it runs on GPUs: up to 1, or 2 to 8 whole ones."""
    cpus_per_trial: Real = Field(1, ge=0.01, le=1024)
    """CPUs that a pack reserves."""
    max_concurrent: Annotated[int, Field(ge=1, le=100_000), BeforeValidator(refuse_bool)] | None = None
    """Largest number of packs at a time; null leaves it to the resources."""

    @field_validator("gpus_per_trial")
    @classmethod
    def _whole_above_one(cls, gpus: float) -> float:
        if gpus > 1 and not gpus.is_integer():
            raise ValueError(f"{gpus:g} is not allowed: input should be 0.001 to 1, or a whole number from 2 to 8")
        return gpus
