"""Plausible wrong answers to the exercises on instruction tuning."""

import torch

from course_utils.exercises import tuning


def replaced_one_after_the_other(template, row):
    for column, text in row.items():
        template = template.replace("{" + column + "}", text)
    return template


def runs_of_letters(train, test, n):
    words = test.lower().split()
    runs = [" ".join(words[i : i + n]) for i in range(len(words) - n + 1)]
    return any(run in text.lower() for run in runs for text in train)


PLANTED = {
    "tuning.1": [
        (lambda t, row: t.format(**row), "str.format gives them"),
        (lambda t, row: t.replace("{dialogue}", row["dialogue"]), "summary"),
        (lambda t, row: t, "unchanged"),
        (replaced_one_after_the_other, "once, not once a column"),
    ],
    "tuning.2": [
        (lambda rows, share, seed: (rows[4:], rows[:4]), "both"),
        (lambda rows, share, seed: (rows, []), "test part is empty"),
        (lambda rows, share, seed: (rows[:6], rows[9:]), "lost"),
    ],
    "tuning.3": [
        (lambda logits, labels: -logits.log_softmax(-1).gather(1, labels.clamp(0)[:, None])[labels != -100].mean(), "shift"),
        (lambda logits, labels: tuning.answer_loss(logits, labels) * (labels != -100).sum(), "mean"),
        (lambda logits, labels: -tuning.answer_loss(logits, labels), "negative"),
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
        (lambda answer, output: answer.strip("'. \n").lower() == output, "quotation marks"),
    ],
    "tuning.7": [
        (lambda train, test, n: test in train, "inside"),
        (lambda train, test, n: bool(set(test.split()) & set(" ".join(train).split())), "single words"),
        (runs_of_letters, "not letters"),
    ],
}  # fmt: skip
