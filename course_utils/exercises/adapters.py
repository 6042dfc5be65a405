"""Adapters and quantised bases: reference answers and their tests."""

from __future__ import annotations

import functools

import torch

from . import answers
from .answers import Wrong
from .cases import alike, compare
from .engine import Exercise

# ------------------------------------------------------------ peft.6 quantise


def quantise(W, block):
    parts = W.reshape(W.shape[0], -1, block)
    scale = parts.abs().amax(2).clamp(min=1e-12) / 127
    return (parts / scale[..., None]).round().to(torch.int8).reshape(W.shape), scale


def _as_blocks(W, block, largest=lambda parts: parts.abs().amax(2), levels=127, to_integers=torch.round, least=1e-12, plus=0.0):
    """``quantise`` with another scale or rounding."""
    parts = W.reshape(W.shape[0], -1, block)
    scale = largest(parts).clamp(min=least) / levels + plus
    return to_integers(parts / scale[..., None]).to(torch.int8).reshape(W.shape), scale


def _test_quantise(answer):
    def other(**how):
        return lambda W, block: _as_blocks(W, block, **how)

    def coarser(blocks):
        """One scale where each block should have its own."""

        def quantise_coarsely(W, block):
            scale = blocks(W, block).clamp(min=1e-12) / 127
            integers = W / scale.repeat_interleave(block, 1) if scale.shape[1] > 1 else W / scale
            return integers.round().to(torch.int8), scale.expand(W.shape[0], W.shape[1] // block)

        return quantise_coarsely

    def strided(W, block):
        parts = W.reshape(W.shape[0], block, -1).transpose(1, 2)
        scale = parts.abs().amax(2).clamp(min=1e-12) / 127
        return (parts / scale[..., None]).round().to(torch.int8).transpose(1, 2).reshape(W.shape), scale

    irregular = torch.tensor([[0.31, -1.27, 0.044, 0.2, 6.1, 2.2, -0.7, 5.9], [-50.3, 20.2, 0.4, -7.7, 0.0021, -0.0043, 0.001, 0.0012]])
    tiny = 1e-5 * torch.tensor([[3.3, -7.1, 2.0, 0.4, 1.9, -0.2], [-1.0, 0.6, 0.7, 9.2, -4.4, 8.8], [0.4, -1.1, 0.7, -5.5, 5.1, 1.7]])
    zeros = torch.tensor([[0.0, 0.0, 1.5, -0.4], [0.0, 0.0, 0.0, 0.0]])

    def same(a, b):
        return torch.equal(a[0], b[0]) and bool(((a[1] - b[1]).abs() <= 2e-3 * b[1]).all())  # 1e-8 more in the largest value is no fault

    def same_slip(a, b):
        return all(x.dtype == y.dtype and x.shape == y.shape and alike(x / (y.double().abs().max() + 1e-30), y / (y.double().abs().max() + 1e-30)) for x, y in zip(a, b))

    cases = [
        ("blocks of four", (irregular, 4)), ("one block per row", (irregular, 8)), ("blocks of two", (irregular, 2)),
        ("small values, blocks of three", (tiny, 3)), ("a block of zeros", (zeros, 2)), ("a row of zeros", (zeros, 4)),
    ]  # fmt: skip
    for remark, (W, block) in cases:
        integers, scale = answer(W, block)
        if scale.dtype == torch.int8:
            raise Wrong("Integers and scales are exchanged: the integers come first.")
        if integers.dtype != torch.int8:
            raise Wrong(f"The integers are {integers.dtype}: as torch.int8 each takes one byte.")
        if integers.shape != W.shape:
            raise Wrong(f"W of shape {list(W.shape)}, {remark}: the integers have W's shape; yours have {list(integers.shape)}.")
        if list(scale.shape) != [len(W), W.shape[1] // block]:
            raise Wrong(f"W of shape {list(W.shape)}, {remark}: there is a scale for each block of a row, shape {[len(W), W.shape[1] // block]}; yours has {list(scale.shape)}.")
    try:
        compare(answer, quantise, cases[:4], [], same)
    except Wrong as neutral:
        for words, slip in [
            ("You took the largest value instead of the largest *absolute* value: a block whose largest is negative overflows.", other(largest=lambda p: p.amax(2))),
            ("You took the largest value instead of the largest *absolute* value: a block whose largest is negative overflows.", other(largest=lambda p: p.amax(2), to_integers=lambda q: q.round().clamp(-127, 127))),
            ("You took the largest value instead of the largest *absolute* value: a block whose largest is negative overflows.", other(largest=lambda p: p.amax(2), to_integers=lambda q: q.round().clamp(-128, 127))),
            ("Your scale divides by 128: the largest value becomes 128, and int8 ends at 127.", other(levels=128)),
            ("Your scale divides by 128: the largest value becomes 128, and int8 ends at 127.", other(levels=128, to_integers=lambda q: q.round().clamp(-128, 127))),
            ("Your scale divides by 255: that grid is for values from 0.", other(levels=255)),
            ("Your scale is not divided by 127: the integers do not use their range.", lambda W, block: (quantise(W, block)[0], 127 * quantise(W, block)[1])),
            ("Your scale is not divided by 127: the integers do not use their range.", other(levels=1)),
            ("You cut the fraction off: round to the nearest.", other(to_integers=torch.trunc)),
            ("You rounded down: round to the nearest.", other(to_integers=torch.floor)),
            ("You rounded up: round to the nearest.", other(to_integers=torch.ceil)),
            ("One scale serves the whole matrix: a large value ruins the small ones everywhere. One per block.", coarser(lambda W, block: W.abs().max().reshape(1, 1))),
            ("One scale serves the whole row: each of its blocks has its own.", coarser(lambda W, block: W.abs().amax(1, keepdim=True))),
            ("A block is `block` *neighbouring* values of a row; yours takes every so many.", strided),
            ("Your scale is made from the mean of the block: the largest value no longer fits.", other(largest=lambda p: p.abs().mean(2))),
            ("You returned the inverse of the scale: integers × scale has to give the values back.", lambda W, block: (quantise(W, block)[0], 1 / quantise(W, block)[1])),
            ("You keep the scale above a bound that small blocks need to go below.", other(least=1e-2)),
            ("You keep the scale above a bound that small blocks need to go below.", other(least=127e-2)),
            *[("You *add* a small number to each scale, and for small blocks it is not small: take the larger of the two instead (clamp).", other(plus=float(f"1e-{n}") / part)) for n in range(3, 11) for part in (1, 127)],
            *[("You keep the scale above a bound that small blocks need to go below.", other(least=float(f"1e-{n}") * part)) for n in range(3, 7) for part in (1, 127)],
        ]:
            if all(same_slip(answer(*arguments), slip(*arguments)) for _, arguments in cases[:4]):
                raise Wrong(words) from None
        raise neutral
    for W, block in (cases[4][1], cases[5][1]):
        integers, scale = answer(W, block)
        if not (scale > 0).all() or not scale.isfinite().all():
            raise Wrong("A block of zeros gives 0 / 0: keep the scale above zero.")
        if not torch.equal(integers, quantise(W, block)[0]):
            raise Wrong(f"Blocks of zeros among others: the integers of {W.tolist()} in blocks of {block} should be {quantise(W, block)[0].tolist()}; yours are {integers.tolist()}.")


# ------------------------------------------------------------ peft.7 choose a method


def choose(task):
    room = 0.75 * task["gpu_bytes"] / task["parameters"]
    if task["adapters"] == 1 and room >= 16:
        return "full"
    if room >= 2:
        return "LoRA"
    if room >= 4.25 / 8:  # 4 bits, and 16 more for the scale of 64 weights
        return "QLoRA"
    raise ValueError("The model does not fit.")


def _outcome(function):
    """What the function returns, or that it raised ValueError."""

    @functools.wraps(function)
    def outcome(task):
        try:
            return function(task)
        except ValueError:
            return "a ValueError"

    return outcome


def _test_choose(answer):
    def rule(room=lambda t: 0.75 * t["gpu_bytes"] / t["parameters"], full=16, lora=2, qlora=4.25 / 8, one=lambda t: t["adapters"] == 1, above=lambda a, b: a >= b, otherwise="a ValueError"):
        def choose(task):
            found = room(task)
            if one(task) and above(found, full):
                return "full"
            return "LoRA" if above(found, lora) else "QLoRA" if above(found, qlora) else otherwise

        return choose

    def task(gpu_bytes, parameters, adapters):
        return ({"parameters": parameters, "gpu_bytes": gpu_bytes, "adapters": adapters},)

    unspelled = {"full": "full", "LoRA": "lora", "QLoRA": "qlora", "a ValueError": "a ValueError"}
    compare(_outcome(answer), _outcome(choose), [
        ("", task(24e9, 1e9, 1)), ("several variants", task(24e9, 1e9, 5)), ("two variants", task(24e9, 1e9, 2)), ("", task(24e9, 7e9, 1)), ("", task(8e9, 7e9, 1)),
        ("16 bytes per weight fit, but not with a quarter left free", task(17e9, 1e9, 1)), ("", task(2.5e9, 1e9, 1)),
        ("a room of exactly 16", task(64, 3, 1)), ("a room just below 16", task(63.9, 3, 1)), ("a room of exactly 16, three variants", task(64, 3, 3)),
        ("a room of exactly 2", task(8, 3, 1)), ("a room just below 2", task(7.9, 3, 1)), ("a room of exactly 4.25 / 8", task(17, 24, 4)), ("a room just below 4.25 / 8", task(16.9, 24, 4)),
        ("a room of ½", task(2, 3, 4)), ("65 billion on 48 GB", task(48e9, 65e9, 1)), ("70 billion on 48 GB", task(48e9, 70e9, 1)),
        ("two variants and much room", task(200e9, 1e9, 2)), ("a model that does not fit", task(8e9, 70e9, 1)), ("three variants of a model that does not fit", task(8e9, 70e9, 3)), ("a room of 15.5", task(62, 3, 1)), ("a room of 1.5", task(6, 3, 2)),
    ], [
        ("Your function returned None: is `return` missing?", lambda t: None),
        ("No quarter of the memory is left free in yours.", rule(room=lambda t: t["gpu_bytes"] / t["parameters"])),
        ("You left three quarters free; a quarter is asked for.", rule(room=lambda t: 0.25 * t["gpu_bytes"] / t["parameters"])),
        ("The number of variants is not used: several full copies of the model? Adapters share one base.", rule(one=lambda t: True)),
        ("Two whole copies would fit, but the rule allows \"full\" for one variant only.", rule(one=lambda t: 0.75 * t["gpu_bytes"] / t["parameters"] >= 16 * t["adapters"])),
        ("With several variants you did not look at the room: their base has to fit, too.", lambda t: "LoRA" if t["adapters"] > 1 else _outcome(choose)(t)),
        ("You divided the room among the variants: they share one base.", rule(room=lambda t: 0.75 * t["gpu_bytes"] / t["parameters"] / t["adapters"])),
        ("With several variants \"LoRA\" or \"QLoRA\" is possible; with one variant, so is \"full\".", rule(one=lambda t: t["adapters"] > 1)),
        ("Four bits are half a byte, but each block of 64 has a scale besides: the bound is 4.25 / 8.", rule(qlora=0.5)),
        ("The bound of QLoRA is in *bytes*: 4.25 bits are 4.25 / 8.", rule(qlora=4.25)),
        ("A room of exactly the bound is enough.", rule(above=lambda a, b: a > b)),
        ("A model that fits no way is to raise ValueError; yours names a method.", rule(otherwise="QLoRA")),
        ("A model that fits no way is to raise ValueError; yours returns None.", rule(otherwise=None)),
        ("You divided parameters by memory; the room is memory per weight.", rule(room=lambda t: t["parameters"] / (0.75 * t["gpu_bytes"]))),
        ("The names are spelled \"full\", \"LoRA\" and \"QLoRA\".", lambda t: unspelled[_outcome(choose)(t)]),
        ("You asked in another order: \"LoRA\" comes before \"QLoRA\".", lambda t: {"LoRA": "QLoRA"}.get(_outcome(choose)(t), _outcome(choose)(t))),
        ("You asked in another order: \"full\" comes first.", lambda t: {"full": "LoRA"}.get(_outcome(choose)(t), _outcome(choose)(t))),
    ])  # fmt: skip


# ------------------------------------------------------------ adapters.1 bits per weight


def bits_per_weight(bits, block, scale_bits, group=None, outer_bits=32):
    total = bits + scale_bits / block
    return total if group is None else total + outer_bits / (block * group)


def _test_bits_per_weight(answer):
    def slip(plain, grouped=None):
        def other(bits, block, scale_bits, group=None, outer_bits=32):
            if group is None:
                return plain(bits, block, scale_bits)
            return (grouped or (lambda b, n, s, g, o: plain(b, n, s) + o / (n * g)))(bits, block, scale_bits, group, outer_bits)

        return other

    def right(b, n, s):
        return b + s / n

    compare(answer, bits_per_weight, [
        ("a scale of 16 bits per 64 weights", (4, 64, 16)), ("one scale per row of 576", (8, 576, 32)), ("three bits in blocks of 10", (3, 10, 8)),
        ("scales of 8 bits in groups of 256", (4, 64, 8, 256)), ("groups of 5, outer scales of 16 bits", (3, 10, 6, 5, 16)),
    ], [
        ("The scales are not counted.", slip(lambda b, n, s: b, lambda b, n, s, g, o: b)),
        ("That is in bytes; bits are asked for.", slip(lambda b, n, s: right(b, n, s) / 8, lambda b, n, s, g, o: (right(b, n, s) + o / (n * g)) / 8)),
        ("Each *weight* pays for a whole scale in yours; `block` weights share one.", slip(lambda b, n, s: b + s)),
        ("A scale costs the block's weights a share *more*: add it.", slip(lambda b, n, s: b - s / n)),
        ("The outer scales are not counted.", slip(right, lambda b, n, s, g, o: right(b, n, s))),
        ("An outer scale is shared by `group` scales, and each of those by `block` weights.", slip(right, lambda b, n, s, g, o: right(b, n, s) + o / g)),
        ("An outer scale is shared by `group` scales, and each of those by `block` weights.", slip(right, lambda b, n, s, g, o: right(b, n, s) + o / n)),
        ("With groups the small scales stay: outer scales come on top.", slip(right, lambda b, n, s, g, o: b + o / (n * g))),
        ("`outer_bits` says how large an outer scale is; 32 is only its default.", slip(right, lambda b, n, s, g, o: right(b, n, s) + 32 / (n * g))),
    ])  # fmt: skip


# ------------------------------------------------------------ peft.8 mix two adapters


def mix(A1, B1, A2, B2, share):
    return torch.cat([A1, A2]), torch.cat([share * B1, (1 - share) * B2], 1)


def _test_mix(answer):
    generator = torch.Generator().manual_seed(0)

    def adapter(fan_in, out, r):
        return torch.randn(r, fan_in, generator=generator), torch.randn(out, r, generator=generator)

    for fan_in, out, r1, r2, share in ((5, 7, 2, 2, 0.25), (6, 4, 3, 3, 0.7), (6, 5, 1, 3, 0.4), (4, 4, 2, 1, 1.0), (5, 5, 2, 2, 0.5)):
        (A1, B1), (A2, B2) = adapter(fan_in, out, r1), adapter(fan_in, out, r2)
        A, B = answer(A1, B1, A2, B2, share)
        if A.ndim != 2 or B.ndim != 2 or A.shape[1] != fan_in or B.shape[0] != out or len(A) != B.shape[1]:
            raise Wrong(f"Two adapters [{r1}, {fan_in}] and [{out}, {r1}], [{r2}, {fan_in}] and [{out}, {r2}]: A should be [r, {fan_in}], B [{out}, r] with one r; yours are {list(A.shape)} and {list(B.shape)}.")
        first, second, got = B1 @ A1, B2 @ A2, B @ A
        if len(A) < r1 + r2 and not alike(got, share * first + (1 - share) * second):
            raise Wrong(f"Your adapter has rank {len(A)}; two of rank {r1} and {r2} side by side need {r1 + r2}. Mixing the As and the Bs multiplies matrices that were never trained together.")
        for words, other in (
            ("The shares are not applied: you added the two changes.", first + second),
            ("Each share counts twice: once in A and once in B.", share**2 * first + (1 - share) ** 2 * second),
            ("Each share counts as its root: A or B has the root, and the other one needs it, too.", share**0.5 * first + (1 - share) ** 0.5 * second),
            ("The shares are exchanged: `share` is that of the first adapter.", (1 - share) * first + share * second),
            ("Only the first adapter has its share; the second counts whole.", share * first + second),
            ("Both adapters have the same share.", share * (first + second)),
            ("Both adapters count half, whatever `share` says.", (first + second) / 2),
            *([("The As are stacked in one order and the Bs in the other: each B has met the other adapter's A.", share * B1 @ A2 + (1 - share) * B2 @ A1)] if r1 == r2 else []),
        ):
            if alike(got, other) and not alike(got, share * first + (1 - share) * second):
                raise Wrong(words)
        if not alike(got, share * first + (1 - share) * second):
            raise Wrong(f"With share = {share:g} the product B A differs from the mixture of the two changes, by up to {(got - share * first - (1 - share) * second).abs().max():.3g}.")
        if len(A) != r1 + r2:
            raise Wrong(f"The product is right, but your adapter has rank {len(A)}: two of rank {r1} and {r2} make one of rank {r1 + r2}.")


# ------------------------------------------------------------ peft.9 what LoRA's relatives train


def trained_weights(layers, width, key_width, hidden, tokens):
    norms = (2 * layers + 1) * width
    prompt = tokens * width
    prefix = layers * 2 * tokens * key_width
    factors = layers * (2 * key_width + hidden)
    return norms, prompt, prefix, factors


def _test_trained_weights(answer):
    cases = [("", (30, 576, 192, 1536, 10)), ("", (3, 8, 4, 20, 5)), ("keys as wide as the model", (2, 64, 64, 100, 1))]
    slips = [
        [("the norm at the end is missing.", lambda n, d, k, h, t: 2 * n * d), ("each layer has two, and there is one at the end.", lambda n, d, k, h, t: (n + 1) * d),
         ("each layer has two, and there is one at the end.", lambda n, d, k, h, t: n * d), ("these have a factor per number, no shift.", lambda n, d, k, h, t: 2 * (2 * n + 1) * d)],
        [("the vectors stand before the first token's, once, not in every layer.", lambda n, d, k, h, t: n * t * d), ("one vector per virtual token.", lambda n, d, k, h, t: d)],
        [("keys *and* values.", lambda n, d, k, h, t: n * t * k), ("in every layer.", lambda n, d, k, h, t: 2 * t * k), ("keys and values are `key_width` wide.", lambda n, d, k, h, t: 2 * n * t * d)],
        [("keys *and* values have their factors.", lambda n, d, k, h, t: n * (k + h)), ("the feed-forward activations have factors, too.", lambda n, d, k, h, t: 2 * n * k),
         ("the feed-forward activations are `hidden` wide.", lambda n, d, k, h, t: n * (2 * k + d)), ("in every layer.", lambda n, d, k, h, t: 2 * k + h),
         ("keys and values are `key_width` wide.", lambda n, d, k, h, t: n * (2 * d + h)), ("factors are trained, not matrices.", lambda n, d, k, h, t: n * (2 * k * d + h * d))],
    ]  # fmt: skip
    answer(*cases[0][1])  # what is no quadruple is refused here
    for n, (name, found) in enumerate(zip(("Norms", "Prompt tuning", "Prefix tuning", "IA³"), slips)):

        @functools.wraps(trained_weights)
        def part(*arguments, n=n):
            return trained_weights(*arguments)[n]

        try:
            compare(lambda *arguments, n=n: answer(*arguments)[n], part, cases, [(f"{name}: {words}", slip) for words, slip in found])
        except Wrong as wrong:
            raise Wrong(str(wrong) if str(wrong).startswith(name) else f"{name}: {wrong}") from None


EXERCISES = [
    Exercise("peft.8", "mix two adapters", mix, _test_mix, (
        "Write the product of two matrices as a sum over their inner index. What happens if that index runs over both adapters?",
        "Stack the As below each other and the Bs beside each other. Where does the share go, so that it counts once?",
    ), returns=answers.tuple_of(answers.tensor, answers.tensor, words="two tensors, A and B")),
    Exercise("peft.9", "what LoRA's relatives train", trained_weights, _test_trained_weights, (
        "For each method: which vectors are trained, how long are they, and how many are there?",
        "The print of the model (`print(base)`) shows the norms; a soft prompt needs no layer at all.",
    ), returns=answers.tuple_of(*[answers.whole] * 4, words="four whole numbers: norms, prompt, prefix, IA³")),
    Exercise("peft.6", "quantise and back", quantise, _test_quantise, (
        "Lay each row out as [blocks, block]: reshape does it. Which axis does a scale go over?",
        "What decides a block's scale if its largest values are 0.5 and −1.27? And if all are 0?",
    ), returns=answers.tuple_of(answers.tensor, answers.tensor, words="two tensors, the integers and the scales")),
    Exercise("adapters.1", "bits per weight", bits_per_weight, _test_bits_per_weight, (
        "A scale of 16 bits serves 64 weights. How many bits is that for each of them?",
        "With groups: how many weights stand behind one outer scale?",
    ), returns=answers.number),
    Exercise("peft.7", "choose a method", choose, _test_choose, (
        "Work out the room in bytes per weight; a quarter of the memory stays free.",
        "Three questions in the order of the text; what is left does not fit.",
    ), returns=answers.maybe(answers.text)),
]  # fmt: skip
