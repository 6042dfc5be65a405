"""How good is a text? ROUGE, BLEU, similarity, diversity, and intervals around all of them."""

from .bootstrap import Interval, interval, paired, sign_flip_test
from .text import (
    copy_rate,
    distinct_n,
    fact_recall,
    first_words,
    human_against_human,
    length_ratio,
    load,
    longest_turn,
    repetition,
    rouge_table,
)

__all__ = [
    "Interval", "copy_rate", "distinct_n", "fact_recall", "first_words", "human_against_human", "interval",
    "length_ratio", "load", "longest_turn", "paired", "repetition", "rouge_table",
    "sign_flip_test",
]  # fmt: skip
