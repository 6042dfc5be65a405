"""Kinds of answers: what an exercise's function returns, in whichever type a learner wrote it.

A list, an array, a tensor and a tuple can hold the same answer. An exercise names its kind
(``returns=tensor``, ``returns=tuple_of(number, number)``); :func:`Kind.read` turns what a learner's
function returned into the type that the cells after the exercise need, or says in one sentence what
came and what is wanted.

>>> tuple_of(whole, number).read([3, 0.5])
(3, 0.5)
>>> maybe(text).read(None) is None
True
"""

from __future__ import annotations

import math
import numbers as abstract
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


class Wrong(Exception):
    """Raised by an exercise's test; the message names the misconception, not the answer."""


class Nothing(Wrong):
    """Raised where a function returned None and a value is wanted."""


class Unfit(Exception):
    """A value is not of the kind that was asked for."""


@dataclass(frozen=True)
class Kind:
    """``words`` complete "wanted: …"; ``convert`` returns the value as that kind or raises Unfit."""

    words: str
    convert: Callable[[Any], Any]

    def read(self, value: Any) -> Any:
        """The value as this kind: the very same object where it already is one.

        Raises
        ------
        Wrong
            for a value of another kind, with what came and what is wanted.
        """
        try:
            return self.convert(value)
        except Unfit:
            raise Wrong(f"What came back is {shown(value)}; wanted: {self.words}.") from None


def shown(value: Any, width: int = 60) -> str:
    """A value in a few words, for messages: its type, its shape if it has one, its beginning.

    >>> shown(12.0), shown([1, 2]), shown(None)
    ('12.0 (float)', '[1, 2] (list)', 'None')
    """
    if value is None:
        return "None"
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        name = "a tensor" if _is_tensor(value) else f"a numpy {type(value).__name__}"
        inside = repr(value.tolist())
        about = f"{name} of shape {list(value.shape)}"
    else:
        try:
            inside = repr(value)
        except Exception:  # a learner's own class may have any __repr__
            inside = "…"
        about = type(value).__name__
    inside = inside if len(inside) <= width else inside[: width - 1] + "…"
    return f"{inside} ({about})"


def _is_tensor(value: Any) -> bool:
    import torch

    return isinstance(value, torch.Tensor)


def _plain(value: Any) -> Any:
    """Tensors and arrays of one element as Python numbers; everything else as it is."""
    if (_is_tensor(value) or isinstance(value, np.ndarray)) and int(np.prod(value.shape)) == 1:
        return value.reshape(()).item()
    return value.item() if isinstance(value, np.generic) else value


def _number(value: Any) -> float:
    found = _plain(value)
    if isinstance(found, bool) or not isinstance(found, abstract.Real):
        raise Unfit
    return found if isinstance(found, int | float) else float(found)  # a fraction, say


def _whole(value: Any) -> int:
    found = _number(value)
    if not isinstance(found, int):
        if not math.isfinite(found) or found != round(found):
            raise Unfit
        return int(found)
    return found


def _truth(value: Any) -> bool:
    found = _plain(value)
    if not isinstance(found, bool):
        raise Unfit
    return found


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise Unfit
    return value


def _items(value: Any) -> list:
    """What a list-like value holds; a text, a dictionary and a set are not list-like."""
    if isinstance(value, str | bytes | Mapping | set | frozenset) or not isinstance(value, Iterable):
        raise Unfit
    if (_is_tensor(value) or isinstance(value, np.ndarray)) and value.ndim == 0:
        raise Unfit
    return list(value)


def _same(before: Any, after: Any) -> bool:
    return len(before) == len(after) and all(a is b for a, b in zip(before, after))


def list_of(kind: Kind, words: str = "") -> Kind:
    """A list whose items are all of ``kind``; tuples, generators, arrays and tensors are read."""

    def convert(value):
        items = _items(value)
        found = [kind.convert(item) for item in items]
        return value if isinstance(value, list) and _same(value, found) else found

    return Kind(words or f"a list, each item {kind.words}", convert)


def tuple_of(*kinds: Kind, words: str = "") -> Kind:
    """As many values as there are kinds, in their order; a list or an array of them is read."""

    def convert(value):
        items = _items(value)
        if len(items) != len(kinds):
            raise Unfit
        found = tuple(kind.convert(item) for kind, item in zip(kinds, items))
        return value if isinstance(value, tuple) and _same(value, found) else found

    return Kind(words or ", then ".join(kind.words for kind in kinds), convert)


def dict_of(kind: Kind, words: str = "") -> Kind:
    """A dictionary whose values are all of ``kind``."""

    def convert(value):
        if not isinstance(value, Mapping):
            raise Unfit
        found = {key: kind.convert(item) for key, item in value.items()}
        same = isinstance(value, dict) and all(found[key] is value[key] for key in found)
        return value if same else found

    return Kind(words or f"a dictionary, each value {kind.words}", convert)


def maybe(kind: Kind) -> Kind:
    """``kind``, or None where there is nothing to return."""
    return Kind(
        f"{kind.words}, or None", lambda value: None if value is None else kind.convert(value)
    )


def _tensor(value: Any):
    """A tensor as it is; an array, a number or nested lists as a new one (fractions in float32)."""
    import torch

    if _is_tensor(value):
        return value
    if isinstance(value, np.ndarray | np.generic | abstract.Number):
        found = torch.as_tensor(value)
    else:
        items = _items(value)
        if any(_is_tensor(item) for item in items):
            items = [torch.as_tensor(item) for item in items]
            if len({item.shape for item in items}) > 1:
                raise Unfit
            found = torch.stack(items)
        else:
            try:
                found = torch.as_tensor(np.array(items))
            except (ValueError, TypeError):  # ragged rows, or texts
                raise Unfit from None
    return found.float() if found.dtype == torch.float64 else found


def _ids(value: Any):
    import torch

    found = _tensor(value)
    if found.dtype == torch.bool or bool((found != found.round()).any()):
        raise Unfit
    return found.long()


def _mask(value: Any):
    import torch

    found = _tensor(value)
    if found.dtype != torch.bool:
        raise Unfit
    return found


def _numeric(value: Any) -> Any:
    if _is_tensor(value):
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray) and value.ndim:
        found = value
    elif isinstance(value, list | tuple):
        try:
            found = np.array(value)
        except ValueError:  # ragged rows
            raise Unfit from None
    else:
        return _number(value)
    if found.dtype.kind not in "iuf":
        raise Unfit
    return found


def _something(value: Any) -> Any:
    if value is None:
        raise Unfit
    return value


number = Kind("a number", _number)
whole = Kind("a whole number", _whole)
truth = Kind("True or False", _truth)
text = Kind("a text", _text)
tensor = Kind("a tensor (or a list or an array) of numbers", _tensor)
ids = Kind("a tensor (or a list or an array) of whole numbers", _ids)
mask = Kind("a tensor (or a list or an array) of True and False", _mask)
numeric = Kind("a number, or for arrays an array of numbers", _numeric)
numbers = list_of(number, "a list of numbers")
wholes = list_of(whole, "a list of whole numbers")
texts = list_of(text, "a list of texts")
something = Kind("a value", _something)
