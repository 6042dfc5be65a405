"""Scores of texts against references and against their source, and trivial baselines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import regex

from . import words as scripts

ROUGE_COLUMNS = ("rouge1", "rouge2", "rougeL")


def load(name: str):
    """``evaluate.load`` of our own copy of a metric (``"rouge"`` or ``"bleu"``): needs no network.

    Raises
    ------
    ValueError
        for a metric the package does not carry.
    """
    folder = Path(__file__).parent / name
    if not (folder / f"{name}.py").is_file():
        raise ValueError(f"There is no metric {name!r} here; choose rouge or bleu.")
    import evaluate

    return evaluate.load(str(folder), module_type="metric")


def rouge_table(
    predictions: Sequence[str], references: Sequence[Sequence[str]], use_stemmer: bool = True
) -> np.ndarray:
    """ROUGE-1, -2 and -L F-measure of each prediction, shape [predictions, 3], in [0, 1].

    The mean over a prediction's references: the maximum would favour rows that have more of them.
    Source: Lin 2004, by the ``rouge_score`` package on English; texts in other scripts are cut into
    words by :mod:`.words`.

    Raises
    ------
    ValueError
        for no predictions, unequal lengths, a prediction without a reference, or what is no text.
    """
    if not predictions or len(predictions) != len(references):
        raise ValueError(
            f"ROUGE needs one list of references per prediction; got {len(predictions)} "
            f"predictions and {len(references)} lists."
        )
    if any(isinstance(texts, str) or not texts for texts in references):
        raise ValueError("Each prediction needs a non-empty list of reference texts.")
    for row, texts in enumerate(zip(predictions, references)):
        if not all(isinstance(text, str) for text in (texts[0], *texts[1])):
            raise ValueError(f"ROUGE compares texts; row {row} holds something else.")
    score = scripts.rouge(ROUGE_COLUMNS, use_stemmer)
    rows = []
    for prediction, texts in zip(predictions, references):
        scores = [score(text, prediction) for text in texts]
        rows.append([np.mean([s[c].fmeasure for s in scores]) for c in ROUGE_COLUMNS])
    return np.array(rows)


def reference_against_references(references: Sequence[Sequence[str]]) -> np.ndarray:
    """ROUGE of each reference against the other references of its dialogue, mean per row, [rows, 3].

    What a text as good as the references reaches: different wording costs points, too. A dialogue
    with one reference has nothing to compare it with: its row is NaN.

    Raises
    ------
    ValueError
        if no dialogue has two references.
    """
    if all(len(texts) < 2 for texts in references):
        raise ValueError("Comparing references needs a dialogue that has at least two of them.")
    table = np.full((len(references), len(ROUGE_COLUMNS)), np.nan)
    for row, texts in zip(table, references):
        if len(texts) > 1:
            others = [[t for j, t in enumerate(texts) if j != i] for i in range(len(texts))]
            row[:] = rouge_table(list(texts), others).mean(0)
    return table


# ---------------------------------------------------------------- trivial baselines


def first_words(dialogue: str, n: int = 20) -> str:
    """The first ``n`` words of a dialogue, speaker labels included."""
    return scripts.first_pieces(dialogue, n)


def longest_turn(dialogue: str) -> str:
    """The turn with the most words, without its speaker label."""
    turns = [turn.split(":", 1)[-1].strip() for turn in dialogue.splitlines() if turn.strip()]
    return max(turns, key=lambda turn: len(scripts.pieces(turn)), default="")


# ---------------------------------------------------------------- what a text is like


def listed(text: str) -> list[str]:
    """The items of a list that a model wrote, split at commas, semicolons, line breaks and "and".

    Numbers and dashes before an item are dropped. A sentence is one long item.

    >>> listed("1. Ann\\n2. New York and Oslo.")
    ['Ann', 'New York', 'Oslo']
    """
    parts = regex.split(r"[,;\n]| and ", text)
    items = (regex.sub(r"^[\s\d.*-]+", "", part).strip(" .") for part in parts)
    return [item for item in items if item]


def _grams(text: str, n: int) -> list[tuple[str, ...]]:
    words = scripts.words(text)
    return list(zip(*(words[i:] for i in range(n))))


def distinct_n(texts: Sequence[str], n: int = 2) -> float:
    """Distinct n-grams / all n-grams, pooled over the texts (Li et al. 2016); 0 if there are none."""
    grams = [gram for text in texts for gram in _grams(text, n)]
    return len(set(grams)) / len(grams) if grams else 0.0


def repetition(text: str, n: int = 3) -> float:
    """Share of a text's n-grams that it had already used; 0 for a text without any."""
    grams = _grams(text, n)
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def copy_rate(summary: str, dialogue: str, n: int = 3) -> float:
    """Share of the summary's n-grams that stand in the dialogue; 0 for a summary without any."""
    grams, source = _grams(summary, n), set(_grams(dialogue, n))
    return sum(gram in source for gram in grams) / len(grams) if grams else 0.0


def length_ratio(prediction: str, references: Sequence[str]) -> float:
    """Words of the prediction / mean words of its references."""
    return len(scripts.pieces(prediction)) / np.mean([len(scripts.pieces(t)) for t in references])


def fact_recall(summary: str, facts: Sequence[dict]) -> float:
    """Share of a dialogue's fact questions whose answer the summary keeps, as whole words.

    A harder test of faithfulness than word overlap, and a one-sided one: it sees what is lost, not
    what is invented. NaN for no facts. The shape of quotes, dashes, spaces, letters and digits does not count. 200 is
    not kept by "2,200", nor C by "C++".
    """
    if not facts:
        return float("nan")
    text = _plain(summary)
    return sum(_keeps(text, _plain(fact["answer"])) for fact in facts) / len(facts)


_CURLY = str.maketrans("\u2018\u2019\u02bc\u2010\u2011\u2012\u2013\u2014\u2212", "\'\'\'------")
_BRACKETS_AND_QUOTES = regex.compile(r"[\p{Ps}\p{Pe}\p{Pi}\p{Pf}\"!?;…]")
_UNIT = regex.compile(r"(?<=\d)\s+(?=[%\p{Sc}])|(?<=\p{Sc})\s+(?=\d)")  # 40 € = 40€


def _plain(text: str) -> str:
    """The text in lower case, with straight quotes, short dashes, single spaces, no brackets."""
    text = scripts.without_joiners(text).translate(_CURLY)
    return _UNIT.sub("", " ".join(_BRACKETS_AND_QUOTES.sub(" ", text).split()))


def _keeps(text: str, answer: str) -> bool:
    """True if the answer stands in the text and is not a part of a longer word or number there."""
    if not answer:
        return False
    before, after = "", r"(?!\p{M})"
    if scripts.SPACED.match(answer[0]):
        before = rf"(?<!{scripts.SPACED.pattern})"
    if scripts.SPACED.match(answer[-1]):
        after += rf"(?!{scripts.SPACED.pattern}|\+(?!{scripts.SPACED.pattern})|\#)"  # A is not in A+, but in A+B
    if answer[-1] == "+":
        after += r"(?!\+)"
    if "@" in answer:  # an address goes on behind a dot
        before, after = rf"{before}(?<![\w.+-])", rf"{after}(?!\.\w)"
    if answer[0].isdigit():
        before += r"(?<!\d[.,:/])"
    if answer[-1].isdigit():
        after += r"(?![.,:/]\d)"
    return bool(regex.search(before + regex.escape(answer) + after, text, regex.V1))
