"""PEFT from the inside: reference answers and their tests."""

from __future__ import annotations

import functools
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
            if alike(got, U[:, :r] @ V[:r]):
                raise Wrong(f"{where}: the directions are right, but each has to be as long as its singular value.")
            raise Wrong(f"{where}: another matrix of that rank is closer to M, at a distance of {nearest:.3g}; yours is at {yours:.3g}.")


# ------------------------------------------------------------ peft.6 quantise


def quantise(W, block):
    parts = W.reshape(W.shape[0], -1, block)
    scale = parts.abs().amax(2).clamp(min=1e-12) / 127
    return (parts / scale[..., None]).round().to(torch.int8).reshape(W.shape), scale


def _as_blocks(W, block, largest=lambda parts: parts.abs().amax(2), levels=127, to_integers=torch.round, least=1e-12):
    """``quantise`` with another scale or rounding."""
    parts = W.reshape(W.shape[0], -1, block)
    scale = largest(parts).clamp(min=least) / levels
    return to_integers(parts / scale[..., None]).to(torch.int8).reshape(W.shape), scale


def _test_quantise(answer):
    def other(**how):
        return lambda W, block: _as_blocks(W, block, **how)

    def coarser(blocks):
        """One scale where each block should have its own."""

        def quantise_coarsely(W, block):
            scale = blocks(W, block).clamp(min=1e-12) / 127
            integers = W / scale.repeat_interleave(block, 1) if scale.shape[1] > 1 else W / scale
            return integers.round().to(torch.int8), scale.expand(W.shape[0], W.shape[1] // block)

        return quantise_coarsely

    def strided(W, block):
        parts = W.reshape(W.shape[0], block, -1).transpose(1, 2)
        scale = parts.abs().amax(2).clamp(min=1e-12) / 127
        return (parts / scale[..., None]).round().to(torch.int8).transpose(1, 2).reshape(W.shape), scale

    irregular = torch.tensor([[0.31, -1.27, 0.044, 0.2, 6.1, 2.2, -0.7, 5.9], [-50.3, 20.2, 0.4, -7.7, 0.0021, -0.0043, 0.001, 0.0012]])
    tiny = 1e-5 * torch.tensor([[3.3, -7.1, 2.0, 0.4, 1.9, -0.2], [-1.0, 0.6, 0.7, 9.2, -4.4, 8.8], [0.1, -0.3, 0.2, -5.5, 5.1, 1.7]])
    zeros = torch.tensor([[0.0, 0.0, 1.5, -0.4], [0.0, 0.0, 0.0, 0.0]])

    def same(a, b):
        return torch.equal(a[0], b[0]) and bool(((a[1] - b[1]).abs() <= 1e-3 * b[1]).all())

    def same_slip(a, b):
        return all(x.dtype == y.dtype and x.shape == y.shape and alike(x / (y.double().abs().max() + 1e-30), y / (y.double().abs().max() + 1e-30)) for x, y in zip(a, b))

    cases = [
        ("blocks of four", (irregular, 4)), ("one block per row", (irregular, 8)), ("blocks of two", (irregular, 2)),
        ("small values, blocks of three", (tiny, 3)), ("a block of zeros", (zeros, 2)), ("a row of zeros", (zeros, 4)),
    ]  # fmt: skip
    for remark, (W, block) in cases:
        integers, scale = answer(W, block)
        if scale.dtype == torch.int8:
            raise Wrong("Integers and scales are exchanged: the integers come first.")
        if integers.dtype != torch.int8:
            raise Wrong(f"The integers are {integers.dtype}: as torch.int8 each takes one byte.")
        if integers.shape != W.shape:
            raise Wrong(f"W of shape {list(W.shape)}, {remark}: the integers have W's shape; yours have {list(integers.shape)}.")
        if list(scale.shape) != [len(W), W.shape[1] // block]:
            raise Wrong(f"W of shape {list(W.shape)}, {remark}: there is a scale for each block of a row, shape {[len(W), W.shape[1] // block]}; yours has {list(scale.shape)}.")
    try:
        compare(answer, quantise, cases[:4], [], same)
    except Wrong as neutral:
        for words, slip in [
            ("You took the largest value instead of the largest *absolute* value: a block whose largest is negative overflows.", other(largest=lambda p: p.amax(2))),
            ("You took the largest value instead of the largest *absolute* value: a block whose largest is negative overflows.", other(largest=lambda p: p.amax(2), to_integers=lambda q: q.round().clamp(-127, 127))),
            ("You took the largest value instead of the largest *absolute* value: a block whose largest is negative overflows.", other(largest=lambda p: p.amax(2), to_integers=lambda q: q.round().clamp(-128, 127))),
            ("Your scale divides by 128: the largest value becomes 128, and int8 ends at 127.", other(levels=128)),
            ("Your scale divides by 128: the largest value becomes 128, and int8 ends at 127.", other(levels=128, to_integers=lambda q: q.round().clamp(-128, 127))),
            ("Your scale divides by 255: that grid is for values from 0.", other(levels=255)),
            ("Your scale is not divided by 127: the integers do not use their range.", lambda W, block: (quantise(W, block)[0], 127 * quantise(W, block)[1])),
            ("Your scale is not divided by 127: the integers do not use their range.", other(levels=1)),
            ("You cut the fraction off: round to the nearest.", other(to_integers=torch.trunc)),
            ("You rounded down: round to the nearest.", other(to_integers=torch.floor)),
            ("You rounded up: round to the nearest.", other(to_integers=torch.ceil)),
            ("One scale serves the whole matrix: a large value ruins the small ones everywhere. One per block.", coarser(lambda W, block: W.abs().max().reshape(1, 1))),
            ("One scale serves the whole row: each of its blocks has its own.", coarser(lambda W, block: W.abs().amax(1, keepdim=True))),
            ("A block is `block` *neighbouring* values of a row; yours takes every so many.", strided),
            ("Your scale is made from the mean of the block: the largest value no longer fits.", other(largest=lambda p: p.abs().mean(2))),
            ("You returned the inverse of the scale: integers × scale has to give the values back.", lambda W, block: (quantise(W, block)[0], 1 / quantise(W, block)[1])),
            ("You keep the scale above a bound that small blocks need to go below.", other(least=1e-2)),
            ("You keep the scale above a bound that small blocks need to go below.", other(least=127e-2)),
        ]:
            if all(same_slip(answer(*arguments), slip(*arguments)) for _, arguments in cases[:4]):
                raise Wrong(words) from None
        raise neutral
    for W, block in (cases[4][1], cases[5][1]):
        integers, scale = answer(W, block)
        if not (scale > 0).all() or not scale.isfinite().all():
            raise Wrong("A block of zeros gives 0 / 0: keep the scale above zero.")
        if not torch.equal(integers, quantise(W, block)[0]):
            raise Wrong(f"Blocks of zeros among others: the integers of {W.tolist()} in blocks of {block} should be {quantise(W, block)[0].tolist()}; yours are {integers.tolist()}.")


# ------------------------------------------------------------ peft.7 choose a method


def choose(task):
    room = 0.75 * task["gpu_bytes"] / task["parameters"]
    if task["adapters"] == 1 and room >= 16:
        return "full"
    if room >= 2:
        return "LoRA"
    if room >= 0.5:
        return "QLoRA"
    raise ValueError("The model does not fit.")


def _outcome(function):
    """What the function returns, or that it raised ValueError."""

    @functools.wraps(function)
    def outcome(task):
        try:
            return function(task)
        except ValueError:
            return "a ValueError"

    return outcome


def _test_choose(answer):
    def rule(room=lambda t: 0.75 * t["gpu_bytes"] / t["parameters"], full=16, lora=2, qlora=0.5, one=lambda t: t["adapters"] == 1, above=lambda a, b: a >= b, otherwise="a ValueError"):
        def choose(task):
            found = room(task)
            if one(task) and above(found, full):
                return "full"
            return "LoRA" if above(found, lora) else "QLoRA" if above(found, qlora) else otherwise

        return choose

    def task(gpu_bytes, parameters, adapters):
        return ({"parameters": parameters, "gpu_bytes": gpu_bytes, "adapters": adapters},)

    unspelled = {"full": "full", "LoRA": "lora", "QLoRA": "qlora", "a ValueError": "a ValueError"}
    compare(_outcome(answer), _outcome(choose), [
        ("", task(24e9, 1e9, 1)), ("several variants", task(24e9, 1e9, 5)), ("two variants", task(24e9, 1e9, 2)), ("", task(24e9, 7e9, 1)), ("", task(8e9, 7e9, 1)),
        ("16 bytes per weight fit, but not with a quarter left free", task(17e9, 1e9, 1)), ("", task(2.5e9, 1e9, 1)),
        ("a room of exactly 16", task(64, 3, 1)), ("a room just below 16", task(63.9, 3, 1)), ("a room of exactly 16, three variants", task(64, 3, 3)),
        ("a room of exactly 2", task(8, 3, 1)), ("a room just below 2", task(7.9, 3, 1)), ("a room of exactly ½", task(2, 3, 4)), ("a room just below ½", task(1.99, 3, 4)),
        ("a model that does not fit", task(8e9, 70e9, 1)), ("a room of 15.5", task(62, 3, 1)), ("a room of 1.5", task(6, 3, 2)),
    ], [
        ("Your function returned None: is `return` missing?", lambda t: None),
        ("No quarter of the memory is left free in yours.", rule(room=lambda t: t["gpu_bytes"] / t["parameters"])),
        ("You left three quarters free; a quarter is asked for.", rule(room=lambda t: 0.25 * t["gpu_bytes"] / t["parameters"])),
        ("The number of variants is not used: several full copies of the model? Adapters share one base.", rule(one=lambda t: True)),
        ("With several variants \"LoRA\" or \"QLoRA\" is possible; with one variant, so is \"full\".", rule(one=lambda t: t["adapters"] > 1)),
        ("A room of exactly the bound is enough.", rule(above=lambda a, b: a > b)),
        ("A model that fits no way is to raise ValueError; yours names a method.", rule(otherwise="QLoRA")),
        ("A model that fits no way is to raise ValueError; yours returns None.", rule(otherwise=None)),
        ("You divided parameters by memory; the room is memory per weight.", rule(room=lambda t: t["parameters"] / (0.75 * t["gpu_bytes"]))),
        ("The names are spelled \"full\", \"LoRA\" and \"QLoRA\".", lambda t: unspelled[_outcome(choose)(t)]),
        ("You asked in another order: \"LoRA\" comes before \"QLoRA\".", lambda t: {"LoRA": "QLoRA"}.get(_outcome(choose)(t), _outcome(choose)(t))),
        ("You asked in another order: \"full\" comes first.", lambda t: {"full": "LoRA"}.get(_outcome(choose)(t), _outcome(choose)(t))),
    ])  # fmt: skip


# ------------------------------------------------------------ peft.8 mix two adapters


def mix(A1, B1, A2, B2, share):
    return torch.cat([A1, A2]), torch.cat([share * B1, (1 - share) * B2], 1)


def _test_mix(answer):
    generator = torch.Generator().manual_seed(0)

    def adapter(fan_in, out, r):
        return torch.randn(r, fan_in, generator=generator), torch.randn(out, r, generator=generator)

    for fan_in, out, r1, r2, share in ((5, 7, 2, 2, 0.25), (6, 4, 3, 3, 0.7), (6, 5, 1, 3, 0.4), (4, 4, 2, 1, 1.0), (5, 5, 2, 2, 0.5)):
        (A1, B1), (A2, B2) = adapter(fan_in, out, r1), adapter(fan_in, out, r2)
        A, B = answer(A1, B1, A2, B2, share)
        if A.ndim != 2 or B.ndim != 2 or A.shape[1] != fan_in or B.shape[0] != out or len(A) != B.shape[1]:
            raise Wrong(f"Two adapters [{r1}, {fan_in}] and [{out}, {r1}], [{r2}, {fan_in}] and [{out}, {r2}]: A should be [r, {fan_in}], B [{out}, r] with one r; yours are {list(A.shape)} and {list(B.shape)}.")
        first, second, got = B1 @ A1, B2 @ A2, B @ A
        if len(A) < r1 + r2 and not alike(got, share * first + (1 - share) * second):
            raise Wrong(f"Your adapter has rank {len(A)}; two of rank {r1} and {r2} side by side need {r1 + r2}. Mixing the As and the Bs multiplies matrices that were never trained together.")
        for words, other in (
            ("The shares are not applied: you added the two changes.", first + second),
            ("Each share counts twice: once in A and once in B.", share**2 * first + (1 - share) ** 2 * second),
            ("Each share counts as its root: A or B has the root, and the other one needs it, too.", share**0.5 * first + (1 - share) ** 0.5 * second),
            ("The shares are exchanged: `share` is that of the first adapter.", (1 - share) * first + share * second),
            ("Only the first adapter has its share; the second counts whole.", share * first + second),
            ("Both adapters have the same share.", share * (first + second)),
        ):
            if alike(got, other) and not alike(got, share * first + (1 - share) * second):
                raise Wrong(words)
        if not alike(got, share * first + (1 - share) * second):
            raise Wrong(f"With share = {share:g} the product B A differs from the mixture of the two changes, by up to {(got - share * first - (1 - share) * second).abs().max():.3g}.")
        if len(A) != r1 + r2:
            raise Wrong(f"The product is right, but your adapter has rank {len(A)}: two of rank {r1} and {r2} make one of rank {r1 + r2}.")


# ------------------------------------------------------------ peft.9 what LoRA's relatives train


def trained_weights(layers, width, key_width, hidden, tokens):
    norms = (2 * layers + 1) * width
    prompt = tokens * width
    prefix = layers * 2 * tokens * key_width
    factors = layers * (2 * key_width + hidden)
    return norms, prompt, prefix, factors


def _test_trained_weights(answer):
    cases = [("", (30, 576, 192, 1536, 10)), ("", (3, 8, 4, 20, 5)), ("keys as wide as the model", (2, 64, 64, 100, 1))]
    slips = [
        [("the norm at the end is missing.", lambda n, d, k, h, t: 2 * n * d), ("each layer has two, and there is one at the end.", lambda n, d, k, h, t: (n + 1) * d),
         ("each layer has two, and there is one at the end.", lambda n, d, k, h, t: n * d), ("these have a factor per number, no shift.", lambda n, d, k, h, t: 2 * (2 * n + 1) * d)],
        [("the vectors stand before the first token's, once, not in every layer.", lambda n, d, k, h, t: n * t * d), ("one vector per virtual token.", lambda n, d, k, h, t: d)],
        [("keys *and* values.", lambda n, d, k, h, t: n * t * k), ("in every layer.", lambda n, d, k, h, t: 2 * t * k), ("keys and values are `key_width` wide.", lambda n, d, k, h, t: 2 * n * t * d)],
        [("keys *and* values have their factors.", lambda n, d, k, h, t: n * (k + h)), ("the feed-forward activations have factors, too.", lambda n, d, k, h, t: 2 * n * k),
         ("the feed-forward activations are `hidden` wide.", lambda n, d, k, h, t: n * (2 * k + d)), ("in every layer.", lambda n, d, k, h, t: 2 * k + h),
         ("keys and values are `key_width` wide.", lambda n, d, k, h, t: n * (2 * d + h)), ("factors are trained, not matrices.", lambda n, d, k, h, t: n * (2 * k * d + h * d))],
    ]  # fmt: skip
    answer(*cases[0][1])  # what is no quadruple is refused here
    for n, (name, found) in enumerate(zip(("Norms", "Prompt tuning", "Prefix tuning", "IA³"), slips)):

        @functools.wraps(trained_weights)
        def part(*arguments, n=n):
            return trained_weights(*arguments)[n]

        try:
            compare(lambda *arguments, n=n: answer(*arguments)[n], part, cases, [(f"{name}: {words}", slip) for words, slip in found])
        except Wrong as wrong:
            raise Wrong(str(wrong) if str(wrong).startswith(name) else f"{name}: {wrong}") from None


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
    Exercise("peft.8", "mix two adapters", mix, _test_mix, (
        "Write the product of two matrices as a sum over their inner index. What happens if that index runs over both adapters?",
        "Stack the As below each other and the Bs beside each other. Where does the share go, so that it counts once?",
    ), returns=answers.tuple_of(answers.tensor, answers.tensor, words="two tensors, A and B")),
    Exercise("peft.9", "what LoRA's relatives train", trained_weights, _test_trained_weights, (
        "For each method: which vectors are trained, how long are they, and how many are there?",
        "The print of the model (`print(base)`) shows the norms; a soft prompt needs no layer at all.",
    ), returns=answers.tuple_of(*[answers.whole] * 4, words="four whole numbers: norms, prompt, prefix, IA³")),
    Exercise("peft.6", "quantise and back", quantise, _test_quantise, (
        "Lay each row out as [blocks, block]: reshape does it. Which axis does a scale go over?",
        "What decides a block's scale if its largest values are 0.5 and −1.27? And if all are 0?",
    ), returns=answers.tuple_of(answers.tensor, answers.tensor, words="two tensors, the integers and the scales")),
    Exercise("peft.7", "choose a method", choose, _test_choose, (
        "Work out the room in bytes per weight; a quarter of the memory stays free.",
        "Three questions in the order of the text; what is left does not fit.",
    ), returns=answers.maybe(answers.text)),
]  # fmt: skip
