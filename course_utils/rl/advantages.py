"""From one score a response to an advantage for each token."""

from __future__ import annotations

import torch


def masked_mean(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean over the True places of ``mask``; 0 if there are none."""
    return torch.where(mask, values, 0.0).sum() / mask.sum().clamp(min=1)


def rewards_per_token(
    scores: torch.Tensor, old_logprobs: torch.Tensor, ref_logprobs: torch.Tensor, mask: torch.Tensor,
    beta: float,
) -> torch.Tensor:  # fmt: skip
    """r_t = −β (log π_old − log π_ref), and the response's score added at its last token.

    ``scores`` [rows]; the others [rows, tokens]. The sum of a row is score − β Σ KL (Ouyang et al.
    2022, equation 2). A row without any token gets nothing.
    """
    rewards = torch.where(mask, -beta * (old_logprobs - ref_logprobs), 0.0)
    rows = mask.any(1).nonzero().squeeze(1)
    last = mask.sum(1)[rows] - 1
    rewards[rows, last] += scores.to(rewards.dtype)[rows]
    return rewards


def gae(
    rewards: torch.Tensor, values: torch.Tensor, mask: torch.Tensor, gamma: float = 1.0,
    lam: float = 0.95,
) -> tuple[torch.Tensor, torch.Tensor]:  # fmt: skip
    """Generalised advantage estimates and returns, [rows, tokens] (Schulman et al. 2016, eq. 16).

    δ_t = r_t + γ V_{t+1} − V_t,  A_t = δ_t + γ λ A_{t+1},  return = A + V. The value after the last
    token is 0: the episode ends there, whatever stands in the padding.
    """
    rewards, values = torch.where(mask, rewards, 0.0), torch.where(mask, values, 0.0)
    advantages, running = torch.zeros_like(rewards), torch.zeros_like(rewards[:, 0])
    # Backwards: A_t needs A_{t+1}, and the sum over all later δ comes for free.
    for t in reversed(range(rewards.shape[1])):
        following = values[:, t + 1] if t + 1 < rewards.shape[1] else 0.0
        delta = rewards[:, t] + gamma * following - values[:, t]
        running = torch.where(mask[:, t], delta + gamma * lam * running, 0.0)
        advantages[:, t] = running
    return advantages, advantages + values


def whiten(advantages: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean 0 and standard deviation 1 over all response tokens of the rollout; 0 in the padding.

    Afterwards their mean says nothing about progress: it is 0 by construction. A rollout without
    spread (one token; equal scores at λ = 1, or foreseen by the value head) gives zeros: dividing its
    rounding errors by their own size would make a gradient out of nothing.
    """
    centred = torch.where(mask, advantages - masked_mean(advantages, mask), 0.0)
    spread = masked_mean(centred.square(), mask).sqrt()
    rounding = 1e-5 * torch.where(mask, advantages, 0.0).abs().max()
    return centred / spread if spread > rounding else torch.zeros_like(centred)
