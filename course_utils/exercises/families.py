"""Model families and their pre-training objectives: reference answers and their tests."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from .engine import Exercise, Wrong, close

# ------------------------------------------------------------ families.1 masking, 80/10/10


def mask_tokens(ids, picked, dice, random_ids, mask_id):
    inputs, labels = [], []
    for id, pick, die, other in zip(ids, picked, dice, random_ids):
        labels.append(id if pick else -100)
        if pick and die < 0.8:
            inputs.append(mask_id)
        elif pick and die < 0.9:
            inputs.append(other)
        else:
            inputs.append(id)
    return inputs, labels


def _test_mask_tokens(mask_tokens):
    ids, random_ids = [11, 12, 13, 14, 15], [21, 22, 23, 24, 25]
    picked, dice = [True, False, True, True, False], [0.1, 0.1, 0.85, 0.95, 0.85]
    before = list(ids)
    got = mask_tokens(ids, picked, dice, random_ids, 4)
    if ids != before:
        raise Wrong("Your function changed the list it was given; build new lists.")
    if not isinstance(got, (tuple, list)) or len(got) != 2:
        raise Wrong("Return two lists: the inputs and the labels.")
    inputs, labels = [list(part) for part in got]
    if len(inputs) != 5 or len(labels) != 5:
        raise Wrong("Both lists are as long as the sentence: masking replaces tokens, it removes none.")
    if labels == [11, 12, 13, 14, 15]:
        raise Wrong("Every position has a label. Those that were not picked get −100: there is nothing to guess there.")
    if labels == inputs or 4 in labels or 23 in labels:
        raise Wrong("The label is the *original* token, not what you put in its place.")
    if labels == [11, -100, 13, -100, -100] or labels == [11, -100, -100, -100, -100]:
        raise Wrong("A picked token keeps its label whatever its fate: one that was left as it was, or swapped, is asked for too.")
    if labels != [11, -100, 13, 14, -100]:
        raise Wrong(f"Expected the labels [11, -100, 13, 14, -100]; yours: {labels}.")
    if inputs == [4, 12, 4, 4, 15]:
        raise Wrong("You masked every picked token. Only those with a die below 0.8 become [MASK].")
    if inputs[1] != 12 or inputs[4] != 15:
        raise Wrong("A token that was not picked was changed: look at `picked` before the die.")
    if inputs == [4, 12, 13, 24, 15]:
        raise Wrong("From 0.8 to 0.9: a random token. From 0.9: the token stays. You have them the other way round.")
    if inputs != [4, 12, 23, 14, 15]:
        raise Wrong(f"Expected the inputs [4, 12, 23, 14, 15]; yours: {inputs}.")
    if mask_tokens([11], [True], [0.8], [21], 4)[0] != [21]:
        raise Wrong("A die of exactly 0.8 is not below 0.8.")


# ------------------------------------------------------------ families.2 spot the bug: the loss


def masked_loss(logits, labels):
    asked = labels != -100
    log_probs = logits[asked].log_softmax(-1)
    return -log_probs.gather(1, labels[asked][:, None]).mean()


def _test_masked_loss(masked_loss):
    torch.manual_seed(0)
    logits, labels = torch.randn(6, 5), torch.tensor([-100, 2, -100, 0, 4, -100])
    want = F.cross_entropy(logits, labels)
    got = torch.as_tensor(masked_loss(logits.clone(), labels.clone()))
    if got.numel() != 1:
        raise Wrong(f"A loss is one number; yours has the shape {tuple(got.shape)}.")
    if got < 0:
        raise Wrong("A negative loss: log-probabilities are below 0, the loss is *minus* their mean.")
    if close(got, F.cross_entropy(logits, labels.clamp(0))):
        raise Wrong("Positions labelled −100 count in your loss: leave them out.")
    if close(got, F.cross_entropy(logits[:-1], labels[1:])):
        raise Wrong("You shifted by one, as for a decoder. Here position i guesses the token *at* i.")
    if close(got, want * 3):
        raise Wrong("You returned the sum; the loss is the mean over the picked positions.")
    if close(got, want / 2):
        raise Wrong("Divide by the number of picked positions, 3 here, not by the length.")
    if not close(got, want):
        raise Wrong(f"For the check's example the loss is {want:.4f}; yours is {got.item():.4f}.")


# ------------------------------------------------------------ families.3 causal pairs


def causal_pairs(ids):
    return [(ids[:i], ids[i]) for i in range(1, len(ids))]


def _test_causal_pairs(causal_pairs):
    got = [(list(context), target) for context, target in causal_pairs([7, 8, 9, 7])]
    want = [([7], 8), ([7, 8], 9), ([7, 8, 9], 7)]
    if got and all(target == context[-1:] or [target] == context[-1:] for context, target in got):
        raise Wrong("The target is the last word of its own context: the answer stands in the question.")
    if got[:1] == [([], 7)]:
        raise Wrong("The first pair has an empty context: nothing stands before the first token, so it is no target here.")
    if [pair for pair in got if len(pair[0]) == 1] == got and len(got) == 3:
        raise Wrong("Each context holds one token only. A position may look at *all* tokens before it.")
    if got == [([8, 9, 7], 7), ([9, 7], 8), ([7], 9)]:
        raise Wrong("Your contexts stand to the right of the target: that is reading backwards.")
    if got == want[:-1]:
        raise Wrong("The last token is missing as a target: four tokens give three pairs.")
    if got != want:
        raise Wrong(f"For [7, 8, 9, 7] the pairs are {want}; yours: {got}.")


# ------------------------------------------------------------ families.4 span corruption


def span_corruption(ids, spans, sentinels):
    inputs, targets, position = [], [], 0
    for (start, length), sentinel in zip(spans, sentinels):
        inputs += ids[position:start] + [sentinel]
        targets += [sentinel] + ids[start : start + length]
        position = start + length
    closing = sentinels[len(spans)]
    return inputs + ids[position:], targets + [closing]


def _test_span_corruption(span_corruption):
    ids, spans, sentinels = [10, 11, 12, 13, 14, 15, 16], [(1, 2), (5, 1)], [91, 92, 93, 94]
    got = span_corruption(list(ids), list(spans), list(sentinels))
    if not isinstance(got, (tuple, list)) or len(got) != 2:
        raise Wrong("Return two lists: the inputs and the targets.")
    inputs, targets = [list(part) for part in got]
    if len(inputs) == 7:
        raise Wrong("Your input is as long as the sentence: a span of two words gets *one* sentinel, not two.")
    if inputs.count(91) == 2 or targets.count(91) > 1:
        raise Wrong("The same sentinel twice: each span has its own, or nobody knows which words belong where.")
    if inputs == [10, 13, 14, 16]:
        raise Wrong("The input must show *where* words are missing: put the span's sentinel in its place.")
    if inputs != [10, 91, 13, 14, 92, 16]:
        raise Wrong(f"Expected the inputs [10, 91, 13, 14, 92, 16]; yours: {inputs}.")
    if targets == [11, 12, 15]:
        raise Wrong("The target needs the sentinels too: each announces the span that follows it.")
    if targets == [91, 11, 12, 92, 15]:
        raise Wrong("The target lacks the closing sentinel: without it the model cannot say that the last span is over.")
    if targets == [10, 11, 12, 13, 14, 15, 16]:
        raise Wrong("The target is not the whole sentence, only the hidden words with their sentinels.")
    if targets != [91, 11, 12, 92, 15, 93]:
        raise Wrong(f"Expected the targets [91, 11, 12, 92, 15, 93]; yours: {targets}.")
    if tuple(map(list, span_corruption([1, 2, 3], [(0, 1)], [8, 9]))) != ([8, 2, 3], [8, 1, 9]):
        raise Wrong("A span at the very beginning came out wrong.")


# ------------------------------------------------------------ families.5 how much is learnt from


def count_targets(objective, n):
    hidden = round(0.15 * n)
    if objective == "masked":
        return hidden
    if objective == "causal":
        return n - 1
    return hidden + round(hidden / 3) + 1


def _test_count_targets(count_targets):
    for n in (100, 40, 512, 68):  # 512 is rounded up, 68 down
        hidden = round(0.15 * n)
        got = {name: count_targets(name, n) for name in ("masked", "causal", "span")}
        if got["masked"] == n:
            raise Wrong("The encoder reads all tokens, but it is *asked* about 15 % of them only.")
        if got["masked"] == round(0.8 * hidden):
            raise Wrong("Swapped and unchanged tokens are targets too: 15 %, not 80 % of 15 %.")
        if got["masked"] != hidden:
            raise Wrong(f"Masked: {hidden} of {n} tokens are picked; you counted {got['masked']}.")
        if got["causal"] == n:
            raise Wrong("Causal: the first token has nothing before it, so it is not a target.")
        if got["causal"] != n - 1:
            raise Wrong(f"Causal: {n} tokens give {n - 1} targets; you counted {got['causal']}.")
        if got["span"] == hidden:
            raise Wrong("Span corruption: the decoder also has to write the sentinels.")
        if got["span"] == hidden + round(hidden / 3):
            raise Wrong("Span corruption: one more, the closing sentinel.")
        if got["span"] == 2 * hidden + 1:
            raise Wrong("A sentinel stands for a span of 3 tokens, not for each token.")
        if got["span"] != hidden + round(hidden / 3) + 1:
            raise Wrong(f"Span: {hidden} hidden, {round(hidden / 3)} sentinels, 1 to close; you counted {got['span']}.")


# ------------------------------------------------------------ families.6 spot the bug: the mask


def causal_mask(n):
    return torch.ones(n, n).tril().bool()


def _test_causal_mask(causal_mask):
    got = causal_mask(5)
    if not isinstance(got, torch.Tensor) or tuple(got.shape) != (5, 5):
        raise Wrong("Return a tensor of shape [n, n].")
    if got.dtype != torch.bool:
        raise Wrong(f"Return True and False, not {got.dtype}: numbers would be *added* to the scores.")
    right = torch.ones(5, 5).tril().bool()
    if got.all():
        raise Wrong("Everybody sees everything: that is the encoder's mask.")
    if torch.equal(got, right.T):
        raise Wrong("Rows and columns are swapped: row i is who looks, column j is who is looked at.")
    if torch.equal(got, ~right):
        raise Wrong("True means *may look*. Yours allows the future and forbids the past.")
    if torch.equal(got, torch.ones(5, 5).tril(1).bool()):
        raise Wrong("Position i still sees i + 1, which is the word it has to predict.")
    if torch.equal(got, torch.ones(5, 5).tril(-1).bool()):
        raise Wrong("A position may look at itself: its own word is the last one it knows. (Your first row sees nothing.)")
    if not torch.equal(got, right):
        raise Wrong("Row i must be True for the columns 0 … i and False after.")


# ------------------------------------------------------------ families.7 choose a family

family_for = {
    "search": "encoder",
    "assistant": "decoder",
    "translator": "encoder-decoder",
    "moderation": "encoder",
    "autocomplete": "decoder",
}

_WHY_NOT = {
    "search": "search: nothing is written. You need one vector a sentence, computed once, made from words on both sides.",
    "assistant": "assistant: any request, long free answers, a growing conversation: one stream of text that is continued.",
    "translator": "translator: one text in, another text out, always the same task, and a small model: read all of it, then write.",
    "moderation": "moderation: one label for a whole comment, ten thousand a second: no text has to be generated.",
    "autocomplete": "autocomplete: only the text before the cursor is known, and the next words are wanted.",
}


def _test_family_for(family_for):
    if not isinstance(family_for, dict) or set(family_for) != set(_WHY_NOT):
        raise Wrong(f"Give a dict with the five keys {', '.join(_WHY_NOT)}.")
    names = ("encoder", "decoder", "encoder-decoder")
    for task, family in family_for.items():
        if family not in names:
            raise Wrong(f"{task}: {family!r} is none of {', '.join(names)}.")
    for task, right in (("search", "encoder"), ("moderation", "encoder"), ("autocomplete", "decoder"),
                        ("assistant", "decoder"), ("translator", "encoder-decoder")):  # fmt: skip
        if family_for[task] != right:
            raise Wrong(_WHY_NOT[task])


EXERCISES = [
    Exercise("families.1", "mask a sentence, 80/10/10", mask_tokens, _test_mask_tokens, (
        "Walk through the four lists together with zip.",
        "The label depends on `picked` alone. The input depends on `picked` first and on the die second.",
    )),
    Exercise("families.2", "spot the bug: a loss over all positions", masked_loss, _test_masked_loss, (
        "labels != -100 says which rows of the logits were asked for something.",
        "log_softmax of those rows, gather the label's column, mean, minus. No shift.",
    )),
    Exercise("families.3", "causal pairs", causal_pairs, _test_causal_pairs, (
        "How many pairs do four tokens give?",
        "ids[:i] ends just before ids[i].",
    )),
    Exercise("families.4", "span corruption", span_corruption, _test_span_corruption, (
        "Keep a position that walks through the sentence: copy up to the span, write its sentinel, jump over it.",
        "Each span adds its sentinel to both lists; its words go to the targets only. One more sentinel closes them.",
    )),
    Exercise("families.5", "how many targets", count_targets, _test_count_targets, (
        "Count the positions that contribute to the loss, not those that are read.",
        "The decoder of a span model writes the hidden tokens, a sentinel before each span, and one at the end.",
    )),
    Exercise("families.6", "spot the bug: a loss too good to be true", causal_mask, _test_causal_mask, (
        "Draw it for n = 3: who may look at whom?",
        "tril(k) keeps the k-th diagonal above the main one too.",
    )),
    Exercise("families.7", "choose a family", family_for, _test_family_for, (
        "Ask first: does the task write text at all? Then: is the whole input known before the first word is written?",
        "Two are encoders, two are decoders, one is both.",
    )),
]  # fmt: skip
