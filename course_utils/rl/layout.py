"""How a decoder-only model reads each prompt once for all of its responses, and some layers only.

One row a prompt:  [padding | prompt | response 1 | response 2 | …],  in which a response sees the
prompt and itself.
"""

from __future__ import annotations

from contextlib import contextmanager

import torch

from ..models import LLM


def row_a_prompt(llm: LLM, rollout) -> dict[str, torch.Tensor]:
    """``input_ids, position_ids`` [prompts, columns] and ``attention_mask`` [prompts, 1, columns,
    columns], added to the attention scores. A response's last token predicts nothing and is left
    out."""
    device, pad = llm.model.device, llm.tokenizer.pad_token_id
    prompts, group, tokens = rollout.prompts, rollout.group, rollout.tokens[:, :-1].to(device)
    longest = max(map(len, prompts))
    ids = torch.tensor([[pad] * (longest - len(p)) + p for p in prompts], device=device)
    lengths = torch.tensor([len(p) for p in prompts], device=device)[:, None]
    position = torch.arange(longest, device=device) - (longest - lengths)  # < 0: padding
    step = torch.arange(tokens.shape[1], device=device).repeat(group)
    answered = torch.cat([position.clamp(min=0), lengths + step], 1)
    # Part 0 is the prompt, part j the j-th response. Padding after an end comes after all that
    # counts; padding before a prompt is hidden from everything but itself.
    parts = torch.arange(1, group + 1, device=device).repeat_interleave(tokens.shape[1])
    part = torch.cat([torch.zeros(longest, dtype=torch.long, device=device), parts])
    column = torch.arange(len(part), device=device)
    sees = (column[:, None] >= column) & ((part == 0) | (part == part[:, None]))
    real = torch.cat([position >= 0, torch.ones_like(step, dtype=torch.bool).expand(len(ids), -1)], 1)
    sees = (sees & real[:, None, :]) | torch.eye(len(part), dtype=torch.bool, device=device)
    dtype = llm.model.dtype
    return {
        "input_ids": torch.cat([ids, tokens.reshape(len(prompts), -1)], 1),
        "position_ids": answered,
        "attention_mask": torch.where(sees, 0.0, torch.finfo(dtype).min).to(dtype)[:, None],
    }


def frozen_layers(llm: LLM) -> int:
    """How many of a decoder's first layers hold no trainable weight (0 where they cannot be split)."""
    base = llm.model.get_base_model()
    if not llm.can_share or base.get_input_embeddings().weight.requires_grad:
        return 0
    layers = getattr(base.get_decoder(), "layers", ())
    trained = [any(p.requires_grad for p in layer.parameters()) for layer in layers]
    return trained.index(True) if True in trained else 0


@contextmanager
def some_layers(decoder, start: int, stop: int | None):
    """The decoder with some of its layers only; all of them again after."""
    whole = decoder.layers
    decoder.layers = whole[start:stop]
    try:
        yield decoder.layers
    finally:
        decoder.layers = whole
