"""The loop: rollout → score → KL → advantages → clipped updates. Read it from top to bottom."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from . import kl
from .advantages import gae, masked_mean, rewards_per_token, whiten
from .config import PPO, RanAway, Stats, check_scores
from .logprobs import entropy, token_log_probs
from .losses import clip_fraction, explained_variance, policy_loss, value_loss
from .policy import Policy
from .rollout import Rollout, sample


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
    rollout = sample(
        policy, prompts, config.max_new_tokens, config.temperature, seed, config.group
    )
    rollout, mask = policy.read_frozen(rollout), rollout.mask
    # 2 score the response text only
    scores = check_scores(score(rollout.texts), len(rollout.texts))
    scores = scores - config.no_end_penalty * (~rollout.ended).float()
    # 3 old and reference log-probabilities, by the function that the updates use
    with torch.no_grad():
        old, values, logits = evaluate(policy, rollout, config)
        spread = entropy(logits, config.temperature).cpu()
        del logits  # [rows, tokens, vocabulary] is by far the largest tensor here
        reference, _, _ = evaluate(policy, rollout, config, reference=True)
    per_answer = torch.where(mask, kl.estimate(old, reference), 0.0).sum(1)
    if not per_answer.mean() < config.max_kl:
        raise RanAway(
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
        order = torch.randperm(len(prompts), generator=generator)
        for index in order.split(max(1, config.minibatch // config.group)):
            part, rows = rollout.part(index.tolist()), rollout.rows_of(index.tolist())
            columns = part.tokens.shape[1]
            was, was_value, wanted, advantage = (
                x[rows, :columns] for x in (old, values, returns, advantages)
            )
            new, value, _ = evaluate(policy, part, config)
            if first is None:
                first = torch.where(part.mask, (new - was).exp() - 1, 0.0).abs().max().item()
            loss = policy_loss(new, was, advantage, part.mask, config.clip)
            loss = loss + config.value_weight * value_loss(
                value, was_value, wanted, part.mask, config.value_clip
            )
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(policy.parameters(), config.max_grad_norm)
            optimizer.step()
            clipped.append(clip_fraction(new.detach(), was, part.mask, config.clip))
    return Stats(
        scores.mean().item(), per_answer.mean().item(), rollout.ended.float().mean().item(),
        mask.sum(1).float().mean().item(), masked_mean(spread, mask).item(),
        sum(clipped) / len(clipped), explained_variance(values, returns, mask), first,
        int(mask.sum()),
    )  # fmt: skip


def evaluate(policy: Policy, rollout: Rollout, config: PPO, reference: bool = False):
    """Log-probabilities and values of a rollout's tokens, each [rows, tokens], on the CPU, and the
    logits they came from, [rows, tokens, vocabulary]."""
    logits, values = policy.outputs(rollout, reference)
    tokens = rollout.tokens.to(logits.device)
    return token_log_probs(logits, tokens, config.temperature).cpu(), values.cpu(), logits
