"""Plausible wrong answers to the exercises on reward models."""

import torch

from course_utils.exercises import reward


def neighbours(ranks):
    order = sorted(range(len(ranks)), key=lambda i: ranks[i])
    return list(zip(order, order[1:]))


def kappa_with(expected):
    def kappa(a, b):
        n = len(a)
        observed = sum(x == y for x, y in zip(a, b)) / n
        e = expected(a, b, n)
        return (observed - e) / (1 - e)

    return kappa


def pooled(a, b, n):
    return sum(((a.count(label) + b.count(label)) / (2 * n)) ** 2 for label in set(a) | set(b))


def without_the_last_edge(p, y, edges):
    found = []
    for low, high in zip(edges, edges[1:]):
        inside = [i for i, x in enumerate(p) if low <= x < high]
        if inside:
            found.append((sum(p[i] for i in inside) / len(inside), sum(y[i] for i in inside) / len(inside), len(inside)))
    return found


def both_edges(p, y, edges):
    found = []
    for low, high in zip(edges, edges[1:]):
        inside = [i for i, x in enumerate(p) if low <= x <= high]
        if inside:
            found.append((sum(p[i] for i in inside) / len(inside), sum(y[i] for i in inside) / len(inside), len(inside)))
    return found


def middle(p, y, edges):
    rows = reward.reliability(p, y, edges)
    return [((low + high) / 2, share, n) for (_, share, n), (low, high) in zip(rows, ((0.5, 0.8), (0.9, 1.0)))]


PLANTED = {
    "reward.1": [
        (lambda r: [(i, j) for i in range(len(r)) for j in range(len(r)) if r[i] > r[j]], "(worse, better)"),
        (neighbours, "neighbours only"),
        (lambda r: [(i, j) for i in range(len(r)) for j in range(len(r)) if i != j], "once"),
        (lambda r: [(i, j) for i in range(len(r)) for j in range(i + 1, len(r))], "candidates' own numbers"),
        (lambda r: [(i, j) for i in range(len(r)) for j in range(len(r)) if i != j and r[i] <= r[j]], "no pair"),
    ],
    "reward.2": [
        (lambda a, b: sum(x == y for x, y in zip(a, b)) / len(a), "plain agreement"),
        (kappa_with(lambda a, b, n: 0.5), "chance to be 1/2"),
        (kappa_with(lambda a, b, n: a.count("toxic") * b.count("toxic") / n**2), "both"),
        (kappa_with(pooled), "pooled"),
        (kappa_with(lambda a, b, n: sum(a.count(x) * b.count(x) for x in ("toxic", "fine")) / n**2), "all that do"),
    ],
    "reward.3": [
        (lambda c, r: torch.nn.functional.logsigmoid(c - r).mean(), "negative"),
        (lambda c, r: -torch.nn.functional.logsigmoid(r - c).mean(), "worse text wins"),
        (lambda c, r: -torch.nn.functional.logsigmoid(c - r).sum(), "sum"),
        (lambda c, r: (1 - torch.sigmoid(c - r)).mean(), "logarithm is missing"),
        (lambda c, r: -torch.sigmoid(c - r).log().mean(), "−200"),
        (lambda c, r: -(torch.sigmoid(c - r) + 1e-8).log().mean(), "caps the loss"),
        (lambda c, r: -torch.nn.functional.logsigmoid((c - r).mean()), "differences first"),
        (lambda c, r: -torch.nn.functional.logsigmoid(c - r), "one number"),
    ],
    "reward.4": [
        (lambda c, r: [float(x >= y) for x, y in zip(c, r)], "counted as a hit"),
        (lambda c, r: [float(x > y) for x, y in zip(c, r)], "counted as a miss"),
        (lambda c, r: sum(x > y for x, y in zip(c, r)) / len(c), "one value per pair"),
        (lambda c, r: [float(x > 0 and y < x) for x, y in zip(c, r)], "sign of a score"),
        (lambda c, r: [float(x < y) for x, y in zip(c, r)], "wrong way round"),
    ],
    "reward.5": [
        (without_the_last_edge, "exactly 1"),
        (both_edges, "to it alone"),
        (middle, "middle of the bin"),
        (lambda p, y, e: [(share, mean, n) for mean, share, n in reward.reliability(p, y, e)], "in this order"),
        (lambda p, y, e: [*reward.reliability(p, y, e)[:1], (0.0, 0.0, 0), *reward.reliability(p, y, e)[1:]], "empty"),
    ],
    "reward.6": [
        (lambda outputs: [items[0]["score"] for items in outputs], "whichever class won"),
        (lambda outputs: [items[-1]["score"] for items in outputs], "the class that lost"),
        (lambda outputs: [1 - x for x in reward.reward(outputs)], "score of hate"),
        (lambda outputs: [i[0]["score"] if i[0]["label"] == "nothate" else 1 - i[0]["score"] for i in outputs], "third class"),
    ],
    "reward.7": [
        (lambda s, p, judge: judge(s), "still reads the prompt"),
        (lambda s, p, judge: judge([x.replace(y, "") for x, y in zip(s, p)]), "repeats must count"),
        (lambda s, p, judge: judge([x[len(y) + 1 :] for x, y in zip(s, p)]), "exactly the response"),
        (lambda s, p, judge: sum(judge(s)) / len(s), "one number a response"),
    ],
    "reward.8": [
        (lambda judge, t, word, other: reward.swap_gap(judge, t, other, word), "direction"),
        (lambda judge, t, word, other: sum(reward.swap_gap(judge, t, word, other)) / len(t), "their mean"),
        (lambda judge, t, word, other: [judge([word])[0] - judge([other])[0] for _ in t], "whole sentence"),
    ],
}  # fmt: skip
