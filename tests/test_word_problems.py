"""Word problems: their results, the examples, and what becomes of a call."""

import re

import pytest

from course_utils import word_problems
from course_utils.tools import calculate


def test_each_result_is_that_of_its_kind():
    signs = "+-*/"
    for number, (question, wanted) in enumerate(word_problems.draw(24)):
        first, second = re.findall(r"\d+", question)
        assert calculate(f"{first} {signs[number % 4]} {second}") == wanted > 0


def test_the_same_seed_draws_the_same_problems():
    assert word_problems.draw(8) == word_problems.draw(8) != word_problems.draw(8, seed=1)
    assert word_problems.draw(24)[:8] == word_problems.draw(8)


def test_the_worked_examples_are_right():
    for _, result, call in word_problems.WORKED:
        assert calculate(call.removeprefix("CALC(").removesuffix(")")) == float(result)


def test_the_prompt_shows_results_or_calls_and_ends_open():
    by_head, by_tool = (word_problems.prompt("How many?", calls) for calls in (False, True))
    assert "Answer: 165\n" in by_head and "CALC" not in by_head
    assert "Answer: CALC(120 + 45)\n" in by_tool and by_tool.endswith("Question: How many?\nAnswer:")


@pytest.mark.parametrize(
    "expression, kind",
    [("3 + 4", "right"), ("3 * 4", "wrong expression"), ("3 cups", "call refused"), ("1 / 0", "call refused"), (None, "no call")],
)
def test_a_call_ends_in_one_of_four_ways(expression, kind):
    assert word_problems.outcome(expression, 7) == kind and kind in word_problems.OUTCOMES
