"""A pack of this project's trainer: SAEs of one shape on one stream of data, drawn once for all of them."""

import time

import numpy as np

from phase_diagrams.activation import parse_activation
from phase_diagrams.spec import Data, Training
from phase_diagrams.trial import Condition, Trial
from workers.sae import initialise
from workers.sampler import open_stream
from workers.training import Model, train


class FusedPack:
    """Steps of a pack; a step trains each of its `models` once."""

    def __init__(
        self, n: int, d: int, m: int, activation: str, batch: int, tied: bool, density: float, models: int = 1
    ) -> None:
        data = Data(n_features=n, n_inputs=d)
        dictionary = np.random.default_rng(0).standard_normal((d, n)).astype(np.float32)
        dictionary /= np.linalg.norm(dictionary, axis=0)
        chosen = parse_activation(activation)
        trials = [Trial(Condition(1 - density, m, chosen, 0.0), seed, "random") for seed in range(models)]
        self.models = [Model(initialise(trial, dictionary), chosen, np.ones(d, np.float32)) for trial in trials]
        self.stream = open_stream(data, dictionary, 1 - density, 1)
        self.batch, self.tied = batch, tied

    def seconds(self, count: int) -> float:
        """Processor time of so many steps."""
        began = time.process_time()
        train(self.models, self.stream, Training(steps=count, batch_size=self.batch), self.tied)
        return time.process_time() - began
