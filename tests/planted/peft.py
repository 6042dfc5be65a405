"""Plausible wrong answers to the exercises on PEFT from the inside."""

import torch

from course_utils.exercises import peft

PLANTED = {
    "peft.1": [
        (lambda x, W, A, B, alpha: x @ W.T + x @ A.T @ B.T, "scale α / r is missing"),
        (lambda x, W, A, B, alpha: x @ W.T + alpha * (x @ A.T @ B.T), "not α"),
        (lambda x, W, A, B, alpha: alpha / 2 * (x @ A.T @ B.T), "detour alone"),
    ],
    "peft.2": [
        (lambda i, o, r: (torch.zeros(r, i, requires_grad=True), torch.zeros(o, r, requires_grad=True)), "no slope"),
        (lambda i, o, r: (torch.randn(r, i, requires_grad=True), torch.randn(o, r, requires_grad=True)), "not zero"),
        (lambda i, o, r: (torch.randn(r, i), torch.zeros(o, r)), "trainable"),
        (lambda i, o, r: (torch.randn(r, i, requires_grad=True) / 2, torch.zeros(o, r, requires_grad=True)), "leaf"),
    ],
    "peft.3": [
        (lambda shapes, budget: int(budget // sum(i + o for i, o in shapes)), "one byte"),
        (lambda shapes, budget: budget / (4 * sum(i + o for i, o in shapes)), "Round down"),
        (lambda shapes, budget: int(budget // (4 * sum(i * o for i, o in shapes))), "in × out"),
    ],
    "peft.4": [
        (lambda rows, spread: [s for s, x in rows if not x > 2.35], "diverged"),
        (lambda rows, spread: ["b"], "within the spread"),
        (lambda rows, spread: ["d", "b"], "Best first"),
    ],
    "peft.5": [
        (lambda M, r: M, "rank 4"),
        (lambda M, r: torch.cat([M[:r], torch.zeros(len(M) - r, M.shape[1])]), "is closer"),
        (lambda M, r: torch.linalg.svd(M)[0][:, :r], "M's shape"),
    ],
    "peft.6": [
        (lambda W: ((W / (W.abs().max() / 127)).round().to(torch.int8), W.abs().max() / 127), "One per row"),
        (lambda W: ((W / (s := W.abs().amax(1, keepdim=True) / 127)).trunc().to(torch.int8), s), "do not cut off"),
        (lambda W: ((W / (s := W.abs().amax(1, keepdim=True) / 127)).round(), s), "torch.int8"),
        (lambda W: ((W / (s := W.abs().amax(1, keepdim=True) / 128)).round().to(torch.int32).to(torch.int8), s), "sign flipped"),
        (lambda W: ((W / (s := W.abs().amax(1, keepdim=True) / 127)).round().to(torch.int8), s), "row of zeros"),
    ],
    "peft.7": [
        (lambda t: "full" if t["gpu_bytes"] >= 16 * t["parameters"] else "LoRA", "quarter left free"),
        (lambda t: "full" if 0.75 * t["gpu_bytes"] >= 16 * t["parameters"] else "LoRA", "share one base"),
        (lambda t: peft.choose({**t, "gpu_bytes": max(t["gpu_bytes"], t["parameters"])}), "fit no method"),
    ],
}  # fmt: skip
