"""A *base* model becomes an assistant: Gemma 3 270M before and after 80 short answers, in ten updates.

*Instruction tuning* trains it where the model is installed, and reads the committed record where it is not
(``python -m course_utils assistant`` made it).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from . import finetune, logs, models, settings
from .data import load_unrelated
from .llm import LLM
from .shots import base_model

ROWS, BATCH, RATE, NEW_TOKENS = 80, 8, 5e-5, 24  # as the notebook tunes its own model


def line(request: str) -> str:
    """A request as a base model meets it: a line, and the next line is to be written."""
    return request + "\n"


def measure(llm: LLM, rows: Sequence[dict], requests: Sequence[str]) -> dict[str, dict]:
    """Ask, tune on ``rows`` (``question``, ``answer``), and ask again: greedy answers.

    One pass over the rows. The embeddings and the first half of the layers stay as they are, to save
    memory. Returns ``texts`` and ``ended`` (did it stop by itself?), both [requests], for *before* and
    *after*.
    """
    before = _answers(llm, requests)
    layers = [p for name, p in llm.model.named_parameters() if ".layers." in name]
    trained = {id(p) for p in layers[len(layers) // 2 :]}
    for p in llm.model.parameters():
        p.requires_grad_(id(p) in trained)
    examples = finetune.encode(llm, [line(r["question"]) for r in rows], [r["answer"] for r in rows])
    recipe = finetune.Recipe(epochs=1, batch_size=BATCH, learning_rate=RATE)
    finetune.train(llm, examples, recipe, title="base model")
    return {"before": before, "after": _answers(llm, requests)}


def _answers(llm: LLM, requests: Sequence[str]) -> dict[str, list]:
    with finetune.mixed_precision():
        answers = llm.answer([line(r) for r in requests], max_new_tokens=NEW_TOKENS)
    return {"texts": [a.text for a in answers], "ended": [bool(a.ended) for a in answers]}


def rows(requests: Sequence[str], n: int = ROWS) -> list[dict]:
    """``n`` of the course's questions with their answers; none of ``requests`` is among them."""
    return random.Random(1).sample([r for r in load_unrelated() if r["question"] not in requests], n)


def live_or_recorded(requests: Sequence[str], load: Callable[[], LLM] = base_model) -> tuple[dict[str, dict], str]:
    """What :func:`measure` gives for the base model, and a line that says where it comes from.

    Measured now where the model is installed (its memory is given back); else read from the record,
    which holds answers to the ten requests of the notebook.
    """
    try:
        llm = load()
    except settings.CourseError:
        record = logs.assistant()
        if list(requests) != record["requests"]:
            raise settings.CourseError(
                f"The record holds other requests; to ask these, install the base model: {models.GEMMA.install}"
            ) from None
        return record["answers"], f"{models.GEMMA.name}: recorded (live here: {models.GEMMA.install})"
    found = measure(llm, rows(requests), requests)
    del llm
    finetune.release_memory()
    return found, f"{models.GEMMA.name}: tuned now, on {ROWS} answers"
