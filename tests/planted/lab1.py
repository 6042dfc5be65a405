"""Wrong and right answers to Lab 1: PLANTED, id → [(answer, words of the message)]; RIGHT, id → [answer]."""

import random
import re
from collections import Counter

import numpy as np
import torch

from course_utils import decoding
from course_utils.exercises import lab1
from course_utils.metrics import interval, paired


def block(examples, dialogue, head="", tail="Summary:"):
    return (
        head
        + "".join(f"{e['dialogue']}\nSummary: {e['summary']}\n\n" for e in examples)
        + f"{dialogue}\n{tail}"
    )


def top_p_without_crossing(probs, p):
    keep = probs.cumsum(0) <= p
    return torch.nan_to_num(probs * keep / (probs * keep).sum(), nan=0.0)


def top_p_sorted_only(probs, p):
    kept = probs * (probs.cumsum(0) - probs < p)
    return kept / kept.sum()


def top_p_unnormalised(probs, p):
    return probs * (probs.cumsum(0) - probs < p)


def divide_all(logits, seen, penalty):
    out = logits.clone()
    out[list(set(seen))] /= penalty
    return out


def punish_each_time(logits, seen, penalty):
    out = logits.clone()
    for t in seen:
        out[t] = out[t] / penalty if out[t] > 0 else out[t] * penalty
    return out


def in_place(logits, seen, penalty):
    logits[0] = 1.5
    logits[1] = -4.0
    return logits


def draw(rows, k, rng, replace=False):
    rows = list(rows)
    return [rows[i] for i in rng.choice(len(rows), k, replace=replace)]


def allowed(train, test):
    texts = [row["dialogue"] for row in test]
    return [row for row in train if row["dialogue"] not in texts]


def next_to_each_other(train, test, k, seed):
    rows = allowed(train, test)
    start = random.Random(seed).randrange(len(rows) - k + 1)
    return rows[start : start + k]


def by_permutation(train, test, k, seed):
    rows = allowed(train, test)
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))
    return [rows[i] for i in order[:k].tolist()]


def by_rejection(train, test, k, seed):
    rng, used, chosen = random.Random(seed), {row["dialogue"] for row in test}, []
    while len(chosen) < k:
        row = rng.choice(train)
        if row["dialogue"] not in used and row not in chosen:
            chosen.append(row)
    return chosen


def without_end_check(lengths, question, answer, context):
    lengths, n, room = sorted(lengths), 0, context - question - answer
    while room >= lengths[n]:
        room -= lengths[n]
        n += 1
    return n


def per_dialogue(combine):
    def f(a, b, ids):
        means = [[combine(np.asarray(x)[np.asarray(ids) == u]) for u in sorted(set(ids))] for x in (a, b)]
        return paired(*means, unit="dialogue")

    return f


def softmax_numpy(logits, temperature):
    x = np.asarray(logits, dtype=np.float64) / temperature
    e = np.exp(x - x.max())
    return e / e.sum()


def clamped(low, high):
    def f(logits, temperature):
        e = (logits / temperature).clamp(low, high).exp()
        return e / e.sum()

    return f


def softmax_loop(logits, temperature):
    top = max(logits)
    powers = [2.718281828459045 ** float((z - top) / temperature) for z in logits]
    return [e / sum(powers) for e in powers]


def below_minus_one(logits, seen, penalty):
    out = logits.clone()
    for i in set(seen):
        out[i] = out[i] / penalty if out[i] > -1 else out[i] * penalty
    return out


def penalty_where(logits, seen, penalty):
    mask = torch.zeros(len(logits), dtype=torch.bool)
    mask[torch.tensor(seen, dtype=torch.long)] = True
    return torch.where(mask, torch.where(logits < 0, logits * penalty, logits / penalty), logits)


def penalty_numpy(logits, seen, penalty):
    z = np.array(logits)
    rows = np.unique(np.array(seen, dtype=int))
    z[rows] = np.where(z[rows] > 0, z[rows] / penalty, z[rows] * penalty)
    return z


def top_p_numpy(probs, p):
    probs = np.asarray(probs, dtype=np.float64)
    order = np.argsort(-probs)
    sums = np.cumsum(probs[order])
    kept = order[(sums - probs[order]) < p]
    out = np.zeros_like(probs)
    out[kept] = probs[kept]
    return out / out.sum()


def top_p_loop(probs, p):
    kept, total = set(), 0.0
    for i in sorted(range(len(probs)), key=lambda i: -float(probs[i])):
        kept.add(i)
        total += float(probs[i])
        if total >= p:
            break
    return [float(probs[i]) / total if i in kept else 0.0 for i in range(len(probs))]


def top_p_in_place(probs, p):
    probs[:] = lab1.top_p_row(probs, p)
    return probs


def beams_by_topk(beams, log_probs, width):
    totals = torch.stack([log_probs(ids).double() + total for ids, total in beams])
    best, places = totals.flatten().topk(min(width, totals.numel()))
    return [(torch.tensor([*beams[i // totals.shape[1]][0], i % totals.shape[1]]), total) for total, i in zip(best, places.tolist())]


def count_by_walking(ids, eos_id):
    n = 0
    for id in ids:
        n += 1
        if id == eos_id:
            break
    return n


def distinct_by_counter(texts):
    pairs = Counter()
    for text in texts:
        words = text.split(" ")
        pairs.update((words[i], words[i + 1]) for i in range(len(words) - 1))
    return len(pairs) / pairs.total() if pairs.total() else 0


def means_of_draws(values, draws, seed, size=0, replace=True):
    rng = np.random.default_rng(seed)
    return [rng.choice(values, size or len(values), replace=replace).mean() for _ in range(draws)]


def limits(means, low=2.5, high=97.5):
    return np.percentile(means, [low, high])


def bootstrap_plain(values, draws, seed):
    dice, means = random.Random(seed), []
    for _ in range(draws):
        again = [dice.choice(values) for _ in values]
        means.append(sum(again) / len(again))
    means.sort()
    return means[int(0.025 * draws)], means[int(0.975 * draws)]


def bootstrap_at_once(values, draws, seed):
    picks = torch.randint(len(values), (draws, len(values)), generator=torch.Generator().manual_seed(seed))
    return torch.tensor(values)[picks].mean(1).quantile(torch.tensor([0.025, 0.975]))


def drawn_by_walking(probs, u):
    total = 0.0
    for id, p in enumerate(probs):
        total += float(p)
        if u < total:
            return id


def top_k_numpy(logits, k):
    logits = np.asarray(logits, dtype=float)
    out = np.full_like(logits, -np.inf)
    best = np.argsort(-logits)[:k]
    out[best] = logits[best]
    return out


def top_k_in_place(logits, k):
    logits[logits < logits.sort().values[-min(k, len(logits))]] = -torch.inf
    return logits


PLANTED = {
    "lab1.1": [
        ("Summarize: Ana: Rain? Bo: Until noon.", "no {dialogue}"),
        ("{dialogue} and again {dialogue}: summarise in one line", "2 times"),
        ("{dialogue}", "next to no words"),
        (42, "a text"),
        ("Summarise in one line: {{dialogue}}", "single braces"),
        ("Summarise this: {dialogue} The summary is: {summary}", "{summary}"),
        ("Summarise {Dialogue} in one line", "no {dialogue}"),
    ],
    "lab1.2": [
        (lambda e, d: block(e, d, tail=""), "nothing more"),
        (lambda e, d: "".join(f"{x['dialogue']}\nSummary: {x['summary']}" for x in e) + d + "\nSummary:", "an empty line before the next"),
        (lambda e, d: block(e, d).replace("Summary: ", "Summary:"), "a blank behind the colon"),
        (lambda e, d: block(e, d).replace(d + "\nSummary:", d + " Summary:"), "line of its own"),
        (lambda e, d: "\n\n".join([x["dialogue"] for x in e] + [d + "\nSummary:"]), "unanswered"),
        (lambda e, d: block([], d) + "\n\n" + block(e, "")[:-8], "open question comes first"),
        (lambda e, d: "".join(f"Summary: {x['summary']}\n{x['dialogue']}\n" for x in e) + d + "\nSummary:", "before its dialogue"),
        (lambda e, d: lab1.few_shot(e[::-1], d), "another order"),
        (lambda e, d: lab1.few_shot(e, d).replace("\n\n", "\n"), "blank line"),
        (lambda e, d: block(e, d, head="Summarise.\n\n"), "begins with something else"),
        (lambda e, d: [lab1.few_shot(e, d)], "a text"),
    ],
    "lab1.3": [
        (lambda a, b, k, s: draw([*a, *b], k, np.random.default_rng(s)), "test split"),
        (lambda a, b, k, s: draw(a, k, np.random.default_rng(s)), "compare the texts"),
        (lambda a, b, k, s: random.Random(s).sample(list(a), k), "compare the texts"),
        (lambda a, b, k, s: draw(allowed(a, b), k, np.random.default_rng(s), True), "twice"),
        (lambda a, b, k, s: allowed(a, b)[:k], "same few examples"),
        (lambda a, b, k, s: random.Random(s).sample(range(len(a)), k), "wanted: a list of rows"),
        (next_to_each_other, "side by side"),
        (lambda a, b, k, s: [*allowed(a, b), *allowed(a, b)][s % 12 :][:k], "side by side"),
        (lambda a, b, k, s: draw(allowed(a, b), 3, np.random.default_rng(s)), "Asked for 4"),
        (lambda a, b, k, s: random.sample(allowed(a, b), k), "two different draws"),
        (lambda a, b, k, s: draw([r for r in a if r not in b], k, np.random.default_rng(s)), "compare the texts"),
    ],
    "lab1.4": [
        (lambda e, q, m, c: sum(np.cumsum(sorted(e)) <= c), "fill the window"),
        (lambda e, q, m, c: sum(np.cumsum(sorted(e)) + q <= c), "*answer*"),
        (lambda e, q, m, c: sum(np.cumsum(sorted(e)) + m <= c), "the question needs some"),
        (lambda e, q, m, c: sum(np.cumsum(sorted(e)) + q + m < c), "exactly"),
        (lambda e, q, m, c: sum(np.cumsum(e) + q + m <= c), "in which they came"),
        (lambda e, q, m, c: (c - q - m) // 100, "should give"),
        (lambda e, q, m, c: min(len(e), max(0, (c - q - m) // e[0])) if e else 0, "as long as the first"),
        (without_end_check, "raised IndexError"),
        (lambda e, q, m, c: [n for n in e if n <= c - q - m], "a whole number"),
        (lambda e, q, m, c: sum(n <= c - q - m for n in e), "fit *alone*"),
    ],
    "lab1.15": [
        ([3, 4], "yours has 2"),
        ([3, 4, 5, 6], "yours has 4"),
        ([3, 3, 8], "there twice"),
        ([0, 4, 5], "take others"),
        ([4, 6, 9], "3 to 8"),
        ([-1, 4, 6], "3 to 8"),
        (5, "a list of whole numbers"),
    ],
    "lab1.14": [
        (lambda v, d, s: limits(v), "enclose the *values*"),
        (lambda v, d, s: limits(np.random.default_rng(s).choice(v, d)), "holds one value"),
        (lambda v, d, s: limits(means_of_draws(v, d, s, replace=False)), "no width"),
        (lambda v, d, s: limits(means_of_draws(v, d, s), 5, 95), "90 %"),
        (lambda v, d, s: limits(means_of_draws(v, d, s), 25, 75), "a quarter"),
        (lambda v, d, s: limits([means_of_draws(v, 1, s)[0] for _ in range(3)]), "no width"),
        (lambda v, d, s: limits(means_of_draws(v, d, s), 0, 100), "too far apart"),
        (lambda v, d, s: limits(len(v) * np.array(means_of_draws(v, d, s))), "the sum of each draw"),
        (lambda v, d, s: limits(np.median(np.random.default_rng(s).choice(v, (d, len(v))), 1)), "the median of each draw"),
        (lambda v, d, s: np.mean(v) + np.array([-1.96, 1.96]) * np.std(means_of_draws(v, d, s)), "equally far"),
        (lambda v, d, s: limits(means_of_draws(v, d, s), 0.025, 0.975), "below the mean"),
        (lambda v, d, s: limits(np.random.default_rng(s).choice(v, (len(v), d)).mean(1)), "much too close together"),
        (lambda v, d, s: limits(means_of_draws(v, d, s, size=2 * len(v))), "too narrow"),
        (lambda v, d, s: limits(means_of_draws(v, d, s))[::-1], "lower limit comes first"),
        (lambda v, d, s: limits(means_of_draws(v, d, 0)), "changes nothing"),
        (lambda v, d, s: limits(means_of_draws(v, d, None)), "two different intervals"),
        (lambda v, d, s: limits(np.random.default_rng(s).choice(v, (4000, len(v))).mean(1)), "use `draws`"),
        (lambda v, d, s: np.mean(means_of_draws(v, d, s)), "a number, then a number"),
        (lambda v, d, s: limits(means_of_draws(v, d, s), 10, 97.5), "should be near"),
    ],
    "lab1.5": [
        (lambda a, b, g: paired(a, b, unit="row"), "4 dialogues"),
        (lambda a, b, g: paired(b, a, groups=g), "exchanged"),
        (lambda a, b, g: np.mean(np.asarray(a) - b), "an interval"),
        (lambda a, b, g: paired(a[::3], b[::3], unit="dialogue"), "left rows out"),
        (lambda a, b, g: paired(a, b, groups=np.arange(len(a)) // 3), "side by side"),
        (lambda a, b, g: interval(np.asarray(a) - b + 0.0 * len(g), groups=np.arange(12)), "4 dialogues"),
        (per_dialogue(np.sum), "of these rows is +0.100"),
        (lambda a, b, g: paired(a, b, groups=[ord(x[-1]) % 4 for x in g]), "6 independent"),
    ],
    "lab1.6": [
        (lambda z, t: torch.softmax(z * t, 0), "multiply"),
        (lambda z, t: torch.softmax(z, 0) / t, "Divide the logits"),
        (lambda z, t: (z / t).exp() / (z / t).exp().sum(), "overflows"),
        (lambda z, t: (z / t).exp(), "add up to"),
        (lambda z, t: torch.softmax(z, 0), "no effect"),
        (lambda z, t: (x := (z / t - (z / t).min()).exp()) / x.sum(), "subtract the smallest"),
        (lambda z, t: (x := ((z - z[0]) / t).exp()) / x.sum(), "subtract the first"),
        (lambda z, t: (z / t - (z / t).mean()).exp() / (z / t - (z / t).mean()).exp().sum(), "subtract the mean"),
        (clamped(-1e9, 50), "Large logits"),
        (clamped(-80, 80), "Large logits"),
        (lambda z, t: ((x := (z / t).exp()) / x.sum()).nan_to_num(0.5), "cannot be repaired"),
        (lambda z, t: torch.softmax(z / t, 0), "the library's"),
        (lambda z, t: torch.nn.functional.log_softmax(z / t, -1).exp(), "the library's"),
        (lambda z, t: max(softmax_numpy(z, t)), "should give"),
        (lambda z, t: softmax_numpy(z, t).argmax(), "should give"),
    ],
    "lab1.12": [
        (lambda x, u: int(x.argmax()), "greedy"),
        (lambda x, u: int((x <= u).sum()), "*single*"),
        (lambda x, u: int((x.cumsum(0) < u).sum()), "border"),
        (lambda x, u: int((x.cumsum(0) <= u).sum()) + 1, "One too many"),
        (lambda x, u: int((x.cumsum(0) <= u).sum()) - 1, "One too few"),
        (lambda x, u: int(u * len(x)), "equally likely"),
        (lambda x, u: int((x.sort(descending=True).values.cumsum(0) <= u).sum()), "sorted them"),
        (lambda x, u: int((x.flip(0).cumsum(0) <= u).sum()), "should give"),
        (lambda x, u: int(torch.multinomial(x, 1)), "should give"),
        (lambda x, u: x[int((x.cumsum(0) <= u).sum())], "a whole number"),
    ],
    "lab1.13": [
        (lambda z, k: torch.where(z >= z.topk(min(k, len(z))).values[-1], z, 0.0), "set the others to 0"),
        (lambda z, k: z.masked_fill(torch.arange(len(z)) >= k, -torch.inf), "first k positions"),
        (lambda z, k: z.topk(min(k, len(z))).values, "Only the kept"),
        (lambda z, k: z.masked_fill(z <= z.topk(min(k, len(z))).values[-1], -torch.inf), "k - 1"),
        (lambda z, k: lab1.top_k_row(z, k + 1), "k + 1"),
        (lambda z, k: lab1.top_k_row(z, k).softmax(-1), "the softmax comes after"),
        (lambda z, k: lab1.top_k_row(z, k).sort(descending=True).values, "own position"),
        (lambda z, k: z.masked_fill(z < z.topk(k).values[-1], -torch.inf), "raised RuntimeError"),
        (top_k_in_place, "in place"),
    ],
    "lab1.7": [
        (divide_all, "*likelier*"),
        (punish_each_time, "punished twice"),
        (in_place, "in place"),
        (below_minus_one, "between -1 and 0"),
        (lambda z, s, p: [x - p if i in s else x for i, x in enumerate(z)], "another rule"),
        (lambda z, s, p: torch.where(z > 0, z / p, z * p), "not occurred"),
        (lambda z, s, p: {i: z[i] for i in s}, "wanted: a tensor"),
    ],
    "lab1.8": [
        (top_p_without_crossing, "*crosses*"),
        (top_p_sorted_only, "sorted input"),
        (top_p_unnormalised, "add up to 1"),
        (lambda row, p: torch.where(lab1.top_p_row(row, p) > 0, row, float("-inf")).softmax(-1), "keep their proportions"),
        (lambda row, p: lab1.top_p_row(row, p + 1e-4), "*at least* p"),
        (lambda row, p: lab1.top_p_row(row.sort(descending=True).values, p), "its own position"),
        (lambda row, p: row[lab1.top_p_row(row, p) > 0], "should give"),
        (lambda row, p: torch.where(row >= p, row, 0.0) / torch.where(row >= p, row, 0.0).sum(), "*single* probability"),
        (top_p_in_place, "in place"),
    ],
    "lab1.11": [
        (lambda b, f, w: sorted(([*ids, int(f(ids).argmax())], t + f(ids).max().item()) for ids, t in b)[::-1][:w], "should give"),
        (lambda b, f, w: lab1._best([lab1._best(lab1._stepped([one], f), 1)[0] for one in b], w), "*each* beginning"),
        (lambda b, f, w: lab1.beam_step([max(b, key=lambda x: x[1])], f, w), "greedy"),
        (lambda b, f, w: lab1.beam_step([(ids, 0.0) for ids, _ in b], f, w), "is lost"),
        (lambda b, f, w: lab1._best(lab1._stepped(b, f), w, reverse=False), "least likely"),
        (lambda b, f, w: lab1.beam_step(b, f, w)[::-1], "first"),
        (lambda b, f, w: lab1._best(lab1._stepped(b, f), 99), "`width` best"),
        (lambda b, f, w: [ids for ids, _ in lab1.beam_step(b, f, w)], "a list of pairs"),
        (lambda b, f, w: lab1.beam_step(b, lambda ids: f(ids).exp(), w), "should give"),
    ],
    "lab1.9": [
        (lambda ids, e: sum(int(i) != e for i in ids), "ending is part"),
        (lambda ids, e: len(list(ids)), "padding"),
        (lambda ids, e: ids.index(e) + 1 if e in ids else 0, "stopped by the limit"),
        (lambda ids, e: sum(i != e for i in ids) + (e in ids), "padding or other tokens"),
        (lambda ids, e: sum(i != e for i in ids) + (ids[-1] == e), "padding or other tokens"),
        (lambda ids, e: list(map(int, ids)).index(2) + 1 if 2 in list(map(int, ids)) else len(ids), "whatever eos_id says"),
        (lambda ids, e: len(set(ids)), "*different*"),
        (lambda ids, e: ids.index(e) + 1, "raised ValueError"),
        (lambda ids, e: ids.index(e) if e in ids else len(ids), "ending is part"),
    ],
    "lab1.10": [
        (lambda ts: float(np.mean([len({*zip(t.split(), t.split()[1:])}) / max(1, len(t.split()) - 1) for t in ts])), "pool"),
        (lambda ts: float(len({p for t in ts for p in zip(t.split(), t.split()[1:])})), "count of pairs"),
        (lambda ts: len({p for t in ts for p in zip(t.split(), t.split()[1:])}) / sum(len(t.split()) for t in ts), "not of words"),
        (lambda ts: lab1._share([p for t in ts for p in zip(t, t[1:])]), "letters"),
        (lambda ts: lab1._share([p for t in ts for p in zip(t.lower().split(), t.lower().split()[1:])]), "leave capitals"),
        (lambda ts: 0.0 if any(len(t.split()) < 2 for t in ts) else lab1.distinct_2(ts), "fewer than two words"),
        (lambda ts: len(set(pairs := lab1._all_pairs(ts))) / len(pairs), "No pair at all"),
        (lambda ts: lab1._share(lab1._pairs(" ".join(ts))), "across two texts"),
        (lambda ts: lab1._share([tuple(sorted(p)) for p in lab1._all_pairs(ts)]), "order counts"),
        (lambda ts: lab1._share([w for t in ts for w in t.split()]), "different *words*"),
    ],
}  # fmt: skip

RIGHT = {
    "lab1.1": ["Who wants what here?\n{dialogue}\nIn one sentence:", "Sum up: {dialogue}"],
    "lab1.2": [
        lambda e, d: block(e, d),
        lambda e, d: "\n\n".join(x["dialogue"] + "\nSummary: " + x["summary"] for x in [*e, {"dialogue": d, "summary": ""}]).rstrip(),
        lambda e, d: "".join("{}\nSummary: {}\n\n".format(x["dialogue"], x["summary"]) for x in e) + d + "\nSummary: ",
        lambda e, d: lab1.few_shot(e, d).replace("\n\n", "\n\n\n\n"),
        lambda e, d: re.sub("\n\n+", "\n\n", "\n\n\n".join([f"{x['dialogue']}\nSummary: {x['summary']}" for x in e] + [f"{d}\nSummary:"])),
    ],
    "lab1.3": [
        lambda a, b, k, s: random.Random(s).sample(allowed(a, b), k),
        lambda a, b, k, s: np.random.default_rng(s).choice(allowed(a, b), k, replace=False),
        by_permutation,
        by_rejection,
    ],
    "lab1.4": [
        lambda e, q, m, c: int(np.sum(np.cumsum(np.sort(e)) <= c - q - m)),
        lambda e, q, m, c: torch.tensor(sorted(e)).cumsum(0).le(c - q - m).sum(),
        lambda e, q, m, c: max([n for n in range(len(e) + 1) if sum(sorted(e)[:n]) + q + m <= c], default=0),
    ],
    "lab1.15": [[3, 5, 8], (8, 7, 6), np.array([4, 3, 5])],
    "lab1.14": [bootstrap_plain, bootstrap_at_once, lambda v, d, s: limits(means_of_draws(v, d, s))],
    "lab1.5": [
        per_dialogue(np.mean),
        lambda a, b, g: interval(np.asarray(a) - np.asarray(b), groups=list(g)),
        lambda scores_a, scores_b, dialogue_ids: paired(list(scores_a), list(scores_b), groups=np.array(dialogue_ids)),
    ],
    "lab1.6": [softmax_numpy, softmax_loop, lambda z, t: 1 / (((z[None] - z[:, None]) / t).exp().sum(1))],
    "lab1.12": [
        drawn_by_walking,
        lambda probs, u: np.searchsorted(np.cumsum(probs), u, side="right"),
        lambda probs, u: next(i for i in range(len(probs)) if probs[: i + 1].sum() > u),
    ],
    "lab1.13": [
        top_k_numpy,
        lambda z, k: [float(x) if sum(y > x for y in z) < k else float("-inf") for x in z],
        lambda z, k: decoding.top_k(z, k),
    ],
    "lab1.7": [
        penalty_where,
        penalty_numpy,
        lambda z, s, p: [float(x) if i not in s else float(x / p if x > 0 else x * p) for i, x in enumerate(z)],
        lambda logits, seen, penalty: torch.stack([(min(x / penalty, x * penalty) if i in seen else x) for i, x in enumerate(logits)]),
    ],
    "lab1.8": [top_p_numpy, top_p_loop, lambda x, p: decoding.top_p(x.log()[None], p)[0].softmax(-1)],
    "lab1.11": [
        beams_by_topk,
        lambda b, f, w: tuple(([*ids, i], t + f(ids)[i]) for t_, ids, t, i in sorted(((t + float(f(ids)[i]), ids, t, i) for ids, t in b for i in range(len(f(ids)))), key=lambda x: -x[0])[:w]),
    ],
    "lab1.9": [
        count_by_walking,
        lambda ids, e: [*ids, e].index(e) + (e in ids),
        lambda ids, e: np.argmax(np.array(ids) == e) + 1 if e in ids else len(ids),
        lambda ids, e: next((n for n, i in enumerate(ids, 1) if i == e), len(ids)),
    ],
    "lab1.10": [
        distinct_by_counter,
        lambda ts: np.float64(lab1.distinct_2(ts)),
        lambda ts: len({p for t in ts for p in zip(t.split(), t.split()[1:])}) / (sum(max(0, len(t.split()) - 1) for t in ts) or 1),
    ],
}  # fmt: skip

NEAR = "draws move the limits further than that"
EQUIVALENT = {
    "lab1.12": {
        "0 → -1": "a row has one axis, the first and the last",
        "int((probs.cumsum(0) <= u).sum()) → (probs.cumsum(0) <= u).sum()": "a tensor of one whole number is one",
    },
    "lab1.14": {"0.025 → 0.0275": NEAR, "0.025 → 0.022500000000000003": NEAR},
    "lab1.4": {"break → continue": "the lengths are sorted: once the room is used up, it stays so"},
    "lab1.7": {"out[token] > 0 → out[token] >= 0": "0 divided or multiplied by the penalty is 0"},
    "lab1.8": {"0 → -1": "a row has one axis, the first and the last"},
}
