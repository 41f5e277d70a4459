import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import workers

HERE = Path(workers.__file__).parents[1]
ASK = "from workers.kernel_cache import kernels_compiled; import sys; print(kernels_compiled(), 'numba' in sys.modules)"
TRAIN = """
import numpy as np
from phase_diagrams.activation import parse_activation
from phase_diagrams.spec import Data, Training
from phase_diagrams.trial import Condition, Trial
from workers.sae import initialise
from workers.sampler import open_stream
from workers.training import Model, train
W = np.eye(4, 6, dtype=np.float32)
activation = parse_activation("topk:1")
one = Model(initialise(Trial(Condition(0.5, 4, activation, 0.0), 0, "random"), W), activation, np.ones(4, np.float32))
train([one], open_stream(Data(n_features=6, n_inputs=4), W, 0.5, 1), Training(steps=1, batch_size=16), True)
"""


def run(copy, code, **variables):
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(copy), **variables}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=copy, env=environment, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.mark.long
def test_a_copy_of_the_package_is_compiled_once_it_has_trained(tmp_path):
    skip = shutil.ignore_patterns("__pycache__")
    for package in ("workers", "phase_diagrams"):
        shutil.copytree(HERE / package, tmp_path / package, ignore=skip)
    assert run(tmp_path, ASK) == "False False"
    assert run(tmp_path, ASK, NUMBA_CACHE_DIR=str(tmp_path / "elsewhere")) == "True False"
    run(tmp_path, TRAIN)
    assert run(tmp_path, ASK) == "True False"
    kernels = tmp_path / "workers" / "kernels.py"
    kernels.write_text(kernels.read_text() + "\n# changed\n")
    assert run(tmp_path, ASK) == "False False"
