"""Whether a job's rows are all that it asks for: of a grid, of a refinement, of an exponent search."""

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from phase_diagrams.completion import unfinished
from phase_diagrams.exponent_search import ExponentSearch
from phase_diagrams.refine_judgement import judge
from phase_diagrams.refine_planner import RefinePlanner
from phase_diagrams.spec import JobSpec
from tests.phase_diagrams.planted_boundary import planted_rows, refined_spec
from tests.phase_diagrams.responses import Laboratory, ask_to_the_end, search_spec
from tests.phase_diagrams.synthetic_trials import small_spec, synthetic_trials


def trained(spec: JobSpec) -> tuple[RefinePlanner, pa.Table]:
    assert spec.refine is not None
    planner, tables = RefinePlanner(spec, spec.refine), []
    while trials := planner.ask():
        tables.append(planted_rows(spec, trials))
        planner.tell(tables[-1])
    return planner, pa.concat_tables(tables)


def test_a_grid_is_finished_with_its_last_trial() -> None:
    spec = small_spec(sparsity=[0.5, 0.9], hidden_dim=[40], activation=["relu"], seeds=2)
    rows = synthetic_trials(spec)
    assert unfinished(spec, rows) is None
    assert unfinished(spec, rows.slice(1)) == "7 of 8 trials"


@pytest.mark.parametrize(
    ("budget", "tolerance", "verdict"),
    [(60, 0.05, "budget"), (143, 0.3, "tolerance"), (143, 0.18, "exhausted"), (1_000_000, 0.05, "exhausted")],
)
def test_a_refinement_is_finished_as_its_planner_says(budget: int, tolerance: float, verdict: str) -> None:
    spec = refined_spec(budget=budget, tolerance=tolerance, seeds=2, candidates={"sparsity": 6, "hidden_dim": 6})
    planner, rows = trained(spec)
    assert planner.verdict == verdict
    assert unfinished(spec, rows) is None
    assert unfinished(spec, rows.slice(0, 30)) == f"30 of at most {min(budget, 144)} trials"


def test_a_judgement_that_is_there_is_not_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = refined_spec(budget=60)
    assert spec.refine is not None
    rows = trained(spec)[1]
    judgement = judge(spec, spec.refine, rows.slice(0, 55))
    monkeypatch.setattr("phase_diagrams.completion.judge", None)
    assert unfinished(spec, rows.slice(0, 55), judgement) == "55 of at most 60 trials"


@pytest.mark.parametrize("where", ["all", "boundary"])
def test_a_search_is_finished_once_every_condition_is_confirmed(where: str) -> None:
    spec = search_spec(search={"trials": 2, "batch": 2}, reweighting={"where": where})
    laboratory = Laboratory(spec, lambda condition: 0.2 * condition.exponent, level=0.8)
    planner = ExponentSearch(spec, lambda study, count: [1.0] * count)
    rounds, rows = ask_to_the_end(planner, laboratory)
    assert len(rounds) == 3
    assert unfinished(spec, rows) is None
    for short in (rows.slice(1), rows.slice(0, rows.num_rows - 1), laboratory.rows(rounds[0])):
        assert unfinished(spec, short) == f"{short.num_rows} of at most {spec.n_trials} trials"


def test_a_search_near_a_boundary_is_finished_with_the_grid_where_there_is_none() -> None:
    spec = search_spec(search={"trials": 2, "batch": 2}, reweighting={"where": "boundary"})
    rows = Laboratory(spec, lambda condition: 0.0, level=0.0, noise=0.0)
    grid = ask_to_the_end(ExponentSearch(spec, lambda study, count: [1.0] * count), rows)[1]
    assert not pc.any(grid["identified"]).as_py()
    assert unfinished(spec, grid) is None
