"""The clipped objectives of PPO (Schulman et al. 2017, arXiv:1707.06347) as pure functions.

All tensors are [rows, tokens]; every loss is a sum over response tokens divided by ``tokens``, the
number of response tokens in the *whole* minibatch. With gradient accumulation pass that number, and
the parts add up to the same gradient as one big batch.
"""

from __future__ import annotations

import torch

from .advantages import masked_mean


def policy_loss(
    logprobs: torch.Tensor, old_logprobs: torch.Tensor, advantages: torch.Tensor, mask: torch.Tensor,
    clip: float = 0.2, tokens: int | None = None,
) -> torch.Tensor:  # fmt: skip
    """−mean min(ratio · A, clip(ratio, 1 ± ε) · A), equation 7.

    ``old_logprobs`` are those of the policy that sampled: constants, while ``logprobs`` carry gradients.
    """
    ratio = (logprobs - old_logprobs).exp()
    # The minimum is pessimistic: a ratio beyond the band earns nothing more, and still loses if A < 0.
    objective = torch.minimum(ratio * advantages, ratio.clamp(1 - clip, 1 + clip) * advantages)
    return -torch.where(mask, objective, 0.0).sum() / (tokens or mask.sum().clamp(min=1))


def value_loss(
    values: torch.Tensor, old_values: torch.Tensor, returns: torch.Tensor, mask: torch.Tensor,
    clip: float = 0.2, tokens: int | None = None,
) -> torch.Tensor:  # fmt: skip
    """½ mean max((V − R)², (clip(V, V_old ± ε) − R)²): a step out of the band earns nothing."""
    clipped = old_values + (values - old_values).clamp(-clip, clip)
    error = torch.maximum((values - returns).square(), (clipped - returns).square())
    return torch.where(mask, error, 0.0).sum() / 2 / (tokens or mask.sum().clamp(min=1))


def clip_fraction(logprobs, old_logprobs, mask, clip: float = 0.2) -> float:
    """Share of response tokens whose ratio left the band 1 ± ε."""
    outside = ((logprobs - old_logprobs).exp() - 1).abs() > clip
    return masked_mean(outside.float(), mask).item()


def explained_variance(values, returns, mask) -> float:
    """1 − Var(R − V) / Var(R) over response tokens: 1 perfect, 0 no better than the mean."""
    error, wanted = (returns - values)[mask], returns[mask]
    spread = wanted.var(correction=0)
    return float("nan") if spread == 0 else (1 - error.var(correction=0) / spread).item()
