"""Where the bytes go: training, number formats, eight-bit integers, and shares of several GPUs.

Pure functions of numbers and tensors; one of them measures a real training step. ``python -m
course_utils.memory`` does that for SmolLM2 in a process of its own and prints JSON.

Sources: Rajbhandari et al. 2019 (ZeRO, arXiv:1910.02054) for the sixteen bytes and the stages; Kalamkar
et al. 2019 (arXiv:1905.12322) for BF16; Micikevicius et al. 2022 (arXiv:2209.05433) for FP8; Dettmers et
al. 2022 (LLM.int8(), arXiv:2208.07339) for absmax and zero-point.
"""

from __future__ import annotations

import argparse
import copy
import json
import re
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from .settings import CourseError

GB = 1e9  # as on the box of a GPU; 2**30 is a GiB


# ---------------------------------------------------------------- one GPU


def training_bytes(
    parameters: float, *, weight: float = 4, gradient: float = 4, moments: float = 8, rest: float = 8
) -> dict[str, float]:
    """Bytes to train, by what they are for. The defaults are FP32, Adam, and the 24-byte rule of thumb.

    ``weight, gradient, moments`` are bytes per parameter. So is ``rest``, for activations and temporary
    tensors: a guess, as they depend on the batch and not on the parameters (:func:`activation_bytes`).
    """
    parts = {"weights": weight, "gradients": gradient, "Adam's moments": moments, "activations and temporary": rest}
    return {name: size * parameters for name, size in parts.items()}


def activation_bytes(
    rows: int, length: int, *, layers: int, width: int, inner: int, kv_width: int, heads: int,
    vocabulary: int, width_bytes: int = 4,
) -> int:
    """Bytes kept from the forward to the backward pass of a Llama-like model without checkpointing.

    Counted operation by operation, as autograd keeps them with fused attention. A token and layer: each
    of two RMS norms keeps its input, the normalised vector and its output (6 width, 2 roots); attention
    keeps queries, keys, values and its output (2 width + 2 kv_width) and a sum for each head; the gated
    MLP keeps gate, its SiLU, up, and their product (4 inner). After the layers: one more norm, and a
    log-probability for each word of the vocabulary. Rotary tables and ids are left out: they are small.
    """
    layer = 8 * width + 2 * kv_width + heads + 2 + 4 * inner
    token = layers * layer + 3 * width + 1 + vocabulary
    return rows * length * token * width_bytes


def llama_shape(config) -> dict[str, int]:
    """The sizes :func:`activation_bytes` needs, from a transformers configuration."""
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return {
        "layers": config.num_hidden_layers, "width": config.hidden_size,
        "inner": config.intermediate_size, "kv_width": config.num_key_value_heads * head,
        "heads": config.num_attention_heads, "vocabulary": config.vocab_size,
    }  # fmt: skip


# ---------------------------------------------------------------- several GPUs


def zero_bytes(
    parameters: float, ranks: int, stage: int, *, weight: float = 4, gradient: float = 4, moments: float = 8
) -> dict[str, float]:
    """Bytes that a rank holds at a ZeRO stage: 0 (DDP: all on each), 1 (moments shared out), 2 (gradients
    too), 3 (weights too). Activations come on top, and no stage shares them out.

    Stage 2 keeps all weights on each rank. PyTorch's ``fully_shard(…, reshard_after_forward=False)`` does
    so from the forward to the end of the backward pass, beside the rank's own share.

    Raises
    ------
    CourseError
        for a stage that is not 0, 1, 2 or 3, or fewer than one rank.
    """
    if stage not in (0, 1, 2, 3) or ranks < 1:
        raise CourseError(f"stage={stage} must be 0, 1, 2 or 3 and ranks={ranks} at least 1.")
    share = 1 / ranks
    return {
        "weights": parameters * weight * (share if stage >= 3 else 1),
        "gradients": parameters * gradient * (share if stage >= 2 else 1),
        "optimizer": parameters * moments * (share if stage >= 1 else 1),
    }


def traffic_bytes(parameters: float, ranks: int, stage: int, width: float = 4) -> float:
    """Bytes each rank sends in one step with ring algorithms.

    Stages 0–2: one all-reduce of the gradients, or a reduce-scatter and an all-gather: 2 N (r − 1)/r
    numbers. Stage 3 gathers the weights once more, for the backward pass: 3 N (r − 1)/r. (Rajbhandari et
    al. 2019, section 7, which rounds (r − 1)/r to 1.)
    """
    return (3 if stage == 3 else 2) * parameters * width * (ranks - 1) / ranks


# ---------------------------------------------------------------- number formats


@dataclass(frozen=True)
class Format:
    """A floating-point format: one sign bit, then exponent and mantissa bits. bias = 2^(e−1) − 1."""

    name: str
    exponent: int
    mantissa: int
    dtype: torch.dtype
    carrier: torch.dtype  # an integer type of the same size, to look at the bits

    @property
    def bits(self) -> int:
        return 1 + self.exponent + self.mantissa

    @property
    def bias(self) -> int:
        return 2 ** (self.exponent - 1) - 1

    @property
    def largest(self) -> float:
        return torch.finfo(self.dtype).max

    @property
    def smallest(self) -> float:
        """The smallest positive number of full precision."""
        return torch.finfo(self.dtype).smallest_normal

    @property
    def step(self) -> float:
        """The gap between 1 and the next number."""
        return 2.0**-self.mantissa


FORMATS = {
    f.name: f
    for f in (
        Format("FP32", 8, 23, torch.float32, torch.int32),
        Format("FP16", 5, 10, torch.float16, torch.int16),
        Format("BF16", 8, 7, torch.bfloat16, torch.int16),
        Format("FP8 E4M3", 4, 3, torch.float8_e4m3fn, torch.uint8),
        Format("FP8 E5M2", 5, 2, torch.float8_e5m2, torch.uint8),
    )
}


def bits_of(number: float, form: Format) -> tuple[str, str, str]:
    """``(sign, exponent, mantissa)`` as torch stores the number, each a string of 0 and 1."""
    stored = torch.tensor([number], dtype=torch.float32).to(form.dtype).view(form.carrier).item()
    text = format(stored % 2**form.bits, f"0{form.bits}b")
    return text[0], text[1 : 1 + form.exponent], text[1 + form.exponent :]


def value_of(sign: str, exponent: str, mantissa: str) -> float:
    """The number that bits stand for: ± 2^(exponent − bias) × (1 + mantissa). Not for infinity or NaN.

    An exponent of zeros means 2^(1 − bias) × (0 + mantissa): the subnormal numbers, and 0 itself.
    """
    bias, power = 2 ** (len(exponent) - 1) - 1, int(exponent, 2)
    fraction = int(mantissa, 2) / 2 ** len(mantissa)
    size = 2.0 ** (power - bias) * (1 + fraction) if power else 2.0 ** (1 - bias) * fraction
    return -size if sign == "1" else size


# ---------------------------------------------------------------- eight-bit integers


def absmax(x: torch.Tensor, dim: int | None = None, bits: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    """``(codes, scale)``: integers from −127 to 127 (for 8 bits), x ≈ codes × scale.

    The largest absolute value becomes 127. ``dim`` None gives one scale for the tensor; otherwise the
    largest is taken along ``dim`` (1 for a weight [outputs, inputs]: one scale an output channel).
    """
    top = 2 ** (bits - 1) - 1
    largest = x.abs().amax() if dim is None else x.abs().amax(dim, keepdim=True)
    scale = torch.where(largest > 0, largest, 1.0) / top  # zeros stay zeros, without 0 / 0
    return (x / scale).round().clamp(-top, top).to(torch.int8), scale


def rounded(x: torch.Tensor, bits: int, group: int | None = None) -> torch.Tensor:
    """``x`` after :func:`absmax` and back, of the same shape and type.

    ``group`` neighbours share a scale: the number of columns gives one scale per row of a weight, None
    one for all. The number of elements must be a multiple of it.
    """
    codes, scale = absmax(x, bits=bits) if group is None else absmax(x.reshape(-1, group), 1, bits)
    return (codes * scale).view_as(x)


def zero_point(
    x: torch.Tensor, dim: int | None = None, bits: int = 8
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """``(codes, scale, zero)``: integers from −128 to 127 (for 8 bits), x ≈ (codes − zero) × scale.

    The smallest value becomes −128, the largest 127. The range always includes 0, so that 0 has a code
    of its own. ``dim`` as for :func:`absmax`.
    """
    low, high = (x.amin(), x.amax()) if dim is None else (x.amin(dim, True), x.amax(dim, True))
    low, high = low.clamp(max=0), high.clamp(min=0)
    bottom, top = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    scale = torch.where(high > low, high - low, 1.0) / (top - bottom)
    zero = (bottom - low / scale).round()
    return (x / scale + zero).round().clamp(bottom, top).to(torch.int8), scale, zero


def linear_layers(model: torch.nn.Module) -> list[torch.nn.Linear]:
    """The linear layers inside a language model's transformer layers; its output layer is not one."""
    layers = model.get_decoder().layers
    return [module for module in layers.modules() if isinstance(module, torch.nn.Linear)]


def with_weights(llm, change):
    """A copy of an :class:`llm.LLM` whose linear layers' weights are ``change(weight)``."""
    model = copy.deepcopy(llm.model)
    for layer in linear_layers(model):
        layer.weight.data = change(layer.weight.data)
    return type(llm)(model, llm.tokenizer, llm.name)


# ---------------------------------------------------------------- measuring


def perplexity(llm, texts) -> float:
    """e to the mean loss per token over all texts, for an :class:`llm.LLM`; lower is better."""
    from .finetune import encode_text, nll

    examples = encode_text(llm, texts)
    lengths = torch.tensor([len(example.ids) - 1 for example in examples])  # the first is not predicted
    losses = torch.tensor(nll(llm, examples, batch_size=25))  # a text's mean
    return ((losses * lengths).sum() / lengths.sum()).exp().item()


@contextmanager
def saved_tensors(model: torch.nn.Module):
    """Note what autograd keeps for the backward pass; gives a dict memory address → bytes.

    Each block of memory counts once, however many operations keep it; the model's own weights, which
    operations keep too, do not count. Read the dict while the loss is alive.
    """
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    found: dict[int, int] = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            found[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        yield found


def measure_step(model: torch.nn.Module, ids: torch.Tensor) -> dict[str, int]:
    """Train two steps on ``ids`` [rows, length] and say what the second one holds, in bytes.

    The gradients are set to zero and kept between the steps, so that in the second step weights,
    gradients, moments and activations exist at the same time. ``weights, gradients, moments`` are the
    tensors' own sizes, ``activations`` what autograd keeps.
    """
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)
    for _ in range(2):
        optimizer.zero_grad(set_to_none=False)
        with saved_tensors(model) as kept:
            loss = model(ids, labels=ids, use_cache=False).loss
        activations = sum(kept.values())
        loss.backward()
        optimizer.step()
    states = optimizer.state.values()
    return {
        "weights": sum(p.nbytes for p in model.parameters()),
        "gradients": sum(p.grad.nbytes for p in model.parameters()),
        "moments": sum(s[key].nbytes for s in states for key in ("exp_avg", "exp_avg_sq")),
        "activations": activations,
    }


def measure_in_own_process(rows: int, length: int, layers: int) -> dict[str, int]:
    """:func:`measure_step` for SmolLM2's first layers in a fresh process, and by how much that process grew.

    Bytes of ``weights, gradients, moments, activations`` and, as the operating system counts,
    ``resident``: the largest growth of the whole process.

    Raises
    ------
    CourseError
        if the process fails, for example for lack of memory.
    """
    command = [sys.executable, "-m", "course_utils.memory", "--rows", str(rows), "--length", str(length)]
    command += ["--layers", str(layers)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["it was killed, perhaps for lack of memory"])[-1]
        raise CourseError(f"The process that measures a training step failed: {said}")
    return json.loads(done.stdout)


def resident_bytes(peak: bool = False) -> int:
    """Physical memory of this process, now or (on Linux; elsewhere now) at its largest so far."""
    import psutil

    try:
        status = Path("/proc/self/status").read_text() if peak else ""
        return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024
    except (OSError, TypeError):
        return psutil.Process().memory_info().rss


def main(arguments: list[str] | None = None) -> int:
    """Measure a training step of the course's own model and print what it held, as JSON."""
    parser = argparse.ArgumentParser(prog="course_utils.memory", description=main.__doc__)
    parser.add_argument("--rows", type=int, default=4)
    parser.add_argument("--length", type=int, default=64)
    parser.add_argument("--layers", type=int, default=30, help="the first so many of SmolLM2's 30 layers")
    options = parser.parse_args(arguments)
    if options.rows < 1 or not 2 <= options.length <= 8192 or not 1 <= options.layers <= 30:
        parser.error("--rows is at least 1, --length between 2 and 8192, --layers between 1 and 30")
    from .finetune import memory_in_use, release_memory
    from .models import load_llm
    from .settings import embedded

    on_cpu = replace(embedded(), device="cpu")  # where a process's memory can be read

    # Once for nothing: what libraries and the tokenizer take is not the training step's memory.
    model = load_llm(on_cpu).model
    model(torch.zeros(1, 2, dtype=torch.long))
    del model
    release_memory()
    before = memory_in_use()
    model = load_llm(on_cpu).model
    del model.model.layers[options.layers :]
    torch.manual_seed(0)
    ids = torch.randint(model.config.vocab_size, (options.rows, options.length))
    found = measure_step(model, ids)
    found["resident"] = resident_bytes(peak=True) - before
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
