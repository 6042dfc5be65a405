"""All responses to a prompt, written side by side in one row: how the fast policy samples.

Each step reads one new token of each response, [prompts, group]. The cache holds a prompt once, not once
for each of its responses; and what the frozen layers give on the way is what every later pass starts from.
"""

from __future__ import annotations

from contextlib import nullcontext

import torch

from ..kvcache import with_room
from ..llm import LLM, in_lower_precision
from .layout import row_a_prompt


@torch.no_grad()
def write(
    llm: LLM, prompts: list[list[int]], group: int, max_new_tokens: int, temperature: float, seed: int,
    frozen: int = 0,
) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor] | None]:  # fmt: skip
    """``group`` responses to each prompt by plain sampling, until all have ended.

    Returns
    -------
    tokens : [prompts · group, longest]; whatever was drawn after an end stands behind it
    trunk : hidden states behind the first ``frozen`` layers, as :class:`~course_utils.rl.rollout.Rollout`
        keeps them; None for no frozen layers
    """
    from transformers import DynamicCache

    base = llm.model.get_base_model()
    decoder, head, device = base.get_decoder(), base.get_output_embeddings(), llm.model.device
    ends = torch.tensor(llm.model.generation_config.eos_token_id, device=device).reshape(-1)
    generator = torch.Generator().manual_seed(seed)
    asked, rows = max(map(len, prompts)), len(prompts) * group
    blank = torch.zeros(rows, max_new_tokens, dtype=torch.long, device=device)
    ids, positions, sees = row_a_prompt(prompts, blank, llm.tokenizer.pad_token_id)
    # The layout's columns are [prompt | response 1 | response 2 | …]; step t writes column t of each response.
    first = asked + max_new_tokens * torch.arange(group, device=device)
    columns = read = torch.arange(asked, device=device)
    new, cache, tokens, caught = ids[:, :asked], DynamicCache(), [], []
    ended = torch.zeros(rows, dtype=torch.bool, device=device)
    hook = nullcontext()
    if frozen:
        hook = decoder.layers[frozen - 1].register_forward_hook(
            lambda m, args, out: caught.append((out[0] if isinstance(out, tuple) else out).float())
        )
    with in_lower_precision(llm.model), hook:
        for step in range(max_new_tokens):
            hidden = decoder(
                input_ids=new, position_ids=positions[:, columns], past_key_values=cache,
                attention_mask=added(sees[:, columns][:, :, read], llm.model.dtype),
            ).last_hidden_state  # fmt: skip
            if step == 0:
                hidden = hidden[:, -1:].expand(-1, group, -1)  # a prompt's last token begins every response
                cache.layers = [_roomy(layer, rows // group, max_new_tokens * group) for layer in cache.layers]
            # In two dimensions: three that are no plain block would have the head copied for each prompt.
            tokens.append(draw(head(hidden.flatten(0, 1)), temperature, generator))
            ended |= torch.isin(tokens[-1], ends)
            if ended.all():
                break
            new, columns = tokens[-1].reshape(-1, group), first + step
            read = torch.cat([read, columns])
    trunk = None
    if frozen:
        answered = torch.stack(caught[1:], 2) if caught[1:] else caught[0].new_zeros(len(prompts), group, 0, caught[0].shape[-1])
        trunk = caught[0], answered
    return torch.stack(tokens, 1), trunk


def draw(logits: torch.Tensor, temperature: float, generator: torch.Generator) -> torch.Tensor:
    """One token per row of ``logits`` [rows, vocabulary], drawn from softmax(logits / temperature).

    A point between 0 and the sum of all probabilities falls into the token whose share reaches over it.
    ``torch.multinomial`` draws a random number for every token of the vocabulary instead.
    """
    reach = (logits.float() / temperature).softmax(-1).cumsum(-1)
    point = torch.rand(len(logits), 1, generator=generator).to(reach.device) * reach[:, -1:]
    return torch.searchsorted(reach, point, right=True).squeeze(1).clamp(max=logits.shape[-1] - 1)


def added(sees: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """What is added to attention scores, [prompts, 1, rows, columns]: 0 where ``sees``, else the lowest number."""
    return torch.where(sees, 0.0, torch.finfo(dtype).min).to(dtype)[:, None]


def _roomy(layer, rows: int, room: int):
    """The cache's layer, with room for more columns."""
    whole = with_room(layer, rows, layer.keys.shape[-2], room)
    whole.keys.copy_(layer.keys)
    whole.values.copy_(layer.values)
    return whole
