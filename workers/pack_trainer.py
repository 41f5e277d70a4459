"""A pack's description to its file: the actor that Ray Tune starts, feeds with packs, and replaces if it dies."""

import importlib
import json
import socket
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from ray import tune

from phase_diagrams.activation import parse_activation
from phase_diagrams.folder import open_folder, write_pack
from phase_diagrams.pack import Pack
from phase_diagrams.spec import JobSpec, read_spec
from phase_diagrams.trial import Condition, Trial, content_digest, trial_namer

Train = Callable[[JobSpec, npt.NDArray[np.float32], Pack, str], pa.Table]
"""Trains a pack: (spec, dictionary, pack, device) to one row per trial, in order (schema TRIALS)."""


@dataclass(frozen=True, slots=True)
class Order:
    """What all packs of a job share; it reaches each actor once, through Ray's object store."""

    spec_json: str
    dictionary: npt.NDArray[np.float32]
    location: str
    """Path or URI of the output folder, which every node must see."""
    device: str
    train: str
    """The training function as "module:name"; it is imported where it runs."""


def pack_config(pack: Pack) -> dict[str, str | int | float]:
    """A pack as a small Tune config; `config_pack` reads it back."""
    conditions = [
        [trial.condition.hidden_dim, str(trial.condition.activation), trial.condition.exponent, trial.start]
        for trial in pack.trials
    ]
    # One JSON text: Tune copies, flattens and tags every entry of a config.
    return {"id": pack.pack_id, "sparsity": pack.sparsity, "seed": pack.seed, "trials": json.dumps(conditions)}


def config_pack(spec: JobSpec, config: dict[str, Any]) -> Pack:
    """The pack that a config describes; a ValueError where this process would name its trials otherwise."""
    sparsity, seed = config["sparsity"], config["seed"]
    trials = tuple(
        Trial(Condition(sparsity, hidden_dim, parse_activation(activation), exponent), seed, start)
        for hidden_dim, activation, exponent, start in json.loads(config["trials"])
    )
    name = trial_namer(spec)
    trial_ids = tuple(name(trial) for trial in trials)
    if content_digest(list(trial_ids)) != config["id"]:
        raise ValueError("it runs another version of saephase than the driver; install the same version on every node")
    return Pack(config["id"], sparsity, seed, trials, trial_ids, 0.0)


def find_function(name: str) -> Train:
    """Import a function by "module:name"."""
    module, _, attribute = name.partition(":")
    function: Train = getattr(importlib.import_module(module), attribute)
    return function


class PackTrainer(tune.Trainable):
    """Trains one pack per step and writes its file; only a few words go back to Tune.

    An error of the training comes back as `failed` where the process is as good as new after it; else it is raised,
    which ends the actor, so that the next attempt starts in a clean process. What no other pack could do better either
    (nothing to import, no place to write) comes back as `fatal`.
    """

    def setup(self, config: dict[str, Any], order: Order) -> None:  # type: ignore[override] # tune.with_parameters
        """Import what trains, once per process."""
        self._order = order
        self._fatal = ""
        try:
            self._spec = read_spec(order.spec_json)
            self._train = find_function(order.train)
            self._folder = open_folder(order.location)
        except Exception as error:
            self._fatal = self._told("cannot start", error)
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next pack."""
        self._config, self.config = new_config, {}  # Tune would send self.config back with every result
        return True

    def step(self) -> dict[str, Any]:
        """Train the pack and write it."""
        if self._fatal:
            return {"done": True, "fatal": self._fatal}
        try:
            pack = config_pack(self._spec, self._config)
        except ValueError as error:
            return {"done": True, "fatal": self._told("cannot start", error)}
        try:
            rows = self._train(self._spec, self._order.dictionary, pack, self._order.device)
            if rows["trial_id"].to_pylist() != list(pack.trial_ids):
                raise ValueError("the training function did not return one row per trial of the pack, in order")
        except Exception as error:
            # A failed CUDA call can make all later ones of the process fail; memory may be held until it ends.
            if self._order.device != "cpu" or isinstance(error, MemoryError):
                raise
            return {"done": True, "failed": traceback.format_exc()}
        try:
            write_pack(self._folder, pack.pack_id, rows)
        except OSError as error:
            return {"done": True, "fatal": self._told(f"cannot write to {self._order.location}", error)}
        return {"done": True, "seconds": sum(rows["train_seconds"].to_pylist())}

    def _told(self, what: str, error: Exception) -> str:
        return f"A worker on {socket.gethostname()} {what}: {type(error).__name__}: {error}"
