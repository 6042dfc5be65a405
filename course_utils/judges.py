"""A classifier of the reader's choice as a judge: ``COURSE_JUDGE=org/name`` or a folder.

It is read by the names of its classes, never by their positions: the same architecture is published
with *nothate* first and with *hate* first. Safetensors only, and no code of the model's own.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import nn

from . import rewards
from .models import check_weights, load_tokenizer, place_of, quiet, read_config
from .settings import EMBEDDED, CourseError, Settings, as_path, current

Judge = Callable[[Sequence[str]], list[float]]

# Names of classes, in lower case and without signs between words. The first two win over the others.
TOXIC = ("toxic", "toxicity", "hate", "hateful", "hatespeech", "offensive", "offense", "abusive", "abuse",
         "insult", "insulting", "profanity", "profane", "obscene", "unsafe", "harmful")  # fmt: skip
HARMLESS = ("neutral", "normal", "clean", "safe", "none", "neither", "acceptable", "ok", "okay")


def chosen(settings: Settings | None = None) -> Judge:
    """The second judge of week 3: the one ``COURSE_JUDGE`` names, else :func:`rewards.profanity`.

    Returns
    -------
    A function from texts to probabilities of being toxic, one for each. Of a text that is too long
    for a classifier the end is read.

    Raises
    ------
    CourseError
        if the classifier cannot be found, is not whole, needs code of its own, is no classifier, or
        does not tell which of its classes is the toxic one.
    """
    settings = settings or current()
    if settings.judge == EMBEDDED:
        return rewards.profanity
    name, label = split(settings.judge)
    return partial(rewards.score, _load(name, label).to(settings.device))


def split(value: str) -> tuple[str, str | None]:
    """``(place, label)`` of ``place:label``; None where no label is given."""
    place, colon, label = value.rpartition(":")
    if not colon or as_path(value, "COURSE_JUDGE").is_dir() or "/" in label or "\\" in label:
        return value, None
    return place, label.strip()


def toxic_class(labels: dict[int, str], asked: str, label: str | None = None) -> int:
    """The number of the toxic class, by the classes' names or by the one that is named.

    ``labels`` is the model's ``id2label``; ``asked`` begins the sentences (``COURSE_JUDGE=org/name``).

    Raises
    ------
    CourseError
        if there is no such class, or the names leave it open.
    """
    names = ", ".join(labels.values())
    if label is not None:
        found = [i for i, name in labels.items() if name.lower() == label.lower()]
        if len(found) != 1:
            raise CourseError(f"{asked} has no class {label!r}; it has {names}.")
        return found[0]
    short = {i: re.sub(r"[\W_]", "", name.lower()) for i, name in labels.items()}
    found = [i for i, name in short.items() if name in TOXIC]
    found = [i for i in found if short[i] in TOXIC[:2]] or found
    rest = [i for i, name in short.items() if not _is_harmless(name)]
    if not found and len(labels) == 2 and len(rest) == 1:  # "clean" and some word for the other
        found = rest
    if len(found) != 1:
        raise CourseError(
            f"{asked} does not tell which of its classes is the toxic one ({names}); name it: "
            f"{asked}:{labels[max(labels)]}, say."
        )
    return found[0]


def _is_harmless(name: str) -> bool:
    """*nothate*, *nonoffensive*, *neutral*, for names as :func:`toxic_class` shortens them."""
    return name in HARMLESS or re.sub("^(non|not|no)", "", name) in TOXIC and name not in TOXIC


class Classifier(nn.Module):
    """A sequence classifier of which one class is read: the probability of each text, [texts]."""

    def __init__(self, model, tokenizer, toxic: int):
        super().__init__()
        self.model, self.tokenizer, self.toxic = model, tokenizer, toxic
        tokenizer.truncation_side = "left"
        # RoBERTa counts its positions from 2: two less fit all.
        positions = getattr(model.config, "max_position_embeddings", None) or 512
        self.longest = min(tokenizer.model_max_length, positions - 2)
        several = model.config.problem_type == "multi_label_classification"
        self.apart = several or model.config.num_labels == 1  # each class yes or no, not one of them

    def forward(self, texts: Sequence[str]) -> torch.Tensor:
        batch = self.tokenizer(
            list(texts), padding=True, truncation=True, max_length=self.longest, return_tensors="pt"
        ).to(self.model.device)
        logits = self.model(**batch).logits.float()
        return (logits.sigmoid() if self.apart else logits.softmax(-1))[:, self.toxic]


def _load(name: str, label: str | None) -> Classifier:
    from transformers import AutoModelForSequenceClassification

    asked = f"COURSE_JUDGE={name}"
    place = place_of(name, "COURSE_JUDGE")
    config = read_config(place, asked)
    kinds = config.architectures or ["model without a named kind"]
    if "SequenceClassification" not in kinds[0]:
        raise CourseError(
            f"{asked} is a {kinds[0]}, which does not classify texts; choose a model for sequence "
            "classification."
        )
    if config.problem_type == "regression":
        raise CourseError(f"{asked} gives a number on a scale of its own, not the probability of a class; choose a classifier.")
    toxic = toxic_class(config.id2label, asked, label)
    check_weights(place, asked, torch.float32)
    with quiet():
        try:
            model, report = AutoModelForSequenceClassification.from_pretrained(
                place, dtype=torch.float32, use_safetensors=True, trust_remote_code=False,
                output_loading_info=True,
            )  # fmt: skip
            tokenizer = load_tokenizer(place, asked)
        except CourseError:
            raise
        except (OSError, ValueError, RuntimeError, ImportError, KeyError, TypeError, AttributeError) as error:
            raise CourseError(
                f"The weights or the tokenizer of {asked} do not fit its config.json: {str(error).splitlines()[0]}"
            ) from error
    missing = sorted(report["missing_keys"])
    if missing:
        raise CourseError(
            f"{asked} is not whole: {len(missing)} of its weights are missing, {missing[0]} first; save it "
            "again, or fetch it again."
        )
    if tokenizer.pad_token_id is None:
        raise CourseError(
            f"{asked} has no padding token, so it cannot read texts of unlike length; choose another."
        )
    tokens = tokenizer.get_vocab()
    last = max(tokens, key=tokens.get)
    if tokens[last] >= _embedded_tokens(model):
        raise CourseError(
            f"The tokenizer of {asked} holds {last!r}, a token that its model has no embedding for; save model and tokenizer "
            "that belong together, or choose another."
        )
    # A decoder's judge reads the last token that is not padding, by its own idea of padding.
    model.config.pad_token_id = model.config.get_text_config().pad_token_id = tokenizer.pad_token_id
    return Classifier(model.eval(), tokenizer, toxic)


def _embedded_tokens(model) -> float:
    """Of how many tokens the model has an embedding; any number where it has no such table (CANINE)."""
    try:
        return model.get_input_embeddings().num_embeddings
    except (NotImplementedError, AttributeError):
        return math.inf
