"""Tests of a difference, and the correction that several comparisons in one table need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from .intervals import Interval, differences


def holm(p: Mapping[str, float]) -> dict[str, float]:
    """p-values corrected for their number (Holm 1979), under the same names.

    The smallest of m is multiplied by m, the next by m - 1, and so on, and none becomes smaller
    than the one before it. The chance that *any* of them falls below .05 by accident is then at
    most .05.

    Raises
    ------
    ValueError
        for a p-value outside [0, 1].

    >>> holm({"a": 0.01, "b": 0.04, "c": 0.03})
    {'a': 0.03, 'b': 0.06, 'c': 0.06}
    """
    if not all(0 <= value <= 1 for value in p.values()):
        raise ValueError("A p-value lies between 0 and 1.")
    corrected, largest = {}, 0.0
    for rank, name in enumerate(sorted(p, key=p.get)):
        largest = max(largest, min(1.0, (len(p) - rank) * p[name]))
        corrected[name] = largest
    return {name: corrected[name] for name in p}


def corrected(table: Mapping[str, Interval]) -> dict[str, Interval]:
    """The comparisons of one table, with verdicts that count how many there are (by :func:`holm`).

    Estimates and limits stay as they are; each is a 95 % interval by itself. So a limit may lie
    beyond 0 where the verdict is *cannot tell*: among twenty such intervals one misses by accident.
    """
    p = holm({name: found.p for name, found in table.items()})
    return {
        name: replace(found, p=p[name], compared=len(table)) for name, found in table.items()
    }


def sign_flip_test(
    a: Sequence[float], b: Sequence[float], draws: int = 10_000, seed: int = 0
) -> float:
    """Two-sided p-value of "a and b do not differ", by flipping the signs of paired differences.

    One row must be one independent unit. Source: Fisher's randomisation test, with the +1
    correction of Phipson and Smyth 2010, so that p is never 0.
    """
    difference = differences(a, b)
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], size=(draws, len(difference)))
    flipped = np.abs(signs @ difference)
    observed = np.abs(difference.sum())
    return float((np.sum(flipped >= observed - 1e-12) + 1) / (draws + 1))
