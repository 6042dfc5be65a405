"""The loop: rollout → score → KL → advantages → clipped updates. Read it from top to bottom."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from ..settings import CourseError
from . import kl
from .advantages import gae, masked_mean, rewards_per_token, whiten
from .logprobs import entropy, token_log_probs
from .losses import clip_fraction, explained_variance, policy_loss, value_loss
from .rollout import Policy, Rollout, sample


@dataclass(frozen=True)
class PPO:
    """All choices of a run."""

    beta: float = 0.05  # price of a nat of KL to the reference
    epochs: int = 2  # passes over each rollout
    minibatch: int = 8
    clip: float = 0.2
    value_weight: float = 0.5
    gamma: float = 1.0
    lam: float = 0.95
    temperature: float = 1.0
    max_new_tokens: int = 32
    no_end_penalty: float = 1.0  # taken off the score of a response that never ended
    max_kl: float = 30.0  # nats an answer; beyond it the run stops
    max_grad_norm: float = 1.0


@dataclass(frozen=True)
class Stats:
    """One iteration: means over responses (score, kl, ended, length) or over response tokens."""

    score: float
    kl: float
    ended: float
    length: float
    entropy: float
    clip_fraction: float
    explained_variance: float
    first_ratio: float  # largest |ratio − 1| of the first minibatch: 0 up to rounding


def step(
    policy: Policy,
    optimizer: torch.optim.Optimizer,
    prompts: Sequence[str],
    score: Callable[[list[str]], Sequence[float]],
    config: PPO,
    seed: int,
) -> Stats:
    """One iteration of PPO on a batch of prompts; updates the policy's adapter and value head.

    Raises
    ------
    CourseError
        if ``score`` returns anything but one finite number a response, or the KL runs away (nothing
        is updated by such an iteration).
    """
    # 1 rollout
    rollout = sample(policy, prompts, config.max_new_tokens, config.temperature, seed)
    mask = rollout.mask
    # 2 score the response text only
    scores = check_scores(score(rollout.texts), len(prompts))
    scores = scores - config.no_end_penalty * (~rollout.ended).float()
    # 3 old and reference log-probabilities, by the function that the updates use
    with torch.no_grad():
        old, values, spread = evaluate(policy, rollout, config)
        reference, _, _ = evaluate(policy, rollout, config, reference=True)
    per_answer = torch.where(mask, kl.estimate(old, reference), 0.0).sum(1)
    if not per_answer.mean() < config.max_kl:
        raise CourseError(
            f"The KL to the reference is {per_answer.mean():.1f} nats an answer: the policy has run "
            "away. Go back to the last saved adapter and lower the learning rate or raise beta."
        )
    # 4 rewards and advantages
    rewards = rewards_per_token(scores, old, reference, mask, config.beta)
    advantages, returns = gae(rewards, values, mask, config.gamma, config.lam)
    advantages = whiten(advantages, mask)
    # 5 clipped updates
    generator = torch.Generator().manual_seed(seed)
    first, clipped = None, []
    for _ in range(config.epochs):
        for index in torch.randperm(len(prompts), generator=generator).split(config.minibatch):
            part = rollout.rows(index.tolist())
            columns = part.tokens.shape[1]
            was, was_value, wanted, advantage = (
                x[index, :columns] for x in (old, values, returns, advantages)
            )
            new, value, _ = evaluate(policy, part, config)
            if first is None:
                first = torch.where(part.mask, (new - was).exp() - 1, 0.0).abs().max().item()
            loss = policy_loss(new, was, advantage, part.mask, config.clip)
            loss = loss + config.value_weight * value_loss(value, was_value, wanted, part.mask)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(policy.parameters(), config.max_grad_norm)
            optimizer.step()
            clipped.append(clip_fraction(new.detach(), was, part.mask, config.clip))
    return Stats(
        scores.mean().item(), per_answer.mean().item(), rollout.ended.float().mean().item(),
        mask.sum(1).float().mean().item(), masked_mean(spread, mask).item(),
        sum(clipped) / len(clipped), explained_variance(values, returns, mask), first,
    )  # fmt: skip


def evaluate(policy: Policy, rollout: Rollout, config: PPO, reference: bool = False):
    """Log-probabilities, values and entropies of a rollout's tokens, each [rows, tokens], on the CPU."""
    logits, values = policy.outputs(rollout, reference)
    tokens = rollout.tokens.to(logits.device)
    found = token_log_probs(logits, tokens, config.temperature)
    return found.cpu(), values.cpu(), entropy(logits.detach(), config.temperature).cpu()


def check_scores(scores, rows: int) -> torch.Tensor:
    """The reward callable's answer as a tensor [rows], or one sentence about what is wrong with it."""
    try:
        found = [float(s) for s in scores]
    except (TypeError, ValueError) as error:
        raise CourseError("The reward function must return a list of numbers.") from error
    if len(found) != rows:
        raise CourseError(f"The reward function returned {len(found)} numbers for {rows} responses.")
    if not all(map(math.isfinite, found)):
        raise CourseError("The reward function returned NaN or infinity; repair it before training.")
    return torch.tensor(found)
