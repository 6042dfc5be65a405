"""Adapters and quantised bases: wrong and right answers."""

from fractions import Fraction

import numpy as np
import torch

from course_utils.exercises import adapters

# ------------------------------------------------------------ peft.6


def by_blocks(scale_of, round_=torch.round):
    def quantise(W, block):
        parts = W.reshape(len(W), -1, block)
        scale = scale_of(parts)
        return round_(parts / scale[..., None]).to(torch.int8).reshape(W.shape), scale

    return quantise


def absmax(parts):
    return parts.abs().amax(2).clamp(min=1e-9) / 127


def one_a_row(W, block):
    scale = (W.abs().amax(1, keepdim=True) / 127).clamp(min=1e-12)
    return (W / scale).round().to(torch.int8), scale.expand(len(W), W.shape[1] // block)


def one_for_all(W, block):
    scale = W.abs().max().clamp(min=1e-12) / 127
    return (W / scale).round().to(torch.int8), scale.expand(len(W), W.shape[1] // block)


def quantised_in_numpy(W, block):
    M = np.asarray(W).reshape(len(W), -1, block)
    s = np.maximum(np.abs(M).max(2, keepdims=True) / 127, 1e-8)
    return np.rint(M / s).astype(np.int8).reshape(W.shape), s[..., 0]


def quantised_in_a_loop(W, block):
    integers, scales = torch.zeros(W.shape, dtype=torch.int8), torch.zeros(len(W), W.shape[1] // block)
    for i in range(len(W)):
        for k in range(W.shape[1] // block):
            part = W[i, k * block : (k + 1) * block]
            largest = part.abs().max().item()
            scales[i, k] = largest / 127 if largest else 1.0
            integers[i, k * block : (k + 1) * block] = (part / scales[i, k]).round()
    return integers, scales


# ------------------------------------------------------------ peft.7 to peft.9


def spoken(**words):
    def choose(task):
        found = adapters.choose(task)
        return words.get(found, found)

    return choose


def strict(task):
    room = 0.75 * task["gpu_bytes"] / task["parameters"]
    if task["adapters"] == 1 and room > 16:
        return "full"
    if room > 2:
        return "LoRA"
    if room > 4.25 / 8:
        return "QLoRA"
    raise ValueError


def half_a_byte(task):
    try:
        return adapters.choose(task)
    except ValueError:
        if 0.75 * task["gpu_bytes"] / task["parameters"] >= 0.5:
            return "QLoRA"
        raise


def never_refuses(task):
    try:
        return adapters.choose(task)
    except ValueError:
        return "QLoRA"


def with_room(factor):
    return lambda task: adapters.choose({**task, "gpu_bytes": task["gpu_bytes"] * factor})


def by_a_table(task):
    room = task["gpu_bytes"] * 3 / 4 / task["parameters"]
    bounds = [(16, "full")] * (task["adapters"] == 1) + [(2, "LoRA"), (0.53125, "QLoRA")]
    return next(name for least, name in bounds if room >= least) if room >= 0.53125 else int("none")


def mixed_linearly(A1, B1, A2, B2, share):
    s, t = share**0.5, (1 - share) ** 0.5
    return s * A1 + t * A2, s * B1 + t * B2


def product_by_svd(A1, B1, A2, B2, share):
    U, S, V = torch.linalg.svd(share * B1 @ A1 + (1 - share) * B2 @ A2, full_matrices=False)
    r = min(len(A1) + len(A2), len(S))
    pad = len(A1) + len(A2) - r
    return torch.nn.functional.pad(V[:r], (0, 0, 0, pad)), torch.nn.functional.pad(U[:, :r] * S[:r], (0, pad))


def stacked(a, b):
    """Both stacked, with ``a(share)`` on the first and ``b(share)`` on the second, in A and in B."""
    return lambda A1, B1, A2, B2, s: (torch.cat([a(s)[0] * A1, b(s)[0] * A2]), torch.cat([a(s)[1] * B1, b(s)[1] * B2], 1))


def counted(**other):
    def trained_weights(layers, width, key_width, hidden, tokens):
        names = ("norms", "prompt", "prefix", "factors")
        found = dict(zip(names, adapters.trained_weights(layers, width, key_width, hidden, tokens)))
        return tuple({**found, **{k: f(layers, width, key_width, hidden, tokens) for k, f in other.items()}}.values())

    return trained_weights


def counted_bits(bits, block, scale_bits, group=None, outer_bits=32):
    """For a piece of weights: all bits, divided by the weights."""
    scales = 7 * (group or 1)
    total = scales * block * bits + scales * scale_bits + (7 * outer_bits if group else 0)
    return np.float64(total) / (scales * block)


def some_bits(plain=lambda b, n, s: b + s / n, outer=lambda n, g, o: o / (n * g)):
    return lambda b, n, s, g=None, o=32: plain(b, n, s) + (outer(n, g, o) if g else 0)


PLANTED = {
    "adapters.1": [
        (lambda b, n, s, g=None, o=32: b, "scales are not counted"),
        (lambda *given: counted_bits(*given) / 8, "in bytes"),
        (some_bits(lambda b, n, s: b + s), "share one"),
        (some_bits(lambda b, n, s: b - s / n), "add it"),
        (some_bits(outer=lambda n, g, o: 0), "outer scales are not counted"),
        (some_bits(outer=lambda n, g, o: o / g), "shared by `group` scales"),
        (some_bits(outer=lambda n, g, o: 32 / (n * g)), "only its default"),
        (lambda b, n, s, g=None, o=32: b + (s / n if g is None else o / (n * g)), "come on top"),
        (lambda b, n, s, g=None, o=32: round(counted_bits(b, n, s, g, o)), "should give"),
    ],
    "peft.6": [
        (lambda W, block: tuple(-part for part in adapters.quantise(W, block)), "should give"),
        (lambda W, block: (lambda q, s: (q, s + 1e-4))(*adapters.quantise(W, block)), "should give"),
        (one_for_all, "the whole matrix"),
        (lambda W, block: adapters.quantise(W, block)[::-1], "exchanged"),
        (one_a_row, "the whole row"),
        (by_blocks(absmax, torch.trunc), "fraction off"),
        (by_blocks(lambda p: p.amax(2).clamp(min=1e-9) / 127, lambda q: q.round().clamp(-128, 127)), "*absolute*"),
        (by_blocks(lambda p: p.amax(2).clamp(min=1e-9) / 127), "*absolute*"),
        (by_blocks(lambda p: p.abs().amax(2).clamp(min=1e-2) / 127), "small blocks"),
        (by_blocks(lambda p: p.abs().amax(2).clamp(min=1e-9) / 128, lambda q: q.round().to(torch.int32)), "ends at 127"),
        (by_blocks(lambda p: p.abs().amax(2) / 127), "0 / 0"),
        (by_blocks(lambda p: p.abs().amax(2).clamp(min=1e-9)), "not divided by 127"),
        (lambda W, block: (lambda q, s: (q, s * 127))(*adapters.quantise(W, block)), "not divided by 127"),
        (lambda W, block: (adapters.quantise(W, block)[0].float(), adapters.quantise(W, block)[1]), "torch.int8"),
        (lambda W, block: (adapters.quantise(W, block)[0], adapters.quantise(W, W.shape[1])[1]), "for each block"),
        (by_blocks(lambda p: p.abs().amax(2).clamp(min=1e-9) / 126), "should give"),
        (by_blocks(lambda p: p.abs().amax(2) / 127 + 1e-8), "You *add* a small number"),
        (by_blocks(lambda p: (p.abs().amax(2) + 1e-6) / 127), "You *add* a small number"),
        (by_blocks(lambda p: (p.abs().amax(2) / 127).clamp(min=1e-5)), "small blocks"),
        (by_blocks(lambda p: (p.amax(2) - p.amin(2)).clamp(min=1e-9) / 255), "should give"),
        (lambda W, block: (lambda q, s: (q, s[..., None]))(*adapters.quantise(W, block)), "for each block of a row"),
        (by_blocks(lambda p: p.abs().mean(2).clamp(min=1e-9) / 32, lambda q: q.round().clamp(-127, 127)), "should give"),
    ],
    "peft.7": [
        (lambda t: "full" if t["gpu_bytes"] >= 16 * t["parameters"] else "LoRA", "should give"),
        (with_room(4 / 3), "quarter of the memory"),
        (lambda t: adapters.choose({**t, "adapters": 1}), "share one base"),
        (lambda t: adapters.choose({**t, "gpu_bytes": max(t["gpu_bytes"], t["parameters"])}), "names a method"),
        (half_a_byte, "has a scale besides"),
        (lambda t: "QLoRA" if 4.25 / 8 <= 0.75 * t["gpu_bytes"] / t["parameters"] < 4.25 and t["adapters"] == 1 else adapters.choose(t), "should give"),
        (strict, "exactly the bound"),
        (never_refuses, "names a method"),
        (lambda t: "LoRA" if t["adapters"] > 1 else adapters.choose(t), "their base has to fit"),
        (lambda t: "full" if 0.75 * t["gpu_bytes"] / t["parameters"] >= 16 * t["adapters"] else adapters.choose(t), "one variant only"),
        (lambda t: adapters.choose({**t, "gpu_bytes": t["gpu_bytes"] / t["adapters"]}), "they share one base"),
        (spoken(LoRA="lora", QLoRA="qlora"), "spelled"),
        (lambda t: adapters.choose({**t, "gpu_bytes": t["gpu_bytes"] * 16 / 15 if 15 <= 0.75 * t["gpu_bytes"] / t["parameters"] < 16 else t["gpu_bytes"]}), "just below 16"),
    ],
    "peft.8": [
        (mixed_linearly, "never trained together"),
        (lambda A1, B1, A2, B2, s: (s * A1 + (1 - s) * A2, B1 + B2), "never trained together"),
        (stacked(lambda s: (s, s), lambda s: (1 - s, 1 - s)), "counts twice"),
        (stacked(lambda s: (1, 1), lambda s: (1, 1)), "not applied"),
        (stacked(lambda s: (1, 0.5), lambda s: (1, 0.5)), "whatever `share` says"),
        (lambda A1, B1, A2, B2, s: (torch.cat([A1, A2]), torch.cat([(1 - s) * B2, s * B1], 1)), "one order"),
        (stacked(lambda s: (1, 1 - s), lambda s: (1, s)), "exchanged"),
        (stacked(lambda s: (s**0.5, 1), lambda s: ((1 - s) ** 0.5, 1)), "root"),
        (lambda A1, B1, A2, B2, s: (torch.cat([A1, A2], 1), torch.cat([s * B1, (1 - s) * B2])), "with one r"),
        (lambda A1, B1, A2, B2, s: (torch.eye(A1.shape[1]), s * B1 @ A1 + (1 - s) * B2 @ A2), "make one of rank"),
    ],
    "peft.9": [
        (counted(norms=lambda n, d, k, h, t: 2 * n * d), "Norms: the norm at the end"),
        (counted(prompt=lambda n, d, k, h, t: n * t * d), "Prompt tuning: the vectors"),
        (counted(prefix=lambda n, d, k, h, t: n * t * k), "keys *and* values"),
        (counted(prefix=lambda n, d, k, h, t: 2 * n * t * d), "`key_width` wide"),
        (counted(factors=lambda n, d, k, h, t: n * (k + h)), "IA³: keys *and* values"),
        (counted(factors=lambda n, d, k, h, t: n * (2 * k + d)), "`hidden` wide"),
        (lambda n, d, k, h, t: sum(adapters.trained_weights(n, d, k, h, t)), "four whole numbers"),
    ],
}  # fmt: skip

RIGHT = {
    "adapters.1": [counted_bits, some_bits(), lambda b, n, s, g=None, o=32: Fraction(b) + Fraction(s, n) + (Fraction(o, g * n) if g else 0)],
    "peft.6": [quantised_in_numpy, quantised_in_a_loop, by_blocks(absmax), by_blocks(lambda p: (p.abs().amax(2) / 127).clamp(min=7.8e-8)), by_blocks(lambda p: (p.abs().amax(2) + 1e-8) / 127), lambda W, block: list(adapters.quantise(W, block))],
    "peft.7": [by_a_table, lambda t: np.str_(adapters.choose(t))],
    "peft.8": [
        product_by_svd,
        stacked(lambda s: (s, 1), lambda s: (1 - s, 1)),
        stacked(lambda s: (s**0.5, s**0.5), lambda s: ((1 - s) ** 0.5, (1 - s) ** 0.5)),
        lambda A1, B1, A2, B2, s: (np.vstack([A2, A1]), np.hstack([(1 - s) * B2, s * B1])),
    ],
    "peft.9": [lambda n, d, k, h, t: [d + 2 * n * d, d * t, 2 * k * t * n, k * n + k * n + h * n], lambda *sizes: np.array(adapters.trained_weights(*sizes))],
}  # fmt: skip

EQUIVALENT = {
    "peft.6": {change: "any tiny number keeps 0 / 0 away" for change in ("1e-12 → 1.1e-12", "1e-12 → 9e-13")},
}  # fmt: skip
