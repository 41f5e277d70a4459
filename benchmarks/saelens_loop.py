"""SAELens' own training function on its own synthetic data, in a Python of its own: SAELens pins other packages.

As a program it reads lines [n, d, m, k, batch, density, steps] and answers each with the processor time that
`sae_lens.synthetic.train_toy_sae` took. As a module it starts that program: with SAELENS_PYTHON, or with
this Python if SAELens (the extra `bench`) is installed beside this project.
"""

import contextlib
import importlib.util
import io
import json
import os
import subprocess
import sys
import time


def saelens_python() -> str | None:
    """A Python that has SAELens, or None."""
    if python := os.environ.get("SAELENS_PYTHON"):
        return python
    return sys.executable if importlib.util.find_spec("sae_lens") else None


class Saelens:
    """A process that trains SAELens' TopK SAEs (untied, biases), one thread, one at a time."""

    def __init__(self, python: str) -> None:
        threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        self._process = subprocess.Popen(
            [python, "-W", "ignore", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=os.environ | threads | {"WANDB_MODE": "disabled", "HF_HUB_OFFLINE": "1"},
        )

    def seconds(self, shape: tuple[int, int, int, int, int, float], count: int) -> float:
        """Processor time of so many steps of a shape (n, d, m, k, batch, density)."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps([*shape, count]), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError("the Python of SAELens ended; run benchmarks/saelens_loop.py by hand to see why")
        return float(answer)

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


def _serve() -> None:
    import torch
    from sae_lens import TopKTrainingSAE, TopKTrainingSAEConfig
    from sae_lens.synthetic import ActivationGenerator, FeatureDictionary, train_toy_sae

    torch.set_num_threads(1)
    for line in sys.stdin:
        n, d, m, k, batch, density, count = json.loads(line)
        sae = TopKTrainingSAE(TopKTrainingSAEConfig(d_in=d, d_sae=m, k=k))
        dictionary = FeatureDictionary(num_features=n, hidden_dim=d, initializer=None)
        generator = ActivationGenerator(n, density, std_firing_magnitudes=0.3)
        began = time.process_time()
        with contextlib.redirect_stdout(io.StringIO()):
            train_toy_sae(sae, dictionary, generator, training_samples=count * batch, batch_size=batch, lr=3e-3)
        print(time.process_time() - began, flush=True)


if __name__ == "__main__":
    _serve()
