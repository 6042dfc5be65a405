"""The pictures of the last two notebooks: scales of numbers, caches, drafts, requests in slots, an application.

The drawing code would bury the few lines that are taught, so it is here. What is drawn comes from the
caller; nothing here computes what the notebook teaches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
from torch import Tensor

from .diagrams import KINDS
from .plots import DARK, GOLD, PALE, diagram, show, tokens
from .style import SMALLEST


def scales(x: Tensor, by_tensor: Tensor, by_token: Tensor, weight: Tensor) -> None:
    """Numbers of some tokens and of some rows of weights, coloured by the scale that each one shares.

    ``x`` [tokens, features] and its whole numbers under one scale for all and under one per token;
    ``weight`` [rows, columns], whose rows have one scale each.
    """
    names = ["scale 1", "scale 2", "scale 3"]

    def row(matrix: Tensor, kinds: Sequence[str], form: str) -> list[tuple[str, str]]:
        cells: list[tuple[str, str]] = []
        for line, kind in zip(matrix.tolist(), kinds):
            cells += [("", "")] * bool(cells) + [(format(round(value, 4) + 0.0, form), kind) for value in line]
        return cells

    tokens(
        {
            "activations": row(x, [""] * len(x), "g"), "one scale per tensor": row(by_tensor, names[:1] * len(x), ".0f"),
            "one scale per token": row(by_token, names, ".0f"), "weights, one per row": row(weight, names, "g"),
        },
        dict(zip(names, (PALE, GOLD, DARK))),
        alt=f"Activations of {len(x)} tokens. Under one scale per tensor their whole numbers are {by_tensor.int().tolist()}, "
        f"all in one colour; under one scale per token they are {by_token.int().tolist()}, one colour per token. "
        "A matrix of weights has one colour per row.",
    )  # fmt: skip


def slots(panels: Mapping[str, tuple[Sequence[tuple[int, int]], Sequence[int]]]) -> None:
    """Which request each slot works on at each forward step, one panel under the other.

    ``panels[title]`` is a table of (slot, first step), one pair per request, and the requests' lengths.
    """
    ends = {title: max(first + n for (_, first), n in zip(table, lengths)) for title, (table, lengths) in panels.items()}
    figure, axes = plt.subplots(len(panels), 1, figsize=(10, 1.9 * len(panels)), sharex=True, squeeze=False)
    for axis, (title, (table, lengths)) in zip(axes.flat, panels.items()):
        rows = 1 + max(slot for slot, _ in table)
        axis.barh(range(rows), ends[title], height=0.8, color="white", edgecolor="#888888", hatch="///", linewidth=0)
        for number, ((slot, first), n) in enumerate(zip(table, lengths)):
            fill = KINDS[number % 4]
            axis.barh(slot, n, left=first, height=0.8, color=fill, edgecolor="white")
            dark = fill in (DARK, KINDS[3])
            if n > 0.011 * len(str(number)) * max(ends.values()):  # else the number is wider than its bar
                axis.text(first + n / 2, slot, str(number), ha="center", va="center", fontsize=SMALLEST, color="white" if dark else "black")
        axis.set_yticks(range(rows), [f"slot {slot}" for slot in range(rows)])
        axis.invert_yaxis()
        axis.set_title(f"{title}: {ends[title]} steps", loc="left", fontsize=10)
    axes[-1, 0].set_xlabel("forward step (hatched: idle)")
    shares = {title: 1 - sum(lengths) / (ends[title] * (1 + max(slot for slot, _ in table))) for title, (table, lengths) in panels.items()}
    show(figure, alt="Requests in slots over time. " + "; ".join(f"{title}: {ends[title]} steps, {shares[title]:.0%} of the slots' steps idle" for title in panels) + ".")


def draft(start: Sequence[str], drafted: Sequence[str], wanted: Sequence[str], kept: int) -> None:
    """A draft above the model's own choices: ``kept`` of them are equal from the front, the next one is the model's."""
    refused = ["equal, kept"] * kept + ["different: refused"] + ["after it: refused"] * len(drafted)
    own = ["equal, kept"] * kept + ["the model's own, kept"] + ["after it: refused"] * len(drafted)
    tokens(
        {
            "draft": [*start, *((word, kind) for word, kind in zip(drafted, refused))],
            "the model wants": [*[""] * len(start), *((word, kind) for word, kind in zip(wanted, own))],
        },
        alt=f"After '{' '.join(start)}' the draft is '{' '.join(drafted)}' and the model wants '{' '.join(wanted)}'. "
        f"The first {kept} tokens are equal and kept, with the model's own token after them; the rest is refused.",
    )  # fmt: skip


def cache(words: Sequence[str], new: int) -> None:
    """What is computed for each of the last ``new`` tokens, without and with a key-value cache."""
    rows, first = {}, len(words) - new + 1
    for way in ("without", "with"):
        for n in range(first, len(words) + 1):
            kept = 0 if way == "without" or n == first else n - 1
            kinds = ["from the cache"] * kept + ["computed"] * (n - kept)
            rows[f"token {n + 1}, {way} cache"] = list(zip(words, kinds))
    tokens(
        rows, {"computed": DARK, "from the cache": PALE},
        alt=f"{len(rows)} rows, one per new token. Without a cache every row is computed whole, up to {len(words)} tokens; "
        "with it the rows after the first compute their last token only.",
    )  # fmt: skip


def prefix(shared: Sequence[str], requests: int) -> None:
    """Requests that begin alike: the first one computes the beginning, the others take it from the cache."""
    own = "computed for this request"
    tokens(
        {
            f"request {i}": [(text, "the prefix" if i == 1 else "from the cache") for text in shared]
            + [(text, own) for text in (f"dialogue {i}", "<assistant>")]
            for i in range(1, requests + 1)
        },
        {"the prefix": GOLD, "from the cache": PALE, own: DARK},
        alt=f"{requests} requests. The prefix is computed for the first one only; the others take it from the cache and compute "
        "their own dialogue.",
    )  # fmt: skip


def application() -> None:
    """The parts of an application around a language model."""
    diagram(
        [
            ["user", "interface\na form, an API", "input guard\nallowed? too long?",
             "prompt assembly\ninstructions, history,\ndocuments, tools", "model", "output guard\nharmful? invented?"],
            [None, None, None, "retrieval\nfinds documents", "tools\ncalculator, search", "log\na line per request"],
        ],
        [
            "user -> interface -> input guard -> prompt assembly -> model -> output guard", "retrieval -> prompt assembly",
            ("model -> tools", "call"), ("tools -> model", "result"), "output guard -> log", ("output guard -> interface", "answer", "over"),
        ],
        alt="User, interface, input guard, prompt assembly, model, output guard, and back. Retrieval feeds the prompt, the model "
        "calls tools, a log keeps a line per request.",
    )  # fmt: skip


def injection() -> None:
    """An order that an attacker hides in a document reaches the model by way of retrieval."""
    diagram(
        [
            ["attacker", "document\n…, and an order", "retrieval", "prompt\ninstructions, question,\ndocument", "model", "user"],
            [None, None, None, "user's question", None, None],
        ],
        [
            "attacker -> document -> retrieval -> prompt -> model", "user's question -> prompt",
            ("model -> user", "the attacker's\nanswer"),
        ],
        alt="An attacker writes an order into a document. Retrieval puts it into the prompt, beside the user's question, and the "
        "user gets the attacker's answer.",
    )  # fmt: skip
