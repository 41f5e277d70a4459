"""A stranger's YAML or JSON to a `JobSpec`: every default filled in, every number in its range."""

import json
import math
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from pydantic import Field, ValidationError, model_validator

from phase_diagrams.axis import Strict
from phase_diagrams.data_spec import Data as Data
from phase_diagrams.data_spec import Explicit as Explicit
from phase_diagrams.data_spec import Polygon as Polygon
from phase_diagrams.data_spec import RandomUnit as RandomUnit
from phase_diagrams.data_spec import ToyModel as ToyModel
from phase_diagrams.data_spec import check_superposition
from phase_diagrams.document import read_document as read_document
from phase_diagrams.grid_spec import Grid
from phase_diagrams.grid_spec import Start as Start
from phase_diagrams.problem import SpecError as SpecError
from phase_diagrams.problem import find_problems
from phase_diagrams.proxy import Proxy
from phase_diagrams.refine_spec import Refine
from phase_diagrams.reweighting_spec import Reweighting, Search
from phase_diagrams.training_spec import Recovery as Recovery
from phase_diagrams.training_spec import Resources as Resources
from phase_diagrams.training_spec import Sae
from phase_diagrams.training_spec import Stop as Stop
from phase_diagrams.training_spec import Training as Training

MAX_TRIALS = 1_000_000
"""Largest number of trials that one spec may ask for."""


class JobSpec(Strict):
    """A phase diagram to be made: the planted model, the grid, the training and the thresholds."""

    name: str = Field("unnamed", min_length=1, max_length=200)
    """A label."""
    data: Data
    grid: Grid
    sae: Sae = Sae()
    training: Training = Training()
    recovery: Recovery = Recovery()
    refine: Refine | None = None
    """Adaptive boundary sampling: the grid's sparsity and hidden_dim are then its range and its coarse start, and seeds
    the most that a condition gets; null runs the full grid."""
    reweighting: Reweighting | None = None
    """The proxy that weights the loss, and the exponent search; null is {proxy: variance} without a search."""
    resources: Resources = Resources()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        grid = self.grid
        widest = min(grid.hidden_dim)
        for activation in grid.activations:
            if activation.k is not None and activation.k > widest:
                raise ValueError(
                    f"grid.activation: {activation} keeps more latents than grid.hidden_dim {widest} has; "
                    f"k must be at most {widest}"
                )
        check_superposition(self.data)
        if self.refine is not None:
            _check_refine(self.refine, grid)
        if self.refine is not None and self.n_candidates > MAX_TRIALS:
            raise ValueError(
                f"refine.candidates: {self.n_candidates:,} trials could be asked for (candidates x activations x "
                f"exponents x seeds x starts); at most {MAX_TRIALS:,} are allowed in one job"
            )
        if self.search is not None and 0.0 not in grid.exponent:
            raise ValueError("grid.exponent: must contain 0 for a reweighting.search: gains are measured against it")
        if self.search is not None and self.refine is not None:
            raise ValueError("refine: does not go with a reweighting.search; leave one of them out")
        if self.n_trials > MAX_TRIALS:
            raise ValueError(
                f"grid: the cross product{' and the search are' if self.search else ' is'} {self.n_trials:,} trials; "
                f"at most {MAX_TRIALS:,} are allowed in one job"
            )
        return self

    @cached_property
    def sparsities(self) -> tuple[float, ...]:
        """The values of S that a condition may have: the grid's, with `refine` all candidates, ascending."""
        grid = self.grid.sparsity
        return grid if self.refine is None else self.refine.candidates.sparsities(grid)

    @cached_property
    def widths(self) -> tuple[int, ...]:
        """The values of n_m that a condition may have: the grid's, with `refine` all candidates, ascending."""
        grid = self.grid.hidden_dim
        return grid if self.refine is None else self.refine.candidates.widths(grid)

    @property
    def adaptive(self) -> bool:
        """Whether which trials are trained depends on the results of others."""
        return self.refine is not None or self.search is not None

    @property
    def n_conditions(self) -> int:
        """Number of combinations of sparsity, hidden_dim, activation and exponent that may be trained."""
        grid = self.grid
        return math.prod(len(axis) for axis in (self.sparsities, self.widths, grid.activation, grid.exponent))

    @property
    def n_candidates(self) -> int:
        """Number of trainings that all these conditions have, at every seed from every start."""
        return self.n_conditions * len(self.grid.seeds) * len(self.grid.starts)

    @property
    def search(self) -> Search | None:
        """The exponent search, if there is one."""
        return self.reweighting.search if self.reweighting else None

    @property
    def proxy(self) -> Proxy:
        """What s_i is in the weights of the loss."""
        return self.reweighting.proxy if self.reweighting else "variance"

    @property
    def n_trials(self) -> int:
        """Largest number of trainings that the job may ask for: the grid, and the search with its confirmation; or
        what `refine` may spend, which is no more than there is."""
        if self.refine is not None:
            return min(self.refine.budget, self.n_candidates)
        grid, search, trials = self.grid, self.search, self.n_candidates
        if search is not None and self.reweighting is not None:
            confirm = 2 * self.reweighting.confirm_seeds * len(grid.starts)
            trials += self.n_conditions // len(grid.exponent) * (search.trials * len(grid.seeds) + confirm)
        return trials


def parse_spec(document: object, folder: Path | None = None) -> JobSpec:
    """Check a parsed document; `folder` is where `explicit.path` may be read (None: nowhere).

    Raises SpecError that names every bad key.
    """
    if not isinstance(document, Mapping):
        raise SpecError([("", "the spec must be a mapping with the keys " + ", ".join(JobSpec.model_fields))])
    try:
        return JobSpec.model_validate(dict(document), context={"folder": folder})
    except ValidationError as error:
        raise SpecError(find_problems(error, JobSpec)) from None
    except RecursionError:
        raise SpecError([("", "the spec is nested too deeply")]) from None


def read_spec(text: str, folder: Path | None = None) -> JobSpec:
    """Read a YAML or JSON text and check it as `parse_spec` does; raises SpecError."""
    return parse_spec(read_document(text), folder)


def spec_json(spec: JobSpec) -> str:
    """The spec with every default filled in, as JSON text that `read_spec` reads back to an equal spec."""
    return json.dumps(spec.model_dump(mode="json"), indent=2) + "\n"


def spec_schema() -> dict[str, Any]:
    """The job spec's JSON Schema (draft 2020-12)."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **JobSpec.model_json_schema()}


def _check_refine(refine: Refine, grid: Grid) -> None:
    for key, values, num in (
        ("sparsity", grid.sparsity, refine.candidates.sparsity),
        ("hidden_dim", grid.hidden_dim, refine.candidates.hidden_dim),
    ):
        if num < len(values):
            raise ValueError(
                f"refine.candidates.{key}: {num} is fewer than the {len(values)} values of grid.{key}, which are among "
                "the candidates"
            )
    if len(grid.sparsity) == 1 and len(grid.hidden_dim) == 1:
        raise ValueError(
            "refine: grid.sparsity or grid.hidden_dim must have two values or more, else there is no range"
        )
    if "k" in refine.axes and not any(text.startswith("topk:") for text in grid.activation):
        raise ValueError("refine.axes: k needs topk activations in grid.activation")
    coarse = math.prod(
        len(axis) for axis in (grid.sparsity, grid.hidden_dim, grid.activation, grid.exponent, grid.starts)
    )
    if refine.budget < coarse:
        raise ValueError(
            f"refine.budget: {refine.budget:,} is less than the {coarse:,} trainings of the coarse start (every "
            "condition of the grid once from every start)"
        )
