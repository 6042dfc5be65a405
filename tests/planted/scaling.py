"""Plausible wrong answers: id → [(answer, words of the message it gets)]."""

import math

import numpy as np
import torch

from course_utils.exercises import scaling

DAY = scaling.PF_DAY


def one_logarithm(x, y):
    slope, offset = np.polyfit(np.log(x), y, 1)
    return offset, -slope


def other_base(x, y):
    slope, offset = np.polyfit(np.log10(x), np.log10(y), 1)
    return np.exp(offset), -slope


def best_size(upside_down=False, other_exponent=False, six=6):
    def size(flops, A, alpha, B, beta):
        g = (alpha * A / (beta * B)) ** (1 / (alpha + beta))
        power = (alpha if other_exponent else beta) / (alpha + beta)
        return (1 / g if upside_down else g) * (flops / six) ** power

    return size


def with_tokenizer(blank=" ", special=False, by=lambda text: len(text.split())):
    return lambda tokenizer, texts: [
        len(tokenizer(blank + text, add_special_tokens=special)["input_ids"]) / by(text) for text in texts
    ]


def better_than_the_next(c, x):
    order = sorted(range(len(c)), key=lambda i: (c[i], x[i]))
    kept = [i for n, i in enumerate(order) if n == 0 or x[i] < x[order[n - 1]]]
    return [i for i in kept if not any(c[j] == c[i] and x[j] < x[i] for j in kept)]


PLANTED = {
    "scaling.1": [
        (lambda n, d: 2 * n * d / DAY, "forward pass"),
        (lambda n, d: 6 * n * d, "number of operations"),
        (lambda n, d: 6 * n * d / (1e15 * 3600), "Check the seconds"),
        (lambda n, d: 6 * n * d / (DAY / 1e3), "off by a thousand"),
        (lambda n, d: n * d / DAY, "are two"),
    ],
    "scaling.2": [
        (one_logarithm, "both"),
        (other_base, "own base"),
        (lambda x, y: (np.exp(np.polyfit(np.log(x), np.log(y), 1)[1]), np.polyfit(np.log(x), np.log(y), 1)[0]), "slope is −exponent"),
        (lambda x, y: np.polyfit(np.log(x), np.log(y), 1), "two numbers"),
        (lambda x, y: scaling.power_law(x, y)[::-1], "The order"),
        (lambda x, y: (math.log(scaling.power_law(x, y)[0]), scaling.power_law(x, y)[1]), "undo it"),
    ],
    "scaling.3": [
        (lambda c, x: [int(np.argmin(x))], "lowest loss"),
        (better_than_the_next, "*all* cheaper runs"),
        (lambda c, x: sorted(range(len(c)), key=lambda i: c[i]), "All runs are kept"),
        (lambda c, x: [int(np.argmin(c))], "cheapest run only"),
        (lambda c, x: sorted(scaling.frontier(c, x)), "sort them by compute"),
        (lambda c, x: [x[i] for i in scaling.frontier(c, x)], "indices"),
        (lambda c, x: [i for i in sorted(range(len(c)), key=lambda i: c[i]) if all(x[i] < x[j] for j in range(len(c)) if c[j] < c[i])], "same compute"),
    ],
    "scaling.4": [
        (lambda c: scaling.chinchilla(c)[::-1], "Swapped"),
        (lambda c: ((c / 20) ** 0.5, 20 * (c / 20) ** 0.5), "whole budget"),
        (lambda c: ((c / 6) ** 0.5, (c / 6) ** 0.5), "one token a parameter"),
        (lambda c: (c / 120, c / 6), "root"),
        (lambda c: ((c / 40) ** 0.5, 20 * (c / 40) ** 0.5), "forward pass"),
    ],
    "scaling.5": [
        (best_size(upside_down=True), "upside down"),
        (best_size(other_exponent=True), "exponent of the budget"),
        (best_size(six=1), "C/6"),
        (lambda c, A, a, B, b: c / 6 / scaling.best_size(c, A, a, B, b), "number of tokens"),
        (lambda c, A, a, B, b: (c / 120) ** 0.5, "rule of thumb"),
    ],
    "scaling.6": [
        (lambda n, d, s: 6 * n * (d + s), "no backward pass"),
        (lambda n, d, s: 2 * n * (d + s), "forward and a backward"),
        (lambda n, d, s: 6 * n * d, "training alone"),
        (lambda n, d, s: 6 * n * d * s, "add them"),
    ],
    "scaling.7": [
        (with_tokenizer(special=True), "special tokens"),
        (with_tokenizer(blank=""), "began a text"),
        (with_tokenizer(by=lambda text: 1), "each *term*"),
        (lambda t, texts: [len(text) / len(text.split()) for text in texts], "characters"),
        (lambda t, texts: float(np.mean(scaling.tokens_per_word(t, texts))), "one number for each"),
    ],
    "scaling.8": [
        (lambda x, t, w: sum(x) / len(x), "mean of the texts' losses"),
        (lambda x, t, w: sum(a * b for a, b in zip(x, t)) / sum(t), "well weighted"),
        (lambda x, t, w: sum(x) / sum(w), "already divided"),
        (lambda x, t, w: sum(a * b / c for a, b, c in zip(x, t, w)) / len(x), "own ratios"),
    ],
}

RIGHT = {
    "scaling.1": [
        lambda n, d: np.float64(6) * n * d / 86400e15,
        lambda n, d: torch.tensor(6.0 * n * d / 86400 / 1e15, dtype=torch.float64),
    ],
}

EQUIVALENT = {}
