"""Wrong and right answers about model families: PLANTED, id → [(answer, words)]; RIGHT, id → [answer]."""

from collections import Counter

import numpy as np
import torch
from torch.nn import functional as F

from course_utils.exercises import families as right

WRONG_CHOICE = {**right.family_for, "search": "decoder"}


def one_sentinel_a_word(ids, spans, sentinels):
    hidden = {i for start, length in spans for i in range(start, start + length)}
    names = iter(sentinels * 9)
    return [next(names) if i in hidden else id for i, id in enumerate(ids)], []


def without_labels_for_kept(ids, picked, dice, random_ids, mask_id):
    inputs, labels = right.mask_tokens(ids, picked, dice, random_ids, mask_id)
    return inputs, [-100 if a == b else b for a, b in zip(inputs, labels)]


def in_place(ids, picked, dice, random_ids, mask_id):
    labels = [t if p else -100 for t, p in zip(ids, picked)]
    for n, p in enumerate(picked):
        if p:
            ids[n] = mask_id if dice[n] < 0.8 else random_ids[n] if dice[n] < 0.9 else ids[n]
    return ids, labels


def mask_numpy(ids, picked, dice, random_ids, mask_id):
    ids, picked, dice = np.array(ids), np.array(picked, dtype=bool), np.array(dice)
    inputs = np.where(picked & (dice < 0.9), random_ids, ids)
    inputs = np.where(picked & (dice < 0.8), mask_id, inputs)
    return inputs, np.where(picked, ids, -100)


def mask_tensors(ids, picked, dice, random_ids, mask_id):
    return tuple(torch.tensor(part) for part in right.mask_tokens(ids, picked, dice, random_ids, mask_id))


def loss_loop(logits, labels):
    total, n = 0.0, 0
    for row, label in zip(logits, labels):
        if label != -100:
            total = total - torch.log_softmax(row, 0)[label]
            n += 1
    return total / n


def loss_by_sums(logits, labels):
    asked = (labels >= 0).nonzero()[:, 0]
    picked = logits[asked]
    return (picked.logsumexp(1) - picked[torch.arange(len(asked)), labels[asked]]).mean()


def spans_by_deleting(ids, spans, sentinels):
    """From the right, so that the positions to the left stay."""
    inputs, targets = list(ids), [sentinels[len(spans)]]
    for (start, length), name in reversed(list(zip(spans, sentinels))):
        targets = [name, *ids[start : start + length], *targets]
        inputs[start : start + length] = [name]
    return inputs, targets


def spans_by_walking(ids, spans, sentinels):
    begins, inside, inputs, targets = dict(spans), 0, [], []
    names = iter(sentinels)
    for i, id in enumerate(ids):
        if i in begins:
            name, inside = next(names), begins[i]
            inputs.append(name)
            targets.append(name)
        (targets if inside > 0 else inputs).append(id)
        inside -= 1
    return np.array(inputs), np.array([*targets, next(names)])


def spans_in_place(ids, spans, sentinels):
    result = right.span_corruption(ids, spans, sentinels)
    del ids[0]
    return result


def follower_by_pairs(stream, first):
    pairs = Counter((a, b) for a, b in zip(stream, stream[1:]) if b >= first)
    found = {}
    for (a, b), _ in pairs.most_common():
        found.setdefault(a, b)
    return found


def follower_among_a_set(stream, first):
    pairs = [(a, b) for a, b in zip(stream, stream[1:]) if b >= first]
    followers = {a: {b for other, b in pairs if other == a} for a, _ in pairs}
    return {a: max(found, key=lambda b: pairs.count((a, b))) for a, found in followers.items()}


def follower_by_maximum(stream, first):
    after = {}
    for i in range(len(stream) - 1):
        if stream[i + 1] >= first:
            after.setdefault(stream[i], []).append(stream[i + 1])
    return {a: np.int64(max(found, key=found.count)) for a, found in after.items()}


def growing_context(ids):
    context, pairs = [], []
    for id in ids:
        if context:
            pairs.append((context, id))
        context.append(id)
    return pairs


PLANTED = {
    "families.1": [
        (lambda ids, picked, dice, other, mask: (right.mask_tokens(ids, picked, dice, other, mask)[0], list(ids)), "nothing to guess"),
        (lambda ids, picked, dice, other, mask: (right.mask_tokens(ids, picked, [0] * 5, other, mask)[0], right.mask_tokens(ids, picked, dice, other, mask)[1]), "masked every picked"),
        (without_labels_for_kept, "whatever its fate"),
        (right._masked(middle="id", late="other"), "other way round"),
        (lambda ids, picked, dice, other, mask: (right.mask_tokens(ids, picked, dice, other, mask)[0],) * 2, "original"),
        (lambda *a: right.mask_tokens(*a)[::-1], "exchanged"),
        (in_place, "in place"),
        (right._masked(equal=True), "exactly 0.8"),
        (lambda *a: right.mask_tokens(*a)[0], "two lists of ids"),
        (right._masked(low=0.72), "should give"),
    ],
    "families.2": [
        (lambda logits, labels: F.cross_entropy(logits, labels.clamp(0)), "leave them out"),
        (lambda logits, labels: F.cross_entropy(logits[:-1], labels[1:]), "shifted"),
        (lambda logits, labels: F.cross_entropy(logits, labels, reduction="sum"), "mean"),
        (lambda logits, labels: -right.masked_loss(logits, labels), "negative"),
        (lambda lo, la: -(lo.exp() / lo.exp().sum(-1, keepdim=True))[k := la != -100, la[k]].log().mean(), "overflows"),
        (lambda lo, la: F.cross_entropy(lo, la, ignore_index=-100), "the library's"),
        (lambda lo, la: torch.nn.CrossEntropyLoss()(lo, la), "the library's"),
        (lambda lo, la: right.masked_loss(lo, la).item(), "no gradient"),
        (lambda lo, la: -lo.softmax(-1)[la != -100, la[la != -100]].mean(), "should give"),
        (lambda lo, la: right.masked_loss(lo[la != 0], la[la != 0]), "0 is a token"),
        (lambda lo, la: (lo.argmax(-1) != la)[la != -100].float().mean(), "should give"),
    ],
    "families.3": [
        (lambda ids: [(ids[max(0, i - 8) : i], ids[i]) for i in range(1, len(ids))], "A longer text"),
        (lambda ids: [(ids[: i + 1], ids[i]) for i in range(len(ids))], "answer stands in the question"),
        (lambda ids: [(ids[:i], ids[i]) for i in range(len(ids))], "empty context"),
        (lambda ids: [([a], b) for a, b in zip(ids, ids[1:])], "one token only"),
        (lambda ids: [(ids[:i], ids[i]) for i in range(1, len(ids) - 1)], "missing"),
        (lambda ids: list(zip(ids, ids[1:])), "a list of pairs"),
        (lambda ids: [(ids[i], ids[:i]) for i in range(1, len(ids))], "a list of pairs"),
        (lambda ids: [(ids[:i][::-1], ids[i]) for i in range(1, len(ids))], "turned round"),
        (lambda ids: [(ids[:i], ids[i]) for i in (1, 2, 3)], "raised IndexError"),
        (growing_context, "one and the same list"),
    ],
    "families.4": [
        (one_sentinel_a_word, "not two"),
        (lambda ids, spans, sentinels: right.span_corruption(ids, spans, [sentinels[0]] * 9), "its own"),
        (lambda ids, spans, sentinels: (right.span_corruption(ids, spans, sentinels)[0], right.span_corruption(ids, spans, sentinels)[1][:-1]), "closing sentinel"),
        (lambda ids, spans, sentinels: (right.span_corruption(ids, spans, sentinels)[0], [i for s, n in spans for i in ids[s : s + n]]), "announces"),
        (lambda ids, spans, sentinels: (right.span_corruption(ids, spans, sentinels)[0], ids), "not the whole sentence"),
        (lambda i, s, e: (right.span_corruption(i, s, e)[0] + [e[len(s)]], right.span_corruption(i, s, e)[1]), "targets alone"),
        (lambda i, s, e: (right.span_corruption(i, s, e)[0], right.span_corruption(i, s, e)[1][:-1] + [e[-1]]), "not the last of the list"),
        (spans_in_place, "in place"),
        (lambda i, s, e: right.span_corruption(i, [(a, b + 1) for a, b in s], e), "should give"),
    ],
    "families.5": [
        (lambda objective, n: n, "about all tokens"),
        (lambda objective, n: n if objective == "masked" else right.count_targets(objective, n), "15 %"),
        (lambda objective, n: n if objective == "causal" else right.count_targets(objective, n), "nothing before it"),
        (lambda objective, n: round(0.15 * n) if objective == "span" else right.count_targets(objective, n), "sentinels"),
        (lambda objective, n: right.count_targets(objective, n) - (objective == "span"), "closing"),
        (lambda objective, n: int(0.15 * n) if objective == "masked" else right.count_targets(objective, n), "not cut off"),
        (lambda o, n: round(0.15 * n) + round(0.15 * n) // 3 + 1 if o == "span" else right.count_targets(o, n), "not cut off"),
        (lambda o, n: round(0.15 * n) + round(0.15 * n / 3) + 1 if o == "span" else right.count_targets(o, n), "*rounded* number"),
        (lambda o, n: 0.15 * n if o == "masked" else right.count_targets(o, n), "a whole number"),
    ],
    "families.6": [
        (lambda n, p: torch.ones(n, n).tril(1).bool(), "i + 1"),
        (lambda n, p: torch.ones(n, n).triu().bool(), "swapped"),
        (lambda n, p: torch.ones(n, n).tril(-1).bool(), "itself"),
        (lambda n, p: torch.ones(n, n).bool(), "encoder"),
        (lambda n, p: torch.ones(n, n).tril(), "True and False"),
        (lambda n, p: torch.ones(n, n).tril().bool(), "plays no part"),
        (lambda n, p: torch.tensor([[j <= i or i < p for j in range(n)] for i in range(n)]), "words after it"),
        (lambda n, p: torch.tensor([[j <= i or j <= p for j in range(n)] for i in range(n)]), "too long"),
        (lambda n, p: torch.tensor([[max(i, j) < p or p <= j <= i for j in range(n)] for i in range(n)]), "must see the prefix"),
        (lambda n, p: right.prefix_mask(n, p)[None], "should give"),
    ],
    "families.8": [
        (lambda s, f: {a: Counter(b for x, b in zip(s, s[1:]) if x == a).most_common(1)[0][0] for a in s[:-1]}, "special token is no answer"),
        (lambda s, f: {a: b for a, b in zip(s, s[1:]) if b >= f}, "overwrote"),
        (lambda s, f: right._followers(s, f, turned=True), "*before* each id"),
        (lambda s, f: right._followers(s, f, pick=dict), "a dictionary: id"),
        (lambda s, f: {a: b for a, b in right.commonest_follower(s, f).items() if a >= f}, "only the *guess*"),
        (lambda s, f: list(right.commonest_follower(s, f).values()), "a dictionary: id"),
        (lambda s, f: right.commonest_follower(s, f + 1), "should give"),
    ],
    "families.7": [
        (WRONG_CHOICE, "one vector per sentence"),
        ({**right.family_for, "translator": "encoder"}, "read all of it"),
        ({**right.family_for, "assistant": "encoder-decoder"}, "free answers"),
        (["encoder"] * 5, "dictionary"),
        ({**right.family_for, "search": "Encoder"}, "is none of"),
        ({"search": "encoder"}, "five keys"),
    ],
}  # fmt: skip

RIGHT = {
    "families.1": [mask_numpy, mask_tensors, lambda *a: list(map(list, zip(*[(a[4] if d < 0.8 else o if d < 0.9 else i, i) if p else (i, -100) for i, p, d, o in zip(*a[:4])])))],
    "families.2": [loss_loop, loss_by_sums, lambda lo, la: F.nll_loss(lo.log_softmax(-1), la), lambda x, y: -torch.stack([x[i].log_softmax(0)[y[i]] for i in range(len(y)) if y[i] != -100]).mean()],
    "families.3": [
        lambda ids: ((ids[:i], ids[i]) for i in range(1, len(ids))),
        lambda ids: [[torch.tensor(ids[: n + 1]), id] for n, id in enumerate(ids[1:])],
        lambda ids: tuple((tuple(ids[: -n or None][: len(ids) - n]), ids[len(ids) - n]) for n in range(len(ids) - 1, 0, -1)),
    ],
    "families.4": [spans_by_deleting, spans_by_walking],
    "families.5": [
        lambda objective, n: {"masked": (h := round(n * 0.15)), "causal": n - 1, "span": h + round(h / 3) + 1}[objective],
        lambda objective, n: np.round(0.15 * n) if objective == "masked" else len(range(1, n)) if objective == "causal" else np.round(0.15 * n) + np.round(np.round(0.15 * n) / 3) + 1,
    ],
    "families.6": [
        lambda n, p: [[j <= i or j < p for j in range(n)] for i in range(n)],
        lambda n, p: np.tri(n, dtype=bool) | (np.arange(n) < p),
        lambda n, p: torch.arange(n) <= torch.arange(n).clamp(min=p - 1)[:, None],
    ],
    "families.8": [follower_by_pairs, follower_by_maximum, follower_among_a_set, lambda s, f: Counter(right.commonest_follower(s, f))],
    "families.7": [dict(reversed(right.family_for.items()))],
}  # fmt: skip

EQUIVALENT = {
    "families.2": {"-1 → 1": "the picked logits have two axes"},
    "families.8": {
        "1 → 2": "two for each pair instead of one: the same is commonest",
        "1 → 2 (3)": "the second of the commonest is not looked at",
        "0 → -1 (2)": "the first of a list of one is its last",
    },
}
