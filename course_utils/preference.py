"""Losses that learn from preferences: the Bradley–Terry reward loss, DPO and GRPO, as pure functions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional as F

from .models import LLM
from .rl.kl import estimate
from .rl.logprobs import response_mask, token_log_probs
from .rl.policy import Policy
from .rl.rollout import Rollout
from .settings import CourseError


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
    """Clipped objective with one advantage an answer and a k3 penalty in the loss (equations 3, 4).

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


# ---------------------------------------------------------------- log-probabilities of answers


def given(llm: LLM, prompts: Sequence[str], answers: Sequence[str]) -> Rollout:
    """Answers that people wrote, in the form of a rollout: each with its end token, which is learnt too.

    There are as many answers to each prompt: those to the first prompt come first. Two answers to one
    prompt share the reading of it.

    Raises
    ------
    CourseError
        for no prompts, no answers, or a number of answers that is no multiple of the prompts'.
    """
    if not prompts or not answers or len(answers) % len(prompts):
        raise CourseError(
            f"{len(prompts)} prompts and {len(answers)} answers: give each prompt as many answers."
        )
    texts = [answer.strip() for answer in answers]
    ids = [llm.encode_answer(text) for text in texts]
    lengths = torch.tensor([len(row) for row in ids])
    longest, pad = int(lengths.max()), llm.tokenizer.pad_token_id
    tokens = torch.tensor([row + [pad] * (longest - len(row)) for row in ids])
    ended = torch.ones(len(ids), dtype=torch.bool)
    prompt_ids = [llm.encode(prompt) for prompt in prompts]
    return Rollout(prompt_ids, tokens, response_mask(lengths, longest), ended, texts)


def answer_log_probs(
    policy: Policy, rollout: Rollout, reference: bool = False, temperature: float = 1.0
) -> torch.Tensor:
    """log π of each answer token given all before it, 0 in the padding, [rows, tokens].

    The sum of a row is the log-probability of the whole answer given its prompt; the prompt's own
    tokens do not count. ``reference`` computes it with the adapter switched off; ``temperature`` is
    the one that the policy is sampled at.
    """
    logits, _ = policy.outputs(rollout, reference)
    found = token_log_probs(logits, rollout.tokens.to(logits.device), temperature)
    return torch.where(rollout.mask, found.cpu(), 0.0)
