"""One row of somebody's file in our column names, with texts where files have lists of turns."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from ..settings import CourseError

SPLITS = ("train", "validation", "test")
SUMMARIES = ("summary", "summary2", "summary3")
TEXT_COLUMNS = ("id", "topic", "tone", "dialogue", *SUMMARIES, "summary_blunt")

# Other data sets' names of our columns: DialogSum, MTS-Dialog, ACI-Bench. Ours come first.
NAMES = {
    "id": ("id", "fname", "encounter_id"),
    "dialogue": ("dialogue",),
    "summary": ("summary", "summary1", "section_text", "note"),
    "topic": ("topic", "topic1", "section_header"),
}
SPEAKERS = ("speaker", "role", "name", "from", "author", "user", "sender", "participant", "speaker_id")
SAID = ("text", "utterance", "content", "value", "message")
SHOWN = 12  # of a file's column names in a sentence


def split_of(name: str) -> str | None:
    """The split that a name means: ``dev`` is validation, ``TestSet`` and ``test1`` are test.

    >>> split_of("valid"), split_of("TrainingSet"), split_of("test1"), split_of("latest")
    ('validation', 'train', 'test', None)
    """
    name = re.sub(r"(set)?\d*$", "", name.lower())
    names = {"train": "train", "training": "train", "test": "test"}
    return names.get(name, "validation" if name in ("dev", "val", "valid", "validation") else None)


def parse_columns(source: str) -> tuple[str, dict[str, str]]:
    """``file.csv:dialogue=text,summary=note`` as the source and which columns to read.

    Among them may stand ``config=name``: which configuration of a data set on the hub.

    >>> parse_columns("calls.csv:dialogue=text,summary=note")
    ('calls.csv', {'dialogue': 'text', 'summary': 'note'})
    >>> parse_columns("C:/calls.csv")
    ('C:/calls.csv', {})
    >>> parse_columns("cnn_dailymail:config=3.0.0,dialogue=article,summary=highlights")[1]["config"]
    '3.0.0'

    Raises
    ------
    CourseError
        for a column that dialogues do not have.
    """
    found = re.fullmatch(r"(.+?):(\s*\w+\s*=[^,;=]+(?:[,;]\s*\w+\s*=[^,;=]+)*)", source)
    if not found:
        return source, {}
    pairs = (part.split("=") for part in re.split("[,;]", found[2]))
    columns = {ours.strip(): theirs.strip() for ours, theirs in pairs}
    known = (*TEXT_COLUMNS, "split")
    for name in columns.keys() - {"config"}:
        if name not in known:
            raise CourseError(
                f"COURSE_DATA={source}: dialogues have no column {name!r}; choose from {', '.join(known)}."
            )
    return found[1], columns


class Reader:
    """Checks the rows of one source, and counts aloud what it leaves out.

    ``columns`` maps our names to the source's, where they were given; else names are recognised; its
    ``config`` is no column and goes into the cure. ``source`` is what ``COURSE_DATA`` names: the folder,
    where the file is one of several.
    """

    def __init__(self, path: Path | str, columns: Mapping[str, str] | None = None, source: Path | str | None = None):
        self.path, self.columns, self.source = path, dict(columns or {}), source or path
        self.config = {name: self.columns.pop(name) for name in ("config",) if name in self.columns}
        self.seen: dict[str, str] = {}
        self.blank: list[str] = []
        self.unnamed: list[str] = []  # rows whose turns have no speaker that is known
        self.surplus: list[str] = []  # rows with more references than are kept

    def rows(self, numbered: Iterable[tuple[str, dict]]) -> list[dict]:
        """The usable rows in our column names.

        Raises
        ------
        CourseError
            for a missing column, a cell of an unreadable kind, an id that occurs twice, an unknown
            split, or no usable row at all.
        """
        found, total = [], 0
        for where, row in numbered:
            total += 1
            row = self._checked(where, row)
            if row is not None:
                found.append(row)
        if not found:
            missing = "has a header and no rows" if not total else "has no row with a dialogue and a summary"
            raise CourseError(f"{self.path} {missing}; it needs at least one dialogue.")
        for rows, what in (
            (self.blank, "have no dialogue or no summary and are left out"),
            (self.unnamed, f"have turns without one of {', '.join(SPEAKERS)}: what is said is read, who says it is not"),
            (self.surplus, f"have more than {len(SUMMARIES)} references: the first {len(SUMMARIES)} are kept"),
        ):
            if rows:
                some = ", ".join(rows[:3]) + (", …" if len(rows) > 3 else "")
                print(f"{Path(self.path).name}: {len(rows)} of {total} rows {what} ({some})")
        return found

    def _checked(self, where: str, row: dict) -> dict | None:
        """The row in our names; None for one without a dialogue or a summary."""
        if not row:
            self.blank.append(where)
            return None
        row = {name: _whole_characters(value) for name, value in self._renamed(where, row).items()}
        summaries = _written_list(row["summary"])
        if isinstance(summaries, list) and all(isinstance(text, str) for text in summaries):
            summaries = [text for text in summaries if text.strip()]
            row |= dict(zip(SUMMARIES, summaries or [""]))
            if len(summaries) > len(SUMMARIES):
                self.surplus.append(where)
        turns = _written_list(row["dialogue"])
        row["dialogue"] = _turns(turns)
        if isinstance(turns, list) and any(_is_unnamed(turn) for turn in turns):
            self.unnamed.append(where)
        for column in ("dialogue", *SUMMARIES):
            value = row.get(column)
            if value is not None and not isinstance(value, str):
                raise CourseError(
                    f"{self.path}, {where}: {column} is of type {type(value).__name__}; write a text"
                    + (", or a list of turns." if column == "dialogue" else ".")
                )
        if not (row["dialogue"] or "").strip() or not (row["summary"] or "").strip():
            self.blank.append(where)
            return None
        self._identify(where, row)
        if row.get("split"):
            split = split_of(str(row["split"]))
            if split is None:
                raise CourseError(
                    f"{self.path}, {where}: unknown split {row['split']!r}; use one of {', '.join(SPLITS)}."
                )
            row["split"] = split
        if not _are_facts(row.get("facts") or []):
            raise CourseError(
                f'{self.path}, {where}: facts must be a list of {{"question": …, "answer": …}}; repair '
                "or drop it."
            )
        return row

    def _identify(self, where: str, row: dict) -> None:
        given = row.get("id")
        row["id"] = str(given) if given not in (None, "") else f"{Path(self.path).stem}-{where.split()[-1]}"
        if row["id"] in self.seen:
            raise CourseError(
                f"{self.path}, {where}: id {row['id']!r} stands in {self.seen[row['id']]} too; make ids unique."
            )
        self.seen[row["id"]] = where

    def _renamed(self, where: str, row: dict) -> dict:
        names = ", ".join(map(str, list(row)[:SHOWN])) + (", …" if len(row) > SHOWN else "")
        for theirs in self.columns.values():
            if theirs not in row:
                raise CourseError(f"{self.path}, {where}: there is no column {theirs!r} (columns: {names}).")
        given = {ours: row[theirs] for ours, theirs in self.columns.items()}
        row = {name: value for name, value in row.items() if name not in self.columns.values()} | given
        lower = {str(name).strip().lower(): name for name in row}
        for ours in (*TEXT_COLUMNS, "split", "facts"):
            known = next((lower[name] for name in NAMES.get(ours, (ours,)) if name in lower), None)
            if ours not in row and known is not None:
                row[ours] = row.pop(known)
        missing = [column for column in ("dialogue", "summary") if column not in row]
        if missing:
            named = {**self.config, **self.columns, **{column: "its_name" for column in missing}}
            raise CourseError(
                f"{self.path}, {where}: there is no column {missing[0]!r} (columns: {names})"
                + (f" and no column {missing[1]!r}; add them, or name them" if missing[1:] else "; add it, or name it")
                + f": COURSE_DATA={self.source}:"
                + ",".join(f"{ours}={theirs}" for ours, theirs in named.items())
            )
        return row


def _whole_characters(value):
    """A text with U+FFFD for half a character (exports cut emoji in two), None for NaN (pandas' empty cell); in
    lists as well, which lose their None."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if value != value:
        return None
    if isinstance(value, list):
        return [item for item in map(_whole_characters, value) if item is not None]
    return {k: _whole_characters(v) for k, v in value.items()} if isinstance(value, dict) else value


def _turns(value):
    """A list of turns as lines: texts as they are, ``{"speaker": …, "text": …}`` as "speaker: text"."""
    if not isinstance(value, list):
        return value
    lines = []
    for turn in value:
        if isinstance(turn, Mapping):
            speaker, said = _speaker(turn), _said(turn)
            turn = f"{speaker}: {said}" if said and speaker is not None else said
        if not isinstance(turn, str):
            return value  # not turns: the caller says so
        if turn:
            lines.append(turn)
    return "\n".join(lines)


def _speaker(turn: Mapping):
    """Who speaks, a number 0 included; None where no known key says so."""
    own = {str(name).lower(): value for name, value in turn.items()}
    return next((own[name] for name in SPEAKERS if own.get(name) not in (None, "")), None)


def _said(turn: Mapping) -> str | None:
    """What is said: "" where the key is there and empty, None where there is no such key."""
    own = {str(name).lower(): value for name, value in turn.items()}
    texts = [own[name] or "" for name in SAID if name in own and (own[name] is None or isinstance(own[name], str))]
    return next(filter(None, texts), texts[0] if texts else None)


def _is_unnamed(turn) -> bool:
    return isinstance(turn, Mapping) and len(turn) > 1 and bool(_said(turn)) and _speaker(turn) is None


def _written_list(value):
    """A list that a table holds as a text, ``["Ana: Hi", "Bo: Ho"]`` in JSON or as Python prints it; else the value."""
    if not (isinstance(value, str) and value.strip().startswith("[") and value.strip().endswith("]")):
        return value
    for read in (json.loads, ast.literal_eval):
        try:
            found = read(value.strip())
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        # An array prints no commas, and Python joins texts that only a blank divides.
        joined = read is ast.literal_eval and re.search(r"""['"]\s+['"]""", value)
        if isinstance(found, list) and found and all(isinstance(x, (str, dict)) for x in found) and not joined:
            return found
    return value


def _are_facts(value) -> bool:
    return isinstance(value, list) and all(
        isinstance(fact, dict)
        and set(fact) == {"question", "answer"}
        and all(isinstance(text, str) for text in fact.values())
        for fact in value
    )
