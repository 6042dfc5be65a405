"""No test may open a network connection, and tests never write to the learner's own progress."""

import importlib.util
import os
import socket
import sys
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read when the hub's library is imported
import course_utils  # noqa: F401  before torch: threads that wait sleep  # isort: skip
import pytest
import torch

LOCAL = {"127.0.0.1", "localhost", "::1"}


def pytest_collection_modifyitems(items):
    """The long tests first: two workers that take one test at a time then end together."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Fail the test that tries to leave this machine."""
    connect = socket.socket.connect

    def guarded(self, address):
        if self.family != socket.AF_UNIX and address[0] not in LOCAL:
            raise AssertionError(f"a test tried to connect to {address}")
        return connect(self, address)

    def resolve(host, *args, **kwargs):
        if host in LOCAL or host is None:
            return getaddrinfo(host, *args, **kwargs)
        raise AssertionError(f"a test tried to look up {host}")

    getaddrinfo = socket.getaddrinfo
    monkeypatch.setattr(socket.socket, "connect", guarded)
    monkeypatch.setattr(socket, "getaddrinfo", resolve)


@pytest.fixture
def llama():
    """A tiny random Llama, fp32, seeded: 61 words, end token 2."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=61, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=128,
        bos_token_id=1, eos_token_id=2, pad_token_id=2, initializer_range=0.4,
    )  # fmt: skip
    return LlamaForCausalLM(config).eval()


WORDS = [f"w{i}" for i in range(57)]


def make_tokenizer():
    """One token a word; id 1 begins, id 2 ends *and* pads, as in SmolLM2."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import PreTrainedTokenizerFast

    vocabulary = {w: i for i, w in enumerate(["<unk>", "<s>", "</s>", *WORDS])}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="</s>",
        unk_token="<unk>", padding_side="left",
    )  # fmt: skip


@pytest.fixture
def causal(llama):
    """The tiny Llama with a tokenizer of one token a word."""
    from course_utils.models import LLM

    return LLM(llama, make_tokenizer(), "tiny-llama")


@pytest.fixture
def seq2seq():
    """A tiny random T5 with the same words."""
    from transformers import T5Config, T5ForConditionalGeneration

    from course_utils.models import LLM

    torch.manual_seed(0)
    config = T5Config(
        vocab_size=60, d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4,
        decoder_start_token_id=2, eos_token_id=2, pad_token_id=2,
    )  # fmt: skip
    model = T5ForConditionalGeneration(config).eval()
    with torch.no_grad():  # random T5 repeats one word for ever: shake it
        model.lm_head.weight.normal_(0, 0.5)
    return LLM(model, make_tokenizer(), "tiny-t5")


SOFT = ["prompt tuning", "p-tuning", "prefix tuning"]


def with_soft_prompt(llm, kind):
    """Three learnt vectors before the tokens, large enough to be seen."""
    from peft import PrefixTuningConfig, PromptEncoderConfig, PromptTuningConfig, get_peft_model

    from course_utils.models import LLM

    config = {
        "prompt tuning": PromptTuningConfig, "p-tuning": PromptEncoderConfig, "prefix tuning": PrefixTuningConfig,
    }[kind]  # fmt: skip
    task = "SEQ_2_SEQ_LM" if llm.family == "encoder-decoder" else "CAUSAL_LM"
    sizes = {"encoder_hidden_size": 16} if kind == "p-tuning" else {}
    torch.manual_seed(1)
    tuned = get_peft_model(llm.model, config(num_virtual_tokens=3, task_type=task, **sizes))
    with torch.no_grad():
        for p in tuned.parameters():
            if p.requires_grad:
                p.normal_(0, 0.5)
    return LLM(tuned.eval(), llm.tokenizer, llm.name)


@pytest.fixture
def said(capsys):
    """What a picture's alt text says; outside a notebook ``show`` prints it."""

    def words(draw, *args, **kwargs):
        draw(*args, **kwargs)
        return " ".join(capsys.readouterr().out.split())

    return words


@pytest.fixture
def base_model(monkeypatch):
    """Gemma 3 270M on the path: `make test` installs it beside the environment, so that both ways are run.

    It has a cache of its own: once converted in the usual one, it would be there for every notebook.
    """
    from course_utils.models import GEMMA

    beside = Path(sys.prefix) / "base-model"
    if beside.is_dir():
        monkeypatch.syspath_prepend(beside)
        monkeypatch.setenv("PYTHONPATH", str(beside), prepend=os.pathsep)  # of a notebook's kernel
        monkeypatch.setenv("COURSE_CACHE", str(beside / "cache"))
    if importlib.util.find_spec(GEMMA.package) is None:
        pytest.skip(f"the optional base model is not installed: {GEMMA.install}")
