"""Explorers and forms: whole labels, tokens one can see, bars that use the room."""

import re
from types import SimpleNamespace

import pytest
import torch

pytest.importorskip("ipywidgets")

import ipywidgets

from course_utils import widgets
from course_utils.exercises import families

PIECES = [" new", " ", "\n", "house", ""]
TOKENIZER = SimpleNamespace(decode=lambda ids: PIECES[ids[0]], convert_ids_to_tokens=lambda id: "<|end|>")


def controls(box):
    """All controls of a form that carry a label."""
    return [child for child in box.children if getattr(child, "description", "") and not isinstance(child, ipywidgets.Button)]


@pytest.mark.parametrize(
    "make",
    [
        widgets.memory_explorer,
        lambda: widgets.objective_explorer(families.mask_tokens, families.span_corruption),
        lambda: widgets.summariser_app(lambda dialogue: dialogue),
        lambda: widgets.task_playground(SimpleNamespace(), {"ask": "{input}"}, {"ask": "Why?"}),
    ],
)
def test_labels_have_room(make):
    """11 em hold about 22 letters of the page's font."""
    found = controls(make())
    assert found
    for control in found:
        assert control.style.description_width == "11em" and len(control.description) <= 22
        assert float(control.layout.width.removesuffix("em")) >= 20


def test_the_decoding_explorer_has_whole_labels_and_speaks_of_tokens(causal):
    box = widgets.decoding_explorer(causal)
    prompt, temperature, top_k, top_p, limit, seed, chart, write, text = box.children
    prompt.value = "w1 w2"
    assert all(control.style.description_width == "11em" for control in (prompt, temperature, top_k, top_p, limit, seed))
    assert "60 tokens can be drawn" in chart.value or "61 tokens can be drawn" in chart.value
    top_k.value = 3
    assert "3 tokens can be drawn" in chart.value and chart.value.count("<tr>") == 3
    top_k.value = 1
    assert "Only one token can be drawn" in chart.value
    prompt.value = " "
    assert "Write something" in chart.value


@pytest.mark.parametrize("id, shown", [(0, "␣new"), (1, "␣"), (2, "↵"), (3, "house"), (4, "<|end|>")])
def test_every_token_can_be_seen(id, shown):
    assert widgets.token_text(TOKENIZER, id) == shown


def test_the_longest_bar_takes_the_whole_width_and_the_others_their_share():
    html = widgets._bars(torch.tensor([0.5, 0.25, 0.25, 0.0, 0.0]).log(), TOKENIZER)
    assert re.findall(r"width:(\d+)%'></div>", html) == ["100", "50", "50"]
    assert "3 tokens can be drawn" in html
    assert all(name for name in re.findall(r"<code>(.*?)</code>", html))
