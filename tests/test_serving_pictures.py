"""The pictures of what makes a model cheap: their words say what is to be seen."""

import pytest
import torch

from course_utils import serving_pictures


@pytest.fixture
def drawn_tokens(monkeypatch):
    """Draws, and returns the rows that were drawn."""
    def draw(picture, *args, **kwargs):
        seen = []
        monkeypatch.setattr(serving_pictures, "tokens", lambda rows, kinds, alt: seen.append(rows))
        picture(*args, **kwargs)
        return seen[0]

    return draw


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


def test_a_cache_leaves_one_token_to_compute(drawn_tokens):
    rows = drawn_tokens(serving_pictures.cache, ["a", "b", "c"], new=2)
    kinds = {name: [kind for _, kind in row] for name, row in rows.items()}
    assert kinds["token 4, without cache"] == ["computed"] * 3
    assert kinds["token 3, with cache"] == ["computed"] * 2  # the first pass reads all
    assert kinds["token 4, with cache"] == ["from the cache", "from the cache", "computed"]


def test_only_the_first_request_computes_the_prefix(drawn_tokens):
    rows = drawn_tokens(serving_pictures.prefix, ["<system>", "examples"], requests=2)
    assert [kind for _, kind in rows["request 1"]][:2] == ["the prefix"] * 2
    assert [kind for _, kind in rows["request 2"]][:2] == ["from the cache"] * 2


def test_the_application_and_the_attack_are_described(said):
    assert "output guard" in said(serving_pictures.application)
    assert "attacker's answer" in said(serving_pictures.injection)
