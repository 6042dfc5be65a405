"""Comparing answers case by case: slips are named only where they explain everything."""

import numpy as np
import pytest
import torch

from course_utils.exercises.answers import Nothing, Wrong
from course_utils.exercises.cases import alike, brief, compare, same_gradient, without

CASES = [("", (1, 2)), ("a negative number", (-3, 2)), ("nothing", (0, 0))]


def larger(a, b):
    return max(a, b)


def refused(answer, slips=()):
    with pytest.raises(Wrong) as caught:
        compare(answer, larger, CASES, slips)
    return str(caught.value)


def test_what_gives_the_same_passes():
    compare(lambda a, b: a if a > b else b, larger, CASES)


def test_a_slip_is_named_only_if_it_gives_the_same_on_every_case():
    slips = [("The second.", lambda a, b: b + 1), ("In size.", lambda a, b: max(a, b, key=abs))]
    assert refused(lambda a, b: b if abs(b) > abs(a) else a, slips) == "In size."
    assert refused(lambda a, b: b if b else 7, slips) == "Nothing: larger(0, 0) should give 0; yours gave 7."


def test_an_error_on_an_edge_is_shown_with_its_case_and_one_at_once_is_not_swallowed():
    assert "A negative number: larger(-3, 2) should give 2; yours raised ValueError." == refused(
        lambda a, b: b if (a + 4) ** 0.5 > 1 else [].index(a)
    )
    with pytest.raises(ZeroDivisionError):
        compare(lambda a, b: a / 0, larger, CASES)


def test_a_slip_that_fails_where_the_answer_fails_explains_it():
    divides = ("You divide.", lambda a, b: max(a, b) * b / b)
    assert refused(lambda a, b: max(a, b) / b * b, [divides]) == "You divide."


def test_a_slip_is_named_beside_an_edge_that_fails():
    second = [("The second.", lambda a, b: b), ("Neither.", lambda a, b: None)]
    assert refused(lambda a, b: b * b / b if a < b else 0 / 0, second).startswith("Nothing: ")
    both = [("Smaller.", min)]
    assert refused(lambda a, b: min(a, b) * (a + b) / (a + b), both) == "Smaller."


@pytest.mark.parametrize("function, words", [(min, "Smaller."), (max, "Nothing: larger(0, 0). None came.")])
def test_a_none_on_an_edge_is_shown_with_its_case_and_hides_no_slip(function, words):
    def without_a_return(a, b):
        if a == 0:
            raise Nothing("None came.")
        return function(a, b)

    assert refused(without_a_return, [("Smaller.", min)]) == words


def test_whole_numbers_are_compared_exactly_and_fractions_up_to_rounding():
    assert alike(16_000, 16_000) and not alike(16_001, 16_000)
    assert alike(1 / 3, 0.33333334) and not alike(0.334, 1 / 3) and not alike(float("nan"), 1.0)
    assert alike(torch.tensor([1.0]), np.array([1.0])) and not alike(torch.ones(2, 1), torch.ones(2))
    assert alike(np.str_("a"), "a") and not alike("b", "a")
    assert alike({"a": [1.0, None]}, {"a": [1.0, None]}) and not alike([1, 2], [1, 2, 3])


def test_values_are_written_briefly():
    assert brief(torch.tensor([[0.123456, -1.0]])) == "[[0.1235, -1]]"
    assert brief((1,)) == "(1,)" and brief({"a": 0.25}) == "{'a': 0.25}" and brief(len) == "len"
    assert len(brief("x" * 500)) == 90


def test_not_a_number_equals_itself():
    nan = float("nan")
    assert alike(nan, nan) and not alike(1.0, nan) and alike(np.array([1.0, nan]), np.array([1.0, nan]))


def scaled(x, factor):
    return (factor * x).sum()


def test_a_right_value_needs_the_right_gradient_as_well():
    arguments = torch.tensor([1.0, 2.0]), 3.0
    same_gradient(lambda x, f: f * x[0] + f * x[1], scaled, arguments)
    for answer, words in (
        (lambda x, f: scaled(x.detach(), f), "no gradient flows from it to `x`"),
        (lambda x, f: scaled(x.detach(), f) + 0 * x.sum(), r"\[3, 3\] is wanted, yours is \[0, 0\]"),
        (lambda x, f: scaled(x.detach(), f) + 0 * torch.ones(1, requires_grad=True), r"yours is \[0, 0\]"),
    ):
        with pytest.raises(Wrong, match=words):
            same_gradient(answer, scaled, arguments)


def test_a_forbidden_function_is_noticed_and_works_again_afterwards():
    scores = torch.tensor([1.0, 1.0])
    without((torch, "softmax"), call=lambda: scores.exp(), words="no softmax")
    with pytest.raises(Wrong, match="no softmax"):
        without((torch, "sum"), (torch, "softmax"), call=lambda: torch.softmax(scores, 0), words="no softmax")
    assert torch.softmax(scores, 0).tolist() == [0.5, 0.5]


def test_a_message_shows_the_place_where_two_long_results_differ():
    with pytest.raises(Wrong) as caught:
        compare(lambda n: [0] * n + [2], lambda n: [0] * n + [1], [("", (80,))])
    should, yours = str(caught.value).split("; yours gave ")
    assert should.endswith("0, 1]") and yours.endswith("0, 2].")
    with pytest.raises(Wrong, match="should give 5.2083333; yours gave 5.2079"):
        compare(lambda n: 5.2079, lambda n: 5.2083333, [("", (80,))], same=lambda a, b: a == b)
