"""Hints, solutions, progress; predictions; reviews; pretests; reports."""

import json
import re

import pytest
import torch

import course_utils
from course_utils import __main__ as cli
from course_utils import exercises, notebooks
from course_utils.exercises import (
    engine,
    export,
    gained,
    guessed,
    guesses,
    learning,
    predict,
    pretest,
    pretests,
    record,
    report,
    reports,
    review,
    reviews,
)  # fmt: skip
from course_utils.exercises.review_items import ITEMS
from course_utils.settings import CourseError

ALL = engine._all()
LAB1 = sum(id.startswith("lab1.") for id in ALL)


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
    with pytest.raises(KeyError, match="lab1.1 …, compute.1 …"):
        call("lab9.9")
    with pytest.raises(KeyError, match=r"lab1.9, lab1.10\.") as own:
        call("lab1.99")
    assert "compute" not in str(own.value)


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
    assert out.endswith(f"3 of {LAB1} solved, 1 of them at the first try\n") and "lab2" not in out


def test_progress_of_everything_and_of_nothing(capsys):
    exercises.progress()
    assert f"0 of {len(ALL)} solved" in capsys.readouterr().out
    exercises.progress("lab9")
    assert capsys.readouterr().out.startswith("There is no notebook 'lab9'; there are what,")


def test_what_an_earlier_version_kept_has_no_known_first_try(capsys):
    record.path().parent.mkdir(parents=True)
    (record.path().parent / "progress.json").write_text('{"lab1.1": "right"}')
    exercises.progress("lab1")
    assert f"1 of {LAB1} solved, 0 of them at the first try" in capsys.readouterr().out


def test_a_reset_says_where_the_former_record_is(capsys):
    record.attempt("lab1.1", "right")
    exercises.progress("lab1", reset=True)
    out = capsys.readouterr().out
    assert "Your former record is now" in out and f"0 of {LAB1} solved" in out


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


@pytest.mark.parametrize("value, words", [(30, "close"), (100, "too low, by a factor of 5"), (2, "too high, by a factor of 10"), (0, "too high")])
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
    path = next(p for p in notebooks.find_notebooks() if f'review("{name}"' in p.read_text().replace("\\", ""))
    asked, shown = [], []
    for number, cell in enumerate(c for c in notebooks.read(path).cells if c.cell_type == "code"):
        asked += [(id, number) for id in re.findall(r'^predict\("([\w.]+)", None\)', cell.source, re.M)]
        found = re.findall(r'^ *guessed\("([\w.]+)", ', cell.source, re.M)
        shown += [(id, number) for id in found]
        if found:
            assert cell.metadata.get("jupyter") == {"outputs_hidden": True}, cell.source
    ids = [guess.id for guess in guesses.GUESSES if engine.home(guess.id) == name]
    assert ids and [id for id, _ in asked] == ids
    assert sorted(id for id, _ in shown) == sorted(ids)
    assert all(dict(asked)[id] < number for id, number in shown)


def test_no_hint_is_a_line_of_the_reference():
    """A hint may name a step, not write it: no line of twelve signs or more stands in it."""
    def squeezed(text):
        return re.sub(r"\s+", "", text)

    for id, exercise in ALL.items():
        if id.startswith("quiz"):
            continue
        lines = engine.source(exercise).splitlines()[1 if callable(exercise.reference) else 0 :]
        for line in map(squeezed, lines):
            line = line.removeprefix("return")
            for hint in exercise.hints:
                assert len(line) < 12 or line not in squeezed(hint), (id, hint)


# ---------------------------------------------------------------- review

LESSONS = [name for name in engine.NOTEBOOKS if not name.startswith("quiz")]
RIGHT = {question.id: question.right for question in ITEMS}


def letters(ids, right=True):
    return " ".join(RIGHT[id] if right else "abc"[("abc".index(RIGHT[id]) + 1) % 3] for id in ids)


def asked(notebook):
    return reviews.choose(notebook, record.entries())


def test_the_first_notebook_has_nothing_to_review(capsys):
    assert said(capsys, review, "what") == "Nothing to review yet: this is the first notebook.\n"


@pytest.mark.parametrize("name", LESSONS[1:])
def test_without_a_record_each_notebook_asks_the_same_five_of_earlier_ones(name, capsys):
    first, second = said(capsys, review, name), said(capsys, review, name)
    assert first == second and len(re.findall(r"^\d\. ", first, re.M)) == 5
    ids = reviews.default(name)
    assert len(set(ids)) == 5
    assert all(LESSONS.index(engine.home(id)) < LESSONS.index(name) for id in ids)


def test_the_default_reviews_reach_back_near_and_far():
    assert [engine.home(id) for id in reviews.default("applications")] == ["cheap", "cheap", "reasoning", "lab3", "lab2"]
    uses = [id for name in LESSONS[1:] for id in reviews.default(name)]
    assert max(map(uses.count, uses)) <= 2


def test_answers_are_judged_one_by_one_and_logged_once(capsys):
    ids = reviews.default("families")
    mixed = letters(ids[:3]).split() + letters(ids[3:], right=False).split()
    out = said(capsys, review, "families", " ".join(mixed))
    assert re.findall(r"^\d\. (.)", out, re.M) == list("✓✓✓✗✗") and "3 of 5 right" in out
    assert said(capsys, review, "families", "".join(mixed).upper()) == out  # Run All, typed otherwise
    (entry,) = record.entries("review")
    assert list(entry["right"].values()) == [True] * 3 + [False] * 2


@pytest.mark.parametrize("right", [True, False])
def test_old_questions_do_not_keep_new_notebooks_out(right):
    """Whoever answers all reviews is asked about the notebook before each time."""
    for before, name in zip(LESSONS, LESSONS[1:]):
        ids = asked(name)
        new = [id for id in ids if engine.home(id) == before]
        assert len(ids) == 5 and len(new) >= 2, (name, ids)
        review(name, None)
        review(name, letters(ids, right=right))


def test_what_was_wrong_comes_first_and_what_was_right_waits_longer():
    ids = reviews.default("transformer")
    mixed = letters(ids[:2], right=False) + letters(ids[2:])
    review("transformer", mixed)
    boxes = reviews.boxes(record.entries())
    assert [boxes[id] for id in ids] == [(1, 2), (1, 2), (2, 3), (2, 3), (2, 3)]
    chosen = asked("families")  # the second review: the two wrong ones are due, the others are not
    assert chosen[:2] == ids[:2] and not set(chosen) & set(ids[2:])
    review("families", None)
    review("families", letters(chosen))
    boxes = reviews.boxes(record.entries())
    assert boxes[ids[0]] == (2, 4)  # one box up: it is passed over once
    assert asked("lab1")[:3] == ids[2:]  # the third review: box 2 is due


def test_a_wrong_answer_falls_back_to_the_first_box_and_boxes_end_at_five():
    def line(right):
        return {"kind": "review", "items": ["what.r1"], "right": {"what.r1": right}}

    assert reviews.boxes([line(True)] * 3)["what.r1"] == (4, 3 + 8)
    assert reviews.boxes([line(True)] * 9)["what.r1"] == (5, 9 + 16)
    assert reviews.boxes([line(True)] * 3 + [line(False)])["what.r1"] == (1, 4 + 1)


def test_a_quiz_question_that_was_missed_is_asked_again():
    record.attempt("quiz1.4", "wrong", "no")
    record.attempt("quiz1.4", "right")  # the first try counts
    assert asked("tuning")[0] == "quiz1.4"
    assert "quiz1.4" not in asked("scaling")  # the quiz lies behind that notebook's opening


def test_after_an_answered_set_the_call_without_letters_opens_another(capsys):
    ids = reviews.default("lab2")
    review("lab2", letters(ids))
    capsys.readouterr()
    first = said(capsys, review, "lab2")
    assert said(capsys, review, "lab2") == first  # it stays until it is answered
    (opened,) = record.entries("asked")
    assert not set(opened["items"]) & set(ids)
    review("lab2", letters(opened["items"]))
    assert len(record.entries("review")) == 2


@pytest.mark.parametrize(
    "answers, words",
    [("a b", "5 letters are needed, not 2"), ("", "5 letters are needed, not 0"), (3, "not 0"),
     ("a b c a z", "'z' is no letter of question 5"), ("abcabc", "not 6")],
)  # fmt: skip
def test_letters_that_do_not_fit_get_one_sentence(answers, words, capsys):
    out = said(capsys, review, "lab1", answers)
    assert words in out and 'review("lab1", "a b c a b")' in out and out.count("\n") == 1
    assert record.entries() == []


def test_a_damaged_set_is_asked_afresh(capsys):
    fresh = said(capsys, review, "lab1")
    record.add("asked", notebook="lab1", items=["what.r99"])
    record.add("asked", notebook="lab1", items=[])
    record.add("asked", notebook="lab1", items=["what.r1", {}])
    record.add("review", notebook="lab1", items=3, right={})
    assert said(capsys, review, "lab1") == fresh


def test_tables_and_figures_that_give_a_result_away_are_saved_hidden_too():
    """They stand between a prediction and the cell that compares it."""
    found = {c.id: c.metadata.get("jupyter") for p in notebooks.find_notebooks() for c in notebooks.read(p).cells}
    assert found["lab2-070"] == {"outputs_hidden": True}


@pytest.mark.parametrize("call", [review, lambda name: pretest(name), lambda name: gained(name)])
def test_an_unknown_notebook_or_week_lists_the_known_ones(call):
    with pytest.raises(KeyError, match="there are w"):
        call("lab9")


def test_there_are_five_questions_on_each_notebook_and_their_letters_vary():
    for name in LESSONS[:-1]:
        assert len([q for q in ITEMS if q.notebook == name]) == 5
    rights = [q.right for q in ITEMS]
    assert all(25 <= rights.count(letter) <= 31 for letter in "abc")
    assert all(why and text for q in ITEMS for text, why in q.options.values())
    assert len({q.id for q in ITEMS} | set(ALL)) == len(ITEMS) + len(ALL)


# ---------------------------------------------------------------- pretests


@pytest.mark.parametrize("week", pretests.WEEKS)
def test_a_pretest_has_the_quizs_shape_and_gives_nothing_away(week):
    quiz, questions = pretests.WEEKS[week]
    assert [q.id.split(".")[1] for q in questions] == [str(n) for n in range(1, 11)]
    rights = "".join(q.right for q in questions)
    assert rights != "".join(ALL[f"{quiz}.{n}"].right for n in range(1, 11))
    assert all(2 <= rights.count(letter) <= 3 for letter in "abcd")
    assert all(rights[p:] != rights[:-p] for p in range(1, 6))
    longest = [q for q in questions if len(q.options[q.right][0]) == max(len(t) for t, _ in q.options.values())]
    assert len(longest) <= 3, [q.id for q in longest]
    for number, question in enumerate(questions, 1):  # other words than the quiz's
        other = ALL[f"{quiz}.{number}"]
        assert len(question.options) == 4 and question.text != other.text
        # Only letters of families and names of models may be the same in both.
        assert not {t for t, _ in question.options.values()} & {t for t, _ in other.options.values() if len(t) > 43}


def take_quiz(week, right):
    quiz, questions = pretests.WEEKS[week]
    for number in range(1, len(questions) + 1):
        record.attempt(f"{quiz}.{number}", "right" if number <= right else "wrong")


def take_pretest(week, right):
    _, questions = pretests.WEEKS[week]
    pretest(week, " ".join(q.right if n < right else "-" for n, q in enumerate(questions)))


def test_the_pretest_prints_its_questions_and_judges_nothing(capsys):
    out = said(capsys, pretest, "week1")
    assert len(re.findall(r"^\d+\. ", out, re.M)) == 10 and out == said(capsys, pretest, "week1")
    assert record.entries() == []
    out = said(capsys, pretest, "week1", "a b c d - a b c d -")
    assert out == 'week1: your first ten letters are kept. After the quiz, gained("week1") compares.\n'


def test_the_first_letters_of_a_pretest_count(capsys):
    take_pretest("week1", 2)
    take_pretest("week1", 10)
    assert sum(pretests.before("week1", record.entries())) == 2


@pytest.mark.parametrize("answers", ["a b c", "", "a b c d a b c d a z", "abcdabcdab-"])
def test_letters_that_do_not_fit_a_pretest_get_one_sentence(answers, capsys):
    out = said(capsys, pretest, "week1", answers)
    assert "10 letters from a to d are needed" in out and out.count("\n") == 1
    assert record.entries() == []


def test_the_gain_is_paired_by_question_and_has_an_interval(capsys):
    take_pretest("week2", 3)
    take_quiz("week2", 9)
    record.attempt("quiz2.10", "right")  # a later try does not count
    capsys.readouterr()
    out = said(capsys, gained, "week2")
    assert "3 of 10 right before, 9 of 10 at the first try after." in out
    assert "Gain per question +0.60 [" in out and "n = 10 questions: above 0" in out
    low, high = map(float, re.search(r"\[(\S+), (\S+)\]", out).groups())
    assert 0 < low < 0.6 < high <= 1


def test_a_gain_of_nothing_is_not_called_one(capsys):
    take_pretest("week3", 5)
    take_quiz("week3", 5)
    assert "+0.00 [" in said(capsys, gained, "week3")
    assert "cannot tell" in said(capsys, gained, "week3")


def test_without_pretest_or_quiz_one_calm_line_is_printed(capsys):
    assert "the pretest is not yet" in said(capsys, gained, "week1")
    take_pretest("week1", 3)
    record.attempt("quiz1.1", "right")
    capsys.readouterr()
    out = said(capsys, gained, "week1")
    assert "the quiz (1 of 10 questions) is not yet" in out and out.count("\n") == 1


@pytest.mark.parametrize("week, opened, closed", [
    ("week1", "1_what_llms_do", "7_domains"),
    ("week2", "1_instruction_tuning", "3_adapters_and_quantised_bases"),
    ("week3", "1_reward_models", "5_llm_applications"),
])  # fmt: skip
def test_a_week_opens_with_its_pretest_and_its_quiz_is_followed_by_the_gain(week, opened, closed):
    def position(name, line):
        paths = {path.stem: path for path in notebooks.find_notebooks()}
        cells = [c.source for c in notebooks.read(paths[name]).cells if c.cell_type == "code"]
        return next(n for n, source in enumerate(cells) if line in source)

    quiz = pretests.WEEKS[week][0]
    assert position(opened, f'pretest("{week}")') == 2  # imports, review, pretest
    assert position(closed, f'gained("{week}")') == position(closed, f'check("{quiz}.10"') + 1


@pytest.mark.parametrize("name", LESSONS)
def test_each_notebook_opens_with_its_review_after_the_imports(name):
    path = next(p for p in notebooks.find_notebooks() if f'review("{name}"' in p.read_text().replace("\\", ""))
    code = [c.source for c in notebooks.read(path).cells if c.cell_type == "code"]
    assert code[1] == f'review("{name}")' and "".join(code).count("review(") == 1


# ---------------------------------------------------------------- export and report


def learner(folder, name, *attempts, week=None):
    """One learner's exported file: attempts are (exercise, verdict, message)."""
    with record.unsolved():
        for exercise, verdict, message in attempts:
            record.attempt(exercise, verdict, message)
        if week:
            take_pretest("week1", week[0])
            take_quiz("week1", week[1])
        return export(folder / f"{name}.json")


def test_an_export_holds_counts_the_version_and_no_code(tmp_path, capsys):
    record.attempt("lab1.6", "wrong", "Your code raised KeyError: 'secret'\n  line 3: x['secret']")
    record.attempt("lab1.6", "right")
    learning.hint("lab1.6")
    predict("lab2.p3", 0.1)
    guessed("lab2.p3", 0.03)
    review("lab1", letters(reviews.default("lab1")))
    capsys.readouterr()
    path = export(tmp_path / "mine.json", name="Ana")
    out, text = capsys.readouterr().out, path.read_text()
    content = json.loads(text)
    assert "Name: Ana" in out and "no code" in out and "secret" not in text
    assert content["name"] == "Ana" and content["course"] == course_utils.__version__
    assert content["exercises"]["lab1.6"]["tries"] == 2 and content["exercises"]["lab1.6"]["hints"] == 1
    assert content["predictions"] == {"made": 1, "close": 1}
    assert content["reviews"] == {"answered": 5, "right": 5}


def test_an_export_that_cannot_be_written_says_so(tmp_path, capsys):
    assert export(tmp_path / "no folder" / "x.json") is None
    assert "cannot be written" in capsys.readouterr().out


def test_a_report_counts_learners_first_tries_and_misconceptions(tmp_path, capsys):
    learner(tmp_path, "a", ("lab1.6", "right", ""), ("lab1.7", "wrong", "With p = 0.4 you kept nothing."))
    learner(tmp_path, "b", ("lab1.6", "wrong", "They add up to 0.9."), ("lab1.6", "right", ""))
    learner(tmp_path, "c", ("lab1.7", "wrong", "With p = 0.7 you kept nothing."), ("lab1.7", "wrong", "Sort first."))
    (tmp_path / "notes.txt").write_text("not asked for")
    capsys.readouterr()
    out = said(capsys, report, tmp_path)
    assert out.startswith("3 learners, course ")
    assert re.search(r"^lab1\.6 +2 +2 +0 +0\.50 \[0\.\d\d, 0\.\d\d\], n = 2$", out, re.M), out
    assert re.search(r"^lab1\.7 +2 +0 +0 +0\.00 \[", out, re.M)
    ranked = re.findall(r"^ +(\d)  (lab1.*)$", out, re.M)
    assert ranked[0] == ("2", "lab1.7: With p = 0.4 you kept nothing.")  # one misconception, two numbers
    assert len(ranked) == 3


def test_too_easy_and_too_hard_need_an_interval_that_says_so(tmp_path, capsys):
    for n in range(20):
        learner(tmp_path, f"l{n}", ("lab1.1", "right", ""), ("lab1.2", "wrong", "no"), ("lab1.3", "right" if n % 2 else "wrong", ""))
    capsys.readouterr()
    out = said(capsys, report, [tmp_path])
    assert "Too easy: lab1.1\n" in out and "Too hard: lab1.2\n" in out
    few = said(capsys, report, [tmp_path / "l0.json", tmp_path / "l1.json"])
    assert "Too easy: none\n" in few and "Too hard: none\n" in few  # two learners prove nothing


def test_a_report_reads_records_too_and_an_unknown_first_try_stays_out(tmp_path, capsys):
    folder = record.path().parent
    folder.mkdir(parents=True)
    (folder / "progress.json").write_text('{"lab1.1": "right"}')
    record.attempt("lab1.2", "right")
    out = said(capsys, report, record.path())
    assert re.search(r"^lab1\.1 +1 +1 +0   not known$", out, re.M)
    assert re.search(r"^lab1\.2 +1 +1 +0   1\.00 \[", out, re.M)


def test_a_report_prints_the_gain_over_learners(tmp_path, capsys):
    for n, week in enumerate([(2, 8), (4, 8), (3, 9), (1, 6)]):
        learner(tmp_path, f"l{n}", week=week)
    capsys.readouterr()
    out = said(capsys, report, tmp_path)
    assert "week1: share right 0.25 before, 0.78 after; gain +0.53 [" in out and "4 learners" in out
    assert "week2: pretest and quiz of 0 learner(s); a gain needs two" in out


@pytest.mark.parametrize("content", ["", "[]", "{", "\0", '{"format": "course_utils learner 1"}',
                                     '{"format": "course_utils learner 1", "exercises": {"a": {"tries": "x"}}}'])  # fmt: skip
def test_a_damaged_file_is_named_and_the_others_are_read(content, tmp_path, capsys):
    (tmp_path / "bad.json").write_text(content)
    learner(tmp_path, "good", ("lab1.1", "right", ""))
    capsys.readouterr()
    out = said(capsys, report, tmp_path)
    assert f"{tmp_path / 'bad.json'} is left out: " in out and out.split("\n")[1].startswith("1 learner, ")


@pytest.mark.parametrize("change", [
    {"weeks": 3}, {"weeks": None}, {"weeks": {"week1": "x"}}, {"course": ...},
    {"weeks": {"week1": {"before": "2", "after": 3, "questions": 10}}},
    {"weeks": {"week1": {"before": 2, "after": 3}}},
    {"weeks": {"week1": {"before": 2, "after": 3, "questions": 0}}},
])  # fmt: skip
def test_an_export_with_impossible_counts_is_left_out(change, tmp_path, capsys):
    learner(tmp_path, "good", ("lab1.1", "right", ""))
    content = json.loads((tmp_path / "good.json").read_text()) | change
    (tmp_path / "bad.json").write_text(json.dumps({k: v for k, v in content.items() if v is not ...}))
    capsys.readouterr()
    out = said(capsys, report, tmp_path)
    assert "bad.json is left out: its counts are damaged." in out and "\n1 learner, " in out


def test_the_command_reports_and_says_what_is_missing(tmp_path, capsys):
    learner(tmp_path, "a", ("lab1.1", "right", ""))
    assert cli.main(["report", str(tmp_path)]) == 0
    assert "lab1.1" in capsys.readouterr().out
    assert cli.main(["report", str(tmp_path / "nowhere")]) == 1
    assert "No learner's file was found" in capsys.readouterr().err
    with pytest.raises(CourseError):
        reports.report([])
