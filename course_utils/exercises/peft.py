"""LoRA from the inside: reference answers and their tests."""

from __future__ import annotations

import math
import random

import numpy as np
import torch

from . import answers
from .answers import Wrong
from .cases import alike, compare
from .engine import Exercise

# ------------------------------------------------------------ peft.1 the forward pass


def lora_forward(x, W, A, B, alpha):
    return x @ W.T + alpha / A.shape[0] * (x @ A.T @ B.T)


def _test_lora_forward(answer):
    generator = torch.Generator().manual_seed(0)

    def layer(rows, fan_in, out, r):
        return tuple(torch.randn(*shape, generator=generator) for shape in ((rows, fan_in), (out, fan_in), (r, fan_in), (out, r)))

    def with_scale(scale):
        return lambda x, W, A, B, alpha: x @ W.T + scale(A, B, alpha) * (x @ A.T @ B.T)

    compare(answer, lora_forward, [
        ("", (*layer(4, 3, 5, 2), 6.0)), ("alpha is no multiple of r", (*layer(2, 6, 4, 3), 8)), ("r = 1", (*layer(3, 2, 3, 1), 0.5)),
        ("as many outputs as inputs", (*layer(1, 4, 4, 2), 5)),
    ], [
        ("That is the detour alone: the frozen layer is missing.", lambda x, W, A, B, alpha: alpha / len(A) * (x @ A.T @ B.T)),
        ("That is the frozen layer alone: the detour is missing.", lambda x, W, A, B, alpha: x @ W.T),
        ("The detour is not scaled: α and r say how strongly it counts.", with_scale(lambda A, B, alpha: 1)),
        ("You scaled the detour by α alone; r belongs to it, too.", with_scale(lambda A, B, alpha: alpha)),
        ("α is not a multiple of r everywhere: `//` cuts the fraction off.", with_scale(lambda A, B, alpha: alpha // len(A))),
        ("You divided α by the layer's width: r is the number of rows of A.", with_scale(lambda A, B, alpha: alpha / A.shape[1])),
        ("You divided α by the layer's width: r is the number of rows of A.", with_scale(lambda A, B, alpha: alpha / len(B))),
        ("You divided r by α; it is the other way round.", with_scale(lambda A, B, alpha: len(A) / alpha)),
        ("You divided α by the root of r, as rank-stabilised LoRA does; here it is r itself.", with_scale(lambda A, B, alpha: alpha / len(A) ** 0.5)),
        ("The scale belongs to the detour alone; yours multiplies the frozen layer as well.", lambda x, W, A, B, alpha: alpha / len(A) * (x @ W.T + x @ A.T @ B.T)),
        ("The detour is taken away; it is added.", with_scale(lambda A, B, alpha: -alpha / len(A))),
        ("You returned [out, rows]: each row of x gives a row of the result.", lambda *given: lora_forward(*given).T),
    ])  # fmt: skip


# ------------------------------------------------------------ peft.2 spot the bug: a new adapter


def make_adapter(fan_in, fan_out, r):
    A = (torch.randn(r, fan_in) / fan_in**0.5).requires_grad_()
    B = torch.zeros(fan_out, r, requires_grad=True)
    return A, B


def _test_make_adapter(answer):
    for sizes in ((6, 4, 2), (3, 8, 1), (12, 12, 5)):
        fan_in, fan_out, r = sizes
        torch.manual_seed(0)  # an answer may have bad luck with its rank; this one is always the same
        A, B = answer(*sizes)
        if tuple(A.shape) != (r, fan_in) or tuple(B.shape) != (fan_out, r):
            raise Wrong(f"make_adapter{sizes}: A has shape {[r, fan_in]} and B {[fan_out, r]}; yours are {list(A.shape)} and {list(B.shape)}.")
        if not (A.requires_grad and B.requires_grad):
            raise Wrong("Both must be trainable: tensors that you return have requires_grad=True.")
        if not A.dtype == B.dtype == torch.float32:
            raise Wrong(f"A is {A.dtype} and B {B.dtype}; both have to be torch.float32, as the layers beside them are, or no product works.")
        if not (A.is_leaf and B.is_leaf):
            raise Wrong("An optimiser needs leaf tensors: call requires_grad_() after the arithmetic.")
        if not (A.isfinite().all() and B.isfinite().all()):
            raise Wrong("There are values that are not finite: torch.empty holds whatever was there; fill it.")
        if (B @ A).abs().max() > 0:
            raise Wrong("The product is not zero: the model would start from something other than the original.")
        size = max(A.abs().max().item(), B.abs().max().item())
        if size == 0:
            raise Wrong("Both are zero: the product has no slope in either, and nothing ever moves.")
        rank = max(int(torch.linalg.matrix_rank(part)) for part in (A.detach(), B.detach()))
        if rank < r:
            raise Wrong(f"make_adapter{sizes}: what you drew has rank {rank} where r is {r}; the other directions start idle.")
        again = answer(*sizes)
        if all(torch.equal(a, b) for a, b in zip((A, B), again)):
            raise Wrong("Called twice, your function returned the same numbers: all layers of a model would start alike. Draw anew at each call, and leave the seed to the caller.")

    def seeded():
        for seed in (torch.manual_seed, np.random.seed, random.seed):
            seed(1)
        return answer(6, 4, 2)

    if not all(torch.equal(a, b) for a, b in zip(seeded(), seeded())):
        raise Wrong("After torch.manual_seed(1) your function draws other numbers each time: a run cannot be repeated. Draw with torch's own functions.")


# ------------------------------------------------------------ peft.3 the largest rank that fits


def largest_rank(shapes, budget):
    return int(budget // (4 * sum(fan_in + fan_out for fan_in, fan_out in shapes)))


def _test_largest_rank(answer):
    def bytes_a_rank(count, last=math.floor):
        return lambda shapes, budget: last(budget / count(shapes))

    def both(shapes):
        return sum(i + o for i, o in shapes)

    two = [(10, 20), (20, 10)]  # 240 bytes per unit of rank
    three = [(7, 3), (5, 5), (100, 41)]  # 644
    compare(answer, largest_rank, [
        ("", (two, 1000)), ("", (two, 1500)), ("exactly what r = 3 takes", (two, 720)), ("one byte too little for r = 3", (two, 719)),
        ("exactly what r = 1 takes", (two, 240)), ("too little for r = 1", (two, 239)), ("nothing to spend", (two, 0)),
        ("three layers of other shapes", (three, 9000)), ("", (three, 644 * 11 - 1)), ("one layer", ([(768, 768)], 10**6)), ("two layers of one shape", ([(64, 32), (64, 32), (32, 16)], 10**4)),
    ], [
        ("You counted one byte per weight: fp32 takes 4.", bytes_a_rank(both)),
        ("You counted two bytes per weight: fp32 takes 4.", bytes_a_rank(lambda s: 2 * both(s))),
        ("You counted bits: `budget` is in bytes.", bytes_a_rank(lambda s: 32 * both(s))),
        ("You rounded up: that rank takes more than the budget.", bytes_a_rank(lambda s: 4 * both(s), math.ceil)),
        ("You rounded to the nearest: half of the time that rank takes more than the budget.", bytes_a_rank(lambda s: 4 * both(s), round)),
        ("A rank that takes exactly the budget fits.", bytes_a_rank(lambda s: 4 * both(s), lambda r: max(0, math.ceil(r) - 1))),
        ("You counted full matrices, in × out weights per unit of rank.", bytes_a_rank(lambda s: 4 * sum(i * o for i, o in s))),
        ("You counted A alone; B takes room, too.", bytes_a_rank(lambda s: 4 * sum(i for i, o in s))),
        ("You counted B alone; A takes room, too.", bytes_a_rank(lambda s: 4 * sum(o for i, o in s))),
        ("You counted the first layer only: the adapter has parts in all of them.", bytes_a_rank(lambda s: 4 * both(s[:1]))),
        ("You took every layer for the first one: their shapes differ.", bytes_a_rank(lambda s: 4 * both(s[:1]) * len(s))),
        ("You returned powers of two only; any whole rank will do.", lambda s, b: (lambda r: 2 ** int(math.log2(r)) if r else 0)(largest_rank(s, b))),
        ("If no rank fits, the answer is 0.", lambda s, b: max(1, largest_rank(s, b))),
        ("You gave the whole budget to each layer; all of them share it.", lambda s, b: min(b // (4 * (i + o)) for i, o in s)),
        ("You gave the whole budget to each layer; all of them share it.", lambda s, b: sum(b // (4 * (i + o)) for i, o in s)),
    ])  # fmt: skip


# ------------------------------------------------------------ peft.4 read the sweep


def best(rows, spread):
    good = sorted((row for row in rows if not math.isnan(row[1])), key=lambda row: row[1])
    return [setting for setting, loss in good if loss <= good[0][1] + spread]


def _test_best(answer):
    nan = float("nan")

    def kept(keep):
        """Settings, best first, that ``keep(loss, lowest, spread)``."""

        def choose(rows, spread):
            good = sorted((row for row in rows if row[1] == row[1]), key=lambda row: row[1])
            return [setting for setting, loss in good if keep(loss, good[0][1], spread)]

        return choose

    def lowest(rows):
        return min(loss for _, loss in rows if loss == loss)

    def naive(rows, spread):
        least = min(loss for _, loss in rows)
        return [setting for setting, loss in sorted(rows, key=lambda row: row[1]) if loss <= least + spread]

    def chain(rows, spread):
        good = sorted((row for row in rows if row[1] == row[1]), key=lambda row: row[1])
        found = good[:1]
        for row in good[1:]:
            if row[1] <= found[-1][1] + spread:
                found.append(row)
        return [setting for setting, _ in found]

    rows = [("a", 2.5), ("b", 2.3), ("c", nan), ("d", 2.34), ("e", 2.41), ("f", 2.39)]
    compare(answer, best, [
        ("", (rows, 0.05)), ("a wider margin", (rows, 0.15)),
        ("a loss exactly at the margin", ([("x", 0.5), ("y", 0.25), ("z", 0.75)], 0.25)),
        ("NaN at the beginning", ([("x", nan), ("y", 1.0), ("z", 1.25)], 0.0)), ("NaN in between", ([(1e-3, 0.75), (3e-3, nan), (1e-4, 0.5), (1e-2, nan)], 0.5)),
        ("equal losses, no margin", ([("p", 1.5), ("r", 1.25), ("q", 1.25)], 0.0)), ("losses below 0", ([("m", -2.0), ("n", -3.0), ("o", -2.5)], 0.6)),
        ("one setting", ([("only", 9.0)], 0.1)),
    ], [
        ("You named the best one alone: settings within the spread of it cannot be told apart from it.", lambda rows, spread: kept(lambda x, low, n: True)(rows, spread)[:1]),
        ("A loss that lies exactly `spread` above the lowest is within the spread, too.", kept(lambda x, low, n: x == low or x < low + n)),
        ("A loss that lies exactly `spread` above the lowest is within the spread, too.", kept(lambda x, low, n: x < low + n)),
        ("The margin is not used: you named every run that did not diverge.", kept(lambda x, low, n: True)),
        ("`spread` is in the unit of the loss, not a share of it.", kept(lambda x, low, n: x <= low * (1 + n))),
        ("You compared each loss with the one before it: small steps lead away from the lowest.", chain),
        ("You kept what lies half the spread above the lowest; the whole of it counts.", kept(lambda x, low, n: x <= low + n / 2)),
        ("A diverged run, with the loss NaN, is among your best: leave it out.", lambda rows, spread: [s for s, x in sorted(rows, key=lambda row: row[1]) if not x > lowest(rows) + spread]),
        ("NaN confuses min() and sorted(), whose comparisons with it are all False: drop NaN first.", naive),
        ("Best first: yours are in the order they came in.", lambda rows, spread: [s for s, _ in rows if s in best(rows, spread)]),
        ("Best first: yours are the other way round.", lambda rows, spread: best(rows, spread)[::-1]),
        ("Best first: yours are sorted by their names.", lambda rows, spread: sorted(best(rows, spread))),
        ("You returned settings with their losses; the settings alone are wanted.", lambda rows, spread: [(s, dict(rows)[s]) for s in best(rows, spread)]),
        ("You returned the losses; the settings are wanted.", lambda rows, spread: [dict(rows)[s] for s in best(rows, spread)]),
    ])  # fmt: skip


# ------------------------------------------------------------ peft.5 low-rank approximation


def truncate(M, r):
    U, S, V = torch.linalg.svd(M, full_matrices=False)
    return U[:, :r] * S[:r] @ V[:r]


def _test_truncate(answer):
    generator = torch.Generator().manual_seed(0)
    for rows, columns, r, size in ((6, 4, 2, 1.0), (4, 7, 3, 1.0), (5, 5, 1, 100.0), (5, 5, 4, 0.1), (3, 6, 3, 1.0)):
        M = size * torch.randn(rows, columns, generator=generator)
        got = answer(M, r)
        where = f"M of shape {[rows, columns]}, r = {r}"
        if got.shape != M.shape:
            raise Wrong(f"{where}: the approximation has M's shape; yours has {list(got.shape)}.")
        got = got.double()
        if not got.isfinite().all():
            raise Wrong(f"{where}: there are values that are not finite.")
        rank = int(torch.linalg.matrix_rank(got, rtol=1e-4))
        if rank > r:
            raise Wrong(f"{where}: your matrix has rank {rank}.")
        right = truncate(M.double(), r)
        nearest, yours = (M - right).norm(), (M - got).norm()
        if yours > nearest + 1e-3 * M.norm():
            U, S, V = torch.linalg.svd(M.double(), full_matrices=False)
            if alike(got / size, (M.double() - truncate(M.double(), len(S) - r)) / size) and r < len(S):
                raise Wrong(f"{where}: you kept the smallest singular values; the largest hold most of M.")
            if any(len(V) == M.shape[1] and alike(got / size, U[:, :r] * S[:r] @ part / size) for part in (V[:, :r].T, V.T[:r])):
                raise Wrong(f"{where}: torch.linalg.svd returns V transposed already, so its directions are rows.")
            if alike(got, U[:, :r] @ V[:r]):
                raise Wrong(f"{where}: the directions are right, but each has to be as long as its singular value.")
            raise Wrong(f"{where}: another matrix of that rank is closer to M, at a distance of {nearest:.3g}; yours is at {yours:.3g}.")


EXERCISES = [
    Exercise("peft.1", "the forward pass", lora_forward, _test_lora_forward, (
        "Two paths from x to the output: which shapes does x pass through on each?",
        "A squeezes each row of x to r numbers, B makes `out` of them. nn.Linear multiplies by the transpose.",
        "The scale of the formula above needs r. Which side of A is it?",
    ), returns=answers.tensor),
    Exercise("peft.2", "spot the bug: a new adapter", make_adapter, _test_make_adapter, (
        "By the product rule, what is the gradient of either factor at the colleague's start?",
        "One factor must be zero and the other must not.",
        "An optimiser wants leaf tensors: call requires_grad_() on what the arithmetic made.",
    ), returns=answers.tuple_of(answers.tensor, answers.tensor, words="two tensors, A and B")),
    Exercise("peft.3", "the largest rank that fits", largest_rank, _test_largest_rank, (
        "How many bytes does the adapter take with r = 1?",
        "How often does that fit into the budget? What is left over buys nothing.",
    ), returns=answers.whole),
    Exercise("peft.4", "read the sweep", best, _test_best, (
        "What does min() say of a list that holds NaN? Try it with NaN first and last.",
        "Drop NaN (math.isnan), sort by loss, and look how far each is above the lowest.",
    ), returns=answers.list_of(answers.something, "a list of settings")),
    Exercise("peft.5", "the best approximation of rank r", truncate, _test_truncate, (
        "torch.linalg.svd(M, full_matrices=False) returns U, S and the transposed V, largest first.",
        "How many columns of U, values of S and rows of V belong to r directions?",
    ), returns=answers.tensor),
]  # fmt: skip
