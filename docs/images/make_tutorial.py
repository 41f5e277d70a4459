"""Make the tutorial's pictures: run the commands of docs/tutorial/first-diagram.md and copy what they draw here.

python docs/images/make_tutorial.py          (about a minute on two cores)
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE.parent / "tutorial" / "first-diagram.md"
PICTURES = ("first_diagram.svg", "first_six_seeds.svg")

variables = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
pictures = iter(PICTURES)
with tempfile.TemporaryDirectory() as folder:
    for block in re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL):
        subprocess.run(["bash", "-ec", block], cwd=folder, env=variables, check=True)
        if block.startswith("saephase run"):
            shutil.copyfile(Path(folder) / "runs" / "first" / "phase_diagram.svg", HERE / next(pictures))
