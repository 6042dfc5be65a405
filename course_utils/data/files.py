"""Rows of a JSONL, JSON, CSV, TSV or Parquet file, each with the number of its line or row."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

from ..settings import CourseError
from .columns import NAMES, split_of

FORMATS = (".jsonl", ".json", ".csv", ".tsv", ".parquet")
csv.field_size_limit(2**31 - 1)  # a long dialogue is one cell; Python's limit is 131,072 characters
POINTER = b"version https://git-lfs"  # what git leaves in place of a file that LFS holds


def read_rows(path: Path) -> Iterator[tuple[str, dict]]:
    """``(where, row)`` of each row; ``where`` is "line 3" or "row 3", for sentences about it.

    Blank lines are passed over by their reader's caller, as rows without any cell.

    Raises
    ------
    CourseError
        if the file cannot be read, is empty, or is not what its ending says.
    """
    kind = path.suffix.lower()
    if kind not in FORMATS:
        raise CourseError(
            f"{path} is none of {', '.join(FORMATS)}; convert it to one of them (in Excel: save as CSV UTF-8)."
        )
    content = _bytes(path)
    if not content.strip():
        raise CourseError(f"{path} is empty; it needs at least one dialogue.")
    if content.startswith(POINTER):
        raise CourseError(f"{path} is a git-lfs pointer, not the file itself; run: git lfs pull")
    if kind == ".parquet":
        return _parquet_rows(path)
    text = _text(path, content)
    if kind == ".json":
        return _json_rows(path, text)
    if kind == ".jsonl":
        return _jsonl_rows(path, text)
    return _csv_rows(path, text, "\t" if kind == ".tsv" else ",")


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CourseError(
            f"{path} cannot be read ({error.strerror}); check its name and permissions."
        ) from error


def _text(path: Path, content: bytes) -> str:
    """The text with its line ends unchanged; a byte-order mark (Excel writes one) is dropped."""
    try:
        return content.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise CourseError(
            f"{path}, line {line}: not UTF-8; save the file in that encoding."
        ) from error


def _jsonl_rows(path: Path, text: str) -> Iterator[tuple[str, dict]]:
    # Not splitlines(): it also breaks at U+2028 and others that JSON allows inside a string.
    for line, content in enumerate(text.rstrip().split("\n"), 1):
        if not content.strip():
            yield f"line {line}", {}
            continue
        try:
            row = json.loads(content)
        except ValueError as error:
            raise CourseError(f"{path}, line {line}: not JSON; write one object a line.") from error
        if not isinstance(row, dict):
            raise CourseError(f"{path}, line {line}: not a JSON object; write one object a line.")
        yield f"line {line}", row


def _json_rows(path: Path, text: str) -> Iterator[tuple[str, dict]]:
    """An array of objects, JSONL under another name, or an object in one of the forms of :func:`_rows_in`."""
    try:
        found = json.loads(text)
    except ValueError as error:
        if "Extra data" in str(error):  # a second object begins: it is JSONL
            yield from _jsonl_rows(path, text)
            return
        raise CourseError(f"{path}, line {error.lineno}: not JSON ({error.msg}); repair it.") from error
    except RecursionError as error:
        raise CourseError(f"{path} is nested too deeply to be read; write an array of objects.") from error
    if isinstance(found, dict):
        found = _rows_in(found)
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise CourseError(f"{path} is not an array of JSON objects; write one object per dialogue.")
    for number, row in enumerate(found, 1):
        yield f"row {number}", row


def _rows_in(found: dict) -> list:
    """Rows in an object: its columns (pandas' and datasets' ``to_dict``), its splits, rows by their ids, its one
    array of objects, or else the object as the only row."""
    values, known = list(found.values()), {name for names in NAMES.values() for name in names}
    lists = bool(values) and all(isinstance(value, list) for value in values)
    if lists and all(split_of(name) for name in found):
        return [{**row, "split": name} if isinstance(row, dict) else row for name, rows in found.items() for row in rows]
    columns = known & {name.strip().lower() for name in found}
    if lists and len(columns) > 1 and len({len(value) for value in values}) == 1:
        return [dict(zip(found, cells)) for cells in zip(*values)]
    if values and all(isinstance(value, dict) for value in values):
        if columns:  # each column a cell for each index
            return [{name: cells.get(index) for name, cells in found.items()} for index in values[0]]
        return [{"id": name, **row} for name, row in found.items()]
    arrays = [value for value in values if isinstance(value, list) and value and isinstance(value[0], dict)]
    return arrays[0] if len(arrays) == 1 and "dialogue" not in columns else [found]


def _csv_rows(path: Path, text: str, delimiter: str) -> Iterator[tuple[str, dict]]:
    reader = csv.reader(io.StringIO(text.rstrip(" \r\n"), newline=""), strict=True, delimiter=delimiter)
    header: list[str] = []
    line = 1  # where the row begins: a quoted dialogue goes over several lines
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise CourseError(f"{path}, line {line}: not CSV ({error}); repair the row.") from error
        if header and not any(cell.strip() for cell in cells):
            yield f"line {line}", {}
        elif header and len(cells) != len(header):
            raise CourseError(
                f"{path}, line {line}: {len(cells)} cells under {len(header)} column names; put "
                "double quotes around a text with commas."
            )
        elif header:
            yield f"line {line}", dict(zip(header, cells))
        if not header:
            header = cells
            _refuse_twice(path, header)
        line = reader.line_num + 1


def _parquet_rows(path: Path) -> Iterator[tuple[str, dict]]:
    import pyarrow
    from pyarrow import parquet

    try:
        _refuse_twice(path, parquet.read_schema(path).names)
        rows = parquet.read_table(path).to_pylist()
    except (OverflowError, UnicodeDecodeError) as error:
        raise CourseError(f"{path} holds a cell that cannot be read ({error}); write it without that column.") from error
    except (pyarrow.ArrowInvalid, OSError) as error:
        raise CourseError(f"{path} is not a Parquet file, or is cut off; write it again.") from error
    for number, row in enumerate(rows, 1):
        yield f"row {number}", row


def _refuse_twice(path: Path, names: list[str]) -> None:
    twice = sorted({name for name in names if name.strip() and names.count(name) > 1})
    if twice:
        raise CourseError(f"{path}: the column {twice[0]!r} stands there twice; rename or delete one of them.")
