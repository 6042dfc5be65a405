"""No test may open a network connection, and tests never write to the learner's own progress."""

import socket

import pytest
import torch

LOCAL = {"127.0.0.1", "localhost", "::1"}


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
