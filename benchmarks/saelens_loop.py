"""SAELens' own training function on its own synthetic data, in a Python of its own: SAELens pins other packages.

As a program it reads one line (n, d, m, k, batch, density as JSON), then numbers of steps, and answers each with the
seconds that `sae_lens.synthetic.train_toy_sae` took. As a module it starts that program: with SAELENS_PYTHON, or with
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


class SaelensLoop:
    """Steps of SAELens' TopK SAE (untied, biases), one thread."""

    def __init__(self, python: str, n: int, d: int, m: int, k: int, batch: int, density: float) -> None:
        threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        self.process = subprocess.Popen(
            [python, "-W", "ignore", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=os.environ | threads | {"WANDB_MODE": "disabled", "HF_HUB_OFFLINE": "1"},
        )
        self._ask(json.dumps([n, d, m, k, batch, density]))

    def seconds(self, count: int) -> float:
        """Wall time of so many steps."""
        return float(self._ask(str(count)))

    def close(self) -> None:
        """End the process."""
        self.process.communicate()

    def _ask(self, line: str) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(line, file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError("the Python of SAELens ended; run benchmarks/saelens_loop.py by hand to see why")
        return answer


def _serve() -> None:
    import torch
    from sae_lens import TopKTrainingSAE, TopKTrainingSAEConfig
    from sae_lens.synthetic import ActivationGenerator, FeatureDictionary, train_toy_sae

    torch.set_num_threads(1)
    n, d, m, k, batch, density = json.loads(sys.stdin.readline())
    sae = TopKTrainingSAE(TopKTrainingSAEConfig(d_in=d, d_sae=m, k=k))
    dictionary = FeatureDictionary(num_features=n, hidden_dim=d, initializer=None)
    generator = ActivationGenerator(n, density, std_firing_magnitudes=0.3)
    print("ready", flush=True)
    for line in sys.stdin:
        began = time.perf_counter()
        with contextlib.redirect_stdout(io.StringIO()):
            train_toy_sae(sae, dictionary, generator, training_samples=int(line) * batch, batch_size=batch, lr=3e-3)
        print(time.perf_counter() - began, flush=True)


if __name__ == "__main__":
    _serve()
