"""The pictures of what makes a model cheap: their words say what is to be seen."""

import torch

from course_utils import serving_pictures


def test_slots_count_steps_and_idle_shares_by_hand(said):
    """Lengths 3, 1, 2 in two slots: static 3 + 2 steps, 4 of 10 idle; continuous 3 steps, none idle."""
    lengths = [3, 1, 2]
    text = said(serving_pictures.slots, {
        "static": ([(0, 0), (1, 0), (0, 3)], lengths), "continuous": ([(0, 0), (1, 0), (1, 1)], lengths)})  # fmt: skip
    assert "static: 5 steps, 40% of the slots' steps idle" in text
    assert "continuous: 3 steps, 0% of the slots' steps idle" in text


def test_scales_and_a_draft_are_described(said):
    x = torch.tensor([[127.0, 1.0], [0.2, 0.1]])
    text = said(serving_pictures.scales, x, x.round(), torch.tensor([[127.0, 1.0], [127.0, 64.0]]), x)
    assert "[[127, 1], [0, 0]]" in text and "[[127, 1], [127, 64]]" in text
    text = said(serving_pictures.draft, ["a"], ["b", "c"], ["b", "d", "e"], kept=1)
    assert "The first 1 tokens are equal" in text
