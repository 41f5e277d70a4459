"""The same cut through three sizes: does the transition along the sparsity get sharper as n grows?

python examples/finite_size.py runs/finite_size [KEY=VALUE ...]

runs examples/finite_size.yaml at n = 20, 40 and 80, with n_p / n, n_m / n and k / n fixed (some ten minutes on two
cores), and cuts through all three; run again it continues. Further KEY=VALUE change the specs, such as grid.seeds=12.
"""

import subprocess
import sys
from pathlib import Path

SPEC = Path(__file__).parent / "finite_size.yaml"
out, changes = Path(sys.argv[1]), sys.argv[2:]


def saephase(*arguments: str) -> None:
    """Run the command and stop where it fails."""
    if subprocess.run([sys.executable, "-m", "saephase", *arguments], check=False).returncode:
        sys.exit(f"saephase {arguments[0]} failed")


folders = []
for n in (20, 40, 80):
    size = [
        f"name=n = {n}",
        f"data.n_features={n}",
        f"data.n_inputs={n // 4}",
        f"grid.hidden_dim=[{n}, {2 * n}]",
        f'grid.activation=["topk:{n // 20}"]',
    ]
    settings = [word for change in [*size, *changes] for word in ("--set", change)]
    folders.append(str(out / f"n{n}"))
    saephase("run", str(SPEC), "--out", folders[-1], *settings)
fixed = ["--axis", "sparsity", "--at", "hidden_dim=2n", "--at", "activation=topk:0.05n", "--between", "0.5:0.985"]
saephase("cut", *folders, *fixed, "--out", str(out / "cut"))
