"""The record of attempts: appended, never lost, whatever happens to its file."""

import json
import os
import re
import stat
import subprocess
import sys

import pytest

from course_utils.exercises import engine, learning, record


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.delenv("COURSE_RECORD", raising=False)
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def verdicts():
    return [(e["exercise"], e["verdict"], e["message"]) for e in record.entries("attempt")]


def test_an_attempt_is_one_line_with_time_session_and_message(folder):
    record.attempt("lab1.6", "wrong", "Is softmax over logits or probabilities?\nmore")
    (line,) = (folder / "attempts.jsonl").read_text().splitlines()
    entry = json.loads(line)
    assert (entry["kind"], entry["exercise"], entry["verdict"]) == ("attempt", "lab1.6", "wrong")
    assert entry["message"] == "Is softmax over logits or probabilities?"
    assert entry["time"].endswith("Z") and len(entry["session"]) == 8


def test_check_notes_what_it_said(capsys):
    engine.check("quiz1.1", None)
    engine.check("quiz1.1", "a" if engine.find("quiz1.1").right != "a" else "b")
    engine.check("quiz1.1", engine.find("quiz1.1").right)
    assert [v for _, v, _ in verdicts()] == ["not attempted", "wrong", "right"]


def test_run_all_adds_nothing_that_is_not_new():
    for _ in range(3):  # three times the same notebook
        record.attempt("lab1.1", "not attempted")
        record.attempt("lab1.2", "wrong", "one")
        record.attempt("lab1.3", "right")
    record.attempt("lab1.2", "wrong", "two")
    record.attempt("lab1.2", "not attempted")
    record.attempt("lab1.2", "wrong", "one")
    assert len(verdicts()) == 5


def test_an_error_of_the_learners_code_keeps_only_its_type():
    record.attempt("lab1.6", "wrong", "Your code raised KeyError: 'Ana Smith'\n  line 3: x['Ana']")
    assert verdicts()[0][2] == "Your code raised KeyError"
    record.attempt("lab1.6", "wrong", "x" * 1000)
    assert len(verdicts()[1][2]) == record.LONGEST_MESSAGE


@pytest.mark.parametrize(
    "damage", ['{"kind": "att', "[]", "\0\0\0", "null", '{"kind": "attempt"}', '{"kind": 3}', "\n\n"]
)
def test_damaged_lines_are_passed_over_and_kept(damage, folder):
    record.attempt("lab1.1", "right")
    with open(record.path(), "a") as file:
        file.write(damage)  # no line break at its end: the kernel was killed
    record.attempt("lab1.2", "right")
    assert [id for id, _, _ in verdicts()] == ["lab1.1", "lab1.2"]
    assert damage in record.path().read_text()


def test_bytes_that_are_no_text_do_not_stop_the_reader():
    record.attempt("lab1.1", "right")
    with open(record.path(), "ab") as file:
        file.write(b"\xff\xfe\x80\n")
    record.attempt("lab1.2", "right")
    assert len(verdicts()) == 2


def test_two_kernels_write_one_record_and_no_line_is_lost(folder):
    lines = (
        "import sys\nfrom course_utils.exercises import record\n"
        "for i in range(200): record.add('attempt', exercise=sys.argv[1], verdict='wrong', message=str(i) * 60)"
    )
    kernels = [subprocess.Popen([sys.executable, "-c", lines, f"k.{k}"]) for k in range(2)]
    assert [kernel.wait() for kernel in kernels] == [0, 0]
    for k in range(2):
        assert [m for id, _, m in verdicts() if id == f"k.{k}"] == [str(i) * 60 for i in range(200)]
    assert len({e["session"] for e in record.entries()}) == 2
    # A reader that comes in the middle of the other's write may add an empty line, no more.
    assert len([line for line in record.path().read_text().splitlines() if line]) == 400


def test_what_cannot_be_written_is_said_once_and_written_later(folder, capsys):
    folder.write_text("a file where the folder should be")
    record.attempt("lab1.1", "right")
    record.attempt("lab1.2", "right")
    assert capsys.readouterr().out.count("cannot be written") == 1
    assert len(verdicts()) == 2  # this kernel knows them
    folder.unlink()
    record.attempt("lab1.3", "right")
    assert len(record.path().read_text().splitlines()) == 3 and len(verdicts()) == 3


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only for root")
def test_a_read_only_cache_costs_one_sentence(folder, capsys):
    folder.mkdir()
    folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    engine.check("quiz1.1", engine.find("quiz1.1").right)
    out = capsys.readouterr().out
    assert "right" in out and out.count("cannot be written") == 1
    folder.chmod(stat.S_IRWXU)


def test_the_former_progress_is_read_once_and_kept(folder):
    folder.mkdir()
    former = folder / "progress.json"
    former.write_text('{"lab1.1": "right", "lab1.2": "wrong"}')
    assert [(id, v) for id, v, _ in verdicts()] == [("lab1.1", "right"), ("lab1.2", "wrong")]
    record.attempt("lab1.2", "right")
    former.write_text('{"lab1.9": "right"}')
    assert len(verdicts()) == 3 and former.exists()


@pytest.mark.parametrize("content", ['{"lab1.6": "ri', "[]", "", '{"lab1.6": 3}'])
def test_a_damaged_former_progress_is_left_alone(content, folder):
    folder.mkdir()
    (folder / "progress.json").write_text(content)
    record.attempt("lab1.6", "right")
    assert len(verdicts()) == 1 and (folder / "progress.json").read_text() == content


def test_a_reset_puts_the_record_aside_and_former_progress_stays_away(folder):
    folder.mkdir()
    (folder / "progress.json").write_text('{"lab1.1": "right"}')
    record.attempt("lab1.2", "right")
    aside = record.reset()
    assert record.entries() == [] and len(record.parse(aside.read_text())) == 2
    record.attempt("lab1.3", "right")
    assert [id for id, _, _ in verdicts()] == ["lab1.3"]


def test_a_reset_that_fails_loses_nothing(folder, capsys):
    folder.write_text("a file where the folder should be")
    record.attempt("lab1.1", "right")
    with pytest.raises(OSError):
        record.reset()
    assert len(verdicts()) == 1
    capsys.readouterr()
    learning.progress("lab1", reset=True)
    out = capsys.readouterr().out
    assert "cannot be put aside" in out and re.search(r"1 of \d+ solved", out)


def test_a_folder_of_its_own_is_used(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_RECORD", str(tmp_path / "mine"))
    record.attempt("lab1.1", "right")
    assert (tmp_path / "mine" / "attempts.jsonl").exists()


def test_inside_unsolved_the_record_is_empty_and_the_readers_is_untouched(folder):
    record.attempt("lab1.1", "right")
    before = record.path().read_bytes()
    with record.unsolved():
        assert record.entries() == []
        record.attempt("lab1.1", "right")
    assert record.path().read_bytes() == before and "COURSE_RECORD" not in os.environ
