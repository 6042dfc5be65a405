"""Wrong and right answers about compute: PLANTED, id → [(answer, words)]; RIGHT, id → [answer]."""

import math
import struct

import numpy as np
import torch

from course_utils.exercises import compute


def bits(sign, power, mantissa, bias=127):
    return sign, format(power + bias, "08b"), format(mantissa, "07b")


def cut_off(x):
    power = math.floor(math.log2(abs(x)))
    return bits("1" if x < 0 else "0", power, int((abs(x) / 2**power - 1) * 128))


def no_bias(x):
    power = math.floor(math.log2(abs(x)))
    return bits("0", power, round((abs(x) / 2**power - 1) * 128), bias=0)


def no_carry(x):
    sign, exponent, mantissa = compute.to_bf16(x)
    return (sign, "01111111", "1111111") if x == 1.999 else (sign, exponent, mantissa)


def by_maximum(x):
    return (x / (x.max() / 127)).round(), x.max() / 127


def absmax_with_zero(x):
    return (x / (x.abs().max() / 127)).round(), x.abs().max() / 127, 0


def without_zero_in_range(x):
    low, high = x.min().item(), x.max().item()
    scale = (high - low) / 255
    zero = round(-128 - low / scale)
    return (x / scale + zero).round(), scale, zero


def always_zero_3(n, gpus, card, activations):
    fits = sum(compute.per_rank(n, gpus, 3)) + activations <= card
    return ("ZeRO-3" if gpus > 1 else "one GPU") if fits else "does not fit"


def zero_that_is_no_code(x):
    _, scale, _ = compute.quantise_with_zero(x)
    zero = -128 - min(x.min().item(), 0.0) / scale
    return (x / scale + zero).round(), scale, zero


def cut_off_codes(x):
    _, scale, zero = compute.quantise_with_zero(x)
    return (x / scale + zero + 1e-3).floor(), scale, zero


def bf16_by_library(x):
    text = format(torch.tensor(x).to(torch.bfloat16).view(torch.int16).item() & 0xFFFF, "016b")
    return [text[0], text[1:9], text[9:]]


def bf16_by_float32(x):
    """Round the 32 bits of a float to their upper 16."""
    bits = struct.unpack(">I", struct.pack(">f", x))[0]
    text = format((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16, "016b")
    return text[:1], text[1:9], text[9:]


def bf16_by_frexp(x):
    fraction, power = math.frexp(abs(x))
    steps = round(fraction * 256)
    if steps == 256:
        steps, power = 128, power + 1
    return str(int(x < 0)), f"{power + 126:08b}", f"{steps - 128:07b}"


def absmax_numpy(x):
    x = np.asarray(x, dtype=np.float64)
    scale = np.abs(x).max() / 127
    return np.rint(x / scale).astype(np.int8), scale


def absmax_list(x):
    scale = max(abs(float(v)) for v in x) / 127
    return [round(float(v) / scale) for v in x], scale


def absmax_in_place(x):
    scale = x.abs().max() / 127
    x /= scale
    return x.round_(), scale


def zero_numpy(x):
    x = np.append(np.asarray(x, dtype=np.float64), 0.0)
    scale = (x.max() - x.min()) / 255
    zero = np.rint(-128 - x.min() / scale)
    return np.clip(np.rint(x[:-1] / scale) + zero, -128, 127), scale, zero


def combine_in_place(gradients, tokens):
    for g, n in zip(gradients, tokens):
        g *= n / sum(tokens)
    return sum(gradients)


def choose_by_bytes(parameters, gpus, card, activations):
    room = card - activations
    if gpus == 1:
        return "one GPU" if 16 * parameters <= room else "does not fit"
    for name, bytes_per_weight in (("DDP", 16), ("ZeRO-1", 8 + 8 / gpus), ("ZeRO-2", 4 + 12 / gpus), ("ZeRO-3", 16 / gpus)):
        if parameters * bytes_per_weight <= room:
            return name
    return "does not fit"


def one_gpu_if_enough(p, g, m, a):
    return "one GPU" if 16 * p + a <= m else "does not fit" if g == 1 else compute.choose(p, g, m, a)


PLANTED = {
    "compute.1": [
        (lambda n, t: 4 * n, "weights only"),
        (lambda n, t: 4 * n + 8 * t, "Which did you leave out"),
        (lambda n, t: 4 * (n - t) + 12 * t, "Which did you leave out"),
        (lambda n, t: 16 * n, "frozen weight needs no"),
        (lambda n, t: 16 * t, "do not vanish"),
        (lambda n, t: 12 * n + 4 * t, "kept for a frozen weight"),
        (lambda n, t: n + 3 * t, "takes 4 bytes"),
        (lambda n, t: 8 * (4 * n + 12 * t), "bits"),
        (lambda n, t: (4 * n, 4 * t, 8 * t), "wanted: a number"),
    ],
    "compute.2": [
        (cut_off, "cut the mantissa off"),
        (no_bias, "should give"),
        (compute._bits(bias=0), "bias"),
        (no_carry, "should give"),
        (compute._bits(carry=False), "eighth bit"),
        (lambda x: compute.to_bf16(abs(x)), "sign bit"),
        (lambda x: "".join(compute.to_bf16(x)), "three strings"),
        (lambda x: tuple(map(int, compute.to_bf16(x))), "three strings"),
        (lambda x: (lambda t: (t[0], t[1], format(round((abs(x) / 2 ** math.floor(math.log2(abs(x))) - 1) * 127), "07b")))(compute.to_bf16(x)), "not 127"),
    ],
    "compute.3": [
        (by_maximum, "absolute"),
        (lambda x: ((x / (x.abs().max() / 127)).trunc(), x.abs().max() / 127), "do not cut off"),
        (lambda x: (x / (x.abs().max() / 127), x.abs().max() / 127), "whole numbers"),
        (lambda x: ((x * 127 / x.abs().max()).round(), 127 / x.abs().max()), "turned round"),
        (lambda x: compute.quantise(x)[::-1], "exchanged"),
        (lambda x: compute.quantise(x)[0], "then the scale"),
        (lambda x: (lambda s: ((x / s).round(), s))(x.abs().max() / 128), "not by 128"),
        (lambda x: (lambda s: ((x / s).round(), s))(x.abs().max() / 255), "not by 255"),
        (absmax_in_place, "in place"),
        (lambda x: (lambda s: ((x / s).round(), s))(x.abs().mean() / 127), "should give"),
    ],
    "compute.4": [
        (absmax_with_zero, "absmax's scale"),
        (without_zero_in_range, "include 0"),
        (compute._with_zero(first=128), "0 to 255"),
        (lambda x: ((x - x.min()) / 0.02, 0.02, 50), "should give"),
        (compute._with_zero(zero_of=lambda low, s: round(128 + low / s)), "sign of the zero point"),
        (zero_that_is_no_code, "a whole code"),
        (cut_off_codes, "do not cut off"),
        (compute._with_zero(rounded=torch.floor), "do not cut off"),
        (compute._with_zero(gaps=256), "255 gaps"),
        (lambda x: compute.quantise_with_zero(x)[:2], "then the zero"),
    ],
    "compute.5": [
        (lambda g, n: sum(g) / len(g), "plain average"),
        (lambda g, n: sum(g), "sum over the ranks"),
        (lambda g, n: sum(a * b for a, b in zip(g, n)), "not divided"),
        (lambda g, n: compute.combine(g, n) / len(g), "Averaged twice"),
        (lambda g, t: [x * n / sum(t) for x, n in zip(g, t)], "add them up"),
        (combine_in_place, "in place"),
        (lambda g, n: sum(a * b for a, b in zip(g, n)) / 4, "Three ranks"),
    ],
    "compute.6": [
        (lambda n, r, s: tuple(torch.tensor([4.0, 4.0, 8.0]) * n / (r if s else 1)), "adds *one* thing"),
        (lambda n, r, s: (4 * n / r, 4 * n / r, 8 * n / r), "DDP"),
        (lambda n, r, s: (4 * n / (r if s > 1 else 1), 4 * n / (r if s > 2 else 1), 8 * n / (r if s else 1)), "other way round"),
        (lambda n, r, s: (4 * n / (r if s == 3 else 1), 4 * n / (r if s == 2 else 1), 8 * n / (r if s == 1 else 1)), "add up"),
        (lambda n, r, s: dict(zip(("weights", "gradients", "moments"), compute.per_rank(n, r, s))), "three numbers"),
        (lambda n, r, s: sum(compute.per_rank(n, r, s)), "three numbers"),
        (lambda n, r, s: tuple(int(part) for part in compute.per_rank(n, r, s)), "should give"),
        (lambda n, r, s: compute.per_rank(n, r, s)[::-1], "The order"),
    ],
    "compute.7": [
        (always_zero_3, "More sharing than needed"),
        (lambda n, g, m, a: found if (found := compute.choose(n, g, m, a)) != "does not fit" or g == 1 else "ZeRO-3", "some stage fits"),
        (lambda n, g, m, a: compute.choose(n, g, m, a / g), "no stage shares them out"),
        (lambda n, g, m, a: compute.choose(n, max(g, 8), m, a).replace("ZeRO-3", "one GPU") if g == 1 else compute.choose(n, g, m, a), "there is one GPU"),
        (one_gpu_if_enough, "all of them are to be used"),
        (lambda n, g, m, a: compute.choose(n, g, m, a).replace("ZeRO-", "zero"), "none of the answers"),
        (lambda n, g, m, a: compute.choose(n, g, m * (1 - 1e-9), a), "exactly"),
        (lambda n, g, m, a: compute.choose(n, g, m + 1, a), "one byte too many"),
        (lambda n, g, m, a: [compute.choose(n, g, m, a)], "wanted: a text"),
    ],
}  # fmt: skip

RIGHT = {
    "compute.1": [
        lambda n, t: 4 * (n - t) + 16 * t,
        lambda n, t: np.array([4 * n, 4 * t, 8 * t], dtype=float).sum(),
        lambda parameters, trainable: torch.tensor([parameters, 3 * trainable], dtype=torch.float64).mul(4).sum(),
    ],
    "compute.2": [bf16_by_library, bf16_by_float32, bf16_by_frexp],
    "compute.3": [absmax_numpy, absmax_list, lambda x: [(x * 127 / x.abs().max()).round().int(), x.abs().max() / 127]],
    "compute.4": [
        zero_numpy,
        lambda x: (lambda s, z: ([round(v / s) + z for v in x.tolist()], s, z))(*((lambda lo, hi: ((hi - lo) / 255, round(-128 - lo / ((hi - lo) / 255))))(min(0, *x.tolist()), max(0, *x.tolist())))),
    ],
    "compute.5": [
        lambda g, n: sum(a * b for a, b in zip(g, n)) / sum(n),
        lambda g, n: np.average([np.asarray(x) for x in g], axis=0, weights=n),
        lambda g, n: (torch.stack(g).movedim(0, -1) * torch.tensor(n)).sum(-1) / sum(n),
    ],
    "compute.6": [
        lambda n, r, s: [n * b / (r if s >= at else 1) for b, at in ((4, 3), (4, 2), (8, 1))],
        lambda n, r, s: np.array([4, 4, 8]) * n / np.where(np.array([3, 2, 1]) <= s, r, 1),
        lambda n, r, s: torch.tensor([4.0, 4.0, 8.0]) * n / torch.tensor([[1, 1, 1], [1, 1, r], [1, r, r], [r, r, r]])[s],
    ],
    "compute.7": [choose_by_bytes, lambda n, g, m, a: next((x if g > 1 else "one GPU" for s, x in enumerate(("DDP", "ZeRO-1", "ZeRO-2", "ZeRO-3")) if sum(compute.per_rank(n, g, s)) <= m - a), "does not fit")],
}  # fmt: skip

EQUIVALENT = {
    "compute.2": {"number < 0 → number <= 0": "0 has no power of two and is not asked"},
}
