"""The words of a field: planted answers."""


import math

import numpy as np
import torch

from course_utils.exercises import domains


def with_tokenizer(blank=" ", special=False, by=lambda text: len(text.split())):
    return lambda tokenizer, texts: [
        len(tokenizer(blank + text, add_special_tokens=special)["input_ids"]) / by(text) for text in texts
    ]


PLANTED = {
    "scaling.7": [
        (with_tokenizer(special=True), "special tokens"),
        (with_tokenizer(blank=""), "began a text"),
        (with_tokenizer(by=lambda text: 1), "each *term*"),
        (lambda t, texts: [len(text) / len(text.split()) for text in texts], "characters"),
        (lambda t, texts: float(np.mean(domains.tokens_per_word(t, texts))), "one number for each"),
        (lambda t, texts: [(len(t(" " + x)["input_ids"]) - 2) / len(x.split()) for x in texts], "do not subtract"),
        (lambda t, texts: [sum(len(t.tokenize(w)) for w in x.split()) / len(x.split()) for x in texts], "began a text"),
        (lambda t, texts: [len({*t.tokenize(" " + x)}) / len(x.split()) for x in texts], "different"),
        (lambda t, texts: [len(x.split()) / len(t.tokenize(" " + x)) for x in texts], "divided the number of words"),
        (lambda t, texts: sum(len(t.tokenize(" " + x)) for x in texts) / sum(len(x.split()) for x in texts), "one number for each"),
    ],
    "scaling.8": [
        (lambda x, t, w: sum(x) / len(x), "mean of the texts' losses"),
        (lambda x, t, w: sum(a * b for a, b in zip(x, t)) / sum(t), "as before"),
        (lambda x, t, w: sum(x) / sum(w), "already divided"),
        (lambda x, t, w: sum(a * b / c for a, b, c in zip(x, t, w)) / len(x), "own ratios"),
        (lambda x, t, w: [a * b / c for a, b, c in zip(x, t, w)], "wanted: a number"),
        (lambda x, t, w: sum(a * b for a, b in zip(x, t)), "grows with the amount"),
        (lambda x, t, w: sum(x) / len(x) * sum(t) / sum(w), "equally long"),
        (lambda x, t, w: sum(a * b for a, b in zip(x, t)) / sum(w[:2]), "Three texts"),
    ],
    "domains.1": [
        (lambda h, s, u: domains.plan(h / 3600, s, u), "3,600 seconds"),
        (lambda h, s, u: domains.plan(h / 60, s, u), "60 is a minute"),
        (lambda h, s, u: domains.plan(h, s, 1), "Only the share"),
        (lambda h, s, u: domains.plan(h, s, 1 / u), "smaller, not larger"),
        (lambda h, s, u: domains.plan(20 * h, s, u), "before the root"),
        (lambda h, s, u: (domains.plan(h, s, u)[0] ** 2, 20 * domains.plan(h, s, u)[0] ** 2), "square root"),
        (lambda h, s, u: domains.plan(h, s, u)[::-1], "parameters first"),
        (lambda h, s, u: domains.plan(h, s, u)[0], "two numbers"),
        (lambda h, s, u: (2 * domains.plan(h, s, u)[0], domains.plan(h, s, u)[1]), "should give"),
    ],
}  # fmt: skip

RIGHT = {
    "scaling.7": [
        lambda k, ts: [len(k.tokenize(" " + t)) / len(t.split()) for t in ts],
        lambda k, ts: [len(k.encode(" " + t, add_special_tokens=False)) / len(t.split()) for t in ts],
        lambda k, ts: [len(ids) / len(t.split()) for t, ids in zip(ts, k([" " + t for t in ts], add_special_tokens=False).input_ids)],
        lambda k, ts: np.array([sum(len(k.tokenize(" " + w)) for w in t.split()) / len(t.split()) for t in ts]),
        lambda k, ts: torch.tensor([k(" " + t, add_special_tokens=False, return_tensors="pt")["input_ids"].shape[1] / len(t.split()) for t in ts]),
    ],
    "scaling.8": [
        lambda x, t, w: np.dot(x, t) / np.sum(w),
        lambda x, t, w: (torch.tensor(x) * torch.tensor(t)).sum() / torch.tensor(w).sum(),
        lambda losses, tokens, words: sum(losses[i] * tokens[i] for i in range(len(losses))) / sum(words),
    ],
    "domains.1": [
        lambda h, s, u: np.array([n := math.sqrt(h * 60 * 60 * s * u / 120), 20 * n]),
        lambda hours, speed, useful: list(torch.tensor([1.0, 20.0], dtype=torch.float64) * (30 * hours * speed * useful) ** 0.5),
    ],
}  # fmt: skip

EQUIVALENT = {}
