"""What it takes to choose a round of a refined job: seconds of RefinePlanner.ask on made-up rows, nothing trained.

    OMP_NUM_THREADS=1 python benchmarks/refinement_rounds.py [--budget 2600] [--k]

Four topk panels, both starts, 41 x 33 candidates each. Every round is printed: trainings so far, wall and processor
seconds to choose it; then the rounds from 1,800 trainings on, in which one in eight of the fits is made afresh.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from phase_diagrams.refine_planner import RefinePlanner  # noqa: E402
from tests.phase_diagrams.planted_boundary import planted_rows, refined_spec  # noqa: E402

LATE = 1_800
"""Trainings from which on rounds are summed up."""


def rounds(budget: int, with_k: bool) -> list[tuple[int, float, float]]:
    """Trainings before each round, and the wall and processor seconds that choosing it took."""
    axes = ["sparsity", "hidden_dim", *(["k"] if with_k else [])]
    activations = [f"topk:{k}" for k in (1, 2, 4, 8)]
    spec = refined_spec(budget, activation=activations, tolerance=0.001, seeds=8, axes=axes)
    planner = RefinePlanner(spec, spec.refine)
    found, asked = [], 0
    while True:
        wall, processor = time.perf_counter(), time.process_time()
        trials = planner.ask()
        found.append((asked, time.perf_counter() - wall, time.process_time() - processor))
        if not trials:
            return found
        asked += len(trials)
        planner.tell(planted_rows(spec, trials))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget", type=int, default=2_600)
    parser.add_argument("--k", action="store_true", help="with k as an axis")
    arguments = parser.parse_args()
    found = rounds(arguments.budget, arguments.k)
    for asked, wall, processor in found:
        print(f"{asked:6,} trainings: {wall:.2f} s, {processor:.2f} s of processor time")
    late = [wall for asked, wall, _ in found[:-1] if asked >= LATE]
    print(f"from {LATE:,} on: median {statistics.median(late):.2f} s, largest {max(late):.2f} s, {len(late)} rounds")
    return 0


if __name__ == "__main__":
    sys.exit(main())
