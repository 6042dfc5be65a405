"""Low-rank adaptation by hand (Hu et al. 2021, arXiv:2106.09685): what peft does, in forty lines.

h = W x + (α / r) · B A x, with W frozen, A of shape [r, in] random and B of shape [out, r] zero
(equation 3).
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import nn


class LoRALinear(nn.Module):
    """A frozen linear layer and a trainable product of two thin matrices beside it."""

    def __init__(self, base: nn.Linear, r: int, alpha: float):
        super().__init__()
        if r < 1:
            raise ValueError(f"r={r}: the rank is at least 1.")
        self.base, self.scale, self.merged = base.requires_grad_(False), alpha / r, False
        self.A = nn.Parameter(torch.empty(r, base.in_features))
        self.B = nn.Parameter(torch.zeros(base.out_features, r))  # B A = 0: nothing changes at first
        nn.init.kaiming_uniform_(self.A, a=math.sqrt(5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # [..., in] → [..., out]
        if self.merged:
            return self.base(x)
        return self.base(x) + self.scale * (x @ self.A.T @ self.B.T)

    @torch.no_grad()
    def merge(self) -> None:
        """Add the product into the base weight: from now on it costs nothing."""
        if not self.merged:
            self.base.weight += self.scale * self.B @ self.A
            self.merged = True

    @torch.no_grad()
    def unmerge(self) -> None:
        """Take it out again, up to rounding."""
        if self.merged:
            self.base.weight -= self.scale * self.B @ self.A
            self.merged = False


def add_lora(model: nn.Module, names: Iterable[str], r: int, alpha: float) -> list[LoRALinear]:
    """Freeze the model and wrap every linear layer whose last name is one of ``names``, in place.

    Returns the new layers in the model's order.

    Raises
    ------
    ValueError
        if no layer has such a name.
    """
    wanted = set(names)
    found = [
        (parent, name, child)
        for parent in model.modules()
        for name, child in parent.named_children()
        if name in wanted and isinstance(child, nn.Linear)
    ]
    if not found:
        raise ValueError(f"The model has no linear layer called {' or '.join(sorted(wanted))}.")
    model.requires_grad_(False)
    layers = []
    for parent, name, child in found:
        layers.append(LoRALinear(child, r, alpha).to(child.weight.device))
        setattr(parent, name, layers[-1])
    return layers


def parameter_count(shapes: Iterable[tuple[int, int]], r: int) -> int:
    """Trainable weights for layers of shape (in, out): r · (in + out) each."""
    return sum(r * (fan_in + fan_out) for fan_in, fan_out in shapes)
