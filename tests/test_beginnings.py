"""What a decoder reads before an answer: the same where it writes, is measured, trained and rewarded."""

import json

import pytest
import torch
import transformers as t
from conftest import make_tokenizer
from peft import LoraConfig, get_peft_model

from course_utils import finetune, models, preference, widgets
from course_utils.examples import Example
from course_utils.models import LLM
from course_utils.rl import fast, logprobs
from course_utils.rl.policy import Policy
from course_utils.rl.sample import sample
from course_utils.settings import Settings

PROMPTS = ["w3 w4 w5 w6", "w7 w8", "w9 w10 w11 w12 w13 w14"]
SIZES = {
    "vocab_size": 60, "d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4,
    "decoder_attention_heads": 4, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48, "max_position_embeddings": 64,
    "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, "forced_eos_token_id": None, "dropout": 0.0, "attention_dropout": 0.0,
}  # fmt: skip
# The label's last token begins the decoder's input by mBART's and PLBart's own forward; M2M100's reads the config.
MAKERS = {
    "mbart": lambda: t.MBartForConditionalGeneration(t.MBartConfig(**SIZES, decoder_start_token_id=40)),
    "plbart": lambda: t.PLBartForConditionalGeneration(t.PLBartConfig(**SIZES, decoder_start_token_id=40)),
    "m2m100": lambda: t.M2M100ForConditionalGeneration(t.M2M100Config(**SIZES, decoder_start_token_id=2)),
}


def make(kind, forced=None):
    torch.manual_seed(0)
    model = MAKERS[kind]()
    with torch.no_grad():
        for p in model.parameters():
            if p.dim() > 1:
                p.normal_(0, 0.3)
    model.tie_weights()
    model.generation_config.forced_bos_token_id = forced
    return LLM(model.eval(), make_tokenizer(), kind)


ALL = pytest.mark.parametrize("kind, forced", [("mbart", None), ("plbart", None), ("mbart", 41), ("m2m100", None), ("m2m100", 41)])


@ALL
def test_an_answer_is_the_librarys_and_costs_what_nll_says(kind, forced):
    llm = make(kind, forced)
    found = llm.answer(PROMPTS, max_new_tokens=6)
    for prompt, answer in zip(PROMPTS, found):
        ids = llm.encode(prompt)
        plain = llm.model.generate(torch.tensor([ids]), max_new_tokens=6, do_sample=False)[0, 1:].tolist()
        assert answer.ids == tuple(plain) and (forced is None or answer.ids[0] == forced)
        loss = finetune.nll(llm, [Example(ids, list(answer.ids))])[0] * answer.tokens
        assert answer.log_prob == pytest.approx(-loss, abs=1e-4)


@ALL
def test_what_is_trained_is_what_is_written(kind, forced):
    llm = make(kind, forced)
    examples = finetune.encode(llm, PROMPTS[:1], ["w20 w21 w30"])
    finetune.train(llm, examples, finetune.Recipe(3e-3, epochs=80, batch_size=1))
    (wanted,) = (tuple(example.labels) for example in examples)
    assert [answer.ids for answer in llm.answer(PROMPTS[:1], max_new_tokens=6)] == [wanted]
    assert wanted[-4:] == (23, 24, 33, 2) and wanted[:-4] == (() if forced is None else (forced,))


@ALL
def test_a_policys_probabilities_are_those_its_answers_were_drawn_by(kind, forced):
    bare = make(kind, forced)
    llm = LLM(get_peft_model(bare.model, LoraConfig(r=2, target_modules=["q_proj", "v_proj"])), bare.tokenizer, kind)
    for policy in (Policy(llm), fast.FastPolicy(llm)):
        rollout = sample(policy, PROMPTS, 5, 1.0, 0, group=2)
        found = logprobs.token_log_probs(policy.outputs(rollout)[0], rollout.tokens)
        assert bool(torch.isfinite(logprobs.entropy(policy.outputs(rollout)[0])).all())
        for i, row in enumerate(rollout.tokens):
            ids = torch.tensor([rollout.prompts[i // 2]])
            start = torch.tensor([[40 if kind != "m2m100" else 2, *row[:-1].tolist()]])
            with torch.no_grad():
                own = llm.model.get_base_model()(input_ids=ids, decoder_input_ids=start).logits[0].log_softmax(-1)
            own = own.gather(1, row[:, None])[:, 0]
            if forced is not None:
                assert row[0] == forced and found[i, 0] == 0
                own[0] = 0
            assert torch.allclose(found[i][rollout.mask[i]], own[rollout.mask[i]], atol=1e-3)
    written = preference.given(llm, PROMPTS[:1], ["w20 w21", "w30"])
    assert forced is None or written.tokens[:, 0].tolist() == [forced] * 2
    assert bool((preference.answer_log_probs(policy, written) > -100).all())


def test_a_forced_beginning_is_read_from_the_models_folder(tmp_path):
    llm = make("m2m100")
    llm.model.save_pretrained(tmp_path)
    llm.tokenizer.save_pretrained(tmp_path)
    assert models.load_llm(Settings(model=str(tmp_path))).begins_with == []
    file = tmp_path / "generation_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "forced_bos_token_id": 41}))
    loaded = models.load_llm(Settings(model=str(tmp_path)))
    assert loaded.begins_with == [41]
    assert all(a.ids[0] == 41 for a in loaded.answer(PROMPTS, max_new_tokens=3, num_beams=2))
    assert finetune.encode_text(loaded, ["w3 w4 w5 w6"])[0].labels == [41, 8, 9]
    ids, start = torch.tensor([loaded.encode("w3 w4")]), torch.tensor([[2, 41]])
    with torch.no_grad():
        wanted = loaded.model(input_ids=ids, decoder_input_ids=start).logits[0, -1]
    assert torch.equal(widgets.next_logits(loaded, "w3 w4"), wanted)
