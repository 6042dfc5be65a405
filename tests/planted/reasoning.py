"""Reasoning with verifiable rewards: wrong and right answers."""

import ast
import operator
import re
import statistics
from collections import Counter
from fractions import Fraction
from math import comb, prod

from course_utils.exercises import reasoning

# ---------------------------------------------------------------- wrong


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
        return +reasoning.tree_value(node.operand)
    return reasoning.tree_value(node)


def not_true_itself(node):
    """False is a number, too."""
    if isinstance(node, ast.Constant) and node.value is False:
        return node.value
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub | ast.Mult | ast.Div):
        return OPERATORS[type(node.op)](not_true_itself(node.left), not_true_itself(node.right))
    return reasoning.tree_value(node)


def returns_the_error(node):
    try:
        return reasoning.tree_value(node)
    except ValueError as error:
        return error


PLANTED = {
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
        (not_true_itself, "False came through"),
        (returns_the_error, "do not return it"),
        (lambda node: eval(ast.unparse(node)) if re.fullmatch(r"[\d.+\-*/() ]+", ast.unparse(node)) else reasoning.tree_value(node), "not on the list"),
    ],
    "reasoning.1": [
        (lambda n, right, k: 1 - (1 - right / n) ** k, "with putting back"),
        (lambda n, right, k: right / n, "pass@1"),
        (lambda n, right, k: comb(n - right, k) / comb(n, k), "take it from 1"),
        (lambda n, right, k: comb(right, k) / comb(n, k), "One is enough"),
        (lambda n, right, k: min(1, k * right / n), "should give 0.8333"),
        (lambda n, right, k: k * right / n, "mean number"),
        (lambda n, right, k: float(right > 0), "may miss it"),
    ],
    "reasoning.2": [
        (lambda values: Counter(values).most_common(1)[0][0] if values else None, "without a value voted"),
        (lambda values: reasoning.majority(values[::-1]), "later one"),
        (lambda values: max(sorted(set(voters(values)), reverse=True), key=voters(values).count, default=None), "larger one"),
        (lambda values: max(sorted(set(voters(values))), key=voters(values).count, default=None), "smaller one"),
        (lambda values: sum(voters(values)) / len(voters(values)) if voters(values) else None, "do not average"),
        (lambda values: voters(values)[0] if voters(values) else None, "first value"),
        (lambda values: max(voters(values), default=None), "largest value"),
        (lambda values: reasoning.majority([value or None for value in values]), "0 is a value"),
        (lambda values: max(set(voters(values)), key=voters(values).count, default=None), "stores a set"),
        (lambda values: reasoning.majority([value if value is None else int(value) for value in values]), "to whole numbers"),
        (lambda values: Counter(voters(values)).most_common(1)[0][1] if voters(values) else None, "how many votes"),
        (lambda values: Counter(v for v in values if v is not None).most_common(1)[0][0], "No sample has a value"),
    ],
    "reasoning.4": [
        (lambda text, answer: float(str(answer) in text), "commits itself to none"),
        (lambda text, answer: float(f"answer is {answer}" in text), "begins"),
        (lambda text, answer: float(reads(text)[-1:] == [answer]), "two answers"),
        (lambda text, answer: float(reads(text)[:1] == [answer]), "two answers"),
        (lambda text, answer: float(answer in reads(text)), "two answers"),
        (lambda text, answer: float(reads(text, r"answer is (\d+)") == [answer]), "decimal point"),
        (lambda text, answer: float(reads(text, r"answer is (-?\d+)") == [answer]), "decimal point"),
        (lambda text, answer: float(reads(text, r"answer is (\d+\.?\d*)") == [answer]), "negative"),
        (lambda text, answer: float([float(x) for x in re.findall(r"-?\d+(?:\.\d+)?", text)][-1:] == [answer]), "two answers"),
        (lambda text, answer: 1.0, "lost the sign"),
        (lambda text, answer: float(reads(text, r"is (-?\d+(?:\.\d+)?)") == [answer]), "only a number behind"),
        (lambda text, answer: float(reads(text, r"answer is (-?\d+(?:\.\d+)?)\.?$") == [answer]), "what follows"),
        (lambda text, answer: float(re.findall(r"answer is (-?\d+(?:\.\d+)?)", text) == [str(answer)]), "the same number"),
        (lambda text, answer: float(reads(text, r"The answer is (-?\d+(?:\.\d+)?)") == [answer]), "full stop is not asked for"),
    ],
    "reasoning.3": [
        (lambda texts, rewards, group: [(i // group, t) for i, (t, r) in enumerate(zip(texts, rewards)) if r], "kept twice"),
        (lambda texts, rewards, group: once(texts, rewards, lambda i: i % group), "i % group"),
        (lambda texts, rewards, group: once(texts, rewards, lambda i: i), "own number"),
        (lambda texts, rewards, group: once(texts, [1] * len(texts), lambda i: i // group), "wrong texts too"),
        (lambda texts, rewards, group: once(texts, [1 - r for r in rewards], lambda i: i // group), "the wrong texts"),
        (lambda texts, rewards, group: one_each(texts, rewards, group), "one text per problem"),
        (lambda texts, rewards, group: first_time(texts, rewards, group), "belongs to both"),
    ],
}  # fmt: skip

EQUIVALENT = {
    "reasoning.2": {"0 → -1 (2)": "a list of one has one item", "1 → 2": "the first of two is the first"},
    "reasoning.4": {"0 → -1": "where the texts hold one answer, the first is the last"},
}


def voters(values):
    return [value for value in values if value is not None]


def reads(text, pattern=r"answer is (-?\d+(?:\.\d+)?)"):
    return [float(number) for number in re.findall(pattern, text)]


def once(texts, rewards, number):
    return list(dict.fromkeys((number(i), t) for i, (t, r) in enumerate(zip(texts, rewards)) if r == 1))


def one_each(texts, rewards, group):
    found = {}
    for number, text in once(texts, rewards, lambda i: i // group):
        found.setdefault(number, text)
    return list(found.items())


def first_time(texts, rewards, group):
    found = {}
    for number, text in once(texts, rewards, lambda i: i // group):
        found.setdefault(text, number)
    return [(number, text) for text, number in found.items()]


def by_product(n, right, k):
    return 1 - prod((n - right - i) / (n - i) for i in range(k))


def by_hand_counting(values):
    best, most = None, 0
    for value in voters(values):
        if values.count(value) > most:
            best, most = value, values.count(value)
    return best


def group_by_group(texts, rewards, group):
    """No text is right at one place and wrong at another of the same problem."""
    kept = []
    for start in range(0, len(texts), group):
        for i in range(start, start + group):
            if rewards[i] and texts[i] not in texts[start:i]:
                kept.append([start // group, texts[i]])
    return kept


def split_at_the_words(text, answer):
    parts = text.split("answer is ")[1:]
    found = [re.match(r"-?\d+(\.\d+)?", part) for part in parts]
    found = [float(match[0]) for match in found if match]
    return int(found == [answer])

# ---------------------------------------------------------------- right


def by_kind_of_node(node):
    match node:
        case ast.Constant(value=int(value) | float(value)) if not isinstance(value, bool):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            return -by_kind_of_node(inner)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
            return OPERATORS[type(op)](by_kind_of_node(left), by_kind_of_node(right))
    raise ValueError(ast.dump(node))


RIGHT = {
    "shipping.4": [by_kind_of_node, walker(exact=True)],
    "reasoning.1": [by_product, lambda n, right, k: Fraction(comb(n, k) - comb(n - right, k), comb(n, k)),
                    lambda n, right, k: sum(comb(right, i) * comb(n - right, k - i) for i in range(1, k + 1)) / comb(n, k)],
    "reasoning.2": [by_hand_counting, lambda values: max(voters(values), key=voters(values).count, default=None),
                    lambda values: statistics.mode(voters(values)) if voters(values) else None],
    "reasoning.4": [split_at_the_words],
    "reasoning.3": [lambda texts, rewards, group: once(texts, rewards, lambda i: i // group), group_by_group],
}  # fmt: skip
