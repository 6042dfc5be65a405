"""The small corpora beside the dialogues: specialist sentences, unrelated questions, instructions.

All were written for this course (see DATASHEET.md) and are ``datasets`` objects like the dialogues.
"""

from __future__ import annotations

import json
from pathlib import Path

from ..prompts import SMALL_TASKS

HERE = Path(__file__).parent / "texts"

TURNS = ("sentiment", "topic", "formal", "entities", "keep_numbers", "question")  # of the small tasks


def load_domain(domain: str | None = None):
    """Legal, clinical and plain sentences: ``DatasetDict`` with train and test; ``domain, text``.

    The plain sentences tell of the same kinds of situation in everyday words. Clinical notes are
    terse (8 words on average against 11 and 12): compare per word or per token. ``domain`` picks
    one part.

    Raises
    ------
    ValueError
        for a domain that is not one of the three.
    """
    import datasets

    if domain not in (None, "legal", "clinical", "plain"):
        raise ValueError(f"domain={domain!r} is none of legal, clinical, plain.")
    rows = [row for row in _read("domain.jsonl") if domain in (None, row["domain"])]
    return datasets.DatasetDict(_by_split(rows))


def load_glossary() -> dict[str, dict[str, str]]:
    """``{"legal": {term: meaning}, "clinical": {…}}`` for terms that occur in the sentences."""
    return json.loads((HERE / "glossary.json").read_text(encoding="utf-8"))


def load_unrelated():
    """Questions that have nothing to do with dialogues: ``kind, question, answer``.

    What fine-tuning on summaries does to these answers is what the model forgets.
    """
    import datasets

    return datasets.Dataset.from_list(_read("unrelated.jsonl"))


def load_instructions():
    """Six small tasks for instruction tuning: ``DatasetDict``, train and test; ``task, input, output``."""
    import datasets

    return datasets.DatasetDict(_by_split(_read("instructions.jsonl")))


def small_tasks(first: int, last: int) -> list[dict]:
    """Training rows ``first`` to ``last`` − 1 of each of the six tasks of :func:`load_instructions`, by turns.

    Each row has ``task, input, output`` and ``request``: the input in the words of ``prompts.SMALL_TASKS``.
    """
    every = [row for row in _read("instructions.jsonl") if row["split"] == "train"]
    rows = {task: [row for row in every if row["task"] == task] for task in TURNS}
    chosen = [rows[task][i] for i in range(first, last) for task in TURNS]
    return [{**row, "request": SMALL_TASKS[row["task"]][0].replace("{input}", row["input"])} for row in chosen]


def load_tasks(task: str | None = None):
    """Five small checked sets, twelve items each: ``task, input, accepted``.

    ``task`` picks one of translate, code, names, question, rewrite. What ``accepted`` holds depends
    on it: wordings that count as right; for code, expressions that must be true of the function;
    for names, all people and places in the sentence.

    Raises
    ------
    ValueError
        for an unknown task.
    """
    import datasets

    rows = _read("tasks.jsonl")
    known = dict.fromkeys(row["task"] for row in rows)
    if task is not None and task not in known:
        raise ValueError(f"task={task!r} is none of {', '.join(known)}.")
    return datasets.Dataset.from_list([row for row in rows if task in (None, row["task"])])


def load_questions():
    """Questions about 24 calm test dialogues, one each: ``question, answer, dialogue``.

    Asked as somebody would who does not have the dialogue before them: they name the person or the
    thing. The answer stands in the dialogue word for word; ``dialogue`` is its id.
    """
    import datasets

    return datasets.Dataset.from_list(_read("questions.jsonl"))


def _by_split(rows: list[dict]) -> dict:
    import datasets

    return {
        split: datasets.Dataset.from_list(
            [{k: v for k, v in row.items() if k != "split"} for row in rows if row["split"] == split]
        )
        for split in ("train", "test")
    }


def _read(name: str) -> list[dict]:
    lines = (HERE / name).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]
