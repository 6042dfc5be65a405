"""The pictures of Reward models: each is drawn, and its words say what is to be seen."""

import pytest

from course_utils import reward_pictures as pictures


@pytest.mark.parametrize("draw", [pictures.pipeline, pictures.two_judges])
def test_a_drawing_of_a_mechanism_is_described(said, draw):
    assert len(said(draw).split()) > 15


def test_the_shorter_answer_is_padded_behind_its_end(monkeypatch):
    seen = []
    monkeypatch.setattr(pictures, "tokens", lambda rows, kinds, alt: seen.append(rows))
    pictures.last_tokens(["a"], ["b", "c", "d"], kept=1)
    long, short = (["".join(text) for text, _ in row] for row in seen[0].values())
    assert long == ["a", "b", "c", "d", "<end>"]
    assert short == ["a", "b", "<end>", "<pad>", "<pad>"]


def test_crossing_lines_are_named(said):
    people = {"Mira": [1, 5, 3, 4, 2], "Tom": [2, 4, 3, 5, 1]}
    assert "Lines that cross: A with E, B with D." in said(pictures.two_rankings, "ABCDE", people)
    assert "cross: none" in said(pictures.two_rankings, "AB", {"Mira": [1, 2], "Tom": [1, 2]})


def test_means_and_bins_are_told(said):
    assert "blunt -1.5, neutral 2.0" in said(pictures.versions, {"blunt": [-1, -2], "neutral": [2, 2]})
    assert "2 bins: sure 0.70 and right 0.50; sure 0.95 and right 1.00" in said(
        pictures.reliability, [(0.7, 0.5, 4), (0.95, 1.0, 3)]
    )
