"""Which model, data, device and precision a notebook uses, and where that was decided.

The defaults need nothing but the installed wheels. Nine environment variables change them:

===============  ==================================================================
COURSE_MODEL     a hub id (``google/flan-t5-base``), a local folder, or ``gemma-3-270m``, the
                 optional base model (``requirements-base-model.txt``)
COURSE_DATA      a hub id (``knkarthick/dialogsum``; ``owner/name:config=en`` where it has several
                 configurations), or a local folder, JSONL or CSV file
COURSE_JUDGE     week 3's second judge: a classifier's hub id or folder (``org/name:label`` names its
                 class of toxic texts, where the names of the classes do not tell)
COURSE_DEVICE    ``cpu``, ``cuda``, ``cuda:1``, ``mps`` …
COURSE_DTYPE     ``float32``, ``bfloat16`` or ``float16``: of the weights, on a GPU as well
COURSE_CACHE     folder for converted models, training runs and learners' progress
COURSE_RECORD    folder for the record of attempts (none: in COURSE_CACHE)
COURSE_PROGRESS  off: no progress bars (read by course_utils.progress)
COURSE_RESULTS   folder for each notebook's headline numbers as JSON (none: not written)
===============  ==================================================================
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

EMBEDDED = "embedded"
DTYPES = ("float32", "bfloat16", "float16")
# On CPUs bfloat16 kernels are compiled for each new shape. Rows padded to a multiple of this have few
# shapes: a training step takes a quarter less, and memory does not grow from step to step.
SHAPE_STEP = 32


class CourseError(RuntimeError):
    """A problem the reader can cure; the message is one sentence that says how."""


@dataclass(frozen=True)
class Settings:
    """The choices of one run. Build it with :func:`current`."""

    model: str = EMBEDDED
    data: str = EMBEDDED
    judge: str = EMBEDDED
    device: str = "cpu"
    dtype: str = "float32"
    cache: Path = Path("~/.cache/course_utils")
    sources: dict = field(default_factory=dict, compare=False)

    def __str__(self) -> str:
        """The one-screen summary the notebooks print."""
        model = "SmolLM2-135M-Instruct (embedded)" if self.model == EMBEDDED else self.model
        data = "the course's own dialogues (embedded)" if self.data == EMBEDDED else self.data
        rows = [
            ("model", model, "COURSE_MODEL"),
            ("data", data, "COURSE_DATA"),
            *([("judge", self.judge, "COURSE_JUDGE")] if self.judge != EMBEDDED else []),
            ("device", self.device, "COURSE_DEVICE"),
            ("dtype", self.dtype, "COURSE_DTYPE"),
        ]
        return "\n".join(
            f"{name:7s} {value:40s} {variable if variable in self.sources else 'default'}"
            for name, value, variable in rows
        )


def default_cache() -> Path:
    """``$XDG_CACHE_HOME/course_utils``, or ``~/.cache/course_utils``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "course_utils"


def current() -> Settings:
    """Read the settings from the environment.

    Returns
    -------
    Settings with ``device`` and ``dtype`` resolved: the first GPU where there is one, else the
    CPU; float32 on both. Greedy answers then agree between machines, and a small update of a weight
    is not rounded away; training still computes in bfloat16 (:func:`finetune.mixed_precision`).
    bfloat16 weights are for models too large for the GPU.

    Raises
    ------
    CourseError
        if a variable holds something that cannot be used here.
    """
    env = {k: v.strip() for k, v in os.environ.items() if k.startswith("COURSE_") and v.strip()}
    device = env.get("COURSE_DEVICE") or _default_device()
    _check_device(device)
    dtype = env.get("COURSE_DTYPE") or "float32"
    if dtype not in DTYPES:
        raise CourseError(f"COURSE_DTYPE={dtype} is unknown; choose one of {', '.join(DTYPES)}.")
    for variable in ("COURSE_RECORD", "COURSE_RESULTS"):
        as_path(env.get(variable, "."), variable)
    cache = as_path(env.get("COURSE_CACHE") or default_cache(), "COURSE_CACHE")
    blocked = next((place for place in (cache, *cache.parents) if place.exists()), cache)
    if blocked.is_file():
        raise CourseError(
            f"COURSE_CACHE={cache} cannot be a folder, since {blocked} is a file; set it to a folder, which need not exist yet."
        )
    return Settings(
        model=env.get("COURSE_MODEL", EMBEDDED),
        data=env.get("COURSE_DATA", EMBEDDED),
        judge=env.get("COURSE_JUDGE", EMBEDDED),
        device=device,
        dtype=dtype,
        cache=cache,
        sources=env,
    )


def as_path(value: str | Path, variable: str) -> Path:
    """What a variable names, as a path: without blanks around it, ``~`` written out. It need not exist.

    Raises
    ------
    CourseError
        that names ``variable``, for what cannot be a path here: too long, the home of nobody, behind a closed folder.
    """
    try:
        path = Path(str(value).strip()).expanduser()
        path.exists()
    except (OSError, RuntimeError) as error:
        why = getattr(error, "strerror", None) or error
        raise CourseError(f"{variable}={str(value)[:80]} is no path here ({why}); write it in full.") from error
    return path


def embedded() -> Settings:
    """The course's own model, in float32, and data, whatever the environment names."""
    return replace(current(), model=EMBEDDED, data=EMBEDDED, dtype="float32")


def save_results(name: str, numbers: dict) -> Path | None:
    """Write a notebook's headline numbers to ``$COURSE_RESULTS/<name>.json``, beside the settings.

    For teachers who compare runs. Returns the file, or None where the variable is not set.

    Raises
    ------
    CourseError
        if the folder cannot be written.
    """
    folder = os.environ.get("COURSE_RESULTS", "").strip()
    if not folder:
        return None
    chosen = current()
    content = {
        "notebook": name,
        "settings": {k: getattr(chosen, k) for k in ("model", "data", "device", "dtype")},
        "numbers": numbers,
    }
    target = as_path(folder, "COURSE_RESULTS") / f"{name}.json"
    temporary = target.with_suffix(".json.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(content, indent=1, default=_plain))
        temporary.replace(target)
    except OSError as error:
        raise CourseError(
            f"COURSE_RESULTS={folder} cannot be written ({error.strerror}); choose another folder."
        ) from error
    return target


def _plain(value):
    """What JSON does not know: intervals as dictionaries, numpy and torch numbers as numbers."""
    return value.item() if hasattr(value, "item") else vars(value)


def _default_device() -> str:
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _check_device(device: str) -> None:
    import torch

    try:
        kind, index = torch.device(device).type, torch.device(device).index or 0
    except RuntimeError:
        kind, index = None, 0
    usable = {
        "cpu": True,
        "cuda": torch.cuda.is_available() and index < max(1, torch.cuda.device_count()),
        "mps": torch.backends.mps.is_available(),
    }
    if not usable.get(kind, False):
        raise CourseError(f"COURSE_DEVICE={device} is not available here; unset it or use cpu.")


@lru_cache
def cpu_features() -> tuple[str, ...]:
    """The instruction sets that make bfloat16 fast: any of ``amx``, ``avx512_bf16``; else empty.

    Read from ``/proc/cpuinfo``: other systems report neither, and the course then stays in fp32.
    """
    try:
        flags = set(Path("/proc/cpuinfo").read_text().split())
    except OSError:
        return ()
    found = [("amx", "amx_bf16"), ("avx512_bf16", "avx512_bf16")]
    return tuple(name for name, flag in found if flag in flags)


@lru_cache
def bfloat16_pays() -> bool:
    """Is a product of this model's size faster in bfloat16 than in fp32 on this processor?

    Timed once: an instruction set says that bfloat16 can be computed, not that it is fast. The same
    ``avx512_bf16`` nearly doubles the speed of one processor and halves that of another.
    """
    import time

    import torch

    def seconds(dtype):
        x, weight, best = torch.ones(512, 576, dtype=dtype), torch.ones(1536, 576, dtype=dtype), 1.0
        for _ in range(8):
            start = time.perf_counter()
            torch.nn.functional.linear(x, weight)
            best = min(best, time.perf_counter() - start)
        return best

    return bool(cpu_features()) and seconds(torch.bfloat16) < seconds(torch.float32)
