"""Compute and memory: reference answers and their tests."""

from __future__ import annotations

import math

import torch

from .engine import Exercise, Wrong, close

# ------------------------------------------------------------ compute.1 bytes to train


def bytes_to_train(parameters, trainable):
    weights = 4 * parameters
    gradients = 4 * trainable
    moments = 2 * 4 * trainable
    return weights + gradients + moments


def _test_bytes_to_train(bytes_to_train):
    full, part = bytes_to_train(1e9, 1e9), bytes_to_train(1e9, 1e6)
    if close(full, 4e9, 1e6):
        raise Wrong("You counted the weights only. Training also holds a gradient and Adam's numbers for each trained weight.")
    if close(full, 12e9, 1e6):
        raise Wrong("12 bytes per weight: Adam keeps *two* running means, of the gradient and of its square.")
    if close(full, 16 * 8e9, 1e6):
        raise Wrong("That is the number of bits; a byte has eight.")
    if close(full, 16e9, 1e6) and close(part, 16e9, 1e6):
        raise Wrong("A frozen weight needs no gradient and no moments: only `trainable` weights do.")
    if close(full, 16e9, 1e6) and close(part, 16e6, 1e3):
        raise Wrong("The frozen weights do not vanish: the forward pass needs all of them.")
    if close(full, 16e9, 1e6) and not close(part, 4e9 + 12e6, 1e3):
        raise Wrong(f"Right if all weights are trained. With 1e6 of 1e9 trained yours is {part:g} bytes: what is kept for a frozen weight?")
    if not close(full, 16e9, 1e6):
        raise Wrong(f"With 1e9 weights, all trained, it is 16e9 bytes; yours: {full:g}.")


# ------------------------------------------------------------ compute.2 encode in BF16


def to_bf16(number):
    sign = "1" if number < 0 else "0"
    power = math.floor(math.log2(abs(number)))
    mantissa = round((abs(number) / 2**power - 1) * 128)
    if mantissa == 128:  # rounded up to the next power of two
        power, mantissa = power + 1, 0
    return sign, format(power + 127, "08b"), format(mantissa, "07b")


def _test_to_bf16(to_bf16):
    def bits(number):
        answer = to_bf16(number)
        if not isinstance(answer, (tuple, list)) or [len(str(part)) for part in answer] != [1, 8, 7]:
            raise Wrong(f"Return three strings of 1, 8 and 7 bits, for example ('0', '10000000', '1001001'); yours: {answer!r}.")
        return tuple(answer)

    pi = bits(math.pi)
    if pi[1] == "00000001":
        raise Wrong("The exponent is stored with the bias 127 added: 1 is stored as 128.")
    if bits(0.1) == ("0", "01111011", "1001100"):
        raise Wrong("0.1: you cut the mantissa off (76.8 became 76). Formats round to the *nearest* number.")
    if bits(-2.5)[0] != "1":
        raise Wrong("The sign bit of a negative number is 1.")
    for number in (math.pi, 0.1, -2.5, 1.0, 3.0e38, 1e-30):
        if bits(number) != to_bf16_of_torch(number):
            raise Wrong(f"{number:g} should be {to_bf16_of_torch(number)}; yours: {bits(number)}.")
    if bits(1.999) != to_bf16_of_torch(1.999):
        raise Wrong("1.999: the mantissa rounds up to 128, which needs an eighth bit. The number has become 2.0.")


def to_bf16_of_torch(number):
    """The library's bits for the check above."""
    stored = torch.tensor(number, dtype=torch.bfloat16).view(torch.int16).item() % 2**16
    text = format(stored, "016b")
    return text[0], text[1:9], text[9:]


# ------------------------------------------------------------ compute.3 absmax


def quantise(x):
    scale = x.abs().max() / 127
    return (x / scale).round(), scale


def _test_quantise(quantise):
    x = torch.tensor([0.5, -2.54, 1.0, 0.254])
    codes, scale = quantise(x.clone())
    codes, scale = torch.as_tensor(codes).float(), float(scale)
    if close(scale, 127 / 2.54, 1e-3):
        raise Wrong("Your scale is turned round: x ≈ codes × scale, so the scale is the largest size divided by 127.")
    if codes.abs().max() > 127:
        raise Wrong(f"The code {codes.abs().max():g} does not fit into −127 … 127: the largest *absolute* value decides, here that of −2.54.")
    if close(scale, 5.08 / 255, 1e-4) and close(codes.min(), -128):
        raise Wrong("You used the range from smallest to largest. Absmax looks at sizes only, and 0 stays 0.")
    if not close(scale, 0.02, 1e-4):
        raise Wrong(f"The largest absolute value, 2.54, should become 127: the scale is 0.02, yours {scale:.4f}.")
    if close(codes, [25, -127, 50, 12]):
        raise Wrong("12.7 became 12: round to the nearest code, do not cut off.")
    if not close(codes, codes.round()):
        raise Wrong("The codes are not whole numbers: round them.")
    if not close(codes, [25, -127, 50, 13]):
        raise Wrong(f"The codes should be 25, −127, 50, 13; yours: {codes.tolist()}.")


# ------------------------------------------------------------ compute.4 zero-point


def quantise_with_zero(x):
    low, high = min(x.min().item(), 0.0), max(x.max().item(), 0.0)
    scale = (high - low) / 255
    zero = round(-128 - low / scale)
    return (x / scale + zero).round(), scale, zero


def _test_quantise_with_zero(quantise_with_zero):
    x = torch.tensor([-1.0, 0.0, 2.0, 4.1])  # scale 0.02, zero −78
    codes, scale, zero = quantise_with_zero(x.clone())
    codes, scale, zero = torch.as_tensor(codes).float(), float(scale), float(zero)
    if close(scale, 4.1 / 127, 1e-4):
        raise Wrong("That is absmax's scale. Here all 256 codes share the range from smallest to largest: divide by 255.")
    if close(scale, 5.1 / 256, 1e-5):
        raise Wrong("256 codes have 255 gaps between them: divide by 255.")
    if not close(scale, 0.02, 1e-4):
        raise Wrong(f"From −1.0 to 4.1 are 5.1, in 255 steps: 0.02. Yours: {scale:.4f}.")
    if close(codes.min(), 0) and close(codes.max(), 255):
        raise Wrong("Your codes run from 0 to 255; signed ones run from −128 to 127.")
    if close(zero, 78) or close(zero, -178):
        raise Wrong("The sign of the zero point: the *smallest* value, −1.0, must become −128.")
    if not close(codes, [-128, -78, 22, 127]) or not close(zero, -78):
        raise Wrong(f"The codes should be −128, −78, 22, 127 and the zero −78; yours: {codes.tolist()} and {zero:g}.")
    codes, scale, zero = quantise_with_zero(torch.tensor([5.0, 6.0]))
    if not close(scale, 6 / 255, 1e-4):
        raise Wrong("For 5.0 and 6.0 the range should go from 0 to 6: it includes 0, so that 0 has a code.")
    if not close(float(quantise_with_zero(torch.tensor([-6.0, -5.0]))[1]), 6 / 255, 1e-4):
        raise Wrong("For −6.0 and −5.0 the range should go from −6 to 0: it includes 0, so that 0 has a code.")
    codes, scale, zero = quantise_with_zero(torch.tensor([-0.37, 0.05, 1.1]))
    if not close(float(zero), -64):
        raise Wrong("−128 + 0.37 / scale is −63.8: the zero must be a whole code, −64, or 0.0 does not come back as 0.")
    if not close(torch.as_tensor(codes).float(), [-128, -55, 127]):
        raise Wrong("Round to the nearest code, do not cut off: 126.8 becomes 127.")


# ------------------------------------------------------------ compute.5 spot the bug: averaging gradients


def combine(gradients, tokens):
    total = sum(tokens)
    return sum(g * (n / total) for g, n in zip(gradients, tokens))


def _test_combine(combine):
    gradients, tokens = [torch.tensor([4.0, 0.0]), torch.tensor([0.0, 8.0])], [1, 3]
    got = combine([g.clone() for g in gradients], list(tokens))
    if got is None or torch.as_tensor(got).shape != (2,):
        raise Wrong("Return one gradient of the shape of each rank's.")
    if close(got, [2.0, 4.0]):
        raise Wrong("That is the plain average: a token of the rank with 1 token counts three times as much as one of the rank with 3.")
    if close(got, [4.0, 8.0]):
        raise Wrong("That is the sum over the ranks: with twice the ranks the step would be twice as long.")
    if close(got, [4.0, 24.0]):
        raise Wrong("Weighted by tokens, but not divided by their number: 4 here.")
    if close(got, [0.5, 3.0]):
        raise Wrong("Averaged twice: the shares of the tokens already add up to 1, do not divide by the ranks again.")
    if not close(got, [1.0, 6.0]):
        raise Wrong(f"Of four tokens, one says [4, 0] and three say [0, 8]: the mean is [1, 6], yours {torch.as_tensor(got).tolist()}.")


# ------------------------------------------------------------ compute.6 ZeRO


def per_rank(parameters, ranks, stage):
    weights, gradients, moments = 4 * parameters, 4 * parameters, 8 * parameters
    if stage >= 1:
        moments = moments / ranks
    if stage >= 2:
        gradients = gradients / ranks
    if stage >= 3:
        weights = weights / ranks
    return weights, gradients, moments


def _test_per_rank(per_rank):
    want = {0: (32, 32, 64), 1: (32, 32, 16), 2: (32, 8, 16), 3: (8, 8, 16)}
    got = {stage: tuple(per_rank(8, 4, stage)) for stage in want}
    if any(len(parts) != 3 for parts in got.values()):
        raise Wrong("Return three numbers: weights, gradients, moments.")
    if close(got[0], want[3]):
        raise Wrong("Stage 0 is DDP: every rank holds everything.")
    if close(got[1], want[3]):
        raise Wrong("At stage 1 you share everything out. Each stage adds *one* thing: moments, then gradients, then weights.")
    if close(got[1], (32, 8, 64)) or close(got[1], (8, 32, 64)):
        raise Wrong("Which part is shared first? The largest, and the one no other rank needs in between: the moments.")
    if close(got[2], (8, 32, 16)):
        raise Wrong("Stage 2 shares the gradients, stage 3 the weights; you have them the other way round.")
    if close(got[3], (8, 8, 64)) or close(got[2], (32, 8, 64)):
        raise Wrong("The stages add up: stage 3 shares what stages 1 and 2 share, and the weights too.")
    for stage in want:
        if not close(got[stage], want[stage]):
            raise Wrong(f"8 weights, 4 ranks, stage {stage}: {want[stage]}; yours {got[stage]}.")


# ------------------------------------------------------------ compute.7 decide


def choose(parameters, gpus, memory, activations):
    for stage, name in enumerate(["DDP", "ZeRO-1", "ZeRO-2", "ZeRO-3"]):
        if sum(per_rank(parameters, gpus, stage)) + activations <= memory:
            return "one GPU" if gpus == 1 else name
    return "does not fit"


def _test_choose(choose):
    cases = (
        ((1e9, 1, 80e9, 10e9), "one GPU", "16 GB and 10 GB of activations fit one card of 80 GB, and there is one GPU."),
        ((1e9, 8, 80e9, 10e9), "DDP", "All 16 GB fit on each card: more sharing than needed costs traffic, so DDP."),
        ((7e9, 8, 80e9, 10e9), "ZeRO-1", "Sharing the moments out, 56 + 56/8 + 10 = 73 GB, is enough here."),
        ((7e9, 8, 80e9, 45e9), "ZeRO-3", "No stage shares activations: 45 GB of them stay on every rank, so only ZeRO-3 fits."),
        ((9e9, 8, 80e9, 20e9), "ZeRO-2", "Moments and gradients must be shared out here, and that is enough."),
        ((30e9, 1, 80e9, 10e9), "does not fit", "With one GPU there is nothing to share with."),
        ((70e9, 8, 80e9, 10e9), "does not fit", "Even shared by 8, 16 bytes per weight are 140 GB per card: several GPUs do not mean that some stage fits."),
    )
    for arguments, want, why in cases:
        got = choose(*arguments)
        if got != want:
            raise Wrong(f"choose{arguments} gave {got!r}. {why}")


EXERCISES = [
    Exercise("compute.1", "bytes to train", bytes_to_train, _test_bytes_to_train, (
        "List what exists for each weight, and what only for a weight that is trained.",
        "A number in FP32 takes 4 bytes. Adam keeps two for each trained weight.",
    )),
    Exercise("compute.2", "encode in BF16", to_bf16, _test_to_bf16, (
        "math.floor(math.log2(size)) is the power; size / 2**power lies between 1 and 2.",
        "format(n, '07b') writes n with seven bits. The mantissa counts 128ths above 1, rounded.",
        "What if the rounded mantissa is 128?",
    )),
    Exercise("compute.3", "absmax", quantise, _test_quantise, (
        "Which value must become 127 or −127?",
        "x.abs().max() and .round().",
    )),
    Exercise("compute.4", "zero-point", quantise_with_zero, _test_quantise_with_zero, (
        "Stretch the range from the smallest to the largest value (0 included) over 255 steps.",
        "The zero is the code that 0.0 gets, if the smallest value gets −128.",
    )),
    Exercise("compute.5", "spot the bug: averaging gradients", combine, _test_combine, (
        "What is the gradient of the mean over all tokens, if each rank gives you its own mean?",
        "A rank's weight is its share of the tokens.",
    )),
    Exercise("compute.6", "ZeRO, bytes per rank", per_rank, _test_per_rank, (
        "Start from 4, 4 and 8 bytes per weight on every rank.",
        "Each stage divides one more of the three by the number of ranks.",
    )),
    Exercise("compute.7", "which strategy?", choose, _test_choose, (
        "Try the stages in order and stop at the first that fits.",
        "per_rank gives what a rank holds; the activations come on top, undivided.",
    )),
]  # fmt: skip
