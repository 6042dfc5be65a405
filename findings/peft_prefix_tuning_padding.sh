#!/usr/bin/env bash
# With peft's prefix tuning, the same padded batch generates rightly and has wrong logits.
#
# Library   peft 0.21.2, transformers 5.23.0
# Expected  a row padded on the left, its padding masked, has the logits of the row alone, as without peft
# Seen      without peft: equal to 1e-5. With a prefix: logits differ by units, no warning, while
#           generate() on the same batch continues the padded row as it continues the row alone
# Why       a loss measured on such a batch is off, and the generated texts do not show it
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
"${PYTHON:-python3}" -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet torch==2.13.0 transformers==5.23.0 peft==0.21.2
HF_HUB_OFFLINE=1 "$place/venv/bin/python" -W ignore - <<'END'
import sys

import torch
from peft import PrefixTuningConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM


def tiny_llama():
    torch.manual_seed(0)
    return LlamaForCausalLM(LlamaConfig(
        vocab_size=60, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=4, max_position_embeddings=64, initializer_range=0.4, bos_token_id=1,
        eos_token_id=2, pad_token_id=2,
    )).eval()


short = torch.tensor([[5, 6, 7]])
padded = torch.tensor([[2, 2, 2, 2, 2, 5, 6, 7], [9, 10, 11, 12, 13, 14, 15, 16]])
mask = torch.tensor([[0] * 5 + [1] * 3, [1] * 8])


def compare(model):
    """(largest difference of the last logits, are the continuations equal), padded against alone."""
    with torch.no_grad():
        alone = model(input_ids=short, attention_mask=torch.ones_like(short)).logits[0, -1]
        batch = model(input_ids=padded, attention_mask=mask).logits[0, -1]
    options = {"max_new_tokens": 8, "do_sample": False}
    one = model.generate(input_ids=short, attention_mask=torch.ones_like(short), **options)[0, 3:]
    two = model.generate(input_ids=padded, attention_mask=mask, **options)[0, 8:]
    return (alone - batch).abs().max().item(), torch.equal(one, two[: len(one)])


plain = compare(tiny_llama())
model = get_peft_model(tiny_llama(), PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=5)).eval()
with torch.no_grad():
    for weight in model.parameters():
        if weight.requires_grad:
            weight.normal_()
prefix = compare(model)
print(f"no prefix: logits differ by {plain[0]:.0e}, same continuation {plain[1]}")
print(f"prefix:    logits differ by {prefix[0]:.1f}, same continuation {prefix[1]}")
sys.exit(0 if plain[0] < 1e-4 and plain[1] and prefix[0] > 0.5 and prefix[1] else 1)
END
