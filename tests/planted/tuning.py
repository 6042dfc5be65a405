"""Answers to the exercises on instruction tuning: plausible wrong ones, and right ones in other styles."""

import random
import re
from collections import Counter
from difflib import SequenceMatcher
from itertools import groupby

import numpy as np
import pandas as pd
import torch
from torch.nn.functional import cross_entropy

from course_utils.exercises import tuning

# ------------------------------------------------------------ tuning.1, tuning.2


def replaced_one_after_the_other(template, row):
    for column, text in row.items():
        template = template.replace("{" + column + "}", text)
    return template


def first_place_only(template, row, seen=None):
    seen = set()
    return re.sub(r"\{(\w+)\}", lambda m: "" if m[1] in seen else (seen.add(m[1]) or row[m[1]]), template)


def by_hand(template, row):
    found, rest = "", template
    while "{" in rest:
        before, _, rest = rest.partition("{")
        name, _, rest = rest.partition("}")
        found += before + row[name]
    return found + rest


def split_of(dialogues, draw):
    """A split by dialogue: which dialogues, in which order, and how they are drawn."""

    def split(rows, share, seed):
        names = dialogues(rows)
        test = set(draw(names, round(share * len(names)), seed))
        return [r for r in rows if r["dialogue"] not in test], [r for r in rows if r["dialogue"] in test]

    return split


def shuffled(names, k, seed):
    return np.random.default_rng(seed).permutation(names)[:k]


def sampled(names, k, seed):
    return random.Random(seed).sample(list(names), k)


def blocks_of_three(rows, share, seed):
    blocks = [rows[i : i + 3] for i in range(0, len(rows), 3)]
    blocks = random.Random(seed).sample(blocks, len(blocks))
    cut = round(share * len(blocks))
    return sum(blocks[cut:], []), sum(blocks[:cut], [])


def rows_shuffled(rows, share, seed):
    order = np.random.default_rng(seed).permutation(len(rows))
    cut = round(share * len(rows))
    return [rows[i] for i in order[cut:]], [rows[i] for i in order[:cut]]


def one_row_a_dialogue(rows, share, seed):
    return tuning.split(list({r["dialogue"]: r for r in rows}.values()), share, seed)


def in_the_order_of_the_rows(rows):
    return list(dict.fromkeys(r["dialogue"] for r in rows))


def grown(rows, share, seed):
    names = sorted({r["dialogue"] for r in rows})
    torch.manual_seed(seed)
    chosen = {names[i] for i in torch.randperm(len(names))[: int(share * len(names) + 0.5)]}
    train, test = [], []
    for row in rows:
        (test if row["dialogue"] in chosen else train).append(row)
    return train, test


# ------------------------------------------------------------ tuning.3


def loss_in_a_loop(logits, labels):
    losses = []
    for scores, row in zip(logits, labels):
        for i in range(len(row) - 1):
            if row[i + 1] != -100:
                losses.append(-scores[i].log_softmax(0)[row[i + 1]].item())
    return sum(losses) / len(losses)


def loss_in_numpy(logits, labels):
    x, y = np.asarray(logits, dtype=float)[:, :-1], np.asarray(labels)[:, 1:]
    x = x - x.max(-1, keepdims=True)
    x = x - np.log(np.exp(x).sum(-1, keepdims=True))
    rows, places = np.nonzero(y != -100)
    return -x[rows, places, y[rows, places]].mean()


def mean_of_rows(logits, labels):
    return torch.stack([cross_entropy(x[:-1], y[1:]) for x, y in zip(logits, labels)]).mean()


def minus_probability(logits, labels):
    following = labels[:, 1:]
    k = following != -100
    return -logits[:, :-1].softmax(-1)[k].gather(1, following[k][:, None]).mean()


def softmax_then_log(logits, labels):
    following = labels[:, 1:]
    k = following != -100
    return -logits[:, :-1].softmax(-1)[k].gather(1, following[k][:, None]).log().mean()


def per_row(reduce):
    return lambda x, y: reduce(cross_entropy(x[:, :-1].transpose(1, 2), y[:, 1:], reduction="none").sum(1))


# ------------------------------------------------------------ tuning.5 to tuning.8


def jaccard(p, r):
    a, b = Counter(p.split()), Counter(r.split())
    return sum((a & b).values()) / sum((a | b).values()) if a or b else 0


def clipped_in_a_loop(p, r):
    left, shared = r.split(), 0
    for word in p.split():
        if word in left:
            left.remove(word)
            shared += 1
    return 2 * shared / (len(p.split()) + len(r.split())) if shared else 0


def lcs_table(a, b, rows=lambda m, n: [[0] * n for _ in range(m)], equal=lambda d, beside: d + 1):
    t = rows(len(a) + 1, len(b) + 1)
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            beside = max(t[i][j + 1], t[i + 1][j])
            t[i + 1][j + 1] = equal(t[i][j], beside) if x == y else beside
    return t[-1][-1]


def lcs_recursive(a, b):
    if not a or not b:
        return 0
    if a[-1] == b[-1]:
        return 1 + lcs_recursive(a[:-1], b[:-1])
    return max(lcs_recursive(a[:-1], b), lcs_recursive(a, b[:-1]))


def lcs_numpy(a, b):
    t = np.zeros((len(a) + 1, len(b) + 1), dtype=int)
    for i in range(len(a)):
        for j in range(len(b)):
            t[i + 1, j + 1] = t[i, j] + 1 if a[i] == b[j] else max(t[i, j + 1], t[i + 1, j])
    return t[-1, -1]


def lcs_without_the_empty(a, b):
    return lcs_table(a, b) if a[0] is not None and b[0] is not None else 0


def runs_of_letters(train, test, n):
    words = test.lower().split()
    runs = [" ".join(words[i : i + n]) for i in range(len(words) - n + 1)]
    return any(run in text.lower() for run in runs for text in train)


def runs_between_borders(train, test, n):
    words = test.lower().split()
    runs = [" ".join(words[i : i + n]) for i in range(len(words) - n + 1)]
    return any(re.search(rf"\b{re.escape(run)}\b", " ".join(text.lower().split())) for run in runs for text in train)


def by_runs(runs):
    return lambda train, test, n: any(runs(text, n) & runs(test, n) for text in train)


def as_padded_text(train, test, n):
    words = test.lower().split()
    runs = [f" {' '.join(words[i:i + n])} " for i in range(len(words) - n + 1)]
    return any(run in f" {' '.join(text.lower().split())} " for text in train for run in runs)


def others(rows, trained):
    return [r["after"] - r["before"] for r in rows if r["task"] != trained]


def groups_of_neighbours(rows, trained):
    means = [np.mean([r["after"] - r["before"] for r in group]) for task, group in groupby(rows, lambda r: r["task"]) if task != trained]
    return np.mean(means), sum(m > 0 for m in means), sum(m < 0 for m in means)


def effect_in_pandas(rows, trained):
    table = pd.DataFrame(rows).groupby("task").mean().drop(trained)
    change = table["after"] - table["before"]
    return change.mean(), (change > 0).sum(), (change < 0).sum()


def effect_in_numpy(rows, trained):
    tasks = sorted({r["task"] for r in rows} - {trained})
    means = np.array([np.mean([r["after"] - r["before"] for r in rows if r["task"] == task]) for task in tasks])
    return np.array([means.mean(), (means > 0).sum(), (means < 0).sum()])


def effect_of_means(rows, trained):
    """Mean after less mean before, task by task."""
    found = []
    for task in dict.fromkeys(r["task"] for r in rows):
        if task != trained:
            mine = [r for r in rows if r["task"] == task]
            found.append(sum(r["after"] for r in mine) / len(mine) - sum(r["before"] for r in mine) / len(mine))
    return [sum(found) / len(found), len([x for x in found if x > 0]), len([x for x in found if x < 0])]


PLANTED = {
    "tuning.1": [
        (lambda t, row: t.replace("{dialogue}", row["dialogue"]), "one column only"),
        (lambda t, row: t, "unchanged"),
        (lambda t, row: t.format(**row).strip(), "stripped the whole prompt"),
        (lambda t, row: re.sub(r"{([a-z]+)}", lambda m: row[m[1]], t), "a digit"),
        (replaced_one_after_the_other, "once, not once a column"),
        (first_place_only, "A slot twice"),
        (lambda t, row: re.sub(r"\{(\w+)\}", lambda m: row[m[1]].strip(), t), "stripped"),
        (lambda t, row: re.sub(r"\{(\w+)\}", lambda m: row[m[1]].replace("{", "").replace("}", ""), t), "braces of its own"),
        (lambda t, row: [t := re.sub(r"\{" + c + r"\}", x, t) for c, x in row.items()][-1], "raised"),
        (lambda t, row: print(t.format(**row)), "`return`"),
    ],
    "tuning.2": [
        (lambda rows, share, seed: (rows[4:], rows[:4]), "both"),
        (lambda rows, share, seed: (rows, []), "yours holds 0"),
        (lambda rows, share, seed: tuning.split(rows, int(share * 10) / 10 if len({r["dialogue"] for r in rows}) == 10 else int(share * 7) / 7, seed), "2.8 of 7 dialogues, rounded"),
        (lambda rows, share, seed: (rows[:6], rows[9:]), "lost"),
        (rows_shuffled, "both"),
        (blocks_of_three, "both"),
        (one_row_a_dialogue, "lost"),
        (lambda rows, share, seed: tuning.split(rows, share, seed)[::-1], "the first is for training"),
        (lambda rows, share, seed: tuning.split(rows, 1 - share, seed), "the first is for training"),
        (lambda rows, share, seed: tuning.split(rows, share / 2, seed), "yours holds 1"),
        (lambda rows, share, seed: tuning.split(rows, share, 0), "Whatever the seed"),
        (lambda rows, share, seed: tuning.split(rows, share, random.SystemRandom().random().__hash__() % 2**31), "same seed"),
        (split_of(lambda rows: list({r["dialogue"] for r in rows}), shuffled), "another order each time Python starts"),
        (split_of(lambda rows: list({r["dialogue"] for r in rows}), sampled), "another order each time Python starts"),
    ],
    "tuning.3": [
        (lambda x, y: cross_entropy(x.flatten(0, 1), y.flatten()), "did not shift"),
        (lambda x, y: cross_entropy(x[:, 1:].flatten(0, 1), y[:, :-1].flatten()), "wrong way"),
        (lambda x, y: cross_entropy(x[:, :-1].flatten(0, 1), y[:, :-1].flatten()), "left out the last position"),
        (lambda x, y: cross_entropy(x[:, :-1].flatten(0, 1), y[:, 1:].flatten(), reduction="sum") / (y != -100).sum(), "first position"),
        (lambda x, y: cross_entropy(x.flatten(0, 1)[:-1], y.flatten()[1:]), "end to end"),
        (per_row(torch.sum), "returned the sum"),
        (lambda x, y: -tuning.answer_loss(x, y), "*minus*"),
        (lambda x, y: cross_entropy(x[:, :-1].flatten(0, 1), y[:, 1:].flatten().clamp(0)), "−100"),
        (lambda x, y: cross_entropy(x[:, :-1].flatten(0, 1), y[:, 1:].flatten(), ignore_index=0), "raised"),
        (lambda x, y: cross_entropy(x[:, :-1].flatten(0, 1), torch.where(y[:, 1:] > 0, y[:, 1:], -100).flatten()), "label 0"),
        (mean_of_rows, "averaged the rows' means"),
        (minus_probability, "logarithm is missing"),
        (softmax_then_log, "log_softmax instead"),
        (per_row(torch.mean), "number of rows"),
        (per_row(lambda sums: sums), "yours gave ["),
    ],
    "tuning.4": [
        (lambda answer, output: output in answer, "*inside*"),
        (lambda answer, output: answer == output, "capital and its full stop"),
        (lambda a, o: a.strip().rstrip(".").lower() == o.strip().rstrip(".").lower(), "several"),
        (lambda a, o: a.strip().removesuffix(".").lower().split() == o.strip().removesuffix(".").lower().split(), "Spaces inside"),
        (lambda answer, output: answer.strip("'. \n").lower() == output, "should give"),
        (lambda a, o: a.removesuffix(".").strip().lower() == o.removesuffix(".").strip().lower(), "before you look for the stop"),
        (lambda a, o: a.strip().removesuffix(".").lower() == o, "the answer only"),
        (lambda a, o: re.sub(r"[\s.]", "", a).lower() == re.sub(r"[\s.]", "", o).lower(), "everywhere"),
        (lambda a, o: {*a.lower().replace(".", " ").split()} == {*o.lower().replace(".", " ").split()}, "sets of words"),
        (lambda a, o: a.strip().lower().replace(".", "") == o.strip().lower().replace(".", ""), "'35'"),
        (lambda a, o: a.strip(" .\n\t").lower() == o.strip(" .\n\t").lower(), "in front"),
        (lambda a, o: a.strip().lower() == o.strip().lower(), "full stop at the end"),
        (lambda a, o: a.lower().strip().startswith(o.lower().strip()), "should give"),
    ],
    "tuning.5": [
        (lambda p, r: len(set(p.split()) & set(r.split())) / len(r.split()), "should give"),
        (lambda p, r: sum((Counter(p.split()) & Counter(r.split())).values()) / max(1, len(r.split())), "recall alone"),
        (lambda p, r: sum((Counter(p.split()) & Counter(r.split())).values()) / max(1, len(p.split())), "precision alone"),
        (lambda p, r: 2 * sum(w in r.split() for w in p.split()) / max(1, len(p.split()) + len(r.split())), "the the the"),
        (lambda p, r: (lambda c: 2 * c / (len(p.split()) + len(r.split())) if c else 0.0)(len(set(p.split()) & set(r.split()))), "'a a b'"),
        (jaccard, "union"),
        (lambda p, r: tuning.rouge_1(*(" ".join(w for w in t.split() if w not in {"the", "a", "is"}) for t in (p, r))), "should give"),
        (lambda p, r: (0, 0, tuning.rouge_1(p, r)), "wanted: a number"),
        (lambda p, r: (lambda s: 2 * (s / len(p.split())) * (s / len(r.split())) / (s / len(p.split()) + s / len(r.split())))(sum((Counter(p.split()) & Counter(r.split())).values())), "not an error"),
        (lambda p, r: tuning.rouge_1(p, r) / 2, "factor 2"),
        (lambda p, r: 100 * tuning.rouge_1(p, r), "percentage"),
    ],
    "tuning.6": [
        (lambda a, b: lcs_numpy(sorted(a), sorted(b)), "shared words"),
        (lambda a, b: len(set(a) & set(b)), "order"),
        (lambda a, b: sum((Counter(a) & Counter(b)).values()), "order counts"),
        (lambda a, b: next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b))), "first difference"),
        (lambda a, b: lcs_table(a, b, equal=lambda d, beside: beside + 1), "used twice"),
        (lambda a, b: lcs_table(a, b, rows=lambda m, n: [[0] * n] * m), "one and the same list"),
        (lambda a, b: sum(x == y for x, y in zip(a, b)), "same word"),
        (lambda a, b: list("abc"), "a whole number"),
        (lcs_without_the_empty, "not an error"),
        (lambda a, b: sum(block.size for block in SequenceMatcher(None, a, b).get_matching_blocks()), "should give"),
    ],
    "tuning.7": [
        (lambda train, test, n: tuning.contaminated([re.sub(r"\W", " ", x) for x in train], re.sub(r"\W", " ", test), n), "punctuation"),
        (lambda train, test, n: any(lcs_numpy(x.lower().split(), test.lower().split()) >= n for x in train), "neighbours in both"),
        (lambda train, test, n: tuning.contaminated(train, test, 4), "should give"),
        (lambda train, test, n: test in train, "inside"),
        (lambda train, test, n: bool(set(test.split()) & set(" ".join(train).split())), "should give"),
        (by_runs(lambda text, n: set(text.lower().split())), "single words"),
        (runs_of_letters, "should give"),
        (runs_between_borders, "tea-time"),
        (by_runs(lambda t, n: {tuple(t.split()[i : i + n]) for i in range(len(t.split()) - n + 1)}), "Capitals matter"),
        (by_runs(lambda t, n: {tuple(t.lower().split()[i : i + n]) for i in range(len(t.split()) - n)}), "last run"),
        (by_runs(lambda t, n: {tuple(t.lower().split()[i : i + n]) for i in range(max(1, len(t.split()) - n + 1))}), "shorter than n"),
        (by_runs(lambda t, n: {tuple(sorted(t.lower().split()[i : i + n])) for i in range(len(t.split()) - n + 1)}), "no order"),
        (lambda train, test, n: tuning.contaminated([" ".join(train)], test, n), "joined"),
        (lambda train, test, n: tuning.contaminated(train, test, n + 1), "n + 1"),
        (lambda train, test, n: tuning.contaminated(train[:1], test, n), "first training text"),
    ],
    "tuning.8": [
        (lambda rows, trained: tuning.effect_on_others(rows, "mood"), "Another task was trained"),
        (lambda rows, trained: tuning.effect_on_others(rows, None), "leave it out"),
        (lambda rows, trained: (lambda d: (sum(d) / len(d), *tuning.effect_on_others(rows, trained)[1:]))(others(rows, trained)), "over questions"),
        (lambda rows, trained: (lambda d: (sum(d) / len(d), sum(x > 0 for x in d), sum(x < 0 for x in d)))(others(rows, trained)), "the unit is the task"),
        (lambda rows, trained: tuning.effect_on_others([{**r, "before": r["after"], "after": r["before"]} for r in rows], trained), "after − before"),
        (lambda rows, trained: tuning.effect_on_others(rows, trained)[0], "wanted: a number, then a whole number"),
        (lambda rows, trained: (lambda m, up, down: (m, down, up))(*tuning.effect_on_others(rows, trained)), "exchanged"),
        (groups_of_neighbours, "need not be neighbours"),
    ],
}  # fmt: skip

RIGHT = {
    "tuning.1": [
        lambda t, row: t.format(**row),
        lambda t, row: t.format_map(row),
        lambda t, row: "".join(row[part] if n % 2 else part for n, part in enumerate(re.split(r"\{(\w+)\}", t))),
        by_hand,
    ],
    "tuning.2": [
        split_of(in_the_order_of_the_rows, sampled),
        split_of(in_the_order_of_the_rows, shuffled),
        split_of(lambda rows: np.unique([r["dialogue"] for r in rows]), shuffled),
        grown,
        lambda rows, share, seed: list(tuning.split(rows, share, seed + 1)),
    ],
    "tuning.3": [
        loss_in_a_loop,
        loss_in_numpy,
        lambda x, y: cross_entropy(x[:, :-1].flatten(0, 1), y[:, 1:].flatten()),
        lambda x, y: cross_entropy(x[:, :-1].transpose(1, 2), y[:, 1:]).item(),
        lambda x, y: cross_entropy(x[:, :-1].transpose(1, 2), y[:, 1:], reduction="none").sum() / (y[:, 1:] != -100).sum(),
        lambda x, y: tuning.answer_loss(x, y).reshape(1),
    ],
    "tuning.4": [
        lambda a, o: re.fullmatch(r"\s*" + re.escape(o.strip().removesuffix(".")) + r"\.?\s*", a, re.I) is not None,
        lambda a, o: len({t.strip().casefold().removesuffix(".") for t in (a, o)}) == 1,
        lambda a, o: np.array_equal(*(re.sub(r"\.?\s*$", "", t.strip()).upper() for t in (a, o))),
    ],
    "tuning.5": [
        clipped_in_a_loop,
        lambda p, r: np.float64(clipped_in_a_loop(p, r)),
        lambda p, r: torch.tensor(clipped_in_a_loop(p, r)),
        lambda p, r: 2 * sum(min(p.split().count(w), r.split().count(w)) for w in set(p.split())) / max(1, len(p.split()) + len(r.split())),
    ],
    "tuning.6": [lcs_table, lcs_recursive, lcs_numpy],
    "tuning.7": [
        as_padded_text,
        by_runs(lambda text, n: set(zip(*(text.lower().split()[i:] for i in range(n))))),
        by_runs(lambda text, n: {" ".join(text.lower().split()[i : i + n]) for i in range(max(0, len(text.split()) - n + 1))}),
        lambda train, test, n: np.any([tuning.contaminated([text], test, n) for text in train]),
    ],
    "tuning.8": [effect_in_numpy, effect_of_means, effect_in_pandas],
}  # fmt: skip

EQUIVALENT = {
    "tuning.2": {"set(dialogues[:round(share * len(dialogues))]) → dialogues[:round(share * len(dialogues))]": "a list holds what a set holds"},
    "tuning.3": {"-1 → 1 (2)": "the chosen scores have two axes: 1 is the last"},
    "tuning.7": {
        change: "the slices past the end of one text are shorter than every run of the other"
        for change in ("len(words) - n → len(words) + n", "1 → 2", "len(seen) - n → len(seen) + n", "1 → 2 (2)")
    },
}  # fmt: skip
