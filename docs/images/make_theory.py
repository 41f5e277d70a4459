"""Make the figures of docs/theory.md: run three_conditions.yaml at three sizes and on antipodal pairs, and cut.

python docs/images/make_theory.py      (some forty minutes on 2 cores; run it again and it continues)
"""

import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
REPOSITORY = HERE.parent.parent
SPEC = REPOSITORY / "examples" / "three_conditions.yaml"
OUT = REPOSITORY / "runs" / "theory"
JOBS = {
    "random20": (
        "name=random directions, n = 20",
        "data.n_features=20",
        "data.n_inputs=5",
        "grid.hidden_dim=[10, 15, 20, 30, 40]",
        'grid.activation=["topk:1", "topk:2", "topk:4", "relu"]',
    ),
    "random40": (),
    "random80": (
        "name=random directions, n = 80",
        "data.n_features=80",
        "data.n_inputs=20",
        "grid.hidden_dim=[80, 160]",
        'grid.activation=["topk:2", "topk:4", "topk:8"]',
    ),
    "digons40": (
        "name=antipodal pairs, n = 40",
        "data.n_inputs=20",
        "data.superposition={kind: polygon, digon: 20}",
        "grid.hidden_dim=[20, 40, 80]",
        'grid.activation=["topk:1", "topk:4", "relu"]',
    ),
}
SIZES = ("random20", "random40", "random80")
CUTS = {
    "sparsity": (SIZES, "hidden_dim=2n", "activation=topk:0.05n"),
    "k": (("random40",), "hidden_dim=80", "sparsity=0.9121"),
    "hidden_dim": (("random40",), "activation=topk:2", "sparsity=0.9431"),
}
PICTURES = {"sparsity": "theory_sparsity", "k": "theory_activation", "hidden_dim": "theory_width"}


def saephase(*arguments: str) -> None:
    """Run the command and stop where it fails."""
    status = subprocess.run([sys.executable, "-m", "saephase", *arguments], cwd=REPOSITORY, check=False).returncode
    if status:
        sys.exit(status)


for name, changes in JOBS.items():
    settings = [word for change in changes for word in ("--set", change)]
    saephase("run", str(SPEC), "--out", str(OUT / name), *settings)
for axis, (names, *fixed) in CUTS.items():
    at = [word for place in fixed for word in ("--at", place)]
    part = ["--between", "0.5:0.985"] if axis == "sparsity" else []
    saephase("cut", *(str(OUT / name) for name in names), "--axis", axis, *at, *part, "--out", str(OUT / f"cut_{axis}"))
    shutil.copyfile(OUT / f"cut_{axis}" / "cut.png", HERE / f"{PICTURES[axis]}.png")
saephase("diff", str(OUT / "random40"), str(OUT / "digons40"), "--out", str(OUT / "diff"))
shutil.copyfile(OUT / "diff" / "difference.png", HERE / "theory_interference.png")
