"""A spec to the planner that says which of its trials come next."""

from phase_diagrams.exponent_search import ExponentSearch
from phase_diagrams.planner import GridPlanner, Planner
from phase_diagrams.refine_planner import RefinePlanner
from phase_diagrams.replay import Replay, Stock
from phase_diagrams.spec import JobSpec
from phase_diagrams.trial import trial_namer


def open_planner(spec: JobSpec, stock: Stock) -> Replay:
    """The planner of a job, which asks for what the stock lacks."""
    return Replay(trial_namer(spec), _planner(spec), stock)


def _planner(spec: JobSpec) -> Planner:
    if spec.search is not None:
        # Optuna takes half a second to import, which a grid need not pay.
        from workers.exponent_sampler import suggest_exponents

        return ExponentSearch(spec, suggest_exponents)
    return GridPlanner(spec) if spec.refine is None else RefinePlanner(spec, spec.refine)
