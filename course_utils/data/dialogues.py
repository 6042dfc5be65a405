"""Dialogues with summaries: the course's own, or any file or folder in DialogSum's form.

Columns: ``id, topic, tone, dialogue, summary``; the test split also has ``summary2, summary3``
(further references) and ``facts`` (questions with short answers); heated dialogues also have
``summary_blunt``. What a source lacks is the empty text.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path

from .. import hub
from ..settings import EMBEDDED, CourseError, Settings, as_path, current
from .columns import SPLITS, SUMMARIES, TEXT_COLUMNS, Reader, parse_columns, split_of
from .files import FORMATS, read_rows

HERE = Path(__file__).parent / "dialogues"


def load_dialogues(settings: Settings | None = None, tone: str | None = None):
    """The dialogues the settings name, as a ``datasets.DatasetDict`` of three splits.

    ``settings.data`` (``COURSE_DATA``) is one of

    * the embedded corpus (default);
    * a local ``.jsonl``, ``.json``, ``.csv``, ``.tsv`` or ``.parquet`` file, or a folder of them named
      after their splits (``dev`` and ``val`` mean validation; ``samsum-train.csv`` is train; parts such as
      ``train-00000-of-00002.parquet`` are read together); a folder with one such file is read as that file;
    * a folder that ``save_to_disk`` of the datasets library wrote;
    * a hub id such as ``knkarthick/dialogsum``; ``owner/name:config=en`` where it has several configurations.

    Accepted layouts: ours; DialogSum's JSONL (``fname``; test with ``summary1`` … ``summary3``) and
    CSV, whose test has a row for each reference (rows of one dialogue are merged); SAMSum; TweetSumm;
    MTS-Dialog; ACI-Bench. Columns of other names are given behind a colon:
    ``calls.csv:dialogue=text,summary=note``. A dialogue may be a list of turns, a summary a list of
    references, also where a table holds the list as a text. JSON may be an array of rows or an object of
    columns, of splits, or of rows by their ids. Turn separators stay as they are.

    Splits that are missing are taken out of train, a fifth for the test and a twenty-fifth for
    validation, by a hash of the dialogue's text: the same dialogue always falls into the same split,
    whatever the order of the file, and never into two. A file without a ``split`` column is all train
    before that, whatever its name. What is left out is said: rows without a dialogue or a summary, speakers
    that no known key names, references beyond three, files and splits whose names say no split or that cannot
    be read, and train or validation dialogues that stand in the test as well.

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
        path, local = _as_path(source), is_local(source)
        if local and "config" in columns:
            raise CourseError(
                f"COURSE_DATA={source} is a file or folder, which has no configurations; leave out config={columns['config']}."
            )
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
    return {**{c: "" if row.get(c) is None else str(row[c]) for c in TEXT_COLUMNS}, "facts": row.get("facts") or []}


# ---------------------------------------------------------------- reading files


def _as_path(source: str) -> Path:
    """The source as a path.

    Raises
    ------
    CourseError
        for an address, and what no system takes for a path.
    """
    address = re.match(r"https?://(?:[^/]+/datasets/([^/?#]+/[^/?#]+))?", source)
    if address:
        cure = f"give the data set's id: COURSE_DATA={address[1]}" if address[1] else "download the file and give its path"
        raise CourseError(f"COURSE_DATA={source} is an address; {cure}")
    return as_path(source, "COURSE_DATA")


def is_local(source: str) -> bool:
    """Does ``COURSE_DATA`` name a file or folder, there or not? Else it is a hub id.

    Raises
    ------
    CourseError
        for an address, and what no system takes for a path.
    """
    source = parse_columns(source)[0]
    return _as_path(source).exists() or _looks_local(source)


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
    if (path / "dataset_dict.json").exists() or (path / "dataset_info.json").exists():
        return _saved_to_disk(path, columns)
    try:
        there = [file for file in sorted(path.iterdir()) if not file.name.startswith(".")]
    except OSError as error:
        raise CourseError(f"COURSE_DATA={path} cannot be read ({error.strerror}); choose another folder, or allow it.") from error
    files = [file for file in there if file.suffix.lower() in FORMATS and file.is_file()]
    chosen: dict[str, list[Path]] = {}
    ignored = []
    for file in files:
        split = _split_in(file.stem)
        if split is None:
            ignored.append(file.name)
        elif split in chosen and not _shards([*chosen[split], file]):
            raise CourseError(
                f"{path} holds two files for {split}, {chosen[split][0].name} and {file.name}; keep one of them."
            )
        else:
            chosen.setdefault(split, []).append(file)
    for file in there:
        split = None if file in files else _split_in(file.name)
        if split and split not in chosen:
            print(f"{path.name}: not read: {file.name}, which is no file ending in {', '.join(FORMATS)}")
    if len(files) == 1:
        return _by_field(_read_file(files[0], columns, path))
    if not chosen:
        raise CourseError(
            f"{path} holds no train, validation or test file ending in {', '.join(FORMATS)}; name its "
            "files so, or give the path of one file."
        )
    if ignored:
        print(f"{path.name}: not read, since their names say no split: {', '.join(ignored)}")
    splits = {split: [r for file in found for r in _read_file(file, columns, path)] for split, found in chosen.items()}
    for split, rows in splits.items():
        others = {row["split"] for row in rows if row.get("split")} - {split}
        if others:
            raise CourseError(
                f"{chosen[split][0]} is the {split} split by its name, and a row says {min(others)}; move such rows to a "
                "file of that name, or drop the column 'split'."
            )
    return splits


def _split_in(name: str) -> str | None:
    """The split that the last telling part of a name says: "dialogsum.train.jsonl", "samsum-test.csv", "train_sft"."""
    parts = [split_of(part) for part in re.split(r"[._\-\s]+", name)]
    return next((part for part in reversed(parts) if part), None)


def _shards(files: list[Path]) -> bool:
    """Are these parts of one file, ``train-00000-of-00002.parquet`` and so on?"""
    found = [re.fullmatch(r"(.+)-\d+-of-(\d+)", file.stem) for file in files]
    return all(found) and len({(part[1], part[2]) for part in found}) == 1


def _by_field(rows: list[dict]) -> dict[str, list[dict]]:
    """Rows of one file by their ``split`` field; train for those without one."""
    splits: dict[str, list[dict]] = {}
    for row in rows:
        splits.setdefault(row.get("split") or "train", []).append(row)
    return splits


def _read_file(path: Path, columns: Mapping[str, str] | None = None, source: Path | None = None) -> list[dict]:
    return Reader(path, columns, source).rows(read_rows(path))


def _saved_to_disk(path: Path, columns: Mapping[str, str]) -> dict[str, list[dict]]:
    """What ``save_to_disk`` of the datasets library wrote: one split, or several in a folder each."""
    import datasets

    try:
        found = datasets.load_from_disk(path)
    except Exception as error:  # the library raises many kinds
        raise CourseError(f"{path} is not whole ({type(error).__name__}); save the data set again.") from error
    if isinstance(found, datasets.Dataset):
        return _by_field(Reader(path, columns).rows((f"row {n}", row) for n, row in enumerate(found, 1)))
    return _read_splits(found, str(path), columns)


def _read_hub(source: str, columns: Mapping[str, str]) -> dict[str, list[dict]]:
    import datasets

    config = columns.get("config")
    bars = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        with hub.explained("COURSE_DATA", f"{source}:config={config}" if config else source):
            found = datasets.load_dataset(source, config)
    finally:
        if not bars:
            datasets.enable_progress_bars()
    return _read_splits(found, source, columns)


def _read_splits(found: Mapping, source: str, columns: Mapping[str, str]) -> dict[str, list[dict]]:
    """The rows of a ``datasets.DatasetDict``; what no split of ours is called is named."""
    splits: dict[str, str] = {}
    for name in found:
        split = _split_in(name)
        if split in splits:
            raise CourseError(
                f"{source} has two splits for {split}, {splits[split]} and {name}; save the one you want to a folder of "
                "files named train, validation and test, and give its path."
            )
        if split:
            splits[split] = name
    ignored = [name for name in found if name not in splits.values()]
    if not splits:
        raise CourseError(
            f"{source} has no split whose name says train, validation or test (it has {', '.join(ignored)}); save "
            "what you want to files of these names, and give their folder."
        )
    if ignored:
        print(f"{source}: not read, since their names say no split: {', '.join(ignored)}")
    return {
        split: Reader(f"{source}/{name}", columns, source).rows(
            (f"row {number}", row) for number, row in enumerate(found[name], 1)
        )
        for split, name in splits.items()
    }


# ---------------------------------------------------------------- one row a dialogue, three splits


def _merge(rows: Iterable[dict]) -> list[dict]:
    """One row a dialogue: further rows with the same text become further references.

    A fourth reference is dropped and counted aloud; so is, unsaid, one that says the same as another.
    """
    merged: dict[str, dict] = {}
    dropped = 0
    for row in rows:
        first = merged.setdefault(row["dialogue"].strip(), row)
        if first is row:
            continue
        free = [c for c in SUMMARIES if not first.get(c)]
        first["facts"] = first.get("facts") or row.get("facts")
        if row["summary"] in references(first):
            continue
        if free:
            first[free[0]] = row["summary"]
        dropped += not free
    if dropped:
        print(f"{dropped} further references are not kept: a dialogue has at most {len(SUMMARIES)}")
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
            raise CourseError(
                f"{source} has too few dialogues: the {split} split is empty; give more of them, or a folder with a "
                "file for each split."
            )
    return splits


def _tell_overlap(splits: dict[str, list[dict]]) -> None:
    tested = {_as_words(row) for row in splits["test"]}
    for split, so in (
        ("train", "a model trained on them has seen the answers"),
        ("validation", "a choice made on them is made on the test"),
    ):
        known = sum(_as_words(row) in tested for row in splits[split])
        if known:
            print(f"{known} of {len(splits[split])} {split} dialogues stand in the test, too: {so}")


def _as_words(row: dict) -> str:
    """The dialogue whatever its blanks, its line ends and the form of its accents."""
    return " ".join(unicodedata.normalize("NFC", row["dialogue"]).split())
