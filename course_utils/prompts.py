"""Prompt templates: an instruction around a dialogue, with or without worked examples."""

from __future__ import annotations

import re
from collections.abc import Sequence

# {dialogue} is replaced by the turns, one per line.
TEMPLATES = {
    "none": "{dialogue}",
    "instruction": "Summarize the following conversation.\n\n{dialogue}\n\nSummary:",
    "paraphrase": "{dialogue}\n\nWhat is this conversation about? Answer in one sentence.",
    # The wording FLAN-T5 was trained on for dialogue summaries (Wei et al. 2021, FLAN templates).
    "flan": "Dialogue:\n\n{dialogue}\n\nWhat was going on?",
}


def fill(template: str, dialogue: str) -> str:
    """Put ``dialogue`` into the template of that name, or into a template text of your own.

    Raises
    ------
    ValueError
        if it is neither the name of a template nor a text containing ``{dialogue}``.
    """
    text = TEMPLATES.get(template, template)
    if "{dialogue}" not in text:
        known = ", ".join(TEMPLATES)
        raise ValueError(
            f"Use one of {known}, or a text with {{dialogue}} in it; got {template!r}."
        )
    return text.replace("{dialogue}", dialogue.strip())


def make_prompt(examples: Sequence[dict], dialogue: str, template: str = "instruction") -> str:
    """A zero-, one- or few-shot prompt: solved examples first, then the open question.

    Parameters
    ----------
    examples : rows with ``dialogue`` and ``summary``; none for zero-shot. Take them from the
        training split: an example from the test split gives its answer away.
    dialogue : the one to summarise; its answer is left open.
    """
    solved = [f"{fill(template, row['dialogue'])} {row['summary']}" for row in examples]
    return "\n\n\n".join([*solved, fill(template, dialogue)])


def make_chat(
    examples: Sequence[dict],
    dialogue: str,
    template: str = "instruction",
    system: str | None = None,
) -> list[dict]:
    """The same as a conversation: each example is a user turn and the assistant's answer to it.

    Returns ``[{"role": …, "content": …}, …]`` ending with the user's open question, the form that
    ``tokenizer.apply_chat_template`` takes.
    """
    turns = [{"role": "system", "content": system}] if system else []
    for row in examples:
        turns.append({"role": "user", "content": fill(template, row["dialogue"])})
        turns.append({"role": "assistant", "content": row["summary"]})
    return [*turns, {"role": "user", "content": fill(template, dialogue)}]


# One raw data set, several tasks, several wordings each: how FLAN made instruction data out of
# data sets that had none (Wei et al. 2021). (prompt, answer), with a row's columns in braces.
DIALOGUE_TASKS = {
    "summary": [
        ("Summarize the following conversation.\n\n{dialogue}\n\nSummary:", "{summary}"),
        ("Dialogue:\n\n{dialogue}\n\nWhat was going on?", "{summary}"),
        ("Tell me in one sentence what these people agree on.\n\n{dialogue}", "{summary}"),
    ],
    "topic": [
        ("{dialogue}\n\nName the topic of this conversation in a few words.", "{topic}"),
        ("Which topic fits this conversation?\n\n{dialogue}\n\nTopic:", "{topic}"),
    ],
    "speakers": [
        ("Who is speaking?\n\n{dialogue}\n\nNames:", "{speakers}"),
        ("List the people in this conversation, separated by commas.\n\n{dialogue}", "{speakers}"),
    ],
    "dialogue": [
        ("Write a short conversation that this sentence sums up: {summary}", "{dialogue}"),
        ("{summary}\n\nInvent the conversation behind this.", "{dialogue}"),
    ],
}

# The six small tasks of ``data.load_instructions``, one wording each.
SMALL_TASKS = {
    "topic": ("Name the topic of this text in one word. {input}", "{output}"),
    "sentiment": ("Is this review positive or negative? {input}", "{output}"),
    "formal": ("Rewrite this politely and formally. {input}", "{output}"),
    "entities": ("List the names of people and places. {input}", "{output}"),
    "keep_numbers": ("Which numbers or times are in this text? {input}", "{output}"),
    "question": ("Ask a question that this text answers. {input}", "{output}"),
}


def speakers(dialogue: str) -> str:
    """The names before the colons, in order of appearance, separated by commas."""
    names = [turn.split(":", 1)[0].strip() for turn in dialogue.splitlines() if ":" in turn]
    return ", ".join(dict.fromkeys(names))


def render(template: tuple[str, str], row: dict) -> tuple[str, str]:
    """A template's prompt and answer with a row's columns filled in.

    ``speakers`` is read from the dialogue. Braces inside a column stay as they are.

    Raises
    ------
    ValueError
        for a column that the row lacks.
    """
    row = {**row, "speakers": speakers(row.get("dialogue", ""))}
    return tuple(_SLOT.sub(lambda slot: _column(row, slot[1]), text) for text in template)


def recover(template: tuple[str, str], prompt: str, answer: str) -> dict[str, str] | None:
    """The columns behind a rendered pair, or None if it was not made with this template."""
    found: dict[str, str] = {}
    for text, filled in zip(template, (prompt, answer)):
        pattern = "".join(
            f"(?P<{part}>.+)" if number % 2 else re.escape(part)
            for number, part in enumerate(_SLOT.split(text))
        )
        match = re.fullmatch(pattern, filled, re.S)
        if match is None:
            return None
        found |= match.groupdict()
    return found


_SLOT = re.compile(r"\{(\w+)\}")


def _column(row: dict, name: str) -> str:
    if name not in row:
        raise ValueError(f"The template asks for {name!r}; the row has {', '.join(row)}.")
    return str(row[name]).strip()
