"""The restricted calculator, the search, and the loop that lets a model use both."""

import pytest
import torch

from course_utils import tools
from course_utils.settings import CourseError

# ---------------------------------------------------------------- calculator


@pytest.mark.parametrize(
    "text, value",
    [
        ("1 + 2 * 3", 7), ("(1 + 2) * 3", 9), ("-3 - -4", 1), ("7 / 2", 3.5), ("2 ** 10", 1024),
        ("2 ** -1", 0.5), ("-2 ** 2", -4), ("10 - 4 - 3", 3), ("1.5e2", 150), (" 6\u00d77 ", 42), ("8 ÷ 4 − 1", 1),
    ],
)  # fmt: skip
def test_arithmetic_follows_the_usual_order(text, value):
    assert tools.calculate(text) == value and isinstance(tools.calculate(text), float)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')", "open('x')", "().__class__", "x + 1", "[1][0]", "'a' * 3",
        "lambda: 1", "1 if 1 else 2", "True + 1", "2j", "1, 2", "1 < 2", "7 % 4", "7 // 4", "~1", "max(1, 2)",
        "(y := 2)", "f'{1}'", "1 and 2",
    ],
)  # fmt: skip
def test_everything_but_arithmetic_is_refused(text):
    with pytest.raises(CourseError, match="use numbers"):
        tools.calculate(text)


@pytest.mark.parametrize("text", ["3 +", "2 eggs", "((1)", "1; 2", "import os", "\x00", "=", "(" * 150])
def test_what_cannot_be_parsed_is_named(text):
    with pytest.raises(CourseError, match="not an arithmetic expression"):
        tools.calculate(text)


@pytest.mark.parametrize(
    "text, words",
    [
        ("", "nothing to calculate"), ("   ", "nothing to calculate"), (None, "nothing to calculate"),
        ("1 / (2 - 2)", "divides by zero"), ("0 ** -1", "divides by zero"), ("2 ** 65", "exponent 65"),
        ("9 ** 9 ** 9", "exponent 3.8742e"), ("1e300 * 1e300", "too large"), ("1e999", "too large"),
        ("(9 ** 60) ** 60", "too large"), ("(-8) ** 0.5", "not a real number"), ("1+" * 120 + "1", "241 characters"),
        ("9" * 200, "190|too large|e\\+"),
    ],
)  # fmt: skip
def test_each_impossible_sum_gets_its_own_sentence(text, words):
    if text == "9" * 200:  # fits into a float: allowed
        assert tools.calculate(text) == pytest.approx(1e200)
        return
    with pytest.raises(CourseError, match=words):
        tools.calculate(text)


def test_no_allowed_expression_is_slow():
    import time

    start = time.perf_counter()
    for text in ("64 ** 64 ** 1", "((((9 ** 64) / 9) ** 4))", "-" * 150 + "1"):
        try:
            tools.calculate(text)
        except CourseError:
            pass
    assert time.perf_counter() - start < 0.5


# ---------------------------------------------------------------- judging a program

TWICE = "def twice(x):\n    return 2 * x\n"


@pytest.mark.parametrize(
    "text",
    [
        TWICE, f"```python\n{TWICE}```", f"Sure! Here it is:\n```\n{TWICE}```\nIt doubles x.",
        f"```python\n{TWICE}",  # cut off by the limit of new tokens
        f"{TWICE}print('all true')", f"{TWICE}print('no line break', end='')", "twice = lambda x: x + x",
    ],
)  # fmt: skip
def test_a_right_program_passes_whatever_stands_around_it(text):
    assert tools.passes(text, ["twice(4) == 8", "twice(-1) == -2"])


@pytest.mark.parametrize(
    "code",
    [
        "def twice(x): return x", "def twice(x): return 0\nprint('all true')",
        "print('all true')\nexit()", "def twice(x): exit(0)", "def twice(x): raise SystemExit",
        "def twice(x):\n    print('all true')\n    quit()", "print = lambda *words: None", "I cannot do that.", "",
        "class Any:\n    def __eq__(self, other): return True\ndef twice(x): return Any()",
        "def twice(x):\n    while True: pass",
    ],
)  # fmt: skip
def test_a_program_that_fails_a_check_cannot_talk_its_way_past(code):
    assert not tools.passes(code, ["twice(4) == 8"], seconds=2)


def test_every_check_counts():
    assert not tools.passes("def twice(x): return 8", ["twice(4) == 8", "twice(5) == 10"])


@pytest.mark.parametrize(
    "code", ["import os", "from os import remove", "open('x', 'w')", "().__class__", "eval('1')", "def f(:", "\x00"]
)
def test_what_reaches_for_the_machine_is_not_run(code):
    assert not tools.is_tame(code) and not tools.passes(f"{code}\n{TWICE}", ["twice(4) == 8"])


def test_plain_functions_are_tame():
    assert tools.is_tame(TWICE) and tools.is_tame("")


# ---------------------------------------------------------------- search


class Letters:
    """A stand-in encoder: unit vectors of how often a, b and c occur."""

    def encode(self, texts):
        counts = torch.tensor([[text.count(c) for c in "abc"] for text in texts], dtype=torch.float)
        return torch.nn.functional.normalize(counts, dim=-1)


def test_the_closest_text_comes_first_with_its_cosine():
    search = tools.Search(["a", "b", "aab"], Letters())
    assert [i for i, _ in search.find("a", 3)] == [0, 2, 1]
    assert search.find("a", 2)[0] == (0, 1.0)
    assert search.find("a", 2)[1][1] == pytest.approx(2 / 5**0.5)


def test_asking_for_more_than_there_is_returns_all():
    assert len(tools.Search(["a", "b"], Letters()).find("c", 9)) == 2


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: tools.Search([], Letters()), "nothing to search"),
        (lambda: tools.Search("a text", Letters()), "list of texts"),
        (lambda: tools.Search(["a"], Letters()).find(" "), "query is empty"),
        (lambda: tools.Search(["a"], Letters()).find("a", 0), "at least one"),
    ],
)
def test_a_search_that_cannot_be_made_says_why(call, words):
    with pytest.raises(CourseError, match=words):
        call()


def test_the_embedded_encoder_finds_by_meaning():
    texts = ["The cat sleeps on the sofa.", "Interest rates rose again.", "Bring an umbrella."]
    search = tools.Search(texts)
    assert search.find("It is going to rain", 1)[0][0] == 2
    assert search.find("a bank raises the price of money", 1)[0][0] == 1


# ---------------------------------------------------------------- reason and act


@pytest.mark.parametrize(
    "text, action",
    [
        ("I add.\nAction: Calculate[2 + 3]", ("Calculate", "2 + 3")),
        ("Action:Finish[ 5 ]\nAction: Search[x]", ("Finish", "5")),
        ("Action: Search [a key]", ("Search", "a key")),
        ("I should search.", None),
        ("Action: Search", None),
        ("Action: Search[never\nclosed]", None),
        ("Action: Finish[]", ("Finish", "")),
    ],
)
def test_the_first_complete_action_is_read(text, action):
    assert tools.parse_action(text) == action


def scripted(*turns):
    """A "model" that writes what it is told, one list of texts a turn, and keeps what it was shown."""
    shown, script = [], iter(turns)

    def write(texts):
        shown.append(texts)
        return next(script)

    return write, shown


TOOLS = {"Calculate": lambda text: f"{tools.calculate(text):g}"}


def test_the_loop_calls_the_tool_and_shows_its_result_to_the_model():
    write, shown = scripted(["I add.\nAction: Calculate[2 + 3]"], ["Done.\nAction: Finish[5]"])
    (trace,) = tools.react(write, TOOLS, ["2 and 3?"], examples="Example\n\n")
    assert shown[0] == ["Example\n\nQuestion: 2 and 3?\nThought:"]
    assert shown[1][0].endswith("Action: Calculate[2 + 3]\nObservation: 5\nThought:")
    assert (trace.answer, trace.end, trace.errors) == ("5", "finished", 0)
    assert trace.actions == [("Calculate", "2 + 3"), ("Finish", "5")]


def test_an_observation_the_model_invents_is_cut_off():
    write, shown = scripted(
        ["I add.\nAction: Calculate[2 + 3]\nObservation: 6\nThought: so\nAction: Finish[6]"],
        ["Action: Finish[5]"],
    )
    (trace,) = tools.react(write, TOOLS, ["2 and 3?"])
    assert "Observation: 6" not in shown[1][0] and trace.answer == "5"


def test_an_observation_that_opens_the_reply_is_cut_off_too():
    write, _ = scripted(["Observation: 6\nThought: so\nAction: Finish[6]"])
    (trace,) = tools.react(write, TOOLS, ["2 and 3?"])
    assert trace.answer is None and trace.end == "no action"


def test_questions_end_one_by_one_each_in_its_own_way():
    write, shown = scripted(
        ["Action: Finish[a]", "I do not know.", "Action: Fly[x]", "Action: Calculate[1 / 0]"],
        ["Action: Calculate[1]"],
    )
    traces = tools.react(write, TOOLS, ["q1", "q2", "q3", "q4"], turns=2)
    assert [t.end for t in traces] == ["finished", "no action", "unknown tool", "out of turns"]
    assert [t.errors for t in traces] == [0, 0, 0, 1]
    assert len(shown[1]) == 1 and "Observation: Error: '1 / 0' divides by zero." in shown[1][0]
    assert traces[3].text.endswith("Observation: 1\nThought:") and traces[3].answer is None


@pytest.mark.parametrize("text", ["3in", "12 if 3else 4", "0x1for"])
def test_half_a_number_is_refused_without_a_warning_of_python(text, recwarn):
    with pytest.raises(CourseError):
        tools.calculate(text)
    assert not recwarn
