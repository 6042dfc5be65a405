"""Beyond PPO: reference answers and their tests."""

from __future__ import annotations

import itertools
import math
import re

import numpy as np
import torch
from torch.nn import functional as F

from .engine import Exercise, Wrong, close

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


def _test_best_of_n(best_of_n):
    proxy, judged = [0.3, 2.0, -1.0, 1.1, 0.9], [1.0, 0.0, 5.0, 2.0, 7.0]
    got = best_of_n(list(proxy), list(judged), 2)
    want = by_trying(proxy, judged, 2)
    if close(got, by_trying(judged, judged, 2)):
        raise Wrong("You let the judge choose: the *proxy* picks the winner, the judge only reads it.")
    if close(got, by_trying(proxy, proxy, 2)):
        raise Wrong("That is the proxy's own value of the winner; asked is what the judge says of it.")
    ranked = [judged[i] for i in np.argsort(proxy)]
    if close(got, sum(v * ((i + 1) ** 2 - i**2) / 25 for i, v in enumerate(ranked))):
        raise Wrong("You draw with replacement, so that one answer can be drawn twice. A set of n has n different answers.")
    if close(got, by_trying([-p for p in proxy], judged, 2)):
        raise Wrong("You picked the answer that the proxy likes *least*: check the order of your sort.")
    if close(got, judged[int(np.argmax(proxy[:2]))]):
        raise Wrong("That is one draw, the first n answers. Average over all sets of n that the pool holds.")
    if not close(got, want):
        raise Wrong(f"All sets of 2 of the check's five answers give {want:.4f}; yours {got:.4f}.")
    if not close(best_of_n(proxy, judged, 1), 3.0) or not close(best_of_n(proxy, judged, 5), 0.0):
        raise Wrong("With n = 1 it must be the plain mean, with n = 5 the one best answer of all.")


# ------------------------------------------------------------ beyond.2 the loss of DPO


def dpo(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta):
    chosen = beta * (policy_chosen - reference_chosen)
    rejected = beta * (policy_rejected - reference_rejected)
    return -F.logsigmoid(chosen - rejected).mean()


def _test_dpo(dpo):
    arguments = [torch.tensor(x) for x in ([-10.0, -9.0], [-14.0, -9.5], [-12.0, -9.5], [-11.0, -8.0])]
    a, b, c, d = arguments
    got = torch.as_tensor(dpo(*[x.clone() for x in arguments], 0.5))
    if got.numel() != 1:
        raise Wrong(f"A loss is one number, the mean over the pairs; yours has the shape {tuple(got.shape)}.")
    margin = (a - c) - (b - d)
    if close(got, -F.logsigmoid(-0.5 * margin).mean()):
        raise Wrong("Chosen and rejected are swapped: this loss falls as the policy learns to prefer the rejected answer.")
    if close(got, -F.logsigmoid(0.5 * (a - b)).mean()):
        raise Wrong("The reference is missing. While the policy is the reference, the loss must be ln 2 for any answers.")
    if close(got, -F.logsigmoid(margin).mean()):
        raise Wrong("You left beta out: it turns nats into a reward.")
    if close(got, -F.logsigmoid(0.5 * margin).sum()):
        raise Wrong("You returned the sum; the loss is the mean over the pairs.")
    if close(got, F.logsigmoid(0.5 * margin).mean()):
        raise Wrong("The sign: a loss is *minus* the log-likelihood.")
    if not close(got, -F.logsigmoid(0.5 * margin).mean()):
        raise Wrong(f"For the check's two pairs the loss is {-F.logsigmoid(0.5 * margin).mean():.4f}; yours is {got.item():.4f}.")


# ------------------------------------------------------------ beyond.3 spot the bug: the prompt counts


def answer_log_prob(log_probs, answer_mask):
    return torch.where(answer_mask, log_probs, 0.0).sum(1)


def _test_answer_log_prob(answer_log_prob):
    log_probs = torch.tensor([[-1.0, -2.0, -3.0, -4.0, -50.0], [-1.0, -2.0, -0.5, -1.5, -2.5]])
    mask = torch.tensor([[0, 0, 1, 1, 0], [0, 0, 1, 1, 1]]).bool()
    got = torch.as_tensor(answer_log_prob(log_probs.clone(), mask.clone()))
    if got.shape != (2,):
        raise Wrong(f"One number a row, shape [2] here; yours has the shape {tuple(got.shape)}.")
    if close(got, log_probs.mean(1)) or close(got, log_probs.sum(1)):
        raise Wrong("Prompt and padding still count: only the answer's tokens were chosen by the policy.")
    if close(got, torch.tensor([-3.5, -1.5])):
        raise Wrong("You averaged over the answer. log p of a whole answer is a *sum*; a mean makes a long answer as likely as a short one.")
    if close(got, torch.tensor([-10.0, -7.5])):
        raise Wrong("The prompt's log-probabilities are in your sum: start where the mask starts.")
    infinite = torch.tensor([[float("-inf"), -1.0]])
    if not torch.as_tensor(answer_log_prob(infinite, torch.tensor([[False, True]]))).isfinite().all():
        raise Wrong("−inf outside the answer became NaN: multiplying by a mask does not remove it, torch.where does.")
    if not close(got, torch.tensor([-7.0, -4.5])):
        raise Wrong(f"The check's answers have log-probabilities −7 and −4.5; yours {got.tolist()}.")


# ------------------------------------------------------------ beyond.4 spot the bug: whose mean?


def advantages(scores):
    centred = scores - scores.mean(1, keepdim=True)
    spread = scores.std(1, keepdim=True)
    return torch.where(spread > 1e-6, centred / spread.clamp(min=1e-6), 0.0)


def _test_advantages(advantages):
    scores = torch.tensor([[1.0, 5.0, 3.0], [7.0, 11.0, 9.0]])
    got = torch.as_tensor(advantages(scores.clone()))
    whole = (scores - scores.mean()) / scores.std()
    if close(got, whole):
        raise Wrong("Still over the whole batch: the second dialogue's worst answer gets praise for an easy dialogue.")
    if got.shape == scores.shape and close(got, (scores - scores.mean(0)) / scores.std(0)):
        raise Wrong("You compared answers to *different* dialogues: a group is a row.")
    if close(got, scores - scores.mean(1, keepdim=True)):
        raise Wrong("Centred, but not divided by the group's standard deviation.")
    if close(got, (scores - scores.mean(1, keepdim=True)) / scores.std()):
        raise Wrong("The mean is the group's, the standard deviation still the whole batch's.")
    if not close(got, torch.tensor([[-1.0, 1.0, 0.0]] * 2)):
        raise Wrong(f"Scores 1, 5, 3 give −1, 1, 0; yours {got.tolist()}.")
    equal = torch.as_tensor(advantages(torch.full((1, 4), 0.3)))
    if not equal.isfinite().all() or equal.abs().max() > 1e-3:
        raise Wrong("A group whose scores are all equal must get zeros; yours divides by a spread of 0.")


# ------------------------------------------------------------ beyond.5 the loss of GRPO


def grpo(log_probs, old, reference, advantages, mask, beta, clip):
    ratio = (log_probs - old).exp()
    a = advantages[:, None]
    gain = torch.minimum(ratio * a, ratio.clamp(1 - clip, 1 + clip) * a)
    difference = reference - log_probs
    kl = difference.exp() - difference - 1
    per_answer = torch.where(mask, gain - beta * kl, 0.0).sum(1) / mask.sum(1)
    return -per_answer.mean()


def _test_grpo(grpo):
    generator = torch.Generator().manual_seed(0)
    log_probs, old, reference = (-torch.rand(4, 3, generator=generator) for _ in range(3))
    mask = torch.tensor([[1, 1, 1], [1, 0, 0], [1, 1, 0], [1, 1, 1]]).bool()
    a = torch.tensor([1.0, -1.0, 0.5, -0.5])

    def ours(beta, clip, log_probs=log_probs, per_token=False, k1=False, sign=1, clipping=True):
        ratio = (log_probs - old).exp()
        limited = ratio.clamp(1 - clip, 1 + clip)
        gain = torch.minimum(ratio * a[:, None], limited * a[:, None]) if clipping else ratio * a[:, None]
        d = reference - log_probs
        kl = -d if k1 else d.exp() - d - 1
        value = torch.where(mask, gain - sign * beta * kl, 0.0)
        return -(value.sum() / mask.sum() if per_token else (value.sum(1) / mask.sum(1)).mean())

    got = torch.as_tensor(grpo(log_probs.clone(), old, reference, a, mask, 0.3, 0.2))
    if got.numel() != 1:
        raise Wrong(f"A loss is one number; yours has the shape {tuple(got.shape)}.")
    for wrong, message in (
        (-ours(0.3, 0.2), "The sign: the objective is to be large, the loss is minus it."),
        (ours(0.3, 0.2, per_token=True), "You averaged over all tokens at once, so that a long answer counts more. First each answer over its own tokens, then the answers."),
        (ours(0.3, 0.2, k1=True), "The KL here is k3, exp(d) − d − 1 with d = log π_ref − log π. k1 as a *loss* has an expected gradient of 0."),
        (ours(0.3, 0.2, sign=-1), "You *pay* the policy for leaving the reference: the KL is taken off the gain."),
        (ours(0.3, 0.2, clipping=False), "Nothing is clipped: a ratio beyond 1 + ε must earn no more."),
        (ours(0.0, 0.2), "The KL to the reference is missing."),
    ):
        if close(got, wrong):
            raise Wrong(message)
    if not close(got, ours(0.3, 0.2)):
        raise Wrong(f"For the check's four answers the loss is {ours(0.3, 0.2):.4f}; yours is {got.item():.4f}.")


# ------------------------------------------------------------ beyond.6 a reviser of one rule


def revise_by_rule(text, insults):
    words = "|".join(re.escape(word) for word in insults)
    without = re.sub(rf"(?<![\w-])(?:{words})(?![\w-])", "", text, flags=re.IGNORECASE)
    return " ".join(without.split())


def _test_revise_by_rule(revise_by_rule):
    insults = ["idiot", "clown", "know-it-all", "pest"]
    got = revise_by_rule("Ana calls Bo an IDIOT and pays 40.", list(insults))
    if not isinstance(got, str):
        raise Wrong("Return the revised text.")
    if "IDIOT" in got:
        raise Wrong("'IDIOT' is still there: capitals must not save an insult.")
    if "  " in got:
        raise Wrong("Two spaces stand where the word was: tidy them.")
    if got != "Ana calls Bo an and pays 40.":
        raise Wrong(f"Only the insult goes, everything else stays as it was; yours: {got!r}.")
    if revise_by_rule("Ana makes pesto.", list(insults)) != "Ana makes pesto.":
        raise Wrong("'pesto' was cut because 'pest' is in it: remove whole words only.")
    if revise_by_rule("Bo the know-it-all left.", list(insults)) != "Bo the left.":
        raise Wrong("'know-it-all' is one insult, hyphens included.")


EXERCISES: list[Exercise] = [
    Exercise(
        "beyond.1", "best of n, without noise", best_of_n, _test_best_of_n,
        ("Sort the pool by the proxy. The answer at place i (from 0) wins if the other n − 1 come from the i places below it.",
         "In how many of all C(N, n) sets is that so? math.comb counts them.",
         "The result is a weighted sum of the judge's values in the proxy's order."),
        "The same pool now gives every n, without drawing.",
    ),
    Exercise(
        "beyond.2", "the loss of DPO", dpo, _test_dpo,
        ("The implicit reward of an answer is beta times its log-ratio of policy and reference.",
         "Then it is the Bradley–Terry loss on these two rewards; F.logsigmoid is the stable way."),
        "A reward model's loss, with the policy as the reward model.",
    ),
    Exercise(
        "beyond.3", "spot the bug: the prompt counts", answer_log_prob, _test_answer_log_prob,
        ("log p(answer | prompt) is the sum of log p(token | before) over which tokens?",
         "torch.where(mask, values, 0.0) also survives −inf in the padding."),
        "The margin no longer depends on how long the question is.",
    ),
    Exercise(
        "beyond.4", "spot the bug: whose mean?", advantages, _test_advantages,
        ("scores has the shape [groups, answers]: along which dimension do the answers to one dialogue lie?",
         "keepdim=True keeps the shapes compatible.",
         "What is the spread of four equal scores, and what do you want then?"),
        "Each answer is now compared with its siblings only.",
    ),
    Exercise(
        "beyond.5", "the loss of GRPO", grpo, _test_grpo,
        ("advantages has one number an answer; advantages[:, None] gives it to each of its tokens.",
         "The clipped gain is the minimum of two products, as in PPO.",
         "Divide each answer's sum by its own number of tokens before you average the answers."),
        "PPO's loss without a value head.",
    ),
    Exercise(
        "beyond.6", "a reviser of one rule", revise_by_rule, _test_revise_by_rule,
        ("re.sub with flags=re.IGNORECASE; re.escape makes a word safe inside a pattern.",
         "A whole word has no letter and no hyphen just before or after it: (?<![\\w-]) and (?![\\w-]).",
         '" ".join(text.split()) tidies spaces.'),
        "Two lines: the baseline that a model must beat.",
    ),
]  # fmt: skip
