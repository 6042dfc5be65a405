"""The course's figures: matplotlib only, axes labelled, readable without colour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import torch

from . import decoding
from .metrics import Interval

DARK, PALE, ACCENT = "#1f4e79", "#b8c9d9", "#d9822b"


def forest(intervals: Mapping[str, Interval], xlabel: str, baseline: str | None = None) -> None:
    """One row a system: a dot at the mean, a bar over the interval; ``baseline`` gets a dashed line."""
    names = list(intervals)[::-1]
    plt.figure(figsize=(7, 0.42 * len(names) + 1))
    for height, name in enumerate(names):
        found = intervals[name]
        plt.plot([found.low, found.high], [height] * 2, color=DARK, linewidth=2)
        plt.plot(found.mean, height, "o", color=DARK)
        plt.annotate(f"{found.mean:.2f}", (found.high, height), (6, -4), textcoords="offset points")
    if baseline:
        plt.axvline(intervals[baseline].mean, color="grey", linestyle="--", linewidth=1)
    plt.yticks(range(len(names)), names)
    plt.xlim(0, 1.15 * max(found.high for found in intervals.values()))
    plt.xlabel(xlabel)
    plt.tight_layout()
    plt.show()


def next_words(
    logits: Sequence[torch.Tensor],
    tokenizer,
    titles: Sequence[str],
    top_p: float = 1.0,
    show: int = 12,
) -> None:
    """Bar charts of the likeliest next words, side by side on one scale.

    ``logits`` holds one vector [vocabulary] a chart. With ``top_p`` below 1 the words it drops are
    pale, and the title counts the kept ones.
    """
    figure, axes = plt.subplots(
        1, len(logits), figsize=(4.6 * len(logits), 3.4), sharey=True, squeeze=False
    )
    for axis, row, title in zip(axes[0], logits, titles):
        probabilities, ids = row.softmax(-1).topk(show)
        kept = decoding.top_p(row, top_p).isfinite()
        colours = [DARK if keep else PALE for keep in kept[ids].tolist()]
        axis.bar(range(show), probabilities.tolist(), color=colours)
        labels = [tokenizer.decode([id]).strip() or "␣" for id in ids.tolist()]
        axis.set_xticks(range(show), labels, rotation=60, ha="right")
        axis.set_title(
            title + (f"\n{int(kept.sum())} words kept at p = {top_p}" if top_p < 1 else ""),
            fontsize=10,
        )
    axes[0][0].set_ylabel("probability")
    figure.supxlabel(f"the {show} likeliest next words", fontsize=10)
    figure.tight_layout()
    plt.show()


def grid_lines(grid: Mapping, temperatures: Sequence[float], top_ps: Sequence[float]) -> None:
    """One panel a measure, temperature to the right, one line a top-p.

    ``grid[(temperature, top_p)]`` maps a measure's name to a number or an :class:`Interval`.
    """
    names = list(grid[temperatures[0], top_ps[0]])
    figure, axes = plt.subplots(1, len(names), figsize=(3.2 * len(names), 3.2), squeeze=False)
    styles = [(ACCENT, "s--"), (DARK, "o-"), ("grey", "^:")]
    for axis, name in zip(axes[0], names):
        for (colour, style), p in zip(styles, top_ps):
            found = [grid[t, p][name] for t in temperatures]
            if isinstance(found[0], Interval):
                bars = [[f.mean - f.low for f in found], [f.high - f.mean for f in found]]
                means = [f.mean for f in found]
                axis.errorbar(
                    temperatures,
                    means,
                    bars,
                    fmt=style,
                    color=colour,
                    capsize=3,
                    label=f"top-p {p}",
                )
            else:
                axis.plot(temperatures, found, style, color=colour, label=f"top-p {p}")
        axis.set_xlabel("temperature")
        axis.set_title(name, fontsize=10)
    axes[0][0].legend(fontsize=9)
    figure.tight_layout()
    plt.show()


def live(title: str):
    """A callback for training: one line that is rewritten in place, and stays in the saved page."""
    from IPython.display import display

    line = None

    def show(step, steps: int) -> None:
        nonlocal line
        done = step.step + 1
        left = step.seconds / done * (steps - done)
        text = f"{title}: step {done} of {steps}, loss {step.loss:.2f}, {step.seconds:.0f} s, {left:.0f} s left"
        if line is None:
            line = display({"text/plain": text}, raw=True, display_id=True)
        else:
            line.update({"text/plain": text}, raw=True)

    return show
