"""Three small models, one per family, trained on the same English sentences.

The text is the English half of the course's French–English pairs (:mod:`.data.translation`): 311 words, so
a model of 180,000 weights can learn it well. Encoder and decoder are the same class with the same number
of weights; only mask and loss differ. The encoder-decoder is T5's class, about as large. What differs from
the papers: BERT numbers its positions, here encoder and decoder rotate them, as Llama does; T5 hides
several spans of a long text, here one hole is dug into a short sentence. :mod:`.studies.families` trains
the three.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from .data import translation
from .models import sha256
from .settings import CourseError

HERE = Path(__file__).parent / "trained" / "families"
NAMES = ("encoder", "decoder", "encoder-decoder")
SPECIAL = ["<s>", "</s>", "[MASK]", "<X>", "<Y>"]  # begin, end, hidden word, hole, end of the hole
START, END, MASK, HOLE, CLOSE = range(len(SPECIAL))
LONGEST = 4  # words in a hole
ROWS, PEAK, WARMUP = 64, 3e-3, 100  # sentences a step, highest learning rate, steps until it is reached

# The drawing of the three families, for plots.diagram.
STACKS = {
    "rows": [
        [None] * 5 + ["next token #2"],
        ["a vector per token", None, "next token", None, None, "feed-forward #4"],
        ["feed-forward", None, "feed-forward #2", None, "feed-forward #3", "cross-attention"],
        ["look both ways", None, "look back", None, "look both ways #2", "look back #2"],
        ["text", None, "text so far", None, "text #2", "output so far"],
    ],
    "arrows": [
        "text -> look both ways -> feed-forward -> a vector per token",
        "text so far -> look back -> feed-forward #2 -> next token",
        "text #2 -> look both ways #2 -> feed-forward #3 -> cross-attention",
        "output so far -> look back #2 -> cross-attention -> feed-forward #4 -> next token #2",
    ],
    "frames": {
        "encoder-only": ["look both ways", "feed-forward"],
        "decoder-only": ["look back", "feed-forward #2"],
        "encoder": ["look both ways #2", "feed-forward #3"],
        "decoder": ["look back #2", "cross-attention", "feed-forward #4"],
    },
}  # fmt: skip


@cache
def sentences(part: str = "train") -> tuple[str, ...]:
    """Different English sentences of a part: ``"train"``, ``"validation"`` or ``"test"``.

    A test sentence holds a pair of content words that never meet in training (see
    :func:`.data.translation.split`); what stands in training as well is left out of the other parts.
    """
    parts = translation.split()
    train = dict.fromkeys(english for _, english in parts["train"])
    if part == "train":
        return tuple(train)
    return tuple(dict.fromkeys(english for _, english in parts[part] if english not in train))


@cache
def vocabulary() -> list[str]:
    """The special tokens, then every word of the training part in the order of the alphabet."""
    return SPECIAL + sorted({word for sentence in sentences() for word in sentence.split()})


@cache
def _index() -> dict[str, int]:
    return {word: i for i, word in enumerate(vocabulary())}


def encode(sentence: str) -> list[int]:
    """Ids of ``<s>``, the words, ``</s>``; special tokens may stand in the sentence.

    Raises
    ------
    CourseError
        for a word that the vocabulary lacks.
    """
    unknown = [word for word in sentence.split() if word not in _index()]
    if unknown:
        raise CourseError(f"The small models do not know {unknown[0]!r}; their words are families.vocabulary().")
    return [START, *(_index()[word] for word in sentence.split()), END]


def decode(ids: Sequence[int]) -> str:
    """The words of ids, without special tokens."""
    return " ".join(vocabulary()[i] for i in ids if i >= len(SPECIAL))


def likeliest(probabilities: torch.Tensor, n: int = 5) -> str:
    """The likeliest tokens with their probabilities, for a print; probabilities [vocabulary].

    >>> scores = torch.zeros(len(vocabulary()))
    >>> scores[encode("old car")] = torch.tensor([0.0, 0.75, 0.25, 0.0])
    >>> likeliest(scores, 2)
    'old .75  car .25'
    """
    top = probabilities.topk(n)
    return "  ".join(f"{vocabulary()[i]} {p:.2f}".replace(" 0.", " .") for i, p in zip(top.indices, top.values))


def best_word(probabilities: torch.Tensor) -> str:
    """The likeliest word, special tokens left out; probabilities [vocabulary]."""
    return vocabulary()[len(SPECIAL) + int(probabilities[len(SPECIAL) :].argmax())]


def by_length(rows: Sequence[str]) -> dict[int, torch.Tensor]:
    """Encoded sentences, one tensor [sentences, tokens] for each number of tokens: no padding anywhere."""
    groups: dict[int, list[list[int]]] = {}
    for ids in map(encode, rows):
        groups.setdefault(len(ids), []).append(ids)
    return {length: torch.tensor(groups[length]) for length in sorted(groups)}


# ---------------------------------------------------------------- models


def make(name: str, seed: int = 0):
    """An untrained model: ``"encoder"``, ``"decoder"`` or ``"encoder-decoder"``."""
    from transformers import LlamaConfig, LlamaForCausalLM, T5Config, T5ForConditionalGeneration

    torch.manual_seed(seed)
    special = {"bos_token_id": START, "eos_token_id": END, "pad_token_id": START}
    if name == "encoder-decoder":
        return T5ForConditionalGeneration(T5Config(
            vocab_size=len(vocabulary()), d_model=64, d_kv=16, d_ff=128, num_heads=4, num_layers=2,
            num_decoder_layers=2, dropout_rate=0.0, decoder_start_token_id=START, **special,
        ))  # fmt: skip
    model = LlamaForCausalLM(LlamaConfig(
        vocab_size=len(vocabulary()), hidden_size=64, intermediate_size=192, num_hidden_layers=3,
        num_attention_heads=4, max_position_embeddings=32, tie_word_embeddings=True, **special,
    ))  # fmt: skip
    model.generation_config.pad_token_id = MASK  # behind an end; <s> and </s> are read and written
    return model


def log(folder: Path = HERE) -> dict[str, dict]:
    """How each model was trained: ``objective, steps, parameters, losses, held-out loss, written, seconds``.

    ``losses`` are means over 100 steps, in nats per target; ``written`` holds what the decoder wrote,
    step → sentence; ``seconds`` are of processor time.
    """
    return json.loads((folder / "log.json").read_text())["models"]


def load(name: str, folder: Path = HERE):
    """The trained model, its file checked against the hash in ``log.json``.

    Raises
    ------
    CourseError
        for a file that is missing or is not the one that was logged.
    """
    from safetensors.torch import load_model

    path, model = folder / f"{name}.safetensors", make(name)
    known = log(folder).get(name, {}).get("sha256")
    if not path.is_file() or sha256(path) != known:
        raise CourseError(f"{path} is not the file of log.json; get it back with git, or run python -m course_utils families.")
    load_model(model, path)
    return model.eval()


def both_sides(rows: int, tokens: int) -> torch.Tensor:
    """An encoder's mask, [rows, 1, tokens, tokens]: every token looks at every token."""
    return torch.ones(rows, 1, tokens, tokens, dtype=torch.bool)


# ---------------------------------------------------------------- objectives


def masked_loss(model, ids: torch.Tensor, rng) -> torch.Tensor:
    """BERT's: 15 % of the words are picked; of these 80 % are masked, 10 % swapped, 10 % stay.

    ``ids`` [rows, tokens], without padding; ``rng`` is a NumPy generator. The loss in nats per picked word.
    """
    shape = tuple(ids.shape)
    picked = torch.tensor(rng.random(shape) < 0.15) & (ids >= len(SPECIAL))
    dice = torch.tensor(rng.random(shape))
    others = torch.tensor(rng.integers(len(SPECIAL), len(vocabulary()), shape))
    read = torch.where(picked & (dice < 0.9), others, ids)
    read = torch.where(picked & (dice < 0.8), MASK, read)
    logits = model(read, attention_mask=both_sides(*shape)).logits
    return F.cross_entropy(logits[picked], ids[picked])


def causal_loss(model, ids: torch.Tensor, rng=None) -> torch.Tensor:
    """GPT's: each token is guessed from those before it; nats per token. ``ids`` [rows, tokens]."""
    return model(ids, labels=ids).loss


def span_loss(model, ids: torch.Tensor, rng) -> torch.Tensor:
    """T5's, with one hole per sentence of 1 to 4 words, all of one size in a batch; nats per token written."""
    words = ids.shape[1] - 2
    size = int(rng.integers(1, min(LONGEST, words) + 1))
    starts = 1 + rng.integers(0, words - size + 1, len(ids))
    pairs = [dig(row, start, size) for row, start in zip(ids.tolist(), starts)]
    read, written = (torch.tensor(part) for part in zip(*pairs))
    return model(read, labels=written).loss


def dig(ids: list[int], start: int, size: int) -> tuple[list[int], list[int]]:
    """A hole of ``size`` tokens from ``start`` on: what the encoder reads, what the decoder writes.

    >>> dig([0, 7, 8, 9, 1], 2, 2)
    ([0, 7, 3, 1], [3, 8, 9, 4])
    """
    return [*ids[:start], HOLE, *ids[start + size :]], [HOLE, *ids[start : start + size], CLOSE]


LOSSES: dict[str, Callable] = {"encoder": masked_loss, "decoder": causal_loss, "encoder-decoder": span_loss}


def train(
    model,
    loss_of: Callable,
    steps: int,
    seed: int = 0,
    rows: Sequence[str] | None = None,
    before: Callable[[int], None] = lambda step: None,
) -> list[float]:
    """Train a model in place; its losses, one per step.

    A step reads 64 sentences of one length, so nothing is padded; lengths come as often as their
    sentences do. AdamW; the rate rises for 100 steps, then falls to 0 along a cosine. ``loss_of`` gets
    the model, ids [64, tokens] and a NumPy generator; ``before`` the number of each step to come.
    """
    groups = list(by_length(sentences() if rows is None else rows).values())
    sizes = np.array([len(group) for group in groups])
    rng = np.random.default_rng(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=PEAK, betas=(0.9, 0.98), weight_decay=0.01, fused=True)
    losses = []
    for step in range(steps):
        before(step)
        group = groups[rng.choice(len(groups), p=sizes / sizes.sum())]
        ids = group[rng.integers(len(group), size=ROWS)]
        fall = np.cos(np.pi / 2 * max(0, step - WARMUP) / max(1, steps - WARMUP)) ** 2
        optimizer.param_groups[0]["lr"] = PEAK * min((step + 1) / WARMUP, fall)
        loss = loss_of(model, ids, rng)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    model.eval()
    return losses
