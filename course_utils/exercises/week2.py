"""Week 2: reference answers and their tests.

As in week 1: a reference has the name and the parameters of the stub, and uses only names that the
notebook has imported.
"""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import torch

from .engine import Exercise, Wrong
from .week1 import _close

# ------------------------------------------------------------ tuning.1 fill a template


def fill_template(template, row):
    for column, text in row.items():
        template = template.replace("{" + column + "}", text)
    return template


def _test_fill_template(fill_template):
    template = "{dialogue}\n\nIn short: {summary} (write {{}} for a set)"
    row = {"dialogue": "Ana: x = {1}\nBo: Yes.", "summary": "Ana writes {1}."}
    got = fill_template(template, dict(row))
    if got == template:
        raise Wrong("The template came back unchanged: replace {dialogue} and {summary}.")
    if not isinstance(got, str):
        raise Wrong("Return the filled text.")
    if "{summary}" in got:
        raise Wrong("{summary} is still there: fill in every column of the row.")
    if "{1}" not in got or "{{}}" not in got:
        raise Wrong("Braces that belong to the text were changed: str.format gives them a meaning.")
    if got != "Ana: x = {1}\nBo: Yes.\n\nIn short: Ana writes {1}. (write {{}} for a set)":
        raise Wrong(f"Nothing else may change; yours: {got!r}.")


# ------------------------------------------------------------ tuning.2 spot the bug: the split


def split(rows, share, seed):
    dialogues = sorted({row["dialogue"] for row in rows})
    np.random.default_rng(seed).shuffle(dialogues)
    test = set(dialogues[: round(share * len(dialogues))])
    return [r for r in rows if r["dialogue"] not in test], [r for r in rows if r["dialogue"] in test]


def _test_split(split):
    rows = [{"dialogue": f"d{i // 3}", "summary": f"s{i}"} for i in range(30)]
    for seed in range(5):
        train, test = split([dict(row) for row in rows], 0.2, seed)
        if not len(test):
            raise Wrong("The test part is empty: with 10 dialogues and a share of .2 it holds 2.")
        if len(train) + len(test) != len(rows):
            raise Wrong("Rows were lost or doubled: each belongs to exactly one part.")
        if {r["dialogue"] for r in train} & {r["dialogue"] for r in test}:
            raise Wrong("A dialogue stands in both parts: its test answer was seen in training.")
        if len({r["dialogue"] for r in test}) != 2:
            raise Wrong("The share is of the dialogues: 2 of 10 are for the test.")
    if split(rows, 0.2, 1) != split(rows, 0.2, 1):
        raise Wrong("The same seed gave another split: seed a generator inside the function.")
    if all(split(rows, 0.2, s) == split(rows, 0.2, 0) for s in range(5)):
        raise Wrong("Whatever the seed, the split is the same: use it to draw.")


# ------------------------------------------------------------ tuning.3 the loss by hand


def answer_loss(logits, labels):
    following = labels[1:]
    log_probs = logits[:-1].log_softmax(-1)
    wanted = following != -100
    return -log_probs[wanted].gather(1, following[wanted][:, None]).mean()


def _test_answer_loss(answer_loss):
    torch.manual_seed(0)
    logits, labels = torch.randn(6, 5), torch.tensor([-100, -100, 3, 1, -100, 4])
    want = answer_loss_of(logits, labels)
    got = torch.as_tensor(answer_loss(logits.clone(), labels.clone()))
    if got.numel() != 1:
        raise Wrong(f"A loss is one number; yours has the shape {tuple(got.shape)}.")
    if got < 0:
        raise Wrong("A negative loss: log-probabilities are below 0, the loss is *minus* their mean.")
    unshifted = torch.nn.functional.cross_entropy(logits, labels)
    if _close(got, unshifted):
        raise Wrong("You did not shift: position i predicts the token at i + 1.")
    if _close(got, torch.nn.functional.cross_entropy(logits[:-1], labels[1:].clamp(0))):
        raise Wrong("Positions labelled −100 count in your loss: leave them out.")
    if _close(got, want * 3):
        raise Wrong("You returned the sum; the loss is the mean over the answer tokens.")
    if _close(got, want * 3 / 5) or _close(got, want / 2):
        raise Wrong("Divide by the number of answer tokens, 3 here, not by all positions.")
    if not _close(got, want):
        raise Wrong(f"For the check's example the loss is {want:.4f}; yours is {got.item():.4f}.")


def answer_loss_of(logits, labels):
    """The library's value for the check above."""
    return torch.nn.functional.cross_entropy(logits[:-1], labels[1:])


# ------------------------------------------------------------ tuning.4 spot the bug: "in"


def is_right(answer, output):
    def plain(text):
        return text.strip().strip(".!\"' ").lower()

    return plain(answer) == plain(output)


def _test_is_right(is_right):
    if is_right("not positive", "positive"):
        raise Wrong("'not positive' counted as 'positive': looking for a word *inside* an answer is too kind.")
    if is_right("positive or negative", "positive"):
        raise Wrong("An answer that names every option was counted as right.")
    if not is_right("Positive.", "positive"):
        raise Wrong("'Positive.' was counted as wrong for its capital or its full stop: compare the plain words.")
    if not is_right(" positive\n", "positive"):
        raise Wrong("Spaces around the answer should not matter.")
    if is_right("", "positive"):
        raise Wrong("An empty answer is not right.")


# ------------------------------------------------------------ tuning.5 ROUGE-1


def rouge_1(prediction, reference):
    a, b = Counter(prediction.split()), Counter(reference.split())
    shared = sum((a & b).values())
    if shared == 0:
        return 0.0
    precision, recall = shared / sum(a.values()), shared / sum(b.values())
    return 2 * precision * recall / (precision + recall)


def _test_rouge_1(rouge_1):
    got = rouge_1("bo pays 40", "bo pays 40 on monday")
    if _close(got, 0.6):
        raise Wrong("That is the recall, 3 of 5. ROUGE's F-measure also asks how much of the prediction fits.")
    if _close(got, 1.0):
        raise Wrong("That is the precision, 3 of 3. ROUGE's F-measure also asks how much is missing.")
    if _close(got, 0.8):
        raise Wrong("You took the ordinary mean of 1.0 and 0.6; F is the harmonic mean, 0.75.")
    if not _close(got, 0.75):
        raise Wrong(f"Precision 3/3, recall 3/5: the harmonic mean is 0.75, not {got:.3f}.")
    if not _close(rouge_1("the the the", "the cat"), 0.4):
        raise Wrong("'the the the' against 'the cat': a word counts at most as often as the reference has it.")
    if rouge_1("a b", "c d") != 0:
        raise Wrong("Nothing in common is 0, not an error.")


# ------------------------------------------------------------ tuning.6 longest common subsequence


def lcs(a, b):
    lengths = [0] * (len(b) + 1)
    for x in a:
        diagonal = 0
        for j, y in enumerate(b, 1):
            above = lengths[j]
            lengths[j] = diagonal + 1 if x == y else max(above, lengths[j - 1])
            diagonal = above
    return lengths[-1]


def _test_lcs(lcs):
    if lcs("the dog bit the man".split(), "the man bit the dog".split()) in (4, 5):
        raise Wrong("You counted shared words. The order counts too: 'the … bit the …' is 3 long.")
    if lcs(list("abxcd"), list("abcd")) == 2:
        raise Wrong("You stopped at the first difference: a subsequence may have gaps.")
    for a, b, want in (("the dog bit the man", "the man bit the dog", 3), ("a b c", "", 0), ("a b", "a b", 2)):
        if lcs(a.split(), b.split()) != want:
            raise Wrong(f"{a!r} and {b!r} share a subsequence of {want}; yours: {lcs(a.split(), b.split())}.")
    if lcs(list("abxcd"), list("abcd")) != 4:
        raise Wrong("a b x c d and a b c d share a b c d, with a gap.")


# ------------------------------------------------------------ tuning.7 contamination


def contaminated(train, test, n):
    words = test.lower().split()
    grams = {tuple(words[i : i + n]) for i in range(len(words) - n + 1)}
    for text in train:
        seen = text.lower().split()
        if any(tuple(seen[i : i + n]) in grams for i in range(len(seen) - n + 1)):
            return True
    return False


def _test_contaminated(contaminated):
    train = ["Note: the capital of Peru is Lima , as you know", "What is the price of tea ?"]
    if not contaminated(train, "The capital of Peru is Lima", 4):
        raise Wrong("The question stands *inside* a longer training text, in other capitals: compare runs of n words.")
    if contaminated(train, "What is the capital of Mali ?", 4):
        raise Wrong("Shared single words or short runs are ordinary; only a run of n words is suspicious.")
    if contaminated(["a b", "c d"], "a b c d", 4):
        raise Wrong("You joined the training texts: a run across two of them was never seen.")
    if contaminated(train, "of tea", 4):
        raise Wrong("A text shorter than n has no run of n words: False.")


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
    scale = min(1.0, max_norm / norm.item())
    return [g * scale for g in gradients]


def _test_clip(clip):
    a, b = torch.tensor([3.0, 0.0]), torch.tensor([[4.0]])
    got = clip([a.clone(), b.clone()], 1.0)
    if not isinstance(got, (list, tuple)) or len(got) != 2:
        raise Wrong("Return a list with one tensor for each tensor you were given.")
    if _close(got[0], [1.0, 0.0]) and _close(got[1], [[1.0]]):
        raise Wrong("You clipped each tensor by itself: that turns the direction. Use one norm for all.")
    if _close(got[0], [3 / 7, 0.0]):
        raise Wrong("You added the norms (3 + 4). Add the squares, then take the root: 5.")
    if _close(got[0], [0.12, 0.0]):
        raise Wrong("You divided by the squared norm, 25. Take the root.")
    if not (_close(got[0], [0.6, 0.0]) and _close(got[1], [[0.8]])):
        raise Wrong(f"[3, 0] and [4] have norm 5: with max_norm 1 they become [.6, 0] and [.8]; yours: {got}.")
    small = clip([a.clone() / 10, b.clone() / 10], 1.0)
    if not _close(small[0], [0.3, 0.0]):
        raise Wrong("A gradient of norm 0.5 came out larger: clipping only ever makes it smaller.")


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
    if not _close(W, before):
        raise Wrong("You changed W in place: whoever still holds it now has a merged weight.")
    if not isinstance(got, torch.Tensor) or got.shape != W.shape:
        raise Wrong("The merged weight has the shape of W, [out, in] = [5, 3]: B is [5, 2], A is [2, 3].")
    if _close(got, 3 * (B @ A), 1e-5):
        raise Wrong("That is the update alone: add it to W.")
    if _close(got, W + B @ A, 1e-5):
        raise Wrong("The scale α / r is missing.")
    if _close(got, W + 6 * B @ A, 1e-5):
        raise Wrong("The scale is α / r, here 6 / 2 = 3, not α.")
    if _close(got, W + 6 / 3 * B @ A, 1e-5) or _close(got, W + 6 / 5 * B @ A, 1e-5):
        raise Wrong("You divided α by the layer's width. r is the number of rows of A.")
    if not _close(got, W + 3 * B @ A, 1e-5):
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


# ------------------------------------------------------------ peft.1 the forward pass


def lora_forward(x, W, A, B, alpha):
    return x @ W.T + alpha / A.shape[0] * (x @ A.T @ B.T)


def _test_lora_forward(lora_forward):
    torch.manual_seed(0)
    x, W, A, B = torch.randn(4, 3), torch.randn(5, 3), torch.randn(2, 3), torch.randn(5, 2)
    got = lora_forward(x, W, A, B, 6.0)
    if not isinstance(got, torch.Tensor) or got.shape != (4, 5):
        raise Wrong("x is [4, 3] and W is [5, 3]: the result is [4, 5]. Multiply by the transposes.")
    detour = x @ A.T @ B.T
    if _close(got, 3 * detour):
        raise Wrong("That is the detour alone: add W x.")
    if _close(got, x @ W.T + detour):
        raise Wrong("The scale α / r is missing.")
    if _close(got, x @ W.T + 6 * detour):
        raise Wrong("The scale is α / r, here 6 / 2 = 3, not α.")
    if not _close(got, x @ W.T + 3 * detour):
        raise Wrong("Expected x Wᵀ + (α / r) · x Aᵀ Bᵀ, where r is the number of rows of A.")


# ------------------------------------------------------------ peft.2 spot the bug: all zero


def make_adapter(fan_in, fan_out, r):
    A = (torch.randn(r, fan_in) / fan_in**0.5).requires_grad_()
    B = torch.zeros(fan_out, r, requires_grad=True)
    return A, B


def _test_make_adapter(make_adapter):
    A, B = make_adapter(6, 4, 2)
    if tuple(A.shape) != (2, 6) or tuple(B.shape) != (4, 2):
        raise Wrong("A has shape [r, in] = [2, 6], B has [out, r] = [4, 2].")
    if not (A.requires_grad and B.requires_grad):
        raise Wrong("Both must be trainable: requires_grad=True on the tensors you return.")
    if not (A.is_leaf and B.is_leaf):
        raise Wrong("An optimiser needs leaf tensors: call requires_grad_() after the arithmetic.")
    if (B @ A).abs().max() > 0:
        raise Wrong("The product is not zero: the model would start from something other than the original.")
    if A.abs().max() == 0 and B.abs().max() == 0:
        raise Wrong("Both are zero: the product has no slope in either, and nothing ever moves.")


# ------------------------------------------------------------ peft.3 the largest rank that fits


def largest_rank(shapes, budget):
    return int(budget // (4 * sum(fan_in + fan_out for fan_in, fan_out in shapes)))


def _test_largest_rank(largest_rank):
    shapes = [(10, 20), (20, 10)]  # 60 weights, 240 bytes a rank
    got = largest_rank(shapes, 1000)
    if got == 16:
        raise Wrong("You counted one byte a weight: fp32 takes 4.")
    if got == 5 or isinstance(got, float) and got != int(got):
        raise Wrong("Round down: r = 5 would need 1,200 bytes.")
    if got in (0, 1) and largest_rank(shapes, 4000) in (2, 5):
        raise Wrong("You counted in × out; LoRA's weights are r · (in + out).")
    if got != 4:
        raise Wrong(f"Each rank costs 4 · (30 + 30) = 240 bytes: r = 4 fits into 1,000, not {got}.")
    if largest_rank(shapes, 240) != 1 or largest_rank(shapes, 239) != 0:
        raise Wrong("Exactly 240 bytes fit r = 1; 239 fit nothing.")


# ------------------------------------------------------------ peft.4 read the sweep


def best(rows, noise):
    good = sorted((loss, setting) for setting, loss in rows if not math.isnan(loss))
    return [setting for loss, setting in good if loss <= good[0][0] + noise]


def _test_best(best):
    rows = [("a", 2.50), ("b", 2.30), ("c", float("nan")), ("d", 2.34), ("e", 2.41)]
    try:
        got = list(best(list(rows), 0.05))
    except TypeError:
        raise Wrong("Return a list of settings.") from None
    if "c" in got:
        raise Wrong("A diverged run (NaN) is among your best: leave it out.")
    if got == ["b"]:
        raise Wrong("'d' is within the noise of 'b': the data cannot separate them, so name both.")
    if got == ["d", "b"]:
        raise Wrong("Best first: sort by the loss.")
    if got != ["b", "d"]:
        raise Wrong(f"Within .05 of the lowest, 2.30, are b and d; yours: {got}.")
    if list(best([("x", float("nan")), ("y", 1.0)], 0.0)) != ["y"]:
        raise Wrong("A NaN at the beginning confuses min() and sorted(): drop NaN first.")


# ------------------------------------------------------------ peft.5 low-rank approximation


def truncate(M, r):
    U, S, V = torch.linalg.svd(M, full_matrices=False)
    return U[:, :r] * S[:r] @ V[:r]


def _test_truncate(truncate):
    torch.manual_seed(0)
    M = torch.randn(6, 4)
    got = truncate(M.clone(), 2)
    if not isinstance(got, torch.Tensor) or got.shape != M.shape:
        raise Wrong("The approximation has M's shape, [6, 4].")
    if torch.linalg.matrix_rank(got) != 2:
        raise Wrong(f"Your matrix has rank {int(torch.linalg.matrix_rank(got))}, not 2.")
    values = torch.linalg.svdvals(M)
    if not abs(torch.linalg.norm(M - got) - values[2:].norm()) < 1e-3:
        raise Wrong("Another matrix of rank 2 is closer: keep the *largest* singular values, and V's rows.")


# ------------------------------------------------------------ peft.6 quantise


def quantise(W):
    scale = W.abs().amax(1, keepdim=True).clamp(min=1e-12) / 127
    return (W / scale).round().to(torch.int8), scale


def _test_quantise(quantise):
    W = torch.tensor([[1.0, -0.5, 0.267], [100.0, 0.0, -50.0]])
    try:
        integers, scale = quantise(W.clone())
    except (TypeError, ValueError):
        raise Wrong("Return two tensors: the integers and the scale.") from None
    if integers.dtype != torch.int8:
        raise Wrong(f"The integers are {integers.dtype}: convert them with .to(torch.int8).")
    if scale.numel() == 1:
        raise Wrong("One scale for the whole matrix: the large row ruins the small one. One a row.")
    if tuple(scale.shape) != (2, 1):
        raise Wrong("The scale has shape [rows, 1], so that it multiplies row by row.")
    if (integers.sign() * W.sign() < 0).any():
        raise Wrong("A sign flipped: int8 ends at 127, so divide by the largest value over 127 (not 128).")
    error = (integers * scale - W).abs() / W.abs().amax(1, keepdim=True)
    if error.max() > 0.0042:
        raise Wrong("The error is larger than half a step: round to the nearest, do not cut off.")
    integers, scale = quantise(torch.zeros(1, 3))
    if not (scale > 0).all() or (integers != 0).any():
        raise Wrong("A row of zeros gives 0 / 0: keep the scale above zero.")


# ------------------------------------------------------------ peft.7 choose a method


def choose(task):
    room = 0.75 * task["gpu_bytes"] / task["parameters"]
    if task["adapters"] == 1 and room >= 16:
        return "full"
    if room >= 2:
        return "LoRA"
    if room >= 0.5:
        return "QLoRA"
    raise ValueError("The model does not fit.")


def _test_choose(choose):
    def ask(parameters, gpu, adapters):
        return choose({"parameters": parameters, "gpu_bytes": gpu, "adapters": adapters})

    if ask(1e9, 17e9, 1) == "full":
        raise Wrong("16 GB fit into 17 GB, but not with a quarter left free.")
    if ask(1e9, 24e9, 5) == "full":
        raise Wrong("Five variants, each a full copy of the model? Adapters share one base.")
    cases = [((1e9, 24e9, 1), "full"), ((1e9, 24e9, 5), "LoRA"), ((7e9, 24e9, 1), "LoRA"), ((7e9, 8e9, 1), "QLoRA")]
    for arguments, want in cases:
        if ask(*arguments) != want:
            raise Wrong(f"For (parameters, memory, adapters) = {arguments} the rules give {want}, not {ask(*arguments)}.")
    try:
        answer = ask(70e9, 8e9, 1)
    except ValueError:
        return
    raise Wrong(f"70 billion weights in 8 GB fit no method; you answered {answer}. Raise ValueError.")


EXERCISES = [
    Exercise("tuning.1", "fill a template", fill_template, _test_fill_template, (
        "str.replace changes only what you name.",
        "Loop over row.items(); the slot of a column is '{' + column + '}'.",
    )),
    Exercise("tuning.2", "spot the bug: the split that leaks", split, _test_split, (
        "Three rows share one dialogue. What should be drawn: rows or dialogues?",
        "Collect the dialogues, shuffle them with a seeded generator, then send each row after its dialogue.",
    )),
    Exercise("tuning.3", "the loss by hand", answer_loss, _test_answer_loss, (
        "Position i predicts label i + 1: logits[:-1] against labels[1:].",
        "log_softmax, keep the positions whose label is not −100, gather, mean, minus.",
    )),
    Exercise("tuning.4", "spot the bug: counting what contains the word", is_right, _test_is_right, (
        "Try the answers 'not positive' and 'positive or negative'.",
        "Strip spaces and full stops, lower the case, then compare the whole.",
    )),
    Exercise("tuning.5", "ROUGE-1 by hand", rouge_1, _test_rouge_1, (
        "Counter(words_a) & Counter(words_b) keeps the smaller count of each word.",
        "F = 2 · precision · recall / (precision + recall), and 0 when nothing is shared.",
    )),
    Exercise("tuning.6", "longest common subsequence", lcs, _test_lcs, (
        "Fill a table: best[i][j] for the first i words of a and the first j of b.",
        "Equal words: 1 + the diagonal. Otherwise: the larger of the neighbour above and the one to the left.",
    )),
    Exercise("tuning.7", "has the model seen the test?", contaminated, _test_contaminated, (
        "All runs of n words of the test text, as a set of tuples.",
        "Look for each training text's runs in that set.",
    )),
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
    Exercise("peft.1", "the forward pass", lora_forward, _test_lora_forward, (
        "x @ W.T is the frozen part.",
        "x @ A.T has r numbers; times B.T it has `out` again. The scale is alpha / A.shape[0].",
    )),
    Exercise("peft.2", "spot the bug: the adapter that never learns", make_adapter, _test_make_adapter, (
        "One factor must be zero and the other must not.",
        "Draw A at random, about 1 / √in large, and call requires_grad_() on the result.",
    )),
    Exercise("peft.3", "the largest rank that fits", largest_rank, _test_largest_rank, (
        "One unit of rank costs 4 · Σ (in + out) bytes.",
        "Integer division rounds down.",
    )),
    Exercise("peft.4", "read the sweep", best, _test_best, (
        "Drop NaN first (math.isnan), then sort by loss.",
        "Keep everything up to the lowest loss + noise.",
    )),
    Exercise("peft.5", "the best approximation of rank r", truncate, _test_truncate, (
        "torch.linalg.svd(M, full_matrices=False) returns U, S and the transposed V, largest first.",
        "U[:, :r] * S[:r] @ V[:r]",
    )),
    Exercise("peft.6", "quantise and back", quantise, _test_quantise, (
        "The scale of a row is its largest absolute value / 127.",
        "amax(1, keepdim=True) keeps the shape [rows, 1]; clamp it away from 0.",
    )),
    Exercise("peft.7", "choose a method", choose, _test_choose, (
        "Work out how many bytes a weight you have: 0.75 · memory / parameters.",
        "Ask in order: full (one variant, ≥ 16)? LoRA (≥ 2)? QLoRA (≥ 0.5)?",
    )),
]  # fmt: skip
