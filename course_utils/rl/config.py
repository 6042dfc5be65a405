"""The choices of a run, what an iteration reports, and what a reward function must return."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from ..settings import CourseError


class RanAway(CourseError):
    """The policy has left the reference by more than ``max_kl`` nats per answer."""


@dataclass(frozen=True)
class PPO:
    """All choices of a run."""

    beta: float = 0.05  # price of a nat of KL to the reference
    epochs: int = 2  # passes over each rollout
    minibatch: int = 8  # responses
    group: int = 1  # responses to each prompt; several share the reading of it
    clip: float = 0.2  # of the policy's ratio
    value_clip: float = 0.2  # of a value's move, in units of the score
    value_weight: float = 0.5
    gamma: float = 1.0
    lam: float = 0.95
    temperature: float = 1.0
    max_new_tokens: int = 32
    no_end_penalty: float = 1.0  # taken off the score of a response that never ended
    max_kl: float = 30.0  # nats per answer; beyond it the run stops
    max_grad_norm: float = 1.0


@dataclass(frozen=True)
class Stats:
    """One iteration: means over responses (score, kl, ended, length) or over response tokens."""

    score: float
    kl: float
    ended: float
    length: float
    entropy: float
    clip_fraction: float  # share of ratios outside 1 ± clip, the mean of the minibatches' shares
    explained_variance: float
    first_ratio: float  # largest |ratio − 1| of the first minibatch: 0 up to rounding
    tokens: int  # response tokens generated


def check_kept(kept, score, config: PPO, folder) -> None:
    """Refuse to go on with a kept run whose last answers this reward function scores otherwise."""
    missing = config.no_end_penalty * (1 - kept.stats["ended"])
    now = check_scores(score(kept.texts), len(kept.texts)).mean().item() - missing
    if abs(now - kept.stats["score"]) > 0.02:
        raise CourseError(
            f"The run kept in {folder} was trained with another reward: its last answers scored "
            f"{kept.stats['score']:.2f} then and {now:.2f} now. Delete the folder to train afresh."
        )


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
