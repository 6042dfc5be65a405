"""One iteration: rollout → score → KL → advantages → clipped updates. Read it from top to bottom.

Algorithm 1 of Schulman et al. 2017, with the reward of Ouyang et al. 2022, equation 2. Tensors are
[rows, tokens], a row per response; ``mask`` is True where a token counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from . import kl
from .advantages import gae, masked_mean, rewards_per_token, whiten
from .config import PPO, RanAway, Stats, check_scores
from .logprobs import entropy, token_log_probs
from .losses import clip_fraction, explained_variance, policy_loss, value_loss
from .policy import Policy
from .rollout import Rollout
from .sample import sample


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
    # 1 Rollout: the policy answers. From here on it is the *old* policy.
    rollout = sample(policy, prompts, config.max_new_tokens, config.temperature, seed, config.group)
    mask = rollout.mask

    # 2 Score the response's text only: an insult in the prompt is not the policy's.
    scores = check_scores(score(rollout.texts), len(rollout.texts))
    scores = scores - config.no_end_penalty * (~rollout.ended).float()

    # 3 Log-probabilities of the old policy and of the reference, by the function that the updates use:
    #   two functions would differ by rounding, and the first ratio would not be 1.
    with torch.no_grad():
        old_logprobs, values, logits = evaluate(policy, rollout, config)
        token_entropy = entropy(logits, config.temperature).cpu()
        del logits  # [rows, tokens, vocabulary] is by far the largest tensor here
        ref_logprobs, _, _ = evaluate(policy, rollout, config, reference=True)
    kl_per_response = torch.where(mask, kl.estimate(old_logprobs, ref_logprobs), 0.0).sum(1)
    if not kl_per_response.mean() < config.max_kl:  # "not <" also stops at NaN
        raise RanAway(
            f"The KL to the reference is {kl_per_response.mean():.1f} nats per answer: the policy has run "
            "away. Go back to the last saved adapter and lower the learning rate or raise beta."
        )

    # 4 Rewards, advantages and returns; computed once, constants in all that follows.
    rewards = rewards_per_token(scores, old_logprobs, ref_logprobs, mask, config.beta)
    advantages, returns = gae(rewards, values, mask, config.gamma, config.lam)
    advantages = whiten(advantages, mask)

    # 5 Clipped updates: a few passes over the same responses.
    generator = torch.Generator().manual_seed(seed)
    first_ratio, clipped = None, []
    for _ in range(config.epochs):
        order = torch.randperm(len(prompts), generator=generator)
        for index in order.split(max(1, config.minibatch // config.group)):
            batch, rows = rollout.part(index.tolist()), rollout.rows_of(index.tolist())
            columns = batch.tokens.shape[1]  # cut to the minibatch's longest response
            old, old_value, target, advantage = (
                x[rows, :columns] for x in (old_logprobs, values, returns, advantages)
            )
            logprobs, value, _ = evaluate(policy, batch, config)
            if first_ratio is None:
                first_ratio = (logprobs - old).exp()[batch.mask].sub(1).abs().max().item()
            loss = policy_loss(logprobs, old, advantage, batch.mask, config.clip)
            loss = loss + config.value_weight * value_loss(
                value, old_value, target, batch.mask, config.value_clip
            )
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(policy.parameters(), config.max_grad_norm)
            optimizer.step()
            clipped.append(clip_fraction(logprobs.detach(), old, batch.mask, config.clip))
    return Stats(
        score=scores.mean().item(),
        kl=kl_per_response.mean().item(),
        ended=rollout.ended.float().mean().item(),
        length=mask.sum(1).float().mean().item(),
        entropy=masked_mean(token_entropy, mask).item(),
        clip_fraction=sum(clipped) / len(clipped),
        explained_variance=explained_variance(values, returns, mask),
        first_ratio=first_ratio,
        tokens=int(mask.sum()),
    )


def evaluate(
    policy: Policy, rollout: Rollout, config: PPO, reference: bool = False
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Log-probabilities and values of a rollout's tokens, each [rows, tokens], on the CPU, and the
    logits they came from, [rows, tokens, vocabulary]."""
    logits, values = policy.outputs(rollout, reference)
    tokens = rollout.tokens.to(logits.device)
    return token_log_probs(logits, tokens, config.temperature).cpu(), values.cpu(), logits
