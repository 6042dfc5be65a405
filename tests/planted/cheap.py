"""Making it cheap: wrong and right answers."""

import heapq
import math
import operator
from os.path import commonprefix

import numpy as np
import torch
from torch.nn import functional as F

from course_utils.exercises import cheap

# ---------------------------------------------------------------- wrong


def rows_of(weight):
    return weight.abs().amax(1, keepdim=True) / 127


def rounded_by(scale):
    """INT8 with another scale, rows of zeros excepted."""
    return lambda w: ((w / scale(w).clamp(min=1e-12)).round().to(torch.int8), scale(w).clamp(min=1e-12))


def product_in(kind):
    def product(x, integers, scale):
        step = x.abs().max() / 127
        return ((x / step).round().to(kind) @ integers.to(kind).T).float() * step * scale.T

    return product


def static(lengths, slots):
    table, start = [], 0
    while lengths:
        batch, lengths = lengths[:slots], lengths[slots:]
        table += [(slot, start) for slot, _ in enumerate(batch)]
        start += max(batch)
    return table


def in_turn(lengths, slots):
    return [(i % slots, sum(lengths[i % slots : i : slots])) for i in range(len(lengths))]


def forgets_the_start(lengths, slots):
    free, table = [0] * slots, []
    for n in lengths:
        slot = min(range(slots), key=free.__getitem__)
        table.append((slot, free[slot]))
        free[slot] = n
    return table


def by_length(sign):
    def planned(lengths, slots):
        order = sorted(range(len(lengths)), key=lambda i: sign * lengths[i])
        rows = cheap.timetable([lengths[i] for i in order], slots)
        return [rows[order.index(i)] for i in range(len(lengths))]

    return planned


def last_free(lengths, slots):
    free, table = [0] * slots, []
    for n in lengths:
        slot = max(range(slots), key=lambda s: (-free[s], s))
        table.append((slot, free[slot]))
        free[slot] += n
    return table


PLANTED = {
    "shipping.1": [
        (lambda w: ((w / (s := w.abs().max() / 127)).round().to(torch.int8), s), "One scale for the whole matrix"),
        (lambda w: ((w / (s := w.abs().max() / 127)).round().to(torch.int8), s.expand(len(w), 1)), "One scale for the whole matrix"),
        (lambda w: ((w / rows_of(w)).to(torch.int8), rows_of(w)), "Round first"),
        (lambda w: ((w / rows_of(w)).round(), rows_of(w)), "not torch.int8"),
        (lambda w: ((w / rows_of(w)).round().to(torch.int8), rows_of(w)), "A row of zeros"),
        (lambda w: ((w / rows_of(w)).round().to(torch.int8), rows_of(w)[:, 0]), "keep them as [rows, 1]"),
        (rounded_by(lambda w: w.amax(1, keepdim=True) / 127), "*in size*"),
        (rounded_by(lambda w: w.abs().amax(1, keepdim=True) / 126), "±126"),
        (rounded_by(lambda w: w.abs().amax(1, keepdim=True) / 128), "126, or ±128"),
        (rounded_by(lambda w: rows_of(w).clamp(min=1e-2)), "too large a scale"),
        (rounded_by(lambda w: 127 * rows_of(w)), "one 127th"),
        (lambda w: cheap.quantise(w)[::-1], "exchanged"),
        (lambda w: (cheap.quantise(w)[0], 127 / w.abs().amax(1, keepdim=True).clamp(min=1e-9)), "its inverse"),
        (lambda w: cheap.quantise(w)[0], "the integers and the scales"),
        (lambda w: cheap.quantise(w.T), "should give"),
        (lambda w: (cheap.quantise(w)[0], w.abs_().amax(1, keepdim=True) / 127), "in place"),
    ],
    "shipping.8": [
        (product_in(torch.int8), "range of int8"),
        (product_in(torch.int16), "range of int16"),
        (lambda x, w, s: (x @ w.float().T) * s.T, "not rounded"),
        (lambda x, w, s: x @ (w * s).T, "not rounded"),
        (lambda x, w, s: cheap.int8_product(x, w, torch.ones_like(s)), "weights' scales are missing"),
        (lambda x, w, s: cheap.int8_product(x, w, s) / (x.abs().max() / 127), "activations' scale is missing"),
        (lambda x, w, s: torch.cat([cheap.int8_product(row[None], w, s) for row in x]), "One scale per row"),
        (lambda x, w, s: (x / x.max() * 127).round() @ w.float().T * (x.max() / 127) * s.T, "may be negative"),
        (lambda x, w, s: cheap.int8_product(x, w, s).T, "should give"),
    ],
    "shipping.2": [
        (lambda w, s: ~cheap.keep_mask(w, s), "turned round"),
        (lambda w, s: cheap.keep_mask(w - w.min() + 1, s), "without the sign"),
        (lambda w, s: cheap.keep_mask(1 / w, s), "*largest* weights"),
        (lambda w, s: w.abs() > s, "not a threshold on their values"),
        (lambda w, s: w.abs() > s * w.abs().max(), "not of the largest value"),
        (lambda w, s: torch.stack([r.abs().argsort().argsort() >= round(s * len(r)) for r in w]), "Each row lost"),
        (lambda w, s: w.abs() > 2 * s, "should give"),
        (lambda w, s: w.abs() > w.abs().flatten().sort().values[round(s * w.numel()) - 1] if s else torch.ones_like(w).bool(), "Equal sizes"),
        (lambda w, s: cheap.keep_mask(w, int(s * w.numel()) / w.numel()), "not cut off"),
        (lambda w, s: cheap.keep_mask(w, math.ceil(s * w.numel()) / w.numel()), "not up"),
        (lambda w, s: cheap.keep_mask(w, 1 - s), "the share that goes"),
        (lambda w, s: w * cheap.keep_mask(w, s), "True and False"),
        (lambda w, s: w.mul_(mask := cheap.keep_mask(w, s)) * 0 == 0 * mask, "in place"),
        (lambda w, s: cheap.keep_mask(w, s).flatten(), "should give"),
        (lambda w, s: int(cheap.keep_mask(w, s).sum()), "True and False"),
    ],
    "shipping.3": [
        (lambda s, t, T: cheap.distillation_loss(t, s, T), "KL(student"),
        (lambda s, t, T: cheap.distillation_loss(s, t, T) / T**2, "T² is missing"),
        (lambda s, t, T: cheap.distillation_loss(s, t, T) / T, "*squared*"),
        (lambda s, t, T: cheap.distillation_loss(s, t, T) / T**2 * T * 2, "not twice"),
        (lambda s, t, T: cheap.distillation_loss(s, t, 1.0), "does not soften"),
        (lambda s, t, T: T**2 * cheap.distillation_loss(s, t, 1.0), "does not soften"),
        (lambda s, t, T: F.cross_entropy(s, t.argmax(-1)), "likeliest word"),
        (lambda s, t, T: T**2 * F.cross_entropy(s / T, (t / T).softmax(-1)), "own entropy"),
        (lambda s, t, T: cheap.distillation_loss(s, t, T) / s.shape[-1], "over the vocabulary"),
        (lambda s, t, T: cheap.distillation_loss(s, t, T) * len(s), "take their mean"),
        (lambda s, t, T: T**2 * F.kl_div((s / T).log_softmax(-1), (t / T).softmax(-1), reduction="none").sum(-1), "one number"),
        (lambda s, t, T: T**2 * F.kl_div((s / T).log_softmax(-1), t.softmax(-1), reduction="batchmean"), "Only the student"),
        (lambda s, t, T: T**2 * ((p := (t / T).softmax(-1)) * (p.log() - (s / T).softmax(-1).log())).sum(-1).mean(), "0 times −inf"),
        (lambda s, t, T: -cheap.distillation_loss(s, t, T), "never negative"),
        (lambda s, t, T: T**2 * F.kl_div((s / T).softmax(-1), (t / T).softmax(-1), reduction="batchmean"), "*log*-probabilities"),
        (lambda s, t, T: T**2 * F.kl_div((s / T).log_softmax(0), (t / T).softmax(0), reduction="batchmean"), "*vocabulary*"),
        (lambda s, t, T: cheap.distillation_loss(s, t, T).item(), "no gradient"),
        (lambda s, t, T: T**2 * ((p := (t / T).softmax(-1) + 1e-9) * (p / ((s / T).softmax(-1) + 1e-9)).log()).sum(-1).mean(), "makes it wrong"),
        (lambda s, t, T: T**2 * ((p := (t / T).softmax(-1).clamp(min=1e-6)) * (p / (s / T).softmax(-1).clamp(min=1e-6)).log()).sum(-1).mean(), "sure of other words"),
    ],
    "cheap.1": [
        (lambda d, w: [a for a, b in zip(d, w) if a == b], "no longer the answer"),
        (lambda d, w: w, "You took all"),
        (lambda d, w: d[: len(cheap.accepted(d, w)) - 1], "one token more"),
        (lambda d, w: d[: len(cheap.accepted(d, w))], "not the draft's"),
        (lambda d, w: w if d == w[:-1] else w[:1], "All or nothing"),
        (lambda d, w: len(cheap.accepted(d, w)) - 1, "a list of whole numbers"),
        (lambda d, w: w[: len(cheap.accepted(d, w)) + 1], "One token too many"),
        (lambda d, w: w[: next(i for i, t in enumerate(d) if t != w[i]) + 1], "whole draft is right"),
        (lambda d, w: cheap.accepted(d, w[1:] + w[:1]), "compare draft[0]"),
        (lambda d, w: [*cheap.accepted(d, w)[:-1], w[-1]], "not the last of"),
        (lambda d, w: [*cheap.accepted(d, w)[:-1], w[len(cheap.accepted(d, w))]], "not behind it"),
        (lambda d, w: cheap.accepted(d, w)[-1:], "too, not the model's"),
        (lambda d, w: d, "the whole draft"),
        (lambda d, w: [*d, w[-1]], "the whole draft"),
    ],
    "cheap.2": [
        (static, "static batches"),
        (in_turn, "take turns"),
        (forgets_the_start, "*plus* its length"),
        (lambda lengths, slots: cheap.timetable(sorted(lengths), slots), "should give"),
        (by_length(1), "the shortest first"),
        (by_length(-1), "the longest first"),
        (lambda lengths, slots: [(s, first + 1) for s, first in cheap.timetable(lengths, slots)], "has the number 0"),
        (lambda lengths, slots: cheap.timetable([n + 1 for n in lengths], slots), "step 7 is free"),
        (lambda lengths, slots: cheap.timetable([n - 1 for n in lengths], slots), "too early"),
        (lambda lengths, slots: [(b, a) for a, b in cheap.timetable(lengths, slots)], "turned round"),
        (lambda lengths, slots: [(a, b + n) for (a, b), n in zip(cheap.timetable(lengths, slots), lengths)], "*end*"),
        (lambda lengths, slots: [first for _, first in cheap.timetable(lengths, slots)], "a list of pairs"),
        (last_free, "lowest number"),
        (lambda lengths, slots: [(slot + 1, first) for slot, first in cheap.timetable(lengths, slots)], "Slots are counted from 0"),
        (lambda lengths, slots: [(slot + 1, first + 1) for slot, first in cheap.timetable(lengths, slots)], "both counted from 0"),
        (lambda lengths, slots: sorted(cheap.timetable(lengths, slots)), "not sorted by slot"),
        (lambda lengths, slots: [cheap.timetable(lengths, slots)[lengths.index(n)] for n in lengths], "the same length"),
        (lambda lengths, slots: [(a, b + n - 1) for (a, b), n in zip(cheap.timetable(lengths, slots), lengths)], "*last* steps"),
        (lambda lengths, slots: [(a, n) for (a, _), n in zip(cheap.timetable(lengths, slots), lengths)], "how many steps"),
    ],
    "shipping.7": [
        (lambda tokens, speed, price: 1000 * tokens / speed * price, "per *hour*"),
        (lambda tokens, speed, price: 1000 * tokens / speed / 60 * price, "a minute 60"),
        (lambda tokens, speed, price: tokens / speed / 3600 * price, "price of one answer"),
        (lambda tokens, speed, price: 1000 * speed / tokens / 3600 * price, "upside down"),
        (lambda tokens, speed, price: 1000 * tokens * speed / 3600 * price, "multiplied by tokens per second"),
        (lambda tokens, speed, price: 1000 * tokens / speed / 3600, "price is missing"),
        (lambda tokens, speed, price: 1000 * tokens / speed / 3600 / price, "dearer"),
        (lambda tokens, speed, price: round(1000 * tokens / speed / 3600 * price, 2), "should give"),
        (lambda tokens, speed, price: round(1000 * tokens / speed / 3600 * price, 4), "should give"),
        (lambda tokens, speed, price: 1000 * tokens // speed / 3600 * price, "should give"),
        (lambda tokens, speed, price: f"{1000 * tokens / speed / 3600 * price:.2f}", "a number"),
    ],
}  # fmt: skip

EQUIVALENT = {
    "shipping.1": {
        "1e-12 → 1.1e-12": "the scale of a row of zeros may be any number above 0",
        "1e-12 → 9e-13": "the same",
    },
    "shipping.8": {},
    "shipping.2": {"False → True (2)": "whether topk sorts what goes does not matter to a mask"},
    "shipping.3": {
        "-1 → 1": "logits have two axes: the last one is number 1",
        "-1 → 1 (2)": "the same",
        "-1 → 1 (3)": "the same",
    },
}

# ---------------------------------------------------------------- right


def quantise_in_lists(weight):
    integers, scales = [], []
    for row in weight.tolist():
        scale = max(abs(x) for x in row) / 127 or 1.0
        integers.append([round(x / scale) for x in row])
        scales.append([scale])
    return torch.tensor(integers, dtype=torch.int8), scales


def quantise_in_numpy(weight):
    w = np.asarray(weight)
    scale = np.maximum(np.abs(w).max(1, keepdims=True) / 127, 1e-8)
    return np.rint(w / scale).astype(np.int8), scale


def product_of_dequantised(x, integers, scale):
    step = x.abs().max() / 127
    return ((x / step).round() * step) @ (integers * scale).T


def product_in_lists(x, integers, scale):
    step = float(x.abs().max()) / 127
    codes = [[round(v / step) for v in row] for row in x.tolist()]
    return [[sum(map(operator.mul, row, w)) * step * float(s) for w, s in zip(integers.tolist(), scale)] for row in codes]


def mask_in_numpy(weight, sparsity):
    w = np.abs(np.asarray(weight)).ravel()
    mask = np.ones(w.size, bool)
    mask[np.argsort(w, kind="stable")[: round(sparsity * w.size)]] = False
    return mask.reshape(weight.shape)


def mask_in_lists(weight, sparsity):
    sizes = [abs(x) for row in weight.tolist() for x in row]
    gone = set(sorted(range(len(sizes)), key=sizes.__getitem__)[: round(sparsity * len(sizes))])
    columns = weight.shape[1]
    return [[r * columns + c not in gone for c in range(columns)] for r in range(weight.shape[0])]


def one_position_at_a_time(student, teacher, temperature):
    total = 0.0
    for s, t in zip(student, teacher):
        q, p = torch.log_softmax(s / temperature, 0), torch.log_softmax(t / temperature, 0)
        total = total + torch.dot(p.exp(), p - q)
    return total / len(student) * temperature**2


def accepted_from_behind(draft, wanted):
    return next(wanted[: n + 1] for n in range(len(draft), -1, -1) if draft[:n] == wanted[:n])


def accepted_with_a_break(draft, wanted):
    result = []
    for have, want in zip([*draft, None], wanted):
        result.append(want)
        if have != want:
            break
    return result


def timetable_with_a_heap(lengths, slots):
    heap = [(0, slot) for slot in range(slots)]
    table = []
    for n in lengths:
        start, slot = heapq.heappop(heap)
        table.append((slot, start))
        heapq.heappush(heap, (start + n, slot))
    return table


def timetable_step_by_step(lengths, slots):
    left, table, step, waiting = [0] * slots, [], 0, list(lengths)
    while waiting:
        for slot in range(slots):
            if waiting and left[slot] == 0:
                left[slot] = waiting.pop(0)
                table.append([slot, step])
        left = [max(0, n - 1) for n in left]
        step += 1
    return table


RIGHT = {
    "shipping.1": [
        quantise_in_numpy,
        quantise_in_lists,
        lambda w: list(cheap.quantise(w)),
        lambda w: [(w / (s := torch.where(rows_of(w) == 0, 1.0, rows_of(w)))).round().char(), s],
    ],
    "shipping.8": [product_of_dequantised, product_in_lists],
    "shipping.2": [
        mask_in_numpy,
        mask_in_lists,
        lambda w, s: (w.abs().flatten().argsort().argsort() >= round(s * w.numel())).view_as(w),
        lambda w, s: cheap.keep_mask(w, s).numpy(),
    ],
    "shipping.3": [
        one_position_at_a_time,
        lambda s, t, T: T * T * F.kl_div((s / T).log_softmax(1), (t / T).log_softmax(1), log_target=True, reduction="batchmean"),
        lambda s, t, T: T**2 * F.kl_div(F.log_softmax(s / T, -1), F.softmax(t / T, -1), reduction="none").sum(-1).mean(),
        lambda s, t, T: T**2 * (F.cross_entropy(s / T, (t / T).softmax(-1)) + ((t / T).softmax(-1) * (t / T).log_softmax(-1)).sum(-1).mean()),
    ],
    "cheap.1": [
        accepted_from_behind,
        accepted_with_a_break,
        lambda d, w: w[: len(commonprefix([d, w])) + 1],
        lambda d, w: torch.tensor(w)[: int((torch.tensor(d, dtype=torch.long) == torch.tensor(w[:-1])).long().cumprod(0).sum()) + 1],
    ],
    "cheap.2": [lambda lengths, slots: np.array(timetable_with_a_heap(lengths, slots), int).reshape(-1, 2), timetable_with_a_heap, timetable_step_by_step],
    "shipping.7": [
        lambda tokens, speed, price: tokens / speed * price / 3.6,
        lambda tokens, speed, price: np.float64(1000 * tokens) / (speed * 3600) * price,
        lambda tokens, speed, price: torch.tensor(1000 * tokens / (3600 * speed) * price, dtype=torch.float64),
    ],
}  # fmt: skip
