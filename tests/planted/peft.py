"""Answers to the exercises on PEFT from the inside: plausible wrong ones, and right ones in other styles."""

import math

import numpy as np
import pandas as pd
import torch

from course_utils.exercises import peft

# ------------------------------------------------------------ peft.1, peft.2


def forward_in_numpy(x, W, A, B, alpha):
    x, W, A, B = map(np.asarray, (x, W, A, B))
    return x @ W.T + alpha / len(A) * x @ A.T @ B.T


def forward_row_by_row(x, W, A, B, alpha):
    return [W @ row + alpha / len(A) * (B @ (A @ row)) for row in x]


def forward_by_layers(x, W, A, B, alpha):
    linear = torch.nn.functional.linear
    return linear(x, W) + linear(linear(x, A), B) * (alpha / A.size(0))


def one_row_alone(i, o, r):
    return torch.cat([torch.randn(1, i), torch.zeros(r - 1, i)]).requires_grad_(), torch.zeros(o, r, requires_grad=True)


def drawn_from_nowhere(fan_in, fan_out, r):
    drawn = np.random.default_rng().normal(size=(r, fan_in))
    return torch.tensor(drawn, dtype=torch.float32, requires_grad=True), torch.zeros(fan_out, r, requires_grad=True)


def seeded_inside(i, o, r):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(r, i, generator=generator).requires_grad_(), torch.zeros(o, r, requires_grad=True)


def disjoint(i, o, r):
    A, B = torch.zeros(r, i), torch.zeros(o, r)
    A[0], B[:, -1] = torch.randn(i), torch.randn(o)
    return A.requires_grad_(), B.requires_grad_()


def by_parameters(i, o, r):
    A, B = torch.nn.Parameter(torch.empty(r, i)), torch.nn.Parameter(torch.zeros(o, r))
    torch.nn.init.kaiming_uniform_(A, a=math.sqrt(5))
    return [A, B]


def b_drawn(i, o, r):
    return torch.zeros(r, i, requires_grad=True), torch.nn.Parameter(0.02 * torch.randn(o, r))


# ------------------------------------------------------------ peft.3 to peft.5


def rank_by_search(shapes, budget):
    r = 0
    while 4 * (r + 1) * sum(i + o for i, o in shapes) <= budget:
        r += 1
    return r


def naive_best(rows, spread):
    lowest = min(loss for _, loss in rows)
    return [s for s, loss in sorted(rows, key=lambda row: row[1]) if loss <= lowest + spread]


def kept(keep):
    def best(rows, spread):
        good = sorted((row for row in rows if row[1] == row[1]), key=lambda row: row[1])
        return [setting for setting, loss in good if keep(loss, good[0][1], spread)]

    return best


def best_by_pandas(rows, spread):
    table = pd.DataFrame(rows, columns=["setting", "loss"]).dropna().sort_values("loss", kind="stable")
    return table[table["loss"] <= table["loss"].min() + spread]["setting"]


def truncated(change):
    def truncate(M, r):
        U, S, V = torch.linalg.svd(M, full_matrices=False)
        return change(U, S, V, r)

    return truncate


def truncated_in_numpy(M, r):
    u, s, v = np.linalg.svd(np.asarray(M), full_matrices=False)
    return (u[:, :r] * s[:r]) @ v[:r]


# ------------------------------------------------------------ peft.6


def by_blocks(scale_of, round_=torch.round):
    def quantise(W, block):
        parts = W.reshape(len(W), -1, block)
        scale = scale_of(parts)
        return round_(parts / scale[..., None]).to(torch.int8).reshape(W.shape), scale

    return quantise


def absmax(parts):
    return parts.abs().amax(2).clamp(min=1e-9) / 127


def one_a_row(W, block):
    scale = (W.abs().amax(1, keepdim=True) / 127).clamp(min=1e-12)
    return (W / scale).round().to(torch.int8), scale.expand(len(W), W.shape[1] // block)


def one_for_all(W, block):
    scale = W.abs().max().clamp(min=1e-12) / 127
    return (W / scale).round().to(torch.int8), scale.expand(len(W), W.shape[1] // block)


def quantised_in_numpy(W, block):
    M = np.asarray(W).reshape(len(W), -1, block)
    s = np.maximum(np.abs(M).max(2, keepdims=True) / 127, 1e-8)
    return np.rint(M / s).astype(np.int8).reshape(W.shape), s[..., 0]


def quantised_in_a_loop(W, block):
    integers, scales = torch.zeros(W.shape, dtype=torch.int8), torch.zeros(len(W), W.shape[1] // block)
    for i in range(len(W)):
        for k in range(W.shape[1] // block):
            part = W[i, k * block : (k + 1) * block]
            largest = part.abs().max().item()
            scales[i, k] = largest / 127 if largest else 1.0
            integers[i, k * block : (k + 1) * block] = (part / scales[i, k]).round()
    return integers, scales


# ------------------------------------------------------------ peft.7 to peft.9


def spoken(**words):
    def choose(task):
        found = peft.choose(task)
        return words.get(found, found)

    return choose


def strict(task):
    room = 0.75 * task["gpu_bytes"] / task["parameters"]
    if task["adapters"] == 1 and room > 16:
        return "full"
    if room > 2:
        return "LoRA"
    if room > 0.5:
        return "QLoRA"
    raise ValueError


def never_refuses(task):
    try:
        return peft.choose(task)
    except ValueError:
        return "QLoRA"


def with_room(factor):
    return lambda task: peft.choose({**task, "gpu_bytes": task["gpu_bytes"] * factor})


def by_a_table(task):
    room = task["gpu_bytes"] * 3 / 4 / task["parameters"]
    bounds = [(16, "full")] * (task["adapters"] == 1) + [(2, "LoRA"), (0.5, "QLoRA")]
    return next(name for least, name in bounds if room >= least) if room >= 0.5 else int("none")


def mixed_linearly(A1, B1, A2, B2, share):
    s, t = share**0.5, (1 - share) ** 0.5
    return s * A1 + t * A2, s * B1 + t * B2


def product_by_svd(A1, B1, A2, B2, share):
    U, S, V = torch.linalg.svd(share * B1 @ A1 + (1 - share) * B2 @ A2, full_matrices=False)
    r = min(len(A1) + len(A2), len(S))
    pad = len(A1) + len(A2) - r
    return torch.nn.functional.pad(V[:r], (0, 0, 0, pad)), torch.nn.functional.pad(U[:, :r] * S[:r], (0, pad))


def stacked(a, b):
    """Both stacked, with ``a(share)`` on the first and ``b(share)`` on the second, in A and in B."""
    return lambda A1, B1, A2, B2, s: (torch.cat([a(s)[0] * A1, b(s)[0] * A2]), torch.cat([a(s)[1] * B1, b(s)[1] * B2], 1))


def counted(**other):
    def trained_weights(layers, width, key_width, hidden, tokens):
        names = ("norms", "prompt", "prefix", "factors")
        found = dict(zip(names, peft.trained_weights(layers, width, key_width, hidden, tokens)))
        return tuple({**found, **{k: f(layers, width, key_width, hidden, tokens) for k, f in other.items()}}.values())

    return trained_weights


PLANTED = {
    "peft.1": [
        (lambda x, W, A, B, alpha: x @ W.T + alpha / len(x) * (x @ A.T @ B.T), "should give"),
        (lambda x, W, A, B, alpha: x @ W.T + x @ A.T @ B.T, "is not scaled"),
        (lambda x, W, A, B, alpha: x @ W.T + alpha * (x @ A.T @ B.T), "α alone"),
        (lambda x, W, A, B, alpha: alpha / len(A) * (x @ A.T @ B.T), "detour alone"),
        (lambda x, W, A, B, alpha: x @ W.T, "frozen layer alone"),
        (lambda x, W, A, B, alpha: x @ W.T + alpha // len(A) * (x @ A.T @ B.T), "cuts the fraction"),
        (lambda x, W, A, B, alpha: x @ W.T + alpha / A.shape[1] * (x @ A.T @ B.T), "number of rows"),
        (lambda x, W, A, B, alpha: x @ W.T - alpha / len(A) * (x @ A.T @ B.T), "taken away"),
        (lambda x, W, A, B, alpha: W @ x + alpha / len(A) * B @ A @ x, "RuntimeError"),
    ],
    "peft.2": [
        (lambda i, o, r: (torch.zeros(r, i, requires_grad=True), torch.zeros(o, r, requires_grad=True)), "no slope"),
        (lambda i, o, r: (torch.randn(r, i, requires_grad=True), torch.randn(o, r, requires_grad=True)), "not zero"),
        (lambda i, o, r: (torch.randn(r, i), torch.zeros(o, r)), "trainable"),
        (lambda i, o, r: (np.random.randn(r, i), np.zeros((o, r))), "trainable"),
        (lambda i, o, r: (torch.randn(r, i, requires_grad=True) / 2, torch.zeros(o, r, requires_grad=True)), "leaf"),
        (one_row_alone, "rank 1 where r is 2"),
        (disjoint, "rank 1 where r is 2"),
        (seeded_inside, "same numbers"),
        (drawn_from_nowhere, "cannot be repeated"),
        (lambda i, o, r: (torch.ones(r, i).requires_grad_(), torch.zeros(o, r, requires_grad=True)), "rank 1"),
        (lambda i, o, r: (torch.randn(i, r).requires_grad_(), torch.zeros(r, o, requires_grad=True)), "has shape"),
    ],
    "peft.3": [
        (lambda shapes, budget: int(budget // sum(i + o for i, o in shapes)), "one byte"),
        (lambda shapes, budget: budget / (4 * sum(i + o for i, o in shapes)), "a whole number"),
        (lambda shapes, budget: int(budget // (4 * sum(i * o for i, o in shapes))), "in × out"),
        (lambda shapes, budget: budget // (4 * sum(i + o for i, o in set(shapes))), "wo layers of one shape"),
        (lambda s, b: (lambda q: 2 ** int(math.log2(q)) if q else 0)(b // (4 * sum(i + o for i, o in s))), "powers of two"),
        (lambda s, b: math.ceil(b / (4 * sum(i + o for i, o in s))), "rounded up"),
        (lambda s, b: round(b / (4 * sum(i + o for i, o in s))), "to the nearest"),
        (lambda s, b: (b - 1) // (4 * sum(i + o for i, o in s)) if b else 0, "exactly the budget"),
        (lambda s, b: max(1, peft.largest_rank(s, b)), "the answer is 0"),
    ],
    "peft.4": [
        (lambda rows, spread: [s for s, x in rows if not x > 2.35], "should give"),
        (lambda rows, spread: ["b"], "should give"),
        (lambda rows, spread: peft.best(rows, spread)[:1], "the best one alone"),
        (lambda rows, spread: ["d", "b"], "should give"),
        (lambda rows, spread: [s for _, s in sorted((x, s) for s, x in rows if s in peft.best(rows, spread))], "qual losses"),
        (lambda rows, spread: peft.best(rows, spread)[::-1], "other way round"),
        (kept(lambda x, low, n: x < low + n), "exactly `spread`"),
        (kept(lambda x, low, n: x <= low * (1 + n)), "not a share"),
        (kept(lambda x, low, n: True), "margin is not used"),
        (naive_best, "NaN confuses"),
        (lambda rows, spread: [s for s, _ in rows if s in peft.best(rows, spread)], "came in"),
        (lambda rows, spread: [(s, x) for s, x in rows if s in peft.best(rows, spread)], "should give"),
    ],
    "peft.5": [
        (lambda M, r: M, "rank 4"),
        (lambda M, r: torch.cat([M[:r], torch.zeros(len(M) - r, M.shape[1])]), "is closer"),
        (lambda M, r: torch.linalg.svd(M)[0][:, :r], "M's shape"),
        (truncated(lambda U, S, V, r: U[:, -r:] * S[-r:] @ V[-r:]), "smallest"),
        (truncated(lambda U, S, V, r: U[:, :r] @ V[:r]), "as long as its singular value"),
        (lambda M, r: peft.truncate(M, max(1, r - 1)), "is closer"),
        (truncated(lambda U, S, V, r: (U[:, :r], S[:r], V[:r])), "a tensor"),
    ],
    "peft.6": [
        (lambda W, block: tuple(-part for part in peft.quantise(W, block)), "should give"),
        (lambda W, block: (lambda q, s: (q, s + 1e-4))(*peft.quantise(W, block)), "should give"),
        (one_for_all, "the whole matrix"),
        (lambda W, block: peft.quantise(W, block)[::-1], "exchanged"),
        (one_a_row, "the whole row"),
        (by_blocks(absmax, torch.trunc), "fraction off"),
        (by_blocks(lambda p: p.amax(2).clamp(min=1e-9) / 127, lambda q: q.round().clamp(-128, 127)), "*absolute*"),
        (by_blocks(lambda p: p.amax(2).clamp(min=1e-9) / 127), "*absolute*"),
        (by_blocks(lambda p: p.abs().amax(2).clamp(min=1e-2) / 127), "small blocks"),
        (by_blocks(lambda p: p.abs().amax(2).clamp(min=1e-9) / 128, lambda q: q.round().to(torch.int32)), "ends at 127"),
        (by_blocks(lambda p: p.abs().amax(2) / 127), "0 / 0"),
        (by_blocks(lambda p: p.abs().amax(2).clamp(min=1e-9)), "not divided by 127"),
        (lambda W, block: (lambda q, s: (q, s * 127))(*peft.quantise(W, block)), "not divided by 127"),
        (lambda W, block: (peft.quantise(W, block)[0].float(), peft.quantise(W, block)[1]), "torch.int8"),
        (lambda W, block: (peft.quantise(W, block)[0], peft.quantise(W, W.shape[1])[1]), "for each block"),
        (by_blocks(lambda p: p.abs().amax(2).clamp(min=1e-9) / 126), "should give"),
        (by_blocks(lambda p: p.abs().mean(2).clamp(min=1e-9) / 32, lambda q: q.round().clamp(-127, 127)), "should give"),
    ],
    "peft.7": [
        (lambda t: "full" if t["gpu_bytes"] >= 16 * t["parameters"] else "LoRA", "should give"),
        (with_room(4 / 3), "quarter of the memory"),
        (lambda t: peft.choose({**t, "adapters": 1}), "share one base"),
        (lambda t: peft.choose({**t, "gpu_bytes": max(t["gpu_bytes"], t["parameters"])}), "names a method"),
        (strict, "exactly the bound"),
        (never_refuses, "names a method"),
        (spoken(LoRA="lora", QLoRA="qlora"), "spelled"),
        (lambda t: peft.choose({**t, "gpu_bytes": t["gpu_bytes"] * 16 / 15 if 15 <= 0.75 * t["gpu_bytes"] / t["parameters"] < 16 else t["gpu_bytes"]}), "just below 16"),
    ],
    "peft.8": [
        (mixed_linearly, "never trained together"),
        (lambda A1, B1, A2, B2, s: (s * A1 + (1 - s) * A2, B1 + B2), "never trained together"),
        (stacked(lambda s: (s, s), lambda s: (1 - s, 1 - s)), "counts twice"),
        (stacked(lambda s: (1, 1), lambda s: (1, 1)), "not applied"),
        (stacked(lambda s: (1, 1 - s), lambda s: (1, s)), "exchanged"),
        (stacked(lambda s: (s**0.5, 1), lambda s: ((1 - s) ** 0.5, 1)), "root"),
        (lambda A1, B1, A2, B2, s: (torch.cat([A1, A2], 1), torch.cat([s * B1, (1 - s) * B2])), "with one r"),
        (lambda A1, B1, A2, B2, s: (torch.eye(A1.shape[1]), s * B1 @ A1 + (1 - s) * B2 @ A2), "make one of rank"),
    ],
    "peft.9": [
        (counted(norms=lambda n, d, k, h, t: 2 * n * d), "Norms: the norm at the end"),
        (counted(prompt=lambda n, d, k, h, t: n * t * d), "Prompt tuning: the vectors"),
        (counted(prefix=lambda n, d, k, h, t: n * t * k), "keys *and* values"),
        (counted(prefix=lambda n, d, k, h, t: 2 * n * t * d), "`key_width` wide"),
        (counted(factors=lambda n, d, k, h, t: n * (k + h)), "IA³: keys *and* values"),
        (counted(factors=lambda n, d, k, h, t: n * (2 * k + d)), "`hidden` wide"),
        (lambda n, d, k, h, t: sum(peft.trained_weights(n, d, k, h, t)), "four whole numbers"),
    ],
}  # fmt: skip

RIGHT = {
    "peft.1": [forward_in_numpy, forward_row_by_row, forward_by_layers, lambda x, W, A, B, alpha: x @ (W + alpha / len(A) * B @ A).T],
    "peft.2": [by_parameters, b_drawn, lambda i, o, r: (torch.randn(r, i, requires_grad=True), torch.zeros(o, r).requires_grad_(True))],
    "peft.3": [rank_by_search, lambda s, b: np.floor(b / np.sum(s) / 4), lambda s, b: b // 4 // torch.tensor(s).sum()],
    "peft.4": [best_by_pandas, kept(lambda x, low, n: x - low <= n), lambda rows, spread: np.array(peft.best(rows, spread))],
    "peft.5": [
        truncated_in_numpy,
        truncated(lambda U, S, V, r: sum(S[k] * torch.outer(U[:, k], V[k]) for k in range(r))),
        truncated(lambda U, S, V, r: U @ torch.diag(S * (torch.arange(len(S)) < r)) @ V),
    ],
    "peft.6": [quantised_in_numpy, quantised_in_a_loop, by_blocks(absmax), lambda W, block: list(peft.quantise(W, block))],
    "peft.7": [by_a_table, lambda t: np.str_(peft.choose(t))],
    "peft.8": [
        product_by_svd,
        stacked(lambda s: (s, 1), lambda s: (1 - s, 1)),
        stacked(lambda s: (s**0.5, s**0.5), lambda s: ((1 - s) ** 0.5, (1 - s) ** 0.5)),
        lambda A1, B1, A2, B2, s: (np.vstack([A2, A1]), np.hstack([(1 - s) * B2, s * B1])),
    ],
    "peft.9": [lambda n, d, k, h, t: [d + 2 * n * d, d * t, 2 * k * t * n, k * n + k * n + h * n], lambda *sizes: np.array(peft.trained_weights(*sizes))],
}  # fmt: skip

EQUIVALENT = {
    "peft.2": {
        change: "how large A starts is left open"
        for change in ("torch.randn(r, fan_in) / fan_in ** 0.5 → torch.randn(r, fan_in) * fan_in ** 0.5", "fan_in ** 0.5 → fan_in * 0.5", "0.5 → 0.55", "0.5 → 0.45")
    },
    "peft.3": {
        "int(budget // (4 * sum((fan_in + fan_out for fan_in, fan_out in shapes)))) → budget // (4 * sum((fan_in + fan_out for fan_in, fan_out in shapes)))": "a whole number either way",
        "budget // (4 * sum((fan_in + fan_out for fan_in, fan_out in shapes))) → budget / (4 * sum((fan_in + fan_out for fan_in, fan_out in shapes)))": "int cuts off, too",
    },
    "peft.5": {"False → True": "the further columns of U and V are not used"},
    "peft.6": {change: "any tiny number keeps 0 / 0 away" for change in ("1e-12 → 1.1e-12", "1e-12 → 9e-13")},
}  # fmt: skip
