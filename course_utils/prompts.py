"""Prompt templates: an instruction around a dialogue, with or without worked examples."""

from __future__ import annotations

from collections.abc import Sequence

# {dialogue} is replaced by the turns, one a line.
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
