"""Our LoRA against peft's, and what it promises."""

import copy

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn

from course_utils.lora import LoRALinear, add_lora, parameter_count

NAMES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


@pytest.fixture
def ids():
    return torch.randint(3, 60, (2, 7), generator=torch.Generator().manual_seed(0))


def shake(layers):
    torch.manual_seed(1)
    for layer in layers:
        nn.init.normal_(layer.B, std=0.1)


def test_a_rank_one_product_by_hand():
    layer = LoRALinear(nn.Linear(2, 2, bias=False), r=1, alpha=2)
    with torch.no_grad():
        layer.base.weight.copy_(torch.eye(2))
        layer.A.copy_(torch.tensor([[1.0, 1.0]]))
        layer.B.copy_(torch.tensor([[1.0], [0.0]]))
    # W x = (3, 4); A x = 7; α/r · B A x = 2 · (7, 0)
    assert layer(torch.tensor([3.0, 4.0])).tolist() == [17.0, 4.0]


def test_nothing_changes_before_training(llama, ids):
    before = llama(ids).logits
    add_lora(llama, NAMES, r=4, alpha=8)
    assert torch.equal(llama(ids).logits, before)


def test_equal_to_peft_with_copied_weights(llama, ids):
    theirs = get_peft_model(
        copy.deepcopy(llama), LoraConfig(r=4, lora_alpha=8, target_modules=NAMES, bias="none")
    ).eval()
    layers = add_lora(llama, NAMES, r=4, alpha=8)
    shake(layers)
    peft_layers = [m for m in theirs.modules() if hasattr(m, "lora_A")]
    assert len(peft_layers) == len(layers) == 14
    with torch.no_grad():
        for ours, other in zip(layers, peft_layers):
            other.lora_A["default"].weight.copy_(ours.A)
            other.lora_B["default"].weight.copy_(ours.B)
    assert torch.allclose(llama(ids).logits, theirs(ids).logits, atol=1e-5)


def test_only_the_two_matrices_are_trainable_and_only_b_moves_first(llama, ids):
    add_lora(llama, ["q_proj"], r=2, alpha=4)
    trainable = {n: p for n, p in llama.named_parameters() if p.requires_grad}
    assert all(n.endswith((".A", ".B")) for n in trainable) and len(trainable) == 4
    llama(ids, labels=ids).loss.backward()
    for name, p in trainable.items():  # the gradient of A carries the factor B = 0
        assert (p.grad.abs().sum() > 0) == name.endswith(".B")


def test_merging_keeps_the_outputs_and_unmerging_the_weights(llama, ids):
    layers = add_lora(llama, NAMES, r=4, alpha=8)
    shake(layers)
    before, weight = llama(ids).logits, layers[0].base.weight.clone()
    for layer in layers:
        layer.merge()
        layer.merge()  # a second call does nothing
    assert torch.allclose(llama(ids).logits, before, atol=1e-4)
    assert not torch.allclose(layers[0].base.weight, weight)
    for layer in layers:
        layer.unmerge()
    assert torch.allclose(layers[0].base.weight, weight, atol=1e-6)


@pytest.mark.parametrize("names, r, expected", [(NAMES, 8, 2_442_240), (["q_proj", "v_proj"], 8, 460_800)])
def test_parameter_counts_of_the_embedded_model(names, r, expected):
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=49152, hidden_size=576, intermediate_size=1536, num_hidden_layers=30,
        num_attention_heads=9, num_key_value_heads=3, tie_word_embeddings=True,
    )  # fmt: skip
    with torch.device("meta"):
        model = LlamaForCausalLM(config)
    assert sum(p.numel() for p in model.parameters()) == 134_515_008
    shapes = [
        (m.in_features, m.out_features)
        for n, m in model.named_modules()
        if n.split(".")[-1] in names
    ]
    assert parameter_count(shapes, r) == expected
    with torch.device("meta"):
        add_lora(model, names, r, alpha=2 * r)
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == expected


def test_a_wrong_name_or_rank_is_refused(llama):
    with pytest.raises(ValueError, match="no linear layer called query"):
        add_lora(llama, ["query"], r=4, alpha=8)
    with pytest.raises(ValueError, match="rank is at least 1"):
        LoRALinear(nn.Linear(2, 2), r=0, alpha=1)
