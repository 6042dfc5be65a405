"""One iteration: rollout → score → KL → advantages → clipped updates. Read it from top to bottom.

Algorithm 1 of Schulman et al. 2017, with the reward of Ouyang et al. 2022, equation 2. Tensors are
[rows, tokens], a row per response; ``mask`` is True where a token counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch.nn import functional as F

from ..finetune import give_back
from . import kl
from .advantages import gae, masked_mean, rewards_per_token, whiten
from .config import PPO, RanAway, Stats, check_scores
from .logprobs import entropy, token_log_probs
from .losses import explained_variance, policy_loss, value_loss
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
    give_back()  # what was needed for sampling would stay beside what comes next
    mask = rollout.mask

    # 2 Score the response's text only: an insult in the prompt is not the policy's.
    scores = check_scores(score(rollout.texts), len(rollout.texts))
    scores = scores - config.no_end_penalty * (~rollout.ended).float()

    # 3 Log-probabilities of the old policy and of the reference, by the function that the updates use:
    #   two functions would differ by rounding, and the first ratio would not be 1.
    with torch.no_grad():
        old_logprobs, values, token_entropy = evaluate(policy, rollout, config)
        ref_logprobs, _, _ = evaluate(policy, rollout, config, reference=True)
    give_back()
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
    constants, moves = (old_logprobs, values, returns, advantages), []
    for _ in range(config.epochs):
        order = torch.randperm(len(prompts), generator=generator)
        for index in order.split(max(1, config.minibatch // config.group)):
            moves.append(update(policy, optimizer, rollout, index.tolist(), constants, config))
            give_back()
    return Stats(
        score=scores.mean().item(),
        kl=kl_per_response.mean().item(),
        ended=rollout.ended.float().mean().item(),
        length=mask.sum(1).float().mean().item(),
        entropy=masked_mean(token_entropy, mask).item(),
        clip_fraction=sum(((m.exp() - 1).abs() > config.clip).float().mean().item() for m in moves) / len(moves),
        explained_variance=explained_variance(values, returns, mask),
        first_ratio=(moves[0].exp() - 1).abs().max().item(),
        tokens=int(mask.sum()),
    )


def update(
    policy: Policy, optimizer: torch.optim.Optimizer, rollout: Rollout, minibatch: list[int],
    constants: tuple[torch.Tensor, ...], config: PPO,
) -> torch.Tensor:  # fmt: skip
    """One clipped update on some of the prompts (by position); log π_new − log π_old of their tokens before it.

    ``constants`` are the old log-probabilities, values, returns and advantages of the rollout, [rows, tokens].
    """
    tokens, moves = int(rollout.mask[rollout.rows_of(minibatch)].sum()), []
    optimizer.zero_grad()
    for prompts in policy.together(minibatch):
        part, rows = rollout.part(prompts), rollout.rows_of(prompts)
        columns = part.tokens.shape[1]  # cut to the longest response among them
        old, old_value, target, advantage = (x[rows, :columns] for x in constants)
        logprobs, value, _ = evaluate(policy, part, config)
        # Divided by the tokens of the whole minibatch: the gradients of its parts add up to its own.
        loss = policy_loss(logprobs, old, advantage, part.mask, config.clip, tokens)
        loss = loss + config.value_weight * value_loss(
            value, old_value, target, part.mask, config.value_clip, tokens
        )
        loss.backward()
        moves.append((logprobs.detach() - old)[part.mask])
    torch.nn.utils.clip_grad_norm_(policy.parameters(), config.max_grad_norm)
    optimizer.step()
    return torch.cat(moves)


def evaluate(
    policy: Policy, rollout: Rollout, config: PPO, reference: bool = False
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Log-probabilities and values of a rollout's tokens, and the entropy of the distribution that each was
    drawn from (zeros where gradients are recorded: no loss asks for it); each [rows, tokens], on the CPU."""
    found = []
    for prompts in policy.together(range(len(rollout.prompts))):
        part = rollout.part(prompts)
        logits, values = policy.outputs(part, reference)
        tokens = part.tokens.to(logits.device)
        log_probs = token_log_probs(logits, tokens, config.temperature)
        asked = not torch.is_grad_enabled()
        spread = entropy(logits, config.temperature) if asked else torch.zeros_like(values)
        found.append((log_probs, values, spread))
        del logits  # [rows, tokens, vocabulary] is by far the largest tensor here
    # Parts are as wide as their longest response: zeros behind it, which no mask lets through.
    longest = rollout.tokens.shape[1]
    return tuple(
        torch.cat([F.pad(x, (0, longest - x.shape[1])) for x in parts]).cpu() for parts in zip(*found)
    )
