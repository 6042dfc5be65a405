"""Log-probabilities of response tokens: one function for the old, the new and the reference policy."""

from __future__ import annotations

import torch


def response_mask(lengths: torch.Tensor, columns: int) -> torch.Tensor:
    """True at the first ``lengths[i]`` columns of row i; [rows, columns].

    A length counts the first end token, which the policy chose too, and nothing after it.
    """
    return torch.arange(columns, device=lengths.device)[None, :] < lengths[:, None]


def token_log_probs(
    logits: torch.Tensor, tokens: torch.Tensor, temperature: float = 1.0
) -> torch.Tensor:
    """log π(token | before) [rows, tokens] from the logits at the position *before* each token.

    Parameters
    ----------
    logits : [rows, tokens, vocabulary]; column t predicts ``tokens[:, t]``, the first one included.
    temperature : the one the tokens were sampled at: the policy that acted is softmax(logits / T).
    """
    if logits.shape[:2] != tokens.shape:
        raise ValueError(f"logits {list(logits.shape)} do not fit tokens {list(tokens.shape)}.")
    scaled = logits.float() / temperature
    return scaled.gather(-1, tokens[..., None]).squeeze(-1) - scaled.logsumexp(-1)


def entropy(logits: torch.Tensor, temperature: float = 1.0) -> torch.Tensor:
    """Entropy of each next-token distribution in nats, [rows, tokens]."""
    log_probs = (logits.float() / temperature).log_softmax(-1)
    return -(log_probs.exp() * log_probs).sum(-1)
