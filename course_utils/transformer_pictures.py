"""The pictures of the notebook that builds a transformer: drawings of its parts, plots of what it does.

The drawing code would bury the few lines that are taught, so it is here. What is drawn comes from the
caller; nothing here computes what the notebook teaches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import torch
from torch import Tensor

from .plots import ACCENT, DARK, DASHES, diagram, show
from .style import MARKERS, PALETTE

# ---------------------------------------------------------------- drawings of mechanisms


def query_key_value(asker: str, weights: Mapping[str, float]) -> None:
    """One word's query meets the keys of all words; the weights mix the values."""
    query, product, result = f"query of '{asker}'", "softmax", f"new vector of '{asker}'"
    values = {word: f"{weight:.2f} × value of '{word}'" for word, weight in weights.items()}
    n = len(weights)
    diagram(
        [[query] * n, [f"key of '{word}'" for word in weights],
         [f"{product}\nthe products become weights"] * n,
         list(values.values()), [f"{result}\nthe sum"] * n],
        [f"{query} -> key of '{word}' -> {product} -> {values[word]} -> {result}" for word in weights],
        alt=f"The query of '{asker}' meets one key per word. Softmax makes weights of the products: "
        f"{', '.join(f'{word} {weight:.2f}' for word, weight in weights.items())}. "
        "The new vector is the sum of the values, each times its weight.",
    )  # fmt: skip


def heads(columns: Mapping[str, str]) -> None:
    """The vectors' columns are divided among the heads, and put side by side again."""
    n, start, end = len(columns), "vectors", "side by side again, times W_o"
    diagram(
        [[f"{start}\nall columns"] * n, [f"{head}\n{part}" for head, part in columns.items()],
         [f"{end}\nall columns"] * n],
        [f"{start} -> {head} -> {end}" for head in columns],
        alt=f"The columns of the vectors go to {n} heads: "
        f"{', '.join(f'{head} gets {part}' for head, part in columns.items())}. "
        "Their results are put side by side again and mixed by W_o.",
    )  # fmt: skip


def block() -> None:
    """One encoder block, from left to right, with the two residual connections."""
    diagram(
        [["x", "norm", "self-attention", "+", "norm #2", "feed-forward", "+ #2", "new x"]],
        ["x -> norm -> self-attention -> + -> norm #2 -> feed-forward -> + #2 -> new x",
         ("x -> +", "residual", "over"), ("+ -> + #2", "residual", "over")],
        alt="A block from left to right: norm, self-attention, plus, norm, feed-forward, plus. Two "
        "arrows, the residual connections, lead around the attention and around the feed-forward network.",
    )  # fmt: skip


def architecture() -> None:
    """Encoder and decoder stacks, and the bridge between them."""
    diagram(
        [[None, "next English word\na probability for each"], [None, "output layer, softmax"],
         [None, "feed-forward #2"], ["feed-forward", "cross-attention"],
         ["self-attention", "masked self-attention"],
         ["embeddings + positions", "embeddings + positions #2"], ["French sentence", "English so far"]],
        ["French sentence -> embeddings + positions -> self-attention -> feed-forward",
         "English so far -> embeddings + positions #2 -> masked self-attention -> cross-attention -> feed-forward #2",
         "feed-forward #2 -> output layer, softmax -> next English word",
         ("feed-forward -> cross-attention", "keys, values")],
        {"encoder, N blocks": ["self-attention", "feed-forward"],
         "decoder, N blocks": ["masked self-attention", "cross-attention", "feed-forward #2"]},
        alt="Two stacks. The French sentence passes embeddings, positions and the encoder's blocks. The "
        "English so far passes those of the decoder, whose cross-attention takes keys and values from the "
        "encoder, up to the output layer.",
    )  # fmt: skip


def unrolled(words: Sequence[str]) -> None:
    """A recurrent network over a few words: one chain of states."""
    steps = range(1, len(words) + 1)
    diagram(
        [[*(f"state {n}" for n in steps), "next word?"], [*words, None]],
        [*((f"state {n} -> state {n + 1}", "U") for n in steps[:-1]), f"state {len(words)} -> next word?",
         *((f"{word} -> state {n}", "W") for n, word in zip(steps, words))],
        alt=f"A recurrent network unrolled over {len(words)} words: each word enters its state through W, "
        "and each state is made from the one before through U.",
    )  # fmt: skip


# ---------------------------------------------------------------- plots of what it does


def embedding_map(vectors: Mapping[str, Tensor]) -> None:
    """Words as points: their vectors seen from the side on which they differ most.

    ``vectors[group]`` maps the group's words to vectors, all of one length. The two axes are the first
    two principal components of the vectors, each scaled to length 1.
    """
    table = torch.stack([vector for group in vectors.values() for vector in group.values()])
    table = table / table.norm(dim=1, keepdim=True)
    table = table - table.mean(0)
    points = table @ torch.linalg.svd(table, full_matrices=False).Vh[:2].T
    figure, axis = plt.subplots(figsize=(8.5, 4.5))
    step = 0.055 * (points[:, 1].max() - points[:, 1].min()).item()
    start = 0
    for (group, members), colour, marker in zip(vectors.items(), PALETTE, MARKERS):
        names, (x, y) = list(members), points[start : start + len(members)].T.tolist()
        axis.scatter(x, y, color=colour, edgecolor="black", linewidth=0.5, marker=marker, label=group)
        for at, n in enumerate(sorted(range(len(members)), key=lambda n: y[n])):  # labels in a column
            height = sum(y) / len(y) + step * (at - (len(members) - 1) / 2)
            axis.annotate(
                names[n], (x[n], y[n]), (max(x) + 0.1, height), fontsize=9, va="center",
                arrowprops={"arrowstyle": "-", "color": "grey", "linewidth": 0.5, "shrinkB": 4},
            )  # fmt: skip
        start += len(members)
    axis.set(xlabel="first direction", ylabel="second direction")
    axis.margins(0.2)
    axis.legend(loc="upper left")
    listed = "; ".join(f"{group}: {', '.join(members)}" for group, members in vectors.items())
    show(figure, alt=f"A map of {len(points)} words, each a point; words of one group lie together. {listed}.")


def senses_by_layer(within: Sequence[float], between: Sequence[float], word: str) -> None:
    """Mean cosine of two vectors of one word, layer by layer: same sense, other sense."""
    figure, axis = plt.subplots(figsize=(6.5, 3))
    axis.plot(within, "o-", color=DARK, label="same sense")
    axis.plot(between, "s--", color=ACCENT, label="other sense")
    axis.set(xlabel="layer (0: the table)", ylabel=f"mean cosine of two '{word}'s")
    axis.legend()
    show(figure, alt=f"Mean cosine of two '{word}'s by layer. Both lines begin at {within[0]:.2f}. In the "
         f"last layer two of one sense have {within[-1]:.2f}, two of different senses {between[-1]:.2f}.")  # fmt: skip


def weight_tables(
    tables: Mapping[str, Tensor],
    queries: Sequence[str],
    keys: Sequence[str],
    xlabel: str = "looked at",
    ylabel: str = "looking",
    numbers: bool = True,
) -> None:
    """Attention weights [queries, keys] as shaded tables side by side, one per title."""
    figure, axes = plt.subplots(
        1, len(tables), figsize=(0.2 + (0.55 if numbers else 0.33) * len(keys) * len(tables) + 1, 0.3 * len(queries) + 1.7),
        sharey=True, squeeze=False,
    )  # fmt: skip
    for axis, (title, weights) in zip(axes[0], tables.items()):
        axis.imshow(weights, vmin=0, vmax=1, aspect="auto")
        axis.set_xticks(range(len(keys)), keys, rotation=40 if numbers else 90,
                        ha="right" if numbers else "center", rotation_mode="anchor" if numbers else "default")  # fmt: skip
        axis.set_yticks(range(len(queries)), queries)
        axis.set(title=title, xlabel=xlabel)
        for row, column in [(r, c) for r in range(len(queries)) for c in range(len(keys)) if numbers]:
            weight = float(weights[row, column])
            axis.text(column, row, f"{weight:.2f}", ha="center", va="center", fontsize=9,
                      color="white" if weight > 0.5 else "black")  # fmt: skip
    axes[0][0].set_ylabel(ylabel)
    said = "; ".join(
        f"{title}: " + ", ".join(f"{q} at {keys[int(k)]}" for q, k in zip(queries, weights.argmax(1)))
        for title, weights in tables.items()
    )
    show(figure, alt=f"Tables of attention weights; the darkest cell of each row is, {said}.")


def position_waves(positions: Tensor, columns: Sequence[int], places: Sequence[int]) -> None:
    """Left, some columns of the position vectors; right, products of some positions with all."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.2))
    for column, style in zip(columns, DASHES):
        left.plot(positions[:, column], linestyle=style, label=f"column {column}")
    left.set(xlabel="position", ylabel="value in the vector", ylim=(-1.1, 1.9))
    left.legend(ncol=2, loc="upper center")
    products = positions @ positions.T
    for place, style in zip(places, DASHES):
        right.plot(products[place], linestyle=style, label=f"position {place}")
    right.set(xlabel="position", ylabel="product of the two vectors", ylim=(None, 1.35 * products.max()))
    right.legend(ncol=len(places), loc="upper center")
    show(figure, alt=f"Left: columns {', '.join(map(str, columns))} of the position vectors are waves, each "
         "slower than the one before. Right: the product of a position's vector with all others peaks at "
         f"that position, with the same shape for {', '.join(map(str, places))}.")  # fmt: skip


def loss_curve(losses: Sequence[float], even: float) -> None:
    """Training loss by step, on a logarithmic axis, and the loss of an even guess."""
    figure, axis = plt.subplots(figsize=(7, 3))
    axis.plot(losses, color=DARK, linewidth=1, label="training loss")
    axis.axhline(even, color=ACCENT, linestyle="--", label="an even guess")
    axis.set(yscale="log", xlabel="training step", ylabel="loss, nats per word")
    axis.legend()
    last = sum(losses[-50:]) / len(losses[-50:])
    show(figure, alt=f"The training loss falls from {losses[0]:.1f} nats to about {last:.3f}; an even guess "
         f"would have {even:.1f}.")  # fmt: skip


def surprise_by_context(surprise: Mapping[int, float]) -> None:
    """Mean surprise of the next word, by the number of tokens that the model may read."""
    figure, axis = plt.subplots(figsize=(6.5, 3))
    lengths = list(surprise)
    axis.plot(lengths, list(surprise.values()), "o-", color=DARK)
    axis.set(xscale="log", xlabel="tokens that SmolLM2 may read", ylabel="surprise, nats", ylim=(0, None))
    axis.set_xticks(lengths, lengths)
    axis.minorticks_off()
    show(figure, alt="Mean surprise of the next word: " +
         ", ".join(f"{value:.1f} nats after {n}" for n, value in surprise.items()) + " tokens.")  # fmt: skip


def recall_by_distance(right: Mapping[str, Mapping[int, float]], chance: float) -> None:
    """Share of right answers by distance, one line per reader, and the line of chance."""
    figure, axis = plt.subplots(figsize=(7.5, 3.4))
    for (name, shares), colour, marker, dash in zip(right.items(), PALETTE, MARKERS, DASHES):
        axis.plot(list(shares), [100 * share for share in shares.values()], color=colour, marker=marker,
                  linestyle=dash, markeredgecolor="black", markeredgewidth=0.4, label=name)  # fmt: skip
    axis.axhline(100 * chance, color="grey", linewidth=1)
    ticks = list(next(iter(right.values())))
    axis.set(xscale="log", xlabel="letters back", ylabel="right, %", ylim=(0, 105))
    axis.set_xticks(ticks, ticks)
    axis.minorticks_off()
    axis.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    said = "; ".join(f"{name} {shares[ticks[0]]:.0%} at {ticks[0]} and {shares[ticks[-1]]:.0%} at {ticks[-1]}"
                     for name, shares in right.items())  # fmt: skip
    show(figure, alt=f"Share of letters recalled, by distance: {said}; chance {chance:.1%}.")
