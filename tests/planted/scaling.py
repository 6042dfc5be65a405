"""Wrong and right answers: PLANTED, id → [(answer, words of the message it gets)]; RIGHT, id → [answer]."""

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


def slope_as_offset(x, y):
    offset, slope = np.polyfit(np.log(x), np.log(y), 1)
    return np.exp(offset), -slope


def mean_of_slopes(x, y):
    exponent = -float(np.mean(np.diff(np.log(y)) / np.diff(np.log(x))))
    return float(np.exp(np.mean(np.log(y) + exponent * np.log(x)))), exponent


def first_and_last(x, y):
    exponent = -math.log(y[-1] / y[0]) / math.log(x[-1] / x[0])
    return y[0] * x[0] ** exponent, exponent


def without_logarithms(x, y):
    from scipy.optimize import curve_fit

    return tuple(curve_fit(lambda x, scale, exponent: scale * x**-exponent, np.asarray(x, float), y, p0=(1, 0.1))[0])


def by_least_squares(x, y):
    """The line by its formula, in tensors."""
    u, v = torch.tensor(x).double().log(), torch.tensor(y).double().log()
    slope = ((u - u.mean()) * (v - v.mean())).sum() / ((u - u.mean()) ** 2).sum()
    return torch.stack([(v.mean() - slope * u.mean()).exp(), -slope])


def by_lstsq(x, y):
    columns = np.column_stack([np.ones(len(x)), np.log2(x)])
    (offset, slope), *_ = np.linalg.lstsq(columns, np.log2(y), rcond=None)
    return [2**offset, -slope]


def best_size(upside_down=False, other_exponent=False, six=6):
    def size(flops, A, alpha, B, beta):
        g = (alpha * A / (beta * B)) ** (1 / (alpha + beta))
        power = (alpha if other_exponent else beta) / (alpha + beta)
        return (1 / g if upside_down else g) * (flops / six) ** power

    return size


def size_by_search(flops, A, alpha, B, beta):
    n = np.geomspace(1e6, 1e14, 400_001)
    return n[np.argmin(A / n**alpha + B / (flops / (6 * n)) ** beta)]


def better_than_the_next(c, x):
    order = sorted(range(len(c)), key=lambda i: (c[i], x[i]))
    return [i for n, i in enumerate(order) if n == 0 or x[i] < x[order[n - 1]]]


def best_so_far(c, x):
    """Drops what is equal to a run that was kept."""
    kept, best = [], math.inf
    for i in sorted(range(len(c)), key=lambda i: (c[i], x[i])):
        if x[i] < best:
            kept.append(i)
            best = x[i]
    return kept


def beaten_by_equals(c, x):
    kept = [i for i in range(len(c)) if not any(j != i and c[j] <= c[i] and x[j] <= x[i] for j in range(len(c)))]
    return sorted(kept, key=lambda i: c[i])


def best_at_no_more(c, x):
    """Each run against the lowest loss that its compute buys, with arrays."""
    c, x = np.array(c), np.array(x)
    kept = np.array([x[i] == x[c <= c[i]].min() for i in range(len(c))])
    order = np.argsort(c, kind="stable")
    return order[kept[order]]


def masked(c, x):
    c, x = torch.tensor(c), torch.tensor(x)
    beaten = ((c[:, None] <= c) & (x[:, None] < x)).any(0)
    return [i for i in c.argsort(stable=True) if not beaten[i]]


PLANTED = {
    "scaling.1": [
        (lambda n, d: 2 * n * d / DAY, "forward pass"),
        (lambda n, d: 4 * n * d / DAY, "backward pass alone"),
        (lambda n, d: 6 * n * d, "number of operations"),
        (lambda n, d: 6 * n * d / (1e15 * 3600), "Check the seconds"),
        (lambda n, d: 6 * n * d / (DAY / 1e3), "off by a thousand"),
        (lambda n, d: n * d / DAY, "are two"),
        (lambda n, d: 6 * (n + d) / DAY, "do not add"),
        (lambda n, d: 3646.0, "should give"),
    ],
    "scaling.2": [
        (one_logarithm, "both"),
        (other_base, "own base"),
        (lambda x, y: (np.exp(np.polyfit(np.log(x), np.log(y), 1)[1]), np.polyfit(np.log(x), np.log(y), 1)[0]), "slope is −exponent"),
        (lambda x, y: np.polyfit(np.log(x), np.log(y), 1), "as they are"),
        (lambda x, y: scaling.power_law(x, y)[::-1], "The order"),
        (lambda x, y: (math.log(scaling.power_law(x, y)[0]), scaling.power_law(x, y)[1]), "undo it"),
        (slope_as_offset, "are exchanged"),
        (lambda x, y: scaling.power_law(y, x), "x and y are exchanged"),
        (lambda x, y: (y[0], scaling.power_law(x, y)[1]), "first y"),
        (first_and_last, "first and the last point"),
        (mean_of_slopes, "scatter"),
        (without_logarithms, "scatter"),
        (lambda x, y: scaling.power_law(x, y)[0], "wanted: two numbers"),
        (lambda x, y: (*scaling.power_law(x, y), 0.0), "wanted: two numbers"),
        (lambda x, y: print(end=""), "is `return` missing?"),
    ],
    "scaling.3": [
        (lambda c, x: [int(np.argmin(x))], "lowest loss"),
        (better_than_the_next, "*all* cheaper runs"),
        (lambda c, x: sorted(range(len(c)), key=lambda i: c[i]), "All runs are kept"),
        (lambda c, x: [int(np.argmin(c))], "cheapest run only"),
        (lambda c, x: sorted(scaling.frontier(c, x)), "sort them by compute"),
        (lambda c, x: sorted(scaling.frontier(c, x), key=lambda i: x[i]), "sorted by loss"),
        (lambda c, x: [x[i] for i in scaling.frontier(c, x)], "indices"),
        (lambda c, x: [c[i] for i in scaling.frontier(c, x)], "indices"),
        (lambda c, x: [i for i in sorted(range(len(c)), key=lambda i: c[i]) if all(x[i] < x[j] for j in range(len(c)) if c[j] < c[i])], "should give"),
        (beaten_by_equals, "neither beats the other"),
        (best_so_far, "neither beats the other"),
        (lambda c, x: scaling._unbeaten(lambda c, x, d, y: c < d and x < y)(c, x), "same compute"),
        (lambda c, x: scaling._better_than_the_last(c, x, keep_best=True), "not sorted"),
        (lambda c, x: [i in scaling.frontier(c, x) for i in range(len(c))], "indices"),
    ],
    "scaling.4": [
        (lambda c: scaling.chinchilla(c)[::-1], "Swapped"),
        (lambda c: ((c / 20) ** 0.5, 20 * (c / 20) ** 0.5), "whole budget"),
        (lambda c: ((c / 6) ** 0.5, (c / 6) ** 0.5), "one token per parameter"),
        (lambda c: (c / 120, c / 6), "root"),
        (lambda c: ((c / 40) ** 0.5, 20 * (c / 40) ** 0.5), "forward pass"),
        (lambda c: (c / 120) ** 0.5, "wanted: two numbers"),
        (lambda c: (1e10, 2e11), "5.76e+23"),
    ],
    "scaling.5": [
        (best_size(upside_down=True), "upside down"),
        (best_size(other_exponent=True), "exponent of the budget"),
        (best_size(six=1), "C/6"),
        (lambda c, A, a, B, b: c / 6 / scaling.best_size(c, A, a, B, b), "number of tokens"),
        (lambda c, A, a, B, b: (c / 120) ** 0.5, "rule of thumb"),
        (lambda c, A, a, B, b: (a * A / (b * B)) ** (a + b) * (c / 6) ** (b / (a + b)), "should give"),
    ],
    "scaling.6": [
        (lambda n, d, s: 6 * n * (d + s), "no backward pass"),
        (lambda n, d, s: 2 * n * (d + s), "forward and a backward"),
        (lambda n, d, s: 2 * n * d + 6 * n * s, "exchanged"),
        (lambda n, d, s: 6 * n * d, "training alone"),
        (lambda n, d, s: 6 * n * d * s, "add them"),
        (lambda n, d, s: float(6 * n * d) + 2 * n * s, "raised TypeError"),
        (lambda n, d, s: 6 * n * d + 2 * n * s if s else 2 * n * d, "Nothing served"),
    ],
}  # fmt: skip

RIGHT = {
    "scaling.1": [
        lambda n, d: np.float64(6) * n * d / 86400e15,
        lambda n, d: torch.tensor(6.0 * n * d / 86400 / 1e15, dtype=torch.float64),
        lambda parameters, tokens: sum(passes * parameters * tokens for passes in (2, 4)) / 1e15 / 60 / 60 / 24,
    ],
    "scaling.2": [
        lambda x, y: np.array(scaling.power_law(x, y)),
        lambda x, y: (10 ** np.polyfit(np.log10(x), np.log10(y), 1)[1], -np.polyfit(np.log10(x), np.log10(y), 1)[0]),
        by_least_squares,
        by_lstsq,
    ],
    "scaling.3": [best_at_no_more, masked, lambda c, x: tuple(scaling.frontier(c, x))],
    "scaling.4": [
        lambda c: [math.sqrt(c / 120), c / 6 / math.sqrt(c / 120)],
        lambda c: np.sqrt(c / 120) * np.array([1, 20]),
        lambda c: (torch.tensor(c, dtype=torch.float64).div(120).sqrt(), 20 * torch.tensor(c / 120, dtype=torch.float64).sqrt()),
    ],
    "scaling.5": [
        size_by_search,
        lambda c, A, a, B, b: np.exp((np.log(a * A / (b * B)) + b * np.log(c / 6)) / (a + b)),
        lambda c, A, a, B, b: torch.tensor(scaling.best_size(c, A, a, B, b), dtype=torch.float64),
    ],
    "scaling.6": [
        lambda n, d, s: 2 * n * (3 * d + s),
        lambda n, d, s: torch.as_tensor(2 * n * (3 * d + s)),
        lambda parameters, trained, served: np.add(np.multiply(6, parameters * trained), 2 * parameters * served),
    ],
}  # fmt: skip

EQUIVALENT = {}
