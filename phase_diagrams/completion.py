"""A job's finished rows to whether they are all that it asks for."""

import pyarrow as pa

from phase_diagrams.conditions import condition_table
from phase_diagrams.finding import find_exponents
from phase_diagrams.near_boundary import near_boundary
from phase_diagrams.refine_judgement import Judgement, judge
from phase_diagrams.reweighting_spec import Reweighting
from phase_diagrams.spec import JobSpec
from phase_diagrams.trial import confirm_seeds, grid_trials, plain_conditions, trial_namer


def unfinished(spec: JobSpec, rows: pa.Table, judgement: Judgement | None = None) -> str | None:
    """How much of a job its own rows (schema TRIALS) are, as in "282 of at most 400 trials"; None where they are all.

    The `judgement` of a refined job is made from its rows where it is not given.
    """
    if _complete(spec, rows, judgement):
        return None
    return f"{rows.num_rows:,} of {'at most ' if spec.adaptive else ''}{spec.n_trials:,} trials"


def _complete(spec: JobSpec, rows: pa.Table, judgement: Judgement | None) -> bool:
    if spec.reweighting is not None and spec.search is not None:
        return _searched(spec, spec.reweighting, rows)
    if rows.num_rows >= spec.n_trials:
        return True
    return spec.refine is not None and (judgement or judge(spec, spec.refine, rows)).stopped_by is not None


def _searched(spec: JobSpec, reweighting: Reweighting, rows: pa.Table) -> bool:
    """Whether the grid is there, and every condition that is to be searched is confirmed, which comes last."""
    name = trial_namer(spec)
    place = {trial_id: i for i, trial_id in enumerate(rows["trial_id"].to_pylist())}
    grid = [place.get(name(trial)) for trial in grid_trials(spec)]
    if None in grid:
        return False
    wanted = set(plain_conditions(spec))
    if reweighting.where == "boundary":
        wanted = set(near_boundary(spec, condition_table(spec, rows.take(grid))))
    confirmed = {
        finding.condition
        for finding in find_exponents(spec, rows)
        if finding.study.left <= 0 and len(finding.confirmed) == len(confirm_seeds(spec))
    }
    return wanted <= confirmed
