"""What solved examples in the prompt change in a *base* model: Gemma 3 270M, with none, one and three.

Lab 1 measures it where the model is installed, and reads the committed record where it is not
(``python -m course_utils shots`` made it).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from . import logs, metrics, models, prompts, settings
from .data import load_dialogues, references
from .finetune import mixed_precision
from .llm import LLM

SHOTS = {"instruction": 0, "one-shot": 1, "three-shot": 3}
DIALOGUES, NEW_TOKENS = 40, 32  # as many as Lab 1 asked on when the record was made, and its limit


def measure(llm: LLM, dialogues: Sequence[dict], examples: Sequence[dict]) -> dict[str, dict]:
    """Ask for a summary of each dialogue after 0, 1 and 3 of the examples: greedy answers.

    Returns, for each kind of prompt, ``texts`` and ``rouge1`` (mean over the references), both
    [dialogues].
    """
    wanted, found = [references(row) for row in dialogues], {}
    for name, k in SHOTS.items():
        asked = [llm.chat(prompts.make_chat(examples[:k], row["dialogue"])) for row in dialogues]
        with mixed_precision():
            texts = llm.generate(asked, max_new_tokens=NEW_TOKENS)
        scores = metrics.rouge_table(texts, wanted)[:, 0]
        found[name] = {"texts": texts, "rouge1": [round(float(s), 4) for s in scores]}
    return found


def base_model() -> LLM:
    """Gemma 3 270M.

    Raises
    ------
    CourseError
        if it is not installed; it names the command.
    """
    return models.load_llm(replace(settings.embedded(), model=models.GEMMA.name))


def rows(n: int = DIALOGUES) -> tuple[list[dict], list[dict]]:
    """The first ``n`` calm test dialogues, and the first three training rows as examples."""
    talks = load_dialogues(settings.embedded(), tone="calm")
    return talks["test"].to_list()[:n], talks["train"].to_list()[:3]


def live_or_recorded(
    llm: LLM | None = None, n: int = 8, load: Callable[[], LLM] = base_model
) -> tuple[dict[str, dict], str]:
    """What :func:`measure` gives for the base model, and a line that says where it comes from.

    Measured now, on ``n`` dialogues, where the model is installed (``llm`` is used if it is that model,
    so that it is not loaded twice); else the record of ``DIALOGUES`` dialogues.
    """
    name = models.GEMMA.name
    try:
        base = llm if llm and llm.name == name else load()
    except settings.CourseError:
        record = logs.shots()
        how = f"{name}: recorded, {record['dialogues']} test dialogues\n(live here: {models.GEMMA.install})"
        return record["prompts"], how
    return measure(base, *rows(n)), f"{name}: measured now, {n} test dialogues"
