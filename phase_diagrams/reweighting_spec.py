"""The `reweighting` section of a spec: which proxy weights the loss, and how the exponent is searched."""

from typing import Literal, Self

from pydantic import Field, model_validator

from phase_diagrams.axis import Real, Strict, Whole
from phase_diagrams.proxy import Proxy

Objective = Literal["recovered_fraction", "gt_loss", "mcc"]
Sampler = Literal["tpe", "gp", "random"]

STEP = 1e-4
"""Exponents are searched on multiples of this, so that a trial's id does not hang on a sampler's last digits. Between
dimensions whose s_i differ tenfold it changes a ratio of weights by 0.05 %."""
LEAST_RANGE = 0.1
"""Narrowest range of a search: a thousand steps, so that every allowed number of trials finds distinct exponents."""


class Search(Strict):
    """An exponent search by Optuna: one study per condition without its exponent."""

    low: Real = Field(-1.0, ge=-4, le=4)
    """Lowest exponent alpha."""
    high: Real = Field(2.0, ge=-4, le=4)
    """Highest exponent alpha."""
    trials: Whole = Field(16, ge=2, le=500)
    """Exponents that are tried per condition, each at every seed of the grid; those of grid.exponent come on top."""
    sampler: Sampler = "tpe"
    """Optuna's sampler. tpe costs milliseconds per exponent, gp a tenth of a second."""
    objective: Objective = "recovered_fraction"
    """The score of random starts, averaged over seeds, that chooses: the lowest gt_loss, or the highest of the rest."""
    batch: Whole = Field(4, ge=1, le=100)
    """Exponents per condition that are asked for at a time and train together."""

    @model_validator(mode="after")
    def _range(self) -> Self:
        if not self.low + LEAST_RANGE <= self.high:
            raise ValueError(
                f"low is {self.low:g} and high is {self.high:g}; high must be at least low + {LEAST_RANGE}"
            )
        return self

    @property
    def rounds(self) -> int:
        """Batches per condition."""
        return -(-self.trials // self.batch)


class Reweighting(Strict):
    """The weights gamma_i = s_i^alpha of the loss."""

    search: Search | None = None
    """null sweeps grid.exponent only; {} searches with the defaults."""
    proxy: Proxy = "variance"
    """What s_i is; known_polysemanticity looks at the planted truth."""
    confirm_seeds: Whole = Field(4, ge=2, le=1000)
    """Fresh seeds on which the exponent that was found, and 0, are trained for the confirmed gain."""
    where: Literal["all", "boundary"] = "all"
    """Search all conditions, or those that the plain grid leaves near a boundary."""
