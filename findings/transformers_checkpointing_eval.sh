#!/usr/bin/env bash
# transformers: activation checkpointing that is switched on for a model as it was loaded does nothing, and says that it is on.
#
# Library   transformers 5.23.0 with torch 2.13.0
# Expected  model.activation_checkpointing_enable(), then a forward pass with a gradient: the backward pass keeps the
#           layers' inputs only (or the call, or the pass, says that it will not)
# Seen      a model is in evaluation mode after from_pretrained or .eval(); there every activation is kept, without a
#           warning, while is_activation_checkpointing is True. After model.train() a part of it is kept
# Why       a plain training loop for a model without dropout has no reason to call train(): it runs out of memory
#           with the remedy switched on
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
"${PYTHON:-python3}" -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6 transformers==5.23.0
HF_HUB_OFFLINE=1 "$place/venv/bin/python" - <<'END'
import sys
import warnings

import torch
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.utils import logging

config = LlamaConfig(vocab_size=64, hidden_size=64, intermediate_size=256, num_hidden_layers=8,
                     num_attention_heads=4, num_key_value_heads=4)
ids = torch.randint(64, (4, 64), generator=torch.Generator().manual_seed(0))


def kept(training: bool, checkpointing: bool) -> int:
    """Bytes of all tensors that operations keep for the backward pass."""
    torch.manual_seed(0)
    model = LlamaForCausalLM(config).train(training)
    if checkpointing:
        model.activation_checkpointing_enable()
        assert model.is_activation_checkpointing
    sizes = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: sizes.append(x.nbytes) or x, lambda x: x):
        model(ids, labels=ids, use_cache=False)
    return sum(sizes)


logging.set_verbosity_error()
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    plain, evaluation, training = kept(False, False), kept(False, True), kept(True, True)
print(f"kept without checkpointing {plain:,} bytes; with it in evaluation mode {evaluation:,}, in training mode {training:,}")
print("warnings:", [str(w.message)[:80] for w in said])
sys.exit(0 if evaluation == plain and training < plain / 3 and not said else 1)
END
