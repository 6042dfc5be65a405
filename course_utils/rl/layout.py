"""One row a prompt: the prompt is read once for all of its responses. Index arithmetic, no model."""

from __future__ import annotations

import torch


def row_a_prompt(
    prompts: list[list[int]], tokens: torch.Tensor, pad: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Rows  [padding | prompt | response 1 | response 2 | …],  in which a response sees the prompt and
    itself.

    ``tokens`` [prompts · group, longest]: the responses as far as they are read, padded on the right.

    Returns
    -------
    ids, positions : [prompts, columns]
    sees : bool [prompts, columns, columns]; may the token of this row see the token of that column?

    Two prompts, two responses of two tokens to each. Every response continues its prompt's positions:

    >>> prompts, tokens = [[11, 12], [21]], torch.tensor([[1, 2], [3, 4], [5, 6], [7, 8]])
    >>> ids, positions, sees = row_a_prompt(prompts, tokens, pad=0)
    >>> ids
    tensor([[11, 12,  1,  2,  3,  4],
            [ 0, 21,  5,  6,  7,  8]])
    >>> positions
    tensor([[0, 1, 2, 3, 2, 3],
            [0, 0, 1, 2, 1, 2]])

    In the second row the last two lines are response 2 (7, 8). They see the prompt 21 and themselves,
    neither the padding nor response 1:

    >>> sees[1].int()
    tensor([[1, 0, 0, 0, 0, 0],
            [0, 1, 0, 0, 0, 0],
            [0, 1, 1, 0, 0, 0],
            [0, 1, 1, 1, 0, 0],
            [0, 1, 0, 0, 1, 0],
            [0, 1, 0, 0, 1, 1]], dtype=torch.int32)
    """
    device = tokens.device
    longest, group = max(map(len, prompts)), len(tokens) // len(prompts)
    ids = torch.tensor([[pad] * (longest - len(p)) + p for p in prompts], device=device)
    lengths = torch.tensor([len(p) for p in prompts], device=device)[:, None]
    position = torch.arange(longest, device=device) - (longest - lengths)  # < 0: padding
    step = torch.arange(tokens.shape[1], device=device).repeat(group)
    # Part 0 is the prompt, part j the j-th response. Padding after an end comes after all that
    # counts; padding before a prompt is hidden from everything but itself.
    parts = torch.arange(1, group + 1, device=device).repeat_interleave(tokens.shape[1])
    part = torch.cat([torch.zeros(longest, dtype=torch.long, device=device), parts])
    column = torch.arange(len(part), device=device)
    sees = (column[:, None] >= column) & ((part == 0) | (part == part[:, None]))
    real = torch.cat([position >= 0, torch.ones_like(step, dtype=torch.bool).expand(len(ids), -1)], 1)
    # A row of the mask that is all False would make softmax divide 0 by 0: each token sees itself.
    sees = (sees & real[:, None, :]) | torch.eye(len(part), dtype=torch.bool, device=device)
    return (
        torch.cat([ids, tokens.reshape(len(prompts), -1)], 1),
        torch.cat([position.clamp(min=0), lengths + step], 1),
        sees,
    )
