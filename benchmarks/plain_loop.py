"""One SAE in plain PyTorch, as a researcher would write it: autograd, torch.optim.Adam, torch.topk, drawn data."""

import time

import torch

from phase_diagrams.activation import parse_activation


class PlainLoop:
    """Steps of a plain loop; topk and relu."""

    def __init__(self, n: int, d: int, m: int, activation: str, batch: int, tied: bool, density: float) -> None:
        self.generator = torch.Generator().manual_seed(0)
        self.dictionary = torch.nn.functional.normalize(torch.randn(n, d, generator=self.generator), dim=1)
        rows = torch.nn.functional.normalize(torch.randn(m, d, generator=self.generator), dim=1)
        self.encoder = rows.clone().requires_grad_(True)
        self.decoder = self.encoder if tied else rows.clone().requires_grad_(True)
        self.bias = torch.zeros(m, requires_grad=True)
        self.decoder_bias = torch.zeros(d, requires_grad=True)
        parameters = [self.encoder] if tied else [self.encoder, self.decoder, self.bias, self.decoder_bias]
        self.optimizer = torch.optim.Adam(parameters, lr=0.003)
        self.k, self.batch, self.tied = parse_activation(activation).k, batch, tied
        self.n, self.density = n, density

    def seconds(self, count: int) -> float:
        """Processor time of so many steps."""
        began = time.process_time()
        for _ in range(count):
            self._step()
        return time.process_time() - began

    def _step(self) -> None:
        uniform = torch.rand(self.batch, self.n, generator=self.generator)
        x = torch.relu(1 - uniform / self.density) @ self.dictionary
        z = torch.relu((x - self.decoder_bias) @ self.encoder.T + self.bias)
        if self.k is not None:
            kept = z.topk(self.k, dim=1)
            z = torch.zeros_like(z).scatter(1, kept.indices, kept.values)
        loss = (z @ self.decoder + self.decoder_bias - x).square().sum(1).mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        if not self.tied:
            with torch.no_grad():
                self.decoder.div_(self.decoder.norm(dim=1, keepdim=True))
