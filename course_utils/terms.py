"""Maintainer's tool: the field's standard terms, where each is defined, and who uses it too early.

``terms.json`` holds the terms. Each is in **bold** in one cell, the one that defines it. Never
imported by a notebook.
"""

from __future__ import annotations

import json
import os
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from . import lint, notebooks

TERMS = Path(__file__).with_name("terms.json")
OFFENDERS = "tests/terms_offenders.json"
GLOSSARY = "docs/GLOSSARY.md"

BOLD = re.compile(r"\*\*([^*\n]+)\*\*")
LINK = re.compile(r"\[[^\]\n]*\]\([^)\n]*\)")
TITLE = re.compile(r"(?<!\*)\*(?!Predict|What you should)(?=[A-Z])[^*\n]+\*(?!\*)")  # of a paper


@dataclass(frozen=True)
class Term:
    """One term of the glossary.

    ``forms`` are other spellings, plurals in s are understood. ``uses`` are the spellings looked for
    in prose: all of them by default, fewer where a spelling is an everyday word as well.
    """

    term: str
    definition: str
    notebook: str
    cell: str
    forms: tuple[str, ...] = ()
    uses: tuple[str, ...] | None = None

    @property
    def spellings(self) -> set[str]:
        return {spelling.lower() for spelling in (self.term, *self.forms)}

    @property
    def pattern(self) -> re.Pattern:
        """Finds a use: whole words, capitals as written where the spelling has some."""
        used = (self.term, *self.forms) if self.uses is None else self.uses
        ways = "|".join(map(_loose, used)) or "(?!)"
        return re.compile(rf"(?<![\w-])(?:{ways})(?:s|es)?(?![\w-])")


def _loose(spelling: str) -> str:
    """The spelling as a pattern: blank or hyphen alike, any case if it has no capitals."""
    pattern = r"[\s-]+".join(re.escape(part) for part in re.split(r"[ -]", spelling))
    return pattern if any(map(str.isupper, spelling)) else f"(?i:{pattern})"


def load(path: Path = TERMS) -> list[Term]:
    """All terms, in the order of the file."""
    rows = json.loads(path.read_text(encoding="utf-8"))
    return [
        Term(
            row["term"], row["definition"], row["notebook"], row["cell"],
            tuple(row.get("forms", ())), tuple(row["uses"]) if "uses" in row else None,
        )
        for row in rows
    ]  # fmt: skip


def prose(source: str) -> str:
    """What counts as a use: Markdown without code, formulas, links, titles of works and sources."""
    blank = lambda match: re.sub(r"\S", " ", match[0])  # noqa: E731
    text = LINK.sub(blank, source.partition("**Further reading**")[0])
    return TITLE.sub(blank, lint.prose(text))


def bold(source: str) -> set[str]:
    """The bold words of a cell, in lower case, with and without a final s or "(abbreviation)"."""
    spans = {span.strip(" .:").lower() for span in BOLD.findall(lint.prose(source))}
    spans |= {re.sub(r" \([^)]*\)$", "", span) for span in spans}
    return spans | {span.removesuffix("s") for span in spans}


def definition_problems(terms: list[Term], books: dict[str, object]) -> list[str]:
    """Terms that are not bold in their cell, or bold in another as well."""
    homes = defaultdict(set)  # spelling → the cells that may define it
    for term in terms:
        for spelling in term.spellings:
            homes[spelling].add(term.cell)
    problems = []
    marked = defaultdict(set)  # cell → its bold words
    for name, book in books.items():
        for cell in book.cells:
            if cell.cell_type != "markdown":
                continue
            marked[name, cell["id"]] = bold(cell.source)
            for word in marked[name, cell["id"]] & set(homes):
                if cell["id"] not in homes[word]:
                    where = ", ".join(sorted(homes[word]))
                    problems.append(f"{word!r} is bold in {name} {cell['id']}; {where} defines it")
    for term in terms:
        if not term.spellings & marked.get((term.notebook, term.cell), set()):
            problems.append(f"{term.term!r} is not bold in {term.notebook} {term.cell}")
    return problems


def follow(terms: list[Term], books: dict[str, object], path: Path = TERMS) -> list[Term]:
    """Where a bold term has moved to one other cell, write that cell into the file; all terms."""
    rows = json.loads(path.read_text(encoding="utf-8"))
    marked = {
        (name, cell["id"]): bold(cell.source)
        for name, book in books.items()
        for cell in book.cells
        if cell.cell_type == "markdown"
    }
    taken = {(term.notebook, term.cell, word) for term in terms for word in term.spellings}
    for row, term in zip(rows, terms):
        if term.spellings & marked.get((term.notebook, term.cell), set()):
            continue
        homes = [
            home
            for home, words in marked.items()
            if any((*home, word) not in taken for word in term.spellings & words)
        ]
        if len(homes) == 1:
            row["notebook"], row["cell"] = homes[0]
    path.write_text(_lines(rows), encoding="utf-8")
    return load(path)


def _lines(rows: list[dict]) -> str:
    """JSON with one row per line, so that changes can be read and merged."""
    return "[\n" + ",\n".join(" " + json.dumps(r, ensure_ascii=False) for r in rows) + "\n]\n"


def offences(terms: list[Term], books: dict[str, object]) -> list[tuple[str, str, str]]:
    """(term, notebook, cell) of each use before the definition, in the order of ``books``.

    A heading and the opening may announce what their own notebook defines.
    """
    found = []
    for term in terms:
        for name, book in books.items():
            own = name == term.notebook
            for number, cell in enumerate(book.cells):
                if own and cell["id"] == term.cell:
                    break
                if cell.cell_type != "markdown" or (own and number == 0):
                    continue
                text = prose(cell.source)
                if own:
                    text = lint.HEADING.sub("", text)
                if term.pattern.search(text):
                    found.append((term.term, name, cell["id"]))
            if own:
                break
    return found


def course() -> dict[str, object]:
    """Name → notebook, in the order of the README."""
    found = notebooks.find_notebooks()
    return {f"{path.parent.name}/{path.stem}": notebooks.read(path) for path in found}


def listed(root: Path = Path(".")) -> set[tuple[str, str]]:
    """(term, notebook) of the uses that still come too early; the list may only shrink."""
    rows = json.loads((root / OFFENDERS).read_text(encoding="utf-8"))
    return {(row["term"], row["notebook"]) for row in rows}


def shrink(found: set[tuple[str, str]], root: Path = Path(".")) -> None:
    """Strike from the list what no longer offends."""
    left = [{"term": term, "notebook": name} for term, name in sorted(listed(root) & found)]
    (root / OFFENDERS).write_text(_lines(left), encoding="utf-8")


def place(term: Term, books: dict[str, object]) -> str:
    """A Markdown link to the notebook, with the number of the section that defines the term."""
    book, section = books[term.notebook], ""
    for cell in book.cells:
        home = cell["id"] == term.cell
        source = cell.source
        if home:  # a heading counts only if it stands above the bold words
            spans = [m.start() for m in BOLD.finditer(source) if bold(m[0]) & term.spellings]
            source = source[: min(spans, default=0)]
        if cell.cell_type == "markdown":
            for _, heading in lint.HEADING.findall(lint.FENCE.sub("", source)):
                number = re.match(r"\d+(?:\.\d+)?(?= )", heading)
                section = f", {number[0]}" if number else section
        if home:
            break
    target = os.path.relpath(f"{term.notebook}.ipynb", Path(GLOSSARY).parent)
    return f"[{lint.title(book)}{section}]({target})"


def glossary(terms: list[Term], books: dict[str, object]) -> str:
    """The glossary page, in alphabetical order."""
    lines = [
        "# Glossary",
        "",
        "Made from `course_utils/terms.json` by `python -m course_utils terms --glossary "
        f"{GLOSSARY}`. The link leads to the notebook that introduces the term.",
        "",
    ]
    for term in sorted(terms, key=lambda t: t.term.lower()):
        also = f" ({', '.join(term.forms)})" if term.forms else ""
        lines.append(f"- **{term.term}**{also}: {term.definition} {place(term, books)}")
    return "\n".join(lines) + "\n"
