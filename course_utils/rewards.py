"""Judges of a text: a reward model trained on preferences, a classifier, and a word list.

A judge takes a list of texts and returns a number for each. The reward model's score is better the
higher; the other two give the probability of being insulting.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from .finetune import evaluating
from .metrics.similarity import mean_pool
from .models import load_encoder
from .preference import bradley_terry
from .settings import CourseError

LIST = Path(__file__).parent / "data" / "insults.json"


def word_list(texts: Sequence[str]) -> list[float]:
    """1.0 for a text with a word of the course's list of insults, else 0.0."""
    words = [word for part in json.loads(LIST.read_text()).values() for word in part]
    found = re.compile(rf"(?<![\w-])({'|'.join(map(re.escape, words))})(?![\w-])", re.IGNORECASE)
    return [float(bool(found.search(text))) for text in texts]


def profanity(texts: Sequence[str]) -> list[float]:
    """Probability of being offensive by ``alt-profanity-check``, a linear model over words trained
    on some 200,000 labelled comments. It is visibly biased: mentioning a minority raises it."""
    from profanity_check import predict_prob

    return predict_prob(list(texts)).tolist() if len(texts) else []


class RewardModel(nn.Module):
    """MiniLM, mean-pooled, and one linear layer: a score for each text, [texts]."""

    def __init__(self, seed: int = 0):
        super().__init__()
        self.encoder, self.tokenizer = load_encoder()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.head = nn.Linear(self.encoder.config.hidden_size, 1)

    def forward(self, texts: Sequence[str]) -> torch.Tensor:
        batch = self.tokenizer(
            list(texts), padding=True, truncation=True, max_length=128, return_tensors="pt"
        )
        states = self.encoder(**batch).last_hidden_state
        return self.head(mean_pool(states, batch["attention_mask"])).squeeze(-1)


def train_reward_model(
    model: RewardModel, chosen: Sequence[str], rejected: Sequence[str], epochs: int = 3,
    learning_rate: float = 5e-5, batch_size: int = 16, seed: int = 0,
) -> list[float]:  # fmt: skip
    """Fit the scores so that each chosen text beats its rejected one; the loss of every step.

    Raises
    ------
    CourseError
        for no pairs, or unequal numbers of chosen and rejected texts.
    """
    if not chosen or len(chosen) != len(rejected):
        raise CourseError(
            f"A reward model learns from pairs; got {len(chosen)} chosen and {len(rejected)} "
            "rejected texts."
        )
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=0.01)
    generator, losses = torch.Generator().manual_seed(seed), []
    model.eval()  # no dropout: the pairs are few and the runs should repeat
    for _ in range(epochs):
        for index in torch.randperm(len(chosen), generator=generator).split(batch_size):
            better, worse = ([texts[i] for i in index] for texts in (chosen, rejected))
            scores = model([*better, *worse])
            loss = bradley_terry(*scores.chunk(2))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


@torch.no_grad()
def score(model: RewardModel, texts: Sequence[str], batch_size: int = 32) -> list[float]:
    """Scores in the given order; texts of like length are read together."""
    result = [0.0] * len(texts)
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    with evaluating(model):
        for start in range(0, len(order), batch_size):
            index = order[start : start + batch_size]
            for i, value in zip(index, model([texts[i] for i in index]).tolist()):
                result[i] = value
    return result
