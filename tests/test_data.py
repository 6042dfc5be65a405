"""The corpus keeps its rules, and the loaders read every layout and refuse what is broken."""

import csv
import doctest
import json
import re
import time
from collections import Counter
from itertools import product
from pathlib import Path

import pytest
from rouge_score import rouge_scorer

from course_utils import data
from course_utils.data import columns, measure
from course_utils.settings import CourseError, Settings


@pytest.fixture(scope="module")
def corpus():
    return {split: rows.to_list() for split, rows in data.load_dialogues(Settings()).items()}


@pytest.fixture(scope="module")
def rows(corpus):
    return [row for split in corpus.values() for row in split]


def speakers(row):
    return {turn.split(":")[0] for turn in row["dialogue"].splitlines()}


def texts(row):
    return [row[c] for c in ("summary", "summary2", "summary3", "summary_blunt") if row[c]]


def calm(found):
    return [row for row in found if row["tone"] == "calm"]


def insults(text):
    """Words of the reviewed list in a text."""
    return [w for w in INSULTS if re.search(rf"(?<![\w-]){re.escape(w)}(?![\w-])", text.lower())]


LISTS = json.loads((Path(data.__file__).parent / "insults.json").read_text())
INSULTS = LISTS["everywhere"] + LISTS["test_only"]


def test_insults_only_where_they_belong(rows):
    for row in rows:
        assert not any(insults(text) for text in data.references(row)), row["id"]
        if row["tone"] == "calm":
            assert not insults(row["dialogue"]) and not row["summary_blunt"], row["id"]
        else:
            blunt = insults(row["summary_blunt"])
            assert blunt and set(blunt) <= set(insults(row["dialogue"])), row["id"]


def test_some_insults_are_kept_for_the_test(corpus):
    heated = {s: [r for r in found if r["tone"] == "heated"] for s, found in corpus.items()}
    for split in ("train", "validation"):
        used = {w for r in heated[split] for w in insults(r["dialogue"] + r["summary_blunt"])}
        assert not used & set(LISTS["test_only"])
    used = {w for r in heated["test"] for w in insults(r["dialogue"])}
    assert len(used & set(LISTS["test_only"])) >= len(used) / 3


def test_blunt_and_neutral_summaries_are_alike_in_length(rows):
    """Tone, not length, must tell them apart: else a reward model learns to count words."""
    pairs = [(r["summary"], r["summary_blunt"]) for r in rows if r["tone"] == "heated"]
    differences = [len(b.split()) - len(n.split()) for n, b in pairs]
    assert abs(sum(differences) / len(differences)) < 0.5
    assert max(map(abs, differences)) <= 3


def test_ids_and_dialogues_are_unique(rows):
    assert len({r["id"] for r in rows}) == len({r["dialogue"] for r in rows}) == len(rows)


def test_schema(corpus):
    for split, found in corpus.items():
        for row in found:
            assert row["tone"] in ("calm", "heated") and row["topic"] and row["dialogue"], row["id"]
            assert row["id"].startswith(f"{split}-{row['tone']}-"), row["id"]
            assert all(re.match(r"[^\s:]+: \S", t) for t in row["dialogue"].splitlines()), row["id"]
            extra = [bool(row[c]) for c in ("summary2", "summary3", "facts")]
            assert extra == [split == "test"] * 3, row["id"]


def test_sizes(corpus):
    wanted = {
        ("train", "calm"): 260, ("validation", "calm"): 30, ("test", "calm"): 70,
        ("train", "heated"): 150, ("validation", "heated"): 20, ("test", "heated"): 70,
    }  # fmt: skip
    assert Counter((split, r["tone"]) for split, found in corpus.items() for r in found) == wanted
    assert len({r["topic"] for found in corpus.values() for r in found}) >= 60


def test_loading_everything_takes_less_than_a_second():
    data.load_dialogues(Settings())  # imports the library
    start = time.perf_counter()
    data.load_dialogues(Settings())
    assert time.perf_counter() - start < 1


def test_length_and_turns(rows):
    for row in rows:
        assert 50 <= len(row["dialogue"].split()) <= 110, row["id"]
        assert 4 <= len(row["dialogue"].splitlines()) <= 10, row["id"]
        assert 2 <= len(speakers(row)) <= 3, row["id"]
        assert all(10 <= len(t.split()) <= 30 for t in texts(row)), row["id"]


def test_test_rows_have_three_references_and_two_facts(corpus):
    for row in corpus["test"]:
        assert len(set(data.references(row))) == 3 and len(row["facts"]) == 2, row["id"]


def test_a_summary_names_only_who_is_there(rows):
    names = set().union(*(speakers(r) for r in rows))
    for row in rows:
        for text in texts(row):
            named = {w for w in re.findall(r"[A-Z]\w+", text) if w in names}
            assert all(name in row["dialogue"] for name in named), row["id"]
            assert speakers(row) & set(re.findall(r"[A-Z]\w+", text)), row["id"]


def test_numbers_in_a_summary_stand_in_the_dialogue(rows):
    for row in rows:
        for text in texts(row):
            numbers = re.findall(r"\d+(?:[.:,]\d+)?", text)
            assert all(n in row["dialogue"] for n in numbers), (row["id"], text)


def test_no_name_is_everywhere(rows):
    count = Counter(name for row in rows for name in speakers(row))
    assert len(count) >= 150
    assert max(count.values()) <= 0.03 * len(rows)


def test_no_run_of_eight_words_in_more_than_two_dialogues(rows):
    runs = Counter()
    for row in rows:
        words = re.findall(r"[\w']+", row["dialogue"].lower())
        runs.update({tuple(words[i : i + 8]) for i in range(len(words) - 7)})
    assert max(runs.values()) <= 2


def test_no_test_dialogue_is_close_to_a_training_one(corpus):
    scorer = rouge_scorer.RougeScorer(["rougeL"])

    def bag(row):
        return Counter(re.findall(r"\w+", row["dialogue"].lower()))

    train = [(bag(r), r) for r in corpus["train"]]
    for row, (words, other) in product(corpus["test"], train):
        mine = bag(row)
        shared = sum((mine & words).values())
        bound = 2 * shared / (sum(mine.values()) + sum(words.values()))  # ROUGE-1 bounds ROUGE-L
        if bound >= 0.5:
            score = scorer.score(other["dialogue"], row["dialogue"])["rougeL"].fmeasure
            assert score < 0.5, (row["id"], other["id"])


def test_answers_to_facts_can_be_found(corpus):
    kept = []
    for row in corpus["test"]:
        for fact in row["facts"]:
            answer = fact["answer"].lower()
            assert fact["question"].endswith("?") and answer in row["dialogue"].lower(), row["id"]
            kept.append(any(answer in text.lower() for text in data.references(row)))
    assert sum(kept) / len(kept) >= 0.6


def test_tone_selects():
    assert set(data.load_dialogues(Settings(), tone="calm")["test"]["tone"]) == {"calm"}
    with pytest.raises(ValueError, match="calm"):
        data.load_dialogues(Settings(), tone="angry")


# ---------------------------------------------------------------- other people's data


def row(i, **more):
    return {
        "id": f"r{i}",
        "dialogue": f"Ana: Is it {i}?\nBo: It is.",
        "summary": f"Bo says {i}.",
        **more,
    }


def write(path, found):
    path.write_text("\n".join(json.dumps(r) for r in found) + "\n", encoding="utf-8")
    return Settings(data=str(path))


def write_csv(path, found):
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, found[0])
        writer.writeheader()
        writer.writerows(found)


def test_one_file_is_split_by_content_not_by_order(tmp_path):
    a = data.load_dialogues(write(tmp_path / "a.jsonl", [row(i) for i in range(60)]))
    b = data.load_dialogues(write(tmp_path / "b.jsonl", [row(i) for i in reversed(range(60))]))
    assert a.num_rows == b.num_rows and sum(a.num_rows.values()) == 60
    for split in a:
        assert set(a[split]["dialogue"]) == set(b[split]["dialogue"]) and a[split].num_rows > 0


def test_a_folder_with_one_file_is_one_pool(tmp_path):
    write(tmp_path / "dev.jsonl", [row(i) for i in range(60)])
    sizes = data.load_dialogues(Settings(data=str(tmp_path))).num_rows
    assert sum(sizes.values()) == 60 and sizes["train"] > sizes["test"] > 0


def test_a_split_field_is_obeyed(tmp_path):
    splits = ["train", "dev", "test"]
    found = data.load_dialogues(
        write(tmp_path / "a.jsonl", [row(i, split=splits[i]) for i in range(3)])
    )
    assert found.num_rows == {"train": 1, "validation": 1, "test": 1}


def test_dialogsum_jsonl_folder(tmp_path):
    def theirs(i, test=False):
        r = row(i)
        r["fname"] = r.pop("id")
        if test:
            r |= {"summary1": r.pop("summary"), "summary2": "Second.", "summary3": "Third."}
        return r

    write(tmp_path / "dialogsum.train.jsonl", [theirs(i) for i in range(5)])
    write(tmp_path / "dialogsum.dev.jsonl", [theirs(i) for i in range(5, 7)])
    write(tmp_path / "dialogsum.test.jsonl", [theirs(i, True) for i in range(7, 9)])
    found = data.load_dialogues(Settings(data=str(tmp_path)))
    assert found.num_rows == {"train": 5, "validation": 2, "test": 2}
    assert data.references(found["test"][0]) == ["Bo says 7.", "Second.", "Third."]


def test_hub_csv_rows_of_one_dialogue_become_references(tmp_path):
    write_csv(tmp_path / "train.csv", [row(i, topic="t") for i in range(4)])
    write_csv(tmp_path / "validation.csv", [row(9, topic="t")])
    many = [
        row(7, topic="t") | {"id": f"test_0_{n}", "summary": f"Version {n}."} for n in (1, 2, 3)
    ]
    write_csv(tmp_path / "test.csv", many)
    test = data.load_dialogues(Settings(data=str(tmp_path)))["test"]
    assert len(test) == 1 and data.references(test[0]) == ["Version 1.", "Version 2.", "Version 3."]


@pytest.mark.parametrize(
    "content, words",
    [
        ("", "empty"),
        ("not json\n", "line 1: not JSON"),
        ("[1]\n", "not a JSON object"),
        (json.dumps(row(1)) + "\n" + json.dumps(row(1)), "line 2: id 'r1' stands in line 1"),
        (json.dumps({"id": "1", "dialogue": "x"}), "line 1: there is no column 'summary'"),
        (json.dumps({"id": "1", "text": "x"}), "no column 'dialogue' (columns: id, text)"),
        (json.dumps(row(1, summary=" ")), "no row with a dialogue and a summary"),
        (json.dumps(row(1, dialogue={"a": 1})), "line 1: dialogue is of type dict; write a text"),
        (json.dumps(row(1, dialogue=[["Ana", "Yes"]])), "or a list of turns"),
        (json.dumps(row(1, summary=3)), "line 1: summary is of type int"),
        ("version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        (json.dumps(row(1, split="holdout")), "unknown split 'holdout'"),
        (json.dumps(row(1)), "split is empty"),
    ],
)
def test_broken_files_are_refused_by_name_and_line(tmp_path, content, words):
    path = tmp_path / "mine.jsonl"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(CourseError) as error:
        data.load_dialogues(Settings(data=str(path)))
    assert words in str(error.value) and "mine.jsonl" in str(error.value)


def test_a_wrong_encoding_names_the_line(tmp_path):
    path = tmp_path / "latin.jsonl"
    path.write_bytes(json.dumps(row(1)).encode() + b"\n" + '{"id": "é"}'.encode("latin-1"))
    with pytest.raises(CourseError, match="line 2: not UTF-8"):
        data.load_dialogues(Settings(data=str(path)))


@pytest.mark.parametrize(
    "source, words",
    [
        ("/no/such/file.jsonl", "does not exist"),
        ("./nothing", "does not exist"),
        ("someone/no-such-set", "HF_HUB_OFFLINE=1 forbids"),
    ],
)
def test_a_missing_source_is_one_sentence(source, words):
    with pytest.raises(CourseError, match=words):
        data.load_dialogues(Settings(data=source))


def test_an_unsuitable_file_or_folder_is_refused(tmp_path):
    (tmp_path / "train.txt").write_text("x")
    with pytest.raises(CourseError, match="none of .jsonl"):
        data.load_dialogues(Settings(data=str(tmp_path / "train.txt")))
    with pytest.raises(CourseError, match="holds no train"):
        data.load_dialogues(Settings(data=str(tmp_path)))


def test_columns_of_other_names_are_read_where_they_are_named(tmp_path):
    theirs = [{"nr": i, "text": row(i)["dialogue"], "note": row(i)["summary"]} for i in range(60)]
    path = tmp_path / "calls.jsonl"
    write(path, theirs)
    found = data.load_dialogues(Settings(data=f"{path}:dialogue=text,summary=note,id=nr"))
    assert sum(found.num_rows.values()) == 60 and found["train"][0]["summary"].startswith("Bo says")
    with pytest.raises(CourseError, match="no column 'txt' \\(columns: nr, text, note\\)"):
        data.load_dialogues(Settings(data=f"{path}:dialogue=txt,summary=note"))
    with pytest.raises(CourseError, match="no column 'answer'; choose from id"):
        data.load_dialogues(Settings(data=f"{path}:answer=note"))


def test_the_examples_in_the_docstrings():
    assert doctest.testmod(columns).failed == 0


@pytest.mark.parametrize(
    "header",
    [
        ("ID", "section_header", "section_text", "dialogue"),  # MTS-Dialog
        ("dataset", "encounter_id", "note", "dialogue"),  # ACI-Bench
        ("id", "topic", "Summary", "Dialogue"),  # SAMSum and TweetSumm, capitals or not
    ],
)
def test_other_data_sets_columns_are_recognised(tmp_path, header):
    rows = [dict(zip(header, (f"{i}", f"e{i}", f"Bo says {i}.", f"Ana: {i}?\nBo: Yes."))) for i in range(120)]
    write_csv(tmp_path / "a.csv", rows)
    found = data.load_dialogues(Settings(data=str(tmp_path / "a.csv")))
    texts = {r["dialogue"]: r["summary"] for split in found.values() for r in split}
    assert texts["Ana: 7?\nBo: Yes."] == "Bo says 7." and len(texts) == 120


def test_the_same_rows_in_every_format(tmp_path):
    import pyarrow
    from pyarrow import parquet

    rows = [row(i) for i in range(60)]
    write(tmp_path / "a.jsonl", rows)
    write_csv(tmp_path / "b.csv", rows)
    (tmp_path / "c.tsv").write_text("\n".join(["id\tdialogue\tsummary"] + [
        f'{r["id"]}\t"{r["dialogue"]}"\t{r["summary"]}' for r in rows]), encoding="utf-8")  # fmt: skip
    (tmp_path / "d.json").write_text(json.dumps({"version": 1, "data": rows}), encoding="utf-8")
    (tmp_path / "e.json").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "f.parquet")
    first = data.load_dialogues(Settings(data=str(tmp_path / "a.jsonl")))
    for name in ("b.csv", "c.tsv", "d.json", "e.json", "f.parquet"):
        found = data.load_dialogues(Settings(data=str(tmp_path / name)))
        assert {s: found[s]["dialogue"] for s in found} == {s: first[s]["dialogue"] for s in first}, name


@pytest.mark.parametrize(
    "name, content, words",
    [
        ("a.json", '{"a": 1', "line 1: not JSON"),
        ("a.json", "[1, 2]", "not an array of JSON objects"),
        ("a.parquet", "PAR1 and no more", "not a Parquet file"),
        ("a.tsv", "dialogue\tsummary\nx\ty\tz\n", "line 2: 3 cells under 2"),
        ("a.csv", "dialogue,summary\n", "a header and no rows"),
    ],
)
def test_other_formats_say_what_is_wrong_too(tmp_path, name, content, words):
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(CourseError, match=words):
        data.load_dialogues(Settings(data=str(tmp_path / name)))


def test_turns_in_a_list_become_lines_and_summaries_in_a_list_references(tmp_path):
    turns = {"dialogue": ["Ana: Now?", "Bo: Soon."], "summary": ["Soon.", "Bo waits."]}
    spoken = {"dialogue": [{"role": "Ana", "content": "Now?"}, {"role": "Bo", "content": "Later."}]}
    rows = [row(1) | turns, row(2) | spoken, row(3, split="dev"), row(4, split="test")]
    train = data.load_dialogues(write(tmp_path / "a.jsonl", [r | {"split": r.get("split", "train")} for r in rows]))["train"]
    assert train["dialogue"] == ["Ana: Now?\nBo: Soon.", "Ana: Now?\nBo: Later."]
    assert data.references(train[0]) == ["Soon.", "Bo waits."]


def test_half_a_character_becomes_the_replacement_character(tmp_path):
    path = tmp_path / "a.jsonl"
    broken = [row(i, summary="So nice \ud83d") for i in range(40)] + [row(99, summary="A \ud83d\ude00 whole one.")]
    path.write_text("\n".join(map(json.dumps, broken)), encoding="utf-8")
    found = data.load_dialogues(Settings(data=str(path)))
    texts = {text for split in found.values() for text in split["summary"]}
    assert texts == {"So nice \ufffd", "A 😀 whole one."}


def test_rows_without_a_text_are_left_out_and_counted_aloud(tmp_path, capsys):
    rows = [row(i) for i in range(40)] + [row(50, summary=" "), row(51, dialogue=None)]
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)) + "\n\n" + json.dumps(row(60)), encoding="utf-8")
    found = data.load_dialogues(Settings(data=str(path)))
    assert sum(found.num_rows.values()) == 41
    assert "3 of 44 rows have no dialogue or no summary" in capsys.readouterr().out


def test_a_file_that_is_not_read_is_named(tmp_path, capsys):
    write(tmp_path / "train.jsonl", [row(i) for i in range(60)])
    write(tmp_path / "samsum-test.jsonl", [row(i) for i in range(70, 80)])
    write(tmp_path / "notes.jsonl", [row(99)])
    sizes = data.load_dialogues(Settings(data=str(tmp_path))).num_rows
    assert sizes["test"] == 10 and "notes.jsonl" in capsys.readouterr().out


def test_two_files_for_one_split_are_refused_by_name(tmp_path):
    for name in ("train", "clinic_test1", "clinic_test2"):
        write(tmp_path / f"{name}.jsonl", [row(i) for i in range(9)])
    with pytest.raises(CourseError, match="two files for test, clinic_test1.jsonl and clinic_test2.jsonl"):
        data.load_dialogues(Settings(data=str(tmp_path)))


def test_a_folder_without_train_says_that(tmp_path):
    for name in ("dev", "test"):
        write(tmp_path / f"{name}.jsonl", [row(i) for i in range(300)])
    with pytest.raises(CourseError, match="validation and test, and no train split"):
        data.load_dialogues(Settings(data=str(tmp_path)))


def test_train_dialogues_that_stand_in_the_test_are_counted_aloud(tmp_path, capsys):
    for name, rows in (("train", range(10)), ("dev", range(20, 22)), ("test", range(8, 15))):
        write(tmp_path / f"{name}.jsonl", [row(i) for i in rows])
    data.load_dialogues(Settings(data=str(tmp_path)))
    assert "2 of 10 train dialogues stand in the test" in capsys.readouterr().out


def test_the_datasheet_quotes_what_the_corpus_measures(corpus):
    """Its tables are the printout of ``python -m course_utils.data.measure``."""
    sheet = (Path(data.__file__).parent / "DATASHEET.md").read_text(encoding="utf-8")
    for tone in ("calm", "heated"):
        found = measure.trivial([row for row in corpus["test"] if row["tone"] == tone])
        for name, values in found.items():
            assert measure.line(name, values) in sheet, (tone, name)
        assert found["first 20 words"][0].high < 0.40  # else the dialogues are too easy


def test_no_insult_is_aimed_at_a_group(rows):
    """An insult joined to a word for sex, age or origin would be about the group."""
    groups = r"(wo)?m[ae]n|girls?|boys?|lad(y|ies)|foreigners?|immigrants?|old people|peasants?"
    words = "|".join(map(re.escape, INSULTS))
    aimed = re.compile(rf"\b({words}),? (old |young |little )?({groups})\b", re.IGNORECASE)
    for row in rows:
        for text in (row["dialogue"], row["summary_blunt"]):
            assert not aimed.search(text), (row["id"], aimed.search(text)[0])


# ---------------------------------------------------------------- what people's files look like


def talk(i, **more):
    return {"id": f"r{i}", "dialogue": f"Ana: Is it {i}?\nBo: It is.", "summary": f"Bo says {i}.", **more}


def sizes(path):
    return tuple(data.load_dialogues(Settings(data=str(path))).num_rows.values())


def test_capital_and_padded_column_names_are_recognised_all_of_them(tmp_path):
    parts = ["train"] * 50 + ["validation"] * 10 + ["test"] * 40
    lines = [f"{i},Ana: Hi {i},Good {i},Fine {i},{part}" for i, part in enumerate(parts)]
    path = tmp_path / "a.csv"
    path.write_text("\n".join(["ID, Dialogue ,Summary1,Summary2,Split", *lines]))
    found = data.load_dialogues(Settings(data=str(path)))
    assert tuple(found.num_rows.values()) == (50, 10, 40)
    assert data.references(found["test"][0]) == ["Good 60", "Fine 60"]


def test_the_cure_for_foreign_columns_reads_what_the_person_named(tmp_path):
    for part, (start, stop) in {"train": (0, 20), "dev": (20, 24), "test": (24, 30)}.items():
        (tmp_path / f"{part}.csv").write_text("\n".join(["text,recap", *(f"A: {i},n {i}" for i in range(start, stop))]))
    with pytest.raises(CourseError, match=r"no column 'dialogue' \(columns: text, recap\) and no column 'summary'") as error:
        sizes(tmp_path)
    cure = str(error.value).partition("COURSE_DATA=")[2].replace("dialogue=its_name", "dialogue=text")
    assert sizes(cure.replace("summary=its_name", "summary=recap")) == (20, 4, 6)
    assert sizes(f"{tmp_path}:dialogue = text; summary = recap") == (20, 4, 6)
    with pytest.raises(CourseError, match=r"no column 'summary'.*dialogue=text,summary=its_name"):
        sizes(f"{tmp_path}:dialogue=text")
    assert columns.Reader("a", {"dialogue": "summary", "summary": "dialogue"})._renamed("row 1", talk(1))["summary"].startswith("Ana")


@pytest.mark.parametrize("shape", ["columns", "cells", "splits", "ids", "data"])
def test_json_in_any_common_shape_is_one_row_a_dialogue(tmp_path, shape):
    rows = [talk(i) for i in range(120)]
    bare = [{name: row[name] for name in ("dialogue", "summary")} for row in rows]
    content = {
        "columns": {name: [row[name] for row in bare] for name in bare[0]},
        "cells": {name: {str(i): row[name] for i, row in enumerate(bare)} for name in bare[0]},
        "splits": {"train": rows[:40], "validation": rows[40:45], "test": rows[45:]},
        "ids": {row["id"]: cells for row, cells in zip(rows, bare)},
        "data": {"data": rows, "errors": []},
    }[shape]
    (tmp_path / "a.json").write_text(json.dumps(content))
    found = data.load_dialogues(Settings(data=str(tmp_path / "a.json")))
    assert {row["summary"] for part in found.values() for row in part} == {row["summary"] for row in rows}
    if shape == "splits":
        assert tuple(found.num_rows.values()) == (40, 5, 75)


def test_a_dialogue_whose_turns_are_a_list_is_one_row_of_json(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"dialogue": [{"speaker": 1, "text": "Hi"}], "summary": "They greet."}))
    with pytest.raises(CourseError, match="too few dialogues"):
        sizes(tmp_path / "a.json")


def test_who_speaks_is_kept_or_its_loss_is_said(tmp_path, capsys):
    def read(*turns):
        write(tmp_path / "a.jsonl", [talk(i) | {"dialogue": [{"text": f"Hi {i}", **turns[0]}, *turns[1:]]} for i in range(120)])
        return {text for part in data.load_dialogues(Settings(data=str(tmp_path / "a.jsonl"))).values() for text in part["dialogue"]}

    assert "0: Hi 7\n1: Ho" in read({"speaker": 0}, {"speaker": 1, "text": "Ho"})
    assert "Ana: Hi 7\nBo: Ho" in read({"Author": "Ana"}, {"author": "Bo", "text": "", "utterance": "Ho"})
    assert "Ana: Hi 7" in read({"speaker": "Ana"}, {"speaker": "Bo", "text": None})
    assert capsys.readouterr().out == ""
    assert "Hi 7\nHo" in read({"who": "Ana"}, {"who": "Bo", "text": "Ho"})
    assert "120 of 120 rows have turns without one of speaker" in capsys.readouterr().out


def test_what_a_folder_holds_and_what_is_not_read_is_named(tmp_path, capsys):
    write(tmp_path / "train.jsonl", [talk(i) for i in range(120)])
    (tmp_path / "test.jsonl.gz").write_bytes(b"x")
    (tmp_path / "._train.jsonl").write_bytes(b"x")
    (tmp_path / "validation").mkdir()
    sizes(tmp_path)
    said = capsys.readouterr().out
    assert "not read: test.jsonl.gz" in said and "not read: validation" in said and "._" not in said


def test_parts_of_one_split_are_read_together(tmp_path):
    for part in range(2):
        write(tmp_path / f"train-0000{part}-of-00002.jsonl", [talk(i) for i in range(20 * part, 20 * part + 20)])
    write(tmp_path / "dev.jsonl", [talk(50)])
    write(tmp_path / "test.jsonl", [talk(60)])
    assert sizes(tmp_path) == (40, 1, 1)
    write(tmp_path / "train.jsonl", [talk(70)])
    with pytest.raises(CourseError, match="two files for train"):
        sizes(tmp_path)


def test_a_files_name_and_its_rows_must_agree_on_the_split(tmp_path):
    write(tmp_path / "train.jsonl", [talk(i, split="test" if i == 7 else "train") for i in range(30)])
    write(tmp_path / "test.jsonl", [talk(60)])
    with pytest.raises(CourseError, match="is the train split by its name, and a row says test"):
        sizes(tmp_path)


@pytest.mark.parametrize("several", [True, False])
def test_what_the_datasets_library_saved_is_read(tmp_path, several):
    import datasets

    parts = {"train_sft": range(40), "test_sft": range(40, 50)}
    made = {name: datasets.Dataset.from_list([talk(i) for i in numbers]) for name, numbers in parts.items()}
    (datasets.DatasetDict(made) if several else made["train_sft"]).save_to_disk(tmp_path / "saved")
    assert sum(sizes(tmp_path / "saved")) == (50 if several else 40)


def test_splits_that_mean_the_same_or_nothing_are_named(capsys):
    from course_utils.data.dialogues import _read_splits

    rows = [talk(1)]
    assert set(_read_splits({"train": rows, "holdout": rows}, "org/x", {})) == {"train"}
    assert "not read, since their names say no split: holdout" in capsys.readouterr().out
    with pytest.raises(CourseError, match="two splits for test, test1 and test2"):
        _read_splits({"train": rows, "test1": rows, "test2": rows}, "org/x", {})
    with pytest.raises(CourseError, match="no split whose name says .*it has holdout"):
        _read_splits({"holdout": rows}, "org/x", {})


def test_references_beyond_three_are_counted_aloud_and_facts_are_not_lost(tmp_path, capsys):
    write(tmp_path / "train.jsonl", [talk(i) | {"summary": ["a", "b", "c", "d"]} for i in range(20)])
    write(tmp_path / "dev.jsonl", [talk(40) | {"id": f"d{n}", "summary": f"S{n}"} for n in range(5)])
    facts = [{"question": "Is it?", "answer": "It"}]
    write(tmp_path / "test.jsonl", [talk(60), talk(60) | {"id": "x", "summary": "B", "facts": facts}])
    found = data.load_dialogues(Settings(data=str(tmp_path)))
    said = capsys.readouterr().out
    assert "20 of 20 rows have more than 3 references" in said and "2 further references are not kept" in said
    assert found["test"][0]["facts"] == facts and data.references(found["test"][0]) == ["Bo says 60.", "B"]


def test_the_same_dialogue_is_seen_in_two_splits_whatever_its_line_ends(tmp_path, capsys):
    write(tmp_path / "train.jsonl", [talk(i) | {"dialogue": f"José: {i}?\r\nBo: Yes."} for i in range(20)])
    write(tmp_path / "dev.jsonl", [talk(3)])
    write(tmp_path / "test.jsonl", [talk(60) | {"dialogue": "Jose\u0301: 7?\nBo: Yes."}, talk(3) | {"id": "y"}])
    data.load_dialogues(Settings(data=str(tmp_path)))
    said = capsys.readouterr().out
    assert "1 of 20 train dialogues stand in the test" in said and "1 of 1 validation dialogues stand in the test" in said


def test_lists_and_empty_cells_as_tables_write_them(tmp_path):
    rows = [talk(i) | {"dialogue": str([f"Ana: {i}?", "Bo: Yes."]), "summary": json.dumps([f"a {i}", "b"])} for i in range(120)]
    path = tmp_path / "a.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    found = data.load_dialogues(Settings(data=str(path)))["train"][0]
    assert re.fullmatch(r"Ana: \d+\?\nBo: Yes.", found["dialogue"]) and len(data.references(found)) == 2
    assert columns._written_list("['Ana: Hi' 'Bo: Ho']") == "['Ana: Hi' 'Bo: Ho']"  # an array's print has lost its commas
    assert columns._written_list("[laughs]") == "[laughs]"
    write(tmp_path / "b.jsonl", [talk(i, summary2=float("nan"), topic=0, split=float("nan")) for i in range(120)])
    found = data.load_dialogues(Settings(data=str(tmp_path / "b.jsonl")))["train"][0]
    assert (found["summary2"], found["topic"]) == ("", "0")


def test_long_cells_empty_last_cells_and_columns_that_stand_twice(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text("id\tdialogue\tsummary\ttopic\n" + "\n".join(f"{i}\tAna: Hi {i}\tGood {i}\t" for i in range(120)) + "\n")
    assert sum(sizes(path)) == 120
    path = tmp_path / "a.csv"
    path.write_text("\n".join(["id,dialogue,summary", *(f"{i},{'Ana: Hi ' * (20_000 if i == 5 else 1)}{i},s" for i in range(120))]))
    assert sum(sizes(path)) == 120
    path.write_text("id,dialogue,summary,summary\n1,a,b,c")
    with pytest.raises(CourseError, match="column 'summary' stands there twice"):
        sizes(path)


@pytest.mark.parametrize("source, words", [
    ("https://example.org/datasets/org/name/viewer", "give the data set's id: COURSE_DATA=org/name$"),
    ("https://example.org/calls.csv", "download the file"), ("~nobody-here/calls.csv", "home directory"),
    ("x" * 3000 + ".csv", "File name too long.; write it in full"),
])  # fmt: skip
def test_what_is_no_path_is_refused_in_a_sentence(source, words):
    with pytest.raises(CourseError, match=words) as error:
        sizes(source)
    assert len(str(error.value)) < 250
