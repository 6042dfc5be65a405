"""What a language model can be given to act with: a calculator, a search, and a loop that uses them.

A model writes *text*. These functions read an action out of that text and carry out only what they
know. :func:`passes` alone runs what a model wrote: to judge it, in a process of its own.
"""

from __future__ import annotations

import ast
import math
import operator
import re
import secrets
import subprocess
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from .settings import CourseError

LONGEST = 200  # characters of an expression
LARGEST_EXPONENT = 64
ALLOWED = "numbers, + - * / **, and parentheses"

_BINARY = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
}  # fmt: skip
_UNARY = {ast.UAdd: operator.pos, ast.USub: operator.neg}
_SIGNS = str.maketrans({"×": "*", "÷": "/", "−": "-", "–": "-"})


# ---------------------------------------------------------------- calculator


def calculate(text: str) -> float:
    """Value of an arithmetic expression: ``calculate("(15 - 3) / 4")`` is 3.0.

    The text is parsed, not run, and the tree is walked by hand: a name, a call, an attribute or a
    comparison is refused wherever it stands. All arithmetic is in floating point, and exponents
    are at most 64 in size, so that no short text can cost much time or memory.

    Raises
    ------
    CourseError
        for anything but numbers, + − * / ** (× and ÷ too) and parentheses, for a division by zero,
        and for a result that is too large or not a real number.
    """
    if not isinstance(text, str) or not text.strip():
        raise CourseError("There is nothing to calculate: write an expression such as 3 * (4 + 5).")
    if len(text) > LONGEST:
        raise CourseError(
            f"The expression has {len(text)} characters; at most {LONGEST} are allowed."
        )
    try:
        with warnings.catch_warnings(action="ignore", category=SyntaxWarning):  # of "3in": refused below
            tree = ast.parse(text.strip().translate(_SIGNS), mode="eval")
        value = float(_value(tree.body))
    except ZeroDivisionError as error:
        raise CourseError(f"{text.strip()!r} divides by zero.") from error
    except OverflowError as error:
        raise CourseError(f"The result of {text.strip()!r} is too large.") from error
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise CourseError(
            f"{text.strip()!r} is not an arithmetic expression; use {ALLOWED}."
        ) from error
    if not math.isfinite(value):
        raise CourseError(f"The result of {text.strip()!r} is too large.")
    return value


def _value(node: ast.AST) -> float:
    """The value of one node of the tree; whatever is not listed here is refused."""
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return float(node.value)
    if isinstance(node, ast.UnaryOp) and type(node.op) in _UNARY:
        return _UNARY[type(node.op)](_value(node.operand))
    if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
        return _BINARY[type(node.op)](_value(node.left), _value(node.right))
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
        base, exponent = _value(node.left), _value(node.right)
        if abs(exponent) > LARGEST_EXPONENT:
            raise CourseError(
                f"The exponent {exponent:g} is too large; at most {LARGEST_EXPONENT} is allowed."
            )
        result = base**exponent
        if isinstance(result, complex):
            raise CourseError(f"{base:g} ** {exponent:g} is not a real number.")
        return result
    raise CourseError(f"{ast.unparse(node)!r} is not allowed in an expression; use {ALLOWED}.")


# ---------------------------------------------------------------- judging a program

REFUSED = {"open", "eval", "exec", "compile", "input", "globals", "locals", "vars", "getattr", "setattr", "breakpoint"}


def code_in(text: str) -> str:
    """The first block between lines of three backticks (one that was cut off too), else all of it."""
    block = re.search(r"```[ \t]*\w*[ \t]*\n(.*?)(?:```|$)", text, re.DOTALL)
    return block[1] if block else text


def is_tame(code: str) -> bool:
    """Whether a program imports nothing, uses no name of ``REFUSED``, and none with two underscores.

    Enough for a handful of toy functions on one's own machine. A service runs what others wrote in a
    container without a network. What is no Python is not tame.
    """
    try:
        nodes = list(ast.walk(ast.parse(code)))
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return False
    # a variable has an id, an attribute an attr, a function or a class a name
    names = [getattr(node, part) for node in nodes for part in ("id", "attr", "name") if hasattr(node, part)]
    imports = any(isinstance(node, ast.Import | ast.ImportFrom) for node in nodes)
    return not imports and not any("__" in (name or "") or name in REFUSED for name in names)


def passes(text: str, checks: Sequence[str], seconds: float = 10) -> bool:
    """Whether the program in ``text`` does what every check says: ``passes(text, ["twice(4) == 8"])``.

    The program (:func:`code_in`) runs in a process of its own, if it is tame, with the checks behind
    it as assertions and a secret word at the end. It passes if the process ends without an error and
    the secret is the last thing printed. A program that prints "all true", or leaves before the
    checks, does not know the word, which is drawn anew for each run.
    """
    code = code_in(text)
    if not is_tame(code):
        return False
    secret = secrets.token_hex(8)
    program = "\n".join([code, *(f"assert {check}" for check in checks), f"print('\\n{secret}')"])
    try:
        run = subprocess.run(
            [sys.executable, "-I", "-c", program], stdin=subprocess.DEVNULL, capture_output=True,
            text=True, errors="replace", timeout=seconds,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return False
    return run.returncode == 0 and run.stdout.endswith(f"\n{secret}\n")


# ---------------------------------------------------------------- search


class Search:
    """Texts by likeness of meaning: cosine between sentence vectors (all-MiniLM-L6-v2).

    ``Search(texts).find("a lost key", 3)`` → ``[(index, score), …]``, the best first. All texts are
    encoded once, when the object is made. ``embedder`` is any object with
    ``encode(list of texts) → unit vectors [texts, width]``.

    Raises
    ------
    CourseError
        for no texts, an empty query, or a ``k`` below 1.
    """

    def __init__(self, texts: Sequence[str], embedder=None):
        if isinstance(texts, str) or not len(texts):
            raise CourseError("There is nothing to search: give a list of texts, at least one.")
        if embedder is None:
            from .metrics.similarity import Embedder
            from .models import load_encoder

            embedder = Embedder(*load_encoder())
        self.texts, self.embedder = list(texts), embedder
        self.vectors = embedder.encode(self.texts)

    def find(self, query: str, k: int = 3) -> list[tuple[int, float]]:
        """The ``k`` texts closest to ``query`` (all of them if there are fewer)."""
        if not query.strip():
            raise CourseError("The search query is empty; write at least one word.")
        if k < 1:
            raise CourseError(f"A search returns at least one text; got k = {k}.")
        scores = self.vectors @ self.embedder.encode([query])[0]
        best = scores.topk(min(k, len(self.texts)))
        return list(zip(best.indices.tolist(), best.values.tolist()))


# ---------------------------------------------------------------- reason and act


@dataclass
class Trace:
    """One question on its way through :func:`react`: the text so far, the answer, and how it ended.

    ``end`` is "finished", "no action" (what the model wrote holds none), "unknown tool", or "out of
    turns"; ``errors`` counts tool calls that were answered with an error message.
    """

    question: str
    text: str
    answer: str | None = None
    end: str = "out of turns"
    actions: list[tuple[str, str]] = field(default_factory=list)
    errors: int = 0


def parse_action(text: str) -> tuple[str, str] | None:
    """Name and argument of the first ``Action: Name[argument]``; None if there is none."""
    found = re.search(r"Action:[ \t]*(\w+)[ \t]*\[([^\]\n]*)\]", text)
    return (found[1], found[2].strip()) if found else None


def react(
    write: Callable[[list[str]], list[str]], tools: Mapping[str, Callable[[str], str]],
    questions: Sequence[str], examples: str = "", turns: int = 4,
) -> list[Trace]:  # fmt: skip
    """Thought → action → observation, until the model answers (Yao et al. 2022, arXiv:2210.03629).

    ``write`` continues texts; ``tools`` maps a name to a function of one text; ``Finish[…]`` answers.
    """
    traces = [Trace(q, f"{examples}Question: {q}\nThought:") for q in questions]
    going = list(traces)
    for _ in range(turns):
        for trace, new in zip(going, write([trace.text for trace in going]) if going else []):
            # An observation comes from the tool. One that the model wrote is invented: cut it off.
            new = re.split(r"(?m)^[ \t]*(?:Observation|Question):", new)[0].strip()
            trace.text += f" {new}"
            name, argument = parse_action(new) or (None, "")
            trace.actions.append((name, argument))
            if name == "Finish":
                trace.answer, trace.end = argument, "finished"
            elif name not in tools:
                trace.end = "no action" if name is None else "unknown tool"
            else:
                try:
                    seen = tools[name](argument)
                except CourseError as error:
                    seen, trace.errors = f"Error: {error}", trace.errors + 1
                trace.text += f"\nObservation: {seen}\nThought:"
        going = [trace for trace in going if trace.end == "out of turns"]
    return traces
