"""LoRA from the inside: wrong and right answers."""

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


def forward_by_einsum(x, W, A, B, alpha):
    return torch.einsum("bi,oi->bo", x, W) + alpha / B.shape[1] * torch.einsum("bi,ri,or->bo", x, A, B)


def one_row_alone(i, o, r):
    return torch.cat([torch.randn(1, i), torch.zeros(r - 1, i)]).requires_grad_(), torch.zeros(o, r, requires_grad=True)


def drawn_from_nowhere(fan_in, fan_out, r):
    drawn = np.random.default_rng().normal(size=(r, fan_in))
    return torch.tensor(drawn, dtype=torch.float32, requires_grad=True), torch.zeros(fan_out, r, requires_grad=True)


def seeded_inside(i, o, r):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(r, i, generator=generator).requires_grad_(), torch.zeros(o, r, requires_grad=True)


def in_float64(i, o, r):
    return torch.tensor(np.random.randn(r, i), requires_grad=True), torch.zeros(o, r, dtype=torch.float64, requires_grad=True)


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


def truncated_by_eigenvectors(M, r):
    directions = torch.linalg.eigh(M.T @ M)[1][:, -r:]
    return M @ directions @ directions.T


def truncated_in_numpy(M, r):
    u, s, v = np.linalg.svd(np.asarray(M), full_matrices=False)
    return (u[:, :r] * s[:r]) @ v[:r]

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
        (lambda x, W, A, B, alpha: W @ x.T + alpha / len(A) * B @ A @ x.T, "[out, rows]"),
        (lambda x, W, A, B, alpha: x @ W.T + alpha / 2 * x @ A.T @ B.T, "no multiple of r"),
        (lambda x, W, A, B, alpha: W @ x + alpha / len(A) * B @ A @ x, "RuntimeError"),
    ],
    "peft.2": [
        (lambda i, o, r: (torch.zeros(r, i, requires_grad=True), torch.zeros(o, r, requires_grad=True)), "no slope"),
        (lambda i, o, r: (torch.randn(r, i, requires_grad=True), torch.randn(o, r, requires_grad=True)), "not zero"),
        (lambda i, o, r: (torch.randn(r, i), torch.zeros(o, r)), "trainable"),
        (lambda i, o, r: (np.random.randn(r, i), np.zeros((o, r))), "trainable"),
        (lambda i, o, r: (torch.randn(r, i, requires_grad=True) / 2, torch.zeros(o, r, requires_grad=True)), "leaf"),
        (in_float64, "torch.float64"),
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
        (lambda s, b: min(b // (4 * (i + o)) for i, o in s), "all of them share it"),
        (lambda s, b: max(r for r in range(1, 9999) if 4 * r * sum(i + o for i, o in s) <= b), "Too little for r = 1"),
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
        (truncated(lambda U, S, V, r: U[:, :r] * S[:r] @ V[:, :r].T), "V transposed already"),
        (truncated(lambda U, S, V, r: sum(S[k] * torch.outer(U[:, k], V[:, k]) for k in range(r))), "V transposed already"),
        (lambda M, r: M * (M.abs() >= M.abs().flatten().topk(r).values[-1]), "is closer"),
        (lambda M, r: peft.truncate(M, max(1, r - 1)), "is closer"),
        (truncated(lambda U, S, V, r: (U[:, :r], S[:r], V[:r])), "a tensor"),
    ],
}  # fmt: skip

RIGHT = {
    "peft.1": [forward_in_numpy, forward_row_by_row, forward_by_layers, forward_by_einsum, lambda x, W, A, B, alpha: x @ (W + alpha / len(A) * B @ A).T],
    "peft.2": [by_parameters, b_drawn, lambda i, o, r: (torch.nn.Linear(i, r, bias=False).weight, torch.nn.Parameter(torch.zeros(o, r))), lambda i, o, r: (torch.randn(r, i, requires_grad=True), torch.zeros(o, r).requires_grad_(True))],
    "peft.3": [rank_by_search, lambda s, b: np.floor(b / np.sum(s) / 4), lambda s, b: b // 4 // torch.tensor(s).sum()],
    "peft.4": [best_by_pandas, kept(lambda x, low, n: x - low <= n), lambda rows, spread: np.array(peft.best(rows, spread))],
    "peft.5": [
        truncated_in_numpy,
        truncated_by_eigenvectors,
        truncated(lambda U, S, V, r: sum(S[k] * torch.outer(U[:, k], V[k]) for k in range(r))),
        truncated(lambda U, S, V, r: U @ torch.diag(S * (torch.arange(len(S)) < r)) @ V),
    ],
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
}  # fmt: skip
