"""How often do the course's 95 % intervals hold the truth? A simulation in which the truth is known.

An interval that is called 95 % should hold the true value in 95 of 100 repeated experiments. Few
units, skewed values and shares near 0 or 1 are where intervals fail, so those are tried. It takes
half a minute.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import comb

import numpy as np

from .. import metrics

UNITS = (6, 12, 24, 70)
SHARES = (0.1, 0.3, 0.5, 0.9)
KINDS = ("normal", "skewed", *(f"share {p}" for p in SHARES))
FORMS = ("one row per unit", "1 to 5 rows per unit", "paired", "paired, 1 to 5 rows")


def draw(kind: str, units: int, sizes: np.ndarray, rng) -> tuple[np.ndarray, float]:
    """Values [rows] whose rows share half of what their unit is like, and their true mean.

    ``sizes`` [units] counts the rows of each unit. Skewed values are exponential (skewness 2).
    """
    owner = np.repeat(np.arange(units), sizes)
    rows = len(owner)
    if kind == "normal":
        return rng.normal(size=units)[owner] + rng.normal(size=rows), 0.0
    if kind == "skewed":
        if rows == units:
            return rng.exponential(size=rows), 1.0
        return rng.exponential(size=units)[owner] + rng.exponential(size=rows), 2.0
    p = float(kind.removeprefix("share "))
    # A unit's own share is drawn around p; two rows of one unit then correlate by one half.
    return (rng.random(rows) < rng.beta(p, 1 - p, units)[owner]).astype(float), p


def experiment(form: str, kind: str, units: int, rng) -> tuple[metrics.Interval, float]:
    """One simulated experiment: the interval that the course would print, and the true value."""
    grouped = "1 to 5 rows" in form
    sizes = np.arange(units) % 5 + 1 if grouped else np.ones(units, dtype=int)
    groups = np.repeat(np.arange(units), sizes) if grouped else None
    b, truth = draw(kind, units, sizes, rng)
    if not form.startswith("paired"):
        return metrics.interval(b, unit="unit", groups=groups), truth
    if kind in ("normal", "skewed"):
        difference, truth = draw(kind, units, sizes, rng)
        return metrics.paired(b + difference, b, unit="unit", groups=groups), truth
    # Half of a's rows equal b's; the others are a coin's.
    coin = (rng.random(len(b)) < 0.5).astype(float)
    a = np.where(rng.random(len(b)) < 0.5, b, coin)
    return metrics.paired(a, b, unit="unit", groups=groups), 0.25 - truth / 2


def coverage(form: str, kind: str, units: int, repeats: int, seed: int = 0) -> float:
    """Share of simulated experiments whose interval holds the true value.

    The simplest case, a share with one row per unit, is not drawn but counted, hit by hit.
    """
    if form == FORMS[0] and kind.startswith("share"):
        p = float(kind.removeprefix("share "))
        chances = [comb(units, k) * p**k * (1 - p) ** (units - k) for k in range(units + 1)]
        limits = [metrics.interval([1] * k + [0] * (units - k), unit="unit") for k in range(units + 1)]
        return sum(c for c, found in zip(chances, limits) if found.low <= p <= found.high)
    rng = np.random.default_rng(seed)
    held = 0
    for _ in range(repeats):
        found, truth = experiment(form, kind, units, rng)
        held += found.low <= truth <= found.high
    return held / repeats


def main(
    repeats: int = 5000, units: Iterable[int] = UNITS, say: Callable[[str], None] = print
) -> dict[tuple[str, str, int], float]:
    """Print the table, one line per form and kind, and return its numbers."""
    found = {}
    say(f"share of {repeats} simulated experiments whose 95 % interval holds the truth")
    for form in FORMS:
        say(f"\n{form:22s}" + "".join(f"n = {n:<6d}" for n in units))
        for kind in KINDS:
            row = [found.setdefault((form, kind, n), coverage(form, kind, n, repeats)) for n in units]
            say(f"  {kind:20s}" + "".join(f"{value:<10.1%}" for value in row))
    say(f"\nlowest where n is at least 12: {min(v for (_, _, n), v in found.items() if n >= 12):.1%}")
    return found
