"""Plausible wrong answers to Lab 3."""

import numpy as np
import torch

from course_utils.exercises import lab3


def flips(differences, draws, seed):
    signs = np.random.default_rng(seed).choice([-1, 1], size=(draws, len(differences)))
    return (signs * np.asarray(differences)).mean(1)


PLANTED = {
    "lab3.1": [
        (lambda ids, n, e: ids, "prompt is still in"),
        (lambda ids, n, e: ids[n:], "padding after it"),
        (lambda ids, n, e: ids[n : ids.index(e)], "whole row"),
        (lambda ids, n, e: lab3.response_ids(ids, n + 1, e), "begins at position"),
        (lambda ids, n, e: [t for t in ids[n:] if t != e], "another token than the end"),
    ],
    "lab3.2": [
        (lambda base, tuned, rl: (base + tuned + rl, base), "raw model"),
        (lambda base, tuned, rl: (base + tuned + rl, base + tuned + rl), "moves with the policy"),
        (lambda base, tuned, rl: (base + rl, base + tuned), "lost the first adapter"),
    ],
    "lab3.3": [
        (lambda x, n: x.sum(1), "All columns"),
        (lambda x, n: lab3.sum_log_probs(x, n - 1), "last token is missing"),
        (lambda x, n: lab3.sum_log_probs(x, n) / n, "mean"),
        (lambda x, n: lab3.sum_log_probs(x, n) - x[:, 0], "first response token"),
        (lambda x, n: (x * (torch.arange(x.shape[1])[None] < n[:, None])).sum(1), "NaN"),
    ],
    "lab3.4": [
        (lambda s, a, b, beta: lab3.token_rewards(s, b, a, beta), "sign"),
        (lambda s, a, b, beta: s - beta * (a - b), "each token"),
        (lambda s, a, b, beta: lab3.token_rewards(s, a, b, 1.0), "beta is missing"),
    ],
    "lab3.5": [
        (lambda r, v, lam: lab3.advantages_of(r, [*v, v[-1]], lam)[: len(r)], "after the end"),
        (lambda r, v, lam: [sum(r[t:]) - v[t] for t in range(len(r))], "λ = 0"),
        (lambda r, v, lam: [sum(r)], "One advantage a token"),
    ],
    "lab3.6": [
        (lambda log: [np.mean(i["advantages"]) for i in log], "mean 0"),
        (lambda log: [np.std(i["advantages"]) for i in log], "spread"),
        (lambda log: [np.mean(i["kl"]) for i in log], "how far"),
        (lambda log: [np.sum(i["scores"]) for i in log], "mean"),
    ],
    "lab3.7": [
        (lambda r, a, e: r * a, "Nothing is clipped"),
        (lambda r, a, e: r.clamp(1 - e, 1 + e) * a, "Only clipped"),
        (lambda r, a, e: torch.maximum(r * a, r.clamp(1 - e, 1 + e) * a), "pessimistic"),
    ],
    "lab3.8": [
        (lambda a, sa, b, sb, n: (a - b) / (sa**2 + sb**2) ** 0.5, "single answers"),
        (lambda a, sa, b, sb, n: (a - b) / ((sa + sb) / n**0.5), "do not add"),
        (lambda a, sa, b, sb, n: lab3.z_score(b, sb, a, sa, n), "before − after"),
    ],
    "lab3.9": [
        (lambda d, n, s: (np.sum(flips(d, n, s) >= np.mean(d) - 1e-12) + 1) / (n + 1), "One-sided"),
        (lambda d, n, s: np.mean(np.abs(flips(d, n, s)) >= abs(np.mean(d)) - 1e-12), "never right"),
        (lambda d, n, s: 0.05, "2 of 32"),
    ],
}
