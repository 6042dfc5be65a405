"""Semantic similarity: the cosine of two sentence vectors (Reimers and Gurevych 2019)."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from .words import warn_unless_english


class Embedder:
    """Sentence vectors by mean pooling over an encoder's last layer.

    ``Embedder(*load_encoder())`` uses all-MiniLM-L6-v2: 384 numbers per text.
    """

    def __init__(self, model, tokenizer):
        self.model, self.tokenizer = model, tokenizer

    @torch.inference_mode()
    def encode(self, texts: Sequence[str], batch_size: int = 64) -> torch.Tensor:
        """Unit vectors [texts, width] on the CPU, in the texts' order; long texts are cut at the model's limit.

        Says once, where most texts are not English, that the embedded encoder cannot tell them apart: it knows a
        few letters of other scripts, or nothing at all.

        Raises
        ------
        ValueError
            for an empty list, or one text instead of a list.
        """
        if isinstance(texts, str):
            raise ValueError("Give a list of texts: encode([text]), not encode(text).")
        if not texts:
            raise ValueError("There is nothing to encode: the list of texts is empty.")
        warn_unless_english(
            texts,
            "similarity: MiniLM was trained on English; of texts in another language its vectors, and what is found "
            "by them, mean little (two sentences in Thai that share no word: 1.0).",
        )
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        vectors = []
        for start in range(0, len(order), batch_size):
            batch = [texts[i] for i in order[start : start + batch_size]]
            tokens = self.tokenizer(
                batch, padding=True, truncation=True, max_length=256, return_tensors="pt"
            ).to(self.model.device)
            states = self.model(**tokens).last_hidden_state
            vectors.append(mean_pool(states, tokens["attention_mask"]).cpu())
        inverse = torch.tensor(order).argsort()
        return torch.nn.functional.normalize(torch.cat(vectors)[inverse], dim=-1)


def mean_pool(states: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
    """Mean of the states [rows, length, width] over the tokens that are not padding, [rows, width]."""
    mask = attention_mask[..., None].to(states.dtype)
    return (states * mask).sum(1) / mask.sum(1)


def cosine(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Row-wise cosine of two sets of unit vectors [n, width] → [n], in [-1, 1]."""
    return (a * b).sum(-1)
