"""Dialogues with summaries: the course's own, or any file or folder in DialogSum's form.

Columns: ``id, topic, tone, dialogue, summary``; the test split also has ``summary2, summary3``
(further references) and ``facts`` (questions with short answers); heated dialogues also have
``summary_blunt``. What a source lacks is the empty text.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from ..settings import EMBEDDED, CourseError, Settings, current

HERE = Path(__file__).parent / "dialogues"
SPLITS = ("train", "validation", "test")
ALIASES = {"dev": "validation", "val": "validation", "valid": "validation"}
FORMATS = (".jsonl", ".csv")
SUMMARIES = ("summary", "summary2", "summary3")
TEXT_COLUMNS = ("id", "topic", "tone", "dialogue", *SUMMARIES, "summary_blunt")


def load_dialogues(settings: Settings | None = None, tone: str | None = None):
    """The dialogues the settings name, as a ``datasets.DatasetDict`` of three splits.

    ``settings.data`` (``COURSE_DATA``) is one of

    * the embedded corpus (default);
    * a local ``.jsonl`` or ``.csv`` file, or a folder of them named after their splits (``dev`` and
      ``val`` mean validation); a folder with one such file is read as that file;
    * a hub id such as ``knkarthick/dialogsum``.

    Accepted layouts: ours; DialogSum's JSONL (``fname``; test with ``summary1`` … ``summary3``);
    DialogSum's CSV, whose test has a row for each reference: rows of one dialogue are merged.
    Turn separators stay as they are. Splits that are missing are taken out of train, a fifth for
    the test and a twenty-fifth for validation, by a hash of the dialogue's text: the same dialogue
    always falls into the same split, whatever the order of the file, and never into two. A file without a ``split`` column is all train before
    that, whatever its name.

    Parameters
    ----------
    tone : ``"calm"`` or ``"heated"`` for a part of the embedded corpus; ignored for other data.

    Raises
    ------
    CourseError
        if the source cannot be found or read; it names the file, the line and the cure.
    """
    import datasets

    source = (settings or current()).data
    if source == EMBEDDED:
        splits = {split: list(_read_file(HERE / f"{split}.jsonl")) for split in SPLITS}
        if tone is not None:
            if tone not in ("calm", "heated"):
                raise ValueError(f"tone={tone!r} is neither 'calm' nor 'heated'.")
            splits = {s: [row for row in rows if row["tone"] == tone] for s, rows in splits.items()}
    else:
        path = Path(source).expanduser()
        splits = _read_local(path) if path.exists() or _looks_local(source) else _read_hub(source)
        splits = _complete_splits({s: _merge(rows) for s, rows in splits.items()}, source)
    return datasets.DatasetDict({
        split: datasets.Dataset.from_list([_normal(row) for row in splits[split]], _features())
        for split in SPLITS
    })  # fmt: skip


def references(row: Mapping) -> list[str]:
    """All references of a row, one to three of them."""
    return [row[column] for column in SUMMARIES if row.get(column)]


def _features():
    import datasets

    text = datasets.Value("string")
    fact = {"question": text, "answer": text}
    return datasets.Features({**{c: text for c in TEXT_COLUMNS}, "facts": [fact]})


def _normal(row: dict) -> dict:
    # str(): a topic or id may be a number in somebody's file.
    return {**{c: str(row.get(c) or "") for c in TEXT_COLUMNS}, "facts": row.get("facts") or []}


# ---------------------------------------------------------------- reading files


def _looks_local(source: str) -> bool:
    """True for what can only be meant as a path: hub ids have one slash and no such beginning."""
    endings = (*FORMATS, ".json", ".tsv", ".txt", ".parquet", ".xlsx")
    odd = source.count("/") > 1 or "\\" in source
    return odd or source.startswith((".", "/", "~")) or source.lower().endswith(endings)


def _read_local(path: Path) -> dict[str, list[dict]]:
    if not path.exists():
        raise CourseError(
            f"COURSE_DATA={path} does not exist; unset it to use the course's own data."
        )
    if path.is_file():
        return _by_field(path, list(_read_file(path)))
    files = [file for file in sorted(path.iterdir()) if file.suffix.lower() in FORMATS]
    if len(files) == 1:
        return _by_field(files[0], list(_read_file(files[0])))
    found: dict[str, list[dict]] = {}
    for file in files:
        # "train.jsonl", "dialogsum.train.jsonl"
        split = ALIASES.get(name := file.stem.rsplit(".", 1)[-1].lower(), name)
        if split not in SPLITS:
            continue
        if split in found:
            raise CourseError(f"{path} holds two files for {split}; keep one of them.")
        found[split] = list(_read_file(file))
    if not found:
        raise CourseError(
            f"{path} holds no train, validation or test file ending in .jsonl or .csv; name its "
            "files so, or give the path of one file."
        )
    return found


def _by_field(path: Path, rows: list[dict]) -> dict[str, list[dict]]:
    """Rows of one file by their ``split`` field; train for those without one."""
    splits: dict[str, list[dict]] = {}
    for row in rows:
        splits.setdefault(row.get("split") or "train", []).append(row)
    return splits


def _read_file(path: Path) -> Iterator[dict]:
    """Rows of a JSONL or CSV file, each checked."""
    if path.suffix.lower() not in FORMATS:
        raise CourseError(f"{path} is neither .jsonl nor .csv; convert it to one of them.")
    text = _read_text(path)
    if not text.strip():
        raise CourseError(f"{path} is empty; it needs at least one dialogue.")
    rows = _json_rows(path, text) if path.suffix.lower() == ".jsonl" else _csv_rows(path, text)
    seen: dict[str, int] = {}
    count = 0
    for line, row in rows:
        yield _checked(path, line, row, seen)
        count += 1
    if not count:
        raise CourseError(f"{path} has a header and no rows; it needs at least one dialogue.")


def _read_text(path: Path) -> str:
    """The file's text with its line ends unchanged; a byte-order mark (Excel writes one) is dropped."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CourseError(
            f"{path} cannot be read ({error.strerror}); check its name and permissions."
        ) from error
    try:
        return content.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise CourseError(
            f"{path}, line {line}: not UTF-8; save the file in that encoding."
        ) from error


def _json_rows(path: Path, text: str) -> Iterator[tuple[int, dict]]:
    # Not splitlines(): it also breaks at U+2028 and others that JSON allows inside a string.
    for line, content in enumerate(text.rstrip().split("\n"), 1):
        if not content.strip():
            raise CourseError(f"{path}, line {line}: blank; delete the line.")
        try:
            row = json.loads(content)
        except ValueError as error:
            raise CourseError(f"{path}, line {line}: not JSON; write one object a line.") from error
        if not isinstance(row, dict):
            raise CourseError(f"{path}, line {line}: not a JSON object; write one object a line.")
        yield line, row


def _csv_rows(path: Path, text: str) -> Iterator[tuple[int, dict]]:
    reader = csv.reader(io.StringIO(text.rstrip(), newline=""), strict=True)
    header: list[str] = []
    line = 1  # where the row begins: a quoted dialogue goes over several lines
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise CourseError(f"{path}, line {line}: not CSV ({error}); repair the row.") from error
        if not cells:
            raise CourseError(f"{path}, line {line}: blank; delete the line.")
        if header and len(cells) != len(header):
            raise CourseError(
                f"{path}, line {line}: {len(cells)} cells under {len(header)} column names; put "
                "double quotes around a text with commas."
            )
        if header:
            yield line, dict(zip(header, cells))
        header = header or cells
        line = reader.line_num + 1


def _checked(path: Path, line: int, row: dict, seen: dict[str, int]) -> dict:
    """The row in our column names, or one sentence about what is wrong with it."""
    where = f"{path}, line {line}"
    row = _renamed(row)
    for column in ("dialogue", "summary"):
        if column not in row:
            raise CourseError(
                f"{where}: there is no column {column!r} (columns: {', '.join(row)}); add it."
            )
        if not isinstance(row[column], str) or not row[column].strip():
            raise CourseError(f"{where}: {column} is blank; fill it in or delete the row.")
    row["id"] = str(row["id"] or f"{path.stem}-{line}")
    if row["id"] in seen:
        raise CourseError(
            f"{where}: id {row['id']!r} stands in line {seen[row['id']]} too; make ids unique."
        )
    seen[row["id"]] = line
    split = row.get("split")
    if split:
        row["split"] = ALIASES.get(split, split)
        if row["split"] not in SPLITS:
            raise CourseError(f"{where}: unknown split {split!r}; use one of {', '.join(SPLITS)}.")
    if not _are_facts(row.get("facts") or []):
        raise CourseError(
            f'{where}: facts must be a list of {{"question": …, "answer": …}}; repair or drop it.'
        )
    return row


def _renamed(row: dict) -> dict:
    """DialogSum's column names in ours: ``fname``, and ``summary1`` and ``topic1`` of its test."""
    row = dict(row)
    for ours, theirs in (("id", "fname"), ("summary", "summary1"), ("topic", "topic1")):
        if theirs in row and ours not in row:
            row[ours] = row.pop(theirs)
    row.setdefault("id", None)
    return row


def _are_facts(value) -> bool:
    return isinstance(value, list) and all(
        isinstance(fact, dict)
        and set(fact) == {"question", "answer"}
        and all(isinstance(text, str) for text in fact.values())
        for fact in value
    )


def _read_hub(source: str) -> dict[str, list[dict]]:
    import datasets

    try:
        found = datasets.load_dataset(source)
    except Exception as error:  # the library raises many kinds, none of them its own
        raise CourseError(
            f"COURSE_DATA={source} is neither a local file nor reachable on the hub; unset it to use "
            "the course's own data."
        ) from error
    return {
        ALIASES.get(split, split): [
            _checked(Path(source) / split, line, row, {}) for line, row in enumerate(rows, 1)
        ]
        for split, rows in found.items()
        if ALIASES.get(split, split) in SPLITS
    }


# ---------------------------------------------------------------- one row a dialogue, three splits


def _merge(rows: Iterable[dict]) -> list[dict]:
    """One row a dialogue: further rows with the same text become further references.

    A fourth reference is dropped, and so is one that says the same as another.
    """
    merged: dict[str, dict] = {}
    for row in rows:
        first = merged.setdefault(row["dialogue"].strip(), row)
        if first is row:
            continue
        free = [c for c in SUMMARIES if not first.get(c)]
        if free and row["summary"] not in references(first):
            first[free[0]] = row["summary"]
    return list(merged.values())


def _complete_splits(splits: dict[str, list[dict]], source: str) -> dict[str, list[dict]]:
    """Take what is missing out of train, and see that no split stays empty."""
    present = [s for s in SPLITS if splits.get(s)]
    if len(present) == 1:  # one file, whatever its name: all of it is the pool
        splits = {"train": splits[present[0]]}
    missing = [s for s in SPLITS[1:] if not splits.get(s)]
    if missing and splits.get("train"):
        result = {**splits, "train": [], **{s: [] for s in missing}}
        for row in splits["train"]:
            draw = int(hashlib.sha256(row["dialogue"].strip().encode()).hexdigest(), 16) % 25
            split = "test" if draw < 5 else "validation" if draw == 5 else "train"
            result[split if split in missing else "train"].append(row)
        splits = result
    for split in SPLITS:
        if not splits.get(split):
            raise CourseError(f"{source} has too few dialogues: the {split} split is empty.")
    return splits
