"""Lab 2, full fine-tuning against LoRA: reference answers and their tests."""

from __future__ import annotations

import math

import numpy as np
import torch

from .engine import Exercise, Wrong, close

# ------------------------------------------------------------ lab2.1 the mask


def make_labels(prompt_ids, answer_ids, eos_id):
    ids = prompt_ids + answer_ids + [eos_id]
    labels = [-100] * len(prompt_ids) + answer_ids + [eos_id]
    return ids, labels


def _test_make_labels(make_labels):
    prompt, answer = [5, 6, 7], [8, 9]
    try:
        ids, labels = make_labels(list(prompt), list(answer), 2)
        ids, labels = list(ids), list(labels)
    except (TypeError, ValueError):
        raise Wrong("Return two lists: the ids and the labels.") from None
    if ids == [5, 6, 7, 8, 9]:
        raise Wrong("Nothing tells the model to stop: put the end token after the answer.")
    if ids != [5, 6, 7, 8, 9, 2]:
        raise Wrong(f"The ids are prompt, answer, end: [5, 6, 7, 8, 9, 2]; yours are {ids}.")
    if len(labels) != len(ids):
        raise Wrong(f"{len(labels)} labels for {len(ids)} ids: each position needs one.")
    if labels == ids:
        raise Wrong("Your labels include the prompt: the model would be trained to write dialogues.")
    if labels[:3] == [-100] * 2 + [8] or labels[2] == 8:
        raise Wrong("You shifted the labels. The model shifts them itself: label i belongs to id i.")
    if labels[-1] == -100:
        raise Wrong("The end token is masked: the model would never learn to stop.")
    if labels != [-100, -100, -100, 8, 9, 2]:
        raise Wrong(f"Expected −100 for each prompt token, then answer and end; yours: {labels}.")


# ------------------------------------------------------------ lab2.2 spot the bug: padding learnt


def pad_batch(rows, pad_id):
    longest = max(len(ids) for ids, _ in rows)
    input_ids, mask, labels = [], [], []
    for ids, targets in rows:
        gap = longest - len(ids)
        input_ids.append(ids + [pad_id] * gap)
        mask.append([1] * len(ids) + [0] * gap)
        labels.append(targets + [-100] * gap)
    return input_ids, mask, labels


def _test_pad_batch(pad_batch):
    rows = [([5, 6, 7, 2], [-100, 6, 7, 2]), ([8, 2], [-100, 2])]
    got = pad_batch([(list(a), list(b)) for a, b in rows], 2)
    if not isinstance(got, (tuple, list)) or len(got) != 3:
        raise Wrong("Return three lists: input_ids, attention mask, labels.")
    ids, mask, labels = ([list(row) for row in part] for part in got)
    if ids != [[5, 6, 7, 2], [8, 2, 2, 2]]:
        raise Wrong("Pad the ids on the right, up to the longest row.")
    if labels[1] == [-100, 2, 2, 2]:
        raise Wrong("The labels still hold pad tokens: two of this row's three targets are padding.")
    if labels[1][1] == -100:
        raise Wrong("You masked every 2, and with them the end token, which the model must learn.")
    if labels != [[-100, 6, 7, 2], [-100, 2, -100, -100]]:
        raise Wrong(f"The labels should be [-100, 2, -100, -100] in row two; yours: {labels[1]}.")
    if mask[1] == [1, 0, 0, 0] or mask[0] == [1, 1, 1, 0]:
        raise Wrong("The mask hides the real end token: take it from the lengths, not from ids != pad.")
    if mask[1] == [1, 1, 1, 1]:
        raise Wrong("The model would attend to padding: its mask is 0.")
    if mask != [[1, 1, 1, 1], [1, 1, 0, 0]]:
        raise Wrong(f"The mask should be [1, 1, 0, 0] in row two; yours: {mask[1]}.")


# ------------------------------------------------------------ lab2.3 spot the bug: the baseline


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
        self.weight = torch.nn.Parameter(torch.ones(1))


def _test_before_and_after(before_and_after):
    def train(model):
        model.train()
        with torch.no_grad():
            model.weight += 1

    def score(model):
        return round(model.weight.item() * (0.5 if model.training else 1.0), 3)

    got = before_and_after(_Toy, train, score)
    if not isinstance(got, (tuple, list)) or len(got) != 3:
        raise Wrong("Return three scores: the original before, the tuned one, the original again.")
    before, tuned, again = got
    if again in (1.0, 2.0) and tuned == 1.0:
        raise Wrong("The tuned model was scored in training mode, with dropout: call eval() on it.")
    if again != before and again in (2.0, 1.0):
        raise Wrong("The original changed: `tuned = original` is a second name, not a second model.")
    if 0.5 in got:
        raise Wrong("A model that was just loaded may be in training mode: call eval() before scoring.")
    if tuned == 1.0:
        raise Wrong("The tuned model was scored in training mode, with dropout: call eval() on it.")
    if tuned == before:
        raise Wrong("The tuned model scores like the original: did you train it?")
    if (before, tuned, again) != (1.0, 2.0, 1.0):
        raise Wrong(f"Expected 1.0, 2.0 and 1.0 for the toy model; you returned {tuple(got)}.")


# ------------------------------------------------------------ lab2.4 gradient clipping


def clip(gradients, max_norm):
    norm = sum((g**2).sum() for g in gradients).sqrt()
    scale = min(1.0, max_norm / max(norm.item(), 1e-12))
    return [g * scale for g in gradients]


def _test_clip(clip):
    a, b = torch.tensor([3.0, 0.0]), torch.tensor([[4.0]])
    got = clip([a.clone(), b.clone()], 1.0)
    if not isinstance(got, (list, tuple)) or len(got) != 2:
        raise Wrong("Return a list with one tensor for each tensor you were given.")
    if close(got[0], [1.0, 0.0]) and close(got[1], [[1.0]]):
        raise Wrong("You clipped each tensor by itself: that turns the direction. Use one norm for all.")
    if close(got[0], [3 / 7, 0.0]):
        raise Wrong("You added the norms (3 + 4). Add the squares, then take the root: 5.")
    if close(got[0], [0.12, 0.0]):
        raise Wrong("You divided by the squared norm, 25. Take the root.")
    if not (close(got[0], [0.6, 0.0]) and close(got[1], [[0.8]])):
        raise Wrong(f"[3, 0] and [4] have norm 5: with max_norm 1 they become [.6, 0] and [.8]; yours: {got}.")
    small = clip([a.clone() / 10, b.clone() / 10], 1.0)
    if not close(small[0], [0.3, 0.0]):
        raise Wrong("A gradient of norm 0.5 came out larger: clipping only ever makes it smaller.")
    if not close(clip([torch.zeros(2)], 1.0)[0], [0.0, 0.0]):
        raise Wrong("A gradient of zeros must stay zeros: 0 divided by its norm, 0, is NaN.")


# ------------------------------------------------------------ lab2.5 memory of training


def training_bytes(parameters, trainable):
    weights = 4 * parameters
    gradients = 4 * trainable
    adam = 2 * 4 * trainable
    return weights + gradients + adam


def _test_training_bytes(training_bytes):
    full, lora = training_bytes(1000, 1000), training_bytes(1010, 10)
    if full == 4000:
        raise Wrong("That is the weights alone. Training also keeps gradients and Adam's two averages.")
    if full == 8000:
        raise Wrong("Weights and gradients: Adam keeps two more numbers a trainable weight.")
    if full == 12000:
        raise Wrong("Adam keeps *two* averages, of the gradient and of its square.")
    if full != 16000:
        raise Wrong(f"1,000 weights, all trained: 4 × 4 bytes each, 16,000, not {full:,}.")
    if lora == 16160:
        raise Wrong("Frozen weights need no gradient and no Adam state.")
    if lora == 16 * 10:
        raise Wrong("The frozen weights are still in memory: 4 bytes each.")
    if lora != 4160:
        raise Wrong(f"1,010 weights, 10 trained: 4,040 + 12 × 10 = 4,160, not {lora:,}.")


# ------------------------------------------------------------ lab2.6 counting LoRA's weights


def lora_parameters(shapes, r):
    return sum(r * (fan_in + fan_out) for fan_in, fan_out in shapes)


def _test_lora_parameters(lora_parameters):
    got = lora_parameters([(10, 20)], 2)
    if got == 400:
        raise Wrong("10 × 20 × 2 counts a full matrix r times. A is [r, in], B is [out, r].")
    if got == 200:
        raise Wrong("10 × 20 is the frozen matrix itself. A is [r, in], B is [out, r].")
    if got in (20, 40):
        raise Wrong("You counted one of the two thin matrices: A has r·in weights, B has out·r.")
    if got != 60:
        raise Wrong(f"A layer 10 → 20 at r = 2: 2·10 + 20·2 = 60, not {got}.")
    if lora_parameters([(768, 768)] * 72, 32) != 3_538_944:
        raise Wrong("72 layers of 768 × 768 at r = 32 make 3,538,944 (FLAN-T5-base, q and v): add them up.")


# ------------------------------------------------------------ lab2.7 spot the bug: learning rates


def pick_rates(runs):
    best = {}
    for run in runs:
        loss = run["validation"]
        if loss is None or not math.isfinite(loss):
            continue
        method = run["method"]
        if method not in best or loss < best[method][0]:
            best[method] = (loss, run["rate"])
    return {method: rate for method, (loss, rate) in best.items()}


def _test_pick_rates(pick_rates):
    runs = [
        {"method": "full", "rate": 1e-5, "train": 2.8, "validation": 2.7},
        {"method": "full", "rate": 1e-4, "train": 2.2, "validation": 2.4},
        {"method": "full", "rate": 1e-3, "train": 1.5, "validation": 3.0},
        {"method": "LoRA", "rate": 1e-4, "train": 2.7, "validation": 2.6},
        {"method": "LoRA", "rate": 1e-3, "train": 2.3, "validation": 2.3},
        {"method": "LoRA", "rate": 1e-2, "train": None, "validation": None},
        {"method": "LoRA", "rate": 3e-2, "train": math.nan, "validation": math.nan},
    ]
    try:
        got = dict(pick_rates([dict(run) for run in runs]))
    except TypeError:
        raise Wrong("A run that diverged has the loss None: leave it out, or return a dictionary.") from None
    if set(got) != {"full", "LoRA"}:
        raise Wrong("Return one rate for each method: {'full': …, 'LoRA': …}.")
    if got["full"] == 1e-3:
        raise Wrong("You chose by the *training* loss: a rate that memorises wins. Use validation.")
    if got["LoRA"] in (1e-2, 3e-2):
        raise Wrong("You chose a run that diverged: its loss is None or NaN.")
    if got["full"] == got["LoRA"]:
        raise Wrong("Both methods got the same rate: each needs its own search.")
    if got != {"full": 1e-4, "LoRA": 1e-3}:
        raise Wrong(f"The lowest validation losses are at 1e-4 (full) and 1e-3 (LoRA); yours: {got}.")
    if pick_rates(runs[::-1]) != {"full": 1e-4, "LoRA": 1e-3}:
        raise Wrong("Your answer depends on the order of the runs.")


# ------------------------------------------------------------ lab2.8 merging


def merged_weight(W, A, B, alpha):
    return W + alpha / A.shape[0] * B @ A


def _test_merged_weight(merged_weight):
    torch.manual_seed(0)
    W, A, B = torch.randn(5, 3), torch.randn(2, 3), torch.randn(5, 2)
    before = W.clone()
    got = merged_weight(W, A, B, 6.0)
    if not close(W, before):
        raise Wrong("You changed W in place: whoever still holds it now has a merged weight.")
    if not isinstance(got, torch.Tensor) or got.shape != W.shape:
        raise Wrong("The merged weight has the shape of W, [out, in] = [5, 3]: B is [5, 2], A is [2, 3].")
    if close(got, 3 * (B @ A), 1e-5):
        raise Wrong("That is the update alone: add it to W.")
    if close(got, W + B @ A, 1e-5):
        raise Wrong("The scale α / r is missing.")
    if close(got, W + 6 * B @ A, 1e-5):
        raise Wrong("The scale is α / r, here 6 / 2 = 3, not α.")
    if close(got, W + 6 / 3 * B @ A, 1e-5) or close(got, W + 6 / 5 * B @ A, 1e-5):
        raise Wrong("You divided α by the layer's width. r is the number of rows of A.")
    if not close(got, W + 3 * B @ A, 1e-5):
        raise Wrong("Expected W + (α / r) · B A.")


# ------------------------------------------------------------ lab2.9 spot the bug: ten rows


def by_dialogue(rows):
    merged = {}
    for row in rows:
        merged.setdefault(row["dialogue"], []).append(row["summary"])
    return merged


def _test_by_dialogue(by_dialogue):
    rows = [
        {"dialogue": "d1", "summary": "a"},
        {"dialogue": "d1", "summary": "b"},
        {"dialogue": "d2", "summary": "c"},
        {"dialogue": "d1", "summary": "d"},
    ]
    got = by_dialogue([dict(row) for row in rows])
    if not isinstance(got, dict):
        raise Wrong("Return a dictionary: dialogue → list of its references.")
    if any(isinstance(texts, str) for texts in got.values()):
        raise Wrong("Each later row overwrote the one before: keep a *list* of references.")
    if set(got) != {"d1", "d2"}:
        raise Wrong("The keys are the dialogues: d1 and d2.")
    if list(got["d1"]) == ["a", "b"]:
        raise Wrong("Rows of one dialogue need not stand together: d1 has a third reference further down.")
    if {k: list(v) for k, v in got.items()} != {"d1": ["a", "b", "d"], "d2": ["c"]}:
        raise Wrong(f"Expected d1: [a, b, d] and d2: [c]; yours: {got}.")


# ------------------------------------------------------------ lab2.10 wins, ties, losses


def win_tie_loss(a, b, margin):
    difference = np.asarray(a, dtype=float) - np.asarray(b, dtype=float)
    wins, losses = int((difference > margin).sum()), int((difference < -margin).sum())
    return wins, len(difference) - wins - losses, losses


def _test_win_tie_loss(win_tie_loss):
    a, b = [0.50, 0.30, 0.41, 0.10, 0.20], [0.30, 0.50, 0.40, 0.40, 0.20]
    got = win_tie_loss(a, b, 0.05)
    if not isinstance(got, (tuple, list)) or len(got) != 3:
        raise Wrong("Return three counts: wins, ties, losses.")
    got = tuple(int(x) for x in got)
    if sum(got) != 5:
        raise Wrong(f"Five dialogues, but your counts add up to {sum(got)}.")
    if got == (2, 2, 1):
        raise Wrong("You counted b's wins as a's: a wins where a − b is above the margin.")
    if got[1] == 1:
        raise Wrong(".41 against .40 is within the margin of .05: a tie.")
    if got != (1, 2, 2):
        raise Wrong(f"Here a wins once, ties twice and loses twice; yours: {got}.")


EXERCISES = [
    Exercise("lab2.1", "the mask", make_labels, _test_make_labels, (
        "Prompt, answer and end token make the ids.",
        "The labels are a copy of the ids in which each prompt token is −100.",
    )),
    Exercise("lab2.2", "spot the bug: padding is learnt", pad_batch, _test_pad_batch, (
        "Which label tells cross_entropy to skip a position?",
        "Pad and end share an id here: only the length tells them apart.",
    )),
    Exercise("lab2.3", "spot the bug: the contaminated baseline", before_and_after, _test_before_and_after, (
        "How many models exist in the broken version?",
        "Call load() twice, and eval() before each score.",
    )),
    Exercise("lab2.4", "gradient clipping", clip, _test_clip, (
        "One norm over all tensors: the root of the sum of all squares.",
        "Multiply every tensor by min(1, max_norm / norm).",
    )),
    Exercise("lab2.5", "bytes to train", training_bytes, _test_training_bytes, (
        "Four numbers a trainable weight: itself, its gradient, two Adam averages.",
        "A frozen weight is one number. Each number takes 4 bytes in fp32.",
    )),
    Exercise("lab2.6", "counting LoRA's weights", lora_parameters, _test_lora_parameters, (
        "A is [r, in], B is [out, r].",
        "r · (in + out) for each layer.",
    )),
    Exercise("lab2.7", "spot the bug: a learning rate from the wrong method", pick_rates, _test_pick_rates, (
        "Search each method by itself.",
        "Compare validation losses, and skip a run whose loss is None or NaN.",
    )),
    Exercise("lab2.8", "merge an adapter", merged_weight, _test_merged_weight, (
        "W + (α / r) · B A",
        "r is the number of rows of A.",
    )),
    Exercise("lab2.9", "spot the bug: ten rows, four dialogues", by_dialogue, _test_by_dialogue, (
        "A dictionary with the dialogue as its key.",
        "dict.setdefault(key, []).append(value)",
    )),
    Exercise("lab2.10", "wins, ties, losses", win_tie_loss, _test_win_tie_loss, (
        "Look at a − b, dialogue by dialogue.",
        "Above margin: a win. Below −margin: a loss. Everything else: a tie.",
    )),
]  # fmt: skip
