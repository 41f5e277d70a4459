"""Trained SAEs to their scores: in stacks and side by side, each as if it were alone."""

import dataclasses
import weakref

import numpy as np
import pytest

from phase_diagrams.activation import parse_activation
from phase_diagrams.merges import open_geometry
from phase_diagrams.spec import Data, Recovery, Training
from phase_diagrams.trial import Condition, Trial
from workers import evaluation
from workers.evaluation import DIVERGED, Evaluation, draw_evaluation_data, evaluate, respond_in_turn
from workers.sae import initialise
from workers.sampler import open_stream
from workers.training import Model, train

DATA = Data.model_validate({"n_features": 20, "n_inputs": 12})
DICTIONARY = np.random.default_rng(3).standard_normal((12, 20)).astype(np.float32)
DICTIONARY /= np.linalg.norm(DICTIONARY, axis=0)
STREAM = open_stream(DATA, DICTIONARY, 0.9, 5)
GEOMETRY, RECOVERY = open_geometry(DICTIONARY), Recovery()
EVALUATION = draw_evaluation_data(STREAM)


def model(seed: int, hidden_dim: int, activation: str, start: str) -> Model:
    chosen = parse_activation(activation)
    weights = initialise(Trial(Condition(0.9, hidden_dim, chosen, 0.0), seed, start), DICTIONARY)
    return Model(weights, chosen, np.ones(12, np.float32))


MODELS = [
    model(seed, hidden_dim, activation, start)
    for hidden_dim in (16, 20, 33)
    for activation in ("topk:2", "relu_l1:0.02")
    for seed in range(3)
    for start in ("random", "truth")
]
TRAINED = train(MODELS, STREAM, Training(steps=60, batch_size=64), False)


def evaluated(places: list[int], threads: int = 1) -> list[Evaluation]:
    responses = respond_in_turn(MODELS, TRAINED, places, False, EVALUATION)
    return evaluate(MODELS, TRAINED, responses, GEOMETRY, EVALUATION, RECOVERY, threads)


def numbers(one: Evaluation) -> list[object]:
    assert one.scores is not None
    scores = [getattr(one.scores, field.name) for field in dataclasses.fields(one.scores)]
    return [
        *(value.tolist() if isinstance(value, np.ndarray) else value for value in scores),
        one.sae_loss,
        one.objective,
        one.loss_slope,
    ]


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("entries", [1, 900, 2**16])
def test_an_sae_is_scored_in_any_company_as_alone(threads, entries, monkeypatch) -> None:
    places = np.random.default_rng(threads).permutation(len(MODELS)).tolist()
    alone = [evaluated([place])[place] for place in range(len(MODELS))]
    monkeypatch.setattr(evaluation, "STACK_ENTRIES", entries)
    for order in (places, sorted(places)):  # shapes mixed, and one after another
        together = evaluated(order, threads)
        assert list(map(numbers, together)) == list(map(numbers, alone))


def test_who_is_not_finite_or_has_no_responses_has_diverged() -> None:
    broken = [dataclasses.replace(one, gamma_squared=np.full(12, np.nan, np.float32)) for one in MODELS[:2]]
    responses = respond_in_turn(MODELS, TRAINED, [0, 1, 3], False, EVALUATION)
    found = evaluate([*broken, *MODELS[2:]], TRAINED, responses, GEOMETRY, EVALUATION, RECOVERY)
    assert [one is DIVERGED for one in found] == [place != 3 for place in range(len(MODELS))]


@pytest.mark.parametrize(("threads", "size"), [(1, 3), (2, 2), (4, 1)])
def test_few_responses_are_held_at_a_time(threads, size, monkeypatch) -> None:
    """A pack's responses do not fit into memory together where SAEs are large."""
    held: list[weakref.ref] = []
    most = 0

    def responses():
        nonlocal most
        for place, found in respond_in_turn(MODELS, TRAINED, range(len(MODELS)), False, EVALUATION):
            held.append(weakref.ref(found.statistics.cross))
            most = max(most, sum(one() is not None for one in held))
            yield place, found

    monkeypatch.setattr(evaluation, "STACK_ENTRIES", size * 20 * 33)
    evaluate(MODELS, TRAINED, responses(), GEOMETRY, EVALUATION, RECOVERY, threads)
    assert len(held) == len(MODELS)
    # Of 16 latents, twice as many go on a stack as of 33. Beside one for each thread there are the last one that was
    # scored here, and one that a thread may be about to let go.
    bound = (threads + 2) * (size * 33 // 16)
    assert most <= bound < len(MODELS)


def test_an_error_of_a_thread_is_told(monkeypatch) -> None:
    def fail(*_):
        raise RuntimeError("no room")

    monkeypatch.setattr(evaluation, "score", fail)
    with pytest.raises(RuntimeError, match="no room"):
        evaluated([0, 1, 2], threads=2)
