"""Lab 3, detoxify by reinforcement learning: reference answers and their tests."""

from __future__ import annotations

import itertools

import numpy as np
import torch

from . import answers
from .cases import compare, same_gradient
from .engine import Exercise, Wrong, close

# ------------------------------------------------------------ lab3.1 spot the bug: polite and toxic


def response_ids(rows, prompt_lengths, eos_id):
    start = max(prompt_lengths)  # padding on the left makes all prompts as long as the longest
    responses = [row[start:] for row in rows]
    return [row[: row.index(eos_id)] if eos_id in row else row for row in responses]


def _from(start_of, cut=True):
    """What the answer would be if it began elsewhere, or were not cut at its end."""

    def responses(rows, lengths, eos):
        found = [row[start_of(n, lengths) :] for row, n in zip(rows, lengths)]
        return [row[: row.index(eos)] if cut and eos in row else row for row in found]

    return responses


def _stripped(rows, lengths, eos):
    behind = [row[next((i for i, t in enumerate(row) if t != eos), len(row)) :] for row in rows]
    return [row[: row.index(eos)] if eos in row else row for row in (r[n:] for r, n in zip(behind, lengths))]


def _test_response_ids(theirs):
    batch = [[2, 2, 5, 7, 8, 9, 2, 2], [5, 2, 6, 7, 8, 3, 4, 2]]
    cases = [
        ("", (batch, [2, 4], 2)),
        ("an answer that ends at once, and one that the limit stopped", ([[1, 6, 0, 1, 1], [4, 0, 3, 5, 7]], [1, 2], 0)),
        ("whatever follows the first end token", ([[9, 5, 6, 7, 3, 8, 3, 4], [1, 9, 9, 3, 5, 5, 5, 5]], [3, 2], 3)),
        ("one row", ([[6, 2, 8, 8, 5]], [2], 2)),
    ]
    slips = [
        ("A short prompt stands *behind* its padding: in a batch with a longer one, the end of it is still in your answer.", _from(lambda n, lengths: n)),
        ("A short prompt stands *behind* its padding, so part of it is still there; and what follows the end token is not cut off.", _from(lambda n, lengths: n, cut=False)),
        ("The prompt is still in: an insult in the *dialogue* would count against the answer.", _from(lambda n, lengths: 0, cut=False)),
        ("The prompt is still in, and where it holds an end token you cut there.", _from(lambda n, lengths: 0)),
        ("The end token, or what follows it, is still there: cut before the first end.", _from(lambda n, lengths: max(lengths), cut=False)),
        ("The first token of each answer is lost.", _from(lambda n, lengths: max(lengths) + 1)),
        ("You start where the *shortest* prompt would end.", _from(lambda n, lengths: min(lengths))),
        ("You removed every end token and kept what stands behind it: the answer ends at the *first*.",
         lambda rows, lengths, eos: [[t for t in row[max(lengths) :] if t != eos] for row in rows]),
        ("You cut before the *last* end token: the answer ends at the first, whatever follows it.",
         lambda rows, lengths, eos: [r[: len(r) - 1 - r[::-1].index(eos)] if eos in r else r for r in (row[max(lengths) :] for row in rows)]),
        ("You took end tokens off the left until the prompt began: padding may be another token, and a prompt may begin with one. Count columns.", _stripped),
        ("The answer ends *before* its first end token; yours still holds it.",
         lambda rows, lengths, eos: [r + [eos] if eos in row[max(lengths) :] else r for row, r in zip(rows, response_ids(rows, lengths, eos))]),
        ("You looked for the end token in the whole row: padding and prompt may hold it, too.",
         lambda rows, lengths, eos: [row[max(lengths) : row.index(eos)] if eos in row else row[max(lengths) :] for row in rows]),
    ]
    compare(theirs, response_ids, cases, slips)


# ------------------------------------------------------------ lab3.2 spot the bug: 31 nats


def policy_and_reference(base, tuned, rl):
    reference = base + tuned
    return reference + rl, reference


def _test_policy_and_reference(theirs):
    cases = [
        ("", (torch.tensor([1.0, 2.0]), torch.tensor([0.5, -0.75]), torch.tensor([-0.25, 0.3]))),
        ("before the first update", (torch.tensor([1.5]), torch.tensor([0.4]), torch.tensor([0.0]))),
    ]
    slips = [
        ("The reference is the raw model: the KL is not 0 at the start, and its price un-learns summarising.", lambda b, t, r: (b + t + r, b)),
        ("The reference is the raw model, and the policy never changes: rl is in neither.", lambda b, t, r: (b + t, b)),
        ("tuned is what the first adapter *added*: alone it is no model.", lambda b, t, r: (b + t + r, t)),
        ("The reference moves with the policy: the KL would be 0 for ever and hold nothing back.", lambda b, t, r: (b + t + r, b + t + r)),
        ("The policy lost the first adapter: it starts from the *tuned* model.", lambda b, t, r: (b + r, b + t)),
        ("Both lost the first adapter: training would start from the raw model, which cannot summarise.", lambda b, t, r: (b + r, b)),
        ("Policy and reference are exchanged: the first of the two is the one that is trained.", lambda b, t, r: (b + t, b + t + r)),
        ("Both stay what they were: without rl the policy learns nothing.", lambda b, t, r: (b + t, b + t)),
    ]
    compare(theirs, policy_and_reference, cases, slips)


# ------------------------------------------------------------ lab3.3 spot the bug: nan


def sum_log_probs(log_probs, lengths):
    columns = torch.arange(log_probs.shape[1])
    mask = columns[None, :] < lengths[:, None]
    return torch.where(mask, log_probs, 0.0).sum(1)


def _test_sum_log_probs(theirs):
    log_probs = torch.tensor([[-1.0, -2.5, -4.0, -8.0], [-1.5, -3.0, -5.0, -7.0], [-0.5, -9.0, -6.0, -3.5]])
    nothing = torch.tensor([[-1.25, float("nan")], [-2.0, -0.75], [-3.0, float("-inf")]])
    cases = [("", (log_probs, torch.tensor([2, 4, 1]))), ("NaN and −inf in the padding", (nothing, torch.tensor([1, 2, 1])))]

    def finite(of):  # the slip does not depend on what the padding holds
        return lambda x, n: of(x, n, torch.where(_columns(x) < n[:, None], x, 0.0))

    slips = [
        ("All columns are summed: what stands behind a row's length is padding.", lambda x, n: x.sum(1)),
        ("NaN in the padding got through: NaN times 0 is NaN. Choose the columns instead of multiplying them.", lambda x, n: (x * (_columns(x) < n[:, None])).sum(1)),
        ("The last token is missing: the length counts the end token, which the policy chose too.", lambda x, n: torch.where(_columns(x) < n[:, None] - 1, x, 0.0).sum(1)),
        ("The first token is left out: the policy chose it like any other.", lambda x, n: torch.where((_columns(x) < n[:, None]) & (_columns(x) > 0), x, 0.0).sum(1)),
        ("One column too many counts: the columns are numbered from 0.", lambda x, n: torch.where(_columns(x) <= n[:, None], x, 0.0).sum(1)),
        ("That is the mean; the probability of an answer is a product, so its log is a *sum*.", finite(lambda x, n, kept: kept.sum(1) / n)),
        ("That is the mean over all columns; the probability of an answer is a product, so its log is a *sum*.", finite(lambda x, n, kept: kept.mean(1))),
        ("You left NaN out and kept the rest of the padding, which may hold numbers as well.", lambda x, n: x.nansum(1)),
        ("One number came back for all rows together: return one per row.", finite(lambda x, n, kept: kept.sum())),
    ]
    compare(theirs, sum_log_probs, cases, slips)


def _columns(table):
    return torch.arange(table.shape[1])[None, :]


# ------------------------------------------------------------ lab3.4 a reward for each token


def token_rewards(score, log_probs, reference, beta):
    rewards = -beta * (log_probs - reference)
    rewards[-1] += score
    return rewards


def _test_token_rewards(theirs):
    cases = [
        ("", (2.0, torch.tensor([-1.0, -1.25, -2.0]), torch.tensor([-1.5, -1.25, -1.0]), 0.1)),
        ("one token, a bad score", (-0.7, torch.tensor([-0.5]), torch.tensor([-2.0]), 0.3)),
        ("with β = 0", (1.5, torch.tensor([-3.0, -0.5]), torch.tensor([-1.0, -1.0]), 0.0)),
    ]

    def at(place, sign=-1.0, keep=True, of=lambda d: d):
        """Rewards with another sign, another place for the score, or the KL at the last token left out."""

        def rewards(score, new, reference, beta):
            found = sign * beta * of(new - reference)
            found[place] = found[place] * keep + score
            return found

        return rewards

    slips = [
        ("The sign of the KL is turned: a token that the policy likes *more* than the reference does costs.", at(-1, sign=1.0)),
        ("The score is added to each token: it is given once, at the last one.", at(slice(None))),
        ("The score came at the first token: it is known only after the last.", at(0)),
        ("The score took the place of the last token's KL: that token pays, too.", at(-1, keep=False)),
        ("β is missing: the price of a nat is β, not 1.", lambda s, a, b, beta: at(-1)(s, a, b, 1.0)),
        ("The score is missing.", lambda s, a, b, beta: -beta * (a - b)),
        ("You took the difference without its sign: a token that the policy likes *less* than the reference does earns.", at(-1, of=torch.abs)),
        ("One number came back, the sum: return a reward per token.", lambda s, a, b, beta: s - beta * (a - b).sum()),
        ("The KL is paid by each token itself, not by the last one for all.", lambda s, a, b, beta: torch.tensor([0.0] * (len(a) - 1) + [s - beta * float((a - b).sum())])),
        ("β multiplies the score as well: it is the price of the KL alone.", lambda s, a, b, beta: beta * at(-1)(s, a, b, 1.0)),
        ("One number too many: the score is no token of its own; it is added to the last token's reward.", lambda s, a, b, beta: torch.cat([-beta * (a - b), torch.tensor([s])])),
        ("The score is shared out among the tokens: it is given whole, at the last one.", lambda s, a, b, beta: s / len(a) - beta * (a - b)),
    ]
    compare(theirs, token_rewards, cases, slips)


# ------------------------------------------------------------ lab3.10 why a nat costs


def break_even(far, near):
    (far_score, far_kl), (near_score, near_kl) = far, near
    return max(0.0, (far_score - near_score) / (far_kl - near_kl))


def _test_break_even(theirs):
    cases = [
        ("", ((2.0, 24.0), (0.5, 4.0))),
        ("a near policy that never moved", ((1.5, 40.0), (-0.5, 0.0))),
        ("the far policy scores less", ((-0.5, 12.0), (0.25, 2.0))),
        ("equal scores", ((0.75, 9.0), (0.75, 1.0))),
        ("", ((0.3, 7.0), (-0.9, 1.5))),
        ("both scores are below 0", ((-0.2, 14.0), (-1.4, 4.0))),
    ]
    slips = [
        ("At a price below 0 leaving would be *paid*. Where the far policy scores no more, it needs no price: 0.", lambda f, n: (f[0] - n[0]) / (f[1] - n[1])),
        ("The near policy pays for its KL, too: only the KL that the far one has *more* counts.", lambda f, n: max(0.0, (f[0] - n[0]) / f[1])),
        ("The near policy's score does not enter: the far one is worth only what it scores *more*.", lambda f, n: max(0.0, f[0] / (f[1] - n[1]))),
        ("Only the far policy enters; at which β are *both* worth the same?", lambda f, n: max(0.0, f[0] / f[1])),
        ("Upside down: that is nats per point of score; a price is score per nat.", lambda f, n: max(0.0, (f[1] - n[1]) / (f[0] - n[0])) if f[0] != n[0] else 0.0),
        ("Each policy's score over its own KL is no price at which the two meet.", lambda f, n: max(0.0, f[0] / f[1] - (n[0] / n[1] if n[1] else 0.0))),
    ]
    compare(theirs, break_even, cases, slips)


# ------------------------------------------------------------ lab3.11 REINFORCE on three words


def push(probs, drawn, reward, baseline):
    return [((k == drawn) - p) * (reward - baseline) for k, p in enumerate(probs)]


def _test_push(theirs):
    cases = [
        ("", ([0.5, 0.3, 0.2], 0, 3.0, 1.0)),
        ("worse than the baseline", ([0.6, 0.1, 0.3], 2, 8.0, 9.5)),
        ("a baseline of 0", ([0.25, 0.25, 0.5], 1, -2.0, 0.0)),
    ]
    slips = [
        ("The baseline is missing: a reward of 8 is bad news where 9.5 was expected.", lambda p, w, r, b: push(p, w, r, 0.0)),
        ("Only the logit of the drawn word moves; the words that were not drawn must give way.", lambda p, w, r, b: [(k == w) * (r - b) for k in range(len(p))]),
        ("Only the drawn word's logit moves: the others have a gradient as well, 0 − p.", lambda p, w, r, b: [(k == w) * (1 - q) * (r - b) for k, q in enumerate(p)]),
        ("The others do not follow the drawn word: they give way, so their gradient is 0 − p.", lambda p, w, r, b: [((1 - q) if k == w else q) * (r - b) for k, q in enumerate(p)]),
        ("Every word got the drawn word's gradient, 1 − p: only one was drawn.", lambda p, w, r, b: [(1 - q) * (r - b) for q in p]),
        ("That is the slope of log p along the *probability*. The logits are pushed, and softmax lies between.", lambda p, w, r, b: [(k == w) / q * (r - b) for k, q in enumerate(p)]),
        ("A draw worse than the baseline is pushed *down*: reward − baseline counts with its sign.", lambda p, w, r, b: [((k == w) - q) * abs(r - b) for k, q in enumerate(p)]),
        ("A draw worse than the baseline teaches as well: it is pushed *down*.", lambda p, w, r, b: [((k == w) - q) * max(0.0, r - b) for k, q in enumerate(p)]),
        ("The baseline was added: it is what the reward is compared with.", lambda p, w, r, b: push(p, w, r + 2 * b, b)),
        ("The sign is turned: a reward above the baseline must push the drawn word *up*.", lambda p, w, r, b: [-x for x in push(p, w, r, b)]),
        ("The reward is missing: every draw gets the same push.", lambda p, w, r, b: push(p, w, 1.0, 0.0)),
        ("The push is weighted by the word's probability once more. It was drawn: that has happened.", lambda p, w, r, b: [p[w] * x for x in push(p, w, r, b)]),
        ("The baseline is taken off the gradient; it belongs to the reward.", lambda p, w, r, b: [((k == w) - q) * r - b for k, q in enumerate(p)]),
    ]
    compare(theirs, push, cases, slips)


# ------------------------------------------------------------ lab3.5 advantages


def advantages_of(rewards, values, lam):
    advantages, running = [], 0.0
    for t in reversed(range(len(rewards))):
        following = values[t + 1] if t + 1 < len(values) else 0.0
        running = rewards[t] + following - values[t] + lam * running
        advantages.insert(0, running)
    return advantages


def _forwards(rewards, values, lam):
    return advantages_of(rewards, values, 0.0)[:1] + [
        delta + lam * before
        for delta, before in zip(advantages_of(rewards, values, 0.0)[1:], advantages_of(rewards, values, 0.0))
    ]


def _test_advantages_of(theirs):
    r, v = [0.5, -1.0, 2.0], [0.3, 0.8, -0.4]
    cases = [
        ("with λ = 0", (r, v, 0.0)), ("with λ = 1", (r, v, 1.0)), ("with λ = 0.5", (r, v, 0.5)),
        ("one token", ([1.0], [0.4], 0.9)), ("", ([0.0, 0.25, -0.5, 1.5], [0.6, -0.2, 0.7, 0.1], 0.8)),
    ]  # fmt: skip
    rest = advantages_of

    def returns(r, v, lam):
        return [a + now for a, now in zip(rest(r, v, lam), v)]

    slips = [
        ("The right numbers from the last token to the first: you went backwards, so the list must be turned round.", lambda r, v, lam: rest(r, v, lam)[::-1]),
        ("After the last token nothing is to come: its advantage is r − V, and yours takes nothing off. The value behind the end is 0, not the last one again.", lambda r, v, lam: rest(r[:-1] + [r[-1] + v[-1]], v, lam)),
        ("After the last token you took the *first* value: the one behind the end is 0.", lambda r, v, lam: rest(r[:-1] + [r[-1] + v[0]], v, lam)),
        ("One number too many: behind the last token stands none, and its 0 is not returned.", lambda r, v, lam: [*rest(r, v, lam), 0.0]),
        ("λ changes nothing in your answer: with λ = 1 each token also gets what comes after the next one.", lambda r, v, lam: rest(r, v, 0.0)),
        ("λ changes nothing in your answer: each step back multiplies what came later by λ once.", lambda r, v, lam: rest(r, v, 1.0)),
        ("The value is not taken off: the advantage is what comes, *less* what was expected.", returns),
        ("No value enters: the advantage is what comes, *less* what was expected.", lambda r, v, lam: rest(r, [0.0] * len(r), lam)),
        ("The value of the next token is missing: only the reward and the value now enter.",
         lambda r, v, lam: [sum(lam**k * (r[t + k] - v[t + k]) for k in range(len(r) - t)) for t in range(len(r))]),
        ("λ multiplies the next value as well: it belongs to what later tokens hand back.",
         lambda r, v, lam: rest([x - (1 - lam) * (v[t + 1] if t + 1 < len(v) else 0.0) for t, x in enumerate(r)], v, lam)),
        ("The two values are exchanged: the value *now* is taken off, the next one added.", lambda r, v, lam: rest([x - 2 * ((v[t + 1] if t + 1 < len(v) else 0.0) - v[t]) for t, x in enumerate(r)], v, lam)),
        ("Each token takes from the one *before* it: A_t needs A_t+1, so start at the end.", _forwards),
        ("One number came back, for the whole answer: return an advantage per token.", lambda r, v, lam: [sum(r)]),
    ]
    compare(theirs, rest, cases, slips)


# ------------------------------------------------------------ lab3.6 spot the bug: a curve at 0


def learning_curve(log):
    return [float(np.mean(iteration["scores"])) for iteration in log]


def _mean_of(name, of=np.mean):
    return lambda log: [float(of(iteration[name])) for iteration in log]


def _test_learning_curve(theirs):
    log = [
        {"scores": [-1.0, 2.0, 2.0], "advantages": [-1.5, 0.5, 1.0], "kl": [0.0, 0.0, 0.0]},
        {"scores": [3.0, 5.0, 10.0, -2.0, 1.5], "advantages": [-1.0, 1.0, 0.5, -0.5, 0.0], "kl": [1.0, 3.0, 2.0, 2.0, 0.5]},
        {"scores": [0.25], "advantages": [0.0], "kl": [4.0]},
    ]
    scores = learning_curve
    slips = [
        ("Whitened advantages have mean 0 in *every* iteration, whatever was learnt.", _mean_of("advantages")),
        ("The spread of whitened advantages is 1 in every iteration, up to the few answers here: it shows nothing either.", _mean_of("advantages", np.std)),
        ("The size of whitened advantages is about the same in every iteration, whatever was learnt.", _mean_of("advantages", lambda a: np.mean(np.abs(a)))),
        ("The KL says how far the policy went, not how good it got.", _mean_of("kl")),
        ("Sums depend on the number of answers: take the mean.", _mean_of("scores", np.sum)),
        ("That is the median: the mean is asked, so that every answer counts.", _mean_of("scores", np.median)),
        ("The best answer of an iteration says little about the others: take the mean.", _mean_of("scores", np.max)),
        ("You took the KL off. PPO maximises such a sum, with a price β; whether the answers please the judge is the score alone.",
         lambda log: [a - b for a, b in zip(scores(log), _mean_of("kl")(log))]),
        ("You took the KL off, at a price. What it costs is watched in a curve of its own; whether the answers please the judge is the score alone.",
         lambda log: [a - 0.05 * b for a, b in zip(scores(log), _mean_of("kl")(log))]),
        ("You took the first iteration's mean off all of them: the curve has its shape, and no longer its values.", lambda log: [x - scores(log)[0] for x in scores(log)]),
    ]
    compare(theirs, learning_curve, [("", (log,))], slips)


# ------------------------------------------------------------ lab3.7 the clipped objective


def clipped(ratio, advantage, epsilon):
    return torch.minimum(ratio * advantage, ratio.clamp(1 - epsilon, 1 + epsilon) * advantage)


def _test_clipped(theirs):
    ratio = torch.tensor([1.0, 1.5, 0.5, 1.5, 0.5, 1.1, 0.75])
    advantage = torch.tensor([2.0, 1.0, 1.0, -1.0, -1.0, -3.0, 0.0])
    table = torch.tensor([[0.85, 1.4], [1.3, 0.6]]), torch.tensor([[-0.5, 0.7], [1.7, -2.0]])
    cases = [("", (ratio, advantage, 0.2)), ("a table, and another ε", (*table, 0.1))]

    def band(r, a, e):
        return r.clamp(1 - e, 1 + e) * a

    slips = [
        ("Nothing is clipped: beyond 1 + ε a good token may earn nothing more.", lambda r, a, e: r * a),
        ("Only clipped: a *bad* token whose ratio grew to 1.5 must still be pushed down. Compare with the product that is not clipped.", band),
        ("You took the smaller *ratio*: times a negative A it gives the larger product. Compare the products.", lambda r, a, e: torch.minimum(r, r.clamp(1 - e, 1 + e)) * a),
        ("Outside the band nothing is left at all: the objective stays at the band's edge there, or follows the ratio.", lambda r, a, e: torch.where((r > 1 + e) | (r < 1 - e), 0.0, r * a)),
        ("You took the larger of the two: the objective is the more *pessimistic* one.", lambda r, a, e: torch.maximum(r * a, band(r, a, e))),
        ("The band has a lower edge as well: a bad token whose ratio fell to 0.5 is pushed no further.", lambda r, a, e: torch.minimum(r * a, r.clamp(max=1 + e) * a)),
        ("The *product* was clipped: the band is around the ratio.", lambda r, a, e: torch.minimum(r * a, (r * a).clamp(1 - e, 1 + e))),
        ("That is a loss: the objective is to be large, without the minus.", lambda r, a, e: -clipped(r, a, e)),
        ("One number came back, the mean: return one value per token; the mean is taken later.", lambda r, a, e: clipped(r, a, e).mean()),
        ("One number came back, the sum: return one value per token.", lambda r, a, e: clipped(r, a, e).sum()),
        ("torch.min with a dimension returns two things, the values and where they were: take the first, or use torch.minimum.", lambda r, a, e: torch.stack([x.float() for x in torch.min(torch.stack([r * a, band(r, a, e)]), 0)])),
        ("One number came back, the smallest of all: each token has a smaller one of its own two.", lambda r, a, e: clipped(r, a, e).min()),
    ]
    try:
        compare(theirs, clipped, cases, slips)
    except RuntimeError as error:
        if "Boolean value of Tensor" in str(error):
            raise Wrong("Python compares two whole tensors there, and cannot. Each token needs the smaller of *its* two numbers.") from None
        raise
    same_gradient(theirs, clipped, cases[0][1])


# ------------------------------------------------------------ lab3.8 spot the bug: a z that scatters too little


def z_score(mean_before, sd_before, mean_after, sd_after, n):
    standard_error = ((sd_before**2 + sd_after**2) / n) ** 0.5
    return (mean_before - mean_after) / standard_error


def _test_z_score(theirs):
    cases = [("", (5.0, 3.0, 2.0, 4.0, 25)), ("a rise", (0.2, 0.5, 0.75, 1.2, 7)), ("", (-1.0, 2.0, -2.5, 0.3, 100))]

    def over(of, sign=1):
        """The difference over another error."""
        return lambda a, sa, b, sb, n: sign * (a - b) / of(sa, sb, n)

    def right(sa, sb, n):
        return ((sa**2 + sb**2) / n) ** 0.5

    slips = [
        ("A fall should be positive, and a rise negative: before − after.", over(right, -1)),
        ("A rise comes out positive as well: the sign says which way it went.", lambda a, sa, b, sb, n: abs(a - b) / right(sa, sb, n)),
        ("That is the difference over the spread of single answers; a mean of n varies √n times less.", over(lambda sa, sb, n: (sa**2 + sb**2) ** 0.5)),
        ("Standard errors do not add: two independent errors partly cancel, so their *squares* add up.", over(lambda sa, sb, n: (sa + sb) / n**0.5)),
        ("Divide the *variances* by n, or the standard deviations by √n.", over(lambda sa, sb, n: (sa**2 + sb**2) ** 0.5 / n)),
        ("Divide the *variances* by n, or the standard deviations by √n. And standard deviations do not add.", over(lambda sa, sb, n: (sa + sb) / n)),
        ("The root is missing: a variance is not in the unit of the means.", over(lambda sa, sb, n: (sa**2 + sb**2) / n)),
        ("The mean of the two variances is for *one* mean; a difference carries the errors of both.", over(lambda sa, sb, n: ((sa**2 + sb**2) / 2 / n) ** 0.5)),
        ("Only the spread before enters; the mean after is uncertain, too.", over(lambda sa, sb, n: sa / n**0.5)),
        ("Only the spread after enters; the mean before is uncertain, too.", over(lambda sa, sb, n: sb / n**0.5)),
        ("The mean of the two standard deviations is for *one* mean; a difference carries the errors of both.", over(lambda sa, sb, n: (sa + sb) / 2 / n**0.5)),
        ("That is the relative change, (before − after) / before: no spread enters and no n.", lambda a, sa, b, sb, n: (a - b) / a),
        ("You divided by n − 1: the standard deviations are given, nothing is estimated here.", over(lambda sa, sb, n: ((sa**2 + sb**2) / (n - 1)) ** 0.5)),
    ]
    compare(theirs, z_score, cases, slips)


# ------------------------------------------------------------ lab3.9 a sign-flip test


def sign_flip_p(differences, draws, seed):
    differences = np.asarray(differences, float)
    signs = np.random.default_rng(seed).choice([-1, 1], size=(draws, len(differences)))
    flipped = np.abs((signs * differences).mean(1))
    return (np.sum(flipped >= abs(differences.mean())) + 1) / (draws + 1)


def _exact(differences, factors=(-1, 1), size=abs, strict=False, size_seen=None):
    """Over all patterns: the share whose mean is as far from 0 as the one seen."""
    d = np.asarray(differences, float)
    means = [size(float(np.dot(f, d))) for f in itertools.product(factors, repeat=len(d))]
    seen = (size_seen or size)(float(d.sum()))
    return float(np.mean([m > seen if strict else m >= seen for m in means]))


def _test_sign_flip_p(theirs):
    draws, near = 3_000, 0.04  # near: more than four standard errors of a share of 3,000
    irregular = [2.5, 2.0, -0.25, -0.75, -0.125, -1.5]  # in eighths, so that sums are exact
    fall = [-1.0, -1.0, -1.0, -1.0, 2.0, -1.0]
    got = [theirs(d, draws, 0) for d in (irregular, fall)]

    def gives(*like):
        return all(abs(a - b) < near for a, b in zip(got, like))

    want = [_exact(d) for d in (irregular, fall)]
    if not gives(*want):
        for words, slip in (
            ("One-sided: a change of that size in the *other* direction is as surprising. Compare absolute values.", lambda d: _exact(d, size=float)),
            ("You compare signed means with the size of yours, so only one side counts: take the absolute value of both.", lambda d: _exact(d, size=float, size_seen=abs)),
            ("Every pattern you drew is as far from 0 as the differences. Did you shuffle them, take absolute values before the mean, or draw one sign for all of them?", lambda d: 1.0),
            ("A tie counts: a mean *as far* from 0 as yours is as surprising as yours.", lambda d: _exact(d, strict=True)),
            ("Your factors are 0 and 1: a difference is then left out, not turned round.", lambda d: _exact(d, (0, 1))),
        ):
            if gives(*map(slip, (irregular, fall))):
                raise Wrong(words)
        n = next(n for n in (0, 1) if abs(got[n] - want[n]) >= near)
        raise Wrong(f"Of all 64 sign patterns of {(irregular, fall)[n]} a share of {want[n]:.3f} has a mean as far from 0; "
                    f"with {draws:,} patterns drawn you gave {got[n]:.3f}. Each difference keeps its size and gets + or −.")  # fmt: skip
    if theirs([0.5, -0.5, 0.25, -0.25], draws, 0) != 1:
        raise Wrong("The differences 0.5, −0.5, 0.25, −0.25 cancel: every pattern is at least as far from 0, so p is 1.")
    few = theirs([5.0] * 40, 1_000, 0)
    if few == 0:
        raise Wrong("p = 0 is never right: with 1,000 draws nothing smaller than 1/1,001 can be shown. Add 1 to both counts.")
    if not close(few, 1 / 1001, 1e-8):
        raise Wrong(f"Forty equal differences, 1,000 draws: no pattern drawn is as extreme, so p is (0 + 1) / (1,000 + 1); yours {few:.6f}.")
    if any(theirs(irregular, 500, seed) != theirs(irregular, 500, seed) for seed in range(1, 6)):  # once may be chance
        raise Wrong("The same seed gave two results: make a generator from it inside the function.")
    if len({theirs(irregular, 500, seed) for seed in range(6)}) == 1:
        raise Wrong("Six seeds gave one and the same p: the patterns must be drawn, from a generator made with `seed`.")


EXERCISES = [
    Exercise("lab3.11", "three words, one draw", push, _test_push, (
        "The gradient has one entry per word: what is it for the drawn word, what for another?",
        "How much better than expected was the draw? All three entries are multiplied by that one number.",
    ), "The three add up to 0: what one word gains, the others lose.", returns=answers.numbers),
    Exercise("lab3.7", "the clipped objective", clipped, _test_clipped, (
        "Two candidates per token: ratio · A, and the clamped ratio · A.",
        "torch.minimum takes the smaller of two tensors, place by place.",
    ), returns=answers.tensor),
    Exercise("lab3.1", "spot the bug: polite and still toxic", response_ids, _test_response_ids, (
        "Write the two rows of the batch down, one under the other. In which column does each answer begin?",
        "Padding makes every prompt as long as the longest. list.index finds the first end token, if there is one.",
    ), returns=answers.list_of(answers.wholes, "a list of lists of token ids")),
    Exercise("lab3.2", "spot the bug: a KL of 31 nats", policy_and_reference, _test_policy_and_reference, (
        "At the start the new adapter is 0: what must the KL be then?",
        "Which model could already summarise, before reinforcement learning changed anything?",
    ), returns=answers.tuple_of(answers.tensor, answers.tensor, words="two tensors, the policy's weights and the reference's")),
    Exercise("lab3.3", "spot the bug: the sum is nan", sum_log_probs, _test_sum_log_probs, (
        "Column t of a row counts if t is smaller than the row's length. What is 0 times NaN?",
        "torch.where(condition, a, b) takes b where the condition fails, whatever a is there.",
    ), returns=answers.tensor),
    Exercise("lab3.4", "a reward per token", token_rewards, _test_token_rewards, (
        "First the KL's part for all tokens at once, as a new tensor.",
        "Which token is the only one after which the judge has seen the whole answer?",
    ), returns=answers.tensor),
    Exercise("lab3.10", "what holds a policy back", break_even, _test_break_even, (
        "Write down what each of the two is worth, score − β · KL. At which β are they equal?",
        "How many points does the far policy win, and for how many nats more?",
    ), "Below that price PPO does well to leave.", returns=answers.number),
    Exercise("lab3.5", "advantages, backwards", advantages_of, _test_advantages_of, (
        "Go from the last token to the first and keep A of the token that you have just left.",
        "δ needs the next value: for the last token there is none. And in which order did you collect the results?",
    ), returns=answers.numbers),
    Exercise("lab3.6", "spot the bug: a curve that stays at 0", learning_curve, _test_learning_curve, (
        "What is the mean of whitened numbers?",
        "Which of the three lists does the judge write, and which does PPO make of it?",
    ), returns=answers.numbers),
    Exercise("lab3.8", "spot the bug: a z that scatters too little", z_score, _test_z_score, (
        "The variance of a mean of n is the variance divided by n.",
        "Do two independent errors always push the difference the same way? What adds up, then?",
    ), returns=answers.number),
    Exercise("lab3.9", "a sign-flip test", sign_flip_p, _test_sign_flip_p, (
        "If nothing had changed, each difference could as well have the other sign.",
        "Draw all signs at once, [draws, n]; each row gives one mean. How far from 0 is it, and how far is yours?",
    ), returns=answers.number),
]  # fmt: skip
