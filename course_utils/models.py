"""Load the model that the settings name, with its tokenizer: a :class:`LLM`.

Where the embedded model's file comes from is :mod:`.weights`; what one does with it is :mod:`.llm`.
"""

from __future__ import annotations

import math
import warnings
from pathlib import Path

import torch

from .llm import LLM, Answer, in_lower_precision
from .settings import EMBEDDED, CourseError, Settings, current
from .weights import (
    MINILM,
    SMOLLM2,
    Wheel,
    find,
    folder_name,
    is_complete,
    prepare,
    quiet,
    sha256,
    verify,
)

__all__ = [
    "LLM", "MINILM", "SMOLLM2", "Answer", "Wheel", "find", "folder_name",
    "in_lower_precision", "is_complete", "load_encoder", "load_llm", "prepare", "quiet", "sha256",
    "source", "verify",
]  # fmt: skip

# Weights, the inputs of the largest layers and a loader's copies, as a multiple of the weights.
MEMORY_FACTOR = 1.5

# peft asks transformers for an attribute under its old name, once for every model it wraps.
warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)


def source(settings: Settings | None = None) -> str:
    """What ``from_pretrained`` takes for the model the settings name: a folder, or a hub id."""
    settings = settings or current()
    return str(prepare(settings) if settings.model == EMBEDDED else settings.model)


def load_llm(settings: Settings | None = None) -> LLM:
    """The language model the settings name, in evaluation mode, with its tokenizer.

    Raises
    ------
    CourseError
        if the model cannot be found, does not generate text, has no tokenizer, or does not fit
        into memory.
    """
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

    settings = settings or current()
    place = source(settings)
    name = SMOLLM2.name if settings.model == EMBEDDED else str(settings.model)
    with quiet():
        config = _read_config(place, name)
        _check_memory(place, name, getattr(torch, settings.dtype))
        auto = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
        dtype = getattr(torch, settings.dtype)
        try:
            tokenizer = AutoTokenizer.from_pretrained(place, padding_side="left")
        except (OSError, ValueError, ImportError, KeyError, TypeError, AttributeError) as error:
            raise CourseError(
                f"COURSE_MODEL={name} has no usable tokenizer; save it there with "
                "tokenizer.save_pretrained(folder)."
            ) from error
        try:
            model = auto.from_pretrained(place, dtype=dtype, use_safetensors=True)
        except (OSError, ValueError) as error:
            raise CourseError(
                f"COURSE_MODEL={name} has no readable safetensors weights."
            ) from error
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return LLM(model.to(settings.device).eval(), tokenizer, name)


def _read_config(place: str, name: str):
    """The model's configuration, if it belongs to a model that generates text."""
    from transformers import AutoConfig

    if Path(place).is_dir() and not (Path(place) / "config.json").is_file():
        raise CourseError(
            f"The folder COURSE_MODEL={name} holds no config.json; is it a saved model?"
        )
    try:
        config = AutoConfig.from_pretrained(place)
    except (OSError, ValueError) as error:
        if Path(place).is_dir():
            raise CourseError(
                f"transformers cannot read the config.json of COURSE_MODEL={name}; is its model_type a "
                "language model's?"
            ) from error
        raise CourseError(
            f"COURSE_MODEL={name} is neither a folder nor reachable on the hub; "
            "unset it to use the embedded model."
        ) from error
    kinds = config.architectures or []
    generates = ("CausalLM", "ConditionalGeneration", "LMHead", "Seq2Seq")
    if kinds and not any(word in kind for kind in kinds for word in generates):
        raise CourseError(
            f"COURSE_MODEL={name} is a {kinds[0]}, which does not generate text; choose a causal or "
            "sequence-to-sequence language model."
        )
    return config


def _check_memory(place: str, name: str, dtype: torch.dtype) -> None:
    import psutil
    from safetensors import SafetensorError, safe_open

    if not Path(place).is_dir():
        return
    count = 0
    for path in Path(place).glob("*.safetensors"):
        try:
            with safe_open(path, "pt") as file:  # its header says how many, and not how they are loaded
                count += sum(math.prod(file.get_slice(key).get_shape()) for key in file.keys())
        except SafetensorError:  # loading says what is wrong with it
            return
    weights = count * dtype.itemsize
    free = psutil.virtual_memory().available
    if free < MEMORY_FACTOR * weights:
        raise CourseError(
            f"{name} needs about {MEMORY_FACTOR * weights / 1e9:.1f} GB of memory and {free / 1e9:.1f} GB are "
            "free; close other notebooks (Kernel → Shut Down All Kernels)."
        )


def load_encoder() -> tuple:
    """``(model, tokenizer)`` of the embedded sentence encoder all-MiniLM-L6-v2, in fp32 on the CPU."""
    from transformers import AutoModel, AutoTokenizer

    folder = verify(MINILM).parent
    with quiet():
        model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
        return model, AutoTokenizer.from_pretrained(folder)
