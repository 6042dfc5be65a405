"""Answers to the exercises on reward models: plausible wrong ones, and right ones in other styles."""

from itertools import combinations

import numpy as np
import pandas as pd
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid, softplus

from course_utils.exercises import reward

# ------------------------------------------------------------ reward.1, reward.2


def neighbours(ranks):
    order = sorted(range(len(ranks)), key=lambda i: ranks[i])
    return list(zip(order, order[1:]))


def best_against_all(r):
    return [(r.index(1), j) for j in range(len(r)) if r[j] > 1]


def by_combinations(ranks):
    for i, j in combinations(range(len(ranks)), 2):
        if ranks[i] != ranks[j]:
            yield [i, j] if ranks[i] < ranks[j] else [j, i]


def kappa_with(expected):
    def kappa(a, b):
        n = len(a)
        observed = sum(x == y for x, y in zip(a, b)) / n
        e = expected(a, b, n)
        return (observed - e) / (1 - e)

    return kappa


def pooled(a, b, n):
    return sum(((a.count(label) + b.count(label)) / (2 * n)) ** 2 for label in set(a) | set(b))


def kappa_by_a_table(a, b):
    table = pd.crosstab(pd.Categorical(a, categories=[*{*a, *b}]), pd.Categorical(b, categories=[*{*a, *b}]), dropna=False).to_numpy()
    p = table / table.sum()
    expected = (p.sum(0) * p.sum(1)).sum()
    return (np.trace(p) - expected) / (1 - expected)


def kappa_by_disagreement(a, b):
    pairs = [(x, y) for x in a for y in b]
    return 1 - (sum(x != y for x, y in zip(a, b)) / len(a)) / (sum(x != y for x, y in pairs) / len(pairs))


# ------------------------------------------------------------ reward.5


def bins(inside, row=lambda p, y, n, low, high: (p, y, n), empty=None):
    def reliability(p, y, edges):
        found = []
        for low, high in zip(edges, edges[1:]):
            here = [i for i, x in enumerate(p) if inside(x, low, high, high == edges[-1])]
            if here:
                n = len(here)
                found.append(row(sum(p[i] for i in here) / n, sum(y[i] for i in here) / n, n, low, high))
            elif empty:
                found.append(empty)
        return found

    return reliability


def proper(x, low, high, last):
    return low <= x < high or (last and x == high)


def bins_in_numpy(p, y, edges):
    p, y = np.array(p), np.array(y)
    rows = []
    for k in range(len(edges) - 1):
        here = (p >= edges[k]) & ((p < edges[k + 1]) | ((k == len(edges) - 2) & (p == edges[-1])))
        if here.any():
            rows.append(np.array([p[here].mean(), y[here].mean(), here.sum()]))
    return rows


def bins_by_pandas(p, y, edges):
    table = pd.DataFrame({"p": p, "y": y}, dtype=float)
    table = table[(table.p >= edges[0]) & (table.p <= edges[-1])]
    place = np.minimum(np.searchsorted(edges, table.p, side="right") - 1, len(edges) - 2)
    return [[g.p.mean(), g.y.mean(), len(g)] for _, g in table.groupby(place)]


# ------------------------------------------------------------ reward.6 to reward.9


def each(pick):
    return lambda outputs: [pick(items) for items in outputs]


def score_of(items, label):
    return {item["label"]: item["score"] for item in items}[label]


def cut(keep):
    return lambda s, p, judge: judge([keep(x, y) for x, y in zip(s, p)])


def one_at_a_time(judge, templates, word, other):
    gaps = []
    for template in templates:
        one, two = judge([word.join(template.split("{}")), other.join(template.split("{}"))])
        gaps.append(one - two)
    return gaps


def at(place):
    return lambda states, mask, w: states[torch.arange(len(states)), place(mask)] @ w


def votes(value):
    return lambda x, y: [float(value(a, b)) for a, b in zip(x, y)]


def last_by_loop(states, mask, w):
    found = []
    for row, real in zip(states, mask.tolist()):
        last = max(i for i, one in enumerate(real) if one == 1)
        found.append((row[last] * w).sum())
    return torch.stack(found)


PLANTED = {
    "reward.1": [
        (lambda r: [(i, j) for i in range(len(r)) for j in range(len(r)) if r[i] > r[j]], "(worse, better)"),
        (neighbours, "neighbours only"),
        (best_against_all, "all others only"),
        (lambda r: [(i, j) for i in range(len(r)) for j in range(len(r)) if i != j], "once"),
        (lambda r: [(i, j) for i in range(len(r)) for j in range(i + 1, len(r))], "candidates' own numbers"),
        (lambda r: [(a, b) for a in r for b in r if a < b], "You returned ranks"),
        (lambda r: [(i, j) for i in range(len(r)) for j in range(len(r)) if i != j and r[i] <= r[j]], "no pair"),
        (lambda r: reward.pairs_from_ranking(r) * 2, "should give"),
        (lambda r: len(reward.pairs_from_ranking(r)), "a list of pairs"),
        (lambda r: [(i + 1, j + 1) for i, j in reward.pairs_from_ranking(r)], "from 0"),
    ],
    "reward.2": [
        (lambda a, b: sum(x == y for x, y in zip(a, b)) / len(a), "plain agreement"),
        (kappa_with(lambda a, b, n: 0.5), "chance to be ½"),
        (kappa_with(lambda a, b, n: 1 / len({*a, *b})), "equally frequent"),
        (kappa_with(lambda a, b, n: a.count("toxic") * b.count("toxic") / n**2), "should give"),
        (kappa_with(pooled), "pooled"),
        (kappa_with(lambda a, b, n: sum(a.count(x) * b.count(x) for x in ("toxic", "fine")) / n**2), "knows two"),
        (kappa_with(lambda a, b, n: sum((a.count(x) / n) ** 2 for x in set(a))), "first annotator twice"),
        (lambda a, b: max(0.0, reward.kappa(a, b)), "below 0"),
        (lambda a, b: (sum(x == y for x, y in zip(a, b)) / len(a), reward.kappa(a, b)), "wanted: a number"),
    ],
    "reward.3": [
        (lambda c, r: logsigmoid(c - r).mean(), "negative"),
        (lambda c, r: -logsigmoid(r - c).mean(), "worse text wins"),
        (lambda c, r: -logsigmoid(c - r).sum(), "sum"),
        (lambda c, r: (1 - torch.sigmoid(c - r)).mean(), "logarithm is missing"),
        (lambda c, r: -torch.sigmoid(c - r).log().mean(), "−200"),
        (lambda c, r: -(torch.sigmoid(c - r) + 1e-8).log().mean(), "should give"),
        (lambda c, r: -(torch.sigmoid(c - r).clamp(min=1e-30)).log().mean(), "should give"),
        (lambda c, r: -logsigmoid((c - r).clamp(min=-100)).mean(), "should give"),
        (lambda c, r: -logsigmoid((c - r).mean()), "differences first"),
        (lambda c, r: -logsigmoid(c - r), "one per pair"),
        (lambda c, r: (c - r).clamp(max=0).abs().mean(), "should give"),
        (lambda c, r: -logsigmoid(c - r).mean().item(), "no gradient flows"),
        (lambda c, r: -logsigmoid(c - r.detach()).mean(), "`rejected`"),
        (lambda c, r: np.logaddexp(0, np.asarray(r.detach()) - np.asarray(c.detach())).mean(), "no gradient flows"),
    ],
    "reward.4": [
        (lambda c, r: [float(x >= y) for x, y in zip(c, r)], "counted as a hit"),
        (lambda c, r: [float(x > y) for x, y in zip(c, r)], "counted as a miss"),
        (lambda c, r: sum(x > y for x, y in zip(c, r)) / len(c), "a list of numbers"),
        (lambda c, r: [float(x > 0 and y < x) for x, y in zip(c, r)], "sign of a score"),
        (lambda c, r: [float(x < y) for x, y in zip(c, r)], "wrong way round"),
        (lambda c, r: [0.5 if abs(a - b) < 0.1 else float(a > b) for a, b in zip(c, r)], "are no tie"),
        (lambda c, r: [float(a > b) for a, b in zip(c, r) if a != b], "left the ties out"),
        (lambda c, r: [float((a > b) - (a < b)) for a, b in zip(c, r)], "not −1"),
    ],
    "reward.5": [
        (bins(lambda x, low, high, last: low <= x < high), "fell out"),
        (bins(lambda x, low, high, last: low <= x <= high), "to it alone"),
        (bins(lambda x, low, high, last: low < x <= high), "to it alone"),
        (bins(proper, row=lambda p, y, n, low, high: ((low + high) / 2, y, n)), "middle of the bin"),
        (bins(proper, row=lambda p, y, n, low, high: (y, p, n)), "in this order"),
        (bins(proper, row=lambda p, y, n, low, high: (p, y * n, n)), "how many were right"),
        (bins(proper, empty=(0.0, 0.0, 0)), "empty bin"),
        (lambda p, y, e: reward.reliability([max(x, e[0]) for x in p], y, e), "below the first edge"),
        (lambda p, y, e: {k: v for k, v in enumerate(reward.reliability(p, y, e))}, "a list of rows"),
        (lambda p, y, e: [row[:2] for row in reward.reliability(p, y, e)], "a list of rows"),
    ],
    "reward.6": [
        (each(lambda items: sorted(items, key=lambda x: x["label"])[1]["score"]), "should give"),
        (each(lambda items: items[0]["score"]), "whichever class won"),
        (each(lambda items: items[-1]["score"]), "the class that lost"),
        (each(lambda items: next(x["score"] for x in items if x["label"].startswith("not"))), "similar name"),
        (each(lambda items: score_of(items, "hate")), "score of hate"),
        (each(lambda items: 1 - score_of(items, "hate")), "no other classes"),
        (each(lambda i: i[0]["score"] if i[0]["label"] == "nothate" else 1 - i[0]["score"]), "no other classes"),
        (each(lambda items: 1 - next(x["score"] for x in items if "hate" in x["label"])), "whole label"),
        (each(lambda items: next(x["score"] for x in items if "hate" in x["label"])), "whole label"),
        (lambda outputs: next(x["score"] for x in outputs[0] if x["label"] == "nothate"), "a list of numbers"),
        (each(lambda items: max(x["score"] for x in items)), "whichever class has it"),
    ],
    "reward.7": [
        (cut(lambda x, y: "".join(x.rsplit(y, 1))), "each once"),
        (lambda s, p, judge: judge(s), "still reads the prompt"),
        (cut(lambda x, y: x.replace(y, "")), "wherever they occur"),
        (cut(lambda x, y: x[len(y) + 1 :]), "One letter"),
        (lambda s, p, judge: sum(judge(s)) / len(s), "a list of numbers"),
        (cut(lambda x, y: x.lstrip(y)), "lstrip"),
        (lambda s, p, judge: judge([x[len(p[0]) :] for x in s]), "first prompt"),
        (cut(lambda x, y: x.split(y)[-1]), "last occurrence"),
        (cut(lambda x, y: x[len(y) :].strip()), "without the blanks"),
        (lambda s, p, judge: [x[len(y) :] for x, y in zip(s, p)], "a list of numbers"),
        (lambda s, p, judge: [judge(x[len(y) :]) for x, y in zip(s, p)], "takes a list of texts"),
        (lambda s, p, judge: [a - b for a, b in zip(judge(s), judge(p))], "and nothing else; it read"),
    ],
    "reward.8": [
        (lambda j, t, w, o: reward.swap_gap(j, t, w.capitalize(), o.capitalize()), "should give"),
        (lambda j, t, w, o: reward.swap_gap(j, t, w.capitalize(), o.upper()), "should give"),
        (lambda judge, t, word, other: reward.swap_gap(judge, t, other, word), "direction"),
        (lambda j, t, w, o: np.subtract(j([x.replace("{}", w) for x in t]), j([x.replace("{}", w).replace(w, o) for x in t])), "holds the word"),
        (lambda judge, t, word, other: sum(reward.swap_gap(judge, t, word, other)) / len(t), "a list of numbers"),
        (lambda judge, t, word, other: [judge([word])[0] - judge([other])[0] for _ in t], "whole sentence"),
        (lambda j, t, w, o: [abs(j([x.replace("{}", w)])[0] - j([x.replace("{}", o)])[0]) for x in t], "size of the difference"),
        (lambda j, t, w, o: [j([x.replace("{}", w, 1)])[0] - j([x.replace("{}", o, 1)])[0] for x in t], "first slot"),
        (lambda j, t, w, o: [j([x.format(w)])[0] - j([x.format(o)])[0] for x in t], "wants a word for each"),
        (lambda j, t, w, o: [j(x.replace("{}", w)) - j(x.replace("{}", o)) for x in t], "takes a list of texts"),
        (lambda j, t, w, o: j([x.replace("{}", w) for x in t]), "values with `word`"),
    ],
    "reward.9": [
        (lambda good, bad, tail: ([x + 2 * tail for x in good], bad), "and nothing else"),
        (lambda good, bad, tail: (good, [text + tail for text in bad]), "the flaw of the training pairs"),
        (lambda good, bad, tail: (good, bad), "sees no difference"),
        (lambda good, bad, tail: ([x + tail for x in good], [x + tail for x in bad]), "sees no difference"),
        (lambda good, bad, tail: (bad, [x + tail for x in good]), "the order is good, then bad"),
        (lambda good, bad, tail: ([x + tail for x in good[:1]] + good[1:], bad), "every pair of yours"),
        (lambda good, bad, tail: (good + [x + tail for x in good], bad + [x + tail for x in bad]), "make 3 pairs"),
        (lambda good, bad, tail: list(zip([x + tail for x in good], bad)), "two lists of texts"),
        (lambda good, bad, tail: ([x + tail for x in good[::-1]], bad), "in the same order"),
    ],
    "reward.10": [
        (lambda s, m, w: s[:, -1] @ w, "is padding"),
        (at(lambda m: m.sum(1) - 1), "padding on the left"),
        (lambda s, m, w: s[:, 0] @ w, "first position"),
        (at(lambda m: m.argmax(1)), "first real token"),
        (at(lambda m: (m.shape[1] - 2 - m.flip(1).argmax(1)).clamp(min=0)), "before the last"),
        (lambda s, m, w: (s * m[..., None]).sum(1) / m.sum(1, keepdim=True) @ w, "averaged over the tokens"),
        (lambda s, m, w: s.mean(1) @ w, "averaged over all positions"),
        (lambda s, m, w: s @ w, "at every position"),
        (lambda s, m, w: s[torch.arange(len(s)), (m * torch.arange(m.shape[1])).argmax(1)], "product with w"),
        (lambda s, m, w: s.max(1).values @ w, "should give"),
        (lambda s, m, w: reward.last_token_scores(s, m, w).detach(), "no gradient flows"),
    ],
    "reward.11": [
        (votes(lambda a, b: a > 0), "one order only"),
        (votes(lambda a, b: b < 0), "one order only"),
        (votes(lambda a, b: 1 if a > 0 and b > 0 else 0 if a < 0 and b < 0 else 0.5), "the text is B"),
        (votes(lambda a, b: 1 if a > b else 0 if a < b else 0.5), "averaged the two orders"),
        (votes(lambda a, b: a > b), "averaged the two orders"),
        (votes(lambda a, b: 1 if a + b > 0 else 0 if a + b < 0 else 0.5), "love of the letter A"),
        (votes(lambda a, b: a > 0 > b), "it counts ½, not 0"),
        (votes(lambda a, b: a > 0 or b < 0), "it counts ½, not 1"),
        (votes(lambda a, b: 1 if a < 0 < b else 0 if b < 0 < a else 0.5), "wrong way round"),
        (votes(lambda a, b: 1 if a >= 0 >= b else 0 if a <= 0 <= b else 0.5), "exactly 0"),
        (votes(lambda a, b: ((a > 0) + (b < 0)) / 2), "exactly 0"),
        (votes(lambda a, b: (a > 0 > b) - (a < 0 < b)), "counts a loss −1"),
        (lambda x, y: sum(reward.judge_both(x, y)) / len(x), "a list of numbers"),
    ],
}  # fmt: skip

RIGHT = {
    "reward.1": [
        by_combinations,
        lambda r: ((i, j) for i in range(len(r)) for j in range(len(r)) if r[i] < r[j]),
        lambda r: np.argwhere(np.array(r)[:, None] < np.array(r)[None, :]),
        lambda r: {(i, j) for i, a in enumerate(r) for j, b in enumerate(r) if b > a}.__iter__(),
    ],
    "reward.2": [kappa_by_a_table, kappa_by_disagreement, lambda a, b: torch.tensor(reward.kappa(a, b))],
    "reward.3": [
        lambda c, r: softplus(r - c).mean(),
        lambda c, r: -logsigmoid(c - r).sum() / len(c),
        lambda c, r: binary_cross_entropy_with_logits(c - r, torch.ones_like(c)),
        lambda c, r: torch.logaddexp(torch.zeros_like(c), r - c).mean(),
        lambda c, r: torch.nn.functional.cross_entropy(torch.stack([c, r], 1), torch.zeros(len(c), dtype=torch.long)),
    ],
    "reward.4": [
        lambda c, r: (np.sign(np.subtract(c, r)) + 1) / 2,
        lambda c, r: torch.heaviside(torch.tensor(c) - torch.tensor(r), torch.tensor(0.5)),
        lambda c, r: tuple((1 + (a > b) - (a < b)) / 2 for a, b in zip(c, r)),
    ],
    "reward.5": [bins_in_numpy, bins_by_pandas, bins(proper, row=lambda p, y, n, low, high: [p, y, float(n)])],
    "reward.6": [
        each(lambda items: score_of(items, "nothate")),
        each(lambda items: sum(x["score"] for x in items if x["label"] == "nothate")),
        lambda outputs: np.array([score_of(items, "nothate") for items in outputs]),
        lambda outputs: pd.DataFrame([{x["label"]: x["score"] for x in items} for items in outputs])["nothate"],
    ],
    "reward.7": [
        cut(str.removeprefix),
        cut(lambda x, y: x.replace(y, "", 1)),
        lambda s, p, judge: np.array(judge([x[len(y) :] for x, y in zip(s, p)])),
        lambda s, p, judge: [judge([x.split(y, 1)[1]])[0] for x, y in zip(s, p)],
    ],
    "reward.8": [
        one_at_a_time,
        lambda j, t, w, o: np.subtract(*(j([x.replace("{}", y) for x in t]) for y in (w, o))),
        lambda j, t, w, o: torch.tensor(j([x.replace("{}", w) for x in t])) - torch.tensor(j([x.replace("{}", o) for x in t])),
    ],
    "reward.9": [lambda good, bad, tail: [[f"{x} {tail.strip()}" for x in good], bad], lambda good, bad, tail: (tuple(tail + " " + x for x in good), tuple(bad))],
    "reward.10": [
        last_by_loop,
        at(lambda m: m.shape[1] - 1 - m.flip(1).argmax(1)),
        at(lambda m: (m.cumsum(1) * m).argmax(1)),
        lambda s, m, w: torch.einsum("pd,d->p", s[torch.arange(len(s)), (m * torch.arange(m.shape[1])).argmax(1)], w),
    ],
    "reward.11": [
        lambda x, y: (np.sign(np.sign(x) - np.sign(y)) * (np.sign(x) * np.sign(y) < 0) + 1) / 2,
        lambda x, y: torch.tensor([1.0 if a > 0 > b else 0.0 if b > 0 > a else 0.5 for a, b in zip(x, y)]),
        lambda x, y: [0.5 if a * b >= 0 else float(a > b) for a, b in zip(x, y)],
    ],
}  # fmt: skip

EQUIVALENT = {"reward.2": {"set(a) | set(b) → set(a) & set(b)": "a label that one of them never uses adds a product of 0"}}
