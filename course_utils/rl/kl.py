"""KL(π ‖ reference) from samples of π (Schulman 2020, "Approximating KL divergence").

With ``d = log π − log π_ref`` of a token drawn from π:

====  ====================  ==========================================================
k1    d                     unbiased; for the *reward*. As a loss its expected gradient is 0.
k2    d² / 2                its expected gradient is that of the reverse KL(π ‖ ref)
k3    exp(−d) − 1 + d       unbiased, never negative; its expected gradient is that of
                            the forward KL(ref ‖ π)
====  ====================  ==========================================================
"""

from __future__ import annotations

import torch


def estimate(log_probs: torch.Tensor, reference: torch.Tensor, kind: str = "k1") -> torch.Tensor:
    """Per-token estimate in nats, the shape of its arguments.

    Raises
    ------
    ValueError
        for another ``kind`` than k1, k2, k3.
    """
    difference = log_probs - reference
    if kind == "k1":
        return difference
    if kind == "k2":
        return difference.square() / 2
    if kind == "k3":
        return torch.expm1(-difference) + difference
    raise ValueError(f"kind={kind!r} is none of k1, k2, k3.")


def exact(logits: torch.Tensor, reference_logits: torch.Tensor) -> torch.Tensor:
    """KL(π ‖ reference) of whole distributions, nats, over the last dimension."""
    log_p, log_q = logits.log_softmax(-1), reference_logits.log_softmax(-1)
    return (log_p.exp() * (log_p - log_q)).sum(-1)
