"""The transformer from scratch: reference answers and their tests."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from .. import metrics
from ..transformer import END, PAD, START
from . import answers
from .cases import alike, compare, same_gradient
from .engine import Exercise


def _random(*shape, seed=0, scale=1.0):
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# ------------------------------------------------------------ transformer.12 the nearest row


def nearest(table, i):
    cosines = F.cosine_similarity(table[i][None], table)
    order = cosines.argsort(descending=True).tolist()
    return next(row for row in order if row != i)


def _nearest(table, i, score, itself=False):
    scores = score(table[i][None], table).double()
    return max((row for row in range(len(table)) if itself or row != i), key=lambda row: scores[row].item())


NEAREST_SLIPS = [
    ("Each row is nearest to itself; row i does not count.", lambda t, i: _nearest(t, i, F.cosine_similarity, itself=True)),
    ("Those are dot products: a long vector wins, whatever its direction. Divide by both lengths.", lambda t, i: _nearest(t, i, lambda a, b: (a * b).sum(1))),
    ("You divided by the length of row i alone: a long vector still wins.", lambda t, i: _nearest(t, i, lambda a, b: (a * b).sum(1) / a.norm())),
    ("That is the smallest distance. The cosine compares directions, and a vector may be long.", lambda t, i: _nearest(t, i, lambda a, b: -(a - b).norm(dim=1))),
    ("That is the row *least* like row i.", lambda t, i: _nearest(t, i, lambda a, b: -F.cosine_similarity(a, b))),
    ("The opposite direction (cosine −1) is not near: do not take the absolute value.", lambda t, i: _nearest(t, i, lambda a, b: F.cosine_similarity(a, b).abs())),
    ("The second in the order need not be another row: with two equal rows it can be row i itself.", lambda t, i: F.cosine_similarity(t[i][None], t).argsort(descending=True, stable=True)[1].item()),
    ("The second in the order need not be another row: with two equal rows it can be row i itself.", lambda t, i: F.cosine_similarity(t[i][None], t).argsort(stable=True)[-2].item()),
    ("That is the nearest to row 0, whatever i is.", lambda t, i: nearest(t, 0)),
]  # fmt: skip


def _test_nearest(nearest):
    by_hand = torch.tensor([[1.0, 0.0], [9.0, 8.0], [2.0, 0.5], [-3.0, 0.0], [0.5, 0.5]])
    twins = torch.tensor([[1.0, 2.0], [3.0, 1.0], [1.0, 2.0]])
    cases = [
        ("", (by_hand, 0)),
        ("another row", (by_hand, 4)),
        ("the opposite direction", (torch.tensor([[1.0, 2.0], [-1.0, -2.0], [2.0, -0.5]]), 0)),
        ("nothing in the same half", (torch.tensor([[1.0, 0.0], [-1.0, 0.1], [-1.0, 1.0]]), 0)),
        ("two equal rows", (twins, 2)),
        ("two equal rows", (twins, 0)),
        ("a longer table", (_random(40, 6, seed=3), 17)),
    ]
    compare(nearest, nearest_of_reference, cases, NEAREST_SLIPS)


nearest_of_reference = nearest


# ------------------------------------------------------------ transformer.11 split into heads


def split_heads(x, heads):
    return x.unflatten(-1, (heads, -1)).transpose(-3, -2)


def _reshaped(x, heads):
    """The right shape, cut out of the numbers in the order in which they are stored."""
    *front, words, d = x.shape
    return x.reshape(*front, heads, words, d // heads)


SPLIT_SLIPS = [
    ("The shape is right, but the numbers went to other heads: reshape keeps their order in memory, and that runs word by word. Cut the last axis in two first, then exchange two axes.", _reshaped),
    ("Your shape is [..., words, heads, d / heads]: the heads must come before the words, so that each head has a table of its own.",
     lambda x, h: x.unflatten(-1, (h, -1))),
    ("Each head takes every heads-th column; neighbouring columns belong together.", lambda x, h: x.unflatten(-1, (-1, h)).transpose(-1, -2).transpose(-3, -2)),
    ("The number of heads and the columns per head are exchanged.", lambda x, h: x.unflatten(-1, (-1, h)).transpose(-3, -2)),
    ("Each head's table is turned on its side: a row for each word, a column for each number.", lambda x, h: split_heads(x, h).transpose(-1, -2)),
    ("You moved the first axis: with a batch in front the words are no longer axis 0. Count from the end.", lambda x, h: x.unflatten(-1, (h, -1)).transpose(0, 1)),
    ("You exchanged axes 1 and 2: that fits exactly one axis in front. Count from the end.", lambda x, h: x.unflatten(-1, (h, -1)).transpose(1, 2)),
    ("The heads belong right before the words, behind all axes in front.", lambda x, h: split_heads(x, h).movedim(-3, 0)),
    ("You divided the *words* among the heads; every head sees all words, and some of the columns.", lambda x, h: x.unflatten(-2, (h, -1))),
]  # fmt: skip


def _test_split_heads(split_heads):
    cases = [
        ("", (torch.arange(24.0).reshape(2, 12), 3)),
        ("as many words as columns", (torch.arange(36.0).reshape(6, 6), 2)),
        ("a batch in front", (_random(3, 4, 6, seed=1), 2)),
        ("two axes in front", (_random(2, 3, 4, 8, seed=2), 4)),
        ("one head", (_random(3, 5, seed=3), 1)),
        ("heads of one column", (_random(3, 5, seed=4), 5)),
    ]
    compare(split_heads, split_heads_of_reference, cases, SPLIT_SLIPS)
    same_gradient(split_heads, split_heads_of_reference, (_random(2, 6), 3))


split_heads_of_reference = split_heads


# ------------------------------------------------------------ transformer.13 who looks at whom


def aligned(weights, english, french):
    return [(word, french[place]) for word, place in zip(english, weights.argmax(1).tolist())]


ALIGNED_SLIPS = [
    ("You took the strongest English word for each French one: the rows are the English words.",
     lambda w, e, f: [(e[i], word) for word, i in zip(f, w.argmax(0).tolist())]),
    ("Right pairs, turned round: first the English word, then the French one.", lambda w, e, f: [(b, a) for a, b in aligned(w, e, f)]),
    ("The position of the French word, where the word itself is wanted.", lambda w, e, f: list(zip(e, w.argmax(1).tolist()))),
    ("You paired the words in their order: the weights play no part.", lambda w, e, f: list(zip(e, f))),
    ("That is the French word looked at *least*.", lambda w, e, f: [(word, f[i]) for word, i in zip(e, w.argmin(1).tolist())]),
    ("The French words alone; each belongs to an English one.", lambda w, e, f: [b for _, b in aligned(w, e, f)]),
    ("A dictionary keeps one entry of a word that is written twice: return a list of pairs.", lambda w, e, f: list(dict(aligned(w, e, f)).items())),
    ("A word that is written twice has two rows; list.index finds only the first.", lambda w, e, f: [(word, f[w[e.index(word)].argmax()]) for word in e]),
]  # fmt: skip


def _test_aligned(aligned):
    crossed = torch.tensor([[0.7, 0.1, 0.2], [0.1, 0.2, 0.7], [0.2, 0.5, 0.3]])
    tall = torch.tensor([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.45, 0.55], [0.75, 0.25]])
    cases = [
        ("", (crossed, ["the", "red", "car"], ["la", "voiture", "rouge"])),
        ("more English than French words, one of them three times", (tall, ["do", "not", "i", "do", "do"], ["ne", "je"])),
        ("more French words", (torch.tensor([[0.1, 0.2, 0.6, 0.1], [0.4, 0.3, 0.2, 0.1]]), ["a", "b"], ["w", "x", "y", "z"])),
    ]
    compare(aligned, aligned_of_reference, cases, ALIGNED_SLIPS)


aligned_of_reference = aligned


# ------------------------------------------------------------ transformer.10 how far it remembers


def reach(right, chance):
    remembered = 0
    for distance in sorted(right):
        if metrics.interval(right[distance], unit="sequence").low <= chance:
            break
        remembered = distance
    return remembered


def _mean(values):
    return sum(values) / len(values)


REACH_SLIPS = [
    ("You compare with 0; a blind guess is right with `chance`.", lambda r, c: _reach(r, lambda v: _low(v) > 0)),
    ("A mean above chance can be luck. Is the *interval* above it?", lambda r, c: _reach(r, lambda v: _mean(v) > c)),
    ("The upper end of the interval lies above chance even where nothing is remembered.", lambda r, c: _reach(r, lambda v: _low(v, "high") > c)),
    ("Better than even guessing is not better than *chance*, which is an argument.", lambda r, c: _reach(r, lambda v: _low(v) > 0.5)),
    ("A distance above chance beyond one that is not: stop at the first that is not clearly above it.",
     lambda r, c: max([d for d in r if _low(r[d]) > c], default=0)),
    ("You stop one too late: the first distance that is *not* above chance does not count.",
     lambda r, c: next((d for d in sorted(r) if _low(r[d]) <= c), max(r))),
    ("That is the first distance that is *not* above chance; the one before it is asked.", lambda r, c: next((d for d in sorted(r) if _low(r[d]) <= c), 0)),
    ("Return the distance itself, not how many of the distances are above chance.",
     lambda r, c: sum(1 for d in r if d <= reach(r, c))),
    ("The distances need not come in order: sort them.", lambda r, c: _reach(r, lambda v: _low(v) > c, order=list)),
]  # fmt: skip


def _low(values, end="low"):
    return getattr(metrics.interval(values, unit="sequence"), end)


def _reach(right, above, order=sorted):
    found = 0
    for distance in order(right):
        if not above(right[distance]):
            break
        found = distance
    return found


def _test_reach(reach):
    def share(ones, n=100):
        return [1.0] * ones + [0.0] * (n - ones)

    cases = [
        ("97, 60, 34 and 15 of 100 right at the distances 1, 2, 5 and 12", ({1: share(97), 2: share(60), 5: share(34), 12: share(15)}, 0.125)),
        ("distances out of order", ({8: share(13), 1: share(90), 3: share(45)}, 0.125)),
        ("a lucky distance further out", ({1: share(90), 4: share(12), 9: share(31)}, 0.125)),
        ("nothing above chance", ({2: share(14), 3: share(12)}, 0.125)),
        ("all above chance", ({1: share(70), 6: share(40)}, 0.25)),
        ("another chance", ({2: share(80), 7: share(30), 9: share(60)}, 0.25)),
        ("few sequences", ({1: share(9, 10), 2: share(3, 10)}, 0.125)),
        ("none right", ({3: share(0), 1: share(50)}, 0.125)),
        ("one right, by luck", ({1: share(1, 12), 2: share(0, 12)}, 0.125)),
    ]
    compare(reach, reach_of_reference, cases, REACH_SLIPS)


reach_of_reference = reach


# ------------------------------------------------------------ transformer.9 a vector of its sentence


def parted(states, senses):
    unit = F.normalize(states, dim=-1)
    cosine, own = unit @ unit.T, senses[:, None] == senses
    others = own & ~torch.eye(len(states), dtype=torch.bool)
    within = (cosine * others).sum(1) / others.sum(1)
    between = (cosine * ~own).sum(1) / (~own).sum(1)
    return within, between


def _parted(states, senses, alike=None, itself=False):
    cosine = F.cosine_similarity(states[:, None], states[None], dim=-1) if alike is None else alike(states)
    own = senses[:, None] == senses
    others = own if itself else own & ~torch.eye(len(states), dtype=torch.bool)
    return (cosine * others).sum(1) / others.sum(1), (cosine * ~own).sum(1) / (~own).sum(1)


PARTED_SLIPS = [
    ("A sentence was compared with itself, too: that cosine is always 1.", lambda x, s: _parted(x, s, itself=True)),
    ("Those are products, not cosines: a long vector looks alike to everything. Divide by both lengths.", lambda x, s: _parted(x, s, lambda x: x @ x.T)),
    ("Those are distances: they are *small* for what is alike.", lambda x, s: _parted(x, s, lambda x: torch.cdist(x, x))),
    ("The two are exchanged: first the own sense, then the other.", lambda x, s: parted(x, s)[::-1]),
    ("One number for each sentence is asked, twice; yours are means over all sentences.", lambda x, s: tuple(part.mean() for part in parted(x, s))),
    ("Sums over unequally many sentences cannot be compared: take means.",
     lambda x, s: (parted(x, s)[0] * ((s[:, None] == s).sum(1) - 1), parted(x, s)[1] * (s[:, None] != s).sum(1))),
    ("Divide by the number of sentences that were compared, not by that of all.",
     lambda x, s: (parted(x, s)[0] * ((s[:, None] == s).sum(1) - 1) / len(s), parted(x, s)[1] * (s[:, None] != s).sum(1) / len(s))),
]  # fmt: skip


def _test_parted(parted):
    by_hand = torch.tensor([[1.0, 0.0], [3.0, 4.0], [0.0, 2.0], [-5.0, 0.0]])
    cases = [
        ("", (by_hand, torch.tensor([True, True, False, False]))),
        ("three of one sense, five of the other", (_random(8, 6, seed=1, scale=3.0), torch.tensor([True, False, False, True, False, True, False, False]))),
    ]
    compare(parted, parted_of_reference, cases, PARTED_SLIPS)


parted_of_reference = parted


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


def _each(change, count=lambda n: n):
    """A merge that makes of each word's pieces ``change(pieces, pair)``."""
    return lambda words, pair: {change(pieces, pair): count(n) for pieces, n in words.items()}


def _merged(pieces, pair):
    return next(iter(merge({pieces: 1}, pair)))


def _by_letters(pieces, pair):
    return tuple(" ".join(pieces).replace(" ".join(pair), "".join(pair)).split())


def _at(pick):
    """The pair is joined at one place only, which ``pick`` chooses."""

    def change(pieces, pair):
        places = [i for i in range(len(pieces) - 1) if pieces[i : i + 2] == pair]
        return (*pieces[: (i := pick(places))], "".join(pair), *pieces[i + 2 :]) if places else pieces

    return change


def _overlapping(pieces, pair):
    new = []
    for piece in pieces:
        again = new and new[-1] == "".join(pair) and pair[0] == pair[1] == piece
        if new and ((new[-1], piece) == pair or again):
            new[-1] += piece
        else:
            new.append(piece)
    return tuple(new)


def _from_the_right(pieces, pair):
    return tuple(piece if piece in pieces else piece[::-1] for piece in _merged(pieces[::-1], pair[::-1]))[::-1]


def _either_order(pieces, pair):
    new, i = [], 0
    while i < len(pieces):
        joined = pieces[i : i + 2] in (pair, pair[::-1])
        new.append(pieces[i] + pieces[i + 1] if joined else pieces[i])
        i += 2 if joined else 1
    return tuple(new)


MERGE_SLIPS = [
    ("Nothing changed: join the two pieces into one string.", lambda words, pair: words),
    ("A word must stay a tuple of pieces: the next merge needs them.", _each(lambda p, pair: "".join(p))),
    ("A word must stay a tuple of pieces: the next merge needs them.", _each(lambda p, pair: " ".join(_merged(p, pair)))),
    ("'banana' holds the pair twice; you merged only its first place.", _each(_at(lambda places: places[0]))),
    ("'banana' holds the pair twice; you merged only its last place.", _each(_at(lambda places: places[-1]))),
    ("('ba', 'n') does not hold the pair ('a', 'n'): compare whole pieces, not letters.", _each(_by_letters)),
    ("'nab' holds n before a, not a before n: the order counts.", _each(_either_order)),
    ("a a a holds the pair (a, a) once, from the left: a piece cannot be used twice.", _each(_overlapping)),
    ("You went from right to left: of a a a the *first* two are joined.", _each(_from_the_right)),
    ("The counts belong to the words: a merge does not change them.", _each(_merged, count=lambda n: n + 1)),
    ("The counts belong to the words: a merge does not change them.", _each(_merged, count=lambda n: 1)),
    ("Words without the pair are missing: they stay as they are.",
     lambda words, pair: {_merged(p, pair): n for p, n in words.items() if _merged(p, pair) != p}),
]  # fmt: skip


def _test_merge(merge):
    words = {tuple("banana"): 3, ("ba", "n"): 2, tuple("nab"): 5}
    cases = [
        ("", (words, ("a", "n"))),
        ("three in a row", ({("a", "a", "a"): 1, tuple("baaaa"): 4}, ("a", "a"))),
        ("longer pieces", ({("th", "e", "m", "e"): 4, ("t", "h", "e"): 9, ("ba", "th", "e", "th", "e"): 2}, ("th", "e"))),
        ("the pair is nowhere", ({("x", "y"): 7}, ("y", "x"))),
        ("signs that mean something in a pattern", ({("c", "+", "+"): 2, (".", "c"): 1}, ("+", "+"))),
    ]
    compare(merge, merge_of_reference, cases, MERGE_SLIPS)


merge_of_reference = merge


# ------------------------------------------------------------ transformer.2 one query


def attend(query, keys, values):
    scores = keys @ query / query.shape[-1] ** 0.5
    return scores.softmax(-1) @ values


def _divided(divisor):
    return lambda q, k, v: (k @ q / divisor(q, k, v)).softmax(-1) @ v


ATTEND_SLIPS = [
    ("Those are the weights. The answer is the values, mixed with these weights.", lambda q, k, v: (k @ q / len(q) ** 0.5).softmax(-1)),
    ("The scores were not divided by √d.", _divided(lambda q, k, v: 1)),
    ("You divided by d; it is √d, the spread of a sum of d products.", _divided(lambda q, k, v: len(q))),
    ("You multiplied by √d: the scores must become smaller.", _divided(lambda q, k, v: len(q) ** -0.5)),
    ("You divided by the root of the number of keys; d is the length of the query.", _divided(lambda q, k, v: len(k) ** 0.5)),
    ("You divided by the root of the length of a value; d is the length of the query.", _divided(lambda q, k, v: v.shape[-1] ** 0.5)),
    ("√d belongs inside the softmax: you divided the weights, which no longer add up to 1.", lambda q, k, v: (k @ q).softmax(-1) / len(q) ** 0.5 @ v),
    ("Without the softmax the weights are neither positive nor add up to 1.", lambda q, k, v: k @ q / len(q) ** 0.5 @ v),
    ("Without the softmax the weights are neither positive nor add up to 1.", lambda q, k, v: k @ q @ v),
    ("You divided the scores by their sum. Weights must be positive, whatever the scores.", lambda q, k, v: (k @ q / (k @ q).sum()) @ v),
    ("You mixed the keys; the answer is made of the values.", lambda q, k, v: (k @ q / len(q) ** 0.5).softmax(-1) @ k),
    ("The values weigh all alike in your mixture: the query plays no part.", lambda q, k, v: v.mean(0)),
    ("You took the value of the best key alone; attention mixes all of them.", lambda q, k, v: v[(k @ q).argmax()]),
    ("The weights are right, but the weighted values are not added up.", lambda q, k, v: (k @ q / len(q) ** 0.5).softmax(-1)[:, None] * v),
]  # fmt: skip


def _test_attend(attend):
    cases = [
        ("", (torch.tensor([1.0, 1.0]), torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]))),
        *(("", (_random(d, seed=d), _random(n, d, seed=d + 1), _random(n, e, seed=d + 2))) for d, n, e in ((4, 3, 5), (9, 6, 2))),
        ("one key", (_random(3), _random(1, 3, seed=1), _random(1, 4, seed=2))),
    ]
    compare(attend, attend_of_reference, cases, ATTEND_SLIPS)


attend_of_reference = attend


# ------------------------------------------------------------ transformer.3 spot the bug: the axis


def attention_weights(scores):
    return scores.softmax(-1)


WEIGHT_SLIPS = [
    ("As before: here it is each *key* whose weights add up to 1.", lambda s: s.softmax(-2)),
    ("With a batch in front, the first axis is the batch: rows of different sentences now share their weight.", lambda s: s.softmax(0)),
    ("You count the axes from the front. How many stand in front of the queries is not known: count from the end.", lambda s: s.softmax(1)),
    ("The whole matrix of a sentence adds up to 1; each query's row should.", lambda s: s.flatten(-2).softmax(-1).reshape(s.shape)),
    ("All of it together adds up to 1; each query's row should.", lambda s: s.flatten().softmax(-1).reshape(s.shape)),
    ("Dividing by the sum gives negative weights for negative scores: exponentiate first.", lambda s: s / s.sum(-1, keepdim=True)),
    ("A score of 1,000 overflows e^x: subtract the row's maximum, or let softmax do it.", lambda s: s.exp() / s.exp().sum(-1, keepdim=True)),
    ("A sigmoid looks at each score alone: the weights of a query do not add up to 1.", lambda s: s.sigmoid()),
    ("Those are the logarithms of weights.", lambda s: s.log_softmax(-1)),
]  # fmt: skip


def _test_attention_weights(attention_weights):
    cases = [
        ("queries and keys", (_random(3, 4),)),
        ("an axis in front", (_random(2, 3, 4, seed=1),)),
        ("two axes in front", (_random(2, 3, 4, 4, seed=2),)),
        ("large scores", (torch.tensor([[1000.0, 999.0], [-1000.0, 0.0]]),)),
    ]
    compare(attention_weights, attention_weights_of_reference, cases, WEIGHT_SLIPS)


attention_weights_of_reference = attention_weights


# ------------------------------------------------------------ transformer.4 the causal mask


def causal(length):
    return torch.ones(length, length, dtype=torch.bool).tril()


def _square(n):
    return torch.ones(n, n, dtype=torch.bool)


CAUSAL_SLIPS = [
    ("Row 0 may look at everything, the last row only at itself: that is the future, turned round.", lambda n: _square(n).triu()),
    ("True means *may look* here; you marked what is hidden.", lambda n: ~_square(n).tril()),
    ("Nobody may look at itself: the first row then has nothing to look at, and its softmax is NaN.", lambda n: _square(n).tril(-1)),
    ("Each row sees one position too far: the next word, which it should predict.", lambda n: _square(n).tril(1)),
    ("Everybody may look everywhere: the future is not hidden.", _square),
    ("Each position sees only itself; what came before is allowed, too.", lambda n: torch.eye(n, dtype=torch.bool)),
    ("Right for one length only: use the argument.", lambda n: _square(4).tril()),
]  # fmt: skip


def _test_causal(causal):
    compare(causal, causal_of_reference, [("", (4,)), ("", (1,)), ("", (2,)), ("", (7,)), ("a longer text", (20,))], CAUSAL_SLIPS)


causal_of_reference = causal


# ------------------------------------------------------------ transformer.5 a position vector


def position_vector(position, d):
    angles = position / 10000 ** (torch.arange(0, d, 2) / d)
    return torch.stack([angles.sin(), angles.cos()], -1).flatten()


def _pairs(angles, first=torch.sin, second=torch.cos):
    return torch.stack([first(angles), second(angles)], -1).flatten()


def _angles(p, d, exponents=None, base=10000):
    exponents = torch.arange(0, d, 2) / d if exponents is None else exponents
    return p / base**exponents


POSITION_SLIPS = [
    ("The right numbers in another order: sine and cosine of one angle stand side by side.",
     lambda p, d: torch.cat([_angles(p, d).sin(), _angles(p, d).cos()])),
    ("Sine and cosine are exchanged: even columns hold the sine.", lambda p, d: _pairs(_angles(p, d), torch.cos, torch.sin)),
    ("The exponent is 2i/d for the pair i: 0, 2/d, 4/d. You used i/d.", lambda p, d: _pairs(_angles(p, d, torch.arange(d // 2) / d))),
    ("You multiplied by 10000^(2i/d); dividing makes the later pairs slow.", lambda p, d: _pairs(_angles(p, d, -torch.arange(0, d, 2) / d))),
    ("Only sines: each angle gives a sine and a cosine.", lambda p, d: _angles(p, d, torch.arange(d) / d).sin()),
    ("Only sines: each angle gives a sine and a cosine.", lambda p, d: _pairs(_angles(p, d), torch.sin, torch.sin)),
    ("Sine and cosine of a pair have the *same* angle: the exponent counts pairs, not columns.",
     lambda p, d: torch.where(torch.arange(d) % 2 == 0, (x := _angles(p, d, torch.arange(d) / d)).sin(), x.cos())),
    ("The exponent counts pairs: 2i/d, where i is the pair, not the column.",
     lambda p, d: torch.where(torch.arange(d) % 2 == 0, (x := _angles(p, d, 2 * torch.arange(d) / d)).sin(), x.cos())),
    ("The exponent counts pairs: 2i/d, where i is the pair, not the column.", lambda p, d: _pairs(_angles(p, d, 2 * torch.arange(0, d, 2) / d))),
    ("Positions are counted from 0: use the position as it is.", lambda p, d: _pairs(_angles(p + 1, d))),
    ("The base is 10000.", lambda p, d: _pairs(_angles(p, d, base=1000))),
    ("Those are the angles; their sines and cosines are asked.", lambda p, d: _angles(p, d)),
]  # fmt: skip


def _test_position_vector(position_vector):
    def close(a, b):  # the rounding of float32, and no more
        return a.shape == b.shape and bool(torch.allclose(a.double(), b.double(), atol=2e-5, rtol=0))

    cases = [("", (3, 6)), ("", (50, 8)), ("the first position", (0, 4)), ("one pair", (1, 2)), ("", (17, 10))]
    compare(position_vector, position_vector_of_reference, cases, POSITION_SLIPS, close)


position_vector_of_reference = position_vector


# ------------------------------------------------------------ transformer.6 count a layer


def count_parameters(d, hidden):
    attention = 4 * (d * d + d)
    feed_forward = (d * hidden + hidden) + (hidden * d + d)
    norms = 2 * 2 * d
    return attention + feed_forward + norms


COUNT_SLIPS = [
    ("Only the matrices: each linear map also has a bias, and each norm a scale and a shift.", lambda d, h: 4 * d * d + 2 * d * h),
    ("4·d parameters are missing: the scales and shifts of the two norms, or the biases of the four square maps.", lambda d, h: count_parameters(d, h) - 4 * d),
    ("The norms have 2·d parameters in yours: a scale *and* a shift each, and there are two norms.", lambda d, h: count_parameters(d, h) - 2 * d),
    ("Three of four maps: after the heads are put side by side comes one more, W_o.", lambda d, h: count_parameters(d, h) - d * d - d),
    ("The biases are missing: each linear map adds one number an output.", lambda d, h: count_parameters(d, h) - 5 * d - h),
    ("The biases of the four square maps are missing.", lambda d, h: count_parameters(d, h) - 4 * d),
    ("The biases of the feed-forward network are missing: one number for each *output* of a map.", lambda d, h: count_parameters(d, h) - d - h),
    ("One bias of the feed-forward network has the wrong length: a map has a bias for each of its *outputs*.", lambda d, h: count_parameters(d, h) + d - h),
    ("One bias of the feed-forward network has the wrong length: a map has a bias for each of its *outputs*.", lambda d, h: count_parameters(d, h) + h - d),
    ("That is the attention alone; the feed-forward network and the norms are missing.", lambda d, h: 4 * (d * d + d)),
    ("The feed-forward network has two maps: d → hidden and hidden → d.", lambda d, h: count_parameters(d, h) - h * d - d),
    ("The attention is missing: four square maps with their biases.", lambda d, h: count_parameters(d, h) - 4 * (d * d + d)),
]  # fmt: skip


def _test_count_parameters(count_parameters):
    cases = [("", (10, 30)), ("", (16, 8)), ("", (64, 128)), ("", (7, 3))]
    compare(count_parameters, count_parameters_of_reference, cases, COUNT_SLIPS)


count_parameters_of_reference = count_parameters


# ------------------------------------------------------------ transformer.7 spot the bug: the shift


def shift(target):
    start = torch.full_like(target[:, :1], START)
    inputs = torch.cat([start, target[:, :-1]], 1)
    labels = target.masked_fill(target == PAD, -100)
    return inputs, labels


def _masked(target, hide=PAD):
    return target.masked_fill(target == hide, -100)


def _begun(target, with_id=START):
    return torch.cat([torch.full_like(target[:, :1], with_id), target], 1)


SHIFT_SLIPS = [
    ("The decoder is still fed the word it should predict: it learns to copy its input.", lambda t: (t, _masked(t))),
    ("The decoder is still fed the word it should predict: it learns to copy its input.", lambda t: (t, t)),
    ("The labels still hold padding (0): the loss would reward predicting it. −100 leaves it out.", lambda t: (shift(t)[0], t)),
    ("You shifted the wrong way: the decoder sees the word *after* the one it should predict.",
     lambda t: (torch.cat([t[:, 1:], torch.zeros_like(t[:, :1])], 1), _masked(t))),
    ("You shifted the wrong way: the decoder sees the word *after* the one it should predict.", lambda t: (t[:, 1:], _masked(t[:, :-1]))),
    ("You shifted the wrong way: the decoder sees the word *after* the one it should predict.", lambda t: (t[:, 1:], t[:, :-1])),
    ("The first word is never asked for: the first input is the start mark (1).", lambda t: (t[:, :-1], _masked(t[:, 1:]))),
    ("The first word is never asked for: the first input is the start mark (1).", lambda t: (t[:, :-1], t[:, 1:])),
    ("The start mark was put in front, and nothing taken off at the end: each input needs one label.", lambda t: (_begun(t), _masked(t))),
    ("The start mark was put in front, and nothing taken off at the end: each input needs one label.", lambda t: (_begun(t), t)),
    ("−100 is no id: the embedding table has no such row. It belongs into the labels alone.", lambda t: (_begun(_masked(t))[:, :-1], _masked(t))),
    ("You shifted the labels, too: they are the words as they stand.", lambda t: (shift(t)[0], _masked(shift(t)[0]))),
    ("The end mark has no label: the model must learn where to stop.", lambda t: (shift(t)[0], _masked(_masked(t), END))),
    ("The first input is padding; it should be the start mark (1).", lambda t: (_begun(t, PAD)[:, :-1], _masked(t))),
    ("The first input is the end mark; it should be the start mark (1).", lambda t: (_begun(t, END)[:, :-1], _masked(t))),
    ("The last token of each row came round to its beginning: the start mark (1) belongs there.", lambda t: (t.roll(1, 1), _masked(t))),
    ("Inputs and labels are exchanged.", lambda t: shift(t)[::-1]),
]  # fmt: skip


def _test_shift(shift):
    def same(a, b):
        """Inputs may be any id where nothing is asked."""
        (inputs, labels), (wanted, _) = a, b
        if alike(a, b) or not alike(labels, b[1]) or not inputs.shape == labels.shape == wanted.shape:
            return alike(a, b)
        asked = labels != -100
        return bool((inputs >= 0).all()) and inputs[asked].equal(wanted[asked])

    cases = [
        ("", (torch.tensor([[7, 8, 9, 2], [5, 2, 0, 0]]),)),
        ("a word twice", (torch.tensor([[4, 4, 2]]),)),
        ("an empty sentence among others", (torch.tensor([[6, 2, 0], [2, 0, 0], [9, 3, 2]]),)),
    ]
    compare(shift, shift_of_reference, cases, SHIFT_SLIPS, same)


shift_of_reference = shift


# ------------------------------------------------------------ transformer.8 find a head


def previous_token_score(weights):
    return weights.diagonal(-1).mean()


HEAD_SLIPS = [
    ("That is each token's weight on *itself*; the one before stands one column to the left.", lambda w: w.diagonal().mean()),
    ("That is each token's weight on *itself*; the one before stands one column to the left.", lambda w: w.diagonal()[1:].mean()),
    ("You read above the diagonal: the future, where a causal model has only zeros.", lambda w: w.diagonal(1).mean()),
    ("That is the sum; the mean can be compared between texts of different lengths.", lambda w: w.diagonal(-1).sum()),
    ("The first token has no one before it: leave it out, and divide by one less.", lambda w: w.diagonal(-1).sum() / len(w)),
    ("That is the weight on the *first* token.", lambda w: w[1:, 0].mean()),
    ("That is the weight on the *first* token.", lambda w: w[:, 0].mean()),
    ("That is the weight two tokens back.", lambda w: w.diagonal(-2).mean()),
    ("One head gets one number: the mean over its queries.", lambda w: w.diagonal(-1)),
    ("The mean over *all* weights is taken; only those on the token before count.", lambda w: w.mean()),
    ("You asked whether the token before gets the *largest* weight; the weight itself is asked.",
     lambda w: (w[1:].argmax(1) == torch.arange(len(w) - 1)).float().mean()),
]  # fmt: skip


def _test_previous_token_score(previous_token_score):
    def head(n, seed):
        raw = torch.rand(n, n, generator=torch.Generator().manual_seed(seed)).tril()
        return raw / raw.sum(-1, keepdim=True)

    cases = [("", (head(3, 0),)), ("", (head(5, 1),)), ("", (head(8, 2),))]
    compare(previous_token_score, previous_token_score_of_reference, cases, HEAD_SLIPS)


previous_token_score_of_reference = previous_token_score


EXERCISES = [
    Exercise("transformer.12", "the nearest row", nearest, _test_nearest, (
        "F.cosine_similarity(table[i][None], table) compares one row with all of them at once.",
        "Row i has the highest cosine of all, 1. How do you keep it out of the choice, even if another row is equal to it?",
    ), returns=answers.whole),
    Exercise("transformer.1", "one BPE merge", merge, _test_merge, (
        "Walk along the pieces with an index; where two neighbours are the pair, take both and step by two.",
        "The new key is a tuple again; its value is the old count.",
    ), returns=answers.dict_of(answers.whole, "a dictionary: tuple of pieces → count")),
    Exercise("transformer.2", "attention for one query", attend, _test_attend, (
        "keys @ query gives one score for each key.",
        "Scores become weights as in the cells above: divide, exponentiate, make them add up to 1. What do the weights mix?",
    ), returns=answers.tensor),
    Exercise("transformer.3", "spot the bug: weights that do not add up", attention_weights, _test_attention_weights, (
        "Print the sums over rows and over columns.",
        "A query's scores lie along the last axis, however many axes come before it.",
    ), returns=answers.tensor),
    Exercise("transformer.4", "the causal mask", causal, _test_causal, (
        "Draw it for length 3: who may look at whom?",
        "A lower triangle, the diagonal included. torch.ones takes a dtype.",
    ), returns=answers.mask),
    Exercise("transformer.11", "split into heads", split_heads, _test_split_heads, (
        "Tensor.unflatten(-1, (heads, -1)) cuts the last axis in two. Which axes stand in the wrong order then?",
        "transpose(-3, -2) exchanges two axes, counted from the end, so that any number may come before them.",
    ), returns=answers.tensor),
    Exercise("transformer.5", "a position vector", position_vector, _test_position_vector, (
        "torch.arange(0, d, 2) / d are the exponents, one for each pair.",
        "Stack sine and cosine along a new last axis and flatten: they come out side by side.",
    ), returns=answers.tensor),
    Exercise("transformer.6", "count a block's parameters", count_parameters, _test_count_parameters, (
        "Four square maps, two feed-forward maps, two norms.",
        "A map from a to b numbers has a·b weights and b biases; a norm has 2·d parameters.",
    ), returns=answers.whole),
    Exercise("transformer.7", "spot the bug: a loss too good to be true", shift, _test_shift, (
        "What has the decoder read at the moment it is asked for the first word? And what should it have read?",
        "Write the row 7, 8, 9, 2 as labels, and under each label all that may have been read before it.",
    ), returns=answers.tuple_of(answers.ids, answers.ids, words="two tensors of ids, the inputs and the labels")),
    Exercise("transformer.13", "who looks at whom", aligned, _test_aligned, (
        "weights has one row for each English word; Tensor.argmax(1) finds the largest weight of each row.",
        "A position becomes a word by french[position].",
    ), returns=answers.list_of(answers.tuple_of(answers.text, answers.text), "a list of pairs of words")),
    Exercise("transformer.10", "how far back?", reach, _test_reach, (
        "At a distance where the interval of the accuracy reaches down to chance, guessing could have done the same.",
        "Go through the distances from near to far, and stop at the first that is not clearly above chance.",
    ), returns=answers.whole),
    Exercise("transformer.9", "two senses of one word", parted, _test_parted, (
        "Make all vectors one long (F.normalize): then a single matrix product gives the cosines of all pairs.",
        "senses[:, None] == senses is a square of True and False. What stands on its diagonal, and does it belong in the mean?",
    ), returns=answers.tuple_of(answers.tensor, answers.tensor, words="two tensors (or lists) with one number for each sentence")),
    Exercise("transformer.8", "a score for one head", previous_token_score, _test_previous_token_score, (
        "weights[i, i − 1] for i = 1, 2, …: a diagonal next to the main one.",
        "Tensor.diagonal takes an offset; which sign is below the main diagonal?",
    ), returns=answers.tensor),
]  # fmt: skip
