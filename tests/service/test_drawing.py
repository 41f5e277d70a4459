import json
import threading
import time

import pytest

from phase_diagrams.conditions import condition_table
from phase_diagrams.folder import table_bytes
from phase_diagrams.spec import parse_spec, spec_json
from service.drawing import Drawer, DrawingFailed
from tests.phase_diagrams.synthetic_trials import small_spec, synthetic_trials


def test_a_toy_model_of_many_steps_is_not_trained_while_somebody_waits():
    data = {"n_features": 1024, "n_inputs": 256, "superposition": {"kind": "toy_model", "steps": 1_000_000}}
    grid = {"sparsity": [0.9], "hidden_dim": [1024], "activation": ["topk:1"], "seeds": 1}
    spec = parse_spec({"data": data, "grid": grid})
    conditions = table_bytes(condition_table(spec, synthetic_trials(spec)))
    drawer = Drawer()
    try:
        assert json.loads(drawer.draw(spec_json(spec), conditions, "source")["phase_diagram.vl.json"])
    finally:
        drawer.close()


def test_a_drawing_under_way_does_not_hold_up_the_end():
    spec = small_spec(sparsity=[0.5, 0.7, 0.8, 0.9, 0.95], hidden_dim=[20, 30, 40, 60, 80], seeds=8)
    conditions = table_bytes(condition_table(spec, synthetic_trials(spec)))
    drawer = Drawer()
    ended: list[str] = []

    def draw() -> None:
        with pytest.raises(DrawingFailed) as failure:
            drawer.draw(spec_json(spec), conditions)
        ended.append(str(failure.value))

    threads = [threading.Thread(target=draw) for _ in range(2)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 30
    while drawer._child is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    child = drawer._child
    time.sleep(0.5)
    began = time.monotonic()
    drawer.close()
    for thread in threads:
        thread.join(10)
    assert time.monotonic() - began < 5
    assert child.poll() is not None
    assert ended == ["the service is shutting down"] * 2
    with pytest.raises(DrawingFailed):
        drawer.draw(spec_json(spec), conditions)


def test_a_process_that_was_made_ready_draws_and_one_that_is_closed_is_not_made_ready():
    spec = small_spec(sparsity=[0.5, 0.9], hidden_dim=[20, 40], activation=["topk:1"], seeds=1)
    conditions = table_bytes(condition_table(spec, synthetic_trials(spec)))
    drawer = Drawer()
    try:
        drawer.warm()
        child = drawer._child
        drawer.warm()
        assert drawer.draw(spec_json(spec), conditions, "cells")
        assert drawer._child is child
    finally:
        drawer.close()
    assert child is not None
    assert child.poll() is not None
    drawer.warm()
    assert drawer._child is None
