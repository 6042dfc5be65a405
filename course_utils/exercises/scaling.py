"""Scaling laws: reference answers and their tests."""

from __future__ import annotations

import math

import numpy as np

from . import answers
from .cases import compare
from .engine import Exercise

PF_DAY = 1e15 * 24 * 60 * 60


# ------------------------------------------------------------ scaling.1 petaFLOP/s-days


def training_days(parameters, tokens):
    return 6 * parameters * tokens / (1e15 * 24 * 60 * 60)


DAYS_SLIPS = [
    ("2 operations per parameter and token are the forward pass. The backward pass takes twice as many again.",
     lambda n, d: 2 * n * d / PF_DAY),
    ("4 operations per parameter and token are the backward pass alone.", lambda n, d: 4 * n * d / PF_DAY),
    ("One operation per parameter and token? A multiplication and an addition are two, and training passes three times.",
     lambda n, d: n * d / PF_DAY),
    ("Tokens pass through the parameters: every token meets every one of them. Multiply, do not add.",
     lambda n, d: 6 * (n + d) / PF_DAY),
    ("That is the number of operations; divide by those of one petaFLOP/s-day.", lambda n, d: 6 * n * d),
    *(("Check the seconds: a petaFLOP/s-day is 10^15 operations in *each* of a day's 86,400 seconds.",
       lambda n, d, seconds=seconds: 6 * n * d / (1e15 * seconds)) for seconds in (1, 24, 60, 1440, 3600)),
    *(("You are off by a thousand: peta is 10^15 (tera is 10^12, exa is 10^18).",
       lambda n, d, peta=peta: 6 * n * d / (peta * 86400)) for peta in (1e12, 1e18)),
]  # fmt: skip


def _test_training_days(training_days):
    cases = [("GPT-3", (175e9, 300e9)), ("", (1e9, 23e9)), ("SmolLM2", (135e6, 2e12))]
    compare(training_days, training_days_of_reference, cases, DAYS_SLIPS)


training_days_of_reference = training_days


# ------------------------------------------------------------ scaling.2 a power law


def power_law(x, y):
    slope, offset = np.polyfit(np.log(x), np.log(y), 1)
    return np.exp(offset), -slope


def _line(x, y):
    slope, offset = np.polyfit(np.log(x), np.log(y), 1)
    return slope, offset


def _one_logarithm(of_x, x, y):
    slope, offset = np.polyfit(np.log(x), y, 1) if of_x else np.polyfit(x, np.log(y), 1)
    return (offset, -slope) if of_x else (np.exp(offset), -slope)


def _through(first, last, x, y):
    exponent = -(np.log(y[last]) - np.log(y[first])) / (np.log(x[last]) - np.log(x[first]))
    return y[first] * x[first] ** exponent, exponent


ONE_LOGARITHM = "You took one logarithm. A power law is straight only if *both* axes are logarithmic."
POWER_SLIPS = [
    ("The order: first the scale, then the exponent. (np.polyfit gives the slope first.)",
     lambda x, y: (-_line(x, y)[0], np.exp(_line(x, y)[1]))),
    ("The order: first the scale, then the exponent. And the line's slope is −exponent.",
     lambda x, y: (_line(x, y)[0], np.exp(_line(x, y)[1]))),
    ("The line's slope is −exponent: y = scale · x^(−exponent) falls for a positive exponent.",
     lambda x, y: (np.exp(_line(x, y)[1]), _line(x, y)[0])),
    ("The exponent is right. The line's offset is the *logarithm* of the scale: undo it.",
     lambda x, y: (_line(x, y)[1], -_line(x, y)[0])),
    ("Those are the line's slope and offset as they are. Which of the two is −exponent, and of what is the other the logarithm?",
     lambda x, y: _line(x, y)),
    ("Slope and offset are exchanged: np.polyfit gives the slope first.",
     lambda x, y: (np.exp(_line(x, y)[0]), -_line(x, y)[1])),
    ("The exponent is right, but you took log10 and undid it with exp. Undo a logarithm with its own base.",
     lambda x, y: (np.exp(_line(x, y)[1] / math.log(10)), -_line(x, y)[0])),
    ("x and y are exchanged: np.polyfit takes what you know first, and what depends on it second.",
     lambda x, y: (np.exp(_line(y, x)[1]), -_line(y, x)[0])),
    (ONE_LOGARITHM, lambda x, y: _one_logarithm(True, x, y)),
    (ONE_LOGARITHM, lambda x, y: _one_logarithm(False, x, y)),
    ("The first y is the scale only where x is 1 and the point lies on the line.", lambda x, y: (y[0], -_line(x, y)[0])),
    ("You drew the line through the first and the last point; those between count as much.",
     lambda x, y: _through(0, -1, x, y)),
    ("You drew the line through the first two points; the others count as much.", lambda x, y: _through(0, 1, x, y)),
]  # fmt: skip


def _test_power_law(power_law):
    scattered = "points that scatter (the line is the best one through *all logarithms*)"
    cases = [
        ("points on 3 · x^(−0.5)", (np.array([1, 10, 100, 1000]), 3 * np.array([1.0, 10, 100, 1000]) ** -0.5)),
        ("points on 0.8 · x^0.3", (np.array([2.0, 7, 30, 400]), 0.8 * np.array([2.0, 7, 30, 400]) ** 0.3)),
        (scattered, (np.array([5.0, 3, 400, 20, 50]), np.array([2.0, 2.6, 0.4, 1.7, 0.9]))),
    ]
    compare(power_law, power_law_of_reference, cases, POWER_SLIPS)


power_law_of_reference = power_law


# ------------------------------------------------------------ scaling.3 the frontier


def frontier(compute, loss):
    kept = []
    for i in range(len(loss)):
        beaten = any(compute[j] <= compute[i] and loss[j] < loss[i] for j in range(len(loss)))
        if not beaten:
            kept.append(i)
    return sorted(kept, key=lambda i: compute[i])


def _unbeaten(beats):
    """The frontier if ``beats(compute, loss, of the other)`` decided, sorted by compute."""

    def kept(c, x):
        left = [i for i in range(len(c)) if not any(beats(c[j], x[j], c[i], x[i]) for j in range(len(c)) if j != i)]
        return sorted(left, key=lambda i: c[i])

    return kept


def _better_than_the_last(compute, loss, order=None, keep_best=False):
    kept, last = [], math.inf
    for i in order or range(len(compute)):
        if loss[i] < last:
            kept.append(i)
        last = min(last, loss[i]) if keep_best else loss[i]
    return kept


def _by_compute(c, x):
    return sorted(range(len(c)), key=lambda i: (c[i], x[i]))


EQUAL_RUNS = "Of two runs with the same loss neither has a *lower* one, so neither beats the other: both stay, if nothing else beats them."
FRONTIER_SLIPS = [
    ("The run with the lowest loss is *one* point of the frontier. What would you buy with less compute?",
     lambda c, x: [int(np.argmin(x))]),
    ("All runs are kept. One with compute 4 and loss 2.7 is beaten by a cheaper one with loss 2.5.",
     lambda c, x: sorted(range(len(c)), key=lambda i: c[i])),
    ("All runs are kept. One with compute 4 and loss 2.7 is beaten by a cheaper one with loss 2.5.",
     lambda c, x: list(range(len(c)))),
    ("You kept the cheapest run only. A dearer run belongs to the frontier if it is *better* than all cheaper ones.",
     lambda c, x: [int(np.argmin(c))]),
    ("The right runs, but in the order they came in: sort them by compute.", lambda c, x: sorted(frontier(c, x))),
    ("The right runs, sorted by loss: sort them by compute, the cheapest first.",
     lambda c, x: sorted(frontier(c, x), key=lambda i: x[i])),
    ("The right runs, sorted the other way round: the cheapest comes first.",
     lambda c, x: sorted(frontier(c, x), key=lambda i: -c[i])),
    ("Return the *indices* of the runs, not their numbers.", lambda c, x: [c[i] for i in frontier(c, x)]),
    ("Two runs of the same compute: the worse one is beaten, too.", _unbeaten(lambda c, x, d, y: c < d and x < y)),
    (EQUAL_RUNS, _unbeaten(lambda c, x, d, y: c <= d and x <= y)),
    (EQUAL_RUNS, lambda c, x: _better_than_the_last(c, x, _by_compute(c, x), keep_best=True)),
    (EQUAL_RUNS, _unbeaten(lambda c, x, d, y: (c < d and x <= y) or (c <= d and x < y))),
    ("A run that is better than its next cheaper neighbour can still be beaten by another. Compare with *all* cheaper runs.",
     lambda c, x: _better_than_the_last(c, x, _by_compute(c, x))),
    ("You go through the runs as they come. They are not sorted: a cheaper one may come later.",
     lambda c, x: _better_than_the_last(c, x, keep_best=True)),
    ("You go through the runs as they come. They are not sorted: a cheaper one may come later.",
     lambda c, x: _better_than_the_last(c, x)),
]  # fmt: skip


def _test_frontier(frontier):
    cases = [
        ("", ([8.0, 1.0, 2.0, 4.0], [2.2, 3.0, 2.5, 2.7])),
        ("the last beats its neighbour, but not the second", ([1.0, 2.0, 3.0, 4.0], [3.0, 2.0, 2.7, 2.5])),
        ("two runs of the same compute", ([5.0, 5.0, 3.0], [3.0, 2.0, 3.5])),
        ("two equal runs, and a dearer one with the same loss", ([7.0, 2.0, 2.0, 9.0], [2.4, 2.4, 2.4, 3.0])),
        ("the dearest first, in a different order of losses", ([9.0, 7.0, 6.0, 3.0, 1.0], [1.2, 2.9, 1.9, 2.6, 2.8])),
    ]

    def same(a, b):  # two equal runs have no order of their own
        return a == b or (b == [0, 2, 1] and a == [2, 0, 1])

    compare(frontier, frontier_of_reference, cases, FRONTIER_SLIPS, same)


frontier_of_reference = frontier


# ------------------------------------------------------------ scaling.4 the planner


def chinchilla(flops):
    parameters = (flops / 120) ** 0.5
    return parameters, 20 * parameters


PLANNER_SLIPS = [
    ("Swapped: parameters first, then tokens (20 times as many).", lambda c: chinchilla(c)[::-1]),
    ("Your N·D is the whole budget. Each parameter costs 6 operations per token.", lambda c: ((c / 20) ** 0.5, 20 * (c / 20) ** 0.5)),
    ("2·N·D is a forward pass; training costs 6·N·D.", lambda c: ((c / 40) ** 0.5, 20 * (c / 40) ** 0.5)),
    ("The budget is spent, but with one token per parameter: D = 20·N.", lambda c: ((c / 6) ** 0.5, (c / 6) ** 0.5)),
    ("20 *parameters* for each token is the rule turned round: D = 20·N.", lambda c: (20 * (c / 120) ** 0.5, (c / 120) ** 0.5)),
    ("C = 6·N·20·N = 120·N²: there is a root to take.", lambda c: (c / 120, 20 * c / 120)),
    ("C = 6·N·20·N = 120·N²: there is a root to take.", lambda c: (c / 120, c / 6)),
    ("The parameters are right; the tokens are 20 times as many.", lambda c: ((c / 120) ** 0.5, (c / 120) ** 0.5)),
]  # fmt: skip


def _test_chinchilla(chinchilla):
    cases = [("1e10 parameters and 2e11 tokens cost 6 · 1e10 · 2e11", (1.2e22,)), ("", (5.76e23,)), ("", (8.64e19,))]
    compare(chinchilla, chinchilla_of_reference, cases, PLANNER_SLIPS)


chinchilla_of_reference = chinchilla


# ------------------------------------------------------------ scaling.5 the best size under a loss law


def best_size(flops, A, alpha, B, beta):
    g = (alpha * A / (beta * B)) ** (1 / (alpha + beta))
    return g * (flops / 6) ** (beta / (alpha + beta))


SIZE_SLIPS = [
    ("G is upside down: a larger A (parameters matter more) must give a *larger* model.",
     lambda c, A, a, B, b: best_size(c, B, b, A, a) / (c / 6) ** ((a - b) / (a + b))),
    ("The exponent of the budget is beta/(alpha + beta): the faster *data* stops helping (a large beta), the more goes into the model.",
     lambda c, A, a, B, b: best_size(c, A, a, B, b) / (c / 6) ** ((b - a) / (a + b))),
    ("The budget is 6·N·D, so it is C/6 that N and D share.", lambda c, *law: best_size(6 * c, *law)),
    ("That is the best number of tokens; the size is asked.", lambda c, *law: c / 6 / best_size(c, *law)),
    ("20 tokens per parameter is a rule of thumb. Here the law's own four constants decide.", lambda c, *law: (c / 120) ** 0.5),
]  # fmt: skip


def _test_best_size(best_size):
    cases = [("", (6e20, 400.0, 0.3, 1000.0, 0.4)), ("", (1.2e22, 482.0, 0.35, 2085.4, 0.37)), ("", (3e19, 900.0, 0.6, 70.0, 0.25))]
    compare(best_size, best_size_of_reference, cases, SIZE_SLIPS, lambda a, b: math.isclose(a, b, rel_tol=1e-3))


best_size_of_reference = best_size


# ------------------------------------------------------------ scaling.6 a model that is used


def lifetime(parameters, trained, served):
    return 6 * parameters * trained + 2 * parameters * served


LIFETIME_SLIPS = [
    ("You paid 6 operations for the served tokens, too. Serving has no backward pass.", lambda n, d, s: 6 * n * (d + s)),
    ("You paid 2 operations for the training tokens, too. Training takes a forward and a backward pass.", lambda n, d, s: 2 * n * (d + s)),
    ("The prices are exchanged: which of the two needs a backward pass?", lambda n, d, s: 2 * n * d + 6 * n * s),
    ("That is the training alone. The served tokens are paid for as well.", lambda n, d, s: 6 * n * d),
    ("That is the serving alone. The model must be trained first.", lambda n, d, s: 2 * n * s),
    ("Training and serving come one after the other: add them.", lambda n, d, s: 6 * n * d * s),
    ("Training and serving come one after the other: add them.", lambda n, d, s: 6 * n * d * 2 * n * s),
]  # fmt: skip


def _test_lifetime(lifetime):
    cases = [
        ("", (1e9, 20e9, 100e9)),
        ("nothing served", (70e9, 1.4e12, 0)),
        ("arrays of sizes and of tokens", (np.array([1e9, 3e9]), np.array([5e11, 7e10]), 1e13)),
    ]
    compare(lifetime, lifetime_of_reference, cases, LIFETIME_SLIPS)


lifetime_of_reference = lifetime


EXERCISES = [
    Exercise("scaling.1", "petaFLOP/s-days", training_days, _test_training_days, (
        "How many operations does one parameter cost for one token, forward and backward together?",
        "A day has 24 · 60 · 60 seconds; peta is 10^15.",
    ), returns=answers.number),
    Exercise("scaling.4", "the planner", chinchilla, _test_chinchilla, (
        "Put D = 20·N into C = 6·N·D.",
        "That leaves one unknown, squared.",
    ), returns=answers.tuple_of(answers.number, answers.number, words="two numbers, parameters and tokens")),
    Exercise("scaling.6", "a model that is used", lifetime, _test_lifetime, (
        "How many operations per parameter does a token of training cost, and how many one that is served?",
    ), returns=answers.numeric),
    Exercise("scaling.2", "fit a power law", power_law, _test_power_law, (
        "Take the logarithm of both sides of y = scale · x^(−exponent). What kind of curve is that?",
        "np.polyfit gives a slope and an offset. Which of them is the exponent, and what must be done with the other?",
    ), returns=answers.tuple_of(answers.number, answers.number, words="two numbers, the scale and the exponent")),
    Exercise("scaling.3", "the frontier", frontier, _test_frontier, (
        "A run is beaten if another one costs no more and has a lower loss.",
        "Keep the index of every run that no other one beats; sort the kept ones by compute.",
    ), returns=answers.list_of(answers.whole, "a list of whole numbers, the runs' indices")),
    Exercise("scaling.5", "the best size under a law", best_size, _test_best_size, (
        "Put D = C/(6·N) into A/N^alpha + B/D^beta and ask where its slope is zero.",
        "At the best point alpha·A/N^alpha = beta·B/D^beta. The notebook has solved it for N: compute G first.",
    ), returns=answers.number),
]  # fmt: skip
