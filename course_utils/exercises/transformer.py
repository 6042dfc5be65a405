"""The transformer from scratch: reference answers and their tests."""

from __future__ import annotations

import torch

from ..transformer import PAD, START
from .engine import Exercise, Wrong, close

# ------------------------------------------------------------ transformer.1 one BPE merge


def merge(words, pair):
    merged = {}
    for pieces, count in words.items():
        new, i = [], 0
        while i < len(pieces):
            joined = pieces[i : i + 2] == pair
            new.append(pieces[i] + pieces[i + 1] if joined else pieces[i])
            i += 2 if joined else 1
        merged[tuple(new)] = count
    return merged


def _test_merge(merge):
    words = {tuple("banana"): 3, ("ba", "n"): 2, tuple("nab"): 5}
    got = merge(dict(words), ("a", "n"))
    if not isinstance(got, dict):
        raise Wrong("Return a dictionary like the one you got: pieces → count.")
    if got == words:
        raise Wrong("Nothing changed: join the two pieces into one string.")
    if any(isinstance(key, str) for key in got):
        raise Wrong("A word must stay a tuple of pieces: the next merge needs them.")
    if ("b", "an", "a", "n", "a") in got:
        raise Wrong("'banana' holds the pair twice; you merged only its first place.")
    if ("ban",) in got or ("b", "an") in got:
        raise Wrong("('ba', 'n') does not hold the pair ('a', 'n'): compare whole pieces, not letters.")
    if ("n", "an", "b") in got or tuple("nb") in got or ("an", "b") in got:
        raise Wrong("'nab' holds n before a, not a before n: the order counts.")
    if len(got) == 3 and sorted(got.values()) != [2, 3, 5]:
        raise Wrong("The counts belong to the words: a merge does not change them.")
    if got != {("b", "an", "an", "a"): 3, ("ba", "n"): 2, tuple("nab"): 5}:
        raise Wrong(f"banana should become b an an a; yours: {got}.")
    if merge({("a", "a", "a"): 1}, ("a", "a")) != {("aa", "a"): 1}:
        raise Wrong("a a a holds the pair (a, a) once, from the left: a piece cannot be used twice.")


# ------------------------------------------------------------ transformer.2 one query


def attend(query, keys, values):
    scores = keys @ query / query.shape[-1] ** 0.5
    return scores.softmax(-1) @ values


def _test_attend(attend):
    torch.manual_seed(0)
    query, keys, values = torch.randn(4), torch.randn(3, 4), torch.randn(3, 5)
    got = torch.as_tensor(attend(query.clone(), keys.clone(), values.clone()))
    scores = keys @ query
    weights = (scores / 2).softmax(-1)
    if close(got, weights):
        raise Wrong("Those are the weights. The answer is the values, mixed with these weights.")
    if tuple(got.shape) != (5,):
        raise Wrong(f"One query gives one vector as long as a value, 5; yours has the shape {tuple(got.shape)}.")
    if close(got, scores.softmax(-1) @ values):
        raise Wrong("The scores were not divided by √d.")
    if close(got, (scores / 4).softmax(-1) @ values):
        raise Wrong("You divided by d; it is √d, the spread of a sum of d products.")
    if close(got, (scores / 3**0.5).softmax(-1) @ values):
        raise Wrong("You divided by the root of the number of keys; d is the length of the query.")
    if close(got, scores / 2 @ values) or close(got, scores @ values):
        raise Wrong("Without the softmax the weights are neither positive nor add up to 1.")
    if not close(got, weights @ values):
        raise Wrong("softmax(keys · query / √d), then the weighted sum of the values.")


# ------------------------------------------------------------ transformer.3 spot the bug: the axis


def attention_weights(scores):
    return scores.softmax(-1)


def _test_attention_weights(attention_weights):
    torch.manual_seed(0)
    scores = torch.randn(2, 3, 4)
    got = torch.as_tensor(attention_weights(scores.clone()))
    if got.shape != scores.shape:
        raise Wrong(f"As many weights as scores, {tuple(scores.shape)}; yours: {tuple(got.shape)}.")
    if close(got, scores.softmax(-2)):
        raise Wrong("Still the columns: here it is each *key* whose weights add up to 1.")
    if close(got, scores.softmax(0)):
        raise Wrong("With a batch in front, the first axis is the batch: rows of different sentences now share their weight.")
    if close(got, scores.softmax(1)) or close(got.sum(), 1.0) or close(got.sum((1, 2)), torch.ones(2)):
        raise Wrong("The whole matrix adds up to 1; each query's row should.")
    if close(got, scores / scores.sum(-1, keepdim=True)):
        raise Wrong("Dividing by the sum gives negative weights for negative scores: exponentiate first.")
    if not close(got, scores.softmax(-1)):
        raise Wrong("Each query's weights over the keys, the last axis, should be a softmax of its scores.")
    if attention_weights(torch.tensor([[1000.0, 0.0]])).isnan().any():
        raise Wrong("A score of 1,000 overflows e^x: subtract the row's maximum, or let softmax do it.")


# ------------------------------------------------------------ transformer.4 the causal mask


def causal(length):
    return torch.ones(length, length, dtype=torch.bool).tril()


def _test_causal(causal):
    got = torch.as_tensor(causal(4))
    if tuple(got.shape) != (4, 4):
        raise Wrong(f"One row a query, one column a key: (4, 4), not {tuple(got.shape)}.")
    if got.dtype != torch.bool:
        raise Wrong("Return True and False (dtype=torch.bool): numbers would need another convention.")
    lower = torch.ones(4, 4, dtype=torch.bool).tril()
    if got.equal(lower.T):
        raise Wrong("Row 0 may look at everything, row 3 only at itself: that is the future, turned round.")
    if got.equal(~lower):
        raise Wrong("True means *may look* here; you marked what is hidden.")
    if got.equal(lower.tril(-1)):
        raise Wrong("Nobody may look at itself: the first row then has nothing to look at, and its softmax is NaN.")
    if got.equal(lower.T.triu(1)):
        raise Wrong("You kept exactly the future.")
    if not got.equal(lower):
        raise Wrong("Position i may look at 0 … i, itself included, and at nothing later.")
    if tuple(causal(1).shape) != (1, 1):
        raise Wrong("It should work for every length; try 1.")


# ------------------------------------------------------------ transformer.5 a position vector


def position_vector(position, d):
    angles = position / 10000 ** (torch.arange(0, d, 2) / d)
    return torch.stack([angles.sin(), angles.cos()], -1).flatten()


def _test_position_vector(position_vector):
    got = torch.as_tensor(position_vector(3, 6))
    if tuple(got.shape) != (6,):
        raise Wrong(f"d = 6 numbers; yours has the shape {tuple(got.shape)}.")
    angles = 3 / 10000 ** (torch.arange(0, 6, 2) / 6)
    want = torch.stack([angles.sin(), angles.cos()], -1).flatten()
    if close(got, torch.cat([angles.sin(), angles.cos()])):
        raise Wrong("The right numbers in another order: sine and cosine of one angle stand side by side.")
    if close(got, torch.stack([angles.cos(), angles.sin()], -1).flatten()):
        raise Wrong("Sine and cosine are exchanged: even columns hold the sine.")
    slow = 3 / 10000 ** (torch.arange(3) / 6)
    if close(got, torch.stack([slow.sin(), slow.cos()], -1).flatten()):
        raise Wrong("The exponent is 2i/d for the pair i: 0, 2/6, 4/6. You used i/d.")
    fast = 3 * 10000 ** (torch.arange(0, 6, 2) / 6)
    if close(got, torch.stack([fast.sin(), fast.cos()], -1).flatten(), 1e-2):
        raise Wrong("You multiplied by 10000^(2i/d); dividing makes the later pairs slow.")
    if close(got, torch.sin(3 / 10000 ** (torch.arange(6) / 6))) or close(got[1::2], angles.sin()):
        raise Wrong("Only sines: each angle gives a sine and a cosine.")
    if not close(got, want):
        raise Wrong(f"For position 3 and d = 6 expected {[round(x, 3) for x in want.tolist()]}.")


# ------------------------------------------------------------ transformer.6 count a layer


def count_parameters(d, hidden):
    attention = 4 * (d * d + d)
    feed_forward = (d * hidden + hidden) + (hidden * d + d)
    norms = 2 * 2 * d
    return attention + feed_forward + norms


def _test_count_parameters(count_parameters):
    d, hidden = 10, 30
    got, want = count_parameters(d, hidden), 1120
    reasons = {
        4 * d * d + 2 * d * hidden: "Only the matrices: each linear map also has a bias, and each norm a scale and a shift.",
        want - 4 * d: "The two layer norms are missing: each has a scale and a shift, d numbers each.",
        want - 2 * d: "A norm has a scale *and* a shift; there are two norms.",
        want - (d * d + d): "Three of four maps: after the heads are put side by side comes one more, W_o.",
        want - 5 * d - hidden: "The biases are missing: each linear map adds one number an output.",
        4 * (d * d + d): "That is the attention alone; the feed-forward network and the norms are missing.",
        want - (hidden * d + d): "The feed-forward network has two maps: d → hidden and hidden → d.",
    }
    if got in reasons:
        raise Wrong(reasons[got])
    if got != want:
        raise Wrong(f"For d = 10 and hidden = 30 there are 1,120; yours: {got}. (The number of heads plays no part.)")
    if count_parameters(16, 8) != 1432:
        raise Wrong("Right for d = 10 and hidden = 30, wrong for d = 16 and hidden = 8: keep the two apart.")


# ------------------------------------------------------------ transformer.7 spot the bug: the shift


def shift(target):
    start = torch.full_like(target[:, :1], START)
    inputs = torch.cat([start, target[:, :-1]], 1)
    labels = target.masked_fill(target == PAD, -100)
    return inputs, labels


def _test_shift(shift):
    target = torch.tensor([[7, 8, 9, 2], [5, 2, 0, 0]])
    before = target.clone()
    got = shift(target)
    if not target.equal(before):
        raise Wrong("Your function changed the batch it was given: make a copy.")
    if not isinstance(got, (tuple, list)) or len(got) != 2:
        raise Wrong("Return two tensors: the decoder's inputs and the labels.")
    inputs, labels = got
    if inputs.shape != labels.shape:
        raise Wrong(f"Inputs {tuple(inputs.shape)} and labels {tuple(labels.shape)}: each input needs one label.")
    if inputs.equal(target):
        raise Wrong("The decoder is still fed the word it should predict: it learns to copy its input.")
    if labels.equal(target):
        raise Wrong("The labels still hold padding (0): the loss would reward predicting it. −100 leaves it out.")
    if inputs[:, 0].equal(target[:, 1]):
        raise Wrong("You shifted the wrong way: the decoder sees the word *after* the one it should predict.")
    if not inputs[:, 0].eq(START).all():
        raise Wrong("The first input is the start mark (1): it asks for the first word.")
    if tuple(labels.shape) == (2, 3) or (labels[0] != torch.tensor([7, 8, 9, 2])).any():
        raise Wrong("The labels of the first row are its words and the end mark: 7, 8, 9, 2. The end must be learnt too.")
    if not inputs[0].equal(torch.tensor([1, 7, 8, 9])):
        raise Wrong("The inputs of the row 7, 8, 9, 2 are 1, 7, 8, 9.")
    if labels[1].tolist() != [5, 2, -100, -100]:
        raise Wrong("The labels of 5, 2 and two paddings are 5, 2, −100, −100.")


# ------------------------------------------------------------ transformer.8 find a head


def previous_token_score(weights):
    return weights.diagonal(-1).mean()


def _test_previous_token_score(previous_token_score):
    torch.manual_seed(0)
    weights = torch.rand(5, 5).tril()
    weights = weights / weights.sum(-1, keepdim=True)
    got = torch.as_tensor(previous_token_score(weights.clone()))
    if got.numel() != 1:
        raise Wrong("One head gets one number: the mean over its queries.")
    want = sum(weights[i, i - 1] for i in range(1, 5)) / 4
    if close(got, weights.diagonal().mean()):
        raise Wrong("That is each token's weight on *itself*; the one before stands one column to the left.")
    if close(got, weights.diagonal(1).mean()):
        raise Wrong("You read above the diagonal: the future, where a causal model has only zeros.")
    if close(got, want * 4):
        raise Wrong("That is the sum; the mean can be compared between texts of different lengths.")
    if close(got, want * 4 / 5):
        raise Wrong("The first token has no one before it: leave it out, 4 queries remain of 5.")
    if close(got, weights[1:, 0].mean()):
        raise Wrong("That is the weight on the *first* token.")
    if not close(got, want):
        raise Wrong(f"For the check's head the score is {want:.3f}; yours is {got.item():.3f}.")


EXERCISES = [
    Exercise("transformer.1", "one BPE merge", merge, _test_merge, (
        "Walk along the pieces with an index; where two neighbours are the pair, take both and step by two.",
        "The key of the new dictionary is tuple(new); its value is the old count.",
    )),
    Exercise("transformer.2", "attention for one query", attend, _test_attend, (
        "keys @ query gives one score a key.",
        "Divide by the root of query.shape[-1], softmax, then the weights times the values.",
    )),
    Exercise("transformer.3", "spot the bug: weights that do not add up", attention_weights, _test_attention_weights, (
        "Print the sums over rows and over columns.",
        "A query's scores lie along the last axis, however many axes come before it.",
    )),
    Exercise("transformer.4", "the causal mask", causal, _test_causal, (
        "Start from a square of ones with dtype=torch.bool.",
        "A lower triangle, the diagonal included: Tensor.tril.",
    )),
    Exercise("transformer.5", "a position vector", position_vector, _test_position_vector, (
        "torch.arange(0, d, 2) / d are the exponents, one a pair.",
        "Stack sine and cosine along a new last axis and flatten: they come out side by side.",
    )),
    Exercise("transformer.6", "count a layer's parameters", count_parameters, _test_count_parameters, (
        "Four square maps, two feed-forward maps, two norms.",
        "A map from a to b numbers has a·b weights and b biases; a norm has 2·d parameters.",
    )),
    Exercise("transformer.7", "spot the bug: the decoder that sees the answer", shift, _test_shift, (
        "What should the decoder have seen when it predicts the first word? Nothing but the start mark.",
        "Inputs: a column of START, then the target without its last column. Labels: the target, −100 at padding.",
    )),
    Exercise("transformer.8", "a score for one head", previous_token_score, _test_previous_token_score, (
        "weights[i, i − 1] for i = 1, 2, …: a diagonal next to the main one.",
        "Tensor.diagonal takes an offset; which sign is below the main diagonal?",
    )),
]  # fmt: skip
