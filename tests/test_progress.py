"""Progress: who watches, what is said, and that nothing stays in a saved notebook."""

import queue

import nbformat
import pytest

from course_utils import notebooks, progress

SLOW = """
from course_utils import progress
progress.PATIENCE = 0
with progress.Bar("waiting", 3) as bar:
    for number in range(3):
        bar.at(number + 1)
"""


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test sets."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.delenv("COURSE_PROGRESS", raising=False)
    monkeypatch.setattr(progress, "watched_in", lambda: "terminal")


def test_a_terminal_gets_a_line_now_and_then_with_the_time_left(clock, terminal, capsys):
    with progress.Bar("training", 40) as bar:
        for second in range(1, 41):
            clock[0] = float(second)
            bar.at(second, "loss 1.50")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "training: 10 of 40, loss 1.50, about 30 s left"
    assert len(lines) == 4 and lines[-1] == "training: 40 of 40, loss 1.50"


def test_short_work_says_nothing(clock, terminal, capsys):
    with progress.Bar("short", 4) as bar:
        for quarter in range(1, 5):
            clock[0] = quarter / 4
            bar.at(quarter)
    assert capsys.readouterr().err == ""


def test_a_run_that_goes_on_counts_only_its_own_time(clock, terminal):
    with progress.Bar("training", 40, done=30) as bar:
        assert bar.line(35, "", 10.0) == "35 of 40, about 10 s left"  # five in 10 s: five more


def test_where_nobody_knows_how_much_there_is_the_seconds_are_said(clock, terminal, capsys):
    with progress.Bar("processes at work", None) as bar:
        clock[0] = 12.0
        bar.at()
    assert capsys.readouterr().err == "processes at work: 12 s so far\n"


def test_without_patience_the_first_word_is_said_at_once(clock, terminal, capsys):
    with progress.Bar("preparing", 3, patience=0) as bar:
        bar.at(0)
        clock[0] = 3.0
        bar.at(1)
    assert capsys.readouterr().err == "preparing: 0 of 3\n"


def test_parts_of_an_answer_move_the_bar_and_are_not_counted(clock, terminal):
    with progress.Bar("answers", 4) as bar:
        assert bar.line(1.5, "", 3.0) == "1 of 4, about 5 s left"


def test_only_the_outermost_bar_speaks(clock, terminal, capsys):
    with progress.Bar("outer", 2) as outer:
        clock[0] = 11.0
        with progress.Bar("inner", 9) as inner:
            clock[0] = 22.0
            inner.at(5)
        outer.at(1)
    assert capsys.readouterr().err == "outer: 1 of 2, about 22 s left\n"
    assert not progress._running


def test_a_failure_ends_the_bar(clock, terminal):
    with pytest.raises(ZeroDivisionError):
        with progress.Bar("failing", 2):
            1 / 0  # noqa: B018
    assert not progress._running


def test_off_is_off(monkeypatch):
    monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COURSE_PROGRESS", "off")
    assert progress.watched_in() == ""
    monkeypatch.setenv("COURSE_PROGRESS", "")
    assert progress.watched_in() == "terminal"


def test_long_calls_move_a_bar_to_its_end(causal, monkeypatch):
    from course_utils import examples, finetune

    moved = {}

    class Recorder(progress.Bar):
        def at(self, done=0, note=""):
            moved.setdefault((self.title, self.total), []).append(done)

    monkeypatch.setattr(progress, "Bar", Recorder)
    causal.generate(["w1 w2", "w3"], max_new_tokens=4)
    rows = examples.encode(causal, ["w1 w2", "w3 w4", "w5 w6"], ["w3", "w4", "w5"])
    finetune.nll(causal, rows, batch_size=2)
    finetune.train(causal, rows, finetune.Recipe(1e-3, batch_size=2), title="full")
    assert moved["writing answers", 2][-1] == 2
    assert moved["measuring the loss", 3] == [2, 3] and moved["full", 2] == [1, 2]


def test_minutes_are_said_as_minutes():
    assert [progress.duration(s) for s in (3.2, 99, 100, 240, 7200)] == ["3 s", "99 s", "2 min", "4 min", "2 h"]


def test_a_notebook_that_runs_by_itself_saves_nothing(tmp_path):
    path = tmp_path / "small.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(SLOW)]), path)
    executed, _ = notebooks.execute(path)
    assert executed.cells[0].outputs == []


@pytest.mark.parametrize("somebody", [True, False])
def test_a_bar_is_shown_where_the_front_end_says_that_somebody_watches(somebody):
    """In a real kernel: the bar appears, is moved, and its output is emptied at the end."""
    from jupyter_client.manager import start_new_kernel

    manager, client = start_new_kernel()
    try:
        client.execute(SLOW, allow_stdin=somebody)
        shown, updates = [], []
        while True:
            try:
                message = client.get_iopub_msg(timeout=60)
            except queue.Empty:  # pragma: no cover
                raise AssertionError("the kernel said nothing for a minute") from None
            kind, content = message["msg_type"], message["content"]
            assert kind != "error", content
            shown += [content["data"]] if kind == "display_data" else []
            updates += [content["data"]] if kind == "update_display_data" else []
            if kind == "status" and content["execution_state"] == "idle":
                break
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    assert [list(data) for data in shown] == ([["text/plain", "application/vnd.jupyter.widget-view+json"]] if somebody else [])
    assert updates == ([{"text/plain": ""}] if somebody else [])
