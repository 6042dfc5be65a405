"""What phase 1 hands to the others: prompts, the responses to them, and which tokens count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Rollout:
    """Prompts and the responses sampled for them, the same number for each prompt.

    Row ``i`` of ``tokens`` answers prompt ``i // group``. ``tokens`` [rows, longest] is padded on
    the right; ``mask`` is True at response tokens, the first end token included.
    """

    prompts: list[list[int]]  # token ids
    tokens: torch.Tensor
    mask: torch.Tensor
    ended: torch.Tensor  # [rows]: did the response end by itself?
    texts: list[str]  # decoded responses only: a score of the prompt would not move the policy
    # Hidden states behind the layers that no training touches: see FastPolicy.read_frozen.
    trunk: tuple[torch.Tensor, torch.Tensor] | None = None

    @property
    def group(self) -> int:
        """Responses to each prompt."""
        return len(self.tokens) // len(self.prompts)

    def rows_of(self, prompts: Sequence[int]) -> list[int]:
        """The rows that answer these prompts (given by position)."""
        return [p * self.group + j for p in prompts for j in range(self.group)]

    def part(self, index: Sequence[int]) -> Rollout:
        """Some of the prompts (by position) with all their responses, cut to the longest among them."""
        rows, trunk = self.rows_of(index), None
        longest = int(self.mask[rows].sum(1).max())
        prompts = [self.prompts[p] for p in index]
        if self.trunk:
            asked, answered = self.trunk
            # Prompts are padded on the left: the last columns are those that hold these prompts.
            asked = asked[list(index), -max(map(len, prompts)) :]
            trunk = asked, answered[list(index), :, : longest - 1]
        return Rollout(
            prompts, self.tokens[rows, :longest], self.mask[rows, :longest], self.ended[rows],
            [self.texts[row] for row in rows], trunk,
        )  # fmt: skip
