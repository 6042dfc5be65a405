"""Lab 2, full fine-tuning against LoRA: reference answers and their tests."""

from __future__ import annotations

import itertools
import math
import statistics

import numpy as np
import torch

from . import answers
from .answers import Wrong
from .cases import alike, compare
from .engine import Exercise

# ------------------------------------------------------------ lab2.1 the mask


def make_labels(prompt_ids, answer_ids, eos_id):
    learnt = answer_ids + [eos_id]
    return prompt_ids + learnt, [-100] * len(prompt_ids) + learnt


def _test_make_labels(answer):
    def labels(make):
        return lambda p, a, e: ([*p, *a, e], make(p, a, e))

    compare(answer, make_labels, [
        ("", ([5, 6, 7], [8, 9], 2)), ("another end token", ([5], [8, 9, 3, 4], 11)),
        ("an answer that repeats a token of the prompt", ([5, 6, 7, 6], [6, 9, 5], 2)),
        ("the end token inside the prompt", ([1, 2, 5, 2], [7], 2)),
    ], [
        ("Nothing tells the model to stop: put the end token after the answer.", lambda p, a, e: ([*p, *a], [-100] * len(p) + a)),
        ("The end token is masked: the model would never learn to stop.", labels(lambda p, a, e: [-100] * len(p) + a + [-100])),
        ("The labels lack the end token: each position needs one.", labels(lambda p, a, e: [-100] * len(p) + a)),
        ("The labels are those of the answer alone: each position needs one.", labels(lambda p, a, e: a + [e])),
        ("Your labels include the prompt: the model would be trained to write dialogues.", labels(lambda p, a, e: [*p, *a, e])),
        ("You masked the answer and trained the prompt: turn it round.", labels(lambda p, a, e: p + [-100] * len(a) + [e])),
        ("You shifted the labels. The model shifts them itself: label i belongs to id i.", labels(lambda p, a, e: [-100] * (len(p) - 1) + a + [e, -100])),
        ("You mask by the token's id: an answer token that also occurs in the prompt must be learnt.", labels(lambda p, a, e: [-100 if i in p else i for i in [*p, *a]] + [e])),
        ("You mask by the token's id: an answer token that also occurs in the prompt must be learnt.", labels(lambda p, a, e: [-100 if i in p else i for i in [*p, *a, e]])),
        ("The end token is not always 2: use eos_id.", lambda p, a, e: make_labels(p, a, 2)),
        ("ids and labels are one list in yours: masking the labels has masked the ids as well. Copy it first.", lambda p, a, e: ([-100] * len(p) + a + [e],) * 2),
        ("0 is a token like any other: what is not learnt gets −100.", labels(lambda p, a, e: [0] * len(p) + a + [e])),
        ("The two lists are exchanged: ids first, labels second.", lambda p, a, e: make_labels(p, a, e)[::-1]),
    ])  # fmt: skip


# ------------------------------------------------------------ lab2.2 spot the bug: a collator


def pad_batch(rows, pad_id):
    longest = max(len(ids) for ids, _ in rows)
    input_ids, mask, labels = [], [], []
    for ids, targets in rows:
        gap = longest - len(ids)
        input_ids.append(ids + [pad_id] * gap)
        mask.append([1] * len(ids) + [0] * gap)
        labels.append(targets + [-100] * gap)
    return input_ids, mask, labels


def _other_batch(mask=None, labels=None, left=False):
    """``pad_batch`` with its mask or its labels made another way, from (padded part, real length, pad)."""

    def pad(rows, pad_id):
        longest = max(len(ids) for ids, _ in rows)

        def full(part, filler):
            gap = [filler] * (longest - len(part))
            return gap + part if left else part + gap

        ids = [full(i, pad_id) for i, _ in rows]
        masks = [full([1] * len(i), 0) for i, _ in rows]
        targets = [full(t, -100) for _, t in rows]
        if mask:
            masks = [mask(row, pad_id) for row in ids]
        if labels:
            targets = [labels(full(t, pad_id), row, pad_id) for (_, t), row in zip(rows, ids)]
        return ids, masks, targets

    return pad


def _whole_or_truth(value):
    """A mask may be written with True and False."""
    try:
        return int(answers.truth.convert(value))
    except answers.Unfit:
        return answers.whole.convert(value)


_mask = answers.list_of(answers.list_of(answers.Kind("1 or 0", _whole_or_truth)))


def _test_pad_batch(answer):
    def by_id(row, pad):
        return [int(i != pad) for i in row]

    def ones(row, pad):
        return [1] * len(row)

    def learnt(targets, row, pad):
        return targets

    def hidden(targets, row, pad):
        return [-100 if i == pad else t for i, t in zip(row, targets)]

    both = "Two things are wrong: the labels still hold pad tokens, and the mask, made from the ids, hides the real end token."
    labels = "The labels still hold pad tokens: they would be learnt."
    end = "The mask hides real end tokens: where pad and end share an id, only the length tells them apart."
    unlearnt = "You masked every label that stands at a pad id, and with them the end token, which the model must learn."
    attend = "The model would attend to padding: its mask is 0 there."
    compare(answer, pad_batch, [
        ("", ([([5, 6, 7, 2], [-100, 6, 7, 2]), ([8, 2], [-100, 2])], 2)),
        ("three rows, the longest in the middle", ([([8, 2], [8, 2]), ([5, 6, 7, 9, 2], [-100, -100, -100, 9, 2]), ([4, 7, 2], [-100, 7, 2])], 2)),
        ("a pad token that is not the end token", ([([5, 6, 2], [-100, 6, 2]), ([3, 4, 8, 2], [-100, -100, 8, 2])], 0)),
        ("the pad id inside a prompt", ([([5, 0, 7, 0, 2], [-100, -100, -100, 0, 2]), ([3, 2], [-100, 2])], 0)),
        ("rows of one length", ([([5, 2], [-100, 2]), ([6, 2], [-100, 2])], 2)), ("one row", ([([7, 2], [-100, 2])], 9)),
    ], [
        (both, _other_batch(by_id, learnt)), (labels, _other_batch(labels=learnt)), (end, _other_batch(by_id)),
        (unlearnt, _other_batch(labels=hidden)), (unlearnt, _other_batch(by_id, hidden)),
        (attend, _other_batch(ones)), ("The labels still hold pad tokens, and the mask of padding is 1: it should be 0.", _other_batch(ones, learnt)),
        ("The padding stands on the left; put it on the right, after the end token.", _other_batch(left=True)),
        ("The three parts are in another order: input ids, attention mask, labels.", lambda rows, pad: (lambda i, m, t: (i, t, m))(*pad_batch(rows, pad))),
    ])  # fmt: skip


# ------------------------------------------------------------ lab2.3 spot the bug: before and after


def before_and_after(load, train, score):
    original = load().eval()
    before = score(original)
    tuned = load()
    train(tuned)
    tuned.eval()
    return before, score(tuned), score(original)


class _Toy(torch.nn.Module):
    """One weight and a dropout: training mode shows in the score."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor(3.0))


def _test_before_and_after(answer):
    trained, calls = [], []  # the models that were trained; each score: model, mode, weight, was it trained?

    def train(model):
        trained.append(model)
        model.train()
        with torch.no_grad():
            model.weight += 4

    def score(model):
        value = model.weight.item()
        calls.append((any(model is other for other in trained), model.training, value, bool(trained)))
        return value * (0.5 if model.training else 1.0)

    got = answer(_Toy, train, score)
    if not trained:
        raise Wrong("No model was trained: call train(model) on one of them.")
    if len(trained) > 1:
        raise Wrong(f"train was called {len(trained)} times; once is enough.")
    if any(training and not was for was, training, _, _ in calls):
        raise Wrong("A model that was just loaded may be in training mode, with dropout: its score came out too low.")
    if any(training for _, training, _, _ in calls):
        raise Wrong("The tuned model was scored in training mode, with dropout: train() leaves it there.")
    after = [(was, value) for was, _, value, late in calls if late]
    if got[0] == got[2] == 3 and (len(calls) == 2 or not any(value == 3 for _, value in after)):
        raise Wrong("The third score is the first one once more: measure the original again after the training.")
    if any(not was and value != 3 for was, value in after):
        raise Wrong("The original shares its weights with the model that was trained: training changed both.")
    if got[2] == 7 and calls[-1][0] and got[1] == 7:
        raise Wrong("The model scored last is the one that was trained: the third score is that of the original, which training must not touch.")
    if not any(was for was, *_ in calls):
        raise Wrong("The model that was trained was never scored.")
    if got != (3, 7, 3) and sorted(got) == [3, 3, 7]:
        raise Wrong("The order is: the original, the tuned model, the original again.")
    if got != (3, 7, 3):
        raise Wrong(f"The toy scores 3 before training and 7 after, so {(3, 7, 3)} is wanted; yours: {tuple(got)}.")
    if calls[0][3]:
        raise Wrong("Training came before the first score: measure the original first, then train.")


# ------------------------------------------------------------ lab2.4 gradient clipping


def clip(gradients, max_norm):
    norm = sum((g**2).sum() for g in gradients).sqrt()
    scale = min(1.0, max_norm / max(norm.item(), 1e-12))
    return [g * scale for g in gradients]


def _test_clip(answer):
    def by(scale):
        """All tensors times ``scale(norm, max_norm)``."""
        return lambda gs, m: [g * scale(math.sqrt(sum((g**2).sum().item() for g in gs)), m) for g in gs]

    def norms(gs):
        return [g.norm().item() for g in gs]

    three_four = [torch.tensor([3.0, 0.0]), torch.tensor([[4.0]])]
    three = [torch.tensor([[0.5, -2.0], [1.5, 0.0]]), torch.tensor([-7.0]), torch.tensor([1.0, 1.0, -1.0])]
    compare(answer, clip, [
        ("", (three_four, 1.0)), ("another largest norm", (three_four, 2.5)), ("three tensors, negative values", (three, 3.0)),
        ("a norm below the largest", (three, 20.0)), ("", (three_four, 6.0)), ("exactly the largest norm", (three_four, 5.0)),
        ("one tensor", (three[:1], 0.1)), ("zeros only", ([torch.zeros(2), torch.zeros(1, 2)], 1.0)),
    ], [
        ("They came back as they were: nothing was clipped. torch's clip_grad_norm_ changes the `.grad` of parameters, and these are the gradients themselves.", lambda gs, m: gs),
        ("You clipped each tensor by itself: that turns the direction. Use one norm for all.", lambda gs, m: [g * min(1.0, m / max(g.norm().item(), 1e-12)) for g in gs]),
        ("You cut each *value* off at the largest norm: that turns the direction. Shrink all by one factor.", lambda gs, m: [g.clamp(-m, m) for g in gs]),
        ("You added the norms of the tensors. Add the squares, then take the root: 3 and 4 make 5.", lambda gs, m: [g * min(1.0, m / max(sum(norms(gs)), 1e-12)) for g in gs]),
        ("You divided by the squared norm. Take the root.", lambda gs, m: [g * min(1.0, m / max(sum(n**2 for n in norms(gs)), 1e-12)) for g in gs]),
        ("You took the largest norm of a single tensor, not the norm over all.", lambda gs, m: [g * min(1.0, m / max(max(norms(gs)), 1e-12)) for g in gs]),
        ("A gradient below the largest norm came out larger: clipping only ever makes it smaller.", by(lambda n, m: m / max(n, 1e-12))),
        ("A gradient below the largest norm came out larger: clipping only ever makes it smaller.", by(lambda n, m: m / n if n else 0)),
        ("Whatever max_norm is, what you shrink gets norm 1.", by(lambda n, m: 1 / n if n > m else 1)),
        ("Every gradient comes out with norm 1: max_norm is not used.", by(lambda n, m: 1 / n if n else 1)),
        ("A gradient of zeros must stay zeros: 0 divided by its norm, 0, is NaN.", by(lambda n, m: min(m, n) / n if n else math.nan)),
        ("A gradient of zeros must stay zeros, without dividing by its norm, 0.", by(lambda n, m: min(1.0, m / n))),
        ("You return the shrunken tensors only where the norm exceeds the largest; below it they come back as they are.", by(lambda n, m: m / n if n > m else 0)),
    ])  # fmt: skip


# ------------------------------------------------------------ lab2.5 bytes to train, and to go on


def training_bytes(parameters, trainable):
    gradients, averages = 4 * trainable, 2 * 4 * trainable
    memory = 4 * parameters + gradients + averages
    checkpoint = 4 * trainable + averages
    return memory, checkpoint


def _test_training_bytes(answer):
    def counts(memory, checkpoint):
        return lambda p, t: (memory(p, t), checkpoint(p, t))

    def right(p, t):
        return 4 * p + 12 * t

    def file(p, t):
        return 12 * t

    compare(answer, training_bytes, [
        ("all weights trained", (1000, 1000)), ("ten of 1,010 weights trained", (1010, 10)), ("", (134_515_008, 4_884_480)), ("nothing trained", (700, 0)),
    ], [
        ("Memory: you counted the weights alone. Training also keeps gradients and Adam's two averages.", counts(lambda p, t: 4 * p, file)),
        ("Memory: weights and gradients are there, Adam's two averages are not.", counts(lambda p, t: 4 * p + 4 * t, file)),
        ("Memory: one number per trained weight is missing: it has a gradient, and Adam's *two* averages.", counts(lambda p, t: 4 * p + 8 * t, file)),
        ("Memory: frozen weights need no gradient and no averages.", counts(lambda p, t: 16 * p, file)),
        ("Memory: the frozen weights are still in memory, 4 bytes each.", counts(lambda p, t: 16 * t, file)),
        ("Memory: you counted numbers; each takes 4 bytes.", counts(lambda p, t: p + 3 * t, file)),
        ("Bytes are wanted, not gigabytes.", counts(lambda p, t: right(p, t) / 1e9, lambda p, t: file(p, t) / 1e9)),
        ("You counted numbers, not bytes: each takes 4.", counts(lambda p, t: p + 3 * t, lambda p, t: 3 * t)),
        ("Checkpoint: the gradients are in your file. They are computed anew at each step.", counts(right, lambda p, t: 16 * t)),
        ("Checkpoint: the frozen weights are in your file. They come from the base model again.", counts(right, lambda p, t: 4 * p + 8 * t)),
        ("Checkpoint: the whole memory is in your file. Frozen weights and gradients need not be kept.", counts(right, right)),
        ("Checkpoint: without Adam's averages the run begins anew instead of going on.", counts(right, lambda p, t: 4 * t)),
        ("Checkpoint: one number per trained weight is missing: the weight itself is kept, and Adam's *two* averages.", counts(right, lambda p, t: 8 * t)),
        ("The two are exchanged: memory first, then the checkpoint.", lambda p, t: training_bytes(p, t)[::-1]),
    ])  # fmt: skip


# ------------------------------------------------------------ lab2.6 counting LoRA's weights


def lora_parameters(shapes, r):
    return sum(r * (fan_in + fan_out) for fan_in, fan_out in shapes)


def _test_lora_parameters(answer):
    def each(count):
        return lambda shapes, r: sum(count(i, o, r) for i, o in shapes)

    compare(answer, lora_parameters, [
        ("", ([(10, 20)], 3)), ("several layers", ([(10, 20), (20, 10), (7, 3)], 3)), ("FLAN-T5-base, q and v", ([(768, 768)] * 72, 32)),
        ("r = 1", ([(5, 9), (9, 5)], 1)), ("no layer", ([], 4)),
    ], [
        ("You counted r full matrices: A has shape [r, in], B has [out, r].", each(lambda i, o, r: r * i * o)),
        ("You counted the frozen matrices: A has shape [r, in], B has [out, r].", each(lambda i, o, r: i * o)),
        ("You counted the frozen matrices as well; only A and B are wanted.", each(lambda i, o, r: i * o + r * (i + o))),
        ("You counted one of the two thin matrices, A.", each(lambda i, o, r: r * i)), ("You counted one of the two thin matrices, B.", each(lambda i, o, r: r * o)),
        ("You counted A twice: B has as many columns as A has rows, but `out` rows.", each(lambda i, o, r: 2 * r * i)),
        ("You counted the first layer only: add the layers up.", lambda shapes, r: lora_parameters(shapes[:1], r)),
        ("You took every layer for the first one: their shapes differ.", lambda shapes, r: len(shapes) * lora_parameters(shapes[:1], r)),
        ("You multiplied A's and B's weights: the two are stored side by side, add them.", each(lambda i, o, r: r * i * o * r)),
        ("r is missing: both matrices have r rows or columns.", each(lambda i, o, r: i + o)),
        ("You added a bias; A and B have none.", each(lambda i, o, r: r * (i + o) + r + o)),
    ])  # fmt: skip


# ------------------------------------------------------------ lab2.7 spot the bug: learning rates


def pick_rates(runs):
    best = {}
    for run in runs:
        method, loss = run["method"], run["validation"]
        if loss is not None and (method not in best or loss < best[method][0]):
            best[method] = (loss, run["rate"])
    return {method: rate for method, (loss, rate) in best.items()}


def _lowest(runs, key, method=None):
    kept = [run for run in runs if run[key] is not None and method in (None, run["method"])]
    return min(kept, key=lambda run: run[key])["rate"]


def _test_pick_rates(answer):
    def run(method, rate, train, validation):
        return {"method": method, "rate": rate, "train": train, "validation": validation}

    one = [
        run("full", 1e-5, 2.8, 2.7), run("full", 1e-4, 2.2, 2.4), run("full", 1e-3, 1.5, 3.0), run("LoRA", 1e-4, 2.7, 2.6),
        run("LoRA", 1e-3, 2.3, 2.3), run("LoRA", 2e-3, 1.9, 2.35), run("LoRA", 1e-2, None, None),
    ]  # fmt: skip
    two = [
        run("LoRA", 3e-2, None, None), run("full", 3e-3, None, None), run("LoRA", 3e-3, 1.7, 1.9), run("full", 3e-5, 1.4, 1.8),
        run("LoRA", 3e-4, 1.6, 2.1), run("full", 3e-4, 1.8, 1.75), run("full", 3e-6, 2.4, 2.6), run("LoRA", 3e-5, 2.4, 2.5),
    ]  # fmt: skip

    def per_method(full, lora):
        return lambda runs: {"full": _lowest(runs, full, "full"), "LoRA": _lowest(runs, lora, "LoRA")}

    def highest(runs):
        return {m: max((r for r in runs if r["method"] == m and r["validation"] is not None), key=lambda r: r["validation"])["rate"] for m in ("full", "LoRA")}

    compare(answer, pick_rates, [
        ("", (one,)), ("other runs", (two,)), ("the runs in another order", (one[::-1],)), ("", (two[3:] + two[:3],)),
    ], [
        ("LoRA got the rate of full fine-tuning, and that one by the *training* loss: what was learnt by heart wins there.", lambda runs: dict.fromkeys(("full", "LoRA"), _lowest(runs, "train", "full"))),
        ("LoRA got the rate of full fine-tuning: each method needs its own search.", lambda runs: dict.fromkeys(("full", "LoRA"), _lowest(runs, "validation", "full"))),
        ("You searched the lowest loss over both methods at once: each needs its own search.", lambda runs: dict.fromkeys(("full", "LoRA"), _lowest(runs, "validation"))),
        ("You chose by the *training* loss: a rate that learns by heart wins there.", per_method("train", "train")),
        ("You chose LoRA's rate by the *training* loss.", per_method("validation", "train")),
        ("You chose the rate of full fine-tuning by the *training* loss.", per_method("train", "validation")),
        ("You chose the highest validation loss; a loss is better when it is low.", highest),
        ("You looked at no loss: the last run of each method won.", lambda runs: {r["method"]: r["rate"] for r in runs if r["validation"] is not None}),
        ("You looked at no loss: the last run of each method won.", lambda runs: {r["method"]: r["rate"] for r in runs}),
        ("You looked at no loss: the first run of each method won.", lambda runs: {r["method"]: r["rate"] for r in runs[::-1]}),
        ("These are the losses; the rates are wanted.", lambda runs: {m: min(r["validation"] for r in runs if r["method"] == m and r["validation"] is not None) for m in ("full", "LoRA")}),
    ])  # fmt: skip


# ------------------------------------------------------------ lab2.8 merging


def merged_weight(W, A, B, alpha):
    return (W.float() + alpha / A.shape[0] * B @ A).to(W.dtype)


def _test_merged_weight(answer):
    generator = torch.Generator().manual_seed(0)

    def layer(out, fan_in, r, dtype=torch.float32):
        return torch.randn(out, fan_in, generator=generator).to(dtype), torch.randn(r, fan_in, generator=generator), torch.randn(out, r, generator=generator)

    def scaled(scale):
        return lambda W, A, B, alpha: W + scale(A, B, alpha) * B @ A

    compare(answer, merged_weight, [
        ("", (*layer(5, 3, 2), 6.0)), ("alpha is no multiple of r", (*layer(4, 6, 3), 8)),
        ("r = 1", (*layer(3, 2, 1), 0.5)), ("a square layer", (*layer(4, 4, 2), 5)),
    ], [
        ("That is the update alone: add it to W.", lambda W, A, B, alpha: alpha / len(A) * B @ A),
        ("The scale is missing: how strongly the detour counts depends on alpha and r.", scaled(lambda A, B, alpha: 1)),
        ("You multiplied by alpha alone; the scale depends on r, too.", scaled(lambda A, B, alpha: alpha)),
        ("alpha is not a multiple of r everywhere: `//` cuts the fraction off.", scaled(lambda A, B, alpha: alpha // len(A))),
        ("You divided alpha by the layer's width: r is the number of rows of A.", scaled(lambda A, B, alpha: alpha / A.shape[1])),
        ("You divided alpha by the layer's width: r is the number of rows of A.", scaled(lambda A, B, alpha: alpha / len(B))),
        ("You divided alpha by the root of r, as rank-stabilised LoRA does; here it is r itself.", scaled(lambda A, B, alpha: alpha / len(A) ** 0.5)),
        ("You divided r by alpha; it is the other way round.", scaled(lambda A, B, alpha: len(A) / alpha)),
        ("The weight is in float32 and came back in 16 bits: give the result W's dtype.", lambda W, A, B, alpha: merged_weight(W, A, B, alpha).bfloat16()),
        ("The weight is in float32 and came back in 16 bits: give the result W's dtype.", lambda W, A, B, alpha: merged_weight(W, A, B, alpha).half()),
        ("You took the update away: that is unmerging.", scaled(lambda A, B, alpha: -alpha / len(A))),
    ])  # fmt: skip

    def same(a, b):
        exact = b.dtype == torch.bfloat16
        return a.dtype == b.dtype and (torch.equal(a, b) if exact else alike(a, b))

    def rounded_first(W, A, B, alpha):
        return W + alpha / len(A) * (B.to(W.dtype) @ A.to(W.dtype))

    compare(answer, merged_weight, [("a bfloat16 weight", (*layer(16, 24, 4, torch.bfloat16), 6))], [
        ("A weight in bfloat16 came back in float32: it has to fit into the layer, so give it W's dtype.", lambda W, A, B, alpha: W + alpha / len(A) * B @ A),
        ("In bfloat16 the update was rounded before it was added, and the sum once more: add in float32 and round once.", lambda W, A, B, alpha: W + (alpha / len(A) * B @ A).to(W.dtype)),
        ("In bfloat16 A and B were rounded before they were multiplied: compute in float32 and round once, at the end.", rounded_first),
    ], same)  # fmt: skip


# ------------------------------------------------------------ lab2.9 spot the bug: references by dialogue


def by_dialogue(rows):
    merged = {}
    for row in rows:
        merged.setdefault(row["dialogue"], []).append(row["summary"])
    return merged


def _test_by_dialogue(answer):
    def rows(*pairs):
        return [{"dialogue": dialogue, "summary": summary} for dialogue, summary in pairs]

    def shared(rows):
        return dict.fromkeys((r["dialogue"] for r in rows), [r["summary"] for r in rows])

    def neighbours(rows):
        return {key: [r["summary"] for r in group] for key, group in itertools.groupby(rows, lambda r: r["dialogue"])}

    compare(answer, by_dialogue, [
        ("", (rows(("d1", "a"), ("d1", "b"), ("d2", "c")),)),
        ("rows of one dialogue that are apart", (rows(("d1", "a"), ("d3", "x"), ("d2", "c"), ("d1", "d"), ("d1", "b"), ("d3", "a")),)),
        ("one reference twice", (rows(("d2", "a"), ("d1", "a"), ("d2", "a"), ("d2", "b")),)),
        ("dialogues that look alike", (rows(("Ana: hi", "a"), ("ana: hi", "b"), ("Ana: hi ", "c"), ("Ana: hi Bo", "d")),)),
        ("one dialogue", (rows(("d9", "z"), ("d9", "y"), ("d9", "x"), ("d9", "w")),)), ("no row", ([],)),
    ], [
        ("Every dialogue has the references of all: there is one list, which all keys share.", shared),
        ("Each later row overwrote the one before.", lambda rows: {r["dialogue"]: [r["summary"]] for r in rows}),
        ("You kept the first reference of each dialogue only.", lambda rows: {r["dialogue"]: [r["summary"]] for r in rows[::-1]}),
        ("Rows of one dialogue need not be neighbours: later ones replaced the earlier list.", neighbours),
        ("You dropped a reference that two rows share: each row is one reference.", lambda rows: {k: list(dict.fromkeys(v)) for k, v in by_dialogue(rows).items()}),
        ("You sorted the references: keep the order of the rows.", lambda rows: {k: sorted(v) for k, v in by_dialogue(rows).items()}),
        ("The references are in reverse order: keep the order of the rows.", lambda rows: {k: v[::-1] for k, v in by_dialogue(rows).items()}),
        ("Keys and values are exchanged: the dialogue is the key.", lambda rows: by_dialogue([{"dialogue": r["summary"], "summary": r["dialogue"]} for r in rows])),
    ])  # fmt: skip


# ------------------------------------------------------------ lab2.10 wins, ties, losses


def win_tie_loss(a, b, margin):
    difference = np.asarray(a, dtype=float) - np.asarray(b, dtype=float)
    wins, losses = int((difference > margin).sum()), int((difference < -margin).sum())
    return wins, len(difference) - wins - losses, losses


def _test_win_tie_loss(answer):
    def counts(win, lose):
        """Wins, ties, losses, given when x beats y and when it loses."""

        def count(a, b, margin):
            wins = sum(win(x, y, margin) for x, y in zip(a, b))
            losses = sum(lose(x, y, margin) and not win(x, y, margin) for x, y in zip(a, b))
            return wins, len(a) - wins - losses, losses

        return count

    def above(x, y, m):
        return x - y > m

    def below(x, y, m):
        return y - x > m

    a, b = [0.5, 0.3, 0.41, 0.9, 0.2, 0.75, 0.6], [0.3, 0.5, 0.4, 0.1, 0.2, 0.5, 0.52]
    compare(answer, win_tie_loss, [
        ("", (a, b, 0.05)), ("a wider margin", (a, b, 0.3)),
        ("differences of exactly the margin", ([1.0, 0.5, 0.25, 0.75, 0.0], [0.75, 0.75, 0.0, 0.5, 0.5], 0.25)),
        ("small differences, a small margin", ([0.53, 0.5, 0.51, 0.5], [0.5, 0.51, 0.5, 0.54], 0.02)), ("no margin", ([0.5, 0.25, 0.75, 0.5], [0.5, 0.5, 0.5, 0.25], 0.0)),
        ("scores that are not between 0 and 1", ([-3.0, -1.0, 40.0, -2.0, 7.0], [-1.0, -3.0, 38.5, 9.0, 7.5], 1.0)), ("one dialogue", ([0.1], [0.9], 0.05)),
    ], [
        ("You counted b's wins as a's: a wins where a − b is above the margin.", lambda a, b, m: win_tie_loss(b, a, m)),
        ("The order is wins, ties, losses; yours is wins, losses, ties.", lambda a, b, m: (lambda w, t, n: (w, n, t))(*win_tie_loss(a, b, m))),
        ("The order is wins, ties, losses; yours is losses, ties, wins of another order.", lambda a, b, m: (lambda w, t, n: (n, w, t))(*win_tie_loss(a, b, m))),
        ("The order is wins, ties, losses; yours begins with the ties.", lambda a, b, m: (lambda w, t, n: (t, w, n))(*win_tie_loss(a, b, m))),
        ("The margin is not used: small differences are ties.", lambda a, b, m: win_tie_loss(a, b, 0.0)),
        ("A difference of exactly the margin is a tie: a win is *more* than the margin.", counts(lambda x, y, m: x - y >= m, lambda x, y, m: y - x >= m)),
        ("A difference of exactly the margin is a tie: a win is *more* than the margin.", counts(lambda x, y, m: x - y >= m, below)),
        ("A difference of exactly the margin is a tie: a loss is *more* than the margin, too.", counts(above, lambda x, y, m: y - x >= m)),
        ("The margin holds for losses, too: a little worse is a tie.", counts(above, lambda x, y, m: x < y)),
        ("The margin holds for wins, too: a little better is a tie.", counts(lambda x, y, m: x > y, below)),
        ("The margin is a difference of scores, not a share of one of them.", counts(lambda x, y, m: x > y * (1 + m), lambda x, y, m: y > x * (1 + m))),
        ("The margin is a difference of scores, not a share of one of them.", counts(lambda x, y, m: x > y * (1 + m), lambda x, y, m: x < y * (1 - m))),
        ("You rounded the differences: a difference of .03 is more than a margin of .02.", lambda a, b, m: (lambda d: (sum(x > m for x in d), sum(abs(x) <= m for x in d), sum(-x > m for x in d)))([round(x - y, 1) for x, y in zip(a, b)])),
        ("You used half the margin.", lambda a, b, m: win_tie_loss(a, b, m / 2)),
        ("You took the size of the difference: a loss counts as a win then.", lambda a, b, m: (lambda n: (n, len(a) - n, 0))(sum(abs(x - y) > m for x, y in zip(a, b)))),
    ])  # fmt: skip


# ------------------------------------------------------------ lab2.11 forgetting


def forgetting(before, after):
    changes = [b - a for a, b in zip(before, after)]
    n = len(changes)
    mean = sum(changes) / n
    variance = sum((change - mean) ** 2 for change in changes) / (n - 1)
    return mean, (variance / n) ** 0.5


def _test_forgetting(answer):
    def changes(before, after):
        return [b - a for a, b in zip(before, after)]

    def error(spread, root=True):
        """The right mean, with a standard error from ``spread`` of the changes."""
        return lambda x, y: (statistics.fmean(changes(x, y)), spread(changes(x, y)) / (math.sqrt(len(x)) if root else 1))

    def unpaired(x, y):
        return statistics.fmean(y) - statistics.fmean(x), math.sqrt((statistics.variance(x) + statistics.variance(y)) / len(x))

    before, after = [1.2, 0.4, 3.1, 2.25, 0.9], [1.6, 0.3, 3.9, 2.2, 1.75]
    compare(answer, forgetting, [
        ("", (before, after)), ("losses that fell", ([4.0, 2.5, 6.1, 1.0], [3.2, 2.6, 4.4, 0.3])),
        ("two answers", ([0.5, 2.0], [1.0, 2.1])), ("the same change everywhere", ([1.0, 5.0, 3.0], [1.5, 5.5, 3.5])),
        ("unlike answers, small changes", ([9.0, 0.1, 4.0, 0.5, 7.0, 2.0], [9.2, 0.1, 4.1, 0.8, 7.0, 2.3])),
    ], [
        ("The sign is wrong: where the loss rises, something was forgotten, and the change is above 0.", lambda x, y: forgetting(y, x)),
        ("You treated the two lists as unrelated. Both losses of an answer belong together: take the change answer by answer, and its spread.", unpaired),
        ("That is the spread of single changes; the mean of n of them varies less.", error(statistics.stdev, root=False)),
        ("You divided by n where the spread is estimated; n − 1 is asked for.", error(statistics.pstdev)),
        ("You divided by n where the spread is estimated, and the mean of n changes varies less than a single one.", error(statistics.pstdev, root=False)),
        ("A root is missing: you took the variance for the spread.", lambda x, y: (forgetting(x, y)[0], forgetting(x, y)[1] ** 2)),
        ("A root is missing: you took the variance for the spread.", error(statistics.variance)),
        ("You divided the spread by n; by its root.", lambda x, y: (forgetting(x, y)[0], forgetting(x, y)[1] / math.sqrt(len(x)))),
        ("You took the size of each change: a loss that falls takes away from the mean.", lambda x, y: forgetting([0] * len(x), [abs(c) for c in changes(x, y)])),
        ("You added the changes up; their mean is wanted.", lambda x, y: (sum(changes(x, y)), forgetting(x, y)[1])),
        ("You returned the error twice its size, or an interval's half width: one standard error is wanted.", lambda x, y: (forgetting(x, y)[0], 1.96 * forgetting(x, y)[1])),
        ("The two are exchanged: the mean change first.", lambda x, y: forgetting(x, y)[::-1]),
    ])  # fmt: skip


EXERCISES = [
    Exercise("lab2.1", "the mask", make_labels, _test_make_labels, (
        "Prompt, answer and end token make the ids.",
        "How long is the part that is not learnt? The labels are a copy of the ids but for that part.",
    ), returns=answers.tuple_of(answers.wholes, answers.wholes, words="two lists of whole numbers, ids and labels")),
    Exercise("lab2.2", "spot the bug: a collator", pad_batch, _test_pad_batch, (
        "Compare the second row of the three printed parts: which positions are real?",
        "Which label tells cross_entropy to skip a position?",
        "Pad and end share an id here: only the length tells them apart.",
    ), returns=answers.tuple_of(answers.list_of(answers.wholes), _mask, answers.list_of(answers.wholes), words="three lists of rows: input ids, attention mask, labels")),
    Exercise("lab2.3", "spot the bug: before and after", before_and_after, _test_before_and_after, (
        "The toy scores 1 before training and 2 after. Which of the three printed numbers is that of the original?",
        "How many models exist in the colleague's version? And in which mode is each when it is scored?",
    ), returns=answers.tuple_of(answers.number, answers.number, answers.number)),
    Exercise("lab2.4", "gradient clipping", clip, _test_clip, (
        "One norm over all tensors: the root of the sum of all squares.",
        "By which factor does a gradient of norm 5 get the norm 1? And one of norm 0.5? And zeros?",
    ), returns=answers.list_of(answers.tensor, "a list with one tensor for each that was given")),
    Exercise("lab2.5", "bytes to train, and to go on", training_bytes, _test_training_bytes, (
        "Which numbers does a trained weight bring along, and which of them does a frozen one have?",
        "Interrupted and loaded again: what can be computed or fetched anew, and what would be lost?",
    ), returns=answers.tuple_of(answers.number, answers.number, words="two numbers of bytes, in memory and in the checkpoint")),
    Exercise("lab2.6", "counting LoRA's weights", lora_parameters, _test_lora_parameters, (
        "A has shape [r, in], B has [out, r]. How many numbers does each hold?",
        "The layers differ: go through their shapes.",
    ), returns=answers.whole),
    Exercise("lab2.7", "spot the bug: learning rates", pick_rates, _test_pick_rates, (
        "Find the colleague's two rates in the printed log. Which runs were looked at, and in which column?",
        "Search each method by itself, among the runs that have a loss.",
    ), returns=answers.dict_of(answers.number, "a dictionary from each method to a rate")),
    Exercise("lab2.8", "merge an adapter", merged_weight, _test_merged_weight, (
        "What the detour adds to the output, it adds by a matrix of W's shape. Which product has that shape?",
        "r is the number of rows of A; the scale is the one of section 5.1.",
        "A sum in bfloat16 keeps 8 bits. Where should the rounding happen, and how often?",
    ), returns=answers.tensor),
    Exercise("lab2.9", "spot the bug: references by dialogue", by_dialogue, _test_by_dialogue, (
        "Print the colleague's dictionary for three rows of two dialogues.",
        "Are the lists of two dialogues two lists? `a is b` tells.",
    ), returns=answers.dict_of(answers.texts, "a dictionary from each dialogue to its list of references")),
    Exercise("lab2.10", "wins, ties, losses", win_tie_loss, _test_win_tie_loss, (
        "Look at a − b, dialogue by dialogue.",
        "Three cases, and each dialogue belongs to exactly one. Which case holds a difference that equals the margin?",
    ), returns=answers.tuple_of(answers.whole, answers.whole, answers.whole, words="three whole numbers: wins, ties, losses")),
    Exercise("lab2.11", "what was forgotten", forgetting, _test_forgetting, (
        "Each answer has two losses. What is measured once per answer?",
        "The standard error of a mean: the spread of what was averaged, divided by the root of how many there are.",
    ), returns=answers.tuple_of(answers.number, answers.number, words="two numbers, the mean change and its standard error")),
]  # fmt: skip
