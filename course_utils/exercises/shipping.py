"""Shipping a model: reference answers and their tests."""

from __future__ import annotations

import ast
import math
import re

import torch
from torch.nn import functional as F

from . import answers
from .cases import alike, brief, compare, same_gradient
from .engine import Exercise, Wrong

# ------------------------------------------------------------ shipping.1 INT8, row by row


def quantise(weight):
    scale = weight.abs().amax(1, keepdim=True) / 127
    scale = scale.clamp(min=1e-12)
    return (weight / scale).round().to(torch.int8), scale


def _rows(size, round_=torch.round, small=1e-12):
    """Another size of a row, another rounding."""

    def slip(weight):
        scale = size(weight).clamp(min=small)
        return round_(weight / scale).to(torch.int8), scale

    return slip


def _largest(weight):
    return weight.abs().amax(1, keepdim=True) / 127


def _test_quantise(theirs):
    cases = [
        ("", (torch.tensor([[0.5, -1.27, 0.017], [127.0, 64.6, -10.0]]),)),
        ("rows of very different size", (torch.tensor([[2e-3, -5e-4], [0.031, -0.033], [-40.0, 33.3]]),)),
        ("negative numbers only", (torch.tensor([[-0.2, -0.9, -0.51], [-3.0, -1.1, -0.3]]),)),
    ]
    integers, scale = theirs(*cases[0][1])
    if scale.shape != (2, 1) and scale.numel() == 2:
        raise Wrong(f"The scales have the shape {list(scale.shape)}; keep them as [rows, 1], so that integers * scale works.")
    slips = [
        ("One scale for the whole matrix: the small rows are rounded to almost nothing. Each row has its own.", _rows(lambda w: (w.abs().max() / 127).reshape(1, 1).expand(len(w), 1))),
        ("One scale for the whole matrix: the small rows are rounded to almost nothing. Each row has its own.", _rows(lambda w: w.abs().max() / 127)),
        ("One scale per column; the largest weight of each *row* becomes ±127.", _rows(lambda w: w.abs().amax(0, keepdim=True) / 127)),
        ("The largest weight of a row *in size* must become ±127, and it may be negative.", _rows(lambda w: w.amax(1, keepdim=True) / 127)),
        ("Casting to int8 cuts the decimals off (64.6 becomes 64). Round first.", _rows(_largest, torch.trunc)),
        ("Rounded down, so that every weight becomes a little smaller: round to the nearest.", _rows(_largest, torch.floor)),
        ("The largest weight becomes ±1: its scale must be one 127th of it.", _rows(lambda w: 127 * _largest(w))),
        ("The largest becomes ±126, or ±128 which int8 does not hold on both sides: the whole numbers go from −127 to 127.", _rows(lambda w: _largest(w) * 127 / 128)),
        ("The largest becomes ±126: the whole numbers go from −127 to 127.", _rows(lambda w: _largest(w) * 127 / 126)),
        ("Small rows got too large a scale: a bound against 0 must be far smaller than any weight.", _rows(_largest, small=1e-2)),
        ("The scale is the mean size of a row: larger weights then leave the range.", _rows(lambda w: w.abs().mean(1, keepdim=True) / 127)),
        ("The integers are right, the scale is its inverse: integers · scale must give the weights back.", lambda w: (quantise(w)[0], 1 / quantise(w)[1])),
        ("Integers and scales are exchanged: the integers come first.", lambda w: quantise(w)[::-1]),
    ]

    def same(a, b):
        shapes = a[0].shape == b[0].shape and a[1].shape == b[1].shape
        return shapes and bool((a[0] == b[0]).all()) and torch.allclose(a[1].float(), b[1].float(), rtol=1e-3, atol=0)

    compare(theirs, quantise, cases, slips, same)
    if integers.dtype != torch.int8:
        raise Wrong(f"The numbers are right, their dtype is {integers.dtype}, not torch.int8: that is where the bytes are saved.")
    integers, scale = theirs(torch.tensor([[0.0, 0.0], [1.0, 2.0]]))
    if not (torch.isfinite(scale) & (scale > 0)).all() or integers[0].tolist() != [0, 0]:
        raise Wrong(f"A row of zeros has no largest weight. Its integers must be 0 and its scale some number above 0; yours {brief(integers[0])} and {brief(scale[0])}.")


# ------------------------------------------------------------ shipping.8 what INT8 arithmetic does


def int8_product(x, integers, scale):
    step = x.abs().max() / 127
    codes = (x / step).round().to(torch.int32)
    return (codes @ integers.to(torch.int32).T) * step * scale.T


def _test_int8_product(theirs):
    generator = torch.Generator().manual_seed(0)

    def case(rows, inside, outside, spread=1.0):
        x = torch.randn(rows, inside, generator=generator) * spread
        return x, *quantise(torch.randn(outside, inside, generator=generator) * torch.rand(outside, 1, generator=generator))

    outlier = case(2, 6, 4)
    outlier[0][0, 0] = -90.0
    heavy = torch.ones(1, 8), torch.full((2, 8), 127, dtype=torch.int8), torch.tensor([[0.1], [0.5]])
    cases = [("", (torch.tensor([[1.0, -0.4]]), torch.tensor([[127, -50]], dtype=torch.int8), torch.tensor([[0.02]]))), ("", case(3, 5, 4)), ("a large sum", heavy), ("many terms", case(1, 300, 2)), ("an outlier in the activations", outlier)]

    def product(step=lambda x: x.abs().max() / 127, out=lambda s: s.T, kind=torch.int32, weights=lambda w, s: w, round_=torch.round):
        def slip(x, integers, scale):
            width = step(x)
            codes = round_(x / width).to(kind)
            return (codes @ weights(integers, scale).to(kind).T).float() * width * out(scale)

        return slip

    slips = [
        ("The sums of products left the range of int8 (−128 to 127): multiply and add in a wider type.", product(kind=torch.int8)),
        ("The sums of products left the range of int16 (−32,768 to 32,767): multiply and add in a wider type.", product(kind=torch.int16)),
        ("Right, but not in whole numbers: the activations were not rounded, so nothing is saved.", lambda x, w, s: (x @ w.float().T) * s.T),
        ("The weights' scales are missing.", product(out=lambda s: 1.0)),
        ("The activations' scale is missing.", lambda x, w, s: int8_product(x, w, s) / (x.abs().max() / 127)),
        ("One scale per row of activations: here the whole tensor has one.", product(step=lambda x: x.abs().amax(1, keepdim=True) / 127)),
        ("The activations were cut off, not rounded.", product(round_=torch.trunc)),
        ("The largest activation *in size* becomes ±127, and it may be negative.", product(step=lambda x: x.max() / 127)),
    ]
    compare(theirs, int8_product, cases, slips)


# ------------------------------------------------------------ shipping.2 a pruning mask


def keep_mask(weight, sparsity):
    remove = round(sparsity * weight.numel())
    smallest = weight.abs().flatten().topk(remove, largest=False, sorted=False).indices
    mask = torch.ones(weight.numel(), dtype=torch.bool)
    mask[smallest] = False
    return mask.reshape(weight.shape)


def _ranked(size, remove=lambda weight, sparsity: round(sparsity * weight.numel()), turned=False):
    def slip(weight, sparsity):
        order = size(weight).flatten().argsort()
        mask = torch.ones(weight.numel(), dtype=torch.bool)
        mask[order[: remove(weight, sparsity)]] = False
        return mask.reshape(weight.shape) ^ turned

    return slip


def _test_keep_mask(theirs):
    many = torch.tensor([[0.03, -0.01, 0.025, -0.07], [-0.015, 0.002, -0.04, 0.06]])
    seven = torch.tensor([[0.4, -0.1, 0.2, 5.0, -3.0, 0.7, -0.6]])
    cases = [
        ("", (torch.tensor([[3.0, -4.0], [0.5, -1.0]]), 0.5)),
        ("a share that is no whole number of weights", (seven, 0.4)), ("a share that is no whole number of weights", (seven, 0.3)),
        ("", (many, 0.25)), ("nothing goes", (many, 0.0)), ("everything goes", (many, 1.0)),
    ]  # fmt: skip
    slips = [
        ("Your mask is turned round: True is for the weights that *stay*, the large ones.", _ranked(torch.abs, turned=True)),
        ("Magnitude is the size without the sign: −4 is larger than 3.", _ranked(lambda w: w)),
        ("The *largest* weights went.", _ranked(lambda w: -w.abs())),
        ("The number of weights to remove is *rounded*, not cut off.", _ranked(torch.abs, lambda w, s: int(s * w.numel()))),
        ("The number of weights to remove is *rounded*, to the nearest, not up.", _ranked(torch.abs, lambda w, s: math.ceil(s * w.numel()))),
        ("Sparsity is the share that goes, not the share that stays.", _ranked(torch.abs, lambda w, s: w.numel() - round(s * w.numel()))),
        ("Sparsity is a share of the weights, not a threshold on their values.", lambda w, s: w.abs() > s),
        ("Sparsity is a share of the weights, not of the largest value.", lambda w, s: w.abs() > s * w.abs().max()),
        ("Half of the weights went, whatever the sparsity.", _ranked(torch.abs, lambda w, s: w.numel() // 2)),
    ]

    def removed_most(mask, weight, sparsity):
        kept, gone = weight.abs()[mask], weight.abs()[~mask]
        return mask.shape == weight.shape and (not kept.numel() or not gone.numel() or kept.min() >= gone.max())

    compare(theirs, keep_mask, cases, slips)
    for weight, sparsity in ((torch.ones(4, 5), 0.5), (torch.tensor([[2.0, -2.0, 1.0, 2.0, -1.0, 0.0]]), 2 / 3)):
        mask, wanted = theirs(weight, sparsity), round(sparsity * weight.numel())
        if int((~mask).sum()) != wanted or not removed_most(mask, weight, sparsity):
            raise Wrong(
                f"Equal sizes: of {brief(weight)} exactly {wanted} weights should go at a sparsity of {sparsity:.2g}, "
                f"the smallest; of yours {int((~mask).sum())} went. Rank them: a threshold cannot divide equals."
            )


# ------------------------------------------------------------ shipping.3 the distillation loss


def distillation_loss(student, teacher, temperature):
    log_q = (student / temperature).log_softmax(-1)
    log_p = (teacher / temperature).log_softmax(-1)
    kl = (log_p.exp() * (log_p - log_q)).sum(-1)
    return temperature**2 * kl.mean()


def _test_distillation_loss(theirs):
    generator = torch.Generator().manual_seed(0)

    def logits(*shape):
        return torch.randn(*shape, generator=generator) * 2

    sure = torch.tensor([[900.0, 0.0, 30.0], [-4.0, 700.0, 1.0]])
    same = logits(3, 4)
    small = torch.tensor([[2.0, 0.0, -1.0], [0.0, 3.0, 1.0]]), torch.tensor([[4.0, 1.0, 0.0], [2.0, 0.0, 1.0]])
    cases = [
        ("", (*small, 3.0)), ("", (logits(4, 6), logits(4, 6), 3.0)), ("with T = 1", (logits(2, 5), logits(2, 5), 1.0)), ("with T = 1.5", (logits(5, 3), logits(5, 3), 1.5)),
        ("a student equal to its teacher", (same, same.clone(), 2.0)), ("a teacher who is quite sure", (logits(2, 3), sure, 2.0)),
        ("a student who is sure of other words", (sure.flip(0) / 15, sure, 2.0)),
    ]  # fmt: skip

    def other(soft=lambda s, t, T: (s / T, t / T), factor=lambda T: T**2, mean=lambda kl: kl.sum(-1).mean()):
        def slip(s, t, T):
            q, p = (z.log_softmax(-1) for z in soft(s, t, T))
            return factor(T) * mean(p.exp() * (p - q))

        return slip

    def naive(s, t, T):
        q, p = (s / T).softmax(-1), (t / T).softmax(-1)
        return T**2 * (p * (p.log() - q.log())).sum(-1).mean()

    def naive_ratio(s, t, T):
        q, p = (s / T).softmax(-1), (t / T).softmax(-1)
        return T**2 * (p * (p / q).log()).sum(-1).mean()

    def padded(s, t, T):
        q, p = (s / T).softmax(-1) + 1e-9, (t / T).softmax(-1) + 1e-9
        return T**2 * (p * (p.log() - q.log())).sum(-1).mean()

    overflow = "log 0 is −inf, and 0 times −inf is NaN: for a teacher who is quite sure take log_softmax, not the log of a softmax."
    slips = [
        ("You have KL(student ‖ teacher). The expectation is over the *teacher's* probabilities.", other(soft=lambda s, t, T: (t / T, s / T))),
        ("T² is missing: without it the gradients shrink as the temperature grows.", other(factor=lambda T: 1.0)),
        ("The factor is T *squared*.", other(factor=lambda T: T)),
        ("The factor is T *squared*, not twice T.", other(factor=lambda T: 2 * T)),
        ("You averaged over the vocabulary too: sum over the words, average over the positions.", other(mean=torch.mean)),
        ("You added up the positions: take their mean.", other(mean=torch.sum)),
        ("A loss is one number; yours is one per position.", other(mean=lambda kl: kl.sum(-1))),
        ("The temperature does not soften anything: divide *both* sets of logits by it.", other(soft=lambda s, t, T: (s, t))),
        ("The temperature does not soften anything: divide *both* sets of logits by it.", other(soft=lambda s, t, T: (s, t), factor=lambda T: 1.0)),
        ("Only the teacher was softened: divide *both* sets of logits by the temperature.", other(soft=lambda s, t, T: (s, t / T))),
        ("Only the student was softened: divide *both* sets of logits by the temperature.", other(soft=lambda s, t, T: (s / T, t))),
        ("The logits were multiplied by the temperature: that makes the distributions sharper.", other(soft=lambda s, t, T: (s * T, t * T))),
        ("The sign is turned: a KL is never negative.", other(factor=lambda T: -(T**2))),
        ("That is the cross-entropy with the teacher's likeliest word. Use its whole distribution.", lambda s, t, T: F.cross_entropy(s, t.argmax(-1))),
        ("That is the cross-entropy with the teacher's distribution: the teacher's own entropy is not taken off, so an equal student does not reach 0.",
         lambda s, t, T: T**2 * F.cross_entropy(s / T, (t / T).softmax(-1))),
        ("F.kl_div wants the student's *log*-probabilities, as its first argument.", lambda s, t, T: T**2 * F.kl_div((s / T).softmax(-1), (t / T).softmax(-1), reduction="batchmean")),
        ("The softmax runs over the positions: each position has a distribution over the *vocabulary*.", lambda s, t, T: T**2 * F.kl_div((s / T).log_softmax(0), (t / T).softmax(0), reduction="batchmean")),
        (overflow, naive), (overflow, naive_ratio),
        ("A small number added to a probability keeps the logarithm finite, and makes it wrong where a probability is smaller: take log_softmax.", padded),
    ]  # fmt: skip
    compare(theirs, distillation_loss, cases, slips)
    same_gradient(theirs, distillation_loss, cases[0][1])


# ------------------------------------------------------------ shipping.4 spot the bug: eval


def tree_value(node):
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -tree_value(node.operand)
    if isinstance(node, ast.BinOp):
        left, right = tree_value(node.left), tree_value(node.right)
        if isinstance(node.op, ast.Add):
            return left + right
        if isinstance(node.op, ast.Sub):
            return left - right
        if isinstance(node.op, ast.Mult):
            return left * right
        if isinstance(node.op, ast.Div):
            return left / right
    raise ValueError(f"not allowed: {ast.unparse(node)}")


CALCULATED = (("7", 7), ("2.5", 2.5), ("2 + 3", 5), ("2 - 3", -1), ("2 * 3", 6), ("9 / 2", 4.5), ("2 + 3 * 4", 14), ("(2 + 3) * 4", 20), ("-3 - -1.5", -1.5), ("-(4 - 7)", 3), ("10 - 4 - 3", 3), ("8 / 4 / 2", 1.0), ("0 * 5", 0), ("1250 * 0.04", 50.0))
REFUSED = (
    ("().__class__", "an attribute came through: from any object it leads to everything Python can do"),
    ("print(1)", "a call was carried out: the model decides what runs on your machine"),
    ("abs(-1) + 1", "a call inside an operation was carried out"),
    ("price * 3", "a name was looked up: the model could read any variable"),
    ("2 ** 9", "an operation that is not on the list was carried out"),
    ("5 // 2", "an operation that is not on the list was carried out"),
    ("5 % 2", "an operation that is not on the list was carried out"),
    ("1 << 9", "an operation that is not on the list was carried out"),
    ("6 ^ 3", "an operation that is not on the list was carried out"),
    ("2 @ 3", "an operation that is not on the list was carried out"),
    ("6 & 3", "an operation that is not on the list was carried out"),
    ("'ab' * 3", "a text is not a number, even though it is in the tree as a constant"),
    ("True + 1", "True came through: isinstance(True, int) holds. Compare the type itself"),
    ("-True", "True came through: isinstance(True, int) holds. Compare the type itself"),
    ("2j * 2j", "only whole numbers and fractions are allowed, no complex ones"),
    ("+3", "a sign in front that is not a minus came through"),
    ("~3", "a sign in front that is not a minus came through"),
    ("2 - +1", "a sign in front that is not a minus came through"),
    ("not 0", "a sign in front that is not a minus came through"),
    ("1 < 2", "a comparison came through"),
    ("[1, 2][0]", "an index came through: a list is not on the list"),
    ("1 if 2 else 3", "a condition came through"),
    ("3 and 4", "a condition came through"),
    ("None", "None is not a number, even though it is in the tree as a constant"),
    ("1 + (lambda: 2)()", "a function inside an operation was carried out"),
    ("1 + (x := 2)", "an assignment was carried out"),
)  # fmt: skip


def _test_tree_value(theirs):
    def run(text):
        return theirs(ast.parse(text, mode="eval").body)

    for text, value in CALCULATED:
        try:
            got = run(text)
        except ValueError as error:
            raise Wrong(f"{text} was refused ({error}). Numbers, + - * / and a minus in front are all allowed.") from error
        if got is None:
            raise Wrong(f"For {text} your function returned None: is `return` missing somewhere?")
        if not alike(got, value) or isinstance(got, bool):
            steps = sum(isinstance(node, ast.BinOp | ast.UnaryOp) for node in ast.walk(ast.parse(text)))
            inside = " Does each side of an operation go through tree_value itself?" if steps > 1 else ""
            raise Wrong(f"{text} is {value}; yours is {brief(got)}.{inside}")
    for text, why in REFUSED:
        try:
            got = run(text)
        except ValueError:
            continue
        except NotImplementedError:
            raise
        except Exception as error:
            raise Wrong(f"{text!r} ended in {type(error).__name__}: {error}. Refuse what you do not know with a ValueError.") from error
        if got is None and text != "None":
            raise Wrong(f"{text!r} came back as None, as if it had a value. Refuse what you do not know with a ValueError.")
        raise Wrong(f"{text!r}: {why}.")


# ------------------------------------------------------------ shipping.5 read an action


def read_action(text):
    own = re.split(r"(?m)^Observation:", text)[0]
    found = re.search(r"Action:\s*(\w+)\[(.*?)\]", own)
    return (found[1], found[2].strip()) if found else None


def _reading(pattern=r"Action:\s*(\w+)\[(.*?)\]", flags=0, pick=0, cut=r"(?m)^Observation:"):
    def slip(text):
        own = re.split(cut, text)[0] if cut else text
        found = [(m[1], m[2]) for m in re.finditer(pattern, own, flags)]
        return found[pick] if found else None

    return slip


def _test_read_action(theirs):
    texts = (
        ("", "I add the two.\nAction: Calculate[(2 + 3) * 4]\nObservation: 5\nThought: Done.\nAction: Finish[5]"),
        ("two actions at once: the first counts", "Action: Search[a red boat]\nAction: Finish[red]"),
        ("a name with brackets that is no action", "I once used Python[3] for it.\nAction: Look_up[notes 1 to 4]"),
        ("another tool", "Action: Translate[water]"),
        ("two pairs of brackets in one line", "Action: Search[red boat] or Search[blue boat]"),
        ("a name is one word", "Action: I shall use Search[a key]"),
        ("no action, though there are brackets", "The list is Note[1] and Note[2]."),
        ("no action", "I should look it up."),
        ("the only action comes after an invented observation", "I think.\nObservation: 3\nThought: so\nAction: Finish[3]"),
        ("the invented observation is the very first line", "Observation: 3\nAction: Finish[3]"),
        ("the word in the middle of a line", "My Observation: none yet.\nAction: Search[key]"),
        ("blanks around the argument", "Action: Search[ a lost key ]"),
    )
    slips = [
        ("You believed an observation that the model *invented*: what comes after it rests on nothing.", _reading(cut=None)),
        ("You took the last action of the text; the first one counts, and the tool has not answered yet.", _reading(cut=None, pick=-1)),
        ("You took the last action; the first one counts.", _reading(pick=-1)),
        ("The argument goes on to the *last* ] of its line: it ends at the first.", _reading(r"Action:\s*(\w+)\[(.*)\]")),
        ("A name is letters, digits and _ alone, and it stands right after Action:.", _reading(r"Action:\s*(.*?)\[(.*?)\]")),
        ("A name is letters, digits and _ alone, and it stands right after Action:.", _reading(r"Action:.*?(\w+)\[(.*?)\]")),
        ("The argument goes on to the *last* ] of the text: a pattern with .* takes as much as it can.", _reading(r"Action:\s*(\w+)\[(.*)\]", re.S)),
        ("The argument goes on to the *last* ] of the text, and over the invented observation.", _reading(r"Action:\s*(\w+)\[(.*)\]", re.S, cut=None)),
        ("Any name with square brackets passes for an action: it must follow `Action:`.", _reading(r"(\w+)\[(.*?)\]")),
        ("An invented observation in the very first line was believed.", _reading(cut=r"\nObservation:")),
        ("Only a line that *begins* with Observation: is invented; elsewhere the word is the model's own.", _reading(cut="Observation:")),
        ("Only names that you know are read: a tool may have any name.", _reading(r"Action:\s*(Calculate|Finish)\[(.*?)\]")),
        ("Only names that you know are read: a tool may have any name.", _reading(r"Action:\s*(Calculate|Search|Finish)\[(.*?)\]")),
        ("The argument ended at a round bracket: it ends at ].", _reading(r"Action:\s*(\w+)\[(.*?)[\])]")),
        ("A name may hold more than letters: Look_up is one.", _reading(r"Action:\s*([A-Za-z]+)\[(.*?)\]")),
        ("Name and argument are exchanged.", lambda t: read_action(t) and read_action(t)[::-1]),
        ("There is an action in the text, and you returned None.", lambda t: None),
        ("Where there is no action the answer is None, so that the loop can count the failure.", lambda t: read_action(t) or ("", "")),
    ]

    def same(a, b):  # blanks around the argument may stay or go
        return a == b if a is None or b is None else (a[0], a[1].strip()) == (b[0], b[1].strip())

    compare(theirs, read_action, [(remark, (text,)) for remark, text in texts], slips, same)


# ------------------------------------------------------------ shipping.6 a guard


def guarded(draw, is_bad, tries):
    for attempt in range(tries):
        text = draw(attempt)
        if not is_bad(text):
            return text
    return None


def _test_guarded(theirs):
    def run(texts, tries):
        asked = []

        def draw(attempt):
            asked.append(attempt)
            if len(asked) > tries + 3:
                raise Wrong(f"With tries = {tries} you drew {len(asked)} times and went on: stop after {tries}, with None.")
            if tries == 0:
                raise Wrong("With tries = 0 nothing may be drawn: the answer is None.")
            if attempt not in range(tries):
                raise Wrong(f"With tries = {tries} you called draw({attempt}): the draws are numbered 0 to {tries - 1}.")
            return texts[attempt]

        return theirs(draw, lambda text: "idiot" in text, tries), asked

    got, asked = run(["Bo is an idiot.", "Bo is late.", "never"], 3)
    if got == "Bo is an idiot.":
        raise Wrong("The bad text was let through.")
    if asked[:1] != [0]:
        raise Wrong(f"The first draw should be draw(0); you asked for {asked}.")
    if len(set(asked)) < len(asked):
        raise Wrong(f"You asked for the same draw twice, {asked}: draw once per number, and keep the text.")
    if got is None:
        raise Wrong("The second draw was good and was not used: try again before you give up.")
    if len(asked) > 2:
        raise Wrong("You went on drawing after a good text: each draw costs seconds.")
    if got != "Bo is late.":
        raise Wrong(f"Expected the first good text, 'Bo is late.'; got {got!r}.")
    for texts, tries, want, drawn in (
        (["Bo is late.", "idiot"], 2, "Bo is late.", 1), (["idiot 1", "idiot 2", "idiot 3", "fine"], 3, None, 3), (["an idiot", "fine"], 1, None, 1),
        (["idiot", "idiot", "idiot", "fine"], 4, "fine", 4), (["idiot", "", "fine"], 3, "", 2), (["fine"], 0, None, 0),
    ):  # fmt: skip
        got, asked = run(texts, tries)
        if want is None and got is not None and "idiot" in got:
            raise Wrong(f"All {tries} draws were bad and {got!r} was returned: when the tries are used up, return None.")
        if want == "" and got != "":
            raise Wrong("The second draw was an empty text. It is not bad, and you did not return it: ask is_bad alone.")
        if got != want or len(asked) != drawn:
            raise Wrong(f"With tries = {tries} and the draws {texts} you drew {len(asked)} times and returned {got!r}; wanted: {drawn} times, and {want!r}.")


# ------------------------------------------------------------ shipping.7 what an answer costs


def cost_per_thousand(tokens_per_answer, tokens_per_second, price_per_hour):
    seconds = 1000 * tokens_per_answer / tokens_per_second
    return seconds / 3600 * price_per_hour


def _test_cost_per_thousand(theirs):
    cases = [("", (36, 20, 0.5)), ("", (7, 310, 0.1)), ("", (50, 8.0, 3.0))]
    slips = [
        ("You multiplied seconds by a price per *hour*.", lambda t, s, p: 1000 * t / s * p),
        ("An hour has 3,600 seconds, a minute 60: the price is per hour.", lambda t, s, p: 1000 * t / s / 60 * p),
        ("That is the price of one answer; asked is that of a thousand.", lambda t, s, p: t / s / 3600 * p),
        ("That is the price of a thousand tokens: an answer has more than one.", lambda t, s, p: 1000 / s / 3600 * p),
        ("Tokens per second are upside down: a faster model must be cheaper.", lambda t, s, p: 1000 * s / t / 3600 * p),
        ("Tokens are multiplied by tokens per second: a faster model must be cheaper.", lambda t, s, p: 1000 * t * s / 3600 * p),
        ("Those are the hours: the price is missing.", lambda t, s, p: 1000 * t / s / 3600),
        ("The price is upside down: a dearer machine must cost more.", lambda t, s, p: 1000 * t / s / 3600 / p),
    ]
    compare(theirs, cost_per_thousand, cases, slips, same=lambda a, b: abs(a - b) < 1e-6 * abs(b))


PAIR = answers.tuple_of(answers.tensor, answers.tensor, words="two tensors, the integers and the scales")

EXERCISES = [
    Exercise("shipping.1", "INT8, row by row", quantise, _test_quantise, (
        "A scale says how much one step of the integers is worth. The largest weight of a row, without its sign, shall become 127.",
        "torch.amax has a dim and a keepdim. Divide, round, and only then change the dtype. What is the scale of a row of zeros?",
    ), "One byte per weight and four bytes per row.", PAIR),
    Exercise("shipping.8", "a product of whole numbers", int8_product, _test_int8_product, (
        "x is about codes · step, and a row of the weights is integers · scale: which factors can be taken out of the sum?",
        "A sum of products of int8 numbers does not fit into int8. Whose scale belongs to a column of the result?",
    ), "The products are whole numbers; two multiplications at the end give the units back.", answers.tensor),
    Exercise("shipping.2", "a pruning mask", keep_mask, _test_keep_mask, (
        "How many weights go? A share of all of them, rounded. Which? The smallest in size.",
        "topk with largest=False, or argsort, ranks the flattened sizes. A mask of ones is set to False at some of them.",
    ), "Rank, do not compare with a threshold: then ties cannot surprise you.", answers.mask),
    Exercise("shipping.3", "the distillation loss", distillation_loss, _test_distillation_loss, (
        "Both log-distributions come from logits divided by the temperature. KL weights their difference with the teacher's probabilities.",
        "Over which axis is a distribution, and over which do you average? log_softmax stays finite where a softmax is 0.",
    ), "The teacher's whole distribution, not only its first choice.", answers.tensor),
    Exercise("shipping.4", "spot the bug: now it can only calculate", tree_value, _test_tree_value, (
        "List what is allowed and refuse the rest. A list of what is forbidden always misses something.",
        "Three kinds of node are enough: ast.Constant, ast.UnaryOp, ast.BinOp. Which operators, and which types of constants?",
    ), "What is not on the list cannot happen, whatever the model writes.", answers.maybe(answers.something)),
    Exercise("shipping.5", "read an action", read_action, _test_read_action, (
        "First cut off what the model may not write: everything from an 'Observation:' at the beginning of a line on.",
        "re.search finds the first match. Inside the brackets a pattern with .*? stops at the first ].",
    ), "A missing action is a result too: None.", answers.maybe(answers.tuple_of(answers.text, answers.text, words="a name and its argument"))),
    Exercise("shipping.6", "a guard that tries again", guarded, _test_guarded, (
        "At most `tries` draws, numbered 0, 1, 2 …; the first that is not bad is the answer.",
        "Return from inside the loop. What is left to return after it?",
    ), "Better no answer than a bad one, and not more draws than needed.", answers.maybe(answers.text)),
    Exercise("shipping.7", "what a thousand answers cost", cost_per_thousand, _test_cost_per_thousand, (
        "How many seconds do a thousand answers take?",
        "The price is for 3,600 seconds.",
    ), "Half the tokens per second, twice the price.", answers.number),
]  # fmt: skip
