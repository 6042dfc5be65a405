"""What the test dialogues measure, as the table in DATASHEET.md.

``python -m course_utils.data.measure`` prints it; ``--model`` adds the language model's zero-shot
row, which takes a few minutes.
"""

from __future__ import annotations

import sys

from .. import metrics, prompts
from ..settings import Settings
from .dialogues import load_dialogues, references

HEADER = "| | ROUGE-1 | ROUGE-2 | ROUGE-L |\n|---|---|---|---|"


def trivial(rows: list[dict]) -> dict[str, list[metrics.Interval]]:
    """ROUGE-1, -2, -L with intervals for two baselines and for the references themselves."""
    texts = [references(row) for row in rows]
    first = [metrics.first_words(row["dialogue"]) for row in rows]
    longest = [metrics.longest_turn(row["dialogue"]) for row in rows]
    tables = {
        "first 20 words": metrics.rouge_table(first, texts),
        "longest turn": metrics.rouge_table(longest, texts),
        "one reference against the others": metrics.reference_against_references(texts),
    }
    return {name: intervals(table) for name, table in tables.items()}


def intervals(table) -> list[metrics.Interval]:
    """One interval per column of a ROUGE table [rows, 3]."""
    return [metrics.interval(column, unit="dialogue") for column in table.T]


def zero_shot(rows: list[dict], template: str = "instruction") -> list[metrics.Interval]:
    """The language model's own summaries, greedy, at most 48 tokens, scored the same way."""
    from ..models import load_llm

    llm = load_llm()
    asked = [llm.chat(prompts.fill(template, row["dialogue"])) for row in rows]
    answers = llm.generate(asked, max_new_tokens=48)
    return intervals(metrics.rouge_table(answers, [references(row) for row in rows]))


def line(name: str, found: list[metrics.Interval]) -> str:
    """A row of the Markdown table."""
    return f"| {name} | " + " | ".join(map(str, found)) + " |"


def main(arguments: list[str]) -> None:
    for tone in ("calm", "heated"):
        rows = load_dialogues(Settings(), tone=tone)["test"].to_list()
        print(f"\n{tone}, {len(rows)} dialogues\n\n{HEADER}")
        found = trivial(rows)
        if "--model" in arguments:
            found["SmolLM2-135M-Instruct, zero-shot"] = zero_shot(rows)
        for name, values in found.items():
            print(line(name, values))


if __name__ == "__main__":
    main(sys.argv[1:])
