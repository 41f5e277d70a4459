import statistics
import time
from collections import defaultdict

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from phase_diagrams.conditions import condition_table, median_over_seeds
from phase_diagrams.interval import wilson
from phase_diagrams.phase import condition_phase
from phase_diagrams.spec import JobSpec
from phase_diagrams.tables import CONDITIONS, METRICS, TRIALS
from phase_diagrams.theory import mcc_chance
from tests.phase_diagrams.synthetic_trials import small_spec, synthetic_trials

KEYS = ("sparsity", "hidden_dim", "activation", "k", "l1", "exponent")
MIXED = ["topk:2", "batchtopk:2", "relu", "relu_l1:0.01", "relu_l1:0.1"]


def _spec(**grid: object) -> JobSpec:
    return small_spec(**{"activation": MIXED, "exponent": [0, 1], "hidden_dim": [80, 20], **grid})


def _groups(trials: pa.Table) -> dict[tuple[object, ...], list[dict[str, object]]]:
    groups = defaultdict(list)
    for row in trials.to_pylist():
        groups[tuple(row[key] for key in KEYS)].append(row)
    return groups


def test_every_condition_with_a_finished_trial_once_in_grid_order() -> None:
    spec = _spec()
    trials = synthetic_trials(spec, missing=0.6)
    table = condition_table(spec, trials)
    assert table.schema.equals(CONDITIONS, check_metadata=True)
    places = [tuple(row[key] for key in KEYS) for row in table.to_pylist()]
    assert set(places) == set(_groups(trials))
    grid = spec.grid
    whole = [
        (s, width, a.kind, a.k, a.l1, exponent)
        for s in grid.sparsity
        for width in grid.hidden_dim
        for a in grid.activations
        for exponent in grid.exponent
    ]
    assert places == [place for place in whole if place in set(places)]


@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.3, 0.8]), st.sampled_from([0.0, 0.4]))
@settings(max_examples=15, deadline=None)
def test_counts_phases_and_medians_are_those_of_the_rows(seed: int, missing: float, diverged: float) -> None:
    spec = _spec(sparsity=[0.9, 0.95], seeds=[3, 7, 11])
    trials = synthetic_trials(spec, seed, missing, diverged)
    groups = _groups(trials)
    for row in condition_table(spec, trials).to_pylist():
        members = groups[tuple(row[key] for key in KEYS)]
        by_start = {start: {m["seed"]: m for m in members if m["start"] == start} for start in ("random", "truth")}
        successes = sum(bool(m["identified"] and not m["diverged"]) for m in by_start["random"].values())
        assert (row["n_seeds"], row["n_identified"]) == (len(by_start["random"]), successes)
        assert row["n_diverged"] == sum(bool(m["diverged"]) for m in members)
        pairs = sorted(by_start["random"].keys() & by_start["truth"].keys())
        assert row["n_pairs"] == len(pairs)
        if pairs:
            arguments = []
            for start in ("random", "truth"):
                rows = [by_start[start][s] for s in pairs]
                arguments.append([bool(m["identified"]) and not m["diverged"] for m in rows])
                arguments.append([np.nan if m["objective"] is None else m["objective"] for m in rows])
            wanted = condition_phase(*arguments)
            assert (row["phase"], row["phase_certain"]) == (wanted.phase, wanted.certain)
            assert wanted.identifiable is not None
            assert row["n_identifiable"] == sum(wanted.identifiable)
        else:
            assert row["phase"] is row["n_identifiable"] is row["p_identifiable"] is None
        for start in ("random", "truth"):
            for metric in METRICS:
                values = [m[metric] for m in by_start[start].values() if m[metric] is not None]
                got = row[f"{metric}_{start}"]
                assert got == (pytest.approx(statistics.median(values)) if values else None)


def test_rates_carry_their_wilson_interval_and_the_chance_level() -> None:
    spec = small_spec()
    for row in condition_table(spec, synthetic_trials(spec, missing=0.2)).to_pylist():
        if row["n_seeds"]:
            low, high = wilson(row["n_identified"], row["n_seeds"])
            assert (row["p_low"], row["p_high"]) == (float(low), float(high))
            assert row["p_low"] <= row["p_identified"] == row["n_identified"] / row["n_seeds"] <= row["p_high"]
        else:
            assert row["p_identified"] is row["p_low"] is row["p_high"] is None
        assert row["mcc_chance"] == mcc_chance(40, 10, row["hidden_dim"])


def test_neither_row_order_nor_repeated_rows_nor_rows_off_the_grid_change_the_table() -> None:
    spec = small_spec()
    trials = synthetic_trials(spec, missing=0.3)
    table = condition_table(spec, trials)
    order = np.random.default_rng(0).permutation(trials.num_rows)
    assert condition_table(spec, trials.take(pa.array(order))).equals(table)
    assert condition_table(spec, pa.concat_tables([trials, trials])).equals(table)
    elsewhere = small_spec(sparsity=[0.6], hidden_dim=[40, 50], activation=["relu", "topk:3"], exponent=[0, 0.5])
    assert condition_table(spec, pa.concat_tables([trials, synthetic_trials(elsewhere)])).equals(table)


def test_random_starts_alone_tell_recovered_from_not() -> None:
    spec = small_spec(starts=["random"])
    table = condition_table(spec, synthetic_trials(spec))
    assert set(table["phase"].to_pylist()) == {"recovered", "not_recovered"}
    assert table["n_identifiable"].null_count == table.num_rows == table["objective_truth"].null_count


def test_no_trials_give_an_empty_table() -> None:
    assert condition_table(small_spec(), TRIALS.empty_table()).equals(CONDITIONS.empty_table())


@given(
    hnp.arrays(
        np.float64, hnp.array_shapes(min_dims=2, max_dims=2, max_side=6), elements=st.floats(-9, 9) | st.just(np.nan)
    )
)
def test_median_over_seeds_is_the_median_of_what_is_there(values: np.ndarray) -> None:
    for got, row in zip(median_over_seeds(values), values, strict=True):
        there = row[np.isfinite(row)]
        assert np.isnan(got) if there.size == 0 else got == pytest.approx(np.median(there))


def test_ten_thousand_trials_take_moments() -> None:
    spec = small_spec(
        sparsity={"start": 0.5, "stop": 0.995, "num": 25, "spacing": "log_density"},
        hidden_dim={"start": 20, "stop": 200, "num": 10, "spacing": "linear"},
        activation=["topk:1", "topk:2", "topk:4", "relu", "batchtopk:2"],
    )
    trials = synthetic_trials(spec)
    assert trials.num_rows == 10_000
    start = time.process_time()
    condition_table(spec, trials)
    assert time.process_time() - start < 3
