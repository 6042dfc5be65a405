"""The pictures of Lab 3: each is drawn, and its words say what is to be seen."""

from types import SimpleNamespace

import pytest

from course_utils import metrics
from course_utils import rl_pictures as pictures
from course_utils.exercises.lab3 import clipped


@pytest.mark.parametrize("draw", [pictures.decisions, pictures.four_models, pictures.one_column_apart, pictures.two_ways])
def test_a_drawing_of_a_mechanism_is_described(said, draw):
    assert len(said(draw).split()) > 20


def test_runs_that_end_high_are_counted(said):
    assert "no baseline: 1 of 2 runs end above one half" in said(pictures.bandit_runs, {"no baseline": [[0.5, 0.9], [0.5, 0.1]]})


def test_the_edges_of_the_band_are_named(said):
    assert "to the right of 1.1" in said(pictures.clip, clipped, 0.1)


def test_the_four_curves_are_told_from_start_to_end(said):
    log = [SimpleNamespace(stats={"score": s, "kl": k, "ended": 1.0}) for s, k in ((-0.5, 0.0), (0.25, 3.0))]
    toxic = [metrics.interval([1.0, 1.0, 0.0, 1.0], unit="answer"), metrics.interval([0.0, 1.0, 0.0, 0.0], unit="answer")]
    text = said(pictures.training, log, toxic)
    assert "-0.50 to 0.25" in text and "0 to 3.0 nats" in text and "0.75 to 0.25" in text


def test_rivals_are_told_by_their_means(said):
    runs = [{"word_list": [1.0, 0.0], "facts": [0.5, 0.5]}, {"word_list": [0.0, 0.0], "facts": [0.0, 0.5]}]
    assert "PPO 0.25 and 0.38" in said(pictures.rivals, {"PPO": runs})
