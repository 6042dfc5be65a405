"""Lab 1, prompting and decoding: reference answers and their tests.

A reference has the name and the parameters of the notebook's stub, and uses only names that the
notebook has imported.
"""

from __future__ import annotations

import re

import numpy as np
import torch

from ..metrics import paired
from .engine import Exercise, Wrong, close

# ------------------------------------------------------------ lab1.1 your own instruction

MY_TEMPLATE = (
    "Write one sentence that says what this conversation is about.\n\n{dialogue}\n\nSummary:"
)


def _test_template(template):
    if not isinstance(template, str):
        raise Wrong(f"A template is a text; yours is a {type(template).__name__}.")
    slots = template.count("{dialogue}")
    if slots == 0:
        raise Wrong(
            "Your template has no {dialogue} in it: every dialogue would get the same prompt. "
            "Write the braces literally (no f-string)."
        )
    if slots > 1:
        raise Wrong(f"{{dialogue}} occurs {slots} times: the model would read everything twice.")
    if len(template.replace("{dialogue}", "").split()) < 3:
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
    ]
    target = "Eli: Ready?\nFay: In 5 minutes."
    prompt = few_shot(examples, target)
    if not isinstance(prompt, str):
        raise Wrong(f"A prompt is one text; yours is a {type(prompt).__name__}.")
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
    if prompt.index(target) < prompt.index(examples[-1]["dialogue"]):
        raise Wrong(
            "The open question comes first: the model would continue after the last example."
        )
    if not prompt.rstrip().endswith("Summary:"):
        raise Wrong(
            'After the last dialogue write "Summary:" and nothing more: that is the blank to fill.'
        )
    if prompt.count("Summary:") != len(examples) + 1:
        raise Wrong('Mark every answer the same way, with "Summary:" once after each dialogue.')
    for row in examples:
        if f"{row['dialogue']}\nSummary: {row['summary']}\n" not in prompt:
            raise Wrong("Each example: its dialogue, a new line, 'Summary: ' and its summary; the next block begins on a new line.")
    if not re.search(re.escape(target) + r"\s*\n\s*Summary:\s*$", prompt):
        raise Wrong("In the last block, too, 'Summary:' stands on a line of its own.")
    if few_shot([], target).count("Summary:") != 1:
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
    copied = {
        "id": "train-again",
        "dialogue": "t3",
        "summary": "u3",
    }  # a test dialogue, in train too
    seen = set()
    for seed in range(40):
        rows = pick_examples([*train, copied], test, 3, seed)
        if len(rows) != 3:
            raise Wrong(f"Asked for 3 examples, got {len(rows)}.")
        ids = [row["id"] for row in rows]
        if any(id.startswith("test") for id in ids):
            raise Wrong(
                "An example comes from the test split: its answer is in the prompt when it is asked."
            )
        if "train-again" in ids:
            raise Wrong(
                "You drew from train only, but one train row *is* a test dialogue: compare the texts."
            )
        if len(set(ids)) != 3:
            raise Wrong("The same example was drawn twice: draw without replacement.")
        seen.update(ids)
    if len(seen) < 8:
        raise Wrong("Whatever the seed, the same few examples come back: use the seed to draw.")
    again = [pick_examples(train, test, 3, 7) for _ in range(2)]
    if again[0] != again[1]:
        raise Wrong("The same seed gave two different draws: seed a generator inside the function.")


# ------------------------------------------------------------ lab1.4 what fits


def examples_that_fit(example_tokens, question_tokens, max_new_tokens, context):
    room = context - question_tokens - max_new_tokens
    count = 0
    for tokens in example_tokens:
        room -= tokens
        if room < 0:
            break
        count += 1
    return count


def _test_examples_that_fit(examples_that_fit):
    lengths = [100, 100, 100, 100]
    if examples_that_fit(lengths, 50, 50, 400) == 4:
        raise Wrong(
            "400 tokens of examples fill the window: no room for the question and the answer."
        )
    if examples_that_fit(lengths, 60, 60, 400) == 3:
        raise Wrong(
            "Three examples and the question fit, but then the *answer* does not: it needs room too."
        )
    if examples_that_fit(lengths, 60, 60, 400) != 2:
        raise Wrong("400 - 60 - 60 leaves 280 tokens: two examples of 100.")
    if examples_that_fit(lengths, 100, 100, 400) != 2:
        raise Wrong("400 - 100 - 100 leaves 200: two examples fit *exactly*.")
    if examples_that_fit([300, 10], 60, 60, 400) != 0:
        raise Wrong("Examples are taken in order: stop at the first that does not fit.")
    if examples_that_fit([50], 60, 60, 100) != 0:
        raise Wrong("Question and answer alone overflow the window: the count is 0, not negative.")


# ------------------------------------------------------------ lab1.5 spot the bug: n = 4


def compare(scores_a, scores_b, dialogue_ids):
    return paired(scores_a, scores_b, groups=dialogue_ids)


def _test_compare(compare):
    # 4 dialogues, three identical reference rows each: 12 rows, but only 4 independent ones.
    diffs = np.repeat([0.30, 0.05, -0.10, 0.15], 3)
    base = np.linspace(0.1, 0.6, 12)
    ids = np.repeat(["d1", "d2", "d3", "d4"], 3)
    got = compare(base + diffs, base, ids)
    try:
        mean, low, high = float(got.mean), float(got.low), float(got.high)
    except (AttributeError, TypeError):
        raise Wrong(
            "Return an interval with .mean, .low and .high: paired(…) or interval(…) gives one."
        ) from None
    if not abs(mean - 0.10) < 1e-6:
        raise Wrong(f"The mean difference a - b is 0.100; yours is {mean:+.3f}. Check the order.")
    narrowest, widest = _widths(base + diffs, base, ids)
    if low > 0:
        raise Wrong(
            "Your interval excludes 0: it counts 12 rows as independent, but they are 4 dialogues."
        )
    if high - low > widest:
        raise Wrong("Your interval is too wide: pair the scores (the difference first, then its interval).")
    if high - low < narrowest:
        raise Wrong("Your interval is too narrow: the dialogues are independent, their rows are not.")
    # A dialogue's rows apart, and its references not alike. Three neighbours are three dialogues.
    ids = np.tile(["d1", "d2", "d3"], 4)
    diffs = np.tile([0.30, 0.10, -0.10], 4) + np.repeat([0.04, 0.0, -0.04, 0.0], 3)
    got, (narrowest, widest) = compare(base + diffs, base, ids), _widths(base + diffs, base, ids)
    if not abs(got.mean - 0.10) < 1e-6:
        raise Wrong("You left rows out: all references of a dialogue count.")
    if not narrowest < got.high - got.low < widest:
        raise Wrong("The rows of a dialogue need not stand side by side: go by dialogue_ids.")


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


def _test_softmax_at(softmax_at):
    logits = torch.tensor([2.0, 1.0, 0.0])
    cold, warm = softmax_at(logits, 0.5), softmax_at(logits, 2.0)
    want = torch.softmax(logits / 0.5, 0)
    if not isinstance(cold, torch.Tensor) or cold.shape != logits.shape:
        raise Wrong("Return a tensor with one probability a word, as long as the logits.")
    if not close(cold.sum(), 1.0):
        if close(cold, torch.softmax(logits, 0) / 0.5):
            raise Wrong(
                "You divided the *probabilities* by T: they no longer add up to 1. Divide the logits."
            )
        raise Wrong(f"Your probabilities add up to {cold.sum():.2f}.")
    if cold.max() < warm.max():
        raise Wrong(
            "At T = 0.5 the likeliest word lost probability: did you multiply instead of divide?"
        )
    if not close(cold, want):
        raise Wrong(
            f"For logits [2, 1, 0] at T = 0.5 the first word should get {want[0]:.3f}, not {cold[0]:.3f}."
        )
    big = softmax_at(torch.tensor([1000.0, 999.0]), 1.0)
    if not torch.isfinite(big).all():
        raise Wrong(
            "Right for small logits, but exp(1000) overflows. Subtracting the maximum changes no ratio."
        )


# ------------------------------------------------------------ lab1.7 repetition penalty


def penalise(logits, seen, penalty):
    out = logits.clone()
    for token in set(seen):
        out[token] = out[token] / penalty if out[token] > 0 else out[token] * penalty
    return out


def _test_penalise(penalise):
    logits = torch.tensor([3.0, -2.0, 1.0, 0.5])
    before = logits.clone()
    got = penalise(logits, [0, 1, 0], 2.0)
    if not close(logits, before):
        raise Wrong("You changed the caller's logits in place: work on a copy (logits.clone()).")
    if not isinstance(got, torch.Tensor) or got.shape != before.shape:
        raise Wrong("Return a tensor of the same shape as the logits.")
    if close(got[1], -1.0):
        raise Wrong(
            "Dividing -2 by 2 gives -1: the repeated word became *likelier*. What about negative logits?"
        )
    if close(got[0], 0.75):
        raise Wrong("Word 0 was seen twice and punished twice; the penalty counts each word once.")
    if not close(got[2:], before[2:]):
        raise Wrong("Words that have not occurred must keep their logits.")
    if not close(got, [1.5, -4.0, 1.0, 0.5]):
        raise Wrong(
            f"For [3, -2, 1, 0.5] with words 0 and 1 seen, 2.0 gives {[round(v, 2) for v in got.tolist()]}."
        )


# ------------------------------------------------------------ lab1.8 top-p for one row


def top_p_row(probs, p):
    order = probs.argsort(descending=True)
    ordered = probs[order]
    keep = ordered.cumsum(0) - ordered < p
    kept = torch.zeros_like(probs)
    kept[order[keep]] = ordered[keep]
    return kept / kept.sum()


def _test_top_p_row(top_p_row):
    easy = torch.tensor([0.5, 0.25, 0.15, 0.07, 0.03])
    got = top_p_row(easy.clone(), 0.4)
    if not isinstance(got, torch.Tensor) or got.shape != easy.shape:
        raise Wrong(
            "Return a tensor as long as the input: dropped words stay in it, with probability 0."
        )
    if not torch.isfinite(got).all() or (got > 0).sum() == 0:
        raise Wrong(
            "With p = 0.4 and a first word of 0.5 you kept nothing. Is the word that *crosses* p in or out?"
        )
    kept = (top_p_row(easy.clone(), 0.8) > 0).tolist()
    if kept == [True, True, False, False, False]:
        raise Wrong("With p = 0.8 you stopped at 0.75. Is the word that *crosses* p in or out?")
    if kept != [True, True, True, False, False]:
        raise Wrong(
            f"With p = 0.8 and {easy.tolist()} three words should stay; you kept {sum(kept)}."
        )
    total = top_p_row(easy.clone(), 0.8).sum()
    if not close(total, 1.0):
        raise Wrong(f"You kept the right words, but they add up to {total:.2f}.")
    if not close(top_p_row(easy.clone(), 0.8), [0.5 / 0.9, 0.25 / 0.9, 0.15 / 0.9, 0.0, 0.0]):
        raise Wrong("The survivors must keep their proportions: divide each by their sum. (Softmax is for logits.)")
    if not close(top_p_row(torch.tensor([0.5, 0.25, 0.25]), 0.5), [1.0, 0.0, 0.0]):
        raise Wrong("With p = 0.5 a first word of exactly 0.5 is enough: *at least* p.")
    mixed = torch.tensor([0.1, 0.6, 0.3])
    if not close(top_p_row(mixed.clone(), 0.5), [0.0, 1.0, 0.0]):
        raise Wrong(
            "Right for sorted input. Try [0.1, 0.6, 0.3] with p = 0.5: only the 0.6 should stay."
        )


# ------------------------------------------------------------ lab1.9 spot the bug: pad is eos


def answer_length(ids, eos_id):
    ids = list(ids)
    return ids.index(eos_id) + 1 if eos_id in ids else len(ids)


def _test_answer_length(answer_length):
    if answer_length([7, 8, 9, 2, 2, 2], 2) == 3:
        raise Wrong(
            "You dropped every 2, and with them the end token: ending is part of the answer. Count it once."
        )
    if answer_length([7, 8, 9, 2, 2, 2], 2) == 6:
        raise Wrong("The last two 2s are padding: nothing after the first end token was generated.")
    if answer_length([7, 8, 9, 2, 2, 2], 2) != 4:
        raise Wrong(
            "[7, 8, 9, 2, 2, 2] with end token 2 is an answer of 4 tokens: three words and the end."
        )
    if answer_length([7, 8, 9], 2) != 3:
        raise Wrong("[7, 8, 9] never ended: the limit stopped it. All 3 tokens count.")
    if answer_length([2, 2, 2], 2) != 1:
        raise Wrong("[2, 2, 2] is an answer that ended at once: 1 token.")
    if answer_length(torch.tensor([5, 2, 2]), 2) != 2:
        raise Wrong("Right for lists; make it work for a tensor of ids too.")


# ------------------------------------------------------------ lab1.10 predict, then measure


def distinct_2(texts):
    pairs = [pair for text in texts for pair in zip(text.split(), text.split()[1:])]
    return len(set(pairs)) / len(pairs) if pairs else 0.0


def _test_distinct_2(distinct_2):
    same = distinct_2(["a b c", "a b c"])
    if close(same, 1.0):
        raise Wrong(
            "Two identical texts came out as fully diverse: pool the pairs of *all* texts, then count."
        )
    if close(same, 2.0):
        raise Wrong("You returned a count of pairs; divide by how many pairs there are in all.")
    if close(same, 0.25) or close(same, 1 / 3):
        raise Wrong("Divide by the number of word *pairs* (2 in 'a b c'), not of words.")
    if not close(same, 0.5):
        raise Wrong(f"In two copies of 'a b c' 2 of 4 pairs are distinct: 0.5, not {same}.")
    if not close(distinct_2(["a b a b"]), 2 / 3):
        raise Wrong("'a b a b' has the pairs ab, ba, ab: 2 distinct of 3. Pairs overlap.")
    if not close(distinct_2(["a b", "c d"]), 1.0):
        raise Wrong("'a b' and 'c d' share nothing. Did you make a pair across the two texts?")
    if distinct_2(["one", ""]) != 0.0:
        raise Wrong("Texts without any pair should give 0, not an error.")


EXERCISES = [
    Exercise("lab1.1", "your own instruction", MY_TEMPLATE, _test_template, (
        "A template is an ordinary string with the seven letters-in-braces {dialogue} where the turns go.",
        "Say what to do, and how long the answer should be.",
    )),
    Exercise("lab1.2", "few-shot by hand", few_shot, _test_few_shot, (
        "Build one block per example: its dialogue, a new line, 'Summary: ', its summary.",
        "The last block looks the same but stops after 'Summary:'.",
    )),
    Exercise("lab1.3", "spot the bug: the leak", pick_examples, _test_pick_examples, (
        "Which split may an example come from?",
        "Being in train is not enough if the same dialogue was copied into both splits.",
    )),
    Exercise("lab1.4", "what fits into the context window", examples_that_fit, _test_examples_that_fit, (
        "Three things share the window: examples, question, answer.",
        "Subtract the fixed parts first, then take examples while they fit.",
    )),
    Exercise("lab1.5", "spot the bug: twelve rows, four dialogues", compare, _test_compare, (
        "Rows of the same dialogue share its difficulty: they are not independent.",
        "paired(…, groups=labels) counts the rows of one group as one observation.",
    )),
    Exercise("lab1.6", "softmax with temperature", softmax_at, _test_softmax_at, (
        "Divide the logits by T, exponentiate, divide by the sum.",
        "Subtract the largest scaled logit first: e^(a-c) / e^(b-c) = e^a / e^b.",
    )),
    Exercise("lab1.7", "repetition penalty", penalise, _test_penalise, (
        "A smaller logit is a smaller probability, whatever its sign.",
        "Divide positive logits, multiply negative ones.",
    )),
    Exercise("lab1.8", "top-p for one row", top_p_row, _test_top_p_row, (
        "Sort, add up, and look at the sum *before* each word.",
        "argsort tells where each sorted word came from: use it to put the survivors back.",
    )),
    Exercise("lab1.9", "spot the bug: the pad that is an end", answer_length, _test_answer_length, (
        "In this tokenizer padding and end share the id 2: a 2 can be either.",
        "The first end token is part of the answer; whatever follows is not.",
    )),
    Exercise("lab1.10", "distinct-2 by hand", distinct_2, _test_distinct_2, (
        "zip(words, words[1:]) gives the overlapping pairs of one text.",
        "distinct pairs of all texts / all pairs of all texts",
    )),
]  # fmt: skip
