"""Plausible wrong answers to Lab 1: id → [(answer, words of the message it gets)]."""

import numpy as np
import torch

from course_utils.exercises import lab1
from course_utils.metrics import interval, paired


def block(examples, dialogue, head="", tail="Summary:"):
    return (
        head
        + "".join(f"{e['dialogue']}\nSummary: {e['summary']}\n\n" for e in examples)
        + f"{dialogue}\n{tail}"
    )


def top_p_without_crossing(probs, p):
    keep = probs.cumsum(0) <= p
    return torch.nan_to_num(probs * keep / (probs * keep).sum(), nan=0.0)


def top_p_sorted_only(probs, p):
    kept = probs * (probs.cumsum(0) - probs < p)
    return kept / kept.sum()


def top_p_unnormalised(probs, p):
    return probs * (probs.cumsum(0) - probs < p)


def divide_all(logits, seen, penalty):
    out = logits.clone()
    out[list(set(seen))] /= penalty
    return out


def punish_each_time(logits, seen, penalty):
    out = logits.clone()
    for t in seen:
        out[t] = out[t] / penalty if out[t] > 0 else out[t] * penalty
    return out


def in_place(logits, seen, penalty):
    logits[0] = 1.5
    logits[1] = -4.0
    return logits


def draw(rows, k, rng, replace=False):
    rows = list(rows)
    return [rows[i] for i in rng.choice(len(rows), k, replace=replace)]


PLANTED = {
    "lab1.1": [
        ("Summarize: Ana: Rain? Bo: Until noon.", "no {dialogue}"),
        ("{dialogue} and again {dialogue}: summarise in one line", "2 times"),
        ("{dialogue}", "next to no words"),
        (42, "is a text"),
    ],
    "lab1.2": [
        (lambda e, d: block(e, d, tail=""), "nothing more"),
        (lambda e, d: "".join(f"{x['dialogue']}\nSummary: {x['summary']}" for x in e) + d + "\nSummary:", "begins on a new line"),
        (lambda e, d: block(e, d).replace(d + "\nSummary:", d + " Summary:"), "line of its own"),
        (lambda e, d: "\n\n".join([x["dialogue"] for x in e] + [d + "\nSummary:"]), "unanswered"),
        (lambda e, d: block([], d) + "\n\n" + block(e, "")[:-8], "open question comes first"),
        (lambda e, d: "".join(f"Summary: {x['summary']}\n{x['dialogue']}\n" for x in e) + d + "\nSummary:", "before its dialogue"),
    ],
    "lab1.3": [
        (lambda a, b, k, s: draw([*a, *b], k, np.random.default_rng(s)), "test split"),
        (lambda a, b, k, s: draw(a, k, np.random.default_rng(s)), "compare the texts"),
        (lambda a, b, k, s: draw(a[:12], k, np.random.default_rng(s), True), "twice"),
        (lambda a, b, k, s: list(a)[:k], "same few examples"),
    ],
    "lab1.6": [
        (lambda z, t: torch.softmax(z * t, 0), "multiply"),
        (lambda z, t: torch.softmax(z, 0) / t, "Divide the logits"),
        (lambda z, t: (z / t).exp() / (z / t).exp().sum(), "overflows"),
        (lambda z, t: (z / t).exp(), "add up to"),
    ],
    "lab1.8": [
        (top_p_without_crossing, "*crosses*"),
        (top_p_sorted_only, "sorted input"),
        (top_p_unnormalised, "add up to 0.90"),
        (lambda row, p: torch.where(lab1.top_p_row(row, p) > 0, row, float("-inf")).softmax(-1), "keep their proportions"),
        (lambda row, p: lab1.top_p_row(row, p + 1e-4), "*at least* p"),
    ],
    "lab1.7": [
        (divide_all, "*likelier*"),
        (punish_each_time, "punished twice"),
        (in_place, "in place"),
    ],
    "lab1.9": [
        (lambda ids, e: sum(int(i) != e for i in ids), "ending is part"),
        (lambda ids, e: len(list(ids)), "padding"),
        (lambda ids, e: ids.index(e) + 1 if e in ids else 0, "limit stopped"),
    ],
    "lab1.5": [
        (lambda a, b, g: paired(a, b, unit="row"), "4 dialogues"),
        (lambda a, b, g: paired(b, a, groups=g), "Check the order"),
        (lambda a, b, g: np.mean(np.asarray(a) - b), "Return an interval"),
        (lambda a, b, g: paired(a[::3], b[::3], unit="dialogue"), "left rows out"),
        (lambda a, b, g: paired(a, b, groups=np.arange(len(a)) // 3), "side by side"),
        (lambda a, b, g: interval(np.asarray(a) - b + 0.0 * len(g), groups=np.arange(12)), "4 dialogues"),
    ],
    "lab1.4": [
        (lambda e, q, m, c: sum(np.cumsum(e) <= c), "no room"),
        (lambda e, q, m, c: sum(np.cumsum(e) + q <= c), "*answer*"),
        (lambda e, q, m, c: sum(np.cumsum(e) + q + m < c), "exactly"),
        (lambda e, q, m, c: (c - q - m) // 100, "in order"),
    ],
    "lab1.10": [
        (lambda ts: float(np.mean([len({*zip(t.split(), t.split()[1:])}) / max(1, len(t.split()) - 1) for t in ts])), "pool"),
        (lambda ts: float(len({p for t in ts for p in zip(t.split(), t.split()[1:])})), "count of pairs"),
        (lambda ts: len({p for t in ts for p in zip(t.split(), t.split()[1:])}) / sum(len(t.split()) for t in ts), "not of words"),
    ],
}  # fmt: skip
