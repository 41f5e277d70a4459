"""Make the README's picture: run examples/measured_shape.yaml and copy its PNG here.

make figures          (about five minutes on 2 cores; run it again and it continues)
"""

import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
REPOSITORY = HERE.parent.parent
OUT = REPOSITORY / "runs" / "readme"

spec = REPOSITORY / "examples" / "measured_shape.yaml"
command = [sys.executable, "-m", "saephase", "run", str(spec), "--out", str(OUT)]
status = subprocess.run(command, cwd=REPOSITORY, check=False).returncode
if status == 0:
    shutil.copyfile(OUT / "phase_diagram.png", HERE / "phase_diagram.png")
sys.exit(status)
