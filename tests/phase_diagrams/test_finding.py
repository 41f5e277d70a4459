"""What a search found: no winner's curse in what is confirmed, and a plain answer where there is no effect."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from phase_diagrams.exponent_search import ExponentSearch
from phase_diagrams.finding import Finding, find_exponents, reweighting_table
from phase_diagrams.folder import open_folder, table_bytes
from phase_diagrams.spec import JobSpec
from phase_diagrams.study import Study
from phase_diagrams.tables import REWEIGHTING
from tests.phase_diagrams.responses import Laboratory, Response, ask_to_the_end, search_spec, unit_noise


def draw(study: Study, count: int) -> list[float]:
    width = study.search.high - study.search.low
    return [study.search.low + width * (0.5 + unit_noise(study.key, i) / 6) % width for i in range(count)]


def searched(spec: JobSpec, response: Response, noise: float = 0.1, world: int = 0) -> tuple[Finding, ...]:
    laboratory = Laboratory(spec, response, noise=noise, world=world)
    return find_exponents(spec, ask_to_the_end(ExponentSearch(spec, draw), laboratory)[1])


def many_conditions(**changes: object) -> JobSpec:
    sparsity = {"start": 0.1, "stop": 0.9, "num": 25}
    return search_spec(200, grid={"sparsity": sparsity, "hidden_dim": list(range(20, 30)), "seeds": 4}, **changes)


def test_without_an_effect_the_confirmed_gain_covers_zero_and_the_searched_one_does_not() -> None:
    spec = many_conditions(search={"trials": 8, "batch": 8, "objective": "mcc"})
    findings = searched(spec, lambda condition: 0.0)
    assert len(findings) == 250
    n = spec.data.n_features
    for score in ("mcc", "recovered_fraction", "gt_loss"):
        confirmed = [finding.gain(score, n) for finding in findings]
        moved = [gain for gain, finding in zip(confirmed, findings, strict=True) if finding.exponent != 0]
        assert len(moved) > 200, "chance makes some exponent look better nearly everywhere"
        covered = np.mean([gain.low <= 0 <= gain.high for gain in moved])
        assert 0.91 <= covered <= 0.99  # 95 %, three standard deviations of 250 conditions around it
        assert abs(np.mean([gain.mean for gain in confirmed])) < 0.015
        naive = [finding.search_gain(score, n) for finding in findings]
        assert np.mean([gain.mean for gain in naive]) > 0.04, "the best of nine means of four draws of noise 0.1"
        naively = np.mean([gain.low <= 0 <= gain.high for gain in naive if gain.mean])
        assert naively < 0.91, "at the seeds that chose it is no 95 % interval"
    at_zero = [finding for finding in findings if finding.exponent == 0]
    assert all(finding.gain("mcc", n) == (0, 0, 0) for finding in at_zero)


def test_a_true_gain_is_found_and_confirmed_where_it_is() -> None:
    spec = search_spec(200, search={"trials": 12, "batch": 4, "objective": "gt_loss"}, reweighting={"confirm_seeds": 6})
    findings = searched(spec, lambda c: 0.3 * (1 - (c.exponent - 1) ** 2) if c.sparsity > 0.6 else 0.0, noise=0.01)
    for finding in findings:
        gain = finding.gain("gt_loss", 200)
        if finding.condition.sparsity > 0.6:
            assert 0.7 < finding.exponent < 1.3
            assert gain.low > 0.2
        else:
            assert gain.high < 0.05


def test_the_table_has_a_row_per_searched_condition_and_opens_with_its_descriptions(tmp_path) -> None:
    spec = search_spec(reweighting={"proxy": "kurtosis"})
    findings = searched(spec, lambda condition: 0.1 * condition.exponent)
    folder = open_folder(str(tmp_path))
    folder.write("reweighting.parquet", table_bytes(reweighting_table(spec, findings)))
    table = pq.read_table(tmp_path / "reweighting.parquet")
    assert table.schema.equals(REWEIGHTING, check_metadata=True)
    assert all(field.metadata[b"description"] for field in table.schema)
    assert table.num_rows == 6
    for row, finding in zip(table.to_pylist(), findings, strict=True):
        assert row["proxy"] == "kurtosis"
        assert row["exponent_best"] == finding.exponent > 0
        assert (row["n_exponents"], row["n_search_seeds"], row["n_confirm_seeds"]) == (9, 3, 4)
        assert row["n_trials"] == 8 * 3 + 4 * 2 * 2
        assert row["gain_mcc_low"] <= row["gain_mcc"] <= row["gain_mcc_high"]
        assert row["gain_mcc"] == pytest.approx(row["mcc_best"] - row["mcc_plain"])
        assert row["gain_gt_loss"] == pytest.approx(row["gt_loss_plain"] - row["gt_loss_best"])


def test_a_search_that_is_not_confirmed_yet_says_so() -> None:
    spec = search_spec()
    planner = ExponentSearch(spec, draw)
    laboratory = Laboratory(spec, lambda condition: 0.1 * condition.exponent)
    grid = laboratory.rows(planner.ask())
    assert find_exponents(spec, grid) == ()
    planner.tell(grid)
    findings = find_exponents(spec, pa.concat_tables([grid, laboratory.rows(planner.ask())]))
    (row, *_) = reweighting_table(spec, findings).to_pylist()
    assert row["n_confirm_seeds"] == 0
    assert row["gain_mcc"] is None
    assert row["search_gain_mcc"] > 0
