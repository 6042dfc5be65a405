#!/usr/bin/env bash
# Mixing rsLoRA adapters with peft's add_weighted_adapter makes an update √(rank of the mix) too strong.
#
# Library   peft 0.21.2
# Expected  0.5 a + 0.5 b by combination_type="cat" is the mean of the two updates, as with plain LoRA
# Seen      plain LoRA: 1.000 times the mean. rsLoRA of rank 4 and 4: 2.828 = √8 times the mean, no warning
# Why       an adapter that mixes well in one setting ruins the model in the other; only outputs show it
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
"${PYTHON:-python3}" -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet torch==2.13.0 transformers==5.23.0 peft==0.21.2
HF_HUB_OFFLINE=1 "$place/venv/bin/python" -W ignore - <<'END'
import math
import sys

import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM


def tiny_llama():
    torch.manual_seed(0)
    return LlamaForCausalLM(LlamaConfig(
        vocab_size=60, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=4, max_position_embeddings=64, initializer_range=0.4, bos_token_id=1,
        eos_token_id=2, pad_token_id=2,
    )).eval()


def strength(use_rslora):
    """The mix's update as a multiple of the mean of the two updates it was made from."""
    def config():
        return LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj"], use_rslora=use_rslora)

    model = get_peft_model(tiny_llama(), config(), adapter_name="first")
    model.add_adapter("second", config())
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_" in name:
                weight.normal_()
    model.add_weighted_adapter(["first", "second"], [0.5, 0.5], "mix", combination_type="cat")
    layer = model.base_model.model.model.layers[0].self_attn.q_proj
    update = {}
    for name in ("first", "second", "mix"):
        model.set_adapter(name)
        update[name] = layer.get_delta_weight(name)
    mean = 0.5 * update["first"] + 0.5 * update["second"]
    return (update["mix"] / mean).median().item()


plain, rslora = strength(False), strength(True)
print(f"update of the mix / mean of the two updates: LoRA {plain:.3f}, rsLoRA {rslora:.3f} (√8 = {math.sqrt(8):.3f})")
sys.exit(0 if abs(plain - 1) < 1e-2 and abs(rslora - math.sqrt(8)) < 1e-2 else 1)
END
