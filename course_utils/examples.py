"""Prompts and answers as token ids and labels: tokenise and mask, batch, pad.

The pieces, in order: :func:`encode` → :func:`make_batches` → :func:`collate`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from .llm import LLM
from .settings import CourseError

IGNORED = -100  # torch's cross_entropy skips this label


@dataclass(frozen=True)
class Example:
    """Token ids and labels of one prompt with its answer.

    Decoder-only: both have the length of prompt + answer, the prompt's labels are −100.
    Encoder-decoder: ``ids`` is the prompt, ``labels`` the answer.
    """

    ids: list[int]
    labels: list[int]

    @property
    def answer_tokens(self) -> int:
        return sum(label != IGNORED for label in self.labels)


def encode_pair(llm: LLM, prompt: str, answer: str) -> Example:
    """Token ids of a prompt and its answer; the answer ends with the end-of-sequence token.

    ``prompt`` is the text as the model sees it (see :meth:`LLM.chat`). Prompt and answer are
    tokenised apart, as they are when the model generates.
    """
    prompt_ids, answer_ids = llm.encode(prompt), llm.encode_answer(answer)
    if llm.family == "encoder-decoder":
        return Example(prompt_ids, answer_ids)
    return Example([*prompt_ids, *answer_ids], [IGNORED] * len(prompt_ids) + answer_ids)


def encode(
    llm: LLM, prompts: Sequence[str], answers: Sequence[str], max_length: int | None = 1024
) -> list[Example]:
    """Examples for training. One longer than ``max_length`` tokens is left out and counted aloud:
    cutting it would cut the end off, which is the answer.

    Raises
    ------
    CourseError
        for no examples, or if all of them are too long.
    """
    if not prompts or len(prompts) != len(answers):
        raise CourseError(
            f"Training needs one answer per prompt and at least one; got {len(prompts)} prompts and "
            f"{len(answers)} answers."
        )
    limit = min(x for x in (max_length, llm.context, 10**9) if x)
    pairs = zip(prompts, answers)
    examples = [encode_pair(llm, prompt, answer) for prompt, answer in pairs]
    kept = [e for e in examples if max(len(e.ids), len(e.labels)) <= limit]
    if not kept:
        raise CourseError(
            f"All {len(examples)} examples are longer than {limit} tokens; raise max_length (the "
            f"model's context is {llm.context}) or use shorter texts."
        )
    if len(kept) < len(examples):
        print(f"left out {len(examples) - len(kept)} of {len(examples)} examples: over {limit} tokens")
    return kept


def make_batches(examples: Sequence[Example], batch_size: int, seed: int) -> list[list[int]]:
    """Indices of examples by batch: similar lengths together, batches in random order.

    Each example occurs once. Sorting by length saves padding; a random key among similar lengths
    and a random order of batches keep the epoch random.
    """
    generator = torch.Generator().manual_seed(seed)
    noise = (torch.rand(len(examples), generator=generator) * 16).tolist()
    order = sorted(range(len(examples)), key=lambda i: len(examples[i].ids) + noise[i])
    batches = [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
    return [batches[i] for i in torch.randperm(len(batches), generator=generator)]


def in_parts(rows: Sequence[Example], tokens: int) -> list[list[Example]]:
    """Neighbouring rows together, as many as fit into so many tokens with their padding; one at least."""
    parts: list[list[Example]] = []
    longest = 0
    for row in rows:
        length = max(len(row.ids), len(row.labels))
        longest = max(longest, length)
        if parts and longest * (len(parts[-1]) + 1) <= tokens:
            parts[-1].append(row)
        else:
            parts.append([row])
            longest = length
    return parts


def collate(
    examples: Sequence[Example], pad_id: int, device="cpu", multiple: int = 1, most: int | None = None
) -> dict[str, torch.Tensor]:
    """``input_ids, attention_mask`` [rows, longest] and ``labels``, padded on the right.

    ``multiple`` rounds the longest row up (see :data:`course_utils.settings.SHAPE_STEP`), to ``most`` columns at
    most: a model has no more positions.

    The mask comes from lengths, not from ``ids != pad``: the pad token may be the end token, which
    the model must learn. Padded labels are −100.
    """

    def pad(rows, value):
        longest = max(map(len, rows))
        rounded = -(-longest // multiple) * multiple
        longest = max(longest, min(rounded, most or rounded))
        return torch.tensor([r + [value] * (longest - len(r)) for r in rows], device=device)

    ids = [e.ids for e in examples]
    return {
        "input_ids": pad(ids, pad_id),
        "attention_mask": pad([[1] * len(r) for r in ids], 0),
        "labels": pad([e.labels for e in examples], IGNORED),
    }


def encode_text(llm: LLM, texts: Sequence[str], max_length: int = 256) -> list[Example]:
    """Plain texts as examples in which every token is predicted from those before it.

    For an encoder-decoder model the first half is the prompt and the second half the answer.

    Raises
    ------
    CourseError
        for a text of fewer than two tokens.
    """
    examples = []
    for text in texts:
        ids = llm.tokenizer(text, add_special_tokens=False)["input_ids"][:max_length]
        if len(ids) < 2:
            raise CourseError(f"In the text {text!r} there is no token to predict; leave it out.")
        half = len(ids) // 2
        seq2seq = llm.family == "encoder-decoder"
        examples.append(Example(ids[:half], [*llm.begins_with, *ids[half:]]) if seq2seq else Example(ids, ids))
    return examples
