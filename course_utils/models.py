"""Load the model that the settings name, with its tokenizer: a :class:`LLM`.

Where the embedded model's file comes from is :mod:`.weights`; what one does with it is :mod:`.llm`.
"""

from __future__ import annotations

import json
import math
import warnings
from pathlib import Path

import torch

from . import hub
from .llm import LLM, Answer, in_lower_precision
from .settings import EMBEDDED, CourseError, Settings, as_path, current
from .weights import (
    GEMMA,
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
    "GEMMA", "LLM", "MINILM", "SMOLLM2", "Answer", "Wheel", "check_weights", "find", "folder_name",
    "in_lower_precision", "is_complete", "load_encoder", "load_llm", "local_place", "place_of", "prepare", "quiet",
    "read_config", "sha256", "source", "verify",
]  # fmt: skip

# Weights, the inputs of the largest layers and a loader's copies, as a multiple of the weights.
MEMORY_FACTOR = 1.5

ADAPTER = "adapter_model.safetensors"
POINTER = b"version https://git-lfs"  # what git leaves in place of a file that LFS holds

# Texts whose tokens tell how a tokenizer splits: contractions, numbers, blanks, line breaks, other alphabets.
TO_CUT = ("we'll sell 12345 pairs, aren't we?", "\n\n    x = [1, 22, 333];  done", "東京 и мир")
BEFORE, FIRST_WORD = "it reads so: ", 4  # tokens of "it" and a blank before it, at most

# peft asks transformers for an attribute under its old name, once for every model it wraps.
warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)


def source(settings: Settings | None = None) -> str:
    """The folder of the model the settings name: converted, the reader's own, or fetched from the hub.

    Raises
    ------
    CourseError
        if there is no such folder and nothing of that name on the hub, or it cannot be fetched.
    """
    settings = settings or current()
    if settings.model == EMBEDDED:
        return str(prepare(settings))
    return str(place_of(settings.model, settings=settings))


def place_of(name: str, variable: str = "COURSE_MODEL", settings: Settings | None = None) -> Path:
    """The folder of a model that the reader names: their own, the optional base model's
    (``gemma-3-270m``), or fetched from the hub.

    Raises
    ------
    CourseError
        that names ``variable``, if there is none or it cannot be fetched.
    """
    local = local_place(name, variable)
    if local:
        return local
    if name == GEMMA.name:
        return prepare(settings, GEMMA)
    if name == SMOLLM2.name:  # what save_adapter writes as the base
        return prepare(settings)
    return hub.download(name, variable)


def local_place(name: str, variable: str = "COURSE_MODEL") -> Path | None:
    """The reader's own folder of that name; None for what can only be on the hub, or in a wheel.

    Raises
    ------
    CourseError
        that names ``variable``, if the name is a file's, or that of a folder which is not there.
    """
    path = as_path(name, variable)
    if path.is_dir():
        return path
    if path.exists():
        raise CourseError(f"{variable}={name} is a file; give the folder it lies in, which holds config.json and the weights.")
    if name.startswith((".", "/", "~")) or name.count("/") > 1 or "\\" in name:
        raise CourseError(
            f"{variable}={name} does not exist; check its spelling, or unset it to use the embedded model."
        )
    return None


def load_llm(settings: Settings | None = None) -> LLM:
    """The language model the settings name, in evaluation mode, with its tokenizer.

    A folder that holds an adapter alone gets the base its adapter_config.json names, and is merged
    into it. Of the model's own ``generation_config`` the ids of special tokens stay, also the one that
    answers are made to begin with; its choices (sampling, a shortest length, forbidden repetitions) go: each
    call names its own.

    Raises
    ------
    CourseError
        if the model cannot be found, is not whole, needs code of its own, does not generate text,
        has no tokenizer or no end token, or does not fit into memory.
    """
    settings = settings or current()
    place = Path(source(settings))
    name = SMOLLM2.name if settings.model == EMBEDDED else str(settings.model)
    adapter = _adapter_alone(place, name)
    base = _base_of(name, adapter) if adapter else place
    with quiet():
        model = _load_weights(base, name, getattr(torch, settings.dtype))
        if adapter:
            model = _with_adapter(model, place, name)
        words = place if (place / "tokenizer_config.json").is_file() else base
        try:
            tokenizer = load_tokenizer(words, f"COURSE_MODEL={name}", padding_side="left")
        except (OSError, ValueError, ImportError, KeyError, TypeError, AttributeError) as error:
            raise CourseError(
                f"COURSE_MODEL={name} has no usable tokenizer; save it there with "
                "tokenizer.save_pretrained(folder)."
            ) from error
    _name_special_tokens(model, tokenizer, name)
    return LLM(model.to(settings.device).eval(), tokenizer, name)


def load_tokenizer(place: Path, asked: str, **options):
    """The tokenizer in a model's folder, which cuts texts as its tokenizer.json says.

    transformers chooses the tokenizer's class by the kind of model, and a class brings parts of its own, such as how
    texts are split before anything else, in place of the file's. So both are asked about a few texts.

    Raises
    ------
    CourseError
        that names ``asked``, if no class cuts texts as the file says; the library's errors where it cannot be read.
    """
    from tokenizers import Tokenizer
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    tokenizer, file = AutoTokenizer.from_pretrained(place, trust_remote_code=False, **options), place / "tokenizer.json"
    if type(tokenizer) is PreTrainedTokenizerFast or not file.is_file():  # it reads the file and nothing else
        return tokenizer
    try:
        own = Tokenizer.from_file(str(file))
    except Exception as error:  # the library has no kind of its own
        raise CourseError(f"{file} is cut off or damaged ({_in_a_line(error)}); fetch or save it again.") from error
    own.no_truncation()
    own.no_padding()
    if _cut_alike(tokenizer, own):
        return tokenizer
    plain = PreTrainedTokenizerFast.from_pretrained(place, **options)
    if not _cut_alike(plain, own):
        raise CourseError(
            f"The tokenizer of {asked} does not cut texts as its tokenizer.json says; save it there again with "
            "tokenizer.save_pretrained(folder)."
        )
    print(f"{asked}: its tokenizer.json is read as it is; the {type(tokenizer).__name__} of transformers would cut texts otherwise")
    return plain


def _cut_alike(tokenizer, own) -> bool:
    """Do a transformers tokenizer and the bare one of a tokenizer.json give the same tokens after the first word?

    Before the first word some put a blank and some do not, by settings that are not in the file. Capitals and accents
    are left out for the same reason.
    """
    plain = [word for word in own.get_vocab() if word.isascii() and word.isalnum() and word == word.lower()]
    for text in (*TO_CUT, " ".join(sorted(plain)[:: max(1, len(plain) // 16)])):
        wanted = own.encode(BEFORE + text, add_special_tokens=False).ids
        found = tokenizer(BEFORE + text, add_special_tokens=False)["input_ids"]
        rest = max(1, len(wanted) - FIRST_WORD)
        if found[-rest:] != wanted[-rest:]:
            return False
    return True


def _adapter_alone(place: Path, name: str) -> str | None:
    """The base that an adapter's folder names; None for a whole model.

    Raises
    ------
    CourseError
        for a folder that holds both: transformers would put the adapter on the model it may be
        merged into already.
    """
    file = place / "adapter_config.json"
    if not file.is_file():
        return None
    if (place / "config.json").is_file():
        raise CourseError(
            f"COURSE_MODEL={name} holds a whole model and an adapter beside it; move the files named "
            "adapter_* elsewhere if it is merged, else config.json and the model's weights."
        )
    try:
        base = json.loads(file.read_text(encoding="utf-8")).get("base_model_name_or_path")
    except (OSError, ValueError, AttributeError):
        base = None
    if not base:
        raise CourseError(
            f"COURSE_MODEL={name} is an adapter that does not name its base model; merge it into its "
            "base (merge_and_unload) and save that."
        )
    return base


def _base_of(name: str, base: str) -> Path:
    try:
        return place_of(base)
    except CourseError as error:
        raise CourseError(f"COURSE_MODEL={name} is an adapter, and its base is missing: {error}") from error


def _with_adapter(model, place: Path, name: str):
    """The model with the adapter merged into it; what is not whole, or would be another model after, is refused."""
    from peft import PeftModel

    asked = f"The adapter COURSE_MODEL={name}"
    if (place / ADAPTER).is_file():
        check_file(place / ADAPTER)
    try:
        tuned = PeftModel.from_pretrained(model, place).eval()
    except Exception as error:  # peft and torch raise many kinds
        raise CourseError(f"{asked} does not fit its base {model.config.name_or_path}: {_in_a_line(error)}") from error
    if any(config.is_prompt_learning for config in tuned.peft_config.values()):
        raise CourseError(f"{asked} is a soft prompt, which cannot be merged; load it with adapters.load_adapter.")
    if (place / ADAPTER).is_file() and (wrong := _unlike(tuned, place / ADAPTER)):
        raise CourseError(f"{asked} is not whole, or made for another model: {wrong}; save it again.")
    return merge(tuned, f"{asked} cannot be merged into its base", "load it with adapters.load_adapter")


def merge(tuned, refused: str, instead: str):
    """The model inside with peft's adapter in its weights, which change in place; in evaluation mode.

    Raises
    ------
    CourseError
        that begins with ``refused`` and ends with ``instead``, if that would be another model than the two were.
    """
    before = _logits(tuned.eval())
    merged = tuned.merge_and_unload()
    if not torch.allclose(before, _logits(merged), atol=0.05 * before.abs().max().item()):
        raise CourseError(f"{refused} (it changes a table that two layers share, or repeats layers); {instead}.")
    return merged


def _unlike(tuned, file: Path) -> str:
    """Where the names in an adapter's file are not those of the model with it; peft goes on without a word."""
    from peft import get_peft_model_state_dict
    from safetensors import safe_open

    with safe_open(file, "pt") as weights:
        kept = {key.replace(".default.", ".") for key in weights.keys()}
    needed, allowed = (set(get_peft_model_state_dict(tuned, save_embedding_layers=also)) for also in (False, True))
    for names, what in ((needed - kept, "is missing"), (kept - allowed, "has no place")):
        if names:
            return f"{min(names)} {what}" + (f", and {len(names) - 1} more" if len(names) > 1 else "")
    return ""


@torch.inference_mode()
def _logits(model) -> torch.Tensor:
    """What the model says to a few tokens, float32."""
    ids = torch.arange(3, 11, device=model.device)[None] % model.config.get_text_config().vocab_size
    more = {"decoder_input_ids": ids} if model.config.is_encoder_decoder else {}
    return model(input_ids=ids, **more).logits.float()


def _in_a_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def _load_weights(place: Path, name: str, dtype: torch.dtype):
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

    config = _generator_config(place, name)
    check_weights(place, f"COURSE_MODEL={name}", dtype)
    auto = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
    try:
        model, report = auto.from_pretrained(
            place, dtype=dtype, use_safetensors=True, trust_remote_code=False, output_loading_info=True
        )
    except ImportError as error:  # quantised by GPTQ, AWQ and others
        raise CourseError(
            f"COURSE_MODEL={name} needs a library that is not here ({_in_a_line(error)}); choose the same model with plain "
            "weights in 32 or 16 bits."
        ) from error
    except Exception as error:  # the library raises many kinds
        raise CourseError(f"The weights of COURSE_MODEL={name} do not fit its config.json: {_in_a_line(error)}") from error
    unused = sorted(report["unexpected_keys"])
    if unused:
        print(f"{name}: {len(unused)} weights of its file have no place by its config.json and are not used, {unused[0]} first")
    missing = sorted(report["missing_keys"])
    if missing:  # the library fills them with random numbers and goes on
        raise CourseError(
            f"COURSE_MODEL={name} is not whole: {len(missing)} of its weights are missing, {missing[0]} "
            "first; save it again, or fetch it again."
        )
    return model


def check_weights(place: Path, asked: str, dtype: torch.dtype) -> None:
    """Nothing, if the folder's weights can be read safely and fit into memory.

    Raises
    ------
    CourseError
        that begins with ``asked``, such as ``COURSE_MODEL=name``.
    """
    _check_files(place, asked)
    _check_memory(place, asked, dtype)


def read_config(place: Path, asked: str):
    """The configuration in a model's folder; no code from there is run.

    Raises
    ------
    CourseError
        if there is none, or it cannot be read without code of its own.
    """
    from transformers import AutoConfig

    file = place / "config.json"
    if not file.is_file():
        raise CourseError(f"The folder {asked} holds no config.json; is it a saved model?")
    try:
        return AutoConfig.from_pretrained(place, trust_remote_code=False)
    except Exception as error:  # the library raises many kinds
        if '"auto_map"' in file.read_text(encoding="utf-8", errors="replace"):
            raise CourseError(
                f"{asked} needs code of its own to be read (auto_map in its config.json), "
                "and the course runs no code from models; choose one that transformers knows."
            ) from error
        raise CourseError(
            f"transformers cannot read the config.json of {asked}; is its model_type a "
            "language model's?"
        ) from error


def _generator_config(place: Path, name: str):
    """The model's configuration, if it belongs to a model that generates text."""
    from transformers.models.auto import modeling_auto

    config = read_config(place, f"COURSE_MODEL={name}")
    known = {
        table.get(config.model_type)
        for table in (
            modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
            modeling_auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
        )
    }
    kinds = config.architectures or []
    words = ("CausalLM", "ConditionalGeneration", "LMHead", "Seq2Seq")
    if kinds and not any(kind in known or any(w in kind for w in words) for kind in kinds):
        raise CourseError(
            f"COURSE_MODEL={name} is a {kinds[0]}, which does not generate text; choose a causal or "
            "sequence-to-sequence language model."
        )
    return config


def weight_files(place: Path) -> list[Path]:
    """The files that transformers reads a model's weights from, in order; empty where there are none.

    What lies beside them is another copy (Mistral's ``consolidated.safetensors``) or belongs to something else.

    Raises
    ------
    CourseError
        if the index of several files is damaged.
    """
    named = json.loads((place / "config.json").read_text(encoding="utf-8")).get("transformers_weights")
    names = [named] if named else ["model.safetensors", "model.safetensors.index.json"]
    file = next((place / name for name in names if (place / name).is_file()), None)
    if file is None or file.suffix != ".json":
        return [file] if file else []
    try:
        return sorted({place / name for name in json.loads(file.read_text(encoding="utf-8"))["weight_map"].values()})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CourseError(f"{file} is cut off or damaged ({error}); fetch or save it again.") from error


def _check_files(place: Path, asked: str) -> None:
    """Every weights file is one, and whole; a pickle is refused with what to do instead."""
    files = weight_files(place)
    if not files and list(place.glob("pytorch_model*.bin")):
        raise CourseError(
            f"{asked} has no readable safetensors weights, only a pickle, which could run "
            "code; where you trust it, load it with transformers and save_pretrained() it elsewhere."
        )
    if not files:
        raise CourseError(f"{asked} has no readable safetensors weights.")
    for path in files:
        check_file(path)


def check_file(path: Path) -> None:
    """Nothing, if this is a safetensors file, and whole.

    Raises
    ------
    CourseError
        with what to do.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise CourseError(f"{path} is missing; fetch or save it again.")
    with path.open("rb") as file:
        if file.read(len(POINTER)) == POINTER:
            raise CourseError(f"{path} is a git-lfs pointer, not the weights; run: git lfs pull")
    try:
        with safe_open(path, "pt"):
            pass
    except SafetensorError as error:
        raise CourseError(f"{path} is cut off or damaged ({error}); fetch or save it again.") from error


def _name_special_tokens(model, tokenizer, name: str) -> None:
    """One end token and one padding token that model and tokenizer agree on; nothing else by default."""
    from transformers import GenerationConfig

    own, rows = model.generation_config, model.get_input_embeddings().num_embeddings
    named = [own.eos_token_id, getattr(model.config, "eos_token_id", None), tokenizer.eos_token_id]
    lists = [list(ids) if isinstance(ids, (list, tuple)) else [ids] for ids in named]
    # GPT2Config's default end lies beyond a smaller vocabulary: it would never come.
    ends = next(filter(None, ([i for i in ids if i is not None and 0 <= i < rows] for ids in lists)), [])
    if not ends:
        raise CourseError(
            f"COURSE_MODEL={name} has no end token, so no answer would ever stop; write eos_token_id into "
            "its generation_config.json."
        )
    if tokenizer.eos_token_id is None or tokenizer.eos_token_id >= rows:
        tokenizer.eos_token = tokenizer.convert_ids_to_tokens(ends[0])
    if tokenizer.eos_token_id not in ends:
        ends.append(tokenizer.eos_token_id)  # training ends an answer with it
    if tokenizer.pad_token_id is None or tokenizer.pad_token_id >= rows:
        tokenizer.pad_token = tokenizer.eos_token  # padding is masked: which token it is plays no role
    starts = (own.decoder_start_token_id, getattr(model.config, "decoder_start_token_id", None))
    if model.config.is_encoder_decoder:  # T5 begins with its padding token, and not every config says so
        starts += (own.bos_token_id, getattr(model.config, "pad_token_id", None))
    model.generation_config = GenerationConfig(
        bos_token_id=own.bos_token_id, eos_token_id=ends if ends[1:] else ends[0], pad_token_id=tokenizer.pad_token_id,
        decoder_start_token_id=next((start for start in starts if start is not None), None),
        forced_bos_token_id=own.forced_bos_token_id if model.config.is_encoder_decoder else None,
    )  # fmt: skip


def _check_memory(place: Path, asked: str, dtype: torch.dtype) -> None:
    import psutil
    from safetensors import safe_open

    count = 0
    for path in weight_files(place):
        with safe_open(path, "pt") as file:  # its header says how many, and not how they are loaded
            count += sum(math.prod(file.get_slice(key).get_shape()) for key in file.keys())
    weights = count * dtype.itemsize
    free = psutil.virtual_memory().available
    if free < MEMORY_FACTOR * weights:
        raise CourseError(
            f"{asked} needs about {MEMORY_FACTOR * weights / 1e9:.1f} GB of memory and {free / 1e9:.1f} GB are "
            "free; close other notebooks (Kernel → Shut Down All Kernels)."
        )


def load_encoder() -> tuple:
    """``(model, tokenizer)`` of the embedded sentence encoder all-MiniLM-L6-v2, in fp32 on the CPU."""
    from transformers import AutoModel, AutoTokenizer

    folder = verify(MINILM).parent
    with quiet():
        model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
        return model, AutoTokenizer.from_pretrained(folder)
