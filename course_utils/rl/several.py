"""The same iteration on several processes: each answers and learns from its share of the prompts.

:func:`step` is :func:`.ppo.step` with what is over *all* responses taken over all processes: the KL that may
stop the run, the mean and spread that whiten, the tokens that a loss is divided by, the gradient. For one
process it is that step, number for number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from .. import ranks
from ..finetune import give_back
from ..settings import CourseError
from . import kl
from .advantages import gae, rewards_per_token, whiten
from .config import PPO, RanAway, Stats, check_scores
from .losses import explained_variance, policy_loss, value_loss
from .policy import Policy
from .ppo import evaluate
from .rollout import Rollout
from .sample import sample


def step(
    policy: Policy, optimizer: torch.optim.Optimizer, prompts: Sequence[str],
    score: Callable[[list[str]], Sequence[float]], config: PPO, seed: int,
) -> Stats:  # fmt: skip
    """One iteration on ``prompts``, which are those of all processes; the same :class:`Stats` on each.

    Raises
    ------
    CourseError
        as :func:`.ppo.step`, and for fewer prompts than processes.
    """
    if len(prompts) < ranks.count():
        raise CourseError(f"{ranks.count()} processes cannot share {len(prompts)} prompts; use fewer processes.")
    own_seed = seed * ranks.count() + ranks.rank()  # other random numbers in each process
    rollout = sample(policy, ranks.share(prompts), config.max_new_tokens, config.temperature, own_seed, config.group)
    give_back()
    mask = rollout.mask
    scores = check_scores(score(rollout.texts), len(rollout.texts))
    scores = scores - config.no_end_penalty * (~rollout.ended).float()
    with torch.no_grad():
        old_logprobs, values, token_entropy = evaluate(policy, rollout, config)
        ref_logprobs, _, _ = evaluate(policy, rollout, config, reference=True)
    give_back()
    nats = over_all(torch.where(mask, kl.estimate(old_logprobs, ref_logprobs), 0.0).sum(1))
    if not nats.mean() < config.max_kl:
        raise RanAway(
            f"The KL to the reference is {nats.mean():.1f} nats per answer: the policy has run "
            "away. Go back to the last saved adapter and lower the learning rate or raise beta."
        )
    rewards = rewards_per_token(scores, old_logprobs, ref_logprobs, mask, config.beta)
    advantages, returns = gae(rewards, values, mask, config.gamma, config.lam)
    advantages = whiten_all(advantages, mask)

    generator = torch.Generator().manual_seed(seed)  # every process draws the same minibatches
    constants, moves = (old_logprobs, values, returns, advantages), []
    for _ in range(config.epochs):
        order = torch.randperm(len(prompts), generator=generator)
        for index in order.split(max(1, config.minibatch // config.group)):
            mine = [i // ranks.count() for i in index.tolist() if i % ranks.count() == ranks.rank()]
            moves.append(over_all(update(policy, optimizer, rollout, mine, constants, config)))
    tokens = over_all(mask.sum(1))
    found, wanted = over_all(values[mask]), over_all(returns[mask])
    return Stats(
        score=over_all(scores).mean().item(),
        kl=nats.mean().item(),
        ended=over_all(rollout.ended.float()).mean().item(),
        length=tokens.float().mean().item(),
        entropy=over_all(token_entropy[mask]).mean().item(),
        clip_fraction=sum(((m.exp() - 1).abs() > config.clip).float().mean().item() for m in moves) / len(moves),
        explained_variance=explained_variance(found, wanted, torch.ones_like(found).bool()),
        first_ratio=(moves[0].exp() - 1).abs().max().item(),
        tokens=int(tokens.sum()),
    )


def over_all(numbers: torch.Tensor) -> torch.Tensor:
    """The numbers of all processes, one after the other."""
    return torch.cat(ranks.gathered(numbers))


def whiten_all(advantages: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """:func:`whiten` over the tokens of all processes."""
    if ranks.count() == 1:
        return whiten(advantages, mask)
    parts = ranks.gathered(advantages[mask])
    white = whiten(torch.cat(parts)[None], torch.ones(1, sum(map(len, parts)), dtype=torch.bool))[0]
    own = white.split([len(part) for part in parts])[ranks.rank()]
    return torch.zeros_like(advantages).masked_scatter(mask, own)


def update(
    policy: Policy, optimizer: torch.optim.Optimizer, rollout: Rollout, minibatch: list[int],
    constants: tuple[torch.Tensor, ...], config: PPO,
) -> torch.Tensor:  # fmt: skip
    """:func:`.ppo.update`, where ``minibatch`` is this process's part of one; it may be empty."""
    tokens = int(ranks.total(int(rollout.mask[rollout.rows_of(minibatch)].sum())))
    moves = [torch.zeros(0)]
    optimizer.zero_grad()
    for prompts in policy.together(minibatch) if minibatch else ():
        part, rows = rollout.part(prompts), rollout.rows_of(prompts)
        columns = part.tokens.shape[1]
        old, old_value, target, advantage = (x[rows, :columns] for x in constants)
        logprobs, value, _ = evaluate(policy, part, config)
        loss = policy_loss(logprobs, old, advantage, part.mask, config.clip, tokens)
        loss = loss + config.value_weight * value_loss(
            value, old_value, target, part.mask, config.value_clip, tokens
        )
        loss.backward()
        moves.append((logprobs.detach() - old)[part.mask])
    # One message behind the passes: an adapter has few weights.
    ranks.add_up(policy.parameters())
    torch.nn.utils.clip_grad_norm_(policy.parameters(), config.max_grad_norm)
    optimizer.step()
    return torch.cat(moves)
