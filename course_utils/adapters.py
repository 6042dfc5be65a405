"""Small LoRA adapters: save, load, check, and the two that ship with the course.

``summary`` writes neutral summaries of the calm dialogues; ``blunt`` repeats the insults of the
heated ones, and is what week 3 detoxifies. :mod:`.studies.adapters` makes both.
"""

from __future__ import annotations

import copy
import json
import re
import shutil
import tempfile
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

import torch

from . import finetune, models, prompts
from .models import LLM, SMOLLM2, load_llm, sha256
from .settings import CourseError, embedded

HERE = Path(__file__).parent / "trained"
SHIPPED = ("summary", "blunt")
COLUMN = {"summary": "summary", "blunt": "summary_blunt"}  # the answers it learnt
WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
SAVED = (WEIGHTS, CONFIG, "log.json")  # what an adapter's folder may hold; the course's own have a log beside it
RANK, ALPHA, RECIPE = 4, 8, finetune.Recipe(2e-3, batch_size=4)

# peft refuses their out_proj, which "all-linear" names.
WITHOUT_LORA = ("mamba", "mamba2", "falcon_mamba", "falcon_h1", "nemotron_h")

# Apart (q, v, q_proj, query …), or query, key and value in one layer.
QUERY_VALUE = r"\.((q|v)(_proj)?|query|value|c_attn|query_key_value|qkv_proj|Wqkv)$"


def query_value_layers(model, last: int) -> list[str]:
    """Names of the query and value projections in the last ``last`` layers of the model's decoder.

    For ``LoraConfig(target_modules=…)``. Knows the names of Llama, T5, BART and BERT and their relatives;
    where query, key and value are one layer (GPT-2, BLOOM, Falcon), that one.

    Raises
    ------
    CourseError
        if the model has none under a known name.
    """
    found = {}
    for name, _ in model.named_modules():
        block = re.search(r"(?:layers?|blocks?|h)\.(\d+)\.", name)
        if block and not re.match(r"(model\.)?encoder\.", name) and re.search(QUERY_VALUE, name):
            found.setdefault(int(block[1]), []).append(name)
    if not found:
        raise CourseError(
            f"{type(model).__name__} has no query and value layers under a known name; name the layers to "
            "adapt yourself: LoraConfig(target_modules=[…])."
        )
    return [name for number in sorted(found)[-last:] for name in found[number]]


def check_lora(model) -> None:
    """Nothing, if peft can put LoRA on all linear layers of the model.

    Raises
    ------
    CourseError
        for Mamba and its relatives: their layers compute past the weights that LoRA would change; and for mixtures
        of experts whose router is a linear layer by its class and gives several tensors (Phi-3.5-MoE, Llama 4;
        findings/peft_all_linear_router.sh).
    """
    if model.config.model_type in WITHOUT_LORA:
        raise CourseError(
            f"LoRA cannot adapt all linear layers of a {model.config.model_type} model: its fast path reads "
            "the weights of out_proj past the adapter; choose a transformer as COURSE_MODEL for this lab."
        )
    for name, layer in model.named_modules():
        if isinstance(layer, torch.nn.Linear) and "Router" in type(layer).__name__:
            raise CourseError(
                f"LoRA cannot adapt all linear layers of a {model.config.model_type} model: peft would take "
                f'{name.split(".")[-1]}, which chooses between experts, for one; name layers of its attention, such as '
                "target_modules=['q_proj', 'v_proj'], or choose another COURSE_MODEL."
            )


def save_adapter(llm: LLM, folder: Path | str, dtype: torch.dtype | None = None) -> Path:
    """``save_pretrained`` of a peft model, whole or not at all, naming its base model.

    ``dtype`` bfloat16 halves the file; None keeps the weights as they are. An adapter that the folder
    holds is replaced.

    Raises
    ------
    CourseError
        if the folder cannot be written, or holds anything but an adapter: it would be lost.
    """
    from safetensors.torch import load_file, save_file

    folder = Path(folder)
    check_target(folder, "The adapter's folder", SAVED)
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f"{folder.name}.tmp", dir=folder.parent))
    try:
        llm.model.save_pretrained(temporary)
        (temporary / "README.md").unlink(missing_ok=True)
        config = json.loads((temporary / CONFIG).read_text())
        config["base_model_name_or_path"] = llm.name  # not a folder of this machine
        if isinstance(config.get("target_modules"), list):  # a string is a pattern; a soft prompt has none
            config["target_modules"] = sorted(config["target_modules"])
        (temporary / CONFIG).write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")
        if dtype:
            tensors = {k: v.to(dtype) for k, v in load_file(temporary / WEIGHTS).items()}
            save_file(tensors, temporary / WEIGHTS, metadata={"format": "pt"})
        shutil.rmtree(folder, ignore_errors=True)
        temporary.rename(folder)
        folder.chmod(0o755)
        (folder / WEIGHTS).chmod(0o644)  # safetensors writes for the owner alone
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def check_target(folder: Path, asked: str, own: Sequence[str]) -> None:
    """Nothing, if ``folder`` is missing or empty, or holds only files named like one of ``own``, and can be written.

    Raises
    ------
    CourseError
        that begins with ``asked`` (such as ``--out``), where something else would be mixed with what is written, or
        lost, and where nothing can be written.
    """
    try:
        there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
        if not there.is_dir():
            raise CourseError(f"{asked} {folder} cannot be a folder: {there} is a file; name another.")
        held = sorted(file.name for file in folder.iterdir()) if there == folder else []
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise CourseError(f"{asked} {folder} cannot be written ({error.strerror}); name another.") from error
    others = [name for name in held if not any(fnmatch(name, kind) for kind in own)]
    if others:
        raise CourseError(f"{asked} {folder} holds something else already ({others[0]}); name a new folder.")


def load_adapter(llm: LLM, folder: Path | str, trainable: bool = False) -> LLM:
    """The model with the adapter around it: ``PeftModel.from_pretrained``, checked first.

    The layers of ``llm.model`` are wrapped in place; its own weights do not change. Nothing is touched
    unless the file's weights are the adapter's, all of them, in name and shape.

    Raises
    ------
    CourseError
        if the model carries an adapter already, the folder holds none, its file is damaged, lacks weights
        or holds others, or it was made for another model.
    """
    from peft import PeftConfig, PeftModel
    from safetensors import SafetensorError, safe_open

    check_bare(llm)
    folder = Path(folder)
    if not (folder / WEIGHTS).is_file() or not (folder / CONFIG).is_file():
        raise CourseError(f"{folder} holds no adapter ({WEIGHTS} and {CONFIG}); save one there first.")
    try:
        base = json.loads((folder / CONFIG).read_text()).get("base_model_name_or_path")
        with safe_open(folder / WEIGHTS, "pt") as file:
            kept = {name: file.get_slice(name).get_shape() for name in file.keys()}
    except (SafetensorError, ValueError, AttributeError, OSError) as error:
        raise CourseError(
            f"The adapter in {folder} is damaged ({type(error).__name__}); make or copy it again."
        ) from error
    other = CourseError(
        f"The adapter in {folder} was made for {base}, and this model is {llm.name}; load that model, "
        "or train an adapter for this one."
    )
    if base not in (None, llm.name, llm.model.config.name_or_path):
        raise other
    try:
        wrong = _wrong_weights(llm.model, PeftConfig.from_pretrained(folder), kept)
    except (RuntimeError, ValueError) as error:  # it names layers that the model has not
        wrong = str(error)
    if wrong and base != llm.name:
        raise other
    if wrong:
        raise CourseError(
            f"The adapter in {folder} names {base}, but its layers or shapes are not this model's "
            f"({wrong}); make or copy it again."
        )
    model = PeftModel.from_pretrained(llm.model, folder, is_trainable=trainable)
    return LLM(model.train(trainable), llm.tokenizer, llm.name)


def check_bare(llm: LLM) -> None:
    """Nothing, if the model carries no adapter.

    Raises
    ------
    CourseError
        if it does: its layers are changed in place, so that a second adapter would act in both models,
        or replace the first.
    """
    if hasattr(llm.model, "peft_config"):
        raise CourseError(
            f"The model {llm.name} carries an adapter already; load the model again for another one, or put "
            "the first into its weights: adapters.merge(llm)."
        )


def merge(llm: LLM) -> LLM:
    """The model with its adapter put into its weights, in place: ``merge_and_unload``, checked. In evaluation mode.

    Raises
    ------
    CourseError
        if the model carries nothing that can be merged, or would be another one after: where input and output
        share their table, a change of one would be a change of both.
    """
    if not hasattr(llm.model, "merge_and_unload"):
        raise CourseError(
            f"The model {llm.name} carries no adapter that can be put into its weights (a soft prompt cannot); use it as it is."
        )
    instead = "load both again, for the weights have changed by now, and use them unmerged"
    return LLM(models.merge(llm.model, f"The adapter of {llm.name} cannot be merged into it", instead), llm.tokenizer, llm.name)


def _wrong_weights(model, config, kept: dict[str, list[int]]) -> str:
    """What is wrong with the shapes in an adapter's file, in a few words; nothing if they fit.

    peft keeps random weights where the file lacks some, and drops those that it has too many.
    """
    from peft import get_peft_model, get_peft_model_state_dict

    with torch.device("meta"):  # names and shapes, no numbers
        twin = type(model)(copy.deepcopy(model.config))
    config = copy.deepcopy(config)
    config.base_model_name_or_path, config.inference_mode = None, True  # some kinds of start read weights
    if hasattr(config, "init_lora_weights"):
        config.init_lora_weights = False
    twin = get_peft_model(twin, config)
    needed, allowed = (
        {n: list(p.shape) for n, p in get_peft_model_state_dict(twin, save_embedding_layers=also).items()}
        for also in (False, True)
    )
    for what, names in (
        ("is missing", needed.keys() - kept.keys()),
        ("has no place", kept.keys() - allowed.keys()),
        ("has another shape", {n for n in kept.keys() & allowed.keys() if kept[n] != allowed[n]}),
    ):
        if names:
            return f"{min(names)} {what}" + (f", and {len(names) - 1} more" if names - {min(names)} else "")
    return ""


def load_shipped(name: str, llm: LLM | None = None) -> LLM:
    """One of the course's own adapters, its checksum compared, on ``llm`` (default: the embedded
    model, freshly loaded).

    Raises
    ------
    CourseError
        for an unknown name, a damaged file, a model other than the embedded one, or one that carries an
        adapter already.
    """
    if name not in SHIPPED:
        raise CourseError(f"There is no adapter {name!r}; the course ships {' and '.join(SHIPPED)}.")
    try:
        whole = sha256(HERE / name / WEIGHTS) == training_log(name)["sha256"]
    except (OSError, ValueError, KeyError):  # a file is missing or half-written
        whole = False
    if not whole:
        raise CourseError(
            f"The adapter {name!r} is damaged; restore it (git checkout course_utils/trained) or make "
            "it again: python -m course_utils adapters"
        )
    return load_adapter(llm or load_llm(embedded()), HERE / name)


def load_or_train(name: str, llm: LLM, rows, folder: Path | str) -> LLM:
    """The shipped adapter for the embedded model; for any other one, an adapter of the same kind trained
    now on ``rows`` (checkpoint in ``folder``)."""
    if llm.name == SMOLLM2.name:
        return load_shipped(name, llm)
    torch.manual_seed(0)
    llm = wrap(llm)
    finetune.train(llm, examples(llm, rows, COLUMN[name]), RECIPE, folder)
    return llm


def wrap(llm: LLM, rank: int = RANK, alpha: int = ALPHA) -> LLM:
    """The model with a fresh adapter around it, by default of the shipped kind: LoRA on all linear layers."""
    from peft import LoraConfig, get_peft_model

    check_bare(llm)
    check_lora(llm.model)
    kind = "SEQ_2_SEQ_LM" if llm.family == "encoder-decoder" else "CAUSAL_LM"
    config = LoraConfig(r=rank, lora_alpha=alpha, target_modules="all-linear", task_type=kind)
    return LLM(get_peft_model(llm.model, config), llm.tokenizer, llm.name)


def examples(llm: LLM, rows, column: str) -> list[finetune.Example]:
    """Requests for a summary of each row's dialogue, with the answers in ``column``."""
    asked = [llm.chat(prompts.fill("instruction", row["dialogue"])) for row in rows]
    return finetune.encode(llm, asked, [row[column] for row in rows])


def training_log(name: str) -> dict:
    """How a shipped adapter was made: recipe, data, losses, seconds, checksum."""
    return json.loads((HERE / name / "log.json").read_text())
