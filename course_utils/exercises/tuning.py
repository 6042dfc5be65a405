"""Instruction tuning: reference answers and their tests."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import torch

from .engine import Exercise, Wrong, close

# ------------------------------------------------------------ tuning.1 fill a template


def fill_template(template, row):
    return re.sub(r"\{(\w+)\}", lambda slot: row.get(slot[1], slot[0]), template)


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
    for columns in (("dialogue", "summary"), ("summary", "dialogue")):
        texts = {"dialogue": "Ana: {summary}?", "summary": "See {dialogue}."}
        got = fill_template("{dialogue}|{summary}", {column: texts[column] for column in columns})
        if got != "Ana: {summary}?|See {dialogue}.":
            raise Wrong("A text that holds '{summary}' itself was filled in too: go over the template once, not once a column.")


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
    if close(got, unshifted):
        raise Wrong("You did not shift: position i predicts the token at i + 1.")
    if close(got, torch.nn.functional.cross_entropy(logits[:-1], labels[1:].clamp(0))):
        raise Wrong("Positions labelled −100 count in your loss: leave them out.")
    if close(got, want * 3):
        raise Wrong("You returned the sum; the loss is the mean over the answer tokens.")
    if close(got, want * 3 / 5) or close(got, want / 2):
        raise Wrong("Divide by the number of answer tokens, 3 here, not by all positions.")
    if not close(got, want):
        raise Wrong(f"For the check's example the loss is {want:.4f}; yours is {got.item():.4f}.")


def answer_loss_of(logits, labels):
    """The library's value for the check above."""
    return torch.nn.functional.cross_entropy(logits[:-1], labels[1:])


# ------------------------------------------------------------ tuning.4 spot the bug: "in"


def is_right(answer, output):
    def plain(text):
        return text.strip().removesuffix(".").strip().lower()

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
    if is_right("'positive'", "positive"):
        raise Wrong("Only capitals, outer spaces and a final stop are forgiven; quotation marks are not.")
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
    if close(got, 0.6):
        raise Wrong("That is the recall, 3 of 5. ROUGE's F-measure also asks how much of the prediction fits.")
    if close(got, 1.0):
        raise Wrong("That is the precision, 3 of 3. ROUGE's F-measure also asks how much is missing.")
    if close(got, 0.8):
        raise Wrong("You took the ordinary mean of 1.0 and 0.6; F is the harmonic mean, 0.75.")
    if not close(got, 0.75):
        raise Wrong(f"Precision 3/3, recall 3/5: the harmonic mean is 0.75, not {got:.3f}.")
    if not close(rouge_1("the the the", "the cat"), 0.4):
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
    if contaminated(["Smart is the word"], "art is the word", 4):
        raise Wrong("'art' is not a word of 'smart is the word': compare words, not letters.")
    if not contaminated(["The capital\nof Peru is"], "the capital of Peru is", 4):
        raise Wrong("A run may go on in the next line: split() at any white space.")
    if contaminated(train, "of tea", 4):
        raise Wrong("A text shorter than n has no run of n words: False.")


EXERCISES = [
    Exercise("tuning.1", "fill a template", fill_template, _test_fill_template, (
        "str.format and repeated str.replace both look into what was filled in; go over the template once.",
        r"re.sub takes a function: re.sub(r'\{(\w+)\}', lambda slot: row.get(slot[1], slot[0]), template).",
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
        "strip() the spaces, removesuffix('.'), lower() the case, then compare the whole.",
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
]  # fmt: skip
