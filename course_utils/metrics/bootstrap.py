"""Intervals and tests by resampling whole dialogues (Efron 1979; Koehn 2004 for the paired form)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Interval:
    """A mean, its confidence limits, and the number of independent units behind it."""

    mean: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"

    @property
    def excludes_zero(self) -> bool:
        """True if 0 lies outside: a difference larger than the noise at this confidence."""
        return not self.low <= 0 <= self.high


def interval(
    values: Sequence[float],
    *,
    groups: Sequence | None = None,
    confidence: float = 0.95,
    draws: int = 10_000,
    seed: int = 0,
) -> Interval:
    """Percentile bootstrap interval of the mean.

    Parameters
    ----------
    values : one score a row, shape [rows].
    groups : the unit each row belongs to (its dialogue). Rows of one group are drawn together:
        three references to one dialogue are one observation, not three.

    Raises
    ------
    ValueError
        for no values, values that are not finite, or groups of another length.
    """
    values = np.asarray(values, dtype=float)
    if values.ndim != 1 or len(values) == 0:
        raise ValueError("There is nothing to average: give one score per row, at least one row.")
    if not np.isfinite(values).all():
        raise ValueError("Some scores are NaN or infinite: repair or drop them before averaging.")
    if groups is None:
        sums, sizes = values, np.ones(len(values))
    else:
        if len(groups) != len(values):
            raise ValueError(f"{len(values)} values but {len(groups)} group labels.")
        _, index = np.unique(np.asarray(groups), return_inverse=True)
        sums, sizes = np.bincount(index, weights=values), np.bincount(index)
    n = len(sums)
    rng = np.random.default_rng(seed)
    # How often each group is drawn, as one multinomial row per draw: [draws, n].
    counts = rng.multinomial(n, np.full(n, 1 / n), size=draws)
    means = (counts @ sums) / (counts @ sizes)
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    mean = values.mean()  # of equal values it can differ from the others' by rounding
    return Interval(float(mean), float(min(low, mean)), float(max(high, mean)), n)


def paired(a: Sequence[float], b: Sequence[float], **options) -> Interval:
    """Interval of the mean difference a - b over the same rows; options as :func:`interval`.

    Taking the difference row by row first removes what both systems share: the row's difficulty.
    """
    if len(a) != len(b):
        raise ValueError(f"Paired scores need equal lengths; got {len(a)} and {len(b)}.")
    return interval(np.asarray(a, dtype=float) - np.asarray(b, dtype=float), **options)


def sign_flip_test(
    a: Sequence[float], b: Sequence[float], draws: int = 10_000, seed: int = 0
) -> float:
    """Two-sided p-value of "a and b do not differ", by flipping the signs of paired differences.

    One row must be one independent unit. Source: Fisher's randomisation test, with the +1
    correction of Phipson and Smyth 2010, so that p is never 0.
    """
    if len(a) != len(b):
        raise ValueError(f"Paired scores need equal lengths; got {len(a)} and {len(b)}.")
    difference = np.asarray(a, dtype=float) - np.asarray(b, dtype=float)
    if difference.ndim != 1 or len(difference) == 0:
        raise ValueError("There is nothing to compare: give one score per row, at least one row.")
    if not np.isfinite(difference).all():
        raise ValueError("Some scores are NaN or infinite: repair or drop them before comparing.")
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], size=(draws, len(difference)))
    flipped = np.abs(signs @ difference)
    observed = np.abs(difference.sum())
    return float((np.sum(flipped >= observed - 1e-12) + 1) / (draws + 1))
