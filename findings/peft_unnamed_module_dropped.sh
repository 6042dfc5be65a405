#!/usr/bin/env bash
# peft drops adapter weights whose module the config does not name, and says nothing.
#
# Library   peft 0.21.2
# Expected  loading an adapter file with weights that find no place warns or fails (missing keys do warn)
# Seen      a file with q_proj and v_proj under a config that names q_proj: no warning, half of the adapter
#           is gone, logits differ by several units
# Why       an adapter_config.json edited by hand, or taken from another adapter, passes for a good one
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
"${PYTHON:-python3}" -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet torch==2.13.0 transformers==5.23.0 peft==0.21.2
HF_HUB_OFFLINE=1 "$place/venv/bin/python" - "$place/adapter" <<'END'
import json
import sys
import warnings
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from transformers import LlamaConfig, LlamaForCausalLM

folder = Path(sys.argv[1])

def tiny_llama():
    torch.manual_seed(0)
    return LlamaForCausalLM(LlamaConfig(
        vocab_size=60, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=4, max_position_embeddings=64, initializer_range=0.4, bos_token_id=1,
        eos_token_id=2, pad_token_id=2,
    )).eval()


model = get_peft_model(tiny_llama(), LoraConfig(r=4, target_modules=["q_proj", "v_proj"]))
with torch.no_grad():
    for name, weight in model.named_parameters():
        if "lora_" in name:
            weight.normal_(0, 0.2)
model.save_pretrained(folder)
config = json.loads((folder / "adapter_config.json").read_text())
config["target_modules"] = ["q_proj"]
(folder / "adapter_config.json").write_text(json.dumps(config))

with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    again = PeftModel.from_pretrained(tiny_llama(), folder)
said = [str(w.message) for w in caught if "v_proj" in str(w.message) or "unexpected" in str(w.message).lower()]
kept = sum("lora_" in name for name, _ in again.named_parameters())
ids = torch.arange(3, 13)[None]
apart = (model(ids).logits - again(ids).logits).abs().max().item()
print(f"{kept} of {len(load_file(folder / 'adapter_model.safetensors'))} tensors loaded; warnings about it: {said}; logits differ by up to {apart:.1f}")
sys.exit(0 if kept == 4 and not said and apart > 1 else 1)
END
