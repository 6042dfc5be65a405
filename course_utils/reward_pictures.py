"""The pictures of *Reward models*: drawings of judges, plots of their scores.

The drawing code would bury the few lines that are taught, so it is here. What is drawn comes from the
caller; nothing here computes what the notebook teaches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np

from .metrics import interval
from .plots import ACCENT, DARK, PALE, diagram, show, tokens

# ---------------------------------------------------------------- drawings of mechanisms


def pipeline() -> None:
    """From a prompt through people's rankings to a training, and back to the model."""
    diagram(
        [["prompt", "model\nseveral answers", "people\nrank them", "reward model\nlearns the ranking", "training\nLab 3"]],
        ["prompt -> model -> people -> reward model -> training", ("training -> model", "changes the model", "under")],
        alt="A row of boxes: prompt, model, people, reward model, training. An arrow leads back from "
        "training to the model.",
    )


def two_judges() -> None:
    """An encoder that reads the answer, and a decoder that reads prompt and answer."""
    diagram(
        [
            ["summary", "MiniLM\nlooks both ways", "mean over\nall tokens", "linear layer\n384 → 1", "score"],
            ["prompt\n+ answer", "SmolLM2\nlooks back", "vector of the\nlast token", "linear layer #2\n576 → 1", "score #2"],
        ],
        [
            "summary -> MiniLM -> mean over -> linear layer -> score",
            "prompt -> SmolLM2 -> vector of the -> linear layer #2 -> score #2",
        ],
        alt="Two rows of boxes. Above: summary, MiniLM, mean over all tokens, linear layer, score. "
        "Below: prompt and answer, SmolLM2, vector of the last token, linear layer, score.",
    )


def last_tokens(asked: Sequence[str], answer: Sequence[str], kept: int) -> None:
    """A text, and below it the same with the first ``kept`` tokens of the answer, padded."""

    def row(part: Sequence[str]) -> list[tuple[str, str]]:
        written = [(t, "prompt") for t in asked] + [(t, "answer") for t in part]
        return [*written, ("<end>", "the last token")] + [("<pad>", "padding")] * (len(answer) - len(part))

    tokens(
        {"long answer": row(answer), "short answer": row(answer[:kept])},
        {"prompt": PALE, "answer": DARK, "the last token": ACCENT, "padding": "#ffffff"},
        alt="Two rows of tokens: prompt, answer, end. The short one is padded, so that its last token is "
        "not in the last position.",
    )


# ---------------------------------------------------------------- plots


def two_rankings(letters: Sequence[str], people: Mapping[str, Sequence[int]]) -> None:
    """The ranks that two people give, a line per candidate."""
    (one, first), (other, second) = people.items()
    plt.figure(figsize=(5, 2.8))
    for letter, left, right in zip(letters, first, second):
        plt.plot([0, 1], [left, right], "o-", color=DARK)
        plt.annotate(letter, (0, left), (-16, -4), textcoords="offset points")
        plt.annotate(letter, (1, right), (9, -4), textcoords="offset points")
    plt.xticks([0, 1], [one, other])
    plt.axis([-0.25, 1.25, len(letters) + 0.4, 0.6])
    plt.ylabel("rank (1 = best)")
    n = range(len(letters))
    crossed = [
        f"{letters[i]} with {letters[j]}"
        for i in n for j in n[i + 1 :] if (first[i] - first[j]) * (second[i] - second[j]) < 0
    ]  # fmt: skip
    show(
        alt=f"Two columns of ranks, {one}'s and {other}'s, joined by a line per summary. Lines that cross: "
        f"{', '.join(crossed) or 'none'}."
    )


def versions(scores: Mapping[str, Sequence[float]]) -> None:
    """A row of strokes per kind of text, one stroke per text, with a dot at the mean."""
    plt.figure(figsize=(8, 2.2))
    for height, values in enumerate(scores.values()):
        plt.plot(values, [height] * len(values), "|", markersize=16, color=DARK, alpha=0.6)
        plt.plot(np.mean(values), height, "o", color=ACCENT)
    plt.yticks(range(len(scores)), list(scores))
    plt.ylim(-0.5, len(scores) - 0.5)
    plt.xlabel("score of the reward model (only differences count)")
    means = ", ".join(f"{name} {np.mean(values):.1f}" for name, values in scores.items())
    show(alt=f"Rows of strokes, one stroke per test summary, a dot at each mean. Mean score: {means}.")


def reliability(table: Sequence[tuple[float, float, int]]) -> None:
    """How sure a model is against how often it is right; ``table`` has rows (sure, right, n)."""
    bins = [interval([1] * round(y * n) + [0] * (n - round(y * n)), unit="pair") for _, y, n in table]
    bars = [[b.mean - b.low for b in bins], [b.high - b.mean for b in bins]]
    plt.figure(figsize=(4.2, 3.6))
    plt.plot([0.5, 1], [0.5, 1], "--", color="grey")
    plt.errorbar([p for p, _, _ in table], [b.mean for b in bins], bars, fmt="o", color=DARK, capsize=3)
    plt.xlabel("how sure the model is")
    plt.ylabel("share that it gets right")
    said = "; ".join(f"sure {p:.2f} and right {y:.2f}" for p, y, _ in table)
    show(alt=f"A reliability diagram with {len(table)} bins: {said}.")
