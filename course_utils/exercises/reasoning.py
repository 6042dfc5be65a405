"""Reasoning with verifiable rewards: reference answers and their tests."""

from __future__ import annotations

import ast

from . import answers
from .cases import alike, brief
from .engine import Exercise, Wrong

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

# ------------------------------------------------------------ shipping.7 what an answer costs


EXERCISES = [
    Exercise("shipping.4", "spot the bug: now it can only calculate", tree_value, _test_tree_value, (
        "List what is allowed and refuse the rest. A list of what is forbidden always misses something.",
        "Three kinds of node are enough: ast.Constant, ast.UnaryOp, ast.BinOp. Which operators, and which types of constants?",
    ), "What is not on the list cannot happen, whatever the model writes.", answers.maybe(answers.something)),
]  # fmt: skip
