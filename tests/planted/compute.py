"""Plausible wrong answers: id → [(answer, words of the message it gets)]."""

import math

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


def always_zero_3(n, gpus, memory, activations):
    fits = sum(compute.per_rank(n, gpus, 3)) + activations <= memory
    return ("ZeRO-3" if gpus > 1 else "one GPU") if fits else "does not fit"


def zero_that_is_no_code(x):
    _, scale, _ = compute.quantise_with_zero(x)
    zero = -128 - min(x.min().item(), 0.0) / scale
    return (x / scale + zero).round(), scale, zero


def cut_off_codes(x):
    _, scale, zero = compute.quantise_with_zero(x)
    return (x / scale + zero + 1e-3).floor(), scale, zero


PLANTED = {
    "compute.1": [
        (lambda n, t: 4 * n, "weights only"),
        (lambda n, t: 4 * n + 8 * t, "two"),
        (lambda n, t: 16 * n, "frozen weight needs no"),
        (lambda n, t: 16 * t, "do not vanish"),
        (lambda n, t: 12 * n + 4 * t, "kept for a frozen weight"),
    ],
    "compute.2": [
        (cut_off, "cut the mantissa off"),
        (no_bias, "bias"),
        (no_carry, "eighth bit"),
        (lambda x: compute.to_bf16(abs(x)), "sign bit"),
        (lambda x: "".join(compute.to_bf16(x)), "three strings"),
    ],
    "compute.3": [
        (by_maximum, "absolute"),
        (lambda x: ((x / (x.abs().max() / 127)).trunc(), x.abs().max() / 127), "do not cut off"),
        (lambda x: (x / (x.abs().max() / 127), x.abs().max() / 127), "whole numbers"),
        (lambda x: ((x * 127 / x.abs().max()).round(), 127 / x.abs().max()), "turned round"),
    ],
    "compute.4": [
        (absmax_with_zero, "absmax's scale"),
        (without_zero_in_range, "includes 0"),
        (lambda x: ((x - x.min()) / 0.02, 0.02, 50), "0 to 255"),
        (lambda x: (x / 0.02 + 78, 0.02, 78), "sign of the zero point"),
        (zero_that_is_no_code, "a whole code"),
        (cut_off_codes, "do not cut off"),
    ],
    "compute.5": [
        (lambda g, n: sum(g) / len(g), "plain average"),
        (lambda g, n: sum(g), "sum over the ranks"),
        (lambda g, n: sum(a * b for a, b in zip(g, n)), "not divided"),
        (lambda g, n: compute.combine(g, n) / len(g), "Averaged twice"),
    ],
    "compute.6": [
        (lambda n, r, s: tuple(torch.tensor([4.0, 4.0, 8.0]) * n / (r if s else 1)), "adds *one* thing"),
        (lambda n, r, s: (4 * n / r, 4 * n / r, 8 * n / r), "DDP"),
        (lambda n, r, s: (4 * n / (r if s > 1 else 1), 4 * n / (r if s > 2 else 1), 8 * n / (r if s else 1)), "other way round"),
        (lambda n, r, s: (4 * n / (r if s == 3 else 1), 4 * n / (r if s == 2 else 1), 8 * n / (r if s == 1 else 1)), "add up"),
    ],
    "compute.7": [
        (always_zero_3, "more sharing than needed"),
        (lambda n, g, m, a: found if (found := compute.choose(n, g, m, a)) != "does not fit" or g == 1 else "ZeRO-3", "some stage fits"),
        (lambda n, g, m, a: compute.choose(n, g, m, a / g), "No stage shares activations"),
        (lambda n, g, m, a: compute.choose(n, max(g, 8), m, a).replace("ZeRO-3", "one GPU") if g == 1 else compute.choose(n, g, m, a), "there is one GPU"),
    ],
}  # fmt: skip
