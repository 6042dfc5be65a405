"""Reward models: reference answers and their tests."""

from __future__ import annotations

import torch

from .engine import Exercise, Wrong, close

# ------------------------------------------------------------ reward.1 from a ranking to pairs


def pairs_from_ranking(ranks):
    every = range(len(ranks))
    return [(i, j) for i in every for j in every if ranks[i] < ranks[j]]


def _test_pairs_from_ranking(pairs_from_ranking):
    got = [tuple(pair) for pair in pairs_from_ranking([3, 1, 2])]
    want = {(1, 0), (1, 2), (2, 0)}
    if set(got) == {(j, i) for i, j in want}:
        raise Wrong("Your pairs are (worse, better): rank 1 is the best, and the better one comes first.")
    if len(got) == 6 or len(got) == 9:
        raise Wrong("Each pair belongs in the list once, in the order (better, worse): 3 pairs for 3 texts.")
    if len(got) == 2:
        raise Wrong("You paired neighbours only. First beats third, too: a ranking of 3 holds 3 pairs.")
    if len(got) == 3 and set(got) == {(0, 1), (0, 2), (1, 2)}:
        raise Wrong("You returned places in the ranking. Return the candidates' own numbers: 1 is the best of [3, 1, 2].")
    if sorted(got) != sorted(want):
        raise Wrong(f"For the ranks [3, 1, 2] the pairs are {sorted(want)}; yours: {got}.")
    tied = [tuple(pair) for pair in pairs_from_ranking([1, 1, 2])]
    if sorted(tied) != [(0, 2), (1, 2)]:
        raise Wrong(f"Candidates 0 and 1 of [1, 1, 2] are tied: no preference, no pair. Yours: {tied}.")
    if len(pairs_from_ranking([4, 2, 5, 1, 3])) != 10:
        raise Wrong("Five candidates without ties make 5 · 4 / 2 = 10 pairs.")


# ------------------------------------------------------------ reward.2 Cohen's kappa


def kappa(a, b):
    n = len(a)
    observed = sum(x == y for x, y in zip(a, b)) / n
    expected = sum(a.count(label) / n * (b.count(label) / n) for label in set(a) | set(b))
    return (observed - expected) / (1 - expected)


def _test_kappa(kappa):
    def labels(both, only_a, only_b, neither):
        a = ["toxic"] * (both + only_a) + ["fine"] * (only_b + neither)
        b = ["toxic"] * both + ["fine"] * only_a + ["toxic"] * only_b + ["fine"] * neither
        return a, b

    got = kappa(*labels(40, 5, 5, 0))  # observed .80, expected .81 + .01
    if close(got, 0.8):
        raise Wrong("That is the plain agreement, 0.80. Kappa takes off what chance alone would give.")
    if close(got, (0.8 - 0.5) / 0.5):
        raise Wrong("You took chance to be 1/2. It depends on how often each annotator uses each label.")
    if close(got, (0.8 - 0.81) / 0.19):
        raise Wrong("Chance agrees on *both* labels: .9 · .9 for one, and .1 · .1 for the other.")
    if close(got, 0.8 - 0.82):
        raise Wrong("Divide by 1 − expected, so that perfect agreement is 1.")
    if not close(got, (0.8 - 0.82) / 0.18):
        raise Wrong(f"Observed .80, expected .82: kappa is −0.111; yours {float(got):.3f}.")
    got = kappa(*labels(20, 5, 10, 15))
    if close(got, (0.7 - 0.505) / 0.495):
        raise Wrong("You pooled the two annotators' counts. Cohen multiplies each one's own share.")
    if not close(got, 0.4):
        raise Wrong(f"For 20, 5, 10, 15 of 50 kappa is 0.400; yours {float(got):.3f}.")
    if not close(kappa([1, 2, 3, 1], [1, 2, 3, 3]), 7 / 11):  # expected (2·1 + 1·1 + 1·2) / 16
        raise Wrong("Any labels may occur, three of them too: loop over all that do.")
    if not close(kappa([1, 2, 3, 1], [1, 2, 3, 1]), 1):
        raise Wrong("Perfect agreement is 1.")


# ------------------------------------------------------------ reward.3 the loss of a pair


def pair_loss(chosen, rejected):
    return -torch.nn.functional.logsigmoid(chosen - rejected).mean()


def _test_pair_loss(pair_loss):
    chosen, rejected = torch.tensor([2.0, 0.0]), torch.tensor([0.0, 1.0])
    p = torch.sigmoid(chosen - rejected)
    got = torch.as_tensor(pair_loss(chosen, rejected))
    if got.numel() != 1:
        raise Wrong(f"A loss is one number: take the mean over the pairs. Yours has the shape {tuple(got.shape)}.")
    if got < 0:
        raise Wrong("Your loss is negative: log σ is below 0, the loss is *minus* its mean.")
    if close(got, -torch.sigmoid(rejected - chosen).log().mean()):
        raise Wrong("You took rejected − chosen: your loss falls when the worse text wins.")
    if close(got, -p.log().sum()):
        raise Wrong("That is the sum; take the mean, or the loss grows with the batch.")
    if close(got, (1 - p).mean()) or close(got, p.mean()):
        raise Wrong("The logarithm is missing: the loss is −log of the probability.")
    if close(got, -torch.sigmoid((chosen - rejected).mean()).log()):
        raise Wrong("You averaged the differences first. Each pair has its own −log σ; average those.")
    if not close(got, -p.log().mean()):
        raise Wrong(f"For differences of 2 and −1 the loss is {-p.log().mean():.4f}; yours {got.item():.4f}.")
    far = torch.as_tensor(pair_loss(torch.tensor([-200.0]), torch.tensor([0.0])))
    if not torch.isfinite(far):
        raise Wrong("A difference of −200 gives infinity: σ rounds to 0 before the log. Use logsigmoid.")
    if not close(far, 200.0):
        raise Wrong(f"A difference of −200 costs 200; yours {far.item():.2f}. A small number inside the log caps the loss, and beyond the cap there is no gradient. Use logsigmoid.")


# ------------------------------------------------------------ reward.4 hits


def pair_hits(chosen, rejected):
    return [1.0 if c > r else 0.5 if c == r else 0.0 for c, r in zip(chosen, rejected)]


def _test_pair_hits(pair_hits):
    got = pair_hits([3.0, -1.0, 1.0], [2.0, -4.0, 5.0])
    try:
        got = [float(value) for value in got]
    except TypeError:
        raise Wrong("Return one value per pair, not their mean: the interval needs the single pairs.") from None
    if got == [0.0, 0.0, 1.0]:
        raise Wrong("That is the wrong way round: a hit is a *chosen* text with the higher score.")
    if got == [1.0, 0.0, 0.0]:
        raise Wrong("−1 against −4 is a hit: only the difference counts, not the sign of a score.")
    if got != [1.0, 1.0, 0.0]:
        raise Wrong(f"3 > 2 and −1 > −4 are hits, 1 < 5 is not; yours: {got}.")
    tie = float(pair_hits([0.0], [0.0])[0])
    if tie == 1:
        raise Wrong("A tie counted as a hit: a judge that gives every text the same score would get 100 %.")
    if tie == 0:
        raise Wrong("A tie counted as a miss: a judge that cannot tell should get what a coin gets, 0.5.")
    if tie != 0.5:
        raise Wrong("A tie is worth 0.5, what a coin gets.")


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


def _test_reliability(reliability):
    def in_bins(probabilities):
        return [int(row[2]) for row in reliability(probabilities, [1] * len(probabilities), [0.5, 0.75, 1.0])]

    probabilities, outcomes = [0.60, 0.62, 0.70, 0.95, 1.0], [1, 0, 1, 1, 1]
    got = [tuple(float(x) for x in row) for row in reliability(probabilities, outcomes, [0.5, 0.8, 0.9, 1.0])]
    if sum(row[2] for row in got) == 4:
        raise Wrong("A probability of exactly 1 fell out: the last bin holds its right edge, too.")
    if len(got) == 3 or any(row != row for bin_ in got for row in bin_):
        raise Wrong("The bin from .8 to .9 is empty: leave it out instead of inventing a value.")
    if got and close(got[0][0], 0.65):
        raise Wrong("You returned the middle of the bin; return the mean of the probabilities in it.")
    if got and close(got[0][0], 2 / 3) and close(got[0][1], 0.64):
        raise Wrong("Each row is (mean probability, share that was right, n), in this order.")
    want = [(0.64, 2 / 3, 3), (0.975, 1.0, 2)]
    if not close(got, want):
        raise Wrong(f"Expected {[tuple(round(x, 3) for x in row) for row in want]}; yours: {got}.")
    if in_bins([0.6, 0.75, 0.9]) != [1, 2]:
        raise Wrong("0.75, an edge between two bins, belongs to the upper one, and to it alone: a bin holds its left edge.")


# ------------------------------------------------------------ reward.6 spot the bug: the reward's index


def reward(outputs):
    return [next(item["score"] for item in items if item["label"] == "nothate") for items in outputs]


def _test_reward(reward):
    def output(p):
        items = [{"label": "nothate", "score": p}, {"label": "hate", "score": 1 - p}]
        return sorted(items, key=lambda item: -item["score"])

    got = [float(x) for x in reward([output(0.9), output(0.1)])]
    if close(got, [0.9, 0.9]):
        raise Wrong("Confident hate still gets 0.9: item 0 is whichever class won. Look at the labels.")
    if close(got, [0.1, 0.1]):
        raise Wrong("The last item is the class that lost, whatever its name. Look at the labels.")
    if close(got, [0.1, 0.9]):
        raise Wrong("You return the score of hate: the reward must be high for text without it.")
    if not close(got, [0.9, 0.1]):
        raise Wrong(f"The scores of 'nothate' are [0.9, 0.1]; yours: {got}.")
    three = {"hate": 0.3, "nothate": 0.5, "unclear": 0.2}
    if not close([float(x) for x in reward([[{"label": k, "score": x} for k, x in three.items()]])], [0.5]):
        raise Wrong("With a third class, or in another order, your answer changes; only the label may decide.")


# ------------------------------------------------------------ reward.7 spot the bug: prompt and response


def toxicity(sequences, prompts, judge):
    return judge([text[len(prompt):] for text, prompt in zip(sequences, prompts)])


def _test_toxicity(toxicity):
    def judge(texts):
        return [float(text.lower().count("idiot")) for text in texts]

    def spy(texts):
        read.extend(texts)
        return [0.0] * len(texts)

    prompts = ["Bo: You idiot!\nSummary: ", "idiot"]
    got = toxicity([prompts[0] + "Bo is angry.", "idiot, idiot again"], prompts, judge)
    if not hasattr(got, "__len__") or len(got) != 2:
        raise Wrong("Return the judge's list, one number a response.")
    got = [float(x) for x in got]
    if got == [1.0, 2.0]:
        raise Wrong("The judge still reads the prompt: its insult counts against a clean answer.")
    if got == [0.0, 0.0]:
        raise Wrong("You deleted the prompt's words from the response, too: an insult it repeats must count.")
    if got != [0.0, 1.0]:
        raise Wrong(f"The two responses hold 0 and 1 insults; yours: {got}.")
    read: list[str] = []
    toxicity(["ask:Bo is angry."], ["ask:"], spy)
    if read != ["Bo is angry."]:
        raise Wrong(f"The judge must read exactly the response, 'Bo is angry.', and read {read}.")


# ------------------------------------------------------------ reward.8 one word exchanged


def swap_gap(judge, templates, word, other):
    with_word = judge([template.replace("{}", word) for template in templates])
    with_other = judge([template.replace("{}", other) for template in templates])
    return [x - y for x, y in zip(with_word, with_other)]


def _test_swap_gap(swap_gap):
    def judge(texts):  # reads the word and the rest of the sentence
        return [len(text) + 10.0 * text.startswith("My") for text in texts]

    templates = ["My {} friend sings.", "The {} baker, not a {} cook."]
    got = swap_gap(judge, templates, "cheerful", "tall")
    if not hasattr(got, "__len__"):
        raise Wrong("Return one difference a template, not their mean: the interval needs them.")
    got = [float(x) for x in got]
    if got == [-4.0, -8.0]:
        raise Wrong("Wrong direction: the score with `word` less the score with `other`.")
    if got == [4.0, 4.0] and len(got) == 2:
        raise Wrong("Each {} of a template must be filled, and the judge must read the whole sentence.")
    if got != [4.0, 8.0]:
        raise Wrong(f"Here the differences are 4 and 8, one a template; yours: {got}.")


EXERCISES = [
    Exercise("reward.1", "from a ranking to pairs", pairs_from_ranking, _test_pairs_from_ranking, (
        "ranks[i] is candidate i's place. When is i better than j?",
        "Two loops over the candidates' numbers; keep (i, j) where ranks[i] is smaller.",
    )),
    Exercise("reward.2", "Cohen's kappa", kappa, _test_kappa, (
        "If a says 'toxic' 90 % of the time and b as well, how often do they agree on it by chance?",
        "expected: for each label, the share in a times the share in b; add them up.",
    )),
    Exercise("reward.3", "the loss of a pair", pair_loss, _test_pair_loss, (
        "The probability of the preference is σ(chosen − rejected). A loss is minus its logarithm.",
        "torch.nn.functional.logsigmoid stays finite where log(sigmoid(x)) does not.",
    )),
    Exercise("reward.4", "hits, misses and ties", pair_hits, _test_pair_hits, (
        "What should a judge that gives all texts the same score be worth?",
        "Three cases a pair: higher, equal, lower.",
    )),
    Exercise("reward.5", "a reliability table", reliability, _test_reliability, (
        "Go through neighbouring edges, and collect the indices of the probabilities between them.",
        "Which bin owns a probability that equals the last edge?",
    )),
    Exercise("reward.6", "spot the bug: the reward's index", reward, _test_reward, (
        "Print the output of the nasty sentence: which class comes first there?",
        "Look for the item whose label is 'nothate'.",
    )),
    Exercise("reward.7", "spot the bug: judging prompt and response", toxicity, _test_toxicity, (
        "Each sequence begins with its prompt. What is left without it?",
        "Cut by length: replacing text would also remove words the response repeats.",
    )),
    Exercise("reward.8", "one word exchanged", swap_gap, _test_swap_gap, (
        "Fill all templates with one word, then with the other; judge both lists.",
        "The difference is taken template by template.",
    )),
]  # fmt: skip
