"""Making it cheap: reference answers and their tests."""

from __future__ import annotations

import math

import torch
from torch.nn import functional as F

from ..serving import timetable
from . import answers
from .cases import brief, compare, same_gradient
from .engine import Exercise, Wrong

# ------------------------------------------------------------ shipping.1 INT8, row by row


def quantise(weight):
    scale = weight.abs().amax(1, keepdim=True) / 127
    scale = scale.clamp(min=1e-12)
    return (weight / scale).round().to(torch.int8), scale


def _rows(size, round_=torch.round, small=1e-12):
    """Another size of a row, another rounding."""

    def slip(weight):
        scale = size(weight).clamp(min=small)
        return round_(weight / scale).to(torch.int8), scale

    return slip


def _largest(weight):
    return weight.abs().amax(1, keepdim=True) / 127


def _test_quantise(theirs):
    cases = [
        ("", (torch.tensor([[0.5, -1.27, 0.017], [127.0, 64.6, -10.0]]),)),
        ("rows of very different size", (torch.tensor([[2e-3, -5e-4], [0.031, -0.033], [-40.0, 33.3]]),)),
        ("negative numbers only", (torch.tensor([[-0.2, -0.9, -0.51], [-3.0, -1.1, -0.3]]),)),
    ]
    integers, scale = theirs(*cases[0][1])
    if scale.shape != (2, 1) and scale.numel() == 2:
        raise Wrong(f"The scales have the shape {list(scale.shape)}; keep them as [rows, 1], so that integers * scale works.")
    slips = [
        ("One scale for the whole matrix: the small rows are rounded to almost nothing. Each row has its own.", _rows(lambda w: (w.abs().max() / 127).reshape(1, 1).expand(len(w), 1))),
        ("One scale for the whole matrix: the small rows are rounded to almost nothing. Each row has its own.", _rows(lambda w: w.abs().max() / 127)),
        ("One scale per column; the largest weight of each *row* becomes ±127.", _rows(lambda w: w.abs().amax(0, keepdim=True) / 127)),
        ("The largest weight of a row *in size* must become ±127, and it may be negative.", _rows(lambda w: w.amax(1, keepdim=True) / 127)),
        ("Casting to int8 cuts the decimals off (64.6 becomes 64). Round first.", _rows(_largest, torch.trunc)),
        ("Rounded down, so that every weight becomes a little smaller: round to the nearest.", _rows(_largest, torch.floor)),
        ("The largest weight becomes ±1: its scale must be one 127th of it.", _rows(lambda w: 127 * _largest(w))),
        ("The largest becomes ±126, or ±128 which int8 does not hold on both sides: the whole numbers go from −127 to 127.", _rows(lambda w: _largest(w) * 127 / 128)),
        ("The largest becomes ±126: the whole numbers go from −127 to 127.", _rows(lambda w: _largest(w) * 127 / 126)),
        ("Small rows got too large a scale: a bound against 0 must be far smaller than any weight.", _rows(_largest, small=1e-2)),
        ("The scale is the mean size of a row: larger weights then leave the range.", _rows(lambda w: w.abs().mean(1, keepdim=True) / 127)),
        ("The integers are right, the scale is its inverse: integers · scale must give the weights back.", lambda w: (quantise(w)[0], 1 / quantise(w)[1])),
        ("Integers and scales are exchanged: the integers come first.", lambda w: quantise(w)[::-1]),
    ]

    def same(a, b):
        shapes = a[0].shape == b[0].shape and a[1].shape == b[1].shape
        return shapes and bool((a[0] == b[0]).all()) and torch.allclose(a[1].float(), b[1].float(), rtol=1e-3, atol=0)

    compare(theirs, quantise, cases, slips, same)
    if integers.dtype != torch.int8:
        raise Wrong(f"The numbers are right, their dtype is {integers.dtype}, not torch.int8: that is where the bytes are saved.")
    integers, scale = theirs(torch.tensor([[0.0, 0.0], [1.0, 2.0]]))
    if not (torch.isfinite(scale) & (scale > 0)).all() or integers[0].tolist() != [0, 0]:
        raise Wrong(f"A row of zeros has no largest weight. Its integers must be 0 and its scale some number above 0; yours {brief(integers[0])} and {brief(scale[0])}.")


# ------------------------------------------------------------ shipping.8 what INT8 arithmetic does


def int8_product(x, integers, scale):
    step = x.abs().max() / 127
    codes = (x / step).round().to(torch.int32)
    return (codes @ integers.to(torch.int32).T) * step * scale.T


def _test_int8_product(theirs):
    generator = torch.Generator().manual_seed(0)

    def case(rows, inside, outside, spread=1.0):
        x = torch.randn(rows, inside, generator=generator) * spread
        return x, *quantise(torch.randn(outside, inside, generator=generator) * torch.rand(outside, 1, generator=generator))

    outlier = case(2, 6, 4)
    outlier[0][0, 0] = -90.0
    heavy = torch.ones(1, 8), torch.full((2, 8), 127, dtype=torch.int8), torch.tensor([[0.1], [0.5]])
    cases = [("", (torch.tensor([[1.0, -0.4]]), torch.tensor([[127, -50]], dtype=torch.int8), torch.tensor([[0.02]]))), ("", case(3, 5, 4)), ("a large sum", heavy), ("many terms", case(1, 300, 2)), ("an outlier in the activations", outlier)]

    def product(step=lambda x: x.abs().max() / 127, out=lambda s: s.T, kind=torch.int32, weights=lambda w, s: w, round_=torch.round):
        def slip(x, integers, scale):
            width = step(x)
            codes = round_(x / width).to(kind)
            return (codes @ weights(integers, scale).to(kind).T).float() * width * out(scale)

        return slip

    slips = [
        ("The sums of products left the range of int8 (−128 to 127): multiply and add in a wider type.", product(kind=torch.int8)),
        ("The sums of products left the range of int16 (−32,768 to 32,767): multiply and add in a wider type.", product(kind=torch.int16)),
        ("Right, but not in whole numbers: the activations were not rounded, so nothing is saved.", lambda x, w, s: (x @ w.float().T) * s.T),
        ("The weights' scales are missing.", product(out=lambda s: 1.0)),
        ("The activations' scale is missing.", lambda x, w, s: int8_product(x, w, s) / (x.abs().max() / 127)),
        ("One scale per row of activations: here the whole tensor has one.", product(step=lambda x: x.abs().amax(1, keepdim=True) / 127)),
        ("The activations were cut off, not rounded.", product(round_=torch.trunc)),
        ("The largest activation *in size* becomes ±127, and it may be negative.", product(step=lambda x: x.max() / 127)),
    ]
    compare(theirs, int8_product, cases, slips)


# ------------------------------------------------------------ shipping.2 a pruning mask


def keep_mask(weight, sparsity):
    remove = round(sparsity * weight.numel())
    smallest = weight.abs().flatten().topk(remove, largest=False, sorted=False).indices
    mask = torch.ones(weight.numel(), dtype=torch.bool)
    mask[smallest] = False
    return mask.reshape(weight.shape)


def _ranked(size, remove=lambda weight, sparsity: round(sparsity * weight.numel()), turned=False):
    def slip(weight, sparsity):
        order = size(weight).flatten().argsort()
        mask = torch.ones(weight.numel(), dtype=torch.bool)
        mask[order[: remove(weight, sparsity)]] = False
        return mask.reshape(weight.shape) ^ turned

    return slip


def _test_keep_mask(theirs):
    many = torch.tensor([[0.03, -0.01, 0.025, -0.07], [-0.015, 0.002, -0.04, 0.06]])
    seven = torch.tensor([[0.4, -0.1, 0.2, 5.0, -3.0, 0.7, -0.6]])
    cases = [
        ("", (torch.tensor([[3.0, -4.0], [0.5, -1.0]]), 0.5)),
        ("a share that is no whole number of weights", (seven, 0.4)), ("a share that is no whole number of weights", (seven, 0.3)),
        ("", (many, 0.25)), ("nothing goes", (many, 0.0)), ("everything goes", (many, 1.0)),
    ]  # fmt: skip
    slips = [
        ("Your mask is turned round: True is for the weights that *stay*, the large ones.", _ranked(torch.abs, turned=True)),
        ("Magnitude is the size without the sign: −4 is larger than 3.", _ranked(lambda w: w)),
        ("The *largest* weights went.", _ranked(lambda w: -w.abs())),
        ("The number of weights to remove is *rounded*, not cut off.", _ranked(torch.abs, lambda w, s: int(s * w.numel()))),
        ("The number of weights to remove is *rounded*, to the nearest, not up.", _ranked(torch.abs, lambda w, s: math.ceil(s * w.numel()))),
        ("Sparsity is the share that goes, not the share that stays.", _ranked(torch.abs, lambda w, s: w.numel() - round(s * w.numel()))),
        ("Sparsity is a share of the weights, not a threshold on their values.", lambda w, s: w.abs() > s),
        ("Sparsity is a share of the weights, not of the largest value.", lambda w, s: w.abs() > s * w.abs().max()),
        ("Each row lost its share: the smallest of the *whole* matrix go, wherever they stand.", lambda w, s: torch.cat([_ranked(torch.abs)(row[None], s) for row in w])),
        ("Half of the weights went, whatever the sparsity.", _ranked(torch.abs, lambda w, s: w.numel() // 2)),
    ]

    def removed_most(mask, weight, sparsity):
        kept, gone = weight.abs()[mask], weight.abs()[~mask]
        return mask.shape == weight.shape and (not kept.numel() or not gone.numel() or kept.min() >= gone.max())

    compare(theirs, keep_mask, cases, slips)
    for weight, sparsity in ((torch.ones(4, 5), 0.5), (torch.tensor([[2.0, -2.0, 1.0, 2.0, -1.0, 0.0]]), 2 / 3)):
        mask, wanted = theirs(weight, sparsity), round(sparsity * weight.numel())
        if int((~mask).sum()) != wanted or not removed_most(mask, weight, sparsity):
            raise Wrong(
                f"Equal sizes: of {brief(weight)} exactly {wanted} weights should go at a sparsity of {sparsity:.2g}, "
                f"the smallest; of yours {int((~mask).sum())} went. Rank them: a threshold cannot divide equals."
            )


# ------------------------------------------------------------ shipping.3 the distillation loss


def distillation_loss(student, teacher, temperature):
    log_q = (student / temperature).log_softmax(-1)
    log_p = (teacher / temperature).log_softmax(-1)
    kl = (log_p.exp() * (log_p - log_q)).sum(-1)
    return temperature**2 * kl.mean()


def _test_distillation_loss(theirs):
    generator = torch.Generator().manual_seed(0)

    def logits(*shape):
        return torch.randn(*shape, generator=generator) * 2

    sure = torch.tensor([[900.0, 0.0, 30.0], [-4.0, 700.0, 1.0]])
    same = logits(3, 4)
    small = torch.tensor([[2.0, 0.0, -1.0], [0.0, 3.0, 1.0]]), torch.tensor([[4.0, 1.0, 0.0], [2.0, 0.0, 1.0]])
    cases = [
        ("", (*small, 3.0)), ("", (logits(4, 6), logits(4, 6), 3.0)), ("with T = 1", (logits(2, 5), logits(2, 5), 1.0)), ("with T = 1.5", (logits(5, 3), logits(5, 3), 1.5)),
        ("a student equal to its teacher", (same, same.clone(), 2.0)), ("a teacher who is quite sure", (logits(2, 3), sure, 2.0)),
        ("a student who is sure of other words", (sure.flip(0) / 15, sure, 2.0)),
    ]  # fmt: skip

    def other(soft=lambda s, t, T: (s / T, t / T), factor=lambda T: T**2, mean=lambda kl: kl.sum(-1).mean()):
        def slip(s, t, T):
            q, p = (z.log_softmax(-1) for z in soft(s, t, T))
            return factor(T) * mean(p.exp() * (p - q))

        return slip

    def naive(s, t, T):
        q, p = (s / T).softmax(-1), (t / T).softmax(-1)
        return T**2 * (p * (p.log() - q.log())).sum(-1).mean()

    def naive_ratio(s, t, T):
        q, p = (s / T).softmax(-1), (t / T).softmax(-1)
        return T**2 * (p * (p / q).log()).sum(-1).mean()

    def padded(s, t, T):
        q, p = (s / T).softmax(-1) + 1e-9, (t / T).softmax(-1) + 1e-9
        return T**2 * (p * (p.log() - q.log())).sum(-1).mean()

    overflow = "log 0 is −inf, and 0 times −inf is NaN: for a teacher who is quite sure take log_softmax, not the log of a softmax."
    slips = [
        ("You have KL(student ‖ teacher). The expectation is over the *teacher's* probabilities.", other(soft=lambda s, t, T: (t / T, s / T))),
        ("T² is missing: without it the gradients shrink as the temperature grows.", other(factor=lambda T: 1.0)),
        ("The factor is T *squared*.", other(factor=lambda T: T)),
        ("The factor is T *squared*, not twice T.", other(factor=lambda T: 2 * T)),
        ("You averaged over the vocabulary too: sum over the words, average over the positions.", other(mean=torch.mean)),
        ("You added up the positions: take their mean.", other(mean=torch.sum)),
        ("A loss is one number; yours is one per position.", other(mean=lambda kl: kl.sum(-1))),
        ("The temperature does not soften anything: divide *both* sets of logits by it.", other(soft=lambda s, t, T: (s, t))),
        ("The temperature does not soften anything: divide *both* sets of logits by it.", other(soft=lambda s, t, T: (s, t), factor=lambda T: 1.0)),
        ("Only the teacher was softened: divide *both* sets of logits by the temperature.", other(soft=lambda s, t, T: (s, t / T))),
        ("Only the student was softened: divide *both* sets of logits by the temperature.", other(soft=lambda s, t, T: (s / T, t))),
        ("The logits were multiplied by the temperature: that makes the distributions sharper.", other(soft=lambda s, t, T: (s * T, t * T))),
        ("The sign is turned: a KL is never negative.", other(factor=lambda T: -(T**2))),
        ("That is the cross-entropy with the teacher's likeliest word. Use its whole distribution.", lambda s, t, T: F.cross_entropy(s, t.argmax(-1))),
        ("That is the cross-entropy with the teacher's distribution: the teacher's own entropy is not taken off, so an equal student does not reach 0.",
         lambda s, t, T: T**2 * F.cross_entropy(s / T, (t / T).softmax(-1))),
        ("F.kl_div wants the student's *log*-probabilities, as its first argument.", lambda s, t, T: T**2 * F.kl_div((s / T).softmax(-1), (t / T).softmax(-1), reduction="batchmean")),
        ("The softmax runs over the positions: each position has a distribution over the *vocabulary*.", lambda s, t, T: T**2 * F.kl_div((s / T).log_softmax(0), (t / T).softmax(0), reduction="batchmean")),
        (overflow, naive), (overflow, naive_ratio),
        ("A small number added to a probability keeps the logarithm finite, and makes it wrong where a probability is smaller: take log_softmax.", padded),
    ]  # fmt: skip
    compare(theirs, distillation_loss, cases, slips)
    same_gradient(theirs, distillation_loss, cases[0][1])


# ------------------------------------------------------------ cheap.1 what one verifying pass yields


def accepted(draft, wanted):
    n = 0
    while n < len(draft) and draft[n] == wanted[n]:
        n += 1
    return list(wanted[: n + 1])


def _test_accepted(theirs):
    cases = [
        ("", ([5, 8, 2, 9], [5, 8, 7, 9, 4])), ("the first token is refused", ([3, 8, 2], [6, 8, 2, 1])),
        ("the whole draft is right", ([4, 11, 6], [4, 11, 6, 13])), ("no draft at all", ([], [17])),
        ("a token that comes twice", ([7, 7, 2, 7], [7, 7, 7, 7, 5])), ("", ([12], [12, 3])), ("", ([9, 3, 1, 6], [9, 4, 1, 6, 2])),
    ]  # fmt: skip

    def prefix(draft, wanted):
        return len(accepted(draft, wanted)) - 1

    def equal(draft, wanted):
        return [d for d, w in zip(draft, wanted) if d == w]

    slips = [
        ("The pass gives one token more: after the last equal one stands the model's own choice, `wanted` at that place.", lambda d, w: list(d[: prefix(d, w)])),
        ("After the first difference nothing counts: the model chose the later tokens after a text that is no longer the answer.", lambda d, w: [*equal(d, w), w[prefix(d, w)]]),
        ("After the first difference nothing counts: the model chose the later tokens after a text that is no longer the answer.", equal),
        ("The token after the last equal one is the model's choice, not the draft's.", lambda d, w: list(d[: prefix(d, w) + 1])),
        ("You took all that the model wants. Behind a wrong draft token its wishes belong to another text.", lambda d, w: list(w)),
        ("The model's own choice is the one *at the first difference*, not the last of `wanted`.", lambda d, w: [*d[: prefix(d, w)], w[-1]]),
        ("One place too far: the model's own choice stands at the first difference, not behind it.", lambda d, w: [*d[: prefix(d, w)], w[prefix(d, w) + 1]]),
        ("The accepted tokens of the draft belong to the answer, too, not the model's own choice alone.", lambda d, w: [w[prefix(d, w)]]),
        ("That is the whole draft, whether the model agrees or not.", lambda d, w: list(d)),
        ("That is the whole draft, whether the model agrees or not.", lambda d, w: [*d, w[-1]]),
        ("All or nothing: keep the equal beginning of a draft that goes wrong later.", lambda d, w: list(w) if d == w[:-1] else [w[0]]),
        ("One place is counted as different that is equal, or the other way round: compare draft[0] with wanted[0].", lambda d, w: accepted(d, w[1:] + w[:1])),
        ("That is the number of accepted tokens; asked are the tokens.", prefix),
        ("One token too many: the model's choice *behind* a refused token belongs to another text.", lambda d, w: list(w[: prefix(d, w) + 2])),
    ]  # fmt: skip
    compare(theirs, accepted, cases, slips)


# ------------------------------------------------------------ cheap.2 a timetable without waiting


def _test_timetable(theirs):
    cases = [
        ("", ([3, 9, 4, 2, 6], 2)), ("", ([7, 2, 5, 11, 1, 3, 8], 3)), ("one slot", ([4, 1, 6], 1)),
        ("more slots than requests", ([5, 2], 4)), ("two slots become free at once", ([4, 4, 4, 9, 2], 2)),
        ("no request", ([], 2)), ("", ([1, 13, 1, 1, 1, 2, 1, 4], 2)),
    ]  # fmt: skip

    def own_slot(lengths, slots):
        free, table = [0] * slots, []
        for i, n in enumerate(lengths):
            table.append((i % slots, free[i % slots]))
            free[i % slots] += n
        return table

    def batches(lengths, slots):
        table, start = [], 0
        for first in range(0, len(lengths), slots):
            table += [(slot, start) for slot in range(len(lengths[first : first + slots]))]
            start += max(lengths[first : first + slots])
        return table

    def reordered(turn):
        def slip(lengths, slots):
            order = sorted(range(len(lengths)), key=lambda i: turn * lengths[i])
            table = dict(zip(order, timetable([lengths[i] for i in order], slots)))
            return [table[i] for i in range(len(lengths))]

        return slip

    def other(pick=lambda free: free.index(min(free)), gap=0, first=0):
        def slip(lengths, slots):
            free, table = [first] * slots, []
            for n in lengths:
                slot = pick(free)
                table.append((slot, free[slot]))
                free[slot] += n + gap
            return table

        return slip

    def forgetful(lengths, slots):
        free, table = [0] * slots, []
        for n in lengths:
            slot = free.index(min(free))
            table.append((slot, free[slot]))
            free[slot] = n
        return table

    slips = [
        ("A slot is free again at its last request's first step *plus* its length: you took the length alone.", forgetful),
        ("Those are static batches: a slot need not wait for the slowest of its batch.", batches),
        ("The slots take turns in your table. The next request goes to whichever slot is free first.", own_slot),
        ("The requests go in the order in which they came: yours are sorted, the shortest first.", reordered(1)),
        ("The requests go in the order in which they came: yours are sorted, the longest first.", reordered(-1)),
        ("A slot that begins at step 4 and needs 3 steps is busy at 4, 5 and 6: step 7 is free.", other(gap=1)),
        ("A slot is used one step too early: one that begins at step 4 and needs 3 steps is busy until 6.", other(gap=-1)),
        ("The first step has the number 0.", other(first=1)),
        ("Of several free slots the one with the lowest number is taken.", other(pick=lambda free: len(free) - 1 - free[::-1].index(min(free)))),
        ("Every pair is turned round: the slot comes first, then the step.", lambda lengths, slots: [(b, a) for a, b in timetable(lengths, slots)]),
        ("Slots are counted from 0.", lambda lengths, slots: [(a + 1, b) for a, b in timetable(lengths, slots)]),
        ("Slots and steps are both counted from 0.", lambda lengths, slots: [(a + 1, b + 1) for a, b in timetable(lengths, slots)]),
        ("The list is in the order of the requests, not sorted by slot.", lambda lengths, slots: sorted(timetable(lengths, slots))),
        ("Requests of the same length got the same pair: tell requests apart by their number, not by their length.", lambda lengths, slots: [timetable(lengths, slots)[lengths.index(n)] for n in lengths]),
        ("The second number is the *first* step of a request, not how many steps it takes.", lambda lengths, slots: [(a, n) for (a, _), n in zip(timetable(lengths, slots), lengths)]),
        ("You gave the *last* steps of the requests.", lambda lengths, slots: [(a, b + n - 1) for (a, b), n in zip(timetable(lengths, slots), lengths)]),
        ("You gave the steps at which requests *end*.", lambda lengths, slots: [(a, b + n) for (a, b), n in zip(timetable(lengths, slots), lengths)]),
        ("The slot that is busy longest got the next request.", other(pick=lambda free: free.index(max(free)))),
    ]  # fmt: skip
    compare(theirs, timetable, cases, slips)


# ------------------------------------------------------------ shipping.7 what an answer costs


def cost_per_thousand(tokens_per_answer, tokens_per_second, price_per_hour):
    seconds = 1000 * tokens_per_answer / tokens_per_second
    return seconds / 3600 * price_per_hour


def _test_cost_per_thousand(theirs):
    cases = [("", (36, 20, 0.5)), ("", (7, 310, 0.1)), ("", (50, 8.0, 3.0))]
    slips = [
        ("You multiplied seconds by a price per *hour*.", lambda t, s, p: 1000 * t / s * p),
        ("An hour has 3,600 seconds, a minute 60: the price is per hour.", lambda t, s, p: 1000 * t / s / 60 * p),
        ("That is the price of one answer; asked is that of a thousand.", lambda t, s, p: t / s / 3600 * p),
        ("That is the price of a thousand tokens: an answer has more than one.", lambda t, s, p: 1000 / s / 3600 * p),
        ("Tokens per second are upside down: a faster model must be cheaper.", lambda t, s, p: 1000 * s / t / 3600 * p),
        ("Tokens are multiplied by tokens per second: a faster model must be cheaper.", lambda t, s, p: 1000 * t * s / 3600 * p),
        ("Those are the hours: the price is missing.", lambda t, s, p: 1000 * t / s / 3600),
        ("The price is upside down: a dearer machine must cost more.", lambda t, s, p: 1000 * t / s / 3600 / p),
    ]
    compare(theirs, cost_per_thousand, cases, slips, same=lambda a, b: abs(a - b) < 1e-6 * abs(b))


TABLE = answers.list_of(answers.tuple_of(answers.whole, answers.whole), "a list of pairs (slot, first step)")
PAIR = answers.tuple_of(answers.tensor, answers.tensor, words="two tensors, the integers and the scales")

EXERCISES = [
    Exercise("shipping.1", "INT8, row by row", quantise, _test_quantise, (
        "A scale says how much one step of the integers is worth. The largest weight of a row, without its sign, shall become 127.",
        "torch.amax has a dim and a keepdim. Divide, round, and only then change the dtype. What is the scale of a row of zeros?",
    ), "One byte per weight and four bytes per row.", PAIR),
    Exercise("shipping.8", "a product of whole numbers", int8_product, _test_int8_product, (
        "x is about codes · step, and a row of the weights is integers · scale: which factors can be taken out of the sum?",
        "A sum of products of int8 numbers does not fit into int8. Whose scale belongs to a column of the result?",
    ), "The products are whole numbers; two multiplications at the end give the units back.", answers.tensor),
    Exercise("shipping.2", "a pruning mask", keep_mask, _test_keep_mask, (
        "How many weights go? A share of all of them, rounded. Which? The smallest in size.",
        "topk with largest=False, or argsort, ranks the flattened sizes. A mask of ones is set to False at some of them.",
    ), "Rank, do not compare with a threshold: then ties cannot surprise you.", answers.mask),
    Exercise("shipping.3", "the distillation loss", distillation_loss, _test_distillation_loss, (
        "Both log-distributions come from logits divided by the temperature. KL weights their difference with the teacher's probabilities.",
        "Over which axis is a distribution, and over which do you average? log_softmax stays finite where a softmax is 0.",
    ), "The teacher's whole distribution, not only its first choice.", answers.tensor),
    Exercise("cheap.1", "what one verifying pass yields", accepted, _test_accepted, (
        "Go through both lists side by side from the front. Where is the first difference, if there is one?",
        "`wanted` is one longer than the draft: even a draft that is right all through is followed by a token of the model's.",
    ), "One pass yields between one token and the whole draft plus one.", answers.wholes),
    Exercise("cheap.2", "a timetable without waiting", timetable, _test_timetable, (
        "Remember for each slot the step at which it becomes free.",
        "The next request goes to the slot with the smallest such number; then add the request's length to it.",
    ), "A slot that is free takes the next request at once: nobody waits for the slowest neighbour.", TABLE),
    Exercise("shipping.7", "what a thousand answers cost", cost_per_thousand, _test_cost_per_thousand, (
        "How many seconds do a thousand answers take?",
        "The price is for 3,600 seconds.",
    ), "Half the tokens per second, twice the price.", answers.number),
]  # fmt: skip
