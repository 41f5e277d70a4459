"""docs/scale.md against the simulation that its tables come from."""

from pathlib import Path

import pytest

from benchmarks.scale import CORES_PER_GPU, MEASURED
from benchmarks.simulation import Overheads
from workers.fan_out import MAX_PENDING

PAGE = (Path(__file__).parents[2] / "docs" / "scale.md").read_text()
COSTS = Overheads()


@pytest.mark.parametrize(
    "told",
    [
        f"| {1000 * COSTS.driver:g} ms |",
        f"| {1000 * COSTS.looking:g} ms |",
        f"| {1000 * COSTS.merging:g} ms per trial |",
        f"| {1000 * COSTS.planning / 2:g} ms per trial |",
        f"| {1000 * COSTS.writing:g}, {1000 * COSTS.checking:g}, ",
        f"| {COSTS.actor:g} s, ",
        f"{MAX_PENDING} start at a time",
        f"{1e6 * MEASURED['small'][5]:g} us per step",
        f"{1e6 * MEASURED['large'][5]:,g} us at",
        "{} or {} of the cores".format(", ".join(map(str, CORES_PER_GPU[:-1])), CORES_PER_GPU[-1]),
    ],
)
def test_the_page_states_what_the_simulation_assumes(told: str) -> None:
    assert told in PAGE
