"""Wrong and right answers about the transformer: PLANTED, id → [(answer, words)]; RIGHT, id → [answer]."""

import re

import numpy as np
import torch

from course_utils import metrics
from course_utils.exercises import transformer as x
from course_utils.transformer import PAD, START


def first_place_only(words, pair):
    merged = {}
    for pieces, count in words.items():
        places = [i for i in range(len(pieces) - 1) if pieces[i : i + 2] == pair][:1]
        for i in places:
            pieces = (*pieces[:i], "".join(pair), *pieces[i + 2 :])
        merged[pieces] = count
    return merged


def by_letters(words, pair):
    joined = "".join(pair)
    return {tuple(" ".join(p).replace(" ".join(pair), joined).split()): n for p, n in words.items()}


def overlapping(words, pair):
    merged = {}
    for pieces, count in words.items():
        new = []
        for piece in pieces:
            if new and (new[-1], piece) == pair or new and new[-1] == "".join(pair) and pair[0] == pair[1] == piece:
                new[-1] += piece
            else:
                new.append(piece)
        merged[tuple(new)] = count
    return merged


def scores(query, keys):
    return keys @ query


def turning(exponents, d, position):
    angles = position / 10000 ** (exponents / d)
    return torch.stack([angles.sin(), angles.cos()], -1).flatten()


def halves(position, d):
    vector = x.position_vector(position, d)
    return torch.cat([vector[0::2], vector[1::2]])


def unmasked_labels(target):
    return x.shift(target)[0], target.clone()


def in_place(words, pair):
    for pieces in list(words):
        words[x._merged(pieces, pair)] = words.pop(pieces)
    return words


def merge_by_pattern(words, pair):
    """As in the paper: blanks between the pieces, and no letter next to the pair."""
    pattern = re.compile(r"(?<!\S)" + re.escape(" ".join(pair)) + r"(?!\S)")
    return {tuple(pattern.sub("".join(pair).replace("\\", r"\\\\"), " ".join(p)).split(" ")): n for p, n in words.items()}


def merge_by_list(words, pair):
    result = {}
    for word, count in words.items():
        pieces = list(word)
        i = 0
        while i < len(pieces) - 1:
            if (pieces[i], pieces[i + 1]) == pair:
                pieces[i : i + 2] = [pieces[i] + pieces[i + 1]]
            i += 1
        result[tuple(pieces)] = count
    return result


def attend_numpy(query, keys, values):
    q, k, v = map(np.asarray, (query, keys, values))
    weights = np.exp(k @ q / np.sqrt(len(q)))
    return (weights / weights.sum()) @ v


def attend_loop(query, keys, values):
    powers = [float((query * key).sum() / len(query) ** 0.5) for key in keys]
    powers = [2.718281828459045**p for p in powers]
    return [sum(p * float(v[j]) for p, v in zip(powers, values)) / sum(powers) for j in range(values.shape[1])]


def weights_numpy(scores):
    s = np.asarray(scores)
    e = np.exp(s - s.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def position_loop(position, d):
    out = []
    for i in range(d // 2):
        angle = position / 10000 ** (2 * i / d)
        out += [np.sin(angle), np.cos(angle)]
    return out


def position_columns(position, d):
    vector = torch.zeros(d)
    speed = torch.exp(-torch.arange(0, d, 2) * np.log(10000.0) / d)
    vector[0::2], vector[1::2] = torch.sin(position * speed), torch.cos(position * speed)
    return vector


def shift_lists(target):
    rows = target.tolist()
    return [[START, *row[:-1]] for row in rows], [[i if i != PAD else -100 for i in row] for row in rows]


def shift_roll(target):
    inputs = target.roll(1, 1)
    inputs[:, 0] = START
    return inputs, torch.where(target == PAD, -100, target)


def shift_without_end(target):
    """The end mark is not fed: nothing is asked after it."""
    inputs = torch.cat([torch.full((len(target), 1), START), target[:, :-1]], 1)
    return [inputs.masked_fill(inputs == 2, PAD), target.masked_fill(target == PAD, -100)]


def parted_loop(states, senses):
    def cosine(a, b):
        return float(a @ b / (a.norm() * b.norm()))

    within, between = [], []
    for i, s in enumerate(senses):
        same = [cosine(states[i], states[j]) for j in range(len(states)) if j != i and senses[j] == s]
        other = [cosine(states[i], states[j]) for j in range(len(states)) if senses[j] != s]
        within.append(sum(same) / len(same))
        between.append(sum(other) / len(other))
    return within, between


def parted_numpy(states, senses):
    unit, senses = np.asarray(states / states.norm(dim=1, keepdim=True)), np.asarray(senses)
    table = unit @ unit.T
    within = [(table[i][senses == s].sum() - 1) / ((senses == s).sum() - 1) for i, s in enumerate(senses)]
    return np.array(within), np.array([table[i][senses != s].mean() for i, s in enumerate(senses)])


def reach_list(right, chance):
    ok = [metrics.interval(right[d], unit="sequence").low > chance for d in sorted(right)] + [False]
    n = ok.index(False)
    return sorted(right)[n - 1] if n else 0


def wilson_low(values, z=1.96):
    n, p = len(values), sum(values) / len(values)
    return (p + z * z / (2 * n) - z * ((p * (1 - p) + z * z / (4 * n)) / n) ** 0.5) / (1 + z * z / n)


def reach_by_wilson(right, chance):
    far = 0
    for d in sorted(right.keys()):
        if wilson_low(right[d]) > chance:
            far = d
        else:
            return far
    return np.int64(far)


def split_by_slices(x, heads):
    width = x.shape[-1] // heads
    return torch.stack([x[..., h * width : (h + 1) * width] for h in range(heads)], -3)


def nearest_loop(table, i):
    best, found = -2.0, None
    for j, row in enumerate(table):
        cosine = float(row @ table[i] / (row.norm() * table[i].norm()))
        if j != i and cosine > best:
            best, found = cosine, j
    return found


def nearest_in_the_same_half(table, i):
    best, found = 0.0, None
    for j, cosine in enumerate(torch.cosine_similarity(table[i][None], table).tolist()):
        if j != i and cosine > best:
            best, found = cosine, j
    return found


PLANTED = {
    "transformer.12": [
        (lambda t, i: torch.cosine_similarity(t[i][None], t).argmax(), "nearest to itself"),
        (lambda t, i: (t @ t[i]).masked_fill(torch.arange(len(t)) == i, -9e9).argmax(), "a long vector wins"),
        (lambda t, i: (t - t[i]).norm(dim=1).masked_fill(torch.arange(len(t)) == i, 9e9).argmin(), "smallest distance"),
        (lambda t, i: torch.cosine_similarity(t[i][None], t).argmin(), "*least* like"),
        (lambda t, i: torch.cosine_similarity(t[i][None], t).abs().masked_fill(torch.arange(len(t)) == i, -1).argmax(), "opposite direction"),
        (lambda t, i: torch.cosine_similarity(t[i][None], t).topk(2).values[1], "a whole number"),
        (lambda t, i: torch.cosine_similarity(t[i][None], t).argsort(stable=True)[-2], "with two equal rows"),
        (nearest_in_the_same_half, "Nothing in the same half"),
    ],
    "transformer.11": [
        (lambda x, h: x.reshape(*x.shape[:-2], h, x.shape[-2], -1), "order in memory"),
        (lambda x, h: x.unflatten(-1, (h, -1)), "heads must come before"),
        (lambda x, h: torch.stack([x[..., k::h] for k in range(h)], -3), "every heads-th column"),
        (lambda x, h: x.unflatten(-1, (h, -1)).transpose(0, 1), "Count from the end"),
        (lambda x, h: torch.stack(x.chunk(h, -1)), "behind all axes in front"),
        (lambda x, h: x.unflatten(-1, (h, -1)).transpose(-3, -2).detach(), "no gradient"),
        (lambda x, h: x.chunk(h, -1), "behind all axes in front"),
        (lambda x, h: x.unflatten(-1, (h, -1)).transpose(1, 2), "exactly one axis in front"),
        (lambda x, h: np.stack(np.split(x.numpy(), h, -1), -3), "no gradient"),
    ],
    "transformer.13": [
        (lambda w, e, f: [(e[int(w[:, j].argmax())], f[j]) for j in range(len(f))], "for each French one"),
        (lambda w, e, f: [(f[int(row.argmax())], word) for word, row in zip(e, w)], "turned round"),
        (lambda w, e, f: list(zip(e, w.argmax(1).tolist())), "a list of pairs of words"),
        (lambda w, e, f: list(zip(e, f)), "play no part"),
        (lambda w, e, f: [f[int(row.argmax())] for row in w], "a list of pairs of words"),
        (lambda w, e, f: list({word: f[int(row.argmax())] for word, row in zip(e, w)}.items()), "A dictionary keeps"),
        (lambda w, e, f: [(word, f[int(w[e.index(word)].argmax())]) for word in e], "only the first"),
        (lambda w, e, f: list(dict.fromkeys((word, f[int(row.argmax())]) for word, row in zip(e, w))), "three times"),
    ],
    "transformer.10": [
        (lambda r, c: max((d for d in r if sum(r[d]) / len(r[d]) > c), default=0), "should give"),
        (lambda r, c: x._reach(r, lambda v: sum(v) / len(v) > c), "can be luck"),
        (lambda r, c: x.reach(r, 0), "compare with 0"),
        (lambda r, c: max((d for d in r if metrics.interval(r[d], unit="sequence").low > c), default=0), "beyond one that is not"),
        (lambda r, c: x._reach(r, lambda v: metrics.interval(v, unit="sequence").high > c), "upper end"),
        (lambda r, c: next((d for d in sorted(r) if metrics.interval(r[d], unit="sequence").low <= c), max(r)), "one too late"),
        (lambda r, c: next((d for d in sorted(r) if metrics.interval(r[d], unit="sequence").low <= c), 0), "the one before it"),
        (lambda r, c: x.reach(r, c) or None, "Nothing above chance"),
        (lambda r, c: x.reach(r, 0.125), "Another chance"),
        (lambda r, c: [d for d in r if metrics.interval(r[d], unit="sequence").low > c], "a whole number"),
    ],
    "transformer.9": [
        (lambda v, s: x._parted(v, s, itself=True), "with itself"),
        (lambda v, s: x._parted(v, s, lambda v: v @ v.T), "products, not cosines"),
        (lambda v, s: x.parted(v, s)[::-1], "exchanged"),
        (lambda v, s: x.parted(v, s)[0] - x.parted(v, s)[1], "two tensors"),
        (lambda v, s: tuple(part.mean() for part in x.parted(v, s)), "means over all"),
    ],
    "transformer.1": [
        (first_place_only, "only its first place"),
        (by_letters, "whole pieces"),
        (overlapping, "cannot be used twice"),
        (lambda words, pair: {"".join(p): n for p, n in words.items()}, "must stay a tuple"),
        (lambda words, pair: dict(words), "Nothing changed"),
        (in_place, "in place"),
        (lambda words, pair: [x._merged(p, pair) for p in words], "a dictionary"),
        (lambda words, pair: {p: n for p, n in x.merge(words, pair).items() if "".join(pair) in p}, "Words without the pair"),
        (lambda words, pair: x.merge(x.merge(words, pair), pair[::-1]), "order counts"),
    ],
    "transformer.2": [
        (lambda q, k, v: scores(q, k).softmax(-1) @ v, "not divided"),
        (lambda q, k, v: (scores(q, k) / len(q)).softmax(-1) @ v, "divided by d"),
        (lambda q, k, v: (scores(q, k) / len(k) ** 0.5).softmax(-1) @ v, "number of keys"),
        (lambda q, k, v: (scores(q, k) / len(q) ** 0.5).softmax(-1), "Those are the weights"),
        (lambda q, k, v: scores(q, k) @ v, "Without the softmax"),
        (lambda q, k, v: ((w := (scores(q, k) / len(q) ** 0.5).softmax(0)) @ v, w), "wanted: a tensor"),
        (lambda q, k, v: (-scores(q, k) / len(q) ** 0.5).softmax(-1) @ v, "should give"),
        (lambda q, k, v: (scores(q, k) / len(q) ** 0.5).softmax(-1) @ k, "mixed the keys"),
        (lambda q, k, v: (scores(q, k) / (len(q) * 0.5)).softmax(-1) @ v, "should give"),
    ],
    "transformer.3": [
        (lambda s: s.softmax(-2), "As before"),
        (lambda s: s.softmax(0), "batch"),
        (lambda s: s.softmax(1), "count from the end"),
        (lambda s: s.flatten(-2).softmax(-1).reshape(s.shape), "whole matrix"),
        (lambda s: s.exp() / s.exp().sum(-1, keepdim=True), "overflows"),
        (lambda s: s / s.sum(-1, keepdim=True), "exponentiate"),
        (lambda s: (-s).softmax(-1), "should give"),
        (lambda s: s.softmax(-1).tolist()[0], "should give"),
    ],
    "transformer.4": [
        (lambda n: torch.ones(n, n, dtype=torch.bool).triu(), "turned round"),
        (lambda n: torch.ones(n, n, dtype=torch.bool).tril().triu(-9), "A longer text"),
        (lambda n: torch.ones(n, n, dtype=torch.bool).tril(-1), "NaN"),
        (lambda n: ~torch.ones(n, n, dtype=torch.bool).tril(), "what is hidden"),
        (lambda n: torch.ones(n, n).tril(), "True and False"),
        (lambda n: torch.ones(n, n, dtype=torch.bool), "not hidden"),
        (lambda n: torch.zeros(n, n).masked_fill(~torch.ones(n, n, dtype=torch.bool).tril(), -torch.inf), "True and False"),
        (lambda n: torch.ones(4, 4, dtype=torch.bool).tril(), "one length only"),
    ],
    "transformer.5": [
        (halves, "another order"),
        (lambda p, d: turning(torch.arange(d // 2), d, p), "i/d"),
        (lambda p, d: torch.sin(p / 10000 ** (torch.arange(d) / d)), "Only sines"),
        (lambda p, d: turning(-torch.arange(0, d, 2), d, p), "multiplied"),
        (lambda p, d: turning(2 * torch.arange(0, d, 2), d, p), "not the column"),
        (lambda p, d: turning(torch.arange(0, d, 2), d, p + 1), "counted from 0"),
        (lambda p, d: [f(p / 10000 ** (i / d)) for i, f in zip(range(d), [np.sin, np.cos] * d)], "the *same* angle"),
    ],
    "transformer.6": [
        (lambda d, hidden: 4 * d * d + 2 * d * hidden, "Only the matrices"),
        (lambda d, hidden: x.count_parameters(d, hidden) - 4 * d, "two norms, or the biases"),
        (lambda d, hidden: x.count_parameters(d, hidden) - d * d - d, "W_o"),
        (lambda d, hidden: 4 * (d * d + d), "attention alone"),
        (lambda d, hidden: 1120, "should give"),
        (lambda d, h: 4 * (d * d + d) + 2 * d * h + 2 * d + 4 * d, "wrong length"),
        (lambda d, h: x.count_parameters(d, h) - 2 * d, "two norms"),
    ],
    "transformer.7": [
        (lambda t: (t, t.masked_fill(t == PAD, -100)), "copy its input"),
        (unmasked_labels, "still hold padding"),
        (lambda t: (t[:, 1:], t[:, :-1]), "wrong way"),
        (lambda t: (t[:, :-1], t[:, 1:].masked_fill(t[:, 1:] == PAD, -100)), "first input is the start mark"),
        (lambda t: (torch.cat([t[:, :1] * 0 + START, t], 1), t), "each input needs one label"),
        (lambda t: (x.shift(t)[0].masked_fill(x.shift(t)[0] == PAD, -100), x.shift(t)[1]), "no such row"),
        (lambda t: (x.shift(t)[0] + 0.5, x.shift(t)[1]), "two tensors of ids"),
        (lambda t: (x.shift(t)[0], x.shift(t)[1].masked_fill(t == 2, -100)), "where to stop"),
        (lambda t: x.shift(t)[0], "two tensors of ids"),
        (lambda t: (t.masked_fill_(t == PAD, -100), t), "in place"),
        (lambda t: (torch.full_like(t, START), x.shift(t)[1]), "should give"),
    ],
    "transformer.8": [
        (lambda w: w.diagonal().mean(), "itself"),
        (lambda w: w.diagonal(1).mean(), "above the diagonal"),
        (lambda w: w.diagonal(-1).sum() / len(w), "no one before"),
        (lambda w: w.diagonal(-1).sum(), "sum"),
        (lambda w: w[1:, 0].mean(), "first* token"),
        (lambda w: w.diagonal(-1), "One head gets one number"),
        (lambda w: w.diagonal(-1).median(), "should give"),
    ],
}  # fmt: skip

RIGHT = {
    "transformer.12": [
        nearest_loop,
        lambda t, i: torch.cosine_similarity(t[i][None], t).masked_fill(torch.arange(len(t)) == i, -2).argmax(),
        lambda t, i: sorted((j for j in range(len(t)) if j != i), key=lambda j: -torch.cosine_similarity(t[i], t[j], 0).item())[0],
    ],
    "transformer.11": [
        split_by_slices,
        lambda x, h: x.reshape(*x.shape[:-1], h, x.shape[-1] // h).transpose(-3, -2),
        lambda x, h: torch.stack(x.chunk(h, -1), -3),
        lambda x, heads: x.unflatten(-1, (heads, -1)).movedim(-2, -3),
    ],
    "transformer.13": [
        lambda w, e, f: [(word, f[max(range(len(f)), key=lambda j: w[i, j])]) for i, word in enumerate(e)],
        lambda w, e, f: [[word, f[int(row.argmax())]] for word, row in zip(e, w)],
        lambda weights, english, french: list(zip(english, np.array(french)[np.asarray(weights).argmax(1)].tolist())),
    ],
    "transformer.10": [reach_list, reach_by_wilson, lambda r, c: max((d for d in r if all(wilson_low(r[e]) > c for e in r if e <= d)), default=0)],
    "transformer.9": [parted_loop, parted_numpy, lambda v, s: torch.stack(x.parted(v, s))],
    "transformer.1": [merge_by_pattern, merge_by_list, lambda words, pair: dict(zip([x._merged(p, pair) for p in words], words.values()))],
    "transformer.2": [
        attend_numpy,
        attend_loop,
        lambda q, k, v: torch.nn.functional.scaled_dot_product_attention(q[None], k, v)[0],
        lambda query, keys, values: sum(w * v for w, v in zip(torch.softmax((keys * query).sum(1) / torch.tensor(len(query)).sqrt(), 0), values)),
    ],
    "transformer.3": [
        weights_numpy,
        lambda s: (s - s.amax(-1, keepdim=True)).exp() / (s - s.amax(-1, keepdim=True)).exp().sum(-1, keepdim=True),
        lambda scores: torch.nn.Softmax(dim=scores.dim() - 1)(scores),
        lambda scores: scores.softmax(-1).tolist(),
    ],
    "transformer.4": [
        lambda n: [[j <= i for j in range(n)] for i in range(n)],
        lambda n: np.tri(n, dtype=bool),
        lambda n: torch.arange(n)[:, None] >= torch.arange(n),
        lambda n: [torch.arange(n) <= i for i in range(n)],
    ],
    "transformer.5": [
        position_loop,
        position_columns,
        lambda p, d: np.array([(np.sin, np.cos)[i % 2](p / 10000 ** ((i - i % 2) / d)) for i in range(d)]),
        lambda p, d: torch.cat([torch.tensor([(a := p / 10000 ** (2 * i / d)), a + torch.pi / 2]).sin() for i in range(d // 2)]),
    ],
    "transformer.6": [
        lambda d, hidden: 4 * d**2 + 2 * d * hidden + 9 * d + hidden,
        lambda d, hidden: torch.tensor(4 * d * (d + 1) + hidden * (2 * d + 1) + 5 * d),
        lambda d, hidden: float(sum(a * b + b for a, b in [(d, d)] * 4 + [(d, hidden), (hidden, d)]) + 4 * d),
    ],
    "transformer.7": [shift_lists, shift_roll, shift_without_end, lambda t: (x.shift(t)[0].float(), x.shift(t)[1].int())],
    "transformer.8": [
        lambda w: float(np.mean([w[i, i - 1] for i in range(1, len(w))])),
        lambda w: np.asarray(w).diagonal(-1).mean(),
        lambda w: w[torch.arange(1, len(w)), torch.arange(len(w) - 1)].mean().item(),
        lambda w: w[1:, :-1].trace() / (len(w) - 1),
    ],
}  # fmt: skip

EQUIVALENT = {
    "transformer.10": {
        "metrics.interval(right[distance], unit='sequence').low <= chance → metrics.interval(right[distance], unit='sequence').low < chance":
            "an interval that ends at chance to the last digit is decided by rounding",
    },
    "transformer.9": {
        "-1 → 1": "the table has two axes",
        **{f"1 → 0{n}": "the table is symmetric: its rows add up like its columns" for n in (" (2)", " (3)", " (4)", " (5)")},
    },
    "transformer.5": {"-1 → 1": "the angles have one axis, so a new last one is axis 1"},
    "transformer.2": {
        "1 → 0": "a query has one axis, the first and the last",
        "1 → 0 (2)": "a query has one axis, the first and the last",
    },
    "transformer.6": {"2 * 2 → 2 + 2": "both are 4"},
}
