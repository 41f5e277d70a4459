"""A stack of SAEs to a trained one: its step, with Adam, captured as a CUDA graph once and replayed.

Everything that a step reads or changes stays where it is on the device: the ring of batches, the row of the ring that
is next, the learning rate of each model, the losses. So a step is one launch, and the host waits for none.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.optim.adam import adam

from workers.feed import Chunk
from workers.stack import Objective, Stack, losses_and_gradients

EAGER_STEPS = 3
"""Steps taken one by one before the capture, so that cuBLAS and the allocator have what they need (PyTorch's notes on
CUDA graphs ask for a few); they are steps of the training like all others."""


class DeviceGroup:
    """Parameters, moments and buffers of one stack; `members` are its models' places among all models."""

    def __init__(self, members: Sequence[int], model: Stack, objective: Objective, ring: Tensor) -> None:
        self.members = tuple(members)
        self.model = model
        self._objective, self._ring = objective, ring
        parameters = model.parameters()
        self._means = [torch.zeros_like(one) for one in parameters]
        self._squares = [torch.zeros_like(one) for one in parameters]
        self._counts = [torch.zeros((), device=ring.device) for _ in parameters]
        self._open_buffers()

    def _open_buffers(self) -> None:
        device, cuda = self._ring.device, self._ring.is_cuda
        rows = len(self._ring), len(self.members)
        self._deltas = [torch.zeros_like(one) for one in self.model.parameters()]
        self._row = torch.zeros(1, dtype=torch.int64, device=device)
        self._rates = torch.zeros(rows, device=device)
        self._losses = torch.zeros(rows, device=device)
        self._host_rates = torch.zeros(rows, pin_memory=cuda)
        self._host_losses = torch.zeros(rows, pin_memory=cuda)
        self._graph: torch.cuda.CUDAGraph | None = None
        self._eager = 0

    def run(self, chunk: Chunk, rates: npt.NDArray[np.float64], pool: object) -> None:
        """Take the steps of a chunk at the learning rates (steps, models); `losses` has theirs once the device has."""
        rows = slice(chunk.row, chunk.row + len(rates))
        self._host_rates[rows] = torch.from_numpy(rates)
        self._rates[rows].copy_(self._host_rates[rows], non_blocking=True)
        self._row.fill_(chunk.row)
        for _ in range(len(rates)):
            if self._graph is not None:
                self._graph.replay()
                continue
            self._step()
            self._eager += 1
            if self._eager == EAGER_STEPS and self._ring.is_cuda:
                self._capture(pool)
        self._host_losses[rows].copy_(self._losses[rows], non_blocking=True)

    def losses(self, chunk: Chunk) -> npt.NDArray[np.float64]:
        """Training losses of a chunk that the device has finished, (models, steps)."""
        rows = self._host_losses[chunk.row : chunk.row + chunk.last - chunk.first]
        return rows.numpy().T.astype(np.float64)

    def keep(self, places: Sequence[int]) -> None:
        """Go on with the models at these places only; the device must be idle."""
        where = torch.tensor(places, device=self._ring.device)
        self.members = tuple(self.members[place] for place in places)
        self.model, self._objective = self.model.take(where), self._objective.take(where)
        self._means = [one[where] for one in self._means]
        self._squares = [one[where] for one in self._squares]
        self._open_buffers()

    def _capture(self, pool: object) -> None:
        self._graph = torch.cuda.CUDAGraph()
        # Groups take turns and leave nothing in the pool between steps, so that one pool serves all of them.
        with torch.cuda.graph(self._graph, pool=pool, stream=torch.cuda.current_stream()):  # type: ignore[arg-type]
            self._step()

    def _step(self) -> None:
        inputs = self._ring.index_select(0, self._row)[0]
        rates = self._rates.index_select(0, self._row).view(-1, 1, 1)
        loss, gradients = losses_and_gradients(self.model, self._objective, inputs)
        self._losses.index_copy_(0, self._row, loss[None])
        if not self.model.tied:
            along = (gradients[1] * self.model.decoder).sum(2, keepdim=True)
            gradients[1] = gradients[1] - along * self.model.decoder  # rows of unit norm move on the sphere only
        self._adam(gradients, rates)
        if not self.model.tied:
            self.model.decoder.div_(self.model.decoder.norm(dim=2, keepdim=True))
        self._row.add_(1)

    def _adam(self, gradients: list[Tensor], rates: Tensor) -> None:
        """One step of Adam (Kingma & Ba 2015, Algorithm 1), fused over all tensors.

        The fused kernel knows one learning rate; every model here has its own. So it moves zeros at rate 1, and each
        model goes its own part of that way.
        """
        torch._foreach_zero_(self._deltas)
        adam(
            self._deltas, gradients, self._means, self._squares, [], self._counts,
            fused=True, amsgrad=False, beta1=0.9, beta2=0.999, lr=1.0, weight_decay=0.0, eps=1e-8, maximize=False,
        )  # fmt: skip
        for parameter, delta in zip(self.model.parameters(), self._deltas, strict=True):
            parameter.addcmul_(delta, rates)
