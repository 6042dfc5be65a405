"""The command line: every command is listed, and what is asked wrongly is one sentence."""

import pytest

from course_utils import __main__ as command_line


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
