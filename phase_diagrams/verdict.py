"""A condition of a spec to what Theorems 1 to 3 say of it, and whether the measured phase says the opposite.

The theorems speak of the limit S -> 1. Their three conditions are read at a finite S as follows (docs/theory.md):

- `identifiable`: all three hold. Enough latents, n_m >= n; extreme sparsity, at most one feature active on average, so
  that samples with one active feature, the only ones that count as S -> 1, are the typical ones; and an activation
  under which the closed form is exact on such samples: TopK with k = 1, or any without a penalty if no two feature
  directions have a positive cosine.
- `not_identifiable`: one of them fails outright. Too few latents for the share of features that counts as identified;
  more features active on average than TopK or BatchTopK keeps latents; or plain ReLU, which keeps all, although
  directions interfere positively.
- None, nothing said: everything in between, and whatever the theorems do not speak of (weighted or untied SAEs, noise,
  unequal firing rates; under an L1 penalty only too few latents are judged).
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from phase_diagrams.activation import Activation
from phase_diagrams.code_law import active_count, expected_active
from phase_diagrams.phase import Phase
from phase_diagrams.planted import plant_dictionary
from phase_diagrams.spec import Data, JobSpec, Polygon
from phase_diagrams.superposition import interference

Verdict = Literal["identifiable", "not_identifiable"]
Disagreement = Literal["theory_only", "measurement_only"]
"""Who calls the condition identifiable, where the other calls it not."""

ROUNDING = 1e-9
"""Relative slack of a comparison with a whole number: 20 (1 - .95) is 1.0000000000000009."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What the theorems ask of everything that is not an axis of the grid."""

    data: Data
    covered: bool
    """Tied SAE, no noise, equal firing rates: what the theorems speak of."""
    non_positive: bool
    """No two feature directions have a positive cosine."""
    least_width: int
    """Latents below which too few features can be matched to count as identified."""

    def active(self, sparsity: float) -> float:
        """Mean number of active features per sample."""
        n = self.data.n_features
        return active_count(n, sparsity) if self.data.code.kind == "exact" else expected_active(n, sparsity)

    def exact_on_one(self, activation: Activation) -> bool:
        """Whether the closed form is exact on samples with one active feature under this activation."""
        return (activation.kind == "topk" and activation.k == 1) or (self.non_positive and activation.l1 is None)

    def verdict(self, sparsity: float, hidden_dim: int, activation: Activation, exponent: float) -> Verdict | None:
        """What Theorems 1 to 3 say of a condition; None where they say nothing."""
        if not self.covered or exponent != 0.0:
            return None
        active, kept = self.active(sparsity), activation.k
        if hidden_dim < self.least_width:
            return "not_identifiable"
        if kept is not None and active > kept * (1 + ROUNDING):
            return "not_identifiable"
        if activation.kind == "relu" and not self.non_positive:
            return "not_identifiable"
        enough = hidden_dim >= self.data.n_features and active <= 1 + ROUNDING
        return "identifiable" if enough and self.exact_on_one(activation) else None


def theory_setting(spec: JobSpec) -> Setting:
    """Read a spec as the theorems do."""
    data = spec.data
    return Setting(
        data=data,
        covered=spec.sae.tied and data.noise == 0.0 and data.code.firing.kind == "uniform",
        non_positive=_non_positive(data),
        least_width=math.ceil(spec.recovery.fraction * data.n_features * (1 - ROUNDING)),
    )


def disagreement(verdict: Verdict | None, phase: Phase | None, certain: bool) -> Disagreement | None:
    """Where the seeds settle the phase and it says the opposite of the theorems; None elsewhere.

    The theorems speak of the objective, so recovered and optimiser_limited both count as identifiable. Random starts
    alone that fail (not_recovered) say nothing about the objective.
    """
    if not certain:
        return None
    if verdict == "identifiable" and phase == "objective_limited":
        return "theory_only"
    if verdict == "not_identifiable" and phase in ("recovered", "optimiser_limited"):
        return "measurement_only"
    return None


@lru_cache(maxsize=16)
def _non_positive(data: Data) -> bool:
    """Whether no two feature directions have a positive cosine; planted only where the law leaves it open."""
    if isinstance(data.superposition, Polygon):
        return data.superposition.pentagon == 0
    if data.n_features > 2 * data.n_inputs:
        return False  # at most 2 d directions in d dimensions are pairwise at right angles or more
    return interference(plant_dictionary(data)).non_positive
