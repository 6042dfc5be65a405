"""Beyond PPO: reference answers and their tests."""

from __future__ import annotations

import itertools
import math
import re
import time
from collections import deque

import numpy as np
import torch
from torch.nn import functional as F

from . import answers
from .cases import compare, same_gradient
from .engine import Exercise, Wrong, close
from .guard import TooLong, time_limit

# ------------------------------------------------------------ beyond.1 best of n, without noise


def best_of_n(proxy, judged, n):
    order = np.argsort(proxy)
    size = len(order)
    weights = [math.comb(i, n - 1) / math.comb(size, n) for i in range(size)]
    return float(np.dot(weights, np.asarray(judged, dtype=float)[order]))


def by_trying(proxy, judged, n):
    """Every set of n answers, its winner by the proxy, and what the judge says of it."""
    sets = list(itertools.combinations(range(len(proxy)), n))
    return sum(judged[max(s, key=lambda i: proxy[i])] for s in sets) / len(sets)


def _with_replacement(proxy, judged, n):
    ranked = [judged[i] for i in np.argsort(proxy)]
    return sum(v * ((i + 1) ** n - i**n) for i, v in enumerate(ranked)) / len(ranked) ** n


def _test_best_of_n(theirs):
    proxy, judged = [0.3, 2.0, -1.0, 1.1, 0.9, -0.2], [1.0, 0.0, 5.0, 2.0, 7.0, -3.5]
    cases = [("", (proxy, judged, 2)), ("", (proxy, judged, 4)), ("a set of one answer", (proxy, judged, 1)),
             ("all of them", (proxy, judged, 6)), ("arrays", (np.array(proxy[:5]), np.array([1, 0, 5, 2, 7]), 3))]  # fmt: skip
    slips = [
        ("You let the judge choose: the *proxy* picks the winner, the judge only reads it.", lambda p, j, n: by_trying(j, j, n)),
        ("That is the proxy's own value of the winner; asked is what the judge says of it.", lambda p, j, n: by_trying(p, p, n)),
        ("Proxy and judge are exchanged.", lambda p, j, n: by_trying(j, p, n)),
        ("You draw with replacement, so that one answer can be drawn twice. A set of n has n different answers.", _with_replacement),
        ("You picked the answer that the proxy likes *least*: check the order of your sort.", lambda p, j, n: by_trying([-x for x in p], j, n)),
        ("That is one draw, the first n answers. Average over all sets of n that the pool holds.", lambda p, j, n: j[int(np.argmax(p[:n]))]),
        ("That is the mean of the n answers that the proxy likes best, not of the winners of all sets.", lambda p, j, n: np.mean([j[i] for i in np.argsort(p)[-n:]])),
        ("The weights fit the proxy's order, and you took the judge's values in the pool's: sort both the same way.",
         lambda p, j, n: sum(v * math.comb(i, n - 1) for i, v in enumerate(j)) / math.comb(len(j), n)),
        ("That is the plain mean of the pool, whatever n is.", lambda p, j, n: np.mean(j)),
    ]
    compare(theirs, best_of_n, cases, slips)
    many = [math.sin(7 * i) for i in range(64)], [float(i % 5) for i in range(64)]
    started = time.thread_time()
    deque(itertools.combinations(range(23), 11), maxlen=0)
    visiting = time.thread_time() - started  # on this machine, and nothing done with the sets
    for _ in range(2):  # a garbage collection may fall into one of them
        started = time.thread_time()
        try:
            with time_limit(5.0):
                theirs(many[0][:23], many[1][:23], 11)
            slow = time.thread_time() - started > 4 * visiting
        except TooLong:
            slow = True
        if not slow:
            break
    if slow:
        raise Wrong(
            "Right for six answers. For 11 of 23 it takes long, since there are 1,352,078 sets, and for 32 of 64 "
            "there are 1.8e18: *count* the sets that an answer wins, do not visit them."
        )
    for n in (3, 32, 64):
        if not close(theirs(*many, n), best_of_n(*many, n), 1e-6):
            raise Wrong(f"Right for small pools; for {n} of 64 answers the value should be {best_of_n(*many, n):.4f}.")


# ------------------------------------------------------------ beyond.7 is the proxy exploited?


def exploited(proxy, judges):
    if proxy[0] <= 0:
        return []
    return [name for name, (low, high, wanted) in judges.items() if (high < 0 if wanted == "up" else low > 0)]


def _test_exploited(theirs):
    judges = {"length": (0.5, 2.0, "down"), "word list": (-0.6, -0.4, "down"), "facts": (-0.2, 0.01, "up"), "ROUGE-1": (-0.08, -0.03, "up"), "grammar": (-0.05, 0.3, "up")}
    edges = {"a": (0.0, 0.3, "down"), "b": (-0.3, 0.0, "up"), "c": (0.01, 0.2, "down"), "d": (0.02, 0.4, "up"), "e": (-0.4, -0.02, "down")}
    cases = [
        ("", ((0.9, 1.6), judges)), ("an interval that ends at 0", ((0.2, 0.5), edges)),
        ("the proxy's own score may not have risen", ((-0.1, 0.4), judges)), ("the proxy's interval begins at 0", ((0.0, 0.3), judges)), ("the proxy fell", ((-0.5, -0.1), judges)),
        ("no judge that got worse", ((0.1, 0.2), {"insults": (-0.4, -0.1, "down")})),
    ]  # fmt: skip

    def worse(rule, pushed=lambda p: p[0] > 0):
        return lambda p, js: [k for k, (low, high, way) in js.items() if rule(low, high, way)] if pushed(p) else []

    def right(low, high, way):
        return high < 0 if way == "up" else low > 0

    slips = [
        ("Not every judge wants to go up: for one that should go *down*, a rise is worse.", worse(lambda low, high, way: high < 0)),
        ("Those are the judges that got *better*.", worse(lambda low, high, way: low > 0 if way == "up" else high < 0)),
        ("A change that may be 0 convicts nobody: the *whole* interval must lie on the wrong side.", worse(lambda low, high, way: low < 0 if way == "up" else high > 0)),
        ("The middle of an interval is not enough: the *whole* interval must lie on the wrong side of 0.", worse(lambda low, high, way: (low + high) * (1 if way == "up" else -1) < 0)),
        ("An interval that ends *at* 0 still holds 0: no change is possible.", worse(lambda low, high, way: high <= 0 if way == "up" else low >= 0)),
        ("Those are all judges that moved for certain, in whichever direction.", worse(lambda low, high, way: high < 0 or low > 0)),
        ("The names stand in another order than in the dictionary.", lambda p, js: sorted(exploited(p, js))),
        ("The names stand in another order than in the dictionary.", lambda p, js: exploited(p, js)[::-1]),
        ("Where the proxy's own score may not have risen, nothing was pushed, and nothing exploited.", worse(right, lambda p: True)),
        ("The proxy's score rose only if its *whole* interval is above 0.", worse(right, lambda p: p[1] > 0)),
        ("The proxy's score rose only if its *whole* interval is above 0; this one begins at 0.", worse(right, lambda p: p[0] >= 0)),
    ]
    compare(theirs, exploited, cases, slips)


# ------------------------------------------------------------ beyond.2 the loss of DPO


def dpo(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta):
    chosen = beta * (policy_chosen - reference_chosen)
    rejected = beta * (policy_rejected - reference_rejected)
    return -F.logsigmoid(chosen - rejected).mean()


def _test_dpo(theirs):
    pairs = [torch.tensor(x) for x in ([-10.0, -9.0, -20.5], [-14.0, -9.5, -18.0], [-12.0, -9.5, -19.0], [-11.0, -8.0, -18.5])]
    far = [torch.tensor([x]) for x in (-2500.0, -500.0, -400.0, -600.0)]
    start = [torch.tensor(x) for x in ([-7.0, -3.5], [-9.0, -1.0], [-7.0, -3.5], [-9.0, -1.0])]
    cases = [("", (*pairs, 0.5)), ("another β", (*pairs, 0.1)), ("the policy still is the reference", (*start, 0.3)), ("a margin of −2,200 nats", (*far, 0.5))]

    def loss(margin, of=F.logsigmoid, mean=torch.mean, sign=-1):
        return lambda a, b, c, d, beta: sign * mean(of(margin(a, b, c, d, beta)))

    def right(a, b, c, d, beta):
        return beta * ((a - c) - (b - d))

    slips = [
        ("Chosen and rejected are exchanged, or policy and reference: this loss falls as the policy learns to prefer the rejected answer.", loss(lambda *x: -right(*x))),
        ("The reference is missing. While the policy is the reference, the loss must be ln 2 for any answers.", loss(lambda a, b, c, d, beta: beta * (a - b))),
        ("β is missing: it turns nats into a reward.", loss(lambda a, b, c, d, beta: right(a, b, c, d, 1.0))),
        ("You returned the sum; the loss is the mean over the pairs.", loss(right, mean=torch.sum)),
        ("The sign: a loss is *minus* the log-likelihood.", loss(right, sign=1)),
        ("A loss is one number, the mean over the pairs; yours is one per pair.", loss(right, mean=lambda x: x)),
        ("The mean was taken of the margins: each pair has a loss of its own, and the mean comes last.", lambda *x: -F.logsigmoid(right(*x).mean())),
        ("The logarithm is missing: that is one minus the probability that the chosen answer wins.", lambda *x: 1 - torch.sigmoid(right(*x)).mean()),
        ("Far from the reference the exponential leaves the range of a computer's numbers, and the loss is inf. F.logsigmoid takes both steps at once.", loss(lambda *x: torch.log(torch.sigmoid(right(*x))), of=lambda x: x)),
        ("Only the chosen answers enter: the loss is about the *difference* of the two implicit rewards.", loss(lambda a, b, c, d, beta: beta * (a - c))),
    ]
    compare(theirs, dpo, cases, slips)
    for place in (0, 1):
        same_gradient(theirs, dpo, cases[0][1], place)


# ------------------------------------------------------------ beyond.3 spot the bug: another margin


def answer_log_prob(logits, tokens, answer_mask, temperature):
    log_probs = (logits.float() / temperature).log_softmax(-1)
    chosen = log_probs.gather(-1, tokens[..., None]).squeeze(-1)
    return torch.where(answer_mask, chosen, 0.0).sum(1)


def _test_answer_log_prob(theirs):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 5, 4, generator=generator) * 2
    tokens = torch.randint(4, (3, 5), generator=generator)
    mask = torch.tensor([[0, 0, 1, 1, 0], [0, 0, 1, 1, 1], [0, 1, 0, 0, 0]]).bool()
    nothing = logits.clone()
    nothing[:, 0] = float("nan")
    nothing[2, 4] = float("-inf")
    small = torch.tensor([[[2.0, 0.0], [1.0, 0.0], [0.0, 3.0]]] * 2), torch.tensor([[0, 1, 1], [1, 0, 0]]), torch.tensor([[0, 1, 1], [0, 1, 0]]).bool()
    cases = [("", (*small, 0.5)), ("", (logits, tokens, mask, 0.7)), ("with T = 1", (logits[:2], tokens[:2], mask[:2], 1.0)), ("NaN outside the answer", (nothing, tokens, mask, 1.5)),
             ("an answer that is all but impossible", (torch.tensor([[[0.0, 150.0], [90.0, -80.0]]]), torch.tensor([[0, 1]]), torch.tensor([[True, True]]), 0.5))]

    def summed(over, divided=lambda z, T: z / T, steps=lambda z: z.log_softmax(-1)):
        def slip(z, t, m, T):
            found = steps(divided(z, T)).gather(-1, t[..., None]).squeeze(-1)
            return over(torch.where(m, found, 0.0), found, m)

        return slip

    def answer(kept, found, m):
        return kept.sum(1)

    def everywhere(kept, found, m):
        return found.mean(1)

    not_divided, times = (lambda z, T: z), (lambda z, T: z * T)
    slips = [
        ("All tokens still count, prompt and padding too; and the temperature does nothing.", summed(everywhere, not_divided)),
        ("All tokens still count: the policy chose the answer's only.", summed(everywhere)),
        ("All tokens still count: the policy chose the answer's only.", summed(lambda kept, found, m: found.sum(1))),
        ("The temperature does nothing yet: the policy in question samples from softmax(logits / T).", summed(answer, not_divided)),
        ("The logits are divided by the temperature, not multiplied with it.", summed(answer, times)),
        ("The log-probabilities were divided by the temperature; it belongs to the logits, before the softmax.", lambda z, t, m, T: answer_log_prob(z, t, m, 1.0) / T),
        ("You averaged over the answer. log p of a whole answer is a *sum*; a mean makes a long answer as likely as a short one.", summed(lambda kept, found, m: kept.sum(1) / m.sum(1))),
        ("The mask is turned round: that is everything but the answer.", summed(lambda kept, found, m: (found * ~m).sum(1))),
        ("What is outside the answer became NaN: multiplying by a mask does not remove it. Choose with torch.where.", summed(lambda kept, found, m: (found * m).sum(1))),
        ("One number came back for all rows: return one per row.", summed(lambda kept, found, m: kept.sum())),
        ("Shifted by one: column t of these logits already predicts tokens[:, t].",
         lambda z, t, m, T: torch.where(m[:, 1:], (z[:, :-1] / T).log_softmax(-1).gather(-1, t[:, 1:, None]).squeeze(-1), 0.0).sum(1)),
        ("That is the likeliest token's log-probability, not that of the token in the answer.", lambda z, t, m, T: answer_log_prob(z, z.argmax(-1), m, T)),
        ("The softmax runs over the tokens of the row: each position has a distribution over the *vocabulary*.", summed(answer, steps=lambda z: z.log_softmax(1))),
        ("The logarithm of a softmax is −inf where the probability is too small for a computer's numbers; log_softmax takes both steps at once.", summed(answer, steps=lambda z: z.softmax(-1).log())),
        ("Those are probabilities: the logarithm is missing.", summed(answer, steps=lambda z: z.softmax(-1))),
        ("Those are logits: without the softmax they are no log-probabilities.", summed(answer, steps=lambda z: z)),
    ]
    compare(theirs, answer_log_prob, cases, slips)
    same_gradient(theirs, answer_log_prob, cases[0][1])


# ------------------------------------------------------------ beyond.8 both answers of a pair


def displaced(chosen, rejected, slack):
    for update, (good, bad) in enumerate(zip(chosen, rejected)):
        if good < -slack and good > bad:
            return update
    return None


def _first(rule):
    return lambda c, r, s: next((n for n in range(len(c)) if rule(c, r, s, n)), None)


def _test_displaced(theirs):
    cases = [
        ("", ([0.0, 0.4, -0.2, -1.5, -1.0], [0.0, -0.5, -0.6, -3.0, -4.0], 0.25)),
        ("both get likelier", ([0.0, 0.2, 1.5], [0.0, 0.1, 0.5], 0.1)),
        ("the chosen answer falls, and stays likelier than at the start", ([0.0, 3.0, 1.0], [0.0, -1.0, -4.0], 0.5)),
        ("the chosen answer falls further than the rejected one", ([0.0, -1.0, -2.5], [0.0, -0.5, -2.5], 0.2)),
        ("only the chosen answer falls, and later both", ([0.0, -0.5, -1.0], [0.0, 0.5, -2.0], 0.1)),
        ("with a slack of 0, exactly as likely as at the start", ([0.0, 0.0, 0.3], [0.0, -2.0, -3.0], 0.0)),
        ("exactly the slack", ([-0.5, -0.75], [-1.0, -1.0], 0.5)),
        ("at once", ([-0.4, 0.5], [-0.6, -1.0], 0.3)),
        ("a rise smaller than the slack comes first", ([0.0, 0.1, -0.9], [0.0, -0.4, -1.5], 0.2)),
    ]
    right = displaced
    slips = [
        ("The slack is ignored: noise of that size at the start is no fall.", lambda c, r, s: right(c, r, 0.0)),
        ("The slack belongs to the chosen answer's fall, not to the margin.", _first(lambda c, r, s, n: c[n] < 0 and c[n] - s > r[n])),
        ("The margin is missing: if the rejected answer is the likelier one, the loss has not fallen either.", _first(lambda c, r, s, n: c[n] < -s)),
        ("Both below 0 is not enough: the chosen one must be *above* the rejected one.", _first(lambda c, r, s, n: c[n] < -s and r[n] < -s)),
        ("A fall from one update to the next is no sign yet: compare with 0, the start.", _first(lambda c, r, s, n: n > 0 and c[n] < c[n - 1] - s and c[n] > r[n])),
        ("That is the first update at which the chosen answer is *likelier* than the rejected one.", _first(lambda c, r, s, n: c[n] > r[n])),
        ("Exactly the slack is not *more* than the slack.", _first(lambda c, r, s, n: c[n] <= -s and c[n] > r[n])),
        ("A margin of exactly 0 is where it began: nothing is gained.", _first(lambda c, r, s, n: c[n] < -s and c[n] >= r[n])),
        ("Updates are counted from 0, as positions in the lists.", lambda c, r, s: None if right(c, r, s) is None else right(c, r, s) + 1),
        ("Return None where it never happens.", lambda c, r, s: -1 if right(c, r, s) is None else right(c, r, s)),
        ("That is the last such update; asked is the first.", lambda c, r, s: next((n for n in reversed(range(len(c))) if c[n] < -s and c[n] > r[n]), None)),
    ]
    compare(theirs, right, cases, slips)


# ------------------------------------------------------------ beyond.4 spot the bug: praise for the worst


def advantages(scores):
    centred = scores - scores.mean(1, keepdim=True)
    spread = scores.std(1, keepdim=True)
    return torch.where(spread > 1e-6, centred / spread.clamp(min=1e-6), 0.0)


def _test_advantages(theirs):
    cases = [
        ("", (torch.tensor([[1.0, 5.0, 3.5], [7.0, 11.0, 10.5]]),)),
        ("one group of equal scores beside another", (torch.tensor([[0.25, 0.25, 0.25, 0.25], [-1.0, 2.0, 0.5, 4.0]]),)),
        ("groups of two", (torch.tensor([[-3.0, 1.0], [8.0, 2.0], [0.5, 0.75]]),)),
        ("every group's scores are equal", (torch.full((2, 4), 3.0),)),
    ]

    def over(mean, spread):
        """Zeros for equal groups, but another mean or another spread."""

        def slip(s):
            centred, width = s - mean(s), spread(s)
            equal = s.std(1, keepdim=True) < 1e-6
            return torch.where(equal, 0.0, centred / width)

        return slip

    def row(s):
        return s.mean(1, keepdim=True)

    slips = [
        ("Still over the whole batch: the worst answer to an easy dialogue gets praise for an easy dialogue.", lambda s: (s - s.mean()) / s.std()),
        ("The mean is still the whole batch's: the worst answer to an easy dialogue gets praise for an easy dialogue.", over(torch.mean, lambda s: s.std(1, keepdim=True))),
        ("You compared answers to *different* dialogues: a group is a row.", lambda s: (s - s.mean(0)) / s.std(0)),
        ("Centred, but not divided by the group's standard deviation.", lambda s: s - row(s)),
        ("The mean is the group's, the standard deviation still the whole batch's.", over(row, torch.std)),
        ("The mean is the group's, the standard deviation still the whole batch's.", lambda s: (s - row(s)) / s.std()),
        ("That is divided by the variance: take the standard deviation.", over(row, lambda s: s.var(1, keepdim=True))),
        ("That standard deviation divides by n; torch.std divides by n − 1.", over(row, lambda s: s.std(1, keepdim=True, correction=0))),
        ("A group whose scores are all equal must get zeros; yours divides by a spread of 0.", lambda s: (s - row(s)) / s.std(1, keepdim=True)),
        ("If *one* group's scores are all equal, only that group gets zeros.", lambda s: torch.zeros_like(s) if (s.std(1) < 1e-6).any() else advantages(s)),
        ("Right up to the sign: a score above the group's mean is *good* news.", lambda s: -advantages(s)),
    ]
    compare(theirs, advantages, cases, slips, same=_almost_equal)


def _almost_equal(a, b):
    """A millionth added to the spread is fine."""
    return a.shape == b.shape and torch.allclose(a.float(), b.float(), rtol=1e-3, atol=1e-3, equal_nan=True)


# ------------------------------------------------------------ beyond.5 the loss of GRPO


def grpo(log_probs, old, reference, advantages, mask, beta, clip):
    ratio = (log_probs - old).exp()
    a = advantages[:, None]
    gain = torch.minimum(ratio * a, ratio.clamp(1 - clip, 1 + clip) * a)
    difference = reference - log_probs
    kl = difference.exp() - difference - 1
    per_answer = torch.where(mask, gain - beta * kl, 0.0).sum(1) / mask.sum(1)
    return -per_answer.mean()


def _grpo(clipping="both", kl="k3", paid=-1, over="answers", sign=-1):
    """The loss with one part changed."""

    def slip(log_probs, old, reference, advantages, mask, beta, clip):
        ratio, a, d = (log_probs - old).exp(), advantages[:, None], reference - log_probs
        limited = ratio.clamp(1 - clip, 1 + clip) * a
        gain = {"both": torch.minimum(ratio * a, limited), "none": ratio * a, "only": limited,
                "larger": torch.maximum(ratio * a, limited), "raw": torch.minimum(log_probs * a, limited)}[clipping]  # fmt: skip
        price = {"k3": d.exp() - d - 1, "k1": -d, "turned": (-d).exp() + d - 1, "none": 0 * d, "square": d**2 / 2}[kl]
        value = torch.where(mask, gain + paid * beta * price, 0.0)
        total = {"answers": lambda: (value.sum(1) / mask.sum(1)).mean(), "tokens": lambda: value.sum() / mask.sum(),
                 "columns": lambda: value.mean(), "sums": lambda: value.sum(1).mean(), "each": lambda: value.sum(1) / mask.sum(1)}  # fmt: skip
        return sign * total[over]()

    return slip


def _test_grpo(theirs):
    log_probs, old, reference = (torch.tensor(x) for x in (
        [[-0.7, -1.2, -0.1], [-0.2, -0.5, -0.9], [-0.7, -1.3, -0.6]], [[-0.1, -0.3, -0.4], [-0.8, -1.0, -1.2], [-0.2, -0.4, -1.0]],
        [[-0.6, -0.8, -1.4], [-0.5, -0.2, -0.6], [-0.4, -1.4, -0.3]]))  # fmt: skip
    mask = torch.tensor([[1, 1, 1], [1, 0, 0], [1, 1, 0]]).bool()
    a = torch.tensor([1.0, -1.0, 0.5])
    two = [torch.tensor(x) for x in ([[-1.0, -0.4], [-2.0, -0.3]], [[-1.5, -1.0], [-1.5, -0.9]], [[-0.5, -0.8], [-1.2, -1.1]])]
    cases = [("", (*two, torch.tensor([1.3, -0.7]), torch.ones(2, 2).bool(), 0.05, 0.1)), ("answers of several lengths", (log_probs, old, reference, a, mask, 0.3, 0.2))]
    slips = [
        ("The sign: the objective is to be large, the loss is minus it.", _grpo(sign=1)),
        ("You averaged over all tokens at once, so that a long answer counts more. First each answer over its own tokens, then the answers.", _grpo(over="tokens")),
        ("Padding still counts in the mean: each answer is divided by its own number of tokens.", _grpo(over="columns")),
        ("The mask does nothing yet: padding has no gain and no price.", lambda p, o, r, a, m, beta, clip: grpo(p, o, r, a, torch.ones_like(m), beta, clip)),
        ("Each answer's tokens were added up: divide by their number, so that a long answer counts no more.", _grpo(over="sums")),
        ("A loss is one number; yours is one per answer.", _grpo(over="each")),
        ("The KL here is k3, exp(d) − d − 1 with d = log π_ref − log π. k1 as a *loss* has an expected gradient of 0.", _grpo(kl="k1")),
        ("In k3 the difference is turned round: d = log π_ref − log π.", _grpo(kl="turned")),
        ("The KL here is k3, exp(d) − d − 1, not k2, d² / 2.", _grpo(kl="square")),
        ("You *pay* the policy for leaving the reference: the KL is taken off the gain.", _grpo(paid=1)),
        ("β is missing: the KL is multiplied by it.", lambda p, o, r, a, m, beta, clip: grpo(p, o, r, a, m, 1.0, clip)),
        ("The KL to the reference is missing.", _grpo(kl="none")),
        ("Nothing is clipped: a ratio beyond 1 + ε must earn no more.", _grpo(clipping="none")),
        ("Only the clipped product: a bad token whose ratio grew must still be pushed down. Take the smaller of the two.", _grpo(clipping="only")),
        ("You took the larger of the two products: the objective is the more pessimistic one.", _grpo(clipping="larger")),
        ("The log-probability was taken for the ratio: that is exp(log π − log π_old).", _grpo(clipping="raw")),
        ("The ratio is to the *old* policy; yours is to the reference.", lambda p, o, r, a, m, beta, clip: grpo(p, r, r, a, m, beta, clip)),
        ("The KL is to the *reference*; yours is to the old policy.", lambda p, o, r, a, m, beta, clip: grpo(p, o, o, a, m, beta, clip)),
    ]  # fmt: skip
    compare(theirs, grpo, cases, slips)
    same_gradient(theirs, grpo, cases[1][1])


# ------------------------------------------------------------ beyond.9 when training pays


def pays_off(training_tokens, tokens_per_answer, n):
    if n == 1:
        return None
    saved = (n - 1) * tokens_per_answer
    return math.floor(training_tokens / saved) + 1


def _test_pays_off(theirs):
    cases = [
        ("", (9_800, 34, 16)), ("level after exactly 25 answers", (1_000, 10, 5)), ("", (7, 3, 2)), ("", (100, 30, 3)),
        ("nothing to choose from", (500, 20, 1)), ("a training that costs nothing", (0, 12, 4)), ("", (50_001, 12.5, 3)),
        ("answers of 2.5 tokens on average", (7, 2.5, 2)),
    ]  # fmt: skip

    def answers_of(share, up=lambda x: math.floor(x) + 1):
        return lambda T, t, n: up(T / share(t, n)) if n > 1 else None

    slips = [
        ("The trained policy writes its one text, too: best of n generates n − 1 texts *more* for an answer.", answers_of(lambda t, n: n * t)),
        ("The trained policy writes its one text, too: best of n generates n − 1 texts *more* for an answer.", lambda T, t, n: math.floor(T / (n * t)) + 1),
        ("Level is not cheaper: after exactly 25 answers both have generated as much.", answers_of(lambda t, n: (n - 1) * t, math.ceil)),
        ("Rounded down: after that many answers training has not paid off yet.", answers_of(lambda t, n: (n - 1) * t, math.floor)),
        ("Round up, to the first whole number of answers at which it is cheaper.", answers_of(lambda t, n: (n - 1) * t, round)),
        ("You add a token to pass the level. An answer's tokens are a mean, which may be a fraction: round down, and go one answer further.",
         lambda T, t, n: math.ceil((T + 1) / ((n - 1) * t)) if n > 1 else None),
        ("That is the number of *tokens*, not of answers.", lambda T, t, n: pays_off(T, t, n) * t if n > 1 else None),
        ("n does not enter: best of n writes n texts for each answer.", answers_of(lambda t, n: t)),
    ]
    compare(theirs, pays_off, cases, slips)


# ------------------------------------------------------------ beyond.6 a reviser of one rule


def revise_by_rule(text, insults):
    words = "|".join(re.escape(word) for word in insults)
    without = re.sub(rf"(?<![\w-])(?:{words})(?![\w-])", "", text, flags=re.IGNORECASE)
    return re.sub(r"\s+([,.;:!?])", r"\1", " ".join(without.split()))


def _revised(pattern=r"(?<![\w-])(?:{})(?![\w-])", escape=re.escape, flags=re.I, count=0, spaces=True, marks=True):
    def slip(text, insults):
        found = re.sub(pattern.format("|".join(map(escape, insults))), "", text, count=count, flags=flags)
        found = " ".join(found.split()) if spaces else found
        return re.sub(r"\s+([,.;:!?])", r"\1", found) if marks else found

    return slip


def _without_bare(text, insults, marks=""):
    low = {word.lower() for word in insults}
    return " ".join(w for w in text.split() if w.lower().strip(marks) not in low)


def _test_revise_by_rule(theirs):
    insults = ["idiot", "clown", "know-it-all", "pest", "d*mn", "Judas"]
    cases = [
        (remark, (text, insults))
        for remark, text in (
            ("", "Ana calls Bo an IDIOT and pays 40."),
            ("a word that begins like an insult", "Ana makes pesto; Bo takes 2."),
            ("an insult of three words", "Bo the Know-it-all left."),
            ("before a comma and before a full stop", "Bo, a clown, left. Ana is a pest."),
            ("an insult more than once", "That clown and that pest met a clown!"),
            ("a star in an insult", "A d*mn good dmn day, said Bo."),
            ("a capital in the list", "Bo calls her a judas: she paid."),
            ("nothing else", "Clown"),
            ("at the beginning", "Clown Bo pays."),
            ("at the end", "Bo is a pest"),
            ("two insults in a row", "Bo, the clown idiot know-it-all, left."),
            ("a longer word that is not in the list", "Ana (late) and two clowns paid 40."),
            ("before other marks", "Is Bo a clown? Or a pest; or a judas!"),
            ("before a dash, which keeps its space", "Bo - the clown - can't pay."),
            ("no insult", "Ana paid 40, Bo (late) did not."),
        )
    ]
    slips = [
        ("Capitals must not save an insult.", _revised(flags=0)),
        ("'pesto' was cut because 'pest' is in it: remove whole words only.", _revised(pattern="(?:{})")),
        ("A star in an insult is a letter of it, and to re.sub it is an instruction: escape the words.", _revised(escape=str)),
        ("Only the first insult went: remove every one, each time.", _revised(count=1)),
        ("Two spaces, or one at the beginning, are left where the word was: tidy them.", _revised(spaces=False)),
        ("Two spaces, or one before a comma, are left where the word was: tidy them.", _revised(spaces=False, marks=False)),
        ("Where several words in a row went, several spaces are left: one replacement of two by one is not enough.",
         lambda t, i: re.sub(r" ([,.;:!?])", r"\1", _revised(spaces=False, marks=False)(t, i).replace("  ", " ")).strip()),
        ("A plural or a longer word went as well: 'clowns' is not in the list.", _revised(pattern=r"(?<![\w-])(?:{})s?(?![\w-])")),
        ("A space is left before a comma or full stop where the word was.", _revised(marks=False)),
        ("A space is left at the beginning or at the end where the word was.", lambda t, i: re.sub(r" ([,.;:!?])", r"\1", re.sub(r"\s+", " ", _revised(spaces=False)(t, i)))),
        ("No space may be left before any of the marks , . ; : ! ? where the word was.", lambda t, i: re.sub(r" ([,.])", r"\1", _revised(marks=False)(t, i))),
        ("An insult with a comma or full stop behind it stayed: 'clown,' is 'clown' and a comma.", _without_bare),
        ("The comma or full stop went with the insult: only the word goes.", lambda t, i: _without_bare(t, i, ",.;:!?")),
        ("The text came back as it was.", lambda t, i: t),
        ("That is the list of insults' words found, or what they were replaced by: the rest of the text is wanted.", lambda t, i: " ".join(w for w in t.split() if w.lower().strip(",.!") in i)),
    ]
    compare(theirs, revise_by_rule, cases, slips)


EXERCISES: list[Exercise] = [
    Exercise(
        "beyond.1", "best of n, without noise", best_of_n, _test_best_of_n,
        ("Sort the pool by the proxy. The answer at place i (from 0) wins if the other n − 1 come from the i places below it.",
         "In how many of all C(N, n) sets is that so? math.comb counts them."),
        "The same pool now gives every n, without drawing.", answers.number,
    ),
    Exercise(
        "beyond.7", "is the proxy exploited?", exploited, _test_exploited,
        ("First the proxy: when is its whole interval above 0?",
         "For a judge that should go up, which end of its interval decides that it certainly fell? And for one that should go down?"),
        "One such judge is enough.", answers.texts,
    ),
    Exercise(
        "beyond.2", "the loss of DPO", dpo, _test_dpo,
        ("The implicit reward of an answer is β times its log-ratio of policy and reference.",
         "Then it is the Bradley–Terry loss on these two rewards. Which function of F takes sigmoid and logarithm at once?"),
        "A reward model's loss, with the policy as the reward model.", answers.tensor,
    ),
    Exercise(
        "beyond.3", "spot the bug: the same answers, another margin", answer_log_prob, _test_answer_log_prob,
        ("log p(answer | prompt) is the sum of log p(token | before) over which tokens?",
         "From which distribution does the policy sample at temperature T? And what is 0 times NaN?"),
        "The margin no longer depends on how long the question is.", answers.tensor,
    ),
    Exercise(
        "beyond.8", "both answers of a pair", displaced, _test_displaced,
        ("Two conditions at one update: one on the chosen answer alone, one on both.",
         "enumerate and zip give the update's position with both numbers; what comes back after the loop?"),
        "A falling loss does not tell.", answers.maybe(answers.whole),
    ),
    Exercise(
        "beyond.4", "spot the bug: praise for the worst answer", advantages, _test_advantages,
        ("scores has the shape [groups, answers]: along which dimension do the answers to one dialogue lie?",
         "keepdim=True keeps the shapes compatible. What is the spread of four equal scores, and what do you want then?"),
        "Each answer is now compared with its siblings only.", answers.tensor,
    ),
    Exercise(
        "beyond.5", "the loss of GRPO", grpo, _test_grpo,
        ("advantages has one number per answer; advantages[:, None] gives it to each of its tokens.",
         "The clipped gain is the minimum of two products, as in PPO.",
         "Divide each answer's sum by its own number of tokens before you average the answers."),
        "PPO's loss without a value head.", answers.tensor,
    ),
    Exercise(
        "beyond.6", "a reviser of one rule", revise_by_rule, _test_revise_by_rule,
        ("re.sub can replace several words at once, written with | between them; re.escape makes a word safe inside a pattern.",
         "Before and after a whole word stands no letter. Tidy the spaces in two steps, those between words and those before a mark."),
        "Three lines: the baseline that a model must beat.", answers.text,
    ),
    Exercise(
        "beyond.9", "when training pays", pays_off, _test_pays_off,
        ("How many tokens more does best of n generate for one answer?",
         "After how many answers are these as many as the training's? And after how many are they *more*?"),
        "Best of n needs no training, and pays for ever.", answers.maybe(answers.whole),
    ),
]  # fmt: skip
