#!/usr/bin/env bash
# bitsandbytes on a processor: one forward pass in evaluation mode, and later training passes no gradient through a 4-bit layer.
#
# Library   bitsandbytes 0.50.2 with torch 2.13.0, on a processor with AVX512-BF16 (others do not repack: exit 0)
# Expected  layer.eval(); layer(x) under no_grad; layer.train(): the layer trains as before, as torch.nn.Linear does
# Seen      that one pass repacked the weights for inference, and train() does not undo it: afterwards the input gets
#           no gradient (torch warns that the operator has none), so whatever lies in front of the layer learns nothing
# Why       measuring a QLoRA model before training it, the most natural order, silently spoils the training
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
"${PYTHON:-python3}" -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6 bitsandbytes==0.50.2
"$place/venv/bin/python" - <<'END'
import logging
import sys

logging.disable(logging.WARNING)
import bitsandbytes as bnb
import torch

flags = open("/proc/cpuinfo").read() if sys.platform == "linux" else ""
if "avx512_bf16" not in flags:
    print("this processor has no AVX512-BF16: nothing is repacked, nothing to see")
    sys.exit(0)


def gradient(measured_first: bool) -> float | None:
    """The size of the input's gradient through a 4-bit layer; None where the output has no graph."""
    torch.manual_seed(0)
    layer = bnb.nn.Linear4bit(128, 128, bias=False, compute_dtype=torch.bfloat16, quant_type="nf4")
    layer = layer.to("cpu")
    x = torch.randn(4, 128, dtype=torch.bfloat16, requires_grad=True)
    if measured_first:
        layer.eval()
        with torch.no_grad():
            layer(x.detach())
    layer.train()
    out = layer(x)
    if out.grad_fn is None:
        return None
    out.float().square().sum().backward()
    return None if x.grad is None else float(x.grad.float().norm())


before, after = gradient(False), gradient(True)
print(f"never measured: gradient of the input {before}; measured once before: {after}")
sys.exit(0 if before and not after else 1)
END
