"""The command line: every command is listed, and what is asked wrongly is one sentence."""

import socket

import nbformat
import pytest

from course_utils import __main__ as command_line
from course_utils import adapters, notebooks
from course_utils.settings import CourseError


def test_help_lists_every_command_with_what_it_does(capsys):
    with pytest.raises(SystemExit) as done:
        command_line.main(["--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert done.value.code == 0
    for words in ("doctor", "95 % intervals", "Serve a folder of models"):
        assert words in shown


def test_a_sentence_and_no_traceback_for_what_cannot_be_done(capsys):
    assert command_line.main(["hub", "no/such/folder"]) == 1
    assert "There is no folder" in capsys.readouterr().err


# ---------------------------------------------------------------- asked wrongly


@pytest.fixture
def place(tmp_path):
    """A folder of what may be named by mistake."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for name, content in (("text", b"no JSON"), ("nothing", b""), ("bytes", b"\xff\xfe\x00"), ("list", b"[]"), ("object", b'{"a": 1}')):
        (tmp_path / f"{name}.ipynb").write_bytes(content)
    cells = {
        "plain": "1 + 1", "broken": 'def f(:\nf = check("lab1.3", f)',
        "foreign": 'f = 1\nf = check("nolab.3", f)', "good": 'f = 1\nf = check("lab1.3", f)',
    }  # fmt: skip
    for name, code in cells.items():
        book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
        nbformat.write(book, tmp_path / f"{name}.ipynb")
    return tmp_path


def refused(capsys, *arguments) -> str:
    """What a command says on stderr: one sentence, no traceback."""
    assert command_line.main([str(argument) for argument in arguments]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "Traceback" not in said
    return said


@pytest.mark.parametrize("command", ["solve", "run", "refresh", "lint"])
@pytest.mark.parametrize("name, words", [
    ("missing.ipynb", "There is no notebook"), ("empty", "cannot be read (Is a directory)"), ("text.ipynb", "is no notebook"),
    ("nothing.ipynb", "is no notebook"), ("bytes.ipynb", "is no notebook"), ("list.ipynb", "is no notebook"),
    ("object.ipynb", "is no notebook"), ("file", "is no notebook"),
])  # fmt: skip
def test_what_is_no_notebook_is_refused_by_every_command(place, capsys, command, name, words):
    assert words in refused(capsys, command, place / "good.ipynb", place / name)
    assert not (place / "solved").exists()


@pytest.mark.parametrize("name, words", [
    ("plain", "has no exercise"), ("broken", "invalid syntax"), ("foreign", "no exercise 'nolab.3'"),
])  # fmt: skip
def test_a_notebook_that_cannot_be_solved_says_why(place, capsys, name, words):
    assert words in refused(capsys, "solve", place / f"{name}.ipynb", "--to", place / "solved")
    assert not (place / "solved").exists()


def test_a_solved_copy_replaces_nothing_but_itself(place, capsys):
    book, folder = place / "good.ipynb", place / "solved"
    for _ in range(2):
        assert command_line.main(["solve", str(book), "--to", str(folder)]) == 0
    capsys.readouterr()
    copy = folder / place.name / "good.ipynb"
    copy.write_text("a learner's own work")
    assert "something else in it" in refused(capsys, "solve", book, "--to", folder)
    assert copy.read_text() == "a learner's own work"
    before = book.read_bytes()
    assert "something else in it" in refused(capsys, "solve", book, "--to", place.parent)  # the notebook itself
    assert book.read_bytes() == before
    for unusable in (place / "file", "/proc/nowhere"):
        assert "cannot be written" in refused(capsys, "solve", book, "--to", unusable)


def test_outside_the_repository_the_commands_say_so(place, capsys, monkeypatch):
    monkeypatch.chdir(place / "empty")
    for command in ("solve", "run", "refresh", "lint", "terms"):
        assert "There are no notebooks here" in refused(capsys, command)


def test_lint_of_another_notebook_is_refused(place, capsys):
    assert "none of the course's notebooks" in refused(capsys, "lint", place / "good.ipynb")


def test_a_glossary_that_cannot_be_written_is_one_sentence(place, capsys, monkeypatch):
    monkeypatch.setattr("course_utils.terms.definition_problems", lambda *args: [])
    monkeypatch.setattr("course_utils.terms.offences", lambda *args: [])
    for unusable in (place / "empty", place / "file" / "page.md", place / "none" / "page.md"):
        assert "name a file for the page" in refused(capsys, "terms", "--glossary", unusable)


def test_a_hub_at_an_impossible_port_or_address_is_one_sentence(place, capsys):
    for port in (-1, 65536):
        assert f"There is no port {port}" in refused(capsys, "hub", place / "full", "--port", port)
    assert "0.0.0.0" in refused(capsys, "hub", place / "full", "--host", "192.0.2.1")  # no machine has it
    assert "There is no folder" in refused(capsys, "hub", place / "file")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert "is taken" in refused(capsys, "hub", place / "full", "--port", taken.getsockname()[1])
    with pytest.raises(SystemExit):
        command_line.main(["hub", str(place / "full"), "--port", "eighty"])
    assert "invalid int value: 'eighty'" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["missing", "empty", "file", "text.ipynb"])
def test_a_report_without_a_learners_file_is_one_sentence(place, capsys, name):
    assert "No learner's file" in refused(capsys, "report", place / name)


@pytest.mark.parametrize("command, option, value, words", [
    ("train", "--rows", -1, "--rows must be at least 0"), ("train", "--epochs", 0, "--epochs must be at least 1"),
    ("train", "--learning-rate", 0, "--learning-rate must be a number above 0"),
    ("train", "--learning-rate", -1, "above 0"), ("train", "--learning-rate", "nan", "above 0"),
    ("train", "--learning-rate", "inf", "above 0"), ("train", "--timeout", 0, "--timeout must be a number above 0"),
    ("train", "--timeout", "nan", "above 0"), ("train", "--seed", -1, "--seed must be at least 0"),
    ("train", "--seed", 2**80, "--seed must be below"), ("ppo", "--beta", -1, "--beta must be at least 0"),
    ("ppo", "--beta", "nan", "--beta must be a number"), ("ppo", "--learning-rate", 0, "above 0"),
])  # fmt: skip
def test_a_number_that_trains_nothing_is_refused(capsys, command, option, value, words):
    assert words in refused(capsys, command, option, value)


@pytest.mark.parametrize("command", ["train", "ppo"])
@pytest.mark.parametrize("option", ["--out", "--folder"])
@pytest.mark.parametrize("name, words", [
    ("file", "is a file; name another"), ("file/below", "is a file; name another"), ("/proc/nowhere", "cannot be written"),
    ("full", "holds something else already (thesis.txt); name a new folder"),
])  # fmt: skip
def test_where_a_result_cannot_go_is_said_before_the_training(place, capsys, monkeypatch, command, option, name, words):
    monkeypatch.setattr("course_utils.tasks.lab2", lambda *args: pytest.fail("it trains"))
    monkeypatch.setattr("course_utils.tasks.lab3", lambda *args: pytest.fail("it trains"))
    assert words in refused(capsys, command, option, place / name)
    assert (place / "full" / "thesis.txt").read_text() == (place / "file").read_text() == "mine"


def test_an_adapter_replaces_an_adapter_and_nothing_else(causal, tmp_path):
    tuned = adapters.wrap(causal, 2, 4)
    folder = adapters.save_adapter(tuned, adapters.save_adapter(tuned, tmp_path / "mine"))
    (folder / "thesis.txt").write_text("mine")
    with pytest.raises(CourseError, match="thesis.txt"):
        adapters.save_adapter(tuned, folder)
    assert (folder / "thesis.txt").read_text() == "mine" and (folder / adapters.WEIGHTS).is_file()


def test_a_notebook_that_cannot_be_saved_is_one_sentence(place):
    with pytest.raises(CourseError, match="cannot be written"):
        notebooks.write(notebooks.read(place / "good.ipynb"), place / "file" / "a.ipynb")
