"""PEFT from the inside: reference answers and their tests."""

from __future__ import annotations

import math

import torch

from .engine import Exercise, Wrong, close

# ------------------------------------------------------------ peft.1 the forward pass


def lora_forward(x, W, A, B, alpha):
    return x @ W.T + alpha / A.shape[0] * (x @ A.T @ B.T)


def _test_lora_forward(lora_forward):
    torch.manual_seed(0)
    x, W, A, B = torch.randn(4, 3), torch.randn(5, 3), torch.randn(2, 3), torch.randn(5, 2)
    got = lora_forward(x, W, A, B, 6.0)
    if not isinstance(got, torch.Tensor) or got.shape != (4, 5):
        raise Wrong("x is [4, 3] and W is [5, 3]: the result is [4, 5]. Multiply by the transposes.")
    detour = x @ A.T @ B.T
    if close(got, 3 * detour):
        raise Wrong("That is the detour alone: add W x.")
    if close(got, x @ W.T + detour):
        raise Wrong("The scale α / r is missing.")
    if close(got, x @ W.T + 6 * detour):
        raise Wrong("The scale is α / r, here 6 / 2 = 3, not α.")
    if not close(got, x @ W.T + 3 * detour):
        raise Wrong("Expected x Wᵀ + (α / r) · x Aᵀ Bᵀ, where r is the number of rows of A.")


# ------------------------------------------------------------ peft.2 spot the bug: all zero


def make_adapter(fan_in, fan_out, r):
    A = (torch.randn(r, fan_in) / fan_in**0.5).requires_grad_()
    B = torch.zeros(fan_out, r, requires_grad=True)
    return A, B


def _test_make_adapter(make_adapter):
    A, B = make_adapter(6, 4, 2)
    if tuple(A.shape) != (2, 6) or tuple(B.shape) != (4, 2):
        raise Wrong("A has shape [r, in] = [2, 6], B has [out, r] = [4, 2].")
    if not (A.requires_grad and B.requires_grad):
        raise Wrong("Both must be trainable: requires_grad=True on the tensors you return.")
    if not (A.is_leaf and B.is_leaf):
        raise Wrong("An optimiser needs leaf tensors: call requires_grad_() after the arithmetic.")
    if (B @ A).abs().max() > 0:
        raise Wrong("The product is not zero: the model would start from something other than the original.")
    if A.abs().max() == 0 and B.abs().max() == 0:
        raise Wrong("Both are zero: the product has no slope in either, and nothing ever moves.")


# ------------------------------------------------------------ peft.3 the largest rank that fits


def largest_rank(shapes, budget):
    return int(budget // (4 * sum(fan_in + fan_out for fan_in, fan_out in shapes)))


def _test_largest_rank(largest_rank):
    shapes = [(10, 20), (20, 10)]  # 60 weights, 240 bytes per rank
    got = largest_rank(shapes, 1000)
    if got == 16:
        raise Wrong("You counted one byte per weight: fp32 takes 4.")
    if got == 5 or isinstance(got, float) and got != int(got):
        raise Wrong("Round down: r = 5 would need 1,200 bytes.")
    if got in (0, 1) and largest_rank(shapes, 4000) in (2, 5):
        raise Wrong("You counted in × out; LoRA's weights are r · (in + out).")
    if got != 4:
        raise Wrong(f"Each rank costs 4 · (30 + 30) = 240 bytes: r = 4 fits into 1,000, not {got}.")
    if largest_rank(shapes, 240) != 1 or largest_rank(shapes, 239) != 0:
        raise Wrong("Exactly 240 bytes fit r = 1; 239 fit nothing.")


# ------------------------------------------------------------ peft.4 read the sweep


def best(rows, spread):
    good = sorted((loss, setting) for setting, loss in rows if not math.isnan(loss))
    return [setting for loss, setting in good if loss <= good[0][0] + spread]


def _test_best(best):
    rows = [("a", 2.50), ("b", 2.30), ("c", float("nan")), ("d", 2.34), ("e", 2.41)]
    try:
        got = list(best(list(rows), 0.05))
    except TypeError:
        raise Wrong("Return a list of settings.") from None
    if "c" in got:
        raise Wrong("A diverged run (NaN) is among your best: leave it out.")
    if got == ["b"]:
        raise Wrong("'d' is within the spread of 'b': the data cannot separate them, so name both.")
    if got == ["d", "b"]:
        raise Wrong("Best first: sort by the loss.")
    if got != ["b", "d"]:
        raise Wrong(f"Within .05 of the lowest, 2.30, are b and d; yours: {got}.")
    if list(best([("x", float("nan")), ("y", 1.0)], 0.0)) != ["y"]:
        raise Wrong("A NaN at the beginning confuses min() and sorted(): drop NaN first.")


# ------------------------------------------------------------ peft.5 low-rank approximation


def truncate(M, r):
    U, S, V = torch.linalg.svd(M, full_matrices=False)
    return U[:, :r] * S[:r] @ V[:r]


def _test_truncate(truncate):
    torch.manual_seed(0)
    M = torch.randn(6, 4)
    got = truncate(M.clone(), 2)
    if not isinstance(got, torch.Tensor) or got.shape != M.shape:
        raise Wrong("The approximation has M's shape, [6, 4].")
    if torch.linalg.matrix_rank(got) != 2:
        raise Wrong(f"Your matrix has rank {int(torch.linalg.matrix_rank(got))}, not 2.")
    values = torch.linalg.svdvals(M)
    if not abs(torch.linalg.norm(M - got) - values[2:].norm()) < 1e-3:
        raise Wrong("Another matrix of rank 2 is closer: keep the *largest* singular values, and V's rows.")


# ------------------------------------------------------------ peft.6 quantise


def quantise(W):
    scale = W.abs().amax(1, keepdim=True).clamp(min=1e-12) / 127
    return (W / scale).round().to(torch.int8), scale


def _test_quantise(quantise):
    W = torch.tensor([[1.0, -0.5, 0.267], [100.0, 0.0, -50.0]])
    try:
        integers, scale = quantise(W.clone())
    except (TypeError, ValueError):
        raise Wrong("Return two tensors: the integers and the scale.") from None
    if integers.dtype != torch.int8:
        raise Wrong(f"The integers are {integers.dtype}: convert them with .to(torch.int8).")
    if scale.numel() == 1:
        raise Wrong("One scale for the whole matrix: the large row ruins the small one. One per row.")
    if tuple(scale.shape) != (2, 1):
        raise Wrong("The scale has shape [rows, 1], so that it multiplies row by row.")
    if (integers.sign() * W.sign() < 0).any():
        raise Wrong("A sign flipped: int8 ends at 127, so divide by the largest value over 127 (not 128).")
    error = (integers * scale - W).abs() / W.abs().amax(1, keepdim=True)
    if error.max() > 0.0042:
        raise Wrong("The error is larger than half a step: round to the nearest, do not cut off.")
    integers, scale = quantise(torch.zeros(1, 3))
    if not (scale > 0).all() or (integers != 0).any():
        raise Wrong("A row of zeros gives 0 / 0: keep the scale above zero.")


# ------------------------------------------------------------ peft.7 choose a method


def choose(task):
    room = 0.75 * task["gpu_bytes"] / task["parameters"]
    if task["adapters"] == 1 and room >= 16:
        return "full"
    if room >= 2:
        return "LoRA"
    if room >= 0.5:
        return "QLoRA"
    raise ValueError("The model does not fit.")


def _test_choose(choose):
    def ask(parameters, gpu, adapters):
        return choose({"parameters": parameters, "gpu_bytes": gpu, "adapters": adapters})

    if ask(1e9, 17e9, 1) == "full":
        raise Wrong("16 GB fit into 17 GB, but not with a quarter left free.")
    if ask(1e9, 24e9, 5) == "full":
        raise Wrong("Five variants, each a full copy of the model? Adapters share one base.")
    cases = [((1e9, 24e9, 1), "full"), ((1e9, 24e9, 5), "LoRA"), ((7e9, 24e9, 1), "LoRA"), ((7e9, 8e9, 1), "QLoRA")]
    for arguments, want in cases:
        if ask(*arguments) != want:
            raise Wrong(f"For (parameters, memory, adapters) = {arguments} the rules give {want}, not {ask(*arguments)}.")
    try:
        answer = ask(70e9, 8e9, 1)
    except ValueError:
        return
    raise Wrong(f"70 billion weights in 8 GB fit no method; you answered {answer}. Raise ValueError.")


EXERCISES = [
    Exercise("peft.1", "the forward pass", lora_forward, _test_lora_forward, (
        "x @ W.T is the frozen part.",
        "x @ A.T has r numbers; times B.T it has `out` again. The scale is alpha / A.shape[0].",
    )),
    Exercise("peft.2", "spot the bug: the adapter that never learns", make_adapter, _test_make_adapter, (
        "One factor must be zero and the other must not.",
        "Draw A at random, about 1 / √in large, and call requires_grad_() on the result.",
    )),
    Exercise("peft.3", "the largest rank that fits", largest_rank, _test_largest_rank, (
        "One unit of rank costs 4 · Σ (in + out) bytes.",
        "Integer division rounds down.",
    )),
    Exercise("peft.4", "read the sweep", best, _test_best, (
        "Drop NaN first (math.isnan), then sort by loss.",
        "Keep everything up to the lowest loss + spread.",
    )),
    Exercise("peft.5", "the best approximation of rank r", truncate, _test_truncate, (
        "torch.linalg.svd(M, full_matrices=False) returns U, S and the transposed V, largest first.",
        "Cut all three to r: columns of U, values of S, rows of V. Scaling the columns of U by S saves a diagonal matrix.",
    )),
    Exercise("peft.6", "quantise and back", quantise, _test_quantise, (
        "The scale of a row is its largest absolute value / 127.",
        "amax(1, keepdim=True) keeps the shape [rows, 1]; clamp it away from 0.",
    )),
    Exercise("peft.7", "choose a method", choose, _test_choose, (
        "Work out how many bytes per weight you have: 0.75 · memory / parameters.",
        "Ask in order: full (one variant, ≥ 16)? LoRA (≥ 2)? QLoRA (≥ 0.5)?",
    )),
]  # fmt: skip
