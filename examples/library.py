"""The library without the command: one panel of a phase diagram, trained in this process and drawn as SVG."""

import sys
from pathlib import Path

import pyarrow as pa

from phase_diagrams.conditions import condition_table
from phase_diagrams.figure import diagram
from phase_diagrams.pack import cut_packs
from phase_diagrams.panel import boundary_table, trace_boundaries
from phase_diagrams.planted import plant_dictionary
from phase_diagrams.render import draw
from phase_diagrams.spec import parse_spec
from phase_diagrams.trial import grid_trials
from workers.pack_run import run_pack

spec = parse_spec(
    {
        "name": "six antipodal pairs",
        "data": {"n_features": 12, "n_inputs": 6, "superposition": {"kind": "polygon", "digon": 6}},
        "grid": {"sparsity": [0.5, 0.8, 0.95], "hidden_dim": [6, 12, 24], "activation": ["topk:1"], "seeds": 4},
        "training": {"steps": 400, "batch_size": 256},
    }
)
dictionary = plant_dictionary(spec.data)  # W_p, (n_inputs, n_features)
trials = pa.concat_tables(run_pack(spec, dictionary, pack) for pack in cut_packs(spec, grid_trials(spec)))
conditions = condition_table(spec, trials)
for row in conditions.to_pylist():
    print("S = {sparsity:.2f}, n_m = {hidden_dim:2d}: {n_identified} of {n_seeds} seeds, {phase}".format(**row))
boundary = boundary_table(trace_boundaries(spec, conditions))
picture = draw(diagram(spec, conditions, boundary, dictionary))
Path(sys.argv[1] if len(sys.argv) > 1 else "diagram.svg").write_bytes(picture["phase_diagram.svg"])
