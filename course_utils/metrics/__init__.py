"""How good is a text? ROUGE, BLEU, similarity, diversity, and intervals around all of them."""

from .compare import corrected, holm, sign_flip_test
from .intervals import (
    NLL_MATTERS,
    ROUGE_MATTERS,
    SHARE_MATTERS,
    Interval,
    interval,
    paired,
)
from .text import (
    copy_rate,
    distinct_n,
    fact_recall,
    first_words,
    length_ratio,
    listed,
    load,
    longest_turn,
    reference_against_references,
    repetition,
    rouge_table,
)

__all__ = [
    "NLL_MATTERS", "ROUGE_MATTERS", "SHARE_MATTERS", "Interval", "copy_rate", "corrected",
    "distinct_n", "fact_recall", "first_words", "holm", "interval", "length_ratio", "listed", "load",
    "longest_turn", "paired", "reference_against_references", "repetition", "rouge_table",
    "sign_flip_test",
]  # fmt: skip
