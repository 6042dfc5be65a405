"""One row of somebody's file in our column names, with texts where files have lists of turns."""

from __future__ import annotations

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
SPEAKERS, SAID = ("speaker", "role", "name", "from"), ("text", "utterance", "content", "value", "message")


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

    >>> parse_columns("calls.csv:dialogue=text,summary=note")
    ('calls.csv', {'dialogue': 'text', 'summary': 'note'})
    >>> parse_columns("C:/calls.csv")
    ('C:/calls.csv', {})

    Raises
    ------
    CourseError
        for a column that dialogues do not have.
    """
    found = re.fullmatch(r"(.+?):(\w+=[^,=]+(?:,\w+=[^,=]+)*)", source)
    if not found:
        return source, {}
    columns = dict(part.split("=") for part in found[2].split(","))
    known = (*TEXT_COLUMNS, "split")
    for name in columns:
        if name not in known:
            raise CourseError(
                f"COURSE_DATA={source}: dialogues have no column {name!r}; choose from {', '.join(known)}."
            )
    return found[1], columns


class Reader:
    """Checks the rows of one source, and counts aloud what it leaves out.

    ``columns`` maps our names to the source's, where they were given; else names are recognised.
    """

    def __init__(self, path: Path | str, columns: Mapping[str, str] | None = None):
        self.path, self.columns = path, dict(columns or {})
        self.seen: dict[str, str] = {}
        self.blank: list[str] = []

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
        if self.blank:
            some = ", ".join(self.blank[:3]) + (", …" if len(self.blank) > 3 else "")
            print(
                f"{Path(self.path).name}: {len(self.blank)} of {total} rows have no dialogue or no "
                f"summary and are left out ({some})"
            )
        return found

    def _checked(self, where: str, row: dict) -> dict | None:
        """The row in our names; None for one without a dialogue or a summary."""
        if not row:
            self.blank.append(where)
            return None
        row = {name: _whole_characters(value) for name, value in self._renamed(where, row).items()}
        summaries = row["summary"]
        if isinstance(summaries, list) and all(isinstance(text, str) for text in summaries):
            row |= dict(zip(SUMMARIES, [text for text in summaries if text.strip()] or [""]))
        row["dialogue"] = _turns(row["dialogue"])
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
        row = dict(row)
        for ours, theirs in self.columns.items():
            if theirs not in row:
                raise CourseError(
                    f"{self.path}, {where}: there is no column {theirs!r} (columns: {', '.join(map(str, row))})."
                )
            row[ours] = row.pop(theirs) if ours != theirs else row[theirs]
        lower = {str(name).strip().lower(): name for name in row}
        for ours, theirs in NAMES.items():
            known = next((lower[name] for name in theirs if name in lower), None)
            if ours not in row and known is not None:
                row[ours] = row.pop(known)
        for column in ("dialogue", "summary"):
            if column not in row:
                raise CourseError(
                    f"{self.path}, {where}: there is no column {column!r} (columns: "
                    f"{', '.join(map(str, row))}); add it, or name it: COURSE_DATA={self.path}:{column}=its_name"
                )
        return row


def _whole_characters(value):
    """A text with U+FFFD for half a character (exports cut emoji in two), in lists as well."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_whole_characters(item) for item in value]
    return {k: _whole_characters(v) for k, v in value.items()} if isinstance(value, dict) else value


def _turns(value):
    """A list of turns as lines: texts as they are, ``{"speaker": …, "text": …}`` as "speaker: text"."""
    if not isinstance(value, list):
        return value
    lines = []
    for turn in value:
        if isinstance(turn, Mapping):
            speaker = next((str(turn[name]) for name in SPEAKERS if turn.get(name)), "")
            said = next((turn[name] for name in SAID if isinstance(turn.get(name), str)), None)
            turn = said if said is None or not speaker else f"{speaker}: {said}"
        if not isinstance(turn, str):
            return value  # not turns: the caller says so
        lines.append(turn)
    return "\n".join(lines)


def _are_facts(value) -> bool:
    return isinstance(value, list) and all(
        isinstance(fact, dict)
        and set(fact) == {"question", "answer"}
        and all(isinstance(text, str) for text in fact.values())
        for fact in value
    )
