"""Adapters: saved whole, loaded checked, and the shipped ones."""

import json

import pytest
import torch
from conftest import SOFT, make_tokenizer, with_soft_prompt

from course_utils import adapters, finetune
from course_utils.models import LLM, sha256
from course_utils.settings import CourseError


@pytest.fixture
def tuned(causal):
    """The tiny model with a LoRA adapter that is not zero."""
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=2, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    torch.manual_seed(1)
    model = get_peft_model(causal.model, config)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "lora_B" in name:
                p.normal_()
    return LLM(model.eval(), causal.tokenizer, causal.name)


@pytest.fixture
def base():
    """The same tiny model without an adapter."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=61, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=128,
        bos_token_id=1, eos_token_id=2, pad_token_id=2, initializer_range=0.4,
    )  # fmt: skip
    return LLM(LlamaForCausalLM(config).eval(), make_tokenizer(), "tiny-llama")


IDS = torch.tensor([[5, 6, 7, 8]])


def test_a_saved_adapter_gives_the_same_logits_and_names_no_folder(tuned, base, tmp_path):
    folder = adapters.save_adapter(tuned, tmp_path / "a")
    assert json.loads((folder / adapters.CONFIG).read_text())["base_model_name_or_path"] == "tiny-llama"
    loaded = adapters.load_adapter(base, folder)
    assert torch.equal(loaded.model(IDS).logits, tuned.model(IDS).logits)
    assert not any(p.requires_grad for p in loaded.model.parameters())
    assert not loaded.model.training
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a"]  # nothing temporary stays


def test_a_trainable_adapter_can_be_trained(tuned, base, tmp_path):
    loaded = adapters.load_adapter(base, adapters.save_adapter(tuned, tmp_path / "a"), trainable=True)
    assert {n.split(".")[-3] for n, p in loaded.model.named_parameters() if p.requires_grad} == {
        "lora_A", "lora_B",
    }  # fmt: skip


def test_half_precision_halves_the_file(tuned, tmp_path):
    large = adapters.save_adapter(tuned, tmp_path / "a") / adapters.WEIGHTS
    small = adapters.save_adapter(tuned, tmp_path / "b", torch.bfloat16) / adapters.WEIGHTS
    assert small.stat().st_size < 0.8 * large.stat().st_size


def test_an_adapter_for_another_model_is_refused(tuned, base, tmp_path):
    folder = adapters.save_adapter(tuned, tmp_path / "a")
    base.name = "other"
    with pytest.raises(CourseError, match="was made for tiny-llama, and this model is other"):
        adapters.load_adapter(base, folder)


def test_shapes_that_do_not_fit_are_refused_in_words(tuned, base, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = adapters.save_adapter(tuned, tmp_path / "a")
    tensors = {k: torch.zeros(3, 3) for k in load_file(folder / adapters.WEIGHTS)}
    save_file(tensors, folder / adapters.WEIGHTS)
    with pytest.raises(CourseError, match="names tiny-llama, but its layers or shapes"):
        adapters.load_adapter(base, folder)


def test_a_model_that_carries_an_adapter_takes_no_second_one(tuned, base, tmp_path):
    folder = adapters.save_adapter(tuned, tmp_path / "a")
    loaded = adapters.load_adapter(base, folder)
    before = loaded.model(IDS).logits
    for llm in (loaded, base):  # the wrapper, and the model whose layers it changed
        with pytest.raises(CourseError, match="carries an adapter already; load the model again"):
            adapters.load_adapter(llm, folder)
        with pytest.raises(CourseError, match="carries an adapter already"):
            adapters.wrap(llm)
    assert torch.equal(loaded.model(IDS).logits, before)
    merged = adapters.merge(loaded)
    assert torch.allclose(merged.model(IDS).logits, before, atol=1e-3)
    twice = adapters.load_adapter(merged, folder)  # as the sentence says
    assert not torch.allclose(twice.model(IDS).logits, before, atol=1e-3)


@pytest.mark.parametrize("layers", [["q_proj", "lm_head"], ["q_proj", "embed_tokens"], ["q_proj"]])
def test_a_merge_that_would_make_another_model_is_refused(layers):
    """Input and output share a table: what is added to it in one place would be added in the other, too."""
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    shared = LlamaForCausalLM(LlamaConfig(
        vocab_size=61, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        tie_word_embeddings=True, initializer_range=0.4,
    ))  # fmt: skip
    llm = LLM(shared, make_tokenizer(), "shared")
    with pytest.raises(CourseError, match="The model shared carries no adapter that can be put into its weights"):
        adapters.merge(llm)
    config = LoraConfig(r=2, target_modules=layers, init_lora_weights=False, lora_dropout=0.5)
    tuned = LLM(get_peft_model(shared, config).train(), llm.tokenizer, "shared")
    if layers == ["q_proj"]:
        before = tuned.model.eval()(IDS).logits
        assert torch.allclose(adapters.merge(LLM(tuned.model.train(), llm.tokenizer, "shared")).model(IDS).logits, before, atol=1e-3)
        return
    with pytest.raises(CourseError, match="The adapter of shared cannot be merged into it .*; load both again"):
        adapters.merge(tuned)


@pytest.mark.parametrize("shipped", adapters.SHIPPED)
def test_a_shipped_adapter_is_not_loaded_over_another(tuned, shipped):
    with pytest.raises(CourseError, match="tiny-llama carries an adapter already"):
        adapters.load_shipped(shipped, tuned)


A, B = (f"base_model.model.model.layers.1.self_attn.v_proj.lora_{x}.weight" for x in "AB")
OTHER = "base_model.model.model.layers.1.mlp.up_proj.lora_A.weight"


@pytest.mark.parametrize("change, words", [
    (lambda tensors: tensors.pop(B), f"{B} is missing"),
    (lambda tensors: [tensors.pop(A), tensors.pop(B)], f"{A} is missing, and 1 more"),
    (lambda tensors: tensors.update({OTHER: torch.zeros(2, 32)}), f"{OTHER} has no place"),
    (lambda tensors: tensors.update({A: torch.zeros(3, 32)}), f"{A} has another shape"),
])  # fmt: skip
def test_weights_missing_or_too_many_are_named_and_the_model_stays_bare(tuned, base, tmp_path, change, words):
    from safetensors.torch import load_file, save_file

    folder = adapters.save_adapter(tuned, tmp_path / "a")
    whole = load_file(folder / adapters.WEIGHTS)
    tensors = dict(whole)
    change(tensors)
    save_file(tensors, folder / adapters.WEIGHTS)
    before = base.model(IDS).logits
    with pytest.raises(CourseError) as error:
        adapters.load_adapter(base, folder)
    assert f"({words})" in str(error.value)
    assert torch.equal(base.model(IDS).logits, before)
    save_file(whole, folder / adapters.WEIGHTS)
    assert torch.equal(adapters.load_adapter(base, folder).model(IDS).logits, tuned.model(IDS).logits)


@pytest.mark.parametrize("options", [
    {"init_lora_weights": "pissa"}, {"modules_to_save": ["lm_head"]}, {"bias": "all"}, {"use_rslora": True},
    {"target_modules": ["q_proj", "embed_tokens"]}, {"layers_to_transform": [1]}, {"use_dora": True},
], ids=lambda options: next(iter(options)))  # fmt: skip
def test_adapters_of_other_kinds_pass_the_comparison_of_names(causal, base, tmp_path, options):
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(**{"r": 2, "target_modules": ["q_proj", "v_proj"], "task_type": "CAUSAL_LM"} | options)
    tuned = LLM(get_peft_model(causal.model, config).eval(), causal.tokenizer, causal.name)
    loaded = adapters.load_adapter(base, adapters.save_adapter(tuned, tmp_path / "a"))
    assert torch.allclose(loaded.model(IDS).logits, tuned.model(IDS).logits, atol=1e-3)


@pytest.mark.parametrize("kind", SOFT)
def test_a_soft_prompt_is_saved_and_loaded(causal, base, tmp_path, kind):
    tuned = with_soft_prompt(causal, kind)
    loaded = adapters.load_adapter(base, adapters.save_adapter(tuned, tmp_path / "a"))
    assert torch.equal(loaded.model(IDS).logits, tuned.model(IDS).logits)


@pytest.mark.parametrize("content", [b"", b"not safetensors at all", None])
def test_a_damaged_or_missing_file_is_named(tuned, base, tmp_path, content):
    folder = adapters.save_adapter(tuned, tmp_path / "a")
    if content is None:
        (folder / adapters.WEIGHTS).unlink()
    else:
        (folder / adapters.WEIGHTS).write_bytes(content)
    with pytest.raises(CourseError, match="damaged" if content is not None else "holds no adapter"):
        adapters.load_adapter(base, folder)


# ---------------------------------------------------------------- what ships


@pytest.mark.parametrize("name", adapters.SHIPPED)
def test_a_shipped_adapter_matches_its_log(name):
    log, folder = adapters.training_log(name), adapters.HERE / name
    assert log["sha256"] == sha256(folder / adapters.WEIGHTS)
    assert log["recipe"]["learning_rate"] == adapters.RECIPE.learning_rate
    assert len(log["losses"]) > 30 and sum(log["losses"][-8:]) < sum(log["losses"][:8])


def test_the_shipped_adapters_are_small():
    sizes = [(adapters.HERE / n / adapters.WEIGHTS).stat().st_size for n in adapters.SHIPPED]
    assert sum(sizes) <= 5_000_000


def test_a_shipped_adapter_that_was_altered_is_refused(monkeypatch, tmp_path):
    import shutil

    shutil.copytree(adapters.HERE, tmp_path / "trained")
    with (tmp_path / "trained" / "blunt" / adapters.WEIGHTS).open("ab") as file:
        file.write(b"x")
    monkeypatch.setattr(adapters, "HERE", tmp_path / "trained")
    with pytest.raises(CourseError, match="python -m course_utils adapters"):
        adapters.load_shipped("blunt")


def test_a_shipped_adapter_without_its_log_is_damaged(monkeypatch, tmp_path):
    import shutil

    shutil.copytree(adapters.HERE, tmp_path / "trained")
    (tmp_path / "trained" / "blunt" / "log.json").unlink()
    monkeypatch.setattr(adapters, "HERE", tmp_path / "trained")
    with pytest.raises(CourseError, match="is damaged; restore it"):
        adapters.load_shipped("blunt")


def test_a_pattern_of_layers_stays_a_pattern(causal, base, tmp_path):
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=2, target_modules=r".*\.(q|v)_proj", task_type="CAUSAL_LM")
    tuned = LLM(get_peft_model(causal.model, config).eval(), causal.tokenizer, causal.name)
    loaded = adapters.load_adapter(base, adapters.save_adapter(tuned, tmp_path / "a"))
    assert torch.equal(loaded.model(IDS).logits, tuned.model(IDS).logits)


def test_an_unknown_adapter_lists_those_there_are():
    with pytest.raises(CourseError, match="summary and blunt"):
        adapters.load_shipped("rude")


@pytest.mark.slow
def test_the_shipped_summary_adapter_lowers_the_loss_on_unseen_dialogues():
    from course_utils import data, models, prompts
    from course_utils.settings import embedded

    rows = data.load_dialogues(embedded(), tone="calm")["validation"].select(range(8))
    llm = models.load_llm(embedded())
    asked = [llm.chat(prompts.fill("instruction", r["dialogue"])) for r in rows]
    examples = finetune.encode(llm, asked, rows["summary"])
    before = sum(finetune.nll(llm, examples))
    after = sum(finetune.nll(adapters.load_shipped("summary", llm), examples))
    assert after < before - 8 * 0.3


def test_the_last_layers_of_the_decoder_are_named_whatever_the_family(causal, seq2seq):
    found = adapters.query_value_layers(causal.model, last=1)
    assert found == ["model.layers.1.self_attn.q_proj", "model.layers.1.self_attn.v_proj"]
    found = adapters.query_value_layers(seq2seq.model, last=1)
    assert found and all(name.startswith("decoder.block.1.") for name in found)
    assert {name.rsplit(".", 1)[1] for name in found} == {"q", "v"}


def test_query_and_value_layers_of_other_families():
    from transformers import (
        BartConfig,
        BartForConditionalGeneration,
        GPT2Config,
        GPT2LMHeadModel,
        MambaConfig,
        MambaForCausalLM,
    )

    gpt2 = GPT2LMHeadModel(GPT2Config(vocab_size=60, n_embd=16, n_layer=3, n_head=2))
    assert adapters.query_value_layers(gpt2, last=2) == ["transformer.h.1.attn.c_attn", "transformer.h.2.attn.c_attn"]
    bart = BartForConditionalGeneration(BartConfig(
        vocab_size=60, d_model=16, encoder_layers=2, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16))  # fmt: skip
    found = adapters.query_value_layers(bart, last=10)
    assert len(found) == 4 and all(name.startswith("model.decoder.layers.0.") for name in found)
    mamba = MambaForCausalLM(MambaConfig(vocab_size=60, hidden_size=16, num_hidden_layers=1, state_size=4))
    with pytest.raises(CourseError, match="MambaForCausalLM has no query and value layers"):
        adapters.query_value_layers(mamba, last=1)


def test_another_model_than_the_embedded_one_gets_an_adapter_of_its_own(seq2seq, tmp_path):
    rows = [{"dialogue": f"w{i} w{i + 1}", "summary_blunt": f"w{i}"} for i in range(3, 9)]
    tuned = adapters.load_or_train("blunt", seq2seq, rows, tmp_path)
    assert hasattr(tuned.model, "merge_and_unload") and tuned.name == seq2seq.name
    assert (tmp_path / "state.json").is_file()


def test_a_model_that_lora_cannot_adapt_is_one_sentence(causal):
    from peft import LoraConfig, get_peft_model
    from transformers import Mamba2Config, Mamba2ForCausalLM

    adapters.check_lora(causal.model)
    sizes = {"vocab_size": 60, "hidden_size": 8, "state_size": 4, "num_hidden_layers": 1, "num_heads": 4, "head_dim": 4}
    mamba = Mamba2ForCausalLM(Mamba2Config(**sizes, n_groups=1))
    with pytest.raises(CourseError, match="choose a transformer as COURSE_MODEL"):
        adapters.check_lora(mamba)
    with pytest.raises(ValueError, match="incompatible"):  # if peft can by now, so can we
        get_peft_model(mamba, LoraConfig(target_modules="all-linear", task_type="CAUSAL_LM"))


def test_a_mixture_of_experts_whose_router_lora_would_break_is_one_sentence():
    from peft import LoraConfig, get_peft_model
    from transformers import FalconConfig, FalconForCausalLM, PhimoeConfig, PhimoeForCausalLM

    sizes = {"vocab_size": 60, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4}
    adapters.check_lora(FalconForCausalLM(FalconConfig(**sizes)))  # linear layers of its own, which are fine
    mixture = PhimoeForCausalLM(PhimoeConfig(**sizes, intermediate_size=16, num_key_value_heads=2, num_local_experts=4))
    with pytest.raises(CourseError, match="take router, which chooses between experts"):
        adapters.check_lora(mixture)
    broken = get_peft_model(mixture, LoraConfig(target_modules="all-linear", task_type="CAUSAL_LM"))
    with pytest.raises(AttributeError, match="dtype"):  # if peft can by now, so can we
        broken(torch.tensor([[3, 4]]))
