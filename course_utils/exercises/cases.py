"""Comparing an answer with the reference, case by case, and naming the slip that explains it.

A slip is a misconception as a function. The message names one only if it gives what the answer gives
on *every* case (an error on an edge apart, if there is more amiss); else the first case that differs
is shown, with what came and what is wanted.

>>> cases = [("", (1, 2)), ("a negative number", (-1, 2))]
>>> compare(lambda a, b: a * b, max, cases, [("You multiplied.", lambda a, b: a * b)])
Traceback (most recent call last):
    ...
course_utils.exercises.answers.Wrong: You multiplied.
"""

from __future__ import annotations

import inspect
import math
import numbers
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from os.path import commonprefix
from typing import Any
from unittest import mock

import numpy as np

from .answers import Nothing, Wrong

TOLERANCE = 1e-4  # float32 against float64 stays far below
# What a case nobody thought of raises; None has no attributes and no parts.
EDGE_ERRORS = ArithmeticError, LookupError, ValueError, AttributeError, TypeError

Case = tuple[str, tuple]  # what is special about it ("" for nothing), the arguments
Slip = tuple[str, Callable]  # what the message says, the misconception


def compare(
    answer: Callable,
    reference: Callable,
    cases: Sequence[Case],
    slips: Sequence[Slip] = (),
    same: Callable[[Any, Any], bool] | None = None,
) -> None:
    """Refuse an answer that differs from the reference on one of the cases.

    ``same`` says whether two results are equal; by default :func:`alike`. An error on the first case
    is the caller's to report, with its line; on a later one it is shown with the case, and so is
    a None.

    Raises
    ------
    Wrong
        with the words of the first slip that does what the answer does, or the first case missed.
    """
    same = same or alike
    wanted = [reference(*arguments) for _, arguments in cases]
    got = [answer(*cases[0][1])] + [_attempt(answer, a) for _, a in cases[1:]]
    missed = [n for n, (a, b) in enumerate(zip(got, wanted)) if _failed(a) or not same(a, b)]
    if not missed:
        return
    errors = {n for n in missed if _failed(got[n])}  # a slip may come with an edge that was forgotten
    explained = [n for n in range(len(cases)) if n not in errors or errors == {*missed}]
    for words, slip in slips:
        results = [_attempt(slip, arguments, Exception) for _, arguments in cases]
        if all(_agree(got[n], results[n], same) for n in explained):
            raise Wrong(words)
    remark, arguments = cases[missed[0]]
    call = f"{reference.__name__}({', '.join(map(brief, arguments))})"
    came = got[missed[0]]
    about = f"{remark[0].upper()}{remark[1:]}: " if remark else ""
    if isinstance(came, Nothing):
        raise Wrong(f"{about}{call}. {came}")
    should, gave = apart(wanted[missed[0]], came)
    yours = f"raised {type(came).__name__}" if _failed(came) else f"gave {gave}"
    raise Wrong(f"{about}{call} should give {should}; yours {yours}.")


def same_gradient(answer: Callable, reference: Callable, arguments: tuple, place: int = 0) -> None:
    """Refuse an answer whose gradient with respect to the tensor at ``place`` is not the reference's.

    Raises
    ------
    Wrong
        if no gradient reaches that argument, or another one.
    """
    import torch

    def gradient(function):
        leaf = arguments[place].detach().clone().requires_grad_()
        value = function(*arguments[:place], leaf, *arguments[place + 1 :])
        if not value.requires_grad:
            return None
        found = torch.autograd.grad(value.sum(), leaf, allow_unused=True)[0]
        return torch.zeros_like(leaf) if found is None else found

    name, wanted = list(inspect.signature(reference).parameters)[place], gradient(reference)
    got = _attempt(gradient, (answer,), RuntimeError)  # numpy refuses a tensor that needs a gradient
    got = None if _failed(got) else got
    if got is None:
        raise Wrong(
            f"The value is right, but no gradient flows from it to `{name}`, and training needs one: "
            "compute with the tensors themselves, without detach, item or lists."
        )
    if not alike(got, wanted):
        raise Wrong(
            f"The value is right, its gradient with respect to `{name}` is not: {brief(wanted)} is wanted, "
            f"yours is {brief(got)}."
        )


def without(*owners: tuple, call: Callable[[], Any], words: str) -> None:
    """Make the call, and refuse it if it uses one of the functions, given as (owner, name, name …).

    Raises
    ------
    Wrong
        with ``words``.
    """

    def refuse(*args, **kwargs):
        raise Wrong(words)

    with ExitStack() as stack:
        for owner, *names in owners:
            for name in names:
                stack.enter_context(mock.patch.object(owner, name, refuse))
        call()


def _attempt(function: Callable, arguments: tuple, errors: Any = (*EDGE_ERRORS, Nothing)) -> Any:
    try:
        return function(*arguments)
    except errors as error:
        return error


def _failed(result: Any) -> bool:
    return isinstance(result, Exception)


def _agree(a: Any, b: Any, same: Callable) -> bool:
    return type(a) is type(b) if _failed(a) or _failed(b) else same(a, b)


def alike(a: Any, b: Any) -> bool:
    """Equal all through: numbers up to rounding where ``b`` has fractions, everything else exactly.

    NaN equals NaN, so that a slip that overflows is known by it.
    """
    if isinstance(b, str):
        return bool(a == b)
    if hasattr(b, "shape") or hasattr(a, "shape"):
        a, b = _array(a), _array(b)
        return a.shape == b.shape and bool(np.allclose(a, b, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True))
    if isinstance(b, float) and isinstance(a, numbers.Real):  # a Fraction, too
        return (a != a and b != b) or math.isclose(a, b, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    if isinstance(b, Mapping) and isinstance(a, Mapping):
        return a.keys() == b.keys() and all(alike(a[key], b[key]) for key in b)
    if isinstance(b, list | tuple) and isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(alike, a, b))
    return bool(a == b)


def _array(value: Any) -> np.ndarray:
    if hasattr(value, "detach"):
        value = value.detach().cpu().double() if value.is_floating_point() else value.cpu()
    return np.asarray(value)


def brief(value: Any, width: int = 90) -> str:
    """A value as one would write it, fractions to four digits, cut at ``width``.

    >>> brief([0.123456, "a", None]), brief(np.array([1.0, 2.0]))
    ("[0.1235, 'a', None]", '[1, 2]')
    """
    return _cut(_written(value), width)


def apart(a: Any, b: Any, width: int = 90) -> tuple[str, str]:
    """Two values in brief, with more digits or from a later place where they would look the same.

    >>> apart(5.2083333, 5.2083)
    ('5.2083333', '5.2083')
    >>> apart([0] * 9 + [1], [0] * 9 + [2], width=20)
    ('…0, 0, 0, 0, 1]', '…0, 0, 0, 0, 2]')
    """
    texts = _written(a), _written(b)
    if texts[0] == texts[1]:
        texts = _written(a, 9), _written(b, 9)
    if texts[0] != texts[1] and _cut(texts[0], width) == _cut(texts[1], width):
        start = len(commonprefix(texts)) - width // 2 - 2
        texts = f"…{texts[0][start:]}", f"…{texts[1][start:]}"
    return _cut(texts[0], width), _cut(texts[1], width)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _written(value: Any, digits: int = 4) -> str:
    if hasattr(value, "tolist"):
        return _written(value.tolist(), digits)
    if isinstance(value, float):
        return f"{value:.{digits}g}"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key!r}: {_written(item, digits)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        inside = ", ".join(_written(item, digits) for item in value)
        return f"[{inside}]" if isinstance(value, list) else f"({inside}{',' * (len(value) == 1)})"
    if callable(value):
        return getattr(value, "__name__", "…")
    return repr(value)
