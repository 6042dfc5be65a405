"""Shipping a model: plausible wrong answers, and right ones in other styles."""

import ast
import functools
import itertools
import math
import operator
import re

import numpy as np
import torch
from torch.nn import functional as F

from course_utils.exercises import shipping

# ---------------------------------------------------------------- wrong


def rows_of(weight):
    return weight.abs().amax(1, keepdim=True) / 127


def rounded_by(scale):
    """INT8 with another scale, rows of zeros excepted."""
    return lambda w: ((w / scale(w).clamp(min=1e-12)).round().to(torch.int8), scale(w).clamp(min=1e-12))


def evaluates_all(node):
    return eval(compile(ast.Expression(node), "", "eval"), {"__builtins__": {}})


OPERATORS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}


def walker(constants=(int, float), minus=True, operators=OPERATORS, unary=ast.USub, exact=False, refuse=True):
    """An evaluator with one flaw: what it takes for a number, or what it leaves out."""

    def is_number(value):
        return type(value) in constants if exact else isinstance(value, constants)

    def walk(node):
        if isinstance(node, ast.Constant) and is_number(node.value):
            return node.value
        if minus and isinstance(node, ast.UnaryOp) and isinstance(node.op, unary):
            return -walk(node.operand)
        if isinstance(node, ast.BinOp) and type(node.op) in operators:
            return operators[type(node.op)](walk(node.left), walk(node.right))
        if refuse:
            raise ValueError("not allowed")
        return None

    return walk


def plus_in_front_too(node):
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.UAdd):
        return +shipping.tree_value(node.operand)
    return shipping.tree_value(node)


def last_action(text):
    found = re.findall(r"Action:\s*(\w+)\[(.*?)\]", text)
    return (found[-1][0], found[-1][1].strip()) if found else None


def first_action(text):
    found = re.search(r"Action:\s*(\w+)\[(.*?)\]", text)
    return (found[1], found[2].strip()) if found else None


def greedy_action(text):
    found = re.search(r"Action:\s*(\w+)\[(.*)\]", text, re.S)
    return (found[1], found[2].strip()) if found else None


def own_part(text):
    return re.split(r"(?m)^Observation:", text)[0]


def matched(pattern, flags=0, pick=0):
    def read(text):
        found = re.findall(pattern, own_part(text), flags)
        return found[pick] if found else None

    return read


def same_draw(draw, is_bad, tries):
    for _ in range(tries):
        text = draw(0)
        if not is_bad(text):
            return text
    return draw(1)


def first_draw_only(draw, is_bad, tries):
    return None if is_bad(draw(0)) else draw(0)


def one_try(draw, is_bad, tries):
    text = draw(0)
    return None if is_bad(text) else text


def returns_the_last(draw, is_bad, tries):
    for attempt in range(tries):
        text = draw(attempt)
        if not is_bad(text):
            break
    return text


def judges_the_last_again(draw, is_bad, tries):
    text, drawn = draw(0), 1
    while is_bad(text) and drawn < tries:
        text, drawn = draw(drawn), drawn + 1
    return None if is_bad(text) else text


def never_ends(draw, is_bad, tries):
    attempt = 0
    while is_bad(draw(attempt)):
        attempt = (attempt + 1) % tries
    return draw(attempt)


def counts_from_1(draw, is_bad, tries):
    for attempt in range(1, tries + 1):
        text = draw(attempt)
        if not is_bad(text):
            return text
    return None


def draws_all_first(draw, is_bad, tries):
    return next((text for text in [draw(n) for n in range(tries)] if not is_bad(text)), None)


def after_a_newline_only(text):
    return shipping.read_action(re.split(r"\nObservation:", text)[0].replace("Observation:", "seen:"))


def product_in(kind):
    def product(x, integers, scale):
        step = x.abs().max() / 127
        return ((x / step).round().to(kind) @ integers.to(kind).T).float() * step * scale.T

    return product


PLANTED = {
    "shipping.1": [
        (lambda w: ((w / (s := w.abs().max() / 127)).round().to(torch.int8), s), "One scale for the whole matrix"),
        (lambda w: ((w / (s := w.abs().max() / 127)).round().to(torch.int8), s.expand(len(w), 1)), "One scale for the whole matrix"),
        (lambda w: ((w / rows_of(w)).to(torch.int8), rows_of(w)), "Round first"),
        (lambda w: ((w / rows_of(w)).round(), rows_of(w)), "not torch.int8"),
        (lambda w: ((w / rows_of(w)).round().to(torch.int8), rows_of(w)), "A row of zeros"),
        (lambda w: ((w / rows_of(w)).round().to(torch.int8), rows_of(w)[:, 0]), "keep them as [rows, 1]"),
        (rounded_by(lambda w: w.amax(1, keepdim=True) / 127), "*in size*"),
        (rounded_by(lambda w: w.abs().amax(1, keepdim=True) / 126), "±126"),
        (rounded_by(lambda w: w.abs().amax(1, keepdim=True) / 128), "126, or ±128"),
        (rounded_by(lambda w: rows_of(w).clamp(min=1e-2)), "too large a scale"),
        (rounded_by(lambda w: 127 * rows_of(w)), "one 127th"),
        (lambda w: shipping.quantise(w)[::-1], "exchanged"),
        (lambda w: (shipping.quantise(w)[0], 127 / w.abs().amax(1, keepdim=True).clamp(min=1e-9)), "its inverse"),
        (lambda w: shipping.quantise(w)[0], "the integers and the scales"),
        (lambda w: shipping.quantise(w.T), "should give"),
        (lambda w: (shipping.quantise(w)[0], w.abs_().amax(1, keepdim=True) / 127), "in place"),
    ],
    "shipping.8": [
        (product_in(torch.int8), "range of int8"),
        (product_in(torch.int16), "range of int16"),
        (lambda x, w, s: (x @ w.float().T) * s.T, "not rounded"),
        (lambda x, w, s: x @ (w * s).T, "not rounded"),
        (lambda x, w, s: shipping.int8_product(x, w, torch.ones_like(s)), "weights' scales are missing"),
        (lambda x, w, s: shipping.int8_product(x, w, s) / (x.abs().max() / 127), "activations' scale is missing"),
        (lambda x, w, s: torch.cat([shipping.int8_product(row[None], w, s) for row in x]), "One scale per row"),
        (lambda x, w, s: (x / x.max() * 127).round() @ w.float().T * (x.max() / 127) * s.T, "may be negative"),
        (lambda x, w, s: shipping.int8_product(x, w, s).T, "should give"),
    ],
    "shipping.2": [
        (lambda w, s: ~shipping.keep_mask(w, s), "turned round"),
        (lambda w, s: shipping.keep_mask(w - w.min() + 1, s), "without the sign"),
        (lambda w, s: shipping.keep_mask(1 / w, s), "*largest* weights"),
        (lambda w, s: w.abs() > s, "not a threshold on their values"),
        (lambda w, s: w.abs() > s * w.abs().max(), "not of the largest value"),
        (lambda w, s: w.abs() > 2 * s, "should give"),
        (lambda w, s: w.abs() > w.abs().flatten().sort().values[round(s * w.numel()) - 1] if s else torch.ones_like(w).bool(), "Equal sizes"),
        (lambda w, s: shipping.keep_mask(w, int(s * w.numel()) / w.numel()), "not cut off"),
        (lambda w, s: shipping.keep_mask(w, math.ceil(s * w.numel()) / w.numel()), "not up"),
        (lambda w, s: shipping.keep_mask(w, 1 - s), "the share that goes"),
        (lambda w, s: w * shipping.keep_mask(w, s), "True and False"),
        (lambda w, s: w.mul_(mask := shipping.keep_mask(w, s)) * 0 == 0 * mask, "in place"),
        (lambda w, s: shipping.keep_mask(w, s).flatten(), "should give"),
        (lambda w, s: int(shipping.keep_mask(w, s).sum()), "True and False"),
    ],
    "shipping.3": [
        (lambda s, t, T: shipping.distillation_loss(t, s, T), "KL(student"),
        (lambda s, t, T: shipping.distillation_loss(s, t, T) / T**2, "T² is missing"),
        (lambda s, t, T: shipping.distillation_loss(s, t, T) / T, "*squared*"),
        (lambda s, t, T: shipping.distillation_loss(s, t, T) / T**2 * T * 2, "not twice"),
        (lambda s, t, T: shipping.distillation_loss(s, t, 1.0), "does not soften"),
        (lambda s, t, T: T**2 * shipping.distillation_loss(s, t, 1.0), "does not soften"),
        (lambda s, t, T: F.cross_entropy(s, t.argmax(-1)), "likeliest word"),
        (lambda s, t, T: T**2 * F.cross_entropy(s / T, (t / T).softmax(-1)), "own entropy"),
        (lambda s, t, T: shipping.distillation_loss(s, t, T) / s.shape[-1], "over the vocabulary"),
        (lambda s, t, T: shipping.distillation_loss(s, t, T) * len(s), "take their mean"),
        (lambda s, t, T: T**2 * F.kl_div((s / T).log_softmax(-1), (t / T).softmax(-1), reduction="none").sum(-1), "one number"),
        (lambda s, t, T: T**2 * F.kl_div((s / T).log_softmax(-1), t.softmax(-1), reduction="batchmean"), "Only the student"),
        (lambda s, t, T: T**2 * ((p := (t / T).softmax(-1)) * (p.log() - (s / T).softmax(-1).log())).sum(-1).mean(), "0 times −inf"),
        (lambda s, t, T: -shipping.distillation_loss(s, t, T), "never negative"),
        (lambda s, t, T: T**2 * F.kl_div((s / T).softmax(-1), (t / T).softmax(-1), reduction="batchmean"), "*log*-probabilities"),
        (lambda s, t, T: T**2 * F.kl_div((s / T).log_softmax(0), (t / T).softmax(0), reduction="batchmean"), "*vocabulary*"),
        (lambda s, t, T: shipping.distillation_loss(s, t, T).item(), "no gradient"),
        (lambda s, t, T: T**2 * ((p := (t / T).softmax(-1) + 1e-9) * (p / ((s / T).softmax(-1) + 1e-9)).log()).sum(-1).mean(), "makes it wrong"),
        (lambda s, t, T: T**2 * ((p := (t / T).softmax(-1).clamp(min=1e-6)) * (p / (s / T).softmax(-1).clamp(min=1e-6)).log()).sum(-1).mean(), "sure of other words"),
    ],
    "shipping.4": [
        (evaluates_all, "an attribute came through"),
        (walker(constants=(int, float, str)), "a text is not a number"),
        (walker(), "True came through"),
        (walker(constants=(int, float, complex), exact=True), "no complex ones"),
        (plus_in_front_too, "not a minus"),
        (walker(exact=True, unary=ast.unaryop), "not a minus"),
        (walker(exact=True, unary=(ast.USub, ast.Invert)), "not a minus"),
        (walker(operators={**OPERATORS, ast.Pow: operator.pow}), "not on the list"),
        (walker(exact=True, operators={**OPERATORS, ast.FloorDiv: operator.floordiv}), "'5 // 2'"),
        (walker(exact=True, operators={**OPERATORS, ast.Mod: operator.mod}), "'5 % 2'"),
        (walker(minus=False), "was refused"),
        (walker(exact=True, refuse=False), "came back as None"),
        (walker(exact=True, operators={**OPERATORS, ast.Div: operator.floordiv}), "9 / 2 is 4.5"),
        (walker(constants=(int,), exact=True), "2.5 was refused"),
        (walker(exact=True, operators={**OPERATORS, ast.BitXor: operator.xor}), "not on the list"),
        (lambda node: None, "`return` missing"),
        (lambda node: eval(ast.unparse(node)) if re.fullmatch(r"[\d.+\-*/() ]+", ast.unparse(node)) else shipping.tree_value(node), "not on the list"),
    ],
    "shipping.5": [
        (last_action, "last action"),
        (greedy_action, "*last* ]"),
        (first_action, "*invented*"),
        (lambda text: None, "returned None"),
        (matched(r"Action:\s*(\w+)\[(.*)\]"), "*last* ] of its line"),
        (matched(r"Action:\s*(.*?)\[(.*?)\]"), "letters, digits and _ alone"),
        (after_a_newline_only, "very first line"),
        (matched(r"Action:\s*(\w+)\[(.*?)\]", pick=-1), "the first one counts"),
        (matched(r"Action:\s*(\w+)\[(.*)\]", re.S), "*last* ]"),
        (matched(r"(\w+)\[(.*?)\]"), "must follow `Action:`"),
        (matched(r"Action:\s*(Calculate|Finish)\[(.*?)\]"), "any name"),
        (matched(r"Action:\s*([A-Za-z]+)\[(.*?)\]"), "more than letters"),
        (lambda text: shipping.read_action(text.split("Observation:")[0]), "*begins* with"),
        (lambda text: (shipping.read_action(text) or (None, None))[::-1] if shipping.read_action(text) else None, "exchanged"),
        (lambda text: shipping.read_action(text) or ("", ""), "is None"),
        (lambda text: "{}[{}]".format(*shipping.read_action(text) or ("", "")), "a name and its argument"),
    ],
    "shipping.6": [
        (same_draw, "same draw twice"),
        (first_draw_only, "try again"),
        (one_try, "try again"),
        (judges_the_last_again, "nothing may be drawn"),
        (returns_the_last, "tries are used up"),
        (lambda draw, is_bad, tries: draw(0), "let through"),
        (never_ends, "same draw twice"),
        (lambda draw, is_bad, tries: next((draw(n) for n in itertools.count() if not is_bad(draw(n))), None), "same draw twice"),
        (lambda draw, is_bad, tries: next(t for t in map(draw, itertools.count()) if not is_bad(t)), "numbered 0 to 2"),
        (counts_from_1, "draw(0)"),
        (draws_all_first, "went on drawing"),
        (lambda draw, is_bad, tries: next((t for t in map(draw, range(tries)) if t and not is_bad(t)), None), "empty text"),
        (lambda draw, is_bad, tries: next((t for t in map(draw, range(3)) if not is_bad(t)), None), "tries = 1"),
        (lambda draw, is_bad, tries: next((t for t in map(draw, range(tries)) if not is_bad(t)), False), "a text, or None"),
    ],
    "shipping.7": [
        (lambda tokens, speed, price: 1000 * tokens / speed * price, "per *hour*"),
        (lambda tokens, speed, price: 1000 * tokens / speed / 60 * price, "a minute 60"),
        (lambda tokens, speed, price: tokens / speed / 3600 * price, "price of one answer"),
        (lambda tokens, speed, price: 1000 * speed / tokens / 3600 * price, "upside down"),
        (lambda tokens, speed, price: 1000 * tokens * speed / 3600 * price, "multiplied by tokens per second"),
        (lambda tokens, speed, price: 1000 * tokens / speed / 3600, "price is missing"),
        (lambda tokens, speed, price: 1000 * tokens / speed / 3600 / price, "dearer"),
        (lambda tokens, speed, price: round(1000 * tokens / speed / 3600 * price, 2), "should give"),
        (lambda tokens, speed, price: round(1000 * tokens / speed / 3600 * price, 4), "should give"),
        (lambda tokens, speed, price: 1000 * tokens // speed / 3600 * price, "should give"),
        (lambda tokens, speed, price: f"{1000 * tokens / speed / 3600 * price:.2f}", "a number"),
    ],
}  # fmt: skip

EQUIVALENT = {
    "shipping.1": {
        "1e-12 → 1.1e-12": "the scale of a row of zeros may be any number above 0",
        "1e-12 → 9e-13": "the same",
    },
    "shipping.8": {},
    "shipping.2": {"False → True (2)": "whether topk sorts what goes does not matter to a mask"},
    "shipping.3": {
        "-1 → 1": "logits have two axes: the last one is number 1",
        "-1 → 1 (2)": "the same",
        "-1 → 1 (3)": "the same",
    },
    "shipping.5": {"found[2].strip() → found[2]": "blanks around the argument may stay"},
}

# ---------------------------------------------------------------- right


def quantise_in_lists(weight):
    integers, scales = [], []
    for row in weight.tolist():
        scale = max(abs(x) for x in row) / 127 or 1.0
        integers.append([round(x / scale) for x in row])
        scales.append([scale])
    return torch.tensor(integers, dtype=torch.int8), scales


def quantise_in_numpy(weight):
    w = np.asarray(weight)
    scale = np.maximum(np.abs(w).max(1, keepdims=True) / 127, 1e-8)
    return np.rint(w / scale).astype(np.int8), scale


def product_of_dequantised(x, integers, scale):
    step = x.abs().max() / 127
    return ((x / step).round() * step) @ (integers * scale).T


def product_in_lists(x, integers, scale):
    step = float(x.abs().max()) / 127
    codes = [[round(v / step) for v in row] for row in x.tolist()]
    return [[sum(map(operator.mul, row, w)) * step * float(s) for w, s in zip(integers.tolist(), scale)] for row in codes]


def mask_in_numpy(weight, sparsity):
    w = np.abs(np.asarray(weight)).ravel()
    mask = np.ones(w.size, bool)
    mask[np.argsort(w, kind="stable")[: round(sparsity * w.size)]] = False
    return mask.reshape(weight.shape)


def mask_in_lists(weight, sparsity):
    sizes = [abs(x) for row in weight.tolist() for x in row]
    gone = set(sorted(range(len(sizes)), key=sizes.__getitem__)[: round(sparsity * len(sizes))])
    columns = weight.shape[1]
    return [[r * columns + c not in gone for c in range(columns)] for r in range(weight.shape[0])]


def one_position_at_a_time(student, teacher, temperature):
    total = 0.0
    for s, t in zip(student, teacher):
        q, p = torch.log_softmax(s / temperature, 0), torch.log_softmax(t / temperature, 0)
        total = total + torch.dot(p.exp(), p - q)
    return total / len(student) * temperature**2


def by_kind_of_node(node):
    match node:
        case ast.Constant(value=int(value) | float(value)) if not isinstance(value, bool):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            return -by_kind_of_node(inner)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
            return OPERATORS[type(op)](by_kind_of_node(left), by_kind_of_node(right))
    raise ValueError(ast.dump(node))


def splits_lines(text):
    for line in text.splitlines():
        if line.startswith("Observation:"):
            return None
        if m := re.search(r"Action: (\w+)\[([^\]]*)\]", line):
            return m[1], m[2]


def cuts_then_searches(text):
    found = re.search(r"Action:\s*(\w+)\[(.*?)\]", re.split(r"(?m)^Observation:", text)[0])
    return found.groups() if found else None


def text_methods(text):
    head = ("\n" + text).split("\nObservation:")[0]
    if "Action:" not in head:
        return None
    rest = head.split("Action:", 1)[1]
    if "[" not in rest or "]" not in rest:
        return None
    name, rest = rest.split("[", 1)
    return (name.strip(), rest.split("]", 1)[0]) if name.strip().isidentifier() else None


def while_loop(draw, is_bad, tries):
    attempt = 0
    while attempt < tries:
        text = draw(attempt)
        if not is_bad(text):
            return text
        attempt += 1


RIGHT = {
    "shipping.1": [
        quantise_in_numpy,
        quantise_in_lists,
        lambda w: list(shipping.quantise(w)),
        lambda w: [(w / (s := torch.where(rows_of(w) == 0, 1.0, rows_of(w)))).round().char(), s],
    ],
    "shipping.8": [product_of_dequantised, product_in_lists],
    "shipping.2": [
        mask_in_numpy,
        mask_in_lists,
        lambda w, s: (w.abs().flatten().argsort().argsort() >= round(s * w.numel())).view_as(w),
        lambda w, s: shipping.keep_mask(w, s).numpy(),
    ],
    "shipping.3": [
        one_position_at_a_time,
        lambda s, t, T: T * T * F.kl_div((s / T).log_softmax(1), (t / T).log_softmax(1), log_target=True, reduction="batchmean"),
        lambda s, t, T: T**2 * F.kl_div(F.log_softmax(s / T, -1), F.softmax(t / T, -1), reduction="none").sum(-1).mean(),
        lambda s, t, T: T**2 * (F.cross_entropy(s / T, (t / T).softmax(-1)) + ((t / T).softmax(-1) * (t / T).log_softmax(-1)).sum(-1).mean()),
    ],
    "shipping.4": [by_kind_of_node, walker(exact=True)],
    "shipping.5": [
        splits_lines,
        cuts_then_searches,
        text_methods,
        lambda text: list(shipping.read_action(text) or []) or None,
    ],
    "shipping.6": [
        while_loop,
        lambda draw, is_bad, tries: next((t for t in map(draw, range(tries)) if not is_bad(t)), None),
        lambda draw, is_bad, tries: functools.reduce(lambda found, n: found if found is not None else (None if is_bad(t := draw(n)) else t), range(tries), None),
    ],
    "shipping.7": [
        lambda tokens, speed, price: tokens / speed * price / 3.6,
        lambda tokens, speed, price: np.float64(1000 * tokens) / (speed * 3600) * price,
        lambda tokens, speed, price: torch.tensor(1000 * tokens / (3600 * speed) * price, dtype=torch.float64),
    ],
}  # fmt: skip
