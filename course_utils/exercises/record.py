"""The record of a learner's work: one line of JSON for each event, only ever added to.

It lies in ``attempts.jsonl`` in ``COURSE_RECORD``, else in the course's cache. Each line has a
``kind`` (``"attempt"``, ``"hint"``, ``"guess"`` …), the ``exercise`` it belongs to, the ``time``
(UTC) and the ``session``, eight digits drawn for each kernel. Nothing in it names the learner.
"""

from __future__ import annotations

import errno
import json
import os
import re
import tempfile
import uuid
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

NAME = "attempts.jsonl"
FORMER = ("progress.kept.json", "progress.json")  # what earlier versions of the course wrote
FORMER_SESSION = "former"  # marks what was copied from them
SESSION = uuid.uuid4().hex[:8]
LONGEST_MESSAGE = 300  # characters: a line stays far below what one write hands over whole

NEEDED = {  # what a line must have to count, by its kind
    "attempt": {"exercise": str, "verdict": str, "message": str},
    "asked": {"items": list},
    "review": {"items": list, "right": dict},
    "pretest": {"right": list},
}

_waiting: dict[Path, list[str]] = {}  # lines that could not be written, by file
_warned: set[Path] = set()


def path() -> Path:
    """The file the record is in; it need not exist."""
    from ..settings import as_path, default_cache

    set_to = {name: os.environ.get(name, "").strip() for name in ("COURSE_RECORD", "COURSE_CACHE")}
    variable = "COURSE_RECORD" if set_to["COURSE_RECORD"] else "COURSE_CACHE"
    return as_path(set_to[variable] or default_cache(), variable) / NAME


def attempt(exercise: str, verdict: str, message: str = "") -> None:
    """Note what a check said: ``"right"``, ``"wrong"`` or ``"not attempted"``, and why.

    *Run All* repeats every check, so what says nothing new is left out: the same verdict with the
    same message as the exercise's last line, and "not attempted" after anything else.
    """
    message = misconception(message)
    before = [e for e in entries("attempt") if e["exercise"] == exercise]
    if before:
        last = before[-1]
        if verdict == "not attempted" or (last["verdict"], last["message"]) == (verdict, message):
            return
    add("attempt", exercise=exercise, verdict=verdict, message=message)


def misconception(message: str) -> str:
    """What is kept of a message: its first line, and of an error only its type.

    The rest may quote the learner's code.
    """
    first = message.strip().split("\n")[0]
    error = re.match(r"Your code raised \w+", first)
    return (error[0] if error else first)[:LONGEST_MESSAGE]


def add(kind: str, **fields) -> None:
    """Add one line, in one write, so that two kernels never mix theirs.

    Where the file cannot be written, the line waits in memory until it can be.
    """
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    line = {"kind": kind, **fields, "time": now, "session": SESSION}
    target = path()
    _migrate(target)
    waiting = _waiting.setdefault(target, [])
    waiting.append(json.dumps(line, ensure_ascii=False))
    try:
        _append(target, waiting)
        waiting.clear()
    except OSError as error:
        if target not in _warned:
            _warned.add(target)
            print(f"Your progress cannot be written to {target.parent} ({error.strerror}): it is "
                  "kept until this kernel stops.")  # fmt: skip


def _append(target: Path, lines: list[str], flags: int = 0) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(target, os.O_RDWR | os.O_APPEND | os.O_CREAT | flags, 0o644)
    try:
        text = "".join(f"{line}\n" for line in lines)
        if _ends_within_a_line(handle):  # left by a kernel that was killed
            text = "\n" + text
        if os.write(handle, text.encode()) < len(text.encode()):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    finally:
        os.close(handle)


def _ends_within_a_line(handle: int) -> bool:
    if not os.fstat(handle).st_size:
        return False
    os.lseek(handle, -1, os.SEEK_END)
    return os.read(handle, 1) != b"\n"


def entries(kind: str = "") -> list[dict]:
    """The lines of one kind (default: all), oldest first, without the damaged ones."""
    target = path()
    _migrate(target)
    try:
        text = target.read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    found = parse(text + "\n" + "\n".join(_waiting.get(target, [])))
    return [entry for entry in found if kind in ("", entry["kind"])]


def parse(text: str) -> list[dict]:
    """The whole lines of a record's text; a damaged or foreign one is left out."""
    found = []
    for line in text.split("\n"):
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if _whole(entry):
            found.append(entry)
    return found


def _whole(entry) -> bool:
    if not isinstance(entry, dict) or not isinstance(entry.get("kind"), str):
        return False
    needed = {"time": str, "session": str, **NEEDED.get(entry["kind"], {})}
    ids = entry.get("items", [])
    return all(isinstance(entry.get(name), kind) for name, kind in needed.items()) and (
        not isinstance(ids, list) or all(isinstance(id, str) for id in ids)
    )


def reset() -> Path | None:
    """Begin an empty record. Returns where the former one was put, or None if there was none.

    Raises
    ------
    OSError
        if the folder cannot be written.
    """
    target = path()
    aside = None
    if target.exists():
        stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H%M%S.%f")
        aside = target.with_name(f"attempts.until-{stamp}.jsonl")
        target.replace(aside)
    _append(target, [])  # an empty file: what former versions wrote is not read again
    _waiting.pop(target, None)
    return aside


def _migrate(target: Path) -> None:
    """Copy the statuses that an earlier version kept into a new record, once; its file stays."""
    if target.exists():
        return
    for name in FORMER:
        former = target.with_name(name)
        try:
            done = json.loads(former.read_text(encoding="utf-8"))
            when = datetime.fromtimestamp(former.stat().st_mtime, UTC)
        except (OSError, ValueError):  # none, or damaged
            continue
        if not isinstance(done, dict):
            continue
        common = {
            "kind": "attempt", "message": "", "session": FORMER_SESSION,
            "time": when.isoformat(timespec="seconds").replace("+00:00", "Z"),
        }  # fmt: skip
        lines = [
            json.dumps({**common, "exercise": id, "verdict": verdict})
            for id, verdict in done.items()
            if isinstance(verdict, str)
        ]
        try:
            _append(target, lines, os.O_EXCL)  # of two kernels, one copies
        except OSError:
            pass
        return


@contextmanager
def unsolved():
    """Inside, the record is empty and lies in a folder of its own; the learner's stays as it is."""
    before = os.environ.get("COURSE_RECORD")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["COURSE_RECORD"] = folder
        try:
            yield
        finally:
            if before is None:
                del os.environ["COURSE_RECORD"]
            else:
                os.environ["COURSE_RECORD"] = before
