"""What makes a model cheap: the pictures say what is to be seen, and the committed logs hold what is read from them."""

import numpy as np
import pytest
import torch

from course_utils import logs, serving_pictures
from course_utils.studies import distil, serving


@pytest.fixture
def said(capsys):
    """What a picture's alt text says; outside a notebook ``show`` prints it."""

    def words(draw, *args, **kwargs):
        draw(*args, **kwargs)
        return capsys.readouterr().out

    return words


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


def test_both_students_start_alike_and_see_the_same_texts():
    runs = logs.distil()["runs"]
    assert [(r["loss"], r["seed"]) for r in runs] == [(kind, seed) for seed in distil.SEEDS for kind in distil.LOSSES]
    assert all(len(r["train"]) == distil.UPDATES and tuple(r["after"]) == distil.MEASURED for r in runs)


def test_the_teachers_distribution_teaches_more_than_the_bare_tokens():
    """What the notebook says of the log, for every seed."""
    log = logs.distil()
    last = {(r["loss"], r["seed"]): r["after"][distil.UPDATES] for r in log["runs"]}
    for seed in distil.SEEDS:
        taught, alone = last["distilled", seed], last["cross-entropy", seed]
        assert np.mean(taught["nll"]) < np.mean(alone["nll"]) < np.mean(log["before"]["nll"])
        assert np.mean(taught["agree"]) > np.mean(alone["agree"])


def test_every_engine_answered_one_request_and_sixteen():
    found = {(r["engine"], r["requests"]): r for r in logs.serving()}
    assert set(found) == {(name, n) for name in serving.ENGINES for n in (1, serving.ROWS)}
    assert all(0 < r["tokens"] <= r["requests"] * serving.NEW for r in found.values())
