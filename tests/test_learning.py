"""Hints, solutions, progress; predictions."""

import re

import pytest
import torch

from course_utils import exercises, notebooks
from course_utils.exercises import engine, guessed, guesses, learning, predict, record

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


# ---------------------------------------------------------------- predict first


def said(capsys, call, *args):
    call(*args)
    return capsys.readouterr().out


def test_without_a_guess_both_lines_are_calm_and_nothing_is_kept(capsys):
    line = said(capsys, predict, "what.p1", None)
    assert line == 'what.p1: no guess yet. Write one of "yes", "no" in the place of None, then run on.\n'
    assert said(capsys, guessed, "what.p1", "no") == 'what.p1: no guess was written; it is "no".\n'
    assert record.entries() == []


@pytest.mark.parametrize(
    "guess, words",
    [
        (0.3, "You guessed 30%; it is 27%: close."),
        ("30 %", "You guessed 30%; it is 27%: close."),
        (0.27, "You guessed 27%; it is 27%: right."),
        (0.9, "You guessed 90%; it is 27%: too high by 63 points."),
        (0, "You guessed 0%; it is 27%: too low by 27 points."),
    ],
)
def test_a_share_is_compared_in_points(guess, words, capsys):
    predict("lab2.p3", guess)
    capsys.readouterr()
    assert said(capsys, guessed, "lab2.p3", torch.tensor(0.27)) == f"lab2.p3: {words}\n"


@pytest.mark.parametrize("value, words", [(30, "close"), (100, "too low, by a factor of 5"), (2, "too high, by a factor of 10")])
def test_a_size_is_compared_by_its_factor(value, words, capsys):
    predict("lab2.p4", 20)
    capsys.readouterr()
    assert said(capsys, guessed, "lab2.p4", value) == f"lab2.p4: You guessed 20; it is {value}: {words}.\n"


def test_a_unit_is_taken_off_and_printed(capsys):
    predict("shipping.p1", "0.5 nats")
    capsys.readouterr()
    assert "You guessed 0.50 nats; it is 0.94 nats: too low by 0.44 nats." in said(capsys, guessed, "shipping.p1", 0.94)


def test_a_choice_is_told_what_it_is(capsys):
    predict("lab1.p1", "More")
    capsys.readouterr()
    assert said(capsys, guessed, "lab1.p1", "more dialogue").endswith('"more dialogue", and so it is.\n')
    assert said(capsys, guessed, "lab1.p1", "something else").endswith('it is "something else".\n')


def test_an_order_counts_the_pairs_that_stand_alike(capsys):
    predict("reward.p1", "aecdb")
    capsys.readouterr()
    out = said(capsys, guessed, "reward.p1", "A E D C B")
    assert "You guessed A E C D B; it is A E D C B: 9 of 10 pairs stand alike." in out


@pytest.mark.parametrize(
    "id, guess",
    [("lab2.p3", 1.5), ("lab2.p3", "some"), ("lab2.p3", float("nan")), ("lab2.p3", True), ("lab2.p3", [0.3]),
     ("what.p1", "perhaps"), ("what.p1", ""), ("what.p1", 3), ("reward.p1", "A B C D"), ("reward.p1", 5)],
)  # fmt: skip
def test_what_cannot_be_compared_is_said_in_one_sentence_and_not_kept(id, guess, capsys):
    out = said(capsys, predict, id, guess)
    assert "cannot be compared. Write " in out and out.count("\n") == 1
    assert record.entries() == []


def test_an_ambiguous_beginning_is_no_choice():
    assert guesses.find("scaling.p2").read("b") == "better"
    assert guesses.find("peft.p2").read("low") is None
    assert guesses.find("peft.p1").read("a") == "A"  # a whole option, though another begins with it


def test_a_guess_stays_once_the_result_was_shown(capsys):
    predict("lab2.p3", 0.9)
    predict("lab2.p3", 0.5)  # still open
    guessed("lab2.p3", 0.03)
    guessed("lab2.p3", 0.03)  # Run All
    capsys.readouterr()
    assert "your guess stays 50%" in said(capsys, predict, "lab2.p3", 0.03)
    assert "your guess is 50%" in said(capsys, predict, "lab2.p3", None)
    assert len(record.entries("guess")) == 2
    (outcome,) = record.entries("outcome")
    assert (outcome["value"], outcome["result"], outcome["close"]) == (0.5, 0.03, False)


@pytest.mark.parametrize("call", [predict, guessed])
def test_an_unknown_prediction_lists_the_known_ones(call):
    with pytest.raises(KeyError, match="what.p1"):
        call("lab9.p1", 1)


def test_a_damaged_guess_counts_as_none(capsys):
    record.add("guess", exercise="lab2.p3", value="many")
    assert "no guess was written" in said(capsys, guessed, "lab2.p3", 0.27)


@pytest.mark.parametrize("name", [n for n in engine.NOTEBOOKS if not n.startswith("quiz")])
def test_each_prediction_stands_once_before_its_result_which_is_saved_hidden(name):
    path = next(p for p in notebooks.find_notebooks() if f'check("{name}.1"' in p.read_text().replace("\\", ""))
    asked, shown = [], []
    for number, cell in enumerate(c for c in notebooks.read(path).cells if c.cell_type == "code"):
        asked += [(id, number) for id in re.findall(r'^predict\("([\w.]+)", None\)', cell.source, re.M)]
        found = re.findall(r'^ *guessed\("([\w.]+)", ', cell.source, re.M)
        shown += [(id, number) for id in found]
        if found:
            assert cell.metadata.get("jupyter") == {"outputs_hidden": True}, cell.source
    ids = [guess.id for guess in guesses.GUESSES if guess.id.startswith(f"{name}.")]
    assert ids and [id for id, _ in asked] == ids == sorted(ids)
    assert sorted(id for id, _ in shown) == ids
    assert all(dict(asked)[id] < number for id, number in shown)
