"""An activation's text ("topk:4") to a value: which latents stay, and at what price."""

import math
from dataclasses import dataclass
from typing import Literal

ActivationKind = Literal["topk", "batchtopk", "relu", "relu_l1"]

ALLOWED = "topk:K, batchtopk:K (K a whole number >= 1), relu, relu_l1:LAMBDA (LAMBDA a number > 0)"


@dataclass(frozen=True, slots=True)
class Activation:
    """The nonlinearity sigma of the encoder and its penalty.

    topk keeps the `k` largest pre-activations of a sample after ReLU; batchtopk keeps the `k * samples`
    largest of a batch; relu keeps every positive one; relu_l1 adds `l1 * E sum_j |z_j|` to the loss.
    """

    kind: ActivationKind
    k: int | None = None
    l1: float | None = None

    def __str__(self) -> str:
        """The text that `parse_activation` reads back."""
        if self.k is not None:
            return f"{self.kind}:{self.k}"
        if self.l1 is not None:
            return f"{self.kind}:{self.l1!r}"
        return self.kind


def parse_activation(text: str) -> Activation:
    """Read an activation; a ValueError names the text and the allowed forms."""
    kind, colon, argument = text.strip().partition(":")
    refusal = ValueError(f"{text!r} is not an activation; allowed: {ALLOWED}")
    if kind == "relu" and not colon:
        return Activation("relu")
    if kind in ("topk", "batchtopk"):
        if not (argument.isascii() and argument.isdigit()) or len(argument) > 9 or int(argument) < 1:
            raise refusal
        return Activation("topk" if kind == "topk" else "batchtopk", k=int(argument))
    if kind == "relu_l1":
        try:
            l1 = float(argument)
        except ValueError:
            raise refusal from None
        if not (math.isfinite(l1) and l1 > 0):
            raise refusal
        return Activation("relu_l1", l1=l1)
    raise refusal
