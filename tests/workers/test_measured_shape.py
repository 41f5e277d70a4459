"""What an independent trainer measured, again: n = 40, n_p = 10, tied, Bernoulli, uniform magnitudes, 1,500 steps.

Recovered fraction at cosine .9, from random and from truth starts, for two dictionaries kept beside the tests.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from phase_diagrams.conditions import condition_table
from phase_diagrams.pack import cut_packs
from phase_diagrams.planted import plant_dictionary
from phase_diagrams.spec import parse_spec
from phase_diagrams.trial import grid_trials
from workers.pack_run import run_pack

DATA = Path(__file__).parent.parent / "data"
ACTIVATIONS = ["topk:1", "topk:2", "topk:4", "relu"]
MEASURED = {
    ("random_unit", 0.5, 40): [(0.02, 0.02), (0.02, 0.16), (0.00, 0.20), (0.00, 0.51)],
    ("random_unit", 0.8, 40): [(0.09, 0.33), (0.23, 0.73), (0.07, 0.50), (0.00, 0.53)],
    ("random_unit", 0.9, 40): [(0.84, 1.00), (0.79, 0.97), (0.25, 0.90), (0.00, 0.43)],
    ("random_unit", 0.9, 80): [(0.98, 1.00), (0.87, 1.00), (0.27, 0.91), (0.00, 0.58)],
    ("random_unit", 0.95, 20): [(0.33, 0.38), (0.34, 0.33), (0.09, 0.12), (0.00, 0.00)],
    ("random_unit", 0.95, 40): [(0.88, 1.00), (0.81, 1.00), (0.30, 0.88), (0.00, 0.40)],
    ("random_unit", 0.95, 80): [(1.00, 1.00), (0.99, 1.00), (0.45, 0.92), (0.00, 0.62)],
    ("toy_model", 0.5, 40): [(0.00, 1.00), (0.00, 1.00), (0.00, 1.00), (0.01, 0.88)],
    ("toy_model", 0.8, 40): [(0.69, 1.00), (0.48, 1.00), (0.05, 1.00), (0.01, 0.78)],
    ("toy_model", 0.9, 40): [(0.94, 1.00), (0.95, 1.00), (0.46, 1.00), (0.01, 0.53)],
    ("toy_model", 0.95, 40): [(0.94, 1.00), (0.93, 1.00), (0.61, 1.00), (0.00, 0.51)],
    ("toy_model", 0.95, 80): [(1.00, 1.00), (1.00, 1.00), (1.00, 1.00), (0.00, 0.89)],
}


@pytest.fixture(scope="module")
def measured():
    """Trials and conditions of every place of the table, by (dictionary, S, n_m)."""
    tables = {}
    for place in MEASURED:
        name, sparsity, hidden_dim = place
        superposition = {"kind": "explicit", "path": f"{name}_10x40.npy"}
        spec = parse_spec(
            {
                "data": {"n_features": 40, "n_inputs": 10, "superposition": superposition},
                "grid": {"sparsity": [sparsity], "hidden_dim": [hidden_dim], "activation": ACTIVATIONS, "seeds": 4},
            },
            DATA,
        )
        packs = cut_packs(spec, grid_trials(spec))
        trials = pa.concat_tables(run_pack(spec, plant_dictionary(spec.data), pack) for pack in packs)
        tables[place] = trials.to_pylist(), condition_table(spec, trials).to_pylist()
    return tables


@pytest.mark.long
@pytest.mark.parametrize("place", MEASURED)
def test_recovered_fractions_are_within_fifteen_hundredths(measured, place):
    trials, _ = measured[place]
    for activation, expected in zip(ACTIVATIONS, MEASURED[place], strict=True):
        for start, value in zip(("random", "truth"), expected, strict=True):
            found = np.mean(
                [
                    row["recovered_fraction"]
                    for row in trials
                    if _activation(row) == activation and row["start"] == start
                ]
            )
            assert found == pytest.approx(value, abs=0.15), (place, activation, start)


@pytest.mark.long
def test_phases_are_where_the_table_puts_them(measured):
    phase = {
        (*place, _activation(row)): row["phase"] for place, (_, conditions) in measured.items() for row in conditions
    }
    for activation in ACTIVATIONS:
        assert phase["random_unit", 0.5, 40, activation] == "objective_limited"
        assert phase["random_unit", 0.95, 20, activation] != "recovered"
    assert "recovered" not in {found for place, found in phase.items() if place[3] == "relu"}
    for activation in ("topk:1", "topk:2"):
        assert phase["random_unit", 0.95, 80, activation] == "recovered"
    for activation in ("topk:2", "topk:4"):
        assert phase["toy_model", 0.8, 40, activation] == "optimiser_limited"
    for activation in ("topk:1", "topk:2", "topk:4"):
        assert phase["toy_model", 0.95, 80, activation] == "recovered"


def _activation(row):
    return row["activation"] if row["k"] is None else f"{row['activation']}:{row['k']}"
