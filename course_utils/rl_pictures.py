"""The pictures of Lab 3: drawings of reinforcement learning's parts, plots of its runs.

The drawing code would bury the few lines that are taught, so it is here. What is drawn comes from the
caller; nothing here computes what the notebook teaches.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch

from .plots import ACCENT, DARK, GOLD, GREEN, PALE, diagram, show, tokens
from .style import PALETTE

# ---------------------------------------------------------------- drawings of mechanisms


def decisions() -> None:
    """An answer as states and actions."""
    states = ["“…Summary:”", "“Ana”", "“Ana returns”", "“Ana returns it.”", "judge"]
    actions = ["Ana", "returns", "it.", "end"]
    diagram(
        [states],
        [(f"{a} -> {b}", action) for a, b, action in zip(states, states[1:], actions)],
        colours={"judge": GOLD},
        alt="Four states, from the prompt to a whole answer. Each arrow is an action, one token that the "
        "policy drew; the last one ends the answer, and the judge gives a number.",
    )


def four_models() -> None:
    """What PPO for language models consists of."""
    diagram(
        [[None, None, None, "reward model\nfrozen", None],
         ["prompt", "policy\ntrained", "answer", "reference\nfrozen", "reward per token"],
         [None, None, None, "value head\ntrained", "advantage"],
         [None, "clipped update"] + ["clipped update"] * 3],
        ["prompt -> policy -> answer -> reference", ("answer -> reward model", "", "bent"),
         ("answer -> value head", "", "bent"), ("reward model -> reward per token", "score", "bent"),
         ("reference -> reward per token", "KL"), ("value head -> advantage", "expected"),
         "reward per token -> advantage -> clipped update", "clipped update -> policy",
         "clipped update -> value head"],
        colours={"policy": GOLD, "value head": GOLD},
        alt="Four models: the policy answers a prompt; a frozen reward model scores the answer, the frozen "
        "reference prices the distance, and the value head says what was expected. The advantage drives a "
        "clipped update of policy and value head.",
    )  # fmt: skip


def one_column_apart() -> None:
    """Which token is predicted at which position."""
    answer = [(token, "answer") for token in ("Ana", "returns", "it.", "<end>")]
    tokens(
        {"the model reads": [("Summary:", "prompt"), *answer[:3]], "it predicts": answer},
        alt="Two rows of tokens. The model reads: Summary, Ana, returns, it. It predicts: Ana, returns, it, "
        "end. The answer's first token is predicted at the prompt's last position.",
    )


def two_ways() -> None:
    """Imitation and reinforcement, one under the other."""
    ways = [
        ["prompt", "a written answer", "push every token up", "policy"],
        ["prompt #2", "the policy's own tries", "judge, less baseline", "push up or down", "policy #2"],
    ]
    diagram(
        ways, [" -> ".join(way) for way in ways],
        colours={"a written answer": GREEN, "the policy's own tries": GOLD},
        alt="Two rows. Imitation: prompt, a written answer, push every token up, policy. Reinforcement: prompt, "
        "the policy's own tries, judge less baseline, push up or down, policy.",
    )  # fmt: skip


# ---------------------------------------------------------------- plots


def bandit_runs(curves: Mapping[str, Sequence[Sequence[float]]], ylabel: str = "probability of the best word") -> None:
    """A panel for each kind of run, a line for each run; how many end above one half."""
    figure, axes = plt.subplots(1, len(curves), figsize=(4 * len(curves), 3), sharey=True, squeeze=False)
    said = []
    for axis, (title, lines) in zip(axes[0], curves.items()):
        for line in lines:
            axis.plot(line, color=DARK, linewidth=0.8)
        axis.set(title=title, xlabel="update", ylim=(-0.03, 1.03))
        said.append(f"{title}: {sum(line[-1] > 0.5 for line in lines)} of {len(lines)} runs end above one half")
    axes[0][0].set_ylabel(ylabel)
    show(figure, alt=f"The {ylabel} over the updates. {'; '.join(said)}.")


def clip(objective: Callable[[torch.Tensor, torch.Tensor, float], torch.Tensor], epsilon: float = 0.2) -> None:
    """The objective of a good and of a bad token against the ratio."""
    plt.figure(figsize=(7, 3.2))
    ratio = torch.linspace(0.4, 1.8, 141)
    for advantage, dash, colour in ((1.0, "-", DARK), (-1.0, "--", ACCENT)):
        curve = objective(ratio, torch.full_like(ratio, advantage), epsilon)
        plt.plot(ratio, curve, dash, color=colour, label=f"A = {advantage:+.0f}")
    plt.axvspan(1 - epsilon, 1 + epsilon, color=PALE, alpha=0.4, label=f"1 ± ε, ε = {epsilon}")
    plt.xlabel("ratio π_new / π_old")
    plt.ylabel("objective of one token")
    plt.legend()
    show(alt=f"""The objective of one token against the ratio. For A = +1 it rises and is flat to the right of
        {1 + epsilon}; for A = −1 it is flat to the left of {1 - epsilon} and then falls.""")


def training(log, toxic) -> None:
    """Four curves over the iterations, each with a dashed line to compare with.

    ``log``: what :func:`course_utils.rl.train` returns; ``toxic``: an interval for each iteration.
    """
    numbers, first = range(1, len(log) + 1), log[0].stats
    figure, axes = plt.subplots(1, 4, figsize=(10.2, 3))
    panels = {"mean reward": ("score", first["score"]), "KL to the reference, nats": ("kl", 0),
              "share toxic (word list)": ("", toxic[0].mean), "share of answers that end": ("ended", 1)}  # fmt: skip
    for axis, (title, (name, reference)) in zip(axes, panels.items()):
        curve = [it.stats[name] for it in log] if name else [found.mean for found in toxic]
        axis.plot(numbers, curve, "o-", color=DARK)
        axis.axhline(reference, color="grey", linestyle="--", linewidth=1)
        axis.set(title=title, xlabel="iteration")
    axes[2].vlines(numbers, [t.low for t in toxic], [t.high for t in toxic], color=DARK)
    axes[2].set_ylim(0, 1)
    axes[3].set_ylim(0, 1.05)
    show(figure, alt=f"""Four curves over {len(log)} iterations: the reward goes from {first["score"]:.2f} to
        {log[-1].stats["score"]:.2f}, the KL from 0 to {log[-1].stats["kl"]:.1f} nats, the share of toxic answers
        from {toxic[0].mean:.2f} to {toxic[-1].mean:.2f}.""")


def rivals(table: Mapping[str, Sequence[Mapping[str, Sequence[float]]]]) -> None:
    """Facts kept against insults, a point per run."""
    plt.figure(figsize=(9, 3.8))
    said = []
    for (name, runs), marker, colour in zip(table.items(), "oXsD^vP*", [*PALETTE, "black", "white", "grey"]):
        insults, facts = ([float(np.mean(run[k])) for run in runs] for k in ("word_list", "facts"))
        plt.plot(insults, facts, marker, color=colour, markeredgecolor="black", markersize=8, label=name)
        said.append(f"{name} {np.mean(insults):.2f} and {np.mean(facts):.2f}")
    plt.xlabel("share of answers with an insult")
    plt.ylabel("share of facts kept")
    plt.xlim(left=0)
    plt.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    show(alt=f"Insults and facts kept, a point per run; means: {'; '.join(said)}.")
