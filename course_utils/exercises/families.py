"""Model families and their pre-training objectives: reference answers and their tests."""

from __future__ import annotations

import math
from collections import Counter, defaultdict

import torch
from torch.nn import functional as F

from . import answers
from .cases import compare, same_gradient, without
from .engine import Exercise, Wrong

# ------------------------------------------------------------ families.1 masking, 80/10/10


def mask_tokens(ids, picked, dice, random_ids, mask_id):
    inputs = list(ids)
    for i, die in enumerate(dice):
        if picked[i] and die < 0.9:
            inputs[i] = mask_id if die < 0.8 else random_ids[i]
    return inputs, [id if pick else -100 for id, pick in zip(ids, picked)]


def _masked(label=lambda id, pick, new: id if pick else -100, low=0.8, high=0.9, always=False, middle="other", late="id", equal=False):
    """Masking with other labels, other borders, or the dice of tokens that were not picked."""

    def masking(ids, picked, dice, random_ids, mask_id):
        inputs = []
        for id, pick, die, other in zip(ids, picked, dice, random_ids):
            fate = {"id": id, "other": other}
            if not (pick or always):
                inputs.append(id)
            elif die < low or (equal and die == low):
                inputs.append(mask_id)
            elif die < high or (equal and die == high):
                inputs.append(fate[middle])
            else:
                inputs.append(fate[late])
        return inputs, [label(id, pick, new) for id, pick, new in zip(ids, picked, inputs)]

    return masking


ORIGINAL = "The label is the *original* token, not what you put in its place."
FATE = "A picked token keeps its label whatever its fate: one that was left as it was, or swapped, is asked for too."
MASKING_SLIPS = [
    ("Every position has a label. Those that were not picked get −100: there is nothing to guess there.", _masked(lambda id, pick, new: id)),
    (ORIGINAL, _masked(lambda id, pick, new: new)),
    (ORIGINAL, _masked(lambda id, pick, new: new if pick else -100)),
    (FATE, lambda *a: (mask_tokens(*a)[0], [y if x == a[4] else -100 for x, y in zip(*mask_tokens(*a))])),
    (FATE, lambda *a: (mask_tokens(*a)[0], [y if x != id else -100 for x, y, id in zip(*mask_tokens(*a), a[0])])),
    ("You masked every picked token. Only those with a die below 0.8 become [MASK].", _masked(low=1.0, high=1.0)),
    ("A token that was not picked was changed: look at `picked` before the die.", _masked(always=True)),
    ("From 0.8 to 0.9: a random token. From 0.9: the token stays. You have them the other way round.", _masked(middle="id", late="other")),
    ("A die of exactly 0.8 is not below 0.8, and one of exactly 0.9 is not below 0.9.", _masked(equal=True)),
    ("From 0.9 on the token stays; yours is swapped.", _masked(late="other")),
    ("The two lists are exchanged: first the inputs, then the labels.", lambda *a: mask_tokens(*a)[::-1]),
    ("Where nothing is asked the label is −100; 0 is a token like any other.", _masked(lambda id, pick, new: id if pick else 0)),
    ("Both lists are as long as the sentence: leave out no position.", lambda *a: (mask_tokens(*a)[0], [y for y in mask_tokens(*a)[1] if y != -100])),
]  # fmt: skip


def _test_mask_tokens(mask_tokens):
    cases = [
        ("", ([11, 12, 13, 14, 15], [True, False, True, True, False], [0.1, 0.1, 0.85, 0.95, 0.85], [21, 22, 23, 24, 25], 4)),
        ("dice at the borders", ([11, 12, 13, 14], [True] * 4, [0.8, 0.9, 0.79, 0.89], [21, 22, 23, 24], 103)),
        ("nothing picked", ([7, 8], [False, False], [0.2, 0.85], [5, 6], 4)),
        ("the token 0 among them", ([0, 9, 0], [True, False, False], [0.97, 0.97, 0.3], [1, 2, 3], 4)),
    ]
    compare(mask_tokens, mask_tokens_of_reference, cases, MASKING_SLIPS)


mask_tokens_of_reference = mask_tokens


# ------------------------------------------------------------ families.2 spot the bug: the loss


def masked_loss(logits, labels):
    asked = labels != -100
    log_probs = logits[asked].log_softmax(-1)
    return -log_probs.gather(1, labels[asked][:, None]).mean()


def _loss(reduce=lambda nats, labels: nats.mean(), asked=lambda labels: labels != -100, log=lambda x: x.log_softmax(-1)):
    def loss(logits, labels):
        kept = asked(labels)
        nats = -log(logits[kept]).gather(1, labels[kept].clamp(0)[:, None])[:, 0]
        return reduce(nats, labels)

    return loss


def _by_powers(x):
    return (x.exp() / x.exp().sum(-1, keepdim=True)).log()


LOSS_SLIPS = [
    ("Positions labelled −100 count in your loss: leave them out.", _loss(asked=lambda labels: labels > -200)),
    ("Positions labelled −100 count in your loss as zeros: leave them out of the mean, too.", _loss(lambda nats, labels: nats.sum() / len(labels))),
    ("You shifted by one, as for a decoder. Here position i guesses the token *at* i.", lambda x, y: F.cross_entropy(x[:-1], y[1:])),
    ("You returned the sum; the loss is the mean over the picked positions.", _loss(lambda nats, labels: nats.sum())),
    ("You returned one loss for each picked position; their mean is asked.", _loss(lambda nats, labels: nats)),
    ("A negative loss: log-probabilities are below 0, the loss is *minus* their mean.", _loss(lambda nats, labels: -nats.mean())),
    ("Those are probabilities; the loss is made of their logarithms.", _loss(lambda nats, labels: (-nats).exp().mean())),
    ("That is the logarithm of the mean probability; take the logarithms first, then the mean.", _loss(lambda nats, labels: -(-nats).exp().mean().log())),
    ("That is the mean score of the right words: scores become log-probabilities first.", _loss(log=lambda x: x)),
    ("Logarithms to the base 2 give bits; the loss is in nats.", _loss(lambda nats, labels: nats.mean() / math.log(2))),
    ("A label of 0 is a token like any other: only −100 is left out.", _loss(asked=lambda labels: labels > 0)),
    ("A score of 1,000 overflows e^x, or its share has no logarithm: log_softmax does both in one safe step.", _loss(log=_by_powers)),
]  # fmt: skip


def _test_masked_loss(masked_loss):
    def drawn(n, words, seed, scale=1.0):
        return scale * torch.randn(n, words, generator=torch.Generator().manual_seed(seed))

    cases = [
        ("", (drawn(6, 5, 0), torch.tensor([-100, 2, -100, 0, 4, -100]))),
        ("another number of picked positions", (drawn(5, 7, 1), torch.tensor([0, -100, 6, 0, 3]))),
        ("one picked position", (drawn(3, 4, 2), torch.tensor([-100, -100, 1]))),
        ("large scores", (drawn(4, 3, 3, 1000.0), torch.tensor([1, -100, 2, 0]))),
    ]
    compare(masked_loss, masked_loss_of_reference, cases, LOSS_SLIPS)
    same_gradient(masked_loss, masked_loss_of_reference, cases[0][1])
    without(
        (F, "cross_entropy"),
        call=lambda: masked_loss(*cases[0][1]),
        words="Right, but that is the library's loss. Write it yourself from log_softmax.",
    )


masked_loss_of_reference = masked_loss


# ------------------------------------------------------------ families.3 causal pairs


def causal_pairs(ids):
    return [(ids[:i], ids[i]) for i in range(1, len(ids))]


PAIR_SLIPS = [
    ("The target is the last word of its own context: the answer stands in the question.", lambda ids: [(ids[: i + 1], ids[i]) for i in range(len(ids))]),
    ("The target is the last word of its own context: the answer stands in the question.", lambda ids: [(ids[: i + 1], ids[i]) for i in range(1, len(ids))]),
    ("The first pair has an empty context: nothing stands before the first token, so it is no target here.", lambda ids: [(ids[:i], ids[i]) for i in range(len(ids))]),
    ("Each context holds one token only. A position may look at *all* tokens before it.", lambda ids: [([a], b) for a, b in zip(ids, ids[1:])]),
    ("Your contexts stand to the right of the target: that is reading backwards.", lambda ids: [(ids[i + 1 :], ids[i]) for i in range(len(ids) - 1)]),
    ("Your contexts are turned round: they read from left to right.", lambda ids: [(ids[:i][::-1], ids[i]) for i in range(1, len(ids))]),
    ("Your contexts are one and the same list, which went on growing: put a copy or a slice of it into each pair.", lambda ids: [(ids, id) for id in ids[1:]]),
    ("The last token is missing as a target: four tokens give three pairs.", lambda ids: [(ids[:i], ids[i]) for i in range(1, len(ids) - 1)]),
    ("The longest context comes first in your list; the shortest should.", lambda ids: causal_pairs(ids)[::-1]),
    ("The next token is asked, not the one after it.", lambda ids: [(ids[:i], ids[i + 1]) for i in range(1, len(ids) - 1)]),
    ("Contexts reach back to the beginning of the text, not two tokens.", lambda ids: [(ids[max(0, i - 2) : i], ids[i]) for i in range(1, len(ids))]),
]  # fmt: skip


def _test_causal_pairs(causal_pairs):
    cases = [("", ([7, 8, 9, 7],)), ("", ([4, 4],)), ("one token", ([5],)), ("", ([1, 2, 3, 1, 2, 3, 0],)), ("a longer text", (list(range(20, 32)),))]
    compare(causal_pairs, causal_pairs_of_reference, cases, PAIR_SLIPS)


causal_pairs_of_reference = causal_pairs


# ------------------------------------------------------------ families.4 span corruption


def span_corruption(ids, spans, sentinels):
    inputs, targets, position = [], [], 0
    for (start, length), sentinel in zip(spans, sentinels):
        inputs += ids[position:start] + [sentinel]
        targets += [sentinel] + ids[start : start + length]
        position = start + length
    closing = sentinels[len(spans)]
    return inputs + ids[position:], targets + [closing]


def _changed(inputs=lambda right, *a: right, targets=lambda right, *a: right):
    def corruption(ids, spans, sentinels):
        left, written = span_corruption(ids, spans, sentinels)
        return inputs(left, ids, spans, sentinels), targets(written, ids, spans, sentinels)

    return corruption


def _hidden(ids, spans):
    return [id for start, length in spans for id in ids[start : start + length]]


def _for_each_word(ids, spans, sentinels):
    inputs, names = list(ids), iter(list(sentinels) * len(ids))
    for start, length in spans:
        for i in range(start, start + length):
            inputs[i] = next(names)
    return inputs


def _repeated(ids, spans, sentinels):
    inputs = list(ids)
    for (start, length), sentinel in zip(spans, sentinels):
        inputs[start : start + length] = [sentinel] * length
    return inputs


ONE_SENTINEL = "A span of two words gets *one* sentinel in the inputs, not two."
SPAN_SLIPS = [
    (ONE_SENTINEL, _changed(lambda right, *a: _for_each_word(*a))),
    (ONE_SENTINEL, lambda *a: (_for_each_word(*a), [])),
    (ONE_SENTINEL, _changed(lambda right, ids, spans, sentinels: _repeated(ids, spans, sentinels))),
    ("The same sentinel twice: each span has its own, or nobody knows which words belong where.",
     lambda ids, spans, sentinels: span_corruption(ids, spans, [sentinels[0]] * (len(spans) + 1))),
    ("The same sentinel twice: each span has its own, or nobody knows which words belong where.",
     lambda ids, spans, sentinels: span_corruption(ids, spans, [sentinels[0]] * len(spans) + [sentinels[1]])),
    ("The input must show *where* words are missing: put the span's sentinel in its place.",
     _changed(lambda right, ids, spans, sentinels: [i for i in right if i not in sentinels])),
    ("The target needs the sentinels too: each announces the span that follows it.", _changed(targets=lambda right, ids, spans, s: _hidden(ids, spans))),
    ("The target lacks the closing sentinel: without it the model cannot say that the last span is over.", _changed(targets=lambda right, *a: right[:-1])),
    ("The closing sentinel is the next one that is not used yet, not the last of the list.", _changed(targets=lambda right, ids, spans, s: right[:-1] + [s[-1]])),
    ("The closing sentinel must be a new one.", _changed(targets=lambda right, ids, spans, s: right[:-1] + [s[max(0, len(spans) - 1)]])),
    ("The closing sentinel belongs to the targets alone; yours stands in the inputs, too.",
     _changed(inputs=lambda right, ids, spans, s: right + [s[len(spans)]])),
    ("The target is not the whole sentence, only the hidden words with their sentinels.", _changed(targets=lambda right, ids, spans, s: ids)),
    ("Inputs and targets are exchanged.", lambda *a: span_corruption(*a)[::-1]),
    ("What stands behind the last span is missing in the inputs.",
     _changed(inputs=lambda right, ids, spans, s: right[: len(right) - (len(ids) - sum(spans[-1]))] if spans else right)),
]  # fmt: skip


def _test_span_corruption(span_corruption):
    cases = [
        ("", ([10, 11, 12, 13, 14, 15, 16], [(1, 2), (5, 1)], [91, 92, 93, 94])),
        ("a span at the very beginning", ([1, 2, 3], [(0, 1)], [8, 9])),
        ("a span at the very end", ([1, 2, 3, 4, 1], [(0, 2), (3, 2)], [30, 31, 32])),
        ("no span", ([5, 6], [], [30, 31])),
    ]
    compare(span_corruption, span_corruption_of_reference, cases, SPAN_SLIPS)


span_corruption_of_reference = span_corruption


# ------------------------------------------------------------ families.5 how much is learnt from


def count_targets(objective, n):
    hidden = round(0.15 * n)
    if objective == "masked":
        return hidden
    if objective == "causal":
        return n - 1
    return hidden + round(hidden / 3) + 1


def _counting(**changes):
    """The right count, but for one objective: ``change(n, hidden)``."""
    return lambda objective, n: changes[objective](n, round(0.15 * n)) if objective in changes else count_targets(objective, n)


TARGET_SLIPS = [
    ("The encoder reads all tokens, but it is *asked* about 15 % of them only.", _counting(masked=lambda n, h: n)),
    ("No objective asks about all tokens it reads.", lambda objective, n: n),
    ("Swapped and unchanged tokens are targets too: 15 %, not 80 % of 15 %.", _counting(masked=lambda n, h: round(0.8 * h))),
    ("Swapped and unchanged tokens are targets too: 15 %, not 80 % of 15 %.", _counting(masked=lambda n, h: round(0.12 * n))),
    ("Masked: 15 % is rounded, not cut off.", _counting(masked=lambda n, h: int(0.15 * n))),
    ("The 15 % are rounded, not cut off: both hidden counts are too small.",
     lambda objective, n: n - 1 if objective == "causal" else int(0.15 * n) + (round(int(0.15 * n) / 3) + 1 if objective == "span" else 0)),
    ("Causal: the first token has nothing before it, so it is not a target.", _counting(causal=lambda n, h: n)),
    ("Span corruption: the decoder also has to write the sentinels.", _counting(span=lambda n, h: h)),
    ("Span corruption: one more, the closing sentinel.", _counting(span=lambda n, h: h + round(h / 3))),
    ("Span corruption: the number of spans is rounded, not cut off.", _counting(span=lambda n, h: h + h // 3 + 1)),
    ("Span corruption: the number of spans is rounded, not rounded up.", _counting(span=lambda n, h: h + math.ceil(h / 3) + 1)),
    ("Span corruption: divide the *rounded* number of hidden tokens by 3.", _counting(span=lambda n, h: h + round(0.15 * n / 3) + 1)),
    ("A sentinel stands for a span of 3 tokens, not for each token.", _counting(span=lambda n, h: 2 * h + 1)),
    ("Span corruption: the decoder writes the hidden tokens as well as the sentinels.", _counting(span=lambda n, h: round(h / 3) + 1)),
    ("Span corruption: what the decoder writes is asked, not what the encoder reads.", _counting(span=lambda n, h: n - h + round(h / 3))),
]  # fmt: skip


def _test_count_targets(count_targets):
    # 512 is rounded up, 68 down; of 10 tokens 2 are hidden, in 1 span
    cases = [("", (objective, n)) for n in (100, 20, 512, 68, 10) for objective in ("masked", "causal", "span")]
    compare(count_targets, count_targets_of_reference, cases, TARGET_SLIPS)


count_targets_of_reference = count_targets


# ------------------------------------------------------------ families.6 spot the bug: the mask


def prefix_mask(n, prefix):
    mask = torch.ones(n, n).tril().bool()
    mask[:, :prefix] = True
    return mask


def _lower(n, k=0):
    return torch.ones(n, n, dtype=torch.bool).tril(k)


def _before(n, prefix, axis):
    """True in the first ``prefix`` rows (axis 0) or columns (axis 1)."""
    inside = torch.arange(n) < prefix
    return inside[:, None].expand(n, n) if axis == 0 else inside.expand(n, n)


LEAK = "Position i still sees i + 1, which is the word it has to predict."
PREFIX_SLIPS = [
    (LEAK, lambda n, p: _lower(n, 1)),
    (LEAK, lambda n, p: _lower(n, 1) | _before(n, p, 1)),
    ("Everybody sees everything: that is the encoder's mask.", lambda n, p: torch.ones(n, n, dtype=torch.bool)),
    ("The prefix plays no part: its positions may look at one another in both directions.", lambda n, p: _lower(n)),
    ("Rows and columns are swapped: row i is who looks, column j is who is looked at.", lambda n, p: prefix_mask(n, p).T),
    ("Rows and columns are swapped, and the prefix plays no part.", lambda n, p: _lower(n).T),
    ("True means *may look*. Yours allows what is forbidden, and forbids the rest.", lambda n, p: ~prefix_mask(n, p)),
    ("A position may look at itself: its own word is the last one it knows.", lambda n, p: _lower(n, -1) | _before(n, p, 1)),
    ("A position may look at itself: its own word is the last one it knows.", lambda n, p: _lower(n, -1)),
    ("The prefix may look at itself, in both directions; your prefix sees the words after it, too, which are predicted.",
     lambda n, p: _lower(n) | _before(n, p, 0)),
    ("What comes after the prefix must see the prefix, and everything before it.",
     lambda n, p: (_lower(n) & ~_before(n, p, 1)) | (_before(n, p, 0) & _before(n, p, 1))),
    ("Your prefix is one position too long.", lambda n, p: _lower(n) | _before(n, p + 1, 1)),
    ("Your prefix is one position too short.", lambda n, p: _lower(n) | _before(n, p - 1, 1)),
    ("Only the prefix may be seen; later words may look at themselves and at what came before, too.", lambda n, p: _before(n, p, 1)),
]  # fmt: skip


def _test_prefix_mask(prefix_mask):
    cases = [
        ("no prefix", (5, 0)),
        ("a prefix of two", (5, 2)),
        ("all of it is prefix", (4, 4)),
        ("one position", (1, 0)),
        ("a prefix of one", (4, 1)),
        ("", (7, 3)),
    ]
    compare(prefix_mask, prefix_mask_of_reference, cases, PREFIX_SLIPS)


prefix_mask_of_reference = prefix_mask


# ------------------------------------------------------------ families.8 a baseline from counts


def commonest_follower(stream, first):
    counts = defaultdict(Counter)
    for before, after in zip(stream, stream[1:]):
        if after >= first:
            counts[before][after] += 1
    return {before: found.most_common(1)[0][0] for before, found in counts.items()}


def _followers(stream, first, count_specials=False, turned=False, pick=lambda found: found.most_common(1)[0][0], specials_ask=True):
    counts = defaultdict(Counter)
    for before, after in zip(stream, stream[1:]):
        before, after = (after, before) if turned else (before, after)
        if (count_specials or after >= first) and (specials_ask or before >= first):
            counts[before][after] += 1
    return {before: pick(found) for before, found in counts.items()}


FOLLOWER_SLIPS = [
    ("A special token is no answer: ids below `first` are not to be guessed.", lambda s, f: _followers(s, f, count_specials=True)),
    ("You counted what stands *before* each id; what follows it is asked.", lambda s, f: _followers(s, f, turned=True)),
    ("A later follower overwrote the commonest one: count before you choose.", lambda s, f: {a: b for a, b in zip(s, s[1:]) if b >= f}),
    ("You kept the first follower of each id; the commonest is asked.", lambda s, f: {a: b for a, b in zip(s[-2::-1], s[:0:-1]) if b >= f}),
    ("You kept the rarest follower; the commonest is asked.", lambda s, f: _followers(s, f, pick=lambda found: min(found, key=found.get))),
    ("How often it followed is not asked, only which id it is.", lambda s, f: _followers(s, f, pick=lambda found: found.most_common(1)[0][1])),
    ("All followers with their counts came back; one for each id is asked.", lambda s, f: _followers(s, f, pick=dict)),
    ("What follows a special token can be guessed, too: only the *guess* must be no special token.", lambda s, f: _followers(s, f, specials_ask=False)),
    ("The text's commonest id is another baseline; here the word before decides.",
     lambda s, f: {a: Counter(i for i in s if i >= f).most_common(1)[0][0] for a in _followers(s, f)}),
]  # fmt: skip


def _test_commonest_follower(commonest_follower):
    def same(a, b):  # where two are equally common, either will do
        return a == b or (b == {5: 6, 6: 5, 7: 5} and a == {5: 7, 6: 5, 7: 5})

    cases = [
        ("", ([5, 6, 5, 6, 5, 7, 6, 7], 4)),
        ("special tokens in between", ([3, 8, 9, 3, 9, 9, 3, 8, 3, 3, 8, 3, 8, 9], 4)),
        ("two equally common followers", ([5, 6, 5, 7, 5], 1)),
        ("the commonest comes later", ([5, 6, 5, 7, 5, 7, 5, 8, 9, 8, 5, 8, 5, 7], 1)),
        ("another border", ([9, 4, 2, 9, 4, 3, 9, 2, 2], 3)),
        ("one token", ([6], 4)),
    ]
    compare(commonest_follower, commonest_follower_of_reference, cases, FOLLOWER_SLIPS, same)


commonest_follower_of_reference = commonest_follower


# ------------------------------------------------------------ families.7 choose a family

family_for = {
    "search": "encoder",
    "assistant": "decoder",
    "translator": "encoder-decoder",
    "moderation": "encoder",
    "autocomplete": "decoder",
}

_WHY_NOT = {
    "search": "search: nothing is written. You need one vector per sentence, computed once, made from words on both sides.",
    "assistant": "assistant: any request, long free answers, a growing conversation: one stream of text that is continued.",
    "translator": "translator: one text in, another text out, always the same task, and a small model: read all of it, then write.",
    "moderation": "moderation: one label for a whole comment, ten thousand a second: no text has to be generated.",
    "autocomplete": "autocomplete: only the text before the cursor is known, and the next words are wanted.",
}


def _test_family_for(family_for):
    if set(family_for) != set(_WHY_NOT):
        raise Wrong(f"Give a dictionary with the five keys {', '.join(_WHY_NOT)}.")
    names = ("encoder", "decoder", "encoder-decoder")
    for task, family in family_for.items():
        if family not in names:
            raise Wrong(f"{task}: {family!r} is none of {', '.join(names)}.")
    for task, right in (("search", "encoder"), ("moderation", "encoder"), ("autocomplete", "decoder"),
                        ("assistant", "decoder"), ("translator", "encoder-decoder")):  # fmt: skip
        if family_for[task] != right:
            raise Wrong(_WHY_NOT[task])


PAIR = answers.tuple_of(answers.wholes, answers.whole)

EXERCISES = [
    Exercise("families.3", "causal pairs", causal_pairs, _test_causal_pairs, (
        "How many pairs do four tokens give?",
        "A slice of a list ends just before the position behind its colon.",
    ), returns=answers.list_of(PAIR, "a list of pairs: the list of all tokens before, and the next token")),
    Exercise("families.1", "mask a sentence, 80/10/10", mask_tokens, _test_mask_tokens, (
        "Begin with a copy of ids, and change it where picked[i] is true.",
        "The label depends on `picked` alone. The input depends on `picked` first and on the die second.",
    ), returns=answers.tuple_of(answers.wholes, answers.wholes, words="two lists of ids, the inputs and the labels")),
    Exercise("families.4", "span corruption", span_corruption, _test_span_corruption, (
        "Keep a position that walks through the sentence: copy up to the span, write its sentinel, jump over it.",
        "Each span adds its sentinel to both lists; its words go to the targets only. One more sentinel closes them.",
    ), returns=answers.tuple_of(answers.wholes, answers.wholes, words="two lists of ids, the inputs and the targets")),
    Exercise("families.2", "spot the bug: a copycat's splendid score", masked_loss, _test_masked_loss, (
        "Which positions were asked for something? Look at what `mask_tokens` puts into the labels.",
        "log_softmax of the rows that were asked, the column of each label (gather), mean, minus. No shift.",
    ), returns=answers.tensor),
    Exercise("families.5", "how many targets", count_targets, _test_count_targets, (
        "Count the positions that contribute to the loss, not those that are read.",
        "The decoder of a span model writes the hidden tokens, a sentinel before each span, and one at the end.",
    ), returns=answers.whole),
    Exercise("families.8", "a baseline from counts", commonest_follower, _test_commonest_follower, (
        "A dictionary of counters: for each id, how often did each other id come next?",
        "zip(stream, stream[1:]) walks through all neighbours; Counter.most_common sorts what was counted.",
    ), returns=answers.dict_of(answers.whole, "a dictionary: id → the id that followed it most often")),
    Exercise("families.6", "spot the bug: a loss too good to be true", prefix_mask, _test_prefix_mask, (
        "Draw the colleague's mask for n = 3: who may look at whom?",
        "tril(k) keeps the k-th diagonal above the main one too. And which columns are open to everybody?",
    ), returns=answers.mask),
    Exercise("families.7", "choose a family", family_for, _test_family_for, (
        "Ask first: does the task write text at all? Then: is the whole input known before the first word is written?",
        "Two are encoders, two are decoders, one is both.",
    ), returns=answers.dict_of(answers.text, "a dictionary: task → family")),
]  # fmt: skip
