"""The drawings of *Compute and memory*: what lies where, one function for each picture.

The numbers come from :mod:`memory` or from the notebook's own run; nothing is taught in here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt

from . import memory, plots

STAGES = ("DDP", "ZeRO-1", "ZeRO-2", "ZeRO-3")


def training(parts: Mapping[str, float]) -> None:
    """A model in use beside the same model in training; each block is 1 GB. ``parts``: bytes by name."""
    pieces = {name: [1] * round(size / memory.GB) for name, size in parts.items()}
    use, train = len(pieces["weights"]), sum(map(len, pieces.values()))
    plots.blocks(
        {"to use it": {f"{use} GB": {"weights": pieces["weights"]}}, "to train it": {f"{train} GB": pieces}},
        alt=f"Blocks of 1 GB. To use the model: {use}, all weights. To train it: "
            f"{', '.join(f'{len(p)} of {name}' for name, p in pieces.items())}.",
    )  # fmt: skip


def stacked(bars: Mapping[str, Mapping[str, float]], xlabel: str) -> None:
    """Horizontal bars of parts, the first bar on top. ``bars``: bar's name → part's name → GB."""
    parts = list(dict.fromkeys(part for bar in bars.values() for part in bar))
    looks = dict(zip(parts, zip((*plots.PALETTE, "lightgrey"), ("", "//", "..", "xx", "\\\\", ""))))
    figure, axis = plt.subplots(figsize=(8, 0.45 * len(bars) + 1))
    named = set()
    for height, bar in enumerate(bars.values()):
        left = 0.0
        for part, size in bar.items():
            colour, hatch = looks[part]
            label = None if part in named else part
            axis.barh(height, size, left=left, color=colour, hatch=hatch, edgecolor="black", label=label)
            named.add(part)
            left += size
        axis.annotate(f"{left:.2f}", (left, height), (5, 0), textcoords="offset points", va="center")
    axis.set_yticks(range(len(bars)), list(bars))
    axis.set(xlabel=xlabel, ylim=(len(bars) - 0.5, -0.5))
    axis.margins(x=0.08)
    figure.legend(ncols=len(parts), loc="outside upper center")
    sums = "; ".join(f"{name} {sum(bar.values()):.2f}" for name, bar in bars.items())
    plots.show(figure, alt=f"Bars of parts, {xlabel}: {sums}.")


def bits(number: float, formats: Sequence[memory.Format]) -> None:
    """The bits of a positive number in each format, and of its nearest whole number in INT8."""
    kinds = ("sign", "exponent (the power of two)", "mantissa (the fraction)")
    rows = {form.name: list(zip(memory.bits_of(number, form), kinds)) for form in formats}
    rows["INT8"] = [("0", kinds[0]), "", (format(round(number), "07b"), "whole number")]
    widths = "; ".join(f"{f.name} has {f.exponent} bits of exponent and {f.mantissa} of mantissa" for f in formats)
    plots.tokens(rows, alt=f"The bits of {number:.5f}: {widths}; INT8 has a sign and 7 bits of the number {round(number)}.")


def ranges(formats: Sequence[memory.Format]) -> None:
    """The range of full precision of each format as a bar, with its step at 1."""
    figure, axis = plt.subplots(figsize=(8.5, 3))
    for height, form in enumerate(formats):
        low, high = math.log10(form.smallest), math.log10(form.largest)
        axis.plot([low, high], [height] * 2, linewidth=10, color=plots.DARK, solid_capstyle="butt")
        axis.annotate(f"step {100 * form.step:.3g} %", (44, height), va="center", annotation_clip=False)
    last = len(formats)
    axis.plot([0, math.log10(127)], [last] * 2, linewidth=10, color=plots.ACCENT, solid_capstyle="butt")
    axis.annotate("equal steps of 1", (44, last), va="center", annotation_clip=False)
    axis.set_yticks(range(last + 1), [*(form.name for form in formats), "INT8"])
    axis.set_xticks(range(-40, 41, 10), [f"$10^{{{power}}}$" for power in range(-40, 41, 10)])
    axis.set(xlim=(-42, 42), ylim=(last + 0.6, -0.6), xlabel="positive numbers, at full precision")
    spans = "; ".join(f"{f.name} from {f.smallest:.0e} to {f.largest:.0e}" for f in formats)
    plots.show(figure, alt=f"Bars of the range of each format: {spans}. INT8 holds 1 to 127.")


def recipes(ways: Mapping[str, Mapping[str, int]]) -> None:
    """What one weight takes in training; each block is a byte. ``ways``: name → part → bytes."""
    plots.blocks(
        {name: {"one weight": {part: [1] * size for part, size in way.items()}} for name, way in ways.items()},
        alt="Blocks of one byte for one weight in training. " + " ".join(
            f"{name[0].upper()}{name[1:]}: {', '.join(f'{size} of {part}' for part, size in way.items())}, together {sum(way.values())}."
            for name, way in ways.items()),
    )  # fmt: skip


def data_parallel(gpus: int = 4) -> None:
    """DDP: rows divided, gradients averaged, the same step everywhere."""
    names = [f"GPU {n}" for n in range(gpus)]
    batch, mean, step = "a batch of rows", "all-reduce", "the same step on every GPU"
    plots.diagram(
        [[batch] * gpus,
         [f"{name}\nall weights,\n1/{gpus} of the rows" for name in names],
         [f"{mean}\nthe mean of the {gpus} gradients"] * gpus,
         [step] * gpus],
        [f"{batch} -> {name} -> {mean}" for name in names] + [f"{mean} -> {step}"],
        alt=f"A batch is divided among {gpus} GPUs that each hold all weights. An all-reduce averages "
            "their gradients, and all take the same step.",
    )  # fmt: skip


def stages(gpus: int = 4) -> None:
    """What each GPU holds with DDP and at the three stages of ZeRO, each part cut into one piece per GPU."""

    def part(gpu: int, divided: bool) -> list[int]:
        return [int(piece == gpu or not divided) for piece in range(gpus)]

    plots.blocks(
        {name: {f"GPU {gpu}": {"weights": part(gpu, stage >= 3), "gradients": part(gpu, stage >= 2),
                               "moments": part(gpu, stage >= 1)} for gpu in range(gpus)}
         for stage, name in enumerate(STAGES)},
        alt=f"What {gpus} GPUs hold. DDP: everything everywhere. ZeRO-1 divides the moments, ZeRO-2 the "
            f"gradients too, ZeRO-3 the weights too: each GPU holds one piece of {gpus}.",
    )  # fmt: skip


def gathering(layers: int = 3) -> None:
    """The weights on two GPUs at ZeRO stage 3: between steps, and while each layer runs."""
    titles = {"between steps": 0, **{f"layer {n} runs": n for n in range(1, layers + 1)}}

    def shards(gpu: int, running: int) -> dict[str, list[int]]:
        own = [int(gpu == 0), int(gpu == 1)]
        return {f"layer {n}": [1, 1] if n == running else own for n in range(1, layers + 1)}

    plots.blocks(
        {title: {f"GPU {gpu}": shards(gpu, n) for gpu in (0, 1)} for title, n in titles.items()},
        alt="Weights on two GPUs, each layer cut into two shards. Between steps each GPU holds one shard of "
            f"each of the {layers} layers. While a layer runs, both hold that layer whole.",
    )  # fmt: skip
