"""Dialogues with summaries: the course's own, or any file or folder in DialogSum's form.

Columns: ``id, topic, tone, dialogue, summary``; the test split also has ``summary2, summary3``
(further references) and ``facts`` (questions with short answers); heated dialogues also have
``summary_blunt``. What a source lacks is the empty text.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from .. import hub
from ..settings import EMBEDDED, CourseError, Settings, current
from .columns import SPLITS, SUMMARIES, TEXT_COLUMNS, Reader, parse_columns, split_of
from .files import FORMATS, read_rows

HERE = Path(__file__).parent / "dialogues"


def load_dialogues(settings: Settings | None = None, tone: str | None = None):
    """The dialogues the settings name, as a ``datasets.DatasetDict`` of three splits.

    ``settings.data`` (``COURSE_DATA``) is one of

    * the embedded corpus (default);
    * a local ``.jsonl``, ``.json``, ``.csv``, ``.tsv`` or ``.parquet`` file, or a folder of them named
      after their splits (``dev`` and ``val`` mean validation; ``samsum-train.csv`` is train); a folder
      with one such file is read as that file;
    * a hub id such as ``knkarthick/dialogsum``.

    Accepted layouts: ours; DialogSum's JSONL (``fname``; test with ``summary1`` … ``summary3``) and
    CSV, whose test has a row for each reference (rows of one dialogue are merged); SAMSum; TweetSumm;
    MTS-Dialog; ACI-Bench. Columns of other names are given behind a colon:
    ``calls.csv:dialogue=text,summary=note``. A dialogue may be a list of turns, a summary a list of
    references. Turn separators stay as they are.

    Splits that are missing are taken out of train, a fifth for the test and a twenty-fifth for
    validation, by a hash of the dialogue's text: the same dialogue always falls into the same split,
    whatever the order of the file, and never into two. A file without a ``split`` column is all train
    before that, whatever its name. What is left out is said: rows without a dialogue or a summary,
    files whose names say no split, and train dialogues that stand in the test as well.

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
        splits = {split: _read_file(HERE / f"{split}.jsonl") for split in SPLITS}
        if tone is not None:
            if tone not in ("calm", "heated"):
                raise ValueError(f"tone={tone!r} is neither 'calm' nor 'heated'.")
            splits = {s: [row for row in rows if row["tone"] == tone] for s, rows in splits.items()}
    else:
        source, columns = parse_columns(source)
        path = Path(source).expanduser()
        local = path.exists() or _looks_local(source)
        splits = _read_local(path, columns) if local else _read_hub(source, columns)
        splits = _complete_splits({s: _merge(rows) for s, rows in splits.items()}, source)
        _tell_overlap(splits)
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
    odd = source.count("/") > 1 or "\\" in source
    endings = (*FORMATS, ".txt", ".xlsx")
    return odd or source.startswith((".", "/", "~")) or source.lower().endswith(endings)


def _read_local(path: Path, columns: Mapping[str, str]) -> dict[str, list[dict]]:
    if not path.exists():
        raise CourseError(
            f"COURSE_DATA={path} does not exist; unset it to use the course's own data."
        )
    if path.is_file():
        return _by_field(_read_file(path, columns))
    files = [file for file in sorted(path.iterdir()) if file.suffix.lower() in FORMATS]
    if len(files) == 1:
        return _by_field(_read_file(files[0], columns))
    chosen: dict[str, Path] = {}
    ignored = []
    for file in files:
        # The last part that names a split: "dialogsum.train.jsonl", "samsum-test.csv".
        parts = [split_of(part) for part in re.split(r"[._\-\s]+", file.stem)]
        split = next((part for part in reversed(parts) if part), None)
        if split is None:
            ignored.append(file.name)
        elif split in chosen:
            raise CourseError(
                f"{path} holds two files for {split}, {chosen[split].name} and {file.name}; keep one of them."
            )
        else:
            chosen[split] = file
    if not chosen:
        raise CourseError(
            f"{path} holds no train, validation or test file ending in {', '.join(FORMATS)}; name its "
            "files so, or give the path of one file."
        )
    if ignored:
        print(f"{path.name}: not read, since their names say no split: {', '.join(ignored)}")
    return {split: _read_file(file, columns) for split, file in chosen.items()}


def _by_field(rows: list[dict]) -> dict[str, list[dict]]:
    """Rows of one file by their ``split`` field; train for those without one."""
    splits: dict[str, list[dict]] = {}
    for row in rows:
        splits.setdefault(row.get("split") or "train", []).append(row)
    return splits


def _read_file(path: Path, columns: Mapping[str, str] | None = None) -> list[dict]:
    return Reader(path, columns).rows(read_rows(path))


def _read_hub(source: str, columns: Mapping[str, str]) -> dict[str, list[dict]]:
    import datasets

    bars = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        with hub.explained("COURSE_DATA", source):
            found = datasets.load_dataset(source)
    finally:
        if not bars:
            datasets.enable_progress_bars()
    splits = {split_of(name): (name, rows) for name, rows in found.items() if split_of(name)}
    return {
        split: Reader(f"{source}/{name}", columns).rows(
            (f"row {number}", row) for number, row in enumerate(rows, 1)
        )
        for split, (name, rows) in splits.items()
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
    elif not splits.get("train"):
        raise CourseError(
            f"{source} has {' and '.join(present)}, and no train split; add a file named train, or "
            "give the path of one file, which is then divided."
        )
    missing = [s for s in SPLITS[1:] if not splits.get(s)]
    if missing:
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


def _tell_overlap(splits: dict[str, list[dict]]) -> None:
    tested = {row["dialogue"].strip() for row in splits["test"]}
    known = sum(row["dialogue"].strip() in tested for row in splits["train"])
    if known:
        print(
            f"{known} of {len(splits['train'])} train dialogues stand in the test, too: a model trained "
            "on them has seen the answers"
        )
