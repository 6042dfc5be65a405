"""The course's figures: matplotlib only, axes labelled, readable without colour.

Drawings (``diagram``, ``tokens``, ``blocks``, ``masks``) are made in :mod:`diagrams`, the one look and ``show``
in :mod:`style`; a notebook finds all of them here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite

import matplotlib.pyplot as plt
import torch

from . import decoding
from .diagrams import blocks, diagram, masks, tokens
from .finetune import Step
from .metrics import Interval
from .style import ACCENT, DARK, DASHES, GOLD, GREEN, PALE, PALETTE, show, visible

__all__ = [
    "ACCENT", "DARK", "DASHES", "GOLD", "GREEN", "PALE", "PALETTE", "blocks", "diagram", "forest",
    "grid_lines", "magnitudes", "masks", "next_words", "show", "tokens", "training",
]  # fmt: skip


def forest(
    intervals: Mapping[str, Interval],
    xlabel: str,
    baseline: str | None = None,
    matters: float | None = None,
) -> None:
    """One row per system or comparison: a dot at the estimate, a bar over its interval.

    ``baseline`` names the row whose estimate gets a dashed line. ``matters`` is for differences: a
    pale band marks those too small to matter. Differences, which have limits below 0 or a band, are
    written with their sign, and a line stands at 0. An infinite limit ends in an arrow.

    Raises
    ------
    ValueError
        for no intervals, or a baseline that is none of them.
    """
    if not intervals:
        raise ValueError("There is no interval to draw.")
    if baseline is not None and baseline not in intervals:
        raise ValueError(f"There is no row {baseline!r}; choose one of {', '.join(intervals)}.")
    ends = [x for found in intervals.values() for x in (found.low, found.mean, found.high) if isfinite(x)]
    left, right = min([*ends, -(matters or 0)]), max([*ends, matters or 0])
    margin = 0.04 * (right - left or 1)
    signed = left < -0.05 * (right - left)  # a score of nearly 0 may have a limit just below it
    left, right = (left - margin if signed else 0), right + 4 * margin  # room for the numbers
    figure, axis = plt.subplots(figsize=(7, 0.42 * len(intervals) + 1))
    if signed:
        axis.axvspan(-(matters or 0), matters or 0, color=PALE, alpha=0.5, linewidth=0)
        axis.axvline(0, color="black", linewidth=0.8)
    if baseline:
        axis.axvline(intervals[baseline].mean, color="grey", linestyle="--", linewidth=1)
    number = "+.2f" if signed else ".2f"
    for height, found in enumerate(intervals.values()):
        low, high = (min(max(x, left), right) for x in (found.low, found.high))  # also where a limit is outside
        axis.plot([low, high], [height] * 2, color=DARK, linewidth=2)
        axis.plot(found.mean, height, "o", color=DARK, clip_on=False)
        if not isfinite(found.low):
            axis.plot(low, height, "<", color=DARK, clip_on=False)
        if not isfinite(found.high):
            axis.plot(high, height, ">", color=DARK, clip_on=False)
        axis.annotate(
            f"{found.mean:{number}}", (high, height), (7, 0), textcoords="offset points", va="center",
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},  # over the lines behind it
        )  # fmt: skip
    axis.set(xlabel=xlabel, xlim=(left, right), ylim=(len(intervals) - 0.4, -0.6))  # first on top
    axis.set_yticks(range(len(intervals)), list(intervals))
    rows = "; ".join(f"{name} {found:{number}}" for name, found in intervals.items())
    band = f" Differences below {matters:g} are too small to matter." if matters else ""
    show(figure, alt=f"{xlabel}, one row per system: {rows}.{band}")


def next_words(
    logits: Sequence[torch.Tensor],
    tokenizer,
    titles: Sequence[str],
    top_p: float = 1.0,
    count: int = 12,
) -> None:
    """Bar charts of the likeliest next tokens, side by side on one scale.

    ``logits`` holds one vector [vocabulary] a chart. With ``top_p`` below 1 the tokens it drops are
    pale, and the title counts the kept ones.
    """
    figure, axes = plt.subplots(
        1, len(logits), figsize=(4.6 * len(logits), 3.4), sharey=True, squeeze=False
    )
    for axis, row, title in zip(axes[0], logits, titles):
        probabilities, ids = row.softmax(-1).topk(count)
        kept = decoding.top_p(row, top_p).isfinite()
        colours = [DARK if keep else PALE for keep in kept[ids].tolist()]
        axis.bar(range(count), probabilities.tolist(), color=colours)
        labels = [visible(tokenizer.decode([id])) for id in ids.tolist()]
        axis.set_xticks(range(count), labels, rotation=60, ha="right")
        axis.set_title(
            title + (f"\n{int(kept.sum())} tokens kept at p = {top_p}" if top_p < 1 else ""),
            fontsize=10,
        )
    axes[0][0].set_ylabel("probability")
    figure.supxlabel(f"the {count} likeliest next tokens", fontsize=10)
    first = [row.softmax(-1).max(0) for row in logits]
    said = [f"after {title}, {tokenizer.decode([int(best.indices)]).strip()!r} has {best.values:.2f}" for title, best in zip(titles, first)]
    show(figure, alt=f"Bars of the {count} likeliest next tokens: {'; '.join(said)}.")


def magnitudes(values: Mapping[str, float], xlabel: str, diamonds: Sequence[str] = ()) -> None:
    """One row per positive value on a logarithmic axis, with its number: for sizes far apart.

    Dots and no bars: on such an axis a length means nothing. The rows of ``diamonds`` get a diamond
    of another colour.

    Raises
    ------
    ValueError
        for no values, one that is not above 0, or a diamond that is no row.
    """
    if not values or min(values.values()) <= 0:
        raise ValueError("A logarithmic axis needs values above 0, at least one.")
    if unknown := [name for name in diamonds if name not in values]:
        raise ValueError(f"There is no row {unknown[0]!r}; choose among {', '.join(values)}.")
    figure, axis = plt.subplots(figsize=(8.5, 0.36 * len(values) + 0.9))
    for height, (name, value) in enumerate(values.items()):
        marker, colour = ("D", ACCENT) if name in diamonds else ("o", DARK)
        axis.plot(value, height, marker, color=colour)
        axis.annotate(_number(value), (value, height), (9, 0), textcoords="offset points", va="center")
    axis.set_xscale("log")
    axis.margins(x=0.12, y=0.08)
    axis.grid(axis="x", color="lightgrey")
    axis.set_yticks(range(len(values)), list(values))
    axis.invert_yaxis()
    axis.set_xlabel(f"{xlabel} (logarithmic)")
    show(figure, alt=f"{xlabel}: " + "; ".join(f"{name} {_number(value)}" for name, value in values.items()) + ".")


def _number(value: float) -> str:
    """Two digits of a small number, all of a large one."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def training(runs: Mapping[str, Sequence[Step]], before: float) -> None:
    """The losses of several runs side by side, on one scale from 0: dots for training, squares for validation.

    ``before`` is the validation loss of the model that all of them began with, nats per token.

    Raises
    ------
    ValueError
        for no run, or one without a step.
    """
    if not runs or not all(runs.values()):
        raise ValueError("There is nothing to draw: each run needs one step or more.")
    figure, axes = plt.subplots(1, len(runs), figsize=(3 * len(runs), 3.2), sharey=True, squeeze=False)
    for axis, (name, log) in zip(axes[0], runs.items()):
        looks = [(0, before)] + [(s.step + 1, s.validation) for s in log if s.validation is not None]
        axis.plot([s.step + 1 for s in log], [s.loss for s in log], "o", ms=4, color=ACCENT, label="training")
        axis.plot(*zip(*looks), "s-", color=DARK, label="validation")
        axis.set(title=name, xlabel="step")
    axes[0][0].set(ylabel="loss, nats per token", ylim=(0, None))
    axes[0][0].legend()
    said = [
        f"{name}: training {log[0].loss:.2f} to {log[-1].loss:.2f}, validation {before:.2f}"
        + "".join(f" to {s.validation:.2f}" for s in log[-1:] if s.validation is not None)
        for name, log in runs.items()
    ]
    show(figure, alt=f"Training and validation loss. {'; '.join(said)}.")


def grid_lines(grid: Mapping, temperatures: Sequence[float], top_ps: Sequence[float]) -> None:
    """One panel per measure, temperature to the right, one line per top-p, with its intervals.

    ``grid[(temperature, top_p)]`` maps a measure's name to an :class:`Interval`.
    """
    names = list(grid[temperatures[0], top_ps[0]])
    figure, axes = plt.subplots(1, len(names), figsize=(3.2 * len(names), 3.2), squeeze=False)
    styles = [(ACCENT, "s--"), (DARK, "o-"), ("grey", "^:")]
    width = 0.03 * (max(temperatures) - min(temperatures))  # side by side, so that no bar is hidden
    for axis, name in zip(axes[0], names):
        for n, ((colour, style), p) in enumerate(zip(styles, top_ps)):
            found = [grid[t, p][name] for t in temperatures]
            bars = [[f.mean - f.low for f in found], [f.high - f.mean for f in found]]
            axis.errorbar(
                [t + (n - (len(top_ps) - 1) / 2) * width for t in temperatures],
                [f.mean for f in found], bars, fmt=style, color=colour, capsize=3, label=f"top-p {p}",
            )  # fmt: skip
        axis.set_xlabel("temperature")
        axis.set_ylabel(name)
        axis.set_xticks(temperatures)
    axes[0][0].legend()
    ends = [
        f"{name} from {grid[temperatures[0], p][name].mean:.2f} to {grid[temperatures[-1], p][name].mean:.2f} (top-p {p})"
        for name in names for p in top_ps
    ]  # fmt: skip
    span = f"temperature {temperatures[0]} to {temperatures[-1]}"
    show(figure, alt=f"Lines with intervals over {span}: {'; '.join(ends)}.")
