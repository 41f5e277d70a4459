"""A finished dense grid, replayed: refinement, random and Sobol designs and adaptive's Learner2D on its outcomes.

    saephase run benchmarks/refinement_replay.yaml --out runs/dense
    python benchmarks/refinement_replay.py runs/dense --out replay.jsonl [--designs refined random sobol learner2d]
    python benchmarks/refinement_replay.py runs/dense --out replay.jsonl --table

Nothing is trained. The table's conditions are the candidates. A repetition draws four of its seeds and replays them,
and its truth is the fit of all the others, i.e. other outcomes of the same conditions. The grid is all conditions with
the four seeds. Refinement is refine_planner.py as a job runs it, for all panels and both starts at once; each boundary
is judged by itself, so a training counts for the whole job that it is a part of.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from scipy.interpolate import RegularGridInterpolator
from scipy.stats import qmc

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from refinement_score import DESIGNS, Line, Record, append_record, read_records, table  # noqa: E402

from phase_diagrams.band import probits_of  # noqa: E402
from phase_diagrams.folder import open_folder, read_trials  # noqa: E402
from phase_diagrams.lattice import Lattice  # noqa: E402
from phase_diagrams.refine_fields import count_outcomes, group_lattice, panel_groups  # noqa: E402
from phase_diagrams.refine_planner import RefinePlanner  # noqa: E402
from phase_diagrams.refinement import Estimate, estimate  # noqa: E402
from phase_diagrams.spec import JobSpec, parse_spec, read_spec  # noqa: E402
from phase_diagrams.trial import Condition, Trial, trial_namer  # noqa: E402

SEEDS = 4
"""Seeds of a replay: all of them in the grid, at most so many in refinement."""
COARSE = 4
"""Every so-manieth value of an axis is in the coarse start."""
SLACK = 0.05
"""Share of the grid's error by which an equal one may be larger: all designs end at the same outcomes, so that errors
come to within a hundredth of the grid's long before, and then cross it by chance."""
AT_ONCE = 24
"""Conditions that Learner2D is asked for at a time, as many as refinement's smallest round."""
REPETITIONS = 20
"""They share seeds, so their intervals are too narrow where the seeds are few."""
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Held:
    """A dense job's rows, as if the spec of a replay had asked for them."""

    spec: JobSpec
    rows: pa.Table

    def of(self, trials: list[Trial]) -> pa.Table:
        name = trial_namer(self.spec)
        return self.rows.filter(pc.is_in(self.rows["trial_id"], value_set=pa.array(map(name, trials), pa.string())))

    def estimates(self, rows: pa.Table) -> list[tuple[str, str, Lattice, Estimate]]:
        """Every boundary fitted to rows: panel, start, lattice, posterior."""
        groups = panel_groups(self.spec, self.spec.refine)
        found = []
        for group, outcomes in zip(groups, count_outcomes(self.spec, groups, rows), strict=True):
            lattice = group_lattice(self.spec, group)
            for start, (counts, totals) in zip(self.spec.grid.starts, outcomes, strict=True):
                label = ", ".join(map(str, group.panels))
                found.append((label, start, lattice, estimate(lattice, counts, totals, CONFIDENCE)))
        return found


def replayed(dense: JobSpec, rows: pa.Table, seeds: list[int], budget: int) -> Held:
    """The dense job's rows of some seeds, named as trials of a refined job whose candidates are its conditions."""
    document = dense.model_dump(mode="json", exclude_none=True)
    sparsities, widths = sorted(dense.grid.sparsity), sorted(dense.grid.hidden_dim)
    document["grid"] |= {"seeds": seeds, "sparsity": sparsities[::COARSE], "hidden_dim": widths[::COARSE]}
    candidates = {"sparsity": len(sparsities), "hidden_dim": len(widths)}
    document["refine"] = {"budget": budget, "tolerance": 0.001, "candidates": candidates}
    spec = parse_spec(document)
    if (len(spec.sparsities), len(spec.widths)) != (len(sparsities), len(widths)):
        raise ValueError("the dense grid's axes must be even in log(1 - S) and in log n_m")
    # A width may be rounded the other way where it stands between two of the coarse start: the ranks are the same.
    sparsity, width = (
        dict(zip(old, new, strict=True)) for old, new in ((sparsities, spec.sparsities), (widths, spec.widths))
    )
    activations = {(each.kind, each.k, each.l1): each for each in spec.grid.activations}
    mine = rows.filter(pc.is_in(rows["seed"], value_set=pa.array(seeds)))
    name = trial_namer(spec)
    asked = ("sparsity", "hidden_dim", "activation", "k", "l1", "exponent", "seed", "start")
    columns = [mine[column].to_pylist() for column in asked]
    names, new_sparsities, new_widths = [], [], []
    for s, n, kind, k, l1, exponent, seed, start in zip(*columns, strict=True):
        condition = Condition(sparsity[s], width[n], activations[kind, k, l1], exponent)
        names.append(name(Trial(condition, seed, start)))
        new_sparsities.append(condition.sparsity)
        new_widths.append(condition.hidden_dim)
    for column, values in (("trial_id", names), ("sparsity", new_sparsities), ("hidden_dim", new_widths)):
        field = mine.schema.field(column)
        mine = mine.set_column(mine.schema.get_field_index(column), field, pa.array(values, field.type))
    return Held(spec, mine)


def refined(held: Held) -> Iterator[pa.Table]:
    """What refinement has, round by round."""
    planner = RefinePlanner(held.spec, held.spec.refine)
    parts: list[pa.Table] = []
    while trials := planner.ask():
        parts.append(held.of(trials))
        planner.tell(parts[-1])
        yield pa.concat_tables(parts)


def designed(held: Held, name: str, repetition: int) -> Iterator[pa.Table]:
    """Conditions in the order of a design, each with the next of its seeds, in every panel and from every start."""
    rng = np.random.Generator(np.random.Philox(key=[repetition, len(name)]))
    spec = held.spec
    lattice = group_lattice(spec, panel_groups(spec, spec.refine)[0])
    per_place = len(spec.grid.starts) * len(spec.grid.activations)
    room = spec.refine.budget // per_place
    free = rng.permuted(np.tile(np.arange(SEEDS), (len(lattice.places), 1)), axis=1)
    rank = {pair: i for i, pair in enumerate(product(spec.sparsities, spec.widths))}
    sparsity, width = held.rows["sparsity"].to_pylist(), held.rows["hidden_dim"].to_pylist()
    place = [rank[pair] for pair in zip(sparsity, width, strict=True)]
    seed = [spec.grid.seeds.index(each) for each in held.rows["seed"].to_pylist()]
    if name == "learner2d":
        outcomes = np.zeros((len(lattice.places), SEEDS, per_place))
        # Rows of one condition and seed stand in the order of panels and starts, whatever that is.
        kinds = [*zip(*(held.rows[each].to_pylist() for each in ("activation", "k", "start")), strict=True)]
        kind = [sorted(set(kinds), key=str).index(each) for each in kinds]
        outcomes[place, seed, kind] = held.rows["identified"].to_pylist()
        order = learned(lattice, free, outcomes, room)
    else:
        sobol = qmc.Sobol(2, rng=int(rng.integers(2**32)))
        order = laid(lattice, free, rng.random((4 * room, 2)) if name == "random" else sobol.random(4 * room))[:room]
    when = np.full((len(lattice.places), SEEDS), len(order))
    for i, pair in enumerate(order):
        when[pair] = i
    turn: npt.NDArray[np.intp] = when[place, seed]
    for size in np.unique(np.geomspace(room / 12, room, 9).round().astype(int)):
        yield held.rows.filter(pa.array(turn < size))


def laid(lattice: Lattice, free: npt.NDArray[np.intp], points: npt.NDArray[np.float64]) -> list[tuple[int, int]]:
    """The nearest condition of each point, where it has a seed left: place and seed."""
    used = np.zeros(len(lattice.places), dtype=int)
    order: list[tuple[int, int]] = []
    for point in points:
        near = int(np.argmin(((lattice.places - point) ** 2).sum(axis=1)))
        if used[near] < SEEDS:
            order.append((near, int(free[near, used[near]])))
            used[near] += 1
    return order


def learned(
    lattice: Lattice, free: npt.NDArray[np.intp], outcomes: npt.NDArray[np.float64], room: int
) -> list[tuple[int, int]]:
    """The nearest condition that has a seed left of each point that Learner2D asks for; it learns all its outcomes."""
    from adaptive import Learner2D  # type: ignore[import-not-found]

    learner = Learner2D(lambda point: np.zeros(outcomes.shape[2]), bounds=[(0, 1), (0, 1)])
    used = np.zeros(len(lattice.places), dtype=int)
    order: list[tuple[int, int]] = []
    while len(order) < room:
        for point in learner.ask(min(AT_ONCE, room - len(order)))[0]:
            distance = ((lattice.places - point) ** 2).sum(axis=1)
            near = int(np.argmin(np.where(used < SEEDS, distance, np.inf)))
            order.append((near, int(free[near, used[near]])))
            used[near] += 1
            learner.tell(point, outcomes[order[-1]])
    return order


def run_repetition(dense: JobSpec, rows: pa.Table, repetition: int, designs: Sequence[str]) -> list[Record]:
    seeds = list(dense.grid.seeds)
    rng = np.random.Generator(np.random.Philox(key=[repetition, len(seeds)]))
    mine = sorted(rng.choice(seeds, SEEDS, replace=False).tolist())
    others = [seed for seed in seeds if seed not in mine]
    budget = rows.num_rows // len(seeds) * SEEDS
    held, truth = replayed(dense, rows, mine, budget), replayed(dense, rows, others, budget)
    lines, records = [], []
    for (panel, start, lattice, found), (*_, whole) in zip(
        truth.estimates(truth.rows), held.estimates(held.rows), strict=True
    ):
        at = RegularGridInterpolator(lattice.axes, probits_of(found.above).reshape(lattice.shape))
        line = Line(lambda x, y, at=at: at((x, y)))
        grid = line.read(lattice, whole.above, held.rows.num_rows)
        lines.append(line)
        records.append({"panel": panel, "start": start, "repetition": repetition, "grid": grid._asdict()})
    for name in designs:
        for had in refined(held) if name == "refined" else designed(held, name, repetition):
            for record, line, (*_, lattice, found) in zip(records, lines, held.estimates(had), strict=True):
                reading = line.read(lattice, found.above, had.num_rows, found.reach)
                record.setdefault(name, []).append(reading._asdict())
    return records


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of the dense grid")
    parser.add_argument("--out", type=Path, required=True, help="file to append results to, a JSON line each")
    parser.add_argument("--designs", nargs="+", default=["refined", "random", "sobol"], choices=DESIGNS)
    parser.add_argument("--table", action="store_true", help="print the results in that file")
    arguments = parser.parse_args()
    if arguments.table:
        print(table(read_records(arguments.out), ("panel", "start"), SLACK))
        return 0
    folder = open_folder(str(arguments.folder))
    dense, rows = read_spec(folder.read("spec.json").decode()), read_trials(folder)
    for repetition in range(REPETITIONS):
        for record in run_repetition(dense, rows, repetition, arguments.designs):
            append_record(arguments.out, record)
    return 0


if __name__ == "__main__":
    sys.exit(main())
