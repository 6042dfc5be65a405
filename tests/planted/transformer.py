"""Plausible wrong answers to the exercises on the transformer."""

import torch

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


PLANTED = {
    "transformer.1": [
        (first_place_only, "only its first place"),
        (by_letters, "whole pieces"),
        (overlapping, "cannot be used twice"),
        (lambda words, pair: {"".join(p): n for p, n in words.items()}, "must stay a tuple"),
        (lambda words, pair: words, "Nothing changed"),
    ],
    "transformer.2": [
        (lambda q, k, v: scores(q, k).softmax(-1) @ v, "not divided"),
        (lambda q, k, v: (scores(q, k) / len(q)).softmax(-1) @ v, "divided by d"),
        (lambda q, k, v: (scores(q, k) / len(k) ** 0.5).softmax(-1) @ v, "number of keys"),
        (lambda q, k, v: (scores(q, k) / len(q) ** 0.5).softmax(-1), "Those are the weights"),
        (lambda q, k, v: scores(q, k) @ v, "Without the softmax"),
    ],
    "transformer.3": [
        (lambda s: s.softmax(-2), "Still the columns"),
        (lambda s: s.softmax(0), "batch"),
        (lambda s: s.flatten(-2).softmax(-1).reshape(s.shape), "whole matrix"),
        (lambda s: s.exp() / s.exp().sum(-1, keepdim=True), "overflows"),
        (lambda s: s / s.sum(-1, keepdim=True), "exponentiate"),
    ],
    "transformer.4": [
        (lambda n: torch.ones(n, n, dtype=torch.bool).triu(), "turned round"),
        (lambda n: torch.ones(n, n, dtype=torch.bool).tril(-1), "NaN"),
        (lambda n: ~torch.ones(n, n, dtype=torch.bool).tril(), "what is hidden"),
        (lambda n: torch.ones(n, n).tril(), "dtype=torch.bool"),
    ],
    "transformer.5": [
        (halves, "another order"),
        (lambda p, d: turning(torch.arange(d // 2), d, p), "i/d"),
        (lambda p, d: torch.sin(p / 10000 ** (torch.arange(d) / d)), "Only sines"),
        (lambda p, d: turning(-torch.arange(0, d, 2), d, p), "multiplied"),
    ],
    "transformer.6": [
        (lambda d, hidden: 4 * d * d + 2 * d * hidden, "Only the matrices"),
        (lambda d, hidden: x.count_parameters(d, hidden) - 4 * d, "norms are missing"),
        (lambda d, hidden: x.count_parameters(d, hidden) - d * d - d, "W_o"),
        (lambda d, hidden: 4 * (d * d + d), "attention alone"),
        (lambda d, hidden: 1120, "keep the two apart"),
    ],
    "transformer.7": [
        (lambda t: (t, t.masked_fill(t == PAD, -100)), "copy its input"),
        (unmasked_labels, "still hold padding"),
        (lambda t: (t[:, 1:], t[:, :-1]), "wrong way"),
        (lambda t: (t[:, :-1], t[:, 1:].masked_fill(t[:, 1:] == PAD, -100)), "first input is the start mark"),
        (lambda t: (torch.cat([t[:, :1] * 0 + START, t], 1), t), "each input needs one label"),
    ],
    "transformer.8": [
        (lambda w: w.diagonal().mean(), "itself"),
        (lambda w: w.diagonal(1).mean(), "above the diagonal"),
        (lambda w: w.diagonal(-1).sum() / len(w), "no one before"),
        (lambda w: w.diagonal(-1).sum(), "sum"),
        (lambda w: w[1:, 0].mean(), "first* token"),
    ],
}
