"""Plausible wrong answers to Lab 2."""

from course_utils.exercises import lab2


def labels_like(make):
    return lambda prompt, answer, eos: (prompt + answer + [eos], make(prompt, answer, eos))


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


def one_model(load, train, score):
    original = load().eval()
    before = score(original)
    train(original)
    return before, score(original.eval()), score(original)


def left_in_training(load, train, score):
    original, tuned = load().eval(), load()
    train(tuned)
    return score(original), score(tuned), score(original)


def pick_by(key):
    def pick(runs):
        good = [r for r in runs if r[key] is not None and r[key] == r[key]]
        return {
            m: min((r for r in good if r["method"] == m), key=lambda r: r[key])["rate"]
            for m in ("full", "LoRA")
        }

    return pick


def in_place_merge(W, A, B, alpha):
    W += alpha / A.shape[0] * B @ A
    return W


def to_unit_length_first(gradients, max_norm):
    norm = sum((g**2).sum() for g in gradients).sqrt()
    return [g / norm * min(max_norm, norm.item()) for g in gradients]


PLANTED = {
    "lab2.1": [
        (labels_like(lambda p, a, e: p + a + [e]), "include the prompt"),
        (lambda p, a, e: (p + a, [-100] * len(p) + a), "Nothing tells the model to stop"),
        (labels_like(lambda p, a, e: [-100] * (len(p) - 1) + a + [e, -100]), "shifted"),
        (labels_like(lambda p, a, e: [-100] * len(p) + a + [-100]), "end token is masked"),
        (labels_like(lambda p, a, e: a + [e]), "each position needs one"),
    ],
    "lab2.2": [
        (unmasked_padding, "still hold pad tokens"),
        (mask_from_ids, "hides the real end token"),
        (no_mask, "attend to padding"),
    ],
    "lab2.3": [
        (one_model, "second name"),
        (left_in_training, "training mode"),
        (lambda load, train, score: (score(load()), score(load()), score(load())), "eval()"),
    ],
    "lab2.4": [
        (lambda gs, m: [g * min(1, m / g.norm().item()) for g in gs], "by itself"),
        (lambda gs, m: [g / sum(x.norm() for x in gs) * m for g in gs], "Add the squares"),
        (lambda gs, m: [g * m / sum((x**2).sum() for x in gs).sqrt() for g in gs], "came out larger"),
        (to_unit_length_first, "must stay zeros"),
    ],
    "lab2.5": [
        (lambda n, t: 4 * n, "weights alone"),
        (lambda n, t: 4 * n + 4 * t, "two more numbers"),
        (lambda n, t: 4 * n + 8 * t, "*two* averages"),
        (lambda n, t: 16 * n, "Frozen weights need no gradient"),
        (lambda n, t: 16 * t, "still in memory"),
    ],
    "lab2.6": [
        (lambda shapes, r: sum(r * i * o for i, o in shapes), "full matrix"),
        (lambda shapes, r: sum(r * i for i, o in shapes), "one of the two"),
        (lambda shapes, r: r * sum(shapes[0]), "add them up"),
    ],
    "lab2.7": [
        (pick_by("train"), "*training* loss"),
        (lambda runs: {"full": 1e-4, "LoRA": 1e-4}, "own search"),
        (lambda runs: {"full": 1e-4, "LoRA": 1e-2}, "diverged"),
    ],
    "lab2.8": [
        (in_place_merge, "in place"),
        (lambda W, A, B, alpha: W + B @ A, "scale"),
        (lambda W, A, B, alpha: W + alpha * B @ A, "not α"),
        (lambda W, A, B, alpha: alpha / 2 * B @ A, "update alone"),
        (lambda W, A, B, alpha: W + alpha / A.shape[1] * B @ A, "number of rows"),
    ],
    "lab2.9": [
        (lambda rows: {r["dialogue"]: r["summary"] for r in rows}, "*list*"),
        (lambda rows: {"d1": ["a", "b"], "d2": ["c"]}, "further down"),
    ],
    "lab2.10": [
        (lambda a, b, m: lab2.win_tie_loss(b, a, m), "a's: a wins"),
        (lambda a, b, m: lab2.win_tie_loss(a, b, 0.0), "a tie"),
        (lambda a, b, m: (1, 1, 1), "add up to 3"),
    ],
}  # fmt: skip
