"""Judges of a text: a reward model trained on preferences, a classifier, and a word list.

A judge takes a list of texts and returns a number for each. The reward model's score is better the
higher; the other two give the probability of being insulting. All of them read English only, and say so
once where most texts are not: a list that finds no insult in Hindi has not found that there is none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from . import progress
from .finetune import evaluating, give_back, mixed_precision
from .llm import LLM
from .metrics.similarity import mean_pool
from .metrics.words import one_form, warn_unless_english
from .models import load_encoder
from .preference import bradley_terry
from .settings import CourseError

MAX_TOKENS = 128  # of a text; attention over more would cost much and summaries are shorter
OTHER_JUDGE = "judge them by a classifier of that language: COURSE_JUDGE=org/name."
LIST = Path(__file__).parent / "data" / "insults.json"


def insults() -> dict[str, list[str]]:
    """The course's list: insults that occur ``everywhere``, and those in ``test_only`` dialogues."""
    return json.loads(LIST.read_text())


def mentions(text: str, words: Sequence[str]) -> bool:
    """Does one of the words stand in the text, as a word of its own and in any case?"""
    found = rf"(?<![\w-])({'|'.join(map(re.escape, words))})(?![\w-])"
    return re.search(found, one_form(text), re.IGNORECASE) is not None


def word_list(texts: Sequence[str]) -> list[float]:
    """1.0 for a text with a word of the course's list of insults, else 0.0."""
    if isinstance(texts, str):
        raise ValueError("Give a list of texts: word_list([text]), not word_list(text).")
    warn_unless_english(
        texts,
        "insults: the course's list is English; in texts in another language it finds none, whatever they say; " + OTHER_JUDGE,
    )
    words = [word for part in insults().values() for word in part]
    return [float(mentions(text, words)) for text in texts]


def profanity(texts: Sequence[str]) -> list[float]:
    """Probability of being offensive by ``alt-profanity-check``, a linear model over words trained
    on some 200,000 labelled comments. It is visibly biased: mentioning a minority raises it."""
    from profanity_check import predict_prob

    warn_unless_english(
        texts,
        "judge: alt-profanity-check learnt from English comments; its numbers for texts in another language mean "
        "nothing; " + OTHER_JUDGE,
    )
    return predict_prob(list(texts)).tolist() if len(texts) else []


def class_score(outputs: Sequence[Sequence[dict]], label: str) -> list[float]:
    """The score of the class named ``label`` for each text.

    ``outputs`` is what a transformers "text-classification" pipeline gives with ``top_k=None``: a
    list of ``{"label": …, "score": …}`` a text, *sorted by score*. A position therefore names no
    class: item 0 is whichever class won.

    Raises
    ------
    CourseError
        if a text has no class of that name.
    """
    found = [{item["label"]: item["score"] for item in items} for items in outputs]
    for classes in found:
        if label not in classes:
            raise CourseError(f"The classifier has no class {label!r}; it has {sorted(classes)}.")
    return [classes[label] for classes in found]


class RewardModel(nn.Module):
    """MiniLM, mean-pooled, and one linear layer: a score for each text, [texts].

    The word embeddings are frozen: a word that training never shows keeps its place beside those of
    like meaning that it does show. It also saves a tenth of the time. Of a text of more than
    ``MAX_TOKENS`` the *end* is read: what is judged, the answer, comes after what was asked.
    """

    def __init__(self, seed: int = 0):
        super().__init__()
        self.encoder, self.tokenizer = load_encoder()
        self.encoder.embeddings.requires_grad_(False)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.head = nn.Linear(self.encoder.config.hidden_size, 1)

    def encode(self, texts: Sequence[str], **options):
        """The texts as the model reads them: ids and masks, cut on the left."""
        self.tokenizer.truncation_side = "left"
        return self.tokenizer(list(texts), truncation=True, max_length=MAX_TOKENS, **options)

    def forward(self, texts: Sequence[str]) -> torch.Tensor:
        batch = self.encode(texts, padding=True, return_tensors="pt")
        states = self.encoder(**batch).last_hidden_state
        return self.head(mean_pool(states, batch["attention_mask"])).squeeze(-1)


def train_reward_model(
    model: RewardModel, chosen: Sequence[str], rejected: Sequence[str], epochs: int = 2,
    learning_rate: float = 1e-4, batch_size: int = 16, seed: int = 0,
) -> list[float]:  # fmt: skip
    """Fit the scores so that each chosen text beats its rejected one; the loss of every step.

    Pairs whose two texts are the same to the model (equal, or equal after the cut at ``MAX_TOKENS``)
    teach nothing; they are left out and counted aloud.

    Raises
    ------
    CourseError
        for no pairs, unequal numbers of chosen and rejected texts, what is no text, or no pair with a difference.
    """
    chosen, rejected = list(chosen), list(rejected)  # a data set's columns are no lists
    if not all(isinstance(text, str) for text in (*chosen, *rejected)):
        raise CourseError(
            "A reward model reads texts; join a list of messages to one text (LLM.chat does so by the model's template)."
        )
    if not chosen or len(chosen) != len(rejected):
        raise CourseError(
            f"A reward model learns from pairs; got {len(chosen)} chosen and {len(rejected)} "
            "rejected texts."
        )
    _warn(chosen)
    ids = zip(model.encode(chosen)["input_ids"], model.encode(rejected)["input_ids"])
    kept = [i for i, (better, worse) in enumerate(ids) if better != worse]
    if not kept:
        raise CourseError(
            f"The two texts of each pair are the same in their last {MAX_TOKENS} tokens: nothing can be "
            "learnt from them; shorten what they share."
        )
    if len(kept) < len(chosen):
        print(
            f"{len(chosen) - len(kept)} of {len(chosen)} pairs are the same in their last {MAX_TOKENS} "
            "tokens and are left out"
        )
        chosen, rejected = ([texts[i] for i in kept] for texts in (chosen, rejected))
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=learning_rate, weight_decay=0.01)
    generator, losses = torch.Generator().manual_seed(seed), []
    model.eval()  # no dropout: the pairs are few and the runs should repeat
    steps = epochs * -(-len(chosen) // batch_size)
    with progress.Bar("training the reward model", steps) as bar:
        for _ in range(epochs):
            for index in torch.randperm(len(chosen), generator=generator).split(batch_size):
                better, worse = ([texts[i] for i in index] for texts in (chosen, rejected))
                scores = model([*better, *worse])
                loss = bradley_terry(*scores.chunk(2))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
                bar.at(len(losses), f"loss {losses[-1]:.2f}")
    give_back()
    return losses


def _warn(texts: Sequence[str]) -> None:
    warn_unless_english(
        texts,
        "reward model: MiniLM was trained on English; scores of texts in another language mean little, also after "
        "training.",
    )


@torch.no_grad()
def score(model: RewardModel, texts: Sequence[str], batch_size: int = 32) -> list[float]:
    """Scores in the given order; texts of like length are read together."""
    if isinstance(model, RewardModel):  # not a reader's own classifier, which may know the language
        _warn(texts)
    result = [0.0] * len(texts)
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    with evaluating(model), progress.Bar("judging", len(texts)) as bar:
        for start in range(0, len(order), batch_size):
            index = order[start : start + batch_size]
            for i, value in zip(index, model([texts[i] for i in index]).tolist()):
                result[i] = value
            bar.at(start + len(index))
    return result


@torch.no_grad()
def last_vectors(
    llm: LLM, prompts: Sequence[str], answers: Sequence[Sequence[str]]
) -> torch.Tensor:
    """What a scalar head reads: the vector at the last token of each answer, [prompts, answers, width].

    ``answers`` has equally many texts for each prompt; the end token closes each. A prompt is read once
    for all of its answers, and its keys and values are kept; in bfloat16 where the processor gains by it.
    A causal model without its output layer reads; of a row padded on the right, the position is counted.
    """
    trunk, tokenizer, device = llm.model.base_model, llm.tokenizer, llm.model.device
    options = {"add_special_tokens": False, "return_tensors": "pt"}
    found = []
    with mixed_precision(str(device)), progress.Bar("reading", len(prompts)) as bar:
        for number, (prompt, texts) in enumerate(zip(prompts, answers, strict=True), 1):
            asked = tokenizer(prompt, **options).to(device)
            cache = trunk(**asked, use_cache=True).past_key_values
            cache.batch_repeat_interleave(len(texts))
            closed = [text + tokenizer.eos_token for text in texts]
            rows = tokenizer(closed, padding=True, padding_side="right", **options).to(device)
            before = asked["attention_mask"].repeat(len(texts), 1)
            mask = torch.cat([before, rows["attention_mask"]], 1)
            states = trunk(rows["input_ids"], attention_mask=mask, past_key_values=cache)
            last = rows["attention_mask"].sum(1) - 1
            every = torch.arange(len(texts), device=device)
            found.append(states.last_hidden_state[every, last].float().cpu())
            bar.at(number)
    return torch.stack(found)
