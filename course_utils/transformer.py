"""The encoder-decoder transformer of Vaswani et al. 2017 (arXiv:1706.03762), small enough to read.

Parameters have the names of ``torch.nn.Transformer``'s, so ``ours.load_state_dict(theirs.state_dict())``
copies weights and the two can be compared. Every attention returns its weights, for plotting. Masks
are boolean, True where a position may be looked at. Differences to the paper: the layer norm stands
*before* each sublayer (Xiong et al. 2020, arXiv:2002.04745; ``norm_first=True`` in PyTorch), which
trains without a long warm-up, and the embeddings have rows of their own, neither shared nor scaled.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .data.translation import words
from .settings import CourseError

PAD, START, END = 0, 1, 2  # the first three ids of every vocabulary


def attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None):
    """Scaled dot-product attention (equation 1): ``softmax(Q Kᵀ / √d) V``, and its weights.

    query [..., n, d], key [..., m, d], value [..., m, e], mask broadcastable to [..., n, m].
    Returns ([..., n, e], [..., n, m]). A row whose mask is all False gives NaN.
    """
    # scores[…, i, j]: how well key j fits query i. A dot product of d random numbers has a spread of √d;
    # without the division softmax would give nearly all weight to one position, and learn nothing.
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)  # e^−∞ = 0: a weight of exactly 0
    weights = scores.softmax(-1)
    return weights @ value, weights


def causal_mask(length: int) -> Tensor:
    """[length, length]: position i may look at 0 … i."""
    return torch.ones(length, length, dtype=torch.bool).tril()


def padding_mask(ids: Tensor) -> Tensor:
    """[rows, length] ids → [rows, 1, 1, length], False at padding; fits every head and query."""
    # Here PAD is an id of its own. Where it is also the end token, the mask must come from lengths.
    return (ids != PAD)[:, None, None, :]


def sinusoids(length: int, d: int) -> Tensor:
    """[length, d] position vectors (section 3.5): pairs of sin and cos, from fast to slow.

    Column 2i is sin(position / 10000^(2i/d)), column 2i + 1 the cosine of the same angle.
    """
    speed = 10000.0 ** (-torch.arange(0, d, 2) / d)  # [d / 2]
    angle = torch.arange(length)[:, None] * speed  # [length, d / 2]
    return torch.stack([angle.sin(), angle.cos()], -1).flatten(1)


class MultiHead(nn.Module):
    """Several attentions side by side, each in d / heads dimensions (section 3.2.2).

    Called with (x, other, mask): queries come from x [rows, n, d], keys and values from other
    [rows, m, d]. Returns ([rows, n, d], weights [rows, heads, n, m]).
    """

    def __init__(self, d: int, heads: int):
        super().__init__()
        if d % heads:
            raise ValueError(f"d = {d} cannot be divided among {heads} heads")
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * d, d))  # W_q, W_k, W_v stacked
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * d))
        self.out_proj = nn.Linear(d, d)  # mixes what the heads found, which so far stands side by side
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

    def forward(self, x: Tensor, other: Tensor, mask: Tensor | None = None):
        if other is x:  # self-attention: one product for all three
            q, k, v = F.linear(x, self.in_proj_weight, self.in_proj_bias).chunk(3, -1)
        else:
            d = x.shape[-1]
            q = F.linear(x, self.in_proj_weight[:d], self.in_proj_bias[:d])
            k, v = F.linear(other, self.in_proj_weight[d:], self.in_proj_bias[d:]).chunk(2, -1)
        found, weights = attention(self.split(q), self.split(k), self.split(v), mask)
        # [rows, heads, n, d / heads] → [rows, n, heads, d / heads] → [rows, n, d]: the heads side by side
        return self.out_proj(found.transpose(1, 2).flatten(2)), weights

    def split(self, x: Tensor) -> Tensor:
        """[rows, n, d] → [rows, heads, n, d / heads]."""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class EncoderLayer(nn.Module):
    """Self-attention, then a feed-forward network; each added to what came in."""

    def __init__(self, d: int, heads: int, hidden: int, dropout: float = 0.0):
        super().__init__()
        self.self_attn = MultiHead(d, heads)
        self.linear1, self.linear2 = nn.Linear(d, hidden), nn.Linear(hidden, d)
        self.norm1, self.norm2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor | None = None):
        normed = self.norm1(x)
        found, weights = self.self_attn(normed, normed, mask)
        # "x +": the layer adds to what it was given, so gradients have a short way back past all layers.
        x = x + self.dropout(found)
        # The feed-forward network sees one position at a time; only attention moves anything between them.
        x = x + self.dropout(self.linear2(F.relu(self.linear1(self.norm2(x)))))
        return x, weights


class DecoderLayer(nn.Module):
    """Masked self-attention, cross-attention over the encoder's output, feed-forward."""

    def __init__(self, d: int, heads: int, hidden: int, dropout: float = 0.0):
        super().__init__()
        self.self_attn, self.multihead_attn = MultiHead(d, heads), MultiHead(d, heads)
        self.linear1, self.linear2 = nn.Linear(d, hidden), nn.Linear(hidden, d)
        self.norm1, self.norm2, self.norm3 = nn.LayerNorm(d), nn.LayerNorm(d), nn.LayerNorm(d)
        self.dropout = nn.Dropout(dropout)

    def forward(self, y: Tensor, memory: Tensor, mask: Tensor, memory_mask: Tensor | None = None):
        normed = self.norm1(y)
        found, own = self.self_attn(normed, normed, mask)
        y = y + self.dropout(found)
        # Cross-attention: the queries come from the text being written, keys and values from the source.
        found, cross = self.multihead_attn(self.norm2(y), memory, memory_mask)
        y = y + self.dropout(found)
        y = y + self.dropout(self.linear2(F.relu(self.linear1(self.norm3(y)))))
        return y, own, cross


class Encoder(nn.Module):
    """A stack of layers and a last norm. Returns ([rows, n, d], one weights tensor a layer)."""

    def __init__(self, layers: int, d: int, heads: int, hidden: int, dropout: float = 0.0):
        super().__init__()
        self.layers = nn.ModuleList(EncoderLayer(d, heads, hidden, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(d)

    def forward(self, x: Tensor, mask: Tensor | None = None):
        seen = []
        for layer in self.layers:
            x, weights = layer(x, mask)
            seen.append(weights)
        return self.norm(x), seen


class Decoder(nn.Module):
    """A stack of layers and a last norm. Returns ([rows, n, d], self weights, cross weights)."""

    def __init__(self, layers: int, d: int, heads: int, hidden: int, dropout: float = 0.0):
        super().__init__()
        self.layers = nn.ModuleList(DecoderLayer(d, heads, hidden, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(d)

    def forward(self, y: Tensor, memory: Tensor, mask: Tensor, memory_mask: Tensor | None = None):
        own, cross = [], []
        for layer in self.layers:
            y, own_weights, cross_weights = layer(y, memory, mask, memory_mask)
            own.append(own_weights)
            cross.append(cross_weights)
        return self.norm(y), own, cross


class Transformer(nn.Module):
    """Embeddings, positions, encoder, decoder, and a score for every word of the target language."""

    def __init__(self, source_words: int, target_words: int, d: int = 64, heads: int = 4,
                 hidden: int = 128, layers: int = 2, dropout: float = 0.0, longest: int = 64):
        super().__init__()
        self.source_embedding = nn.Embedding(source_words, d)
        self.target_embedding = nn.Embedding(target_words, d)
        self.encoder = Encoder(layers, d, heads, hidden, dropout)
        self.decoder = Decoder(layers, d, heads, hidden, dropout)
        self.output = nn.Linear(d, target_words)
        self.dropout = nn.Dropout(dropout)
        # A buffer goes to the GPU with the model and is not trained; it can be computed, so it is not saved.
        self.register_buffer("positions", sinusoids(longest, d), persistent=False)

    def encode(self, source: Tensor):
        """[rows, n] ids → the deep representation [rows, n, d] and each layer's weights."""
        return self.encoder(self._place(self.source_embedding(source)), padding_mask(source))

    def decode(self, target: Tensor, memory: Tensor, source: Tensor):
        """Logits [rows, m, words] for the word *after* each of target [rows, m]; both weights.

        Padding comes last in a row, so the causal mask hides it from every real word.
        """
        y = self._place(self.target_embedding(target))
        # All positions at once: the mask keeps position i from seeing the word that it is to predict.
        mask = causal_mask(target.shape[1]).to(target.device)
        y, own, cross = self.decoder(y, memory, mask, padding_mask(source))
        return self.output(y), own, cross

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        return self.decode(target, self.encode(source)[0], source)[0]

    def _place(self, x: Tensor) -> Tensor:
        if x.shape[1] > len(self.positions):
            raise CourseError(f"{x.shape[1]} words; this model has {len(self.positions)} positions.")
        return self.dropout(x + self.positions[: x.shape[1]])


@dataclass(frozen=True)
class Vocabulary:
    """A word a row. ``Vocabulary.of(texts)`` collects the words of training texts, sorted."""

    words: tuple[str, ...]

    @classmethod
    def of(cls, texts: Sequence[str]) -> Vocabulary:
        return cls(("<pad>", "<start>", "<end>", *sorted({w for t in texts for w in words(t)})))

    def encode(self, text: str) -> list[int]:
        """Ids of a text's words and the end mark; CourseError names words that are unknown."""
        index = {word: id for id, word in enumerate(self.words)}
        found = words(text.lower().replace("’", "'"))
        if unknown := [word for word in found if word not in index]:
            raise CourseError(f"Not in the vocabulary: {', '.join(unknown)}.")
        return [*(index[word] for word in found), END]

    def decode(self, ids: Sequence[int]) -> str:
        """The text before the end mark."""
        ids = list(ids)
        return " ".join(self.words[i] for i in ids[: ids.index(END) if END in ids else None])


def pad(rows: Sequence[Sequence[int]]) -> Tensor:
    """Rows of ids → [rows, longest], padded at the end."""
    return nn.utils.rnn.pad_sequence([torch.tensor(r) for r in rows], batch_first=True)


def batches(examples: Sequence[tuple[list[int], list[int]]], size: int, seed: int):
    """Batches of (source, target) ids of one epoch: like lengths together, in random order."""
    rng = random.Random(seed)
    order = sorted(examples, key=lambda e: (len(e[0]), len(e[1]), rng.random()))
    parts = [order[i : i + size] for i in range(0, len(order), size)]
    rng.shuffle(parts)  # or an epoch would go from short to long
    return [(pad([s for s, _ in part]), pad([t for _, t in part])) for part in parts]


@torch.no_grad()
def greedy(model: Transformer, source: Tensor, limit: int = 24) -> Tensor:
    """[rows, n] source ids → [rows, ≤ limit] target ids, the likeliest word at each step."""
    memory = model.encode(source)[0]
    target = torch.full((len(source), 1), START, device=source.device)
    ended = torch.zeros(len(source), dtype=torch.bool, device=source.device)
    while target.shape[1] <= limit and not ended.all():
        # The whole target again at every step; only the last position's scores are new. A key-value
        # cache (kvcache.py) would keep the rest.
        logits = model.decode(target, memory, source)[0][:, -1]
        following = logits.argmax(-1).masked_fill(ended, PAD)
        ended = ended | (following == END)
        target = torch.cat([target, following[:, None]], 1)
    return target[:, 1:]
