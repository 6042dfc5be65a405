"""Lab 3: plausible wrong answers, and right ones in other styles."""

import itertools
import math
import random
import statistics

import numpy as np
import scipy.stats
import torch

from course_utils.exercises import lab3

# ---------------------------------------------------------------- wrong: lab3.1


def own_length(rows, lengths, eos):
    return [row[n:][: row[n:].index(eos)] if eos in row[n:] else row[n:] for row, n in zip(rows, lengths)]


def shortens_the_rows(rows, lengths, eos):
    start = max(lengths)
    for row in rows:
        del row[:start]
        if eos in row:
            del row[row.index(eos) :]
    return rows


def strips_by_token(rows, lengths, eos):
    """Padding taken off the left while it is the end token; padding may be another."""
    found = []
    for row, n in zip(rows, lengths):
        row = list(row)
        while row and row[0] == eos:
            row.pop(0)
        row = row[n:]
        found.append(row[: row.index(eos)] if eos in row else row)
    return found


def to_the_last_end(rows, lengths, eos):
    found = [row[max(lengths) :] for row in rows]
    return [row[: max(i for i, t in enumerate(row) if t == eos)] if eos in row else row for row in found]


def from_the_end(rows, lengths, eos):
    """Takes padding off the right end, so that an end token inside the answer stays."""
    found = [row[max(lengths) :] for row in rows]
    for row in found:
        while row and row[-1] == eos:
            row.pop()
    return found


# ---------------------------------------------------------------- wrong: lab3.5


def changes_rewards(r, v, lam):
    for t in range(len(r)):
        r[t] = r[t] + (v[t + 1] if t + 1 < len(v) else 0) - v[t]
    for t in reversed(range(len(r) - 1)):
        r[t] += lam * r[t + 1]
    return r


def appended(r, v, lam):
    found, running = [], 0.0
    for t in reversed(range(len(r))):
        running = r[t] + (v[t + 1] if t + 1 < len(v) else 0.0) - v[t] + lam * running
        found.append(running)
    return found


def runs_over_the_end(r, v, lam):
    running, found = 0, []
    for t in reversed(range(len(r))):
        running = r[t] + v[t + 1] - v[t] + lam * running
        found.insert(0, running)
    return found


# ---------------------------------------------------------------- wrong: lab3.11


def pushes_in_place(probs, drawn, reward, baseline):
    for k in range(len(probs)):
        probs[k] = ((k == drawn) - probs[k]) * (reward - baseline)
    return probs


# ---------------------------------------------------------------- wrong: lab3.9


def flips(differences, draws, seed):
    signs = np.random.default_rng(seed).choice([-1, 1], size=(draws, len(differences)))
    return (signs * np.asarray(differences)).mean(1)


def p_of(factors, differences, draws):
    d = np.asarray(differences, float)
    return (np.sum(np.abs((factors * d).mean(1)) >= abs(d.mean()) - 1e-12) + 1) / (draws + 1)


def signs_of_0_and_1(d, draws, seed):
    return p_of(np.random.default_rng(seed).integers(0, 2, (draws, len(d))), d, draws)


def normal_signs(d, draws, seed):
    return p_of(np.random.default_rng(seed).normal(size=(draws, len(d))), d, draws)


def one_sign_for_all(d, draws, seed):
    return p_of(np.random.default_rng(seed).choice([-1, 1], (draws, 1)), d, draws)


def shuffled(d, draws, seed):
    generator, seen = np.random.default_rng(seed), abs(np.mean(d))
    return (sum(abs(np.mean(generator.permutation(d))) >= seen - 1e-12 for _ in range(draws)) + 1) / (draws + 1)


def one_seed(d, draws, seed):
    return lab3.sign_flip_p(d, draws, 0)


def no_seed(d, draws, seed):
    return p_of(np.random.choice([-1, 1], (draws, len(d))), d, draws)


PLANTED = {
    "lab3.1": [
        (own_length, "*behind* its padding"),
        (lambda rows, n, e: rows, "prompt is still in"),
        (lambda rows, n, e: [row[max(n) :] for row in rows], "cut before the first end"),
        (lambda rows, n, e: lab3.response_ids(rows, [max(n) + 1], e), "first token of each answer"),
        (lambda rows, n, e: lab3.response_ids(rows, [min(n)], e), "*shortest*"),
        (lambda rows, n, e: [[t for t in row[max(n) :] if t != e] for row in rows], "at the *first*"),
        (lambda rows, n, e: [row[max(n) : row.index(e)] for row in rows], "whole row"),
        (lambda rows, n, e: lab3.response_ids(rows, n, 2), "should give"),
        (from_the_end, "should give"),
        (strips_by_token, "Count columns"),
        (to_the_last_end, "*last* end token"),
        (lambda rows, n, e: [row[max(n) : row.index(e, max(n))] for row in rows], "raised ValueError"),
        (lambda rows, n, e: sum(lab3.response_ids(rows, n, e), []), "a list of lists of token ids"),
        (shortens_the_rows, "in place"),
        (lambda rows, n, e: len(lab3.response_ids(rows, n, e)), "a list of lists of token ids"),
        (lambda rows, n, e: lab3.response_ids(rows, n, e)[0], "a list of lists of token ids"),
    ],
    "lab3.2": [
        (lambda base, tuned, rl: (base + tuned + rl, base), "raw model"),
        (lambda base, tuned, rl: (base + tuned, base), "raw model, and the policy"),
        (lambda base, tuned, rl: (base + tuned + rl, base + tuned + rl), "moves with the policy"),
        (lambda base, tuned, rl: (base + rl, base + tuned), "lost the first adapter"),
        (lambda base, tuned, rl: (base + rl, base), "Both lost"),
        (lambda base, tuned, rl: (base + tuned, base + tuned + rl), "exchanged"),
        (lambda base, tuned, rl: (base + tuned + rl, tuned), "alone it is no model"),
        (lambda base, tuned, rl: {"policy": base + tuned + rl, "reference": base + tuned}, "two tensors"),
        (lambda base, tuned, rl: base + tuned + rl, "the policy's weights and the reference's"),
        (lambda base, tuned, rl: (base.add_(tuned) + rl, base), "in place"),
    ],
    "lab3.3": [
        (lambda x, n: x.sum(1), "All columns"),
        (lambda x, n: lab3.sum_log_probs(x, n - 1), "last token is missing"),
        (lambda x, n: lab3.sum_log_probs(x, n) / n, "mean"),
        (lambda x, n: lab3.sum_log_probs(x, n) - x[:, 0], "first token is left out"),
        (lambda x, n: (x * (torch.arange(x.shape[1])[None] < n[:, None])).sum(1), "NaN times 0"),
        (lambda x, n: lab3.sum_log_probs(x, n + 1), "One column too many"),
        (lambda x, n: x.nansum(1), "numbers as well"),
        (lambda x, n: torch.stack([row[: int(k)].sum() for row, k in zip(x, n)]).sum(), "one per row"),
        (lambda x, n: x[:, : n[0]].sum(1), "should give"),
        (lambda x, n: None, "`return` missing"),
    ],
    "lab3.4": [
        (lambda s, a, b, beta: lab3.token_rewards(s, b, a, beta), "sign"),
        (lambda s, a, b, beta: s - beta * (a - b), "each token"),
        (lambda s, a, b, beta: lab3.token_rewards(s, a, b, 1.0), "β is missing"),
        (lambda s, a, b, beta: s - beta * (a - b).sum(), "a reward per token"),
        (lambda s, a, b, beta: -beta * (a - b), "score is missing"),
        (lambda s, a, b, beta: torch.tensor([*(-beta * (a - b))[:-1], s]), "place of the last token's KL"),
        (lambda s, a, b, beta: lab3.token_rewards(s, (a - b).abs(), 0 * b, beta), "without its sign"),
        (lambda s, a, b, beta: lab3.token_rewards(s, a.flip(0), b.flip(0), beta).flip(0), "after the last"),
        (lambda s, a, b, beta: a.sub_(b).mul_(-beta), "in place"),
        (lambda s, a, b, beta: torch.cat([-beta * (a - b), torch.tensor([s])]), "One number too many"),
        (lambda s, a, b, beta: lab3.token_rewards(s, a.exp(), b.exp(), beta), "should give"),
        (lambda s, a, b, beta: [0] * (len(a) - 1) + [s - beta * (a - b).sum().item()], "by each token itself"),
        (lambda s, a, b, beta: beta * (s * torch.eye(len(a))[-1] - (a - b)), "β multiplies the score"),
    ],
    "lab3.10": [
        (lambda far, near: (far[0] - near[0]) / (far[1] - near[1]), "below 0"),
        (lambda far, near: max(0, (far[0] - near[0]) / far[1]), "*more* counts"),
        (lambda far, near: max(0, far[0] / (far[1] - near[1])), "scores *more*"),
        (lambda far, near: max(0, far[0] / far[1]), "*both*"),
        (lambda far, near: max(0, (far[1] - near[1]) / (far[0] - near[0])) if far[0] != near[0] else 0, "Upside down"),
        (lambda far, near: far[0] / far[1] - near[0] / near[1], "should give"),
        (lambda far, near: abs(far[0] - near[0]) / (far[1] - near[1]), "scores less"),
        (lambda far, near: far[0] - 0.05 * far[1] > near[0] - 0.05 * near[1], "a number"),
        (lambda far, near: 0.05, "should give"),
        (lambda far, near: (far[0] - near[0]) / (far[1] - near[1]) if far[0] >= near[0] else None, "`return`"),
        (lambda far, near: max(0, round((far[0] - near[0]) / (far[1] - near[1]), 2)), "should give"),
        (lambda far, near: (far[0] - near[0]) / (far[1] - near[1]) if far[0] > 0 else 0, "below 0"),
    ],
    "lab3.11": [
        (lambda p, w, r, b: lab3.push(p, w, r, 0), "baseline is missing"),
        (lambda p, w, r, b: [(k == w) * (r - b) for k in range(3)], "Only the logit of the drawn word"),
        (lambda p, w, r, b: [(k == w) * (1 - q) * (r - b) for k, q in enumerate(p)], "0 − p"),
        (lambda p, w, r, b: lab3.push(p, w, b, r), "sign is turned"),
        (lambda p, w, r, b: lab3.push(p, w, 1, 0), "reward is missing"),
        (lambda p, w, r, b: [(1 - q if k == w else q) * (r - b) for k, q in enumerate(p)], "give way"),
        (lambda p, w, r, b: [(1 - q) * (r - b) for q in p], "only one was drawn"),
        (lambda p, w, r, b: [(k == w) / p[w] * (r - b) for k in range(len(p))], "softmax lies between"),
        (lambda p, w, r, b: [x * abs(r - b) for x in lab3.push(p, w, 1, 0)], "with its sign"),
        (lambda p, w, r, b: [x * max(r - b, 0) for x in lab3.push(p, w, 1, 0)], "teaches as well"),
        (lambda p, w, r, b: [x * (r + b) for x in lab3.push(p, w, 1, 0)], "was added"),
        (pushes_in_place, "in place"),
        (lambda p, w, r, b: [p[w] * x for x in lab3.push(p, w, r, b)], "once more"),
        (lambda p, w, r, b: lab3.push(p, w, r, b)[w], "a list of numbers"),
        (lambda p, w, r, b: [abs(x) for x in lab3.push(p, w, r, b)], "should give"),
    ],
    "lab3.5": [
        (lambda r, v, lam: lab3.advantages_of(r, [*v, v[-1]], lam)[: len(r)], "After the last"),
        (lambda r, v, lam: lab3.advantages_of(r, [*v, v[0]], lam)[: len(r)], "*first* value"),
        (lambda r, v, lam: [*lab3.advantages_of(r, v, lam), 0], "One number too many"),
        (runs_over_the_end, "IndexError"),
        (appended, "turned round"),
        (lambda r, v, lam: [sum(r[t:]) - v[t] for t in range(len(r))], "λ changes nothing"),
        (lambda r, v, lam: lab3.advantages_of(r, v, 0), "λ changes nothing"),
        (lambda r, v, lam: [sum(r)], "an advantage per token"),
        (lambda r, v, lam: [a + x for a, x in zip(lab3.advantages_of(r, v, lam), v)], "not taken off"),
        (lambda r, v, lam: lab3.advantages_of(r, [0] * len(r), lam), "No value enters"),
        (changes_rewards, "in place"),
        (lambda r, v, lam: lab3.advantages_of(r, v, lam)[1:], "should give"),
        (lambda r, v, lam: lab3.advantages_of(r, v, 0.95), "should give"),
    ],
    "lab3.6": [
        (lambda log: [np.mean(i["advantages"]) for i in log], "mean 0"),
        (lambda log: [np.std(i["advantages"]) for i in log], "spread"),
        (lambda log: [np.mean(i["kl"]) for i in log], "how far"),
        (lambda log: [np.sum(i["scores"]) for i in log], "mean"),
        (lambda log: [statistics.median(i["scores"]) for i in log], "median"),
        (lambda log: [max(i["scores"]) for i in log], "best answer"),
        (lambda log: [np.mean(i["scores"]) - np.mean(i["kl"]) for i in log], "took the KL off"),
        (lambda log: [np.mean(i["scores"]) - 0.05 * np.mean(i["kl"]) for i in log], "at a price"),
        (lambda log: [np.mean(i["scores"]) - np.mean(log[0]["scores"]) for i in log], "first iteration's mean"),
        (lambda log: float(np.mean([s for i in log for s in i["scores"]])), "a list of numbers"),
        (lambda log: [sum(i["scores"]) / len(log[0]["scores"]) for i in log], "should give"),
    ],
    "lab3.7": [
        (lambda r, a, e: r * a, "Nothing is clipped"),
        (lambda r, a, e: r.clamp(1 - e, 1 + e) * a, "Only clipped"),
        (lambda r, a, e: torch.maximum(r * a, r.clamp(1 - e, 1 + e) * a), "pessimistic"),
        (lambda r, a, e: torch.minimum(r * a, r.clamp(max=1 + e) * a), "lower edge"),
        (lambda r, a, e: torch.minimum(r * a, (r * a).clamp(1 - e, 1 + e)), "*product*"),
        (lambda r, a, e: torch.minimum(r, r.clamp(1 - e, 1 + e)) * a, "smaller *ratio*"),
        (lambda r, a, e: r * a * ((r - 1).abs() <= e + 1e-6), "nothing is left"),
        (lambda r, a, e: lab3.clipped(r, a, e).mean(), "the mean"),
        (lambda r, a, e: torch.min(torch.min(r * a), torch.min(r.clamp(1 - e, 1 + e) * a)), "smallest of all"),
        (lambda r, a, e: -lab3.clipped(r, a, e), "That is a loss"),
        (lambda r, a, e: lab3.clipped(r, a, e).sum(), "the sum"),
        (lambda r, a, e: torch.min(torch.stack([r * a, r.clamp(1 - e, 1 + e) * a]), 0), "returns two things"),
        (lambda r, a, e: r.clamp_(1 - e, 1 + e) * a, "in place"),
        (lambda r, a, e: torch.minimum(r * a, torch.tensor(np.clip(r.detach().numpy(), 1 - e, 1 + e)) * a), "respect to `ratio` is not"),
        (lambda r, a, e: torch.where((r - 1).abs() > e, r.clamp(1 - e, 1 + e) * a, r * a), "Only clipped"),
        (lambda r, a, e: min(r * a, r.clamp(1 - e, 1 + e) * a), "two whole tensors"),
        (lambda r, a, e: lab3.clipped(r, a, e).tolist(), "no gradient"),
        (lambda r, a, e: lab3.clipped(r, a, e).detach().numpy(), "no gradient"),
        (lambda r, a, e: lab3.clipped(r.detach(), a, e) + 0 * r, "respect to `ratio` is not"),
        (lambda r, a, e: lab3.clipped(r, a, 0.2), "another ε"),
        (lambda r, a, e: torch.minimum(r * a, r.clamp(1 / (1 + e), 1 + e) * a), "should give"),
    ],
    "lab3.8": [
        (lambda a, sa, b, sb, n: (a - b) / (sa**2 + sb**2) ** 0.5, "single answers"),
        (lambda a, sa, b, sb, n: (a - b) / ((sa + sb) / n**0.5), "do not add"),
        (lambda a, sa, b, sb, n: lab3.z_score(b, sb, a, sa, n), "before − after"),
        (lambda a, sa, b, sb, n: abs(a - b) / math.sqrt((sa**2 + sb**2) / n), "A rise comes out positive"),
        (lambda a, sa, b, sb, n: (a - b) / a, "relative change"),
        (lambda a, sa, b, sb, n: (a - b) / ((sa**2 + sb**2) ** 0.5 / n), "by √n"),
        (lambda a, sa, b, sb, n: (a - b) / ((sa**2 + sb**2) / n), "root is missing"),
        (lambda a, sa, b, sb, n: (a - b) / (sa / n**0.5), "Only the spread before"),
        (lambda a, sa, b, sb, n: (a - b) / (sb / n**0.5), "Only the spread after"),
        (lambda a, sa, b, sb, n: (a - b) / ((sa + sb) / 2 / n**0.5), "mean of the two standard deviations"),
        (lambda a, sa, b, sb, n: (a - b) / ((sa**2 + sb**2) / (2 * n)) ** 0.5, "errors of both"),
        (lambda a, sa, b, sb, n: (a - b) / ((sa**2 + sb**2) / (n - 1)) ** 0.5, "n − 1"),
        (lambda a, sa, b, sb, n: lab3.z_score(a, sa, b, sb, n) > 2, "a number"),
        (lambda a, sa, b, sb, n: lab3.z_score(a, sa, b, sb, 11), "should give"),
    ],
    "lab3.9": [
        (lambda d, n, s: (np.sum(flips(d, n, s) >= np.mean(d) - 1e-12) + 1) / (n + 1), "One-sided"),
        (lambda d, n, s: (np.sum(flips(d, n, s) <= np.mean(d)) + 1) / (n + 1), "sign patterns"),
        (lambda d, n, s: np.mean(np.abs(flips(d, n, s)) >= abs(np.mean(d)) - 1e-12), "never right"),
        (lambda d, n, s: max(1, np.sum(np.abs(flips(d, n, s)) >= abs(np.mean(d)))) / n, "(0 + 1) / (1,000 + 1)"),
        (lambda d, n, s: 0.05, "sign patterns"),
        (lambda d, n, s: (np.sum(np.abs(flips(d, n, s)) > abs(np.mean(d))) + 1) / (n + 1), "A tie counts"),
        (lambda d, n, s: (np.sum(flips(d, n, s) >= abs(np.mean(d))) + 1) / (n + 1), "absolute value of both"),
        (one_sign_for_all, "one sign for all"),
        (shuffled, "Did you shuffle"),
        (signs_of_0_and_1, "0 and 1"),
        (normal_signs, "gets + or −"),
        (one_seed, "Six seeds"),
        (no_seed, "generator"),
        (lambda d, n, s: scipy.stats.wilcoxon(d).pvalue, "sign patterns"),
        (lambda d, n, s: scipy.stats.ttest_1samp(d, 0).pvalue, "sign patterns"),
    ],
}  # fmt: skip

EQUIVALENT = {}  # every change to a reference is noticed

# ---------------------------------------------------------------- right


def until_the_end(rows, prompt_lengths, eos_id):
    return tuple(tuple(itertools.takewhile(lambda t: t != eos_id, row[max(prompt_lengths) :])) for row in rows)


def accumulated(rewards, values, lam):
    delta = [r + b - a for r, a, b in zip(rewards, values, [*values[1:], 0])]
    return list(itertools.accumulate(delta[::-1], lambda running, d: d + lam * running))[::-1]


def halved(far, near):
    """The price found by halving an interval that holds it."""
    low, high = 0.0, 10.0
    for _ in range(60):
        beta = (low + high) / 2
        leaves = far[0] - beta * far[1] > near[0] - beta * near[1]
        low, high = (beta, high) if leaves else (low, beta)
    return low


def one_generator_for_all(differences, draws, seed):
    np.random.seed(seed)
    seen, count = abs(np.mean(differences)), 0
    for _ in range(draws):
        count += abs(np.mean(np.random.choice([-1, 1], len(differences)) * np.array(differences))) >= seen
    return (count + 1) / (draws + 1)


def loop_over_rows(rows, prompt_lengths, eos_id):
    width, found = max(prompt_lengths), []
    for row in rows:
        answer = []
        for token in row[width:]:
            if token == eos_id:
                break
            answer.append(token)
        found.append(answer)
    return found


def arrays(rows, prompt_lengths, eos_id):
    found = []
    for row in np.asarray(rows)[:, np.max(prompt_lengths) :]:
        ends = np.flatnonzero(row == eos_id)
        found.append(row[: ends[0]] if len(ends) else row)
    return found


def numpy_clip_forbidden(ratio, advantage, epsilon):
    limited = torch.where(ratio > 1 + epsilon, 1 + epsilon, torch.where(ratio < 1 - epsilon, 1 - epsilon, ratio))
    return torch.stack([ratio * advantage, limited * advantage]).amin(0)


def by_cases(ratio, advantage, epsilon):
    best = torch.where(advantage > 0, ratio.clamp(max=1 + epsilon), ratio.clamp(min=1 - epsilon))
    return best * advantage


def weighted_sums(rewards, values, lam):
    n, after = len(rewards), [*values[1:], 0]
    delta = [r + b - a for r, a, b in zip(rewards, values, after)]
    return [sum(lam**k * delta[t + k] for k in range(n - t)) for t in range(n)]


def recursive(rewards, values, lam):
    if not rewards:
        return []
    later = recursive(rewards[1:], values[1:], lam)
    following = values[1] if len(values) > 1 else 0
    return [rewards[0] + following - values[0] + (lam * later[0] if later else 0), *later]


def with_arrays(rewards, values, lam):
    r, v = np.asarray(rewards, float), np.append(values, 0.0)
    out = np.zeros(len(r) + 1)
    for t in range(len(r) - 1, -1, -1):
        out[t] = r[t] + v[t + 1] - v[t] + lam * out[t + 1]
    return out[:-1]


def plain_python_flips(differences, draws, seed):
    generator, n = random.Random(seed), len(differences)
    seen, count = abs(sum(differences)) / n, 0
    for _ in range(draws):
        mean = sum(generator.choice((-1, 1)) * d for d in differences) / n
        count += abs(mean) >= seen - 1e-12
    return (count + 1) / (draws + 1)


def torch_flips(differences, draws, seed):
    d = torch.as_tensor(differences, dtype=torch.float64)
    signs = 2 * torch.randint(0, 2, (draws, len(d)), generator=torch.Generator().manual_seed(seed)) - 1
    return ((signs * d).sum(1).abs() >= d.sum().abs() - 1e-12).sum().add(1) / (draws + 1)


def gradient_of_the_logits(probs, drawn, reward, baseline):
    logits = torch.tensor(probs).log().requires_grad_()
    ((reward - baseline) * logits.log_softmax(0)[drawn]).backward()
    return logits.grad


def equal_worth(far, near):
    """Both are worth s − βk; solved for β."""
    gain, price = np.subtract(far, near)
    return np.maximum(gain / price, 0)


RIGHT = {
    "lab3.1": [
        loop_over_rows,
        until_the_end,
        arrays,
        lambda rows, n, e: [(r[max(n) :] + [e])[: (r[max(n) :] + [e]).index(e)] for r in rows],
        lambda rows, n, e: ([t for t in r[max(n) :] if e not in r[max(n) :]] or r[max(n) :][: r[max(n) :].index(e)] for r in rows),
    ],
    "lab3.2": [
        lambda base, tuned, rl: [base + tuned + rl, base + tuned],
        lambda base, tuned, rl: torch.stack([base + tuned + rl, base + tuned]),
        lambda base, tuned, rl: (sum((base, tuned, rl)).numpy(), (base + tuned).tolist()),
    ],
    "lab3.3": [
        lambda x, n: [row[:k].sum() for row, k in zip(x, n)],
        lambda x, n: [sum(row[:k]) for row, k in zip(x.tolist(), n.tolist())],
        lambda x, n: np.array([np.asarray(row)[: int(k)].sum() for row, k in zip(x, n)]),
        lambda x, n: x.cumsum(1)[torch.arange(len(n)), n - 1],
        lambda x, n: (torch.nan_to_num(x, neginf=0.0) * (torch.arange(x.shape[1]) < n[:, None])).sum(1),
        lambda x, n: x.masked_fill(torch.arange(x.shape[1]) >= n[:, None], 0).sum(-1),
    ],
    "lab3.4": [
        lambda s, a, b, beta: [-beta * (x - y) + s * (i == len(a) - 1) for i, (x, y) in enumerate(zip(a.tolist(), b.tolist()))],
        lambda s, a, b, beta: beta * (b - a) + s * torch.eye(len(a))[-1],
        lambda s, a, b, beta: np.append(beta * (b - a).numpy()[:-1], s - beta * float(a[-1] - b[-1])),
        lambda s, a, b, beta: torch.cat([beta * (b - a)[:-1], (s - beta * (a - b)[-1])[None]]),
    ],
    "lab3.10": [
        equal_worth,
        halved,
        lambda far, near: 0 if far[0] <= near[0] else (far[0] - near[0]) / (far[1] - near[1]),
        lambda far, near: torch.tensor((near[0] - far[0]) / (near[1] - far[1])).clamp(min=0),
    ],
    "lab3.11": [
        gradient_of_the_logits,
        lambda p, w, r, b: (np.eye(len(p))[w] - p) * (r - b),
        lambda p, w, r, b: [(1 - p[k] if k == w else -p[k]) * (r - b) for k in range(len(p))],
        lambda p, w, r, b: tuple((int(k == w) - q) * (r - b) for k, q in enumerate(p)),
    ],
    "lab3.5": [weighted_sums, recursive, accumulated, with_arrays, lambda r, v, lam: torch.tensor(weighted_sums(r, v, lam))],
    "lab3.6": [
        lambda log: [sum(i["scores"]) / len(i["scores"]) for i in log],
        lambda log: np.array([np.mean(i["scores"]) for i in log]),
        lambda log: torch.stack([torch.tensor(i["scores"]).mean() for i in log]),
        lambda log: tuple(statistics.fmean(i["scores"]) for i in log),
    ],
    "lab3.7": [
        numpy_clip_forbidden,
        by_cases,
        lambda r, a, e: r * a - torch.relu(r * a - r.clamp(1 - e, 1 + e) * a),
        lambda r, a, e: torch.min(r * a, torch.clip(r, 1 - e, 1 + e) * a),
        lambda r, a, e: torch.where(r * a < r.clamp(1 - e, 1 + e) * a, r * a, r.clamp(1 - e, 1 + e) * a),
    ],
    "lab3.8": [
        lambda a, sa, b, sb, n: (a - b) / math.hypot(sa / math.sqrt(n), sb / math.sqrt(n)),
        lambda a, sa, b, sb, n: np.sqrt(n) * (a - b) / np.sqrt(sa**2 + sb**2),
        lambda a, sa, b, sb, n: torch.tensor((a - b) / (sa * sa / n + sb * sb / n) ** 0.5),
    ],
    "lab3.9": [
        plain_python_flips,
        torch_flips,
        one_generator_for_all,
        lambda d, draws, seed: (1 + sum(abs(flips(d, draws, seed)) >= abs(np.mean(d)) - 1e-9)) / (1 + draws),
    ],
}  # fmt: skip
