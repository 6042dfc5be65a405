"""Beyond PPO: plausible wrong answers, and right ones in other styles."""

import itertools
import math
import re
from fractions import Fraction

import numpy as np
import torch
from torch.nn import functional as F

from course_utils.exercises import beyond

# ---------------------------------------------------------------- wrong


def visits_every_set(proxy, judged, n):
    sets = itertools.combinations(range(len(proxy)), n)
    return float(np.mean([judged[max(s, key=lambda i: proxy[i])] for s in sets]))


def visits_every_set_of_pairs(proxy, judged, n):
    total = count = 0
    for some in itertools.combinations(zip(proxy, judged), n):
        total, count = total + max(some)[1], count + 1
    return total / count


def visits_every_set_in_one_array(proxy, judged, n):
    order = np.argsort(proxy)
    sets = np.fromiter(itertools.chain.from_iterable(itertools.combinations(range(len(proxy)), n)), np.int16)
    return np.asarray(judged, float)[order][sets.reshape(-1, n).max(1)].mean()


def draws_sets(proxy, judged, n):
    generator = np.random.default_rng(0)
    sets = [generator.choice(len(proxy), n, replace=False) for _ in range(2_000)]
    return float(np.mean([judged[max(s, key=lambda i: proxy[i])] for s in sets]))


def token_log_probs(logits, tokens, temperature):
    return (logits / temperature).log_softmax(-1).gather(-1, tokens[..., None])[..., 0]


def zeroes_in_place(logits, tokens, answer_mask, temperature):
    logits[~answer_mask] = 0.0
    return token_log_probs(logits, tokens, temperature).mul(answer_mask).sum(1)


def nan_to_num_of_minus_infinity(logits, tokens, answer_mask, temperature):
    found = token_log_probs(logits, tokens, temperature)
    return (torch.where(found == float("-inf"), 0.0, found) * answer_mask).sum(1)


def grpo_with(kl=lambda d: d.exp() - d - 1, clipped=True, per_token=False):
    def loss(log_probs, old, reference, advantages, mask, beta, clip):
        ratio, a, d = (log_probs - old).exp(), advantages[:, None], reference - log_probs
        gain = torch.minimum(ratio * a, ratio.clamp(1 - clip, 1 + clip) * a) if clipped else ratio * a
        value = torch.where(mask, gain - beta * kl(d), 0.0)
        return -(value.sum() / mask.sum() if per_token else (value.sum(1) / mask.sum(1)).mean())

    return loss


def remove(text, insults, fold=str.lower):
    return " ".join(w for w in text.split() if fold(w).strip(".,") not in insults)


def tidy(text):
    return re.sub(r"\s+([,.;:!?])", r"\1", re.sub(" +", " ", text)).strip()


def pattern(insults, escape=re.escape):
    return r"(?<!\w)(?:" + "|".join(map(escape, insults)) + r")(?!\w)"


def replaces_between_spaces(text, insults):
    for word in insults:
        text = re.sub(" " + re.escape(word) + " ", " ", text, flags=re.I)
    return text


def halves_spaces_once(text, insults):
    text = re.sub(pattern(insults), "", text, flags=re.I).replace("  ", " ")
    for mark in ",.;:!?":
        text = text.replace(" " + mark, mark)
    return text.strip()


PLANTED = {
    "beyond.1": [
        (lambda p, j, n: beyond.best_of_n(j, j, n), "let the judge choose"),
        (lambda p, j, n: beyond.best_of_n(p, p, n), "the proxy's own value"),
        (lambda p, j, n: beyond.best_of_n([-x for x in p], j, n), "likes *least*"),
        (lambda p, j, n: beyond.best_of_n(j, p, n), "exchanged"),
        (lambda p, j, n: j[int(np.argmax(p[:n]))], "one draw"),
        (lambda p, j, n: sum(j[k] * ((i + 1) ** n - i**n) for i, k in enumerate(np.argsort(p))) / len(p) ** n, "with replacement"),
        (lambda p, j, n: np.mean(j), "plain mean"),
        (lambda p, j, n: np.mean([b for _, b in sorted(zip(p, j))[-n:]]), "likes best"),
        (lambda p, j, n: sum(x * math.comb(i, n - 1) for i, x in enumerate(j)) / math.comb(len(j), n), "the same way"),
        (draws_sets, "should give"),
        (visits_every_set, "*count* the sets"),
        (visits_every_set_of_pairs, "*count* the sets"),
        (visits_every_set_in_one_array, "*count* the sets"),
        (lambda p, j, n: max(zip(p, j)), "a number"),
    ],
    "beyond.7": [
        (lambda p, js: [k for k, (low, high, _) in js.items() if high < 0 and p[0] > 0], "go *down*"),
        (lambda p, js: [k for k in js if p[0] > 0 and k not in beyond.exploited(p, js)], "should give"),
        (lambda p, js: beyond.exploited((1, 2), js), "nothing was pushed"),
        (lambda p, js: sorted(beyond.exploited(p, js)), "another order"),
        (lambda p, js: beyond.exploited((p[1], p[1]), js), "*whole* interval is above 0"),
        (lambda p, js: beyond.exploited(p, {k: (low, high, "up" if w == "down" else "down") for k, (low, high, w) in js.items()}), "*better*"),
        (lambda p, js: [k for k, (low, high, w) in js.items() if p[0] > 0 and (low < 0 if w == "up" else high > 0)], "convicts nobody"),
        (lambda p, js: [k for k, (low, high, w) in js.items() if p[0] > 0 and (low + high < 0 if w == "up" else low + high > 0)], "middle"),
        (lambda p, js: [k for k, (low, high, w) in js.items() if p[0] > 0 and (high <= 0 if w == "up" else low >= 0)], "ends *at* 0"),
        (lambda p, js: [k for k, (low, high, w) in js.items() if p[0] > 0 and not low <= 0 <= high], "whichever direction"),
        (lambda p, js: len(beyond.exploited(p, js)) > 0, "a list of texts"),
    ],
    "beyond.2": [
        (lambda a, b, c, d, beta: beyond.dpo(b, a, d, c, beta), "exchanged"),
        (lambda a, b, c, d, beta: beyond.dpo(c, d, a, b, beta), "or policy and reference"),
        (lambda a, b, c, d, beta: -F.logsigmoid(beta * (a - b)).mean(), "reference is missing"),
        (lambda a, b, c, d, beta: beyond.dpo(a, b, c, d, 1.0), "β is missing"),
        (lambda a, b, c, d, beta: -F.logsigmoid(beta * (a - c - b + d)), "one number"),
        (lambda a, b, c, d, beta: -beyond.dpo(a, b, c, d, beta), "The sign"),
        (lambda a, b, c, d, beta: len(a) * beyond.dpo(a, b, c, d, beta), "the sum"),
        (lambda a, b, c, d, beta: -torch.log(torch.sigmoid(beta * (a - c - b + d))).mean(), "leaves the range"),
        (lambda a, b, c, d, beta: torch.log(1 + torch.exp(-beta * (a - c - b + d))).mean(), "leaves the range"),
        (lambda a, b, c, d, beta: 1 - torch.sigmoid(beta * (a - c - b + d)).mean(), "logarithm is missing"),
        (lambda a, b, c, d, beta: -F.logsigmoid(beta * (a - c)).mean(), "Only the chosen"),
        (lambda a, b, c, d, beta: -F.logsigmoid(beta * (a - c - b + d).mean()), "mean comes last"),
        (lambda a, b, c, d, beta: -torch.log(torch.sigmoid(beta * (a - c - b + d)) + 1e-8).mean(), "A margin of"),
        (lambda a, b, c, d, beta: -F.logsigmoid((beta * (a - c - b + d)).clamp(-20, 20)).mean(), "A margin of"),
        (lambda a, b, c, d, beta: beyond.dpo(a, b, c, d, beta).item(), "no gradient flows from it to `policy_chosen`"),
        (lambda a, b, c, d, beta: beyond.dpo(a, b.detach(), c, d, beta), "`policy_rejected`"),
    ],
    "beyond.3": [
        (lambda z, t, m, T: token_log_probs(z, t, 1).mean(1), "and the temperature does nothing"),
        (lambda z, t, m, T: token_log_probs(z, t, T).mean(1), "All tokens still count"),
        (lambda z, t, m, T: token_log_probs(z, t, T).sum(1), "All tokens still count"),
        (lambda z, t, m, T: beyond.answer_log_prob(z, t, m, 1.0), "temperature does nothing yet"),
        (lambda z, t, m, T: torch.where(m, (z / T).softmax(-1).gather(-1, t[..., None]).squeeze(-1).log(), 0.0).sum(1), "too small"),
        (lambda z, t, m, T: beyond.answer_log_prob(z, t, m, 1 / T), "not multiplied"),
        (lambda z, t, m, T: beyond.answer_log_prob(z, t, m, 1.0) / T, "before the softmax"),
        (lambda z, t, m, T: beyond.answer_log_prob(z, t, m, T) / m.sum(1), "is a *sum*"),
        (lambda z, t, m, T: (token_log_probs(z, t, T) * m).sum(1), "NaN"),
        (nan_to_num_of_minus_infinity, "NaN"),
        (zeroes_in_place, "in place"),
        (lambda z, t, m, T: beyond.answer_log_prob(z, t, m, T).sum(), "one per row"),
        (lambda z, t, m, T: beyond.answer_log_prob(z[:, :-1], t[:, 1:], m[:, 1:], T), "Shifted by one"),
        (lambda z, t, m, T: beyond.answer_log_prob(z, z.argmax(-1), m, T), "likeliest token"),
        (lambda z, t, m, T: (z / T).log_softmax(1).gather(-1, t[..., None])[..., 0].masked_fill(~m, 0).sum(1), "*vocabulary*"),
        (lambda z, t, m, T: (token_log_probs(z, t, T).exp() * m).sum(1), "should give"),
        (lambda z, t, m, T: beyond.answer_log_prob(z, t, m, T).tolist(), "no gradient"),
    ],
    "beyond.8": [
        (lambda c, r, s: next((n for n, x in enumerate(c) if x < -s), None), "margin is missing"),
        (lambda c, r, s: beyond.displaced(c, r, 0), "slack is ignored"),
        (lambda c, r, s: next((n for n, (x, y) in enumerate(zip(c, r)) if x < 0 and x - y > s), None), "not to the margin"),
        (lambda c, r, s: next((n for n, (x, y) in enumerate(zip(c, r)) if max(x, y) < -s), None), "Both below 0"),
        (lambda c, r, s: next((n for n, (x, y) in enumerate(zip(c, r)) if x > y), None), "*likelier* than the rejected"),
        (lambda c, r, s: next((n for n in range(1, len(c)) if c[n] < c[n - 1] - s and c[n] > r[n]), None), "from one update to the next"),
        (lambda c, r, s: next((n for n, (x, y) in enumerate(zip(c, r)) if y < x <= -s), None), "Exactly the slack"),
        (lambda c, r, s: next((n for n, (x, y) in enumerate(zip(c, r)) if y <= x < -s), None), "margin of exactly 0"),
        (lambda c, r, s: next((n for n, (x, y) in enumerate(zip(c, r), 1) if y < x < -s), None), "counted from 0"),
        (lambda c, r, s: next((n for n, (x, y) in enumerate(zip(c, r)) if y < x < -s), -1), "Return None"),
        (lambda c, r, s: max((n for n, (x, y) in enumerate(zip(c, r)) if y < x < -s), default=None), "the last such"),
        (lambda c, r, s: next((n for n, (x, y) in enumerate(zip(c, r)) if y < x < s), None), "should give"),
        (lambda c, r, s: int(np.argmax((np.array(c) > np.array(r)) & (np.array(c) < -s))), "Both get likelier"),
        (lambda c, r, s: next((n for n, (x, y) in enumerate(zip(c, r)) if y < x < c[0] - s), None), "Exactly the slack"),
        (lambda c, r, s: c[-1] < -s and c[-1] > r[-1], "a whole number"),
    ],
    "beyond.4": [
        (lambda s: (s - s.mean()) / s.std(), "whole batch"),
        (lambda s: (s - s.mean(0)) / s.std(0), "*different* dialogues"),
        (lambda s: s - s.mean(1, keepdim=True), "not divided"),
        (lambda s: (s - s.mean(1, keepdim=True)) / s.std(1, keepdim=True), "spread of 0"),
        (lambda s: torch.zeros_like(s) if (s.std(1) < 1e-6).any() else beyond.advantages(s), "*one* group's"),
        (lambda s: beyond.advantages(s) * (s.shape[1] / (s.shape[1] - 1)) ** 0.5, "divides by n − 1"),
        (lambda s: -beyond.advantages(s), "*good* news"),
        (lambda s: ((s - s.mean()) / s.std(1, keepdim=True)).nan_to_num(0), "should give"),
        (lambda s: beyond.advantages(s).flatten(), "should give"),
    ],
    "beyond.5": [
        (lambda *a: -beyond.grpo(*a), "The sign"),
        (grpo_with(per_token=True), "all tokens at once"),
        (grpo_with(clipped=False), "Nothing is clipped"),
        (grpo_with(kl=lambda d: -d), "k1"),
        (grpo_with(kl=lambda d: (-d).exp() + d - 1), "turned round"),
        (grpo_with(kl=lambda d: d**2 / 2), "not k2"),
        (lambda new, o, r, a, m, beta, clip: beyond.grpo(new, o, r, a, m, 0.0, clip), "is missing"),
        (lambda new, o, r, a, m, beta, clip: beyond.grpo(new, o, r, a, m, 1.0, clip), "β is missing"),
        (lambda new, o, r, a, m, beta, clip: beyond.grpo(new, o, r, a, m, -beta, clip), "*pay* the policy"),
        (lambda new, o, r, a, m, beta, clip: beyond.grpo(new, r, r, a, m, beta, clip), "*old* policy"),
        (lambda new, o, r, a, m, beta, clip: beyond.grpo(new, o, o, a, m, beta, clip), "*reference*"),
        (lambda new, o, r, a, m, beta, clip: beyond.grpo(new, o, r, a, torch.ones_like(m), beta, clip), "mask does nothing"),
        (lambda new, o, r, a, m, beta, clip: beyond.grpo(new, o, r, a, m, beta, 0.2), "should give"),
        (lambda new, o, r, a, m, beta, clip: beyond.grpo(new, o, r, a, m, beta, clip).item(), "no gradient"),
    ],
    "beyond.9": [
        (lambda train, each, n: None if n == 1 else math.floor(train / (n * each)) + 1, "n − 1 texts *more*"),
        (lambda train, each, n: None if n == 1 else math.ceil(train / ((n - 1) * each)), "Level is not cheaper"),
        (lambda train, each, n: None if n == 1 else math.ceil((train + 1) / ((n - 1) * each)), "may be a fraction"),
        (lambda train, each, n: None if n == 1 or not train else math.floor(train / ((n - 1) * each)) + 1, "costs nothing"),
        (lambda train, each, n: None if n == 1 else int(train // ((n - 1) * each)), "Rounded down"),
        (lambda train, each, n: None if n == 1 else round(train / ((n - 1) * each)), "Round up"),
        (lambda train, each, n: None if n == 1 else math.floor(train / each) + 1, "n does not enter"),
        (lambda train, each, n: math.floor(train / ((n - 1) * each)) + 1, "raised ZeroDivisionError"),
        (lambda train, each, n: None if n == 1 else train / ((n - 1) * each), "a whole number"),
        (lambda train, each, n: 0 if n == 1 else beyond.pays_off(train, each, n), "Nothing to choose from"),
    ],
    "beyond.6": [
        (lambda t, words: re.sub(pattern(words), "", t).strip(), "should give"),
        (lambda t, words: tidy(re.sub(pattern(words), "", t)), "Capitals"),
        (lambda t, words: tidy(re.sub("|".join(map(re.escape, words)), "", t, flags=re.I)), "pesto"),
        (lambda t, words: " ".join(w for w in t.split() if w.lower() not in {x.lower() for x in words}), "stayed"),
        (lambda t, words: " ".join(w for w in t.split() if w.lower().strip(".,;:!?") not in {x.lower() for x in words}), "went with the insult"),
        (lambda t, words: tidy(re.sub(pattern(words), "", t, count=1, flags=re.I)), "Only the first insult"),
        (lambda t, words: tidy(re.sub(pattern(words, str), "", t, flags=re.I)), "star"),
        (replaces_between_spaces, "should give"),
        (lambda t, words: " ".join(re.sub(pattern(words), "", t, flags=re.I).split()), "A space is left"),
        (lambda t, words: re.sub(pattern(words), "", t, flags=re.I), "tidy them"),
        (lambda t, words: remove(t, words, str), "should give"),
        (lambda t, words: "" if any(w in t.lower() for w in words) else t, "should give"),
        (lambda t, words: t, "came back as it was"),
        (lambda t, words: re.sub(r" ([,.;:!?])", r"\1", re.sub(r"\s+", " ", re.sub(pattern(words), "", t, flags=re.I))), "at the beginning or at the end"),
        (lambda t, words: re.sub(r" ([,.])", r"\1", " ".join(re.sub(pattern(words), "", t, flags=re.I).split())), "any of the marks"),
        (lambda t, words: re.sub(r" ([,.;:!?-])", r"\1", tidy(re.sub(pattern(words), "", t, flags=re.I))), "Before a dash"),
        (lambda t, words: tidy(re.sub(pattern(words), "", t, flags=re.I)).replace("'", ""), "Before a dash"),
        (lambda t, words: tidy(re.sub(rf"(?<![\w-])(?:{'|'.join(map(re.escape, words))})s?(?![\w-])", "", t, flags=re.I)), "'clowns' is not"),
        (halves_spaces_once, "several words in a row"),
        (lambda t, words: [w for w in t.split() if w.lower() not in words], "a text"),
    ],
}  # fmt: skip

EQUIVALENT = {
    "beyond.4": {
        "spread > 1e-06 → spread >= 1e-06": "no spread is exactly 1e-6",
        "1e-06 → 1.1e-06": "where a spread is rounding lies far below any difference of scores",
        "1e-06 → 9e-07": "the same",
        "1e-06 → 1.1e-06 (2)": "only spreads that torch.where leaves out are raised to it",
        "1e-06 → 9e-07 (2)": "the same",
        "spread.clamp(min=1e-06) → spread": "torch.where takes 0 where the spread is 0, whatever 0 / 0 is",
    },
}

# ---------------------------------------------------------------- right


def exact_fractions(proxy, judged, n):
    ranked = [value for _, value in sorted(zip(proxy, judged))]
    total = math.comb(len(ranked), n)
    return float(sum(Fraction(math.comb(i, n - 1), total) * Fraction(float(v)) for i, v in enumerate(ranked)))


def by_factors(proxy, judged, n):
    """The chance that all n lie among the lowest i + 1, less that among the lowest i."""
    size, order = len(proxy), sorted(range(len(proxy)), key=lambda i: proxy[i])

    def inside(k):
        return math.prod((k - m) / (size - m) for m in range(n)) if k >= n else 0.0

    return sum(judged[i] * (inside(k + 1) - inside(k)) for k, i in enumerate(order))


def from_the_best_down(proxy, judged, n):
    """The best of the pool is in the set with chance n / N; if it is not, the next one may be the best, and so on."""
    total, none_so_far = 0.0, 1.0
    for rank, i in enumerate(np.argsort(-np.asarray(proxy))):
        here = min(1, n / (len(proxy) - rank))
        total, none_so_far = total + none_so_far * here * judged[i], none_so_far * (1 - here)
    return total


def row_by_row(scores):
    out = []
    for row in scores.tolist():
        mean = sum(row) / len(row)
        spread = (sum((x - mean) ** 2 for x in row) / (len(row) - 1)) ** 0.5
        out.append([(x - mean) / spread if spread > 1e-8 else 0.0 for x in row])
    return out


def numpy_groups(scores):
    s = np.asarray(scores)
    return (s - s.mean(1, keepdims=True)) / (s.std(1, ddof=1, keepdims=True) + 1e-6)


def with_cross_entropy(logits, tokens, answer_mask, temperature):
    rows = []
    for z, t, m in zip(logits, tokens, answer_mask):
        rows.append(-F.cross_entropy(z[m] / temperature, t[m], reduction="sum"))
    return torch.stack(rows)


def with_logsumexp(logits, tokens, answer_mask, temperature):
    z = logits.masked_fill(~answer_mask[..., None], 0.0) / temperature
    found = z.gather(2, tokens.unsqueeze(2)).squeeze(2) - z.logsumexp(2)
    return (found * answer_mask).sum(dim=1)


def one_answer_at_a_time(log_probs, old, reference, advantages, mask, beta, clip):
    losses = []
    for new, was, ref, a, m in zip(log_probs, old, reference, advantages, mask):
        ratio, d = torch.exp(new[m] - was[m]), ref[m] - new[m]
        gain = torch.min(ratio * a, torch.clamp(ratio, 1 - clip, 1 + clip) * a)
        losses.append((beta * (torch.exp(d) - d - 1) - gain).mean())
    return sum(losses) / len(losses)


def by_the_sign_of_the_advantage(log_probs, old, reference, advantages, mask, beta, clip):
    ratio, a, d = torch.exp(log_probs - old), advantages.view(-1, 1), reference - log_probs
    gain = torch.where(a > 0, ratio.clamp(max=1 + clip), ratio.clamp(min=1 - clip)) * a
    return ((beta * (torch.expm1(d) - d) - gain) * mask).sum(-1).div(mask.sum(-1)).mean()


def counts_up(training_tokens, tokens_per_answer, n):
    if n < 2:
        return None
    answers = 1
    while answers * n * tokens_per_answer <= training_tokens + answers * tokens_per_answer:
        answers += 1
    return answers


def word_by_word(text, insults):
    low, kept = {w.lower() for w in insults}, []
    for word in text.split():
        bare = word.rstrip(",.;:!?")
        if bare.lower() not in low:
            kept.append(word)
        elif word != bare and kept:
            kept[-1] += word[len(bare) :]
        elif word != bare:
            kept.append(word[len(bare) :])
    return " ".join(kept)


def one_insult_after_the_other(text, insults):
    for word in insults:
        text = re.sub(r"\s*\b" + re.escape(word) + r"\b", "", text, flags=re.I)
    return text.strip()


RIGHT = {
    "beyond.1": [
        exact_fractions,
        by_factors,
        from_the_best_down,
        lambda p, j, n: np.dot([math.comb(i, n - 1) for i in range(len(p))], np.array(j, float)[np.argsort(p)]) / math.comb(len(p), n),
        lambda p, j, n: torch.tensor([j[k] * math.comb(i, n - 1) / math.comb(len(p), n) for i, k in enumerate(np.argsort(p))], dtype=torch.float64).sum(),
    ],
    "beyond.7": [
        lambda p, js: [k for k, (low, high, w) in js.items() if p[0] > 0 and ((w == "up" and high < 0) or (w == "down" and low > 0))],
        lambda p, js: tuple(k for k, v in js.items() if p[0] > 0 and {"up": -v[1], "down": v[0]}[v[2]] > 0),
        lambda p, js: (k for k in js if min(p) > 0 and (max(js[k][:2]) < 0) * (js[k][2] == "up") + (min(js[k][:2]) > 0) * (js[k][2] == "down")),
    ],
    "beyond.2": [
        lambda a, b, c, d, beta: F.cross_entropy(torch.stack([beta * (a - c), beta * (b - d)], 1), torch.zeros(len(a)).long()),
        lambda a, b, c, d, beta: F.softplus(-beta * ((a - b) - (c - d))).mean(),
        lambda a, b, c, d, beta: sum(-F.logsigmoid(beta * (w - x - y + z)) for w, x, y, z in zip(a, b, c, d)) / len(a),
        lambda a, b, c, d, beta: torch.logaddexp(torch.zeros_like(a), beta * (b - d - a + c)).mean(),
    ],
    "beyond.3": [
        with_cross_entropy,
        with_logsumexp,
        lambda z, t, m, T: -F.cross_entropy((z / T).flatten(0, 1), t.masked_fill(~m, -100).flatten(), reduction="none").view(t.shape).sum(1),
        lambda z, t, m, T: (token_log_probs(z, t, T).nan_to_num(0.0, 0.0, 0.0) * m).sum(1),
        lambda z, t, m, T: torch.stack([token_log_probs(z, t, T)[i][m[i]].sum() for i in range(len(z))]),
        lambda z, t, m, T: [sum((z[i, k] / T).log_softmax(0)[t[i, k]] for k in range(z.shape[1]) if m[i, k]) for i in range(len(z))],
    ],
    "beyond.8": [
        lambda c, r, s: next((n for n in range(len(c)) if r[n] < c[n] < -s), None),
        lambda c, r, s: min((n for n, (x, y) in enumerate(zip(c, r)) if x + s < 0 < x - y), default=None),
        lambda c, r, s: (lambda hits: hits[0] if len(hits) else None)(np.flatnonzero((np.array(c) < -s) & (np.array(c) > np.array(r)))),
    ],
    "beyond.4": [
        row_by_row,
        numpy_groups,
        lambda s: torch.nan_to_num((s - s.mean(-1)[:, None]) / s.std(-1)[:, None], nan=0.0),
        lambda s: torch.stack([(g - g.mean()) / g.std() if g.std() > 0 else g * 0 for g in s]),
    ],
    "beyond.5": [
        one_answer_at_a_time,
        by_the_sign_of_the_advantage,
        lambda p, o, r, a, m, beta, clip: -(((torch.min((p - o).exp() * a[:, None], (p - o).exp().clip(1 - clip, 1 + clip) * a[:, None]) - beta * ((r - p).exp() - (r - p) - 1)) * m).sum(1) / m.sum(1)).mean(),
    ],
    "beyond.9": [
        counts_up,
        lambda train, each, n: None if n == 1 else 1 + int(train // (each * (n - 1))),
        lambda train, each, n: np.floor(train / each / (n - 1)) + 1 if n > 1 else None,
    ],
    "beyond.6": [
        word_by_word,
        one_insult_after_the_other,
        lambda t, words: tidy(re.sub(pattern(words), "", t, flags=re.I)),
        lambda t, words: tidy(re.sub(r"\b(?:" + "|".join(map(re.escape, words)) + r")\b", "", t, flags=re.IGNORECASE)),
    ],
}  # fmt: skip
