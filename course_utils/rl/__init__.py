"""PPO for language models in small pieces (Ouyang et al. 2022, arXiv:2203.02155; Schulman et al. 2017).

Left out of Ouyang et al.: the pre-training loss that they mix in (PPO-ptx), the value network of its own
that they start from the reward model (here one linear layer reads the policy's hidden states), and the
full fine-tuning of every weight (here a LoRA adapter, whose base is the reference). Left out of Schulman
et al.: the entropy bonus. Added to both: several responses to a prompt in one rollout, a price for a
response that never ends, and a stop when the KL runs away. Taken from public code rather than from the
papers: advantages whitened over the rollout, and a clipped value loss.

Read :mod:`.ppo` first: log-probabilities → KL and rewards → advantages → losses. Every function takes its
mask as an argument: ``mask`` [rows, tokens] is True at the tokens of the response, its first end token
included, and comes from lengths (never from ``ids != pad``: the pad token may be the end token).
"""

from .advantages import gae, masked_mean, rewards_per_token, whiten
from .config import PPO, RanAway, Stats, check_scores
from .fast import FastPolicy, fast_or_plain
from .kl import estimate, exact
from .logprobs import entropy, response_mask, token_log_probs
from .losses import clip_fraction, explained_variance, policy_loss, value_loss
from .policy import Policy
from .ppo import evaluate, step
from .rollout import Rollout
from .sample import sample
from .train import Iteration, train

__all__ = [
    "PPO", "FastPolicy", "Iteration", "Policy", "RanAway", "Rollout", "Stats", "check_scores", "clip_fraction",
    "entropy", "estimate", "evaluate", "exact", "explained_variance", "fast_or_plain", "gae", "masked_mean", "policy_loss",
    "response_mask", "rewards_per_token", "sample", "step", "token_log_probs", "train", "value_loss",
    "whiten",
]  # fmt: skip
