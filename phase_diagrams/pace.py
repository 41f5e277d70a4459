"""A trial's shape to the seconds it takes on one core: as measured on this machine, or else from its arithmetic."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from phase_diagrams.spec import JobSpec
from phase_diagrams.trial import Condition, Trial

MULTIPLY_ADDS_PER_SECOND = 2e10
"""Units of `trial_cost` that one core trains per second where nothing was measured; between 1.4e10 (10 inputs, 80
latents) and 3.7e10 (64 inputs, 128 latents) on one AVX2 core of 2021. For other machines to be read with "about"."""

SCORE_SECONDS = 0.003
"""Least time to start and score one SAE on one core, the arithmetic of small shapes aside; measured on the same."""


@dataclass(frozen=True, slots=True)
class Pace:
    """What one shape of SAE takes on one core of one machine, in seconds."""

    step: float
    """One optimiser step of one SAE."""
    draw: float
    """One batch of its stream, drawn once for all SAEs of a pack."""
    trial: float
    """Starting and scoring one SAE, whatever the number of steps."""


@dataclass(frozen=True, slots=True)
class Paces:
    """Measured paces of a machine's CPU by the names of shapes; what is not among them is estimated."""

    shapes: Mapping[str, Pace]

    def trial_seconds(self, spec: JobSpec, condition: Condition) -> float:
        """Seconds of one training on one core, without its data."""
        pace = self.shapes.get(shape_name(spec, condition))
        if pace is None:
            return trial_cost(spec, condition) / MULTIPLY_ADDS_PER_SECOND + SCORE_SECONDS
        return pace.step * spec.training.steps + pace.trial

    def stream_seconds(self, spec: JobSpec, condition: Condition) -> float:
        """Seconds that drawing the data of a pack takes; 0 where nothing was measured."""
        pace = self.shapes.get(shape_name(spec, condition))
        return pace.draw * spec.training.steps if pace else 0.0

    def missing(self, spec: JobSpec, trials: Iterable[Trial]) -> list[Condition]:
        """One condition of each shape that was not measured, at the middle one of its sparsities."""
        by_shape: dict[str, set[Condition]] = {}
        for trial in trials:
            by_shape.setdefault(shape_name(spec, trial.condition), set()).add(trial.condition)
        return [
            sorted(conditions, key=lambda condition: (condition.sparsity, condition.exponent))[len(conditions) // 2]
            for name, conditions in by_shape.items()
            if name not in self.shapes
        ]


ESTIMATED = Paces({})
"""Nothing measured."""


def shape_name(spec: JobSpec, condition: Condition) -> str:
    """All that a step's time depends on but the sparsity and the exponent, which matter little."""
    data, law = spec.data, spec.data.code
    kind = "tied" if spec.sae.tied else "untied"
    noise = "noise" if data.noise else "no noise"
    return (
        f"{data.n_features}/{data.n_inputs}/{condition.hidden_dim} {condition.activation} {kind} "
        f"batch {spec.training.batch_size} {law.kind} {law.magnitude} {noise}"
    )


def trial_cost(spec: JobSpec, condition: Condition) -> float:
    """Arithmetic of one training, in multiply-adds: encoding, choosing the active latents, and their gradients."""
    encode = spec.data.n_inputs * condition.hidden_dim
    active = condition.activation.k if condition.activation.kind == "topk" else condition.hidden_dim
    # Choosing k of m passes every latent through up to k comparisons; a gradient is three passes over the inputs.
    choose = condition.hidden_dim * (condition.activation.k or 1)
    gradient = 3 * spec.data.n_inputs * (active or 0) + 20 * condition.hidden_dim
    return float(spec.training.steps * spec.training.batch_size * (encode + choose + gradient))


def stream_cost(spec: JobSpec) -> float:
    """Arithmetic of drawing a data stream, which the trials of a pack share, in multiply-adds.

    Ten a feature: a Philox word of ten rounds of two multiplications for four words, and the feature's magnitude.
    """
    return float(10 * spec.training.steps * spec.training.batch_size * spec.data.n_features)
