"""Whatever an answer does, the notebook goes on."""

import builtins
import random
import signal
import sys
import threading
import time

import numpy as np
import pytest
import torch

from course_utils.exercises import engine
from course_utils.exercises.answers import maybe, number, tensor, wholes
from course_utils.exercises.engine import Exercise, Wrong, judge
from course_utils.exercises.guard import TooLong, copied, time_limit, unchanged


@pytest.fixture(autouse=True)
def own_progress(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "cache"))


def exercise(test, **options):
    return Exercise("t.1", "t", lambda x: x, test, ("h",), **options)


def twice(f):
    if f(2) != 4:
        raise Wrong("not twice")


def endless(x):
    while True:
        try:
            x += 1
        except Exception:
            pass


def test_an_endless_loop_ends_and_is_called_one():
    start = time.monotonic()
    status, message = judge(exercise(twice, seconds=0.3), endless)
    assert status == "wrong" and "endless loop" in message and time.monotonic() - start < 60


def test_a_loop_whose_bare_except_swallows_everything_ends_too():
    def stubborn(x):
        while True:
            try:
                time.sleep(0.05)
            except:  # noqa: E722
                continue

    ask = builtins.input
    status, message = judge(exercise(twice, seconds=0.3), stubborn)
    assert status == "wrong" and "endless loop" in message
    assert builtins.input is ask and sys.gettrace() is None


def test_an_endless_loop_ends_outside_the_main_thread_too():
    found = []
    thread = threading.Thread(target=lambda: found.append(judge(exercise(twice, seconds=0.3), endless)))
    thread.start()
    thread.join(60)
    assert found and "endless loop" in found[0][1]


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timer signals")
def test_somebody_elses_timer_goes_on():
    rung = []
    before = signal.signal(signal.SIGALRM, lambda number, frame: rung.append(number))
    kept = signal.setitimer(signal.ITIMER_REAL, 2)
    try:
        with time_limit(20):
            time.sleep(0.1)
        assert not rung
        time.sleep(2.5)
        assert rung
    finally:
        signal.signal(signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, *kept)


def test_time_that_is_enough_interrupts_nothing():
    with time_limit(1):
        pass
    time.sleep(1.2)
    with pytest.raises(TooLong), time_limit(0.1):
        time.sleep(1)


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_a_stopped_check_says_so_and_puts_the_reference_in(stop, monkeypatch, capsys):
    one = exercise(twice)
    monkeypatch.setattr(engine, "find", lambda id: one)

    def stopped(x):
        raise stop

    kept = engine.check("t.1", stopped)
    assert kept(7) == 7 and "Going on with the reference" in capsys.readouterr().out


def test_a_question_to_the_person_does_not_wait():
    status, message = judge(exercise(twice), lambda x: int(input("x? ")))
    assert status == "wrong" and "input()" in message


def test_a_forgotten_return_is_called_one():
    def forgot(x):
        x * 2

    assert "is `return` missing?" in judge(exercise(twice), forgot)[1]
    assert "is `return` missing?" in judge(exercise(twice, returns=number), forgot)[1]
    # Also where None is a possible answer and the test says something else first.
    assert judge(exercise(twice, returns=maybe(number)), forgot)[1].endswith("is `return` missing?)")
    assert "`return`" not in judge(exercise(twice, returns=maybe(number)), lambda x: 3)[1]


def test_a_way_without_a_return_is_not_called_a_forgotten_one():
    def test(f):
        f(1), f(-1)

    status, message = judge(exercise(test, returns=number), lambda x: x if x > 0 else None)
    assert status == "wrong" and message.startswith("This time your function returned None")


def test_another_number_of_parameters_is_named():
    status, message = judge(exercise(twice), lambda x, y: x * 2)
    assert status == "wrong" and "1 arguments" in message and "'y'" in message and "first line" in message
    assert judge(exercise(twice), lambda *numbers: numbers[0] * 2) == ("right", "")


def test_an_argument_changed_in_place_is_named():
    def test(f):
        if f([3, 1, 2], 1) != [1, 2, 3]:
            raise Wrong("not sorted")

    def sorts(items, k):
        items.sort()
        return items

    status, message = judge(exercise(test), sorts)
    assert status == "wrong" and "`items`" in message and "in place" in message
    assert judge(exercise(test), lambda items, k: sorted(items)) == ("right", "")


def test_copies_are_deep_and_equal_until_changed():
    value = {"a": [torch.tensor([1.0, float("nan")]), np.array([1])], "b": (1, "x")}
    again = copied(value)
    assert unchanged(value, again) and again["a"][0] is not value["a"][0]
    again["a"][0][0] = 5
    assert not unchanged(value, again) and value["a"][0][0] == 1
    assert not unchanged([1], [1, 2]) and not unchanged({"a": 1}, {"b": 1}) and not unchanged([1], [torch.ones(2)])
    weight = torch.ones(1, requires_grad=True)
    assert copied([weight])[0] is weight  # a copy would lose its gradient


def test_the_notebooks_random_numbers_do_not_move():
    def test(f):
        torch.manual_seed(0), np.random.seed(0), random.seed(0)
        f(torch.rand(2))

    def draw():
        return torch.rand(1).item(), np.random.rand(), random.random()

    def seed():
        torch.manual_seed(5), np.random.seed(5), random.seed(5)

    seed()
    expected = draw()
    seed()
    judge(exercise(test), lambda x: x * torch.rand(1))
    assert draw() == expected


def test_an_answer_of_another_type_is_right_and_comes_back_converting(monkeypatch, capsys):
    def test(f):
        if not torch.allclose(f(torch.tensor([1.0, 2.0])), torch.tensor([2.0, 4.0])):
            raise Wrong("not twice")

    one = exercise(test, returns=tensor)
    monkeypatch.setattr(engine, "find", lambda id: one)
    as_list = engine.check("t.1", lambda x: [2 * float(v) for v in x])
    assert as_list(torch.tensor([3.0])).tolist() == [6.0]  # a tensor for the next cell

    def native(x):
        return 2 * x

    assert engine.check("t.1", native) is native
    assert "wanted: a tensor" in judge(one, lambda x: "abc")[1]


def test_an_error_inside_the_check_shows_what_came_back():
    message = judge(engine.find("families.3"), lambda ids: list(zip(ids, ids[1:])))[1]
    assert "(list)" in message and "TypeError" not in message
    message = judge(exercise(twice, returns=wholes), lambda n: 12.0)[1]
    assert "12.0 (float)" in message and "wanted: a list of whole numbers" in message


def test_interrupting_the_kernel_puts_the_reference_in():
    """The learner's way: an endless loop, Kernel → Interrupt, and the next cell runs."""
    from jupyter_client.manager import start_new_kernel

    manager, client = start_new_kernel(kernel_name="python3")
    try:
        source = (
            "from course_utils.exercises import check\n"
            "def softmax_at(logits, temperature):\n    print('begun', flush=True)\n    while True: pass\n"
            "softmax_at = check('lab1.6', softmax_at)"
        )
        client.execute(source)
        printed = ""
        while "Going on" not in printed:
            message = client.get_iopub_msg(timeout=60)
            printed += message["content"].get("text", "") if message["msg_type"] == "stream" else ""
            assert message["msg_type"] != "error", message["content"]
            if printed == "begun\n":
                time.sleep(0.2)
                manager.interrupt_kernel()
        assert "Stopped" in printed
        reply = client.execute_interactive(
            "import torch; assert softmax_at(torch.zeros(2), 1.0).tolist() == [0.5, 0.5]", timeout=60
        )
        assert reply["content"]["status"] == "ok"
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
