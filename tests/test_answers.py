"""What counts as the same answer in another type, and what is said of one that is not."""

import doctest

import numpy as np
import pytest
import torch

from course_utils.exercises import answers
from course_utils.exercises.answers import (
    Wrong,
    dict_of,
    ids,
    list_of,
    mask,
    maybe,
    number,
    numbers,
    numeric,
    shown,
    tensor,
    text,
    truth,
    tuple_of,
    whole,
    wholes,
)  # fmt: skip


def test_the_examples_in_the_docstrings():
    assert doctest.testmod(answers).failed == 0


@pytest.mark.parametrize("value", [3, np.int64(3), np.array([3]), torch.tensor(3), 3.0, torch.tensor([[3.0]])])
def test_a_whole_number_in_any_type(value):
    found = whole.read(value)
    assert found == 3 and type(found) is int


@pytest.mark.parametrize("value", [2.5, True, "3", None, [3, 4], float("nan"), torch.ones(2), float("inf")])
def test_what_is_no_whole_number_is_named(value):
    with pytest.raises(Wrong, match="wanted: a whole number"):
        whole.read(value)


def test_a_number_is_kept_as_it_is():
    assert number.read(0.25) == 0.25 and number.read(np.float32(0.25)) == 0.25
    assert truth.read(np.bool_(True)) is True and truth.read(torch.tensor(False)) is False
    with pytest.raises(Wrong):
        truth.read(1)


@pytest.mark.parametrize(
    "value", [(1, 2), np.array([1, 2]), torch.tensor([1, 2]), (x for x in (1, 2)), {1: 0, 2: 0}.keys()]
)
def test_a_list_of_whole_numbers_in_any_type(value):
    found = wholes.read(value)
    assert found == [1, 2] and all(type(item) is int for item in found)


@pytest.mark.parametrize("value", ["12", {1: 2}, {1, 2}, 12, None, [1, 2.5], [[1], [2]]])
def test_what_is_no_list_of_whole_numbers_is_refused(value):
    if value == [[1], [2]]:
        value = [[1, 2], [3]]
    with pytest.raises(Wrong, match="whole numbers"):
        wholes.read(value)


def test_what_has_the_right_type_comes_back_itself():
    for kind, value in [(numbers, [0.5, 1]), (tensor, torch.ones(2)), (dict_of(text), {"a": "b"}),
                        (tuple_of(whole, text), (1, "b")), (list_of(wholes), [[1], [2, 3]])]:  # fmt: skip
        assert kind.read(value) is value


def test_a_tensor_from_lists_arrays_and_tensors_in_a_list():
    for value in ([[1.0, 2.0]], np.array([[1.0, 2.0]]), [torch.tensor([1.0, 2.0])], [np.array([1.0, 2.0])]):
        found = tensor.read(value)
        assert found.shape == (1, 2) and found.dtype == torch.float32
    assert tensor.read(2.5).shape == ()
    weight = torch.ones(2, requires_grad=True)
    assert tensor.read([weight.sum(), weight.sum()]).requires_grad  # gradients survive


@pytest.mark.parametrize("value", [[[1.0], [1.0, 2.0]], "abc", ["a"], {"a": 1}, None, [torch.ones(1), torch.ones(2)]])
def test_what_is_no_tensor_is_refused(value):
    with pytest.raises(Wrong, match="a tensor"):
        tensor.read(value)


def test_a_mask_holds_true_and_false():
    assert mask.read([[True, False]]).tolist() == [[True, False]]
    assert mask.read(np.array([True])).dtype == torch.bool
    with pytest.raises(Wrong, match=r"\[1.0, 0.0\].*True and False"):
        mask.read(torch.tensor([1.0, 0.0]))


def test_a_number_stays_a_number_and_an_array_an_array():
    assert numeric.read(np.float64(2.5)) == 2.5 and type(numeric.read(torch.tensor(2.5))) is float
    for value in ([1.0, 2.0], torch.tensor([1.0, 2.0]), np.array([1.0, 2.0])):
        assert isinstance(numeric.read(value), np.ndarray) and numeric.read(value).tolist() == [1, 2]
    array = np.ones(3)
    assert numeric.read(array) is array
    for value in ("2", None, True, ["a"], [[1], [1, 2]], np.array([True])):
        with pytest.raises(Wrong, match="an array of numbers"):
            numeric.read(value)


def test_ids_are_whole_numbers_in_64_bits():
    for value in ([[1, 2]], np.array([[1.0, 2.0]]), torch.tensor([[1, 2]], dtype=torch.int32)):
        assert ids.read(value).dtype == torch.int64 and ids.read(value).tolist() == [[1, 2]]
    found = torch.tensor([3])
    assert ids.read(found) is found
    for value in ([0.5], [True], [float("nan")], "12", None):
        with pytest.raises(Wrong, match="whole numbers"):
            ids.read(value)


def test_several_values_in_their_order():
    pair = tuple_of(tensor, number)
    codes, scale = pair.read([np.array([1, 2]), torch.tensor(0.5)])
    assert codes.tolist() == [1, 2] and scale == 0.5
    for value in ((1,), {"codes": 1, "scale": 2}, torch.ones(3), 12.0):
        with pytest.raises(Wrong, match="then a number"):
            pair.read(value)


def test_nothing_is_an_answer_only_where_it_may_be():
    assert maybe(text).read(None) is None
    with pytest.raises(Wrong, match="a text, or None"):
        maybe(text).read(3)


def test_a_value_is_shown_short_with_its_type():
    assert shown(torch.ones(2)) == "[1.0, 1.0] (a tensor of shape [2])"
    assert "numpy" in shown(np.ones((2, 2))) and "[2, 2]" in shown(np.ones((2, 2)))
    assert len(shown("x" * 1000)) < 80

    class Broken:
        def __repr__(self):
            raise ValueError

    assert "Broken" in shown(Broken())
