"""Tiny language models over characters, really trained: the points of week 1's scaling laws.

Each reads fresh text once. Each run has a learning-rate schedule of its own that ends where its text
ends, the point on which Hoffmann et al. 2022 differ from Kaplan et al. 2020. The grid of them is
:mod:`.studies.scaling`.
"""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch.nn import functional as F

from . import data
from .scaling import flops_per_token
from .settings import CourseError

SYMBOLS = 97  # a line break, the 95 printable ASCII characters, and one for all others
CONTEXT, ROWS = 128, 4  # 512 characters a step
HEADS = {16: 1, 24: 1, 32: 1, 48: 2, 64: 2, 96: 3, 128: 4}  # the widths, with their attention heads
STEPS = (312, 624, 1248, 2496)
PARTS = 12  # of a run, each with its mean training loss: the learning curve


@dataclass(frozen=True)
class Setting:
    """One run. ``rate`` multiplies the learning rate that :func:`learning_rate` gives for the width."""

    width: int
    steps: int
    seed: int = 0
    rate: float = 1.0


def learning_rate(width: int) -> float:
    """Peak rate: the wider, the smaller. The log holds runs with half and with twice of it."""
    return 0.4 / width


def symbols(text: str) -> torch.Tensor:
    """Characters as numbers 0 … 96, shape [characters]."""
    return torch.tensor([0 if c == "\n" else ord(c) - 31 if 31 < ord(c) < 127 else 96 for c in text])


def load_rows() -> tuple[torch.Tensor, torch.Tensor]:
    """Training and held-out rows of the course's prose, [rows, 129] each; no paragraph is in both.

    Paragraphs are shuffled once, with a fixed seed, so that both parts are about the same things.
    """
    paragraphs = data.load_prose()
    order = torch.randperm(len(paragraphs), generator=torch.Generator().manual_seed(0)).tolist()
    cut = len(order) * 93 // 100

    def rows(chosen):
        ids = symbols("".join(paragraphs[i] + "\n" for i in chosen))
        return ids.unfold(0, CONTEXT + 1, CONTEXT)

    train, held_out = rows(order[:cut]), rows(order[cut:])[:512]
    if len(train) < ROWS * STEPS[-1] or len(held_out) < 512:
        raise CourseError("The installed libraries hold too little prose; install requirements.txt's versions.")
    return train, held_out


def make_model(width: int, seed: int = 0):
    """A two-layer Llama over characters with random weights, its input and output tables tied."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    return LlamaForCausalLM(LlamaConfig(
        vocab_size=SYMBOLS, hidden_size=width, intermediate_size=round(8 * width / 3), num_hidden_layers=2,
        num_attention_heads=HEADS[width], max_position_embeddings=CONTEXT, tie_word_embeddings=True,
        initializer_range=0.6 / math.sqrt(width), use_cache=False,
        bos_token_id=None, eos_token_id=None, pad_token_id=None,
    ))  # fmt: skip


def next_loss(model, rows: torch.Tensor) -> torch.Tensor:
    """Mean loss of each row's characters 1 … 128 given those before, nats per character."""
    return F.cross_entropy(model(rows[:, :-1]).logits.flatten(0, 1), rows[:, 1:].flatten())


@torch.no_grad()
def held_out_loss(model, rows: torch.Tensor) -> float:
    """The mean over all held-out characters; rows in equal batches of 64."""
    return sum(next_loss(model, part).item() for part in rows.split(64)) / (len(rows) / 64)


def text_of(ids: torch.Tensor) -> str:
    """The characters of such numbers; � stands for all that are none of the 96."""
    return "".join("\n" if i == 0 else "�" if i == 96 else chr(i + 31) for i in ids.tolist())


@torch.no_grad()
def babble(model, start: str = "The ", length: int = 70, temperature: float = 0.7, seed: int = 0) -> str:
    """``start`` and what the model writes after it, one drawn character at a time.

    Raises
    ------
    ValueError
        if start and continuation are longer than the context of 128 characters.
    """
    if len(start) + length > CONTEXT:
        raise ValueError(f"{len(start)} + {length} characters are more than the context of {CONTEXT}.")
    dice, ids = torch.Generator().manual_seed(seed), symbols(start)
    for _ in range(length):
        logits = model(ids[None]).logits[0, -1]
        ids = torch.cat([ids, torch.multinomial((logits / temperature).softmax(-1), 1, generator=dice)])
    return text_of(ids)


def run(setting: Setting, rows: tuple[torch.Tensor, torch.Tensor] | None = None, watch=None) -> dict:
    """Train one model, one pass over fresh text, and measure it on the held-out text.

    ``watch(step, model)`` is called before the first step, at each twelfth of the run, and at its end.

    Adam; the rate warms up over a tenth of *this* run's steps and falls to 0 at its end, along a cosine.
    ``halfway`` is the held-out loss in the middle of the run, when the rate is still high.
    """
    train, held_out = rows or load_rows()
    start, model = time.process_time(), make_model(setting.width, setting.seed)
    peak, warmup = setting.rate * learning_rate(setting.width), setting.steps // 10
    optimizer = torch.optim.AdamW(model.parameters(), lr=peak, betas=(0.9, 0.95), weight_decay=0, fused=True)
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(setting.seed))
    losses, halfway = [], math.nan
    for step in range(setting.steps):
        if watch and step % (setting.steps // PARTS) == 0:
            watch(step, model)
        if step == setting.steps // 2:
            halfway = held_out_loss(model, held_out)
        fall = math.cos(math.pi / 2 * max(0, step - warmup) / (setting.steps - warmup)) ** 2
        optimizer.param_groups[0]["lr"] = peak * min((step + 1) / warmup, fall)
        loss = next_loss(model, train[order[step * ROWS : (step + 1) * ROWS]])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    if watch:
        watch(setting.steps, model)
    table = model.get_input_embeddings().weight.numel()
    total, tokens = sum(p.numel() for p in model.parameters()), setting.steps * ROWS * CONTEXT
    return {
        **asdict(setting), "learning rate": peak, "parameters": total - table, "total": total, "tokens": tokens,
        "6ND": 6 * (total - table) * tokens,
        "flops": flops_per_token(total, layers=2, width=setting.width, context=CONTEXT) * tokens,
        "loss": round(held_out_loss(model, held_out), 4), "halfway": round(halfway, 4),
        "curve": [round(float(np.mean(part)), 4) for part in np.split(np.array(losses), PARTS)],
        "sample": babble(model),
        "seconds": round(time.process_time() - start, 1),
    }  # fmt: skip
