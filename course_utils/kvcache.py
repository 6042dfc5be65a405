"""The key-value cache of a batch's prompts: nothing read twice, little padding, room for the answers."""

from __future__ import annotations

import torch

from .settings import SHAPE_STEP

ROWS_AT_ONCE = 4  # prompts of similar length are read together: the padding of few rows is small


def read_prompts(model, ids: torch.Tensor, mask: torch.Tensor, shared: int, new_tokens: int):
    """Key-value cache of all prompt columns but the last, with room for ``new_tokens`` more.

    The beginning that all rows share is read once, equal rows are read once, and rows are read
    beside rows of about their length, without the columns in which all of these are padding.

    Parameters
    ----------
    model : a decoder-only model of full attention.
    ids, mask : ``[rows, columns]``, laid out as [shared beginning | padding | rest].
    shared : columns at the beginning that are the same in every row.
    """
    from transformers import DynamicCache

    stop = ids.shape[1] - 1
    last = torch.tensor([-1], device=ids.device)  # a slice of several rows would copy the head for each
    # By mask too: a prompt may hold the pad token, which then looks like another one's padding.
    unique, inverse = torch.unique(torch.cat([ids, mask], 1), dim=0, return_inverse=True)
    unique = unique[:, : ids.shape[1]]
    first = torch.stack([(inverse == u).nonzero()[0, 0] for u in range(len(unique))])
    mask = mask[first]
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    beginning = DynamicCache()
    if 0 < shared <= stop:
        model(input_ids=unique[:1, :shared], past_key_values=beginning, logits_to_keep=last)
    done = beginning.get_seq_length()
    multiple = SHAPE_STEP if torch.is_autocast_enabled(ids.device.type) else 1

    whole = DynamicCache()
    lengths = mask.sum(1)
    for rows in lengths.argsort().split(ROWS_AT_ONCE):
        new = lengths[rows].max().item() - done - 1  # columns that are not padding in all of these
        start = max(done, stop - -(-new // multiple) * multiple)
        part = DynamicCache()
        for number, layer in enumerate(beginning.layers):
            copies = (len(rows), -1, -1, -1)
            part.update(layer.keys.expand(copies), layer.values.expand(copies), number)
        if start < stop:
            seen = torch.cat([mask[rows, :done], mask[rows, start:stop]], 1)
            model(
                input_ids=unique[rows, start:stop], attention_mask=seen,
                position_ids=positions[rows, start:stop], past_key_values=part, logits_to_keep=last,
            )  # fmt: skip
        for layer in part.layers:  # autocast leaves some in bfloat16
            layer.keys, layer.values = layer.keys.to(model.dtype), layer.values.to(model.dtype)
        if not whole.layers:
            whole.layers = [with_room(x, len(ids), stop, new_tokens + 1) for x in part.layers]
        to, come_from = (inverse[:, None] == rows).nonzero(as_tuple=True)
        for target, layer in zip(whole.layers, part.layers):
            for own, old in ((target.keys, layer.keys), (target.values, layer.values)):
                own[to, :, :done] = old[come_from, :, :done]
                own[to, :, start:] = old[come_from, :, done:]
    return whole


def with_room(like, rows: int, columns: int, room: int):
    """A transformers ``DynamicLayer`` of ``columns`` zeros that takes ``room`` more without a copy.

    The library's own concatenates: it copies the whole cache at each new token, an eighth of the time
    of 32 answers on one core. ``like`` is a layer of the same heads, sizes and kind of number.
    """
    from transformers.cache_utils import DynamicLayer

    class Roomy(DynamicLayer):
        def update(self, key_states, value_states, *args, **kwargs):
            start, stop = self.keys.shape[-2], self.keys.shape[-2] + key_states.shape[-2]
            if stop > self.room[0].shape[-2]:
                return super().update(key_states, value_states, *args, **kwargs)
            for buffer, new in zip(self.room, (key_states, value_states)):
                buffer[..., start:stop, :] = new
            self.keys, self.values = (buffer[..., :stop, :] for buffer in self.room)
            return self.keys, self.values

    layer = Roomy()
    layer.lazy_initialization(like.keys, like.values)
    layer.room = [
        old.new_zeros(rows, old.shape[1], columns + room, old.shape[3])
        for old in (like.keys, like.values)
    ]
    layer.keys, layer.values = (buffer[..., :columns, :] for buffer in layer.room)
    return layer
