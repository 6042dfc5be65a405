"""Word problems with two numbers, for a model that may call a calculator.

Four kinds in turn: add, subtract, multiply, divide. The model is shown one worked example of each,
with the result or with a call such as ``CALC(120 + 45)``. Left out: problems of more than one step.
"""

from __future__ import annotations

import numpy as np

from .settings import CourseError
from .tools import calculate

# A problem, its result, and the call that finds it.
WORKED = (
    ("A farm has 120 hens and buys 45 more. How many hens is that in all?", "165", "CALC(120 + 45)"),
    ("A cook has 300 plums and uses 84 of them. How many plums are left?", "216", "CALC(300 - 84)"),
    ("One bus seats 48 people. How many people do 12 buses seat?", "576", "CALC(48 * 12)"),
    ("A baker puts 180 rolls into 15 equal bags. How many rolls are in each bag?", "12", "CALC(180 / 15)"),
)
OUTCOMES = ("right", "wrong expression", "call refused", "no call")


def draw(n: int, seed: int = 0) -> list[tuple[str, int]]:
    """``n`` problems with their results, the four kinds in turn, the same for the same seed."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(n):
        a, b = (int(drawn) for drawn in rng.integers(12, 99, 2))
        many, few = 9 * max(a, b), 5 * min(a, b)
        kinds = [
            (f"A shop sold {7 * a} cups in May and {7 * b} cups in June. How many cups is that in all?", 7 * a + 7 * b),
            (f"A library has {many} books and lends {few} of them. How many books are left?", many - few),
            (f"One box holds {a} eggs. How many eggs are in {b} boxes?", a * b),
            (f"{a * b} cards are shared equally among {b} children. How many cards does each child get?", a),
        ]
        found.append(kinds[number % 4])
    return found


def prompt(question: str, calls: bool) -> str:
    """The worked examples, with their calls or with their results, and the question left open."""
    shown = "".join(f"Question: {q}\nAnswer: {call if calls else result}\n\n" for q, result, call in WORKED)
    return f"{shown}Question: {question}\nAnswer:"


def outcome(expression: str | None, wanted: float) -> str:
    """What became of a call, one of ``OUTCOMES``; None stands for a text without a call."""
    if expression is None:
        return "no call"
    try:
        return "right" if calculate(expression) == wanted else "wrong expression"
    except CourseError:
        return "call refused"
