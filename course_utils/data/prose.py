"""A megabyte of real English prose that needs no download: the docstrings of pinned libraries.

The texts are the explanations in scikit-learn's documentation, then NumPy's if more is asked for.
Both are © their developers, under the BSD 3-Clause licence; they are read from the learner's own
installation and not redistributed here. The words are those of the pinned versions (scikit-learn by
``alt-profanity-check``, NumPy by ``requirements.txt``): another version gives a slightly different
text, the same version the same text on every machine and Python.
"""

from __future__ import annotations

import ast
import importlib.util
import re
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..settings import CourseError

SOURCES = ("sklearn", "numpy")
# Tests hold no prose. The modules named here are written when a wheel is built, so they differ
# between operating systems.
SKIPPED_FOLDERS = {"tests"}
GENERATED = {"_distributor_init.py", "_distributor_init_local.py", "__config__.py", "version.py"}
MIN_WORDS = 8

_UNDERLINE = re.compile(r"^\s*([-=~^*]{3,})\s*$")
_PARAMETER = re.compile(r"^[\w*.,\s\[\]()'\"]{1,60}\s:(\s|$)")  # "penalty : {'l1', 'l2'}"
_CODE = re.compile(r"^\s*(>>>|\.\.\.(\s|$)|\.\. |:\w+:|\||\+-|#|@)")
_BULLET = re.compile(r"^\s*([-*•]|\d+[.)]|\[\d+\])\s+")
_ROLE = re.compile(r":[a-z:]+:`~?([^`<]*?)\s*(<[^`]*>)?`")  # :ref:`User Guide <svm>` → User Guide
_WORD = re.compile(r"[A-Za-z]+(['’-][A-Za-z]+)*[.,;:!?)]*$")


def load_prose(min_bytes: int = 1_000_000) -> list[str]:
    """Paragraphs of English prose, at least ``min_bytes`` of UTF-8 in all.

    Files are taken in the order of their paths, paragraphs in the order of their lines, each text
    once. Nothing is imported: the sources are parsed, which takes two or three seconds. Code, tables,
    parameter lists and references are left out as far as a simple filter can tell them from prose.
    Whole libraries are added until there is enough, so the result can be longer than asked for.

    Raises
    ------
    CourseError
        if a library is not installed, or all of them together hold too little.
    """
    found: dict[str, None] = {}  # a dict keeps the order, a set would not
    size = 0
    for package in SOURCES:
        for paragraph in package_prose(package_folder(package)):
            if paragraph not in found:
                found[paragraph] = None
                size += len(paragraph.encode())
        if size >= min_bytes:
            return list(found)
    raise CourseError(
        f"The docstrings of {' and '.join(SOURCES)} hold {size:,} bytes of prose, fewer than "
        f"min_bytes={min_bytes:,}; ask for less."
    )


def package_folder(package: str) -> Path:
    """Folder of an installed package, found without importing it.

    Raises
    ------
    CourseError
        if it is not installed.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise CourseError(f"{package} is not installed; run: pip install -r requirements.txt")
    return Path(spec.origin).parent


def package_prose(folder: Path) -> Iterator[str]:
    """The prose paragraphs of all docstrings under a folder, in a fixed order."""
    for name in sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.py")):
        path = folder / name
        if path.name not in GENERATED and not SKIPPED_FOLDERS & set(name.split("/")):
            for docstring in docstrings(path.read_bytes()):
                yield from paragraphs(docstring)


def docstrings(source: bytes) -> Iterator[str]:
    """The docstrings of a Python source, from top to bottom, as written (not unindented).

    A source this Python cannot parse has none: newer syntax must not stop the course.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escapes in other people's docstrings
        try:
            tree = ast.parse(source)
        except SyntaxError:
            return
    holders = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = [node for node in ast.walk(tree) if isinstance(node, holders) and node.body]
    firsts = [node.body[0] for node in nodes]
    strings = [
        first.value
        for first in firsts
        if isinstance(first, ast.Expr)
        and isinstance(first.value, ast.Constant)
        and isinstance(first.value.value, str)
    ]
    for constant in sorted(strings, key=lambda node: (node.lineno, node.col_offset)):
        yield constant.value


def paragraphs(docstring: str) -> Iterator[str]:
    """The paragraphs of a docstring that read as prose, each on one line."""
    for block in _blocks(docstring.expandtabs().splitlines()):
        if any(_CODE.match(line) or _UNDERLINE.match(line) for line in block):
            continue
        text = _BULLET.sub("", " ".join(" ".join(block).split()))
        text = _ROLE.sub(r"\1", text).replace("``", "`").replace("**", "")
        if is_prose(text):
            yield text


def is_prose(text: str) -> bool:
    """True for sentences: enough words, a capital in front, a full stop behind, little else."""
    words = text.split()
    if len(words) < MIN_WORDS or not text[0].isupper() or text[-1] not in ".!?":
        return False
    plain = sum(bool(_WORD.match(word.strip("`'\"("))) for word in words)
    return plain >= 0.8 * len(words)


def _blocks(lines: Iterable[str]) -> Iterator[list[str]]:
    """Runs of lines of equal indentation, broken at blank lines, bullets and parameter headings.

    A heading ("penalty : {'l1', 'l2'}, default='l2'") and its indented text are thus apart; the
    indented lines after a bullet belong to it. A literal block (after ``::``) is dropped.
    """
    block: list[str] = []
    indent, literal = 0, -1
    for line in lines:
        depth = len(line) - len(line.lstrip())
        if line.strip() and literal >= 0:
            if depth > literal:
                continue
            literal = -1
        heading = _PARAMETER.match(line.lstrip())
        hangs = len(block) == 1 and depth > indent and _BULLET.match(block[0])
        first = len(block) == 1 and block[0] == block[0].lstrip() and depth > 0 and not indent
        if not line.strip() or heading or _BULLET.match(line) or not (
            depth == indent or hangs or first
        ):  # fmt: skip
            if block:
                yield block
            block = []
        if line.rstrip().endswith("::"):
            literal = depth
        if line.strip() and not heading:
            block.append(line)
            indent = depth
    if block:
        yield block
