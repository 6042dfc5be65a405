"""Phase 1: the policy answers a batch of prompts."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from .logprobs import response_mask
from .policy import Policy
from .rollout import Rollout


def sample(
    policy: Policy, prompts: Sequence[str], max_new_tokens: int, temperature: float, seed: int,
    group: int = 1,
) -> Rollout:  # fmt: skip
    """``group`` responses to each prompt, by plain sampling: with top-k or top-p the policy that acts
    would not be the one whose log-probabilities are computed."""
    llm = policy.llm
    llm.model.eval()  # no dropout, as in the log-probabilities
    answers, trunk = policy.write(prompts, group, max_new_tokens, temperature, seed)
    longest = max(a.tokens for a in answers)
    pad = llm.tokenizer.pad_token_id
    tokens = torch.tensor([[*a.ids, *[pad] * (longest - a.tokens)] for a in answers])
    # The mask comes from lengths: the pad token is often the end token, which the policy chose.
    mask = response_mask(torch.tensor([a.tokens for a in answers]), longest)
    return Rollout(
        prompts=[llm.encode(p) for p in prompts], tokens=tokens, mask=mask,
        ended=torch.tensor([a.ended for a in answers]), texts=[a.text for a in answers], trunk=trunk,
    )  # fmt: skip
