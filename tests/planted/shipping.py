"""Plausible wrong answers to the exercises on shipping a model."""

import ast
import operator
import re

import torch
from torch.nn import functional as F

from course_utils.exercises import shipping


def rows_of(weight):
    return weight.abs().amax(1, keepdim=True) / 127


def evaluates_all(node):
    return eval(compile(ast.Expression(node), "", "eval"), {"__builtins__": {}})


OPERATORS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}


def walker(constants=(int, float), minus=True, operators=OPERATORS):
    """An evaluator with one flaw: what it takes for a number, or what it leaves out."""

    def walk(node):
        if isinstance(node, ast.Constant) and isinstance(node.value, constants):
            return node.value
        if minus and isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            return -walk(node.operand)
        if isinstance(node, ast.BinOp) and type(node.op) in operators:
            return operators[type(node.op)](walk(node.left), walk(node.right))
        raise ValueError("not allowed")

    return walk


def last_action(text):
    found = re.findall(r"Action:\s*(\w+)\[(.*?)\]", text)
    return (found[-1][0], found[-1][1].strip()) if found else None


def first_action(text):
    found = re.search(r"Action:\s*(\w+)\[(.*?)\]", text)
    return (found[1], found[2].strip()) if found else None


def greedy_action(text):
    found = re.search(r"Action:\s*(\w+)\[(.*)\]", text, re.S)
    return (found[1], found[2].strip()) if found else None


def same_draw(draw, is_bad, tries):
    for _ in range(tries):
        text = draw(0)
        if not is_bad(text):
            return text
    return draw(1)


def first_draw_only(draw, is_bad, tries):
    return None if is_bad(draw(0)) else draw(0)


def returns_the_last(draw, is_bad, tries):
    for attempt in range(tries):
        text = draw(attempt)
        if not is_bad(text):
            break
    return text


def after_a_newline_only(text):
    return shipping.read_action(re.split(r"\nObservation:", text)[0].replace("Observation:", "seen:"))


PLANTED = {
    "shipping.1": [
        (lambda w: ((w / (s := w.abs().max() / 127)).round().to(torch.int8), s), "One scale for the whole matrix"),
        (lambda w: ((w / rows_of(w)).to(torch.int8), rows_of(w)), "Round first"),
        (lambda w: ((w / rows_of(w)).round(), rows_of(w)), "dtype torch.int8"),
        (lambda w: ((w / rows_of(w)).round().to(torch.int8), rows_of(w)), "row of zeros"),
        (lambda w: ((w / rows_of(w)).round().to(torch.int8), rows_of(w)[:, 0]), "keep them as (rows, 1)"),
    ],
    "shipping.2": [
        (lambda w, s: w.abs() <= w.abs().flatten().median(), "turned round"),
        (lambda w, s: w > w.flatten().median(), "without the sign"),
        (lambda w, s: w.abs() > 2 * s, "not a threshold on their values"),
        (lambda w, s: w.abs() > w.abs().flatten().sort().values[round(s * w.numel()) - 1] if s else torch.ones_like(w).bool(), "equal weights"),
    ],
    "shipping.3": [
        (lambda s, t, T: shipping.distillation_loss(t, s, T), "KL(student"),
        (lambda s, t, T: shipping.distillation_loss(s, t, T) / T**2, "T² is missing"),
        (lambda s, t, T: shipping.distillation_loss(s, t, 1.0), "does not soften"),
        (lambda s, t, T: F.cross_entropy(s, t.argmax(-1)), "likeliest word"),
        (lambda s, t, T: shipping.distillation_loss(s, t, T) / s.shape[-1], "over the vocabulary"),
    ],
    "shipping.4": [
        (evaluates_all, "an attribute came through"),
        (walker(constants=(int, float, str)), "a text is not a number"),
        (walker(), "True came through"),
        (walker(operators={**OPERATORS, ast.Pow: operator.pow}), "not on the list"),
        (walker(minus=False), "was refused"),
    ],
    "shipping.5": [
        (last_action, "*invented*"),
        (greedy_action, "*last* ]"),
        (first_action, "rests on nothing"),
        (lambda text: None, "returned None"),
        (after_a_newline_only, "very first line"),
    ],
    "shipping.6": [
        (same_draw, "same draw twice"),
        (first_draw_only, "try again"),
        (returns_the_last, "tries are used up"),
        (lambda draw, is_bad, tries: draw(0), "let through"),
    ],
    "shipping.7": [
        (lambda tokens, speed, price: 1000 * tokens / speed * price, "per *hour*"),
        (lambda tokens, speed, price: tokens / speed / 3600 * price, "price of one answer"),
        (lambda tokens, speed, price: 1000 * speed / tokens / 3600 * price, "upside down"),
    ],
}  # fmt: skip
