"""The transformer: numbers worked out by hand, equality with PyTorch's own layers, and masks."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from course_utils import transformer as t
from course_utils.settings import CourseError


@pytest.fixture
def model():
    torch.manual_seed(0)
    return t.Transformer(11, 13, d=16, heads=4, hidden=24, layers=2).eval()


def same(a, b, tolerance=1e-5):
    torch.testing.assert_close(a, b, atol=tolerance, rtol=0)


# ---------------------------------------------------------------- by hand


def test_attention_on_a_matrix_of_three_rows_worked_out_by_hand():
    """X Xᵀ has the first row 1, 0, 1; e^(1/√2) = 2.0281; 2.0281 / 5.0562 = .4011."""
    x = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    found, weights = t.attention(x, x, x)
    same(weights[0], torch.tensor([0.4011, 0.1978, 0.4011]), 1e-4)
    same(found[0], torch.tensor([0.8022, 0.5989]), 1e-4)
    same(weights.sum(-1), torch.ones(3))


def test_equal_scores_give_the_mean_of_the_values():
    value = torch.tensor([[1.0, 4.0], [3.0, 0.0]])
    same(t.attention(torch.zeros(1, 2), torch.ones(2, 2), value)[0], torch.tensor([[2.0, 2.0]]))


def test_the_causal_mask_is_the_lower_triangle():
    assert t.causal_mask(3).tolist() == [[True, False, False], [True, True, False], [True] * 3]


def test_a_masked_position_gets_no_weight():
    weights = t.attention(*torch.ones(3, 4, 2), t.causal_mask(4))[1]
    same(weights[0], torch.tensor([1.0, 0, 0, 0]))
    same(weights[2], torch.tensor([1.0, 1, 1, 0]) / 3)


def test_position_vectors_worked_out_by_hand():
    """d = 4: the pairs turn by 1 and by 1 / 100 radians a position."""
    first, second = t.sinusoids(2, 4)
    same(first, torch.tensor([0.0, 1, 0, 1]))
    same(second, torch.tensor([math.sin(1), math.cos(1), math.sin(0.01), math.cos(0.01)]))


def test_the_product_of_two_position_vectors_depends_on_their_distance_only():
    table = t.sinusoids(30, 16).double()
    same(table[3] @ table[7], table[21] @ table[25])


def test_heads_take_neighbouring_columns():
    x = torch.arange(12.0).reshape(1, 2, 6)  # two positions, three heads of two columns
    split = t.MultiHead(6, 3).split(x)
    assert split.shape == (1, 3, 2, 2)
    assert split[0, 1].tolist() == [[2, 3], [8, 9]]


def test_heads_must_divide_d():
    with pytest.raises(ValueError, match="cannot be divided"):
        t.MultiHead(10, 4)


# ---------------------------------------------------------------- equal to PyTorch


@pytest.mark.parametrize("mask", [None, t.causal_mask(5), torch.rand(2, 3, 5, 5) > 0.3])
def test_attention_equals_pytorchs(mask):
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 2, 3, 5, 8)
    if mask is not None:
        mask = mask | torch.eye(5, dtype=torch.bool)  # each query sees at least one key
    same(t.attention(q, k, v, mask)[0], F.scaled_dot_product_attention(q, k, v, mask))


def test_many_heads_equal_pytorchs_and_so_do_their_weights():
    torch.manual_seed(0)
    theirs = nn.MultiheadAttention(12, 3, batch_first=True)
    nn.init.normal_(theirs.in_proj_bias)
    ours = t.MultiHead(12, 3)
    ours.load_state_dict(theirs.state_dict())
    x, other, hidden = torch.randn(2, 4, 12), torch.randn(2, 6, 12), torch.rand(4, 6) > 0.6
    hidden[:, 0] = False
    for a, b, mask in ((x, x, None), (x, other, hidden)):  # PyTorch's mask is True where hidden
        found, weights = ours(a, b, None if mask is None else ~mask)
        want = theirs(a, b, b, attn_mask=mask, average_attn_weights=False)
        same(found, want[0])
        same(weights, want[1])


def torch_transformer():
    theirs = nn.Transformer(16, 4, 2, 2, 24, dropout=0.0, batch_first=True, norm_first=True)
    for p in theirs.parameters():  # norms and biases too, which begin as ones and zeros
        nn.init.normal_(p, std=0.3)
    return theirs


@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
def test_encoder_and_decoder_equal_pytorchs_with_its_weights(model):
    torch.manual_seed(0)
    theirs = torch_transformer().eval()
    model.encoder.load_state_dict(theirs.encoder.state_dict())
    model.decoder.load_state_dict(theirs.decoder.state_dict())
    x, y = torch.randn(3, 7, 16), torch.randn(3, 5, 16)
    source = torch.ones(3, 7, dtype=torch.long)
    source[1, 4:] = t.PAD
    memory, _ = model.encoder(x, t.padding_mask(source))
    found, _, _ = model.decoder(y, memory, t.causal_mask(5), t.padding_mask(source))
    hidden = source == t.PAD
    want = theirs(
        x, y, tgt_mask=~t.causal_mask(5), src_key_padding_mask=hidden, memory_key_padding_mask=hidden
    )
    same(found, want, 1e-4)


def test_parameters_are_those_of_pytorchs_layers(model):
    ours = {name: p.shape for name, p in model.encoder.layers[0].named_parameters()}
    theirs = nn.TransformerEncoderLayer(16, 4, 24).named_parameters()
    assert ours == {name: p.shape for name, p in theirs}


# ---------------------------------------------------------------- who sees what


def test_attention_without_positions_only_permutes_with_its_input():
    torch.manual_seed(0)
    layer, x, order = t.EncoderLayer(16, 4, 24), torch.randn(1, 6, 16), torch.randperm(6)
    same(layer(x[:, order])[0], layer(x)[0][:, order])


def test_the_decoder_cannot_see_what_comes_later(model):
    source, target = torch.tensor([[3, 4, 5, 2]]), torch.tensor([[1, 6, 7, 8]])
    changed = torch.tensor([[1, 6, 9, 10]])
    before, after = model(source, target), model(source, changed)
    same(before[:, :2], after[:, :2])
    assert (before[:, 2] - after[:, 2]).abs().max() > 1e-3


def test_padding_changes_no_result(model):
    source, target = torch.tensor([[3, 4, 5, 2]]), torch.tensor([[1, 6, 7]])
    longer = F.pad(source, (0, 3)), F.pad(target, (0, 2))
    same(model(*longer)[:, :3], model(source, target))
    memory, seen = model.encode(longer[0])
    same(memory[:, :4], model.encode(source)[0])
    assert seen[0][..., 4:].abs().max() == 0


def test_attention_weights_come_back_for_each_layer_and_head(model):
    source, target = torch.tensor([[3, 4, 5, 2], [3, 2, 0, 0]]), torch.tensor([[1, 6], [1, 7]])
    memory, seen = model.encode(source)
    logits, own, cross = model.decode(target, memory, source)
    assert logits.shape == (2, 2, 13)
    assert [w.shape for w in seen] == [(2, 4, 4, 4)] * 2
    assert [w.shape for w in own] == [(2, 4, 2, 2)] * 2
    assert [w.shape for w in cross] == [(2, 4, 2, 4)] * 2
    for weights in (*seen, *own, *cross):
        same(weights.sum(-1), torch.ones(weights.shape[:-1]))


def test_a_text_longer_than_the_positions_is_refused_in_words(model):
    with pytest.raises(CourseError, match="65 words; this model has 64"):
        model.encode(torch.ones(1, 65, dtype=torch.long))


# ---------------------------------------------------------------- words and decoding


def test_vocabulary_turns_words_into_ids_and_back():
    words = t.Vocabulary.of(["j'aime l'art", "j'aime le chat"])
    assert words.words == ("<pad>", "<start>", "<end>", "aime", "art", "chat", "j'", "l'", "le")
    assert words.encode("J’aime le chat") == [6, 3, 8, 5, t.END]
    assert words.decode([8, 5, t.END, 3, 3]) == "le chat"
    with pytest.raises(CourseError, match="chien, noir"):
        words.encode("le chien noir")


def test_batches_hold_every_example_once_and_like_lengths_together():
    examples = [([3] * n, [4] * (n + 1)) for n in (5, 1, 3, 1, 5, 3)]
    found = t.batches(examples, 2, seed=0)
    assert sorted(tuple(s.shape) for s, _ in found) == [(2, 1), (2, 3), (2, 5)]
    assert all((s != t.PAD).all() and (y != t.PAD).all() for s, y in found)
    again, other = t.batches(examples, 2, seed=0), t.batches(examples, 2, seed=1)
    assert [s.shape for s, _ in found] == [s.shape for s, _ in again]
    assert [s.shape for s, _ in found] != [s.shape for s, _ in other]


def test_greedy_takes_the_likeliest_word_each_time_and_stops_at_the_end(model):
    source = torch.tensor([[3, 4, 5, 2], [6, 2, 0, 0]])
    found = t.greedy(model, source, limit=6)
    assert found.shape[1] <= 6
    for row, ids in zip(source, found):
        target = [t.START]
        while t.END not in target and len(target) <= 6:
            target.append(model(row[None, row != t.PAD], torch.tensor([target]))[0, -1].argmax().item())
        want = target[1:] + [t.PAD] * (found.shape[1] - len(target) + 1)
        assert ids.tolist() == want


def test_a_row_that_ended_is_filled_with_padding(model):
    with torch.no_grad():
        model.output.weight.zero_()
        model.output.bias.copy_(F.one_hot(torch.tensor(t.END), 13))
    assert t.greedy(model, torch.tensor([[3, 2], [4, 2]])).tolist() == [[t.END], [t.END]]


def test_it_learns_to_reverse(model):
    """Nothing but cross-attention can do it: three letters turned round."""
    torch.manual_seed(0)
    model.train()
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(80):
        source = torch.randint(3, 11, (64, 3))
        target = source.flip(1)
        logits = model(source, F.pad(target[:, :-1], (1, 0), value=t.START))
        loss = F.cross_entropy(logits.flatten(0, 1), target.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.3
