"""The fast policy is the plain one: log-probabilities, values, gradients; and where it is not, it is not used."""

import doctest
from dataclasses import replace

import pytest
import torch
from conftest import make_tokenizer
from peft import LoraConfig, get_peft_model

from course_utils import preference, rl
from course_utils.models import LLM
from course_utils.rl import layout

PROMPTS = ["w3 w4 w5 w6 w7 w8", "w9", "w10 w11 w12"]
ANSWERS = ["w10 w11 w12", "w9 w8", "w20 w21 w22 w23", "w1", "w44 w45", "w5"]  # ragged, two to a prompt


def shaken(model):
    """Weights large enough for a wrong mask, scale or position to be seen."""
    torch.manual_seed(0)
    with torch.no_grad():
        for p in model.parameters():
            if p.dim() > 1:
                p.normal_(0, 0.3)
    model.tie_weights()
    return model.eval()


WORDS = {"vocab_size": 60, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2}
BODY = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 128,
}  # fmt: skip
T5 = {
    "vocab_size": 60, "d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4,
    "decoder_start_token_id": 2, "eos_token_id": 2, "pad_token_id": 2,
}  # fmt: skip
BART = {
    "vocab_size": 60, "d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_ffn_dim": 48,
    "encoder_attention_heads": 4, "decoder_attention_heads": 4, "decoder_ffn_dim": 48, "bos_token_id": 1,
    "eos_token_id": 2, "pad_token_id": 0, "decoder_start_token_id": 2, "max_position_embeddings": 128,
}  # fmt: skip


def make(name, **options):
    """A tiny random model of a family, with a policy's adapter on it."""
    import transformers as t

    config, model = {
        "llama": (t.LlamaConfig, t.LlamaForCausalLM),
        "gpt2": (t.GPT2Config, t.GPT2LMHeadModel),
        "granite": (t.GraniteConfig, t.GraniteForCausalLM),
        "mistral": (t.MistralConfig, t.MistralForCausalLM),
        "mpt": (t.MptConfig, t.MptForCausalLM),
        "t5": (t.T5Config, t.T5ForConditionalGeneration),
        "mt5": (t.MT5Config, t.MT5ForConditionalGeneration),
        "bart": (t.BartConfig, t.BartForConditionalGeneration),
    }[name]
    return LLM(shaken(model(config(**options))), make_tokenizer(), f"tiny-{name}")


FAMILIES = {
    "llama": ("llama", {**WORDS, **BODY}),
    "gpt2": ("gpt2", {**WORDS, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 128}),
    "granite": ("granite", {**WORDS, **BODY, "logits_scaling": 8.0}),
    "mistral": ("mistral", {**WORDS, **BODY, "sliding_window": 4}),
    "mpt": ("mpt", {**WORDS, "d_model": 32, "n_layers": 2, "n_heads": 4}),
    "flan-t5": ("t5", {**T5, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}),
    "mt5": ("mt5", {**T5, "feed_forward_proj": "gated-gelu"}),
    "t5": ("t5", T5),
    "bart": ("bart", BART),
}


def wrap(llm, layers=None):
    """With a LoRA adapter that does something on the attention of the last layers."""
    linear = [n for n, m in llm.model.named_modules() if type(m).__name__ in ("Linear", "Conv1D")]
    names = [n for n in linear if "lm_head" not in n and "shared" not in n][-6 if layers else 0 :]
    torch.manual_seed(0)
    model = get_peft_model(llm.model, LoraConfig(r=4, target_modules=names))
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "lora_B" in name:
                p.normal_(0, 0.2)
    return LLM(model, llm.tokenizer, llm.name)


def by_the_model_itself(llm, rollout, row):
    """log p of one response, read alone by the model's own forward."""
    prompt = rollout.prompts[row // rollout.group]
    response = rollout.tokens[row][rollout.mask[row]].tolist()
    with torch.no_grad():
        if llm.family == "encoder-decoder":
            start = torch.tensor([[llm.model.config.decoder_start_token_id, *response[:-1]]])
            logits = llm.model(input_ids=torch.tensor([prompt]), decoder_input_ids=start).logits[0]
        else:
            ids = torch.tensor([prompt + response])
            logits = llm.model(input_ids=ids).logits[0, len(prompt) - 1 : -1]
    return logits.log_softmax(-1).gather(1, torch.tensor(response)[:, None]).squeeze(1)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_policys_log_probs_are_the_models_own_whatever_the_family(family):
    name, options = FAMILIES[family]
    policy = rl.fast_or_plain(wrap(make(name, **options)))
    rollout = preference.given(policy.llm, PROMPTS, ANSWERS)
    found = preference.answer_log_probs(policy, rollout)
    for row in range(len(ANSWERS)):
        expected = by_the_model_itself(policy.llm, rollout, row)
        assert torch.allclose(found[row][rollout.mask[row]], expected, atol=1e-4)


@pytest.mark.parametrize(
    "family, kind",
    [
        ("llama", rl.FastPolicy), ("gpt2", rl.FastPolicy), ("flan-t5", rl.FastPolicy), ("bart", rl.FastPolicy),
        ("granite", rl.Policy),  # divides its logits
        ("mistral", rl.Policy),  # a window of four tokens, which other responses would use up
        ("mpt", rl.Policy),  # takes no positions
    ],
)  # fmt: skip
def test_the_fast_one_is_used_where_it_agrees_and_else_one_sentence_says_so(family, kind, capsys):
    name, options = FAMILIES[family]
    policy = rl.fast_or_plain(wrap(make(name, **options)))
    assert type(policy) is kind
    assert ("slower, and right" in capsys.readouterr().out) == (kind is rl.Policy)


def measured(policy, rollout):
    """Log-probabilities, values, and the gradients of both together."""
    torch.manual_seed(1)
    torch.nn.init.normal_(policy.value_head.weight)  # at zero every value would agree
    for p in policy.parameters():
        p.grad = None
    logprobs, values, _ = rl.evaluate(policy, rollout, rl.PPO(temperature=0.7))
    (logprobs[rollout.mask].sum() + values[rollout.mask].square().sum()).backward()
    return logprobs.detach(), values.detach(), [p.grad for p in policy.parameters()]


@pytest.mark.parametrize("layers", [None, "last"])
@pytest.mark.parametrize("family", ["llama", "gpt2", "flan-t5", "bart"])
def test_fast_and_plain_agree_in_log_probs_values_and_gradients_on_ragged_rows(family, layers):
    name, options = FAMILIES[family]
    llm = wrap(make(name, **options), layers)
    fast, plain = rl.FastPolicy(llm), rl.Policy(llm)
    given = preference.given(llm, PROMPTS, ANSWERS)
    for rollout in (given, fast.read_frozen(given), fast.read_frozen(given).part([2, 1])):
        (logprobs, values, gradients), (own, own_values, own_gradients) = (
            measured(fast, rollout), measured(plain, rollout),
        )  # fmt: skip
        mask = rollout.mask
        assert torch.allclose(logprobs[mask], own[mask], atol=1e-4)
        assert torch.allclose(values[mask], own_values[mask], atol=1e-4)
        assert len(gradients) == len(own_gradients) > 2
        for a, b in zip(gradients, own_gradients):
            assert torch.allclose(a, b, rtol=1e-3, atol=1e-4)
    if family == "llama" and layers:
        assert fast.frozen == 1 and fast.read_frozen(given).trunk


@pytest.mark.parametrize("kind", [rl.Policy, rl.FastPolicy])
@pytest.mark.parametrize("family", ["llama", "flan-t5"])
def test_longer_padding_changes_nothing(family, kind):
    name, options = FAMILIES[family]
    policy = kind(wrap(make(name, **options)))
    rollout = preference.given(policy.llm, PROMPTS, ANSWERS)
    more = torch.full((len(ANSWERS), 3), 2)  # end tokens, which also pad
    padded = replace(
        rollout, tokens=torch.cat([rollout.tokens, more], 1),
        mask=torch.cat([rollout.mask, more.bool() & False], 1),
    )  # fmt: skip
    with torch.no_grad():
        want, found = (rl.evaluate(policy, r, rl.PPO())[0] for r in (rollout, padded))
    assert torch.allclose(found[padded.mask], want[rollout.mask], atol=1e-5)


def test_a_fast_policy_that_is_wrong_is_found_out(causal, monkeypatch):
    """A mask that lets a response see the one before it: two of the probe's rows would differ."""
    policy = rl.FastPolicy(wrap(causal))
    assert policy.agrees()
    right = layout.row_a_prompt

    def wrong(*args):
        ids, positions, sees = right(*args)
        return ids, positions, torch.ones_like(sees).tril()

    monkeypatch.setattr("course_utils.rl.fast.row_a_prompt", wrong)
    assert not policy.agrees()


def test_half_precision_is_no_disagreement(causal):
    causal.model.to(torch.bfloat16)
    assert rl.FastPolicy(wrap(causal)).agrees()


def test_the_printed_example_of_the_layout_is_what_the_code_does():
    assert doctest.testmod(layout).attempted >= 4
    assert doctest.testmod(layout).failed == 0
