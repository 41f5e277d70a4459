"""Starting weights and a data stream to trained weights, in torch: the reference, and the way onto a GPU.

Models of equal shape and k are stacked; stacks take turns at each chunk of batches, which is drawn once for all of
them. Between two looks at converged trials the host waits for nothing that the device still computes.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby

import numpy as np
import numpy.typing as npt
import torch

from phase_diagrams.spec import Recovery, Training
from workers.device_group import DeviceGroup
from workers.feed import Chunk, Feed, side_stream
from workers.sae import Weights, learning_rates
from workers.sampler import Stream
from workers.stack import Stack, same_stack, stack, stack_objectives
from workers.stopping import Rates, label_is_clear, next_look, shorten
from workers.training import Model, Trained

HOST_BUDGET = 2**28
"""Bytes of a stack's step on a CPU; heuristic: enough that a product outweighs its call."""
GPU_SHARE = 0.6
"""Share of a pack's part of the GPU memory that a stack's step may take; heuristic: the rest is the CUDA context, the
parameters, and what the allocator cannot use."""


@dataclass(slots=True)
class _Course:
    """What the host knows of one model while it trains."""

    rates: Rates
    losses: npt.NDArray[np.float64]  # (steps,), NaN where they are not known yet
    weights: Weights | None = None

    @property
    def ended(self) -> bool:
        return self.weights is not None


def train_on(
    models: Sequence[Model],
    stream: Stream,
    training: Training,
    tied: bool,
    device: str,
    budget: int = HOST_BUDGET,
    recovery: Recovery | None = None,
) -> list[Trained]:
    """Train every model on the same batches as `workers.training.train` draws, on a torch device.

    `budget` bounds the bytes that a step needs at a time; with a budget of 0 every model is a stack of its own, whose
    numbers depend on no other. `recovery` is that of `train`.
    """

    def is_clear(model: Stack, place: int) -> bool:
        return label_is_clear(stream.dictionary, model.directions(place), recovery)

    began = time.perf_counter()
    rates = learning_rates(training.schedule, training.learning_rate, training.steps)
    courses = [_Course(rates, np.full(training.steps, np.nan)) for _ in models]
    with side_stream(device), torch.no_grad():
        feed = Feed(stream, training, device)
        groups = _open_groups(models, training, tied, feed, budget)
        _run(groups, courses, training, feed, is_clear)
    shares = np.array(
        [len(course.rates) * len(one.weights.encoder) for one, course in zip(models, courses, strict=True)]
    )
    seconds = (time.perf_counter() - began) * shares / shares.sum()
    return [_close(course, float(spent)) for course, spent in zip(courses, seconds, strict=True)]


def step_budget(device: str, share: float) -> int:
    """The budget of a pack on a device of which it has a share (resources.gpus_per_trial)."""
    if torch.device(device).type != "cuda":
        return HOST_BUDGET
    total = torch.cuda.mem_get_info(device)[1]
    return int(GPU_SHARE * min(1.0, share) * total)


def step_bytes(model: Model, batch_size: int) -> int:
    """Memory of one model in a step: seven arrays of latents by samples, three of inputs by samples, float32."""
    n_latents, n_inputs = model.weights.encoder.shape
    return int(4 * batch_size * (7 * n_latents + 3 * n_inputs))


def _open_groups(models: Sequence[Model], training: Training, tied: bool, feed: Feed, budget: int) -> list[DeviceGroup]:
    def key(index: int) -> tuple[int, ...]:
        return same_stack(models[index])

    device, rounded, groups = str(feed.ring.device), training.precision == "bfloat16", []
    for _, equal in groupby(sorted(range(len(models)), key=key), key=key):
        members = list(equal)
        most = max(1, budget // step_bytes(models[members[0]], training.batch_size))
        for part in (members[first : first + most] for first in range(0, len(members), most)):
            chosen = [models[index] for index in part]
            model = stack([one.weights for one in chosen], tied, device)
            objective = stack_objectives(chosen, training.batch_size, device, rounded)
            groups.append(DeviceGroup(part, model, objective, feed.ring))
    return groups


def _run(
    groups: list[DeviceGroup],
    courses: list[_Course],
    training: Training,
    feed: Feed,
    is_clear: Callable[[Stack, int], bool],
) -> None:
    pool = torch.cuda.graph_pool_handle() if feed.ring.is_cuda else None
    unread: deque[Chunk] = deque()
    for chunk in feed.chunks():
        while len(unread) > 1:
            _read(groups, unread.popleft(), courses)
        for group in groups:
            rates = np.stack([_rates(courses[index], chunk) for index in group.members], axis=1)
            group.run(chunk, rates, pool)
        unread.append(chunk)
        if chunk.last == next_look(chunk.first, training):
            feed.wait()
            while unread:
                _read(groups, unread.popleft(), courses)
            groups = _look(groups, courses, chunk.last, training, is_clear)
            if not groups:
                return


def _rates(course: _Course, chunk: Chunk) -> npt.NDArray[np.float64]:
    """A model's learning rates in a chunk; 0 after its end, while others of its stack go on."""
    rates = course.rates[chunk.first : chunk.last]
    return np.pad(rates, (0, chunk.last - chunk.first - len(rates)))


def _read(groups: list[DeviceGroup], chunk: Chunk, courses: list[_Course]) -> None:
    for group in groups:
        for index, losses in zip(group.members, group.losses(chunk), strict=True):
            courses[index].losses[chunk.first : chunk.last] = losses


def _look(
    groups: list[DeviceGroup],
    courses: list[_Course],
    step: int,
    training: Training,
    is_clear: Callable[[Stack, int], bool],
) -> list[DeviceGroup]:
    """End the models whose last step this was or that diverged, shorten those that converged; the groups that go on."""
    for group in groups:
        for place, index in enumerate(group.members):
            course = courses[index]
            if not course.ended and (step == len(course.rates) or not np.isfinite(course.losses[:step]).all()):
                course.weights = group.model.weights(place)
            clear = partial(is_clear, group.model, place)
            course.rates = shorten(course.rates, course.losses[:step], training, clear)
        places = [place for place, index in enumerate(group.members) if not courses[index].ended]
        # A smaller stack costs a capture, so models that have ended stay until they are half of it.
        if 0 < 2 * len(places) <= len(group.members):
            group.keep(places)
    return [group for group in groups if not all(courses[index].ended for index in group.members)]


def _close(course: _Course, seconds: float) -> Trained:
    assert course.weights is not None
    losses = course.losses[: len(course.rates)]
    finite = np.isfinite(losses)
    if not finite.all():
        losses = np.where(np.arange(len(losses)) < int(np.argmin(finite)), losses, np.nan)
    return Trained(course.weights, losses, seconds)
