"""A retrained SAE to the two files that SAELens loads: weights as safetensors, configuration as JSON."""

import json
from typing import Any

import numpy as np
import safetensors.numpy

from phase_diagrams.caption import software_version
from phase_diagrams.spec import JobSpec
from workers.retraining import Retrained

WEIGHTS_FILE, CONFIG_FILE = "sae_weights.safetensors", "cfg.json"
"""Names that `SAE.load_from_disk` looks for."""
FORMAT_VERSION = "6.54.12"
"""The SAELens whose layout this is; with an older number, or none, it would rename keys."""


def saelens_files(spec: JobSpec, trial_id: str, retrained: Retrained) -> dict[str, bytes]:
    """The files of an SAE, by name; a SAELens SAE of them encodes and decodes as the trial's did.

    topk becomes SAELens' topk, relu and relu_l1 its standard, batchtopk its jumprelu with one threshold for all, as
    SAELens itself does with batchtopk. Nothing is folded: z = sigma((x_p - b_dec) W_enc + b_enc) in both, and the
    reweighting exponent is in the loss only. A tied SAE has the same rows in W_enc and W_dec, not of unit norm.
    """
    weights = retrained.weights
    tensors = {
        "W_enc": np.ascontiguousarray(weights.encoder.T),
        "W_dec": np.ascontiguousarray(weights.decoder),
        "b_enc": weights.encoder_bias,
        "b_dec": weights.decoder_bias,
    }
    config = _config(spec, trial_id, retrained)
    if config["architecture"] == "jumprelu":
        tensors["threshold"] = np.full(len(weights.encoder), retrained.threshold, np.float32)
    return {
        WEIGHTS_FILE: safetensors.numpy.save(tensors),
        CONFIG_FILE: (json.dumps(config, indent=2) + "\n").encode(),
    }


def _config(spec: JobSpec, trial_id: str, retrained: Retrained) -> dict[str, Any]:
    condition, trial = retrained.trial.condition, retrained.trial
    n_latents, n_inputs = retrained.weights.encoder.shape
    config: dict[str, Any] = {
        "architecture": {"topk": "topk", "batchtopk": "jumprelu"}.get(condition.activation.kind, "standard"),
        "d_in": n_inputs,
        "d_sae": n_latents,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": True,
        "normalize_activations": "none",
        "reshape_activations": "none",
    }
    if condition.activation.kind == "topk":
        # More latents than there are cannot be asked of torch.topk; all of them is what was meant.
        config |= {"k": min(condition.activation.k or 0, n_latents), "rescale_acts_by_decoder_norm": False}
    config["metadata"] = {
        "sae_lens_version": FORMAT_VERSION,
        "saephase_version": software_version(),
        "saephase_trial": {
            "trial_id": trial_id,
            "sparsity": condition.sparsity,
            "hidden_dim": condition.hidden_dim,
            "activation": str(condition.activation),
            "exponent": condition.exponent,
            "seed": trial.seed,
            "start": trial.start,
            "tied": spec.sae.tied,
            "equals_stored_row": not retrained.differing,
        },
        "saephase_spec": spec.model_dump(mode="json"),
    }
    return config
