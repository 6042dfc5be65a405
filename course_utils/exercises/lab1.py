"""Lab 1, prompting and decoding: reference answers and their tests.

A reference has the name and the parameters of the notebook's stub, and uses only names that the
notebook has imported.
"""

from __future__ import annotations

import math
import re

import numpy as np
import torch

from ..metrics import paired
from . import answers, cases
from .engine import Exercise, Wrong

# ------------------------------------------------------------ lab1.1 your own instruction

MY_TEMPLATE = (
    "Write one sentence that says what this conversation is about.\n\n{dialogue}\n\nSummary:"
)


def _test_template(template):
    slots = template.count("{dialogue}")
    if slots == 0:
        raise Wrong(
            "Your template has no {dialogue} in it: every dialogue would get the same prompt. "
            "Write the braces literally (no f-string)."
        )
    if slots > 1:
        raise Wrong(f"{{dialogue}} occurs {slots} times: the model would read everything twice.")
    rest = template.replace("{dialogue}", "")
    if left := re.search(r"\{[^{}]*\}?|\}", rest):
        found = "{{dialogue}}" if left[0] == "{}" else left[0]
        raise Wrong(
            f"Only {{dialogue}} is filled in, with single braces: the model would still read braces, from {found}."
        )
    if not re.search(r"\w", rest):
        raise Wrong(
            "That is the dialogue with next to no words around it: what should the model do?"
        )


# ------------------------------------------------------------ lab1.2 few-shot by hand


def few_shot(examples, dialogue):
    blocks = [f"{row['dialogue']}\nSummary: {row['summary']}" for row in examples]
    return "\n\n".join([*blocks, f"{dialogue}\nSummary:"])


def _test_few_shot(few_shot):
    examples = [
        {"dialogue": "Ana: Rain?\nBo: Until noon.", "summary": "Bo expects rain until noon."},
        {"dialogue": "Cy: Tea?\nDee: Coffee.", "summary": "Dee prefers coffee."},
        {"dialogue": "Gil: Bus or tram?\nHa: Tram.", "summary": "Ha takes the tram."},
    ]
    target = "Eli: Ready?\nFay: In 5 minutes."
    prompt = few_shot(examples, target)
    for row in examples:
        if row["dialogue"] not in prompt:
            raise Wrong("An example's dialogue is missing, or its line breaks were changed.")
        if row["summary"] not in prompt:
            raise Wrong(
                "The examples are unanswered: the model must see each summary to imitate it."
            )
        if prompt.index(row["summary"]) < prompt.index(row["dialogue"]):
            raise Wrong(
                "An example's answer stands before its dialogue; show question, then answer."
            )
    if target not in prompt:
        raise Wrong("The dialogue to summarise is missing.")
    places = [prompt.index(row["dialogue"]) for row in examples]
    if prompt.index(target) < max(places):
        raise Wrong(
            "The open question comes first: the model would continue after the last example."
        )
    if places != sorted(places):
        raise Wrong("The examples stand in another order than the one they were given in.")
    if not prompt.rstrip().endswith("Summary:"):
        raise Wrong(
            'After the last dialogue write "Summary:" and nothing more: that is the blank to fill.'
        )
    if prompt.count("Summary:") != len(examples) + 1:
        raise Wrong('Mark every answer the same way, with "Summary:" once after each dialogue.')
    for row in examples:
        if f"{row['dialogue']}\nSummary: {row['summary']}\n" not in prompt:
            raise Wrong("Each example: its dialogue, a new line, 'Summary: ' with a blank behind the colon, its summary, and an empty line before the next block.")
    if f"{target}\nSummary:" not in prompt:
        raise Wrong("In the last block, too, 'Summary:' stands on a line of its own.")
    if not prompt.lstrip().startswith(examples[0]["dialogue"]):
        raise Wrong("The prompt begins with something else than the first dialogue.")
    if len(re.split(r"\n\s*\n", prompt.strip())) != len(examples) + 1:
        raise Wrong("Put a blank line between the blocks, and none inside: it shows where an example ends.")
    if few_shot([], target).strip() != f"{target}\nSummary:":
        raise Wrong("With no examples there should be just the open question (zero-shot).")


# ------------------------------------------------------------ lab1.3 spot the bug: the leak


def pick_examples(train, test, k, seed):
    rng = np.random.default_rng(seed)
    used = {row["dialogue"] for row in test}
    candidates = [row for row in train if row["dialogue"] not in used]
    return [candidates[i] for i in rng.choice(len(candidates), k, replace=False)]


def _test_pick_examples(pick_examples):
    train = [{"id": f"train-{i}", "dialogue": f"d{i}", "summary": f"s{i}"} for i in range(12)]
    test = [{"id": f"test-{i}", "dialogue": f"t{i}", "summary": f"u{i}"} for i in range(10)]
    again = {"id": "train-again", "dialogue": "t3", "summary": "v3"}  # a test dialogue, in train too
    train.insert(5, again)
    seen, neighbours = set(), []
    for seed in range(40):
        k = 3 if seed % 2 else 4
        rows = pick_examples(train, test, k, seed)
        if len(rows) != k:
            raise Wrong(f"Asked for {k} examples, got {len(rows)}.")
        ids = [row.get("id") for row in rows]
        if any(row not in train and row not in test for row in rows):
            raise Wrong("Return the rows as they are: one of yours is in neither split.")
        if any(id.startswith("test") for id in ids):
            raise Wrong(
                "An example comes from the test split: its answer is in the prompt when it is asked."
            )
        if "train-again" in ids:
            raise Wrong(
                "You drew from train only, but one train row *is* a test dialogue: compare the texts."
            )
        if len(set(ids)) != k:
            raise Wrong("The same example was drawn twice: draw without replacement.")
        seen.update(ids)
        own = [row["id"] for row in train if row is not again]
        places = {own.index(id) for id in ids}
        neighbours.append(sum((place + 1) % len(own) in places for place in places) >= k - 1)
    if len(seen) < 8:
        raise Wrong("Whatever the seed, the same few examples come back: use the seed to draw.")
    if all(neighbours):
        raise Wrong("Your rows always stand side by side in train: draw each by itself.")
    if len(seen) < 12:
        raise Wrong("Some train rows never come, whatever the seed: each may be drawn.")
    if pick_examples(train, test, 3, 7) != pick_examples(train, test, 3, 7):
        raise Wrong("The same seed gave two different draws: seed a generator inside the function.")


# ------------------------------------------------------------ lab1.4 what fits


def examples_that_fit(example_tokens, question_tokens, max_new_tokens, context):
    room = context - question_tokens - max_new_tokens
    count = 0
    for tokens in sorted(example_tokens):
        room -= tokens
        if room < 0:
            break
        count += 1
    return count


def _fitting(e, q=0, m=0, c=0, order=sorted, skip=False, equal=True):
    """How many examples a way of counting finds: in which order, with what subtracted."""
    room, count = c - q - m, 0
    for tokens in order(e):
        if tokens < room or (equal and tokens == room):
            room, count = room - tokens, count + 1
        elif not skip:
            break
    return count


FIT_SLIPS = [
    ("The examples fill the window: there is no room for the question and the answer.", lambda e, q, m, c: _fitting(e, 0, 0, c)),
    ("Your examples and the question fit, but then the *answer* does not: it needs room too.", lambda e, q, m, c: _fitting(e, q, 0, c)),
    ("The answer has its room, but the question needs some, too.", lambda e, q, m, c: _fitting(e, 0, m, c)),
    ("Examples may fill the room *exactly*.", lambda e, q, m, c: _fitting(e, q, m, c, equal=False)),
    ("You took them in the order in which they came. Which ones do you choose to show as many as possible?",
     lambda e, q, m, c: _fitting(e, q, m, c, order=list)),
    ("You took them in the order in which they came. Which ones do you choose to show as many as possible?",
     lambda e, q, m, c: _fitting(e, q, m, c, order=list, skip=True)),
    ("You took the longest first. Which ones do you choose to show as many as possible?",
     lambda e, q, m, c: _fitting(e, q, m, c, order=lambda e: sorted(e, reverse=True), skip=True)),
    ("The examples are not all as long as the first.", lambda e, q, m, c: min(len(e), max(0, (c - q - m) // e[0])) if e else 0),
    ("The examples are not all as long as their mean.",
     lambda e, q, m, c: min(len(e), max(0, int((c - q - m) // (sum(e) / len(e))))) if e else 0),
    ("That many of the *shortest* length would fit; the others are longer.", lambda e, q, m, c: min(len(e), max(0, (c - q - m) // min(e))) if e else 0),
    ("You count every example that would fit *alone*; they share the room.", lambda e, q, m, c: sum(n <= c - q - m for n in e)),
]  # fmt: skip


def _test_examples_that_fit(examples_that_fit):
    tries = [
        ("", ([100, 100, 100, 100], 60, 60, 400)),
        ("an exact fit", ([100, 100, 100, 100], 100, 100, 400)),
        ("a long example in front", ([300, 10, 45], 60, 60, 400)),
        ("one token too many", ([60, 41], 50, 50, 200)),
        ("examples of four lengths", ([90, 30, 170, 20], 25, 40, 210)),
        ("only the longest stands in the way", ([70, 40, 35, 60], 15, 20, 170)),
        ("all of them fit", ([10, 20], 5, 5, 100)),
        ("the shortest in front", ([40, 90, 50, 60], 50, 50, 200)),
        ("a long question", ([50, 50, 50], 120, 10, 230)), ("a long answer", ([50, 50, 50], 10, 120, 230)),
        ("question and answer alone overflow the window", ([50], 60, 60, 100)),
        ("no examples", ([], 60, 60, 400)),
    ]
    cases.compare(examples_that_fit, examples_that_fit_of_reference, tries, FIT_SLIPS)


examples_that_fit_of_reference = examples_that_fit


# ------------------------------------------------------------ lab1.15 your own examples

MY_EXAMPLES = [4, 6, 8]


def _test_examples(numbers):
    if len(numbers) != 3:
        raise Wrong(f"Three row numbers are wanted; yours has {len(numbers)}.")
    if len(set(numbers)) < 3:
        raise Wrong("One example is there twice: it fills the window and shows nothing new.")
    if {0, 1, 2} & set(numbers):
        raise Wrong("Rows 0, 1 and 2 are the examples you have seen: take others, to see what they change.")
    if not all(3 <= number <= 8 for number in numbers):
        raise Wrong("Choose from the rows that are printed above, 3 to 8.")


# ------------------------------------------------------------ lab1.14 the bootstrap by hand


def bootstrap(values, draws, seed):
    rng = np.random.default_rng(seed)
    means = [rng.choice(values, len(values)).mean() for _ in range(draws)]
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


SCORES = [0.31, 0.12, 0.45, 0.2, 0.28, 0.05, 0.38, 0.22, 0.6, 0.17]
SKEWED = [0.02, 0.0, 0.05, 0.0, 0.9, 0.1, 0.0, 0.03, 0.08]  # normal limits would reach below 0
BOOTSTRAP_SLIPS = [
    ("Your limits enclose the *values*. The question is how far their *mean* could move: take the mean of each draw.",
     lambda v, d, rng: np.quantile(v, [0.025, 0.975])),
    ("Each of your draws holds one value. Draw as many as there are, with replacement, and take their mean.",
     lambda v, d, rng: np.quantile(rng.choice(v, d), [0.025, 0.975])),
    ("Your limits leave out 5 % on each side, so that 90 % lie between them. 2.5 % on each side are wanted.",
     lambda v, d, rng: np.quantile(_means(v, d, rng), [0.05, 0.95])),
    ("Your limits leave out a quarter on each side; 2.5 % are wanted.",
     lambda v, d, rng: np.quantile(_means(v, d, rng), [0.25, 0.75])),
    ("Your limits are too narrow: draw as many values as there are, no more.",
     lambda v, d, rng: np.quantile(rng.choice(v, (d, 2 * len(v))).mean(1), [0.025, 0.975])),
    ("You took the sum of each draw; its mean is wanted.", lambda v, d, rng: np.quantile(_means(v, d, rng), [0.025, 0.975]) * len(v)),
    ("You took the median of each draw; its mean is wanted.",
     lambda v, d, rng: np.quantile(np.median(rng.choice(v, (d, len(v))), 1), [0.025, 0.975])),
    ("Your limits lie equally far from the mean, and the means need not. Count 2.5 % of them off on each side.",
     lambda v, d, rng: np.mean(v) + np.array([-1.96, 1.96]) * np.std(v) / len(v) ** 0.5),
]  # fmt: skip


def _means(values, draws, rng):
    return rng.choice(values, (draws, len(values))).mean(1)


def _test_bootstrap(bootstrap):
    for values in (SCORES, SKEWED):
        low, high = got = bootstrap(values, 4000, 1)
        if low > high:
            raise Wrong("The lower limit comes first.")
        if high - low < 1e-9:
            raise Wrong(
                "Your interval has no width: each of your draws has the same mean. Draw *with* replacement, "
                "from one generator that is made before the first draw."
            )
        wanted = np.quantile(_means(values, 40_000, np.random.default_rng(5)), [0.025, 0.975])
        if not _near(got, wanted):
            for words, slip in BOOTSTRAP_SLIPS:
                if _near(got, slip(values, 4000, np.random.default_rng(5))):
                    raise Wrong(words)
            if high < np.mean(values):
                raise Wrong(
                    "Both limits lie below the mean of the values; the upper one has 97.5 % of the means below it. "
                    "(np.percentile counts to 100, np.quantile to 1.)"
                )
            if high - low < 0.5 * (wanted[1] - wanted[0]):
                raise Wrong(
                    "Your limits are much too close together. Does each draw hold as many values as there are, "
                    "and do 95 % of the means lie between the limits?"
                )
            if high - low > 1.2 * (wanted[1] - wanted[0]):
                raise Wrong(
                    "Your limits are too far apart: draw as many values as there are, "
                    "and leave out 2.5 % of the means on each side."
                )
            raise Wrong(
                f"For {values} the limits should be near {wanted[0]:.3f} and {wanted[1]:.3f}; "
                f"yours are {low:.3f} and {high:.3f}."
            )
    if not np.allclose(bootstrap(SCORES, 50, 7), bootstrap(SCORES, 50, 7)):
        raise Wrong("The same seed gave two different intervals: seed a generator inside the function.")
    if np.allclose(bootstrap(SCORES, 50, 7), bootstrap(SCORES, 50, 8)):
        raise Wrong("Another seed changes nothing: give it to the generator that draws.")
    if np.ptp([bootstrap(SCORES, 4, seed)[0] for seed in range(30)]) < 0.03:
        raise Wrong("With 4 draws the limits should be rough and differ from seed to seed: use `draws`.")


def _near(got, wanted) -> bool:
    """Both limits within a twentieth of the width: some four times what the draws' chance moves them."""
    return max(abs(got[0] - wanted[0]), abs(got[1] - wanted[1])) < 0.05 * (wanted[1] - wanted[0])


# ------------------------------------------------------------ lab1.5 spot the bug: n = 4


def compare(scores_a, scores_b, dialogue_ids):
    return paired(scores_a, scores_b, groups=dialogue_ids)


def _interval(value):
    """What has a mean, limits and n; anything else is no interval."""
    try:
        float(value.mean), float(value.low), float(value.high), int(value.n)
    except (AttributeError, TypeError):
        raise answers.Unfit from None
    return value


INTERVAL = answers.Kind("an interval with .mean, .low, .high and .n, as paired(…) gives one", _interval)


def _test_compare(compare):
    # 4 dialogues, three identical reference rows each: 12 rows, but only 4 independent ones.
    each = np.array([0.30, 0.05, -0.10, 0.15])
    diffs, base = np.repeat(each, 3), np.linspace(0.1, 0.6, 12)
    ids = np.repeat(["d1", "d2", "d3", "d4"], 3)
    got = compare(base + diffs, base, ids)
    if abs(got.mean + 0.10) < 1e-6:
        raise Wrong("The mean difference a - b is +0.100; yours is -0.100: a and b are exchanged.")
    if not abs(got.mean - 0.10) < 1e-6:
        raise Wrong(f"The mean difference a - b of these rows is +0.100; yours is {got.mean:+.3f}.")
    if got.n == 12:
        raise Wrong("Your interval has n = 12: rows of one dialogue are not independent, and there are 4 dialogues.")
    if got.n != 4:
        raise Wrong(f"How many independent units are there? Your interval says n = {got.n}.")
    narrowest, widest = _widths(base + diffs, base, ids)
    if got.high - got.low > widest:
        raise Wrong("Your interval is too wide: pair the scores (the difference first, then its interval).")
    if got.high - got.low < narrowest:
        raise Wrong("Your interval is too narrow: the dialogues are independent, their rows are not.")
    # A dialogue's rows apart, and its references not alike. Three neighbours are three dialogues.
    ids = np.tile(["d1", "d2", "d3"], 4)
    diffs = np.tile([0.30, 0.10, -0.10], 4) + np.repeat([0.04, 0.0, -0.04, 0.0], 3)
    got, (narrowest, widest) = compare(base + diffs, base, ids), _widths(base + diffs, base, ids)
    if not abs(got.mean - 0.10) < 1e-6:
        raise Wrong("You left rows out: all references of a dialogue count.")
    if got.n == 4 or not narrowest < got.high - got.low < widest:
        raise Wrong("The rows of a dialogue need not stand side by side: go by dialogue_ids.")
    ids = np.repeat(["u", "v", "w", "x", "y", "z"], 2)
    if got.n != 3 or compare(base + diffs, base, ids).n != 6:
        raise Wrong("Six dialogues with two rows each are 6 independent units: let dialogue_ids say how many there are.")


def _widths(a, b, ids) -> tuple[float, float]:
    """From a bit below what resampling whole dialogues gives to a bit above the package's interval."""
    found = paired(a, b, groups=ids)
    means = [np.mean((a - b)[ids == one]) for one in np.unique(ids)]
    resampled = 2 * 1.96 * np.std(means) / np.sqrt(len(means))
    return 0.7 * resampled, 1.3 * (found.high - found.low)


# ------------------------------------------------------------ lab1.6 softmax with temperature


def softmax_at(logits, temperature):
    scaled = logits / temperature
    scaled = scaled - scaled.max()
    return scaled.exp() / scaled.exp().sum()


def _plain(scaled):
    return scaled.exp() / scaled.exp().sum()


SOFTMAX_SLIPS = [
    ("You divided the *probabilities* by T: they no longer add up to 1. Divide the logits.", lambda z, t: torch.softmax(z, 0) / t),
    ("The temperature has no effect: divide the logits by it, before anything else.", lambda z, t: torch.softmax(z, 0)),
    ("At T = 0.5 the likeliest token lost probability: did you multiply instead of divide?", lambda z, t: torch.softmax(z * t, 0)),
    ("You exponentiated; the results must still be made to add up to 1.", lambda z, t: (z / t).exp()),
    ("Right for small logits, but exp(1000) overflows. Subtracting one number from all logits changes no ratio.", lambda z, t: _plain(z / t)),
    ("Right for small logits, but exp(1000) overflows, and NaN cannot be repaired afterwards: of 1000 and 999 the first is e times as likely.",
     lambda z, t: _plain(z / t).nan_to_num(0.5)),
    ("You subtract the mean: a logit far above it still overflows.", lambda z, t: _plain(z / t - (z / t).mean())),
    ("You subtract the smallest: the largest then overflows all the sooner.", lambda z, t: _plain(z / t - (z / t).min())),
    ("You subtract the first logit: a larger one that stands later still overflows.", lambda z, t: _plain(z / t - z[0] / t)),
    ("You subtract the largest *unscaled* logit: at a low temperature the scaled ones still overflow.", lambda z, t: _plain(z / t - z.max())),
]  # fmt: skip


def _test_softmax_at(softmax_at):
    logits = torch.tensor([2.0, 1.0, 0.0])
    tries = [
        ("", (logits, 0.5)),
        ("", (logits, 2.0)),
        ("", (torch.tensor([0.3, -1.7, 0.9, 0.9, -0.2]), 0.7)),
        ("large logits", (torch.tensor([1000.0, 999.0]), 1.0)),
        ("a small logit between large ones", (torch.tensor([120.0, 0.0, 120.0]), 1.0)),
        ("one large logit", (torch.tensor([300.0, 2.0, 1.0, 299.5]), 1.5)),
        ("very negative logits", (torch.tensor([-1000.0, -1001.0, -999.5]), 1.0)),
        ("a low temperature", (torch.tensor([60.0, -60.0, 59.9]), 0.1)),
        ("the largest logit last", (torch.tensor([0.0, 1000.0]), 1.0)),
    ]
    cases.compare(softmax_at, softmax_at_of_reference, tries, SOFTMAX_SLIPS)
    cases.without(
        (torch, "softmax", "log_softmax"),
        (torch.Tensor, "softmax", "log_softmax"),
        (torch.nn.functional, "softmax", "log_softmax", "softmin"),
        call=lambda: softmax_at(logits, 0.5),
        words="Right, but that is the library's softmax. Write it yourself: exp, a sum, a division.",
    )


softmax_at_of_reference = softmax_at


# ------------------------------------------------------------ lab1.12 sampling by hand


def draw(probs, u):
    return int((probs.cumsum(0) <= u).sum())


DRAW_SLIPS = [
    ("You return the likeliest token, whatever u is: that is greedy decoding.", lambda x, u: int(x.argmax())),
    ("You compare u with each *single* probability. Add them up from the left, and look where u falls.", lambda x, u: int((x <= u).sum())),
    ("You compare u with each *single* probability. Add them up from the left, and look where u falls.",
     lambda x, u: next((i for i, q in enumerate(x) if u < q), len(x) - 1)),
    ("One too many: token 0 has the first piece of the line.", lambda x, u: int((x.cumsum(0) <= u).sum()) + 1),
    ("One too few: u lies in the piece after all those that end before it.", lambda x, u: int((x.cumsum(0) <= u).sum()) - 1),
    ("A number on the border belongs to the piece that begins there, not to the one that ends there.", lambda x, u: int((x.cumsum(0) < u).sum())),
    ("The pieces lie in the order of the ids; you sorted them first.", lambda x, u: int((x.sort(descending=True).values.cumsum(0) <= u).sum())),
    ("The pieces lie in the order of the ids; you sorted them first.",
     lambda x, u: int(x.argsort(descending=True)[min(len(x) - 1, int((x.sort(descending=True).values.cumsum(0) <= u).sum()))])),
    ("You took u for a share of the *number* of tokens: all would be equally likely.", lambda x, u: int(u * len(x))),
    ("You laid the pieces from the right.", lambda x, u: len(x) - 1 - int((x.flip(0).cumsum(0) <= u).sum())),
]  # fmt: skip


def _test_draw(draw):
    easy = torch.tensor([0.5, 0.25, 0.125, 0.125])
    tries = [
        ("", (easy, 0.3)),
        ("", (easy, 0.8)),
        ("the last piece", (easy, 0.99)),
        ("on a border", (easy, 0.5)),
        ("unsorted", (torch.tensor([0.125, 0.125, 0.5, 0.25]), 0.2)),
        ("unsorted, in the large piece", (torch.tensor([0.125, 0.125, 0.5, 0.25]), 0.6)),
        ("a token of probability 0 is never drawn", (torch.tensor([0.0, 0.5, 0.0, 0.5]), 0.0)),
        ("a token of probability 0 between two others", (torch.tensor([0.0, 0.5, 0.0, 0.5]), 0.5)),
    ]
    cases.compare(draw, draw_of_reference, tries, DRAW_SLIPS)


draw_of_reference = draw


# ------------------------------------------------------------ lab1.13 top-k for one row


def top_k_row(logits, k):
    border = logits.topk(min(k, len(logits))).values[-1]
    return logits.masked_fill(logits < border, -torch.inf)


TOP_K_SLIPS = [
    ("You set the others to 0. A logit of 0 still has a probability, since e^0 = 1: use -infinity.",
     lambda z, k: torch.where(top_k_row(z, k).isfinite(), z, 0.0)),
    ("The first k positions were kept; the k *largest* logits are wanted, wherever they are.",
     lambda z, k: z.masked_fill(torch.arange(len(z)) >= k, -torch.inf)),
    ("The k smallest were kept.", lambda z, k: -top_k_row(-z, k).masked_fill(top_k_row(-z, k).isinf(), torch.inf)),
    ("Sorted: each logit must stay at its own position.", lambda z, k: top_k_row(z, k).sort(descending=True).values),
    ("Only the kept logits came back. The dropped ones stay in the row, as -infinity.", lambda z, k: z.topk(min(k, len(z))).values),
    ("The border itself was dropped: you kept k - 1 tokens.", lambda z, k: z.masked_fill(z <= z.topk(min(k, len(z))).values[-1], -torch.inf)),
    ("One too many: you kept k + 1 tokens.", lambda z, k: top_k_row(z, k + 1)),
    ("These are probabilities. Return the logits: the softmax comes after top-k.", lambda z, k: top_k_row(z, k).softmax(-1)),
]  # fmt: skip


def _test_top_k_row(top_k_row):
    logits = torch.tensor([1.5, -0.5, 3.0, 0.25, 2.0])
    tries = [
        ("", (logits, 2)),
        ("greedy, with k = 1", (logits, 1)),
        ("negative logits alone", (torch.tensor([-3.0, -1.0, -2.0, -4.0]), 3)),
        ("the border is 0", (torch.tensor([2.0, 0.0, -1.0, 1.0, -2.0]), 3)),
        ("more than there are tokens", (logits, 9)),
        ("as many as there are tokens", (torch.tensor([0.5, -0.5]), 2)),
    ]
    cases.compare(top_k_row, top_k_row_of_reference, tries, TOP_K_SLIPS)


top_k_row_of_reference = top_k_row


# ------------------------------------------------------------ lab1.7 repetition penalty


def penalise(logits, seen, penalty):
    out = logits.clone()
    for token in set(seen):
        out[token] = out[token] / penalty if out[token] > 0 else out[token] * penalty
    return out


def _penalised(change, each_time=False, everything=False):
    """The penalty with another ``change(logit, penalty)``, or to other tokens."""

    def result(logits, seen, penalty):
        out = logits.clone()
        for token in range(len(out)) if everything else seen if each_time else set(seen):
            out[token] = change(out[token], penalty)
        return out

    return result


def _rule(logit, penalty):
    return logit / penalty if logit > 0 else logit * penalty


PENALTY_SLIPS = [
    ("Dividing -2 by 2 gives -1: the repeated token became *likelier*. What about negative logits?", _penalised(lambda z, p: z / p)),
    ("Multiplying 3 by 2 gives 6: the repeated token became *likelier*. What about positive logits?", _penalised(lambda z, p: z * p)),
    ("The two cases are exchanged: every repeated token became *likelier*.", _penalised(lambda z, p: z * p if z > 0 else z / p)),
    ("Subtracting the penalty lowers a logit, but it is another rule: divide or multiply.", _penalised(lambda z, p: z - p)),
    ("Token 0 was seen twice and punished twice; the penalty counts each token once.", _penalised(_rule, each_time=True)),
    ("Tokens that have not occurred must keep their logits.", _penalised(_rule, everything=True)),
    ("Dividing makes a negative logit larger, also one between -1 and 0.", _penalised(lambda z, p: z / p if z > -1 else z * p)),
    ("Dividing makes a positive logit smaller, also one between 0 and 1.", _penalised(lambda z, p: z / p if z > 1 else z * p)),
    ("The logits came back as they were.", lambda z, s, p: z.clone()),
]  # fmt: skip


def _test_penalise(penalise):
    logits = torch.tensor([3.0, -2.0, 1.0, 0.5])
    tries = [
        ("", (logits, [0, 1, 0], 2.0)),
        ("small logits of both signs", (torch.tensor([-0.5, 0.25, -3.0, 4.0, 0.75]), [4, 1, 0, 2], 1.3)),
        ("nothing was seen", (logits, [], 2.0)),
        ("a penalty of 1", (logits, [3, 1, 1], 1.0)),
    ]
    cases.compare(penalise, penalise_of_reference, tries, PENALTY_SLIPS)


penalise_of_reference = penalise


# ------------------------------------------------------------ lab1.8 top-p for one row


def top_p_row(probs, p):
    ordered, order = probs.sort(descending=True)
    before = ordered.cumsum(0) - ordered
    kept = torch.zeros_like(probs)
    kept[order] = ordered * (before < p)
    return kept / kept.sum()


def _top_p(probs, p, keeps, sort=True, put_back=True, finish=lambda kept: kept / kept.sum()):
    """Top-p with ``keeps(sorted probabilities, sums up to each)`` and other slips."""
    order = probs.argsort(descending=True) if sort else torch.arange(len(probs))
    kept = torch.where(keeps(probs[order], probs[order].cumsum(0)), probs[order], 0.0)
    return finish(torch.zeros_like(kept).scatter(0, order, kept) if put_back else kept)


CROSSES = "With p = 0.4 and a first token of 0.5 you kept nothing. Is the token that *crosses* p in or out?"
PROPORTIONS = "The survivors must keep their proportions: divide each by their sum. (Softmax is for logits.)"
TOP_P_SLIPS = [
    (CROSSES, lambda x, p: _top_p(x, p, lambda q, s: s <= p)),
    (CROSSES, lambda x, p: _top_p(x, p, lambda q, s: s < p)),
    (CROSSES, lambda x, p: _top_p(x, p, lambda q, s: s <= p).nan_to_num(0.0)),
    (CROSSES, lambda x, p: _top_p(x, p, lambda q, s: s < p).nan_to_num(0.0)),
    (CROSSES, lambda x, p: _top_p(x, p, lambda q, s: s <= p, sort=False)),
    (CROSSES, lambda x, p: _top_p(x, p, lambda q, s: s <= p, sort=False).nan_to_num(0.0)),
    ("The token that *crosses* p stays only if it is the first: with p = 0.8 you stopped at 0.75.",
     lambda x, p: _top_p(x, p, lambda q, s: (s <= p) | (torch.arange(len(s)) == 0))),
    ("With p = 0.5 a first token of exactly 0.5 is enough: *at least* p.", lambda x, p: _top_p(x, p, lambda q, s: s - q <= p)),
    ("Right for sorted input. Try [0.1, 0.6, 0.3] with p = 0.5: only the 0.6 should stay.",
     lambda x, p: _top_p(x, p, lambda q, s: s - q < p, sort=False)),
    ("The right tokens, sorted: each probability belongs to its own position in the row.", lambda x, p: _top_p(x, p, lambda q, s: s - q < p, put_back=False)),
    ("You kept the right tokens, but they do not add up to 1.", lambda x, p: _top_p(x, p, lambda q, s: s - q < p, finish=lambda k: k)),
    ("What you keep does not add up to 1, and for an unsorted row it is not the right tokens.",
     lambda x, p: _top_p(x, p, lambda q, s: s - q < p, sort=False, finish=lambda k: k)),
    (PROPORTIONS, lambda x, p: _top_p(x, p, lambda q, s: s - q < p, finish=lambda k: torch.where(k > 0, k, -torch.inf).softmax(-1))),
    (PROPORTIONS, lambda x, p: _top_p(x, p, lambda q, s: s - q < p, finish=lambda k: (k > 0) / (k > 0).sum())),
    ("You compare each *single* probability with p; their sum, from the likeliest down, decides.", lambda x, p: _top_p(x, p, lambda q, s: q >= p)),
]  # fmt: skip


def _test_top_p_row(top_p_row):
    easy = torch.tensor([0.5, 0.25, 0.15, 0.07, 0.03])
    tries = [
        ("", (easy, 0.8)),
        ("the first token alone is more than p", (easy, 0.4)),
        ("the first token is exactly p", (torch.tensor([0.5, 0.25, 0.25]), 0.5)),
        ("the first two are exactly p", (torch.tensor([0.5, 0.25, 0.125, 0.125]), 0.75)),
        ("unsorted", (torch.tensor([0.1, 0.6, 0.3]), 0.5)),
        ("unsorted, and the likeliest last", (torch.tensor([0.05, 0.3, 0.02, 0.2, 0.43]), 0.7)),
        ("p = 1 keeps all", (torch.tensor([0.25, 0.5, 0.25]), 1.0)),
    ]
    cases.compare(top_p_row, top_p_row_of_reference, tries, TOP_P_SLIPS)


top_p_row_of_reference = top_p_row


# ------------------------------------------------------------ lab1.11 one step of beam search


def beam_step(beams, log_probs, width):
    longer = []
    for ids, total in beams:
        for id, gain in enumerate(log_probs(ids).tolist()):
            longer.append(([*ids, id], total + gain))
    return sorted(longer, key=lambda beam: -beam[1])[:width]


def _stepped(beams, log_probs, combine=lambda total, gain: total + gain):
    return [([*ids, id], combine(total, gain)) for ids, total in beams for id, gain in enumerate(log_probs(ids).tolist())]


def _best(beams, width, reverse=True):
    return sorted(beams, key=lambda beam: beam[1], reverse=reverse)[:width]


OWN_BEST = "You kept the best extension of *each* beginning. All extensions compete: two of one beginning may beat those of another."
BEAM_SLIPS = [
    (OWN_BEST, lambda b, f, w: _best([_best(_stepped([one], f), 1)[0] for one in b], w)),
    ("Only the best beginning was extended: that is greedy search. All of them compete.", lambda b, f, w: _best(_stepped(_best(b, 1), f), w)),
    ("The probability of the beginning is lost: a text's total is that of all its tokens.", lambda b, f, w: _best(_stepped(b, f, lambda total, gain: gain), w)),
    ("Log-probabilities of what happens one after the other are *added*.", lambda b, f, w: _best(_stepped(b, f, lambda total, gain: total * gain), w)),
    ("The least likely were kept: log-probabilities are below 0, and the best is nearest to 0.", lambda b, f, w: _best(_stepped(b, f), w, reverse=False)),
    ("The right beginnings, but the likeliest should come first.", lambda b, f, w: beam_step(b, f, w)[::-1]),
    ("All extensions came back; only the `width` best are kept.", lambda b, f, w: _best(_stepped(b, f), 10**6)),
    ("Each beginning keeps `width` extensions in yours; `width` are kept in all.", lambda b, f, w: [x for one in b for x in _best(_stepped([one], f), w)]),
    ("Divided by the length, the totals are means. That is another rule (length normalisation).",
     lambda b, f, w: [(ids, total / len(ids)) for ids, total in _best(_stepped(b, f), w)]),
]  # fmt: skip


def _test_beam_step(beam_step):
    table = {
        (): [0.4, 0.5, 0.1], (0,): [0.1, 0.04, 0.86], (1,): [0.45, 0.3, 0.25], (2,): [0.25, 0.15, 0.6],
        (0, 2): [0.5, 0.3, 0.2], (1, 0): [0.06, 0.9, 0.04], (3, 1, 2, 0): [0.35, 0.05, 0.6],
    }  # fmt: skip

    def log_probs(ids):
        return torch.tensor(table[tuple(ids)]).log()

    log = math.log
    tries = [
        ("the very first step", ([([], 0.0)], log_probs, 2)),
        ("two beginnings", ([([1], log(0.5)), ([0], log(0.4))], log_probs, 2)),
        ("two of one beginning are best", ([([0], log(0.9)), ([1], log(0.8)), ([2], log(0.05))], log_probs, 3)),
        ("one beam", ([([0], log(0.4)), ([1], log(0.5))], log_probs, 1)),
        ("more beams than extensions", ([([2], log(0.1))], log_probs, 7)),
        ("longer beginnings", ([([0, 2], -1.1), ([1, 0], -1.5), ([3, 1, 2, 0], -1.4)], log_probs, 4)),
    ]
    cases.compare(beam_step, beam_step_of_reference, tries, BEAM_SLIPS)


beam_step_of_reference = beam_step


# ------------------------------------------------------------ lab1.9 spot the bug: pad is eos


def answer_length(ids, eos_id):
    ids = list(ids)
    return ids.index(eos_id) + 1 if eos_id in ids else len(ids)


def _until_end(ids, end, plus=1, otherwise=len):
    return ids.index(end) + plus if end in ids else otherwise(ids)


def _stripped(ids, end):
    """Ends taken off at the right only."""
    while ids and ids[-1] == end:
        ids = ids[:-1]
    return len(ids)


LENGTH_SLIPS = [
    ("You dropped every end token, and with them the one that was generated: ending is part of the answer. Count it once.",
     lambda ids, e: sum(i != e for i in ids)),
    ("You dropped every end token, and with them the one that was generated: ending is part of the answer. Count it once.",
     lambda ids, e: _until_end(ids, e, plus=0)),
    ("You dropped every end token, and with them the one that was generated: ending is part of the answer. Count it once.", _stripped),
    ("What follows the first end token is padding: nothing after it was generated.", lambda ids, e: len(ids)),
    ("What follows the first end token was not generated, be it padding or other tokens: stop there.", lambda ids, e: sum(i != e for i in ids) + (e in ids)),
    ("What follows the first end token was not generated, be it padding or other tokens: stop there.", lambda ids, e: _stripped(ids, e) + (ids[-1] == e)),
    ("An answer that never ended was stopped by the limit. All its tokens count, and no end is among them.", lambda ids, e: sum(i != e for i in ids) + 1),
    ("An answer that never ended was stopped by the limit. All its tokens count.", lambda ids, e: _until_end(ids, e, otherwise=lambda ids: 0)),
    ("A token may occur twice: do not count *different* ids.", lambda ids, e: len(set(ids))),
    ("The end token is whatever eos_id says; other tokenizers have other numbers.", lambda ids, e: _until_end(ids, 2)),
]  # fmt: skip


def _test_answer_length(answer_length):
    tries = [
        ("", ([7, 8, 9, 2, 2, 2], 2)),
        ("the limit stopped it", ([7, 8, 9], 2)),
        ("it ended at once", ([2, 2, 2], 2)),
        ("a token twice", ([7, 7, 2, 2, 2], 2)),
        ("no padding", ([5, 7, 9, 2], 2)),
        ("tokens after the end", ([7, 2, 9, 4, 2], 2)),
        ("another end token", ([5, 2, 0, 0, 0], 0)),
        ("another end token, and no end", ([5, 2, 5], 0)),
    ]
    cases.compare(answer_length, answer_length_of_reference, tries, LENGTH_SLIPS)


answer_length_of_reference = answer_length


# ------------------------------------------------------------ lab1.10 predict, then measure


def distinct_2(texts):
    pairs = [pair for text in texts for pair in zip(text.split(), text.split()[1:])]
    return len(set(pairs)) / len(pairs) if pairs else 0.0


def _pairs(text):
    return list(zip(text.split(), text.split()[1:]))


def _share(pairs):
    return len(set(pairs)) / len(pairs) if pairs else 0.0


def _all_pairs(texts):
    return [pair for text in texts for pair in _pairs(text)]


POOL = "Two identical texts came out as fully diverse: pool the pairs of *all* texts, then count."
DISTINCT_SLIPS = [
    (POOL, lambda ts: float(np.mean([_share(_pairs(t)) for t in ts]))),
    (POOL, lambda ts: float(np.mean([_share(_pairs(t)) for t in ts if _pairs(t)] or [0.0]))),
    ("You returned a count of pairs; divide by how many pairs there are in all.", lambda ts: float(len(set(_all_pairs(ts))))),
    ("You returned a count of pairs; divide by how many pairs there are in all.", lambda ts: len(set(_all_pairs(ts)))),
    ("Divide by the number of word *pairs* (2 in 'a b c'), not of words.", lambda ts: len(set(_all_pairs(ts))) / sum(len(t.split()) for t in ts)),
    ("Divide by the number of *all* pairs, not by that of the different words.", lambda ts: len(set(_all_pairs(ts))) / len({w for t in ts for w in t.split()})),
    ("You counted different *words*; pairs of neighbouring words are asked.", lambda ts: _share([w for t in ts for w in t.split()])),
    ("Those are pairs of letters: split each text into words first.", lambda ts: _share([p for t in ts for p in zip(t, t[1:])])),
    ("'a b a b' has the pairs ab, ba, ab: 2 distinct of 3. Pairs overlap.", lambda ts: _share([p for t in ts for p in zip(t.split()[::2], t.split()[1::2])])),
    ("You made a pair across two texts: a text's last word and the next one's first are no neighbours.",
     lambda ts: _share(_pairs(" ".join(ts)))),
    ("'a b' and 'b a' are two different pairs: the order counts.", lambda ts: _share([frozenset(p) for p in _all_pairs(ts)])),
    ("'A b' and 'a b' are two different pairs: leave capitals as they are.", lambda ts: _share(_all_pairs([t.lower() for t in ts]))),
    ("A text of fewer than two words has no pair, but the other texts have theirs.",
     lambda ts: 0.0 if any(len(t.split()) < 2 for t in ts) else _share(_all_pairs(ts))),
    ("You counted the share of *repeated* pairs; the different ones are asked.", lambda ts: 1 - _share(_all_pairs(ts))),
]  # fmt: skip


def _test_distinct_2(distinct_2):
    tries = [
        ("", (["a b c", "a b c"],)),
        ("pairs overlap", (["a b a b"],)),
        ("two texts, one pair each", (["a b", "b c"],)),
        ("texts of different lengths", (["x y z y z y z", "x y", "y z q"],)),
        ("capitals", (["The dog sat", "the dog sat"],)),
        ("stops", (["Bo sat. Bo sat", "Bo sat"],)),
        ("a text of one word among others", (["one", "a b c a b"],)),
        ("no pair at all", (["one", ""],)),
    ]
    cases.compare(distinct_2, distinct_2_of_reference, tries, DISTINCT_SLIPS)


distinct_2_of_reference = distinct_2


EXERCISES = [
    Exercise("lab1.1", "your own instruction", MY_TEMPLATE, _test_template, (
        "A template is an ordinary string with {dialogue}, braces included, where the turns go.",
        "Say what to do, and how long the answer should be.",
    ), returns=answers.text, minutes=3),
    Exercise("lab1.2", "few-shot by hand", few_shot, _test_few_shot, (
        "Build one block per example: its dialogue, a new line, 'Summary: ', its summary.",
        "The last block looks the same but stops after 'Summary:'. Join the blocks with what makes a blank line.",
    ), returns=answers.text),
    Exercise("lab1.3", "spot the bug: scores too good", pick_examples, _test_pick_examples, (
        "Which split may an example come from?",
        "Being in train is not enough if the same dialogue was copied into both splits.",
    ), returns=answers.list_of(answers.dict_of(answers.something), "a list of rows (dictionaries), as they are in train")),
    Exercise("lab1.4", "what fits into the context window", examples_that_fit, _test_examples_that_fit, (
        "Three things share the window: examples, question, answer. Subtract the fixed parts first.",
        "To show as many examples as possible, which one do you take first?",
    ), returns=answers.whole),
    Exercise("lab1.15", "your own examples", MY_EXAMPLES, _test_examples, (
        "A list of three numbers, such as [3, 5, 8].",
        "Which three summaries look most like what you want to read?",
    ), returns=answers.wholes, minutes=3),
    Exercise("lab1.14", "the bootstrap by hand", bootstrap, _test_bootstrap, (
        "numpy's generator has a method that draws with replacement: rng.choice(values, how_many).",
        "Collect the mean of each draw in a list. np.quantile then finds the limits.",
    ), returns=answers.tuple_of(answers.number, answers.number)),
    Exercise("lab1.5", "spot the bug: an interval to sign", compare, _test_compare, (
        "Rows of the same dialogue share its difficulty. How many independent observations are there?",
        "Look at paired's arguments: one of them says which rows belong together.",
    ), returns=INTERVAL),
    Exercise("lab1.6", "softmax with temperature", softmax_at, _test_softmax_at, (
        "Divide the logits by T, exponentiate, divide by the sum; but first subtract a number that keeps every exponent small.",
        "For large logits: e^(a-c) / e^(b-c) = e^a / e^b, so you may subtract any c from all of them. Which c makes every exponent at most 0?",
    ), returns=answers.tensor),
    Exercise("lab1.8", "top-p for one row", top_p_row, _test_top_p_row, (
        "Sort, add up, and look at the sum *before* each token.",
        "sort also tells where each sorted value came from: use that to put the survivors back.",
    ), returns=answers.tensor),
    Exercise("lab1.12", "sampling by hand", draw, _test_draw, (
        "Add the probabilities up from the left: each sum is the right end of a piece.",
        "How many pieces end at u or before it? That number is the id.",
    ), returns=answers.whole),
    Exercise("lab1.13", "top-k for one row", top_k_row, _test_top_k_row, (
        "Which is the smallest logit that stays? topk finds it; k may be larger than the row.",
        "masked_fill puts one value wherever a condition holds.",
    ), returns=answers.tensor),
    Exercise("lab1.7", "repetition penalty", penalise, _test_penalise, (
        "A smaller logit is a smaller probability, whatever its sign.",
        "What does dividing by 2 do to 3, and what to -3?",
    ), returns=answers.tensor),
    Exercise("lab1.11", "one step of beam search", beam_step, _test_beam_step, (
        "Make one list of all extensions of all beginnings, each with its total.",
        "The total of an extension is that of its beginning plus one log-probability. Sort the list once.",
    ), returns=answers.list_of(answers.tuple_of(answers.wholes, answers.number), "a list of pairs: a list of ids, and its total log-probability")),
    Exercise("lab1.9", "spot the bug: two answers of one length", answer_length, _test_answer_length, (
        "In this tokenizer padding and end share the id 2: a 2 can be either.",
        "The first end token is part of the answer; whatever follows is not. And some answers have none.",
    ), returns=answers.whole),
    Exercise("lab1.10", "distinct-2 by hand", distinct_2, _test_distinct_2, (
        "zip(words, words[1:]) gives the overlapping pairs of one text.",
        "Collect the pairs of all texts in one list. How many are there, and how many different ones?",
    ), returns=answers.number),
]  # fmt: skip
