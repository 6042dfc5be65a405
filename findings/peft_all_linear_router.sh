#!/usr/bin/env bash
# peft: target_modules="all-linear" puts LoRA on the router of some mixtures of experts, and the model cannot run any more.
#
# Library   peft 0.21.2 with transformers 5.23.0 and torch 2.13.0
# Expected  a router, which gives scores, weights and the chosen experts, is left out as the output layer is, or refused
#           by get_peft_model in a sentence, as Mamba's layers are
# Seen      PhimoeTopKRouter and Llama4Router are subclasses of nn.Linear that return several tensors: get_peft_model
#           takes them without a word, and the first forward pass raises
#           AttributeError: 'tuple' object has no attribute 'dtype'
# Why       "all-linear" is the advice of most guides for an unknown model; the cure is
#           LoraConfig(target_modules="all-linear", exclude_modules=["router"])
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
"${PYTHON:-python3}" -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6 transformers==5.23.0 peft==0.21.2
HF_HUB_OFFLINE=1 "$place/venv/bin/python" - <<'END'
import sys

import torch
from peft import LoraConfig, get_peft_model
from transformers import PhimoeConfig, PhimoeForCausalLM

config = PhimoeConfig(vocab_size=60, hidden_size=32, intermediate_size=16, num_hidden_layers=1, num_attention_heads=4,
                      num_key_value_heads=2, num_local_experts=4)
ids = torch.tensor([[3, 4, 5]])
PhimoeForCausalLM(config)(ids)  # runs
found = {}
for excluded in (None, ["router"]):
    options = LoraConfig(target_modules="all-linear", exclude_modules=excluded, task_type="CAUSAL_LM")
    model = get_peft_model(PhimoeForCausalLM(config), options)
    taken = [name for name, _ in model.named_modules() if name.endswith("router.lora_A")]
    try:
        found[bool(excluded)] = (len(taken), f"{tuple(model(ids).logits.shape)}")
    except AttributeError as error:
        found[bool(excluded)] = (len(taken), f"AttributeError: {error}")
    print(f"exclude_modules={excluded}: LoRA on {found[bool(excluded)][0]} routers; forward: {found[bool(excluded)][1]}")
expected = {False: (1, "AttributeError: 'tuple' object has no attribute 'dtype'"), True: (0, "(1, 3, 60)")}
sys.exit(0 if found == expected else 1)
END
