"""Phase 1: the policy answers a batch of prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from .logprobs import response_mask
from .policy import Policy


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
    # Hidden states behind the layers that no training touches: see Policy.read_frozen.
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
            asked = asked[list(index), -max(map(len, prompts)) :]
            trunk = asked, answered[list(index), :, : longest - 1]
        return Rollout(
            prompts, self.tokens[rows, :longest], self.mask[rows, :longest], self.ended[rows],
            [self.texts[row] for row in rows], trunk,
        )  # fmt: skip


def sample(
    policy: Policy, prompts: Sequence[str], max_new_tokens: int, temperature: float, seed: int,
    group: int = 1,
) -> Rollout:  # fmt: skip
    """``group`` responses to each prompt, by plain sampling: with top-k or top-p the policy that acts
    would not be the one whose log-probabilities are computed."""
    llm = policy.llm
    llm.model.eval()  # no dropout, as in the log-probabilities
    answers = llm.answer(
        [p for p in prompts for _ in range(group)],
        max_new_tokens=max_new_tokens, do_sample=True, temperature=temperature, seed=seed,
    )  # fmt: skip
    longest = max(a.tokens for a in answers)
    pad = llm.tokenizer.pad_token_id
    tokens = torch.tensor([[*a.ids, *[pad] * (longest - a.tokens)] for a in answers])
    return Rollout(
        [llm.encode(p) for p in prompts], tokens,
        response_mask(torch.tensor([a.tokens for a in answers]), longest),
        torch.tensor([a.ended for a in answers]), [a.text for a in answers],
    )  # fmt: skip
