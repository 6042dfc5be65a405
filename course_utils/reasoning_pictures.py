"""Drawings and figures of *Reasoning with verifiable rewards*."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np

from . import metrics, plots

_WAYS = {
    "at once\n85": None, "chain of thought\n7 · 12 = 84. The answer is 84.": "read the end",
    "program-aided\n7 * 12": "calculator",
}  # fmt: skip
THREE_WAYS = {
    "rows": [["a sum in words", "model", way, after, "answer"] for way, after in _WAYS.items()],
    "arrows": [
        "a sum in words -> model", "model -> at once -> answer",
        "model -> chain of thought -> read the end -> answer",
        "model -> program-aided -> calculator -> answer",
    ],
    "colours": {"calculator": plots.PALE},
    "alt": "Three ways from a sum in words to an answer. At once: the model writes a number. Chain of thought: it "
           "writes steps, whose end is read. Program-aided: it writes 7 * 12, and a calculator computes it.",
}  # fmt: skip

FOUR_SAMPLES = {
    "rows": {
        "four samples": [("56 - 7", "wrong"), ("56 / 7", "right"), ("56 * 7", "wrong"), ("7", "wrong")],
        "a draw of two": [("56 - 7", "wrong"), ("56 / 7", "right")],
        "another draw": [("56 * 7", "wrong"), ("7", "wrong")],
    },
    "alt": "Four samples, the second of which is right. One draw of two holds it, another does not.",
}

_VOTES = (("56 / 7", "8"), ("56 - 7", "49"), ("56 ÷ 7", "8 #2"), ("7 / 7", "1"))
VOTE = {
    "rows": [
        ["question", "model", f"sample {n}\n{text}", value, "vote\n8: twice\n49, 1: once", "8 #3"]
        for n, (text, value) in enumerate(_VOTES, 1)
    ],
    "arrows": [
        "question -> model", *[f"model -> sample {n} -> {value} -> vote" for n, (_, value) in enumerate(_VOTES, 1)],
        "vote -> 8 #3",
    ],
    "alt": "One question, four sampled expressions, their values 8, 49, 8 and 1, and the vote for 8.",
}  # fmt: skip

_GROUP = (("5 * 58 + 13", 1, "+0.87"), ("58 * 13", 0, "−0.87"), ("5 * 58", 0, "−0.87 #2"), ("13 + 58 * 5", 1, "+0.87 #2"))
GROUP = {
    "rows": [
        ["problem", "policy", text, f"rule: {mark} #{n}", "group\nmean, spread", gain, "update"]
        for n, (text, mark, gain) in enumerate(_GROUP)
    ],
    "arrows": [
        "problem -> policy",
        *[f"policy -> {text} -> rule: {mark} #{n} -> group -> {gain} -> update" for n, (text, mark, gain) in enumerate(_GROUP)],
    ],
    "alt": "One problem, four sampled texts, the rule's marks 1, 0, 0, 1, the group's mean and spread, and the "
           "advantages: above 0 for the right texts, below 0 for the wrong ones. They make the update.",
}  # fmt: skip

CIRCLE = {
    "rows": [["problems", "model", "many texts", "rule"], [None, "imitate", None, "the right ones"]],
    "arrows": ["problems -> model -> many texts -> rule -> the right ones -> imitate -> model"],
    "alt": "A circle: problems go to the model, it writes many texts, the rule keeps the right ones, the model "
           "imitates them, and begins again.",
}  # fmt: skip


def samples(curves: Mapping[str, Mapping[int, Sequence[float]]], greedy: float) -> None:
    """Share of problems right over the number of samples, with intervals over problems.

    ``curves[name][k]`` holds one number per problem.
    """
    figure, axis = plt.subplots(figsize=(7, 3.4))
    said = []
    for shift, (name, found), style in zip((0.97, 1.03), curves.items(), ("o-", "s--")):
        spans = {k: metrics.interval(values, unit="problem") for k, values in found.items()}
        means = [s.mean for s in spans.values()]
        errors = [[s.mean - s.low for s in spans.values()], [s.high - s.mean for s in spans.values()]]
        axis.errorbar([k * shift for k in spans], means, errors, fmt=style, capsize=3, label=name)
        said.append(f"{name} goes from {means[0]:.2f} to {means[-1]:.2f}")
    axis.axhline(greedy, color="grey", linestyle=":", label="greedy, one text")
    axis.set(xscale="log", xlabel="samples k", ylabel="share of problems right", ylim=(0, 1.02))
    axis.set_xticks(list(found), list(found))
    axis.minorticks_off()
    axis.legend(loc="upper left")
    plots.show(figure, alt=f"Over k from 1 to {max(found)}: {'; '.join(said)}. Greedy is {greedy:.2f}.")


def teaching_groups(sizes: Sequence[int] = (4, 8, 16)) -> None:
    """How many groups hold both rewards, over the chance that a text is right."""
    p = np.linspace(0, 1, 101)
    figure, axis = plt.subplots(figsize=(6, 3))
    for size, style in zip(sizes, (":", "--", "-")):
        axis.plot(p, 1 - p**size - (1 - p) ** size, style, label=f"groups of {size}")
    axis.set(xlabel="chance p that a text is right", ylabel="share of groups that teach")
    axis.legend()
    plots.show(
        figure, alt="The share of groups with both rewards is 0 at p = 0 and at p = 1 and near 1 between; larger "
        "groups reach further to both ends.",
    )  # fmt: skip


def practice(history: Sequence) -> None:
    """Right texts and groups that teach, update by update; ``history`` holds rewards [problems, group]."""
    right = [rewards.mean().item() for rewards in history]
    teach = [(rewards != rewards[:, :1]).any(1).float().mean().item() for rewards in history]
    figure, axis = plt.subplots(figsize=(6.5, 3))
    axis.plot(right, "o-", label="texts that are right")
    axis.plot(teach, "s:", color="grey", label="groups that teach")
    axis.set(xlabel="update", ylabel="share", ylim=(0, 1.05))
    axis.legend(loc="center left", bbox_to_anchor=(1.02, 0.5))
    plots.show(
        figure, alt=f"By update: the share of right texts goes from {right[0]:.2f} to {right[-1]:.2f}, that of groups "
        f"with both rewards from {teach[0]:.2f} to {teach[-1]:.2f}.",
    )  # fmt: skip


def seeds(before: Mapping[str, Sequence[float]], after: Mapping[str, Sequence[float]], plain: Mapping[str, float]) -> None:
    """A line per seed from one share to the other, one panel per group of kinds."""
    figure, axes = plt.subplots(1, len(before), figsize=(8, 3.2), sharey=True)
    for axis, group in zip(axes, before):
        for seed, ends in enumerate(zip(before[group], after[group])):
            axis.plot(ends, marker="o", linestyle=plots.DASHES[seed], label=f"seed {seed}")
        axis.axhline(plain[group], color="grey", linestyle=":", linewidth=1, label="plain, 4 examples")
        axis.set(title=f"{group} kinds", xlim=(-0.2, 1.2), ylim=(0, 1))
        axis.set_xticks((0, 1), ("after SFT", "after GRPO"))
    axes[0].set(ylabel="share of problems right")
    axes[-1].legend(fontsize=9, loc="center left", bbox_to_anchor=(1.02, 0.5))
    said = "; ".join(f"{g}: from {min(before[g]):.2f} … {max(before[g]):.2f} to {min(after[g]):.2f} … {max(after[g]):.2f}" for g in before)
    plots.show(figure, alt=f"A line per seed from SFT to GRPO. {said}.")


def ways(found: Mapping[str, Mapping[str, Sequence[float]]]) -> None:
    """``found[way][group]`` holds the share right of each seed: a dot per seed, a bar at their mean."""
    groups = list(next(iter(found.values())))
    figure, axes = plt.subplots(1, len(groups), figsize=(8, 0.62 * len(found) + 1), sharey=True)
    figure.get_layout_engine().set(wspace=0.08)
    for axis, group in zip(axes, groups):
        for row, shares in enumerate(found.values()):
            heights = row + np.linspace(-0.22, 0.22, len(shares[group]))
            axis.plot(shares[group], heights, "o", color=plots.ACCENT, markersize=5, alpha=0.8)
            mean = np.mean(shares[group])
            axis.plot([mean, mean], [row - 0.34, row + 0.34], color=plots.DARK, linewidth=2.5)
            axis.annotate(f"{mean:.2f}", (mean, row - 0.36), (0, 1), textcoords="offset points", ha="center", va="bottom")
        axis.set(title=f"{group} kinds", xlabel="share of problems right", xlim=(0, 1.05), ylim=(len(found) - 0.4, -0.85))
    axes[0].set_yticks(range(len(found)), list(found))
    said = "; ".join(f"{way}, {g} kinds: {np.mean(x[g]):.2f}, from {min(x[g]):.2f} to {max(x[g]):.2f}" for way, x in found.items() for g in groups)
    plots.show(figure, alt=f"A dot per seed and a bar at the mean. {said}.")
