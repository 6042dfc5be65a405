"""Every exercise: stub → not attempted, reference → right, planted wrong answers → their message."""

import ast
import builtins
import functools
import importlib
import inspect
import numbers
import re

import pytest
import torch

from course_utils import notebooks
from course_utils.exercises import engine
from course_utils.exercises.engine import Exercise, Wrong, judge
from course_utils.exercises.guard import copied
from course_utils.exercises.questions import Question

ALL = engine._all()


@pytest.fixture(autouse=True)
def own_progress(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "cache"))


PLANTED = {}  # id → [(wrong answer, words of the message it must get)]
RIGHT = {}  # id → [right answers in other styles]
for name in (name for name in engine.NOTEBOOKS if not name.startswith("quiz")):
    planted = importlib.import_module(f"planted.{name}")
    PLANTED |= planted.PLANTED
    RIGHT |= getattr(planted, "RIGHT", {})
for exercise in ALL.values():  # each wrong option of a quiz has its own reason
    options = getattr(exercise, "options", {})
    wrong = [(letter, words) for letter, (_, words) in options.items() if letter != exercise.reference]
    PLANTED |= {exercise.id: wrong} if wrong else {}
CASES = [(id, n) for id, wrong in PLANTED.items() for n in range(len(wrong))]
STYLES = [(id, n) for id, right in RIGHT.items() for n in range(len(right))]


@pytest.mark.parametrize("id", ALL)
def test_the_reference_is_right(id):
    assert judge(ALL[id], ALL[id].reference) == ("right", "")


@pytest.mark.parametrize("id", ALL)
def test_the_stub_is_not_attempted(id):
    def stub(*args):
        raise NotImplementedError("your turn")

    answer = stub if callable(ALL[id].reference) else None
    assert judge(ALL[id], answer)[0] == "not attempted"
    assert judge(ALL[id], ...)[0] == "not attempted"


@pytest.mark.parametrize("id, number", CASES)
def test_a_planted_wrong_answer_gets_its_own_message(id, number):
    answer, words = PLANTED[id][number]
    status, message = judge(ALL[id], answer)
    assert status == "wrong" and words in message, message


@pytest.mark.parametrize("id, number", STYLES)
def test_a_right_answer_in_another_style_is_accepted(id, number, capsys):
    """And what ``check`` hands on is of the kind that the cells after it need."""
    exercise, answer = ALL[id], RIGHT[id][number]
    assert judge(exercise, answer) == ("right", "")
    value = engine.check(id, answer)
    if callable(exercise.reference):
        value = value(*sample_arguments(exercise))
        assert type_tree(value) == type_tree(exercise.reference(*sample_arguments(exercise)))
    assert exercise.returns.read(value) is value


def sample_arguments(exercise):
    """Copies of the arguments of the first call that the exercise's own test makes."""
    calls = []

    @functools.wraps(exercise.reference)
    def recording(*args):
        calls.append(copied(args))
        return exercise.reference(*args)

    exercise.test(recording)
    return calls[0]


def type_tree(value):
    """Which of list, tuple, dictionary, tensor, text, number a value is, and so on inside."""
    if isinstance(value, list):
        return "list", frozenset(map(type_tree, value))
    if isinstance(value, tuple):
        return "tuple", tuple(map(type_tree, value))
    if isinstance(value, dict):
        return "dictionary", frozenset((key, type_tree(item)) for key, item in value.items())
    kinds = (("truth", bool), ("number", numbers.Real), ("tensor", torch.Tensor), ("text", str))
    return next((name for name, kind in kinds if isinstance(value, kind)), type(value).__name__)


@pytest.mark.parametrize("id", ALL)
def test_every_exercise_has_hints_and_two_diagnosed_misconceptions(id):
    assert len(ALL[id].hints) >= 1 and len(PLANTED[id]) >= 2
    messages = {judge(ALL[id], answer)[1] for answer, _ in PLANTED[id]}
    assert len(messages) >= 2


@pytest.mark.parametrize("path", notebooks.find_notebooks(), ids=lambda p: p.name)
def test_notebook_stubs_match_their_references(path):
    """Name and parameters agree, each exercise appears once, and hints never give it away."""
    seen = []
    for cell in notebooks.read(path).cells:
        match = notebooks.CHECK_LINE.search(cell.source) if cell.cell_type == "code" else None
        if not match:
            continue
        name, id = match.groups()
        seen.append(id)
        reference = ALL[id].reference
        if callable(reference):
            parameters = ", ".join(map(str, inspect.signature(reference).parameters.values()))
            assert reference.__name__ == name
            assert f"def {name}({parameters}):" in cell.source
            assert "NotImplementedError" in cell.source
        else:
            assert re.search(rf"^{name} = None", cell.source, re.M)
    of = list(dict.fromkeys(ALL[id].notebook for id in seen))
    assert len([name for name in of if not name.startswith("quiz")]) == 1
    assert seen == [id for name in of for id in ALL if ALL[id].notebook == name]


@pytest.mark.parametrize("path", notebooks.find_notebooks(), ids=lambda p: p.name)
def test_a_solved_copy_uses_only_names_that_its_notebook_has(path):
    """A pasted reference that needs a missing import is an error only in the learner's kernel."""
    known = set(dir(builtins))
    for cell in notebooks.solved(notebooks.read(path)).cells:
        if cell.cell_type != "code":
            continue
        nodes = list(ast.walk(ast.parse(cell.source)))
        for node in nodes:
            if isinstance(node, ast.Import | ast.ImportFrom):
                known |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
            elif isinstance(node, ast.FunctionDef | ast.ClassDef | ast.ExceptHandler):
                known.add(node.name)
            elif isinstance(node, ast.arg):
                known.add(node.arg)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                known.add(node.id)
        loaded = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
        assert loaded <= known, (loaded - known, cell.source)


@pytest.mark.parametrize("path", notebooks.find_notebooks(), ids=lambda p: p.name)
def test_quiz_questions_stand_in_the_notebook_word_for_word(path):
    cells = notebooks.read(path).cells
    for before, cell in zip(cells, cells[1:]):
        match = notebooks.CHECK_LINE.search(cell.source) if cell.cell_type == "code" else None
        exercise = ALL[match[2]] if match else None
        if exercise is None or not exercise.notebook.startswith("quiz"):
            continue
        shown = [exercise.text] + [f"{k}) {text}" for k, (text, _) in exercise.options.items()]
        assert all(words in before.source for words in shown), before.source


QUIZZES = {
    quiz: [e for e in ALL.values() if e.notebook == quiz]
    for quiz in engine.NOTEBOOKS
    if quiz.startswith("quiz")
}


@pytest.mark.parametrize("quiz", QUIZZES)
def test_a_quiz_has_ten_questions_with_four_options_each(quiz):
    assert len(QUIZZES[quiz]) == 10
    assert all(len(e.options) == 4 for e in QUIZZES[quiz])


@pytest.mark.parametrize("quiz", QUIZZES)
def test_the_letters_of_a_quiz_give_nothing_away(quiz):
    letters = "".join(e.right for e in QUIZZES[quiz])
    assert all(2 <= letters.count(letter) <= 3 for letter in "abcd")
    for period in range(1, 6):  # "bdacbdacbd" has period 4: whoever knows four letters knows ten
        assert letters[period:] != letters[:-period], letters
    runs = [letters[i : i + 3] for i in range(8)]
    assert len(set(runs)) == len(runs), letters


@pytest.mark.parametrize("quiz", QUIZZES)
def test_the_longest_option_of_a_question_is_seldom_right(quiz):
    longest = 0
    for e in QUIZZES[quiz]:
        lengths = {letter: len(text) for letter, (text, _) in e.options.items()}
        longest += lengths[e.right] == max(lengths.values())
    assert longest <= 3


@pytest.mark.parametrize("quiz", QUIZZES)
def test_an_option_that_says_nothing_is_as_often_right_as_not(quiz):
    options = [(letter == e.right) for e in QUIZZES[quiz] for letter, (text, _) in e.options.items()
               if text.lower().startswith("nothing")]  # fmt: skip
    assert abs(2 * sum(options) - len(options)) <= 1


def test_a_right_choice_is_told_why(capsys):
    two = {"a": ("2 bytes", "BF16."), "b": ("4 bytes", "32 bits are 4 bytes.")}
    exercise = Question("quiz.1", "How large?", two, "b", "8 bits per byte")
    assert judge(exercise, "B") == ("right", "") and exercise.praise == "32 bits are 4 bytes."
    assert judge(exercise, "a") == ("wrong", "BF16.")
    assert "one letter of a, b" in judge(exercise, 3)[1]


# ---------------------------------------------------------------- the engine itself


def test_check_returns_the_learners_answer_if_right_else_the_reference(capsys):
    def mine(logits, temperature):
        powers = ((logits - logits.max()) / temperature).exp()
        return powers / powers.sum()

    assert engine.check("lab1.6", mine) is mine
    assert "right" in capsys.readouterr().out
    other = engine.check("lab1.6", lambda z, t: z)
    assert torch.allclose(
        other(torch.tensor([1.0, 2.0]), 1.0), torch.softmax(torch.tensor([1.0, 2.0]), 0)
    )
    assert "✗" in capsys.readouterr().out


def test_an_error_in_the_learners_code_is_shown_with_its_line(capsys):
    source = "def broken(logits, temperature):\n    scaled = logits / temperature\n    return scaled / nothing\n"
    space = {}
    exec(compile(source, "<cell>", "exec"), space)
    engine.check("lab1.6", space["broken"])
    out = capsys.readouterr().out
    assert "NameError" in out and "line 3" in out and "Going on with the reference" in out


def test_an_error_inside_the_standard_library_is_shown_with_the_learners_own_line(capsys):
    source = "import re\n\ndef broken(logits, temperature):\n    return re.sub('(a', 'b', 'c')\n"
    space = {}
    exec(compile(source, "<cell>", "exec"), space)
    engine.check("lab1.6", space["broken"])
    assert "line 4" in capsys.readouterr().out


def test_a_mutable_reference_value_cannot_be_spoilt(monkeypatch):
    def test(answer):
        if answer != [1, 2]:
            raise Wrong("no")

    exercise = Exercise("t.1", "t", [1, 2], test, ("h",))
    monkeypatch.setattr(engine, "_all", lambda: {"t.1": exercise})
    engine.check("t.1", None).append(3)
    assert engine.check("t.1", None) == [1, 2]


def test_an_unknown_id_lists_the_known_ones():
    with pytest.raises(KeyError, match="lab1.1"):
        engine.check("lab9.9", None)


def test_messages_break_between_words_and_code_stays():
    long, code = "a word and another " * 12, "  line 3: " + "x" * 120
    shown = engine.lines(f"t.1 ✗ {long.strip()}\n{code}").split("\n")
    assert max(map(len, shown[:-1])) <= 100 and shown[-1] == code and " ".join(shown[:-1]).endswith("and another")
