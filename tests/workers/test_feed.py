import numpy as np
import pytest
import torch

from phase_diagrams.spec import Data, Training
from workers.feed import Feed, chunk_steps
from workers.sampler import draw_batches, open_stream

DATA = Data(n_features=9, n_inputs=5)
DICTIONARY = np.random.default_rng(0).standard_normal((5, 9)).astype(np.float32)


@pytest.mark.parametrize(("steps", "patience"), [(1, None), (64, None), (150, None), (150, 40), (200, 100)])
def test_the_ring_holds_every_step_s_batch_in_order_and_cuts_at_every_look(steps, patience):
    training = Training.model_validate({"steps": steps, "batch_size": 20, "stop": patience and {"patience": patience}})
    stream = open_stream(DATA, DICTIONARY, 0.6, 7)
    feed, seen = Feed(stream, training, "cpu"), 0
    for chunk in feed.chunks():
        assert chunk.first == seen
        assert 0 < chunk.last - chunk.first <= feed.steps
        assert patience is None or (chunk.last - 1) // patience == chunk.first // patience
        expected = draw_batches(stream, chunk.first, chunk.last - chunk.first, 20).samples[:, :20, :5]
        rows = feed.ring[chunk.row : chunk.row + chunk.last - chunk.first]
        assert torch.equal(rows, torch.from_numpy(expected))
        seen = chunk.last
    assert seen == steps


def test_a_chunk_is_bounded_in_steps_and_in_bytes():
    assert chunk_steps(16, 4) == 64
    assert chunk_steps(65536, 4096) == 1
    assert 4 * chunk_steps(1024, 256) * 1024 * 256 <= 2**24


def test_whoever_leaves_early_leaves_no_thread_behind():
    feed = Feed(open_stream(DATA, DICTIONARY, 0.6, 7), Training(steps=1000, batch_size=20), "cpu")
    chunks = feed.chunks()
    assert next(chunks).first == 0
    chunks.close()
    with pytest.raises(StopIteration):
        next(chunks)
