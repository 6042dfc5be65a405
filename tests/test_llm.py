"""What a batch answers is what each prompt is answered alone, by the library itself."""

import pytest
import torch
from conftest import SOFT, make_tokenizer, with_soft_prompt

from course_utils import llm as llm_module
from course_utils.models import LLM
from course_utils.settings import CourseError

PROMPTS = ["w3 w4 w5 w6 w7 w8", "w3 w4", "w3 w4 w30 w31 w32 w33 w34 w9 w9 w10 w11", "w40 w41 w42"]


def shaken(model):
    torch.manual_seed(0)
    with torch.no_grad():
        for p in model.parameters():
            if p.dim() > 1:
                p.normal_(0, 0.3)
    model.tie_weights()
    return LLM(model.eval(), make_tokenizer(), "tiny")


def bart():
    from transformers import BartConfig, BartForConditionalGeneration

    return BartForConditionalGeneration(BartConfig(
        vocab_size=60, d_model=32, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4,
        decoder_attention_heads=4, encoder_ffn_dim=48, decoder_ffn_dim=48, max_position_embeddings=64,
        bos_token_id=1, eos_token_id=2, pad_token_id=0, decoder_start_token_id=2,
        forced_eos_token_id=None,
    ))  # fmt: skip


def mistral(**options):
    from transformers import MistralConfig, MistralForCausalLM

    return MistralForCausalLM(MistralConfig(
        vocab_size=60, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=128, bos_token_id=1, eos_token_id=2, pad_token_id=2,
        **options,
    ))  # fmt: skip


def without_position_ids(kind):
    """Decoders that count what stands before a token, padding included, or that know no mask at all."""
    import transformers as t

    sizes = {"vocab_size": 60, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2}
    if kind == "mpt":
        return t.MptForCausalLM(t.MptConfig(d_model=32, n_heads=4, n_layers=2, max_seq_len=128, **sizes))
    if kind == "rwkv":
        return t.RwkvForCausalLM(t.RwkvConfig(hidden_size=32, num_hidden_layers=2, context_length=128, **sizes))
    if kind == "openai-gpt":  # takes no cache either
        return t.OpenAIGPTLMHeadModel(t.OpenAIGPTConfig(n_embd=32, n_layer=2, n_head=4, n_positions=128, **sizes))
    return t.BartForCausalLM(t.BartConfig(
        d_model=32, decoder_layers=2, decoder_attention_heads=4, decoder_ffn_dim=48, max_position_embeddings=128, is_decoder=True,
        is_encoder_decoder=False, forced_eos_token_id=None, **sizes,
    ))  # fmt: skip


def alone(llm, prompt, new):
    """Greedy, one prompt, no cache: the likeliest token again and again."""
    ids, found = torch.tensor([llm.encode(prompt)]), []
    for _ in range(new):
        with torch.no_grad():
            if llm.family == "encoder-decoder":
                start = torch.tensor([[llm.model.config.decoder_start_token_id, *found]])
                logits = llm.model(input_ids=ids, decoder_input_ids=start).logits
            else:
                more = torch.tensor([found], dtype=torch.long)
                logits = llm.model(torch.cat([ids, more], 1), use_cache=False).logits
        found.append(logits[0, -1].argmax().item())
        if found[-1] == 2:
            break
    return tuple(found)


@pytest.mark.parametrize(
    "make, why",
    [
        (bart, "an encoder's learned positions count from the first column"),
        (lambda: mistral(sliding_window=4), "padding between a shared beginning and the rest uses up the window"),
        (lambda: mistral(sliding_window=None), "no window"),
        (lambda: mistral(sliding_window=None, use_cache=False), "a config saved after gradient checkpointing"),
        (lambda: without_position_ids("mpt"), "a penalty for each column between two tokens, padding or not"),
        (lambda: without_position_ids("rwkv"), "a recurrent network reads padding as text"),
        (lambda: without_position_ids("openai-gpt"), "the first GPT has no cache"),
        (lambda: without_position_ids("bart's decoder"), "positions are counted from the first column"),
    ],
    ids=["bart", "window", "no window", "use_cache false", "mpt", "rwkv", "openai-gpt", "bart's decoder"],
)  # fmt: skip
def test_a_batch_answers_what_each_prompt_is_answered_alone(make, why):
    llm = shaken(make())
    for prompts in (PROMPTS, PROMPTS[:3]):  # the first three share a beginning
        found = [a.ids for a in llm.answer(prompts, max_new_tokens=8)]
        assert found == [alone(llm, prompt, 8) for prompt in prompts], why


def phi(limit):
    """Phi-3 with LongRoPE: other frequencies for texts of more than ``limit`` tokens, chosen by the longest row."""
    from transformers import Phi3Config, Phi3ForCausalLM

    return Phi3ForCausalLM(Phi3Config(
        vocab_size=60, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        max_position_embeddings=256, original_max_position_embeddings=limit, bos_token_id=1, eos_token_id=2, pad_token_id=2,
        rope_parameters={
            "rope_type": "longrope", "rope_theta": 10000.0, "short_factor": [1.0] * 4, "long_factor": [2.0, 3.0, 4.0, 5.0],
            "original_max_position_embeddings": limit,
        },
    ))  # fmt: skip


def text_of(length):
    return " ".join(f"w{(i * i + length) % 57}" for i in range(length))


def test_rows_on_both_sides_of_longropes_limit_are_answered_as_alone():
    llm = shaken(phi(64))
    assert llm_module.turning_point(llm.model.config) == 64
    assert llm_module.turning_point(mistral().config) is None
    asked = [text_of(n) for n in (132, 4, 58, 7, 62, 42, 92, 59, 65, 58)]
    found = llm.answer(asked, max_new_tokens=8)
    for prompt, answer in zip(asked, found):
        ids = torch.tensor([llm.encode(prompt)])
        plain = llm.model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=8, do_sample=False, pad_token_id=2)
        plain = plain[0, ids.shape[1] :].tolist()
        assert answer.ids == tuple(plain), ids.shape


@pytest.mark.parametrize("kind", [None, *SOFT[:2]])
def test_rows_on_both_sides_of_longropes_limit_are_measured_as_alone(kind):
    """Also a row of 45 in a limit of 50: rounded up to 56 columns it would lie beyond."""
    from course_utils import finetune

    llm = shaken(phi(50))
    llm = with_soft_prompt(llm, kind) if kind else llm
    examples = finetune.encode(llm, [text_of(n) for n in (120, 4, 43, 70, 12, 44)], ["w9 w8"] * 6)
    alone = [finetune.answer_loss(llm.model, finetune.collate([e], 2)).item() for e in examples]
    assert finetune.nll(llm, examples) == pytest.approx(alone, abs=1e-4)
    batch = finetune.collate(examples, 2)
    each = finetune.answer_log_probs(llm.model, batch).view(6, 3)
    assert each.mean(1).neg().tolist() == pytest.approx(alone, abs=1e-4)
    mean, _ = finetune.add_gradients(llm.model, examples, 1000, 2)  # in lower precision, where that pays
    assert mean == pytest.approx(sum(alone) / 6, rel=2e-2)


def test_a_policy_takes_no_texts_beyond_longropes_limit():
    from peft import LoraConfig, get_peft_model

    from course_utils import preference
    from course_utils.rl import logprobs
    from course_utils.rl.policy import Policy
    from course_utils.rl.sample import sample

    bare = shaken(phi(50))
    llm = LLM(get_peft_model(bare.model, LoraConfig(r=2, target_modules=["qkv_proj"])), bare.tokenizer, "phi")
    policy = Policy(llm)
    rollout = sample(policy, [text_of(4), text_of(43)], 8, 1.0, 0)
    found = logprobs.token_log_probs(policy.outputs(rollout)[0], rollout.tokens)
    for i, (prompt, row) in enumerate(zip(rollout.prompts, rollout.tokens)):
        with torch.no_grad():
            own = llm.model(torch.tensor([[*prompt, *row[:-1].tolist()]])).logits[0, len(prompt) - 1 :].log_softmax(-1)
        own = own.gather(1, row[:, None])[:, 0]
        assert torch.allclose(found[i][rollout.mask[i]], own[rollout.mask[i]], atol=1e-3)
    with pytest.raises(CourseError, match="phi reads texts of more than 50 tokens in another way .* 51; shorten the prompts"):
        sample(policy, [text_of(4), text_of(44)], 8, 1.0, 0)
    with pytest.raises(CourseError, match="here is one of 60"):
        policy.outputs(preference.given(llm, [text_of(59)], ["w3", "w4"]))


@pytest.mark.parametrize("family", ["causal", "seq2seq"])
@pytest.mark.parametrize("kind", SOFT)
def test_a_soft_prompt_stands_before_each_prompt_of_a_batch(family, kind, request):
    bare = request.getfixturevalue(family)
    asked = [*PROMPTS, "w7 w8", PROMPTS[0], "w9 w40 w3"]  # two pairs of one length, one prompt twice
    without = bare.answer(asked, max_new_tokens=6)
    llm = with_soft_prompt(bare, kind)
    found = llm.answer(asked, max_new_tokens=6, batch_size=2)
    assert [a.ids for a in found] == [alone(llm, prompt, 6) for prompt in asked]
    assert all(abs(a.log_prob - b.log_prob) > 1e-3 for a, b in zip(found, without))  # it does something


def test_a_soft_prompt_takes_room_in_the_context_window(causal):
    llm = with_soft_prompt(causal, "prompt tuning")
    llm.answer(["w3 " * 20], max_new_tokens=llm.context - 23)
    with pytest.raises(ValueError, match="23 tokens; with max_new_tokens=106"):
        llm.answer(["w3 " * 20], max_new_tokens=llm.context - 22)


def test_an_answer_longer_than_a_decoders_positions_is_refused():
    with pytest.raises(ValueError, match="more than the 64 positions .* lower it"):
        shaken(bart()).answer(["w3 w4"], max_new_tokens=65)


def test_only_a_model_whose_layers_see_everything_shares_its_prompts():
    assert shaken(mistral(sliding_window=None)).can_share
    assert not shaken(mistral(sliding_window=4)).can_share
    assert not shaken(bart()).can_share


def test_a_processor_has_the_last_word_on_the_scores(causal):
    def only(ids, scores):
        return torch.full_like(scores, -torch.inf).index_fill_(1, torch.tensor([7]), 0)

    free, forced = (causal.answer(PROMPTS, max_new_tokens=3, processors=p) for p in ((), (only,)))
    assert all(answer.ids == (7, 7, 7) for answer in forced)
    assert forced[0].log_prob < free[0].log_prob  # the model's own, not that of the masked scores
