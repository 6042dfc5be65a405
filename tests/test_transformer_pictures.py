"""The pictures of the transformer notebook: each is drawn, and its words say what is to be seen."""

import pytest
import torch

from course_utils import transformer
from course_utils import transformer_pictures as pictures


def test_the_weights_of_a_query_are_in_its_picture(said):
    text = said(pictures.query_key_value, "cat", {"cat": 0.5, "sat": 0.25, "down": 0.25})
    assert "cat 0.50, sat 0.25, down 0.25" in text


@pytest.mark.parametrize("draw", [pictures.block, pictures.architecture])
def test_a_drawing_of_a_mechanism_is_described(said, draw):
    assert len(said(draw).split()) > 20


def test_heads_and_steps_are_counted(said):
    assert "go to 2 heads: head 1 gets column 0" in said(pictures.heads, {"head 1": "column 0", "head 2": "column 1"})
    assert "unrolled over 3 words" in said(pictures.unrolled, ["a", "b", "c"])


def test_a_map_lists_its_groups(said):
    vectors = {"x": {"a": torch.tensor([1.0, 0, 0]), "b": torch.tensor([0.9, 0.1, 0])},
               "y": {"c": torch.tensor([0, 1.0, 0.2]), "d": torch.tensor([0, 0.9, 1.0])}}  # fmt: skip
    text = said(pictures.embedding_map, vectors)
    assert "map of 4 words" in text and "x: a, b; y: c, d" in text


def test_a_table_names_the_strongest_key_of_each_query(said):
    weights = torch.tensor([[0.2, 0.8], [0.9, 0.1]])
    assert "now: i at aime, love at j'" in said(pictures.weight_tables, {"now": weights}, ["i", "love"], ["j'", "aime"])


def test_curves_say_where_they_begin_and_end(said):
    assert "from 5.0 nats to about 1.500" in said(pictures.loss_curve, [5.0] + [1.5] * 60, even=5.7)
    assert "9.0 nats after 1, 4.5 nats after 2 tokens" in said(pictures.surprise_by_context, {1: 9.0, 2: 4.5})
    assert "GRU 90% at 1 and 20% at 5; chance 12.5%" in said(pictures.recall_by_distance, {"GRU": {1: 0.9, 5: 0.2}}, 1 / 8)
    assert "one sense have 0.80, two of different senses 0.60" in said(pictures.senses_by_layer, [1.0, 0.8], [1.0, 0.6], "bank")
    text = said(pictures.position_waves, transformer.sinusoids(20, 16), (0, 4), (5, 10))
    assert "columns 0, 4" in text and "5, 10" in text
