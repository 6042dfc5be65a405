"""Hints, solutions, progress."""

import re

import pytest

from course_utils import exercises
from course_utils.exercises import engine, learning, record

ALL = engine._all()


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.delenv("COURSE_RECORD", raising=False)
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "cache"))


def test_hints_come_one_at_a_time_and_then_all(capsys):
    first, second = ALL["lab1.8"].hints
    outputs = []
    for _ in range(3):
        learning.hint("lab1.8")
        outputs.append(capsys.readouterr().out)
    assert outputs[0] == f"Hint 1 of 2: {first}\n"
    assert outputs[1] == f"Hint 2 of 2: {second}\n"
    assert first in outputs[2] and second in outputs[2] and "solution(" in outputs[2]


def test_a_solution_answers_after_one_attempt(capsys):
    learning.solution("lab1.8")
    assert "def " not in capsys.readouterr().out
    record.attempt("lab1.8", "not attempted")
    learning.solution("lab1.8")
    assert "Try lab1.8 first" in capsys.readouterr().out
    learning.solution("lab1.8", now=True)
    assert "def top_p_row" in capsys.readouterr().out
    record.attempt("lab1.8", "wrong", "no")
    learning.solution("lab1.8")
    assert "def top_p_row" in capsys.readouterr().out


@pytest.mark.parametrize("call", [learning.hint, learning.solution])
def test_an_unknown_id_lists_the_known_ones(call):
    with pytest.raises(KeyError, match="lab1.1"):
        call("lab9.9")


def test_progress_tells_first_tries_from_later_ones(capsys):
    record.attempt("lab1.6", "right")
    record.attempt("lab1.7", "wrong", "one")
    record.attempt("lab1.7", "wrong", "two")
    record.attempt("lab1.7", "right")
    record.attempt("lab1.7", "not attempted")  # looking at the notebook again does not unsolve it
    record.attempt("lab1.8", "wrong", "one")
    learning.solution("lab1.9", now=True)
    record.attempt("lab1.9", "right")
    capsys.readouterr()
    exercises.progress("lab1")
    out = capsys.readouterr().out
    states = dict(re.findall(r"^(lab1\.\d+) +(.*?)  ", out, re.M))
    assert states["lab1.6"] == "right (try 1)" and states["lab1.7"] == "right (try 3)"
    assert states["lab1.8"] == "wrong (1 try)" and states["lab1.5"] == "not attempted"
    assert "lab1.9         right (after the solution)" in out
    assert out.endswith("3 of 10 solved, 1 of them at the first try\n") and "lab2" not in out


def test_progress_of_everything_and_of_nothing(capsys):
    exercises.progress()
    assert f"0 of {len(ALL)} solved" in capsys.readouterr().out
    exercises.progress("lab9")
    assert capsys.readouterr().out.startswith("There is no notebook 'lab9'; there are what,")


def test_what_an_earlier_version_kept_has_no_known_first_try(capsys):
    record.path().parent.mkdir(parents=True)
    (record.path().parent / "progress.json").write_text('{"lab1.1": "right"}')
    exercises.progress("lab1")
    assert "1 of 10 solved, 0 of them at the first try" in capsys.readouterr().out


def test_a_reset_says_where_the_former_record_is(capsys):
    record.attempt("lab1.1", "right")
    exercises.progress("lab1", reset=True)
    out = capsys.readouterr().out
    assert "Your former record is now" in out and "0 of 10 solved" in out
