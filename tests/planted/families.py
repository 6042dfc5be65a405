"""Plausible wrong answers to the exercises on model families."""

import torch
from torch.nn import functional as F

from course_utils.exercises import families as right

WRONG_CHOICE = {**right.family_for, "search": "decoder"}


def one_sentinel_a_word(ids, spans, sentinels):
    hidden = {i for start, length in spans for i in range(start, start + length)}
    names = iter(sentinels)
    return [next(names) if i in hidden else id for i, id in enumerate(ids)], []


def without_labels_for_kept(ids, picked, dice, random_ids, mask_id):
    inputs, labels = right.mask_tokens(ids, picked, dice, random_ids, mask_id)
    return inputs, [-100 if a == b else b for a, b in zip(inputs, labels)]


PLANTED = {
    "families.1": [
        (lambda ids, picked, dice, other, mask: (right.mask_tokens(ids, picked, dice, other, mask)[0], list(ids)), "nothing to guess"),
        (lambda ids, picked, dice, other, mask: (right.mask_tokens(ids, picked, [0] * 5, other, mask)[0], right.mask_tokens(ids, picked, dice, other, mask)[1]), "masked every picked"),
        (without_labels_for_kept, "whatever its fate"),
        (lambda ids, picked, dice, other, mask: right.mask_tokens(ids, picked, [d + 0.1 if d < 0.9 else 0.85 for d in dice], other, mask), "other way round"),
        (lambda ids, picked, dice, other, mask: (right.mask_tokens(ids, picked, dice, other, mask)[0],) * 2, "original"),
    ],
    "families.2": [
        (lambda logits, labels: F.cross_entropy(logits, labels.clamp(0)), "leave them out"),
        (lambda logits, labels: F.cross_entropy(logits[:-1], labels[1:]), "shifted"),
        (lambda logits, labels: F.cross_entropy(logits, labels, reduction="sum"), "mean"),
        (lambda logits, labels: -right.masked_loss(logits, labels), "negative"),
    ],
    "families.3": [
        (lambda ids: [(ids[: i + 1], ids[i]) for i in range(len(ids))], "answer stands in the question"),
        (lambda ids: [(ids[:i], ids[i]) for i in range(len(ids))], "empty context"),
        (lambda ids: [([a], b) for a, b in zip(ids, ids[1:])], "one token only"),
        (lambda ids: [(ids[:i], ids[i]) for i in range(1, len(ids) - 1)], "missing"),
    ],
    "families.4": [
        (one_sentinel_a_word, "not two"),
        (lambda ids, spans, sentinels: right.span_corruption(ids, spans, [sentinels[0]] * 9), "its own"),
        (lambda ids, spans, sentinels: (right.span_corruption(ids, spans, sentinels)[0], right.span_corruption(ids, spans, sentinels)[1][:-1]), "closing sentinel"),
        (lambda ids, spans, sentinels: (right.span_corruption(ids, spans, sentinels)[0], [i for s, n in spans for i in ids[s : s + n]]), "announces"),
        (lambda ids, spans, sentinels: (right.span_corruption(ids, spans, sentinels)[0], ids), "not the whole sentence"),
    ],
    "families.5": [
        (lambda objective, n: n, "15 %"),
        (lambda objective, n: n if objective == "causal" else right.count_targets(objective, n), "nothing before it"),
        (lambda objective, n: round(0.15 * n) if objective == "span" else right.count_targets(objective, n), "sentinels"),
        (lambda objective, n: right.count_targets(objective, n) - (objective == "span"), "closing"),
        (lambda objective, n: int(0.15 * n) if objective == "masked" else right.count_targets(objective, n), "of 512"),
    ],
    "families.6": [
        (lambda n: torch.ones(n, n).tril(1).bool(), "i + 1"),
        (lambda n: torch.ones(n, n).triu().bool(), "swapped"),
        (lambda n: torch.ones(n, n).tril(-1).bool(), "itself"),
        (lambda n: torch.ones(n, n).bool(), "encoder"),
        (lambda n: torch.ones(n, n).tril(), "True and False"),
    ],
    "families.7": [
        (WRONG_CHOICE, "one vector a sentence"),
        ({**right.family_for, "translator": "encoder"}, "read all of it"),
        ({**right.family_for, "assistant": "encoder-decoder"}, "free answers"),
        (["encoder"] * 5, "dict"),
    ],
}  # fmt: skip
