"""Scores of texts against references and against their source, and trivial baselines."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

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
    Source: Lin 2004, by the ``rouge_score`` package.

    Raises
    ------
    ValueError
        for no predictions, unequal lengths, or a prediction without a reference.
    """
    from rouge_score import rouge_scorer

    if not predictions or len(predictions) != len(references):
        raise ValueError(
            f"ROUGE needs one list of references a prediction; got {len(predictions)} predictions "
            f"and {len(references)} lists."
        )
    scorer = rouge_scorer.RougeScorer(ROUGE_COLUMNS, use_stemmer=use_stemmer)
    rows = []
    for prediction, texts in zip(predictions, references):
        if isinstance(texts, str) or not texts:
            raise ValueError("Each prediction needs a non-empty list of reference texts.")
        scores = [scorer.score(text, prediction) for text in texts]
        rows.append([np.mean([s[c].fmeasure for s in scores]) for c in ROUGE_COLUMNS])
    return np.array(rows)


def human_against_human(references: Sequence[Sequence[str]]) -> np.ndarray:
    """ROUGE of each person's summary against the others', averaged per dialogue, [dialogues, 3].

    Raises
    ------
    ValueError
        if a dialogue has fewer than two references.
    """
    if any(len(texts) < 2 for texts in references):
        raise ValueError("Comparing people needs at least two references for each dialogue.")
    tables = []
    for texts in references:
        others = [[t for j, t in enumerate(texts) if j != i] for i in range(len(texts))]
        tables.append(rouge_table(list(texts), others).mean(0))
    return np.array(tables)


# ---------------------------------------------------------------- trivial baselines


def first_words(dialogue: str, n: int = 20) -> str:
    """The first ``n`` words of a dialogue, speaker labels included."""
    return " ".join(dialogue.split()[:n])


def longest_turn(dialogue: str) -> str:
    """The turn with the most words, without its speaker label."""
    turns = [turn.split(":", 1)[-1].strip() for turn in dialogue.splitlines() if turn.strip()]
    return max(turns, key=lambda turn: len(turn.split()), default="")


# ---------------------------------------------------------------- what a text is like


def _grams(text: str, n: int) -> list[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower())
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
    return len(prediction.split()) / np.mean([len(text.split()) for text in references])


def fact_recall(summary: str, facts: Sequence[dict]) -> float:
    """Share of a dialogue's fact questions whose answer the summary keeps, as whole words.

    A harder test of faithfulness than word overlap, and a one-sided one: it sees what is lost, not
    what is invented. NaN for no facts.
    """
    if not facts:
        return float("nan")
    text = " ".join(re.findall(r"[\w.,:'-]+", summary.lower()))

    def kept(answer: str) -> bool:
        whole = rf"(?<!\w)(?<!\d[.,:]){re.escape(answer.lower())}(?!\w)(?![.,:]\d)"  # 200, not 2,200
        return bool(re.search(whole, text))

    return sum(kept(fact["answer"]) for fact in facts) / len(facts)
