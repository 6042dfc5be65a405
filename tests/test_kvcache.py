import pytest
import torch
from transformers.cache_utils import DynamicLayer

from course_utils import kvcache

SHARED = [5, 6, 7]
RESTS = [[8], [9, 10], [11, 12, 13, 14, 15, 16], [9, 10], [17], [18, 19, 20], [21, 22, 23, 24]]


def laid_out(shared, rests, pad=2):
    longest = max(map(len, rests))
    ids = [shared + [pad] * (longest - len(r)) + r for r in rests]
    mask = [[1] * len(shared) + [0] * (longest - len(r)) + [1] * len(r) for r in rests]
    return torch.tensor(ids), torch.tensor(mask)


@torch.inference_mode()
@pytest.mark.parametrize("shared", [SHARED, [5], []])  # one: a begin token
@pytest.mark.parametrize("rows_at_once", [1, 3, 99])
def test_each_row_is_as_if_read_alone(llama, shared, rows_at_once, monkeypatch):
    monkeypatch.setattr(kvcache, "ROWS_AT_ONCE", rows_at_once)
    ids, mask = laid_out(shared, RESTS)
    cache = kvcache.read_prompts(llama, ids, mask, len(shared), new_tokens=4)
    assert cache.get_seq_length() == ids.shape[1] - 1
    for number, rest in enumerate(RESTS):
        row = torch.tensor([[*shared, *rest]])
        alone = llama(row, use_cache=True).past_key_values
        real = mask[number, :-1].bool()
        for got, expected in zip(cache.layers, alone.layers):
            for name in ("keys", "values"):
                wanted = getattr(expected, name)[0, :, :-1]  # the last column is left to generate
                assert torch.allclose(getattr(got, name)[number][:, real], wanted, atol=1e-5)
                assert not getattr(got, name)[number][:, ~real].isnan().any()


@torch.inference_mode()
def test_a_prompt_that_holds_the_pad_token_is_not_taken_for_a_padded_one(llama):
    ids, mask = torch.tensor([[2, 7, 8], [2, 7, 8]]), torch.tensor([[0, 1, 1], [1, 1, 1]])
    cache = kvcache.read_prompts(llama, ids, mask, 0, new_tokens=1)
    for number, row in enumerate(([[7, 8]], [[2, 7, 8]])):
        alone = llama(torch.tensor(row), use_cache=True).past_key_values
        real = mask[number, :-1].bool()
        for got, expected in zip(cache.layers, alone.layers):
            assert torch.allclose(got.keys[number][:, real], expected.keys[0, :, :-1], atol=1e-5)


@torch.inference_mode()
def test_nothing_is_read_twice_and_little_padding(llama, monkeypatch):
    monkeypatch.setattr(kvcache, "ROWS_AT_ONCE", 2)
    read = []
    count = llama.register_forward_pre_hook(
        lambda module, args, kwargs: read.append(tuple(kwargs["input_ids"].shape)), with_kwargs=True
    )
    ids, mask = laid_out(SHARED, RESTS)
    kvcache.read_prompts(llama, ids, mask, len(SHARED), new_tokens=1)
    count.remove()
    # Six different rests, all but their last token: 0 0 | 1 2 | 3 5, each pair padded to its longer.
    assert read == [(1, 3), (2, 2), (2, 5)]


@torch.inference_mode()
def test_under_autocast_prompts_are_read_in_few_shapes_into_a_cache_of_the_models_precision(
    llama, monkeypatch
):
    monkeypatch.setattr(kvcache, "ROWS_AT_ONCE", 2)
    monkeypatch.setattr(kvcache, "SHAPE_STEP", 4)
    ids, mask = laid_out(SHARED, RESTS)
    plain = kvcache.read_prompts(llama, ids, mask, len(SHARED), new_tokens=1)
    read = []
    count = llama.register_forward_pre_hook(
        lambda module, args, kwargs: read.append(kwargs["input_ids"].shape[1]), with_kwargs=True
    )
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cache = kvcache.read_prompts(llama, ids, mask, len(SHARED), new_tokens=1)
    count.remove()
    assert read == [3, 4, 5]  # the shared part; 2 columns rounded up to 4; 5 of no more than 5
    real = mask[:, :-1].bool()
    for got, expected in zip(cache.layers, plain.layers):
        for name in ("keys", "values"):
            got_part = getattr(got, name)
            assert got_part.dtype == torch.float32
            a, b = (x.transpose(1, 2)[real] for x in (got_part, getattr(expected, name)))
            assert torch.allclose(a, b, rtol=0.02, atol=0.2) and not torch.equal(a, b)


@torch.inference_mode()
def test_the_output_layer_is_not_copied_for_each_row(llama):
    """PyTorch multiplies a slice of several rows as a batch, with a copy of the weights for each."""
    ids, mask = laid_out(SHARED, RESTS)
    seen = []
    hook = llama.lm_head.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    kvcache.read_prompts(llama, ids, mask, len(SHARED), new_tokens=1)
    hook.remove()
    assert max(len(x) for x in seen) > 1
    assert all(x.shape[1] == 1 and x.is_contiguous() for x in seen)


def test_a_cache_with_room_appends_in_place_and_then_grows():
    keys, new = torch.randn(2, 1, 3, 4), torch.randn(2, 1, 1, 4)
    plain = DynamicLayer()
    plain.update(keys, keys)
    layer, expected = kvcache.with_room(plain, rows=2, columns=3, room=1), keys
    layer.keys[:] = layer.values[:] = keys
    place = layer.keys.data_ptr()
    for in_place in (True, False):  # the second one finds no room
        expected = torch.cat([expected, new], 2)
        got = layer.update(new, new)
        assert all(torch.equal(part, expected) for part in got)
        assert (layer.keys.data_ptr() == place) == in_place
