"""Compute and memory: reference answers and their tests."""

from __future__ import annotations

import math

import torch

from . import answers
from .cases import alike, compare
from .engine import Exercise, Wrong

# ------------------------------------------------------------ compute.1 bytes to train


def bytes_to_train(parameters, trainable):
    return 4 * parameters + (4 + 2 * 4) * trainable  # weights; gradients and two moments


MISSING = "12 bytes for a trained weight, where 16 are needed: its own number, its gradient, and Adam's *two* running means. Which did you leave out?"
TRAIN_SLIPS = [
    ("You counted the weights only. Training also holds a gradient and Adam's numbers for each trained weight.", lambda p, t: 4 * p),
    (MISSING, lambda p, t: 4 * p + 8 * t),
    (MISSING + " And a frozen weight needs no gradient.", lambda p, t: 12 * p),
    ("Weights and gradients are there; Adam's two running means are missing.", lambda p, t: 4 * p + 4 * t),
    ("You counted numbers; each of them takes 4 bytes.", lambda p, t: p + 3 * t),
    ("That is the number of bits; a byte has eight.", lambda p, t: 8 * (4 * p + 12 * t)),
    ("A frozen weight needs no gradient and no moments: only `trainable` weights do.", lambda p, t: 16 * p),
    ("The frozen weights do not vanish: the forward pass needs all of them.", lambda p, t: 16 * t),
    ("Gradients and moments alone; the weights themselves take memory, too.", lambda p, t: 12 * t),
    ("`trainable` is part of `parameters`: you counted the trained weights twice.", lambda p, t: 4 * p + 16 * t),
]  # fmt: skip


def _test_bytes_to_train(bytes_to_train):
    cases = [
        ("all weights are trained", (1e9, 1e9)),
        ("one in a thousand is trained (what is kept for a frozen weight?)", (1e9, 1e6)),
        ("", (7, 3)),
        ("nothing is trained", (500, 0)),
    ]
    compare(bytes_to_train, bytes_to_train_of_reference, cases, TRAIN_SLIPS)


bytes_to_train_of_reference = bytes_to_train


# ------------------------------------------------------------ compute.2 encode in BF16


def to_bf16(number):
    sign = "1" if number < 0 else "0"
    power = math.floor(math.log2(abs(number)))
    mantissa = round((abs(number) / 2**power - 1) * 128)
    if mantissa == 128:  # rounded up to the next power of two
        power, mantissa = power + 1, 0
    return sign, format(power + 127, "08b"), format(mantissa, "07b")


def _bits(sign=lambda x: "1" if x < 0 else "0", bias=127, rounded=round, steps=128, carry=True, one=1):
    def encode(number):
        power = math.floor(math.log2(abs(number)))
        mantissa = rounded((abs(number) / 2**power - one) * steps)
        if carry and mantissa == 128:
            power, mantissa = power + 1, 0
        return sign(number), format(power + bias, "08b"), format(mantissa, "07b")

    return encode


BF16_SLIPS = [
    ("The exponent is stored with the bias 127 added: 1 is stored as 128.", _bits(bias=0)),
    ("The exponent is stored with the bias 127 added, not another one.", _bits(bias=128)),
    ("The exponent is stored with the bias 127 added, not another one.", _bits(bias=126)),
    ("You cut the mantissa off: for 0.1, 76.8 became 76. Formats round to the *nearest* number.", _bits(rounded=int)),
    ("You always round up. Formats round to the *nearest* number.", _bits(rounded=math.ceil)),
    ("The mantissa counts 128ths: seven bits have 128 steps, not 127.", _bits(steps=127)),
    ("The mantissa counts 128ths: seven bits have 128 steps, not 127.", lambda x: (*to_bf16(x)[:2], _bits(steps=127)(x)[2])),
    ("The mantissa counts 128ths: seven bits have 128 steps, not 127.", _bits(steps=127, carry=False)),
    ("The sign bit of a negative number is 1.", _bits(sign=lambda x: "0")),
    ("The sign bit of a negative number is 1, of a positive one 0.", _bits(sign=lambda x: "0" if x < 0 else "1")),
    ("1.999: the mantissa rounds up to 128, which needs an eighth bit. The number has become 2.0.", _bits(carry=False)),
    ("The 1 in front of the mantissa is not stored: it is always there.", _bits(one=0, carry=False)),
]  # fmt: skip


def to_bf16_of_torch(number):
    """The library's bits for the check below."""
    stored = torch.tensor(number, dtype=torch.bfloat16).view(torch.int16).item() % 2**16
    text = format(stored, "016b")
    return text[0], text[1:9], text[9:]


to_bf16_of_torch.__name__ = "to_bf16"  # as messages call it


def _test_to_bf16(to_bf16):
    numbers = (math.pi, 0.1, -2.5, 1.0, -0.75, 1.999, 3.0e38, -1e-30, 65504.0, -255.9)
    compare(to_bf16, to_bf16_of_torch, [("", (number,)) for number in numbers], BF16_SLIPS)


# ------------------------------------------------------------ compute.3 absmax


def quantise(x):
    scale = x.abs().max() / 127
    return (x / scale).round(), scale


def _by(scale_of, rounded=torch.round):
    return lambda x: (rounded(x / scale_of(x)), scale_of(x))


QUANTISE_SLIPS = [
    ("Your scale is turned round: x ≈ codes × scale, so the scale is the largest size divided by 127.",
     lambda x: ((x * 127 / x.abs().max()).round(), 127 / x.abs().max())),
    ("The largest *absolute* value decides, here that of −2.54: you took the largest.", _by(lambda x: x.max() / 127)),
    ("The largest *absolute* value decides: you took the smallest in size.", _by(lambda x: x.abs().min() / 127)),
    ("The codes run from −127 to 127, so the largest size is divided by 127, not by 128.", _by(lambda x: x.abs().max() / 128)),
    ("The codes run from −127 to 127, so the largest size is divided by 127, not by 255.", _by(lambda x: x.abs().max() / 255)),
    ("You used the range from smallest to largest. Absmax looks at sizes only, and 0 stays 0.", _by(lambda x: (x.max() - x.min()) / 255)),
    ("You used the range from smallest to largest. Absmax looks at sizes only, and 0 stays 0.", _by(lambda x: (x.max() - x.min()) / 254)),
    ("Round to the nearest code, do not cut off: 12.7 became 12.", _by(lambda x: x.abs().max() / 127, torch.trunc)),
    ("Round to the nearest code, do not round down.", _by(lambda x: x.abs().max() / 127, torch.floor)),
    ("The codes are not whole numbers: round them.", _by(lambda x: x.abs().max() / 127, lambda c: c)),
    ("The codes have signs, too: only the scale is made from sizes.", lambda x: (quantise(x)[0].abs(), quantise(x)[1])),
    ("The two are exchanged: first the codes, then the scale.", lambda x: quantise(x)[::-1]),
    ("Those are the numbers that come back, not the codes.", lambda x: (quantise(x)[0] * quantise(x)[1], quantise(x)[1])),
]  # fmt: skip


def _test_quantise(quantise):
    cases = [
        ("", (torch.tensor([0.5, -2.54, 1.0, 0.254]),)),
        ("the largest is positive", (torch.tensor([0.0, 1.0, 2.0, 5.1, -3.333]),)),
        ("all below 0", (torch.tensor([-0.3, -7.7, -1.234]),)),
    ]

    def same(a, b):
        if a[0].shape != b[0].shape or a[1].numel() != 1 or b[1].numel() != 1:
            return alike(a, b)
        return bool((a[0] == b[0]).all()) and math.isclose(a[1].item(), b[1].item(), rel_tol=1e-4)

    compare(quantise, quantise_of_reference, cases, QUANTISE_SLIPS, same)


quantise_of_reference = quantise


# ------------------------------------------------------------ compute.4 zero-point


def quantise_with_zero(x):
    low, high = min(x.min().item(), 0.0), max(x.max().item(), 0.0)
    scale = (high - low) / 255
    zero = round(-128 - low / scale)
    return (x / scale + zero).round(), scale, zero


def _with_zero(low_of=lambda x: min(x.min().item(), 0.0), high_of=lambda x: max(x.max().item(), 0.0), gaps=255,
               zero_of=lambda low, scale: round(-128 - low / scale), rounded=torch.round, first=0):  # fmt: skip
    def codes_of(x):
        low, high = low_of(x), high_of(x)
        scale = (high - low) / gaps
        zero = zero_of(low, scale)
        return rounded(x / scale + zero + first), scale, zero + first

    return codes_of


WHOLE_ZERO = "−128 + 0.37 / scale is −63.8: the zero must be a whole code, −64, or 0.0 does not come back as 0."
INCLUDES = "The range must include 0, so that 0 has a code: for 5.1 and 6.0 it goes from 0 to 6, for −6.0 and −5.1 from −6 to 0."
ZERO_SLIPS = [
    ("That is absmax's scale. Here all 256 codes share the range from smallest to largest: divide by 255.",
     lambda x: ((x / (x.abs().max() / 127)).round(), x.abs().max().item() / 127, 0)),
    ("256 codes have 255 gaps between them: divide by 255.", _with_zero(gaps=256)),
    ("There are 256 codes, from −128 to 127: divide the range by their 255 gaps.", _with_zero(gaps=254)),
    ("Your codes run from 0 to 255; signed ones run from −128 to 127.", _with_zero(first=128)),
    ("The sign of the zero point: the *smallest* value, −1.0, must become −128.", _with_zero(zero_of=lambda low, s: round(128 + low / s))),
    ("The sign of the zero point: the *smallest* value, −1.0, must become −128.", _with_zero(zero_of=lambda low, s: round(-128 + low / s))),
    (INCLUDES, _with_zero(low_of=lambda x: x.min().item(), high_of=lambda x: x.max().item())),
    ("For numbers that are all below 0 the range must still end at 0.", _with_zero(high_of=lambda x: x.max().item())),
    ("For numbers that are all above 0 the range must still begin at 0.", _with_zero(low_of=lambda x: x.min().item())),
    (WHOLE_ZERO, _with_zero(zero_of=lambda low, s: -128 - low / s)),
    ("Round to the nearest code, do not cut off: 126.8 becomes 127.", _with_zero(rounded=torch.floor)),
    ("Round to the nearest code, do not cut off: 126.8 becomes 127.", _with_zero(rounded=torch.trunc)),
    ("The codes are not whole numbers: round them.", _with_zero(rounded=lambda c: c)),
    ("The scale is turned round: number = (code − zero) × scale.", lambda x: (quantise_with_zero(x)[0], 1 / quantise_with_zero(x)[1], quantise_with_zero(x)[2])),
]  # fmt: skip


def _test_quantise_with_zero(quantise_with_zero):
    cases = [
        ("", (torch.tensor([-1.0, 0.0, 2.0, 4.1]),)),  # scale 0.02, zero −78
        ("all above 0", (torch.tensor([5.1, 6.0]),)),
        ("all below 0", (torch.tensor([-6.0, -5.1]),)),
        ("a zero between two codes", (torch.tensor([-0.37, 0.05, 1.1]),)),
        ("unsorted", (torch.tensor([0.9, -2.2, 0.33]),)),
    ]

    def same(a, b):
        return (a[0].shape == b[0].shape and bool(torch.allclose(a[0].double(), b[0].double(), atol=1e-6))
                and math.isclose(a[1], b[1], rel_tol=1e-4) and math.isclose(a[2], b[2], abs_tol=1e-6))  # fmt: skip

    compare(quantise_with_zero, quantise_with_zero_of_reference, cases, ZERO_SLIPS, same)


quantise_with_zero_of_reference = quantise_with_zero


# ------------------------------------------------------------ compute.5 spot the bug: uneven ranks


def combine(gradients, tokens):
    return sum(g * (n / sum(tokens)) for g, n in zip(gradients, tokens))


COMBINE_SLIPS = [
    ("That is the plain average, as before: a token of a rank with few tokens counts more than one of a rank with many.",
     lambda g, n: sum(g) / len(g)),
    ("That is the sum over the ranks: with twice the ranks the step would be twice as long.", lambda g, n: sum(g)),
    ("Weighted by tokens, but not divided by their number.", lambda g, n: sum(a * b for a, b in zip(g, n))),
    ("Weighted by tokens, but divided by the number of ranks; divide by that of all tokens.", lambda g, n: sum(a * b for a, b in zip(g, n)) / len(g)),
    ("Averaged twice: the shares of the tokens already add up to 1, do not divide by the ranks again.", lambda g, n: combine(g, n) / len(g)),
    ("Each gradient is a mean already: do not divide it by its own tokens again.", lambda g, n: sum(a / b for a, b in zip(g, n)) / len(g)),
    ("Each gradient is a mean already: a rank's sum is that *times* its tokens.", lambda g, n: sum(g) / sum(n)),
    ("The weights are turned round: a rank with many tokens should count more.",
     lambda g, n: sum(a / b for a, b in zip(g, n)) / sum(1 / b for b in n)),
    ("Those are the ranks' shares; one gradient is asked: add them up.", lambda g, n: torch.stack([torch.as_tensor(a * b / sum(n)) for a, b in zip(g, n)])),
]  # fmt: skip


def _test_combine(combine):
    cases = [
        ("", ([torch.tensor([4.0, 0.0]), torch.tensor([0.0, 8.0])], [1, 3])),
        ("three ranks", ([torch.tensor([3.0, -1.0, 2.0]), torch.tensor([0.5, 4.0, 0.0]), torch.tensor([7.0, 7.0, -7.0])], [5, 2, 10])),
        ("a gradient of one number", ([torch.tensor(2.0), torch.tensor(19.333)], [1, 3])),
        ("one rank", ([torch.tensor([5.0, 6.0])], [9])),
    ]
    compare(combine, combine_of_reference, cases, COMBINE_SLIPS)


combine_of_reference = combine


# ------------------------------------------------------------ compute.6 ZeRO


def per_rank(parameters, ranks, stage):
    weights = 4 * parameters / (ranks if stage >= 3 else 1)
    gradients = 4 * parameters / (ranks if stage >= 2 else 1)
    moments = 8 * parameters / (ranks if stage >= 1 else 1)
    return weights, gradients, moments


def _shared(weights, gradients, moments, sizes=(4, 4, 8)):
    """What a rank holds if each part is divided at the stages for which its test is true."""

    def held(p, r, stage):
        return tuple(size * p / (r if at(stage) else 1) for size, at in zip(sizes, (weights, gradients, moments)))

    return held


def _from(first):
    return lambda stage: stage >= first


ZERO_STAGE_SLIPS = [
    ("Stage 0 is DDP: every rank holds everything.", _shared(_from(0), _from(0), _from(0))),
    ("Nothing is shared out in yours: that is DDP at every stage.", _shared(_from(4), _from(4), _from(4))),
    ("At stage 1 you share everything out. Each stage adds *one* thing: moments, then gradients, then weights.", _shared(_from(1), _from(1), _from(1))),
    ("Which part is shared first? The largest, and the one no other rank needs in between: the moments.", _shared(_from(3), _from(1), _from(2))),
    ("Which part is shared first? The largest, and the one no other rank needs in between: the moments.", _shared(_from(1), _from(2), _from(3))),
    ("Stage 2 shares the gradients, stage 3 the weights; you have them the other way round.", _shared(_from(2), _from(3), _from(1))),
    ("The stages add up: stage 3 shares what stages 1 and 2 share, and the weights too.",
     _shared(lambda s: s == 3, lambda s: s == 2, lambda s: s == 1)),
    ("Your stages are one too early: stage 0 shares nothing yet.", _shared(_from(2), _from(1), _from(0))),
    ("Adam keeps *two* running means for each weight: 8 bytes.", _shared(_from(3), _from(2), _from(1), (4, 4, 4))),
    ("Each number takes 4 bytes.", _shared(_from(3), _from(2), _from(1), (1, 1, 2))),
    ("The order of the three: weights, gradients, moments.", lambda p, r, s: per_rank(p, r, s)[::-1]),
    ("That is what all ranks hold together; one rank is asked.", lambda p, r, s: tuple(r * size for size in per_rank(p, r, s))),
]  # fmt: skip


def _test_per_rank(per_rank):
    cases = [("", (8, 4, stage)) for stage in range(4)] + [("", (1e9, 8, stage)) for stage in range(4)] + [("", (7, 3, 3)), ("one rank", (5, 1, 3))]
    compare(per_rank, per_rank_of_reference, cases, ZERO_STAGE_SLIPS)


per_rank_of_reference = per_rank


# ------------------------------------------------------------ compute.7 decide


def choose(parameters, gpus, card, activations):
    for stage, name in enumerate(["DDP", "ZeRO-1", "ZeRO-2", "ZeRO-3"]):
        if sum(per_rank(parameters, gpus, stage)) + activations <= card:
            return "one GPU" if gpus == 1 else name
    return "does not fit"


ANSWERS = ("one GPU", "DDP", "ZeRO-1", "ZeRO-2", "ZeRO-3", "does not fit")

# The case, what it shows, and sentences for single wrong answers.
CHOICES = [
    ((1e9, 1, 80e9, 10e9), "16 GB and 10 GB of activations fit one card of 80 GB, and there is one GPU.", {}),
    ((1e9, 8, 80e9, 10e9), "All 16 GB fit on each card.",
     {"one GPU": "Eight GPUs are there, and all of them are to be used.",
      **dict.fromkeys(("ZeRO-1", "ZeRO-2", "ZeRO-3"), "More sharing than needed: the first stage that fits is wanted.")}),
    ((7e9, 8, 80e9, 10e9), "Sharing the moments out, 56 + 56/8 + 10 = 73 GB, is enough here.",
     dict.fromkeys(("ZeRO-2", "ZeRO-3"), "More sharing than needed: the first stage that fits is wanted.")),
    ((7e9, 8, 80e9, 45e9), "45 GB of activations stay on every rank: no stage shares them out.", {}),
    ((9e9, 8, 80e9, 20e9), "Moments and gradients must be shared out here, and that is enough.", {"ZeRO-3": "More sharing than needed: the first stage that fits is wanted."}),
    ((30e9, 1, 80e9, 10e9), "With one GPU there is nothing to share with.", {}),
    ((70e9, 8, 80e9, 10e9), "Even shared by 8, 16 bytes per weight are 140 GB per card: several GPUs do not mean that some stage fits.", {}),
    ((3, 1, 50, 2), "48 bytes and 2 of activations fill the 50 bytes exactly, and that fits.", {}),
    ((4, 4, 60, 4), "At stage 1 it is 16 + 16 + 8 and 4 of activations, 44; DDP would need 68.", {}),
    ((4, 4, 44, 4), "At stage 1 it is 16 + 16 + 8 and 4 of activations: the 44 bytes are filled exactly, and that fits.", {}),
    ((4, 2, 36, 4), "At stage 3 it is 8 + 8 + 16 and 4 of activations: the 36 bytes are filled exactly, and that fits.", {}),
    ((4, 2, 35, 4), "At stage 3 it is 8 + 8 + 16 and 4 of activations, one byte too many.", {}),
]  # fmt: skip


def _test_choose(choose):
    for arguments, shows, sentences in CHOICES:
        got, want = choose(*arguments), choose_of_reference(*arguments)
        if got not in ANSWERS:
            raise Wrong(f"{got!r} is none of the answers: {', '.join(ANSWERS)}.")
        if got != want:
            called = ", ".join(f"{x:g}" for x in arguments)
            raise Wrong(f"choose({called}) gave {got!r}; it should be {want!r}. {shows} {sentences.get(got, '')}".rstrip())


choose_of_reference = choose


CODES = "the codes (a tensor or a list), then the scale (a number)"

EXERCISES = [
    Exercise("compute.1", "bytes to train", bytes_to_train, _test_bytes_to_train, (
        "List what exists for each weight, and what only for a weight that is trained.",
        "A number in FP32 takes 4 bytes. Adam keeps two for each trained weight.",
    ), returns=answers.number),
    Exercise("compute.2", "encode in BF16", to_bf16, _test_to_bf16, (
        "math.floor(math.log2(size)) is the power; size / 2**power lies between 1 and 2.",
        "format(n, '07b') writes n with seven bits. The mantissa counts 128ths above 1, rounded.",
        "What if the rounded mantissa is 128?",
    ), returns=answers.tuple_of(answers.text, answers.text, answers.text, words="three strings of 1, 8 and 7 bits, such as ('0', '10000000', '1001001')")),
    Exercise("compute.3", "absmax", quantise, _test_quantise, (
        "Which value must become 127 or −127?",
        "x.abs().max() and .round().",
    ), returns=answers.tuple_of(answers.tensor, answers.tensor, words=CODES)),
    Exercise("compute.4", "zero-point", quantise_with_zero, _test_quantise_with_zero, (
        "Stretch the range from the smallest to the largest value (0 included) over 255 steps.",
        "The zero is the code that 0.0 gets, if the smallest value gets −128. A code is a whole number.",
    ), returns=answers.tuple_of(answers.tensor, answers.number, answers.number, words=CODES + ", then the zero (a whole number)")),
    Exercise("compute.5", "spot the bug: two uneven ranks", combine, _test_combine, (
        "What is the gradient of the mean over all tokens, if each rank gives you its own mean?",
        "How much of the whole is a rank with 3 of 4 tokens?",
    ), returns=answers.tensor),
    Exercise("compute.6", "ZeRO, bytes per rank", per_rank, _test_per_rank, (
        "Start from 4, 4 and 8 bytes for each weight on every rank.",
        "Each stage divides one more of the three by the number of ranks.",
    ), returns=answers.tuple_of(answers.number, answers.number, answers.number, words="three numbers: bytes of weights, of gradients, of moments")),
    Exercise("compute.7", "which strategy?", choose, _test_choose, (
        "Try the stages in order and stop at the first that fits.",
        "per_rank gives what a rank holds; the activations come on top, undivided.",
    ), returns=answers.text),
]  # fmt: skip
