"""Two diagrams of one search: the same seeds under both losses, and unsearched conditions equal in both."""

from phase_diagrams.confirmation import confirm
from phase_diagrams.exponent_search import ExponentSearch
from phase_diagrams.finding import find_exponents
from phase_diagrams.study import Study
from phase_diagrams.trial import Condition
from tests.phase_diagrams.responses import Laboratory, ask_to_the_end, search_spec


def ones(study: Study, count: int) -> list[float]:
    return [1.0] * count


def found(level, **reweighting: object):
    grid = {"sparsity": [0.5, 0.7, 0.8, 0.9], "hidden_dim": [20, 40], "seeds": 2}
    spec = search_spec(grid=grid, search={"trials": 2, "batch": 2}, reweighting=reweighting)
    rows = ask_to_the_end(ExponentSearch(spec, ones), Laboratory(spec, level, noise=0.0))[1]
    findings = find_exponents(spec, rows)
    return findings, confirm(spec, rows, findings)


def test_both_diagrams_have_the_fresh_seeds_and_differ_by_the_loss() -> None:
    def level(condition: Condition) -> float:
        return 0.5 if condition.sparsity > (0.65 if condition.exponent else 0.75) else 0.1 * condition.exponent

    findings, confirmation = found(level)
    assert all(finding.exponent != 0 for finding in findings if finding.condition.sparsity < 0.75)
    for diagram in (confirmation.plain, confirmation.reweighted):
        assert set(diagram.conditions["n_seeds"].to_pylist()) == {4}
        assert set(diagram.conditions["exponent"].to_pylist()) == {0.0}
    plain, best = (
        {(row["sparsity"], row["hidden_dim"]): row["p_identified"] for row in diagram.conditions.to_pylist()}
        for diagram in (confirmation.plain, confirmation.reweighted)
    )
    assert {place for place in plain if plain[place] != best[place]} == {(0.7, 20), (0.7, 40)}
    (before,), (after,) = (
        {round(c.y, 2) for b in diagram.boundaries if b.start == "random" for c in b.crossings if c.x == 20}
        for diagram in (confirmation.plain, confirmation.reweighted)
    )
    assert 0.5 < after < before < 0.8


def test_conditions_far_from_a_boundary_keep_the_grids_rows_in_both() -> None:
    findings, confirmation = found(lambda c: 0.5 if c.sparsity > 0.75 else 0.1 * c.exponent, where="boundary")
    assert {finding.condition.sparsity for finding in findings} == {0.7, 0.8}
    for diagram in (confirmation.plain, confirmation.reweighted):
        seeds = {row["sparsity"]: row["n_seeds"] for row in diagram.conditions.to_pylist()}
        assert seeds == {0.5: 2, 0.7: 4, 0.8: 4, 0.9: 2}
