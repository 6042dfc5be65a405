"""The drawings and figures of *Reasoning with verifiable rewards* are drawn and said."""

import pytest
import torch

from course_utils import diagrams, preference, reasoning_pictures
from course_utils.tools import calculate


@pytest.mark.parametrize("name", ["THREE_WAYS", "VOTE", "GROUP", "CIRCLE"])
def test_every_diagram_can_be_drawn(name):
    drawing = {key: value for key, value in getattr(reasoning_pictures, name).items() if key != "alt"}
    assert diagrams.draw_diagram(**drawing).boxes


def test_the_drawn_votes_and_advantages_are_right():
    assert [f"{calculate(text):g}" for text, _ in reasoning_pictures._VOTES] == [v.split()[0] for _, v in reasoning_pictures._VOTES]
    texts, marks, gains = zip(*reasoning_pictures._GROUP)
    assert [calculate(text) == 303 for text in texts] == [mark == 1 for mark in marks]
    found = preference.group_advantages(torch.tensor([marks]).float())[0].tolist()
    assert [f"{a:+.2f}".replace("-", "−") for a in found] == [gain.split()[0] for gain in gains]


def test_figures_say_their_numbers(capsys):
    reasoning_pictures.samples({"pass@k": {1: [0.0, 1, 0, 1], 2: [1.0, 1, 0, 1]}, "majority of k": {1: [0.5, 1, 0, 0.5], 2: [0.5, 1, 0, 1]}}, 0.25)
    reasoning_pictures.teaching_groups()
    reasoning_pictures.practice([torch.tensor([[1.0, 0], [0, 0]]), torch.tensor([[1.0, 1], [1, 0]])])
    before, after = {"known": [0.25, 0.5], "other": [0.1, 0.2]}, {"known": [0.75, 1.0], "other": [0.2, 0.3]}
    reasoning_pictures.seeds(before, after, {"known": 0.5, "other": 0.4})
    reasoning_pictures.ways({"GRPO": after, "more SFT": before})
    said = capsys.readouterr().out
    for words in ("GRPO, known kinds: 0.88, from 0.75 to 1.00", "pass@k goes from 0.50 to 0.75", "from 0.25 to 0.75", "0.25 … 0.50 to 0.75 … 1.00"):
        assert words in said
