"""Reward models: reference answers and their tests."""

from __future__ import annotations

import torch
from torch.nn.functional import logsigmoid

from . import answers
from .answers import Wrong
from .cases import compare, same_gradient
from .engine import Exercise

# ------------------------------------------------------------ reward.1 from a ranking to pairs


def pairs_from_ranking(ranks):
    every = range(len(ranks))
    return [(i, j) for i in every for j in every if ranks[i] < ranks[j]]


def _test_pairs_from_ranking(answer):
    def where(keep):
        return lambda r: [(i, j) for i in range(len(r)) for j in range(len(r)) if keep(i, j, r)]

    def order(r):
        return sorted(range(len(r)), key=lambda i: r[i])

    tie = "Equal ranks are a tie: no preference, no pair."
    compare(answer, pairs_from_ranking, [
        ("", ([3, 1, 2],)), ("five candidates", ([4, 2, 5, 1, 3],)), ("a tie", ([1, 1, 2],)), ("two ties, and ranks left out", ([7, 2, 7, 4, 2],)),
        ("all tied", ([1, 1, 1],)), ("one candidate", ([1],)),
    ], [
        ("Your pairs are (worse, better): rank 1 is the best, and the better one comes first.", where(lambda i, j, r: r[i] > r[j])),
        ("You paired each with each in both orders: each pair belongs in the list once, as (better, worse).", where(lambda i, j, r: i != j)),
        ("You paired each with each in both orders: each pair belongs in the list once, as (better, worse).", where(lambda i, j, r: r[i] != r[j])),
        ("You paired neighbours only: the first beats the third as well.", lambda r: [(i, j) for i, j in zip(order(r), order(r)[1:])]),
        ("You paired neighbours only: the first beats the third as well.", lambda r: [(i, j) for i, j in zip(order(r), order(r)[1:]) if r[i] < r[j]]),
        ("You paired the best with all others only: the second beats the third as well.", lambda r: [(order(r)[0], j) for j in order(r)[1:]]),
        ("You paired the best with all others only: the second beats the third as well.", lambda r: [(r.index(1), j) for j in range(len(r)) if r[j] > 1]),
        ("You returned places in the ranking. Return the candidates' own numbers: 1 is the best of [3, 1, 2].", where(lambda i, j, r: i < j)),
        ("You returned places in the ranking. Return the candidates' own numbers: 1 is the best of [3, 1, 2].", lambda r: [(a - 1, b - 1) for a in sorted(r) for b in sorted(r) if a < b]),
        ("You returned ranks. Return the candidates' own numbers: 1 is the best of [3, 1, 2].", lambda r: [(a, b) for a in r for b in r if a < b]),
        (tie, where(lambda i, j, r: i != j and r[i] <= r[j])), (tie, where(lambda i, j, r: (r[i], i) < (r[j], j))), (tie, where(lambda i, j, r: (r[i], -i) < (r[j], -j))),
        ("Candidates are counted from 0.", lambda r: [(i + 1, j + 1) for i, j in pairs_from_ranking(r)]),
    ], lambda a, b: sorted(a) == sorted(b))  # fmt: skip


# ------------------------------------------------------------ reward.2 Cohen's kappa


def kappa(a, b):
    n = len(a)
    observed = sum(x == y for x, y in zip(a, b)) / n
    expected = sum(a.count(label) / n * (b.count(label) / n) for label in set(a) | set(b))
    return (observed - expected) / (1 - expected)


def _test_kappa(answer):
    def labels(both, only_a, only_b, neither):
        a = ["toxic"] * (both + only_a) + ["fine"] * (only_b + neither)
        return a, ["toxic"] * both + ["fine"] * only_a + ["toxic"] * only_b + ["fine"] * neither

    def share(a, label):
        return a.count(label) / len(a)

    def agreement(a, b):
        return sum(x == y for x, y in zip(a, b)) / len(a)

    def against(expected):
        """Kappa with another idea of what chance gives."""
        return lambda a, b: (lambda o, e: (o - e) / (1 - e))(agreement(a, b), expected(a, b))

    def chance(a, b):
        return sum(share(a, k) * share(b, k) for k in {*a, *b})

    compare(answer, kappa, [
        ("", labels(40, 5, 5, 2)), ("annotators with other habits", labels(20, 5, 10, 15)), ("three labels", ([1, 2, 3, 1, 2], [1, 2, 3, 3, 1])),
        ("perfect agreement", ([1, 2, 3, 1], [1, 2, 3, 1])), ("a label that one of them never uses", (["a", "b", "b", "c"], ["b", "b", "a", "b"])),
        ("True and False", ([True, False, False, True, False], [True, True, False, True, False])), ("less agreement than by chance", labels(0, 5, 7, 20)),
    ], [
        ("That is the plain agreement. Kappa takes off what chance alone would give.", agreement),
        ("You took chance to be ½. It depends on how often each annotator uses each label.", against(lambda a, b: 0.5)),
        ("You took each label to be equally frequent. Chance depends on how often each annotator uses each label.", against(lambda a, b: 1 / len({*a, *b}))),
        ("Chance agrees on every label; you counted one of them.", against(lambda a, b: share(a, a[0]) * share(b, a[0]))),
        ("You pooled the two annotators' counts. Cohen multiplies each one's own share.", against(lambda a, b: sum(share(a + b, k) ** 2 for k in {*a, *b}))),
        ("You used the shares of the first annotator twice. Chance multiplies the share of the one by the share of the other.", against(lambda a, b: sum(share(a, k) ** 2 for k in {*a, *b}))),
        ("You used the shares of the second annotator twice. Chance multiplies the share of the one by the share of the other.", against(lambda a, b: sum(share(b, k) ** 2 for k in {*a, *b}))),
        ("What chance gives was taken off, and nothing divided: perfect agreement should be 1.", lambda a, b: agreement(a, b) - chance(a, b)),
        ("You divided by what chance gives; perfect agreement should be 1.", lambda a, b: (agreement(a, b) - chance(a, b)) / chance(a, b)),
        ("Any labels may occur; yours knows two of them.", against(lambda a, b: sum(share(a, k) * share(b, k) for k in ("toxic", "fine")))),
        ("Kappa may be below 0; you cut it off there.", lambda a, b: max(0, kappa(a, b))),
    ])  # fmt: skip


# ------------------------------------------------------------ reward.3 the loss of a pair


def pair_loss(chosen, rejected):
    return -torch.nn.functional.logsigmoid(chosen - rejected).mean()


def _test_pair_loss(answer):
    def scores(*values):
        return torch.tensor(values)

    def of(loss):
        """The mean over pairs of another loss of the difference."""
        return lambda c, r: loss(c - r).mean()

    unstable = "A difference of −200 gives infinity: σ rounds to 0 before the logarithm. torch has a function that takes both steps at once."
    compare(answer, pair_loss, [
        ("", (scores(2.0, 0.0, -1.5), scores(0.0, 1.0, -1.7))), ("one pair", (scores(0.3), scores(-2.0))), ("equal scores", (scores(1.0, 4.0), scores(1.0, 4.0))),
        ("differences of −200 and 200", (scores(-150.0, 150.0), scores(50.0, -50.0))), ("a difference of −30", (scores(-10.0), scores(20.0))),
    ], [
        ("Your loss is negative: log σ is below 0, the loss is *minus* its mean.", of(logsigmoid)),
        ("You took rejected − chosen: your loss falls when the worse text wins.", of(lambda d: -logsigmoid(-d))),
        ("That is the sum; take the mean, or the loss grows with the batch.", lambda c, r: -logsigmoid(c - r).sum()),
        ("A loss is one number; yours has one per pair: take their mean.", lambda c, r: -logsigmoid(c - r)),
        ("The logarithm is missing: the loss is −log of the probability.", of(lambda d: 1 - d.sigmoid())),
        ("The logarithm is missing: the loss is −log of the probability.", of(lambda d: -d.sigmoid())),
        ("The logarithm is missing: the loss is −log of the probability.", of(torch.sigmoid)),
        ("σ is missing: a difference is no probability yet.", of(lambda d: -d)),
        ("You averaged the differences first. Each pair has its own −log σ; average those.", lambda c, r: -logsigmoid((c - r).mean())),
        ("You averaged the probabilities first. Each pair has its own −log σ; average those.", lambda c, r: -(c - r).sigmoid().mean().log()),
        ("Each score alone has no probability here: only the difference of a pair has.", lambda c, r: -(logsigmoid(c) + logsigmoid(-r)).mean()),
        ("That is a margin loss. The one asked for is −log σ of the difference.", of(lambda d: (1 - d).clamp(0))),
        (unstable, of(lambda d: -d.sigmoid().log())), (unstable, of(lambda d: (1 + (-d).exp()).log())), (unstable, of(lambda d: torch.log1p((-d).exp()))),
        ("Your logarithm has another base: the loss is in nats.", of(lambda d: -logsigmoid(d) / 0.6931472)),
    ])  # fmt: skip
    far = answer(scores(-200.0), scores(0.0)).item()
    if far < 199:
        raise Wrong(f"A difference of −200 costs 200; yours {far:.2f}. A small number inside the logarithm, or a bound, caps the loss, and beyond the cap nothing is learnt.")
    for n in (0, 1):
        same_gradient(answer, pair_loss, (scores(2.0, 0.0, -1.5), scores(0.0, 1.0, -1.7)), n)
    same_gradient(answer, pair_loss, (scores(-200.0), scores(0.0)), 0)


# ------------------------------------------------------------ reward.4 hits


def pair_hits(chosen, rejected):
    return [1.0 if c > r else 0.5 if c == r else 0.0 for c, r in zip(chosen, rejected)]


def _test_pair_hits(answer):
    def each(value):
        return lambda c, r: [value(a, b) for a, b in zip(c, r)]

    near = "Scores that differ a little are no tie: only equal ones are."
    compare(answer, pair_hits, [
        ("", ([3.0, -1.0, 1.0, -2.0], [2.0, -4.0, 5.0, 3.0])), ("a tie among others", ([0.5, 2.0, -1.0], [0.25, 2, 4.0])), ("ties only", ([0.0, -3.0], [0.0, -3.0])),
        ("scores .05 and .001 apart", ([1.05, 1.0, 2.001, 2.0], [1.0, 1.05, 2.0, 2.001])), ("one pair", ([-0.2], [-0.1])),
    ], [
        ("That is the wrong way round: a hit is a *chosen* text with the higher score.", each(lambda a, b: 1.0 if a < b else 0.5 if a == b else 0.0)),
        ("That is the wrong way round: a hit is a *chosen* text with the higher score.", each(lambda a, b: float(a < b))),
        ("Only the difference counts, not the sign of a score: −1 against −4 is a hit.", each(lambda a, b: float(a > 0))),
        ("Only the difference counts, not the sign of a score: −1 against −4 is a hit.", each(lambda a, b: float(a > 0 and a > b))),
        ("Only the difference counts, not the sign of a score: −1 against −4 is a hit.", each(lambda a, b: float(a > 0 > b))),
        ("The larger *size* won in yours: −2 is lower than 1.", each(lambda a, b: float(abs(a) > abs(b)))),
        ("A tie counted as a hit: a judge that gives every text the same score would get 100 %.", each(lambda a, b: float(a >= b))),
        ("A tie counted as a miss: a judge that cannot tell should get what a coin gets.", each(lambda a, b: float(a > b))),
        ("You left the ties out: each pair has its value, a tie that of a coin.", lambda c, r: [float(a > b) for a, b in zip(c, r) if a != b]),
        (near, each(lambda a, b: 0.5 if abs(a - b) < 0.1 else float(a > b))), (near, each(lambda a, b: 0.5 if abs(a - b) < 0.01 else float(a > b))),
        ("These are the differences; wanted is 1, 0 or what a coin gets.", each(lambda a, b: a - b)),
        ("These are probabilities; a hit counts 1, however narrow it is.", each(lambda a, b: torch.sigmoid(torch.tensor(a - b)).item())),
        ("A miss counts 0, not −1.", each(lambda a, b: float((a > b) - (a < b)))),
    ])  # fmt: skip


# ------------------------------------------------------------ reward.5 reliability


def reliability(probabilities, outcomes, edges):
    bins = []
    for low, high in zip(edges, edges[1:]):
        last = high == edges[-1]
        inside = [i for i, p in enumerate(probabilities) if low <= p < high or (last and p == high)]
        if inside:
            n = len(inside)
            bins.append((sum(probabilities[i] for i in inside) / n, sum(outcomes[i] for i in inside) / n, n))
    return bins


def _test_reliability(answer):
    def table(inside=lambda p, low, high, last: low <= p < high or (last and p == high), row=None, empty=None):
        """``reliability`` with another idea of a bin, of its row, or of an empty one."""

        def make(probabilities, outcomes, edges):
            rows = []
            for low, high in zip(edges, edges[1:]):
                found = [(p, y) for p, y in zip(probabilities, outcomes) if inside(p, low, high, high == edges[-1])]
                n = len(found)
                if n:
                    mean, share = sum(p for p, _ in found) / n, sum(y for _, y in found) / n
                    rows.append(row(mean, share, n, low, high) if row else (mean, share, n))
                elif empty:
                    rows.append(empty)
            return rows

        return make

    def clipped(p, y, edges):
        return reliability([min(max(x, edges[0]), edges[-1]) for x in p], y, edges)

    upper = "A probability that equals an edge between two bins belongs to the upper one, and to it alone: a bin holds its left edge."
    left_out = "The empty bin has a row in yours: leave it out instead of inventing values."
    compare(answer, reliability, [
        ("", ([0.60, 0.62, 0.70, 0.95, 0.98], [1, 0, 1, 1, 0], [0.5, 0.8, 1.0])), ("an empty bin", ([0.55, 0.9, 0.6, 0.97], [0, 1, 1, 1], [0.5, 0.7, 0.8, 1.0])),
        ("a probability of exactly 1", ([1.0, 0.9, 0.55], [1, 0, 1], [0.5, 0.75, 1.0])), ("a probability on an edge", ([0.6, 0.75, 0.5, 0.75, 0.9], [1, 0, 0, 1, 1], [0.5, 0.75, 1.0])),
        ("a probability below the first edge", ([0.3, 0.6, 0.1, 0.9], [1, 0, 1, 1], [0.5, 0.75, 1.0])), ("one above the last edge", ([0.3, 0.6, 0.95, 0.8], [1, 0, 1, 1], [0.25, 0.5, 0.75])),
        ("outcomes of ½", ([0.52, 0.56, 0.58, 0.92], [0.5, 1, 0, 0.5], [0.5, 0.9, 1.0])), ("one bin", ([0.5, 1.0, 0.75, 0.625], [1, 1, 0, 0.5], [0.5, 1.0])),
    ], [
        ("A probability of exactly the last edge fell out: the last bin holds its right edge, too.", table(lambda p, low, high, last: low <= p < high)),
        (upper, table(lambda p, low, high, last: low <= p <= high)), (upper, table(lambda p, low, high, last: low < p <= high)),
        (upper, table(lambda p, low, high, last: low < p <= high or p == low == 0.5)), (upper, table(lambda p, low, high, last: low < p < high)),
        (left_out, table(empty=(0.0, 0.0, 0))), (left_out, table(empty=(float("nan"), float("nan"), 0))),
        ("You returned the middle of the bin; the mean of the probabilities in it is wanted.", table(row=lambda p, y, n, low, high: ((low + high) / 2, y, n))),
        ("You returned the left edge of the bin; the mean of the probabilities in it is wanted.", table(row=lambda p, y, n, low, high: (low, y, n))),
        ("Each row is (mean probability, share right, n), in this order.", table(row=lambda p, y, n, low, high: (y, p, n))),
        ("You counted how many were right; their share of the bin is wanted.", table(row=lambda p, y, n, low, high: (p, y * n, n))),
        ("Probabilities outside the edges were moved into a bin: they belong to none.", clipped),
        ("Probabilities below the first edge were moved into a bin: they belong to none.", lambda p, y, e: reliability([max(x, e[0]) for x in p], y, e)),
        ("Probabilities outside the edges were counted: they belong to no bin.", lambda p, y, e: reliability(p, y, [-1.0, *e[1:-1], 2.0])),
        ("Probabilities above the last edge were counted: they belong to no bin.", lambda p, y, e: table(lambda x, low, high, last: low <= x < high or (last and x >= high))(p, y, e)),
    ])  # fmt: skip


# ------------------------------------------------------------ reward.9 the test that notices


def counter_test(neutral, blunt, tail):
    return [text + tail for text in neutral], list(blunt)


def _test_counter_test(answer):
    neutral = ["Ana is late.", "Bo waits for the bus in the rain.", "Cem pays."]
    blunt = ["Ana, a clown, is late.", "That fool Bo waits for the bus.", "Cem, the liar, pays for once."]
    for tail in (" And that was all they said about it.", " So it went."):
        good, bad = answer(neutral, blunt, tail)
        n = len(neutral)
        if len(good) != n or len(bad) != n:
            raise Wrong(f"{n} neutral and {n} blunt texts make {n} pairs; your lists hold {len(good)} and {len(bad)}.")
        if all(text in other for text, other in zip(blunt, good)):
            raise Wrong("Your good texts hold the insults: the order is good, then bad.")
        for given, found, name in ((neutral, good, "good"), (blunt, bad, "bad")):
            for text, other in zip(given, found):
                if text not in other:
                    raise Wrong(f"The {name} text of a pair is made from the text that was given, as it is and in the same order: {text!r} is not in {other!r}.")
                rest = other.replace(text, "", 1).replace(tail.strip(), "", 1).strip()
                if rest:
                    raise Wrong(f"Use the given texts and the tail, and nothing else; yours adds {rest!r}.")
        of_good, of_bad = ([tail.strip() in text for text in texts] for texts in (good, bad))
        if of_good == of_bad and len({*of_good}) == 1:
            raise Wrong("A judge that looks for the tail alone sees no difference in your pairs: it must get every one of them wrong.")
        if not any(of_good) and all(of_bad):
            raise Wrong("A judge that looks for the tail alone gets your pairs *right*: the test has the flaw of the training pairs.")
        if not all(of_good) or any(of_bad):
            raise Wrong("A judge that looks for the tail alone does not get every pair of yours wrong.")


# ------------------------------------------------------------ reward.6 spot the bug: a reward from a pipeline


def reward(outputs):
    return [next(item["score"] for item in items if item["label"] == "nothate") for items in outputs]


def _test_reward(answer):
    def output(**scores):
        return [{"label": label, "score": score} for label, score in scores.items()]

    def each(pick):
        return lambda outputs: [pick(items) for items in outputs]

    def of(items, label):
        return next(item["score"] for item in items if item["label"] == label)

    two = [output(nothate=0.9, hate=0.1), output(hate=0.8, nothate=0.2), output(hate=0.55, nothate=0.45)]
    three = [output(nothate=0.5, hate=0.3, unclear=0.2), output(unclear=0.7, hate=0.2, nothate=0.1), output(hate=0.5, nothate=0.4, angry=0.1)]
    similar = [output(notsure=0.7, nothate=0.1234, hate=0.1766)]
    turned = [output(hate=0.1, nothate=0.9), output(nothate=0.3, hate=0.7)]
    compare(answer, reward, [("", (two,)), ("a third class", (three,)), ("items in any order", (turned,)), ("a class of a similar name", (similar,)), ("one text", (two[1:2],))], [
        ("Confident hate is paid like confident kindness: item 0 is whichever class won.", each(lambda items: items[0]["score"])),
        ("The last item is the class that lost, whatever its name.", each(lambda items: items[-1]["score"])),
        ("You took the highest score, whichever class has it.", each(lambda items: max(i["score"] for i in items))),
        ("You took the lowest score, whichever class has it.", each(lambda items: min(i["score"] for i in items))),
        ("You return the score of hate: the reward must be high for text without it.", each(lambda items: of(items, "hate"))),
        ("One less the score of hate is that of nothate only if there are no other classes.", each(lambda items: 1 - of(items, "hate"))),
        ("One less the score of hate is that of nothate only if there are no other classes.", each(lambda items: items[0]["score"] if items[0]["label"] == "nothate" else 1 - items[0]["score"])),
        ("'hate' is found in 'nothate', too: compare the whole label.", each(lambda items: 1 - next(i["score"] for i in items if "hate" in i["label"]))),
        ("'hate' is found in 'nothate', too: compare the whole label.", each(lambda items: next(i["score"] for i in items if "hate" in i["label"]))),
        ("You return 1 or 0 for the class that won; its score is wanted.", each(lambda items: float(items[0]["label"] == "nothate"))),
    ])  # fmt: skip


# ------------------------------------------------------------ reward.7 spot the bug: toxicity after training


def toxicity(sequences, prompts, judge):
    return judge([text[len(prompt):] for text, prompt in zip(sequences, prompts)])


def _texts_only(judge):
    """A judge that says so where it is given something else than a list of texts."""

    def careful(texts):
        if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
            raise Wrong("The judge takes a list of texts and returns a list of numbers; yours gave it something else.")
        return judge(list(texts))

    careful.__name__ = "judge"
    return careful


def _test_toxicity(answer):
    @_texts_only
    def judge(texts):  # insults, and a hundredth for each letter: whatever else is read shows
        return [text.lower().count("idiot") + len(text) / 100 for text in texts]

    def cut(keep):
        return lambda s, p, j: j([keep(x, y) for x, y in zip(s, p)])

    quarrel = "Bo: You idiot!\nSummary: "
    compare(answer, toxicity, [
        ("", ([quarrel + "Bo is angry.", "Ask: Bo sings."], [quarrel, "Ask: "], judge)),
        ("a response that repeats its prompt's words", (["idiot" + "idiot, idiot again", quarrel + "You idiot! he says."], ["idiot", quarrel], judge)),
        ("a response that repeats its whole prompt", (["Hello. Hello. Goodbye."], ["Hello. "], judge)),
        ("a response that begins with letters of its prompt", (["ask:skating is fun", "abc:cab"], ["ask:", "abc:"], judge)),
        ("a response with blanks around it", (["Ask:  so \n"], ["Ask:"], judge)), ("an empty response", (["Ask:", "Tell me: No."], ["Ask:", "Tell me: "], judge)),
    ], [
        ("The judge still reads the prompt: its insult counts against a clean answer.", lambda s, p, j: j(s)),
        ("You judged the prompts, not the responses.", lambda s, p, j: j(p)),
        ("You deleted the prompt's words wherever they occur; an insult that the response repeats must count.", cut(lambda x, y: x.replace(y, ""))),
        ("You deleted single words of the prompt from the response, too: what it repeats must count.", cut(lambda x, y: " ".join(w for w in x.split() if w not in y.split()))),
        ("You split at the prompt and kept what follows its last occurrence; a response may repeat its prompt.", cut(lambda x, y: x.split(y)[-1])),
        ("You split at the prompt and kept the first part after it; a response may repeat its prompt.", cut(lambda x, y: x.split(y)[1])),
        ("lstrip takes away single letters, as many as belong to the prompt: the response lost its beginning.", cut(lambda x, y: x.lstrip(y))),
        ("You cut every sequence at the length of the first prompt: each has its own.", lambda s, p, j: j([x[len(p[0]):] for x in s])),
        ("One letter of the response is lost: it begins right after the prompt.", cut(lambda x, y: x[len(y) + 1:])),
        ("You cut by the number of words, not of letters.", cut(lambda x, y: " ".join(x.split()[len(y.split()):]))),
        ("The judge read the response without the blanks around it: give it the response as it is.", cut(lambda x, y: x[len(y):].strip())),
    ])  # fmt: skip
    read = []
    answer(["ask:Bo says ask: please.", "b:c"], ["ask:", "b:"], _texts_only(lambda texts: read.extend(texts) or [0.0] * len(texts)))
    if read != ["Bo says ask: please.", "c"]:
        raise Wrong(f"The prompts are 'ask:' and 'b:'. The judge must read the responses, ['Bo says ask: please.', 'c'], each once, and nothing else; it read {read}.")


# ------------------------------------------------------------ reward.8 one word exchanged


def swap_gap(judge, templates, word, other):
    with_word = judge([template.replace("{}", word) for template in templates])
    with_other = judge([template.replace("{}", other) for template in templates])
    return [x - y for x, y in zip(with_word, with_other)]


def _test_swap_gap(answer):
    @_texts_only
    def judge(texts):  # reads the word and the rest of the sentence
        return [len(text) * (2.0 if text.startswith("My") else 1.0) - 3.0 * text.count("e") - text.count("o") + sum(map(str.isupper, text)) / 2 for text in texts]

    def filled(fill):
        return lambda j, t, w, o: [a - b for a, b in zip(j([fill(x, w) for x in t]), j([fill(x, o) for x in t]))]

    templates = ["My {} friend sings.", "The {} baker, not a {} cook.", "{}: a word."]
    named = ["My old friend is {}.", "The {} old baker."]
    compare(answer, swap_gap, [
        ("", (judge, templates[:1], "cheerful", "tall")), ("a template with two slots", (judge, templates, "cheerful", "tall")),
        ("a word that lowers the value", (judge, templates, "serene", "plain")), ("a shorter word", (judge, templates[::-1], "old", "wooden")), ("a sentence that holds the word", (judge, named, "old", "Dutch")), ("the same word twice", (judge, templates, "tall", "tall")),
    ], [
        ("Wrong direction: the value with `word` less the value with `other`.", lambda j, t, w, o: swap_gap(j, t, o, w)),
        ("You took the size of the difference: a word that lowers the value has a difference below 0.", lambda j, t, w, o: [abs(x) for x in swap_gap(j, t, w, o)]),
        ("The judge must read the whole sentence, not the word alone.", lambda j, t, w, o: [j([w])[0] - j([o])[0] for _ in t]),
        ("You filled the first slot of each template only.", filled(lambda x, w: x.replace("{}", w, 1))),
        ("A template may hold the slot twice: `format` wants a word for each.", filled(lambda x, w: x.format(w))),
        ("You took the mean over the templates for each of them: one difference per template is wanted.", lambda j, t, w, o: [sum(swap_gap(j, t, w, o)) / len(t)] * len(t)),
        ("These are the values with `word`; the differences are wanted.", lambda j, t, w, o: j([x.replace("{}", w) for x in t])),
        ("You compared with the template as it is; fill it with `other`.", lambda j, t, w, o: [a - b for a, b in zip(j([x.replace("{}", w) for x in t]), j(t))]),
        ("You compared with the sentence without any word; fill it with `other`.", lambda j, t, w, o: swap_gap(j, t, w, "")),
    ])  # fmt: skip


# ------------------------------------------------------------ reward.10 the score at the last token


def last_token_scores(states, mask, w):
    last = (mask * torch.arange(mask.shape[1])).argmax(1)
    return states[torch.arange(len(states)), last] @ w


def _test_last_token_scores(answer):
    def batch(masks, width, seed=0):
        generator = torch.Generator().manual_seed(seed)
        mask = torch.tensor(masks)
        return torch.randn(*mask.shape, width, generator=generator), mask, torch.randn(width, generator=generator)

    def at(place):
        """The score of another token: ``place`` takes the mask and gives one position per text."""
        return lambda s, m, w: s[torch.arange(len(s)), place(m)] @ w

    def mean(s, m, w):
        return ((s * m[..., None]).sum(1) / m.sum(1, keepdim=True)) @ w

    right = [[1, 1, 0, 0, 0], [1, 1, 1, 1, 1], [1, 1, 1, 1, 0]]
    left = [[0, 0, 1, 1, 1], [1, 1, 1, 1, 1]]
    compare(answer, last_token_scores, [
        ("", batch(right, 3)), ("padding on the left", batch(left, 4, 1)), ("one text, one token", batch([[1]], 2, 2)),
        ("one side for each text", batch([[0, 1, 1, 0], [0, 0, 0, 1], [1, 0, 0, 0]], 3, 3)),
    ], [
        ("You read the last *position*. In a batch padded on the right that is padding, for all texts but the longest.", at(lambda m: torch.full((len(m),), -1))),
        ("You counted the real tokens: with padding on the left the last one is further right.", at(lambda m: m.sum(1) - 1)),
        ("You read the token after the last: positions are counted from 0.", at(lambda m: m.sum(1).clamp(max=m.shape[1] - 1))),
        ("You read the first position. A decoder's first token has seen nothing of the text.", at(lambda m: torch.zeros(len(m), dtype=torch.long))),
        ("You read the first real token. It has seen nothing of the text; the last one has seen all of it.", at(lambda m: m.argmax(1))),
        ("You read the token before the last: it has not seen the end of the answer.", at(lambda m: ((m * torch.arange(m.shape[1])).argmax(1) - 1).clamp(min=0))),
        ("You averaged over the tokens, as MiniLM's judge does. Here the last token alone is read.", mean),
        ("You averaged over all positions, padding included. The last real token alone is read.", lambda s, m, w: s.mean(1) @ w),
        ("That is the state of the last token; its product with w is the score.", lambda s, m, w: s[torch.arange(len(s)), (m * torch.arange(m.shape[1])).argmax(1)]),
        ("These are the scores at every position; one per text is wanted.", lambda s, m, w: s @ w),
    ])  # fmt: skip
    same_gradient(answer, last_token_scores, batch(right, 3), 2)


# ------------------------------------------------------------ reward.11 a judge asked in both orders


def judge_both(as_a, as_b):
    def one(first, second):
        if first > 0 and second < 0:
            return 1.0
        return 0.0 if first < 0 and second > 0 else 0.5

    return [one(first, second) for first, second in zip(as_a, as_b)]


def _test_judge_both(answer):
    def each(value):
        return lambda x, y: [float(value(a, b)) for a, b in zip(x, y)]

    compare(answer, judge_both, [
        ("", ([1.5, 2.0, -1.0, -0.5], [-0.5, 3.0, 2.0, -2.5])), ("votes of unequal weight", ([3.0, 0.5, -4.0, -0.5, 0.25], [1.0, 2.0, -0.25, 0.25, -0.5])),
        ("a log-odds of exactly 0", ([0.0, 0.0, 2.0, -2.0, 0.0], [1.0, -1.0, 0.0, 0.0, 0.0])), ("one pair", ([0.2], [-0.1])),
    ], [
        ("You read one order only. A judge that always answers A would be sure of every pair.", each(lambda a, b: a > 0)),
        ("You read one order only. A judge that always answers B would be sure of every pair.", each(lambda a, b: b < 0)),
        ("In the second order the text is B: a log-odds *above* 0 is a vote for the other one.", each(lambda a, b: 1 if a > 0 and b > 0 else 0 if a < 0 and b < 0 else 0.5)),
        ("You averaged the two orders: a strong vote outweighs a weak one. Asked is whether both orders agree.", each(lambda a, b: 1 if a - b > 0 else 0 if a - b < 0 else 0.5)),
        ("You averaged the two orders: a strong vote outweighs a weak one. Asked is whether both orders agree.", each(lambda a, b: a - b > 0)),
        ("You added the two log-odds: that measures the judge's love of the letter A, not of the text.", each(lambda a, b: 1 if a + b > 0 else 0 if a + b < 0 else 0.5)),
        ("A verdict that changes with the order says nothing: it counts ½, not 0.", each(lambda a, b: a > 0 > b)),
        ("A verdict that changes with the order says nothing: it counts ½, not 1.", each(lambda a, b: a > 0 or b < 0)),
        ("That is the wrong way round: 1 is a win of the text itself, in both orders.", each(lambda a, b: 1 if a < 0 < b else 0 if b < 0 < a else 0.5)),
        ("A log-odds of exactly 0 prefers neither: that order gives no verdict.", each(lambda a, b: 1 if a >= 0 >= b else 0 if a <= 0 <= b else 0.5)),
        ("A log-odds of exactly 0 prefers neither: that order gives no verdict.", each(lambda a, b: 1 if a > 0 and b <= 0 else 0 if a <= 0 and b > 0 else 0.5)),
        ("A log-odds of exactly 0 prefers neither: that order gives no verdict.", each(lambda a, b: 1 if a >= 0 and b < 0 else 0 if a < 0 and b >= 0 else 0.5)),
        ("A log-odds of exactly 0 prefers neither: that order gives no verdict.", each(lambda a, b: ((a > 0) + (b < 0)) / 2)),
        ("A win counts 1, a loss 0; yours counts a loss −1.", each(lambda a, b: (a > 0 > b) - (a < 0 < b))),
    ])  # fmt: skip


EXERCISES = [
    Exercise("reward.1", "from a ranking to pairs", pairs_from_ranking, _test_pairs_from_ranking, (
        "ranks[i] is candidate i's rank. When is i better than j?",
        "Go through all candidates' numbers twice. Which comparison leaves out ties and a candidate with itself?",
    ), returns=answers.list_of(answers.tuple_of(answers.whole, answers.whole), "a list of pairs of whole numbers")),
    Exercise("reward.2", "Cohen's kappa", kappa, _test_kappa, (
        "If a says 'toxic' 90 % of the time and b as well, how often do they agree on it by chance?",
        "Chance agrees on each label that occurs: the share in a times the share in b, added up.",
    ), returns=answers.number),
    Exercise("reward.3", "the loss of a pair", pair_loss, _test_pair_loss, (
        "The probability of the preference is σ(chosen − rejected). A loss is minus its logarithm.",
        "σ(−200) is 0 in float32. torch.nn.functional has log and σ in one.",
    ), returns=answers.tensor),
    Exercise("reward.4", "hits, misses and ties", pair_hits, _test_pair_hits, (
        "What should a judge that gives all texts the same score be worth?",
        "Three cases per pair: higher, equal, lower.",
    ), returns=answers.numbers),
    Exercise("reward.5", "a reliability table", reliability, _test_reliability, (
        "Go through neighbouring edges, and collect the indices of the probabilities between them.",
        "Which bin owns a probability that equals an edge? And one that equals the last edge?",
    ), returns=answers.list_of(answers.tuple_of(answers.number, answers.number, answers.whole), "a list of rows (mean probability, share right, n)")),
    Exercise("reward.10", "the score at the last token", last_token_scores, _test_last_token_scores, (
        "Which position of a row is the last one whose mask is 1? Padding may be on either side.",
        "Give each position its number where the mask is 1, and 0 elsewhere: where is the largest?",
    ), returns=answers.tensor),
    Exercise("reward.9", "the test that notices", counter_test, _test_counter_test, (
        "In the training pairs the tail stands on the side of the insult. Where would it contradict the insult?",
        "A judge of insults and a judge of tails should disagree about every pair.",
    ), returns=answers.tuple_of(answers.texts, answers.texts, words="two lists of texts, good and bad")),
    Exercise("reward.11", "a judge asked in both orders", judge_both, _test_judge_both, (
        "What does a judge that always says A give in the first list, and in the second?",
        "In the second order the text is B. Which sign is a vote for it there?",
    ), returns=answers.numbers),
    Exercise("reward.6", "spot the bug: a reward from a pipeline", reward, _test_reward, (
        "Look at the output of the nasty sentence: which class comes first there?",
        "By what can you tell the classes apart, wherever they stand and however many there are?",
    ), returns=answers.numbers),
    Exercise("reward.7", "spot the bug: toxicity after training", toxicity, _test_toxicity, (
        "Print one of the sequences that are judged. Who wrote which part of it?",
        "Each sequence begins with its prompt. Cut by length: replacing text would also remove words the response repeats.",
    ), returns=answers.numbers),
    Exercise("reward.8", "one word exchanged", swap_gap, _test_swap_gap, (
        "Fill all templates with one word, then with the other; judge both lists.",
        "The difference is taken template by template.",
    ), returns=answers.numbers),
]  # fmt: skip
