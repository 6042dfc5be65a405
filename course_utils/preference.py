"""Losses that learn from preferences: the Bradley–Terry reward loss, DPO and GRPO, as pure functions."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from .rl.kl import estimate


def bradley_terry(chosen: torch.Tensor, rejected: torch.Tensor) -> torch.Tensor:
    """−mean log σ(r(chosen) − r(rejected)); the scores are [pairs] (Ouyang et al. 2022, eq. 1).

    Equal scores cost ln 2.
    """
    return -F.logsigmoid(chosen - rejected).mean()


def dpo_loss(
    policy_chosen: torch.Tensor, policy_rejected: torch.Tensor, reference_chosen: torch.Tensor,
    reference_rejected: torch.Tensor, beta: float = 0.1,
) -> torch.Tensor:  # fmt: skip
    """Direct preference optimisation (Rafailov et al. 2023, arXiv:2305.18290, equation 7).

    All arguments are log-probabilities of whole answers, [pairs]. While the policy still is the
    reference, the loss is ln 2 whatever the answers are.
    """
    chosen = beta * (policy_chosen - reference_chosen)  # the implicit rewards
    rejected = beta * (policy_rejected - reference_rejected)
    return bradley_terry(chosen, rejected)


def group_advantages(scores: torch.Tensor, scale: bool = True) -> torch.Tensor:
    """GRPO's advantage of each answer within its group (Shao et al. 2024, arXiv:2402.03300, §4.1.2).

    ``scores`` [groups, answers to one prompt]: less the group's mean, divided by its standard
    deviation if ``scale``. A group whose scores are all equal gets zeros: it teaches nothing.
    """
    centred = scores - scores.mean(1, keepdim=True)
    if not scale:
        return centred
    spread = scores.std(1, keepdim=True)
    rounding = 1e-5 * scores.abs().amax(1, keepdim=True)
    return torch.where(spread > rounding, centred / spread.clamp(min=1e-12), 0.0)


def grpo_loss(
    log_probs: torch.Tensor, old: torch.Tensor, reference: torch.Tensor, advantages: torch.Tensor,
    mask: torch.Tensor, beta: float = 0.04, clip: float = 0.2,
) -> torch.Tensor:  # fmt: skip
    """Clipped objective with one advantage an answer and a k3 penalty in the loss (equation 3).

    ``advantages`` [rows], the others [rows, tokens]. Each answer is averaged over its own tokens,
    then the answers: a long one counts as much as a short one. At the first step the value is 0 (the
    advantages of a group add up to 0) and the gradient is not.
    """
    ratio = (log_probs - old).exp()
    a = advantages[:, None]
    objective = torch.minimum(ratio * a, ratio.clamp(1 - clip, 1 + clip) * a)
    objective = objective - beta * estimate(log_probs, reference, "k3")
    per_answer = torch.where(mask, objective, 0.0).sum(1) / mask.sum(1).clamp(min=1)
    return -per_answer.mean()
