"""Plausible wrong answers to the exercises beyond PPO."""

import numpy as np
import torch
from torch.nn import functional as F

from course_utils.exercises import beyond


def mean_per_answer(values, mask):
    return (torch.where(mask, values, 0.0).sum(1) / mask.sum(1)).mean()


def grpo_per_token(log_probs, old, reference, advantages, mask, beta, clip):
    ratio, a, d = (log_probs - old).exp(), advantages[:, None], reference - log_probs
    gain = torch.minimum(ratio * a, ratio.clamp(1 - clip, 1 + clip) * a)
    return -(gain - beta * (d.exp() - d - 1))[mask].mean()


def grpo_unclipped(log_probs, old, reference, advantages, mask, beta, clip):
    d = reference - log_probs
    return -mean_per_answer((log_probs - old).exp() * advantages[:, None] - beta * (d.exp() - d - 1), mask)


def grpo_k1(log_probs, old, reference, advantages, mask, beta, clip):
    ratio, a = (log_probs - old).exp(), advantages[:, None]
    gain = torch.minimum(ratio * a, ratio.clamp(1 - clip, 1 + clip) * a)
    return -mean_per_answer(gain - beta * (log_probs - reference), mask)


def remove(text, insults, fold=str.lower):
    kept = [w for w in text.split() if fold(w).strip(".,") not in insults]
    return " ".join(kept)


PLANTED = {
    "beyond.1": [
        (lambda p, j, n: beyond.best_of_n(j, j, n), "let the judge choose"),
        (lambda p, j, n: beyond.best_of_n(p, p, n), "the proxy's own value"),
        (lambda p, j, n: beyond.best_of_n([-x for x in p], j, n), "likes *least*"),
        (lambda p, j, n: j[int(np.argmax(p[:n]))], "one draw"),
        (lambda p, j, n: sum(j[k] * ((i + 1) ** n - i**n) / len(p) ** n for i, k in enumerate(np.argsort(p))), "with replacement"),
    ],
    "beyond.2": [
        (lambda a, b, c, d, beta: beyond.dpo(b, a, d, c, beta), "swapped"),
        (lambda a, b, c, d, beta: -F.logsigmoid(beta * (a - b)).mean(), "reference is missing"),
        (lambda a, b, c, d, beta: beyond.dpo(a, b, c, d, 1.0), "left beta out"),
        (lambda a, b, c, d, beta: -F.logsigmoid(beta * (a - c - b + d)), "one number"),
        (lambda a, b, c, d, beta: -beyond.dpo(a, b, c, d, beta), "The sign"),
    ],
    "beyond.3": [
        (lambda x, m: x.mean(1), "still count"),
        (lambda x, m: torch.where(m, x, 0.0).sum(1) / m.sum(1), "is a *sum*"),
        (lambda x, m: (x * m).sum(1), "NaN"),
        (lambda x, m: torch.where(m, x, 0.0).sum(), "One number a row"),
    ],
    "beyond.4": [
        (lambda s: (s - s.mean()) / s.std(), "whole batch"),
        (lambda s: (s - s.mean(0)) / s.std(0), "*different* dialogues"),
        (lambda s: s - s.mean(1, keepdim=True), "not divided"),
        (lambda s: (s - s.mean(1, keepdim=True)) / s.std(1, keepdim=True), "spread of 0"),
    ],
    "beyond.5": [
        (lambda *a: -beyond.grpo(*a), "The sign"),
        (grpo_per_token, "all tokens at once"),
        (grpo_unclipped, "Nothing is clipped"),
        (grpo_k1, "k3"),
        (lambda new, o, r, a, m, beta, clip: beyond.grpo(new, o, r, a, m, 0.0, clip), "is missing"),
        (lambda new, o, r, a, m, beta, clip: beyond.grpo(new, o, r, a, m, -beta, clip), "*pay* the policy"),
    ],
    "beyond.6": [
        (lambda t, words: remove(t, words, str), "capitals"),
        (lambda t, words: "" if any(w in t.lower() for w in words) else t, "Only the insult goes"),
        (lambda t, words: t.replace("IDIOT", "").replace("  ", " ").replace("pest", ""), "pesto"),
    ],
}  # fmt: skip
