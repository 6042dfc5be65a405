"""Plausible wrong answers to week 2's exercises: id → [(answer, words of the message it gets)]."""

import torch

from course_utils.exercises import week2


def labels_like(make):
    return lambda prompt, answer, eos: (prompt + answer + [eos], make(prompt, answer, eos))


def unmasked_padding(rows, pad):
    ids, mask, _ = week2.pad_batch(rows, pad)
    longest = len(ids[0])
    return ids, mask, [t + [pad] * (longest - len(t)) for _, t in rows]


def mask_from_ids(rows, pad):
    ids, _, labels = week2.pad_batch(rows, pad)
    return ids, [[int(i != pad) for i in row] for row in ids], labels


def no_mask(rows, pad):
    ids, _, labels = week2.pad_batch(rows, pad)
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
        (lambda a, b, m: week2.win_tie_loss(b, a, m), "a's: a wins"),
        (lambda a, b, m: week2.win_tie_loss(a, b, 0.0), "a tie"),
        (lambda a, b, m: (1, 1, 1), "add up to 3"),
    ],
    "tuning.1": [
        (lambda t, row: t.format(**row), "str.format gives them"),
        (lambda t, row: t.replace("{dialogue}", row["dialogue"]), "summary"),
        (lambda t, row: t, "unchanged"),
    ],
    "tuning.2": [
        (lambda rows, share, seed: (rows[4:], rows[:4]), "both"),
        (lambda rows, share, seed: (rows, []), "test part is empty"),
        (lambda rows, share, seed: (rows[:6], rows[9:]), "lost"),
    ],
    "tuning.3": [
        (lambda logits, labels: -logits.log_softmax(-1).gather(1, labels.clamp(0)[:, None])[labels != -100].mean(), "shift"),
        (lambda logits, labels: week2.answer_loss(logits, labels) * (labels != -100).sum(), "mean"),
        (lambda logits, labels: -week2.answer_loss(logits, labels), "negative"),
        (lambda logits, labels: torch.nn.functional.cross_entropy(logits[:-1], labels[1:].clamp(0)), "−100"),
    ],
    "tuning.5": [
        (lambda p, r: len(set(p.split()) & set(r.split())) / len(r.split()), "recall"),
        (lambda p, r: len(set(p.split()) & set(r.split())) / len(p.split()), "precision"),
        (lambda p, r: 2 * sum(w in r.split() for w in p.split()) / (len(p.split()) + len(r.split())), "the the the"),
    ],
    "tuning.6": [
        (lambda a, b: len(set(a) & set(b)), "order"),
        (lambda a, b: next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b))), "gaps"),
    ],
    "tuning.4": [
        (lambda answer, output: output in answer, "not positive"),
        (lambda answer, output: answer == output, "capital"),
    ],
    "tuning.7": [
        (lambda train, test, n: test in train, "inside"),
        (lambda train, test, n: bool(set(test.split()) & set(" ".join(train).split())), "single words"),
    ],
    "peft.1": [
        (lambda x, W, A, B, alpha: x @ W.T + x @ A.T @ B.T, "scale α / r is missing"),
        (lambda x, W, A, B, alpha: x @ W.T + alpha * (x @ A.T @ B.T), "not α"),
        (lambda x, W, A, B, alpha: alpha / 2 * (x @ A.T @ B.T), "detour alone"),
    ],
    "peft.2": [
        (lambda i, o, r: (torch.zeros(r, i, requires_grad=True), torch.zeros(o, r, requires_grad=True)), "no slope"),
        (lambda i, o, r: (torch.randn(r, i, requires_grad=True), torch.randn(o, r, requires_grad=True)), "not zero"),
        (lambda i, o, r: (torch.randn(r, i), torch.zeros(o, r)), "trainable"),
        (lambda i, o, r: (torch.randn(r, i, requires_grad=True) / 2, torch.zeros(o, r, requires_grad=True)), "leaf"),
    ],
    "peft.3": [
        (lambda shapes, budget: int(budget // sum(i + o for i, o in shapes)), "one byte"),
        (lambda shapes, budget: budget / (4 * sum(i + o for i, o in shapes)), "Round down"),
        (lambda shapes, budget: int(budget // (4 * sum(i * o for i, o in shapes))), "in × out"),
    ],
    "peft.4": [
        (lambda rows, noise: [s for s, x in rows if not x > 2.35], "diverged"),
        (lambda rows, noise: ["b"], "within the noise"),
        (lambda rows, noise: ["d", "b"], "Best first"),
    ],
    "peft.5": [
        (lambda M, r: M, "rank 4"),
        (lambda M, r: torch.cat([M[:r], torch.zeros(len(M) - r, M.shape[1])]), "is closer"),
        (lambda M, r: torch.linalg.svd(M)[0][:, :r], "M's shape"),
    ],
    "peft.6": [
        (lambda W: ((W / (W.abs().max() / 127)).round().to(torch.int8), W.abs().max() / 127), "One a row"),
        (lambda W: ((W / (s := W.abs().amax(1, keepdim=True) / 127)).trunc().to(torch.int8), s), "do not cut off"),
        (lambda W: ((W / (s := W.abs().amax(1, keepdim=True) / 127)).round(), s), "torch.int8"),
        (lambda W: ((W / (s := W.abs().amax(1, keepdim=True) / 128)).round().to(torch.int32).to(torch.int8), s), "sign flipped"),
        (lambda W: ((W / (s := W.abs().amax(1, keepdim=True) / 127)).round().to(torch.int8), s), "row of zeros"),
    ],
    "peft.7": [
        (lambda t: "full" if t["gpu_bytes"] >= 16 * t["parameters"] else "LoRA", "quarter left free"),
        (lambda t: "full" if 0.75 * t["gpu_bytes"] >= 16 * t["parameters"] else "LoRA", "share one base"),
        (lambda t: week2.choose({**t, "gpu_bytes": max(t["gpu_bytes"], t["parameters"])}), "fit no method"),
    ],
}
