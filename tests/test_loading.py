"""Models as people bring them: whole, cut off, merged, unfinished; used rightly or refused in a sentence."""

import builtins
import json
from pathlib import Path

import pytest
import torch
from conftest import make_tokenizer
from peft import LoraConfig, PeftModel, get_peft_model
from tokenizers.processors import TemplateProcessing
from transformers import LlamaForCausalLM, MarianConfig, MarianMTModel

from course_utils import models
from course_utils.settings import CourseError, Settings

PROMPTS = ["w3 w4 w5", "w3 w4", "w9 w9 w10 w11 w12 w13"]


def save(folder, model, tokenizer=None, **files):
    """A saved model's settings; ``config`` and ``generation_config`` are written over its files."""
    model.save_pretrained(folder)
    (tokenizer or make_tokenizer()).save_pretrained(folder)
    for name, change in files.items():
        path = folder / f"{name}.json"
        old = json.loads(path.read_text()) if path.is_file() else {}
        path.write_text(json.dumps({**old, **change}))
    return Settings(model=str(folder))


def greedy(model, prompts, new=8):
    """The model's own likeliest tokens, one prompt at a time, without a cache or any setting."""
    found = []
    for prompt in prompts:
        ids, more = make_tokenizer()(prompt, return_tensors="pt")["input_ids"], []
        while len(more) < new and more[-1:] != [2]:
            with torch.no_grad():
                logits = model(torch.cat([ids, torch.tensor([more]).long()], 1), use_cache=False).logits
            more.append(logits[0, -1].argmax().item())
        found.append(tuple(more))
    return found


def answers(settings, new=8):
    return [answer.ids for answer in models.load_llm(settings).answer(PROMPTS, max_new_tokens=new)]


@pytest.mark.parametrize(
    "own",
    [
        {"no_repeat_ngram_size": 2}, {"min_length": 20}, {"repetition_penalty": 1.7}, {"num_beams": 3},
        {"do_sample": True, "temperature": 0.3, "top_k": 5}, {"return_dict_in_generate": True},
        {"cache_implementation": "static"}, {"num_return_sequences": 2, "do_sample": True},
        {"stop_strings": ["w5"]}, {"suppress_tokens": [7, 8]}, {"max_length": 3},
    ],
    ids=lambda own: next(iter(own)),
)  # fmt: skip
def test_greedy_is_greedy_whatever_the_model_holds_of_defaults(tmp_path, llama, own):
    settings = save(tmp_path / "m", llama, generation_config=own)
    assert answers(settings) == greedy(llama, PROMPTS)


def test_the_end_token_is_found_where_it_is_written(tmp_path, llama):
    bare = make_tokenizer()
    bare.eos_token = bare.pad_token = None
    llm = models.load_llm(save(tmp_path / "tokenizer", llama, bare))
    assert llm.tokenizer.eos_token_id == llm.tokenizer.pad_token_id == 2
    assert [a.ids for a in llm.answer(PROMPTS, max_new_tokens=8)] == greedy(llama, PROMPTS)
    nothing = {"eos_token_id": None}
    llm = models.load_llm(save(tmp_path / "m", llama, config=nothing, generation_config=nothing))
    assert llm.model.generation_config.eos_token_id == 2  # the tokenizer's
    settings = save(tmp_path / "none", llama, bare, config=nothing, generation_config=nothing)
    with pytest.raises(CourseError, match="no end token"):
        models.load_llm(settings)


def test_a_padding_token_without_an_embedding_is_not_used(tmp_path, llama):
    tokenizer = make_tokenizer()
    tokenizer.add_special_tokens({"pad_token": "[PAD]"})
    tokenizer.add_tokens(["one_more", "another"])
    llm = models.load_llm(save(tmp_path / "m", llama, tokenizer))
    assert [a.ids for a in llm.answer(PROMPTS, max_new_tokens=8)] == greedy(llama, PROMPTS)
    with pytest.raises(ValueError, match="'another', a token that the model has no embedding for"):
        llm.answer(["w3 another"])


def test_a_prompt_does_not_end_with_the_end_token(tmp_path, llama):
    tokenizer = make_tokenizer()
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    llm = models.load_llm(save(tmp_path / "m", llama, tokenizer))
    assert llm.encode("w3 w4") == [1, 6, 7]


@pytest.mark.parametrize("before, after", [("<s>", ""), ("w50 w51", ""), ("w50 w51", "</s>"), ("", "</s>"), ("", "")])
def test_what_a_template_and_a_tokenizer_both_write_stands_once(tmp_path, llama, before, after):
    """GLM's tokenizer begins each text with [gMASK]<sop>, and so does its chat template."""
    tokenizer, words = make_tokenizer(), make_tokenizer().get_vocab()
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"{before} $A {after}".strip(), special_tokens=[(w, words[w]) for w in ("<s>", "</s>", "w50", "w51")],
    )  # fmt: skip
    tokenizer.chat_template = before + " {{ messages[0].content }} w1"
    llm = models.load_llm(save(tmp_path / "m", llama, tokenizer))
    once = [words[w] for w in before.split()]
    assert llm.encode(llm.chat("w9")) == llm.encode("w9 w1") == [*once, 12, 4]
    assert llm.encode("w51 w50") == [*once, 54, 53]


@pytest.mark.parametrize("kind", ["Qwen2", "Llama", "Gemma", "OPT", "GPT2"])
def test_a_tokenizer_cuts_texts_as_its_own_file_says(tmp_path, kind, capsys):
    """transformers takes the tokenizer's class by the kind of model: words of ours were no token to Qwen's."""
    import transformers

    sizes = {"vocab_size": 61, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "bos_token_id": 1, "eos_token_id": 2}
    model = transformers.AutoModelForCausalLM.from_config(getattr(transformers, f"{kind}Config")(**sizes))
    tokenizer = make_tokenizer()
    tokenizer.chat_template = "{{ messages[0].content }} w1"
    settings = save(tmp_path / "m", model, tokenizer)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "m")("w3 w4")["input_ids"]
    llm = models.load_llm(settings)
    assert llm.encode(llm.chat("w3 w4")) == [6, 7, 4] and llm.tokenizer.padding_side == "left"
    assert ("would cut texts otherwise" in capsys.readouterr().out) == (theirs != [6, 7])
    assert (llm.tokenizer.eos_token_id, llm.tokenizer.pad_token_id, llm.tokenizer.bos_token_id) == (2, 2, 1)


def test_a_tokenizer_that_no_class_reads_as_its_file_says_is_refused(tmp_path, llama, monkeypatch):
    folder = place(tmp_path / "m", llama)
    (folder / "config.json").write_text('{"model_type": "qwen2"}')
    assert models.load_tokenizer(folder, "it")("w3 w4")["input_ids"] == [6, 7]
    monkeypatch.setattr(models, "_cut_alike", lambda *_: False)
    with pytest.raises(CourseError, match="The tokenizer of COURSE_MODEL=it does not cut texts as its tokenizer.json says"):
        models.load_tokenizer(folder, "COURSE_MODEL=it")


def test_a_blank_before_the_first_word_is_a_tokenizers_own_matter():
    from tokenizers import Tokenizer, pre_tokenizers
    from tokenizers import models as kinds
    from transformers import PreTrainedTokenizerFast

    letters = {c: i for i, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}

    def cutter(**how):
        found = Tokenizer(kinds.BPE(letters, []))
        found.pre_tokenizer = pre_tokenizers.ByteLevel(**how)
        return found

    plain, blank, other = cutter(add_prefix_space=False), cutter(add_prefix_space=True), cutter(add_prefix_space=False)
    other.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), other.pre_tokenizer])
    assert models._cut_alike(PreTrainedTokenizerFast(tokenizer_object=blank), plain)
    assert not models._cut_alike(PreTrainedTokenizerFast(tokenizer_object=other), plain)


def test_a_template_that_thinks_aloud_is_told_not_to(tmp_path, llama):
    tokenizer = make_tokenizer()
    tokenizer.chat_template = (
        "{{ messages[0].content }}{% if not (enable_thinking | default(true)) %} w0{% endif %}"
    )
    assert models.load_llm(save(tmp_path / "m", llama, tokenizer)).chat("w3") == "w3 w0"


def test_an_adapters_folder_gets_its_base_and_both_in_one_folder_are_refused(tmp_path, llama):
    save(tmp_path / "base", llama)
    config = LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False)
    tuned = get_peft_model(LlamaForCausalLM.from_pretrained(tmp_path / "base"), config)
    tuned.save_pretrained(tmp_path / "run")
    merged = PeftModel.from_pretrained(
        LlamaForCausalLM.from_pretrained(tmp_path / "base"), tmp_path / "run"
    ).merge_and_unload()
    alone = Settings(model=str(tmp_path / "run"))
    assert answers(alone) == greedy(merged, PROMPTS) != greedy(llama, PROMPTS)
    both = save(tmp_path / "run", merged)
    with pytest.raises(CourseError, match="a whole model and an adapter beside it"):
        models.load_llm(both)


def test_an_adapter_whose_base_is_nowhere_says_which_it_needs(tmp_path, llama):
    (tmp_path / "run").mkdir()
    file = tmp_path / "run" / "adapter_config.json"
    file.write_text(json.dumps({"peft_type": "LORA", "base_model_name_or_path": "nobody/nothing"}))
    with pytest.raises(CourseError, match="is an adapter, and its base is missing: .*nobody/nothing"):
        models.load_llm(Settings(model=str(tmp_path / "run")))
    file.write_text("{}")
    with pytest.raises(CourseError, match="does not name its base"):
        models.load_llm(Settings(model=str(tmp_path / "run")))


@pytest.mark.parametrize(
    "spoil, words",
    [
        (lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\nsize 5\n"), "git lfs pull"),
        (lambda path: path.write_bytes(path.read_bytes()[:-500]), "cut off or damaged"),
        (lambda path: path.unlink(), "no readable safetensors weights"),
        (lambda path: path.rename(path.with_name("pytorch_model.bin")), "pickle"),
    ],
)
def test_weights_that_are_not_there_whole_are_one_sentence(tmp_path, llama, spoil, words):
    settings = save(tmp_path / "m", llama)
    spoil(tmp_path / "m" / "model.safetensors")
    with pytest.raises(CourseError, match=words):
        models.load_llm(settings)


def shards(folder):
    """The model's weights in several files with an index, instead of one."""
    model = LlamaForCausalLM.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="20KB")
    return sorted(folder.glob("model-*.safetensors"))


@pytest.mark.parametrize("several", [False, True])
def test_a_second_copy_of_the_weights_takes_no_memory(tmp_path, llama, monkeypatch, several):
    import psutil

    settings, folder = save(tmp_path / "m", llama), tmp_path / "m"
    whole = (folder / "model.safetensors").read_bytes()
    assert not several or len(shards(folder)) > 2
    (folder / "consolidated.safetensors").write_bytes(whole)
    memory = psutil.virtual_memory()
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory._replace(available=2 * len(whole)))
    assert answers(settings) == greedy(llama, PROMPTS)
    (folder / "consolidated.safetensors").write_bytes(whole[:100])  # nobody reads it
    assert answers(settings) == greedy(llama, PROMPTS)


def test_a_part_of_the_weights_that_is_missing_and_a_damaged_index_are_named(tmp_path, llama):
    settings, folder = save(tmp_path / "m", llama), tmp_path / "m"
    lost = shards(folder)[1]
    lost.rename(folder / "consolidated.safetensors")
    with pytest.raises(CourseError, match=f"{lost.name} is missing; fetch or save it again"):
        models.load_llm(settings)
    (folder / "model.safetensors.index.json").write_text("{}")
    with pytest.raises(CourseError, match="index.json is cut off or damaged .'weight_map'"):
        models.load_llm(settings)
    (folder / "model.safetensors.index.json").unlink()
    with pytest.raises(CourseError, match="no readable safetensors weights"):
        models.load_llm(settings)


def test_a_model_that_lacks_weights_is_not_filled_with_random_ones(tmp_path, llama):
    settings = save(tmp_path / "m", llama, config={"num_hidden_layers": 3})
    with pytest.raises(CourseError, match="not whole: 9 of its weights are missing"):
        models.load_llm(settings)
    settings = save(tmp_path / "n", llama, config={"hidden_size": 16, "head_dim": 8})
    with pytest.raises(CourseError, match="do not fit its config.json"):
        models.load_llm(settings)


def test_code_in_a_models_folder_is_neither_run_nor_asked_about(tmp_path, llama, monkeypatch):
    monkeypatch.setattr(builtins, "input", lambda *args: pytest.fail("the reader was asked"))
    own = {"model_type": "own", "architectures": ["OwnForCausalLM"], "auto_map": {"AutoConfig": "own.OwnConfig"}}
    settings = save(tmp_path / "m", llama, config=own)
    (tmp_path / "m" / "own.py").write_text("raise SystemExit('run')")
    with pytest.raises(CourseError, match="runs no code from models"):
        models.load_llm(settings)


def test_sequence_to_sequence_models_of_any_name_load(tmp_path):
    config = MarianConfig(
        vocab_size=60, d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, max_position_embeddings=64,
        decoder_start_token_id=2, eos_token_id=2, pad_token_id=2,
    )  # fmt: skip
    llm = models.load_llm(save(tmp_path / "m", MarianMTModel(config)))
    assert llm.family == "encoder-decoder" and len(llm.generate(PROMPTS, max_new_tokens=3)) == 3


def test_a_path_in_the_home_folder_and_one_that_does_not_exist(tmp_path, llama, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    save(tmp_path / "mine", llama)
    assert answers(Settings(model="~/mine")) == greedy(llama, PROMPTS)
    for name in ("~/yours", "./yours", "/no/such/folder"):
        with pytest.raises(CourseError, match="does not exist"):
            models.load_llm(Settings(model=name))


# ---------------------------------------------------------------- adapters as COURSE_MODEL


def adapted(tmp_path, base, rename=None, keep=lambda key: True, **config):
    """The folder of a LoRA adapter with other weights than zeros, and its model."""
    from safetensors.torch import load_file, save_file

    tuned = get_peft_model(LlamaForCausalLM.from_pretrained(base), LoraConfig(r=2, **{"target_modules": ["q_proj"], **config}))
    torch.manual_seed(1)
    for p in tuned.parameters():
        if p.requires_grad:
            p.data.normal_(0, 0.3)
    folder = tmp_path / "adapter"
    tuned.eval().save_pretrained(folder)
    file = folder / "adapter_model.safetensors"
    save_file({(rename or str)(key): value for key, value in load_file(file).items() if keep(key)}, file)
    return tuned, folder


def place(folder, model, tokenizer=None):
    return Path(save(folder, model, tokenizer).model)


def load(folder):
    return models.load_llm(Settings(model=str(folder)))


@pytest.mark.parametrize("spoil", [
    {"rename": lambda key: f"module.{key}"}, {"rename": lambda key: key.replace("model.layers", "model.language_model.layers")},
    {"keep": lambda key: "layers.0" in key},
])  # fmt: skip
def test_an_adapter_whose_names_do_not_fit_is_not_taken_for_none(tmp_path, llama, spoil):
    base = place(tmp_path / "base", llama)
    with pytest.raises(CourseError, match="is not whole, or made for another model: .* is missing"):
        load(adapted(tmp_path, base, **spoil)[1])


def test_a_merge_that_would_change_the_model_is_refused(tmp_path, llama):
    plain, shared = place(tmp_path / "base", llama), llama.config
    shared.tie_word_embeddings = True
    torch.manual_seed(0)
    shared = place(tmp_path / "shared", LlamaForCausalLM(shared))
    ids = torch.tensor([[5, 6, 7]])
    tuned, folder = adapted(tmp_path, plain, target_modules=["q_proj", "v_proj"])
    with torch.no_grad():
        assert torch.allclose(load(folder).model(ids).logits, tuned(ids).logits, atol=1e-4)
    with pytest.raises(CourseError, match="cannot be merged into its base"):
        load(adapted(tmp_path, shared, target_modules=["q_proj", "lm_head"])[1])


def test_a_damaged_adapter_a_soft_prompt_and_our_own_adapters(tmp_path, llama):
    from peft import PromptTuningConfig

    from course_utils import adapters

    base = place(tmp_path / "base", llama)
    folder = adapted(tmp_path, base)[1]
    (folder / "adapter_model.safetensors").write_text("version https://git-lfs.github.com/spec/v1")
    with pytest.raises(CourseError, match="git lfs pull"):
        load(folder)
    soft = get_peft_model(LlamaForCausalLM.from_pretrained(base), PromptTuningConfig(num_virtual_tokens=2, task_type="CAUSAL_LM"))
    soft.save_pretrained(tmp_path / "soft")
    with pytest.raises(CourseError, match="is a soft prompt, which cannot be merged"):
        load(tmp_path / "soft")
    assert load(adapters.HERE / "summary").context == 8192  # its base is the course's model, by name


# ---------------------------------------------------------------- configs that lead astray


def test_quantised_and_unknown_configs_are_one_sentence(tmp_path, llama):
    folder = place(tmp_path / "m", llama)
    kept = json.loads((folder / "config.json").read_text())
    for more, words in (
        ({"quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": 32}}, "needs a library .* plain weights"),
        ({"hidden_act": "novel"}, "do not fit its config.json: .*novel"), ({"num_attention_heads": None}, "cannot read the config.json"),
    ):  # fmt: skip
        (folder / "config.json").write_text(json.dumps(kept | more))
        with pytest.raises(CourseError, match=words):
            load(folder)


def test_weights_that_the_config_has_no_place_for_are_named(tmp_path, llama, capsys):
    folder = place(tmp_path / "m", llama)
    kept = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(kept | {"num_hidden_layers": 1}))
    load(folder)
    assert "have no place by its config.json and are not used, model.layers.1" in capsys.readouterr().out


def test_training_ends_an_answer_where_generation_stops(tmp_path, llama):
    tokenizer = make_tokenizer()
    tokenizer.eos_token = "w50"
    llm = load(place(tmp_path / "m", llama, tokenizer))
    assert llm.tokenizer.eos_token_id in llm.model.generation_config.eos_token_id
    tokenizer.add_tokens(["extra"])
    tokenizer.add_special_tokens({"eos_token": "<|im_end|>"})  # and the model was not enlarged
    llm = load(place(tmp_path / "n", llama, tokenizer))
    assert llm.tokenizer.eos_token_id == llm.model.generation_config.eos_token_id == 2


def test_windows_of_nested_and_old_configs_are_seen():
    import transformers as t

    sizes = {"vocab_size": 60, "hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 48}
    text = t.Gemma3TextConfig(**sizes, num_hidden_layers=6, num_key_value_heads=2, head_dim=8, sliding_window=8, max_position_embeddings=99)
    eyes = t.SiglipVisionConfig(hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=8, patch_size=4)
    seeing = t.Gemma3ForConditionalGeneration(t.Gemma3Config(
        text_config=text.to_dict(), vision_config=eyes.to_dict(), mm_tokens_per_image=4, image_token_index=59, boi_token_index=58, eoi_token_index=57,
    ))  # fmt: skip
    neo = t.GPTNeoForCausalLM(t.GPTNeoConfig(
        vocab_size=60, hidden_size=32, num_layers=2, num_heads=4, attention_types=[[["global", "local"], 1]], window_size=8,
    ))  # fmt: skip
    llm = models.LLM(seeing, make_tokenizer(), "seeing")
    assert llm.context == 99 and not llm.can_share and not models.LLM(neo, make_tokenizer(), "neo").can_share


@pytest.mark.parametrize("template, found", [
    ("{% for m in messages %}{% for c in m.content %}{{ c['text'] }}{% endfor %}{% endfor %}", "w9"),
    ("{{ raise_exception('System role not supported') }}", "does not take these messages .System role not supported"),
])  # fmt: skip
def test_templates_that_ask_for_parts_or_refuse(tmp_path, llama, template, found):
    tokenizer = make_tokenizer()
    tokenizer.chat_template = template
    llm = load(place(tmp_path / "m", llama, tokenizer))
    if "refuse" in template or "raise" in template:
        with pytest.raises(CourseError, match=found):
            llm.chat("w9")
    else:
        assert llm.chat("w9") == found
