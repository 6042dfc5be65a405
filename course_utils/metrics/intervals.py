"""Intervals around means, shares and differences: one definition for the whole course.

``interval(values, unit="dialogue")`` and ``paired(a, b, unit="dialogue")`` return an
:class:`Interval`. It holds the estimate, its limits, and the number of independent units behind it.
What it says about zero is one of *above 0*, *below 0* and *cannot tell*.

Which method is used, for n units, and why (``python -m course_utils coverage`` measures it):

- means and differences: Student's t interval and its form corrected for skewness (Hall 1992, *On
  the removal of skewness by transformation*), whichever reaches further on each side. At n = 12 it
  covers 96 % of normal and 94 % of exponential values; plain t covers 91 % of the latter, BCa (Efron
  1987) 88 %. It needs no random draws.
- shares (all values 0 or 1): Wilson's interval (1927). 0 of 12 gives [0, .24].
- differences of two shares, and shares whose rows come in groups: one unit at each bound (-1 or 0,
  and 1) is added before a t interval is taken. For pairs this is Bonett and Price (2012) with t for
  z; for groups it is the same idea with units of mean size.
- rows in groups: the mean is a ratio of sums over groups, and its spread is the jackknife's, which
  leaves out one group at a time (Cochran 1977, chapter 6).

No interval has zero width. Where all values are equal, at most Wilson's share of unseen units may
differ, and by no more than the range [0, 1] of scores or [-1, 1] of their differences allows.
Equal values outside it, or one unit alone, say nothing about the others: the limits are infinite.
So they are where one unit holds nearly all rows. Units of unequal size count as fewer (Kish 1965):
twelve of 20, 2, 2, 2 … rows as five. Of skewed values, five large units' intervals hold the truth
in 87 to 90 %.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from scipy.special import stdtr, stdtrit  # Student's t: distribution function and its inverse

# The smallest differences that would change what one does. They are conventions, not laws.
ROUGE_MATTERS = 0.02  # ROUGE-1: about one more shared word in two or three short summaries
NLL_MATTERS = 0.05  # nats per token: the perplexity changes by a twentieth
SHARE_MATTERS = 0.1  # a share: one answer in ten


@dataclass(frozen=True)
class Interval:
    """An estimate, its limits, and the ``n`` independent units (of the kind ``unit``) behind it.

    ``p`` is the p-value of "the true value is 0". It belongs to the interval: p < .05 exactly where
    a 95 % interval leaves 0 out, until :func:`~course_utils.metrics.corrected` raises it for
    ``compared`` comparisons of one table.
    """

    mean: float
    low: float
    high: float
    n: int
    unit: str
    p: float
    confidence: float = 0.95
    compared: int = 1

    def __format__(self, spec: str) -> str:
        """Estimate and limits, each in the given format: ``f"{d:+.2f}"`` → +0.10 [+0.02, +0.18]."""
        spec = spec or ".3f"
        return f"{self.mean:{spec}} [{self.low:{spec}}, {self.high:{spec}}]"

    def __str__(self) -> str:
        return format(self)

    @property
    def verdict(self) -> str:
        """"above 0", "below 0" or "cannot tell"."""
        if self.p >= 1 - self.confidence:
            return "cannot tell"
        return "above 0" if self.mean > 0 else "below 0"

    def says(self, matters: float) -> str:
        """The verdict, beside the smallest size that would matter.

        >>> paired([5, 7, 6, 8], [1, 2, 2, 3], unit="dialogue").says(matters=1)
        'above 0, by more than the 1 that matters'
        """
        small = f"less than {matters:g}: too small to matter"
        if max(abs(self.low), abs(self.high)) < matters:
            return f"{self.verdict}; {small}" if self.p >= 1 - self.confidence else f"{self.verdict}, by {small}"
        if self.verdict == "cannot tell":
            among = f" among {self.compared} comparisons" if self.compared > 1 else ""
            return f"cannot tell{among} ({matters:g} would matter)"
        if min(abs(self.low), abs(self.high)) >= matters:
            return f"{self.verdict}, by more than the {matters:g} that matters"
        return f"{self.verdict}; whether by {matters:g}, which would matter, is open"

    def line(self, matters: float, spec: str = "+.3f") -> str:
        """Estimate, limits, n and :meth:`says` in one line."""
        return f"{self:{spec}}, n = {self.n} {_plural(self.unit, self.n)}: {self.says(matters)}"


def interval(
    values: Sequence[float],
    *,
    unit: str | None = None,
    groups: Sequence | None = None,
    confidence: float = 0.95,
) -> Interval:
    """Interval of the mean of ``values``, shape [rows].

    Parameters
    ----------
    unit : what was sampled independently. ``unit="dialogue"`` says that each row is another dialogue.
    groups : one label per row, if several rows belong to one unit. The rows of a unit are one
        observation: three references to one dialogue are not three dialogues. ``unit`` then names
        the groups.

    Raises
    ------
    ValueError
        for neither unit nor groups, no values, values that are not finite numbers, groups of another
        length or with a label missing, or a confidence outside (0, 1).
    """
    values = _checked(values)
    _check_confidence(confidence)
    sums, sizes, unit = _units(values, unit, groups)
    if np.isin(values, (0, 1)).all():
        return _share(sums, sizes, unit, confidence)
    if np.isin(values, (-1, 0, 1)).all():
        return _with_extremes(sums, sizes, (-1, 1), unit, confidence)
    lowest = 0 if values.min() >= 0 else -1
    return _mean(sums, sizes, (lowest, 1), unit, confidence)


def paired(
    a: Sequence[float],
    b: Sequence[float],
    *,
    unit: str | None = None,
    groups: Sequence | None = None,
    confidence: float = 0.95,
) -> Interval:
    """Interval of the mean difference a - b over the same rows; arguments as :func:`interval`.

    Taking the difference row by row first removes what both systems share: the row's difficulty.
    """
    difference = differences(a, b)
    _check_confidence(confidence)
    sums, sizes, unit = _units(difference, unit, groups)
    if np.isin(a, (0, 1)).all() and np.isin(b, (0, 1)).all():
        return _with_extremes(sums, sizes, (-1, 1), unit, confidence)
    return _mean(sums, sizes, (-1, 1), unit, confidence)


def differences(a: Sequence[float], b: Sequence[float]) -> np.ndarray:
    """a - b, row by row, [rows]; a ValueError for unequal lengths, no rows, or NaN."""
    if len(a) != len(b):
        raise ValueError(f"Paired scores need equal lengths; got {len(a)} and {len(b)}.")
    return _checked(a) - _checked(b)


# ---------------------------------------------------------------- the methods


def _mean(sums, sizes, bounds, unit, confidence) -> Interval:
    """The outer limits of Student's t and of its form corrected for skewness (Hall 1992, g3)."""
    n, rows = len(sums), sizes.sum()
    mean = sums.sum() / rows
    freedom = _freedom(sizes)
    if np.ptp(sums / sizes) <= 1e-9 * max(1, abs(mean)):  # equal but for rounding
        return _constant(mean, n, bounds, unit, confidence)
    if freedom < 0.5:  # one unit holds more than three quarters of the rows: it is nearly alone
        return _interval(mean, -np.inf, np.inf, n, unit, 1.0, confidence)
    # What each unit adds to the mean's error. The second factor is 1 for units of one size; for
    # others it is the jackknife's: a large unit has pulled the mean towards itself.
    residuals = (sums - mean * sizes) / sizes.mean() * ((n - 1) / n / (1 - sizes / rows))
    deviation = np.sqrt((residuals**2).sum() / (n - 1))
    # Few values say little about their skewness, so it is damped: to 0 for two, by a sixth for twelve.
    skew = (1 - 2 / n) * (residuals**3).mean() / (residuals**2).mean() ** 1.5
    reach = stdtrit(freedom, (1 + confidence) / 2) / np.sqrt(n)
    low = mean - deviation * max(reach, _uncurve(reach, skew, n))
    high = mean + deviation * max(reach, -_uncurve(-reach, skew, n))
    away = mean / deviation
    distance = np.sqrt(n) * min(abs(away), abs(_curve(away, skew, n)))
    # Scores between 0 and 1 have no negative mean; differences may have any.
    scores = bounds[0] == 0 and (sums <= sizes).all()
    possible = (0 if scores else -np.inf, np.inf)
    return _interval(mean, low, high, n, unit, 2 * stdtr(freedom, -distance), confidence, possible)


def _freedom(sizes) -> float:
    """Degrees of freedom: n - 1 for units of one size, fewer for others (Kish 1965)."""
    return sizes.sum() ** 2 / (sizes**2).sum() - 1


def _curve(s: float, skew: float, n: int) -> float:
    """Hall's g(s) = s + k s²/3 + k² s³/27 + k/(6n) for a skewness k: nearly symmetric again."""
    return s + skew * s**2 / 3 + skew**2 * s**3 / 27 + skew / (6 * n)


def _uncurve(y: float, skew: float, n: int) -> float:
    """The s with g(s) = y."""
    if abs(skew) < 1e-6:
        return y
    return 3 / skew * (np.cbrt(1 + skew * (y - skew / (6 * n))) - 1)


def _share(sums, sizes, unit, confidence) -> Interval:
    """Wilson's interval (1927), or that of :func:`_with_extremes` where rows come in groups."""
    if (sizes != 1).any():
        return _with_extremes(sums, sizes, (0, 1), unit, confidence)
    n, share = len(sums), sums.mean()
    z2 = _z(confidence) ** 2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = np.sqrt(z2 * share * (1 - share) / n + z2**2 / (4 * n**2)) / (1 + z2 / n)
    # One success proves a share above 0, so p is 0 then.
    return _interval(share, centre - half, centre + half, n, unit, float(share == 0), confidence, (0, 1))


def _with_extremes(sums, sizes, bounds, unit, confidence) -> Interval:
    """t interval after adding one unit at each bound (Bonett and Price 2012, equation 2, for pairs)."""
    n, freedom = len(sums), max(_freedom(sizes), 1)
    mean = sums.sum() / sizes.sum()
    size = sizes.mean()
    sums = np.append(sums, [bounds[0] * size, bounds[1] * size])
    sizes = np.append(sizes, [size, size])
    centre = sums.sum() / sizes.sum()
    error = np.sqrt(((sums - centre * sizes) ** 2).sum()) / sizes.sum()
    half = stdtrit(freedom, (1 + confidence) / 2) * error
    p = 2 * stdtr(freedom, -abs(centre) / error)
    return _interval(mean, centre - half, centre + half, n, unit, p, confidence, bounds)


def _constant(value, n, bounds, unit, confidence) -> Interval:
    """Limits where all units are alike: Wilson's share of unseen units may lie at either bound."""
    low, high = bounds
    if n == 1 or not low <= value <= high:
        return _interval(value, -np.inf, np.inf, n, unit, 1.0, confidence)
    unseen = _z(confidence) ** 2 / (n + _z(confidence) ** 2)
    to_zero = abs(value / (value - (low if value > 0 else high))) if value else 0.0
    p = 0.0 if to_zero == 1 else 2 * NormalDist().cdf(-np.sqrt(n * to_zero / (1 - to_zero)))
    return _interval(
        value, value - unseen * (value - low), value + unseen * (high - value), n, unit, p, confidence
    )


def _z(confidence: float) -> float:
    """How many standard errors a normal interval reaches."""
    return NormalDist().inv_cdf((1 + confidence) / 2)


def _interval(mean, low, high, n, unit, p, confidence, bounds=(-np.inf, np.inf)) -> Interval:
    """Plain numbers, limits inside the bounds and around the estimate in spite of rounding."""
    low, high = max(min(low, mean), bounds[0]), min(max(high, mean), bounds[1])
    return Interval(float(mean), float(low), float(high), n, unit, float(min(p, 1)), confidence)


# ---------------------------------------------------------------- the input


def _checked(values) -> np.ndarray:
    try:
        values = np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        raise ValueError("Scores are numbers, one for each row in a flat list.") from None
    if values.ndim != 1:
        raise ValueError(f"Give one score per row, a flat list; yours has the shape {values.shape}.")
    if len(values) == 0:
        raise ValueError("There is nothing to average: give at least one score.")
    if not np.isfinite(values).all():
        raise ValueError("Some scores are NaN or infinite: repair or drop them before averaging.")
    return values


def _check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise ValueError(f"A confidence lies between 0 and 1, such as 0.95; yours is {confidence}.")


def _units(values, unit, groups) -> tuple[np.ndarray, np.ndarray, str]:
    """The sum and the number of rows of each unit, and the unit's name."""
    if groups is None:
        if not isinstance(unit, str) or not unit:
            raise ValueError(
                'Say what was sampled independently: unit="dialogue" if each row is another '
                "dialogue, or groups=labels if several rows belong to one."
            )
        return values, np.ones(len(values)), unit
    if len(groups) != len(values):
        raise ValueError(f"{len(values)} values but {len(groups)} group labels.")
    numbers: dict = {}
    # A list of tensors (datasets' "torch" format) holds labels that never equal one another.
    labels = [label.item() if hasattr(label, "item") else label for label in groups]
    if any(label is None or label != label for label in labels):  # NaN differs from itself
        raise ValueError("Some group labels are missing: which unit do these rows belong to?")
    index = [numbers.setdefault(label, len(numbers)) for label in labels]
    return np.bincount(index, weights=values), np.bincount(index).astype(float), unit or "group"


def _plural(unit: str, n: int) -> str:
    if n == 1:
        return unit
    if unit.endswith("y") and unit[-2:-1] not in "aeiou":
        return unit[:-1] + "ies"
    return unit + ("es" if unit.endswith(("s", "x", "ch", "sh")) else "s")
