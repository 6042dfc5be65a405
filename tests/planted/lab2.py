"""Answers to Lab 2: plausible wrong ones, and right ones in other styles."""

import copy
import math
from collections import defaultdict
from itertools import groupby

import numpy as np
import pandas as pd
import torch

from course_utils.exercises import lab2

# ------------------------------------------------------------ lab2.1, lab2.2


def labels_like(make):
    return lambda prompt, answer, eos: (prompt + answer + [eos], make(prompt, answer, eos))


def one_list_twice(prompt, answer, eos):
    ids = prompt + answer + [eos]
    labels = ids
    for i in range(len(prompt)):
        labels[i] = -100
    return ids, labels


def labels_from_behind(prompt, answer, eos):
    ids = [*prompt, *answer, eos]
    labels = ids.copy()
    labels[: -len(answer) - 1] = [-100] * len(prompt)
    return ids, labels


def labels_in_a_loop(prompt_ids, answer_ids, eos_id):
    ids, labels = [], []
    for i in prompt_ids:
        ids.append(i)
        labels.append(-100)
    for i in [*answer_ids, eos_id]:
        ids.append(i)
        labels.append(i)
    return ids, labels


def unmasked_padding(rows, pad):
    ids, mask, _ = lab2.pad_batch(rows, pad)
    longest = len(ids[0])
    return ids, mask, [t + [pad] * (longest - len(t)) for _, t in rows]


def mask_from_ids(rows, pad):
    ids, _, labels = lab2.pad_batch(rows, pad)
    return ids, [[int(i != pad) for i in row] for row in ids], labels


def no_mask(rows, pad):
    ids, _, labels = lab2.pad_batch(rows, pad)
    return ids, [[1] * len(row) for row in ids], labels


def every_pad_id_masked(rows, pad):
    ids, mask, labels = lab2.pad_batch(rows, pad)
    return ids, mask, [[-100 if i == pad else t for i, t in zip(*both)] for both in zip(ids, labels)]


def broken_pad_batch(rows, pad):
    ids, mask, _ = mask_from_ids(rows, pad)
    return ids, mask, unmasked_padding(rows, pad)[2]


def padded_on_the_left(rows, pad):
    flipped = lab2.pad_batch([(i[::-1], t[::-1]) for i, t in rows], pad)
    return tuple([row[::-1] for row in part] for part in flipped)


def masks_of_truth(rows, pad):
    longest = max(len(ids) for ids, _ in rows)
    ids, _, labels = lab2.pad_batch(rows, pad)
    return ids, [[i < len(row) for i in range(longest)] for row, _ in rows], labels


def masks_of_truth_in_torch(rows, pad):
    ids, mask, labels = map(torch.tensor, lab2.pad_batch(rows, pad))
    return ids, mask.bool(), labels


def padded_by_arrays(rows, pad):
    longest = max(len(ids) for ids, _ in rows)
    parts = np.full((3, len(rows), longest), [[[pad]], [[0]], [[-100]]])
    for n, (ids, targets) in enumerate(rows):
        for part, values in zip(parts, (ids, 1, targets)):
            part[n, : len(ids)] = values
    return parts


def padded_by_torch(rows, pad):
    def pad_all(parts, value):
        return torch.nn.utils.rnn.pad_sequence([torch.tensor(p) for p in parts], batch_first=True, padding_value=value)

    ids, targets = zip(*rows)
    return pad_all(ids, pad), pad_all([[1] * len(i) for i in ids], 0), pad_all(targets, -100)


# ------------------------------------------------------------ lab2.3


def one_model(load, train, score):
    original = load().eval()
    before = score(original)
    train(original)
    return before, score(original.eval()), score(original)


def trained_before_all(load, train, score):
    original, tuned = load().eval(), load()
    train(tuned)
    tuned.eval()
    return score(original), score(tuned), score(original)


def one_model_remembered(load, train, score):
    o = load().eval()
    b = score(o)
    train(o)
    o.eval()
    return b, score(o), b


def baseline_remembered(load, train, score):
    o, t = load().eval(), load()
    b = score(o)
    train(t)
    return b, score(t.eval()), b


def remembered_and_measured_twice(load, train, score):
    o, t = load().eval(), load()
    b = score(o)
    train(t)
    t.eval()
    return b, (score(t) + score(t)) / 2, b


def put_back(load, train, score):
    o = load().eval()
    weights = copy.deepcopy(o.state_dict())
    before = score(o)
    train(o)
    tuned = score(o.eval())
    o.load_state_dict(weights)
    return before, tuned, score(o)


def left_in_training(load, train, score):
    original, tuned = load().eval(), load()
    train(tuned)
    return score(original), score(tuned), score(original)


def never_in_evaluation(load, train, score):
    original, tuned = load(), load()
    before = score(original)
    train(tuned)
    return before, score(tuned.eval()), score(original)


def shallow_copy(load, train, score):
    o = load().eval()
    before = score(o)
    t = copy.copy(o)
    train(t)
    t.eval()
    return before, score(t), score(o)


def trains_the_original(load, train, score):
    o, t = load().eval(), load().eval()
    train(o)
    return score(t), score(o.eval()), score(o)


def another_order(load, train, score):
    o, t = load().eval(), load()
    train(t)
    t.eval()
    return score(t), score(o), score(o)


def untrained_scored(load, train, score):
    o, t = load().eval(), load()
    train(t)
    return score(o), score(load().eval()), score(o)


def deep_copy(load, train, score):
    original = load()
    original.eval()
    before, tuned = score(original), copy.deepcopy(original)
    train(tuned)
    tuned.eval()
    return [before, score(tuned), score(original)]


def as_an_array(load, train, score):
    return np.array(lab2.before_and_after(load, train, score))


# ------------------------------------------------------------ lab2.4


def clipped_where_parameters_have_gradients(gradients, max_norm):
    torch.nn.utils.clip_grad_norm_(gradients, max_norm)
    return gradients


def clipped_as_one_vector(gradients, max_norm):
    vector = torch.nn.utils.parameters_to_vector(gradients)
    vector = vector * min(1.0, max_norm / max(vector.norm().item(), 1e-9))
    clipped = [torch.empty_like(g) for g in gradients]
    torch.nn.utils.vector_to_parameters(vector, clipped)
    return clipped


def to_unit_length_first(gradients, max_norm):
    norm = sum((g**2).sum() for g in gradients).sqrt()
    return [g / norm * min(max_norm, norm.item()) for g in gradients]


def times(scale):
    return lambda gs, m: [g * scale(torch.cat([x.flatten() for x in gs]).norm(), m) for g in gs]


def clipped_as_torch_does(gradients, max_norm):
    parameters = [torch.nn.Parameter(torch.zeros_like(g)) for g in gradients]
    for p, g in zip(parameters, gradients):
        p.grad = g.clone()
    torch.nn.utils.clip_grad_norm_(parameters, max_norm)
    return [p.grad for p in parameters]


def clipped_in_numpy(gradients, max_norm):
    arrays = [np.asarray(g) for g in gradients]
    norm = math.sqrt(sum((a**2).sum() for a in arrays))
    return tuple(a * max_norm / norm if norm > max_norm else a for a in arrays)


# ------------------------------------------------------------ lab2.7


def best(runs, method, key):
    return min((r for r in runs if r["method"] == method and r[key] is not None), key=lambda r: r[key])["rate"]


def pick_by(full, lora):
    return lambda runs: {"full": best(runs, "full", full), "LoRA": best(runs, "LoRA", lora)}


def two_lists(runs):
    return {
        "full": sorted([r for r in runs if r["method"] == "full" and r["validation"]], key=lambda r: r["validation"])[0]["rate"],
        "LoRA": sorted([r for r in runs if r["method"] == "LoRA" and r["validation"]], key=lambda r: r["validation"])[0]["rate"],
    }


def infinite_where_it_diverged(runs):
    def loss(run):
        return math.inf if run["validation"] is None else run["validation"]

    return {m: min((r for r in runs if r["method"] == m), key=loss)["rate"] for m in ("full", "LoRA")}


def by_pandas(runs):
    table = pd.DataFrame(runs).dropna()
    return table.loc[table.groupby("method")["validation"].idxmin()].set_index("method")["rate"].to_dict()


# ------------------------------------------------------------ lab2.8 to lab2.11


def in_place_merge(W, A, B, alpha):
    W += alpha / A.shape[0] * B @ A
    return W


def merged_in_a_loop(W, A, B, alpha):
    merged = W.float().clone()
    for k in range(A.shape[0]):
        merged += alpha / A.shape[0] * torch.outer(B[:, k], A[k])
    return merged.to(W.dtype)


def references_shared(rows):
    merged = dict.fromkeys((row["dialogue"] for row in rows), [])
    for row in rows:
        merged[row["dialogue"]].append(row["summary"])
    return merged


def references_by_default(rows):
    merged = defaultdict(list)
    for row in rows:
        merged[row["dialogue"]].append(row["summary"])
    return merged


def neighbouring_rows(rows):
    return {key: [r["summary"] for r in group] for key, group in groupby(rows, lambda r: r["dialogue"])}


def counted(win, tie):
    def count(a, b, margin):
        wins = sum(win(x, y, margin) for x, y in zip(a, b))
        ties = sum(tie(x, y, margin) for x, y in zip(a, b))
        return wins, ties, len(a) - wins - ties

    return count


def win_tie_loss_by_hand(a, b, margin):
    counts = [0, 0, 0]
    for x, y in zip(a, b):
        counts[0 if x - y > margin else 2 if y - x > margin else 1] += 1
    return counts


def indices(a, b, margin):
    return [[i for i, (x, y) in enumerate(zip(a, b)) if x - y > margin], [], []]


PLANTED = {
    "lab2.1": [
        (labels_like(lambda p, a, e: p + a + [e]), "include the prompt"),
        (lambda p, a, e: (p + a, [-100] * len(p) + a), "Nothing tells the model to stop"),
        (labels_like(lambda p, a, e: [-100] * (len(p) - 1) + a + [e, -100]), "shifted"),
        (labels_like(lambda p, a, e: [-100] * len(p) + a + [-100]), "end token is masked"),
        (labels_like(lambda p, a, e: a + [e]), "each position needs one"),
        (labels_like(lambda p, a, e: [-100] * len(p) + [-100 if x in p else x for x in a] + [e]), "token's id"),
        (lambda p, a, e: ([*p, *a, 2], [-100] * len(p) + [*a, 2]), "not always 2"),
        (lambda p, a, e: (p.extend([*a, e]), p)[1:] * 2, "changed `p`"),
        (labels_like(lambda p, a, e: [0] * len(p) + a + [e]), "0 is a token"),
        (one_list_twice, "one list in yours"),
        (labels_like(lambda p, a, e: [-100] * (len(p) - 1) + p[-1:] + a + [e]), "should give"),
        (labels_like(lambda p, a, e: [-100] * len(p) + [-100, *a[1:], e]), "should give"),
        (lambda p, a, e: {"ids": [*p, *a, e], "labels": [-100] * len(p) + [*a, e]}, "two lists"),
    ],
    "lab2.2": [
        (unmasked_padding, "still hold pad tokens"),
        (mask_from_ids, "hides real end tokens"),
        (no_mask, "attend to padding"),
        (broken_pad_batch, "Two things are wrong"),
        (every_pad_id_masked, "must learn"),
        (padded_on_the_left, "left"),
        (lambda rows, pad: dict(zip(("input_ids", "attention_mask", "labels"), lab2.pad_batch(rows, pad))), "three lists of rows"),
        (lambda rows, pad: lab2.pad_batch(rows, pad)[::2], "three lists of rows"),
        (lambda rows, pad: lab2.pad_batch(rows, 2), "should give"),
    ],
    "lab2.3": [
        (one_model, "scored last is the one that was trained"),
        (one_model_remembered, "first one once more"),
        (trained_before_all, "before the first score"),
        (baseline_remembered, "first one once more"),
        (remembered_and_measured_twice, "first one once more"),
        (left_in_training, "training mode"),
        (never_in_evaluation, "just loaded"),
        (shallow_copy, "shares its weights"),
        (trains_the_original, "scored last is the one that was trained"),
        (another_order, "The order is"),
        (untrained_scored, "never scored"),
        (lambda load, train, score: (score(load()), score(load()), score(load())), "No model was trained"),
    ],
    "lab2.4": [
        (lambda gs, m: [g * min(1, m / max(g.norm().item(), 1e-9)) for g in gs], "by itself"),
        (lambda gs, m: [g * min(1, m / max(1e-9, sum(x.norm().item() for x in gs))) for g in gs], "Add the squares"),
        (lambda gs, m: [g * m / sum((x**2).sum() for x in gs).sqrt().clamp(min=1e-9) for g in gs], "came out larger"),
        (to_unit_length_first, "must stay zeros"),
        (clipped_where_parameters_have_gradients, "nothing was clipped"),
        (times(lambda norm, m: 1 / norm if norm > m else 1), "gets norm 1"),
        (lambda gs, m: [g.clamp(-m, m) for g in gs], "cut each *value*"),
        (times(lambda norm, m: min(1, m / max(norm**2, 1e-9))), "Take the root"),
        (times(lambda norm, m: m / norm if norm > m else 0), "below it"),
    ],
    "lab2.5": [
        (lambda n, t: (4 * n, 12 * t), "weights alone"),
        (lambda n, t: (4 * n + 4 * t, 12 * t), "two averages are not"),
        (lambda n, t: (4 * n + 8 * t, 12 * t), "is missing: it has a gradient"),
        (lambda n, t: (16 * n, 12 * t), "frozen weights need no gradient"),
        (lambda n, t: (16 * t, 12 * t), "still in memory"),
        (lambda n, t: (n + 3 * t, 3 * t), "numbers, not bytes"),
        (lambda n, t: ((4 * n + 12 * t) / 1e9, 12 * t / 1e9), "not gigabytes"),
        (lambda n, t: (4 * n + 12 * t, 16 * t), "gradients are in your file"),
        (lambda n, t: (4 * n + 12 * t, 4 * t), "begins anew"),
        (lambda n, t: (4 * n + 12 * t, 8 * t), "the weight itself is kept"),
        (lambda n, t: (4 * n + 12 * t, 4 * n + 8 * t), "base model again"),
        (lambda n, t: 4 * n + 12 * t, "two numbers of bytes"),
    ],
    "lab2.6": [
        (lambda shapes, r: sum(r * (i + o) for i, o in set(shapes)), "FLAN-T5-base"),
        (lambda shapes, r: sum(r * i * o for i, o in shapes), "r full matrices"),
        (lambda shapes, r: sum(r * i for i, o in shapes), "one of the two"),
        (lambda shapes, r: sum(i * o for i, o in shapes), "the frozen matrices"),
        (lambda shapes, r: len(shapes) * r * sum(shapes[0]), "for the first one"),
        (lambda shapes, r: len(shapes) * r * sum(shapes[0] if shapes else ()), "for the first one"),
        (lambda shapes, r: [r * (i + o) for i, o in shapes], "a whole number"),
        (lambda shapes, r: sum(2 * r * i for i, o in shapes), "A twice"),
    ],
    "lab2.7": [
        (pick_by("train", "train"), "by the *training* loss"),
        (lambda runs: {"full": 1e-4, "LoRA": 1e-4}, "should give"),
        (lambda runs: dict.fromkeys(("full", "LoRA"), best(runs, "full", "train")), "*training* loss"),
        (lambda runs: dict.fromkeys(("full", "LoRA"), best(runs, "full", "validation")), "own search"),
        (lambda runs: dict.fromkeys(("full", "LoRA"), min((r for r in runs if r["validation"]), key=lambda r: r["validation"])["rate"]), "both methods at once"),
        (pick_by("validation", "train"), "LoRA's rate by the *training* loss"),
        (lambda runs: tuple(pick_by("validation", "validation")(runs).values()), "a dictionary"),
        (lambda runs: {r["method"]: r["rate"] for r in runs if r["validation"] is not None}, "no loss"),
        (lambda runs: {m: min((r for r in runs if r["method"] == m), key=lambda r: r["validation"])["rate"] for m in ("full", "LoRA")}, "TypeError"),
    ],
    "lab2.8": [
        (lambda W, A, B, alpha: (W.float() + alpha / len(A) * B @ A).bfloat16(), "16 bits"),
        (in_place_merge, "changed `W`"),
        (lambda W, A, B, alpha: W + B @ A, "scale is missing"),
        (lambda W, A, B, alpha: (W.float() + B @ A).to(W.dtype), "scale is missing"),
        (lambda W, A, B, alpha: (W.float() + alpha * B @ A).to(W.dtype), "alpha alone"),
        (lambda W, A, B, alpha: alpha / len(A) * B @ A, "update alone"),
        (lambda W, A, B, alpha: (W.float() + alpha / A.shape[1] * B @ A).to(W.dtype), "number of rows"),
        (lambda W, A, B, alpha: (W.float() + alpha // len(A) * (B @ A)).to(W.dtype), "cuts the fraction"),
        (lambda W, A, B, alpha: W + alpha / len(A) * (B @ A), "came back in float32"),
        (lambda W, A, B, alpha: W + (alpha / len(A) * (B @ A)).to(W.dtype), "round once"),
        (lambda W, A, B, alpha: (W.float() - alpha / len(A) * (B @ A)).to(W.dtype), "unmerging"),
    ],
    "lab2.9": [
        (lambda rows: {r["dialogue"]: r["summary"] for r in rows}, "list of references"),
        (lambda rows: {r["dialogue"]: [r["summary"]] for r in rows}, "overwrote"),
        (lambda rows: {"d1": ["a", "b"], "d2": ["c"]}, "that are apart"),
        (references_shared, "all keys share"),
        (lambda rows: {r["dialogue"]: [x["summary"] for x in rows if x["dialogue"].startswith(r["dialogue"])] for r in rows}, "look alike"),
        (neighbouring_rows, "need not be neighbours"),
        (lambda rows: {k: " ".join(r["summary"] for r in rows if r["dialogue"] == k) for k in {r["dialogue"] for r in rows}}, "list of references"),
        (lambda rows: {k: v if len(v) > 1 else v[0] for k, v in lab2.by_dialogue(rows).items()}, "list of references"),
        (lambda rows: {r["summary"]: r["dialogue"] for r in rows}, "list of references"),
        (lambda rows: {k: sum(r["dialogue"] == k for r in rows) for k in {r["dialogue"] for r in rows}}, "list of references"),
        (lambda rows: {k: sorted({r["summary"] for r in rows if r["dialogue"] == k}) for k in {r["dialogue"] for r in rows}}, "should give"),
    ],
    "lab2.10": [
        (lambda a, b, m: lab2.win_tie_loss(b, a, m), "a's: a wins"),
        (lambda a, b, m: lab2.win_tie_loss(a, b, 0.0), "not used"),
        (lambda a, b, m: (1, 1, 1), "should give"),
        (lambda a, b, m: (1, 2, 2), "should give"),
        (lambda a, b, m: (lambda w, t, n: (w, n, t))(*lab2.win_tie_loss(a, b, m)), "wins, losses, ties"),
        (counted(lambda x, y, m: x - y >= m, lambda x, y, m: abs(x - y) < m), "exactly the margin"),
        (counted(lambda x, y, m: x > y * (1 + m), lambda x, y, m: y * (1 + m) >= x and x * (1 + m) >= y), "share of one"),
        (lambda a, b, m: lab2.win_tie_loss(a, b, m / 2), "half the margin"),
        (counted(lambda x, y, m: x - y > m, lambda x, y, m: 0 <= x - y <= m), "holds for losses"),
        (lambda a, b, m: tuple(n / len(a) for n in lab2.win_tie_loss(a, b, m)), "three whole numbers"),
        (indices, "three whole numbers"),
        (lambda a, b, m: lab2.win_tie_loss([round(x - y, 1) for x, y in zip(a, b)], [0] * len(a), m), "rounded"),
    ],
    "lab2.11": [
        (lambda x, y: lab2.forgetting(y, x), "sign"),
        (lambda x, y: (np.mean(y) - np.mean(x), np.sqrt((np.var(x, ddof=1) + np.var(y, ddof=1)) / len(x))), "as unrelated"),
        (lambda x, y: (np.mean(np.subtract(y, x)), np.std(np.subtract(y, x), ddof=1)), "single changes"),
        (lambda x, y: (np.mean(np.subtract(y, x)), np.std(np.subtract(y, x)) / len(x) ** 0.5), "n − 1"),
        (lambda x, y: (np.mean(np.subtract(y, x)), np.std(np.subtract(y, x), ddof=1) / len(x)), "by its root"),
        (lambda x, y: np.mean(np.subtract(y, x)), "two numbers"),
        (lambda x, y: (sum(y) - sum(x), lab2.forgetting(x, y)[1]), "added the changes up"),
        (lambda x, y: lab2.forgetting([0] * len(x), [abs(b - a) for a, b in zip(x, y)]), "size of each change"),
    ],
}  # fmt: skip

RIGHT = {
    "lab2.1": [
        labels_in_a_loop,
        labels_from_behind,
        lambda p, a, e: [[*p, *a, e], [*(-100 for _ in p), *a, e]],
        lambda p, a, e: (np.array(p + a + [e]), np.where(np.arange(len(p) + len(a) + 1) < len(p), -100, p + a + [e])),
        lambda p, a, e: (torch.tensor(p + a + [e]), torch.tensor([-100] * len(p) + a + [e])),
    ],
    "lab2.2": [masks_of_truth, masks_of_truth_in_torch, padded_by_arrays, padded_by_torch, lambda rows, pad: list(lab2.pad_batch(rows, pad))],
    "lab2.3": [deep_copy, as_an_array, put_back],
    "lab2.4": [
        clipped_as_torch_does,
        clipped_as_one_vector,
        clipped_in_numpy,
        times(lambda norm, m: min(1.0, m / (norm + 1e-6))),
        lambda gs, m: [g * m / n if (n := math.hypot(*(x for t in gs for x in t.flatten().tolist()))) > m else g for g in gs],
    ],
    "lab2.5": [lambda n, t: [4 * (n + 3 * t), 4 * 3 * t], lambda n, t: np.array([4 * n + 12 * t, 12 * t]), lambda n, t: (4.0 * n + 4 * t + 8 * t, 12.0 * t)],
    "lab2.6": [
        lambda shapes, r: r * sum(sum(shape) for shape in shapes),
        lambda shapes, r: torch.tensor(shapes).sum() * r,
        lambda shapes, r: float(sum(torch.empty(r, i).numel() + torch.empty(o, r).numel() for i, o in shapes)),
    ],
    "lab2.7": [two_lists, infinite_where_it_diverged, by_pandas, pick_by("validation", "validation")],
    "lab2.8": [
        merged_in_a_loop,
        lambda W, A, B, alpha: (W + (B @ A) * alpha / A.size(0)).to(W.dtype),
        lambda W, A, B, alpha: torch.addmm(W.double(), B.double(), A.double(), alpha=alpha / len(A)).to(W.dtype),
    ],
    "lab2.9": [references_by_default, lambda rows: {k: tuple(r["summary"] for r in rows if r["dialogue"] == k) for k in dict.fromkeys(r["dialogue"] for r in rows)}],
    "lab2.10": [
        win_tie_loss_by_hand,
        lambda a, b, m: (lambda d: (sum(d > m), sum(abs(d) <= m), sum(d < -m)))(torch.tensor(a, dtype=torch.float64) - torch.tensor(b, dtype=torch.float64)),
        lambda a, b, m: np.array([sum(x - y > m for x, y in zip(a, b)), sum(abs(x - y) <= m for x, y in zip(a, b)), sum(y - x > m for x, y in zip(a, b))]),
    ],
    "lab2.11": [
        lambda x, y: (np.mean(np.subtract(y, x)), np.std(np.subtract(y, x), ddof=1) / np.sqrt(len(x))),
        lambda x, y: (lambda d: [d.mean(), d.std() / len(d) ** 0.5])(torch.tensor(y) - torch.tensor(x)),
        lambda x, y: (pd.Series(y).sub(pd.Series(x)).mean(), pd.Series(y).sub(pd.Series(x)).sem()),
    ],
}  # fmt: skip

EQUIVALENT = {
    "lab2.4": {change: "any tiny number keeps 0 / 0 away" for change in ("1e-12 → 1.1e-12", "1e-12 → 9e-13")},
    "lab2.7": {"loss < best[method][0] → loss <= best[method][0]": "which of two equal losses wins is left open"},
    "lab2.10": {
        "int((difference > margin).sum()) → (difference > margin).sum()": "numpy's whole number is one, too",
        "int((difference < -margin).sum()) → (difference < -margin).sum()": "numpy's whole number is one, too",
    },
}  # fmt: skip
