"""One made-up job, as OpenAPI and its readers meet it everywhere."""

from typing import Any

EXAMPLE_ID = "9f86d081884c7d65"
EXAMPLE_SPEC: dict[str, Any] = {
    "name": "quickstart",
    "data": {"n_features": 40, "n_inputs": 10},
    "grid": {"sparsity": [0.5, 0.8, 0.9, 0.95], "hidden_dim": [20, 40, 80], "activation": ["topk:1", "topk:2", "relu"]},
}
EXAMPLE_PROGRESS: dict[str, Any] = {
    "trials_done": 96,
    "trials_total": 288,
    "trials_reused": 24,
    "seconds": 12.5,
    "eta_seconds": 25.0,
}
EXAMPLE_JOB: dict[str, Any] = {
    "id": EXAMPLE_ID,
    "name": "quickstart",
    "status": "running",
    "priority": 0,
    "owner": "ada",
    "created_at": "2026-11-22T09:30:00.000Z",
    "started_at": "2026-11-22T09:30:01.250Z",
    "ended_at": None,
    "progress": EXAMPLE_PROGRESS,
    "spec": EXAMPLE_SPEC,
    "error": None,
    "links": {"self": f"/v1/jobs/{EXAMPLE_ID}", "events": f"/v1/jobs/{EXAMPLE_ID}/events"},
}

EXAMPLE_CONDITION: dict[str, Any] = {
    "sparsity": 0.9,
    "hidden_dim": 40,
    "activation": "topk",
    "k": 2,
    "exponent": 0.0,
    "n_seeds": 4,
    "n_identified": 3,
    "p_identified": 0.75,
    "p_low": 0.301,
    "p_high": 0.954,
    "phase": "recovered",
    "phase_certain": False,
}
"""Some of the columns."""

EXAMPLE_DIFFERENCE: dict[str, Any] = {
    "one": "plain",
    "other": "reweighted",
    "sentences": ["reweighted is compared with plain; the specs differ in training.steps."],
    "notes": [],
    "spec_changes": [{"key": "training.steps", "one": 1500, "other": 3000}],
    "conditions_only_in_one": 0,
    "conditions_only_in_other": 0,
    "panels": [],
    "cells": [],
    "displacement": [],
}
"""Of the same grid at two budgets, without its rows."""
