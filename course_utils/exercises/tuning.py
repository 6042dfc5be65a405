"""Instruction tuning: reference answers and their tests."""

from __future__ import annotations

import itertools
import random
import re
from collections import Counter

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from . import answers
from .answers import Wrong
from .cases import compare
from .engine import Exercise

# ------------------------------------------------------------ tuning.1 fill a template


def fill_template(template, row):
    return template.format_map(row)


def _one_after_the_other(template, columns):
    for column, text in columns:
        template = template.replace("{" + column + "}", text)
    return template


def _test_fill_template(answer):
    both = "{dialogue} | {summary}"
    talk = {"dialogue": "Ana: Rain?\nBo: Until noon.", "summary": "Bo expects rain.", "topic": "weather"}
    named = {"dialogue": "Ana: {summary}?", "summary": "See {dialogue}."}
    again = "A text that holds '{summary}' itself was filled in too: go over the template once, not once a column."
    compare(answer, fill_template, [
        ("", ("{dialogue}\n\nIn short: {summary}", talk)),
        ("a slot twice", ("{word}, {word} and {other}.", {"word": "up", "other": "down"})),
        ("a text with braces of its own", (both, {"dialogue": "x = {1}, {} or {{}}", "summary": "{"})),
        ("a text that holds a slot", (both, named)),
        ("the same, columns the other way round", (both, dict(reversed(named.items())))),
        ("a text with blanks around it", ("<{summary}>", {"summary": "  so \n"})),
        ("a text with backslashes", ("<{path}>", {"path": r"C:\new\1\g<0>"})),
        ("an empty text", ("{dialogue}{summary}", {"dialogue": "", "summary": "a"})),
        ("a template without a slot", ("Hello.", talk)), ("blanks around the template", (" {word}\n\n", {"word": "up"})),
        ("a name with a digit and _", ("{speaker_2}, {speaker}", {"speaker": "Ana", "speaker_2": "Bo"})),
    ], [
        ("You stripped the whole prompt: it begins and ends as the template does.", lambda t, row: fill_template(t, row).strip()),
        ("The template came back unchanged: each column's text belongs in the place of its slot.", lambda t, row: t),
        ("You filled one column only: every slot has a column of its name.", lambda t, row: t.replace("{dialogue}", row["dialogue"])),
        (again, lambda t, row: _one_after_the_other(t, row.items())),
        (again, lambda t, row: _one_after_the_other(t, reversed(row.items()))),
        ("You stripped what is filled in: a text goes in as it is, with its blanks and line breaks.", lambda t, row: fill_template(t, {k: v.strip() for k, v in row.items()})),
    ])  # fmt: skip


# ------------------------------------------------------------ tuning.2 spot the bug: the split


def split(rows, share, seed):
    dialogues = sorted({row["dialogue"] for row in rows})
    np.random.default_rng(seed).shuffle(dialogues)
    test = set(dialogues[: round(share * len(dialogues))])
    return [r for r in rows if r["dialogue"] not in test], [r for r in rows if r["dialogue"] in test]


class _Name:
    """Stands for a dialogue; its hash, and so its place in a set, changes with ``session``."""

    session = 0

    def __init__(self, text):
        self.text = text

    def __hash__(self):
        return hash((_Name.session, self.text))

    def __eq__(self, other):
        return isinstance(other, _Name) and self.text == other.text

    def __lt__(self, other):
        return self.text < other.text

    def __repr__(self):
        return self.text


def _uneven_rows(dialogues, make=str):
    """One to four rows per dialogue, those of one dialogue far apart."""
    rounds = [[n for n in range(dialogues) if n % 4 >= turn] for turn in range(4)]
    return [
        {"dialogue": make(f"dialogue {n}"), "task": f"task {turn}"}
        for turn, numbers in enumerate(rounds) for n in numbers
    ]  # fmt: skip


def _test_split(answer):
    even = [{"dialogue": f"dialogue {n // 3}", "task": f"task {n % 3}"} for n in range(30)]
    for rows, share in ((even, 0.2), (_uneven_rows(10), 0.3), (_uneven_rows(7), 0.4), (_uneven_rows(7), 0.3), (_uneven_rows(20), 0.25)):
        names = {r["dialogue"] for r in rows}
        parts = [answer(rows, share, seed) for seed in range(6)]
        for train, test in parts:
            _check_parts(rows, share, names, train, test)
        if answer(rows, share, 1) != parts[1]:
            raise Wrong("The same seed gave another split: seed a generator inside the function.")
        if all(part == parts[0] for part in parts):
            raise Wrong("Whatever the seed, the split is the same: use it to draw.")
    _test_other_sessions(answer)


def _check_parts(rows, share, names, train, test):
    def count(part):
        return Counter((row["dialogue"], row["task"]) for row in part)

    of_train, of_test = ({r["dialogue"] for r in part} for part in (train, test))
    wanted = f"{share * len(names):g} of {len(names)} dialogues" + ", rounded" * (share * len(names) % 1 > 1e-9)
    if count([*train, *test]) != count(rows):
        raise Wrong("Rows were lost, doubled or changed: each belongs to exactly one part.")
    if of_train & of_test:
        raise Wrong(f"{len(of_train & of_test)} of {len(names)} dialogues have rows in both parts: the parrot would know their answers.")
    if abs(len(of_test) - share * len(names)) > 0.5:
        if abs(len(of_train) - share * len(names)) <= 0.5:
            raise Wrong(f"Your first part holds {len(of_train)} dialogues and your second {len(of_test)}: the first is for training, the second, {wanted}, for the test.")
        raise Wrong(f"With a share of {share:g} the second part should hold {wanted}; yours holds {len(of_test)}.")


def _test_other_sessions(answer):
    found = []
    try:
        for _Name.session in range(6):
            rows = _uneven_rows(20, _Name)
            train, test = answer(rows, 0.25, 1)
            if len({r["dialogue"] for r in test}) != 5:
                return
            found.append({r["dialogue"].text for r in test})
    except (TypeError, AttributeError):
        return  # the answer needs texts: then this cannot be tried
    finally:
        _Name.session = 0
    if any(test != found[0] for test in found):
        raise Wrong("In a new session the same seed gives another split: a set of texts has another order each time Python starts. Bring the dialogues into a fixed order before you draw.")


# ------------------------------------------------------------ tuning.3 the loss by hand


def answer_loss(logits, labels):
    scores, following = logits[:, :-1], labels[:, 1:]  # position i predicts the token at i + 1
    learnt = following != -100
    log_probs = scores[learnt].log_softmax(-1)
    return -log_probs.gather(1, following[learnt][:, None]).mean()


def _test_answer_loss(answer):
    generator = torch.Generator().manual_seed(0)

    def scores(*shape, size=1.0):
        return size * torch.randn(*shape, generator=generator)

    def flat(logits, labels, **how):
        return cross_entropy(logits.reshape(-1, logits.shape[-1]), labels.reshape(-1), **how)

    def log_probs(logits, labels):
        following = labels[:, 1:]
        return logits[:, :-1].log_softmax(-1)[following != -100].gather(1, following[following != -100][:, None])

    def learnt(logits, labels):
        return (labels[:, 1:] != -100).sum()

    cases = [
        ("", (scores(1, 6, 5), torch.tensor([[-100, -100, 3, 1, -100, 4]]))),
        ("three rows with answers of unlike length", (scores(3, 7, 5), torch.tensor([
            [-100, -100, 3, 1, 0, 4, 2], [-100, -100, -100, 0, 2, -100, -100], [-100, 4, -100, -100, -100, -100, -100]]))),
        ("a row that begins with a label, and one that has none", (scores(3, 4, 6), torch.tensor([
            [2, 5, -100, 1], [-100, -100, -100, -100], [0, -100, 0, 3]]))),
        ("large scores", (scores(2, 5, 3, size=300), torch.tensor([[-100, 2, 0, 1, -100], [-100, -100, 1, 1, 2]]))),
    ]  # fmt: skip

    def one_number(a, b):
        return a.numel() == 1 and bool(torch.isclose(a.double().reshape(()), b.double(), rtol=1e-4, equal_nan=True))

    compare(answer, answer_loss, cases, [
        ("You did not shift: position i predicts the token at i + 1.", flat),
        ("You left out the last position and did not shift: the scores at position i belong to the label at i + 1.", lambda x, y: flat(x[:, :-1], y[:, :-1])),
        ("You shifted the wrong way: position i predicts the token at i + 1, not the one at i − 1.", lambda x, y: flat(x[:, 1:], y[:, :-1])),
        ("You shifted after laying the rows end to end: the last position of a row then predicts the first token of the next.", lambda x, y: cross_entropy(x.flatten(0, 1)[:-1], y.flatten()[1:])),
        ("Positions labelled −100 count in your loss, as if they were label 0: leave them out.", lambda x, y: flat(x[:, :-1], y[:, 1:].clamp(0))),
        ("You left out label 0 as well: 0 is a token like any other, only −100 is masked.", lambda x, y: flat(x[:, :-1], y[:, 1:].where(y[:, 1:] > 0, -100))),
        ("The sign is wrong: log-probabilities are below 0, and a loss is *minus* their mean.", lambda x, y: -answer_loss(x, y)),
        ("You returned the sum; the loss is the mean over the answer tokens.", lambda x, y: flat(x[:, :-1], y[:, 1:], reduction="sum")),
        ("You averaged the rows' means: a row with a short answer then counts as much as one with a long answer. Each answer *token* counts once.",
         lambda x, y: torch.stack([answer_loss(a[None], b[None]) for a, b in zip(x, y) if (b[1:] != -100).any()]).mean()),
        ("You averaged the rows' means: a row with a short answer then counts as much as one with a long answer. Each answer *token* counts once.",
         lambda x, y: torch.stack([answer_loss(a[None], b[None]) for a, b in zip(x, y)]).mean()),
        ("You divided by all positions: divide by the number of answer tokens.", lambda x, y: flat(x[:, :-1], y[:, 1:], reduction="sum") / y[:, 1:].numel()),
        ("You divided by all positions: divide by the number of answer tokens.", lambda x, y: flat(x[:, :-1], y[:, 1:], reduction="sum") / y.numel()),
        ("A label at a row's first position has nothing before it that could predict it: it is not learnt, and must not be counted either.", lambda x, y: flat(x[:, :-1], y[:, 1:], reduction="sum") / (y != -100).sum()),
        ("You divided by the number of rows: divide by the number of answer tokens.", lambda x, y: flat(x[:, :-1], y[:, 1:], reduction="sum") / len(y)),
        ("That is the mean probability with a minus: the logarithm is missing.", lambda x, y: -log_probs(x, y).exp().mean()),
        ("You took the mean of the probabilities first and its logarithm after: each token has its own logarithm.", lambda x, y: -log_probs(x, y).exp().mean().log()),
        ("The scores are no log-probabilities yet: a softmax is missing.", lambda x, y: -x[:, :-1][y[:, 1:] != -100].gather(1, y[:, 1:][y[:, 1:] != -100][:, None]).mean()),
        ("Large scores overflow in exp: use log_softmax, which subtracts the largest first.",
         lambda x, y: -(lambda p, k: p[k].gather(1, y[:, 1:][k][:, None]).log().mean())(x[:, :-1].exp() / x[:, :-1].exp().sum(-1, keepdim=True), y[:, 1:] != -100)),
        ("A probability that rounds to 0 has no logarithm: use log_softmax instead of softmax and log.",
         lambda x, y: -(lambda p, k: p[k].gather(1, y[:, 1:][k][:, None]).log().mean())(x[:, :-1].softmax(-1), y[:, 1:] != -100)),
    ], one_number)  # fmt: skip


# ------------------------------------------------------------ tuning.4 spot the bug: a judge of answers


def is_right(answer, output):
    def plain(text):
        return text.strip().removesuffix(".").lower()

    return plain(answer) == plain(output)


def _test_is_right(answer):
    def plain(text):
        return text.strip().removesuffix(".").lower()

    compare(answer, is_right, [
        ("", ("positive", "positive")), ("", ("negative", "positive")),
        ("capital and full stop", ("Positive.", "positive")),
        ("the same on the other side", ("positive", "Positive.")),
        ("spaces around", (" positive\n", "positive")), ("", ("positive", "\tpositive ")),
        ("spaces after the stop", ("Positive. \n", "positive")),
        ("a negation", ("not positive", "positive")), ("", ("positive", "not positive")),
        ("both options", ("positive or negative", "positive")),
        ("an empty answer", ("", "positive")), ("a longer word", ("positively", "positive")),
        ("quotation marks", ("'positive'", "positive")), ("an exclamation mark", ("positive!", "positive")),
        ("words in another order", ("Bo, Ana", "Ana, Bo")), ("", ("a b", "b a")), ("a word twice", ("a b b", "a b")),
        ("spaces inside", ("a b", "ab")), ("", ("a  b", "a b")), ("three stops", ("positive...", "positive")), ("stops inside", ("u.s.", "us")), ("", ("3.5", "35")),
        ("a stop in front", (".5", "5")), ("stops inside, on both sides", ("At 9.30.", "at 9.30")),
    ], [
        ("You look for the output *inside* the answer: 'not positive' counts as 'positive', and so does an answer that names every option.", lambda a, o: o in a),
        ("You look for the output *inside* the answer: 'not positive' counts as 'positive', and so does an answer that names every option.", lambda a, o: plain(o) in plain(a)),
        ("You look at the beginning of the answer: 'positively' counts as 'positive'.", lambda a, o: plain(a).startswith(plain(o))),
        ("'Positive.' counted as wrong for its capital and its full stop: those are forgiven, and spaces around as well.", lambda a, o: a == o),
        ("Capitals and spaces are forgiven; the full stop at the end should be, too.", lambda a, o: a.strip().lower() == o.strip().lower()),
        ("You cleaned the answer only: the output may have a capital or a full stop, too.", lambda a, o: plain(a) == o),
        ("'Positive. ' counted as wrong: take the spaces away before you look for the stop.", lambda a, o: a.removesuffix(".").strip().lower() == o.removesuffix(".").strip().lower()),
        ("You took away stops and spaces everywhere: 'u.s.' counts as 'us', 'a b' as 'ab'. Only those at the ends are forgiven.", lambda a, o: re.sub(r"[\s.]", "", a).lower() == re.sub(r"[\s.]", "", o).lower()),
        ("Only one full stop at the end is forgiven; you took away several.", lambda a, o: a.strip().rstrip(".").lower() == o.strip().rstrip(".").lower()),
        ("Spaces inside count: 'a  b' is not 'a b'.", lambda a, o: plain(a).split() == plain(o).split()),
        ("You took away every stop: '3.5' counts as '35'. Only one at the end is forgiven.", lambda a, o: a.strip().lower().replace(".", "") == o.strip().lower().replace(".", "")),
        ("You compare sets of words: another order, or a word twice, counts as the same.", lambda a, o: set(a.lower().replace(".", " ").split()) == set(o.lower().replace(".", " ").split())),
        ("You compare the words without their order: 'a b' counts as 'b a'.", lambda a, o: sorted(plain(a).split()) == sorted(plain(o).split())),
        ("You took away stops in front as well: '.5' is not '5'.", lambda a, o: a.strip(" .\n\t").lower() == o.strip(" .\n\t").lower()),
        ("Only capitals, outer spaces and a final stop are forgiven; quotation marks and exclamation marks are not.", lambda a, o: a.strip("'\"!. \n\t").lower() == o.strip("'\"!. \n\t").lower()),
        ("Capitals count in your comparison: they should be forgiven.", lambda a, o: a.strip().removesuffix(".") == o.strip().removesuffix(".")),
    ])  # fmt: skip


# ------------------------------------------------------------ tuning.5 ROUGE-1


def rouge_1(prediction, reference):
    a, b = Counter(prediction.split()), Counter(reference.split())
    shared = sum((a & b).values())
    if shared == 0:
        return 0.0
    precision, recall = shared / sum(a.values()), shared / sum(b.values())
    return 2 * precision * recall / (precision + recall)


def _shares(prediction, reference):
    """Precision and recall, 0 where there is nothing to divide by."""
    a, b = Counter(prediction.split()), Counter(reference.split())
    shared = sum((a & b).values())
    return shared / max(1, sum(a.values())), shared / max(1, sum(b.values()))


def _test_rouge_1(answer):
    def of(combine):
        return lambda p, r: combine(*_shares(p, r))

    def words(p, r):
        return p.split(), r.split()

    def without(p, r, stop=("the", "a", "is", "on")):
        return rouge_1(*(" ".join(w for w in text.split() if w not in stop) for text in (p, r)))

    def jaccard(p, r):
        a, b = Counter(p.split()), Counter(r.split())
        return sum((a & b).values()) / max(1, sum((a | b).values()))

    nothing = "Texts that share no word, or one that is empty, should give 0, not an error."
    clip = "'the the the' against 'the cat': a word counts at most as often as it stands in *both*."
    clip_low = "A word that both texts have twice counts twice: 'a a b' and 'a a c' share two of three words."
    compare(answer, rouge_1, [
        ("", ("bo pays 40", "bo pays 40 on monday")), ("", ("bo pays 40 on monday", "pays bo 40 a")),
        ("a word more often in one text", ("the the the", "the cat")), ("", ("deux", "un deux deux trois")),
        ("a word twice in both", ("a a b", "a a c")), ("", ("a b c a d", "b a a a")),
        ("", ("the cat is on a mat", "a cat is the one")),
        ("no word shared", ("a b", "c d")), ("an empty prediction", ("", "a b")), ("an empty reference", ("a b", "")),
    ], [
        ("That is the recall alone. ROUGE's F-measure also asks how much of the prediction fits.", of(lambda p, r: r)),
        ("That is the precision alone. ROUGE's F-measure also asks how much of the reference is found.", of(lambda p, r: p)),
        ("You took the ordinary mean of precision and recall; F is the harmonic mean.", of(lambda p, r: (p + r) / 2)),
        ("You took the root of the product; F is the harmonic mean.", of(lambda p, r: (p * r) ** 0.5)),
        ("You multiplied precision and recall; F is their harmonic mean.", of(lambda p, r: p * r)),
        ("That is a percentage: a number from 0 to 1 is wanted.", lambda p, r: 100 * rouge_1(p, r)),
        ("The factor 2 is missing: two equal shares should have that share as their mean.", lambda p, r: rouge_1(p, r) / 2),
        ("You divided the shared words by all different ones of both texts (intersection over union). F is a mean of two shares.", jaccard),
        (nothing, lambda p, r: (lambda a, b: 2 * a * b / (a + b))(*_shares(p, r))),
        (nothing, lambda p, r: (lambda s, a, b: 2 * (s / len(a)) * (s / len(b)) / (s / len(a) + s / len(b)))(sum((Counter(p.split()) & Counter(r.split())).values()), *words(p, r))),
        (clip, lambda p, r: (lambda a, b: 2 * sum(w in b for w in a) / max(1, len(a) + len(b)))(*words(p, r))),
        (clip, lambda p, r: (lambda a, b: 2 * sum(w in a for w in b) / max(1, len(a) + len(b)))(*words(p, r))),
        (clip_low, lambda p, r: (lambda a, b: 2 * len({*a} & {*b}) / max(1, len(a) + len(b)))(*words(p, r))),
        ("Your counts are those of *different* words: a word that stands twice should count twice.", lambda p, r: (lambda a, b: 2 * len({*a} & {*b}) / max(1, len({*a}) + len({*b})))(*words(p, r))),
        ("You left out small words such as 'the': ROUGE-1 counts every word.", without),
        ("You compared letters; ROUGE-1 compares words.", lambda p, r: rouge_1(" ".join(p.replace(" ", "")), " ".join(r.replace(" ", "")))),
    ])  # fmt: skip


# ------------------------------------------------------------ tuning.6 longest common subsequence


def lcs(a, b):
    lengths = [0] * (len(b) + 1)
    for x in a:
        diagonal = 0
        for j, y in enumerate(b, 1):
            above = lengths[j]
            lengths[j] = diagonal + 1 if x == y else max(above, lengths[j - 1])
            diagonal = above
    return lengths[-1]


def _table(a, b, rows, equal):
    """The table of ``lcs``, with its rows and the entry of two equal words as given."""
    table = rows(len(a) + 1, len(b) + 1)
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            beside = max(table[i][j + 1], table[i + 1][j])
            table[i + 1][j + 1] = equal(table[i][j], beside) if x == y else beside
    return table[-1][-1]


def _run(a, b):
    """The longest stretch of words that stands in both without a gap."""
    return max((n for n in range(len(a) + 1) for i in range(len(a) - n + 1) for j in range(len(b) - n + 1) if a[i : i + n] == b[j : j + n]), default=0)


def _prefix(a, b):
    return next((n for n, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))


def _greedy(a, b):
    found, start = 0, 0
    for word in a:
        if word in b[start:]:
            found, start = found + 1, b.index(word, start) + 1
    return found


def _test_lcs(answer):
    def fresh(rows, columns):
        return [[0] * columns for _ in range(rows)]

    draw = random.Random(0)
    drawn = [([draw.choice("xyz") for _ in range(n)], [draw.choice("xyz") for _ in range(m)]) for n, m in ((4, 7), (7, 5), (6, 6))]
    pairs = [
        ("the dog bit the man", "the man bit the dog"), ("a b x c d", "a b c d"), ("b c a", "a b c"),
        ("a b", "a b"), ("a", "b"), ("", ""), ("a b c", ""), ("", "a"), ("a", "a a"), ("a a", "a"), ("a b a", "a a b b"),
    ]  # fmt: skip
    remarks = {("a b c", ""): "nothing in b", ("", "a"): "nothing in a", ("a", "a a"): "a word twice", ("", ""): "nothing at all"}
    cases = [(remarks.get(pair, ""), tuple(text.split() for text in pair)) for pair in pairs]
    compare(answer, lcs, cases + [("", pair) for pair in drawn], [
        ("You counted shared words. The order counts too: 'the … bit the …' is 3 long.", lambda a, b: sum((Counter(a) & Counter(b)).values())),
        ("You counted shared words, each once. The order counts too, and a word may be used again: 'the … bit the …' is 3 long.", lambda a, b: len(set(a) & set(b))),
        ("You stopped at the first difference: a subsequence may begin later and have gaps.", _prefix),
        ("You counted positions with the same word; a gap moves what follows.", lambda a, b: sum(x == y for x, y in zip(a, b))),
        ("You looked for the longest stretch without a gap: a subsequence may have gaps.", _run),
        ("You took each word at its first place: sometimes a word must be left out so that more of the others fit.", _greedy),
        ("A word was used twice: 'a' and 'a a' share one word. Two equal words continue what was found *before both*.", lambda a, b: _table(a, b, fresh, lambda diagonal, beside: beside + 1)),
        ("All rows of your table are one and the same list: `[[0] * n] * m` repeats the list, it makes no new ones. 'a' and 'a a' gave 2.", lambda a, b: _table(a, b, lambda m, n: [[0] * n] * m, lambda diagonal, beside: diagonal + 1)),
        ("An empty list of words should give 0, not an error.", lambda a, b: _table(a, b, fresh, lambda d, beside: d + 1) if [a[0], b[0]] else 0),
    ])  # fmt: skip


# ------------------------------------------------------------ tuning.7 contamination


def contaminated(train, test, n):
    words = test.lower().split()
    grams = {tuple(words[i : i + n]) for i in range(len(words) - n + 1)}
    for text in train:
        seen = text.lower().split()
        if any(tuple(seen[i : i + n]) in grams for i in range(len(seen) - n + 1)):
            return True
    return False


def _by_runs(runs, joined=False):
    """An answer that compares what ``runs(text, n)`` finds."""
    return lambda train, test, n: any(runs(text, n) & runs(test, n) for text in ([" ".join(train)] if joined else train))


def _runs(words, n, last=1):
    return {tuple(words[i : i + n]) for i in range(max(0, len(words) - n + last))}


def _test_contaminated(answer):
    train = ["Note: the capital of Peru is Lima , as you know", "What is the price of tea ?"]

    def lower(text, n):
        return _runs(text.lower().split(), n)

    compare(answer, contaminated, [
        ("a run inside a longer text", (train, "say the capital of Peru is", 4)),
        ("nothing but single words shared", (train, "know you what Peru is", 4)),
        ("a run of three, where n is four", (train, "What is the capital of Mali ?", 4)),
        ("a run of three, where n is three", (train, "What is the capital of Mali ?", 3)),
        ("other capitals", (["THE CAPITAL OF PERU"], "tell me: the capital of peru", 4)), ("", (["the capital of peru"], "The Capital Of Peru", 4)),
        ("a run at the end of both", (["now it is the price of tea"], "he asked the price of tea", 4)),
        ("a test of exactly n words", (["so the price of tea is"], "the price of tea", 4)),
        ("a training text of exactly n words", (["the price of tea"], "so the price of tea is", 4)),
        ("the same words in another order", (["tea of price the"], "the price of tea", 4)),
        ("a run across two training texts", (["a b", "c d"], "a b c d", 4)),
        ("a word that ends like another", (["smart is the word"], "art is the word", 4)),
        ("a word with a hyphen", (["the price of tea-time is"], "the price of tea", 4)), ("a run that goes on in the next line", (["The capital\nof Peru is"], "the capital of Peru is", 4)),
        ("a test shorter than n", (train, "of tea", 4)), ("texts shorter than n on both sides", (["of tea"], "of tea", 4)),
        ("a run in the second training text", (train, "and the price of tea ?", 4)), ("the words of a run with gaps between them", (["the low price of any tea"], "the price of tea", 4)), ("a colon at a word", (["tea: the price of"], "tea the price of", 4)), ("no training text", ([], "the price of tea", 4)), ("n = 1", (["tea"], "no Tea today", 1)), ("", (["tea"], "teapot", 1)),
        ("a repeated word", (["no no no"], "no no", 3)), ("a run of five", (["x a b c d e y"], "z a b c d e", 5)), ("", (["x a b c d y"], "z a b c d z", 5)),
    ], [
        ("You looked for the whole test text. A run of n words of it is enough.", lambda train, test, n: any(f" {test.lower()} " in f" {text.lower()} " for text in train)),
        ("You looked for the whole test text among the training texts. A run of n words inside is enough.", lambda train, test, n: test in train),
        ("Shared single words are ordinary; only a run of n words is suspicious.", lambda train, test, n: any(set(text.lower().split()) & set(test.lower().split()) for text in train)),
        ("You counted shared words: n of them in any place are no run.", lambda train, test, n: any(len(set(text.lower().split()) & set(test.lower().split())) >= n for text in train)),
        ("Your runs have gaps: the n words must be neighbours in both texts.", lambda train, test, n: any(lcs(text.lower().split(), test.lower().split()) >= n for text in train)),
        ("You joined the training texts: a run across two of them was never seen.", _by_runs(lower, joined=True)),
        ("'art' is not a word of 'smart is the word': compare words, not letters.", lambda train, test, n: any(" ".join(run) in " ".join(text.lower().split()) for text in train for run in lower(test, n))),
        ("'tea' is not the word 'tea-time': a hyphen or a stop does not end a word, only white space does.", lambda train, test, n: any(re.search(rf"\b{re.escape(' '.join(run))}\b", " ".join(text.lower().split())) for text in train for run in lower(test, n))),
        ("Capitals matter in yours: 'THE CAPITAL OF PERU' is the same run in other capitals.", _by_runs(lambda text, n: _runs(text.split(), n))),
        ("You made the training texts lower-case only, or the test only: do both.", lambda train, test, n: any(lower(text, n) & _runs(test.split(), n) for text in train)),
        ("You made the training texts lower-case only, or the test only: do both.", lambda train, test, n: any(_runs(text.split(), n) & lower(test, n) for text in train)),
        ("The last run of each text is missing: a text of exactly n words has one run.", _by_runs(lambda text, n: _runs(text.lower().split(), n, last=0))),
        ("A text shorter than n has no run of n words.", _by_runs(lambda text, n: {tuple(text.lower().split()[i : i + n]) for i in range(max(1, len(text.split()) - n + 1))})),
        ("A text shorter than n has no run of n words: slices at its end are shorter.", _by_runs(lambda text, n: {tuple(text.lower().split()[i : i + n]) for i in range(len(text.split()))})),
        ("Your runs have no order: 'tea of price the' is not the run 'the price of tea'.", _by_runs(lambda text, n: {tuple(sorted(run)) for run in lower(text, n)})),
        ("Your runs have no order and no repeats: compare them as tuples, not as sets.", _by_runs(lambda text, n: {frozenset(run) for run in lower(text, n)})),
        ("A run may go on in the next line: split at any white space.", _by_runs(lambda text, n: _runs(text.lower().split(" "), n))),
        ("You looked at the first training text only.", lambda train, test, n: bool(train) and contaminated(train[:1], test, n)),
        ("You want *every* training text to share a run; one is enough.", lambda train, test, n: all(lower(text, n) & lower(test, n) for text in train)),
        ("You took punctuation away: words are what white space separates.", _by_runs(lambda text, n: lower(re.sub(r"[^\w\s]", " ", text), n))),
        ("Your runs have n + 1 words.", _by_runs(lambda text, n: lower(text, n + 1))),
        ("Your runs have n − 1 words.", _by_runs(lambda text, n: lower(text, n - 1))),
    ])  # fmt: skip


# ------------------------------------------------------------ tuning.8 what one task did to the others


def effect_on_others(rows, trained):
    others = {row["task"] for row in rows} - {trained}
    means = [np.mean([r["after"] - r["before"] for r in rows if r["task"] == task]) for task in others]
    return np.mean(means), sum(m > 0 for m in means), sum(m < 0 for m in means)


def _effect(rows, trained, leave=True, change=lambda row: row["after"] - row["before"]):
    """``effect_on_others`` with a choice of rows and of what a change is."""
    kept = [row for row in rows if (row["task"] != trained) == leave]
    return effect_on_others([{"task": row["task"], "before": 0.0, "after": change(row)} for row in kept], None)


def _test_effect_on_others(answer):
    def rows(**scores):
        return [{"task": task, "before": b, "after": a} for task, pairs in scores.items() for b, a in pairs]

    def by_question(rows, trained):
        d = [row["after"] - row["before"] for row in rows if row["task"] != trained]
        return sum(d) / len(d)

    uneven = rows(names=[(0.25, 0.5)] * 5, topic=[(0.5, 0.25), (0.75, 0.25)], mood=[(0, 1)] * 4)
    level = rows(mood=[(0, 0.5)], names=[(0.25, 0.5), (0.5, 0.25)], topic=[(0.5, 1), (0.5, 0.25), (0, 0.5)], dates=[(1, 0.25)])
    level = [level[i] for i in (3, 1, 0, 6, 4, 2, 5)]
    compare(answer, effect_on_others, [
        ("", (rows(mood=[(0, 1)], names=[(0.25, 0.5)], topic=[(0.5, 0.25)], dates=[(0, 0.5)]), "mood")),
        ("tasks with unlike numbers of questions", (uneven, "mood")),
        ("another task was trained", (uneven, "topic")),
        ("a task whose mean did not change, and rows in any order", (level, "mood")),
        ("one other task", (rows(mood=[(0, 1)], names=[(0.75, 0.5), (0.5, 0.5)]), "mood")),
        ("small changes count, too", (rows(mood=[(0, 1)], names=[(0.5, 0.5078125)], topic=[(0.5, 0.4921875)], dates=[(0.25, 0.5)]), "mood")),
    ], [
        ("The trained task is among the others in yours: leave it out.", lambda r, t: effect_on_others(r, None)),
        ("You measured the trained task; the question is what happened to the others.", lambda r, t: _effect(r, t, leave=False)),
        ("The sign is wrong: a change is after − before.", lambda r, t: _effect(r, t, change=lambda row: row["before"] - row["after"])),
        ("You averaged over questions: a task with many questions then counts more. Take each task's mean first.", lambda r, t: (by_question(r, t), *effect_on_others(r, t)[1:])),
        ("You counted questions that gained and lost; count tasks, each by its mean change.",
         lambda r, t: (effect_on_others(r, t)[0], *(sum(sign * (row["after"] - row["before"]) > 0 for row in r if row["task"] != t) for sign in (1, -1)))),
        ("You averaged over questions and counted questions: the unit is the task. Take each task's mean first.",
         lambda r, t: (by_question(r, t), *(sum(sign * (row["after"] - row["before"]) > 0 for row in r if row["task"] != t) for sign in (1, -1)))),
        ("A task whose mean did not change has neither gained nor lost.", lambda r, t: (lambda m, up, down: (m, len({row["task"] for row in r} - {t}) - down, down))(*effect_on_others(r, t))),
        ("A task whose mean did not change has neither gained nor lost.", lambda r, t: (lambda m, up, down: (m, up, len({row["task"] for row in r} - {t}) - up))(*effect_on_others(r, t))),
        ("Rows of one task need not be neighbours: a task that comes again is still one task.", lambda r, t: effect_on_others([{**row, "task": n} for n, (_, group) in enumerate(itertools.groupby((x for x in r if x["task"] != t), lambda x: x["task"])) for row in group], None)),
        ("You added the tasks' changes up; take their mean.", lambda r, t: (lambda m, up, down: (m * len({row["task"] for row in r} - {t}), up, down))(*effect_on_others(r, t))),
        ("The counts are exchanged: first the tasks that gained, then those that lost.", lambda r, t: (lambda m, up, down: (m, down, up))(*effect_on_others(r, t))),
    ])  # fmt: skip


EXERCISES = [
    Exercise("tuning.3", "the loss by hand", answer_loss, _test_answer_loss, (
        "Which position's scores predict the first token of the answer?",
        "Shift inside each row; then choose the positions whose label is not −100, over all rows at once.",
        "log_softmax gives the log-probabilities; gather picks that of the right token.",
    ), returns=answers.tensor),
    Exercise("tuning.1", "fill a template", fill_template, _test_fill_template, (
        "What happens to a dialogue that holds '{summary}' if you fill in one column after the other?",
        "Go over the template once. A function of str, or re.sub with a function in place of a text, does it.",
    ), returns=answers.text),
    Exercise("tuning.8", "what one task did to the others", effect_on_others, _test_effect_on_others, (
        "Ten questions about names are ten looks at one task. What is the unit?",
        "Collect the changes task by task; take a mean in each, then a mean of the means.",
    ), returns=answers.tuple_of(answers.number, answers.whole, answers.whole)),
    Exercise("tuning.2", "spot the bug: a split", split, _test_split, (
        "Follow one dialogue through the colleague's split. Where do its three rows go?",
        "Three rows share one dialogue. What should be drawn: rows or dialogues?",
        "Bring the dialogues into a fixed order, shuffle them with a seeded generator, then send each row after its dialogue.",
    ), returns=answers.tuple_of(answers.list_of(answers.something), answers.list_of(answers.something), words="two lists of rows, train and test")),
    Exercise("tuning.4", "spot the bug: a judge of answers", is_right, _test_is_right, (
        "Which of the four verdicts above would you give yourself?",
        "Bring both texts into one plain form, then compare the whole.",
        "str has methods for spaces around, for a suffix, and for capitals. In which order do they have to come?",
    ), returns=answers.truth),
    Exercise("tuning.5", "ROUGE-1 by hand", rouge_1, _test_rouge_1, (
        "How many words do 'a a b' and 'a a c' share? And 'the the the' and 'the cat'?",
        "Two Counters of words, joined by &, keep the smaller count of each word.",
        "Precision and recall have the same numerator. When is it 0?",
    ), returns=answers.number),
    Exercise("tuning.6", "longest common subsequence", lcs, _test_lcs, (
        "Fill a table: best[i][j] for the first i words of a and the first j of b.",
        "If the last two words are equal, what can be continued? If not, which of the two may be dropped?",
    ), returns=answers.whole),
    Exercise("tuning.7", "has the model seen the test?", contaminated, _test_contaminated, (
        "How many runs of n words has a text of exactly n words? And a shorter one?",
        "All runs of the test text, as a set of tuples; then look for each training text's runs in that set.",
    ), returns=answers.truth),
]  # fmt: skip
