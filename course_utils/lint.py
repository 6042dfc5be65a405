"""Maintainer's checks of how a notebook reads: study minutes, opening, headings, English.

``notebooks.lint`` looks at the saved file, this module at the text. Never imported by a notebook.
"""

from __future__ import annotations

import ast
import json
import os
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from . import notebooks
from .exercises import engine

# ---------------------------------------------------------------- how long it takes

WORDS, CODE_LINES, OUTPUT_WORDS = 200, 10, 100  # a minute; a printed table is read half as fast
PICTURE = 0.5  # minutes to look at a figure before its caption is read
# A first reader goes back: 29 sentences of the walk were read twice, and code beside its output.
READ_TWICE = 1.4
QUESTION = 2  # minutes for a question of a quiz
TOLERANCE = 0.15  # between the announced and the computed minutes
LONGEST_ROAD = 75  # minutes of a main road; reported, not demanded


@dataclass(frozen=True)
class Load:
    """What there is to read, look at and solve; adds up."""

    cells: int = 0
    words: int = 0
    code_lines: int = 0
    output_words: int = 0
    pictures: int = 0
    exercise_minutes: float = 0.0

    def __add__(self, other: Load) -> Load:
        return Load(*(getattr(self, f) + getattr(other, f) for f in self.__dataclass_fields__))

    @property
    def minutes(self) -> float:
        """Study time of a first reader.

        Calibrated on a beginner's walk through the first notebook and Lab 1 as they were then: 186
        and 183 minutes, exercises solved in up to three tries (``tests/test_lint.py`` has the counts).
        """
        reading = self.words / WORDS + self.code_lines / CODE_LINES
        looking = self.output_words / OUTPUT_WORDS + self.pictures * PICTURE
        return READ_TWICE * (reading + looking) + self.exercise_minutes


def exercise_minutes(exercise) -> float:
    """Minutes for one exercise: its own field if it has one, else by the length of the reference.

    Four minutes to read the task and the verdict, and 0.8 for each line, between 3 and 12.
    """
    if getattr(exercise, "minutes", None):
        return exercise.minutes
    if hasattr(exercise, "options"):
        return QUESTION
    lines = len(engine.source(exercise).splitlines()) if callable(exercise.reference) else 1
    return min(12.0, max(3.0, 4 + 0.8 * lines))


FENCE = re.compile(r"```.*?```", re.DOTALL)


def cell_load(cell) -> Load:
    """The load of one cell with its saved outputs."""
    if cell.cell_type == "markdown":
        fenced = sum(len(block.splitlines()) - 2 for block in FENCE.findall(cell.source))
        return Load(1, words=len(FENCE.sub("", cell.source).split()), code_lines=fenced)
    words = pictures = 0
    for output in cell.get("outputs", []):
        data = output.get("data", {})
        pictures += "image/png" in data
        text = output.get("text", "") or ("" if "image/png" in data else data.get("text/plain", ""))
        words += len(text.split())
    exercises = [engine.find(id) for _, id in notebooks.CHECK_LINE.findall(cell.source)]
    return Load(
        1,
        code_lines=sum(bool(line.strip()) for line in cell.source.splitlines()),
        output_words=words,
        pictures=pictures,
        exercise_minutes=sum(map(exercise_minutes, exercises)),
    )


# ---------------------------------------------------------------- headings and the two roads

HEADING = re.compile(r"^(#{1,6}) (.*)", re.MULTILINE)
DEEPER = re.compile(r"^(#{2,4}) (?:\d+(?:\.\d+)? )?Deeper: ")


def roads(notebook) -> list[bool]:
    """For each cell, whether it lies in a section headed "Deeper: …" (its subsections too)."""
    level, inside = None, []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            levels = [len(marks) for marks, _ in HEADING.findall(FENCE.sub("", cell.source))]
            if level and levels and min(levels) <= level:
                level = None
            if match := DEEPER.match(cell.source):
                level = len(match[1])
        inside.append(level is not None)
    return inside


def study(notebook) -> tuple[Load, Load]:
    """The load of the main road, and of the sections that a first reader may skip."""
    main = deeper = Load()
    for cell, skipped in zip(notebook.cells, roads(notebook)):
        if skipped:
            deeper += cell_load(cell)
        else:
            main += cell_load(cell)
    return main, deeper


def heading_problems(notebook) -> list[str]:
    """JupyterLab folds a section only where its heading, and the one that ends it, open a cell."""
    problems, inside = [], roads(notebook)
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type != "markdown":
            continue
        begins = bool(DEEPER.match(cell.source))
        if bool(cell.metadata.get(notebooks.COLLAPSED)) != begins:
            folded = "is not folded" if begins else "is folded"
            problems.append(f"cell {number} {folded}: only headings 'Deeper: …' are")
        if not begins and re.search(r"^#.*Deeper: ", cell.source, re.MULTILINE):
            problems.append(f"cell {number}: a heading 'Deeper: …' must open its cell")
        ends = number and inside[number - 1] and (begins or not inside[number])
        if ends and not cell.source.startswith("#"):
            problems.append(
                f"cell {number}: the heading after a 'Deeper' section must open its cell"
            )
    return problems


# ---------------------------------------------------------------- the opening

STUDY = re.compile(r"^\*\*Study time\*\* .*$", re.MULTILINE)
LINKS = re.compile(r"^(?:\*\*Previous\*\*|\*\*Next\*\*) .*$", re.MULTILINE)
PARTS = ("**Prerequisites** ", "**Needs** ", "**Study time** ")


def study_line(notebook) -> str:
    """The opening's sentence about minutes, rounded to five."""
    main, deeper = (5 * round(load.minutes / 5) for load in study(notebook))
    more = f", and {deeper} more for the sections headed *Deeper*, which you may skip"
    return f"**Study time** about {main} minutes{more if deeper else ''}."


def title(notebook) -> str:
    """The first heading, without what follows a colon."""
    return HEADING.search(notebook.cells[0].source)[2].split(":")[0]


def link_line(path: Path, order: list[Path]) -> str:
    """Links to the notebook before and the one after."""
    at, parts = order.index(path), []
    for name, index in (("Previous", at - 1), ("Next", at + 1)):
        if 0 <= index < len(order):
            target = os.path.relpath(order[index], path.parent)
            parts.append(f"**{name}** [{title(notebooks.read(order[index]))}]({target})")
    return " · ".join(parts)


def opening_problems(path: Path, notebook, order: list[Path]) -> list[str]:
    """What the first cell lacks or says wrongly."""
    opening = notebook.cells[0].source
    problems = [f"its opening lacks {part.strip()}" for part in PARTS if part not in opening]
    if link_line(path, order) not in opening:
        problems.append("its opening does not link the notebook before and the one after")
    announced = [int(n) for n in re.findall(r"\d+", next(iter(STUDY.findall(opening)), ""))]
    computed = [load.minutes for load in study(notebook)]
    for said, found in zip([*announced, 0, 0], computed):
        if abs(said - found) > max(TOLERANCE * found, 5):
            problems.append(f"its opening announces {said} minutes; {found:.0f} are needed")
    return problems


def write_opening(path: Path, notebook, order: list[Path]) -> bool:
    """Put the computed minutes and the links into the opening; whether anything changed.

    The file's other bytes stay as they are.
    """
    opening = notebook.cells[0].source
    updated = STUDY.sub(lambda _: study_line(notebook), opening)
    updated = LINKS.sub(lambda _: link_line(path, order), updated)
    if updated != opening:
        notebook.cells[0].source = updated
        notebooks.write(notebook, path)
    return updated != opening


# ---------------------------------------------------------------- English

INLINE = re.compile(r"`[^`\n]*`|\$\$.*?\$\$|\$[^$\n]+\$|\]\([^)]*\)", re.DOTALL)

COUNTED = (
    "token|word|row|rank|task|character|sentence|weight|parameter|layer|panel|method|dialogue|"
    "summary|text|answer|prompt|step|page|figure|column|run|GPU|byte|piece|pair|position|budget|"
    "line|test summary|number|model|question|channel|call|tokens|query|key|value|family|kind|group|"
    "request|example|update|block|head|bin|body|condition|category|customer|reference|product|"
    "micro-batch|batch|candidate|second|minute|hour|case|term|part|criterion|item"
)
MEASURES = (
    r"nats?|bytes?|bits?|tokens|operations?|floating-point operations|numbers?|words|rows|losses|"
    r"loss|seconds|minutes|GB|MB|kB|dots?|bars?|points?|lines?|columns?|scales?|rules?|vectors?|"
    r"gradients?|(?<!policy )(?<!model )answers?|examples?|questions?|updates?|products?|pairs?|runs?|tries|texts?|"
    r"steps|keys?|values?|quer(?:y|ies)|shifts?|wordings?|one|two|three|four|six|ten|twelve|sum|"
    r"differences?|tokens read|16 bits|hours?|pieces|weights|logits?|heads?|matri(?:x|ces)|"
    r"verdicts?|judges?|lists?|forward pass(?:es)?|mark(?:er)?s?|curves?|valleys?"
)
# What the course does not write, with what it writes instead.
HABITS = {
    "an article for per": re.compile(
        rf"\b(?!text a number)(?:{MEASURES}) an? (?:{COUNTED})\b(?! (?:time|has|is|was|can|may|must|will)\b)",
        re.I,
    ),
    "dear (expensive)": re.compile(r"\bdear(?:er|est|ly)?\b", re.I),
    "mend (repair)": re.compile(r"\bmend(?:s|ed|ing)?\b", re.I),
    "whoever": re.compile(r"\bwhoever\b", re.I),
    "stands in (is in)": re.compile(r"\b(?:stands?|stood|standing) in\b", re.I),
    "of like (similar)": re.compile(r"\b(?:of|a|an|in) like \w+", re.I),
    "body (model)": re.compile(r"\bbod(?:y|ies)\b", re.I),
    "place (position)": re.compile(
        r"(?<!\bin )(?<!in the )(?<!in its )(?<!people and )(?<!change )(?<!changed )\bplaces?\b", re.I
    ),
    "strange (other)": re.compile(r"\bstrange(?:r)? (?:input|text|source)s?\b", re.I),
    "carry": re.compile(r"\bcarr(?:y|ies|ied|ying)\b", re.I),
    "words of a vocabulary (tokens)": re.compile(
        r"\bwords? (?:in|of) (?:the|its) vocabulary|\d,\d{3} words can|vocabulary of [\d,]+ words", re.I
    ),
    "a human reference": re.compile(
        r"\b(?:person|people|human|somebody)(?:'s|s') (?:summar|reference|answer)\w*"
        r"|\bhuman[- ](?:written|reference|summar)\w*|\bcareful writer", re.I
    ),
    # A verdict is above 0, below 0 or cannot tell.
    "real or noise (a verdict)": re.compile(
        r"\((?:real|noise)\)|\*noise\*|\b(?:is|be|than|inside|within|beyond) (?:the )?noise\b"
        r"|\breal difference|\bsays? \*?\"?real\b", re.I
    ),
    "a bracket of more than ten words": re.compile(r"\((?:[^\s()]+\s+){10,}[^\s()]+\)"),
}  # fmt: skip
BASELINE = "tests/english_baseline.json"
LONG_CODE, LONG_TEXT = 100, 80  # characters of a line, words of a Markdown cell: reported


def prose(source: str) -> str:
    """Markdown without code, formulas and addresses, of the same length."""
    blank = lambda match: re.sub(r"\S", " ", match[0])  # noqa: E731
    return INLINE.sub(blank, FENCE.sub(blank, source))


def printed(source: str) -> list[str]:
    """The strings in a code cell, but not its docstrings; empty if it is not plain Python."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return []
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value
    ]


def english(notebook) -> list[tuple[str, str, str]]:
    """(cell id, habit, the words) for each place where the text falls into one of ``HABITS``."""
    found = []
    for cell in notebook.cells:
        markdown = cell.cell_type == "markdown"
        for text in [prose(cell.source)] if markdown else printed(cell.source):
            for habit, pattern in HABITS.items():
                found += [
                    (cell["id"], habit, " ".join(m[0].split())) for m in pattern.finditer(text)
                ]
    return found


def habits(notebook) -> Counter:
    """How often each habit occurs."""
    return Counter(habit for _, habit, _ in english(notebook))


def allowed(root: Path) -> dict[str, dict[str, int]]:
    """Notebook → habit → how often it may still occur; may only shrink."""
    return json.loads((root / BASELINE).read_text(encoding="utf-8"))


def english_problems(notebook, still: dict[str, int]) -> list[str]:
    """Habits that occur more often than they still may."""
    problems, count = [], habits(notebook)
    for habit in count:
        if count[habit] > still.get(habit, 0):
            where = [f"{id}: {words!r}" for id, name, words in english(notebook) if name == habit]
            problems.append(
                f"has {count[habit]} × {habit}, {still.get(habit, 0)} allowed: {'; '.join(where)}"
            )
    return problems


def shrink(root: Path, order: list[Path]) -> None:
    """Lower the baseline to what is left; it never rises."""
    before, after = allowed(root), {}
    for path in order:
        name, count = path.relative_to(root).as_posix(), habits(notebooks.read(path))
        left = {
            habit: min(n, count[habit]) for habit, n in before.get(name, {}).items() if count[habit]
        }
        if left:
            after[name] = left
    text = json.dumps(after, indent=1, ensure_ascii=False) + "\n"
    (root / BASELINE).write_text(text, encoding="utf-8")


# ---------------------------------------------------------------- the report

SOURCED = re.compile(r"\[[^\]]+\]\(https?://")


def source_problems(notebook) -> list[str]:
    """Entries under "Further reading" without a link, which a reader has to search for."""
    last = notebook.cells[-1].source
    entries = last.partition("**Further reading**")[2].split("\n- ")[1:]
    return [f"has no link in {entry[:50]!r}" for entry in entries if not SOURCED.search(entry)]


def problems(path: Path, order: list[Path], root: Path = Path(".")) -> list[str]:
    """What must be repaired in a notebook's text, one sentence each."""
    notebook = notebooks.read(path)
    still = allowed(root).get(path.relative_to(root).as_posix(), {})
    return [
        *opening_problems(path, notebook, order),
        *heading_problems(notebook),
        *source_problems(notebook),
        *english_problems(notebook, still),
    ]


def medians(cells) -> tuple[float, float]:
    """Words of the middle text cell, and lines of the middle code cell, empty ones among them."""
    words = [len(c.source.split()) for c in cells if c.cell_type == "markdown"]
    lines = [len(c.source.splitlines()) for c in cells if c.cell_type == "code"]
    return median(words or [0]), median(lines or [0])


def report(paths: list[Path]) -> list[str]:
    """A table, one line per notebook: minutes of both roads, words, cells, ratio, medians, long cells."""
    head = ("", "minutes", "deeper", "words", "cells", "md:code", "words/cell", "lines/cell", "> 80 words", "code > 100")
    widths = (36, 8, 7, 6, 6, 8, 11, 11, 11, 11)
    lines = ["".join(f"{word:>{w}}" for word, w in zip(head, widths))]
    for path in paths:
        notebook = notebooks.read(path)
        main, deeper = study(notebook)
        text = [c.source for c in notebook.cells if c.cell_type == "markdown"]
        code = [c.source for c in notebook.cells if c.cell_type == "code"]
        typical = [f"{value:g}" for value in medians(notebook.cells)]
        long = sum(len(FENCE.sub("", source).split()) > LONG_TEXT for source in text)
        wide = sum(len(line) > LONG_CODE for source in code for line in source.splitlines())
        road = f"{main.minutes:.0f}{'*' if main.minutes > LONGEST_ROAD else ''}"
        row = (
            path.parent.name + "/" + path.stem, road, f"{deeper.minutes:.0f}",
            main.words + deeper.words, len(notebook.cells), f"{len(text) / max(1, len(code)):.2f}",
            *typical, long, wide,
        )  # fmt: skip
        lines.append(f"{row[0]:36s}" + "".join(f"{x:>{w}}" for x, w in zip(row[1:], widths[1:])))
    return [*lines, f"* a main road of more than {LONGEST_ROAD} minutes"]
