"""PPO for language models in small pieces (Ouyang et al. 2022; Schulman et al. 2017).

log-probabilities → KL and rewards → advantages → losses. Every function takes its mask as an
argument: ``mask`` [rows, tokens] is True at the tokens of the response, its first end token
included, and comes from lengths (never from ``ids != pad``: the pad token may be the end token).
"""

from .advantages import gae, masked_mean, rewards_per_token, whiten
from .config import PPO, RanAway, Stats, check_scores
from .kl import estimate, exact
from .logprobs import entropy, response_mask, token_log_probs
from .losses import clip_fraction, explained_variance, policy_loss, value_loss
from .policy import Policy
from .ppo import evaluate, step
from .rollout import Rollout, sample
from .train import Iteration, train

__all__ = [
    "PPO", "Iteration", "Policy", "RanAway", "Rollout", "Stats", "check_scores", "clip_fraction",
    "entropy", "estimate", "evaluate", "exact", "explained_variance", "gae", "masked_mean", "policy_loss",
    "response_mask", "rewards_per_token", "sample", "step", "token_log_probs", "train", "value_loss",
    "whiten",
]  # fmt: skip
